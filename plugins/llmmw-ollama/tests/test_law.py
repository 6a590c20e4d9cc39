"""Law: a whole answer, and the fold of the lines of the same content, are the same response; and
sent back it is as it came.

The host here is written without a look at the reader: it renders content both ways, and cuts the
lines anywhere.
"""

from __future__ import annotations

import json
import random

import pytest
import trio
from hypothesis import given, settings
from hypothesis import strategies as st

from llmmw.plugin import Fold

pytestmark = pytest.mark.plugins

words = st.text(st.characters(codec="utf-8"), min_size=1, max_size=6)
values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | words,
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(words, inner, max_size=2),
    max_leaves=4,
)
calls = st.lists(st.dictionaries(words, values, max_size=3), max_size=3)
counts = st.fixed_dictionaries(
    {},
    optional={
        "prompt_eval_count": st.integers(0, 99),
        "eval_count": st.integers(0, 99),
        "prompt_eval_cached_count": st.integers(0, 99),
        "total_duration": st.integers(0, 10**12),
    },
)


def pieces_of(text, chance):
    while text:
        size = chance.randint(1, len(text))
        yield text[:size]
        text = text[size:]


def cut(data, chance):
    while data:
        size = chance.randint(1, 9) if chance.random() < 0.5 else len(data)
        yield data[:size]
        data = data[size:]


def lines_of(wire, said, last, chance):
    """The lines that a whole message comes as; the last may say something itself."""
    for piece in pieces_of(said.get("thinking", ""), chance):
        yield wire.line(thinking=piece)
    texts = list(pieces_of(said["content"], chance))
    late = chance.random() < 0.5 and "tool_calls" not in said
    for piece in texts[:-1] if late else texts:
        yield wire.line(piece)
    for call in said.get("tool_calls", []):
        yield wire.line(tool_calls=[call])
    if chance.random() < 0.3:
        yield wire.line()
    told = {"message": {"role": "assistant", "content": texts[-1]}} if late and texts else {}
    yield last | told


@settings(max_examples=80, deadline=None)
@given(
    text=st.just("") | words,
    thinking=st.just("") | words,
    asked=calls,
    ids=st.booleans(),
    cost=counts,
    reason=st.sampled_from([None, "stop", "length", "novel"]),
    seed=st.integers(0, 2**32),
)
def test_whole_and_streamed_are_one(wire, text, thinking, asked, ids, cost, reason, seed):
    chance = random.Random(seed)
    said = {"role": "assistant", "content": text}
    said |= {"thinking": thinking} if thinking else {}
    told = [
        ({"id": f"call_{n}"} if ids else {})
        | {"function": {"index": n, "name": "f", "arguments": one}}
        for n, one in enumerate(asked)
    ]
    said |= {"tool_calls": told} if told else {}
    last = {"model": "llama3.2", "created_at": "2026-01-01T00:00:00Z", "done": True} | cost
    last |= {"done_reason": reason} if reason else {}
    body = wire.ndjson(*lines_of(wire, said, last, chance))
    body = body.replace(b"\n", b"\r\n") if chance.random() < 0.3 else body
    body = body.rstrip() if chance.random() < 0.3 else body
    whole = wire.whole(last | {"message": said})
    trio.run(compare, wire, whole, wire.stream(*cut(body, chance)), said)


def plain(response):
    """A response without the ids that are made here, and with arguments as data."""
    parts = [
        (part.name, part.parse()) if hasattr(part, "arguments") else part for part in response.parts
    ]
    return parts, response.finish, response.usage, response.model


async def compare(wire, whole, streamed, said):
    fold = Fold()
    again = wire.whole(wire.end(content="x"))
    async with wire.client([whole, streamed, again]) as (client, server):
        one = await client.ask("hi")
        async with client.stream("hi") as stream:
            async for delta in stream:
                fold(delta)
            other = stream.response
        results = [call.result("done") for call in other.tool_calls]
        await client.ask(["hi", other, *results, "and?"])
    assert fold.response().message == other.message
    assert plain(one) == plain(other)
    _, *turns = server.requests[-1].json()["messages"]
    if other.parts:
        answered, *turns = turns
        assert json.dumps(answered, sort_keys=True) == json.dumps(said, sort_keys=True)
    assert [turn["role"] for turn in turns] == ["tool"] * len(results) + ["user"]
