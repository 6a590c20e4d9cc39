"""Mistral's own wire: chats, code that is filled in, vectors; models, files, fine-tunes, batches.

This module is light: the provider is imported when a call needs it.
"""

from __future__ import annotations

from llmmw.plugin import Spec, hookimpl

__all__ = ["llmmw_providers"]


@hookimpl
def llmmw_providers() -> list[Spec]:
    """The provider `mistral`."""
    return [
        Spec(
            "mistral",
            "llmmw_mistral._provider:Mistral",
            "Mistral AI: https://api.mistral.ai/v1",
        )
    ]
