"""What a call through llmmw.sync and llmmw.aio costs beyond the same call under trio; of aio, by
the background thread and in a guest's block.

A provider that answers at once, under the default stack; all in one process, interleaved. The
floor of a call alone is a bare hand-over: a task begun in a thread that runs trio, and a queue
back. With many in flight the provider lets the others have their turn first: else each caller under
trio would make all its calls before the next one begins, and no two would be in flight.

    python3 tests/benchmarks/bench_bridges.py
"""

from __future__ import annotations

import asyncio
import statistics
import threading
import time
from collections.abc import Callable, Coroutine
from contextlib import nullcontext
from functools import partial
from queue import SimpleQueue
from typing import Any, TypeVar

import trio
from _measure import medians, say

from llmmw import Call, Client, Generation, Response, aio, sync
from llmmw.plugin import Provider

T = TypeVar("T")
FLIGHT = 64
ALONE, TOGETHER = 2_000, 6_400
_ANSWER = Generation(model="a", provider="sim")


class Instant(Provider):
    """Answers at once."""

    async def __call__(self, call: Call) -> Response:
        return _ANSWER


class OneTurn(Provider):
    """Answers after one turn of the others."""

    async def __call__(self, call: Call) -> Response:
        await trio.lowlevel.checkpoint()
        return _ANSWER


def _providers(kind: type[Provider] = Instant) -> list[Provider]:
    return [kind(name="sim")]


def _alone_trio() -> float:
    async def main() -> float:
        async with Client("sim:a", providers=_providers()) as client:
            await client.ask("hello")
            started = time.perf_counter()
            for _ in range(ALONE):
                await client.ask("hello")
            return (time.perf_counter() - started) / ALONE * 1e6

    return trio.run(main)


def _hand_over() -> float:
    back: SimpleQueue[Any] = SimpleQueue()

    async def serve() -> None:
        async with trio.open_nursery() as nursery:
            back.put((trio.lowlevel.current_trio_token(), nursery))
            await trio.sleep_forever()

    async def work() -> None:
        back.put(None)

    thread = threading.Thread(target=trio.run, args=(serve,))
    thread.start()
    token, nursery = back.get()
    started = time.perf_counter()
    for _ in range(ALONE):
        token.run_sync_soon(nursery.start_soon, work)
        back.get()
    taken = (time.perf_counter() - started) / ALONE * 1e6
    token.run_sync_soon(nursery.cancel_scope.cancel)
    thread.join()
    return taken


def _alone_sync() -> float:
    with sync.Client("sim:a", providers=_providers()) as client:
        client.ask("hello")
        started = time.perf_counter()
        for _ in range(ALONE):
            client.ask("hello")
        return (time.perf_counter() - started) / ALONE * 1e6


def _in_asyncio(measure: Callable[[], Coroutine[Any, Any, T]], guest: bool) -> T:
    async def main() -> T:
        async with aio.guest() if guest else nullcontext():
            return await measure()

    return asyncio.run(main())


def _alone_aio(guest: bool) -> float:
    async def measure() -> float:
        async with aio.Client("sim:a", providers=_providers()) as client:
            await client.ask("hello")
            taken = []
            for _ in range(ALONE):
                started = time.perf_counter()
                await client.ask("hello")
                taken.append(time.perf_counter() - started)
            return statistics.median(taken) * 1e6

    return _in_asyncio(measure, guest)


def _alone_task() -> float:
    async def nothing() -> None:
        await asyncio.sleep(0)

    async def measure() -> float:
        started = time.perf_counter()
        for _ in range(ALONE):
            await asyncio.create_task(nothing())
        return (time.perf_counter() - started) / ALONE * 1e6

    return asyncio.run(measure())


def _together_trio(kind: type[Provider]) -> float:
    clock = time.process_time

    async def main() -> float:
        async with Client("sim:a", providers=_providers(kind)) as client:

            async def caller() -> None:
                for _ in range(TOGETHER // FLIGHT):
                    await client.ask("hello")

            await client.ask("hello")
            started = clock()
            async with trio.open_nursery() as nursery:
                for _ in range(FLIGHT):
                    nursery.start_soon(caller)
            return (clock() - started) / TOGETHER * 1e6

    return trio.run(main)


def _together_aio(kind: type[Provider], guest: bool, clock: Callable[[], float]) -> float:
    async def measure() -> float:
        async with aio.Client("sim:a", providers=_providers(kind)) as client:

            async def caller() -> None:
                for _ in range(TOGETHER // FLIGHT):
                    await client.ask("hello")

            await client.ask("hello")
            started = clock()
            async with asyncio.TaskGroup() as group:
                for _ in range(FLIGHT):
                    group.create_task(caller())
            return (clock() - started) / TOGETHER * 1e6

    return _in_asyncio(measure, guest)


def _tell(name: str, taken: dict[str, float]) -> None:
    print(f"      {name}: {', '.join(f'{rival} {time:.0f}' for rival, time in taken.items())}")


def main() -> None:
    """Compare each bridge with trio."""
    calls = {
        "trio": _alone_trio,
        "sync": _alone_sync,
        "aio thread": partial(_alone_aio, False),
        "aio guest": partial(_alone_aio, True),
        "bare hand-over": _hand_over,
        "bare create_task": _alone_task,
    }
    alone = medians(calls, 9)
    cpu, wall = time.process_time, time.perf_counter
    together = medians(
        {
            "trio": partial(_together_trio, OneTurn),
            "aio thread": partial(_together_aio, OneTurn, False, cpu),
            "aio guest": partial(_together_aio, OneTurn, True, cpu),
            "trio, one after another": partial(_together_trio, Instant),
            "aio thread, at once": partial(_together_aio, Instant, False, cpu),
            "aio guest, at once": partial(_together_aio, Instant, True, cpu),
        },
        9,
    )
    rates = medians(
        {
            "aio thread": partial(_together_aio, OneTurn, False, wall),
            "aio guest": partial(_together_aio, OneTurn, True, wall),
        },
        9,
    )
    _tell("alone, us (p50 of aio)", alone)
    _tell(f"{FLIGHT} in flight, us CPU", together)
    _tell(f"{FLIGHT} in flight, calls a second", {name: 1e6 / us for name, us in rates.items()})
    beyond = alone["sync"] - alone["trio"]
    print(f"      sync beyond trio / bare: {beyond / alone['bare hand-over']:.2f} x alone")
    print(f"      sync / trio: {alone['sync'] / alone['trio']:.2f} x alone")
    for name in ("aio thread", "aio guest"):
        print(f"      {name} / trio: {together[name] / together['trio']:.2f} x, {FLIGHT} in flight")
    say("sync call beyond trio, alone", beyond, 90, "us")
    for name in ("aio thread", "aio guest"):
        beyond = together[name] - together["trio"]
        say(f"{name}, a call beyond trio, {FLIGHT} in flight", beyond, 40, "us CPU")


if __name__ == "__main__":
    main()
