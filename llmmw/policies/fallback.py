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

from collections.abc import Callable, Iterator, Mapping
from typing import Any, TypeAlias

import attrs

from llmmw._attempts import Budget, History, Plan, Start
from llmmw._call import Call
from llmmw._chain import Handler
from llmmw._request import CountTokens, Embed, Generate, Request, Score
from llmmw._response import Response
from llmmw.errors import ConfigError, LLMError
from llmmw.policies import _options

__all__ = ["Fallback", "FallbackTarget"]

FallbackTarget: TypeAlias = str | Mapping[str, Any] | Callable[[Request], Request]
"""A target; or a dict of the request's fields to change, `model` among them; or a function of
the original request."""


_FIELDS = {
    field.name
    for kind in (CountTokens, Embed, Generate, Score)
    for field in attrs.fields(kind)
    if field.init
}


def _targets(given: Any) -> tuple[FallbackTarget, ...]:
    single = isinstance(given, (str, Mapping)) or callable(given)
    targets = (given,) if single else tuple(given)
    for target in targets:
        model = target.get("model", "") if isinstance(target, Mapping) else target
        if isinstance(model, str) and not all(model.partition(":")):
            raise ConfigError(f'Fallback({target!r}): expected a model as "provider:model"')
        wrong = set(target) - _FIELDS if isinstance(target, Mapping) else set()
        if wrong:
            raise ConfigError(f"Fallback({target!r}): a request has no field {min(wrong)!r}")
    return targets


def _by_class(given: Mapping[type[LLMError], Any]) -> dict[type[LLMError], Any]:
    for kind in given:
        if not (isinstance(kind, type) and issubclass(kind, LLMError)):
            raise ConfigError(f"Fallback(on=…): {kind!r} is no class of LLMError")
    return {kind: _targets(targets) for kind, targets in given.items()}


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
        self.__attrs_init__(_targets(targets), _by_class(on or {}), order, budget or Budget())
        if not targets and not on:
            raise ConfigError("Fallback() needs at least one target, or on={…}")

    @property
    def extra(self) -> int:
        """At most one attempt more for each target."""
        return len(self.targets) + sum(len(targets) for targets in self.on.values())

    def propose(self, history: History, now: float) -> Start | None:
        """The first target that was not asked yet and that the last error allows."""
        error = history.records[-1].error
        if error is None:
            return None
        for request in self._allowed(error, history.request):
            if request.model not in history.requests:
                last = self.order == "per-target"
                return Start(request.model, now, "fallback", request, last_resort=last)
        return None

    def _allowed(self, error: LLMError, original: Request) -> Iterator[Request]:
        for kind, targets in self.on.items():
            if isinstance(error, kind):
                yield from (_aimed(target, original) for target in targets)
        if error.elsewhere:
            yield from (_aimed(target, original) for target in self.targets)

    async def __call__(self, call: Call, next: Handler) -> Response:
        return await Plan((self,), self.budget, 1 + self.extra)(call, next)


def _aimed(target: FallbackTarget, original: Request) -> Request:
    if isinstance(target, str):
        return original.replace(model=target)
    if isinstance(target, Mapping):
        return original.replace(**target)
    return target(original)
