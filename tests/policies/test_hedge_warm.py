"""Connections that are made ahead for hedges."""

from __future__ import annotations

import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any

import attrs
import pytest
import trio
import trio.testing
import trustme

from llmmw import Attempts, Client, Finish, Hedge, Response, Retry
from llmmw._listen import ResponseBuilder
from llmmw.errors import ConnectionFailed
from llmmw.plugin import Call, Provider
from llmmw.wire import Http, HttpProvider


def answer(call: Call, text: str) -> Awaitable[Response]:
    async def told() -> Response:
        builder = ResponseBuilder(call, "test")
        await builder.text(text)
        return await builder.finish(Finish("stop"))

    return told()


@attrs.define(eq=False)
class Slow(Provider):
    """Answers once it is told to."""

    name: str = attrs.field(default="slow", kw_only=True)
    asked: int = 0
    go: trio.Event = attrs.field(factory=trio.Event)

    async def __call__(self, call: Call) -> Response:
        self.asked += 1
        await self.go.wait()
        return await answer(call, "slow")


@attrs.define(eq=False)
class Warmed(Provider):
    """Notes how often a connection is made ahead."""

    name: str = attrs.field(default="warmed", kw_only=True)
    does: Callable[[], Awaitable[None]] = trio.sleep_forever
    warmed: int = 0
    ended: int = 0
    asked: int = 0

    async def warm(self) -> None:
        self.warmed += 1
        try:
            await self.does()
        finally:
            self.ended += 1

    async def __call__(self, call: Call) -> Response:
        self.asked += 1
        return await answer(call, "warmed")


@attrs.define(eq=False)
class Far(HttpProvider):
    """A host over HTTP."""

    url: str
    name: str = attrs.field(default="far", kw_only=True)

    def __attrs_post_init__(self) -> None:
        self._http = Http(base_url=self.url)

    async def __call__(self, call: Call) -> Response:
        sent = partial(call.attempt.mark_sent, call.ledger)
        async with self._http.post("/", b"{}", sent=sent) as reply:
            return await answer(call, (await reply.read()).decode())


async def fails() -> None:
    raise ConnectionFailed("nobody is there", processed=False)


async def at_once() -> None:
    await trio.lowlevel.checkpoint()


@asynccontextmanager
async def host(context: ssl.SSLContext) -> AsyncIterator[tuple[str, list[int], list[int]]]:
    """A host under TLS; the numbers of the connections that it shook hands on, and those of the
    requests."""
    made: list[int] = []
    asked: list[int] = []

    async def serve(stream: trio.SSLStream[trio.SocketStream]) -> None:
        await stream.do_handshake()
        number = len(made)
        made.append(number)
        try:
            while await stream.receive_some():
                asked.append(number)
                await stream.send_all(b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nfar")
        except trio.BrokenResourceError:
            pass

    async with trio.open_nursery() as nursery:
        listeners = await trio.open_ssl_over_tcp_listeners(0, context, host="127.0.0.1")
        nursery.start_soon(trio.serve_listeners, serve, listeners)
        port = listeners[0].transport_listener.socket.getsockname()[1]
        yield f"https://localhost:{port}", made, asked
        nursery.cancel_scope.cancel()


async def until(so: Callable[[], Any]) -> None:
    while not so():
        await trio.testing.wait_all_tasks_blocked()


def test_a_hedge_finds_an_open_connection(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    authority = trustme.CA()
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert("localhost").configure_cert(context)
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "ca.pem"))
    clock = trio.testing.MockClock()

    async def main() -> None:
        async with host(context) as (url, made, asked):
            hedge = Hedge(100, targets="far:m", warm=True)
            async with Client("slow:m", stack=[hedge], providers=[Slow(), Far(url)]) as client:
                async with trio.open_nursery() as nursery:
                    heard: list[str] = []

                    async def ask() -> None:
                        heard.append((await client.ask("Hello")).text)

                    nursery.start_soon(ask)
                    await until(lambda: made)
                    assert not asked, "nothing is sent"
                    clock.jump(101)
                assert heard == ["far"]
                assert made == asked == [0]

    trio.run(main, clock=clock)


@pytest.mark.parametrize("warm", [True, False])
@pytest.mark.virtual
async def test_it_is_made_when_the_call_is_sent_if_asked_for(warm: bool) -> None:
    slow, warmed = Slow(), Warmed(does=at_once)
    hedge = Hedge(5, targets="warmed:m", warm=warm)
    async with Client("slow:m", stack=[hedge], providers=[slow, warmed]) as client:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(client.ask, "Hello")
            await trio.sleep(1)
            assert (slow.asked, warmed.warmed, warmed.asked) == (1, int(warm), 0)
        assert (warmed.warmed, warmed.asked) == (int(warm), 1)


@pytest.mark.parametrize("does", [fails, trio.sleep_forever])
@pytest.mark.virtual
async def test_what_goes_wrong_ahead_changes_nothing(does: Callable[[], Awaitable[None]]) -> None:
    warmed = Warmed(does=does)
    stack = [Attempts(Retry(), Hedge(5, targets="warmed:m", warm=True))]
    async with Client("slow:m", stack=stack, providers=[Slow(), warmed]) as client:
        began = trio.current_time()
        assert (await client.ask("Hello")).text == "warmed"
        assert trio.current_time() - began == 5
        assert warmed.warmed == 1


@pytest.mark.virtual
async def test_one_is_made_at_a_time_and_it_ends_with_the_client() -> None:
    slow, warmed = Slow(), Warmed()
    hedge = Hedge(50, targets="warmed:m", warm=True)
    async with Client("slow:m", stack=[hedge], providers=[slow, warmed]) as client:
        async with trio.open_nursery() as nursery:
            for _ in range(10):
                nursery.start_soon(client.ask, "Hello")
            await trio.sleep(1)
            assert (warmed.warmed, warmed.ended) == (1, 0)
            slow.go.set()
        with trio.move_on_after(1):
            slow.go = trio.Event()
            await client.ask("Hello")
        assert (warmed.warmed, warmed.ended) == (1, 0)
    assert warmed.ended == 1


@pytest.mark.parametrize("targets", ["nowhere:m", [lambda request: 1 / 0]])
@pytest.mark.virtual
async def test_a_target_that_is_none_spoils_no_call_that_does_not_need_it(targets: Any) -> None:
    slow = Slow()
    hedge = Hedge(50, targets=targets, warm=True)
    async with Client("slow:m", stack=[hedge], providers=[slow]) as client:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(client.ask, "Hello")
            await trio.sleep(1)
            slow.go.set()


@pytest.mark.virtual
async def test_none_is_made_for_a_hedge_that_can_not_come() -> None:
    """Its time is behind the deadline."""
    warmed = Warmed(does=at_once)
    hedge = Hedge(5, targets="warmed:m", warm=True)
    async with Client("slow:m", stack=[hedge], providers=[Slow(), warmed]) as client:
        with trio.move_on_after(3):
            await client.ask("Hello")
    assert warmed.warmed == 0
