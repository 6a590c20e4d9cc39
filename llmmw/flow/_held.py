"""The asynchronous generators of a template, which a loop may leave before their end.

Jinja makes them for loops with an `if` and for filters such as `map`, and closes none that a
`break` or an error leaves. Under trio each must be closed by somebody.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator
from typing import Any
from weakref import WeakSet

__all__ = ["Holder"]


class Holder:
    """Closes the generators that are left."""

    def __init__(self) -> None:
        self.left: list[AsyncGenerator[Any, None]] = []
        """Those that nobody iterates any more."""
        self._held: WeakSet[_Held] = WeakSet()

    def hold(self, generator: AsyncGenerator[Any, None]) -> _Held:
        """The same, closed sooner or later."""
        held = _Held(self, generator)
        self._held.add(held)
        return held

    async def close_left(self) -> None:
        """Close those that nobody iterates any more."""
        while self.left:
            await self.left.pop().aclose()

    async def close(self) -> None:
        """Close all."""
        for held in list(self._held):
            held.let_go()
        await self.close_left()


class _Held:
    """Iterates a generator, and tells when it is left."""

    def __init__(self, holder: Holder, generator: AsyncGenerator[Any, None]) -> None:
        self._holder = holder
        self._generator: AsyncGenerator[Any, None] | None = generator

    def __aiter__(self) -> _Held:
        return self

    async def __anext__(self) -> Any:
        if self._generator is None:
            raise StopAsyncIteration
        try:
            return await self._generator.__anext__()
        except StopAsyncIteration:
            self._generator = None
            raise

    def let_go(self) -> None:
        """It is not iterated any more."""
        if self._generator is not None:
            self._holder.left.append(self._generator)
            self._generator = None

    def __del__(self) -> None:
        self.let_go()
