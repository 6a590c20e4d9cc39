"""The stacks that the laws are run on."""

from hypothesis import strategies as st

from llmmw import Attempts, Breaker, Budget, Coalesce, Concurrency, Fallback, Retry, Timeout
from llmmw._client import default_stack
from llmmw.testing._world import TARGETS

QUICK = {"base": 1 / 8, "cap": 3 / 16, "max_hint": 1.0}
PATCHES = ({"model": "sim:b", "temperature": 0.5}, {"model": "sim:c", "max_output_tokens": 7})


def scarce() -> Budget:
    return Budget(ratio=0.25, cap=1.0, floor=1 / 16)


def breaker(calls: int) -> Breaker:
    return Breaker(calls=calls, open_for=2 / 64, open_max=6 / 64, probe_limit=2 / 64)


def attempts() -> Attempts:
    return Attempts(Retry(2, **QUICK), Fallback(*PATCHES))


async def passes(call, next):
    return await next(call)


async def overhears(call, next):
    listener = call.listener
    if listener is None:
        return await next(call)

    async def hear(delta):
        await listener(delta)

    return await next(call.replace(listener=hear))


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
}


_ENGINES = ("retry", "attempts", "fallback", "per-target")


def _layers():
    sixteenths = st.sampled_from((4, 8, 12, 20, 32)).map(lambda k: k / 64)
    few = st.sampled_from((None, 1, 2, 3, 4)).map(lambda k: k and k / 64)
    timeout = st.tuples(sixteenths, few, few, st.booleans()).map(
        lambda t: ("timeout", {"total": t[0], "first_token": t[1], "idle": t[2], "stream": t[3]})
    )
    engine = st.tuples(
        st.sampled_from(_ENGINES),
        st.integers(1, 3),
        st.sampled_from((1 / 64, 1 / 16, 1 / 8)),
        st.booleans(),
    )
    limits = st.sampled_from((("breaker", 1), ("breaker", 2), ("places", 1), ("places", 2)))
    passing = st.sampled_from((("passes",), ("overhears",), ("coalesce",)))
    return st.lists(st.one_of(timeout, engine, limits, passing), max_size=4)


def _made(kind, *options):
    if kind in {"passes", "overhears", "coalesce"}:
        return {"passes": passes, "overhears": overhears, "coalesce": Coalesce()}[kind]
    if kind in {"breaker", "places"}:
        return breaker(*options) if kind == "breaker" else Concurrency(*options, queue=1)
    if kind == "timeout":
        return Timeout(**options[0])
    retries, base, poor = options
    budget = scarce() if poor else Budget()
    retry = Retry(retries, base=base, cap=2 * base, max_hint=1.0, budget=budget)
    if kind == "retry":
        return retry
    if kind == "fallback":
        return Fallback(*PATCHES, budget=budget)
    order = "per-target" if kind == "per-target" else "per-round"
    return Attempts(retry, Fallback(*PATCHES, order=order), budget=budget)


def _few_engines(layers):
    return sum(layer[0] in _ENGINES for layer in layers) <= 2


def stacks():
    """Descriptions of random stacks; `made` makes one."""
    return _layers().filter(_few_engines)


def made(layers):
    return lambda: [_made(*layer) for layer in layers]
