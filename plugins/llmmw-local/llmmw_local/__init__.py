"""A language model inside the process: the provider `local` and the command `llmmw local`.

This module is light: it names what there is. The engine is imported when a call needs it.
"""

from __future__ import annotations

from llmmw.plugin import Spec, hookimpl

__all__ = ["llmmw_commands", "llmmw_providers"]


@hookimpl
def llmmw_providers() -> list[Spec]:
    """The provider `local`."""
    summary = "a model inside the process: local:smollm2, or local:/path/to/a.gguf"
    return [Spec("local", "llmmw_local._provider:Local", summary)]


@hookimpl
def llmmw_commands() -> list[Spec]:
    """The command `llmmw local`."""
    return [Spec("local", "llmmw_local._cli:local", "fetch and list local models")]
