"""Ollama over its own interface: a server of yours, or ollama.com.

This module is light: the provider is imported when a call needs it.
"""

from __future__ import annotations

from llmmw.plugin import Spec, hookimpl

__all__ = ["llmmw_providers"]


@hookimpl
def llmmw_providers() -> list[Spec]:
    """The provider `ollama`."""
    return [
        Spec(
            "ollama",
            "llmmw_ollama._provider:Ollama",
            "an Ollama server: http://127.0.0.1:11434, or OLLAMA_HOST",
        )
    ]
