"""Law: retry, fallback and hedge in one plan, with one bound and one budget.

::

    Attempts(Retry(2), Fallback("b", "c")) on a:   a✗ b✗ c✗ ··wait·· a✗ ··wait·· b✓

Nested instead, each would multiply the other's attempts.
"""

from __future__ import annotations

from typing import Any

import attrs

from llmmw._attempts import Proposer
from llmmw._budget import Budget
from llmmw._call import Call
from llmmw._chain import Handler
from llmmw._plan import Plan
from llmmw._response import Response
from llmmw.errors import ConfigError

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
    """

    policies: tuple[Proposer, ...] = attrs.field(metadata={"layers": True})
    budget: Budget = attrs.field(factory=Budget, eq=False, repr=False)
    max_attempts: int | None = None
    _plan: Plan = attrs.field(init=False, eq=False, repr=False)

    @_plan.default
    def _make_plan(self) -> Plan:
        added = sum(policy.extra for policy in self.policies)
        return Plan(self.policies, self.budget, self.max_attempts or 1 + added)

    def __init__(
        self, *policies: Proposer, budget: Budget | None = None, max_attempts: int | None = None
    ) -> None:
        for policy in policies:
            if not hasattr(policy, "propose"):
                raise ConfigError(f"Attempts({policy!r}): expected policies such as Retry(2)")
        if max_attempts is not None and max_attempts < 1:
            raise ConfigError(f"Attempts(max_attempts={max_attempts}): expected 1 or more")
        self.__attrs_init__(policies, budget or Budget(), max_attempts)

    async def __call__(self, call: Call, next: Handler) -> Response:
        return await self._plan(call, next)

    def statistics(self) -> dict[str, Any]:
        """What the budget holds, for accounts that are not full."""
        return self.budget.statistics()
