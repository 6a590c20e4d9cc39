"""What running a flow costs a node, beside the same calls through `client.map`.

python3 tests/benchmarks/bench_flow.py
"""

from __future__ import annotations

import gc
import time
import tracemalloc
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any

import trio
from _measure import say

from llmmw import Batch, Call, Client, Embed, Embeddings, Generation, Response
from llmmw.flow import embed, generate_text
from llmmw.plugin import Provider

_AT_ONCE = 256


class Instant(Provider):
    """Answers in the next pass of the scheduler."""

    async def __call__(self, call: Call) -> Response:
        await trio.lowlevel.checkpoint()
        return Generation(model=call.request.model_name, provider=self.name)


class Batched(Provider):
    """Notes when it is asked for all vectors at once."""

    asked: float | None = None
    inputs = 0

    async def __call__(self, call: Call) -> Response:
        assert isinstance(call.request, Embed)
        self.asked, self.inputs = time.perf_counter(), len(call.request.inputs)
        return Embeddings(vectors=[[0.0]] * self.inputs)


async def _forming() -> None:
    """How long it takes until calls that are ready are one request."""
    best: dict[str, float] = {}
    for way in ("flow", "map", "ask") * 20:
        provider = Batched(name="batched")
        flow = [embed(str(index)) for index in range(64)]
        async with Client("batched:x", stack=[Batch()], providers=[provider]) as client:
            started = time.perf_counter()
            if way == "flow":
                await client.run(flow)
            elif way == "map":
                requests = [Embed(inputs=str(index)) for index in range(64)]
                async with client.map(requests, concurrency=64) as items:
                    async for _ in items:
                        pass
            else:
                async with trio.open_nursery() as nursery:
                    for index in range(64):
                        nursery.start_soon(client.embed, str(index))
            assert provider.asked is not None
            assert provider.inputs == 64
            best[way] = min(best.get(way, 1), provider.asked - started)
    print(f"64 calls until they are one request: {best['ask'] * 1e3:.1f} ms by a bare nursery, "
          f"{best['map'] * 1e3:.1f} by map, {best['flow'] * 1e3:.1f} in a flow")  # fmt: skip
    say("  a flow, above the nursery", (best["flow"] - best["ask"]) * 1e3, 2, "ms")


def _chain(length: int) -> Any:
    made: Any = generate_text("hello")
    for _ in range(length - 1):
        made = generate_text(made)
    return made


def _fan(width: int) -> Any:
    return [generate_text("hello") for _ in range(width)]


async def _mapped(client: Client, many: int, at_once: int) -> None:
    async with client.map(["hello"] * many, concurrency=at_once) as items:
        async for _ in items:
            pass


async def _seconds(work: Callable[[], Awaitable[object]]) -> float:
    gc.collect()
    gc.disable()
    started = time.perf_counter()
    await work()
    taken = time.perf_counter() - started
    gc.enable()
    return taken


async def _main() -> None:
    await _forming()
    async with Client("instant:x", stack=[], providers=[Instant(name="instant")]) as client:
        for shape, make, sizes, at_once in (
            ("chain", _chain, (1_000, 10_000), 1),
            ("fan", _fan, (10_000, 100_000), _AT_ONCE),
        ):
            for size in sizes:
                flow = make(size)
                run = min(
                    [
                        await _seconds(partial(client.run, flow, concurrency=_AT_ONCE))
                        for _ in range(3)
                    ]
                )
                calls = min(
                    [await _seconds(partial(_mapped, client, size, at_once)) for _ in range(3)]
                )
                micro = 1e6 / size
                print(f"{shape} of {size:,}: {run * micro:.1f} µs a node, map {calls * micro:.1f}")
                say(f"  {shape} of {size:,}: above map", (run - calls) * micro, 40, "µs")
        for size in (10_000, 100_000):
            flow = _fan(size)
            gc.collect()
            tracemalloc.start()
            result = await client.run(flow, concurrency=_AT_ONCE)
            peak = tracemalloc.get_traced_memory()[1]
            tracemalloc.stop()
            print(f"memory of a fan of {len(result):,}: {peak / size:.0f} bytes a node at the peak")


if __name__ == "__main__":
    trio.run(_main)
