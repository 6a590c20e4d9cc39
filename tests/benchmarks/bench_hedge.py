"""What hedging costs: the default stack around an instant provider, with a hedge and without.

python3 tests/benchmarks/bench_hedge.py
"""

from __future__ import annotations

import time
from functools import partial

import trio
from _measure import medians, say

from llmmw import (
    Call,
    Delta,
    Finish,
    Generate,
    Handler,
    Response,
    chain,
    default_stack,
)
from llmmw._listen import ResponseBuilder

_QUESTION = Generate(model="sim:a", messages=["hello"])
_TARGETS = ("sim:a", "other:b")


async def _instant(call: Call) -> Response:
    """Says one piece as soon as it is asked."""
    await trio.lowlevel.checkpoint()
    call.attempt.mark_sent(call.ledger)
    builder = ResponseBuilder(call, "sim")
    await builder.text("ok")
    return await builder.finish(Finish("stop"))


async def _hear(delta: Delta) -> None:
    pass


def _per_call(handler: Handler, heard: bool, flight: int = 64, calls: int = 6_400) -> float:
    """Microseconds a call, with `flight` of them at once."""
    listener = _hear if heard else None

    async def caller() -> None:
        for _ in range(calls // flight):
            await handler(Call(_QUESTION, listener))

    async def main() -> float:
        started = time.perf_counter()
        async with trio.open_nursery() as nursery:
            for _ in range(flight):
                nursery.start_soon(caller)
        return (time.perf_counter() - started) / calls * 1e6

    return trio.run(main)


async def _task(call: Call) -> Response:
    """The floor of what runs in a task of its own, and can be cancelled alone."""
    answers: list[Response] = []

    async def run() -> None:
        with trio.CancelScope():
            answers.append(await _instant(call))

    async with trio.open_nursery() as nursery:
        nursery.start_soon(run)
    return answers[0]


def stacks() -> None:
    """Beyond the bare provider."""
    one = chain(*default_stack(_TARGETS[0]), provider=_instant)
    several = chain(*default_stack(*_TARGETS), provider=_instant)
    runs = {
        "bare": partial(_per_call, _instant, False),
        "heard": partial(_per_call, _instant, True),
        "task": partial(_per_call, _task, False),
        "one": partial(_per_call, one, False),
        "one heard": partial(_per_call, one, True),
        "several": partial(_per_call, several, False),
        "several heard": partial(_per_call, several, True),
    }
    taken = medians(runs)
    bare, heard, task = taken["bare"], taken["heard"], taken["task"]
    say("default stack of one target", taken["one"] - bare, 70, "us a call")
    say("default stack of one target, heard", taken["one heard"] - heard, 70, "us a call")
    say("default stack of several, hedged", taken["several"] - bare, 130, "us a call")
    say("default stack of several, hedged, heard", taken["several heard"] - heard, 130, "us a call")
    ratio = (taken["several"] - bare) / (task - bare)
    print(f"      (a nursery and a task alone: {task - bare:.1f} us; bare: {bare:.1f} us)")
    print(
        f"      (hedged / unhedged: {(taken['several'] - bare) / (taken['one'] - bare):.2f}; "
        f"hedged / nursery and task: {ratio:.2f})"
    )


if __name__ == "__main__":
    stacks()
