"""What batching gives: 10,000 embeddings from a real server that takes 5 ms for each request.

python3 tests/benchmarks/bench_batch.py

The server is a process of its own on the loopback. The calls go through a client and the provider
of llmmw-openai, one text each, so many at once; with `Batch` and without, to the same server.
"""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Sequence
from contextlib import suppress

import orjson
import trio
from _measure import say
from llmmw_openai._provider import OpenAI

from llmmw import Batch, Call, Client, Embed, Handler, Middleware, Response, chain
from llmmw.testing import SimulatedProvider, open_host

CALLS = 10_000
LATENCY = 0.005
SIZES = 16
"""Numbers of a vector."""


async def _serve(stream: trio.SocketStream) -> None:
    with suppress(trio.BrokenResourceError):  # a client that closed goes as it likes
        await _answer(stream)


async def _answer(stream: trio.SocketStream) -> None:
    """HTTP/1.1 with keep-alive, as little of it as an embedding needs."""
    data = b""
    while True:
        while b"\r\n\r\n" not in data:
            some = await stream.receive_some()
            if not some:
                return
            data += some
        head, _, data = data.partition(b"\r\n\r\n")
        length = int(head.lower().partition(b"content-length:")[2].partition(b"\r\n")[0])
        while len(data) < length:
            data += await stream.receive_some()
        body, data = orjson.loads(data[:length]), data[length:]
        await trio.sleep(LATENCY)
        texts = body["input"] if isinstance(body["input"], list) else [body["input"]]
        rows = [
            {"index": at, "embedding": [float(text), *[0.5] * (SIZES - 1)]}
            for at, text in enumerate(texts)
        ]
        usage = {"prompt_tokens": len(texts), "total_tokens": len(texts)}
        told = orjson.dumps({"data": rows, "model": "m", "usage": usage})
        await stream.send_all(
            b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: "
            + str(len(told)).encode() + b"\r\n\r\n" + told
        )  # fmt: skip


async def _server() -> None:
    listeners = await trio.open_tcp_listeners(0, host="127.0.0.1", backlog=4096)
    print(listeners[0].socket.getsockname()[1], flush=True)
    await trio.serve_listeners(_serve, listeners)


async def _embed_all(
    url: str, stack: Sequence[Middleware], concurrency: int
) -> tuple[float, list[float]]:
    """Seconds for all calls, and the first number of each vector."""
    provider = OpenAI(name="openai", base_url=url, api_key="none")
    async with Client("openai:m", stack=stack, providers=[provider]) as client:
        await client.embed("0")
        began = time.perf_counter()
        requests = (Embed(inputs=str(k)) for k in range(CALLS))
        async with client.map(requests, concurrency=concurrency) as items:
            found = [item.response.vectors[0][0] async for item in items]
        return time.perf_counter() - began, found


def throughput(url: str) -> None:
    """With batches and without, at several concurrencies."""
    for concurrency, aim in ((256, 20.0), (64, 8.0)):
        alone, one = trio.run(_embed_all, url, [], concurrency)
        batch = Batch(max_size=512)
        together, other = trio.run(_embed_all, url, [batch], concurrency)
        assert one == other == [float(k) for k in range(CALLS)]
        print(f"      {alone:.2f} s alone, {together:.2f} s with {batch.statistics()}", flush=True)
        say(f"{concurrency} at once", alone / together, aim, "times as fast", most=False)


async def _through(handler: Handler, at_once: int) -> float:
    """Microseconds of the processor a call, so many at once."""
    rounds = CALLS // at_once
    async with open_host() as host:
        began = time.process_time()
        for _ in range(rounds):
            async with trio.open_nursery() as nursery:
                for k in range(at_once):
                    call = Call(Embed(model="sim:a", inputs=str(k)), host=host)
                    nursery.start_soon(handler, call)
        return (time.process_time() - began) / (rounds * at_once) * 1e6


def cost() -> None:
    """What the policy itself costs."""
    answer = SimulatedProvider({"a": "x"}, records=False)

    async def bare(call: Call) -> Response:
        return answer._other(call.request)  # type: ignore[return-value]

    for at_once, limit in ((1, 120.0), (64, 50.0), (1000, 60.0)):
        handler = chain(Batch(max_size=64), provider=bare)
        taken = min(trio.run(_through, handler, at_once) for _ in range(5))
        nothing = min(trio.run(_through, bare, at_once) for _ in range(5))
        say(f"a call, {at_once} at once, beyond its provider", taken - nothing, limit, "us")


if __name__ == "__main__":
    if sys.argv[1:] == ["serve"]:
        trio.run(_server)
    else:
        cost()
        served = [sys.executable, __file__, "serve"]
        with subprocess.Popen(served, stdout=subprocess.PIPE, text=True) as process:
            assert process.stdout is not None
            try:
                throughput(f"http://127.0.0.1:{process.stdout.readline().strip()}/v1")
            finally:
                process.terminate()
