"""What a cache costs: a hit, from memory and from SQLite, and a read while others read and write.

python3 tests/benchmarks/bench_cache.py

Times of a hit are of the processor, so that others on the machine do not count; those of the
readers are of the clock, since waiting is what they are about.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import trio
from _measure import medians, say

from llmmw import Cache, Call, Client, Finish, Generate, Generation, Handler, Message, Response
from llmmw import Usage as Tokens
from llmmw._store import GivenStore, opened
from llmmw.stores import SqliteStore
from llmmw.testing import open_host

_QUESTIONS = [Generate(model="sim:a", messages=[f"question {i}"]) for i in range(1000)]
_EQUAL = [question.replace(metadata={"made": "anew"}) for question in _QUESTIONS]
_ANSWER = Generation(
    model="a",
    provider="sim",
    message=Message("assistant", "An answer of a hundred words. " * 14),
    finish=Finish("stop"),
    usage=Tokens(input_tokens=4, output_tokens=100),
)


async def _answers(call: Call, next: Handler) -> Response:
    return _ANSWER


def _calls(
    store: GivenStore | None,
    *,
    cached: bool = True,
    text: bool = False,
    again: Sequence[Generate] = _QUESTIONS,
) -> float:
    """Microseconds of a call through a client, all of them hits, no two alike. The same request
    `again` is not hashed again; an equal one is."""

    async def main() -> float:
        cache = Cache(store)
        async with Client("sim:a", stack=[cache, _answers] if cached else [_answers]) as client:
            for question in _QUESTIONS:
                await client.ask(question)
            before = time.thread_time()
            for number, question in enumerate(again):
                await client.ask(f"question {number}" if text else question)
            taken = (time.thread_time() - before) * 1e6 / len(_QUESTIONS)
            assert not cached or cache.statistics()["hits"] >= len(_QUESTIONS)
            return taken

    return trio.run(main)


def hits(folder: Path) -> None:
    """Hits end to end, on which the file is looked at each time, and on which it need not be."""
    place = folder / "hits.db"

    runs: dict[str, Callable[[], float]] = {
        "client": lambda: _calls(None, cached=False),
        "client of text": lambda: _calls(None, cached=False, text=True),
        "memory": lambda: _calls(None),
        "memory of equal": lambda: _calls(None, again=_EQUAL),
        "memory of text": lambda: _calls(None, text=True),
        "sqlite": lambda: _from_file(place),
        "sqlite again": lambda: _calls(SqliteStore(place)),
    }
    taken = medians(runs)
    print(f"      the client without a cache: {taken['client']:.1f} us a call")
    say("a hit in memory, end to end, of the same request", taken["memory"], 25, "us")
    print(f"      … of an equal request, made anew: {taken['memory of equal']:.1f} us")
    say("a hit in SQLite's file, end to end", taken["sqlite"], 60, "us")
    print(f"      … the second time, from its memory: {taken['sqlite again']:.1f} us")
    print(f"      … of a text, as users ask: {taken['memory of text']:.1f} us")
    own = taken["memory of text"] - taken["client of text"]
    print(f"      a hit in memory of a text, beyond the client's own making of it: {own:.1f} us")


def _from_file(place: Path) -> float:
    """Microseconds of a hit in a process that has read none of them before."""
    _calls(SqliteStore(place))

    async def main() -> float:
        async with Client("sim:a", stack=[Cache(SqliteStore(place)), _answers]) as client:
            await client.ask(_QUESTIONS[0])
            before = time.thread_time()
            for question in _QUESTIONS[1:]:
                await client.ask(question)
            return (time.thread_time() - before) * 1e6 / (len(_QUESTIONS) - 1)

    return trio.run(main)


def readers(folder: Path, count: int = 64, reads: int = 500) -> None:
    """How long a read takes while others read and one writes without pause; and how long the same
    tasks take for nothing, which is what the machine adds."""

    async def main(real: bool) -> tuple[float, float, float]:
        times: list[float] = []
        async with open_host() as host:
            store = await opened(host, SqliteStore(folder / "readers.db", memory=0))
            for number in range(1000):
                await store.put(f"k{number}", b"x" * 1000)
            await store.flush()

            async def write() -> None:
                number = 0
                while True:
                    for _ in range(20):
                        number += 1
                        await store.put(f"k{number % 1000}", b"y" * 1000)
                    await trio.lowlevel.checkpoint()

            async def read(reader: int) -> None:
                for number in range(reads):
                    before = time.perf_counter()
                    if real:
                        assert await store.get(f"k{(reader * 31 + number) % 1000}") is not None
                    times.append(time.perf_counter() - before)
                    await trio.lowlevel.checkpoint()

            async with trio.open_nursery() as writer:
                if real:
                    writer.start_soon(write)
                async with trio.open_nursery() as nursery:
                    for reader in range(count):
                        nursery.start_soon(read, reader)
                writer.cancel_scope.cancel()
        times.sort()
        return tuple(times[int(len(times) * part)] * 1e3 for part in (0.5, 0.99, 0.999))

    *_, noise = trio.run(main, False)
    half, most, nearly = trio.run(main, True)
    print(f"      a read of {count} readers beside a writer: p50 {half:.3f}, p99 {most:.3f} ms")
    print(f"      p99.9 of doing nothing in their place: {noise:.3f} ms")
    say("p99.9 of it", nearly, 5, "ms")


def writes(folder: Path) -> None:
    """How many entries a second reach the file."""

    async def main() -> float:
        async with open_host() as host:
            store = await opened(host, SqliteStore(folder / "writes.db"))
            before = time.perf_counter()
            for number in range(20_000):
                await store.put(f"k{number}", b"x" * 1000)
                if not number % 100:
                    await trio.lowlevel.checkpoint()
            await store.flush()
            return 20_000 / (time.perf_counter() - before)

    print(f"      entries of 1 kB written: {trio.run(main):,.0f} a second")


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as name:
        hits(Path(name))
        readers(Path(name))
        writes(Path(name))
