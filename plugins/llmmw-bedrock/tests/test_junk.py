"""Junk at each place of an answer, whole and streamed: an answer or an error, never another
exception. Lists and objects stand where texts are expected too, so that nothing may be hashed."""

from __future__ import annotations

import random

import pytest
from llmmw_bedrock._answer import Answer

from llmmw.errors import LLMError
from llmmw.wire import EventStreamDecoder, loads

pytestmark = pytest.mark.plugins

JUNK = [None, True, -1, 10**400, 1e999, "", "x", [], [None], [[1]], {}, {"a": 1}, [{}], {"b": []}]
SOURCE = {
    "title": "t",
    "sourceContent": [{"text": "s"}],
    "location": {"web": {"url": "u", "domain": "d"}},
}
CALL = {"toolUseId": "i", "name": "n"}
BLOCKS = [
    {"reasoningContent": {"reasoningText": {"text": "t", "signature": "s"}}},
    {"reasoningContent": {"redactedContent": "ZA=="}},
    {"citationsContent": {"content": [{"text": "t"}], "citations": [SOURCE]}},
    {"toolUse": CALL | {"input": {"a": 1}}},
    {"toolUse": CALL | {"input": {"a": 1}, "type": "server_tool_use"}},
    {"toolResult": {"toolUseId": "i", "content": [{"json": {}}], "type": "x"}},
    {"image": {"format": "png", "source": {"bytes": "MQ=="}}},
    {"newThing": {"a": [1]}},
]
PIECES = [
    (None, [{"reasoningContent": {"text": "t"}}, {"reasoningContent": {"signature": "s"}}]),
    (None, [{"reasoningContent": {"redactedContent": "ZA=="}}] * 2),
    (None, [{"text": "t"}, {"citation": SOURCE}]),
    ({"toolUse": CALL}, [{"toolUse": {"input": '{"a":'}}, {"toolUse": {"input": "1}"}}]),
    ({"toolUse": CALL | {"type": "server_tool_use"}}, [{"toolUse": {"input": "{}"}}]),
    ({"toolResult": {"toolUseId": "i"}}, [{"toolResult": [{"text": "t"}]}]),
    ({"image": {"format": "png"}}, [{"image": {"source": {"bytes": "MQ=="}}}]),
    (None, [{"newThing": {"a": 1}}]),
]


def message(wire):
    usage = {"inputTokens": 1, "outputTokens": 1, "cacheReadInputTokens": 1}
    usage |= {"serverToolUsage": {"web": 1}}
    fields = {"stop_sequence": "x"}
    return wire.message(*BLOCKS, usage=usage, additionalModelResponseFields=fields, trace={"a": 1})


def events(wire):
    told = [wire.start()]
    for index, (begun, pieces) in enumerate(PIECES):
        told += wire.block(index, *pieces, start=begun)
    return [*told, *wire.end("tool_use", fields={"delta": {"stop_sequence": "x"}})]


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


def outcome(read):
    """Whether there is an answer; errors are ours alone."""
    answer = Answer("bedrock", "m")
    try:
        read(answer)
        told = answer.finished()
    except LLMError:
        return "error"
    assert told.finish is not None
    return "answer"


def test_junk_in_a_whole_answer(wire):
    found = {"answer": 0, "error": 0}
    for data in broken(message(wire)):
        if isinstance(data, dict):
            found[outcome(lambda answer, data=data: answer.whole(data))] += 1
    assert min(found.values()) > 10
    assert sum(found.values()) > 900


def test_junk_in_a_stream(wire):
    good = events(wire)
    count = 0
    for place, (kind, fields) in enumerate(good):
        for junk in broken(fields):
            if isinstance(junk, dict):
                rows = [*good[:place], (kind, junk), *good[place + 1 :]]
                outcome(lambda answer, rows=rows: [answer.take(*row) for row in rows])
                count += 1
    assert count > 1_500


def test_bytes_that_went_wrong(wire):
    """Cut, spliced, repeated: the checksums find what is flipped."""
    chance = random.Random(7)
    rows = [wire.event(*event) for event in events(wire)]
    found = {"answer": 0, "error": 0}

    def read(answer):
        decoder = EventStreamDecoder()
        for told in decoder.feed(b"".join(data)):
            answer.take(told.text(":event-type"), loads(told.payload))
        decoder.end()

    for _ in range(1_000):
        data = list(rows)
        for _ in range(chance.randint(1, 3)):
            at, to = sorted(chance.randrange(len(data)) for _ in range(2))
            how = chance.randrange(3)
            if how == 0:
                del data[at : min(to, at + 4)]
            elif how == 1:
                data[at:at] = data[at : min(to, at + 4)]
            else:
                data[at] = data[at][:-1] + bytes([data[at][-1] ^ 1])
        found[outcome(read)] += 1
    assert min(found.values()) > 50
