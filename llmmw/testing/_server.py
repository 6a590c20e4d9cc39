"""A real HTTP server on the loopback, which answers as a test says: for authors of providers."""

from __future__ import annotations

import functools
import itertools
import struct
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping
from contextlib import asynccontextmanager
from typing import Any, TypeAlias

import attrs
import h11
import trio

from llmmw._tasks import open_nursery

__all__ = ["Answer", "Received", "Server", "open_server"]


@attrs.frozen(kw_only=True)
class Received:
    """A request as it came over the line."""

    method: str
    path: str
    headers: Mapping[str, str] = attrs.field(repr=False)
    body: bytes = b""

    def json(self) -> Any:
        """The body as data."""
        import orjson

        return orjson.loads(self.body)


@attrs.frozen(kw_only=True)
class Answer:
    """An answer to send.

    Args:
        status: of HTTP.
        headers: further ones; a body that comes whole has its length told.
        body: the whole body; or
        pieces: what is sent one after another, as events of a stream are: bytes, or a function
            that is awaited at its place, to wait for something.
        at_once: put the pieces, then all bytes, on the line in one go: they are as many chunks of
            HTTP still, and come one after another out of it, many times sooner.
        cut: break the line after the pieces, in the middle of the body.
        reset: send nothing of all this, and reset the connection.
    """

    status: int = 200
    headers: Mapping[str, str] = attrs.field(factory=dict)
    body: bytes = b""
    pieces: Iterable[bytes | Callable[[], Awaitable[None]]] | None = None
    at_once: bool = False
    cut: bool = False
    reset: bool = False


Answering: TypeAlias = Callable[[Received], Awaitable[Answer]]


@attrs.define(eq=False)
class Server:
    """A running server: where it is, and what it has heard."""

    url: str
    requests: list[Received] = attrs.field(factory=list)
    connections: int = 0
    """How many connections were opened."""
    alive: int = 0
    """How many of them are open."""
    idle: trio.Event = attrs.field(factory=trio.Event)
    """Set when the last open connection is closed; a new one has a new event."""
    left: trio.Event = attrs.field(factory=trio.Event)
    """Set when a client leaves before its answer ends."""
    left_at: float = 0.0
    """When one did so last, in trio's time."""


@asynccontextmanager
async def open_server(answers: Answering | Iterable[Answer] | Answer) -> AsyncIterator[Server]:
    """Serve as long as the block runs.

    Args:
        answers: an async function of each request; or one answer for all; or answers in turn,
            the last one again and again. What the function raises, the block raises.
    """
    given = answers if callable(answers) else _in_turn(answers)
    failures: list[Exception] = []

    async def answer(received: Received) -> Answer:
        try:
            return await given(received)
        except Exception as error:
            failures.append(error)
            raise

    async with open_nursery() as nursery:
        serve = functools.partial(trio.serve_tcp, host="127.0.0.1", port=0)
        server = Server("")

        async def handle(stream: trio.SocketStream) -> None:
            server.connections += 1
            server.alive += 1
            if server.idle.is_set():
                server.idle = trio.Event()
            try:
                await _converse(stream, server, answer)
            finally:
                server.alive -= 1
                if not server.alive:
                    server.idle.set()

        listeners = await nursery.start(serve, handle)
        port = listeners[0].socket.getsockname()[1]
        server.url = f"http://127.0.0.1:{port}"
        try:
            yield server
        except Exception as error:
            if not failures:
                raise
            raise failures[0] from error  # a client that failed did so because of it
        finally:
            nursery.cancel_scope.cancel()


def _in_turn(answers: Iterable[Answer] | Answer) -> Answering:
    row = [answers] if isinstance(answers, Answer) else list(answers)
    turns = itertools.chain(row, itertools.repeat(row[-1]))

    async def answer(received: Received) -> Answer:
        return next(turns)

    return answer


async def _converse(stream: trio.SocketStream, server: Server, answer: Answering) -> None:
    """One connection: requests and their answers, until either side has enough."""
    line = h11.Connection(h11.SERVER)
    async with stream:
        while True:
            received = await _received(stream, line)
            if received is None:
                return
            server.requests.append(received)
            cut = True
            try:
                async with open_nursery() as nursery:
                    nursery.start_soon(_watch, stream, line, server, nursery.cancel_scope)
                    cut = await _send(stream, line, await answer(received))
                    nursery.cancel_scope.cancel()
            except (trio.BrokenResourceError, trio.ClosedResourceError):
                _leave(server)
                return
            if cut or line.our_state is not h11.DONE or line.their_state is not h11.DONE:
                return
            line.start_next_cycle()


async def _watch(
    stream: trio.SocketStream, line: h11.Connection, server: Server, scope: trio.CancelScope
) -> None:
    """A client says nothing while it hears an answer, so whatever can be read is its leaving;
    or, once all is on its way, its next request."""
    await trio.lowlevel.wait_readable(stream.socket)
    if line.our_state is not h11.DONE:
        _leave(server)
        scope.cancel()


def _leave(server: Server) -> None:
    server.left_at = trio.current_time()
    server.left.set()


async def _received(stream: trio.SocketStream, line: h11.Connection) -> Received | None:
    head: h11.Request | None = None
    body = bytearray()
    while True:
        try:
            event = line.next_event()
        except h11.RemoteProtocolError:  # a client that speaks TLS, for example
            return None
        if event is h11.NEED_DATA:
            try:
                line.receive_data(await stream.receive_some())
            except trio.BrokenResourceError:
                return None
        elif isinstance(event, h11.Request):
            head = event
        elif isinstance(event, h11.Data):
            body += event.data
        elif isinstance(event, h11.EndOfMessage) and head is not None:
            return Received(
                method=head.method.decode(),
                path=head.target.decode(),
                headers={name.decode(): told.decode("latin-1") for name, told in head.headers},
                body=bytes(body),
            )
        else:
            return None


async def _send(stream: trio.SocketStream, line: h11.Connection, answer: Answer) -> bool:
    """Send an answer; whether the line is to be broken now."""
    if answer.reset:
        at_once = struct.pack("ii", 1, 0)  # to close with a reset instead of an end
        stream.socket.setsockopt(trio.socket.SOL_SOCKET, trio.socket.SO_LINGER, at_once)
        return True
    headers = dict(answer.headers)
    if answer.pieces is None:
        headers["Content-Length"] = str(len(answer.body))
    else:
        headers["Transfer-Encoding"] = "chunked"
    rows = [(name.encode(), told.encode("latin-1")) for name, told in headers.items()]
    head = h11.Response(status_code=answer.status, headers=rows)
    data = line.send(head) or b""
    if answer.pieces is None and answer.body:
        data += line.send(h11.Data(data=answer.body)) or b""
    if answer.pieces is None and not answer.cut:
        data += line.send(h11.EndOfMessage()) or b""
    pieces = answer.pieces or ()
    if answer.at_once:
        some = [piece for piece in pieces if isinstance(piece, bytes) and piece]
        data += b"".join(line.send(h11.Data(data=piece)) or b"" for piece in some)
        pieces = ()
    await stream.send_all(data)  # in one go, so that no next request comes before its end
    for piece in pieces:
        if isinstance(piece, bytes):
            if piece:
                await stream.send_all(line.send(h11.Data(data=piece)) or b"")
        else:
            await piece()
    if answer.pieces is not None and not answer.cut:
        await stream.send_all(line.send(h11.EndOfMessage()) or b"")
    return answer.cut
