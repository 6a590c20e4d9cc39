"""What goes wrong in a run: waiting in a circle, giving up, deep recursion, and errors' notes."""

from __future__ import annotations

import gc
from collections import OrderedDict, deque

import pytest
import trio

from llmmw import Client
from llmmw.errors import BadRequest, DeadlineExceeded
from llmmw.flow import (
    copy_registry,
    executable,
    map_over,
    parallel,
    registry,
    repeat,
    serial,
    with_registry,
)
from llmmw.flow._here import here

pytestmark = pytest.mark.virtual


async def ran(flow, **options):
    async with Client(stack=[]) as client:
        return await client.run(flow, **options)


@executable
async def after(seconds, value=None):
    await trio.sleep(seconds)
    return value


@executable
def same(value):
    return value


async def test_two_that_wait_for_each_other_are_told_so():
    several = []

    @executable
    async def other(index):
        await trio.sleep(1)
        return await several[index]

    several += [other(1), other(2), other(0)]
    with trio.fail_after(10), pytest.raises(RuntimeError, match="waits for itself"):
        await ran(several)


async def test_who_waits_for_himself_gives_back_what_he_would_have_run():
    async def once_more():
        try:
            await parallel(shared, own[0])
        except RuntimeError:
            return "told"

    own = [executable(once_more)()]
    shared = same(after(1, "there"))
    with trio.fail_after(10):
        assert await ran([own[0], shared]) == ["told", "there"]


async def test_who_gives_up_again_and_again_leaves_nothing_behind():
    slow = after(100, "there")

    @executable
    async def patient():
        for _ in range(20):
            with trio.move_on_after(1):
                await slow
        return len(here().scope.entries[slow.number].wanted_by)

    told, _ = await ran([patient(), slow])
    assert told <= 1


@pytest.mark.parametrize("way", ["awaited", "given back"])
async def test_a_recursion_may_be_deeper_than_pythons(way):
    @executable
    async def down(depth):
        if not depth:
            return 0
        return 1 + await down(depth - 1) if way == "awaited" else down(depth - 1)

    assert await ran(down(2_000)) == (2_000 if way == "awaited" else 0)


async def test_a_recursion_without_an_end_is_an_error(monkeypatch):
    monkeypatch.setattr("llmmw.flow._pool._DEEPEST", 100)

    @executable
    async def down(depth):
        return await down(depth + 1)

    with pytest.raises(RecursionError, match="more than 100 deep"):
        await ran(down(0))


async def test_an_error_that_several_wait_for_names_to_each_only_its_own_nodes():
    @executable
    async def broken():
        await trio.sleep(1)
        raise ValueError("it broke")

    shared = broken()

    @executable
    async def use(seconds):
        await trio.sleep(seconds)
        return await shared

    users = [use(0), use(0), use(2)]
    for one, error in zip(users, await ran(users, errors="keep"), strict=True):
        assert str(error) == "it broke"
        assert error.__notes__ == [f"in {shared.id}", f"in {one.id}"]


async def test_after_the_first_failure_nothing_more_begins():
    begun = []

    @executable
    def broken():
        raise ValueError("it broke")

    @executable
    def late(index):
        begun.append(index)

    with pytest.raises(ValueError, match="it broke"):
        await ran([broken(), *[late(index) for index in range(50)]])
    assert begun == []


async def test_a_plain_generator_without_an_end_can_be_left():
    told, scope = [], trio.CancelScope()

    @executable
    def endless():
        try:
            while True:
                yield 1
                scope.cancel()
        finally:
            told.append("closed")

    @executable
    async def bounded():
        with scope:
            await endless()
        return "left"

    assert await ran(bounded()) == "left"
    assert told == ["closed"]


@pytest.mark.parametrize("seconds", [-1, float("nan"), "soon", True])
async def test_a_timeout_that_is_none_is_refused_at_once(seconds):
    with pytest.raises(BadRequest, match="timeout="):
        same(1).with_options(timeout=seconds)
    with pytest.raises(BadRequest, match="timeout="):
        await ran(same(1), timeout=seconds)


async def test_no_time_at_all_is_a_timeout():
    with pytest.raises(DeadlineExceeded):
        await ran(after(1).with_options(timeout=0))


async def test_what_a_function_does_to_its_arguments_changes_no_definition():
    @executable
    def push(items, others):
        items.append(0)
        others["more"] = items
        return len(items) + len(others)

    node = push([1], {})
    assert [await ran(node), await ran(node), await ran(repeat(node, 2))] == [3, 3, [3, 3]]


async def test_executables_are_found_in_containers_of_any_class():
    class Items(list):
        pass

    ordered, items = OrderedDict(a=same(1), b=2), Items([same(3)])
    assert await ran(same([ordered, items, deque([same(4)], 9)])) == [
        OrderedDict(a=1, b=2),
        Items([3]),
        deque([4], 9),
    ]


@pytest.mark.parametrize("make", [parallel, serial])
@pytest.mark.parametrize("options", [{}, {"limit": 1}, {"errors": "keep"}])
async def test_executables_in_containers_are_run_by_all_that_run_several(make, options):
    given = options if make is parallel else {}
    flow = make([same(1), {"a": same(2)}], same(3), 4, **given)
    assert await ran(flow) == [[1, {"a": 2}], 3, 4]


async def test_a_source_that_is_not_read_to_its_end_is_closed():
    closed = []

    async def later():
        try:
            for index in range(9):
                yield index
        finally:
            await trio.lowlevel.cancel_shielded_checkpoint()
            closed.append("async")

    def plain():
        try:
            yield from range(9)
        finally:
            closed.append("plain")

    def broken(index):
        raise ValueError(index)

    for source in (later(), plain()):
        with pytest.raises(ValueError, match="0"):
            await ran(map_over(broken, source, limit=1))
    assert closed == ["async", "plain"]


async def test_what_ran_under_a_registry_is_forgotten_with_it():
    @executable
    async def loop():
        shared = same("x")
        for _ in range(20):
            with registry():
                await shared
        gc.collect()
        return len(here().scope._all)

    assert await ran(loop()) <= 2


async def test_under_one_registry_a_node_runs_once_however_it_is_nested():
    seen = []

    @executable
    def count():
        seen.append(1)

    shared, own, other = count(), copy_registry(), copy_registry()
    await ran([with_registry(with_registry(shared, own), other), with_registry(shared, own)])
    assert len(seen) == 1
