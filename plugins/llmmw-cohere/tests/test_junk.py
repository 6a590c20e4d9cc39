"""Junk at each place of an answer, and bytes that went wrong on their way."""

from __future__ import annotations

import random

import pytest
from llmmw_cohere._answer import Answer
from llmmw_cohere._batches import CohereBatches
from llmmw_cohere._datasets import CohereFiles
from llmmw_cohere._fine_tunes import CohereFineTunes, CohereModels, _checkpoint, _event
from llmmw_cohere._ranking import scores_of
from llmmw_cohere._tokens import tokens_of
from llmmw_cohere._usage import meta_usage
from llmmw_cohere._vectors import vectors_of

from llmmw import Call, Generate
from llmmw.errors import LLMError
from llmmw.plugin import ResponseBuilder
from llmmw.wire import Http, SSEDecoder, loads

pytestmark = pytest.mark.plugins

SOURCE = {
    "start": 0,
    "end": 1,
    "text": "t",
    "type": "TEXT_CONTENT",
    "content_index": 1,
    "sources": [{"type": "document", "id": "d", "document": {"url": "u", "title": "t"}}],
}
CALL = {"id": "i", "type": "function", "function": {"name": "f", "arguments": "{}"}}
ROWS = [{"text": "t", "token_ids": [1], "logprobs": [-1.5]}]
RICH = {
    "id": "r",
    "message": {
        "role": "assistant",
        "content": [
            {"type": "thinking", "thinking": "h"},
            {"type": "text", "text": "t"},
            {"type": "odd", "x": 1},
        ],
        "tool_plan": "p",
        "tool_calls": [CALL],
        "citations": [SOURCE],
    },
    "finish_reason": "COMPLETE",
    "usage": {
        "billed_units": {"input_tokens": 1, "output_tokens": 1},
        "tokens": {"input_tokens": 1, "output_tokens": 1},
        "cached_tokens": 1,
    },
    "logprobs": ROWS,
}


def event(kind, index=None, **message):
    return {"type": kind, "index": index, "delta": {"message": message}}


EVENTS = [
    {"type": "message-start", "id": "r", "delta": {"message": {"role": "assistant"}}},
    event("content-start", 0, content={"type": "thinking", "thinking": "h"}),
    event("content-start", 1, content={"type": "text", "text": "t"}),
    event("content-delta", 1, content={"text": "t"}) | {"logprobs": ROWS[0]},
    event("citation-start", 0, citations=SOURCE),
    event("tool-plan-delta", tool_plan="p"),
    event("tool-call-start", 0, tool_calls=CALL),
    event("tool-call-delta", 0, tool_calls={"function": {"arguments": "x"}}),
    {"type": "message-end", "delta": {"finish_reason": "COMPLETE", "usage": RICH["usage"]}},
]
JUNK = [None, True, -1, 10**400, 1e999, "", "x", "null", [], [None], [[1]], {}, {"a": 1}]


def broken(data):
    """`data` with junk at each place in turn."""
    yield from JUNK
    keys = data if isinstance(data, dict) else range(len(data)) if isinstance(data, list) else ()
    for key in keys:
        for one in broken(data[key]):
            copy = data.copy()
            copy[key] = one
            yield copy


async def read(*events, whole=None):
    answer = Answer(ResponseBuilder(Call(Generate(messages=("hi",))), "x"))
    if whole is not None:
        await answer.whole(whole)
    for one in events:
        if isinstance(one, dict):
            await answer.take(one)
    return await answer.finish()


async def test_whatever_a_host_sends_is_an_answer_or_an_error():
    """Never another exception."""
    outcomes = {"answer": 0, "error": 0}
    for data in [RICH, *(one for one in broken(RICH) if isinstance(one, dict))]:
        try:
            assert (await read(whole=data)).finish is not None
            outcomes["answer"] += 1
        except LLMError:
            outcomes["error"] += 1
    for events in [EVENTS, *(one for one in broken(EVENTS) if isinstance(one, list))]:
        assert (await read(*events)).finish is not None
        outcomes["answer"] += 1
    assert min(outcomes.values()) > 5
    assert sum(outcomes.values()) > 1000


async def test_bytes_that_went_wrong(wire):
    """Cut, spliced, repeated, flipped: an answer or an error."""
    chance = random.Random(7)
    good = 0
    for _ in range(1_000):
        body = bytearray(wire.sse(*EVENTS))
        for _ in range(chance.randint(1, 3)):
            at, to = sorted(chance.randrange(len(body)) for _ in range(2))
            how = chance.randrange(4)
            if how == 0:
                del body[at : min(to, at + 40)]
            elif how == 1:
                body[at:at] = body[at : min(to, at + 40)]
            elif how == 2:
                body[at] ^= 1 << chance.randrange(8)
            else:
                del body[to:]
            body = body or bytearray(b" ")
        try:
            found = SSEDecoder().feed(bytes(body))
            await read(*(loads(one.data) for one in found if one.data.strip()))
            good += 1
        except LLMError:
            pass
    assert 50 < good < 950


OTHERS = [
    (lambda told: vectors_of(told, {"texts": ["a"]}), {"embeddings": {"float": [[1.5, 2]]}}),
    (lambda told: scores_of(told, 1), {"results": [{"index": 0, "relevance_score": 0.5}]}),
    (tokens_of, {"tokens": [1]}),
    (meta_usage, {"billed_units": {"input_tokens": 1}, "tokens": {"input_tokens": 2}}),
]
WHEN = "2026-01-01T00:00:00Z"
HTTP = Http(base_url="http://x")
TUNE = {
    "id": "t",
    "status": "STATUS_READY",
    "created_at": WHEN,
    "settings": {"base_model": {"name": "n"}, "dataset_id": "d", "hyperparameters": {"e": 1}},
}
BATCH = {"id": "b", "status": "BATCH_STATUS_FAILED", "num_records": 1, "status_reason": "r"}
DATASET = {
    "id": "d",
    "created_at": WHEN,
    "dataset_parts": [{"id": "p", "size_bytes": 1}],
}
MODEL = {"name": "m", "context_length": 128000.0, "is_deprecated": True}
INFOS = [
    (CohereFineTunes(name="x", http=HTTP)._info, TUNE),
    (CohereBatches(name="x", http=HTTP)._info, BATCH),
    (CohereFiles(name="x", http=HTTP)._info, DATASET),
    (CohereModels(name="x", http=HTTP)._info, MODEL),
    (_checkpoint, {"step_number": 1, "metrics": {"loss": 0.5}, "created_at": WHEN}),
    (_event, {"status": "STATUS_READY", "created_at": WHEN}),
]


def test_other_answers():
    read = refused = 0
    for make, good in OTHERS:
        make(good)
        for data in broken(good):
            try:
                make(data if isinstance(data, dict) else {})
                read += 1
            except LLMError:
                refused += 1
    assert min(read, refused) > 50


def test_what_is_told_of_things():
    for make, good in INFOS:
        assert make(good).raw == good
        for data in broken(good):
            if isinstance(data, dict):
                assert make(data).raw == data
