"""Hosts that a test of the pool holds in its hands, plain and under TLS."""

from __future__ import annotations

import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import attrs
import trio
import trustme

from llmmw.wire._client import tls
from llmmw.wire._http1 import Origin, Pool, Request

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
HEAD = b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\n"
HALF = b"HTTP/1.1 200 OK\r\nContent-Length: 20\r\n\r\nok"


@attrs.define(eq=False)
class Far:
    """A server whose connections a test holds in its hands."""

    origin: Origin = attrs.field(default=None)
    streams: list[trio.SocketStream] = attrs.field(factory=list)
    requests: list[int] = attrs.field(factory=list)
    """The number of the connection of each."""
    held: trio.Event | None = None
    """Answers wait for it."""
    answer: bytes = OK
    alive: int = 0
    changed: trio.Condition = attrs.field(factory=trio.Condition)

    async def serve(self, stream: trio.SocketStream) -> None:
        self.streams.append(stream)
        number = len(self.streams) - 1
        self.alive += 1
        await self._tell()
        try:
            async for data in stream:
                for _ in range(data.count(b"POST")):
                    self.requests.append(number)
                    await self._tell()
                    if self.held is not None:
                        await self.held.wait()
                    await stream.send_all(self.answer)
        except (trio.BrokenResourceError, trio.ClosedResourceError):
            pass
        finally:
            self.alive -= 1
            await self._tell()

    async def _tell(self) -> None:
        async with self.changed:
            self.changed.notify_all()

    async def until(self, so: Any) -> None:
        async with self.changed:
            while not so():
                await self.changed.wait()


@asynccontextmanager
async def opened(**options: Any) -> AsyncIterator[tuple[Pool, Far]]:
    async with trio.open_nursery() as nursery:
        far = Far()
        listeners = await trio.open_tcp_listeners(0, host="127.0.0.1")
        far.origin = Origin(False, "127.0.0.1", listeners[0].socket.getsockname()[1])
        nursery.start_soon(trio.serve_listeners, far.serve, listeners)
        pool = Pool(tls=tls, **options)
        try:
            yield pool, far
        finally:
            pool.close()
        nursery.cancel_scope.cancel()


async def ask(pool: Pool, far: Far) -> bytes:
    answer = await pool.send(far.origin, Request(HEAD, b"{}"))
    return b"".join([piece async for piece in answer])


class Corked(trio.abc.Stream):
    """What is written while it is corked leaves at once later."""

    def __init__(self, stream: trio.SocketStream) -> None:
        self.stream, self.held = stream, bytearray()
        self.corked = False

    async def send_all(self, data: bytes) -> None:
        self.held += data
        if not self.corked:
            told, self.held = self.held, bytearray()
            await self.stream.send_all(told)

    async def wait_send_all_might_not_block(self) -> None:
        await self.stream.wait_send_all_might_not_block()

    async def receive_some(self, max_bytes: int | None = None) -> bytes:
        return await self.stream.receive_some(max_bytes)

    async def aclose(self) -> None:
        await self.stream.aclose()


def contexts() -> tuple[ssl.SSLContext, ssl.SSLContext]:
    authority = trustme.CA()
    server = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    client = ssl.create_default_context()
    authority.issue_cert("localhost").configure_cert(server)
    authority.configure_trust(client)
    return server, client


@asynccontextmanager
async def secured(
    answers: list[list[bytes]], *given: ssl.SSLContext
) -> AsyncIterator[tuple[Pool, Origin, list[int]]]:
    """A host under TLS; the parts of an answer are sent at once, in a record each."""
    server, client = given or contexts()
    asked: list[int] = []
    connections = 0

    async def serve(plain: trio.SocketStream) -> None:
        nonlocal connections
        connections += 1
        number, corked = connections, Corked(plain)
        stream = trio.SSLStream(corked, server, server_side=True, https_compatible=True)
        try:
            while await stream.receive_some():
                asked.append(number)
                corked.corked = True
                for part in answers.pop(0):
                    await stream.send_all(part)
                corked.corked = False
                await corked.send_all(b"")
        except trio.BrokenResourceError:
            pass
        finally:
            await trio.aclose_forcefully(corked)

    async with trio.open_nursery() as nursery:
        listeners = await trio.open_tcp_listeners(0, host="127.0.0.1")
        nursery.start_soon(trio.serve_listeners, serve, listeners)
        port = listeners[0].socket.getsockname()[1]
        pool = Pool(tls=lambda: client)
        try:
            yield pool, Origin(True, "localhost", port), asked
        finally:
            pool.close()
            nursery.cancel_scope.cancel()
