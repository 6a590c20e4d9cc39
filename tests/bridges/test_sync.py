"""llmmw.sync: the verbs of the client, for threads that wait."""

import asyncio
import inspect
import sqlite3
import sys
import threading
import time
import traceback
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context

import pytest
import trio

import llmmw
from llmmw import Call, Handler, Response, aio, sync
from llmmw._mailbox import Ended
from llmmw._portal import PATIENCE, Work
from llmmw._portal_thread import ThreadPortal
from llmmw.errors import BadRequest, ConfigError, DeadlineExceeded, ServerError, StreamInterrupted
from llmmw.sync._reading import Queue
from llmmw.testing import Script

VERBS = [
    "ask", "stream", "embed", "score", "count_tokens", "tokenize", "detokenize", "map", "replace",
    "describe",
]  # fmt: skip


@pytest.mark.parametrize("face", [sync.Client, aio.Client])
@pytest.mark.parametrize("verb", [*VERBS, "__init__"])
def test_the_faces_have_the_verbs_of_the_client(face: type, verb: str) -> None:
    def shape(function: object) -> list:
        return [
            (p.name, p.kind, p.default) for p in inspect.signature(function).parameters.values()
        ]

    assert shape(getattr(face, verb)) == shape(getattr(llmmw.Client, verb))


def test_every_kind_of_request(world) -> None:
    with sync.Client("sim:a", providers=[world(a=Script(pieces=("he", "llo")))]) as client:
        assert client.ask("hi").text == "hello"
        assert client.embed(["x", "yz"]).vectors == ((1.0,), (2.0,))
        assert client.score("x", ["long", "s"]).best == 1
        assert client.count_tokens("to be or not").tokens == 4
        assert client.tokenize("a☃").tokens == (97, 9731)
        assert client.detokenize([97, 9731]).text == "a☃"
        assert client.targets == ("sim:a",)
        assert client.describe() == llmmw.Client("sim:a").describe()


def test_errors_are_themselves_with_their_traceback(world, boom) -> None:
    sim = world(a=Script(error=boom, pieces=()))
    with sync.Client("sim:a", providers=[sim], stack=[]) as client:
        with pytest.raises(ServerError, match="boom") as caught:
            client.ask("hi")
        with pytest.raises(BadRequest, match="temprature"):
            client.ask("hi", temprature=1)
        with pytest.raises(ConfigError, match="on_interrupt"):
            client.ask("hi", on_interrupt="explode")
        with pytest.raises(BadRequest), client.stream("hi", temprature=1):
            raise AssertionError("the block was entered")

    async def layer(call: Call, next: Handler) -> Response:
        raise ArithmeticError("in a layer") from caught.value

    with sync.Client("sim:a", stack=[layer]) as client, pytest.raises(ArithmeticError) as own:
        client.ask("hi")
    assert own.value.__cause__ is caught.value
    frames = traceback.extract_tb(own.value.__traceback__)
    assert (frames[0].name, frames[-1].name) == (
        "test_errors_are_themselves_with_their_traceback",
        "layer",
    )


def test_what_is_no_exception_of_ours_comes_through() -> None:
    async def leave(call: Call, next: Handler) -> Response:
        raise SystemExit(3)

    with sync.Client("sim:a", stack=[leave]) as client:
        with pytest.raises(SystemExit):
            client.ask("hi")
        with pytest.raises(SystemExit):  # the thread is alive
            client.ask("hi")


def test_a_timeout_ends_a_call(hold) -> None:
    with sync.Client("hold:a", providers=[hold]) as client:
        with pytest.raises(DeadlineExceeded):
            client.ask("hi", timeout=0.01)
        assert hold.live == 0


def test_a_stream_gives_pieces_as_they_come(hold) -> None:
    with sync.Client("hold:a", providers=[hold]) as client:
        with client.stream("hi") as stream:
            assert next(stream.text) == "one "
            assert stream.partial.text == "one "
            with pytest.raises(RuntimeError, match="has not ended"):
                _ = stream.response
            hold.let_go("hi")
            assert list(stream.text) == []  # its part began before, and that was read
            assert stream.response.text == stream.partial.text == "one two"
        assert stream.response.finish_reason == "stop"
        with client.stream("again") as stream:
            hold.let_go("again")
            assert list(stream.text) == ["one ", "two"]
        with client.stream("whole") as stream:
            hold.let_go("whole")
            assert stream.wait_response().text == "one two"
        with client.stream("deltas") as stream:
            hold.let_go("deltas")
            names = [type(delta).__name__ for delta in stream]
    assert names == ["ResponseStart", "PartStart", "PartDelta", "PartDelta", "PartEnd"]


def test_leaving_a_stream_cancels_upstream(hold) -> None:
    with sync.Client("hold:a", providers=[hold]) as client:
        with client.stream("hi") as stream:
            for _ in stream.text:
                break
        assert (hold.live, hold.call("hi").outcome) == (0, "cancelled")
        assert stream.partial.text == "one "
        with pytest.raises(RuntimeError, match="cancelled"):
            stream.wait_response()
        with pytest.raises(ZeroDivisionError), client.stream("raised"):
            assert hold.call("raised").begun.wait(30)
            raise ZeroDivisionError
        assert (hold.live, hold.call("raised").outcome) == (0, "cancelled")


def test_a_cut_stream_raises_with_what_came(hold) -> None:
    with sync.Client("hold:a", providers=[hold]) as client, client.stream("hi") as stream:
        heard = []
        hold.let_go("hi", StreamInterrupted("the line broke"))
        with pytest.raises(StreamInterrupted) as caught:
            for piece in stream.text:
                heard.append(piece)
        assert heard == ["one "]
        assert caught.value.partial.text == stream.partial.text == "one "
        with pytest.raises(StreamInterrupted):
            next(stream)


def test_a_listener_hears_in_the_thread_that_asked(world) -> None:
    heard = []

    def listener(delta: llmmw.Delta) -> None:
        heard.append((type(delta).__name__, threading.current_thread()))
        if isinstance(delta, llmmw.PartDelta):
            inner.append(client.ask("within").text)

    inner: list[str] = []
    with sync.Client("sim:a", providers=[world(a=Script())]) as client:
        assert client.ask("hi", listener=listener).text == "ok"
    assert [name for name, _ in heard] == ["ResponseStart", "PartStart", "PartDelta", "PartEnd"]
    assert {thread for _, thread in heard} == {threading.current_thread()}
    assert inner == ["ok"]


def test_what_a_listener_raises_ends_the_call(hold) -> None:
    def listener(delta: llmmw.Delta) -> None:
        raise ValueError("mine") from KeyError("why")

    with sync.Client("hold:a", providers=[hold]) as client:
        with pytest.raises(ValueError, match="mine") as caught:
            client.ask("hi", listener=listener)
        assert isinstance(caught.value.__cause__, KeyError)
        assert hold.live == 0

        def interrupted(delta: llmmw.Delta) -> None:
            raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            client.ask("hi", listener=interrupted)
        assert hold.live == 0


def test_an_interrupt_waits_for_its_call_but_not_for_ever(
    hold, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(delta: llmmw.Delta) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("llmmw.sync._reading.PATIENCE", 0.01)
    hold.slow_to_end = 0.3
    with sync.Client("hold:a", providers=[hold]) as client:
        with pytest.raises(KeyboardInterrupt):
            client.ask("hi", listener=interrupted)
        assert hold.live == 1
    assert (hold.live, hold.call("hi").outcome) == (0, "cancelled")


@pytest.mark.parametrize("then", ["begun", "not begun", "closed"])
def test_an_interrupt_on_the_way_to_the_thread_waits_for_its_call(
    hold, monkeypatch: pytest.MonkeyPatch, then: str
) -> None:
    """Whether the thread has heard of the call by then, or not yet, or never will."""
    post = ThreadPortal.post
    interrupts = [True]

    def interrupted(portal: ThreadPortal, function: object, *arguments: object) -> None:
        if not interrupts:
            return post(portal, function, *arguments)
        interrupts.clear()
        if then == "begun":
            post(portal, function, *arguments)
            assert hold.call("hi").begun.wait(30)
        if then == "closed":
            portal.stop("it was time")
            portal.thread.join(30)
        raise KeyboardInterrupt

    monkeypatch.setattr("llmmw.sync._reading.PATIENCE", 60)
    with sync.Client("hold:a", providers=[hold]) as client:
        monkeypatch.setattr(ThreadPortal, "post", interrupted)
        before = time.monotonic()
        with pytest.raises(KeyboardInterrupt):
            client.ask("hi")
        assert time.monotonic() - before < 30
        assert (hold.live, list(hold.calls)) == (0, ["hi"] if then == "begun" else [])


def test_context_variables_of_the_caller_are_seen(hold, place) -> None:
    seen = []

    async def middleware(call: Call, next: Handler) -> Response:
        seen.append(place.get())
        place.set("inside")
        return await next(call)

    def instrument(event: object) -> None:
        seen.append(place.get())

    def ask() -> None:
        place.set("here")
        with client.stream("hi") as stream:
            hold.let_go("hi")
            stream.wait_response()
        assert place.get() == "here"

    providers, stack = [hold], [middleware]
    with sync.Client(
        "hold:a", providers=providers, stack=stack, instruments=[instrument]
    ) as client:
        copy_context().run(ask)
    assert seen[:2] == ["here", "here"]
    assert set(seen[2:]) == {"inside"}
    assert hold.call("hi").place == "inside"


def test_threads_share_a_client_and_do_not_harm_each_other(hold) -> None:
    with sync.Client("hold:a", providers=[hold], stack=[]) as client:

        def ask(number: int) -> str:
            if number % 3 == 0:
                with pytest.raises(ServerError, match=str(number)):
                    client.ask(str(number))
                return "failed"
            return client.ask(str(number)).text

        with ThreadPoolExecutor(12) as pool:
            asked = [pool.submit(ask, number) for number in range(12)]
            for number in reversed(range(12)):
                error = ServerError(f"of {number}") if number % 3 == 0 else None
                hold.let_go(str(number), error)
            told = [one.result(30) for one in asked]
    assert told == ["failed" if number % 3 == 0 else "one two" for number in range(12)]
    assert {held.thread for held in hold.calls.values()} == {"llmmw portal"}


def test_it_works_inside_a_running_loop(world) -> None:
    async def cell() -> str:
        with sync.Client("sim:a", providers=[world(a=Script())]) as client:
            return client.ask("hi").text

    async def trio_cell() -> str:
        return await cell()

    assert asyncio.run(cell()) == "ok"
    assert trio.run(trio_cell) == "ok"


def test_a_call_that_would_wait_for_itself_is_refused(world) -> None:
    async def middleware(call: Call, next: Handler) -> Response:
        with pytest.raises(RuntimeError, match="await the trio client there"):
            client.ask("from inside")
        with pytest.raises(RuntimeError, match="await the trio client there"):
            sync.Client("sim:a").open()
        with pytest.raises(RuntimeError, match="await the trio client there"):
            client.close()
        return await next(call)

    with sync.Client("sim:a", providers=[world(a=Script())], stack=[middleware]) as client:
        assert client.ask("hi").text == "ok"


def test_without_a_block(hold) -> None:
    client = sync.Client("hold:a", providers=[hold])
    with pytest.raises(RuntimeError, match="not open"):
        client.ask("hi")
    assert client.open() is client
    with pytest.raises(RuntimeError, match="open already"):
        client.open()
    hold.call("hi").answer.set()
    assert client.ask("hi").text == "one two"
    assert hold.opened
    client.close()
    client.close()
    assert not hold.opened
    with pytest.raises(RuntimeError, match="not open"):
        client.ask("hi")
    with client:
        assert client.ask("hi").text == "one two"


def test_closing_ends_the_calls_of_other_threads(hold) -> None:
    client = sync.Client("hold:a", providers=[hold]).open()
    with ThreadPoolExecutor(1) as pool:
        asked = pool.submit(client.ask, "hi")
        assert hold.call("hi").begun.wait(30)
        client.close()
        with pytest.raises(RuntimeError, match="the client is closed"):
            asked.result(30)
    assert (hold.live, hold.opened) == (0, False)


def test_a_replaced_client_shares_and_lives_as_long(world) -> None:
    sim = world(a=Script(pieces=("a",)), b=Script(pieces=("b",)))
    with sync.Client("sim:a", providers=[sim]) as client:
        other = client.replace("sim:b", stack=[])
        assert (client.ask("hi").text, other.ask("hi").text) == ("a", "b")
        assert isinstance(other, sync.Client)
        assert (other.targets, other.describe()) == (("sim:b",), ())
        other.close()
        assert other.targets == ("sim:b",)
        assert client.ask("hi").text == "a"
        late = client.replace("sim:b")
    with pytest.raises(RuntimeError, match="closed"):
        late.ask("hi")


def test_map_answers_in_order_and_with_progress(world) -> None:
    told = []
    with sync.Client("sim:a", providers=[world(a=Script())]) as client:
        rows = [{"id": f"r{number}", "prompt": "x"} for number in range(50)]
        with client.map(rows, concurrency=4, progress=told.append) as items:
            got = [(item.index, item.id, item.response.text) for item in items]
    assert got == [(number, f"r{number}", "ok") for number in range(50)]
    assert [(p.done, p.failed, p.total) for p in told] == [(n, 0, 50) for n in range(1, 51)]


def test_map_reads_its_input_in_the_callers_thread(world) -> None:
    database = sqlite3.connect(":memory:")  # it refuses other threads
    rows = "WITH RECURSIVE n(x) AS (SELECT 1 UNION SELECT x + 1 FROM n WHERE x < 9) SELECT x FROM n"
    with sync.Client("sim:a", providers=[world(a=Script())]) as client:
        prompts = (client.ask(f"row {row}").text for (row,) in database.execute(rows))
        with client.map(prompts, ordered=False) as items:
            assert len(list(items)) == 9
    database.close()


def test_map_reads_no_faster_than_answers_are_taken(world) -> None:
    read = 0

    def rows():
        nonlocal read
        for number in range(1000):
            read += 1
            yield f"row {number}"

    with sync.Client("sim:a", providers=[world(a=Script())]) as client:
        with client.map(rows(), concurrency=3) as items:
            for taken, _ in enumerate(items, start=1):
                assert read - taken <= 4 * 3
                if taken == 100:
                    break
    assert read < 120


def test_map_keeps_calls_alive_while_an_item_is_looked_at(hold) -> None:
    hold.call("0").answer.set()
    with sync.Client("hold:a", providers=[hold]) as client:
        with client.map(["0", "1"], concurrency=1) as items:
            assert next(items).id == 0
            assert hold.call("1").begun.wait(30)
            hold.let_go("1")
            assert [item.id for item in items] == [1]


def test_errors_of_a_map(world, boom, hold) -> None:
    sim = world(a=Script(error=boom, pieces=()))

    def broken():
        yield "x"
        raise LookupError("the input")

    with sync.Client("sim:a", providers=[sim, hold], stack=[]) as client:
        with client.map(["x", "y"], errors="yield") as items:
            assert [type(item.error) for item in items] == [ServerError, ServerError]
        with client.map(["x", "y"]) as items, pytest.raises(ServerError):
            next(items)
        with client.map(broken(), model="hold:a") as items:
            with pytest.raises(LookupError, match="the input"):
                list(items)
        assert hold.live == 0
        with pytest.raises(BadRequest, match="concurrency"), client.map(["x"], concurrency=0):
            pass
        with pytest.raises(BadRequest, match="single one"), client.map("x"):
            pass
        with pytest.raises(BadRequest, match="iterable"), client.map(3):
            pass

        async def rows():
            yield "x"

        with pytest.raises(BadRequest, match=r"llmmw\.aio"), client.map(rows()):
            pass


def test_leaving_a_map_cancels_what_goes_on(hold) -> None:
    hold.call("0").answer.set()
    with sync.Client("hold:a", providers=[hold]) as client:
        with client.map((str(n) for n in range(9)), concurrency=3) as items:
            assert next(items).response.text == "one two"
        assert hold.live == 0


@pytest.mark.parametrize("stop", [StopIteration, StopAsyncIteration])
def test_what_would_end_an_iteration_silently_is_an_error(world, stop) -> None:
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
    with sync.Client("sim:a", providers=[provider], stack=[middleware]) as client:
        for broken in (
            lambda: client.ask("break"),
            lambda: client.ask("x", listener=raise_it),
            lambda: list(client.stream("break").__enter__()),
        ):
            with pytest.raises(RuntimeError):
                broken()
        with client.map(["x"] * 3, progress=raise_it) as items:
            with pytest.raises((RuntimeError, StopAsyncIteration)):
                list(items)
        with client.map(Broken()) as items, pytest.raises(RuntimeError):
            list(items)


def test_an_error_that_is_raised_again_does_not_grow(world, boom) -> None:
    sim = world(a=Script(error=boom, pieces=()))
    with sync.Client("sim:a", providers=[sim], stack=[]) as client:
        with client.stream("x") as stream:
            depths = []
            for _ in range(3):
                with pytest.raises(ServerError) as caught:
                    stream.wait_response()
                depths.append(len(traceback.extract_tb(caught.value.__traceback__)))
    assert depths[1] == depths[2] == depths[0]


def test_threads_may_read_one_stream(world) -> None:
    with sync.Client("sim:a", providers=[world(a=Script())]) as client:
        with client.stream("x") as stream, ThreadPoolExecutor(3) as pool:
            read = [pool.submit(list, stream) for _ in range(3)]
            assert sum(len(one.result(30)) for one in read)
        assert stream.response.text == "ok"


def test_only_one_of_many_threads_opens_a_client(world) -> None:
    usual = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        with ThreadPoolExecutor(4) as pool:
            for _ in range(100):
                client = sync.Client("sim:a", providers=[world(a=Script())])
                opened = [pool.submit(client.open) for _ in range(4)]
                errors = [one.exception(30) for one in opened]
                assert sum(error is None for error in errors) == 1
                assert client.ask("x").text == "ok"
                client.close()
    finally:
        sys.setswitchinterval(usual)


class _Bell:
    """Waits once like a queue, and then is interrupted."""

    def __init__(self) -> None:
        self.interrupted = False
        self.rung = threading.Semaphore(0)

    def put(self, message: None) -> None:
        self.rung.release()

    def get(self, timeout: float | None = None) -> None:
        assert self.rung.acquire(timeout=30)
        if not self.interrupted:
            self.interrupted = True
            raise KeyboardInterrupt


def test_an_interrupt_loses_no_message() -> None:
    queue = Queue()
    queue._bell = _Bell()  # it is rung, and the interrupt comes before that is noticed
    queue.put(Ended("the end"))
    with pytest.raises(KeyboardInterrupt):
        queue._bell.get()
    assert [queue.get().result() for _ in range(2)] == ["the end"] * 2


def test_an_interrupt_before_a_call_has_begun_waits_for_nothing(world, monkeypatch) -> None:
    def interrupted(work: Work) -> None:
        raise KeyboardInterrupt

    with sync.Client("sim:a", providers=[world(a=Script())]) as client:
        with monkeypatch.context() as patch:
            patch.setattr(Work, "start", interrupted)
            started = time.monotonic()
            with pytest.raises(KeyboardInterrupt):
                client.ask("x")
            assert time.monotonic() - started < PATIENCE / 2
        assert client.ask("x").text == "ok"


def test_an_interrupt_while_closing_closes(hold, monkeypatch) -> None:
    def interrupted(work: Work) -> None:
        raise KeyboardInterrupt

    client = sync.Client("hold:a", providers=[hold]).open()
    with ThreadPoolExecutor(1) as pool:
        asked = pool.submit(client.ask, "x")
        assert hold.call("x").begun.wait(30)
        with monkeypatch.context() as patch:
            patch.setattr(Work, "start", interrupted)
            with pytest.raises(KeyboardInterrupt):
                client.close()
        assert hold.call("x").over.wait(30)
        with pytest.raises(RuntimeError, match="closed"):
            asked.result(30)
