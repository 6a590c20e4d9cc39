"""What the host answers, as parts, usage and a reason; whole and streamed."""

from __future__ import annotations

import base64

import pytest
from llmmw_bedrock import _blocks
from llmmw_bedrock._answer import Answer

from llmmw import Citation, MediaPart, OpaquePart, ReasoningPart, TextPart, ToolCallPart

pytestmark = pytest.mark.plugins

SOURCE = {
    "title": "T",
    "sourceContent": [{"text": "it is"}, {"text": " so"}],
    "location": {"web": {"url": "https://x.example", "domain": "x.example"}},
}


async def both(wire, content, *events, stop="end_turn", **more):
    """The response of an answer that came whole, which one in pieces must give as well."""
    whole = await wire.ask(wire.whole(wire.message(*content, stop=stop, **more)))
    told = wire.events(wire.start(), *events, *wire.end(stop, **more))
    streamed = await wire.ask(told)
    assert streamed == whole
    return whole


async def test_text_and_what_it_cost(wire):
    usage = {"inputTokens": 3, "outputTokens": 4, "totalTokens": 20, "serverToolUsage": {"w": 2}}
    usage |= {"cacheReadInputTokens": 6, "cacheWriteInputTokens": 7}
    events = wire.block(0, "", "Hel", "lo")
    told = await both(wire, ["Hello"], *events, usage=usage)
    assert told.parts == (TextPart("Hello"),)
    assert (told.finish.reason, told.finish.raw) == ("stop", "end_turn")
    assert (told.usage.input_tokens, told.usage.output_tokens) == (16, 4)
    assert (told.usage.cache_read_tokens, told.usage.cache_write_tokens) == (6, 7)
    assert told.usage.server_tool_calls == {"w": 2}
    assert told.usage.raw == usage
    assert told.model == "us.anthropic.claude-sonnet-4-5-20250929-v1:0"
    assert told.provider == "bedrock"


async def test_texts_that_are_blocks_of_their_own(wire):
    events = [*wire.block(0, "a"), *wire.block(1, "b")]
    told = await both(wire, ["a", {"type": "text", "text": "b"}], *events)
    assert told.parts == (TextPart("a"), TextPart("b"))
    # Some hosts never say that a block ends.
    loose = [*wire.block(0, "a", stop=False), *wire.block(1, "b", stop=False)]
    assert (await wire.ask(wire.events(wire.start(), *loose, *wire.end()))).parts == told.parts


async def test_thoughts(wire):
    thought = {"reasoningContent": {"reasoningText": {"text": "hm, so", "signature": "sig"}}}
    sealed = {"reasoningContent": {"redactedContent": "U0VB"}}
    pieces = [{"text": "hm,"}, {"text": " so"}, {"text": ""}, {"signature": "sig"}]
    events = [
        *wire.block(0, *({"reasoningContent": one} for one in pieces)),
        *wire.block(1, sealed),
        *wire.block(2, "x"),
    ]
    told = await both(wire, [thought, sealed, "x"], *events)
    assert told.parts == (
        ReasoningPart("hm, so", signature="sig"),
        ReasoningPart(redacted=True, encrypted="U0VB"),
        TextPart("x"),
    )
    assert told.reasoning == "hm, so"


async def test_a_sealed_thought_in_pieces(wire):
    whole = base64.b64encode(b"a long secret").decode()
    pieces = [base64.b64encode(one).decode() for one in (b"a lo", b"ng secret")]
    events = wire.block(0, *({"reasoningContent": {"redactedContent": one}} for one in pieces))
    told = await both(wire, [{"reasoningContent": {"redactedContent": whole}}], *events)
    assert told.parts == (ReasoningPart(redacted=True, encrypted=whole),)


async def test_a_thought_and_a_text_in_one_block(wire):
    thought = {"reasoningContent": {"text": "hm"}}
    told = await wire.ask(wire.events(wire.start(), *wire.block(0, thought, "x"), *wire.end()))
    assert told.parts == (ReasoningPart("hm"), TextPart("x"))


async def test_calls(wire):
    calls = [
        {"toolUse": {"toolUseId": "a", "name": "f", "input": {"x": 1}}},
        {"toolUse": {"toolUseId": "b", "name": "g", "input": {}}},
    ]
    begun = [{"toolUse": {"toolUseId": one, "name": name}} for one, name in ("af", "bg")]
    pieces = [{"toolUse": {"input": one}} for one in ("", '{"x"', ": 1}")]
    events = [
        *wire.block(0, "I look."),
        *wire.block(1, *pieces, start=begun[0]),
        *wire.block(2, start=begun[1]),
    ]
    told = await both(wire, ["I look.", *calls], *events, stop="tool_use")
    assert told.parts == (
        TextPart("I look."),
        ToolCallPart(id="a", name="f", arguments='{"x": 1}'),
        ToolCallPart(id="b", name="g", arguments="{}"),
    )
    assert told.finish.reason == "tool_call"


async def test_calls_that_are_told_at_once(wire):
    """Pieces of two blocks in turns."""
    begun = [{"toolUse": {"toolUseId": one, "name": "f"}} for one in "ab"]
    events = [event for at in (0, 1) for event in wire.block(at, start=begun[at], stop=False)]
    for piece in ("1", "2"):
        for at in (0, 1):
            events += wire.block(at, {"toolUse": {"input": piece}}, stop=False)
    told = await wire.ask(wire.events(wire.start(), *events, *wire.end("tool_use")))
    assert [call.arguments for call in told.tool_calls] == ["12", "12"]


async def test_a_tool_that_the_host_ran(wire):
    call = {"toolUseId": "a", "name": "nova_code_interpreter", "type": "server_tool_use"}
    result = {"toolUseId": "a", "type": "nova_code_interpreter_result", "status": "success"}
    content = [{"json": {"stdOut": "4"}}]
    blocks = [
        {"toolUse": call | {"input": {"snippet": "2+2"}}},
        {"toolResult": result | {"content": content}},
        {"toolUse": {"toolUseId": "b", "name": "f", "input": {}, "type": "tool_use"}},
    ]
    pieces = [{"toolUse": {"input": one}} for one in ('{"snippet":', '"2+2"}')]
    events = [
        *wire.block(0, *pieces, start={"toolUse": call}),
        *wire.block(1, {"toolResult": content}, start={"toolResult": result}),
        *wire.block(2, start={"toolUse": {"toolUseId": "b", "name": "f"}}),
    ]
    told = await both(wire, blocks, *events, stop="tool_use")
    assert told.parts == (
        OpaquePart(provider="bedrock", type="toolUse", data=blocks[0]),
        OpaquePart(provider="bedrock", type="toolResult", data=blocks[1]),
        ToolCallPart(id="b", name="f", arguments="{}"),
    )
    assert [call.id for call in told.tool_calls] == ["b"]


async def test_citations(wire):
    block = {"citationsContent": {"content": [{"text": "So."}], "citations": [SOURCE]}}
    events = wire.block(0, "So", ".", {"citation": SOURCE})
    told = await both(wire, [block], *events)
    cited = Citation(url="https://x.example", title="T", text="it is so", extra={"bedrock": SOURCE})
    assert told.parts == (TextPart("So.", citations=(cited,)),)


async def test_an_image(wire):
    data = base64.b64encode(b"12345678").decode()
    block = {"image": {"format": "png", "source": {"bytes": data}}}
    cut = [base64.b64encode(one).decode() for one in (b"1234", b"5678")]
    pieces = [{"image": {"source": {"bytes": one}}} for one in cut]
    told = await both(wire, [block], *wire.block(0, *pieces, start={"image": {"format": "png"}}))
    assert told.parts == (MediaPart(media_type="image/png", data=b"12345678"),)


def test_an_image_in_many_pieces_is_put_together_once(monkeypatch):
    """Else the work would grow with the square of them."""
    joined = []
    real = _blocks._joined
    monkeypatch.setattr(_blocks, "_joined", lambda told: joined.append(len(told)) or real(told))
    answer = Answer("bedrock", "m")
    place = {"contentBlockIndex": 0}
    answer.take("contentBlockStart", place | {"start": {"image": {"format": "png"}}})
    for _ in range(500):
        answer.take(
            "contentBlockDelta", place | {"delta": {"image": {"source": {"bytes": "MTIz"}}}}
        )
    answer.take("contentBlockStop", place)
    (part,) = answer.response().parts
    assert (part.data, joined) == (b"123" * 500, [500])


@pytest.mark.parametrize(
    "block",
    [
        {"image": {"format": "png", "error": {"message": "blocked"}}},
        {"image": {"format": "tga", "source": {"bytes": "MQ=="}}},
        {"image": {"format": "png", "source": {"bytes": "?"}}},
        {"newThing": {"a": [1]}},
        {"newThing": "text"},
        {"guardContent": {"text": {"text": "x"}}},
    ],
)
async def test_blocks_that_stay_as_they_are(wire, block):
    (kind,) = block
    told = await both(wire, [block, "x"], *wire.block(0, start=block), *wire.block(1, "x"))
    assert told.parts == (OpaquePart(provider="bedrock", type=kind, data=block), TextPart("x"))


async def test_what_has_no_place_stands_beside(wire):
    more = {"trace": {"guardrail": {"actionReason": "none"}}, "serviceTier": {"type": "flex"}}
    whole = await wire.ask(wire.whole(wire.message("x", **more, later={"a": 1})))
    assert whole.raw == more | {"later": {"a": 1}, "metrics": {"latencyMs": 7}}
    events = [wire.start(), ("newEvent", {"b": 2, "p": "x"}), *wire.block(0, "x")]
    told = await wire.ask(wire.events(*events, *wire.end(**more)))
    assert told.raw == more | {"metrics": {"latencyMs": 7}, "events": [{"newEvent": {"b": 2}}]}


@pytest.mark.parametrize(
    ("raw", "reason"),
    [
        ("end_turn", "stop"),
        ("stop_sequence", "stop"),
        ("max_tokens", "length"),
        ("model_context_window_exceeded", "length"),
        ("guardrail_intervened", "content_filter"),
        ("content_filtered", "content_filter"),
        ("malformed_model_output", "error"),
        ("malformed_tool_use", "error"),
        ("tool_use", "stop"),  # of a tool of the host's
        ("new_word", "other"),
    ],
)
async def test_why_it_ended(wire, raw, reason):
    told = await both(wire, ["x"], *wire.block(0, "x"), stop=raw)
    assert (told.finish.reason, told.finish.raw) == (reason, raw)


async def test_the_stop_sequence(wire):
    fields = {"additionalModelResponseFields": {"stop_sequence": "END"}}
    whole = await wire.ask(wire.whole(wire.message("x", stop="stop_sequence", **fields)))
    assert whole.finish.stop_sequence == "END"
    inside = {"delta": {"stop_sequence": "END"}}
    events = [wire.start(), *wire.block(0, "x"), *wire.end("stop_sequence", fields=inside)]
    assert (await wire.ask(wire.events(*events))).finish.stop_sequence == "END"


async def test_headers_of_the_answer(wire):
    told = await wire.ask(wire.whole(wire.message("x"), x_amzn_requestid="req-1"))
    assert told.request_id == "req-1"
    assert told.http.headers["x-amzn-requestid"] == "req-1"
    assert told.http.status == 200


async def test_an_answer_in_another_form_than_asked(wire):
    told = await wire.ask(wire.whole(wire.message("x")), stream=True)
    assert told.text == "x"
    events = wire.events(wire.start(), *wire.block(0, "x"), *wire.end())
    assert (await wire.ask(events, stream=False)).text == "x"
