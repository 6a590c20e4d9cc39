"""What hosts answer, in all its forms, as one response."""

from __future__ import annotations

from decimal import Decimal

import pytest

from llmmw import Citation, Generate, MediaPart, ReasoningPart, TextPart, TokenLogprob
from llmmw.errors import ProtocolError

pytestmark = pytest.mark.plugins

USAGE = {"prompt_tokens": 3, "completion_tokens": 2, "total_tokens": 5}


async def test_a_chat_whole(wire):
    told = wire.chat({"role": "assistant", "content": "hi"}, usage=USAGE, system_fingerprint="f")
    answer = wire.whole(told, x_request_id="r-1", x_ratelimit_remaining_requests="9")
    response = await wire.ask(answer)
    assert (response.text, response.id, response.model) == ("hi", "c-1", "m-1")
    assert (response.provider, response.created, response.request_id) == ("openai", 7.0, "r-1")
    assert (response.finish.reason, response.finish.raw) == ("stop", "stop")
    assert response.spent[:2] == (3, 2)
    assert response.raw["system_fingerprint"] == "f"
    assert response.http.rate == {"requests_remaining": 9.0}
    assert response.http.status == 200


async def test_a_legacy_completion(wire):
    logprobs = {
        "tokens": ["on", "ce"],
        "token_logprobs": [None, -0.5],
        "top_logprobs": [None, {"ce": -0.5, "to": -9, "x": -1}],
    }
    choice = {"index": 0, "text": "once", "logprobs": logprobs, "finish_reason": "length"}
    told = {"id": "c", "choices": [choice]}
    response = await wire.ask(wire.whole(told), Generate(prompt="Once", logprobs=2))
    (part,) = response.parts
    assert part.text == "once"
    assert part.logprobs == (
        TokenLogprob("on", -9999.0),
        TokenLogprob("ce", -0.5, (("ce", -0.5), ("x", -1.0))),
    )
    assert response.finish_reason == "length"
    pieces = [{"choices": [{"index": 0, "text": t, "finish_reason": None}]} for t in ("a", "b")]
    end = {"choices": [{"index": 0, "text": "", "finish_reason": "stop"}]}
    response = await wire.ask(wire.events(*pieces, end), Generate(prompt="x"))
    assert (response.text, response.finish_reason) == ("ab", "stop")


def say(wire, *more, text="hi", finish="stop"):
    """A stream in two pieces, and what comes besides."""
    return [wire.chunk({"role": "assistant", "content": ""}), wire.chunk({"content": text}), *more]


STREAMS = {
    "the wire as it is written": lambda w: [*say(w), w.chunk({}, "stop")],
    "text beside the finish": lambda w: [
        w.chunk({"content": "h"}),
        w.chunk({"content": "i"}, "stop"),
    ],
    "the role each time": lambda w: [
        w.chunk({"role": "assistant", "content": "h"}),
        w.chunk({"role": "assistant", "content": "i", "tool_calls": None}, "stop"),
    ],
    "nulls": lambda w: [
        w.chunk({"content": None, "refusal": None, "tool_calls": None, "reasoning": None}),
        {"id": None, "model": None, "choices": [{"index": None, "delta": None}]},
        *say(w),
        {"choices": None, "usage": None},
        w.chunk(None, "stop"),
    ],
    "prompt filter first": lambda w: [
        {"id": "", "model": "", "choices": [], "prompt_filter_results": [{"index": 0}]},
        *say(w),
        w.chunk({}, "stop"),
        {"choices": [{"index": 0, "content_filter_offsets": {"start": 1}, "finish_reason": None}]},
    ],
    "a message that repeats the deltas": lambda w: [
        {"choices": [{"delta": {"content": "h"}, "message": {"content": "h"}}]},
        {"choices": [{"delta": {"content": "i"}, "message": {"content": "hi"}}]},
        {"choices": [{"delta": {}, "message": {"content": "hi"}, "finish_reason": "stop"}]},
    ],
    "no finish at all": lambda w: say(w),
    "an empty word for the finish": lambda w: [*say(w), w.chunk({}, "")],
    "no id, no model, unknown fields": lambda w: [
        {"new": 1, "choices": [{"delta": {"content": "hi", "new": 2}, "finish_reason": "stop"}]}
    ],
    "duplicate keys": lambda w: ['{"choices":[],"choices":[{"delta":{"content":"hi"}}]}'],
    "NaN": lambda w: ['{"x":NaN,"y":-Infinity,"choices":[{"delta":{"content":"hi"}}]}'],
}


@pytest.mark.parametrize("name", STREAMS)
async def test_streams(wire, name):
    response = await wire.ask(wire.events(*STREAMS[name](wire)))
    assert response.text == "hi"
    assert [type(part) for part in response.parts] == [TextPart]
    assert response.finish_reason == "stop"


@pytest.mark.parametrize(
    "body",
    [
        b'data:{"choices":[{"delta":{"content":"hi"},"finish_reason":"stop"}]}\n\n',
        b'\xef\xbb\xbfdata: {"choices":[{"delta":{"content":"hi"}}]}\r\n\r\ndata: [DONE]  \r\n\r\n',
        b': ping\n\ndata: {"choices":[{"delta":\ndata: {"content":"hi"}}]}\n\ndata:[DONE]\n\n',
        b'data: {"choices":[{"delta":{"content":"hi"}}]}\n\ndata: [DONE]',
        b'data:\n\ndata: {"choices":[{"delta":{"content":"hi"},"finish_reason":"stop"}]}',
    ],
)
async def test_framings(wire, body):
    assert (await wire.ask(wire.stream(body))).text == "hi"
    pieces = [body[at : at + 1] for at in range(len(body))]
    assert (await wire.ask(wire.stream(*pieces))).text == "hi"


USAGES = {
    "in a piece of its own": lambda w: [
        w.chunk({}, "stop", usage=None),
        {"choices": [], "usage": USAGE},
    ],
    "beside the finish": lambda w: [w.chunk({}, "stop", usage=USAGE)],
    "with every piece, growing": lambda w: [
        w.chunk({"content": ""}, usage=USAGE | {"completion_tokens": 1}),
        w.chunk({}, "stop", usage=USAGE),
    ],
    "in the choice": lambda w: [
        {"choices": [{"index": 0, "delta": {}, "finish_reason": "stop", "usage": USAGE}]}
    ],
    "in x_groq": lambda w: [w.chunk({}, "stop", x_groq={"id": "x", "usage": USAGE})],
}


@pytest.mark.parametrize("name", USAGES)
async def test_usage(wire, name):
    response = await wire.ask(wire.events(*say(wire), *USAGES[name](wire)))
    assert response.spent[:2] == (3, 2)
    assert response.usage.cache_read_tokens is None


async def test_usage_that_nobody_told(wire):
    assert (await wire.ask(wire.events(*say(wire)))).usage is None
    assert (await wire.ask(wire.whole(wire.chat({"content": "x"}, usage={})))).usage is None


@pytest.mark.parametrize(
    ("told", "expected"),
    [
        ({"prompt_tokens_details": {"cached_tokens": 0}}, {"cache_read_tokens": 0}),
        ({"prompt_tokens_details": None, "prompt_cache_hit_tokens": 2}, {"cache_read_tokens": 2}),
        ({"cached_tokens": 2}, {"cache_read_tokens": 2}),
        ({"prompt_tokens_details": {"cache_write_tokens": 1}}, {"cache_write_tokens": 1}),
        ({"completion_tokens_details": {"reasoning_tokens": 1}}, {"reasoning_tokens": 1}),
        # xAI: what was thought is no part of the completion.
        (
            {"completion_tokens_details": {"reasoning_tokens": 40}, "total_tokens": 45},
            {"reasoning_tokens": 40, "output_tokens": 42},
        ),
        ({"prompt_tokens_details": {"audio_tokens": 1}}, {"input_audio_tokens": 1}),
        ({"completion_tokens": True}, {"output_tokens": None}),
        ({"completion_tokens": -1}, {"output_tokens": None}),
        ({"completion_tokens": float("nan")}, {"output_tokens": None}),
        ({"completion_tokens": 10**400}, {"output_tokens": None}),
        ({"cost": 0.0125}, {"cost": Decimal("0.0125")}),
        ({"cost": {"total_cost": "0.5"}}, {"cost": Decimal("0.5")}),
    ],
)
async def test_usage_in_other_words(wire, told, expected):
    response = await wire.ask(wire.whole(wire.chat({"content": "x"}, usage=USAGE | told)))
    assert {name: getattr(response.usage, name) for name in expected} == expected


@pytest.mark.parametrize(
    ("word", "reason"),
    [
        ("stop", "stop"),
        ("eos", "stop"),
        ("STOP", "stop"),
        ("", "stop"),
        (None, "stop"),
        ("length", "length"),
        ("tool_calls", "stop"),  # there is none
        ("content_filter", "content_filter"),
        ("insufficient_system_resource", "error"),
        ("error", "error"),
        ("novel", "other"),
        (3, "stop"),
    ],
)
async def test_finish(wire, word, reason):
    response = await wire.ask(wire.whole(wire.chat({"content": "x"}, word)))
    assert response.finish_reason == reason
    assert response.finish.raw == (word if isinstance(word, str) else None)


async def test_more_of_a_finish(wire):
    told = wire.chat({"content": "x"})
    told["choices"][0] |= {"stop_reason": "###", "native_finish_reason": "end"}
    finish = (await wire.ask(wire.whole(told))).finish
    assert finish.stop_sequence == "###"
    assert finish.detail == {"native_finish_reason": "end"}


async def test_a_refusal_is_no_text(wire):
    rows = [{"token": "no", "logprob": -0.25, "top_logprobs": []}]
    told = wire.chat({"content": None, "refusal": "no"})
    told["choices"][0]["logprobs"] = {"content": None, "refusal": rows}
    response = await wire.ask(wire.whole(told), logprobs=0)
    assert (response.text, response.refusal) == ("", "no")
    assert response.parts[0].logprobs == (TokenLogprob("no", -0.25),)
    chunks = [wire.chunk({"refusal": one}) for one in ("n", "o")]
    assert (await wire.ask(wire.events(*chunks, wire.chunk({}, "stop")))).refusal == "no"


@pytest.mark.parametrize(
    ("number", "read"),
    [(-1.5, -1.5), (0, 0.0), (-9999.0, -9999.0), (None, -9999.0), (float("-inf"), -9999.0),
     (float("nan"), -9999.0), ("x", -9999.0), (-(10**400), -9999.0)],
)  # fmt: skip
async def test_logprobs(wire, number, read):
    top = [{"token": t, "logprob": number} for t in ("a", "b", "c")]
    told = wire.chat({"content": "a"})
    row = {"token": "a", "logprob": number, "top_logprobs": top}
    told["choices"][0]["logprobs"] = {"content": [row, {"broken": 1}], "refusal": None}
    (part,) = (await wire.ask(wire.whole(told), logprobs=2)).parts
    assert part.logprobs == (TokenLogprob("a", read, (("a", read), ("b", read))),)
    (part,) = (await wire.ask(wire.whole(told))).parts
    assert part.logprobs == ()


@pytest.mark.parametrize("field", ["reasoning_content", "reasoning"])
async def test_reasoning(wire, field):
    chunks = [wire.chunk({field: "h"}), wire.chunk({field: "m", "content": None})]
    response = await wire.ask(wire.events(*chunks, *say(wire), wire.chunk({}, "stop")))
    assert response.parts == (ReasoningPart("hm"), TextPart("hi"))


async def test_blocks_of_reasoning_are_kept_as_they_came(wire):
    first = {"type": "reasoning.text", "text": "h", "index": 0, "signature": None}
    chunks = [
        wire.chunk({"reasoning": "h", "reasoning_details": [first]}),
        wire.chunk({"reasoning_details": [{"index": 0, "text": "m", "signature": "s"}]}),
        wire.chunk({"content": "hi"}),
        wire.chunk({"reasoning_details": [{"type": "reasoning.encrypted", "data": "e"}]}),
        wire.chunk({"reasoning_details": [{"index": 9, "text": None}]}),
        wire.chunk({"reasoning_details": [{"index": 9, "text": "x"}]}, "stop"),
    ]
    response = await wire.ask(wire.events(*chunks), preset="openrouter")
    assert (response.reasoning, response.text) == ("hmx", "hi")
    details = response.parts[-1].extra["openrouter"]["reasoning_details"]
    assert details[0] == first | {"text": "hm", "signature": "s"}
    assert details[1:] == [{"type": "reasoning.encrypted", "data": "e"}, {"index": 9, "text": "x"}]


async def test_content_in_parts(wire):
    parts = [
        {"type": "thinking", "thinking": [{"type": "text", "text": "hm"}]},
        {"type": "text", "text": "hi"},
        "odd",
    ]
    response = await wire.ask(wire.whole(wire.chat({"content": parts})), preset="mistral-openai")
    assert response.parts == (ReasoningPart("hm"), TextPart("hi"))


async def test_citations_images_audio(wire):
    cited = {"url": "https://a", "title": "A", "start_index": 0, "end_index": 2}
    message = {
        "content": "hi",
        "annotations": [{"type": "url_citation", "url_citation": cited}, {"type": "odd"}],
        "images": [
            {"image_url": {"url": "data:image/png;base64,cG5n"}},
            {"image_url": {"url": "https://b"}},
            {"image_url": {"url": "data:image/svg+xml,<svg/>"}},
            {"image_url": None},
        ],
        "audio": {"id": "a-1", "data": "YXU=ZGlv", "transcript": "hi", "expires_at": 9},
    }
    text, png, far, svg, sound = (await wire.ask(wire.whole(wire.chat(message)))).parts
    assert text.citations == (Citation(url="https://a", title="A", start=0, end=2),)
    assert png == MediaPart(media_type="image/png", data=b"png")
    assert far.url == "https://b"
    assert svg.url == "data:image/svg+xml,<svg/>"
    assert (sound.media_type, sound.data) == ("audio/wav", b"audio")
    assert sound.extra["openai"]["id"] == "a-1"
    with pytest.raises(ProtocolError, match="base64"):
        await wire.ask(wire.whole(wire.chat({"audio": {"data": "YXU"}})))


async def test_several_candidates_interleaved(wire):
    chunks = [wire.chunk({"content": c}, index=at) for at, c in ((1, "b"), (0, "a"), (1, "B"))]
    ends = [wire.chunk({}, why, index=at) for at, why in ((2, "content_filter"), (1, "length"))]
    response = await wire.ask(wire.events(*chunks, *ends, wire.chunk({}, "stop")), n=3)
    assert response.text == "a"
    assert [c.message.text for c in response.candidates] == ["a", "bB", ""]
    assert [c.finish.reason for c in response.candidates] == ["stop", "length", "content_filter"]
