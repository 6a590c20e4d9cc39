"""What sharing flights costs: a call that meets no other, and calls that join one.

python3 tests/benchmarks/bench_coalesce.py
"""

from __future__ import annotations

import time
from functools import partial

import trio
from _measure import medians, say

from llmmw import Call, Coalesce, Delta, Generate, Generation, Handler, Response, chain
from llmmw.testing import open_host

_QUESTIONS = [Generate(model="sim:a", messages=[f"question {i}"]) for i in range(1000)]
_ANSWER = Generation(model="a", provider="sim")


async def _one_checkpoint(call: Call) -> Response:
    await trio.lowlevel.checkpoint()
    return _ANSWER


async def _in_background(call: Call) -> Response:
    return await call.need_host("this").start(lambda: _one_checkpoint(call)).wait()


async def _hear(delta: Delta) -> None:
    pass


def _alone(handler: Handler, listener: bool) -> float:
    """Microseconds a call, one after the other."""
    calls = 10_000

    async def main() -> float:
        async with open_host() as host:
            heard = _hear if listener else None
            started = time.perf_counter()
            for i in range(calls):
                await handler(Call(_QUESTIONS[i % 1000], heard, host=host))
            return (time.perf_counter() - started) / calls * 1e6

    return trio.run(main)


def _together(handler: Handler, callers: int) -> float:
    """Microseconds a call, so many at once that all ask the same."""

    async def main() -> float:
        async with open_host() as host:
            started = time.perf_counter()
            async with trio.open_nursery() as nursery:
                for _ in range(callers):
                    nursery.start_soon(handler, Call(_QUESTIONS[0], host=host))
            return (time.perf_counter() - started) / callers * 1e6

    return trio.run(main)


def flights() -> None:
    """Beyond the bare provider."""
    handler = chain(Coalesce(), provider=_one_checkpoint)

    def key() -> float:
        started = time.perf_counter()
        for question in _QUESTIONS * 10:
            question.key()
        return (time.perf_counter() - started) / 10_000 * 1e6

    runs = {
        "bare": partial(_alone, _one_checkpoint, False),
        "alone": partial(_alone, handler, False),
        "heard": partial(_alone, handler, True),
        "task": partial(_alone, _in_background, False),
        "key": key,
        "bare together": partial(_together, _one_checkpoint, 10_000),
        "together": partial(_together, handler, 10_000),
    }
    taken = medians(runs)
    task = taken["task"] - taken["bare"]
    print(f"      a task of the host and the wait for it: {task:.1f} us a call")
    say("a call alone, beyond that", taken["alone"] - taken["task"], 25, "us a call")
    say("a call alone that listens, beyond that", taken["heard"] - taken["task"], 30, "us a call")
    print(f"      (`request.key()`, which is not used here, would take {taken['key']:.1f} us)")
    shared = taken["together"] - taken["bare together"]
    say("10,000 calls that share one flight", shared, 40, "us a call")


if __name__ == "__main__":
    flights()
