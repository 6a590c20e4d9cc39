"""llmmw.aio.guest: trio in the caller's own loop, and out of its thread afterwards."""

import asyncio
import gc
import threading
from collections.abc import Callable, Coroutine
from contextlib import suppress

import pytest
import trio
import uvloop

from llmmw import Call, Handler, Response, aio, sync
from llmmw.aio import _guest
from llmmw.testing import Script
from tests.bridges.conftest import as_guest, seen

RUNS = {"asyncio": asyncio.run, "uvloop": uvloop.run}
LOOPS = {"asyncio": asyncio.new_event_loop, "uvloop": uvloop.new_event_loop}


def in_guest(test: Callable) -> Callable:
    """Run an async test in a guest's block."""

    def run(world) -> None:
        as_guest(test(world))

    return run


def check_free(world) -> None:
    """A guest can be opened in this thread, and so can trio."""

    async def ask() -> str:
        async with aio.guest(), aio.Client("sim:a", providers=[world(a=Script())]) as client:
            return (await client.ask("hi")).text

    async def one() -> int:
        await trio.lowlevel.checkpoint()
        return 1

    assert asyncio.run(ask()) == "ok"
    assert trio.run(one) == 1
    assert uvloop.run(ask()) == "ok"


@in_guest
async def test_calls_are_made_in_this_thread(world) -> None:
    threads = []

    async def layer(call: Call, next: Handler) -> Response:
        threads.append(threading.current_thread())
        return await next(call)

    async with aio.Client("sim:a", providers=[world(a=Script())], stack=[layer]) as client:
        await asyncio.gather(*(client.ask(str(number)) for number in range(100)))
    assert threads == [threading.current_thread()] * 100


@in_guest
async def test_one_in_a_thread(world) -> None:
    with pytest.raises(RuntimeError, match=r"aio\.guest\(\) is open here already"):
        async with aio.guest():
            raise AssertionError("the block was entered")
    async with aio.Client("sim:a", providers=[world(a=Script())]) as client:
        assert (await client.ask("hi")).text == "ok"


def test_the_guest_of_somebody_else_is_respected(world) -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        over = loop.create_future()
        scope = trio.CancelScope()

        async def theirs() -> None:
            with scope:
                await trio.sleep_forever()

        trio.lowlevel.start_guest_run(
            theirs,
            run_sync_soon_threadsafe=loop.call_soon_threadsafe,
            done_callback=over.set_result,
            host_uses_signal_set_wakeup_fd=True,
        )
        with pytest.raises(RuntimeError, match="trio runs in this thread already"):
            async with aio.guest():
                raise AssertionError("the block was entered")
        async with aio.Client("sim:a", providers=[world(a=Script())]) as client:
            assert (await client.ask("hi")).text == "ok"
        scope.cancel()
        (await over).unwrap()

    asyncio.run(main())


def test_it_wants_a_loop() -> None:
    async def main() -> None:
        async with aio.guest():
            raise AssertionError("the block was entered")

    with pytest.raises(RuntimeError, match="needs a running asyncio loop"):
        trio.run(main)
    coroutine = main()
    with pytest.raises(RuntimeError, match="needs a running asyncio loop"):
        coroutine.send(None)


async def ends() -> None:
    """Leave the block."""


async def raises() -> None:
    """Raise in the block."""
    raise ZeroDivisionError


async def is_cancelled() -> None:
    """Have the task of the block cancelled."""
    task = asyncio.current_task()
    assert task is not None
    asyncio.get_running_loop().call_soon(task.cancel)
    await asyncio.Event().wait()


async def interrupts() -> None:
    """Raise what leaves the loop at once."""
    raise KeyboardInterrupt


WAYS_OUT = [
    (ends, None),
    (raises, ZeroDivisionError),
    (is_cancelled, asyncio.CancelledError),
    (interrupts, KeyboardInterrupt),
]


@pytest.mark.parametrize("run", RUNS.values(), ids=RUNS)
@pytest.mark.parametrize(("way", "error"), WAYS_OUT)
def test_the_thread_is_free_afterwards(world, hold, run, way, error) -> None:
    """With a call in flight, and a client that nobody has closed."""

    async def main() -> None:
        async with aio.guest():
            client = await aio.Client("hold:a", providers=[hold]).open()
            tasks.append(asyncio.create_task(client.ask("hi")))
            await seen(hold.call("hi").begun)
            await way()

    tasks: list[asyncio.Task] = []
    if error is None:
        run(main())
    else:
        with pytest.raises(error):
            run(main())
    assert (hold.call("hi").outcome, hold.live, hold.opened) == ("cancelled", 0, False)
    if not tasks[0].cancelled():
        assert "the block of its guest was left" in str(tasks[0].exception())
    check_free(world)


@pytest.mark.parametrize("run", RUNS.values(), ids=RUNS)
def test_a_crash_of_trio_is_told_and_frees_the_thread(world, hold, run) -> None:
    def crash() -> None:
        raise MemoryError

    async def main() -> None:
        async with aio.guest(), aio.Client("hold:a", providers=[hold]) as client:
            asking = asyncio.create_task(client.ask("hi"))
            await seen(hold.call("hi").begun)
            trio.lowlevel.current_trio_token().run_sync_soon(crash)
            with pytest.raises(RuntimeError, match="the guest run of trio has crashed"):
                await asking
            with pytest.raises(RuntimeError, match="the guest run of trio has crashed"):
                await client.ask("again")

    with pytest.raises(trio.TrioInternalError):
        run(main())
    check_free(world)


@pytest.mark.parametrize("thrown_away", [False, True])
@pytest.mark.parametrize("idle", [False, True])
@pytest.mark.parametrize("new_loop", LOOPS.values(), ids=LOOPS)
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_a_loop_that_was_closed_by_hand(world, hold, new_loop, idle, thrown_away) -> None:
    """Its block can't be left, but the thread is free as soon as somebody wants it."""
    loop = new_loop()
    loop.set_exception_handler(lambda loop, context: None)  # a task was destroyed

    async def main() -> None:
        async with aio.guest():
            client = await aio.Client("hold:a", providers=[hold]).open()
            asking = asyncio.create_task(client.ask("hi"))
            await seen(hold.call("hi").begun)
            if idle:
                await asyncio.sleep(0.02)
            loop.stop()
            await asking

    task = loop.create_task(main())
    loop.run_forever()
    loop.close()
    if thrown_away:
        del task
        gc.collect()
    assert trio.lowlevel.in_trio_run()
    check_free(world)
    assert (hold.call("hi").outcome, hold.opened) == ("cancelled", False)


def test_who_was_opened_outside_goes_on(world) -> None:
    async def main() -> None:
        async with aio.Client("sim:a", providers=[world(a=Script())]) as before:
            async with aio.guest():
                assert (await before.ask("hi")).text == "ok"
                within = await aio.Client("sim:a", providers=[world(a=Script())]).open()
                assert (await within.ask("hi")).text == "ok"
            with pytest.raises(RuntimeError, match="the block of its guest was left"):
                await within.ask("hi")
            await within.aclose()
            assert (await before.ask("hi")).text == "ok"
            await within.open()  # in the background thread
            assert (await within.ask("hi")).text == "ok"
            await within.aclose()

    asyncio.run(main())


@in_guest
async def test_other_loops_are_refused(world) -> None:
    async with aio.Client("sim:a", providers=[world(a=Script())]) as client:

        async def elsewhere() -> None:
            for use in (client.ask("hi"), client.aclose()):
                with pytest.raises(RuntimeError, match="in the guest of another loop"):
                    await use
            async with aio.Client("sim:a", providers=[world(a=Script())]) as own:
                assert (await own.ask("hi")).text == "ok"

        await asyncio.to_thread(asyncio.run, elsewhere())
        assert (await client.ask("hi")).text == "ok"


@in_guest
async def test_plain_calls_go_by_the_background_thread(world) -> None:
    """They block the loop, but do not wait for it; in a layer, too."""

    async def layer(call: Call, next: Handler) -> Response:
        plain.ask("in a layer")
        return await next(call)

    with sync.Client("sim:a", providers=[world(a=Script())]) as plain:
        assert plain.ask("hi").text == "ok"
        async with aio.Client("sim:a", providers=[world(a=Script())], stack=[layer]) as client:
            assert (await client.ask("hi")).text == "ok"


@in_guest
async def test_a_layer_that_calls_aio_is_told(world) -> None:
    async def layer(call: Call, next: Handler) -> Response:
        with pytest.raises(RuntimeError, match="in a task of trio"):
            await client.ask("again")
        return await next(call)

    async with aio.Client("sim:a", providers=[world(a=Script())], stack=[layer]) as client:
        assert (await client.ask("hi")).text == "ok"


def test_what_refuses_to_end_is_named(world, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_guest, "PATIENCE", 0.05)
    let_go = trio.Event()
    begun = threading.Event()

    async def stubborn(call: Call, next: Handler) -> Response:
        with trio.CancelScope(shield=True):
            begun.set()
            await let_go.wait()
        return await next(call)

    async def main() -> None:
        with pytest.raises(RuntimeError, match=r"0\.05 s after the block of aio\.guest\(\)"):
            async with aio.guest():
                client = await aio.Client(
                    "sim:a", providers=[world(a=Script())], stack=[stubborn]
                ).open()
                asking = asyncio.create_task(client.ask("hi"))
                await seen(begun)
        with pytest.raises(RuntimeError, match="already"):
            async with aio.guest():
                raise AssertionError("the block was entered")
        let_go.set()
        with suppress(RuntimeError):
            await asking
        while trio.lowlevel.in_trio_run():
            await asyncio.sleep(0)

    asyncio.run(main())


def test_a_cancellation_while_leaving_comes_after_the_end(hold) -> None:
    hold.slow_to_end = 0.05

    async def block() -> None:
        async with aio.guest():
            client = await aio.Client("hold:a", providers=[hold]).open()
            tasks.append(asyncio.create_task(client.ask("hi")))
            await seen(hold.call("hi").begun)
            leaving.set()

    async def main() -> None:
        task = asyncio.create_task(block())
        await leaving.wait()
        assert hold.live == 1
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert (hold.live, hold.opened) == (0, False)
        assert not trio.lowlevel.in_trio_run()
        with pytest.raises(RuntimeError, match="closed"):
            await tasks[0]

    tasks: list[asyncio.Task] = []
    leaving = asyncio.Event()
    asyncio.run(main())


@pytest.mark.parametrize("turns", range(6))
def test_a_cancellation_while_entering(world, turns: int) -> None:
    async def block() -> None:
        async with aio.guest():
            await asyncio.Event().wait()

    async def main() -> None:
        task: asyncio.Task = asyncio.create_task(block())
        for _ in range(turns):
            await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert not trio.lowlevel.in_trio_run()

    asyncio.run(main())
    check_free(world)


def test_what_is_collected_in_another_thread_ends_its_call(hold) -> None:
    async def main() -> None:
        async with aio.guest(), aio.Client("hold:a", providers=[hold]) as client:
            asking: list[Coroutine] = [client.ask("hi")]
            asking[0].send(None)
            await seen(hold.call("hi").begun)
            await asyncio.to_thread(asking.pop().close)
            await seen(hold.call("hi").over)
            assert hold.call("hi").outcome == "cancelled"

    asyncio.run(main())


def test_a_block_that_is_collected_in_another_thread_is_left_in_its_own(world, hold) -> None:
    async def block() -> None:
        async with aio.guest():
            await asyncio.Event().wait()

    async def main() -> None:
        thrown = block()
        waits = thrown.send(None)
        while not waits.done():
            await asyncio.sleep(0)
        thrown.send(None)
        client = await aio.Client("hold:a", providers=[hold]).open()
        asking = asyncio.create_task(client.ask("hi"))
        await seen(hold.call("hi").begun)
        await asyncio.to_thread(thrown.close)
        with pytest.raises(RuntimeError, match="the block of its guest was left"):
            await asking
        while trio.lowlevel.in_trio_run():
            await asyncio.sleep(0)

    asyncio.run(asyncio.wait_for(main(), 30))
    check_free(world)
