"""Answers, whole and in pieces, as a caller gets them."""

from __future__ import annotations

import pytest
import trio

from llmmw import Citation, OpaquePart, ReasoningPart, TextPart, Timeout, ToolCallPart
from llmmw.errors import ProtocolError

pytestmark = pytest.mark.plugins

CALL = {"type": "tool_use", "id": "toolu_1", "name": "look", "input": {}}
SEARCH = {"type": "server_tool_use", "id": "srv_1", "name": "web_search", "input": {}}
FOUND = {
    "type": "web_search_tool_result",
    "tool_use_id": "srv_1",
    "content": [{"type": "web_search_result", "url": "https://x", "encrypted_content": "EN"}],
}
SOURCE = {
    "type": "web_search_result_location",
    "url": "https://x",
    "title": "X",
    "cited_text": "so it is",
    "encrypted_index": "EI",
}


def json_piece(text):
    return {"type": "input_json_delta", "partial_json": text}


async def test_text(wire):
    whole = await wire.ask(wire.whole(wire.message("Hello.")))
    streamed = await wire.ask(wire.events(wire.start(), *wire.text("Hel", "lo."), *wire.end()))
    for told in (whole, streamed):
        assert (told.text, told.id, told.model) == ("Hello.", "msg_1", "claude-x")
        assert (told.provider, told.finish_reason, told.finish.raw) == (
            "anthropic",
            "stop",
            "end_turn",
        )
    assert whole.usage.output_tokens == 5
    assert streamed.usage.output_tokens == 7


async def test_thinking_keeps_its_signature_and_parts_stay_apart(wire):
    thinking = {"type": "thinking", "thinking": "", "signature": ""}

    def thought(index, text, sign):
        return wire.block(
            index,
            thinking,
            {"type": "thinking_delta", "thinking": text},
            {"type": "signature_delta", "signature": sign},
        )

    sealed = wire.block(2, {"type": "redacted_thinking", "data": "SEALED"})
    hidden = wire.block(3, thinking, {"type": "signature_delta", "signature": "s3"})
    events = [*thought(0, "one", "s1"), *thought(1, "two", "s2"), *sealed, *hidden]
    texts = [*wire.text("a", index=4), *wire.text("b", index=5)]
    told = await wire.ask(wire.events(wire.start(), *events, *texts, *wire.end()))
    assert told.parts == (
        ReasoningPart("one", signature="s1"),
        ReasoningPart("two", signature="s2"),
        ReasoningPart(redacted=True, encrypted="SEALED"),
        ReasoningPart("", signature="s3"),
        TextPart("a"),
        TextPart("b"),
    )
    assert told.reasoning == "onetwo"


@pytest.mark.parametrize(
    ("given", "pieces", "arguments"),
    [
        ({}, ["", '{"a', '": 1}'], '{"a": 1}'),
        ({}, [""], "{}"),
        ({}, [], "{}"),
        ({"a": 1}, [], '{"a": 1}'),
        ({"a": 1}, ['{"b": 2}'], '{"b": 2}'),
        ({}, ['{"a": "cut o'], '{"a": "cut o'),
    ],
)
async def test_arguments_in_pieces_or_whole(wire, given, pieces, arguments):
    block = wire.block(0, CALL | {"input": given}, *map(json_piece, pieces))
    told = await wire.ask(wire.events(wire.start(), *block, *wire.end("tool_use")))
    assert told.parts == (ToolCallPart(id="toolu_1", name="look", arguments=arguments),)
    assert told.finish_reason == "tool_call"


async def test_parallel_calls_may_be_mixed_and_keep_who_called(wire):
    first = wire.block(0, CALL, stop=False)
    second = wire.block(1, CALL | {"id": "toolu_2", "caller": {"type": "direct"}}, stop=False)

    def piece(index, text):
        delta = json_piece(text)
        return {"type": "content_block_delta", "index": index, "delta": delta}

    mixed = [piece(1, '{"n":'), piece(0, '{"n":'), piece(1, "2}"), piece(0, "1}")]
    told = await wire.ask(wire.events(wire.start(), *first, *second, *mixed, *wire.end("tool_use")))
    assert [call.parse() for call in told.tool_calls] == [{"n": 1}, {"n": 2}]
    assert told.tool_calls[1].extra == {"anthropic": {"caller": {"type": "direct"}}}


async def test_tools_of_the_host_are_no_calls_of_the_callers(wire):
    asked = wire.block(0, SEARCH, json_piece('{"query": "x"}'))
    found = wire.block(1, FOUND)
    cited = wire.block(
        2,
        {"type": "text", "text": "", "citations": []},
        "it is",
        {"type": "citations_delta", "citation": SOURCE},
    )
    usage = {"output_tokens": 3, "server_tool_use": {"web_search_requests": 1}}
    streamed = await wire.ask(
        wire.events(wire.start(), *asked, *found, *cited, *wire.end(usage=usage))
    )
    query = SEARCH | {"input": {"query": "x"}}
    text = {"type": "text", "text": "it is", "citations": [SOURCE]}
    whole = await wire.ask(wire.whole(wire.message(query, FOUND, text)))
    source = Citation(url="https://x", title="X", text="so it is", extra={"anthropic": SOURCE})
    for told in (streamed, whole):
        assert told.parts == (
            OpaquePart(provider="anthropic", type="server_tool_use", data=query),
            OpaquePart(provider="anthropic", type="web_search_tool_result", data=FOUND),
            TextPart("it is", citations=(source,)),
        )
        assert told.tool_calls == ()
        assert told.finish_reason == "stop"
    assert streamed.usage.server_tool_calls == {"web_search_requests": 1}


async def test_what_nobody_knows_is_kept(wire):
    compaction = wire.block(
        0,
        {"type": "compaction", "content": None},
        {"type": "compaction_delta", "content": "short: "},
        {"type": "compaction_delta", "content": "all"},
    )
    strange = wire.block(
        1, {"type": "text", "text": "", "mood": "calm"}, "a", {"type": "odd_delta"}
    )
    event = {"type": "quantum_event", "spin": 1}
    told = await wire.ask(
        wire.events(
            wire.start(container={"id": "c"}),
            *compaction,
            event,
            *strange,
            *wire.end(usage={"output_tokens": 1}),
        )
    )
    assert told.parts[0].data == {"type": "compaction", "content": "short: all"}
    assert told.parts[1] == TextPart("a", extra={"anthropic": {"mood": "calm"}})
    odd = {"type": "content_block_delta", "index": 1, "delta": {"type": "odd_delta"}}
    assert told.raw["events"] == [event, odd]
    assert told.raw["container"] == {"id": "c"}


async def test_context_management_is_kept(wire):
    edits = {"applied_edits": [{"type": "clear_tool_uses_20250919", "cleared_tool_uses": 5}]}
    delta, stop = wire.end()
    streamed = await wire.ask(
        wire.events(wire.start(), *wire.text("a"), delta | {"context_management": edits}, stop)
    )
    whole = await wire.ask(wire.whole(wire.message("a", context_management=edits)))
    assert streamed.raw["context_management"] == whole.raw["context_management"] == edits


REASONS = {
    "end_turn": "stop",
    "max_tokens": "length",
    "model_context_window_exceeded": "length",
    "refusal": "content_filter",
    "pause_turn": "other",
    "compaction": "other",
    "novel": "other",
    "tool_use": "stop",  # without a call there is none
    None: "stop",
}


@pytest.mark.parametrize(("word", "reason"), REASONS.items())
async def test_reasons_to_end(wire, word, reason):
    for answer in (
        wire.whole(wire.message("a", stop=word)),
        wire.events(wire.start(), *wire.text("a"), *wire.end(word)),
    ):
        told = await wire.ask(answer)
        assert (told.finish_reason, told.finish.raw) == (reason, word)


async def test_a_call_shows_in_the_answer_whatever_the_word(wire):
    for word, reason in (("end_turn", "tool_call"), ("max_tokens", "length")):
        told = await wire.ask(wire.whole(wire.message(CALL, stop=word)))
        assert told.finish_reason == reason


async def test_a_stop_sequence_is_told(wire):
    told = await wire.ask(
        wire.events(wire.start(), *wire.text("a"), *wire.end("stop_sequence", "END"))
    )
    assert (told.finish_reason, told.finish.stop_sequence) == ("stop", "END")


async def test_a_refusal_tells_why(wire):
    details = {"type": "refusal", "category": "cyber", "explanation": "no"}
    whole = wire.whole(wire.message(stop="refusal", stop_details=details))
    streamed = wire.events(wire.start(), *wire.end("refusal", stop_details=details))
    for answer in (whole, streamed):
        told = await wire.ask(answer)
        assert (told.text, told.finish_reason) == ("", "content_filter")
        assert told.finish.detail == {"stop_details": details}


async def test_usage(wire):
    begun = {
        "input_tokens": 3,
        "cache_creation_input_tokens": 20,
        "cache_read_input_tokens": 100,
        "output_tokens": 1,
    }
    ended = {
        "input_tokens": 4,
        "cache_read_input_tokens": None,
        "output_tokens": 9,
        "output_tokens_details": {"thinking_tokens": 6},
    }
    told = await wire.ask(
        wire.events(wire.start(usage=begun), *wire.text("a"), *wire.end(usage=ended))
    )
    usage = told.usage
    assert (usage.input_tokens, usage.output_tokens) == (124, 9)
    assert (usage.cache_read_tokens, usage.cache_write_tokens) == (100, 20)
    assert usage.reasoning_tokens == 6
    assert usage.raw["cache_creation_input_tokens"] == 20


async def test_usage_that_is_not_told_is_not_zero(wire):
    told = await wire.ask(wire.whole(wire.message("a", usage={"output_tokens": 0})))
    assert told.usage.input_tokens is None
    assert told.usage.cache_read_tokens is None
    assert told.usage.output_tokens == 0
    for nothing in (None, {}, "many"):
        assert (await wire.ask(wire.whole(wire.message("a", usage=nothing)))).usage is None


async def test_limits_and_the_id_of_the_request(wire):
    headers = {
        "request_id": "req_7",
        "anthropic_ratelimit_requests_remaining": "49",
        "anthropic_ratelimit_input_tokens_limit": "400000",
        "retry_after": "25",  # the host sends it with good answers too
    }
    told = await wire.ask(wire.whole(wire.message("a"), **headers))
    assert told.request_id == "req_7"
    assert told.http.rate == {"requests_remaining": 49.0, "input_tokens_limit": 400000.0}


async def test_hosts_that_leave_things_out(wire):
    delta = {"type": "content_block_delta", "delta": {"type": "text_delta", "text": "a"}}
    told = await wire.ask(wire.events(delta, delta, {"type": "message_stop"}))
    assert (told.text, told.model) == ("aa", "claude-sonnet-4-5")
    told = await wire.ask(wire.whole({"content": "plain"}))
    assert told.text == "plain"
    # No name of the event within its data, and blocks that never end.
    body = b'event: content_block_delta\ndata: {"delta": {"type": "text_delta", "text": "b"}}\n\n'
    told = await wire.ask(wire.stream(body + wire.sse({"type": "message_stop"})))
    assert told.text == "b"
    # A stream was asked for, and a whole message came, or the other way round.
    assert (await wire.ask(wire.whole(wire.message("a")), stream=True)).text == "a"
    answer = wire.events(wire.start(), *wire.text("a"), *wire.end())
    assert (await wire.ask(answer, stream=False)).text == "a"


async def test_empty_blocks_are_told_to_nobody(wire):
    empty = [
        *wire.text(),
        *wire.block(1, {"type": "thinking", "thinking": "", "signature": ""}),
        *wire.block(2, None, stop=False),
    ]
    told = await wire.ask(wire.events(wire.start(), *empty, *wire.text("a", index=3), *wire.end()))
    assert told.parts == (TextPart("a"),)


@pytest.mark.parametrize("body", [{}, [], {"content": None}, "x", {"content": {}}])
async def test_what_is_no_message(wire, body):
    with pytest.raises(ProtocolError):
        await wire.ask(wire.whole(body))


async def test_a_start_that_is_repeated_changes_nothing(wire):
    start = wire.start()
    told = await wire.ask(wire.events(start, start, *wire.text("a"), start, *wire.end()))
    assert told.parts == (TextPart("a"),)


async def test_a_proxy_begins_anew_in_the_midst(wire):
    cut = wire.block(0, CALL, json_piece('{"a": "b'), stop=False)
    again = {**CALL, "id": "toolu_2"}
    told = await wire.ask(
        wire.events(
            wire.start(usage={"input_tokens": 1, "cache_read_input_tokens": 5}),
            *cut,
            wire.start(id="msg_2"),
            *wire.block(0, again, json_piece("{}")),
            *wire.end("tool_use"),
        )
    )
    assert [(call.id, call.arguments) for call in told.tool_calls] == [
        ("toolu_1", '{"a": "b'),
        ("toolu_2", "{}"),
    ]
    assert told.id == "msg_1"
    assert (told.usage.input_tokens, told.usage.cache_read_tokens) == (10, None)


async def test_several_messages_in_one_answer_are_one(wire):
    first = [wire.start(), *wire.text("a"), *wire.end("max_tokens")]
    second = [wire.start(id="msg_2"), *wire.text("b"), *wire.end()]
    told = await wire.ask(wire.events(*first, *second))
    assert (told.text, told.finish.raw) == ("ab", "end_turn")


async def test_a_line_that_stays_open_after_the_end_holds_nobody_up(wire, monkeypatch):
    monkeypatch.setattr("llmmw_anthropic._provider._GRACE", 0.01)
    done = trio.Event()
    answer = wire.stream(wire.sse(wire.start(), *wire.text("a"), *wire.end()), done.wait)
    with trio.fail_after(5):
        async with wire.client(answer) as (client, server):
            async with client.stream("hi") as stream:
                assert (await stream.wait_response()).text == "a"
            await server.left.wait()
            done.set()


@pytest.mark.parametrize("limit", ["idle", "total"])
async def test_nor_does_it_take_the_answer_away(wire, limit):
    """A deadline comes before the time is over that the line may stay open."""
    answer = wire.stream(wire.sse(wire.start(), *wire.text("a"), *wire.end()), trio.sleep_forever)
    async with wire.client(answer, stack=[Timeout(**{limit: 0.5})]) as (client, _):
        async with client.stream("hi") as stream:
            assert (await stream.wait_response()).text == "a"


async def test_pings_are_no_pieces_of_the_answer(wire):
    ping = {"type": "ping"}
    answer = wire.events(ping, wire.start(), ping, *wire.text("a"), ping, *wire.end(), ping)
    deltas = []
    async with wire.client(answer) as (client, _):
        async with client.stream("hi") as stream:
            async for delta in stream:
                deltas.append(type(delta).__name__)
    assert deltas == ["ResponseStart", "PartStart", "PartDelta", "PartEnd"]


async def test_a_stream_is_told_as_it_comes(wire):
    """Not at its end: each piece is there before the host sends the next."""
    heard = trio.Event()

    async def until_heard():
        with trio.fail_after(5):
            await heard.wait()

    text = wire.text("a", "b")
    answer = wire.stream(
        wire.sse(wire.start(), *text[:2]), until_heard, wire.sse(*text[2:], *wire.end())
    )
    async with wire.client(answer) as (client, _):
        async with client.stream("hi") as stream:
            said = []
            async for piece in stream.text:
                said.append(piece)
                heard.set()
    assert said == ["a", "b"]
