"""The stacks that the laws are run on."""

from llmmw import (
    Attempts,
    Balance,
    Breaker,
    Budget,
    Coalesce,
    Concurrency,
    Fallback,
    Guard,
    Hedge,
    MapText,
    RateLimit,
    Retry,
    Timeout,
)
from llmmw._client import default_stack
from llmmw.testing._world import TARGETS

QUICK = {"base": 1 / 8, "cap": 3 / 16, "max_hint": 1.0}
PATCHES = ({"model": "sim:b", "temperature": 0.5}, {"model": "sim:c", "max_output_tokens": 7})


def scarce() -> Budget:
    return Budget(ratio=0.25, cap=1.0, floor=1 / 16)


def few_hedges() -> Budget:
    return Budget(ratio=0.25, cap=1.0, floor=0.0)


def breaker(calls: int) -> Breaker:
    open_for, open_max = 2 / 64, 6 / 64
    return Breaker(calls=calls, open_for=open_for, open_max=open_max, probe_limit=2 / 64, jitter=0)


def rate(**options) -> RateLimit:
    return RateLimit(requests=16, per=1.0, burst=8 / 64, **options)


def attempts() -> Attempts:
    return Attempts(Retry(2, **QUICK), Fallback(*PATCHES))


def hedged(delay: float, **options) -> Attempts:
    return Attempts(Retry(1, **QUICK), Fallback(*PATCHES), Hedge(delay, **options))


def has_a_bug(response):
    if "1.1" in response.text:
        raise ValueError("the check has a bug")


def balance(**options) -> Balance:
    quick = {"decay": 1 / 8, "explore": 4 / 64, "exclude_for": 2 / 64, "exclude_max": 8 / 64}
    return Balance(*TARGETS, **(quick | options))


def balance_that_shrinks() -> list:
    """While a call is at one of its targets, that target is taken away, if it is not the last."""
    balancer = balance()

    async def takes_away(call, next):
        there = balancer.statistics()
        if len(there) > 1 and call.request.model in there:
            balancer.remove(call.request.model)
        return await next(call)

    return [attempts(), balancer, takes_away]


STACKS = {
    "nothing": list,
    "retry": lambda: [Retry(2, **QUICK)],
    "fallback": lambda: [Fallback(*PATCHES)],
    "timeout": lambda: [Timeout(total=12 / 64)],
    "watch": lambda: [Timeout(total=20 / 64, first_token=4 / 64, idle=2 / 64)],
    "attempts": lambda: [attempts()],
    "scarce": lambda: [Attempts(Retry(3, **QUICK), Fallback("sim:b"), budget=scarce())],
    "per-target": lambda: [Attempts(Retry(2, **QUICK), Fallback(*PATCHES, order="per-target"))],
    "full": lambda: [
        Timeout(total=16 / 64),
        attempts(),
        Timeout(total=8 / 64, first_token=4 / 64, idle=2 / 64),
    ],
    "nested": lambda: [
        attempts(),
        Timeout(total=20 / 64, idle=1 / 64, stream=True),
        Retry(1, **QUICK),
    ],
    "default": lambda: default_stack(*TARGETS),
    "coalesce": lambda: [Coalesce(), Timeout(total=20 / 64), attempts(), Timeout(idle=2 / 64)],
    "watched-flight": lambda: [Timeout(first_token=6 / 64, idle=3 / 64), Coalesce(), attempts()],
    "breaker": lambda: [attempts(), breaker(1)],
    "breaker-alone": lambda: [Retry(3, **QUICK), breaker(2)],
    "places": lambda: [attempts(), Concurrency(1, queue=1, scope="all")],
    "one-queue": lambda: [Timeout(total=12 / 64), Retry(1, **QUICK), Concurrency(1)],
    "adaptive": lambda: [attempts(), Concurrency(initial=2, most=3, factor=0.5, scope="provider")],
    "limits": lambda: [
        Timeout(total=20 / 64),
        attempts(),
        breaker(2),
        Concurrency(1, queue=1),
        Timeout(total=8 / 64, first_token=4 / 64, idle=2 / 64),
    ],
    "balance": lambda: [attempts(), Balance(*TARGETS)],
    "balance-quick": lambda: [attempts(), balance()],
    "balance-weighted": lambda: [
        Retry(2, **QUICK),
        balance(strategy="weighted", weights={"sim:b": 2}),
    ],
    "balance-hedged": lambda: [hedged(1 / 64), balance(strategy="least-busy")],
    "balance-limits": lambda: [attempts(), balance(), breaker(1), Concurrency(1, queue=1)],
    "balance-shrinks": balance_that_shrinks,
    "hedge": lambda: [Hedge(2 / 64)],
    "hedges": lambda: [Hedge(1 / 64, targets=PATCHES, max_hedges=3)],
    "hedged": lambda: [hedged(2 / 64, max_hedges=2)],
    "hedge-kept": lambda: [hedged(1 / 64, cancel_after=2)],
    "hedge-scarce": lambda: [Hedge(0, targets=PATCHES, max_hedges=2, budget=few_hedges())],
    "hedge-learned": lambda: [Hedge("p50", targets="sim:b")],
    "hedge-inside": lambda: [Retry(1, **QUICK), Hedge(1 / 64, targets="sim:b")],
    "hedge-outside": lambda: [Hedge(3 / 64, targets="sim:b"), attempts()],
    "hedge-limits": lambda: [
        Timeout(total=20 / 64),
        hedged(1 / 64),
        breaker(2),
        Concurrency(1, queue=1),
        Timeout(total=8 / 64, first_token=4 / 64, idle=2 / 64),
    ],
    "rate": lambda: [attempts(), rate()],
    "rate-queue": lambda: [Timeout(total=20 / 64), Retry(2, **QUICK), rate(queue=1)],
    "rate-outside": lambda: [rate(scope="all"), attempts()],
    "all-limits": lambda: [
        Timeout(total=32 / 64),
        hedged(1 / 64),
        breaker(2),
        rate(scope="model"),
        Concurrency(1, queue=1),
        Timeout(total=8 / 64, first_token=4 / 64, idle=2 / 64),
    ],
    "hedge-flight": lambda: [Coalesce(), Timeout(total=20 / 64), hedged(1 / 64), breaker(1)],
    "guarded": lambda: [attempts(), Guard(matches=r"\.1"), Timeout(first_token=4 / 64)],
    "guard-hedged": lambda: [hedged(2 / 64), breaker(2), Guard()],
    "guard-outside": lambda: [Guard(), attempts()],
    "guard-with-a-bug": lambda: [attempts(), Guard(has_a_bug)],
    "mapped": lambda: [attempts(), MapText(str.upper)],
    "mapped-in-pieces": lambda: [MapText(str.upper, pieces=True), attempts()],
}
