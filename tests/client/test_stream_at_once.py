"""Deltas that come faster than tasks take turns: none is lost, late, or heard by force."""

import math
from collections.abc import Awaitable, Callable
from functools import partial

import attrs
import pytest
import trio
import trio.testing
from hypothesis import given
from hypothesis import strategies as st

from llmmw import (
    Call,
    Client,
    Delta,
    Finish,
    Generation,
    Handler,
    PartDelta,
    PartEnd,
    PartStart,
    Response,
    Timeout,
)
from llmmw.errors import DeadlineExceeded
from llmmw.plugin import Provider, ResponseBuilder
from llmmw.testing import run_virtual

virtual = pytest.mark.virtual


@attrs.define(eq=False)
class Quick(Provider):
    """Says words one after another, without a pause, and calls what stands between them."""

    words: tuple[str | Callable[[], object], ...] = ()

    async def __call__(self, call: Call) -> Generation:
        builder = ResponseBuilder(call, self.name)
        for word in self.words:
            if isinstance(word, str):
                await builder.text(word)
            elif isinstance(done := word(), Awaitable):
                await done
        return await builder.finish(Finish("stop"))


def client_of(*words: str | Callable[[], object], stack: tuple = ()) -> Client:
    return Client("quick:a", providers=[Quick(name="quick", words=words)], stack=stack)


def pass_time() -> None:
    """Five seconds in which no task has a turn."""
    clock = trio.lowlevel.current_clock()
    assert isinstance(clock, trio.testing.MockClock)
    clock.jump(5)


@virtual
@pytest.mark.parametrize("limit", ["idle", "total"])
async def test_what_is_said_after_a_limit_is_not_heard(limit: str) -> None:
    stack = (Timeout(**{"idle": 9.0, limit: 1.0}),)
    async with client_of("one", pass_time, "late", "later", stack=stack) as client:
        heard = []

        async def hear(delta: Delta) -> None:
            heard.append(getattr(delta, "text", ""))

        with pytest.raises(DeadlineExceeded) as caught:
            await client.ask("hi", listener=hear)
        assert (caught.value.limit, "".join(heard)) == (limit, "one")
        async with client.stream("hi") as stream:
            with pytest.raises(DeadlineExceeded):
                await stream.wait_response()
            assert stream.partial.text == "one"


@virtual
@pytest.mark.parametrize("waits", [True, False])
@pytest.mark.parametrize("first", [True, False])
async def test_a_listener_that_takes_long_is_no_slow_provider(first: bool, waits: bool) -> None:
    """One that gives what the next one gives, too."""

    async def slow(call: Call, next: Handler) -> Response:
        told = call.listener
        assert told is not None

        def hear(delta: Delta) -> Awaitable[None]:
            if isinstance(delta, PartStart if first else PartDelta):
                pass_time()
            return told(delta)

        async def heard(delta: Delta) -> None:
            await hear(delta)

        return await next(call.listening(heard if waits else hear))

    stack = (slow, Timeout(first_token=1, idle=1))
    said = ("one", trio.lowlevel.checkpoint, "two", lambda: trio.sleep(0.5), "three")
    async with client_of(*said, stack=stack) as client, client.stream("hi") as stream:
        assert (await stream.wait_response()).text == "onetwothree"


@given(st.lists(st.floats(0, 0.03), max_size=40), st.floats(0.05, 8))
def test_silence_lasts_as_long_as_the_limit(gaps: list[float], idle: float) -> None:
    """However the deadline followed the deltas before."""
    words = [one for gap in gaps for one in (partial(trio.sleep, min(gap, idle / 2)), "word ")]

    async def ask() -> float:
        silent = 0.0

        async def be_silent() -> None:
            nonlocal silent
            silent = trio.current_time()
            await trio.sleep_forever()

        stack = (Timeout(idle=idle),)
        async with client_of("first ", *words, be_silent, stack=stack) as client:
            async with client.stream("hi") as stream:
                with pytest.raises(DeadlineExceeded, match="silent"):
                    await stream.wait_response()
            return trio.current_time() - silent

    assert run_virtual(ask) == pytest.approx(idle, abs=1e-9)


@virtual
async def test_who_reads_what_has_come_lets_others_run_and_can_be_cancelled() -> None:
    async with client_of(*["x"] * 1000) as client, trio.open_nursery() as nursery:
        turns = 0

        async def other() -> None:
            nonlocal turns
            while True:
                await trio.lowlevel.checkpoint()
                turns += 1

        nursery.start_soon(other)
        async with client.stream("hi") as stream:
            await anext(stream)
            turns = 0
            async for _ in stream:
                pass
            assert turns > 20
            with trio.CancelScope() as scope:
                scope.cancel()
                await stream.wait_response()
            assert scope.cancelled_caught
        async with client.stream("hi") as stream:
            await anext(stream)
            with trio.CancelScope() as scope:
                scope.cancel()
                await anext(stream)
            assert scope.cancelled_caught
            assert (await stream.wait_response()).text == "x" * 1000
            assert "".join([piece async for piece in stream.text]) == ""
        nursery.cancel_scope.cancel()


@virtual
async def test_two_readers_get_each_delta_once_between_them() -> None:
    said = [word for number in range(100) for word in (f"{number} ", trio.lowlevel.checkpoint)]
    async with client_of(*said, *["x"] * 100) as client, client.stream("hi") as stream:
        got: list[Delta] = []

        async def read(most: float) -> None:
            async for delta in stream:
                got.append(delta)
                most -= 1
                if not most:
                    return

        async with trio.open_nursery() as nursery:
            for most in (math.inf, math.inf, 10):
                nursery.start_soon(read, most)
    texts = [delta.text for delta in got if isinstance(delta, PartDelta)]
    assert sorted(texts) == sorted([*(f"{number} " for number in range(100)), *["x"] * 100])
    assert sum(isinstance(delta, PartEnd) for delta in got) == 1


@pytest.mark.parametrize("stack", [(), (Timeout(idle=9),), None])
async def test_a_listener_can_be_called_by_whatever_runs_async_functions(stack) -> None:
    """In a task of its own, or for another thread."""

    class Elsewhere(Provider):
        async def __call__(self, call: Call) -> Generation:
            listener = call.listener
            assert listener is not None

            async def tell(delta: Delta) -> None:
                async with trio.open_nursery() as nursery:
                    nursery.start_soon(listener, delta)

            builder = ResponseBuilder(call.replace(listener=tell), self.name)
            await builder.text("one ")
            await builder.text("two ")
            in_thread = partial(trio.to_thread.run_sync, trio.from_thread.run, listener)
            builder.call = call.replace(listener=in_thread)
            await builder.text("three")
            return await builder.finish(Finish("stop"))

    providers = [Elsewhere(name="other")]
    async with Client("other:a", providers=providers, stack=stack) as client:
        async with client.stream("hi") as stream:
            assert [piece async for piece in stream.text] == ["one ", "two ", "three"]
