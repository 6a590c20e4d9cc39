"""Laws: a whole answer and the fold of a stream of the same content are the same response; and what
was answered goes back as it came.

The host here is written without a look at the reader: it renders content both ways, and cuts the
stream anywhere.
"""

from __future__ import annotations

import json
import random

import attrs
import pytest
import trio
from hypothesis import given, settings
from hypothesis import strategies as st
from llmmw_anthropic._answer import Answer

from llmmw import CachePoint, Message, TextPart, ToolCallPart
from llmmw.plugin import Fold
from llmmw.wire import SSEDecoder

pytestmark = pytest.mark.plugins

words = st.text(st.characters(codec="utf-8"), min_size=1, max_size=6)
solid = words.filter(str.strip)
values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | words,
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(words, inner, max_size=2),
    max_leaves=4,
)
objects = st.dictionaries(words, values, max_size=3)
sources = st.fixed_dictionaries({"type": st.just("char_location"), "cited_text": words})


def ids(stem):
    return st.integers(0, 999).map(lambda number: f"{stem}_{number}")


texts = st.fixed_dictionaries(
    {"type": st.just("text"), "text": solid}, optional={"citations": st.lists(sources, min_size=1)}
)
thoughts = st.fixed_dictionaries(
    {"type": st.just("thinking"), "thinking": st.just("") | words, "signature": words}
)
sealed = st.fixed_dictionaries({"type": st.just("redacted_thinking"), "data": words})
calls = st.fixed_dictionaries(
    {"type": st.just("tool_use"), "id": ids("toolu"), "name": st.just("f"), "input": objects},
    optional={"caller": st.just({"type": "direct"})},
)
served = st.fixed_dictionaries(
    {"type": st.just("server_tool_use"), "id": ids("srv"), "name": st.just("g"), "input": objects}
)
others = st.fixed_dictionaries(
    {
        "type": st.sampled_from(["web_search_tool_result", "fallback", "new_thing"]),
        "content": values,
    }
)
blocks = st.lists(texts | thoughts | sealed | calls | served | others, max_size=6)


def deltas_of(block, cut):
    """How a block begins in a stream, and the pieces of its rest."""

    def pieces(name, field, text):
        return [{"type": name, field: piece} for piece in cut(text)]

    kind = block["type"]
    if kind == "text":
        cites = [{"type": "citations_delta", "citation": c} for c in block.get("citations", [])]
        told = pieces("text_delta", "text", block["text"])
        return {"type": "text", "text": ""}, [*told, *cites]
    if kind == "thinking":
        told = pieces("thinking_delta", "thinking", block["thinking"])
        sign = {"type": "signature_delta", "signature": block["signature"]}
        return {"type": "thinking", "thinking": "", "signature": ""}, [*told, sign]
    if kind in {"tool_use", "server_tool_use"}:
        text = json.dumps(block["input"], ensure_ascii=False)
        first = {"type": "input_json_delta", "partial_json": ""}
        return {**block, "input": {}}, [
            first,
            *pieces("input_json_delta", "partial_json", text),
        ]
    return block, []


def cutter(chance):
    def cut(text):
        while text:
            size = chance.randint(1, len(text))
            yield text[:size]
            text = text[size:]

    return cut


def rendered(wire, content, stop, chance):
    """The bytes of a stream that tells the content, cut anywhere."""
    events = [wire.start()]
    for index, block in enumerate(content):
        if chance.random() < 0.3:
            events.append({"type": "ping"})
        start, pieces = deltas_of(block, cutter(chance))
        events += wire.block(index, start, *pieces)
    data = wire.sse(*events, *wire.end(stop, usage={"output_tokens": 5}))
    data = data.replace(b"\n", chance.choice([b"\n", b"\r\n"]))
    size = max(1, len(data) // 9)
    while data:
        at = chance.randint(1, size)
        yield data[:at]
        data = data[at:]


def read(part):
    """A part in which the white space of JSON does not count."""
    if isinstance(part, ToolCallPart):
        return attrs.evolve(part, arguments=json.dumps(part.parse()))
    return part


@settings(max_examples=40)
@given(
    content=blocks, stop=st.sampled_from(["end_turn", "max_tokens", "novel"]), seed=st.integers()
)
def test_whole_and_streamed_are_one(wire, content, stop, seed):
    chance = random.Random(seed)
    whole = wire.whole(wire.message(*content, stop=stop))
    streamed = wire.stream(*rendered(wire, content, stop, chance))
    trio.run(compare, wire, whole, streamed)


async def compare(wire, whole, streamed):
    fold = Fold()
    async with wire.client([whole, streamed]) as (client, _):
        one = await client.ask("hi")
        async with client.stream("hi") as stream:
            async for delta in stream:
                fold(delta)
            other = stream.response
    assert fold.response().message == other.message
    assert [read(part) for part in one.parts] == [read(part) for part in other.parts]
    assert one.replace(message=other.message) == other


@settings(max_examples=200)
@given(content=blocks, marks=st.sets(st.integers(0, 6), max_size=3), streamed=st.booleans())
def test_what_was_answered_goes_back_as_it_came(wire, content, marks, streamed):
    """Signatures, ids, citations, cache marks and blocks that nobody knows, in their order; and the
    results stand in one turn after their calls."""
    chance = random.Random(len(content))
    answer = Answer("anthropic", "m")
    if streamed:
        decoder = SSEDecoder()
        for piece in rendered(wire, content, "end_turn", chance):
            for event in decoder.feed(piece):
                list(answer.take(json.loads(event.data)))
    else:
        list(answer.whole(wire.message(*content)))
    parts = list(answer.finished().parts)
    for at in sorted(marks, reverse=True):
        parts[at:at] = [CachePoint("1h")]
    names = {block["id"]: None for block in content if block["type"] == "tool_use"}
    results = [{"role": "tool", "tool_call_id": one, "content": "done"} for one in names]
    asked = ["hi", Message("assistant", tuple(parts)), *results, "go on"]
    turns = wire.body(asked)["messages"]
    control = {"type": "ephemeral", "ttl": "1h"}
    bare = [
        [{k: v for k, v in block.items() if k != "cache_control"} for block in turn["content"]]
        for turn in turns
    ]
    marked = [block for turn in turns for block in turn["content"] if "cache_control" in block]
    assert all(block["cache_control"] == control for block in marked)
    assert all(not block["type"].endswith("thinking") for block in marked)
    assert bool(marked) == bool(marks)
    if content:
        assert bare[1] == content
    assert [b["tool_use_id"] for b in bare[-1][: len(names)]] == list(names)
    assert bare[-1][-1] == {"type": "text", "text": "go on"}


def test_an_answer_in_a_conversation(wire):
    said = Message("assistant", (TextPart("I look."),))
    turns = wire.body(["hi", said, "and?"])["messages"]
    assert [turn["role"] for turn in turns] == ["user", "assistant", "user"]
