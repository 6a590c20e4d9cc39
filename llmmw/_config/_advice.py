"""What is doubtful about a stack: it works, but hardly as it was meant.

Each rule is a function over the layers; `RULES` has them by their names.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from math import prod

import attrs

from llmmw._chain import Middleware
from llmmw._config._accounts import Account, accounts_of, layers_in, targets_of
from llmmw._config._advice_keys import no_key, provider_not_ready, readable_key
from llmmw._config._advice_shared import (
    batch_api_inside,
    batch_inside,
    cache_inside,
    coalesce_inside,
)
from llmmw._config._file import Config
from llmmw._config._subject import Found, Stacked, Subject, bound_of
from llmmw._config._write import name_of
from llmmw._plugins import Plugins
from llmmw.policies import (
    Balance,
    Breaker,
    Concurrency,
    Fallback,
    Hedge,
    RateLimit,
    Retry,
)

__all__ = ["RULES", "Advice", "advise", "bound_of"]


@attrs.frozen
class Advice:
    """One warning."""

    rule: str
    """The rule's name; it stays the same."""
    message: str
    """What is doubtful, and what to do."""
    places: tuple[str, ...] = ()
    """What it is about, as paths of the configuration: `stack[1].retry`."""


_OF_TARGETS = (Breaker, Concurrency, RateLimit)
"""What keeps something for each target."""


def _nested_attempts(subject: Subject) -> Found:
    """Layers that make attempts, one inside the other, multiply them."""
    makers = subject.repeating()
    if len(makers) > 1:
        bounds = [one.bound for one in makers]
        times = " × ".join(map(str, bounds))
        yield (
            f"{' and '.join(map(str, makers))} multiply: up to {times} = {prod(bounds)} requests "
            "for one call; merge them into one Attempts",
            makers,
        )


def _no_total(subject: Subject) -> Found:
    """Nothing bounds the time of a call with all its attempts and waits."""
    if subject.config.stack is None:
        return
    makers = subject.repeating()
    first = makers[0].at if makers else len(subject.top)
    totals = [one for one, timeout in subject.timeouts() if timeout.total is not None]
    if any(one.at < first for one in totals):
        return
    if totals:
        yield (
            f"total of {totals[0]} bounds each attempt of {makers[0]}, and nothing bounds the "
            "whole call; put a Timeout(total=…) around it",
            [totals[0], makers[0]],
        )
    else:
        yield "nothing bounds the time of a call; begin the stack with a Timeout(total=…)", []


def _limit_of_attempt_outside(subject: Subject) -> Found:
    """A limit to the first token, or on silence, stands outside of the attempts: when it runs
    out, no other attempt is made."""
    for one, timeout in subject.timeouts():
        inside = [maker for maker in subject.repeating() if maker.at > one.at]
        limits = [name for name in ("first_token", "idle") if getattr(timeout, name) is not None]
        if inside and limits:
            yield (
                f"{' and '.join(limits)} of {one} ends the call with all attempts of {inside[0]}; "
                "put it inside, so that it ends one attempt",
                [one, inside[0]],
            )


def _held_while_waiting(subject: Subject) -> Found:
    """A place of a `Concurrency` is held by calls that only wait: for their next attempt, or for
    what a breaker inside of it refuses at once."""
    for one in subject.top:
        if isinstance(one.layer, Concurrency):
            for maker in subject.repeating():
                if maker.at > one.at:
                    yield (
                        f"a place of {one} is held while {maker} waits between attempts; put it "
                        "inside, so that each attempt has a place of its own",
                        [one, maker],
                    )
            for other in subject.top[one.at + 1 :]:
                if isinstance(other.layer, Breaker):
                    yield (
                        f"calls queue for {one} that {other} then refuses; put it inside of that",
                        [one, other],
                    )


def _breaker_outside(subject: Subject) -> Found:
    """A breaker stands outside of the attempts: it counts all attempts of a call as one, and
    blames the first target for all."""
    for one in subject.top:
        for maker in subject.repeating() if isinstance(one.layer, Breaker) else ():
            if maker.at > one.at:
                yield (
                    f"{one} counts all attempts of {maker} as one call of its first target; put "
                    "it inside, so that it counts each",
                    [one, maker],
                )


def _balance_misplaced(subject: Subject) -> Found:
    """A `Balance` stands outside of the attempts, which all go to the target that it chose once;
    or inside of a limit, which then never learns what was chosen."""
    for one in subject.top:
        for maker in subject.repeating() if isinstance(one.layer, Balance) else ():
            if maker.at > one.at:
                yield (
                    f"{one} chooses once for all attempts of {maker}, so that a failure is never "
                    "balanced around; put it inside, so that it chooses for each",
                    [one, maker],
                )
        for other in subject.top[: one.at] if isinstance(one.layer, Balance) else ():
            if isinstance(other.layer, _OF_TARGETS) and other.layer.scope != "all":
                yield (
                    f"{other} is asked before {one} chooses, so it takes all its targets for the "
                    "one that the call names; put it inside of that",
                    [other, one],
                )


def _balance_waits(subject: Subject) -> Found:
    """A call that a `Balance` could send elsewhere waits to be retried, since no `Fallback` names
    another of its targets."""
    for one in subject.top:
        for maker in subject.repeating() if isinstance(one.layer, Balance) else ():
            inside = [p for p in subject.inner if p.at == maker.at]
            named = {
                m for p in inside if isinstance(p.layer, Fallback) for m in targets_of(p.layer)
            }
            retries = any(isinstance(p.layer, Retry) for p in inside)
            if maker.at < one.at and retries and not named.intersection(targets_of(one.layer)):
                yield (
                    f"after a failure {maker} waits, though {one} has other targets; name them in "
                    "a Fallback beside the Retry, and they are asked at once",
                    [maker, one],
                )


def _limit_never_reached(subject: Subject) -> Found:
    """A limit is longer than the total around it, so it never runs out."""
    for one, timeout in subject.timeouts():
        for name in ("total", "first_token", "idle"):
            after = getattr(timeout, name)
            around, whose = subject.outer_total(one.at if name == "total" else one.at + 1)
            if after is not None and after > around:
                yield (
                    f"{name}={after:g} of {one} never runs out, since total={around:g} of "
                    f"{whose} does before",
                    [one],
                )


def _hint_beyond_total(subject: Subject) -> Found:
    """A retry is to obey hints that the total around it has no time for."""
    default = attrs.fields(Retry).max_hint.default
    for one in subject.inner:
        around, whose = subject.outer_total(one.at)
        if isinstance(one.layer, Retry) and default != one.layer.max_hint > around:
            yield (
                f"max_hint={one.layer.max_hint:g} of {one} has no time in total={around:g} of "
                f"{whose}: such a call fails at once",
                [one],
            )


def _same_target(subject: Subject) -> Found:
    """A fallback names the model itself, or one target twice; none is asked a second time."""
    for one in subject.inner:
        if isinstance(one.layer, Fallback):
            for many in (one.layer.targets, *one.layer.on.values()):
                seen = [subject.config.model]
                for target in many:
                    model = target.get("model") if isinstance(target, Mapping) else target
                    if model in seen:
                        again = "the model itself" if model == seen[0] else "named before"
                        yield f"{model!r} of {one} is {again}: it is not asked again", [one]
                    seen.append(model if isinstance(model, str) else None)


def _hedge_nowhere_else(subject: Subject) -> Found:
    """A hedge knows no other target: it asks the one that is slow once more."""
    if any(isinstance(one.layer, Balance) for one in subject.top):
        return
    for one in subject.inner:
        beside = (other.layer for other in subject.inner if other.at == one.at)
        if isinstance(one.layer, Hedge) and not any(getattr(x, "targets", ()) for x in beside):
            yield (
                f"{one} has no other target, so it asks the one that is slow once more; give it "
                "targets, or put it into Attempts beside a Fallback",
                [one],
            )


def _layer_twice(subject: Subject) -> Found:
    """Two equal layers."""
    for at, one in enumerate(subject.top):
        before = [other for other in subject.top[:at] if other.layer == one.layer]
        if before and one.bound == 1:
            yield f"{one} is the same as {before[0]}", [before[0], one]


RULES: Mapping[str, Callable[[Subject], Found]] = {
    "nested-attempts": _nested_attempts,
    "no-total": _no_total,
    "limit-of-attempt-outside": _limit_of_attempt_outside,
    "held-while-waiting": _held_while_waiting,
    "breaker-outside": _breaker_outside,
    "coalesce-inside": coalesce_inside,
    "cache-inside": cache_inside,
    "batch-inside": batch_inside,
    "batch-api-inside": batch_api_inside,
    "balance-misplaced": _balance_misplaced,
    "balance-waits": _balance_waits,
    "limit-never-reached": _limit_never_reached,
    "hint-beyond-total": _hint_beyond_total,
    "same-target": _same_target,
    "hedge-nowhere-else": _hedge_nowhere_else,
    "layer-twice": _layer_twice,
    "provider-not-ready": provider_not_ready,
    "no-key": no_key,
    "readable-key": readable_key,
}


def advise(
    configured: Config | Sequence[Middleware], *, plugins: Plugins | None = None
) -> tuple[Advice, ...]:
    """What is doubtful about a configuration, or a stack: `llmmw check` prints it.

    Args:
        configured: what to look at. Where a configuration has no stack, none is looked at.
        plugins: the registry that knows the providers; default: what is installed.
    """
    registry = plugins or Plugins()
    accounts: tuple[Account, ...] = ()
    if isinstance(configured, Config):
        config, accounts = configured, accounts_of(configured, registry)
    else:
        config = Config(stack=tuple(configured))
    top = tuple(Stacked(one, f"stack[{at}]", at) for at, one in enumerate(config.stack or ()))
    inner = tuple(stacked for one in top for stacked in (one, *_within(one, registry)))
    subject = Subject(config, accounts, top, inner)
    return tuple(
        Advice(name, message, tuple(one.path for one in about))
        for name, rule in RULES.items()
        for message, about in rule(subject)
    )


def _within(one: Stacked, plugins: Plugins) -> Iterator[Stacked]:
    for policy in layers_in(one.layer):
        name = name_of(policy, plugins) or type(policy).__qualname__
        yield Stacked(policy, f"{one.path}.{name}", one.at)
