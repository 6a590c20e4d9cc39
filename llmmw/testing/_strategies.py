"""Worlds as Hypothesis draws them. Needs the extra `llmmw[testing]`.

All times are multiples of 1/64 s from a small range: sums are exact, and ties are common.
"""

from __future__ import annotations

import itertools
from typing import Any

import attrs
from hypothesis import strategies as st

from llmmw.sim import Script
from llmmw.testing._world import TARGETS, Caller, Fault, World

__all__ = ["busy_worlds", "sharing_worlds", "times", "worlds"]

# One draw of a whole shape is many times cheaper than a draw of each of its fields. The first
# shapes are the simplest, so that examples shrink towards them.
_KINDS = (None, None, None, "busy", "busy", "cut", "cut", "net", "rate", "auth", "bad")
_HINTS = (0.0, 1 / 64, 1 / 32, 1 / 8, 100.0)
_SHAPES = (
    *itertools.product(_KINDS, range(4), range(5), range(3), (None,)),
    *itertools.product(("rate",), range(2), range(3), range(3), _HINTS),
    *itertools.product(("quota", "shed", "hangs"), range(3), range(5), (0,), (None,)),
)
_PATIENCE = (
    *[{}] * 48,
    *({"patience": k / 64} for k in range(1, 33)),
    *({"patience": k / 64, "by_hand": True} for k in range(1, 17)),
)
_HEARING = (
    {"mode": "ask"},
    *({"mode": m, "on_interrupt": i} for m in ("listen", "stream") for i in ("error", "restart")),
    {"mode": "ask"},
    {"mode": "listen", "on_interrupt": "buffer"},
    {"mode": "stream", "on_interrupt": "error"},
)
_PAUSES = (
    *[()] * 4,
    *((k / 64,) * 4 for k in (1, 2, 3)),
    *(tuple(k / 64 for k in ks) for ks in ((0, 0, 1), (0, 0, 3), (3,), (2, 0, 1, 1))),
)
_EXITS = (*[None] * 12, 0, 1, 2, 3)


def times(most: int = 4, least: int = 0) -> st.SearchStrategy[float]:
    """Seconds: a whole number of 64ths."""
    return st.integers(least, most).map(lambda k: k / 64)


def _script(target: str, number: int, shape: tuple[Any, ...]) -> Script:
    kind, count, first, gap, hint = shape
    if kind == "shed":
        return Script(pieces=(), error=Fault("shed"))
    pieces: Any = tuple(f"{target[-1]}{number}.{i} " for i in range(count))
    error = None if kind in {None, "hangs"} else Fault(kind, hint)
    hangs = kind == "hangs"
    return Script(first=first / 64, gap=gap / 64, pieces=pieces, error=error, hangs=hangs)


_shapes = st.lists(st.sampled_from(_SHAPES), min_size=1, max_size=3)


@st.composite
def _callers(draw: st.DrawFn, alone: bool) -> Caller:
    given: dict[str, Any] = dict(draw(st.sampled_from(_HEARING)))
    given |= draw(st.sampled_from(_PATIENCE))
    if not alone:
        given["arrive"] = draw(times())
    if given["mode"] != "ask":
        given["pauses"] = draw(st.sampled_from(_PAUSES))
        place = draw(st.sampled_from(_EXITS))
        name = "raises_at" if given["mode"] == "listen" or place == 3 else "leaves_at"
        given[name] = place
    return Caller(**given)


@st.composite
def worlds(draw: st.DrawFn, *, callers: int = 2) -> World:
    """A world of three targets and up to so many callers."""
    scripts = {
        target: tuple(_script(target, n, shape) for n, shape in enumerate(draw(_shapes)))
        for target in TARGETS
    }
    count = draw(st.sampled_from((1, 1, callers)))
    people = tuple(draw(_callers(count == 1)) for _ in range(count))
    chance = draw(st.sampled_from((0.0, 0.25, 0.5, 63 / 64)))
    return World(scripts=scripts, callers=people, chance=chance, greets=draw(st.booleans()))


@st.composite
def sharing_worlds(draw: st.DrawFn) -> World:
    """A world in which several callers ask the same, and some something else."""
    scripts = {
        target: tuple(_script(target, n, shape) for n, shape in enumerate(draw(_shapes)))
        for target in TARGETS
    }
    asks = st.sampled_from(("this", "this", "this", "that"))
    count = draw(st.sampled_from((2, 2, 3, 4)))
    people = tuple(attrs.evolve(draw(_callers(False)), asks=draw(asks)) for _ in range(count))
    chance = draw(st.sampled_from((0.0, 0.25, 0.5, 63 / 64)))
    return World(scripts=scripts, callers=people, chance=chance, greets=draw(st.booleans()))


# What callers do, drawn as a whole: each about as often as the laws need it.
_WAYS: tuple[dict[str, Any], ...] = (
    *[{"mode": "ask"}] * 3,
    {"mode": "stream"},
    {"mode": "listen", "pauses": (1 / 64, 0.0, 2 / 64)},
    {"mode": "ask"},
    {"mode": "stream"},
    {"mode": "listen", "on_interrupt": "restart", "pauses": (3 / 64,)},
    {"mode": "ask", "patience": 6 / 64},
    {"mode": "stream", "pauses": (2 / 64,) * 4},
    {"mode": "listen", "patience": 8 / 64, "pauses": (0.0, 1 / 64)},
    {"mode": "listen", "raises_at": 0},
    {"mode": "stream", "leaves_at": 1},
    {"mode": "ask", "patience": 4 / 64},
    {"mode": "listen", "raises_at": 1, "on_interrupt": "restart"},
    {"mode": "ask", "patience": 7 / 64},
    {"mode": "ask", "patience": 3 / 64, "by_hand": True},
    {"mode": "stream", "raises_at": 0},
    {"mode": "listen", "raises_at": 1},
    {"mode": "listen", "patience": 3 / 64, "by_hand": True, "pauses": (1 / 64,)},
    {"mode": "listen", "on_interrupt": "buffer"},
    {"mode": "stream", "on_interrupt": "restart", "patience": 8 / 64},
)
# The same with faults that are likelier than in a world where anything may happen.
_BUSY_SHAPES = (
    *itertools.product((None,), (1, 3, 0, 4), range(5), range(3), (None,)),
    *itertools.product(("cut", "busy", "cut"), (0, 1, 2), range(4), range(2), (None,)),
    *itertools.product(("cut",) * 3, (0, 1), range(4), (0,), (None,)),
    *itertools.product(("net", "auth"), (0,), range(5), (0,), (None,)),
    *itertools.product(("bad",), (0, 0, 0, 1), range(5), (0, 1), (None,)),
    *itertools.product(("cut",), (1, 2), range(3), (0, 1), (None,)),
    *itertools.product(("rate",), (0, 0, 0, 1), range(3), (1,), (*_HINTS[1:4], 100.0)),
    *itertools.product(("quota", "shed", "hangs", "hangs"), (0, 2), (1,), (0,), (None,)),
)
# What is worth to be continued: most of it is cut after some text, some after a piece of a call.
_BREAKING = tuple(
    Script(first=first / 64, gap=gap / 64, pieces=pieces, error=Fault(kind), tool=tool)
    for pieces in (("a0.0 ",), ("a0.0 ", "a0.1  "), (" ", "\n"), ("a0.0 ", "a0.1", "a0.2 "))
    for kind in ("cut", "cut", "busy")
    for first, gap, tool in ((0, 0, ""), (1, 1, ""), (0, 1, "f"), (0, 0, "f"))
)
_GOING_ON = tuple(
    Script(first=first / 64, pieces=pieces, error=error)
    for pieces in ((" b0.0 ", "b0.1 "), ("  ", "b0.0"), ("b0.0 ", "b0.1"), (), ("\nb0.0",))
    for first, error in ((0, None), (1, None), (2, Fault("cut")))
)
_RESUMERS: tuple[dict[str, Any], ...] = tuple(
    {"mode": mode, "on_interrupt": "resume", **more}
    for mode in ("stream", "listen")
    for more in (
        *({}, {}, {}, {"pauses": (1 / 64, 0.0, 2 / 64)}),
        *({"patience": 6 / 64}, {"raises_at": 1}),
    )
)
_PREFILL = (*[TARGETS] * 5, TARGETS[1:], TARGETS[:1], TARGETS[2:])
# What a world is about: anything, what breaks off, or what can't be served everywhere.
_MOODS = (*["any"] * 9, "breaking", "picky", "breaking")
# When they come: one caller, two or three.
_ARRIVALS = (
    *[(0.0,)] * 2,
    *((0.0, k / 64) for k in (0, 1, 2, 4)),
    *((0.0, j / 64, k / 64) for j in (0, 1, 2) for k in (1, 3, 5)),
)
# When they come who ask what was answered already: much later, and at once or soon after that.
_AGAIN = (
    *((0.0, k / 64) for k in (12, 16, 24)),
    *((0.0, j / 64, k / 64) for j in (0, 10, 12) for k in (12, 14, 18)),
)
_WELL = Script(first=1 / 64, pieces=("a. ", "a. "))
_CHANCES = tuple(itertools.product((0.5, 63 / 64, 0.25, 0.0), (False, True)))


def _two_scripts(target: str) -> st.SearchStrategy[tuple[Script, Script]]:
    well = [shape for shape in _BUSY_SHAPES if shape[0] is None]
    first, second = (
        [_script(target, n, shape) for shape in (*_BUSY_SHAPES, *well * n)] for n in (0, 1)
    )
    return st.tuples(st.sampled_from(first), st.sampled_from(second))


_busy_scripts = st.tuples(*map(_two_scripts, TARGETS))
_ways = {n: st.tuples(*[st.sampled_from(_WAYS)] * n) for n in (1, 2, 3)}


@st.composite
def busy_worlds(draw: st.DrawFn, *, shared: bool = False, again: bool = False) -> World:
    """A world in which much happens. If `shared`, most callers ask the same; if `again`, some of
    them do when it may have been answered."""
    scripts = dict(zip(TARGETS, draw(_busy_scripts), strict=True))
    arrivals = draw(st.sampled_from(_AGAIN if again else _ARRIVALS))
    last = "this" if again else "that"
    asks = ("this", "this", last) if shared else ("", "", "")
    people = tuple(
        Caller(arrive=at, asks=ask, **way)
        for at, ask, way in zip(arrivals, asks, draw(_ways[len(arrivals)]), strict=False)
    )
    chance, greets = draw(st.sampled_from(_CHANCES))
    about: dict[str, Any] = {}
    if again and draw(st.booleans()):  # there is something to keep
        scripts["sim:a"] = (_WELL, *scripts["sim:a"])
    mood = "any" if shared else draw(st.sampled_from(_MOODS))
    if mood == "breaking":
        rows = draw(st.tuples(st.sampled_from(_BREAKING), *[st.sampled_from(_GOING_ON)] * 3))
        scripts |= {"sim:a": rows[:2], "sim:b": rows[2:3], "sim:c": rows[3:]}
        people = (Caller(**draw(st.sampled_from(_RESUMERS))), *people[1:])
        about["prefill"] = draw(st.sampled_from(_PREFILL))
    elif mood == "picky":
        about["unable"] = draw(st.sampled_from((TARGETS[1:2], TARGETS[2:], TARGETS[1:])))
    return World(scripts=scripts, callers=people, chance=chance, greets=greets, **about)
