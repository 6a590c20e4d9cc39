"""What the first API answers, in its many forms."""

from __future__ import annotations

import pytest

from llmmw import Generate
from llmmw.errors import (
    BadRequest,
    Overloaded,
    ProtocolError,
    RateLimited,
    ServerError,
    StreamInterrupted,
)
from llmmw.testing import Answer

pytestmark = pytest.mark.plugins


async def test_whole(wire):
    told = await wire.ask(wire.whole(wire.output("a text", new=[1])))
    assert (told.text, told.finish_reason, told.id) == ("a text", "stop", "req-1")
    assert (told.usage.input_tokens, told.usage.output_tokens) == (3, 2)
    assert (told.request_id, told.raw["new"], told.warnings) == ("req-1", [1], ())


async def test_the_id_of_the_gateway_where_the_host_tells_none(wire):
    told = await wire.ask(wire.whole({"output": {"text": "x"}}, x_request_id="gate-1"))
    assert (told.id, told.request_id, told.usage) == (None, "gate-1", None)


async def test_the_hosted_one_counts_no_prompt(wire):
    told = await wire.ask(wire.whole({"output": {"text": "x", "num_completion_tokens": 1}}))
    assert (told.usage.input_tokens, told.usage.output_tokens) == (None, 1)
    assert told.usage.total_tokens is None


async def test_an_end_by_the_limit_is_inferred(wire):
    answer = wire.whole(wire.output(num_completion_tokens=5))
    assert (await wire.ask(answer, max_output_tokens=5)).finish_reason == "length"
    assert (await wire.ask(answer, max_output_tokens=6)).finish_reason == "stop"
    told = await wire.ask(wire.whole(wire.output(num_completion_tokens=20)))
    assert told.finish_reason == "length"
    assert told.warnings == (
        "llm-engine ends answers after some 20 tokens where max_output_tokens is not given",
    )


async def test_a_whole_answer_where_a_stream_was_asked_for(wire):
    told = await wire.ask(wire.whole(wire.output("a text")), stream=True)
    assert told.text == "a text"


async def test_a_stream_where_a_whole_answer_was_asked_for(wire):
    told = await wire.ask(wire.events(*wire.pieces("a ", "text")), stream=False)
    assert told.text == "a text"


async def test_what_follows_the_end_is_not_read(wire):
    rows = [*wire.pieces("a ", "text"), wire.piece("more", 3), wire.error(500, "late")]
    assert (await wire.ask(wire.events(*rows))).text == "a text"


async def test_the_connection_is_used_again(wire):
    async with wire.client(wire.events(*wire.pieces("a"))) as (client, server):
        for _ in range(3):
            async with client.stream(Generate(prompt="hi")) as told:
                await told.wait_response()
        assert server.connections == 1


@pytest.mark.parametrize("end", [b"", b"data: [DONE]\r\n\r\n", b'data: {"output": {"te'])
async def test_a_stream_that_does_not_say_that_it_is_whole(wire, end):
    with pytest.raises(StreamInterrupted) as caught:
        await wire.ask(wire.events(wire.piece("a ", 1), end=end))
    assert caught.value.partial.text == "a "


async def test_an_error_of_an_event_of_that_name(wire):
    body = b'event: error\ndata: {"detail": "it broke"}\n\n'
    with pytest.raises(ServerError, match="it broke"):
        await wire.ask(wire.stream(body))


@pytest.mark.parametrize("body", [b"[]", b"null", b"{}", b'{"output": null}', b'{"output": {}}'])
async def test_what_is_no_answer(wire, body):
    with pytest.raises(ProtocolError):
        await wire.ask(wire.whole(body))


async def test_an_error_within_an_answer_of_success(wire):
    with pytest.raises(ServerError, match="it broke") as caught:
        await wire.ask(wire.whole(wire.error(500, "it broke")))
    assert (caught.value.status, caught.value.request_id) == (500, "req-1")


@pytest.mark.parametrize("stream", [False, True])
async def test_a_list_as_the_body_of_an_error_hides_nothing(wire, stream):
    with pytest.raises(BadRequest, match="wrong") as caught:
        await wire.ask(wire.whole([{"loc": ["a"], "msg": "wrong"}], 422), stream=stream)
    assert caught.value.status == 422


IN_BAND = [
    ({"status_code": 429, "content": {"error": "it broke", "timestamp": "t"}}, RateLimited, 429),
    ({"status_code": "503", "content": "it broke"}, Overloaded, 503),
    ({"status_code": None, "content": {"error": "it broke"}}, ServerError, None),
    ("it broke", ServerError, None),
    (["it broke"], ServerError, None),
]


@pytest.mark.parametrize(("error", "kind", "status"), IN_BAND)
@pytest.mark.parametrize("before", [0, 1, 2])
async def test_an_error_wherever_it_stands_in_a_stream(wire, before, error, kind, status):
    rows = wire.pieces("a ", "b ", "c")[:before]
    failed = {"request_id": "req-1", "output": None, "error": error}
    with pytest.raises(kind, match="it broke") as caught:
        await wire.ask(wire.events(*rows, failed, wire.piece("more", 3, finished=True)))
    partial = caught.value.partial
    assert caught.value.status == status
    assert (partial.text if partial else "") == "a b "[: 2 * before]


async def test_tokens_that_were_not_asked_for_are_left_out(wire):
    tokens = [{"token": "x", "log_prob": -1.5}]
    told = await wire.ask(wire.whole(wire.output("x", tokens=tokens)))
    assert told.message.parts[0].logprobs == ()
    asked = await wire.ask(wire.whole(wire.output("x", tokens=tokens)), logprobs=0)
    (one,) = asked.message.parts[0].logprobs
    assert (one.token, one.logprob) == ("x", -1.5)


async def test_a_stream_of_chats_without_a_mark_at_its_end(wire):
    told = await wire.ask(wire.events(*wire.chunks("a ", "text")), "hi")
    assert (told.text, told.finish_reason, told.usage.output_tokens) == ("a text", "stop", 2)


async def test_a_cut_in_the_line(wire):
    data = wire.sse(*wire.pieces("a ", "b ", "c"))
    answer = Answer(headers={"Content-Type": "text/event-stream"}, pieces=[data[:-40]], cut=True)
    with pytest.raises(StreamInterrupted):
        await wire.ask(answer)


@pytest.mark.parametrize("broken", [False, True])
async def test_a_stream_is_whole_or_an_error_wherever_it_is_cut(wire, broken):
    data = wire.sse(*wire.pieces("a ", "é ", "c"))
    headers = {"Content-Type": "text/event-stream"}
    cuts = range(1, len(data))
    answers = [Answer(headers=headers, pieces=[data[:at]], cut=broken) for at in cuts]
    async with wire.client(answers) as (client, _):
        for at in cuts:
            told = None
            try:
                async with client.stream(Generate(prompt="hi")) as stream:
                    told = await stream.wait_response()
            except (StreamInterrupted, ProtocolError) as error:
                partial = error.partial
            if told is None:
                assert "a é c".startswith(partial.text if partial else "")
            else:
                assert told.text == "a é c"
            # Of the last event nothing but the end of its line may be missing.
            assert (told is not None) is (at >= len(data) - 4)


@pytest.mark.parametrize("fields", [{}, {"max_tokens": 2}])
async def test_an_end_by_a_limit_that_the_caller_gave_is_no_surprise(wire, fields):
    answer = wire.whole(wire.chat(finish="length"))
    async with wire.client(answer, api="v2") as (client, _):
        told = await client.ask(Generate(prompt="hi", extra={"llm-engine": fields}))
    assert told.finish_reason == "length"
    assert len(told.warnings) == (0 if fields else 1)
