"""Law: retry, fallback and hedge in one plan, with one bound and one budget.

::

    Attempts(Retry(2), Fallback("b", "c")) on a:   a✗ b✗ c✗ ··wait·· a✗ ··wait·· b✓

Nested instead, each would multiply the other's attempts.
"""

from __future__ import annotations

from collections.abc import Awaitable
from typing import Any

import attrs

from llmmw._budget import Budget
from llmmw._call import Call
from llmmw._chain import Handler
from llmmw._history import Proposer
from llmmw._plan import Plan
from llmmw._response import Response
from llmmw.errors import ConfigError
from llmmw.policies import _options

__all__ = ["Attempts"]


@attrs.frozen(init=False)
class Attempts:
    """Merge policies that start further attempts into one plan.

    A failure goes to an unused target at once and waits only where there is none. While an
    attempt goes on, the call has not failed: then only a `Hedge` starts another, on the targets
    of the `Fallback` beside it unless it is given some.

    Args:
        policies: such as `Retry`, `Fallback` and `Hedge`.
        budget: shared by them; give one object to several stacks to share it among these.
        max_attempts: bound on all attempts; default 1 + what each policy may add.
        max_resumes: with `on_interrupt="resume"`, how often in a call an answer that broke off may
            be continued.
        hold_back: how many deltas with content of each attempt are held back, until one more comes:
            of an answer that breaks off before, the caller has heard nothing.
    """

    policies: tuple[Proposer, ...] = attrs.field(metadata={"layers": True})
    budget: Budget = attrs.field(factory=Budget, eq=False, repr=False)
    max_attempts: int | None = None
    max_resumes: int = attrs.field(default=1, validator=_options.whole(0))
    hold_back: int = attrs.field(default=0, validator=_options.whole(0))
    _plan: Plan = attrs.field(init=False, eq=False, repr=False)

    @_plan.default
    def _make_plan(self) -> Plan:
        added = sum(policy.extra for policy in self.policies)
        bounds = (self.max_attempts or 1 + added, self.max_resumes, self.hold_back)
        return Plan(self.policies, self.budget, *bounds)

    def __init__(
        self,
        *policies: Proposer,
        budget: Budget | None = None,
        max_attempts: int | None = None,
        max_resumes: int = 1,
        hold_back: int = 0,
    ) -> None:
        for policy in policies:
            if not hasattr(policy, "propose"):
                raise ConfigError(f"Attempts({policy!r}): expected policies such as Retry(2)")
        if max_attempts is not None and max_attempts < 1:
            raise ConfigError(f"Attempts(max_attempts={max_attempts}): expected 1 or more")
        self.__attrs_init__(policies, budget or Budget(), max_attempts, max_resumes, hold_back)

    def __call__(self, call: Call, next: Handler) -> Awaitable[Response]:
        return self._plan(call, next)

    def statistics(self) -> dict[str, Any]:
        """What the budget holds, for accounts that are not full."""
        return self.budget.statistics()
