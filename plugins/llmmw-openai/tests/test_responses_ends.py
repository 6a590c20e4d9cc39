"""The Responses API: how answers end, and which ends are errors."""

from __future__ import annotations

import pytest

from llmmw.errors import (
    BadRequest,
    ContentFiltered,
    LLMError,
    ProtocolError,
    RateLimited,
    ServerError,
    StreamInterrupted,
)

pytestmark = pytest.mark.plugins


def message(text="Hi", **more):
    block = {"type": "output_text", "text": text, "annotations": []}
    return {"type": "message", "id": "m", "role": "assistant", "content": [block], **more}


async def ask(wire, answer, prompt="hi", *, preset="openai-responses", **parameters):
    async with wire.client(answer, preset, api="responses") as (client, _):
        if answer.pieces is None:
            return await client.ask(prompt, **parameters)
        async with client.stream(prompt, **parameters) as stream:
            return await stream.wait_response()


def stream(wire, *events, tail=b""):
    return wire.stream(wire.numbered(*events) + tail)


FINISHES = [
    ({}, [message()], "stop", "completed"),
    ({}, [{"type": "function_call", "call_id": "c", "name": "f"}], "tool_call", "completed"),
    ({"incomplete_details": {"reason": "max_output_tokens"}}, [], "length", "max_output_tokens"),
    ({"incomplete_details": {"reason": "content_filter"}}, [], "content_filter", "content_filter"),
    ({"incomplete_details": {"reason": "novel"}}, [], "other", "novel"),
    ({"status": "cancelled"}, [], "other", "cancelled"),
]


@pytest.mark.parametrize(("fields", "output", "reason", "raw"), FINISHES)
async def test_why_it_ended(wire, fields, output, reason, raw):
    status = "incomplete" if "incomplete_details" in fields else "completed"
    final = wire.response(output, **({"status": status} | fields))
    told = await ask(wire, wire.whole(final))
    assert (told.finish_reason, told.finish.raw) == (reason, raw)
    assert (told.id, told.model, told.created) == ("resp-1", "m-1", 7.0)


@pytest.mark.parametrize("status", ["queued", "in_progress"])
async def test_a_response_that_is_not_done_is_none(wire, status):
    with pytest.raises(StreamInterrupted, match=f"before it was done: it is {status}") as caught:
        await ask(wire, wire.whole(wire.response([message("Hel")], status)))
    assert (caught.value.partial.text, caught.value.partial.id) == ("Hel", "resp-1")


@pytest.mark.parametrize("status", [["queued"], {"queued": True}, 7])
async def test_a_status_that_is_no_word_is_none_of_an_unfinished_response(wire, status):
    told = await ask(wire, wire.whole(wire.response([message("Hello")], status)))
    assert told.text == "Hello"


async def test_a_refusal_is_no_answer(wire):
    item = {"type": "message", "id": "m", "content": [{"type": "refusal", "refusal": "No."}]}
    events = [
        {"type": "response.refusal.delta", "output_index": 0, "delta": "No"},
        {"type": "response.refusal.delta", "output_index": 0, "delta": "."},
        {"type": "response.completed", "response": wire.response([item])},
    ]
    for answer in (wire.whole(wire.response([item])), stream(wire, *events)):
        told = await ask(wire, answer)
        assert (told.text, told.refusal, told.finish_reason) == ("", "No.", "content_filter")


async def test_usage(wire):
    usage = {
        "input_tokens": 9,
        "input_tokens_details": {"cached_tokens": 4, "cache_write_tokens": 2},
        "output_tokens": 7,
        "output_tokens_details": {"reasoning_tokens": 5},
    }
    spent = (await ask(wire, wire.whole(wire.response([message()], usage=usage)))).usage
    assert (spent.input_tokens, spent.output_tokens, spent.reasoning_tokens) == (9, 7, 5)
    assert (spent.cache_read_tokens, spent.cache_write_tokens) == (4, 2)


DELTA = {"type": "response.output_text.delta", "output_index": 0, "delta": "Hel"}
ERRORS = [
    ({"type": "error", "code": "rate_limit_exceeded", "message": "slow"}, RateLimited),
    ({"type": "error", "error": {"type": "server_error", "message": "oh"}}, ServerError),
    ({"type": "response.error", "error": {"code": "rate_limit", "message": "oh"}}, RateLimited),
    (
        {"type": "response.failed", "response": {"error": {"code": "invalid_prompt"}}},
        ContentFiltered,
    ),
    ({"type": "response.failed", "response": {"error": {"code": "bio_policy"}}}, ContentFiltered),
    ({"type": "response.failed", "response": {"error": {"code": "image_too_large"}}}, BadRequest),
    ({"type": "response.failed", "response": {"error": {"code": "server_error"}}}, ServerError),
    ({"type": "response.failed", "response": {"error": None}}, ServerError),
    ({"type": "response.failed"}, ServerError),
]


@pytest.mark.parametrize(("event", "kind"), ERRORS)
async def test_errors_in_a_stream_keep_what_came(wire, event, kind):
    with pytest.raises(kind) as caught:
        await ask(wire, stream(wire, DELTA, event))
    assert type(caught.value) is kind
    assert caught.value.partial.text == "Hel"


async def test_errors_of_a_whole_answer(wire):
    error = {"code": "server_error", "message": "oh"}
    with pytest.raises(ServerError, match="oh"):
        await ask(wire, wire.whole(wire.response([], "failed", error=error)))
    with pytest.raises(ServerError):
        await ask(wire, wire.whole(wire.response([], "failed")))
    for novel in ({"a": 1}, {"id": "x", "output": None}):
        with pytest.raises(ProtocolError, match="without any output"):
            await ask(wire, wire.whole(novel))


@pytest.mark.parametrize(
    "tail", [b"", b"data: [DONE]\n\n", b'data: {"type": "response.usage"}\n\n']
)
async def test_an_end_without_its_event_is_none(wire, tail):
    with pytest.raises(StreamInterrupted) as caught:
        await ask(wire, stream(wire, DELTA, tail=tail))
    assert caught.value.partial.text == "Hel"


async def test_hosts_that_end_in_their_own_way(wire):
    """With a mark of the end behind, without the items, or without the response at all."""
    done = {"type": "response.output_item.done", "output_index": 0, "item": message("Hello")}
    for final in (
        {"response": wire.response()},
        {"response": wire.response([message("Hello")])},
        {},
    ):
        end = {"type": "response.completed"} | final
        told = await ask(wire, stream(wire, DELTA, done, end, tail=b"data: [DONE]\n\n"))
        assert told.text == "Hello"
    told = await ask(wire, stream(wire, DELTA, {"type": "response.completed"}))
    assert (told.text, told.finish_reason) == ("Hel", "stop")


async def test_the_first_end_counts(wire):
    first = {"type": "response.completed", "response": wire.response([message("a")])}
    told = await ask(wire, stream(wire, first, DELTA, first))
    assert told.text == "a"


async def test_pieces_without_numbers_find_their_item(wire):
    call = {"type": "function_call", "id": "fc", "call_id": "c", "name": "f", "arguments": "{}"}
    events = [
        {"type": "response.output_item.added", "item": call | {"arguments": ""}},
        {"type": "response.function_call_arguments.delta", "item_id": "fc", "delta": "{"},
        {"type": "response.function_call_arguments.done", "item_id": "fc", "arguments": "{}"},
        {"type": "response.output_item.done", "item": call},
        {"type": "response.completed", "response": wire.response([call])},
    ]
    told = await ask(wire, stream(wire, *events))
    assert [(one.id, one.name, one.arguments) for one in told.tool_calls] == [("c", "f", "{}")]


async def test_the_key_is_in_no_error(wire):
    said = f"you sent {wire.key}"
    failed = {"type": "response.failed", "response": {"error": {"code": said, "message": said}}}
    for answer in (stream(wire, DELTA, failed), wire.whole({"error": {"message": said}}, 400)):
        with pytest.raises(LLMError) as caught:
            await ask(wire, answer)
        assert wire.key not in f"{caught.value} {caught.value.code} {caught.value!r}"
