"""What is measured otherwise than by a number of calls a second, of a client under trio.

::

    held        many streams at once: memory each
    cancelled   many calls at once, and all are given up: until when
    memory      very many calls, one after another: does memory grow
"""

from __future__ import annotations

import gc
import os
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import trio
from _load import Job, Opener, Told, under_trio

_WAVE = 250
_EARLY = 10_000


def resident() -> int:
    """Bytes that the process holds."""
    gc.collect()
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")


def _sockets() -> int:
    links = []
    for path in Path("/proc/self/fd").iterdir():
        try:
            links.append(str(path.readlink()))
        except OSError:  # the one that lists the folder
            continue
    return sum(link.startswith("socket:") for link in links)


class _First(Told):
    """Tells when the first piece has come."""

    __slots__ = ("begun",)

    def __init__(self, begun: trio.Event) -> None:
        super().__init__()
        self.begun = begun

    def __call__(self) -> None:
        super().__call__()
        self.begun.set()


async def held(call: Callable[..., Awaitable[Any]], job: Job) -> dict[str, float]:
    """Memory of streams of which each has begun."""
    async with trio.open_nursery() as nursery:

        async def begin(count: int) -> None:
            events = [trio.Event() for _ in range(count)]
            for begun in events:
                nursery.start_soon(call, _First(begun))
            for begun in events:
                await begun.wait()

        await begin(_WAVE)
        before = resident()
        for _ in range(job.in_flight // _WAVE):
            await begin(_WAVE)
        after = resident()
        nursery.cancel_scope.cancel()
    streams = job.in_flight // _WAVE * _WAVE
    return {"streams": streams, "bytes": after - before}


async def cancelled(call: Callable[..., Awaitable[Any]], job: Job) -> dict[str, float]:
    """Seconds from a cancellation until all calls have returned, and connections left."""
    before = _sockets()
    async with trio.open_nursery() as nursery:
        for _ in range(job.in_flight):
            nursery.start_soon(call)
        while _sockets() < before + job.in_flight:
            await trio.sleep(0.05)
        await trio.sleep(0.5)  # until all are sent
        started = time.perf_counter()
        nursery.cancel_scope.cancel()
    seconds = time.perf_counter() - started
    return {"seconds": seconds, "left": _sockets() - before}


async def memory(call: Callable[..., Awaitable[Any]], job: Job) -> dict[str, float]:
    """Bytes held after the first ten thousand calls, and after all."""

    async def calls(count: int) -> None:
        left = iter(range(count))

        async def work() -> None:
            for _ in left:
                await call()

        async with trio.open_nursery() as nursery:
            for _ in range(job.in_flight):
                nursery.start_soon(work)

    await calls(_EARLY)
    early, started = resident(), time.perf_counter()
    await calls(job.least - _EARLY)
    rate = (job.least - _EARLY) / (time.perf_counter() - started)
    return {"early": early, "end": resident(), "rate": rate}


_KINDS = {"held": held, "cancelled": cancelled, "memory": memory}


def lasting(opener: Opener, job: Job) -> dict[str, float]:
    """Do one of these jobs, or any other one."""
    if job.kind not in _KINDS:
        return under_trio(opener, job)

    async def main() -> dict[str, float]:
        async with opener(job) as call:
            return await _KINDS[job.kind](call, job)

    return trio.run(main)
