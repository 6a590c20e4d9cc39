"""Law: a whole answer, and the fold of a stream of the same content, are the same response; and
sent back, each part has the signature and the id that it came with.

The host here is written without a look at the reader: it renders content both ways, as events or
as an array, and cuts the stream anywhere.
"""

from __future__ import annotations

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
signatures = st.none() | st.sampled_from(["c2ln", "b3RoZXI="])
values = st.recursive(
    st.none() | st.booleans() | st.integers(-9, 9) | words,
    lambda inner: (
        st.lists(inner, min_size=1, max_size=2)
        | st.dictionaries(st.sampled_from(["a", "b c", "é"]), inner, min_size=1, max_size=2)
    ),
    max_leaves=5,
)
kinds = st.one_of(
    st.tuples(st.sampled_from(["text", "thought"]), st.lists(words, min_size=1, max_size=3)),
    st.tuples(
        st.just("call"),
        st.dictionaries(st.sampled_from(["a", "b"]), values, max_size=2),
    ),
    st.tuples(st.sampled_from(["image", "code"]), st.just(None)),
)
parts_of = st.lists(st.tuples(kinds, signatures), min_size=1, max_size=5)
usages = st.none() | st.tuples(st.integers(0, 99), st.integers(0, 99), st.integers(0, 9))


def whole_part(kind, given, number, at):
    if kind == "text":
        return {"text": "".join(given)}
    if kind == "thought":
        return {"text": "".join(given), "thought": True}
    if kind == "call":
        return {"functionCall": {"id": f"id-{at}-{number}", "name": "f", "args": given}}
    if kind == "image":
        return {"inlineData": {"mimeType": "image/png", "data": "iVBORw=="}}
    return {"executableCode": {"language": "PYTHON", "code": "1"}}


def leaves(value, path):
    """The scalars of arguments, each with its path."""
    if isinstance(value, dict):
        for name, one in value.items():
            yield from leaves(one, f"{path}['{name}']" if " " in name else f"{path}.{name}")
    elif isinstance(value, list):
        for place, one in enumerate(value):
            yield from leaves(one, f"{path}[{place}]")
    else:
        yield path, value


def call_in_pieces(part, chance):
    """A call whose arguments come by path, as Vertex streams them. What stands beside it comes
    with any of its pieces."""
    pieces = list(pieces_of(part.pop("functionCall"), chance))
    place = chance.randrange(len(pieces))
    pieces[place] = pieces[place] | part
    yield from pieces


def pieces_of(call, chance):
    yield {"functionCall": {"id": call["id"], "name": call["name"], "willContinue": True}}
    for path, value in leaves(call["args"], "$"):
        if not isinstance(value, str):
            name = {bool: "boolValue", int: "numberValue"}.get(type(value), "nullValue")
            piece = {"jsonPath": path, name: value}
            yield {"functionCall": {"partialArgs": [piece], "willContinue": True}}
            continue
        half = chance.randint(0, len(value))
        for one, more in ((value[:half], True), (value[half:], True), ("", False)):
            piece = {"jsonPath": path, "stringValue": one}
            piece |= {"willContinue": True} if more else {}
            yield {"functionCall": {"partialArgs": [piece], "willContinue": True}}
    if chance.random() < 0.7:  # the mark of the end is missing at times
        yield {"functionCall": {}}


def in_pieces(kind, given, signature, number, at, chance):
    """The parts of a stream that a part of a whole answer comes as."""
    beside = {"thoughtSignature": signature} if signature else {}
    whole = whole_part(kind, given, number, at) | beside
    if kind in {"text", "thought"} and not signature:
        for word in given:
            yield whole | {"text": word}
    elif kind == "call" and given and chance.random() < 0.6:
        yield from call_in_pieces(whole, chance)
    else:
        yield whole


def chunks_of(rows, usage, chance):
    beside = {"modelVersion": "m", "responseId": "r"}
    waiting = []
    for at, row in enumerate(rows):
        pieces = [
            {"content": {"role": "model", "parts": [one]}, "index": at}
            for number, ((kind, given), signature) in enumerate(row)
            for one in in_pieces(kind, given, signature, number, at, chance)
        ]
        if chance.random() < 0.5:
            pieces.append({"index": at, "finishReason": "STOP"})
        else:
            pieces[-1]["finishReason"] = "STOP"
        waiting.append(pieces)
    while any(waiting):
        mine = chance.choice([row for row in waiting if row])
        told = beside | {"candidates": [mine.pop(0)]}
        if usage:
            told["usageMetadata"] = {"trafficType": "ON_DEMAND"} if any(waiting) else usage
        yield told


def cut(data, chance, most=7):
    while data:
        size = chance.randint(1, most) if chance.random() < 0.5 else len(data)
        yield data[:size]
        data = data[size:]


@settings(max_examples=120, deadline=None)
@given(
    rows=st.lists(parts_of, min_size=1, max_size=2),
    usage=usages,
    array=st.booleans(),
    model=st.sampled_from(["gemini-2.5-flash", "gemini-3-pro"]),
    seed=st.integers(0, 2**32),
)
def test_whole_and_streamed_are_one(wire, rows, usage, array, model, seed):
    chance = random.Random(seed)
    names = ("promptTokenCount", "candidatesTokenCount", "thoughtsTokenCount")
    cost = usage and {k: v for k, v in zip(names, usage, strict=True) if v} | {"totalTokenCount": 9}
    candidates = [
        {
            "index": at,
            "finishReason": "STOP",
            "content": {
                "parts": [
                    whole_part(kind, given, number, at)
                    | ({"thoughtSignature": signature} if signature else {})
                    for number, ((kind, given), signature) in enumerate(row)
                ]
            },
        }
        for at, row in enumerate(rows)
    ]
    told = {"modelVersion": "m", "responseId": "r", "candidates": candidates}
    whole = wire.whole(told | ({"usageMetadata": cost} if cost else {}))
    chunks = list(chunks_of(rows, cost, chance))
    body = wire.array(*chunks) if array else wire.sse(*chunks, end=chance.choice(["\n", "\r\n"]))
    kind = "application/json" if array else "text/event-stream"
    streamed = wire.stream(*cut(body, chance), kind=kind)
    came = candidates[0]["content"]["parts"]
    trio.run(compare, wire, whole, streamed, len(rows), came, model)


async def compare(wire, whole, streamed, n, came, model):
    fold = Fold()
    again = wire.whole(wire.piece("x", finish="STOP"))
    async with wire.client([whole, streamed, again], model=model) as (client, server):
        one = await client.ask("hi", n=n)
        async with client.stream("hi", n=n) as stream:
            async for delta in stream:
                fold(delta)
            other = stream.response
        results = [call.result(f"of {call.id}") for call in reversed(other.tool_calls)]
        await client.ask(["hi", other, *results, "and?"])
    assert fold.response().message == other.message
    assert len(other.candidates) == (n if n > 1 else 0)
    assert plain(one) == plain(other)
    _, answered, *given, _ = server.requests[-1].json()["contents"]
    assert answered["role"] == "model"
    assert merged(answered["parts"]) == merged(signed(came, model))
    # All results stand in the next turn, in the order of their calls.
    told = [part["functionResponse"]["id"] for turn in given for part in turn["parts"]]
    assert told == [one["functionCall"]["id"] for one in came if "functionCall" in one]
    assert len(given) == bool(told)


def signed(parts, model):
    """What newer models take: they refuse a turn whose first call has no signature."""
    at = next((place for place, part in enumerate(parts) if "functionCall" in part), None)
    if at is None or model != "gemini-3-pro":
        return parts
    first = {"thoughtSignature": "skip_thought_signature_validator"} | parts[at]
    return [*parts[:at], first, *parts[at + 1 :]]


def plain(response):
    """A response without the spelling of arguments, which are the same data."""
    rows = [c.message for c in response.candidates] or [response.message]
    parts = [
        [part if part.kind != "tool_call" else (part.id, part.name, part.parse(), part.extra)
         for part in row.parts]
        for row in rows
    ]  # fmt: skip
    finishes = [c.finish for c in response.candidates]
    return parts, response.finish, finishes, response.usage, response.id, response.model


def merged(parts):
    """Neighbours without a signature are one text, as a stream can't tell them apart."""
    told = []
    for part in parts:
        mild = part.keys() <= {"text", "thought"}
        if mild and told and told[-1].keys() == part.keys():
            told[-1] = told[-1] | {"text": told[-1]["text"] + part["text"]}
        else:
            told.append(part)
    return told


async def test_a_stream_is_told_as_it_comes(wire):
    """Not at its end: each piece is there before the host sends the next, in both framings."""
    first, second = wire.piece("a"), wire.piece("b", finish="STOP")
    rows = json.dumps(first), json.dumps(second)
    framings = {
        "text/event-stream": (wire.sse(first), wire.sse(second)),
        "application/json": (f"[{rows[0]}".encode(), f",\r\n{rows[1]}]".encode()),
    }
    for kind, (begin, rest) in framings.items():
        heard = trio.Event()

        async def until_heard(heard=heard):
            with trio.fail_after(5):
                await heard.wait()

        answer = wire.stream(begin, until_heard, rest, kind=kind)
        async with wire.client(answer) as (client, _):
            async with client.stream("hi") as stream:
                said = []
                async for text in stream.text:
                    said.append(text)
                    heard.set()
        assert said == ["a", "b"]


async def test_signed_text_is_heard_as_text(wire):
    signed = {"text": "b", "thoughtSignature": "c2ln"}
    answer = wire.events(wire.piece("a", signed, "c"), wire.piece("d", finish="STOP"))
    async with wire.client(answer) as (client, _):
        async with client.stream("hi") as stream:
            said = [text async for text in stream.text]
            response = stream.response
    assert said == ["a", "b", "c", "d"]
    extra = {"google": {"thoughtSignature": "c2ln"}}
    assert [(part.text, part.extra) for part in response.parts] == [
        ("a", {}),
        ("b", extra),
        ("cd", {}),
    ]
    assert isinstance(response.message, Message)
