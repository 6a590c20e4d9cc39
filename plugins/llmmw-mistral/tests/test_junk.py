"""Junk at each place of an answer, whole and streamed: an answer or an error of ours, never another
exception. Lists and objects stand where texts are expected too, so that nothing may be hashed."""

from __future__ import annotations

import copy
import json
import random

import pytest
from llmmw_mistral._answer import Answer
from llmmw_mistral._vectors import vectors_of

from llmmw import Generate
from llmmw.errors import LLMError
from llmmw.plugin import Attempt, Call, Ledger, ResponseBuilder
from llmmw.wire import SSEDecoder, loads

pytestmark = pytest.mark.plugins

JUNK = [None, True, -1, 10**400, 1e999, "", "x", [], [None], [[1]], {}, {"a": 1}, [{}], {"b": []}]
CONTENT = [
    {"type": "thinking", "thinking": [{"type": "text", "text": "t"}], "closed": True},
    {"type": "text", "text": "t"},
    {"type": "reference", "reference_ids": [1]},
    {"type": "tool_reference", "title": "t", "url": "u", "description": "d"},
    {"type": "new", "x": 1},
]
CALL = {"id": "abcdefghi", "index": 0, "function": {"name": "n", "arguments": '{"a": 1}'}}


def message():
    return {"role": "assistant", "content": CONTENT, "tool_calls": [CALL], "refs": [[{"x": 1}]]}


def whole(wire):
    usage = {"prompt_tokens": 1, "prompt_tokens_details": {"cached_tokens": 1}, "x": 1}
    return wire.chat(message(), "b", usage=usage)


def chunks(wire):
    calls = [{"tool_calls": [{**CALL, "function": {"name": "n", "arguments": "{"}}]}]
    more = {"tool_calls": [{"index": 0, "function": {"arguments": "}"}}]}
    return wire.pieces("t", CONTENT, *calls, more, "x", {"role": "tool", "content": "y"})


def broken(data):
    """`data` with junk at each place in turn."""
    yield from JUNK
    for key in (
        data if isinstance(data, dict) else range(len(data)) if isinstance(data, list) else ()
    ):
        for one in broken(data[key]):
            copy = data.copy()
            copy[key] = one
            yield copy


async def outcome(rows, *, is_whole=False, begun=""):
    """Whether there is an answer; errors are ours alone."""
    request = Generate(model="mistral:m", messages=["hi"])
    call = Call(request=request, attempt=Attempt(), ledger=Ledger())
    answer = Answer(ResponseBuilder(call, "mistral", "m"), begun=begun)
    try:
        for row in rows:
            if isinstance(row, dict):
                await answer.take(row, whole=is_whole)
        told = await answer.finish()
    except LLMError:
        return "error"
    assert told.finish is not None
    return "answer"


async def test_junk_in_a_whole_answer(wire):
    found = {"answer": 0, "error": 0}
    for data in broken(whole(wire)):
        found[await outcome([data], is_whole=True)] += 1
    assert min(found.values()) > 10
    assert sum(found.values()) > 700


@pytest.mark.parametrize("begun", ["", "t, u"])
async def test_junk_in_a_stream(wire, begun):
    good = chunks(wire)
    count = 0
    for place, chunk in enumerate(good):
        for junk in broken(chunk):
            await outcome([*good[:place], junk, *good[place + 1 :]], begun=begun)
            count += 1
    assert count > 1_500


def places(data):
    """The lists and objects inside of `data`, itself among them."""
    if isinstance(data, (dict, list)):
        yield data
        for one in data.values() if isinstance(data, dict) else data:
            yield from places(one)


async def test_junk_at_several_places(wire):
    """Under names that mean something, and where there were none."""
    chance = random.Random(11)
    words = ["content", "tool_calls", "messages", "index", "type", "text", "thinking", "usage"]
    found = {"answer": 0, "error": 0}
    for _ in range(1_500):
        rows = json.loads(json.dumps(chunks(wire)))
        for _ in range(chance.randint(2, 5)):
            inside = chance.choice(list(places(rows)))
            junk = copy.deepcopy(chance.choice([*JUNK, CONTENT, [CALL], "0"]))
            if isinstance(inside, dict):
                inside[chance.choice([*words, *inside])] = junk
            elif inside:
                inside[chance.randrange(len(inside))] = junk
        found[await outcome(rows)] += 1
    assert found["answer"] > 500


async def test_bytes_that_went_wrong(wire):
    """Cut, spliced, repeated, flipped."""
    chance = random.Random(7)
    body = wire.sse(*chunks(wire))
    found = {"answer": 0, "error": 0}
    for _ in range(600):
        data = bytearray(body)
        at, to = sorted(chance.randrange(len(data)) for _ in range(2))
        how = chance.randrange(4)
        if how == 0:
            del data[at : min(to, at + 40)]
        elif how == 1:
            data[at:at] = data[at : min(to, at + 40)]
        elif how == 2:
            data[at] ^= 1 << chance.randrange(8)
        else:
            del data[max(to, 1) :]
        rows = []
        for event in SSEDecoder().feed(bytes(data)):
            try:
                rows.append(loads(event.data))
            except LLMError:
                break
        found[await outcome(rows)] += 1
    assert found["answer"] > 50


def test_junk_in_vectors():
    good = {"data": [{"index": 0, "embedding": [0.5, 1]}], "usage": {"prompt_tokens": 1}}
    count = 0
    for junk in broken(good):
        if isinstance(junk, dict):
            count += 1
            try:
                vectors_of(junk, 1)
            except LLMError:
                pass
    assert count > 60
