"""Cost of choosing a target.

python3 tests/benchmarks/bench_balance.py
"""

from __future__ import annotations

import random
import time
from functools import partial

import trio
from _measure import medians, say

from llmmw import Balance, Call, Generate, Generation, Handler, Response, chain
from llmmw.policies._choice import Chooser

_NAMES = tuple(f"sim:{name}" for name in "abcd")
_ANSWER = Generation(model="a", provider="sim")
_REQUEST = Generate(model="sim:a", messages=["hello"])


def _decision(strategy: str, times: int = 50_000) -> float:
    """Microseconds for choosing, entering, learning and leaving once, at 1000 a second, with 16
    under way."""
    core = Chooser(strategy=strategy, decay=10, explore=30, exclude_for=1, exclude_max=60)
    for name in _NAMES:
        core.add(name, 1.0)
    under_way = [core.enter(core.choose(0.0, random.random, {}), 0.0) for _ in range(16)]
    started = time.perf_counter()
    for number in range(times):
        now = number / 1000
        visit = core.enter(core.choose(now, random.random, {}), now)
        ended, under_way[number % 16] = under_way[number % 16], visit
        core.answered(ended)
        core.leave(ended)
        ended.member.estimate.add(now - ended.begun, now)
    return (time.perf_counter() - started) / times * 1e6


def cores() -> None:
    """The pure core, over four targets."""
    names = ("peak-ewma", "least-busy", "weighted")
    taken = medians({name: partial(_decision, name) for name in names})
    for name in names:
        say(f"{name}, four targets", taken[name], 5, "us a decision")


async def _provider(call: Call) -> Response:
    await trio.lowlevel.checkpoint()
    return _ANSWER


def _per_call(handler: Handler, calls: int = 10_000) -> float:
    async def main() -> float:
        started = time.perf_counter()
        for _ in range(calls):
            await handler(Call(_REQUEST))
        return (time.perf_counter() - started) / calls * 1e6

    return trio.run(main)


def layers() -> None:
    """What the layer adds to a call, where it goes to another target than it names, too."""
    same = {"sim:a": 1e9}  # by weight, nearly all calls go where they are meant to
    other = {"sim:b": 1e9}
    runs = {
        "bare": partial(_per_call, _provider),
        "same": partial(
            _per_call,
            chain(Balance(*_NAMES, strategy="weighted", weights=same), provider=_provider),
        ),
        "other": partial(
            _per_call,
            chain(Balance(*_NAMES, strategy="weighted", weights=other), provider=_provider),
        ),
        "default": partial(_per_call, chain(Balance(*_NAMES), provider=_provider)),
    }
    taken = medians(runs)
    for name in ("same", "other", "default"):
        print(f"      (the layer, {name}: {taken[name] - taken['bare']:.3f} us a call)")


if __name__ == "__main__":
    cores()
    layers()
