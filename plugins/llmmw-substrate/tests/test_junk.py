"""Junk at each place of an answer, whole and streamed: an answer or an error of ours, never
another exception."""

from __future__ import annotations

import json
import random

import pytest
from llmmw_substrate._answer import Answer, vectors_of

from llmmw.errors import LLMError
from llmmw.wire import SSEDecoder, loads

pytestmark = pytest.mark.plugins

JUNK = [None, True, -1, 10**400, 1e999, "", "x", [], [None], [[1]], {}, {"a": 1}, [{}], {"b": []}]


def messages(wire):
    result = {"choices": [{"text": "so it", "json_object": None}, {"text": "x"}], "more": [1]}
    pieces = [wire.choice("so "), wire.choice("x", 1), wire.choice("it"), wire.delta({"more": [1]})]
    return [*pieces, *wire.ended(result)]


def broken(data):
    """`data` with junk at each place in turn."""
    yield from JUNK
    keys = data if isinstance(data, dict) else range(len(data)) if isinstance(data, list) else ()
    for key in keys:
        for one in broken(data[key]):
            copy = data.copy()
            copy[key] = one
            yield copy


def outcome(read):
    answer = Answer("substrate", "m")
    try:
        read(answer)
        told = answer.finished()
    except LLMError:
        return "error"
    assert told.finish is not None
    return "answer"


def test_junk_in_a_whole_answer(wire):
    found = {"answer": 0, "error": 0}
    for data in broken(messages(wire)[-2]["data"]):
        found[outcome(lambda answer, data=data: list(answer.whole(data)))] += 1
    assert min(found.values()) > 10


def test_junk_in_a_stream(wire):
    good = messages(wire)
    count = 0
    for place, message in enumerate(good):
        for junk in broken(message):
            if isinstance(junk, dict):
                rows = [*good[:place], junk, *good[place + 1 :]]
                outcome(lambda answer, rows=rows: [list(answer.take(row)) for row in rows])
                count += 1
    assert count > 300


def test_junk_for_vectors():
    for data in broken({"embeddings": [{"vector": [1.0, 2]}]}):
        try:
            vectors_of(data, 1)
        except LLMError:
            continue


async def test_junk_over_the_line(wire):
    """Bodies of whole answers, each of which the provider reads as it came."""
    body = {"data": {"answer": {"choices": [{"text": "x"}]}}, "error": None}
    bodies = [json.dumps(one).encode() for one in broken(body)]
    async with wire.client([wire.body(one) for one in bodies]) as (client, _):
        for _ in bodies:
            try:
                await client.ask("hi")
            except LLMError:
                continue


def test_bytes_that_went_wrong(wire):
    """Cut, spliced, repeated, flipped."""
    chance = random.Random(7)
    body = wire.sse(*messages(wire))
    found = {"answer": 0, "error": 0}

    def read(answer):
        for event in SSEDecoder().feed(bytes(data)):
            told = loads(event.data)
            if isinstance(told, dict):
                list(answer.take(told))

    for _ in range(1_000):
        data = bytearray(body)
        for _ in range(chance.randint(1, 3)):
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
        found[outcome(read)] += 1
    assert min(found.values()) > 50
