"""A provider whose calls the test ends one by one, and sees ending."""

import asyncio
import functools
import threading
import time
from collections.abc import Callable, Coroutine, Iterator
from contextlib import asynccontextmanager
from contextvars import ContextVar

import attrs
import pytest
import trio
import uvloop

from llmmw import Call, Finish, Response, aio
from llmmw.errors import ServerError
from llmmw.plugin import Provider, ResponseBuilder
from llmmw.testing import Script, SimulatedProvider

PLACE: ContextVar[str] = ContextVar("PLACE", default="nowhere")


def plainly(main: Coroutine) -> object:
    """Run in an asyncio loop, whose calls are made in the background thread."""
    return asyncio.run(asyncio.wait_for(main, 60))


def as_guest(main: Coroutine, run: Callable = asyncio.run) -> object:
    """Run in an asyncio loop, whose calls are made there too; trio can run here afterwards."""

    async def within() -> object:
        async with aio.guest():
            return await asyncio.wait_for(main, 60)

    try:
        return run(within())
    finally:
        assert not trio.lowlevel.in_trio_run()


WAYS = {
    "thread": plainly,
    "guest": as_guest,
    "guest in uvloop": functools.partial(as_guest, run=uvloop.run),
}
_ways = [plainly]


@pytest.fixture(params=list(WAYS))
def each_way(request: pytest.FixtureRequest) -> Iterator[None]:
    """The test is run with each way from asyncio to trio."""
    _ways.append(WAYS[request.param])
    yield
    _ways.pop()


def run_in_asyncio(main: Coroutine) -> object:
    """Run in an asyncio loop, in the way that the test is run in now; what hangs fails."""
    return _ways[-1](main)


async def seen(event: threading.Event) -> None:
    """Wait for what happens in trio."""
    assert await asyncio.to_thread(event.wait, 30)


@attrs.define(eq=False)
class _Held:
    """One call: what the test decides of it, and what became of it."""

    answer: trio.Event = attrs.field(factory=trio.Event)
    error: Exception | None = None
    begun: threading.Event = attrs.field(factory=threading.Event)
    over: threading.Event = attrs.field(factory=threading.Event)
    outcome: str = ""
    ended: float = 0.0
    place: str = ""
    thread: str = ""


@attrs.define(eq=False)
class HoldingProvider(Provider):
    """Tells "one ", and then waits until the test lets the call go; keyed by the prompt."""

    name: str = attrs.field(default="hold", kw_only=True)
    calls: dict[str, _Held] = attrs.field(factory=dict)
    live: int = 0
    opened: bool = False
    slow_to_end: float = 0.0
    _token: trio.lowlevel.TrioToken | None = None
    _lock: threading.Lock = attrs.field(factory=threading.Lock)

    def call(self, prompt: str) -> _Held:
        with self._lock:
            return self.calls.setdefault(prompt, _Held())

    def let_go(self, prompt: str, error: Exception | None = None) -> None:
        """Let a call that has begun answer, or fail; from any thread."""
        held = self.call(prompt)
        held.error = error
        assert held.begun.wait(30)
        assert self._token is not None
        self._token.run_sync_soon(held.answer.set)

    async def let_go_soon(self, prompt: str, error: Exception | None = None) -> None:
        """The same from a loop, which must go on meanwhile."""
        await seen(self.call(prompt).begun)
        self.let_go(prompt, error)

    @asynccontextmanager
    async def open(self, host: object):
        self.opened = True
        try:
            yield
        finally:
            self.opened = False

    async def __call__(self, call: Call) -> Response:
        self._token = trio.lowlevel.current_trio_token()
        held = self.call(call.request.messages[-1].text)
        held.place, held.thread = PLACE.get(), threading.current_thread().name
        builder = ResponseBuilder(call, self.name)
        self.live += 1
        held.outcome = "cancelled"
        try:
            await builder.text("one ")
            held.begun.set()
            await held.answer.wait()
            if held.error is not None:
                raise held.error
            await builder.text("two")
            held.outcome = "ok"
            return await builder.finish(Finish("stop"))
        except Exception:
            held.outcome = "failed"
            raise
        finally:
            if self.slow_to_end:
                with trio.CancelScope(shield=True):
                    await trio.sleep(self.slow_to_end)
            held.ended = time.monotonic()
            self.live -= 1
            held.over.set()


@pytest.fixture
def hold() -> HoldingProvider:
    return HoldingProvider()


@pytest.fixture
def place() -> ContextVar[str]:
    return PLACE


@pytest.fixture
def world() -> Callable[..., SimulatedProvider]:
    def make(**scripts: Script) -> SimulatedProvider:
        return SimulatedProvider({name: [script] for name, script in scripts.items()})

    return make


@pytest.fixture
def boom() -> Callable[[], ServerError]:
    return lambda: ServerError("boom", status=500)
