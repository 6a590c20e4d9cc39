"""What is doubtful about a stack: it works, but hardly as it was meant.

Each rule is a function over the layers; `RULES` has them by their names.
"""

from __future__ import annotations

import math
import os
import stat
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from math import prod
from typing import Any

import attrs

from llmmw._chain import Middleware
from llmmw._config._accounts import Account, accounts_of, layers_in
from llmmw._config._file import Config
from llmmw._config._write import name_of
from llmmw._plugins import Plugins
from llmmw._secret import Secret
from llmmw.policies import Attempts, Breaker, Concurrency, Fallback, Retry, Timeout

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


def bound_of(layer: object) -> int:
    """How many attempts a layer makes of one call, at most."""
    if isinstance(layer, Attempts):
        return layer.max_attempts or 1 + sum(policy.extra for policy in layer.policies)
    return 1 + int(getattr(layer, "extra", 0)) if hasattr(layer, "propose") else 1


@attrs.frozen
class _Stacked:
    """A layer, or a policy inside one, where it stands."""

    layer: Any
    path: str
    at: int

    @property
    def bound(self) -> int:
        """How many attempts it makes of one call, at most."""
        return bound_of(self.layer)

    def __str__(self) -> str:
        return f"{type(self.layer).__qualname__} ({self.path})"


@attrs.frozen
class _Subject:
    """What rules look at."""

    config: Config
    accounts: tuple[Account, ...]
    top: tuple[_Stacked, ...]
    """The layers of the stack."""
    inner: tuple[_Stacked, ...]
    """Those, each followed by the policies in it."""

    def timeouts(self) -> Iterator[tuple[_Stacked, Timeout]]:
        return ((one, one.layer) for one in self.top if isinstance(one.layer, Timeout))

    def repeating(self) -> list[_Stacked]:
        """The layers that make further attempts."""
        return [one for one in self.top if one.bound > 1]

    def outer_total(self, at: int) -> tuple[float, str]:
        """The least total limit around a layer, and whose it is."""
        around = [
            (timeout.total, str(one))
            for one, timeout in self.timeouts()
            if one.at < at and timeout.total is not None
        ]
        return min(around, default=(math.inf, ""))


Found = Iterator[tuple[str, Iterable[_Stacked]]]


def _nested_attempts(subject: _Subject) -> Found:
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


def _no_total(subject: _Subject) -> Found:
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


def _limit_of_attempt_outside(subject: _Subject) -> Found:
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


def _held_while_waiting(subject: _Subject) -> Found:
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


def _breaker_outside(subject: _Subject) -> Found:
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


def _limit_never_reached(subject: _Subject) -> Found:
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


def _hint_beyond_total(subject: _Subject) -> Found:
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


def _same_target(subject: _Subject) -> Found:
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


def _layer_twice(subject: _Subject) -> Found:
    """Two equal layers."""
    for at, one in enumerate(subject.top):
        before = [other for other in subject.top[:at] if other.layer == one.layer]
        if before and one.bound == 1:
            yield f"{one} is the same as {before[0]}", [before[0], one]


def _provider_not_ready(subject: _Subject) -> Found:
    """A provider that is used can't be used here."""
    for one in subject.accounts:
        if one.state != "ready":
            yield f"the provider {one.name!r} is {one.state}: {one.reason}", []


def _no_key(subject: _Subject) -> Found:
    """The key of a provider is not where it should be."""
    for one in subject.accounts:
        for where in one.lacking:
            yield f"the key of the provider {one.name!r} is not there: {where}", []


def _readable_key(subject: _Subject) -> Found:
    """A key stands in a file that others than its owner can read."""
    path = subject.config.path
    held = [name for name, o in subject.config.options.items() if _has_secret(o)]
    if not held or path is None or os.name != "posix":
        return
    if path.stat().st_mode & (stat.S_IRGRP | stat.S_IROTH):
        yield (
            f"{path} has the key of {', '.join(held)}, and others can read it: chmod 600, "
            'or say "env:NAME" or "file:PATH"',
            [],
        )


def _has_secret(options: Mapping[str, Any]) -> bool:
    return any(isinstance(given, Secret) for given in options.values())


RULES: Mapping[str, Callable[[_Subject], Found]] = {
    "nested-attempts": _nested_attempts,
    "no-total": _no_total,
    "limit-of-attempt-outside": _limit_of_attempt_outside,
    "held-while-waiting": _held_while_waiting,
    "breaker-outside": _breaker_outside,
    "limit-never-reached": _limit_never_reached,
    "hint-beyond-total": _hint_beyond_total,
    "same-target": _same_target,
    "layer-twice": _layer_twice,
    "provider-not-ready": _provider_not_ready,
    "no-key": _no_key,
    "readable-key": _readable_key,
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
    top = tuple(_Stacked(one, f"stack[{at}]", at) for at, one in enumerate(config.stack or ()))
    inner = tuple(stacked for one in top for stacked in (one, *_within(one, registry)))
    subject = _Subject(config, accounts, top, inner)
    return tuple(
        Advice(name, message, tuple(one.path for one in about))
        for name, rule in RULES.items()
        for message, about in rule(subject)
    )


def _within(one: _Stacked, plugins: Plugins) -> Iterator[_Stacked]:
    for policy in layers_in(one.layer):
        name = name_of(policy, plugins) or type(policy).__qualname__
        yield _Stacked(policy, f"{one.path}.{name}", one.at)
