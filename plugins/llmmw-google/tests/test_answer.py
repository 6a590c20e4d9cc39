"""What the host answers, in all its forms, as one response."""

from __future__ import annotations

import pytest

from llmmw import (
    Citation,
    MediaPart,
    OpaquePart,
    ReasoningPart,
    TextPart,
    TokenLogprob,
    ToolCallPart,
)
from llmmw.errors import ProtocolError
from llmmw.plugin import Fold

pytestmark = pytest.mark.plugins


async def test_an_answer_whole(wire):
    usage = {"promptTokenCount": 3, "candidatesTokenCount": 2, "totalTokenCount": 5}
    told = wire.piece("hi", finish="STOP", usageMetadata=usage, createTime="2026-05-27T00:00:01Z")
    response = await wire.ask(wire.whole(told))
    assert (response.text, response.id, response.model) == ("hi", "r-1", "m-1")
    assert (response.provider, response.created) == ("google", 1779840001.0)
    assert (response.finish.reason, response.finish.raw) == ("stop", "STOP")
    assert response.spent[:2] == (3, 2)
    assert response.raw["createTime"] == "2026-05-27T00:00:01Z"


FINISHES = {
    "STOP": "stop",
    "MAX_TOKENS": "length",
    **dict.fromkeys(
        (
            *("SAFETY", "RECITATION", "LANGUAGE", "BLOCKLIST", "PROHIBITED_CONTENT", "SPII"),
            *("MODEL_ARMOR", "IMAGE_SAFETY", "IMAGE_RECITATION", "IMAGE_PROHIBITED_CONTENT"),
        ),
        "content_filter",
    ),
    **dict.fromkeys(
        ("MALFORMED_FUNCTION_CALL", "UNEXPECTED_TOOL_CALL", "TOO_MANY_TOOL_CALLS"), "error"
    ),
    **dict.fromkeys(("OTHER", "NO_IMAGE", "NEWLY_MADE"), "other"),
}


@pytest.mark.parametrize("raw", FINISHES)
async def test_why_an_answer_ended(wire, raw):
    told = wire.piece("x", finish=raw)
    told["candidates"][0]["finishMessage"] = "because"
    for answer in (wire.whole(told), wire.events(told)):
        response = await wire.ask(answer)
        assert (response.finish.raw, response.finish_reason) == (raw, FINISHES[raw])
        assert response.finish.detail == {"finishMessage": "because"}
    call = {"functionCall": {"name": "f", "args": {}}}
    reason = (await wire.ask(wire.whole(wire.piece(call, finish=raw)))).finish_reason
    assert reason == ("tool_call" if FINISHES[raw] in {"stop", "other"} else FINISHES[raw])


async def test_pieces_that_are_missing(wire):
    bare = {"candidates": [{"content": {"role": "model"}, "finishReason": "MAX_TOKENS"}]}
    for told in (bare, wire.piece({}, {"text": ""}, finish="MAX_TOKENS")):
        response = await wire.ask(wire.whole(told))
        assert (response.parts, response.finish_reason) == ((), "length")
    empty = await wire.ask(wire.whole({"candidates": [{"content": {}, "index": 0}]}))
    assert (empty.text, empty.finish.raw, empty.finish_reason) == ("", None, "other")
    nulls = {"candidates": [{"content": None, "finishReason": "STOP", "index": None}]}
    assert (await wire.ask(wire.whole(nulls | {"usageMetadata": None}))).usage is None


async def test_thoughts_stand_apart_and_keep_their_signatures(wire):
    signed = {"text": "", "thoughtSignature": "c2ln"}
    parts = [{"text": "h", "thought": True}, {"text": "m", "thought": True}, "so", signed]
    for answer in (
        wire.whole(wire.piece(*parts, finish="STOP")),
        wire.events(*(wire.piece(one) for one in parts), wire.piece(finish="STOP")),
    ):
        response = await wire.ask(answer)
        assert (response.reasoning, response.text) == ("hm", "so")
        assert response.parts == (
            ReasoningPart("hm", extra={"google": {"thought": True}}),
            TextPart("so"),
            TextPart("", extra={"google": {"thoughtSignature": "c2ln"}}),
        )


async def test_calls_with_and_without_ids(wire):
    parts = [
        {"functionCall": {"name": "f", "args": {"x": 1}}, "thoughtSignature": "c2ln"},
        {"functionCall": {"name": "f", "args": {}}},
        {"functionCall": {"name": "g"}},
        {"functionCall": {"name": "g", "id": "its-own", "args": {"y": [None]}}},
    ]
    told = wire.piece(*parts, finish="STOP")
    one, other = await wire.ask(wire.whole(told)), await wire.ask(wire.events(told))
    assert one.parts == other.parts
    assert [call.name for call in one.tool_calls] == ["f", "f", "g", "g"]
    assert [call.parse() for call in one.tool_calls] == [{"x": 1}, {}, {}, {"y": [None]}]
    ids = [call.id for call in one.tool_calls]
    assert len(set(ids)) == 4
    assert ids[3] == "its-own"
    assert one.tool_calls[0].extra["google"]["thoughtSignature"] == "c2ln"
    assert one.finish_reason == "tool_call"


def partial(path, more=True, **value):
    piece = {"jsonPath": path, **value} | ({"willContinue": True} if more else {})
    return {"functionCall": {"partialArgs": [piece], "willContinue": True}}


async def test_arguments_grow_as_they_come(wire):
    begin = {"functionCall": {"name": "f", "willContinue": True}, "thoughtSignature": "c2ln"}
    rows = [
        begin,
        partial("$.a.b[0].c", stringValue='q"'),
        partial("$.a.b[0].c", stringValue="\n"),
        partial("$.a.b[0].c", more=False, stringValue=""),
        {"functionCall": {"willContinue": True}},
        partial("$.a.b[1].c", numberValue=1.5),
        partial("$['d e']", boolValue=False),
        partial("$.n", nullValue="NULL_VALUE"),
        {"functionCall": {}},
        {"functionCall": {"name": "g", "args": {}}},
    ]
    answer = wire.events(*(wire.piece(one) for one in rows), wire.piece(finish="STOP"))
    grown = []
    async with wire.client(answer) as (client, _):
        async with client.stream("hi") as stream:
            async for delta in stream:
                if getattr(delta, "arguments", ""):
                    grown.append(delta.arguments)
            response = stream.response
    assert grown[0] == '{"a":{"b":[{"c":"q\\"'
    assert len(grown) >= 6
    first, second = response.tool_calls
    assert first.parse() == {
        "a": {"b": [{"c": 'q"\n'}, {"c": 1.5}]},
        "d e": False,
        "n": None,
    }
    assert first.extra["google"]["thoughtSignature"] == "c2ln"
    assert (second.name, second.parse()) == ("g", {})


SIGNED = {"thoughtSignature": "c2ln"}
MARKED = [
    {"functionCall": {"name": "f", "willContinue": True}},
    partial("$.x", stringValue="1"),
    {"functionCall": {}},
    {"functionCall": {}},
]


@pytest.mark.parametrize("place", range(len(MARKED)))
async def test_a_signature_is_the_calls_whichever_of_its_pieces_has_it(wire, place):
    """Even the mark of an end that is told again."""
    rows = [one | SIGNED if at == place else one for at, one in enumerate(MARKED)]
    streamed = wire.events(*(wire.piece(one) for one in rows), wire.piece(finish="STOP"))
    fold = Fold()
    async with wire.client([streamed, wire.whole(wire.piece("x"))]) as (client, server):
        async with client.stream("hi") as stream:
            async for delta in stream:
                fold(delta)
        told = stream.response
        result = told.tool_calls[0].result("done")
        await client.ask(["hi", told, result])
    assert fold.response().message == told.message
    _, answered, _ = server.requests[-1].json()["contents"]
    call = {"functionCall": {"name": "f", "args": {"x": "1"}}}
    assert answered["parts"] == [call | SIGNED]


async def test_a_signature_is_of_one_call_alone(wire):
    """Whole calls side by side: the first is signed; then one of another, then a bare one."""
    calls = [{"functionCall": {"name": "f", "args": {"x": at}}} for at in range(3)]
    parts = [calls[0] | SIGNED, calls[1], {"text": "", **SIGNED}, calls[2]]
    for answer in (
        wire.whole(wire.piece(*parts, finish="STOP")),
        wire.events(*(wire.piece(one) for one in parts), wire.piece(finish="STOP")),
    ):
        response = await wire.ask(answer)
        body, _ = await wire.sent(["hi", response, *(c.result(1) for c in response.tool_calls)])
        assert body["contents"][1]["parts"] == parts


async def test_calls_that_stream_side_by_side(wire):
    def begin(**more):
        return {"functionCall": {"name": "f", "willContinue": True, **more}}

    rows = [
        begin(),
        partial("$.x", stringValue="1"),
        begin(),  # the mark of the end is missing
        partial("$.x", stringValue="2"),
        begin(id="i"),
        {"functionCall": {"name": "f", "id": "i", "partialArgs": [{"jsonPath": "$.x",
            "stringValue": "3"}]}},
        "text",
        begin(),
    ]  # fmt: skip
    response = await wire.ask(
        wire.events(*(wire.piece(one) for one in rows), wire.piece(finish="STOP"))
    )
    assert [call.parse() for call in response.tool_calls] == [
        {"x": "1"},
        {"x": "2"},
        {"x": "3"},
        {},
    ]
    assert response.text == "text"


@pytest.mark.parametrize(
    "path", ["$.a.b", "$.a", "$", "a", "$[0]", "$.a..b", None, 7, "$.a[9999]", "$" + ".x" * 200]
)
async def test_arguments_that_lead_nowhere(wire, path):
    begin = {"functionCall": {"name": "f", "willContinue": True}}
    rows = [begin, partial("$.a", numberValue=1), partial("$.b", numberValue=1)]
    bad = partial(path, numberValue=2)
    with pytest.raises(ProtocolError, match=r"arguments? of a function call come"):
        await wire.ask(wire.events(*(wire.piece(one) for one in [*rows, bad])))


async def test_media(wire):
    image = {"inlineData": {"mimeType": "image/png", "data": "iVBORw=="}, "thoughtSignature": "s"}
    file = {"fileData": {"mimeType": "video/mp4", "fileUri": "gs://b/v.mp4"}}
    draft = {"inlineData": {"mimeType": "image/png", "data": "AA=="}, "thought": True}
    response = await wire.ask(wire.whole(wire.piece(draft, "see", image, file, finish="STOP")))
    assert response.parts == (
        OpaquePart(provider="google", type="inlineData", data=draft),
        TextPart("see"),
        MediaPart(
            media_type="image/png",
            data=b"\x89PNG",
            extra={"google": {"thoughtSignature": "s"}},
        ),
        MediaPart(media_type="video/mp4", url="gs://b/v.mp4"),
    )
    bad = {"inlineData": {"mimeType": "image/png", "data": "é"}}
    with pytest.raises(ProtocolError, match="base64"):
        await wire.ask(wire.whole(wire.piece(bad, finish="STOP")))


@pytest.mark.parametrize(
    "part",
    [
        {"executableCode": {"language": "PYTHON", "code": "1"}},
        {"codeExecutionResult": {"outcome": "OUTCOME_OK", "output": "1"}},
        {"thoughtSignature": "s", "toolCall": {"id": "x", "toolType": "FILE_SEARCH"}},
        {"toolResponse": {"id": "x", "response": {}}, "thoughtSignature": "s"},
        {"functionResponse": {"name": "f", "response": {}}},
        {"neverSeen": [1]},
        {"thoughtSignature": "s"},
    ],
)
async def test_blocks_that_have_no_other_name_are_kept(wire, part):
    response = await wire.ask(wire.events(wire.piece("a", part), wire.piece("b", finish="STOP")))
    _, kept, _ = response.parts
    assert (kept.provider, dict(kept.data)) == ("google", part)
    assert response.text == "ab"


async def test_sources(wire):
    told = wire.piece("Paris.", finish="STOP")
    told["candidates"][0] |= {
        "citationMetadata": {
            "citations": [
                {"endIndex": 5, "uri": "https://a", "license": "mit"},
                {"startIndex": 1, "endIndex": 5, "title": "b", "uri": ""},
            ]
        },
        "groundingMetadata": {
            "webSearchQueries": ["q"],
            "groundingChunks": [
                {"web": {"uri": "https://w", "title": "w"}},
                {"retrievedContext": {"text": "t", "title": "file"}},
            ],
            "groundingSupports": [
                {"segment": {"endIndex": 6, "text": "Paris."}, "groundingChunkIndices": [0, 1, 7]}
            ],
        },
        "urlContextMetadata": {"urlMetadata": []},
    }
    for answer in (wire.whole(told), wire.events(told)):
        response = await wire.ask(answer)
        (part,) = response.parts
        assert part.citations == (
            Citation(url="https://a", start=0, end=5, extra={"google": {"license": "mit"}}),
            Citation(title="b", start=1, end=5),
            Citation(url="https://w", title="w", text="Paris.", start=0, end=6),
            Citation(title="file", text="Paris.", start=0, end=6),
        )
        assert response.finish.detail["groundingMetadata"]["webSearchQueries"] == ["q"]
        assert "urlContextMetadata" in response.finish.detail


async def test_logprobs(wire):
    told = wire.piece("Hello", finish="STOP")
    chosen = {"token": "Hello", "logProbability": -0.5, "tokenId": 7}
    other = {"token": "Hi", "logProbability": -2}
    told["candidates"][0]["logprobsResult"] = {
        "chosenCandidates": [chosen],
        "topCandidates": [{"candidates": [chosen, other]}],
    }
    for answer in (wire.whole(told), wire.events(told)):
        response = await wire.ask(answer, host="vertex", logprobs=1)
        row = TokenLogprob("Hello", -0.5, (("Hello", -0.5),))
        assert response.parts == (TextPart("Hello", logprobs=(row,)),)


USAGE = {
    "promptTokenCount": 10,
    "toolUsePromptTokenCount": 5,
    "cachedContentTokenCount": 4,
    "candidatesTokenCount": 7,
    "thoughtsTokenCount": 3,
    "totalTokenCount": 25,
    "promptTokensDetails": [
        {"modality": "TEXT", "tokenCount": 4},
        {"modality": "AUDIO", "tokenCount": 6},
    ],
}


async def test_usage(wire):
    response = await wire.ask(wire.whole(wire.piece("x", finish="STOP", usageMetadata=USAGE)))
    told = response.usage
    assert (told.input_tokens, told.output_tokens, told.reasoning_tokens) == (15, 10, 3)
    assert (told.cache_read_tokens, told.input_audio_tokens) == (4, 6)
    assert (told.cache_write_tokens, told.output_audio_tokens) == (None, None)
    assert told.raw == USAGE


async def test_the_last_usage_counts_whole(wire):
    rows = [
        wire.piece("a", usageMetadata=USAGE),
        wire.piece("b", usageMetadata={"promptTokenCount": 3, "candidatesTokenCount": "2"}),
        wire.piece("c", finish="STOP", usageMetadata={"trafficType": "ON_DEMAND"}),
    ]
    told = (await wire.ask(wire.events(*rows))).usage
    assert (told.input_tokens, told.output_tokens, told.cache_read_tokens) == (3, 2, None)
    bare = wire.piece("x", finish="STOP", usageMetadata={"trafficType": "ON_DEMAND"})
    told = (await wire.ask(wire.whole(bare))).usage
    assert (told.input_tokens, told.output_tokens, told.reasoning_tokens) == (0, 0, None)


async def test_candidates_by_their_place(wire):
    rows = [
        {"candidates": [{"content": {"parts": [{"text": t}]}} for t in ("a", "b")]},
        {"candidates": [{"finishReason": "STOP"}]},
    ]
    response = await wire.ask(wire.events(*rows))
    assert response.text == "a"
    assert [c.message.text for c in response.candidates] == ["a", "b"]
    assert [c.finish and c.finish.raw for c in response.candidates] == ["STOP", None]


async def test_a_call_of_another_candidate_has_its_own_id(wire):
    call = {"content": {"parts": [{"functionCall": {"name": "f"}}]}, "finishReason": "STOP"}
    told = wire.whole({"responseId": "r", "candidates": [call, call]})
    response = await wire.ask(told, n=2)
    ids = {part.id for c in response.candidates for part in c.message.parts}
    assert len(ids) == 2
    assert all(isinstance(c.message.parts[0], ToolCallPart) for c in response.candidates)
