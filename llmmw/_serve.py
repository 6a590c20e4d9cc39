"""A request as its target can serve it: by itself, by another way to the same, by our doing what
it can't, or with less; and else not at all."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

from llmmw._capabilities import Capabilities, check_admitted, lacking, without
from llmmw._chain import Middleware
from llmmw._edits import Edited
from llmmw._emulate import Several, Stops
from llmmw._forms import by_words, other_way
from llmmw._request import Generate, Request

__all__ = ["Served", "served"]

Served: TypeAlias = tuple[Request, tuple[Middleware, ...], tuple[str, ...]]
"""What the provider is asked; what goes around it, outermost first; warnings."""


def served(request: Request, can: Capabilities, target: str) -> Served:
    """How a target serves a request.

    Raises:
        UnsupportedFeature: if it can't, and the request does not allow it to do with less.
    """
    if can.kinds is not None or can.media is not None:
        check_admitted(request, can)
    if not isinstance(request, Generate) or (
        can.parameters is None and can.outputs is None and can.output_limit is None
    ):
        return request, (), ()
    lost = lacking(request, can)
    if not lost:
        asked, warnings = without(lost, request, can, target)
        return asked, (), warnings
    notes: list[str] = []
    request, around = _otherwise(request, can, target, notes)
    asked, warnings = without(lacking(request, can), request, can, target)
    return asked, around, (*notes, *warnings)


def _otherwise(
    request: Generate, can: Capabilities, target: str, notes: list[str]
) -> tuple[Generate, tuple[Middleware, ...]]:
    """The request with what can be had in another way, and what makes its answer."""
    around: tuple[Middleware, ...] = ()
    emulates = request.unsupported == "emulate"
    if "output" in lacking(request, can):
        way = other_way(request, can)
        if way is None and emulates:
            way = by_words(request, can)
            if way is not None:
                notes.append(f"{target} can't honour output: asked for in words")
        if way is not None:
            request, around = way.request, way.around
    if emulates and "stop_sequences" in lacking(request, can):
        around = (*around, Edited(_stops(request.stop_sequences)))
        request = request.replace(stop_sequences=())
        notes.append(f"{target} can't honour stop_sequences: cut from the answer, and paid for")
    if emulates and "n" in lacking(request, can) and request.n is not None:
        around = (Several(request.n), *around)
        notes.append(f"{target} can't honour n: {request.n} calls were made")
        request = request.replace(n=None)
    return request, around


def _stops(words: tuple[str, ...]) -> Callable[[], Stops]:
    return lambda: Stops(words)
