"""What a call through llmmw.sync and llmmw.aio costs beyond the same call under trio.

A provider that answers at once, under the default stack; all in one process, interleaved. The
floor of a call alone is a bare hand-over: a task begun in a thread that runs trio, and a queue
back. With many in flight the provider lets the others have their turn first: else each caller under
trio would make all its calls before the next one begins, and no two would be in flight.

    python3 tests/benchmarks/bench_bridges.py
"""

from __future__ import annotations

import asyncio
import threading
import time
from functools import partial
from queue import SimpleQueue
from typing import Any

import trio
from _measure import medians, say

from llmmw import Call, Client, Generation, Response, aio, sync
from llmmw.plugin import Provider

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


def _alone_aio() -> float:
    async def main() -> float:
        async with aio.Client("sim:a", providers=_providers()) as client:
            await client.ask("hello")
            started = time.perf_counter()
            for _ in range(ALONE):
                await client.ask("hello")
            return (time.perf_counter() - started) / ALONE * 1e6

    return asyncio.run(main())


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


def _together_aio(kind: type[Provider]) -> float:
    clock = time.process_time

    async def main() -> float:
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

    return asyncio.run(main())


def main() -> None:
    """Compare each bridge with trio."""
    calls = {"trio": _alone_trio, "sync": _alone_sync, "aio": _alone_aio, "bare": _hand_over}
    alone = medians(calls, 9)
    runs = {
        "trio": partial(_together_trio, OneTurn),
        "aio": partial(_together_aio, OneTurn),
        "trio, one after another": partial(_together_trio, Instant),
        "aio, at once": partial(_together_aio, Instant),
    }
    together = medians(runs, 9)
    for name, taken in (("alone, us", alone), (f"{FLIGHT} in flight, us CPU", together)):
        print(f"      {name}: {', '.join(f'{rival} {time:.0f}' for rival, time in taken.items())}")
    beyond = alone["sync"] - alone["trio"]
    print(f"      sync beyond trio / bare hand-over: {beyond / alone['bare']:.2f} x alone")
    print(f"      sync / trio: {alone['sync'] / alone['trio']:.2f} x alone")
    print(f"      aio / trio: {together['aio'] / together['trio']:.2f} x, {FLIGHT} in flight")
    say("sync call beyond trio, alone", beyond, 90, "us")
    beyond = together["aio"] - together["trio"]
    say(f"aio call beyond trio, {FLIGHT} in flight", beyond, 40, "us CPU")


if __name__ == "__main__":
    main()
