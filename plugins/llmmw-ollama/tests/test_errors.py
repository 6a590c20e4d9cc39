"""Errors of the host, as a caller gets them: a text is all that it tells."""

from __future__ import annotations

import json

import pytest

from llmmw.errors import (
    AuthenticationFailed,
    BadRequest,
    ContextWindowExceeded,
    NotFound,
    Overloaded,
    PermissionDenied,
    QuotaExhausted,
    RateLimited,
    ServerError,
    UnsupportedFeature,
)

pytestmark = pytest.mark.plugins

OVERFLOW = {
    "error": {
        "code": 400,
        "message": "request (2622 tokens) exceeds the available context size (512 tokens)",
        "type": "exceed_context_size_error",
    }
}
SIGNS = [
    (400, "missing request body", BadRequest),
    (400, 'option "num_ctx" must be of type integer', BadRequest),
    (500, 'option "num_ctx" must be of type integer', BadRequest),
    (400, '"llama3.2" does not support thinking', UnsupportedFeature),
    (400, "registry.ollama.ai/library/gemma:latest does not support tools", UnsupportedFeature),
    (400, '"all-minilm" does not support chat', UnsupportedFeature),
    (400, 'invalid think value: "max" (must be "high", "medium", "low")', UnsupportedFeature),
    (400, "think must be a boolean or string", UnsupportedFeature),
    (400, "the input length exceeds the context length", ContextWindowExceeded),
    (500, "input exceeds maximum context length and cannot be truncated", ContextWindowExceeded),
    (400, "prompt too long; exceeded max context length by 4 tokens", ContextWindowExceeded),
    (400, json.dumps(OVERFLOW), ContextWindowExceeded),
    (400, "top_logprobs must be between 0 and 20", BadRequest),
    (401, "unauthorized", AuthenticationFailed),
    (403, "remote model is unavailable", PermissionDenied),
    (404, "model 'nope' not found", NotFound),
    (404, 'model "nope" not found, try pulling it first', NotFound),
    (429, "too many requests", RateLimited),
    (429, "you've reached your hourly usage limit, please upgrade", QuotaExhausted),
    (499, "request canceled", ServerError),
    (500, "the model failed to generate a response", ServerError),
    (
        500,
        "model requires more system memory (9.9 GiB) than is available (2.0 GiB)",
        Overloaded,
    ),
    (502, "bad gateway", ServerError),
    (503, "server busy, please try again. maximum pending requests exceeded", Overloaded),
]


@pytest.mark.parametrize(("status", "said", "kind"), SIGNS)
async def test_signs(wire, status, said, kind):
    with pytest.raises(kind) as caught:
        await wire.ask(wire.whole({"error": said}, status))
    assert type(caught.value) is kind
    assert caught.value.status == status
    assert said in caught.value.message


async def test_errors_that_are_no_json(wire):
    with pytest.raises(ServerError, match="Bad gateway"):
        await wire.ask(wire.whole(b"<html><h1>Bad gateway</h1></html>", 502))
    with pytest.raises(NotFound):
        await wire.ask(wire.whole(b"404 page not found", 404))
