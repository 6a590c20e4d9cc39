"""A cache that knows a question again when it is put in other words, and a small model of vectors.

This module is light: it names what there is. What it names is imported when it is needed.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from llmmw.plugin import Spec, hookimpl

if TYPE_CHECKING:
    from llmmw_semantic._cache import SemanticCache as SemanticCache
    from llmmw_semantic._events import SemanticHit as SemanticHit
    from llmmw_semantic._events import SemanticMissed as SemanticMissed
    from llmmw_semantic._guard import difference as difference
    from llmmw_semantic._minilm import MiniLM as MiniLM

__all__ = [
    "MiniLM",
    "SemanticCache",
    "SemanticHit",
    "SemanticMissed",
    "difference",
    "llmmw_middleware",
    "llmmw_providers",
]

_PLACES = {
    "SemanticCache": "_cache",
    "SemanticHit": "_events",
    "SemanticMissed": "_events",
    "difference": "_guard",
    "MiniLM": "_minilm",
}


@hookimpl
def llmmw_middleware() -> list[Spec]:
    """The cache."""
    summary = "answers to questions that mean the same are given again"
    return [Spec("semantic_cache", "llmmw_semantic._cache:SemanticCache", summary)]


@hookimpl
def llmmw_providers() -> list[Spec]:
    """The provider of vectors."""
    summary = "sentence vectors inside the process: minilm:all-MiniLM-L6-v2"
    return [Spec("minilm", "llmmw_semantic._minilm:MiniLM", summary)]


def __getattr__(name: str) -> object:
    if name not in _PLACES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(f"{__name__}.{_PLACES[name]}"), name)
