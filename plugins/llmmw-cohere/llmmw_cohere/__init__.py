"""Cohere: chat, embeddings, rerank and tokens, and the administration of its accounts.

This module is light: the provider is imported when a call needs it.
"""

from __future__ import annotations

from llmmw.plugin import Spec, hookimpl

__all__ = ["llmmw_providers"]


@hookimpl
def llmmw_providers() -> list[Spec]:
    """The provider `cohere`."""
    return [Spec("cohere", "llmmw_cohere._provider:Cohere", "Cohere: https://api.cohere.com")]
