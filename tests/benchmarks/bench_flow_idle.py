"""What it costs to wait: 1,000 nodes whose provider has not answered yet, run and streamed.

python tests/benchmarks/bench_flow_idle.py
"""

from __future__ import annotations

import resource
import time

import trio

from llmmw import Call, Client, Response
from llmmw.flow import generate_text
from llmmw.plugin import Provider

NODES = 1000
SECONDS = 2.0


class Silent(Provider):
    """Never answers."""

    begun = 0

    async def __call__(self, call: Call) -> Response:
        self.begun += 1
        await trio.sleep_forever()
        raise AssertionError


def used() -> float:
    """Seconds of processor time of this process so far."""
    spent = resource.getrusage(resource.RUSAGE_SELF)
    return spent.ru_utime + spent.ru_stime


async def waiting(streamed: bool, stack: list | None) -> float:
    """The share of a core that waiting takes."""
    provider = Silent(name="silent")
    flow = [generate_text(f"{number}") for number in range(NODES)]
    async with Client("silent:a", providers=[provider], stack=stack) as client:
        async with trio.open_nursery() as nursery:

            async def run() -> None:
                if not streamed:
                    await client.run(flow, concurrency=NODES)
                async with client.stream(flow, concurrency=NODES) as events:
                    async for _ in events:
                        pass

            nursery.start_soon(run)
            while provider.begun < NODES:
                await trio.sleep(0.05)
            await trio.sleep(0.5)
            before, began = used(), time.perf_counter()
            await trio.sleep(SECONDS)
            share = (used() - before) / (time.perf_counter() - began)
            nursery.cancel_scope.cancel()
    return share


async def main() -> None:
    for streamed in (False, True):
        for name, stack in (("no stack", []), ("default stack", None)):
            share = await waiting(streamed, stack)
            how = "streamed" if streamed else "run"
            print(f"{NODES} nodes wait, {how}, {name}: {share:.3%} of a core")


if __name__ == "__main__":
    trio.run(main)
