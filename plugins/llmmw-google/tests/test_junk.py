"""Junk at each place of an answer, and bytes that went wrong on their way."""

from __future__ import annotations

import random

import pytest
from llmmw_google._answer import Answer

from llmmw import Call, Generate
from llmmw.errors import LLMError
from llmmw.plugin import ResponseBuilder
from llmmw.wire import JSONArrayDecoder, SSEDecoder, loads

pytestmark = pytest.mark.plugins

CALL = {
    "id": "i",
    "name": "f",
    "args": {"a": 1},
    "partialArgs": [{"jsonPath": "$.b[0]", "stringValue": "x", "willContinue": True}],
    "willContinue": True,
}
RICH = {
    "responseId": "r",
    "modelVersion": "m",
    "createTime": "2026-05-27T00:00:01Z",
    "promptFeedback": {"blockReason": "SAFETY"},
    "usageMetadata": {
        "promptTokenCount": 1,
        "thoughtsTokenCount": 1,
        "promptTokensDetails": [{"modality": "AUDIO", "tokenCount": 1}],
    },
    "candidates": [
        {
            "index": 0,
            "content": {
                "role": "model",
                "parts": [
                    {"text": "t", "thought": True, "thoughtSignature": "s"},
                    {"text": "t", "thoughtSignature": "s"},
                    {"functionCall": CALL},
                    {"inlineData": {"mimeType": "image/png", "data": "AA=="}},
                    {"fileData": {"mimeType": "image/png", "fileUri": "u"}},
                    {"executableCode": {"code": "1"}},
                ],
            },
            "citationMetadata": {"citations": [{"uri": "u", "startIndex": 1, "endIndex": 2}]},
            "groundingMetadata": {
                "groundingChunks": [{"web": {"uri": "u", "title": "t"}}],
                "groundingSupports": [
                    {"segment": {"text": "t", "endIndex": 1}, "groundingChunkIndices": [0]}
                ],
            },
            "logprobsResult": {
                "chosenCandidates": [{"token": "t", "logProbability": -1}],
                "topCandidates": [{"candidates": [{"token": "t", "logProbability": -1}]}],
            },
            "finishReason": "STOP",
        }
    ],
}
JUNK = [None, True, -1, 10**400, 1e999, "", "x", "null", "$.", [], [None], [[1]], {}, {"a": 1}]


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


async def read(*chunks):
    request = Generate(messages=("hi",), logprobs=1)
    answer = Answer(ResponseBuilder(Call(request), "x"), "x", 1)
    for chunk in chunks:
        if isinstance(chunk, dict):
            await answer.take(chunk)
    return await answer.finish()


async def test_whatever_a_host_sends_is_an_answer_or_an_error():
    """Never another exception; by itself, and after a good piece."""
    outcomes = {"answer": 0, "error": 0}
    for data in [RICH, *broken(RICH)]:
        for chunks in ([data], [RICH, data]):
            try:
                assert (await read(*chunks)).finish is not None
                outcomes["answer"] += 1
            except LLMError:
                outcomes["error"] += 1
    assert min(outcomes.values()) > 10
    assert sum(outcomes.values()) > 2000


async def test_bytes_that_went_wrong(wire):
    """Cut, spliced, repeated, flipped: an answer or an error, in each framing."""
    chance = random.Random(7)
    bodies = [wire.sse(RICH, RICH), wire.array(RICH, RICH)]
    good = 0
    for number in range(2_000):
        body = bytearray(bodies[number % 2])
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
        decoder = SSEDecoder() if number % 2 == 0 else JSONArrayDecoder()
        try:
            found = decoder.feed(bytes(body))
            texts = [one if isinstance(one, bytes) else one.data for one in found]
            await read(*(loads(text) for text in texts))
            good += 1
        except LLMError:
            pass
    assert 50 < good < 1_950
