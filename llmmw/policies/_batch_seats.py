"""Who waits for what came of a question, and of which batches nobody waits for anything."""

from __future__ import annotations

import copy
from collections.abc import Iterable

import attrs
import trio

from llmmw._call import Call
from llmmw.policies._batch_piles import Pile

__all__ = ["Seat", "Seats"]


@attrs.define(eq=False)
class Seat:
    """Calls that wait for the same question."""

    name: str
    calls: list[Call] = attrs.field(factory=list)
    done: trio.Event = attrs.field(factory=trio.Event)
    error: Exception | None = None
    pile: Pile | None = None
    """Where it is collected, until that is sent."""
    tag: str | None = None


@attrs.define(eq=False)
class Seats:
    """The seats of a client, by the names of their questions."""

    _seats: dict[str, Seat] = attrs.field(factory=dict)
    _awaited: dict[str, int] = attrs.field(factory=dict)
    """Of each batch that was sent here, how many of its questions somebody waits for."""

    def get(self, name: str) -> Seat | None:
        """The seat of a question, if there is one."""
        return self._seats.get(name)

    def add(self, seat: Seat) -> Seat:
        """Let calls wait there."""
        self._seats[seat.name] = seat
        return seat

    def of(self, names: Iterable[str]) -> list[Seat]:
        """The seats of those questions that have one."""
        return [self._seats[name] for name in names if name in self._seats]

    def calls(self, names: Iterable[str]) -> list[Call]:
        """Who waits for these questions."""
        return [call for seat in self.of(names) for call in seat.calls]

    async def wait(self, seat: Seat, call: Call) -> None:
        """Wait until there is news of a question.

        Raises:
            Exception: why its batch could not be sent or followed.
        """
        self._count(seat, 1)
        seat.calls.append(call)
        try:
            await seat.done.wait()
        finally:
            seat.calls.remove(call)
            self._count(seat, -1)
            if not seat.calls and not seat.done.is_set() and seat.pile is not None:
                seat.pile.remove(seat.name)  # nobody wants to know any more, and nothing was sent
                self._seats.pop(seat.name, None)
        if seat.error is not None:
            raise copy.copy(seat.error)

    def board(self, names: Iterable[str], tag: str) -> None:
        """These questions go in a batch."""
        seats = self.of(names)
        for seat in seats:
            seat.pile, seat.tag = None, tag
        self._awaited[tag] = sum(bool(seat.calls) for seat in seats)

    def leave(self, names: Iterable[str], tag: str, error: Exception | None) -> None:
        """The batch has ended: wake all who wait for it."""
        self._awaited.pop(tag, None)
        for seat in self.of(names):
            if seat.tag == tag:
                del self._seats[seat.name]
                seat.error = error
                seat.done.set()

    def release(self, name: str) -> None:
        """A question was answered elsewhere: wake all who wait for it."""
        seat = self._seats.pop(name, None)
        if seat is not None:
            if seat.pile is not None:
                seat.pile.remove(name)
            seat.done.set()

    def are_empty(self, tag: str | None) -> bool:
        """Whether nobody waits for anything in a batch that was sent here."""
        return tag is not None and self._awaited.get(tag) == 0

    def _count(self, seat: Seat, more: int) -> None:
        if seat.tag in self._awaited and not seat.calls:
            self._awaited[seat.tag] += more
