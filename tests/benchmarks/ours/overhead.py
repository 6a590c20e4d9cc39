"""What each policy adds to a call of a client whose provider answers after one turn of the
others: microseconds of the processor, beyond the same client with an empty stack."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable

import trio
from _load import Job, serve

from llmmw import (
    Balance,
    Breaker,
    Cache,
    Call,
    Client,
    Coalesce,
    Concurrency,
    Fallback,
    Generation,
    Guard,
    Hedge,
    Instrumentation,
    Message,
    Middleware,
    RateLimit,
    Response,
    Retry,
    Timeout,
    default_stack,
)
from llmmw.plugin import Provider

_ANSWER = Generation(model="a", provider="sim", message=Message("assistant", "hello"))
_STACKS: dict[str, Callable[[], list[Middleware]]] = {
    "empty": list,
    "Timeout": lambda: [Timeout(total=600, first_token=120, idle=120)],
    "Retry": lambda: [Retry(2)],
    "Fallback": lambda: [Fallback("sim:b")],
    "Hedge": lambda: [Hedge("p95", targets=["sim:b"])],
    "Breaker": lambda: [Breaker()],
    "Balance": lambda: [Balance("sim:a", "sim:b")],
    "Concurrency": lambda: [Concurrency(64)],
    "RateLimit": lambda: [RateLimit(requests=1e9)],
    "Guard": lambda: [Guard()],
    "Coalesce": lambda: [Coalesce()],
    "Cache, missed": lambda: [Cache()],
    "Instrumentation": lambda: [Instrumentation()],
    "default stack, one target": lambda: default_stack("sim:a"),
    "default stack, two targets": lambda: default_stack("sim:a", "sim:b"),
}


class _OneTurn(Provider):
    async def __call__(self, call: Call) -> Response:
        await trio.lowlevel.checkpoint()
        return _ANSWER


def _each(stack: list[Middleware], job: Job, start: int) -> float:
    """Microseconds a call; no two calls are alike."""

    async def main() -> float:
        async with Client("sim:a", stack=stack, providers=[_OneTurn(name="sim")]) as client:
            left = iter(range(start, start + job.least))

            async def caller() -> None:
                for number in left:
                    await client.ask(f"question {number}")

            before = time.process_time()
            async with trio.open_nursery() as nursery:
                for _ in range(job.in_flight):
                    nursery.start_soon(caller)
            return (time.process_time() - before) / job.least * 1e6

    return trio.run(main)


def _all(job: Job) -> dict[str, float]:
    """The median of each over rounds in which each has its turn."""
    taken: dict[str, list[float]] = {name: [] for name in _STACKS}
    for turn in range(max(1, int(job.seconds))):
        for name, stack in _STACKS.items():
            taken[name].append(_each(stack(), job, turn * job.least))
    return {name: statistics.median(times) for name, times in taken.items()}


serve(_all)
