"""Random stacks, and worlds that give them something to do. Needs the extra `llmmw[testing]`.

A stack is drawn as the parts that make it, whose `repr` is the Python that makes them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeAlias

import attrs
from hypothesis import strategies as st

from llmmw._budget import Budget
from llmmw._chain import Middleware
from llmmw.policies import (
    Attempts,
    Balance,
    Breaker,
    Cache,
    Coalesce,
    Concurrency,
    Fallback,
    Guard,
    Hedge,
    RateLimit,
    Retry,
    Timeout,
)
from llmmw.testing._layers import Minds, Overhears, Passes
from llmmw.testing._strategies import busy_worlds
from llmmw.testing._world import World

__all__ = ["LONE", "PATCHES", "Example", "Part", "examples", "stacks"]

PATCHES = ({"model": "sim:b", "temperature": 0.5}, {"model": "sim:c", "max_output_tokens": 7})
"""What the targets to fall back on are asked."""


@attrs.frozen(repr=False)
class Part:
    """A layer as it is drawn: what makes it, and of what."""

    make: Callable[..., Any]
    positional: tuple[Any, ...] = ()
    options: Mapping[str, Any] = attrs.field(factory=dict)

    def __call__(self) -> Any:
        """Make it anew."""
        options = {name: _built(given) for name, given in self.options.items()}
        return self.make(*map(_built, self.positional), **options)

    def __repr__(self) -> str:
        given = [repr(one) for one in self.positional]
        given += [f"{name}={one!r}" for name, one in self.options.items()]
        return f"{self.make.__name__}({', '.join(given)})"


Parts: TypeAlias = tuple[Part, ...]


def _part(make: Callable[..., Any], *positional: Any, **options: Any) -> Part:
    return Part(make, positional, options)


def _built(given: Any) -> Any:
    return given() if isinstance(given, Part) else given


def text_of(parts: Sequence[Part]) -> str:
    """The Python that makes the stack of these parts."""
    return f"[{', '.join(map(repr, parts))}]"


def names_in(parts: Sequence[Part]) -> set[str]:
    """The classes that the text of these parts names."""
    found: set[str] = set()
    for part in parts:
        found.add(part.make.__name__)
        inner = (*part.positional, *part.options.values())
        found |= names_in([one for one in inner if isinstance(one, Part)])
    return found


_POOR = _part(Budget, ratio=0.25, cap=1.0, floor=1 / 16)
_RICH = _part(Budget, ratio=0.5, cap=8.0)
_RETRIES = tuple(
    _part(Retry, count, base=base, cap=2 * base, max_hint=1.0)
    for count in (1, 2, 3)
    for base in (1 / 64, 1 / 16, 1 / 8)
)
_FALLBACKS = (
    _part(Fallback, *PATCHES),
    _part(Fallback, PATCHES[0]),
    _part(Fallback, *PATCHES, order="per-target"),
)
_HEDGES = tuple(
    _part(Hedge, delay, max_hedges=most, budget=_RICH, cancel_after=keep)
    for delay in (0.0, 1 / 64, 2 / 64)
    for most, keep in ((1, 0), (2, 0), (1, 2))
)


LONE = {35: _HEDGES}
"""What some laws are tried on alone."""


def _with_targets(hedge: Part) -> Part:
    return attrs.evolve(hedge, options={"targets": ("sim:b", "sim:c"), **hedge.options})


def _plans() -> tuple[Part, ...]:
    found = []
    for at, retry in enumerate(_RETRIES):
        budget = _POOR if at % 3 == 0 else _RICH
        fallback, hedge = _FALLBACKS[at % 3], _HEDGES[at]
        found += [
            _part(Attempts, retry, fallback, budget=budget),
            _part(Attempts, retry, fallback, hedge, budget=budget),
            _part(Attempts, retry, fallback, hedge, max_attempts=3, hold_back=1 + at % 2),
            _part(Attempts, retry, fallback, hold_back=2 - at % 2, max_resumes=1 + at % 3),
            _part(Attempts, retry, _with_targets(hedge), budget=budget),
            attrs.evolve(retry, options={**retry.options, "budget": budget}),
        ]
    return (*found, *_FALLBACKS, *map(_with_targets, _HEDGES), *_HEDGES[:3])


_PLANS = _plans()
_TOTALS = tuple(_part(Timeout, total=k / 64) for k in (8, 12, 20, 32))
_WATCHES = (
    _part(Timeout, first_token=2 / 64),
    _part(Timeout, total=8 / 64, first_token=4 / 64, idle=1 / 64),
    _part(Timeout, idle=1 / 64, stream=True),
    _part(Timeout, total=6 / 64, first_token=3 / 64, idle=2 / 64, stream=True),
    _part(Timeout, total=4 / 64),
    _part(Timeout, idle=2 / 64),
)
_BREAKERS = tuple(
    _part(Breaker, calls=calls, open_for=k / 64, open_max=4 / 64, probe_limit=2 / 64)
    for calls, k in ((1, 1), (1, 3), (1, 2), (2, 1))
)
_RATES = (
    _part(RateLimit, requests=64, per=2.0, burst=1 / 64),
    _part(RateLimit, requests=64, per=2.0, burst=1 / 64, queue=1),
    _part(RateLimit, requests=64, per=4.0, burst=1 / 32, queue=1),
    _part(RateLimit, requests=64, per=4.0, burst=1 / 32, scope="model"),
    _part(RateLimit, requests=128, output_tokens=128, per=2.0, burst=1 / 32, output_estimate=2),
)
_PLACES = (
    _part(Concurrency, 1),
    _part(Concurrency, 1, queue=1),
    _part(Concurrency, 1, queue=1, scope="all"),
    _part(Concurrency, 2, queue=1, scope="provider"),
    _part(Concurrency, initial=1, most=3, factor=0.5),
    _part(Concurrency, initial=2, most=3, factor=0.5, scope="provider"),
)
_BALANCES = tuple(
    _part(Balance, "sim:a", "sim:b", strategy=one, explore=1 / 16, exclude_for=2 / 64)
    for one in ("peak-ewma", "least-busy", "weighted")
)
_GUARDS = (
    _part(Guard),
    _part(Guard, matches="[01].0"),
    _part(Guard, _part(Minds, "0.0")),
    _part(Guard, _part(Minds, "."), empty=True),
    _part(Guard, _part(Minds, ".")),
    _part(Guard, _part(Minds, "a"), empty=True),
)
_PASSING = (_part(Passes), _part(Overhears))
_COALESCE = (_part(Coalesce),)
_AGES = {"ttl": 2 / 64, "stale_while_revalidate": 16 / 64}
_CACHES = (
    _part(Cache),
    _part(Cache, coalesce=False),
    _part(Cache, **_AGES),
    _part(Cache, ttl=4 / 64, stale_if_error=16 / 64, negative=2 / 64),
    _part(Cache, **_AGES, stale_if_error=32 / 64),
)

# How likely each kind is to stand in a stack, in eighths, outermost first.
_SLOTS: tuple[tuple[int, tuple[Part, ...]], ...] = (
    (1, _CACHES),
    (2, _COALESCE),
    (3, _TOTALS),
    (6, _PLANS),
    (1, _TOTALS),
    (1, _RETRIES),
    (1, _GUARDS),
    (1, _BALANCES),
    (2, _BREAKERS),
    (2, _RATES),
    (2, _PLACES),
    (3, _WATCHES),
)


def _slot(eighths: int, parts: tuple[Part, ...]) -> st.SearchStrategy[Part | None]:
    nothing = max(1, round(len(parts) * (8 - eighths) / eighths))
    return st.sampled_from((*[None] * nothing, *parts))  # nothing first, since it is simplest


_drawn = st.tuples(*(_slot(*slot) for slot in _SLOTS))
_anywhere = (*((at, one) for at in (0, 1, 2) for one in _PASSING), (1, _CACHES[0]), (3, _CACHES[0]))
_between = st.sampled_from((*[None] * 9, *_anywhere))


@st.composite
def stacks(draw: st.DrawFn) -> Parts:
    """A stack in an order that makes sense, with at most two layers that make attempts."""
    parts = [part for part in draw(_drawn) if part is not None]
    passing = draw(_between)
    if passing is not None:
        parts.insert(passing[0], passing[1])
    return tuple(parts)


@attrs.frozen(repr=False)
class Example:
    """A stack, a world, and an order of the tasks: what a law is tried on."""

    parts: Parts
    world: World
    schedule: int

    def stack(self) -> list[Middleware]:
        """The stack, made anew."""
        return [part() for part in self.parts]

    def code(self, check: str = "check_laws(run_world(world, stack))") -> str:
        """A program that tries it again."""
        names = {"Caller", "Script", "World", "check_laws", "run_world", "seed_schedule"}
        names |= {"Fault"} if "Fault(" in repr(self.world) else set()
        ours = names_in(self.parts)
        layers = sorted(ours & {"Minds", "Overhears", "Passes"})
        lines = [f"from llmmw.policies import {', '.join(sorted(ours - set(layers)))}"]
        lines = lines if ours - set(layers) else []
        lines.append(f"from llmmw.testing import {', '.join(sorted(names))}")
        if layers:
            lines.append(f"from llmmw.testing._layers import {', '.join(layers)}")
        law = check.partition("(")[0]
        if law.startswith("law_"):
            lines.append(f"from llmmw.testing._pairs import {law}")
        lines += ["", f"world = {_code(self.world)}", "", "", "def stack():"]
        lines += [f"    return {text_of(self.parts)}", "", ""]
        return "\n".join([*lines, f"seed_schedule({self.schedule})", check, ""])

    def __repr__(self) -> str:
        return f"the following\n\n{self.code()}"


def _code(value: Any) -> str:
    """Python for a value; of attrs classes only what is not as by default."""
    if isinstance(value, Mapping):
        return f"{{{', '.join(f'{k!r}: {_code(v)}' for k, v in value.items())}}}"
    if isinstance(value, tuple):
        return f"({''.join(f'{_code(one)}, ' for one in value).rstrip()})"
    if not attrs.has(type(value)):
        return repr(value)
    given = [
        f"{field.name}={_code(getattr(value, field.name))}"
        for field in attrs.fields(type(value))
        if field.init and getattr(value, field.name) != field.default
    ]
    return f"{type(value).__name__}({', '.join(given)})"


@st.composite
def examples(draw: st.DrawFn, *, alone: Sequence[Part] = ()) -> Example:
    """A random stack, or one of these layers alone, and a world that gives it something to do."""
    parts = (draw(st.sampled_from(alone)),) if alone else draw(stacks())
    names = names_in(parts)
    again = "Cache" in names
    world = draw(busy_worlds(shared=again or "Coalesce" in names, again=again))
    return Example(parts, world, draw(st.integers(0, 255)))
