"""What a Redis on this machine costs: a value read and put, a cache hit, a shared rate limit.

python3 tests/benchmarks/bench_redis.py unix:///run/redis.sock
"""

from __future__ import annotations

import sys
import time
from collections.abc import Awaitable, Callable

import trio
from llmmw_redis import RedisStore

from llmmw import Cache, Call, Client, Generate, Generation, RateLimit, Response, chain
from llmmw._store import opened
from llmmw.testing import SimulatedProvider, open_host

_TIMES = 2000


async def timed(name: str, work: Callable[[], Awaitable[object]]) -> None:
    """Print microseconds of one, alone."""
    took = []
    for _ in range(_TIMES):
        started = time.perf_counter()
        await work()
        took.append((time.perf_counter() - started) * 1e6)
    took.sort()
    print(f"{name:28} p50 {took[_TIMES // 2]:7.0f} µs   p99 {took[_TIMES * 99 // 100]:7.0f} µs")


async def answer(call: Call) -> Response:
    """A provider that knows at once."""
    return Generation(model="a", provider="sim")


async def main(url: str) -> None:
    """Measure all."""
    async with open_host() as host:
        store = await opened(host, RedisStore(url, prefix="bench:", timeout=5))
        await timed("put 1 kB", lambda: store.put("k", b"x" * 1000, 60))
        await timed("get 1 kB", lambda: store.get("k"))
        limit = RateLimit(requests=1e9, store=store)
        handler = chain(limit, provider=answer)
        call = Call(Generate(model="sim:a", messages=["hello"]), host=host)
        await timed("a call, limit shared", lambda: handler(call))
        alone = chain(RateLimit(requests=1e9), provider=answer)
        await timed("a call, limit of its own", lambda: alone(call))
    cache = Cache(RedisStore(url, prefix="bench:", timeout=5), ttl=60)
    provider = SimulatedProvider({"a": "x"})
    async with Client("sim:a", stack=[cache], providers=[provider]) as client:
        await client.ask("hello")
        await timed("cache hit, through a client", lambda: client.ask("hello"))


trio.run(main, sys.argv[1])
