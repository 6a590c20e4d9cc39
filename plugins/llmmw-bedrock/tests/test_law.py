"""Laws: a whole answer and the fold of a stream of the same content are the same response; and what
was answered goes back as it came.

The host here is written without a look at the reader: it renders content both ways, and cuts the
stream anywhere.
"""

from __future__ import annotations

import base64
import json
import random

import attrs
import pytest
import trio
from hypothesis import given, settings
from hypothesis import strategies as st
from llmmw_bedrock._answer import Answer

from llmmw import CachePoint, Message, ToolCallPart
from llmmw.plugin import Fold
from llmmw.wire import EventStreamDecoder, loads

pytestmark = pytest.mark.plugins

words = st.text(st.characters(codec="utf-8"), min_size=1, max_size=6)
solid = words.filter(str.strip)
values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | words,
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(words, inner, max_size=2),
    max_leaves=4,
)
objects = st.dictionaries(words, values, max_size=3)
sources = st.fixed_dictionaries(
    {"title": words}, optional={"sourceContent": st.lists(st.fixed_dictionaries({"text": words}))}
)
blobs = st.binary(min_size=1, max_size=9).map(lambda data: base64.b64encode(data).decode())


def one(kind, inner):
    return st.builds(lambda told: {kind: told}, inner)


def ids(stem):
    return st.integers(0, 999).map(lambda number: f"{stem}_{number}")


call = {"toolUseId": ids("tooluse"), "name": st.just("f"), "input": objects}
texts = one("text", solid)
cited = one(
    "citationsContent",
    st.fixed_dictionaries(
        {
            "content": st.lists(st.fixed_dictionaries({"text": solid}), min_size=1, max_size=1),
            "citations": st.lists(sources, min_size=1, max_size=2),
        }
    ),
)
thoughts = one(
    "reasoningContent",
    one(
        "reasoningText",
        st.fixed_dictionaries({"text": st.just("") | words, "signature": words}),
    ),
)
sealed = one("reasoningContent", one("redactedContent", blobs))
calls = one("toolUse", st.fixed_dictionaries(call))
served = one("toolUse", st.fixed_dictionaries(call | {"type": st.just("server_tool_use")}))
results = one(
    "toolResult",
    st.fixed_dictionaries(
        {
            "toolUseId": ids("tooluse"),
            "type": words,
            "content": st.lists(one("json", objects), min_size=1, max_size=2),
        }
    ),
)
others = one("newThing", values.filter(lambda told: told is not None))
blocks = st.lists(texts | cited | thoughts | sealed | calls | served | results | others, max_size=6)


def deltas_of(block, cut):
    """How a block begins in a stream, and the pieces of its rest."""
    ((kind, told),) = block.items()
    if kind == "text":
        return None, [{"text": piece} for piece in cut(told)]
    if kind == "citationsContent":
        pieces = [{"text": piece} for piece in cut(told["content"][0]["text"])]
        return None, [*pieces, *({"citation": source} for source in told["citations"])]
    if kind == "reasoningContent" and "reasoningText" in told:
        thought = told["reasoningText"]
        pieces = [{"text": piece} for piece in cut(thought["text"])]
        pieces.append({"signature": thought["signature"]})
        return None, [{"reasoningContent": piece} for piece in pieces]
    if kind == "toolUse":
        text = json.dumps(told["input"], ensure_ascii=False)
        start = {name: one for name, one in told.items() if name != "input"}
        return {kind: start}, [{kind: {"input": piece}} for piece in ["", *cut(text)]]
    if kind == "toolResult":
        start = {name: one for name, one in told.items() if name != "content"}
        return {kind: start}, [{kind: [piece]} for piece in told["content"]]
    return None, [block]


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
        start, pieces = deltas_of(block, cutter(chance))
        events += wire.block(index, *pieces, start=start)
    data = wire.frames(*events, *wire.end(stop))
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
    """Signatures, ids, citations and blocks that nobody knows, in their order, with cache points
    among them; and the results stand in one turn after their calls."""
    chance = random.Random(len(content))
    answer = Answer("bedrock", "m")
    if streamed:
        decoder = EventStreamDecoder()
        for piece in rendered(wire, content, "end_turn", chance):
            for told in decoder.feed(piece):
                answer.take(told.text(":event-type"), loads(told.payload))
    else:
        answer.whole(wire.message(*content))
    parts = list(answer.finished().parts)
    for at in sorted(marks, reverse=True):
        parts[at:at] = [CachePoint("1h")]
    known = [b["toolUse"] for b in content if "toolUse" in b and "type" not in b["toolUse"]]
    names = dict.fromkeys(told["toolUseId"] for told in known)
    results = [{"role": "tool", "tool_call_id": one, "content": "done"} for one in names]
    asked = ["hi", Message("assistant", tuple(parts)), *results, "go on"]
    turns = wire.body(asked, tools=[{"name": "f"}])["messages"]
    point = {"cachePoint": {"type": "default", "ttl": "1h"}}
    bare = [[block for block in turn["content"] if block != point] for turn in turns]
    assert any(point in turn["content"] for turn in turns) == bool(marks)
    if content:
        assert bare[1] == content
    told = [block["toolResult"]["toolUseId"] for block in bare[-1][: len(names)]]
    assert told == list(names)
    assert bare[-1][-1] == {"text": "go on"}
