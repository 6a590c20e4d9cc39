"""Laws: a whole answer and the fold of a stream of the same content are the same response; and what
was answered goes back as it came.

The host here is written without a look at the reader: it renders content both ways, and cuts the
stream anywhere.
"""

from __future__ import annotations

import itertools
import json
import random

import pytest
import trio
from hypothesis import given, settings
from hypothesis import strategies as st

from llmmw import Message
from llmmw.plugin import Fold

pytestmark = pytest.mark.plugins

words = st.text(st.characters(codec="utf-8"), min_size=1, max_size=6)
numbers = st.lists(st.integers(0, 9), min_size=1, max_size=2)
texts = words.map(lambda said: {"type": "text", "text": said})
references = numbers.map(lambda ids: {"type": "reference", "reference_ids": ids})
thoughts = st.lists(words, min_size=1, max_size=1).map(
    lambda said: {
        "type": "thinking",
        "thinking": [{"type": "text", "text": one} for one in said],
        "closed": True,
    }
)
others = st.fixed_dictionaries({"type": st.sampled_from(["tool_file", "new"]), "x": numbers})
calls = st.builds(
    lambda number, data: {
        "id": f"abcdefg{number:02}",
        "type": "function",
        "function": {"name": "f", "arguments": json.dumps(data, ensure_ascii=False)},
    },
    st.integers(0, 99),
    st.dictionaries(words, numbers | words, max_size=2),
)


def is_plain(content):
    """Neighbours of one kind are one part, which nobody could tell apart again."""
    kinds = [chunk["type"] for chunk in content]
    same = [one for one, other in itertools.pairwise(kinds) if one == other]
    return not {"text", "thinking"} & set(same)


contents = st.lists(texts | references | thoughts | others, max_size=5).filter(is_plain)
answers = st.tuples(contents, st.lists(calls, max_size=3, unique_by=lambda call: call["id"]))


def cut(text, chance):
    while text:
        size = chance.randint(1, len(text))
        yield text[:size]
        text = text[size:]


def deltas_of(content, made, chance):
    """The deltas of a message: what has text in pieces, the rest whole; at times a bare text."""
    for chunk in content:
        if chunk["type"] == "text":
            for one in cut(chunk["text"], chance):
                yield {"content": chance.choice([one, [{"type": "text", "text": one}]])}
        elif chunk["type"] == "thinking":
            for one in cut(chunk["thinking"][0]["text"], chance):
                yield {"content": [{**chunk, "thinking": [{"type": "text", "text": one}]}]}
        else:
            yield {"content": [chunk]}
    for index, call in enumerate(made):
        first, *rest = ["", *cut(call["function"]["arguments"], chance)]
        told = {**call, "index": index, "function": {"name": "f", "arguments": first}}
        yield {"tool_calls": [told]}
        for one in rest:
            yield {"tool_calls": [{"index": index, "function": {"arguments": one}}]}


def rendered(wire, content, made, finish, chance):
    """The bytes of a stream, cut anywhere."""
    data = wire.sse(*wire.pieces(*deltas_of(content, made, chance), finish=finish))
    data = data.replace(b"\n", chance.choice([b"\n", b"\r\n"]))
    size = max(1, len(data) // 9)
    while data:
        at = chance.randint(1, size)
        yield data[:at]
        data = data[at:]


@settings(max_examples=40, deadline=None)
@given(
    answer=answers,
    finish=st.sampled_from(["stop", "length", "tool_calls", "novel"]),
    seed=st.integers(),
)
def test_whole_and_streamed_are_one_and_go_back_as_they_came(wire, answer, finish, seed):
    content, made = answer
    message = {"role": "assistant", "content": content or "", "tool_calls": made or None}
    whole = wire.whole(wire.chat(message, finish=finish))
    streamed = wire.stream(*rendered(wire, content, made, finish, random.Random(seed)))
    response = trio.run(compare, wire, whole, streamed)
    results = [{"role": "tool", "tool_call_id": one["id"], "content": "done"} for one in made]
    _, back, *_ = wire.sent("hi", Message("assistant", response.parts), *results, "go on")
    if not content and not made:  # nothing was said, and nothing goes back
        assert back == {"role": "user", "content": "go on"}
        return
    if all(chunk["type"] == "text" for chunk in content):
        assert back["content"] == "".join(chunk["text"] for chunk in content)
    else:
        assert back["content"] == content
    assert back.get("tool_calls", []) == [
        one | {"function": one["function"] | {"arguments": one["function"]["arguments"]}}
        for one in made
    ]


async def compare(wire, whole, streamed):
    fold = Fold()
    async with wire.client([whole, streamed]) as (client, _):
        one = await client.ask("hi")
        async with client.stream("hi") as stream:
            async for delta in stream:
                fold(delta)
            other = stream.response
    assert fold.response().message == other.message
    assert one.parts == other.parts
    raw = {name: told for name, told in one.raw.items() if name != "object"}
    assert raw == {name: told for name, told in other.raw.items() if name != "object"}
    assert one.replace(message=other.message, raw=other.raw) == other
    return other
