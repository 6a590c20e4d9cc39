"""Parts of an answer whose beginning and end the wire tells, and that may be open side by side."""

from __future__ import annotations

from typing import Any

import attrs

from llmmw import Finish, Generation, Part, PartDelta, PartEnd, PartStart, ResponseStart, Usage
from llmmw.plugin import Call, Fold

__all__ = ["Parts"]


@attrs.define(eq=False)
class Parts:
    """Tells parts to the listener of a call, and folds them into its response."""

    call: Call
    provider: str
    model: str = ""
    fold: Fold = attrs.field(factory=Fold)
    _count: int = attrs.field(default=0, init=False)
    _started: bool = attrs.field(default=False, init=False)

    @property
    def begun(self) -> bool:
        """Whether any part has."""
        return self._count > 0

    async def _tell(self, delta: ResponseStart | PartStart | PartDelta | PartEnd) -> None:
        self.fold(delta)
        if self.call.listener is not None:
            await self.call.listener(delta)

    async def start(self, *, id: str | None = None, model: str | None = None) -> None:
        """The host has begun; told once, later calls change nothing."""
        if not self._started:
            self._started = True
            self.model = model or self.model
            await self._tell(ResponseStart(id=id, model=self.model, provider=self.provider))

    async def begin(self, part: Part) -> int:
        """Begin a part by its skeleton; its index."""
        await self.start()
        index, self._count = self._count, self._count + 1
        await self._tell(PartStart(index, part))
        return index

    async def add(self, index: int, **piece: Any) -> None:
        """A piece of an open part; `piece` is what a `PartDelta` has. Nothing is told of none."""
        if any(piece.values()):
            delta = PartDelta(index=index, **piece)
            self.fold(delta)
            if self.call.listener is not None:
                await self.call.listener(delta)

    async def end(self, index: int, part: Part | None = None) -> None:
        """End a part, as it is by its pieces or as `part` says."""
        await self._tell(PartEnd(index, self.fold.whole(index) if part is None else part))

    async def finish(
        self, finish: Finish, *, usage: Usage | None = None, **fields: Any
    ) -> Generation:
        """End the open parts and give the response; `fields` are further ones of it."""
        await self.start()
        for _, index in self.fold.open_parts:
            await self.end(index)
        return self.fold.response(finish=finish, usage=usage, ledger=self.call.ledger, **fields)
