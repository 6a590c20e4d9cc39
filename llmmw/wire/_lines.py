"""Requests as lines of a batch, and their answers out of one: by the provider's own code, which
is not told that nothing goes over the line.

::

    call ─▶ provider ─▶ POST … ─╳  the line: path and body        (written)
    call ─▶ provider ─▶ POST … ─▶ what the batch has for it ─▶ response        (read)
"""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import contextmanager
from typing import Any, NoReturn

import attrs
import httpx
import orjson

from llmmw._administration import Batches, Line, Outcome
from llmmw._call import Attempt, Call
from llmmw._chain import Handler
from llmmw._ledger import Ledger
from llmmw._response import Response
from llmmw.errors import CallShed, DeadlineExceeded, LLMError, ProtocolError, UnsupportedFeature
from llmmw.wire._http import Http
from llmmw.wire._json import loads
from llmmw.wire._ndjson import NDJSONDecoder
from llmmw.wire._reply import Reply
from llmmw.wire._tape import TAPE, Send

__all__ = ["HttpBatches", "packed"]

_DAY = 86_400.0
_MOST_BYTES = 4 * 2**30
"""Of a file of results."""
_MOST_LINE = 64 * 2**20
_STREAMING = ("stream", "stream_options", "background")
"""What no line of a batch may have."""


class _Written(Exception):
    """A request was made, and is not sent. No error of a call, so that nobody takes it for one."""


@attrs.define(eq=False)
class _Writing:
    """Takes a request off the line."""

    needs_key: bool = False
    asked: httpx.Request | None = None

    async def send(
        self, request: httpx.Request, send: Send, scrub: Callable[[str], str]
    ) -> NoReturn:
        self.asked = request
        raise _Written


@attrs.define(eq=False)
class _Reading:
    """Answers a request with what a batch has for it."""

    outcome: Outcome
    needs_key: bool = False
    asked: int = 0

    async def send(
        self, request: httpx.Request, send: Send, scrub: Callable[[str], str]
    ) -> httpx.Response:
        self.asked += 1
        if self.asked > 1:
            raise UnsupportedFeature("one line of a batch can't answer several requests")
        headers = {"content-type": "application/json"}
        if self.outcome.request_id:
            headers["x-request-id"] = self.outcome.request_id
        stream = httpx.ByteStream(self.outcome.body)
        return httpx.Response(self.outcome.status, headers=headers, stream=stream, request=request)


@contextmanager
def _in_place_of_the_line(tape: _Writing | _Reading) -> Any:
    before = TAPE.set(tape)
    try:
        yield
    finally:
        TAPE.reset(before)


@attrs.frozen(kw_only=True)
class HttpBatches(Batches):
    """Base of a provider's batches over HTTP: how calls become lines, and lines responses.

    Args:
        http: the way to its host.
    """

    http: Http = attrs.field(repr=False)

    async def write(self, ask: Handler, call: Call) -> Line:
        """A call as a line; see `Batches`."""
        writing = _Writing()
        try:
            with _in_place_of_the_line(writing):
                quiet = call.replace(listener=None, attempt=Attempt(), ledger=Ledger())
                await ask(quiet)
        except _Written:
            pass
        if writing.asked is None:
            raise UnsupportedFeature("this call asks its host for nothing, so no batch can hold it")
        body = loads(writing.asked.content)
        body = {name: one for name, one in body.items() if name not in _STREAMING}
        base = httpx.URL(self.http.base_url).path.rstrip("/")
        path = writing.asked.url.path.removeprefix(base)
        return Line(path, body, self.group(path, body, writing.asked.headers))

    def group(self, path: str, body: Mapping[str, Any], headers: Mapping[str, str]) -> str:
        """What the lines of one batch have in common. Default: the path."""
        return path

    async def read(self, ask: Handler, call: Call, outcome: Outcome) -> Response:
        """What came for a call; see `Batches`."""
        if outcome.ending == "expired":
            raise DeadlineExceeded(
                "the batch expired before this was answered",
                limit="completion_window",
                after=_DAY,
                layer=f"batches of {self.name}",
            )
        if outcome.ending == "cancelled":
            raise CallShed("the batch was cancelled before this was answered: ask it again")
        if outcome.ending != "answered":
            raise ProtocolError("the batch has ended and says nothing of this question")
        with _in_place_of_the_line(_Reading(outcome)):
            quiet = call.replace(attempt=Attempt(), ledger=Ledger())
            try:
                return await ask(quiet)
            except LLMError as error:
                error.processed = True
                raise

    async def objects(self, reply: Reply) -> AsyncGenerator[Mapping[str, Any], None]:
        """The objects of a file of lines, as they come; whatever else stands there is left out."""
        reply.most_bytes = _MOST_BYTES
        decoder = NDJSONDecoder(max_line=_MOST_LINE, max_total=None)
        piece = await reply.next_piece()
        while piece:
            for line in decoder.feed(piece):
                yield _object(line)
            piece = await reply.next_piece()
        for line in decoder.end():
            yield _object(line)


def _object(line: bytes) -> Mapping[str, Any]:
    try:
        told = loads(line)
    except ProtocolError:
        return {}
    return told if isinstance(told, Mapping) else {}


def packed(told: object) -> bytes:
    """JSON that came inside other JSON, as the bytes that it would be by itself."""
    try:
        return orjson.dumps(told)
    except TypeError:  # deeper, or with larger numbers, than that writes
        return json.dumps(told).encode()
