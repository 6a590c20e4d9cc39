"""Anthropic's Messages: Claude, and hosts that speak its wire.

This module is light: the provider is imported when a call needs it.
"""

from __future__ import annotations

from llmmw.plugin import Spec, hookimpl

__all__ = ["llmmw_providers"]


@hookimpl
def llmmw_providers() -> list[Spec]:
    """The provider `anthropic`."""
    return [
        Spec(
            "anthropic",
            "llmmw_anthropic._provider:Anthropic",
            "Anthropic: https://api.anthropic.com",
        )
    ]
