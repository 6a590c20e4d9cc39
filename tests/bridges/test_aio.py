"""llmmw.aio: the verbs of the client, for tasks of an asyncio loop."""

import asyncio
import functools
import threading
import traceback
from collections.abc import Callable
from contextlib import aclosing

import pytest
import trio
from hypothesis import given, settings
from hypothesis import strategies as st

import llmmw
from llmmw import Call, Client, Handler, Response, aio
from llmmw.errors import BadRequest, DeadlineExceeded, ServerError, StreamInterrupted
from llmmw.testing import Script
from tests.bridges.conftest import HoldingProvider, run_in_asyncio, seen

pytestmark = pytest.mark.usefixtures("each_way")


def in_asyncio(test: Callable) -> Callable:
    """Run an async test in an asyncio loop."""

    @functools.wraps(test)
    def run(**fixtures) -> None:
        run_in_asyncio(test(**fixtures))

    return run


async def cancelled(task: asyncio.Task) -> None:
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


@in_asyncio
async def test_every_kind_of_request(world) -> None:
    sim = world(a=Script(pieces=("he", "llo")))
    async with aio.Client("sim:a", providers=[sim]) as client:
        assert (await client.ask("hi")).text == "hello"
        assert (await client.embed(["x", "yz"])).vectors == ((1.0,), (2.0,))
        assert (await client.score("x", ["long", "s"])).best == 1
        assert (await client.count_tokens("to be or not")).tokens == 4
        assert (await client.tokenize("a☃")).tokens == (97, 9731)
        assert (await client.detokenize([97, 9731])).text == "a☃"
        assert client.describe() == llmmw.Client("sim:a").describe()
        other = client.replace(stack=[])
        assert (await other.ask("hi")).text == "hello"


@in_asyncio
async def test_errors_are_themselves_with_their_traceback(world, boom) -> None:
    sim = world(a=Script(error=boom, pieces=()))
    async with aio.Client("sim:a", providers=[sim], stack=[]) as client:
        with pytest.raises(ServerError, match="boom") as caught:
            await client.ask("hi")
        with pytest.raises(BadRequest, match="temprature"):
            async with client.stream("hi", temprature=1):
                raise AssertionError("the block was entered")

    async def layer(call: Call, next: Handler) -> Response:
        raise ArithmeticError("in a layer") from caught.value

    async with aio.Client("sim:a", stack=[layer]) as client:
        with pytest.raises(ArithmeticError) as own:
            await client.ask("hi")
    assert own.value.__cause__ is caught.value
    frames = traceback.extract_tb(own.value.__traceback__)
    assert (frames[0].name, frames[-1].name) == (
        "test_errors_are_themselves_with_their_traceback",
        "layer",
    )


@in_asyncio
async def test_a_cancelled_task_waits_for_the_end_of_its_call(hold) -> None:
    hold.slow_to_end = 0.02
    async with aio.Client("hold:a", providers=[hold]) as client:
        task = asyncio.create_task(client.ask("hi"))
        await seen(hold.call("hi").begun)
        await cancelled(task)
        assert (hold.live, hold.call("hi").outcome) == (0, "cancelled")

        task = asyncio.create_task(client.ask("twice"))
        await seen(hold.call("twice").begun)
        asyncio.get_running_loop().call_soon(task.cancel)
        await cancelled(task)
        assert hold.live == 0

        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.01):
                await client.ask("late")
        assert hold.live == 0
        with pytest.raises(DeadlineExceeded):
            await client.ask("later", timeout=0.01)
        assert hold.live == 0


@in_asyncio
async def test_nested_timeouts_raise_where_they_ran_out(hold) -> None:
    async with aio.Client("hold:a", providers=[hold]) as client:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.01):
                async with asyncio.timeout(60):
                    await client.ask("hi")
        task = asyncio.current_task()
        assert task is not None
        assert task.cancelling() == 0


def test_a_coroutine_that_is_thrown_away_cancels_its_call(hold) -> None:
    loop = asyncio.new_event_loop()
    client = aio.Client("hold:a", providers=[hold])
    loop.run_until_complete(client.open())
    asking = client.ask("hi")
    task = loop.create_task(asyncio.sleep(0))

    async def step() -> None:
        asking.send(None)
        await task

    loop.run_until_complete(step())
    assert hold.call("hi").begun.wait(30)
    asking.close()
    assert hold.call("hi").over.wait(30)
    assert hold.call("hi").outcome == "cancelled"
    loop.run_until_complete(client.aclose())
    loop.close()


def test_the_call_of_a_closed_loop_is_cancelled_by_what_it_tells(hold) -> None:
    loop = asyncio.new_event_loop()
    client = aio.Client("hold:a", providers=[hold])
    loop.run_until_complete(client.open())

    async def begin() -> object:
        manager = client.stream("hi")
        stream = await manager.__aenter__()
        await anext(stream.text)
        return manager

    kept = loop.run_until_complete(begin())
    loop.close()
    hold.let_go("hi")
    assert hold.call("hi").over.wait(30)
    asyncio.run(client.aclose())  # another loop may close it
    assert not hold.opened
    del kept


@in_asyncio
async def test_a_stream_gives_pieces_as_they_come(hold) -> None:
    async with aio.Client("hold:a", providers=[hold]) as client:
        async with client.stream("hi") as stream:
            text = stream.text
            assert await anext(text) == "one "
            assert stream.partial.text == "one "
            with pytest.raises(RuntimeError, match="has not ended"):
                _ = stream.response
            await hold.let_go_soon("hi")
            assert [piece async for piece in text] == ["two"]
            assert stream.response.text == stream.partial.text == "one two"
        async with client.stream("whole") as stream:
            await hold.let_go_soon("whole")
            assert (await stream.wait_response()).text == "one two"
        async with client.stream("cut") as stream:
            await hold.let_go_soon("cut", StreamInterrupted("the line broke"))
            with pytest.raises(StreamInterrupted) as caught:
                await stream.wait_response()
            assert caught.value.partial.text == stream.partial.text == "one "


@in_asyncio
async def test_leaving_a_stream_cancels_upstream(hold) -> None:
    async with aio.Client("hold:a", providers=[hold]) as client:
        async with client.stream("hi") as stream:
            async for _ in stream.text:
                break
        assert (hold.live, hold.call("hi").outcome) == (0, "cancelled")
        assert stream.partial.text == "one "

        async def read() -> None:
            async with client.stream("task") as stream:
                await stream.wait_response()

        task = asyncio.create_task(read())
        await seen(hold.call("task").begun)
        await cancelled(task)
        assert (hold.live, hold.call("task").outcome) == (0, "cancelled")

        async def pieces():
            async with client.stream("generator") as stream:
                async for piece in stream.text:
                    yield piece

        async with aclosing(pieces()) as generator:
            assert await anext(generator) == "one "
        assert (hold.live, hold.call("generator").outcome) == (0, "cancelled")


@in_asyncio
async def test_two_tasks_may_read_one_stream(hold) -> None:
    async with aio.Client("hold:a", providers=[hold]) as client, client.stream("hi") as stream:

        async def read() -> list:
            return [type(delta).__name__ async for delta in stream]

        async with asyncio.TaskGroup() as group:
            readers = [group.create_task(read()) for _ in range(2)]
            await seen(hold.call("hi").begun)
            await hold.let_go_soon("hi")
    both = sorted(name for reader in readers for name in reader.result())
    assert both == ["PartDelta", "PartDelta", "PartEnd", "PartStart", "ResponseStart"]


@in_asyncio
async def test_a_listener_hears_in_the_task_that_asked(world) -> None:
    heard = []

    async def listener(delta: llmmw.Delta) -> None:
        await asyncio.sleep(0)
        heard.append((type(delta).__name__, asyncio.current_task()))

    async with aio.Client("sim:a", providers=[world(a=Script())]) as client:
        assert (await client.ask("hi", listener=listener)).text == "ok"
    assert [name for name, _ in heard] == ["ResponseStart", "PartStart", "PartDelta", "PartEnd"]
    assert {task for _, task in heard} == {asyncio.current_task()}


@in_asyncio
async def test_a_listener_ends_with_its_call_and_ends_it(hold) -> None:
    ended = []

    async def hangs(delta: llmmw.Delta) -> None:
        try:
            await asyncio.Event().wait()
        finally:
            ended.append(delta)

    async def raises(delta: llmmw.Delta) -> None:
        raise ValueError("mine") from KeyError("why")

    async with aio.Client("hold:a", providers=[hold]) as client:
        with pytest.raises(DeadlineExceeded):
            await client.ask("hi", listener=hangs, timeout=0.5)
        assert len(ended) == 1
        with pytest.raises(ValueError, match="mine") as caught:
            await client.ask("hi", listener=raises)
        assert isinstance(caught.value.__cause__, KeyError)
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.5):
                await client.ask("hi", listener=hangs)
        assert (len(ended), hold.live) == (2, 0)


@in_asyncio
async def test_context_variables_of_the_caller_are_seen(hold, place) -> None:
    seen_there = []

    async def middleware(call: Call, next: Handler) -> Response:
        seen_there.append(place.get())
        return await next(call)

    async def ask(name: str) -> None:
        place.set(name)
        await client.ask(name)

    async with aio.Client("hold:a", providers=[hold], stack=[middleware]) as client:
        async with asyncio.TaskGroup() as group:
            for name in ("a", "b"):
                group.create_task(ask(name))
                await seen(hold.call(name).begun)
            await hold.let_go_soon("b")
            await hold.let_go_soon("a")
    assert seen_there == ["a", "b"]
    assert [hold.call(name).place for name in "ab"] == ["a", "b"]


def test_several_loops_at_once_share_a_client(hold) -> None:
    opener = asyncio.new_event_loop()
    client = aio.Client("hold:a", providers=[hold])
    opener.run_until_complete(client.open())
    told = {}

    def run(name: str) -> None:
        async def main() -> None:
            answers = [client.ask(f"{name}{number}") for number in range(5)]
            told[name] = [one.text for one in await asyncio.gather(*answers)]

        asyncio.run(main())

    threads = [threading.Thread(target=run, args=(name,)) for name in "abc"]
    for thread in threads:
        thread.start()
    for number in range(5):
        for name in "cab":
            hold.let_go(f"{name}{number}")
    for thread in threads:
        thread.join(30)
    opener.run_until_complete(client.aclose())
    opener.close()
    assert told == {name: ["one two"] * 5 for name in "abc"}


@in_asyncio
async def test_closing_ends_the_calls_of_other_tasks(hold) -> None:
    client = await aio.Client("hold:a", providers=[hold]).open()
    task = asyncio.create_task(client.ask("hi"))
    await seen(hold.call("hi").begun)
    await client.aclose()
    await client.aclose()
    with pytest.raises(RuntimeError, match="the client is closed"):
        await task
    assert (hold.live, hold.opened) == (0, False)
    with pytest.raises(RuntimeError, match="not open"):
        await client.ask("hi")


def test_it_wants_a_running_loop() -> None:
    async def main() -> None:
        with pytest.raises(RuntimeError, match="in a task of trio"):
            await aio.Client("sim:a").open()

    trio.run(main)


@in_asyncio
async def test_map_reads_an_input_of_this_loop(world) -> None:
    told, closed = [], []

    async def rows():
        try:
            for number in range(1000):
                await asyncio.sleep(0)
                yield {"id": number, "prompt": "x"}
        finally:
            closed.append(asyncio.current_task())

    async with aio.Client("sim:a", providers=[world(a=Script())]) as client:
        async with client.map(rows(), concurrency=5, progress=told.append) as items:
            got = [item.id async for item in items]
        assert got == list(range(1000))
        assert [p.done for p in told] == list(range(1, 1001))
        async with client.map(["a", "b"], progress=told.append) as items:
            assert [item.response.text async for item in items] == ["ok", "ok"]
        assert told[-1].total == 2
        async with client.map(rows(), concurrency=2) as items:
            assert (await anext(items)).id == 0
        assert len(closed) == 2


@in_asyncio
async def test_map_gives_items_while_the_input_is_slow_to_come(hold) -> None:
    never = asyncio.Event()

    async def rows():
        yield "0"
        await never.wait()

    async with aio.Client("hold:a", providers=[hold]) as client:
        async with client.map(rows()) as items:
            await seen(hold.call("0").begun)
            await hold.let_go_soon("0")
            assert (await anext(items)).response.text == "one two"


@in_asyncio
async def test_map_reads_no_faster_than_answers_are_taken(world) -> None:
    read = 0

    async def rows():
        nonlocal read
        while True:
            read += 1
            yield "x"

    async with aio.Client("sim:a", providers=[world(a=Script())]) as client:
        async with client.map(rows(), concurrency=3) as items:
            taken = 0
            async for _ in items:
                taken += 1
                assert read - taken <= 4 * 3 + 1
                if taken == 100:
                    break
    assert read < 120


@pytest.mark.parametrize("stop", [StopIteration, StopAsyncIteration])
@in_asyncio
async def test_what_would_end_an_iteration_silently_is_an_error(world, stop) -> None:
    def raise_it(*ignored: object) -> None:
        raise stop("not the end")

    class Broken:
        count = 0

        def __iter__(self):
            return self

        def __next__(self) -> str:
            self.count += 1
            if self.count == 2:
                raise StopAsyncIteration
            return "x"

    async def middleware(call: Call, next: Handler) -> Response:
        if "break" in call.request.messages[-1].text:
            raise_it()
        return await next(call)

    provider = world(a=Script())
    async with aio.Client("sim:a", providers=[provider], stack=[middleware]) as client:
        with pytest.raises(RuntimeError):
            await client.ask("break")
        async with client.stream("break") as stream:
            with pytest.raises(RuntimeError):
                _ = [delta async for delta in stream]
        for rows, progress in ((["x"] * 3, raise_it), (Broken(), None)):
            async with client.map(rows, progress=progress) as items:
                with pytest.raises(RuntimeError):
                    _ = [item async for item in items]


@pytest.mark.parametrize("error", [asyncio.CancelledError, GeneratorExit])
@in_asyncio
async def test_what_is_no_exception_ends_a_map_too(world, error) -> None:
    def refuse(progress: llmmw.Progress) -> None:
        raise error("the progress")

    async def rows():
        yield "x"
        raise error("the input")

    async with aio.Client("sim:a", providers=[world(a=Script())]) as client:
        for given, progress in ((["x"] * 3, refuse), (rows(), None)):
            async with client.map(given, progress=progress) as items:
                with pytest.raises(error):
                    _ = [item async for item in items]
        assert (await client.ask("x")).text == "ok"


def test_opening_that_is_thrown_away_is_undone() -> None:
    left = threading.Event()

    class Lived(Client):
        async def __aexit__(self, *error: object) -> bool | None:
            try:
                return await super().__aexit__(*error)
            finally:
                left.set()

    loop = asyncio.new_event_loop()
    client = aio.Client("sim:a")
    client._trio = Lived("sim:a")

    async def step() -> None:
        opening = client.open()
        opening.send(None)
        opening.close()  # it must not wait

    loop.run_until_complete(step())
    loop.close()
    assert left.wait(30)
    with pytest.raises(RuntimeError, match="not open"):
        client.replace()


@in_asyncio
async def test_errors_of_a_map(world, boom, hold) -> None:
    async def broken():
        yield "x"
        raise LookupError("the input")

    def refuse(progress: llmmw.Progress) -> None:
        raise ArithmeticError("the progress")

    sim = world(a=Script(error=boom, pieces=()))
    async with aio.Client("sim:a", providers=[sim, hold], stack=[]) as client:
        async with client.map(["x"], errors="yield") as items:
            assert [type(item.error) async for item in items] == [ServerError]
        async with client.map(["x"]) as items:
            with pytest.raises(ServerError):
                await anext(items)
        async with client.map(broken(), model="hold:a") as items:
            with pytest.raises(LookupError, match="the input"):
                await anext(items)
        async with client.map(["x"], errors="yield", progress=refuse) as items:
            with pytest.raises(ArithmeticError, match="the progress"):
                await anext(items)
        with pytest.raises(BadRequest, match="single one"):
            async with client.map("x"):
                pass
    assert hold.live == 0


STEPS = st.lists(
    st.tuples(st.sampled_from(["begin", "answer", "fail", "cancel", "turn"]), st.integers(0, 4)),
    max_size=25,
)


@settings(max_examples=60, deadline=None)
@given(STEPS)
def test_whatever_comes_first_every_task_ends_as_it_was_told(steps: list) -> None:
    """A task ends with its answer, its error, or its cancellation; none before its call is over;
    and a call that nobody cancelled was not cancelled."""
    hold = HoldingProvider()

    async def ask(name: str) -> str:
        try:
            return (await client.ask(name)).text
        finally:
            held = hold.call(name)
            assert held.over.is_set() or not held.begun.is_set()

    async def main() -> None:
        nonlocal client
        tasks: dict[str, asyncio.Task] = {}
        told: dict[str, set] = {}
        async with aio.Client("hold:a", providers=[hold], stack=[]) as client:
            for what, number in [*steps, *(("answer", number) for number in range(5))]:
                name = str(number)
                if what == "turn":
                    await asyncio.sleep(0)
                elif what == "begin" and name not in tasks:
                    tasks[name] = asyncio.create_task(ask(name))
                    told[name] = set()
                elif name in tasks:
                    told[name].add(what)
                    if what == "cancel":
                        tasks[name].cancel()
                    else:
                        held = hold.call(name)
                        held.error = held.error or (ServerError(name) if what == "fail" else None)
                        client._home.portal.post(held.answer.set)
            ends = await asyncio.gather(*tasks.values(), return_exceptions=True)
            assert hold.live == 0
            hold.call("after").answer.set()
            assert (await client.ask("after")).text == "one two"
        for (name, words), end in zip(told.items(), ends, strict=True):
            if isinstance(end, asyncio.CancelledError):
                assert "cancel" in words
            elif isinstance(end, ServerError):
                assert "fail" in words
                assert end.message == name
            else:
                assert end == "one two"
            if "cancel" not in words:
                assert hold.call(name).outcome in {"ok", "failed"}

    client: aio.Client = None  # type: ignore[assignment]
    run_in_asyncio(main())
