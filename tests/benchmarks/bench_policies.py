"""Cost of a decision: a breaker's, a limit's on concurrency.

python3 tests/benchmarks/bench_policies.py
"""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import partial

import trio
from _measure import medians, say

from llmmw import (
    Breaker,
    Call,
    Concurrency,
    Generate,
    Generation,
    Guard,
    Handler,
    Instrumentation,
    Message,
    Response,
    chain,
)
from llmmw.policies._circuit import Circuit
from llmmw.policies.concurrency import Places

_CALL = Call(Generate(model="sim:a", messages=["hello"]))
_ANSWER = Generation(model="a", provider="sim", message=Message("assistant", "hello"))


def _per_decision(decide: Callable[[float], None], times: int = 100_000) -> float:
    """Microseconds for entering and leaving once, at 1000 a second."""
    started = time.perf_counter()
    for number in range(times):
        decide(number / 1000)
    return (time.perf_counter() - started) / times * 1e6


def _circuit(verdicts: tuple[str, ...]) -> float:
    circuit = Circuit(
        share=0.5, calls=10, window=30, open_for=5, open_max=60, probes=1, probe_limit=30
    )
    count = 0

    def decide(now: float) -> None:
        nonlocal count
        count += 1
        permit = circuit.enter(now)
        if permit is not None:
            circuit.leave(permit, verdicts[count % len(verdicts)], now)  # type: ignore[arg-type]

    return _per_decision(decide)


def _places() -> float:
    places = Places(1, 200, 0.9, 20)

    def decide(now: float) -> None:
        if places.take():
            places.leave(places.drops, "ok")

    return _per_decision(decide)


def cores() -> None:
    """The pure cores."""
    runs = {
        "well": partial(_circuit, ("ok",)),
        "ill": partial(_circuit, ("ok", "ok", "failed")),
        "open": partial(_circuit, ("failed",)),
        "places": _places,
    }
    taken = medians(runs)
    say("circuit, all well", taken["well"], 5, "us a decision")
    say("circuit, a third fails", taken["ill"], 5, "us a decision")
    say("circuit, open", taken["open"], 5, "us a decision")
    say("places, adaptive", taken["places"], 5, "us a decision")


async def _one_checkpoint(call: Call) -> Response:
    await trio.lowlevel.checkpoint()
    return _ANSWER


def _per_call(handler: Handler, calls: int = 20_000, flight: int = 64) -> float:
    """Microseconds a call, with `flight` of them at once."""

    async def caller() -> None:
        for _ in range(calls // flight):
            await handler(_CALL)

    async def main() -> float:
        started = time.perf_counter()
        async with trio.open_nursery() as nursery:
            for _ in range(flight):
                nursery.start_soon(caller)
        return (time.perf_counter() - started) / calls * 1e6

    return trio.run(main)


def layers() -> None:
    """What the layers add to a call."""
    runs = {
        "bare": partial(_per_call, _one_checkpoint),
        "breaker": partial(_per_call, chain(Breaker(), provider=_one_checkpoint)),
        "places": partial(_per_call, chain(Concurrency(64), provider=_one_checkpoint)),
        "queue": partial(_per_call, chain(Concurrency(32), provider=_one_checkpoint)),
        "guard": partial(_per_call, chain(Guard(), provider=_one_checkpoint)),
        "watch": partial(_per_call, chain(Instrumentation(), provider=_one_checkpoint)),
    }
    taken = medians(runs)
    say("Breaker()", taken["breaker"] - taken["bare"], 5, "us a call")
    say("Concurrency(64), 64 in flight", taken["places"] - taken["bare"], 5, "us a call")
    print(f"      (each call queues once: {taken['queue'] - taken['bare']:.3f} us a call)")
    say("Guard(), accepting", taken["guard"] - taken["bare"], 5, "us a call")
    print(f"      Instrumentation(): {taken['watch'] - taken['bare']:.3f} us a call")


if __name__ == "__main__":
    cores()
    layers()
