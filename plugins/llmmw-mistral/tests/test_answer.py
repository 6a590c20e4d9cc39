"""What the host answers, in all the forms that it has for it."""

from __future__ import annotations

import re

import pytest

from llmmw import Message, OpaquePart, ReasoningPart, TextPart
from llmmw.errors import ProtocolError

pytestmark = pytest.mark.plugins


def thinking(*texts, **more):
    rows = [{"type": "text", "text": one} if isinstance(one, str) else one for one in texts]
    return {"type": "thinking", "thinking": rows, **more}


def text(said):
    return {"type": "text", "text": said}


async def test_the_response_has_what_the_host_told(wire):
    told = wire.chat("Hi", usage={"prompt_tokens": 8, "completion_tokens": 2}, service="fast")
    told["choices"][0]["message"]["refs"] = [[{"a": 1}]]
    reply = wire.whole(told, mistral_correlation_id="corr-1", x_ratelimit_limit_tokens_minute="9")
    response = await wire.ask(reply)
    assert (response.text, response.id, response.model) == ("Hi", "cmpl-1", "m-x")
    assert (response.provider, response.created, response.request_id) == ("mistral", 17.0, "corr-1")
    assert (response.finish.reason, response.finish.raw) == ("stop", "stop")
    assert response.raw["service"] == "fast"
    assert response.raw["choices"] == {"0": {"refs": [[{"a": 1}]]}}


async def test_a_stream_may_go_from_text_to_chunks_and_back(wire):
    said = [
        [thinking("let", closed=True)],
        [thinking(" me", closed=True)],
        "So",
        [text(" it")],
        " is",
    ]
    whole = [thinking("let me", closed=True), text("So it is")]
    response = await wire.both(*said, message=whole)
    assert response.parts == (
        ReasoningPart("let me", extra={"mistral": {"closed": True}}),
        TextPart("So it is"),
    )
    assert (response.reasoning, response.text) == ("let me", "So it is")


async def test_thinking_may_be_a_text_and_come_twice(wire):
    content = [{"type": "thinking", "thinking": "a"}, text("b"), thinking("c"), text("d")]
    response = await wire.both(content)
    assert response.parts == (ReasoningPart("a"), TextPart("b"), ReasoningPart("c"), TextPart("d"))


async def test_what_stands_in_thoughts_beside_text_is_kept(wire):
    reference = {"type": "reference", "reference_ids": [4]}
    response = await wire.both([thinking("a", reference), thinking(reference), text("b")])
    rows = [text("a"), reference, reference]
    part = ReasoningPart("a", extra={"mistral": {"thinking": rows}})
    assert response.parts == (part, TextPart("b"))
    alone = await wire.both([thinking(reference), text("b")])
    assert alone.parts[0].extra == {"mistral": {"thinking": [reference]}}


async def test_a_thought_goes_back_with_all_in_its_place(wire):
    """However it was cut; and what nobody knows of it goes back too."""
    reference, odd = {"type": "reference", "reference_ids": [4]}, {**text("c"), "novel": 1}
    whole = thinking("ab", reference, "b", odd, "d", signature="s")
    pieces = [[thinking("a")], [thinking("b", reference)], [thinking("b", odd, "d", signature="s")]]
    response = await wire.both(*pieces, message=[whole])
    assert response.reasoning == "abbcd"
    assert wire.sent("hi", response, "go on")[1]["content"] == [whole]
    (part,) = response.parts
    changed = Message("assistant", (ReasoningPart("x", extra=part.extra),))
    thought = wire.sent("hi", changed, "go on")[1]["content"][0]["thinking"]
    assert thought == [text("x"), reference]


async def test_references_are_citations_of_the_text_before(wire):
    page = {"type": "tool_reference", "tool": "web_search", "title": "T", "url": "http://x/y"}
    one, two = (
        {"type": "reference", "reference_ids": [0]},
        {"type": "reference", "reference_ids": [1, 2]},
    )
    response = await wire.both(
        "It is",
        [text(" so"), one],
        [text(" and so"), two, page],
        message=[text("It is so"), one, text(" and so"), two, page],
    )
    assert response.text == "It is so and so"
    first, second, third = response.parts
    assert first.text == "It is so"
    assert [c.extra["mistral"]["reference_ids"] for c in first.citations] == [[0]]
    assert second.citations[0].extra["mistral"] == two
    assert (third.citations[0].url, third.citations[0].title) == ("http://x/y", "T")


async def test_a_chunk_that_nobody_knows_is_kept(wire):
    new = {"type": "hologram", "data": {"x": 1}}
    response = await wire.both([text("a"), new, text("b")])
    assert response.parts[1] == OpaquePart(provider="mistral", type="hologram", data=new)
    assert response.text == "ab"


def piece(arguments="", **fields):
    name = fields.pop("name", None)
    function = {"arguments": arguments} | ({"name": name} if name else {})
    return {"function": function, **fields}


CALLS = {
    "whole, one a delta, without index": [
        [piece('{"a":1}', id="aaaaaaaaa", name="f")],
        [piece('{"a":2}', id="bbbbbbbbb", name="f")],
    ],
    "whole, all in one, index always 0": [
        [
            piece('{"a":1}', id="aaaaaaaaa", name="f", index=0),
            piece('{"a":2}', id="bbbbbbbbb", name="f", index=0),
        ]
    ],
    "in pieces by index": [
        [piece("", id="aaaaaaaaa", name="f", index=0)],
        [piece('{"a', index=0), piece("", id="bbbbbbbbb", name="f", index=1)],
        [piece('{"a":', index=1), piece('":1}', index=0)],
        [piece("2}", index=1)],
    ],
    "the word null for an id, the name again": [
        [piece('{"a":', id="aaaaaaaaa", name="f", index=0)],
        [piece("1}", id="null", name="f", index=0)],
        [piece('{"a":2}', id="bbbbbbbbb", name="f", index=0)],
    ],
    "arguments as objects": [
        [
            piece({"a": 1}, id="aaaaaaaaa", name="f", index=0),
            piece({"a": 2}, id="bbbbbbbbb", name="f", index=1),
        ]
    ],
}


@pytest.mark.parametrize("how", CALLS)
async def test_tool_calls_in_all_their_forms(wire, how):
    deltas = [{"content": "", "tool_calls": rows} for rows in CALLS[how]]
    response = await wire.ask(wire.streamed(*deltas, finish="tool_calls"))
    told = [(call.id, call.name, call.parse()) for call in response.tool_calls]
    assert told == [("aaaaaaaaa", "f", {"a": 1}), ("bbbbbbbbb", "f", {"a": 2})]
    assert response.finish_reason == "tool_call"


async def test_calls_without_ids_get_some(wire):
    rows = [
        piece('{"a":1}', name="f"),
        piece('{"a":1}', name="f"),
        piece("null", name="g", id="null"),
    ]
    for told in ([{"tool_calls": rows}], [{"tool_calls": [row]} for row in rows]):
        response = await wire.ask(wire.streamed(*told))
        assert [call.name for call in response.tool_calls] == ["f", "f", "g"]
        ids = {call.id for call in response.tool_calls}
        assert len(ids) == 3
        assert all(re.fullmatch("[a-z0-9]{9}", one) for one in ids)
        assert response.tool_calls[2].parse() == {}
        assert response.finish_reason == "tool_call"


async def test_arguments_that_are_no_json_are_kept(wire):
    call = piece('{"a":', id="aaaaaaaaa", name="f")
    response = await wire.ask(wire.whole(wire.chat({"content": None, "tool_calls": [call]})))
    assert response.tool_calls[0].arguments == '{"a":'


@pytest.mark.parametrize(
    ("word", "reason"),
    [
        ("stop", "stop"),
        ("length", "length"),
        ("model_length", "length"),
        ("tool_calls", "stop"),
        ("error", "error"),
        ("novel", "other"),
        (None, "stop"),
    ],
)
async def test_why_it_ended(wire, word, reason):
    response = await wire.ask(wire.whole(wire.chat("x", finish=word)))
    assert (response.finish.reason, response.finish.raw) == (reason, word)


@pytest.mark.parametrize(
    ("more", "cached"),
    [
        ({"prompt_tokens_details": {"cached_tokens": 3}, "num_cached_tokens": 9}, 3),
        ({"prompt_tokens_details": None, "num_cached_tokens": 4}, 4),
        ({}, None),
        ({"num_cached_tokens": 0}, 0),
    ],
)
async def test_usage(wire, more, cached):
    usage = {"prompt_tokens": 10, "completion_tokens": 5, "prompt_audio_seconds": 2, **more}
    for answer in (wire.whole(wire.chat("x", usage=usage)), wire.streamed("x", usage=usage)):
        told = (await wire.ask(answer)).usage
        assert (told.input_tokens, told.output_tokens, told.cache_read_tokens) == (10, 5, cached)
        assert told.raw == usage


async def test_several_answers(wire):
    whole = await wire.ask(wire.whole(wire.chat("a", "", "b")), n=3)
    chunks = [wire.chunk({"content": said}, at=at) for at, said in ((2, "b"), (0, "a"))]
    ends = [wire.chunk({}, at=at, finish="stop") for at in range(3)]
    streamed = await wire.ask(wire.stream(wire.sse(*chunks, *ends)), n=3)
    for response in (whole, streamed):
        assert ["".join(p.text for p in c.message.parts) for c in response.candidates] == [
            "a",
            "",
            "b",
        ]
        assert [one.finish.reason for one in response.candidates] == ["stop"] * 3


async def test_numbers_may_be_texts(wire):
    usage = {"prompt_tokens": "10", "completion_tokens": "5"}
    chunks = [wire.chunk({"content": said}, at=at) for at, said in (("1", "b"), ("0", "a"))]
    ends = [wire.chunk({}, at=at, finish="stop", usage=usage) for at in ("0", "1")]
    response = await wire.ask(wire.stream(wire.sse(*chunks, *ends)), n=2)
    assert [one.message.parts[0].text for one in response.candidates] == ["a", "b"]
    assert (response.usage.input_tokens, response.usage.output_tokens) == (10, 5)
    rows = [piece('{"a":', id=f"{at}" * 9, name="f", index=str(at)) for at in range(2)]
    more = [piece(f"{at}}}", index=str(at)) for at in range(2)]
    calls = [{"tool_calls": [row]} for row in (*rows, *more)]
    told = await wire.ask(wire.stream(wire.sse(*wire.pieces(*calls)[:-1], ends[0])))
    assert [call.parse() for call in told.tool_calls] == [{"a": 0}, {"a": 1}]
    assert (await wire.ask(wire.whole(wire.chat("x", created="17")))).created == 17.0


async def test_what_stands_beside_a_piece_is_kept(wire):
    first, last = wire.chunk({"content": "x"}), wire.chunk({}, finish="stop")
    first["choices"][0]["novel"] = 7
    response = await wire.ask(wire.stream(wire.sse(first, last)))
    assert response.raw["choices"] == {"0": {"novel": 7}}


async def test_what_a_tool_of_the_host_says_is_no_answer(wire):
    aside = {"role": "tool", "tool_call_id": "x", "content": "{}"}
    chunks = wire.pieces(aside, {"role": "assistant", "content": "Hi"})
    response = await wire.ask(wire.stream(wire.sse(*chunks)))
    assert response.text == "Hi"
    assert response.raw["choices"]["0"]["messages"] == [aside]
    odd = wire.chunk({"messages": 7, "content": "x"})
    told = wire.sse(odd, wire.chunk(aside), wire.chunk({}, finish="stop"))
    assert (await wire.ask(wire.stream(told))).raw["choices"]["0"]["messages"] == [aside]
    told = wire.chat("x")
    told["choices"][0] |= {"message": None, "messages": [aside, {"content": "Hi"}]}
    assert (await wire.ask(wire.whole(told))).text == "Hi"


TALK = ["count", ("assistant", "1, 2,")]


@pytest.mark.parametrize(
    "pieces", [["1, 2, 3"], ["1,", " 2,", " 3"], ["1, 2,", " 3"], [" 3"], ["1, 2", ", 3"]]
)
async def test_what_was_begun_is_not_told_again(wire, pieces):
    assert (await wire.ask(wire.streamed(*pieces), TALK)).text == " 3"
    assert (await wire.ask(wire.whole(wire.chat("".join(pieces))), TALK)).text == " 3"


async def test_what_only_looks_like_the_beginning_is_told(wire):
    for said in ("1", "1, 3", "2, 3"):
        assert (await wire.ask(wire.streamed(*said), TALK)).text == said
    call = {"tool_calls": [{"id": "aaaaaaaaa", "function": {"name": "f", "arguments": "{}"}}]}
    response = await wire.ask(wire.streamed("1,", call), TALK)
    assert [part.kind for part in response.parts] == ["text", "tool_call"]


async def test_no_choice_is_no_answer(wire):
    for told in ({"id": "x"}, {"choices": None}, {"choices": []}, {"choices": ["x"]}):
        with pytest.raises(ProtocolError, match="without any choice"):
            await wire.ask(wire.whole(told))
