"""Laws of the Responses API: a whole response and the fold of its stream are one; a cut stream is
never a success; what was answered goes back as it came.

The host here is written without a look at the reader.
"""

from __future__ import annotations

import json
import random

import pytest
import trio
from hypothesis import given, settings
from hypothesis import strategies as st

from llmmw import Message, OpaquePart, PartDelta, TextPart, ToolResultPart
from llmmw.plugin import Fold

pytestmark = pytest.mark.plugins

words = st.text(st.characters(codec="utf-8"), min_size=1, max_size=6)
texts = st.lists(words, max_size=4)
blocks = st.tuples(st.sampled_from(["output_text", "refusal"]), texts)
messages = st.tuples(st.just("message"), st.lists(blocks, min_size=1, max_size=2))
summaries = st.lists(st.lists(words, min_size=1, max_size=3), max_size=2)
thoughts = st.tuples(st.just("reasoning"), summaries, st.booleans())
calls = st.tuples(st.sampled_from(["function_call", "custom_tool_call"]), texts)
hosted = st.tuples(st.sampled_from(["web_search_call", "mcp_call", "novel_item"]), words)
items = st.lists(messages | thoughts | calls | hosted, max_size=4)

NAMES = {
    "output_text": ("text", "output_text"),
    "refusal": ("refusal", "refusal"),
    "function_call": ("arguments", "function_call_arguments"),
    "custom_tool_call": ("input", "custom_tool_call_input"),
}


def item_of(row, at):
    """An item that is whole."""
    kind, id_ = row[0], f"id-{at}"
    base = {"id": id_, "type": kind, "status": "completed"}
    if kind == "message":
        content = []
        for type_, pieces in row[1]:
            said = {"type": type_, NAMES[type_][0]: "".join(pieces)}
            if type_ == "output_text":
                cited = {"type": "url_citation", "url": "http://x", "start_index": 0}
                said |= {"annotations": [cited] if pieces else [], "logprobs": rows_of(pieces)}
            content.append(said)
        return base | {"role": "assistant", "phase": "final_answer", "content": content}
    if kind == "reasoning":
        told = [{"type": "summary_text", "text": "".join(pieces)} for pieces in row[1]]
        return base | {"summary": told} | ({"encrypted_content": "zz="} if row[2] else {})
    if kind in NAMES:
        return base | {"call_id": f"call-{at}", "name": "f", NAMES[kind][0]: "".join(row[1])}
    return base | {"action": {"query": row[1]}, "deep": [{"a": None}]}


def rows_of(pieces):
    return [{"token": p, "logprob": -float(len(p)), "top_logprobs": []} for p in pieces]


def events_of(row, at, chance):
    """The same item in pieces. Ids of pieces rotate; some events are left out."""
    whole, place = item_of(row, at), {"output_index": at, "item_id": f"other-{chance.random()}"}
    kind = row[0]
    bare = {"content": [], "summary": [], "arguments": "", "input": ""}
    begun = {name: bare.get(name, one) for name, one in whole.items()} | {"status": "in_progress"}
    yield {"type": "response.output_item.added", "output_index": at, "item": begun}
    if kind == "message":
        for number, (type_, pieces) in enumerate(row[1]):
            part = {"content_index": number, "part": {"type": type_}}
            yield place | part | {"type": "response.content_part.added"}
            for piece in pieces:
                probs = {"logprobs": rows_of([piece])} if type_ == "output_text" else {}
                told = {"content_index": number, "delta": piece, **probs}
                yield place | told | {"type": f"response.{type_}.delta"}
            field, name = NAMES[type_]
            done = {"content_index": number, field: "".join(pieces)}
            yield place | done | {"type": f"response.{name}.done"}
    if kind == "reasoning":
        for number, pieces in enumerate(row[1]):
            part = {"summary_index": number, "part": {"type": "summary_text"}}
            yield place | part | {"type": "response.reasoning_summary_part.added"}
            for piece in pieces:
                told = {"summary_index": number, "delta": piece}
                yield place | told | {"type": "response.reasoning_summary_text.delta"}
    if kind in NAMES:
        field, name = NAMES[kind]
        for piece in row[1] if chance.random() < 0.7 else ():
            yield place | {"delta": piece, "type": f"response.{name}.delta"}
        yield place | {field: "".join(row[1]), "type": f"response.{name}.done"}
    yield {"type": "response.novel.thing", "output_index": at, "delta": "no"}
    if chance.random() < 0.8:
        yield {"type": "response.output_item.done", "output_index": at, "item": whole}


def stream_of(wire, rows, final, chance):
    created = wire.response(status="in_progress")
    yield {"type": "response.created", "response": created}
    yield {"type": "response.in_progress", "response": created}
    waiting = []
    for at, row in enumerate(rows):
        alone = {"alone": row[0] in {"message", "reasoning"}}
        waiting.append([event | alone for event in events_of(row, at, chance)])
    while any(waiting):
        yield ready(waiting, chance).pop(0)
    yield {"type": f"response.{final['status']}", "response": final}


def ready(waiting, chance):
    """One whose item has begun, or the next to begin. Items of blocks stand alone."""
    rows = [row for row in waiting if row]
    alone = [k for k, row in enumerate(rows) if row[-1]["alone"]]
    rows = rows[: max(1, alone[0])] if alone else rows
    begun = [row for row in rows if not row[0]["type"].endswith("item.added")]
    fresh = [row for row in rows if row[0]["type"].endswith("item.added")]
    return chance.choice([*begun, *fresh[:1]])


def cut(data, chance, most=9):
    while data:
        size = chance.randint(1, most) if chance.random() < 0.5 else len(data)
        yield data[:size]
        data = data[size:]


usages = st.none() | st.tuples(st.integers(0, 99), st.integers(0, 99))


@settings(max_examples=50, deadline=None)
@given(
    rows=items,
    usage=usages,
    status=st.sampled_from(["completed", "incomplete"]),
    seed=st.integers(0, 2**32),
)
def test_whole_and_streamed_are_one(wire, rows, usage, status, seed):
    chance = random.Random(seed)
    output = [item_of(row, at) for at, row in enumerate(rows)]
    spent = usage and {"input_tokens": usage[0], "output_tokens": usage[1]}
    why = {"reason": "max_output_tokens"} if status == "incomplete" else None
    final = wire.response(output, status, usage=spent, incomplete_details=why)
    events = list(stream_of(wire, rows, final, chance))
    streamed = wire.stream(*cut(wire.numbered(*events), chance))
    trio.run(compare, wire, wire.whole(final), streamed, output)


async def compare(wire, whole, streamed, output):
    fold = Fold()
    async with wire.client([whole, streamed], api="responses") as (client, _):
        one = await client.ask("hi", logprobs=1)
        async with client.stream("hi", logprobs=1) as stream:
            async for delta in stream:
                fold(delta)
            other = stream.response
        assert one == other
        assert fold.response().message == other.message
        assert sent_back(wire, one) == [bare_of(item) for item in output]


def sent_back(wire, response):
    """The items that an answer becomes as history."""
    from llmmw_openai._responses_input import Items

    from llmmw.wire import Losses

    return Items("openai-responses", Losses(None, "openai")).of([response.message])


def bare_of(item):
    """An item as the host wants it back: without probabilities."""
    if item["type"] == "function_call" and not item["arguments"]:
        return item | {"arguments": "{}"}
    if item["type"] != "message":
        return item
    content = [{k: v for k, v in block.items() if k != "logprobs"} for block in item["content"]]
    return item | {"content": content}


EVENTS = [
    ("reasoning", [["a", "b"]], True),
    ("message", [("output_text", ["He", "llo"])]),
    ("function_call", ["{", "}"]),
]


async def test_a_stream_is_told_as_it_comes(wire):
    heard = trio.Event()

    async def until_heard():
        with trio.fail_after(5):
            await heard.wait()

    rows = [("message", [("output_text", ["a", "b"])])]
    events = list(stream_of(wire, rows, wire.response([item_of(rows[0], 0)]), random.Random(0)))
    body = [wire.numbered(one, first=n) for n, one in enumerate(events)]
    answer = wire.stream(*body[:5], until_heard, *body[5:])
    async with wire.client(answer, api="responses") as (client, _):
        async with client.stream("hi") as stream:
            said = []
            async for text in stream.text:
                said.append(text)
                heard.set()
    assert said == ["a", "b"]


async def test_the_next_turn_has_all_of_the_last(wire):
    """Over the wire: reasoning, hosted items and calls go back in their places."""
    rows = [*EVENTS[:1], ("web_search_call", "q"), *EVENTS[1:]]
    output = [item_of(row, at) for at, row in enumerate(rows)]
    answers = [wire.whole(wire.response(output)), wire.whole(wire.response())]
    async with wire.client(answers, api="responses") as (client, server):
        first = await client.ask("hi")
        (call,) = first.tool_calls
        result = Message("tool", (ToolResultPart(call_id=call.id, content="7"),))
        await client.ask([Message("user", (TextPart("hi"),)), first, result])
    sent = server.requests[1].json()["input"]
    assert sent[0] == {"role": "user", "content": "hi"}
    assert sent[1:-1] == [bare_of(item) for item in output]
    assert sent[-1] == {"type": "function_call_output", "call_id": call.id, "output": "7"}
    assert isinstance(first.parts[1], OpaquePart)
    assert first.parts[0].encrypted == "zz="


async def test_a_message_is_not_told_twice(wire):
    """The pieces, their sum, the item and the response say the same; a listener hears it once."""
    final = wire.response([item_of(row, at) for at, row in enumerate(EVENTS)])
    body = wire.numbered(*stream_of(wire, EVENTS, final, random.Random(3)))
    async with wire.client(wire.stream(body), api="responses") as (client, _):
        async with client.stream("hi") as stream:
            told = [delta async for delta in stream if isinstance(delta, PartDelta)]
    assert "".join(delta.text for delta in told) == "abHello"
    assert "".join(delta.arguments for delta in told) == "{}"
    assert json.loads(stream.response.tool_calls[0].arguments) == {}
