"""Junk at each place of an answer, whole and streamed: an answer or an error, never another
exception. Lists and objects stand where texts are expected too, so that nothing may be hashed."""

from __future__ import annotations

import random

import pytest
from llmmw_anthropic._answer import Answer

from llmmw.errors import LLMError
from llmmw.wire import SSEDecoder, loads

pytestmark = pytest.mark.plugins

JUNK = [None, True, -1, 10**400, 1e999, "", "x", [], [None], [[1]], {}, {"a": 1}, [{}], {"b": []}]
CITE = {"type": "char_location", "cited_text": "c", "document_title": "d", "url": "u"}
BLOCKS = [
    {"type": "thinking", "thinking": "t", "signature": "s"},
    {"type": "redacted_thinking", "data": "d"},
    {"type": "text", "text": "t", "citations": [CITE]},
    {"type": "tool_use", "id": "i", "name": "n", "input": {"a": 1}, "caller": {"type": "direct"}},
    {"type": "server_tool_use", "id": "i", "name": "n", "input": {"a": 1}},
    {"type": "web_search_tool_result", "tool_use_id": "i", "content": [{"type": "x"}]},
]
PIECES = [
    [{"type": "thinking_delta", "thinking": "t"}, {"type": "signature_delta", "signature": "s"}],
    [{"type": "new_delta", "data": "d"}],
    [{"type": "text_delta", "text": "t"}, {"type": "citations_delta", "citation": CITE}],
    [{"type": "input_json_delta", "partial_json": '{"a":'}],
    [{"type": "input_json_delta", "partial_json": "1}"}],
    [{"type": "compaction_delta", "content": "t"}],
]


def message(wire):
    usage = {"input_tokens": 1, "output_tokens": 1, "cache_read_input_tokens": 1}
    usage |= {"server_tool_use": {"web": 1}, "output_tokens_details": {"thinking_tokens": 1}}
    details = {"type": "refusal", "category": "c"}
    return wire.message(*BLOCKS, usage=usage, stop_details=details, container={"id": "c"})


def events(wire):
    told = [wire.start()]
    for index, (block, pieces) in enumerate(zip(BLOCKS, PIECES, strict=True)):
        told += wire.block(index, block, *pieces)
    return [*told, *wire.end("refusal", stop_details={"type": "refusal"})]


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
    answer = Answer("anthropic", "m")
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
            found[outcome(lambda answer, data=data: list(answer.whole(data)))] += 1
    assert min(found.values()) > 10
    assert sum(found.values()) > 700


def test_junk_in_a_stream(wire):
    good = events(wire)
    count = 0
    for place, event in enumerate(good):
        for junk in broken(event):
            if isinstance(junk, dict):
                rows = [*good[:place], junk, *good[place + 1 :]]
                outcome(lambda answer, rows=rows: [list(answer.take(row)) for row in rows])
                count += 1
    assert count > 1_500


def test_bytes_that_went_wrong(wire):
    """Cut, spliced, repeated, flipped."""
    chance = random.Random(7)
    body = wire.sse(*events(wire))
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
