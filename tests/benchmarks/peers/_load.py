"""What every client program shares: it takes jobs, makes calls, and says what they took.

A program has a context manager that opens a client and gives a function that makes one call;
`serve` does the rest. A job is a line of JSON on the standard input, and so is its result on the
standard output. Each job has a client of its own.
"""

from __future__ import annotations

import functools
import gc
import json
import os
import sys
import time
from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from typing import Any, NamedTuple

QUESTION = "hello " * 180
MESSAGES = [{"role": "user", "content": QUESTION}]
BODY = {"model": "m", "messages": MESSAGES}
KEY = "sk-benchmark-0123456789"
STREAMS = {"stream", "held"}
"""The kinds of job for which answers are streamed."""


class Job(NamedTuple):
    """What is to be measured: so many in flight, so long, and so many calls at least."""

    kind: str
    url: str
    in_flight: int = 1
    seconds: float = 1.0
    least: int = 0
    variant: str = ""


class Told:
    """Hears of each piece of text of one stream: when the first came, and how many there were."""

    __slots__ = ("count", "first")

    def __init__(self) -> None:
        self.first = 0.0
        self.count = 0

    def __call__(self) -> None:
        """A piece has come."""
        if not self.count:
            self.first = time.perf_counter()
        self.count += 1


class Meter:
    """Takes the time of calls, of which each worker makes one after another."""

    def __init__(self, job: Job) -> None:
        self.job = job
        self.taken: list[float] = []
        self.firsts: list[float] = []
        self.chunks = 0

    def start(self) -> None:
        """Begin, after all is warm."""
        gc.collect()
        self.cpu = time.process_time()
        self.started = time.perf_counter()
        self.end = self.started + self.job.seconds

    def goes_on(self) -> bool:
        """Whether another call is wanted."""
        return time.perf_counter() < self.end or len(self.taken) < self.job.least

    def ended(self, began: float, told: Told | None) -> None:
        """A call has ended."""
        self.taken.append(time.perf_counter() - began)
        if told is not None:
            self.firsts.append(told.first - began)
            self.chunks += told.count

    async def work(self, call: Callable[..., Awaitable[Any]]) -> None:
        """Make calls, one after another."""
        streams = self.job.kind == "stream"
        while self.goes_on():
            told = Told() if streams else None
            began = time.perf_counter()
            await (call(told) if streams else call())
            self.ended(began, told)

    def result(self) -> dict[str, float]:
        """How many a second, and microseconds of the processor each: of calls, or of the chunks of
        streams. Other times are in milliseconds."""
        seconds = time.perf_counter() - self.started
        cpu = time.process_time() - self.cpu
        count = self.chunks or len(self.taken)
        told = {"rate": count / seconds, "cpu": cpu / count * 1e6}
        told |= {"p50": _at(self.taken, 0.5) * 1e3, "p99": _at(self.taken, 0.99) * 1e3}
        return told | ({"first": _at(self.firsts, 0.5) * 1e3} if self.firsts else {})


def _at(times: list[float], share: float) -> float:
    return sorted(times)[int(len(times) * share)]


Opener = Callable[[Job], AbstractAsyncContextManager[Callable[..., Awaitable[Any]]]]


def under_asyncio(opener: Opener, job: Job) -> dict[str, float]:
    """Do a job under asyncio, in the same loop as those before: some libraries keep clients."""
    import asyncio

    async def main() -> dict[str, float]:
        async with opener(job) as call:
            meter = Meter(job)
            warm = [Told()] if job.kind == "stream" else []
            await asyncio.gather(*[call(*warm) for _ in range(job.in_flight)])
            meter.start()
            await asyncio.gather(*[meter.work(call) for _ in range(job.in_flight)])
            return meter.result()

    told: dict[str, float] = _runner().run(main())
    return told


@functools.cache
def _runner() -> Any:
    import asyncio

    return asyncio.Runner()


def under_trio(opener: Opener, job: Job) -> dict[str, float]:
    """Do a job under trio."""
    import trio

    async def main() -> dict[str, float]:
        async with opener(job) as call:
            meter = Meter(job)
            warm = [Told()] if job.kind == "stream" else []
            async with trio.open_nursery() as nursery:
                for _ in range(job.in_flight):
                    nursery.start_soon(call, *warm)
            meter.start()
            async with trio.open_nursery() as nursery:
                for _ in range(job.in_flight):
                    nursery.start_soon(meter.work, call)
            return meter.result()

    return trio.run(main)


def serve(do: Callable[[Job], dict[str, float]]) -> None:
    """Do one job after another, until there are no more."""
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)  # what a library prints is no answer

    def say(told: dict[str, Any]) -> None:
        answers.write(json.dumps(told) + "\n")
        answers.flush()

    say({})  # all is imported
    for line in sys.stdin:
        job = Job(**json.loads(line))
        try:
            told: dict[str, Any] = do(job)
        except Exception as error:
            while isinstance(error, ExceptionGroup):
                error = error.exceptions[0]
            told = {"error": f"{type(error).__name__}: {error}"[:300]}
        say(told)
