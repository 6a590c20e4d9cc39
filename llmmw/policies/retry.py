"""Law: at most `retries` further attempts, each after a failure that may pass, never earlier
than the provider asked, and never after a wait that the deadline would cut.

::

    attempt ──✗        attempt ──✗              attempt ──✓
              └─ wait ─┘         └──── wait ────┘
                 chance·0.5 s       chance·1 s        (or the provider's own hint)

Source: full jitter, "Exponential Backoff And Jitter", AWS Architecture Blog, 2015; 0.5 s and 8 s
are those of the vendors' own clients.
"""

from __future__ import annotations

import math

import attrs

from llmmw._budget import Budget
from llmmw._call import Call
from llmmw._chain import Handler
from llmmw._history import History, Record, Start
from llmmw._plan import Plan
from llmmw._response import Response
from llmmw.policies import _options

__all__ = ["Retry"]


@attrs.frozen
class Retry:
    """Try again after an error that is `retryable`, and after `CallShed` if it says when.

    As a middleware of its own it goes on with the same target; inside `Attempts` it shares one
    plan with others.

    Args:
        retries: how many further attempts, on all targets together. Default 2.
        base: seconds; the first wait is drawn from [0, base), each next from twice the span.
        cap: seconds; the largest span to draw from.
        max_hint: seconds; a provider that asks to wait longer is not asked again.
    """

    retries: int = attrs.field(default=2, validator=_options.whole(0))
    base: float = attrs.field(default=0.5, validator=_options.seconds(0), kw_only=True)
    cap: float = attrs.field(default=8.0, validator=_options.seconds(0), kw_only=True)
    max_hint: float = attrs.field(default=60.0, validator=_options.seconds(0), kw_only=True)
    budget: Budget = attrs.field(factory=Budget, kw_only=True, eq=False, repr=False)
    """For use on its own; inside `Attempts`, that one's budget counts."""

    @property
    def extra(self) -> int:
        """At most this many attempts more."""
        return self.retries

    def backoff(self, failures: int, chance: float) -> float:
        """Seconds to wait after so many failures in a row (1 is the first)."""
        return chance * min(self.cap, self.base * 2.0 ** min(failures - 1, 60))

    def propose(self, history: History, now: float) -> Start | None:
        """A target used before, the least failed first; of equals, one that asked to wait last; and
        last of all one that nothing was sent to."""
        made = [record for record in history.records if record.reason == "retry"]
        if sum(r.counts for r in made) >= self.retries or len(made) >= 2 * self.retries:
            return None
        definite = any(
            r.counts and r.error and not (r.error.retryable or r.error.elsewhere)
            for r in history.failures
        )
        ready = []
        for order, target in enumerate(history.targets):
            # Of several that went on side by side, the last to end says what is known now.
            records = sorted(history.on(target), key=_end)
            at = self._ready(records)
            if at is not None and history.open(target, max(at, now)):
                hinted = records[-1].error is not None and bool(records[-1].error.retry_after)
                unsent = not records[-1].counts
                if unsent and definite:
                    continue
                ready.append((unsent, len(records), hinted and at > now, order, at, target, hinted))
        if not ready:
            return None
        *_, order, at, target, hinted = min(ready)
        request = history.requests[target]
        return Start(target, at, "retry", request, "hint" if hinted else "backoff")

    def _ready(self, records: list[Record]) -> float | None:
        """When the target of these attempts may be asked again; `None` is never."""
        last = records[-1] if records else None
        if last is None or last.error is None or last.ended is None:
            return None
        hint = last.error.retry_after
        # A circuit that is open, or a limiter that is full, may say when it will be different.
        if not (last.error.retryable or (hint and not last.counts)):
            return None
        if hint is None:
            failures = sum(record.error is not None and record.counts for record in records)
            return last.ended + self.backoff(failures, last.chance)
        return last.ended + hint if hint <= self.max_hint else None

    async def __call__(self, call: Call, next: Handler) -> Response:
        return await Plan((self,), self.budget, 1 + self.extra)(call, next)


def _end(record: Record) -> float:
    return math.inf if record.ended is None else record.ended
