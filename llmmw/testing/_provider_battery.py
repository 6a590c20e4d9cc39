"""The battery: what every provider over HTTP must do. A check is named after what it finds true."""

from __future__ import annotations

import functools
import math
import random
import traceback
from collections.abc import Awaitable, Callable

import attrs
import orjson
import trio

from llmmw._call import Call
from llmmw._capabilities import Capabilities
from llmmw._deltas import Fold
from llmmw._request import Generate
from llmmw._response import Generation
from llmmw._tasks import open_nursery
from llmmw.errors import LLMError, ProtocolError, StreamInterrupted
from llmmw.testing._exchange import Checked, Exchange, ask, need
from llmmw.testing._provider_errors import ERRORS, FAILURES
from llmmw.testing._provider_leaks import PLANTED, leaks
from llmmw.testing._provider_parameters import SAMPLES
from llmmw.testing._server import Answer, Received

__all__ = ["CHECKS"]

_MOST_CUTS = 400
_AT_ONCE = 2.0
"""Seconds within which a cancelled call must be off the line."""


async def _is_honest_about_what_it_can(checked: Checked, draw: random.Random) -> None:
    provider = checked.make("http://127.0.0.1:9", PLANTED)
    need(provider.name, "the provider has no name")
    need(":" not in provider.name, f"name={provider.name!r}: a target is split at its colon")
    can = provider.capabilities(checked.model)
    need(isinstance(can, Capabilities), f"capabilities() gave {can!r}")
    known = {field.name for field in attrs.fields(Generate)}
    unknown = (can.parameters or frozenset()) - known
    need(not unknown, f"capabilities() names {sorted(unknown)}, which Generate does not have")
    for one in checked.exchanges:
        kind = type(one.request)
        need(can.kinds is None or kind in can.kinds, f"it does not say that it does {kind}")


async def _answers_whole(checked: Checked, draw: random.Random) -> None:
    for one in checked.exchanges:
        calls: list[Call] = []
        sent: list[bool] = []

        async def answer(received: Received, one: Exchange = one) -> Answer:
            sent.append(calls[-1].attempt.sent is not None)  # noqa: B023 (used within the turn)
            return one.whole

        async with checked.client(answer, calls) as (client, server):
            response = await ask(client, one.request, stream=False)
            need(response.provider, "the response does not name its provider")
            heard = "\n".join(f"{k}: {v}" for k, v in server.requests[0].headers.items())
            need(PLANTED in f"{heard}{server.requests[0].path}", "the request carries no key")
        need(sent == [True], "the request left before the attempt was marked as sent")


async def _streams_the_same(checked: Checked, draw: random.Random) -> None:
    for one in checked.streams:
        fold, deltas = Fold(), 0
        async with checked.client(one.streamed()) as (client, _):
            assert isinstance(one.request, Generate)
            async with client.stream(one.request) as stream:
                async for delta in stream:
                    fold(delta)
                    deltas += 1
            response = stream.response
        need(fold.response().parts == response.parts, "the fold of the deltas is another answer")
        need(deltas, "nothing was told while it streamed")
        whole = await checked.ask(one.whole, one, stream=False)
        assert isinstance(whole, Generation)
        need(_same(whole, response), f"streamed: {response!r}; whole: {whole!r}")
        bytewise = [one.stream[at : at + 1] for at in range(len(one.stream or b""))]  # type: ignore[index]
        answer = attrs.evolve(one.streamed(), pieces=bytewise)
        again = await checked.ask(answer, one, stream=True)
        need(again == response, f"byte by byte: {again!r}; at once: {response!r}")


def _same(one: Generation, other: Generation) -> bool:
    """Whether two answers say the same; ids may differ, as those of two calls do."""
    reasons = one.finish_reason == other.finish_reason
    calls = [(call.name, call.arguments) for call in one.tool_calls]
    others = [(call.name, call.arguments) for call in other.tool_calls]
    texts = (one.text, one.reasoning, one.refusal) == (other.text, other.reasoning, other.refusal)
    return reasons and calls == others and texts


async def _never_takes_a_cut_stream_for_an_answer(checked: Checked, draw: random.Random) -> None:
    for one in checked.streams:
        data = one.stream or b""
        whole = await checked.ask(one.streamed(), one, stream=True)
        assert isinstance(whole, Generation)
        places = list(range(len(data)))
        if len(places) > _MOST_CUTS:
            places = sorted(draw.sample(places, _MOST_CUTS))
        ends = [(at, broken) for at in places for broken in (False, *[True] * (at % 8 == 0))]
        answers = [one.streamed(data[:at], cut=broken) for at, broken in ends]
        async with checked.client(answers) as (client, _server):
            for at, _ in ends:
                try:
                    got = await ask(client, one.request, stream=True)
                except (StreamInterrupted, ProtocolError) as error:
                    text = error.partial.text if isinstance(error.partial, Generation) else ""
                    need(whole.text.startswith(text), f"cut at {at}: the partial has {text!r}")
                    continue
                assert isinstance(got, Generation)
                short = not _same(got, whole)
                need(not short, f"cut at byte {at} of {len(data)}, it answered {got.text!r}")


async def _tells_errors_by_their_class(checked: Checked, draw: random.Random) -> None:
    one = checked.exchanges[0]
    for stream in {False, one.stream is not None}:
        for answer, kinds, wait in (*ERRORS, *FAILURES):
            how = f"{answer.status} {answer.body[:40]!r}{', streamed' * stream}"
            try:
                got = await checked.ask(answer, one, stream=stream)
            except LLMError as error:
                wanted = " or ".join(kind.__name__ for kind in kinds)
                need(isinstance(error, kinds), f"{how}: {type(error).__name__}, not {wanted}")
                told = f"{how}: it says {error.status} of {error.provider}:{error.model}"
                need(answer.status < 300 or error.status == answer.status, told)
                need(error.provider, told)
                need(error.model == checked.model, told)
                need(wait is None or error.retry_after == wait, f"{how}: {error.retry_after} s")
                need(len(str(error)) < 10_000, f"{how}: {len(str(error))} signs of message")
            else:
                raise AssertionError(f"{how}: it answered {got!r}")


async def _bounds_what_has_no_end(checked: Checked, draw: random.Random) -> None:
    one = checked.exchanges[0]
    block = b"a" * 2**20
    endless = [b'{"a": "', *[block] * 80]
    for stream in {False, one.stream is not None}:
        kind = one.stream_type if stream else one.body_type
        answer = Answer(headers={"Content-Type": kind}, pieces=endless)
        try:
            await checked.ask(answer, one, stream=stream)
        except LLMError:
            continue
        raise AssertionError("80 MiB of nothing were an answer")


async def _ignores_what_it_does_not_know(checked: Checked, draw: random.Random) -> None:
    for one in checked.exchanges:
        plain = await checked.ask(one.whole, one, stream=False)
        more = attrs.evolve(one, body=_with_more(one.body))
        got = await checked.ask(more.whole, one, stream=False)
        need(got == plain, f"an unknown field made {plain!r} to {got!r}")
        if one.stream is not None and one.stream_type == "text/event-stream":
            plain = await checked.ask(one.streamed(), one, stream=True)
            lines = [_line_with_more(line) for line in one.stream.splitlines(keepends=True)]
            data = b": ping\n\n: ping\n\n" + b"".join(lines)
            got = await checked.ask(one.streamed(data), one, stream=True)
            need(got == plain, f"unknown fields and comments made {plain!r} to {got!r}")


def _with_more(data: bytes) -> bytes:
    """A JSON object with another field; what is none stays as it is."""
    try:
        told = orjson.loads(data)
    except orjson.JSONDecodeError:
        return data
    more = {"a_field_of_the_future": {"b": [1, None, "c"]}}
    return orjson.dumps(told | more) if isinstance(told, dict) else data


def _line_with_more(line: bytes) -> bytes:
    bare = line.rstrip(b"\r\n")
    if not bare.startswith(b"data:"):
        return line
    return b"data: " + _with_more(bare[5:].strip()) + line[len(bare) :]


async def _hangs_up_when_it_is_cancelled(checked: Checked, draw: random.Random) -> None:
    one = checked.exchanges[0]
    half = (one.stream or b"")[: len(one.stream or b"") // 2]
    for stream in {False, one.stream is not None}:
        asked = trio.Event()

        async def wait(asked: trio.Event = asked) -> None:
            asked.set()
            await trio.sleep_forever()

        kind = one.stream_type if stream else one.body_type
        pieces: list[bytes | Callable[[], Awaitable[None]]] = [half if stream else b"{", wait]
        answer = Answer(headers={"Content-Type": kind}, pieces=pieces)
        async with checked.client(answer) as (client, server):
            async with open_nursery() as nursery:
                nursery.start_soon(functools.partial(ask, client, one.request, stream=stream))
                await asked.wait()
                begin = trio.current_time()
                nursery.cancel_scope.cancel()
            with trio.move_on_after(_AT_ONCE):
                await server.left.wait()
            took = (server.left_at or math.inf) - begin
            need(took < _AT_ONCE, "the connection of a cancelled call stays open")


async def _tells_nobody_the_key(checked: Checked, draw: random.Random) -> None:
    one = checked.exchanges[0]

    async def echo(received: Received) -> Answer:
        told = orjson.dumps({"error": {"message": f"headers: {dict(received.headers)}"}})
        status = 401 if len(received.path) % 2 else 400
        headers = {"X-Request-Id": PLANTED, "Content-Type": "application/json"}
        return Answer(status=status, headers=headers, body=told)

    async def good(received: Received) -> Answer:
        headers = {"X-Request-Id": PLANTED, "X-Echo": PLANTED, "Content-Type": one.body_type}
        return Answer(headers=headers, body=one.body)

    for answer in (echo, good):
        calls: list[Call] = []
        said: list[str] = []
        with leaks(said):
            async with checked.client(answer, calls) as (client, server):
                said.append(repr(checked.make(server.url, PLANTED)))
                try:
                    response = await ask(client, one.request, stream=False)
                    said += [repr(response), repr(response.http), repr(response.raw)]
                    said += [repr(dict(response.http.headers))] if response.http else []
                except LLMError as error:
                    told = traceback.TracebackException.from_exception(error, capture_locals=True)
                    said += [str(error), repr(error), repr(vars(error)), *told.format()]
                said += [repr(event) for call in calls for event in call.ledger.events]
        where = next((text for text in said if PLANTED in text), "")
        at = where.find(PLANTED)
        need(not where, f"the key is in …{where[max(0, at - 60) : at]}…")


async def _sends_what_it_says_it_honours(checked: Checked, draw: random.Random) -> None:
    one = next((one for one in checked.exchanges if isinstance(one.request, Generate)), None)
    if one is None:
        return
    async with checked.client(one.whole) as (client, server):
        provider = checked.make(server.url, PLANTED)
        honoured = provider.capabilities(checked.model).parameters or frozenset()
        await ask(client, Generate(messages=["hello"]), stream=False)
        plain = server.requests[-1]
        for name, given in SAMPLES.items():
            if name not in honoured:
                continue
            request = Generate(messages=["hello"], **given)
            try:
                response = await ask(client, request, stream=False)
            except LLMError:
                continue  # it says so: nothing is lost in silence
            same = server.requests[-1].body == plain.body
            silent = same and server.requests[-1].path == plain.path and not response.warnings
            need(not silent, f"{name} is declared, and dropped without a word")


CHECKS: tuple[Callable[[Checked, random.Random], Awaitable[None]], ...] = (
    _is_honest_about_what_it_can,
    _answers_whole,
    _streams_the_same,
    _never_takes_a_cut_stream_for_an_answer,
    _tells_errors_by_their_class,
    _bounds_what_has_no_end,
    _ignores_what_it_does_not_know,
    _hangs_up_when_it_is_cancelled,
    _tells_nobody_the_key,
    _sends_what_it_says_it_honours,
)
