"""Substrate: graphs of nodes that its host runs, and its models as any others.

`Substrate` sends graphs; `llmmw_substrate.nodes` has the kinds of nodes. The provider `substrate`
asks one model: `substrate:Llama3Instruct8B`.

This module is light: the rest is imported when it is needed.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from llmmw.plugin import Spec, hookimpl

if TYPE_CHECKING:
    from llmmw_substrate._client import Substrate as Substrate
    from llmmw_substrate._response import GraphResponse as GraphResponse
    from llmmw_substrate._stream import GraphStream as GraphStream

__all__ = ["GraphResponse", "GraphStream", "Substrate", "llmmw_providers"]

_PLACES = {"GraphResponse": "_response", "GraphStream": "_stream", "Substrate": "_client"}


def __getattr__(name: str) -> Any:
    if name not in _PLACES:
        raise AttributeError(f"module 'llmmw_substrate' has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(f"llmmw_substrate.{_PLACES[name]}"), name)


@hookimpl
def llmmw_providers() -> list[Spec]:
    """The provider `substrate`."""
    return [
        Spec(
            "substrate",
            "llmmw_substrate._provider:SubstrateProvider",
            "Substrate: https://api.substrate.run",
        )
    ]
