"""Cost of a decision of the rate limit, alone, in a chain, and before a long line.

python3 tests/benchmarks/bench_rate_limit.py
"""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import partial

import trio
from _measure import medians, say

from llmmw import Call, Generate, Generation, Handler, Middleware, RateLimit, Response, Usage, chain
from llmmw.policies._buckets import Account

_QUESTION = Generate(model="sim:a", messages=["hello"], max_output_tokens=10)
_ANSWER = Generation(model="a", provider="sim", usage=Usage(input_tokens=5, output_tokens=3))
_CALLS = 50_000


def _core(names: int) -> float:
    """Microseconds to take of so many buckets and to settle."""
    account = Account({str(name): 1e9 for name in range(names)}, 1.0, 100)
    costs, real = [1e-9] * names, [5e-10] * names
    started = time.perf_counter()
    for place in range(_CALLS):
        ticket = account.take(costs, place * 1e-3)
        assert ticket is not None
        account.settle(ticket, real, place * 1e-3)
    return (time.perf_counter() - started) / _CALLS * 1e6


def _line(length: int) -> float:
    """Microseconds for another one to stand in line behind so many."""
    account = Account({"a": 1.0, "b": 1.0}, 1.0, length)
    started = time.perf_counter()
    for _ in range(length):
        account.enter((1.0, 1.0), 0.0)
    return (time.perf_counter() - started) / length * 1e6


def _beside(length: int) -> float:
    """Microseconds to settle and to start beside a line of so many."""
    account = Account({"a": 1.0}, 1.0, length)
    for _ in range(length):
        account.enter((1.0,), 0.0, deadline=1e6)
    started, now = time.perf_counter(), 0.0
    for _ in range(length - 1):
        ticket = account.queue[0]
        now = max(now, ticket.due)
        account.start(ticket, now)
        account.settle(ticket, (0.5,), now)
    return (time.perf_counter() - started) / length * 1e6


async def _instant(call: Call) -> Response:
    return _ANSWER


async def _pass(call: Call, next: Handler) -> Response:
    return await next(call)


def _per_call(layer: Callable[[], Middleware], call: Call) -> float:
    # Made anew each time: another run of trio has another clock.
    handler = chain(layer(), provider=_instant)

    async def main() -> float:
        started = time.perf_counter()
        for _ in range(_CALLS):
            await handler(call)
        return (time.perf_counter() - started) / _CALLS * 1e6

    return trio.run(main)


def main() -> None:
    """Print every measure with its aim."""
    runs: dict[str, Callable[[], float]] = {
        "one": partial(_core, 1),
        "three": partial(_core, 3),
        "line": partial(_line, 1000),
        "beside": partial(_beside, 10_000),
    }
    taken = medians(runs)
    say("a decision and its settling, one bucket", taken["one"], 5, "us")
    say("a decision and its settling, three buckets", taken["three"], 5, "us")
    say("to stand in line behind 1,000 at most", taken["line"], 20, "us")
    say("to start and to settle before a line of 10,000", taken["beside"], 10, "us")
    call = Call(_QUESTION)
    many = 1e12
    runs = {
        "bare": partial(_per_call, lambda: _pass, call),
        "requests": partial(_per_call, lambda: RateLimit(requests=many), call),
        "tokens": partial(
            _per_call, lambda: RateLimit(requests=many, input_tokens=many, output_tokens=many), call
        ),
    }
    taken = medians(runs)
    say("the policy around a call, requests", taken["requests"] - taken["bare"], 8, "us")
    say("the policy around a call, requests and tokens", taken["tokens"] - taken["bare"], 15, "us")


if __name__ == "__main__":
    main()
