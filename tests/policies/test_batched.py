"""A function of many that is asked for one at a time."""

import contextvars
import functools
import math
import threading

import pytest
import trio

from llmmw import batched
from llmmw.errors import ConfigError


async def at_once(function, items):
    """What it returns or raises for each item, in their order."""
    results = {}

    async def run(item):
        try:
            results[item] = await function(item)
        except Exception as error:
            results[item] = error

    async with trio.open_nursery() as nursery:
        for item in items:
            nursery.start_soon(run, item)
    return [results[item] for item in items]


class Doubles:
    """Doubles numbers, and notes how many came at once."""

    def __init__(self):
        self.sizes = []

    async def __call__(self, items):
        self.sizes.append(len(items))
        await trio.lowlevel.checkpoint()
        return [2 * item for item in items]


async def test_what_is_asked_at_once_is_one_call():
    double = Doubles()
    async with batched(double, max_size=100) as one:
        assert await at_once(one, range(10)) == [2 * k for k in range(10)]
        assert await one(10) == 20
    assert double.sizes == [10, 1]


async def test_sizes():
    double = Doubles()
    async with batched(double, max_size=4) as one:
        await at_once(one, range(10))
    assert sorted(double.sizes) == [2, 4, 4]


async def test_it_can_be_switched_off():
    double = Doubles()
    async with batched(double, max_size=1) as one:
        await at_once(one, range(3))
    assert double.sizes == [1, 1, 1]


async def test_groups():
    seen = []

    async def note(items):
        seen.append(sorted(items))
        return items

    async with batched(note, max_size=9, group=lambda item: item % 2) as one:
        await at_once(one, range(6))
    assert sorted(seen) == [[0, 2, 4], [1, 3, 5]]


async def test_calls_inside_of_others_meet():
    """Three that each ask three make one batch of nine."""
    double = Doubles()
    async with batched(double, max_size=9) as one:

        async def three(k):
            return await at_once(one, [3 * k, 3 * k + 1, 3 * k + 2])

        assert await at_once(three, range(3)) == [[0, 2, 4], [6, 8, 10], [12, 14, 16]]
    assert double.sizes == [9]


async def test_none_is_a_result():
    async def nothing(items):
        return [None] * len(items)

    async with batched(nothing, max_size=9) as one:
        assert await at_once(one, range(3)) == [None] * 3
        assert await one(1) is None


async def test_an_exception_of_one_is_raised_for_it_alone():
    async def halve(items):
        return [item / 2 if item else ZeroDivisionError(item) for item in items]

    async with batched(halve, max_size=9) as one:
        error, half = await at_once(one, [0, 1])
        assert isinstance(error, ZeroDivisionError)
        assert half == 0.5
        with pytest.raises(ZeroDivisionError):
            await one(0)


async def test_what_it_raises_is_raised_for_all():
    async def fail(items):
        raise KeyError("broken")

    async with batched(fail, max_size=9) as one:
        first, second = await at_once(one, [1, 2])
        assert (type(first), type(second)) == (KeyError, KeyError)
        assert first is not second
        third, _ = await at_once(one, [1, 2])  # and nothing is left of it
        assert isinstance(third, KeyError)


@pytest.mark.parametrize("count", [0, 1, 3])
async def test_another_number_of_results(count):
    async def some(items):
        return [0] * count

    async with batched(some, max_size=9) as one:
        for error in await at_once(one, [1, 2]):
            assert isinstance(error, ValueError)
            assert f"gave {count} results for 2 items" in str(error)


async def test_what_blocks_runs_in_so_many_threads_at_once():
    here, running, most = threading.get_ident(), [0], [0]
    variable = contextvars.ContextVar("variable", default="none")
    lock, gate = threading.Lock(), threading.Barrier(2)
    seen = []

    def work(more, items):
        with lock:
            running[0] += 1
            most[0] = max(most[0], running[0])
        gate.wait(10)  # two are here at the same time, or the test fails
        with lock:
            running[0] -= 1
            seen.append((threading.get_ident() != here, variable.get()))
        return [item + more for item in items]

    async with batched(functools.partial(work, 1), max_size=2, threads=2) as one:
        variable.set("mine")
        assert await at_once(one, range(8)) == list(range(1, 9))
    assert most[0] == 2
    assert seen == [(True, "mine")] * 4


@pytest.mark.parametrize("given", ["ab", b"ab", {1: 2, 3: 4}, None, 5])
async def test_what_is_no_list_of_results(given):
    async def some(items):
        return given

    async with batched(some, max_size=9) as one:
        for error in await at_once(one, [1, 2]):
            assert isinstance(error, ValueError)
            assert f"some gave a {type(given).__name__}, not a list" in str(error)


@pytest.mark.parametrize("size", [1, 9])
async def test_who_asks_when_the_block_was_left_is_told(size):
    async def some(items):
        return items

    async with batched(some, max_size=size) as one:
        assert await one(1) == 1
    with pytest.raises(RuntimeError, match="some: call it inside of the block"):
        await one(2)


async def test_leaving_the_block_ends_what_goes_on():
    began, ended = trio.Event(), []

    async def long(items):
        began.set()
        try:
            await trio.sleep_forever()
        finally:
            ended.append(sorted(items))

    errors = []
    async with trio.open_nursery() as nursery:
        async with batched(long, max_size=9) as one:

            async def ask(item):
                try:
                    await one(item)
                except RuntimeError as error:
                    errors.append(str(error))

            nursery.start_soon(ask, 1)
            nursery.start_soon(ask, 2)
            await began.wait()
    assert ended == [[1, 2]]
    assert len(errors) == 2
    assert "has closed" in errors[0]


async def test_who_leaves_harms_nobody():
    go, began = trio.Event(), trio.Event()

    async def wait(items):
        began.set()
        await go.wait()
        return items

    async with batched(wait, max_size=9) as one, trio.open_nursery() as nursery:
        found = []

        async def ask(item, scope):
            with scope:
                found.append(await one(item))

        scopes = [trio.CancelScope(), trio.CancelScope()]
        for item, scope in enumerate(scopes):
            nursery.start_soon(ask, item, scope)
        await began.wait()
        scopes[0].cancel()
        await trio.testing.wait_all_tasks_blocked()
        go.set()
    assert found == [1]


@pytest.mark.parametrize(
    "options",
    [
        {"max_size": 0},
        {"max_size": 2, "threads": 0},
        {"max_size": 2, "max_wait": -1},
        {"max_size": 2, "max_wait": math.nan},
        {"max_size": 2, "max_wait": "1s"},
    ],
)
async def test_options(options):
    with pytest.raises(ConfigError, match=r"batched\("):
        async with batched(Doubles(), **options):
            pass
