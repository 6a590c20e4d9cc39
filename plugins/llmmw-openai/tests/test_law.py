"""Law: a whole answer, and the fold of a stream of the same content, are the same response.

The host here is written without a look at the reader: it renders content both ways, and cuts the
stream anywhere.
"""

from __future__ import annotations

import json
import random

import pytest
import trio
from hypothesis import given, settings
from hypothesis import strategies as st

from llmmw import TokenLogprob
from llmmw.plugin import Fold

pytestmark = pytest.mark.plugins

words = st.text(st.characters(codec="utf-8"), min_size=1, max_size=6)
texts = st.lists(words, max_size=4)
calls = st.lists(st.tuples(st.sampled_from(["f", "g"]), st.lists(words, max_size=3)), max_size=3)
finishes = st.sampled_from(["stop", "length", "content_filter", "novel"])
candidates = st.fixed_dictionaries(
    {
        "reasoning": texts,
        "content": texts,
        "refusal": texts,
        "calls": calls,
        "finish": finishes,
    }
)


def logprobs_of(token):
    """Rows for a token, as a function of it."""
    row = {"token": token, "logprob": -float(len(token)), "bytes": list(token.encode())}
    return {"content": [row | {"top_logprobs": [row]}], "refusal": None}


def whole_of(given, at, named):
    """A choice that comes whole."""
    message = {"role": "assistant", "content": "".join(given["content"]) or None}
    if given["reasoning"]:
        message["reasoning_content"] = "".join(given["reasoning"])
    if given["refusal"]:
        message["refusal"] = "".join(given["refusal"])
    if given["calls"]:
        message["tool_calls"] = [
            {
                "id": f"call-{at}-{number}",
                "type": "function",
                "function": {"name": name, "arguments": "".join(pieces)},
            }
            for number, (name, pieces) in enumerate(given["calls"])
        ]
    rows = [row for token in given["content"] for row in logprobs_of(token)["content"]]
    logprobs = {"content": rows} if named else None
    finish = given["finish"]
    return {"index": at, "message": message, "logprobs": logprobs, "finish_reason": finish}


def pieces_of(given, at, named, chance):
    """The same choice in pieces, the tool calls mixed."""

    def choice(delta, logprobs=None, finish=None):
        return {"index": at, "delta": delta, "logprobs": logprobs, "finish_reason": finish}

    yield choice({"role": "assistant", "content": ""})
    for token in given["reasoning"]:
        yield choice({"reasoning_content": token})
    for token in given["content"]:
        yield choice({"content": token}, logprobs_of(token) if named else None)
    for token in given["refusal"]:
        yield choice({"refusal": token})
    rest = []
    for number, (name, pieces) in enumerate(given["calls"]):
        head = {"index": number, "id": f"call-{at}-{number}", "type": "function"}
        yield choice({"tool_calls": [head | {"function": {"name": name, "arguments": ""}}]})
        rest.append([{"index": number, "function": {"arguments": one}} for one in pieces])
    while any(rest):
        row = chance.choice([row for row in rest if row])
        yield choice({"tool_calls": [row.pop(0)]})
    yield choice({}, finish=given["finish"])


def cut(data, chance, most=7):
    """Bytes in pieces of random size."""
    while data:
        size = chance.randint(1, most) if chance.random() < 0.5 else len(data)
        yield data[:size]
        data = data[size:]


@settings(max_examples=70, deadline=None)
@given(
    rows=st.lists(candidates, min_size=1, max_size=3),
    named=st.booleans(),
    usage=st.none() | st.tuples(st.integers(0, 99), st.integers(0, 99)),
    seed=st.integers(0, 2**32),
)
def test_whole_and_streamed_are_one(wire, rows, named, usage, seed):
    chance = random.Random(seed)
    beside = {"id": "c", "model": "m", "created": 5}
    cost = usage and {"prompt_tokens": usage[0], "completion_tokens": usage[1]}
    choices = [whole_of(row, at, named) for at, row in enumerate(rows)]
    whole = wire.whole(beside | {"choices": choices, "usage": cost})

    waiting = [list(pieces_of(row, at, named, chance)) for at, row in enumerate(rows)]
    chunks = []
    while any(waiting):
        mine = chance.choice([row for row in waiting if row])
        chunks.append(beside | {"choices": [mine.pop(0)], "usage": None})
    if cost:
        chunks.append(beside | {"choices": [], "usage": cost})
    end = chance.choice(["\n", "\r\n"])
    lines = [json.dumps(one, ensure_ascii=chance.random() < 0.5) for one in chunks]
    body = "".join(f"data: {line}{end}{end}" for line in [*lines, "[DONE]"])
    streamed = wire.stream(*cut(body.encode(), chance))

    trio.run(compare, wire, whole, streamed, len(rows), 1 if named else None)


async def compare(wire, whole, streamed, n, logprobs):
    fold = Fold()
    async with wire.client([whole, streamed]) as (client, server):
        one = await client.ask("hi", n=n, logprobs=logprobs)
        async with client.stream("hi", n=n, logprobs=logprobs) as stream:
            async for delta in stream:
                fold(delta)
            other = stream.response
        assert server.connections == 1
    assert one == other
    assert fold.response().message == other.message
    assert [c.message for c in other.candidates] == (fold.candidates() if n > 1 else [])
    assert len(other.candidates) == (n if n > 1 else 0)


async def test_a_stream_is_told_as_it_comes(wire):
    """Not at its end: each piece is there before the host sends the next."""
    heard = trio.Event()

    async def until_heard():
        with trio.fail_after(5):
            await heard.wait()

    first, second = wire.chunk({"content": "a"}), wire.chunk({"content": "b"}, "stop")
    answer = wire.stream(wire.sse(first, done=False), until_heard, wire.sse(second))
    async with wire.client(answer) as (client, _):
        async with client.stream("hi") as stream:
            said = []
            async for text in stream.text:
                said.append(text)
                heard.set()
    assert said == ["a", "b"]


async def test_logprobs_stand_with_their_text(wire):
    events = [wire.chunk({"content": t}) for t in ("a", "b")]
    for event, token in zip(events, ("a", "b"), strict=True):
        event["choices"][0]["logprobs"] = logprobs_of(token)
    told = await wire.ask(wire.events(*events, wire.chunk({}, "stop")), logprobs=0)
    assert told.parts[0].logprobs == (TokenLogprob("a", -1.0), TokenLogprob("b", -1.0))
