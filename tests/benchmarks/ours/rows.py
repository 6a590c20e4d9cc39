"""`client.map` over many rows, with a provider that answers after one turn of the others."""

from __future__ import annotations

import time

import trio
from _lasting import resident
from _load import Job, serve

from llmmw import Call, Client, Generation, Message, Response
from llmmw.plugin import Provider

_ANSWER = Generation(model="a", provider="sim", message=Message("assistant", "hello"))
_EARLY = 10_000


class _OneTurn(Provider):
    async def __call__(self, call: Call) -> Response:
        await trio.lowlevel.checkpoint()
        return _ANSWER


def _mapped(job: Job) -> dict[str, float]:
    async def main() -> dict[str, float]:
        early = seen = 0
        started = time.perf_counter()
        questions = (f"question {number}" for number in range(job.least))
        async with Client("sim:a", providers=[_OneTurn(name="sim")]) as client:
            async with client.map(questions, concurrency=job.in_flight) as items:
                async for _ in items:
                    seen += 1
                    if seen == _EARLY:
                        early = resident()
        assert seen == job.least
        rate = seen / (time.perf_counter() - started)
        return {"early": early, "end": resident(), "rate": rate}

    return trio.run(main)


serve(_mapped)
