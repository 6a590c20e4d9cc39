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
    Generation,
    Handler,
    Response,
    chain,
    default_stack,
)
from llmmw._listen import ResponseBuilder

_QUESTION = Generate(model="sim:a", messages=["hello"])
_TARGETS = ("sim:a", "other:b")
_ANSWER = Generation(model="a", provider="sim")


async def _instant(call: Call) -> Response:
    """Answers as soon as it is asked, whole."""
    await trio.lowlevel.checkpoint()
    call.attempt.mark_sent(call.ledger)
    return _ANSWER


async def _streams(call: Call) -> Response:
    """Says one piece, and its begin and end, as soon as it is asked."""
    await trio.lowlevel.checkpoint()
    call.attempt.mark_sent(call.ledger)
    builder = ResponseBuilder(call, "sim")
    await builder.text("ok")
    return await builder.finish(Finish("stop"))


async def _hear(delta: Delta) -> None:
    pass


def _per_call(handler: Handler, heard: bool, flight: int = 64, calls: int = 6_400) -> float:
    """Microseconds of the processor a call, with `flight` of them at once."""
    listener = _hear if heard else None

    async def caller() -> None:
        for _ in range(calls // flight):
            await handler(Call(_QUESTION, listener))

    async def main() -> float:
        started = time.process_time()
        async with trio.open_nursery() as nursery:
            for _ in range(flight):
                nursery.start_soon(caller)
        return (time.process_time() - started) / calls * 1e6

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
    one, several = default_stack(_TARGETS[0]), default_stack(*_TARGETS)
    whole = {
        "bare": partial(_per_call, _instant, False),
        "task": partial(_per_call, _task, False),
        "one": partial(_per_call, chain(*one, provider=_instant), False),
        "several": partial(_per_call, chain(*several, provider=_instant), False),
    }
    taken = medians(whole)
    unhedged, hedged = taken["one"] - taken["bare"], taken["several"] - taken["bare"]
    say("default stack of one target", unhedged, 70, "us a call")
    say("default stack of several, hedged", hedged, 130, "us a call")
    floor = taken["task"] - taken["bare"]
    print(f"      (a nursery and a task alone: {floor:.1f} us; hedged / unhedged:", end=" ")
    print(f"{hedged / unhedged:.2f}; hedged / a nursery and a task: {hedged / floor:.2f})")
    told = {
        "bare": partial(_per_call, _streams, True),
        "one": partial(_per_call, chain(*one, provider=_streams), True),
        "several": partial(_per_call, chain(*several, provider=_streams), True),
    }
    taken = medians(told)
    unhedged, hedged = taken["one"] - taken["bare"], taken["several"] - taken["bare"]
    print(f"      (with four deltas told: {unhedged:.1f} us, hedged {hedged:.1f} us)")


if __name__ == "__main__":
    stacks()
