"""A circuit: whether calls may go to one destination, by what became of the last ones. Pure: it
is told the time."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable
from typing import Any, Literal, TypeAlias

import attrs

__all__ = ["Circuit", "Permit", "State", "Verdict"]

State: TypeAlias = Literal["closed", "open", "half-open", "isolated"]

Verdict: TypeAlias = Literal["ok", "failed", "held", "ignored"]
"""What a call says of its destination; `held` is that it must not be asked for a time."""

_SLOTS = 10


@attrs.define(eq=False)
class Permit:
    """The leave of one call, to be given back once. Good until the circuit changes."""

    change: int
    since: float = 0.0


@attrs.define(eq=False)
class _Slot:
    """What came in a tenth of the window, from `begin` on."""

    begin: float
    ok: int = 0
    failed: int = 0


@attrs.define(eq=False, kw_only=True)
class Circuit:
    """closed → open → half-open → closed or open; isolated, and out of it, by hand only.

    The options are those of `Breaker`. Where the clock runs backwards, which is another clock,
    nothing of before counts.
    """

    share: float
    calls: int
    window: float
    open_for: float
    open_max: float
    probes: int
    probe_limit: float
    jitter: float = 0.0
    state: State = attrs.field(default="closed", init=False)
    since: float = attrs.field(default=0.0, init=False)
    until: float = attrs.field(default=math.inf, init=False)
    changes: int = attrs.field(default=0, init=False)
    """How often the state has changed."""
    _openings: int = attrs.field(default=0, init=False)
    _probing: list[Permit] = attrs.field(factory=list, init=False)
    _pass: Permit = attrs.field(factory=lambda: Permit(0), init=False)
    _slots: deque[_Slot] = attrs.field(factory=deque, init=False)

    def enter(self, now: float) -> Permit | None:
        """A permit, or `None`: the call must not be sent. Turns half-open once it is time."""
        if self.state == "closed":
            return self._pass
        if self.state == "open" and not self.since <= now < self.until:
            self._change("half-open", now)
        if self.state != "half-open":
            return None
        limit = self.probe_limit
        self._probing = [one for one in self._probing if 0 <= now - one.since < limit]
        if len(self._probing) >= self.probes:
            return None
        probe = Permit(self.changes, now)
        self._probing.append(probe)
        return probe

    def leave(
        self,
        permit: Permit,
        verdict: Verdict,
        now: float,
        hold: float = 0.0,
        chance: Callable[[], float] = lambda: 0.0,
    ) -> None:
        """Give a permit back, with what became of the call. If the verdict is `held`, the
        circuit opens for `hold` seconds; if it opens otherwise, `chance` draws a number from
        [0, 1) for the jitter."""
        if permit in self._probing:
            self._probing.remove(permit)
        if verdict == "ignored" or permit.change != self.changes:
            return
        if verdict == "held":
            self._open(now, hold)
        elif self.state == "half-open":
            if verdict == "ok":
                self.close(now)
            else:
                self._open_again(now, chance())
        elif self._count(verdict, now):
            self._open_again(now, chance())

    def wait(self, now: float) -> float | None:
        """Seconds until a refused call may go; of a half-open circuit, at the latest then."""
        if self.state == "open":
            return self.until - now
        if self.state == "half-open":
            passed = now - self._probing[0].since
            return max(0.0, min(self.probe_limit - passed, max(self.open_for, passed)))
        return None

    def isolate(self, now: float) -> None:
        """Let nothing through until `close`."""
        self._change("isolated", now)

    def close(self, now: float) -> None:
        """Let everything through, and forget what came before."""
        self._openings = 0
        self._change("closed", now)

    def counts(self, now: float) -> tuple[int, int]:
        """How many calls ended within the window, and how many of them failed."""
        while self._slots and not now - self.window < self._slots[0].begin <= now:
            self._slots.popleft()
        failed = sum(slot.failed for slot in self._slots)
        return failed + sum(slot.ok for slot in self._slots), failed

    def at_rest(self, now: float) -> bool:
        """Whether nothing would be lost by making it anew."""
        if self.state == "open":
            return not self.since <= now < self.until + self.open_max
        return self.state == "closed" and self.counts(now) == (0, 0)

    def statistics(self) -> dict[str, Any]:
        """The state, since and until when (times of trio's clock), and what was counted by the
        last call."""
        calls, failed = self.counts(self._slots[-1].begin) if self._slots else (0, 0)
        until = self.until if self.state == "open" else None
        counted = {"calls": calls, "failed": failed, "probes": len(self._probing)}
        return {"state": self.state, "since": self.since, "until": until, **counted}

    def _count(self, verdict: Verdict, now: float) -> bool:
        """Whether it is too much now."""
        slots = self._slots
        if not slots or not 0 <= now - slots[-1].begin < self.window / _SLOTS:
            slots.append(_Slot(now))
        if verdict == "ok":
            slots[-1].ok += 1
            if len(slots) > _SLOTS:
                self.counts(now)
            return False
        slots[-1].failed += 1
        calls, failed = self.counts(now)
        return calls >= self.calls and failed >= self.share * calls

    def _open_again(self, now: float, chance: float) -> None:
        self._openings += 1
        grown = self.open_for * 2.0 ** min(self._openings - 1, 60)
        self._open(now, min(self.open_max, grown) * (1 - self.jitter * chance))

    def _open(self, now: float, seconds: float) -> None:
        self.until = now + seconds
        self._change("open", now)

    def _change(self, state: State, now: float) -> None:
        self.state, self.since = state, now
        self.changes += 1
        self._pass = Permit(self.changes)
        self._probing = []
        self._slots.clear()
