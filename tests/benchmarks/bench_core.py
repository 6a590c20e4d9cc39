"""Import time, cost of the chain, and memory of a large map.

python3 tests/benchmarks/bench_core.py
"""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Awaitable, Callable
from functools import partial

import trio
from _measure import medians, say

from llmmw import Call, Delta, Generate, Generation, Handler, Response, chain, default_stack

_QUESTION = Generate(model="sim:a", messages=["hello"])
_ANSWER = Generation(model="a", provider="sim")


def _import_seconds(code: str) -> float:
    started = time.perf_counter()
    subprocess.run([sys.executable, "-c", code], check=True)
    return time.perf_counter() - started


def imports() -> None:
    """Wall time of a fresh interpreter that imports, less that of an empty one."""
    runs = {
        "empty": partial(_import_seconds, "pass"),
        "floor": partial(_import_seconds, "import trio, attrs"),
        "llmmw": partial(_import_seconds, "import llmmw"),
        "client": partial(_import_seconds, "from llmmw import Client"),
    }
    taken = medians(runs, 15)
    floor = taken["floor"] - taken["empty"]
    say("import llmmw / import trio, attrs", (taken["llmmw"] - taken["empty"]) / floor, 1.4, "x")
    whole = (taken["client"] - taken["empty"]) / floor
    print(f"      (names are imported when first used; with the client: {whole:.2f} x)")
    heavy = "import llmmw, sys; print({'httpx', 'pluggy', 'click', 'rich'} & set(sys.modules))"
    command = [sys.executable, "-c", heavy]
    found = subprocess.run(command, check=True, capture_output=True, text=True)
    print(f"      heavy modules imported: {found.stdout.strip()}")


async def _instant(call: Call) -> Response:
    return _ANSWER


async def _one_checkpoint(call: Call) -> Response:
    await trio.lowlevel.checkpoint()
    return _ANSWER


async def _pass(call: Call, next: Handler) -> Response:
    return await next(call)


async def _hear(delta: Delta) -> None:
    pass


def _per_call(
    handler: Handler, make: Callable[[], Call], flight: int, calls: int = 20_000
) -> float:
    """Microseconds a call, with `flight` of them at once."""
    calls = 20_000

    async def caller() -> None:
        for _ in range(calls // flight):
            await handler(make())

    async def main() -> float:
        started = time.perf_counter()
        async with trio.open_nursery() as nursery:
            for _ in range(flight):
                nursery.start_soon(caller)
        return (time.perf_counter() - started) / calls * 1e6

    return trio.run(main)


def layers() -> None:
    """What pass-through middleware and the default stack add."""
    call = Call(_QUESTION)
    runs = {
        "bare": partial(_per_call, _instant, lambda: call, 1),
        "six": partial(_per_call, chain(*[_pass] * 6, provider=_instant), lambda: call, 1),
    }
    taken = medians(runs)
    say("six pass-through middleware", taken["six"] - taken["bare"], 1.0, "us a call")
    stacked: Callable[[Call], Awaitable[Response]]
    stacked = chain(*default_stack("sim:a"), provider=_one_checkpoint)
    runs = {
        "bare": partial(_per_call, _one_checkpoint, lambda: Call(_QUESTION), 64),
        "stack": partial(_per_call, stacked, lambda: Call(_QUESTION), 64),
        "heard": partial(_per_call, stacked, lambda: Call(_QUESTION, _hear), 64),
    }
    taken = medians(runs)
    say("default stack, 64 in flight", taken["stack"] - taken["bare"], 30, "us a call")
    say("default stack with a listener", taken["heard"] - taken["bare"], 40, "us a call")


_MAP = """
import sys, trio
from llmmw import Client
from llmmw.plugin import Provider
from llmmw import Generation

class Instant(Provider):
    async def __call__(self, call):
        return Generation(model="a", provider="sim")

async def main():
    async with Client("sim:a", providers=[Instant(name="sim")]) as client:
        questions = (f"question {i}" for i in range(int(sys.argv[1])))
        async with client.map(questions) as items:
            async for item in items:
                pass

trio.run(main)
status = open("/proc/self/status").read()
print(int(status.partition("VmHWM:")[2].split()[0]) / 1024)
"""


def _peak(count: int) -> float:
    command = [sys.executable, "-c", _MAP, str(count)]
    return float(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


def memory() -> None:
    """Peak memory of a map over many requests against one over few."""
    few, many = _peak(2_000), _peak(200_000)
    say("200,000 requests through map, beyond 2,000", many - few, 20, "MB")


if __name__ == "__main__":
    imports()
    layers()
    memory()
