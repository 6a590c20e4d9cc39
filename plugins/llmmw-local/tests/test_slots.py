"""Places are given in order, and come back whatever happens."""

from __future__ import annotations

import threading

import pytest
import trio
import trio.testing
from llmmw_local._slots import Slots, _Waiter

pytestmark = pytest.mark.plugins


async def test_first_come_first_served():
    slots, order = Slots(1), []

    async def use(number):
        await slots.wait_free()
        order.append(number)
        await trio.sleep(0.01)
        slots.free_nowait()

    async with trio.open_nursery() as nursery:
        for number in range(6):
            nursery.start_soon(use, number)
            await trio.testing.wait_all_tasks_blocked()
            assert slots.taken <= 1
    assert order == list(range(6))
    assert (slots.taken, slots.waiting) == (0, 0)


async def test_cancelled_waiter_frees_its_turn():
    slots = Slots(1)
    await slots.wait_free()
    with trio.move_on_after(0.01):
        await slots.wait_free()
    assert slots.waiting == 0
    slots.free_nowait()
    assert slots.taken == 0


async def test_place_given_to_a_cancelled_waiter_is_passed_on():
    slots, scope = Slots(1), trio.CancelScope()
    await slots.wait_free()

    async def wait():
        with scope:
            await slots.wait_free()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(wait)
        await trio.testing.wait_all_tasks_blocked()
        scope.cancel()
        slots.free_nowait()
    assert slots.taken == 0


async def test_waiter_of_a_run_that_is_over():
    slots, tokens = Slots(1), []

    async def live_shortly():
        tokens.append(trio.lowlevel.current_trio_token())

    trio_thread = threading.Thread(target=trio.run, args=(live_shortly,))
    trio_thread.start()
    await trio.to_thread.run_sync(trio_thread.join)
    await slots.wait_free()
    slots._waiters.append(_Waiter(tokens[0], trio.Event()))
    slots.free_nowait()
    assert (slots.taken, slots.waiting) == (0, 0)


async def test_across_threads():
    slots, most = Slots(2), []

    async def use():
        for _ in range(50):
            await slots.wait_free()
            most.append(slots.taken)
            await trio.sleep(0)
            await trio.to_thread.run_sync(slots.free_nowait)

    async def several():
        async with trio.open_nursery() as nursery:
            for _ in range(3):
                nursery.start_soon(use)

    threads = [threading.Thread(target=trio.run, args=(several,)) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        await trio.to_thread.run_sync(thread.join)
    assert len(most) == 300
    assert max(most) == 2
    assert (slots.taken, slots.waiting) == (0, 0)
