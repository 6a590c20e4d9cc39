"""Law: a whole answer and the fold of a stream of the same content are the same response, wherever
the stream is cut."""

from __future__ import annotations

import random

import pytest
import trio
from hypothesis import given, settings
from hypothesis import strategies as st

from llmmw import Generate
from llmmw.plugin import Fold

pytestmark = pytest.mark.plugins

words = st.text(st.characters(codec="utf-8"), min_size=1, max_size=6)
tokens = st.lists(st.tuples(words, st.floats(-20, 0)), min_size=1, max_size=6)


def cut(data, chance):
    size = max(1, len(data) // 5)
    while data:
        at = chance.randint(1, size)
        yield data[:at]
        data = data[at:]


@settings(max_examples=40)
@given(rows=tokens, most=st.integers(1, 8), asked=st.booleans(), seed=st.integers())
def test_whole_and_streamed_are_one(wire, rows, most, asked, seed):
    chance = random.Random(seed)
    told = [{"token": token, "log_prob": number} for token, number in rows]
    text = "".join(token for token, _ in rows)
    whole = wire.whole(wire.output(text, num_completion_tokens=len(rows), tokens=told))
    last = len(rows)
    events = [
        wire.piece(row["token"], number, finished=number == last, token=row)
        for number, row in enumerate(told, 1)
    ]
    streamed = wire.stream(*cut(wire.sse(*events), chance))
    fields = {"max_output_tokens": most, **({"logprobs": 0} if asked else {})}
    trio.run(compare, wire, whole, streamed, fields)


async def compare(wire, whole, streamed, fields):
    fold = Fold()
    asked = Generate(prompt="hi", **fields)
    async with wire.client([whole, streamed]) as (client, _):
        one = await client.ask(asked)
        async with client.stream(asked) as stream:
            async for delta in stream:
                fold(delta)
            other = stream.response
    assert fold.response().message == other.message
    assert one == other
