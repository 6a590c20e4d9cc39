"""A function of what another node gives, and of what that has on the way."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from typing import Any, TypeVar

from llmmw.flow._events import Piece, Replaced
from llmmw.flow._fold import NodeFold
from llmmw.flow._here import here
from llmmw.flow._node import Executable, Operation, as_executable, node

__all__ = ["through"]

T = TypeVar("T")


def through(function: Callable[[Any], T], executable: object) -> Executable[T]:
    """Apply a function to what an Executable gives; and, for those who read the run's stream, to
    what it has on the way, again with each piece.

    ::

        async with client.stream(through(str.upper, generate_text("hi"))) as events: ...

    Args:
        function: takes the result so far. What it can't take, and fails on, is not shown, unless
            it is the whole.
        executable: where the result comes from. It streams if this node is the first that runs it.
    """
    return node(_THROUGH, function, as_executable(executable))


async def _through(function: Callable[[Any], Any], source: Executable[Any]) -> Any:
    execution = here()
    fold = NodeFold()

    def on_the_way(piece: Piece) -> None:
        fold(piece)
        if fold.begun:
            with suppress(Exception):
                execution.tell(Replaced(function(fold.value)))

    with execution.passing_on(source, on_the_way):
        value = await source
    return function(value)


_THROUGH = Operation(
    name="through",
    function=_through,
    lazy=frozenset({"source"}),
    parameters=("function", "source"),
    kind="through",
)
