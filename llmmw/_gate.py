"""The gate before the listener of an attempt: what has won and what was told are two things."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import attrs

from llmmw._call import FIRM, Call, Listener
from llmmw._deltas import Delta, Fold, PartDelta, PartEnd, Restarted

__all__ = ["Gate", "at_once", "never_told"]


def never_told() -> None:
    """What a gate calls on its first content where nobody wants to know."""


async def at_once(whole: bool) -> bool:
    """The claim of an attempt that has no rivals."""
    return True


@attrs.define(eq=False)
class Gate:
    """The listener of one attempt. Holds back what comes before content, so that an attempt that
    fails early leaves no trace; then passes everything on at once, if its claim is granted.

    `won`: it was, with the first content or with the response. `told`: the caller itself has
    heard some, and it is not taken back; only that forbids another attempt that begins anew. With
    `on_interrupt="buffer"` all is held until `release`, and else the first `hold_back` deltas with
    content, until one more comes.
    """

    listener: Listener
    _on_interrupt: str
    _first: Callable[[], None] = never_told
    _claim: Callable[[bool], Awaitable[bool]] = at_once
    _hold_back: int = 0
    came: bool = False
    """There was content."""
    won: bool = False
    told: bool = False
    passed: bool = False
    """Something went on to the next listener."""
    _held: list[Delta] = attrs.field(factory=list)
    _wait: int = attrs.field(init=False)
    """For so many deltas with content."""
    _open: bool = False
    """Nothing more is held or decided: what comes goes on."""
    fold: Fold = attrs.field(factory=Fold)

    @_wait.default
    def _wait_first(self) -> int:
        return 1 + self._hold_back

    @classmethod
    def before(
        cls,
        call: Call,
        first: Callable[[], None] = never_told,
        claim: Callable[[bool], Awaitable[bool]] = at_once,
        hold_back: int = 0,
    ) -> Gate:
        """A gate before the listener of `call`, which must have one."""
        assert call.listener is not None
        return cls(call.listener, call.on_interrupt, first, claim, hold_back)

    def __call__(self, delta: Delta) -> Awaitable[None]:
        if self._open and isinstance(delta, PartDelta):  # nearly all
            self.fold(delta)
            return self.listener(delta)
        return self._judge(delta)

    async def _judge(self, delta: Delta) -> None:
        self.fold(delta)
        if isinstance(delta, Restarted):
            self._open = False
            self._held.clear()
            if self.passed:
                await self._pass(delta)
            else:
                self._wait = 1 + self._hold_back
            return
        if not self.came and self.fold.anything:
            self.came = True
            self._first()
        if self.came and not self.won:
            self.won = await self._claim(False)
        if self._wait and (isinstance(delta, PartEnd) or getattr(delta, "content", False)):
            self._wait -= 1
        if self.won and not self._wait and self._on_interrupt != "buffer":
            await self.release()
            await self._pass(delta)
            self._open = self.fold.anything
        else:
            self._held.append(delta)

    async def release(self) -> None:
        """Pass on what is held: the attempt has won, or has its response."""
        if not self.won:
            self.won = await self._claim(True)
        if self._held:
            held, self._held = self._held, []
            for delta in held:
                await self._pass(delta)

    async def _pass(self, delta: Delta) -> None:
        self.passed = True
        self.told = self.told or (self._on_interrupt in FIRM and self.fold.anything)
        await self.listener(delta)
