"""Law: after a failure that another target may not share, the next target is asked at once, in
the order given, each at most once, and always with the original request.

::

    first ──✗
    second  └──✗            no wait between different targets
    third      └──✓

Source: docs/explanation/design.md; that hops never compound is also the rule of the vendors'
own fallback middleware.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import attrs

from llmmw._budget import Budget
from llmmw._call import Call
from llmmw._chain import Handler
from llmmw._history import FallbackTarget, History, Start, aimed
from llmmw._plan import Plan
from llmmw._request import Request
from llmmw._response import Response
from llmmw.errors import ConfigError, LLMError
from llmmw.policies import _options
from llmmw.policies._targets import checked

__all__ = ["Fallback"]


def _by_class(given: Mapping[type[LLMError], Any]) -> dict[type[LLMError], Any]:
    for kind in given:
        if not (isinstance(kind, type) and issubclass(kind, LLMError)):
            raise ConfigError(f"Fallback(on=…): {kind!r} is no class of LLMError")
    return {kind: checked("Fallback", targets) for kind, targets in given.items()}


@attrs.frozen(init=False)
class Fallback:
    """Ask other targets after an error that `elsewhere` may not happen.

    Args:
        targets: where to go, in order.
        on: further targets for one class of error, asked before the others: a larger model on
            `ContextWindowExceeded`, another provider on `ContentFiltered`. Such errors lead
            nowhere unless they are named here.
        order: `per-round` goes on at once (a, b, then retries of a, b); `per-target` only when
            a target's retries are used up (a, a, a, b).
    """

    targets: tuple[FallbackTarget, ...]
    on: Mapping[type[LLMError], tuple[FallbackTarget, ...]] = attrs.field(factory=dict, hash=False)
    order: str = attrs.field(
        default="per-round", validator=_options.one_of("per-round", "per-target")
    )
    budget: Budget = attrs.field(factory=Budget, eq=False, repr=False)

    def __init__(
        self,
        *targets: FallbackTarget,
        on: Mapping[type[LLMError], Any] | None = None,
        order: str = "per-round",
        budget: Budget | None = None,
    ) -> None:
        where = checked("Fallback", targets)
        self.__attrs_init__(where, _by_class(on or {}), order, budget or Budget())
        if not targets and not on:
            raise ConfigError("Fallback() needs at least one target, or on={…}")

    @property
    def extra(self) -> int:
        """At most one attempt more for each target."""
        return len(self.targets) + sum(len(targets) for targets in self.on.values())

    def propose(self, history: History, now: float) -> Start | None:
        """The first target that was neither asked nor passed over and that the last error
        allows."""
        if not history.failures:
            return None
        error = history.failures[-1].error
        assert error is not None
        for request in self._allowed(error, history.request):
            if history.new(request.model):
                last = self.order == "per-target"
                return Start(request.model, now, "fallback", request, last_resort=last)
        return None

    def _allowed(self, error: LLMError, original: Request) -> Iterator[Request]:
        for kind, targets in self.on.items():
            if isinstance(error, kind):
                yield from (aimed(target, original) for target in targets)
        if error.elsewhere:
            yield from (aimed(target, original) for target in self.targets)

    async def __call__(self, call: Call, next: Handler) -> Response:
        return await Plan((self,), self.budget, 1 + self.extra)(call, next)
