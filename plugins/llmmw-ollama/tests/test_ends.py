"""Ends of answers: what is a success, and what is an error that keeps what came."""

from __future__ import annotations

import pytest

from llmmw import Retry
from llmmw.errors import (
    ContextWindowExceeded,
    LLMError,
    ProtocolError,
    ServerError,
    StreamInterrupted,
)

pytestmark = pytest.mark.plugins


@pytest.mark.parametrize("end", [b"\n", b"", b"\r\n", b"\n\n \n"])
async def test_the_last_line_feed_may_be_missing(wire, end):
    body = wire.ndjson(wire.line("Hel"), wire.end(content="lo")).rstrip() + end
    told = await wire.ask(wire.stream(body))
    assert (told.text, told.finish_reason) == ("Hello", "stop")


async def test_every_cut(wire):
    """Bytes cut anywhere, in two pieces, are the same answer; and an answer that stops anywhere
    before its last line is none."""
    whole = wire.ndjson(wire.line("grün", thinking="ö"), wire.line("…"), wire.end())
    last = len(whole.rstrip())
    for at in range(0, len(whole), 3):
        told = await wire.ask(wire.stream(whole[:at], whole[at:]))
        assert (told.text, told.reasoning) == ("grün…", "ö")
        if at < last:
            with pytest.raises(StreamInterrupted):
                await wire.ask(wire.stream(whole[:at]))


async def test_ends_that_are_none(wire):
    with pytest.raises(StreamInterrupted, match="ended before the answer did") as caught:
        await wire.ask(wire.lines(wire.line("Hel"), wire.line("lo")))
    assert caught.value.partial.text == "Hello"
    assert caught.value.partial.finish is None
    with pytest.raises(StreamInterrupted):
        await wire.ask(wire.whole(wire.line("Hel")))
    with pytest.raises(StreamInterrupted, match="line broke") as caught:
        await wire.ask(wire.lines(wire.line("Hel"), cut=True))
    assert caught.value.partial.text == "Hel"


async def test_only_true_is_an_end(wire):
    for junk in ("false", "true", 1, {"a": 1}):
        told = await wire.ask(wire.lines(wire.line("Hel") | {"done": junk}, wire.end()))
        assert told.text == "Hel"
        with pytest.raises(StreamInterrupted):
            await wire.ask(wire.lines(wire.line("Hel") | {"done": junk}))


async def test_a_line_that_breaks_after_the_end_breaks_nothing(wire):
    body = wire.ndjson(wire.line("Hel"), wire.end(content="lo"))
    for data in (body, body.rstrip()):
        assert (await wire.ask(wire.stream(data, cut=True))).text == "Hello"


async def test_what_comes_after_the_end_is_no_part_of_it(wire):
    told = await wire.ask(wire.lines(wire.line("x"), wire.end(), wire.line("y")))
    assert told.text == "x"


@pytest.mark.parametrize(
    ("said", "kind"),
    [
        ("an error was encountered while running the model", ServerError),
        ("the input length exceeds the context length", ContextWindowExceeded),
    ],
)
async def test_errors_within_an_answer(wire, said, kind):
    """The status is 200, since it had begun."""
    with pytest.raises(kind, match=said) as caught:
        await wire.ask(wire.lines(wire.line("Hel"), wire.line("lo"), {"error": said}))
    assert caught.value.partial.text == "Hello"
    assert (caught.value.provider, caught.value.model) == ("ollama", "llama3.2")
    with pytest.raises(kind, match=said):
        await wire.ask(wire.whole({"error": said}))


async def test_an_error_at_each_place_of_a_stream(wire):
    rows = [wire.line("He"), wire.line("llo"), wire.end()]
    for at in range(len(rows)):
        with pytest.raises(ServerError, match="no room") as caught:
            await wire.ask(wire.lines(*rows[:at], {"error": "no room"}, *rows[at:]))
        partial = caught.value.partial
        assert (partial.text if partial else "") == ["", "He", "Hello"][at]


async def test_bodies_that_are_none(wire):
    for body in (b"", b"<html>no</html>", b"[]", b'"x"', b"null"):
        with pytest.raises(ProtocolError):
            await wire.ask(wire.whole(body))
    for body in (b"<html>\nno</html>", b"[1]\n", b"null\n"):
        with pytest.raises(LLMError) as caught:
            await wire.ask(wire.stream(body))
        assert isinstance(caught.value, (ProtocolError, StreamInterrupted))


async def test_a_stream_that_broke_before_anybody_heard_is_asked_again(wire):
    answers = [wire.lines(wire.line("")), wire.lines(wire.end(content="x"))]
    async with wire.client(answers, stack=[Retry(1)]) as (client, server):
        async with client.stream("hi") as stream:
            assert (await stream.wait_response()).text == "x"
    assert len(server.requests) == 2


async def test_a_connection_is_used_again(wire):
    async with wire.client(wire.lines(wire.line("x"), wire.end())) as (client, server):
        for _ in range(3):
            async with client.stream("hi") as stream:
                await stream.wait_response()
    assert server.connections == 1
