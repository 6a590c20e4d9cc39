"""What a batch holds, how long it waits, and what its end means. Pure."""

from __future__ import annotations

from collections.abc import Sequence

import attrs
import orjson

from llmmw._administration import BatchInfo, BatchLimits, Line, Outcome, Refusal

__all__ = [
    "SKEW",
    "Pile",
    "Piles",
    "ending_of",
    "may_be_ours",
    "passes",
    "poll_delay",
    "refused",
    "size_of",
]

_FIRST_POLL = 1.0
_SLOWER = 0.1
SKEW = 300.0
"""Seconds by which the provider's clock may differ from ours."""
_BESIDE = 200
"""Bytes of a line beside its body."""
_PASSING = {"token_limit_exceeded", "rate_limit_exceeded", "server_error", "internal_error"}
"""Words for which a whole batch is refused, that may pass."""


def size_of(name: str, line: Line) -> int:
    """About how many bytes a line takes; never too few."""
    return len(orjson.dumps(line.body)) + len(name) + len(line.path) + _BESIDE


@attrs.define(eq=False)
class Pile:
    """Questions that go as one batch. `closed`: no more fit."""

    limits: BatchLimits
    lines: dict[str, Line] = attrs.field(factory=dict)
    bytes: int = 0
    closed: bool = False
    _sizes: dict[str, int] = attrs.field(factory=dict)

    def has_room(self, size: int) -> bool:
        """Whether another line fits."""
        within = self.bytes + size <= self.limits.bytes and len(self.lines) < self.limits.lines
        return not self.closed and within

    def add(self, name: str, line: Line, size: int) -> None:
        """Take a line. A pile that is full by it is closed."""
        self.lines[name], self._sizes[name] = line, size
        self.bytes += size
        self.closed = not self.has_room(1)

    def remove(self, name: str) -> None:
        """Nobody wants this answered any more."""
        if self.lines.pop(name, None) is not None:
            self.bytes -= self._sizes.pop(name)


@attrs.define(eq=False)
class Piles:
    """The open piles, one for lines of a kind."""

    _open: dict[object, Pile] = attrs.field(factory=dict)

    def place(
        self, kind: object, name: str, line: Line, limits: BatchLimits
    ) -> tuple[Pile, Pile | None, bool] | None:
        """Add a line.

        Returns:
            The pile that has it; the pile that was closed since it would not fit, if one was;
            and whether the first is new. `None`: no batch can hold such a line.
        """
        size = size_of(name, line)
        if size > limits.bytes:
            return None
        pile, full = self._open.get(kind), None
        if pile is not None and not pile.closed and not pile.has_room(size):
            pile.closed, full = True, pile
        is_new = pile is None or pile.closed
        if is_new:
            pile = self._open[kind] = Pile(limits)
        assert pile is not None
        pile.add(name, line, size)
        return pile, full, is_new


def poll_delay(age: float, most: float) -> float:
    """Seconds until a batch of this age is asked about again: a tenth of its age, within bounds."""
    return min(most, max(_FIRST_POLL, age * _SLOWER))


def ending_of(info: BatchInfo) -> str:
    """What has become of the questions for which an ended batch has no outcome."""
    if info.cancelled:
        return "cancelled"
    return "expired" if info.status.lower() in {"expired", "timeout_exceeded"} else "lost"


def passes(refusals: Sequence[Refusal]) -> bool:
    """Whether the same batch may be taken later."""
    return any(one.code in _PASSING for one in refusals)


def may_be_ours(info: BatchInfo, tag: str, lines: int, made: float) -> bool | None:
    """Whether a batch at the provider is the one that was planned under this tag; `None`: only its
    outcomes will tell, as the provider keeps no labels."""
    if info.metadata is not None:
        return info.metadata.get("llmmw") == tag
    alike = info.total == lines and info.created is not None and info.created >= made - SKEW
    return None if alike else False


def refused(info: BatchInfo, names: Sequence[str]) -> list[Outcome]:
    """The outcomes of the questions for which a whole batch was refused: those that it names by
    their lines, else all of them. The others may be asked again without these."""
    lined = [one for one in info.refusals if one.line is not None and 0 < one.line <= len(names)]
    if lined:
        return [_refused(names[one.line - 1], one, 400) for one in lined if one.line]
    status = 429 if passes(info.refusals) else 400
    return [_refused(name, one, status) for one in info.refusals[:1] for name in names]


def _refused(name: str, why: Refusal, status: int) -> Outcome:
    body = {"error": {"message": why.message, "code": why.code}}
    return Outcome(id=name, status=status, body=orjson.dumps(body))
