"""Any conversation becomes a body that the host's rules allow, or an error that says why not."""

from __future__ import annotations

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from llmmw_bedrock._models import model_of
from llmmw_bedrock._request import body_of, count_body

from llmmw import (
    CachePoint,
    Citation,
    CountTokens,
    Generate,
    JsonSchema,
    MediaPart,
    Message,
    OpaquePart,
    ReasoningPart,
    TextPart,
    Tool,
    ToolCallPart,
    ToolResultPart,
)
from llmmw.errors import BadRequest, UnsupportedFeature
from llmmw.wire import Losses, dumps

pytestmark = pytest.mark.plugins

MODELS = [
    "claude-sonnet-4-5",
    "claude-opus-4-6",
    "claude-opus-5",
    "claude-v2",
    "nova-pro",
    "smollm2",
]
words = st.sampled_from(["", " \n", "a", "b \n"])
junk = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=2),
    lambda inner: (
        st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=2), inner, max_size=2)
    ),
    max_leaves=3,
)
extras = st.sampled_from([{}, {}, {"google": {"thoughtSignature": "s"}}])
medium = st.sampled_from(["image/png", "application/pdf"])
ids = st.sampled_from(["t1", "t2", "", "über:0"])
texts = st.builds(
    TextPart, words, citations=st.lists(st.builds(Citation, extra=extras), max_size=1), extra=extras
)
media = st.builds(MediaPart, media_type=medium, data=st.just(b"a"), extra=extras)
afar = st.builds(MediaPart, media_type=medium, url=st.just("s3://b/a"), extra=extras)
thoughts = st.builds(
    ReasoningPart,
    words,
    signature=st.none() | words,
    encrypted=st.none() | words,
    redacted=st.booleans(),
    extra=extras,
)
calls = st.builds(
    ToolCallPart,
    id=ids,
    name=st.just("f"),
    arguments=st.sampled_from(["", "{}", "[1", '{"a": NaN}', "[" * 2000]),
    server=st.booleans(),
    custom=st.booleans(),
    extra=extras,
)
opaque = st.builds(
    OpaquePart,
    provider=st.sampled_from(["bedrock", "google"]),
    type=st.just("guardContent"),
    data=st.just({"guardContent": {"text": {"text": "x"}}}),
)
simple = st.one_of(texts, texts, media, afar, opaque)
results = st.builds(
    ToolResultPart,
    call_id=ids,
    content=st.lists(simple, max_size=2),
    is_error=st.booleans(),
    extra=extras,
)
points = st.builds(CachePoint, st.sampled_from([None, "1h"]))
by_role = {
    "system": texts | points,
    "user": simple | points,
    "assistant": st.one_of(texts, texts, thoughts, calls, media, opaque, points),
    "tool": results,
}
messages = st.sampled_from(["user", *by_role]).flatmap(
    lambda role: st.builds(
        Message, st.just(role), st.lists(by_role[role], max_size=3), extra=extras
    )
)
# What is out of place, or no text, or has fields of any form.
own = st.dictionaries(st.just("bedrock"), junk)
kinds = st.sampled_from(["image/tiff", "text/plain", "audio/wav"])
odd = st.one_of(
    *by_role.values(),
    st.builds(TextPart, st.just("\ud800") | words, extra=own),
    st.builds(MediaPart, media_type=kinds, data=st.just(b"\xff")),
    st.builds(TextPart, words, citations=st.lists(st.builds(Citation, extra=own), max_size=1)),
)
odd_messages = st.builds(
    Message, st.sampled_from(list(by_role)), st.lists(odd, max_size=2), extra=own
)
schemas = st.dictionaries(
    st.sampled_from(["type", "format", "minItems", "properties", "anyOf", "$ref", "items", "zz"]),
    junk,
    max_size=4,
)


def rules(body):
    """What the host would refuse."""
    turns = body["messages"]
    assert turns
    blocks = [block for turn in turns for block in turn["content"]]
    for turn, after in zip(turns, [*turns[1:], None], strict=True):
        assert turn["content"]
        assert after is None or after["role"] != turn["role"]
        kinds = [kind for block in turn["content"] for kind in block if kind != "cachePoint"]
        count = kinds.count("toolResult")
        assert kinds[:count] == ["toolResult"] * count
    names = [block["document"]["name"] for block in blocks if "document" in block]
    assert len(names) == len(set(names))
    for block in [*blocks, *body.get("system", ())]:
        assert len(block) == 1
        ((kind, told),) = block.items()
        if kind == "text":
            assert told.strip()
        elif "reasoningText" in told:
            assert told["reasoningText"]["signature"]
        elif kind == "toolUse":
            assert isinstance(told["input"], dict)
            assert re.fullmatch("[a-zA-Z0-9_.:-]{1,64}", told["toolUseId"])
            assert body["toolConfig"]["tools"]
    last = turns[-1]["content"][-1]
    if turns[-1]["role"] == "assistant" and "text" in last:
        assert last["text"] == last["text"].rstrip()


@settings(max_examples=200)
@given(
    model=st.sampled_from(MODELS),
    talk=st.lists(messages, min_size=2, max_size=7),
    odd=st.lists(odd_messages, max_size=1),
    reasoning=st.sampled_from([None, None, "high"]),
    schema=st.none() | schemas,
    drop=st.sampled_from([True, True, False]),
)
def test_any_conversation_is_a_body_or_an_error(model, talk, odd, reasoning, schema, drop):
    talk = [*odd, *talk]
    request = Generate(
        model=f"bedrock:{model}",
        messages=talk,
        reasoning=reasoning if "4" in model else None,
        output=None if schema is None else JsonSchema(schema),
        tools=[Tool("f", parameters=schema or {})],
        unsupported="drop" if drop else "error",
    )
    count = CountTokens(model=request.model, messages=talk, tools=request.tools)
    row = model_of(model)
    own = any("bedrock" in part.extra for m in talk for part in (m, *every_part(m.parts)))
    for make in (
        lambda: body_of(request, row, Losses(request, "x"), stream=False, extra=("bedrock",)),
        lambda: count_body(count, row, Losses(count, "x"), extra=("bedrock",)),
    ):
        try:
            body = make()
            dumps(body)
        except (BadRequest, UnsupportedFeature):
            continue
        if not own:  # a caller's own fields may break any rule
            rules(body.get("input", {}).get("converse", body))


def every_part(parts):
    for part in parts:
        if hasattr(part, "extra"):
            yield part
        yield from every_part(getattr(part, "content", ()))
        yield from getattr(part, "citations", ())


@pytest.mark.parametrize("place", ["part", "message", "tool"])
def test_fields_of_a_part_are_an_object(wire, place):
    own = {"bedrock": ["cachePoint"]}
    part = TextPart("a", extra=own if place == "part" else {})
    talk = [Message("user", part, extra=own if place == "message" else {})]
    tools = [Tool("f", extra=own if place == "tool" else {})]
    with pytest.raises(BadRequest, match="expected an object"):
        wire.body(talk, tools=tools)
