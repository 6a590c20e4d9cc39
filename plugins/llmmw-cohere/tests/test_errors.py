"""Errors of the host, as a caller gets them."""

from __future__ import annotations

import pytest

from llmmw import Retry
from llmmw.errors import (
    AuthenticationFailed,
    BadRequest,
    ContentFiltered,
    ContextWindowExceeded,
    NotFound,
    Overloaded,
    PermissionDenied,
    ProtocolError,
    QuotaExhausted,
    RateLimited,
    ServerError,
    StreamInterrupted,
    UnsupportedFeature,
)

pytestmark = pytest.mark.plugins

SIGNS = [
    (400, "invalid request: message must be at least 1 token long", BadRequest),
    (
        400,
        "too many tokens: total number of tokens in the prompt cannot exceed 4081 - received 4292.",
        ContextWindowExceeded,
    ),
    (
        400,
        "too many tokens: max tokens must be less than or equal to 4096, the maximum output",
        UnsupportedFeature,
    ),
    (400, "invalid request: model 'x' is not supported by the generate API", UnsupportedFeature),
    (400, "invalid request: RAG is not supported for this model.", UnsupportedFeature),
    (400, "invalid request: response_format is not supported with RAG.", UnsupportedFeature),
    (
        400,
        "invalid request: only one of 'presence_penalty' and 'frequency_penalty' can be specified "
        "for this model.",
        UnsupportedFeature,
    ),
    (401, "invalid api token", AuthenticationFailed),
    (402, "Please add or update your payment method", QuotaExhausted),
    (403, "not yours", PermissionDenied),
    (404, "model 'comand-a' not found", NotFound),
    (422, "unprocessable", BadRequest),
    (
        429,
        "You are using a Trial key, which is limited to 1000 API calls / month.",
        QuotaExhausted,
    ),
    (429, "You are using a Trial key, which is limited to 40 API calls / minute.", RateLimited),
    (498, "blocked output: please adjust your prompt and try again", ContentFiltered),
    (499, "request cancelled", ServerError),
    (500, "internal server error, this has been reported to our developers.", ServerError),
    (501, "not implemented", UnsupportedFeature),
    (503, "unavailable", Overloaded),
    (504, "timeout", ServerError),
]


@pytest.mark.parametrize(("status", "message", "kind"), SIGNS)
async def test_each_status_and_text(wire, status, message, kind):
    told = wire.whole({"id": "e-1", "message": message}, status=status)
    with pytest.raises(kind) as caught:
        await wire.ask(told)
    error = caught.value
    assert type(error) is kind
    assert (error.status, error.provider) == (status, "cohere")
    assert message in str(error)


async def test_the_id_of_a_request(wire):
    headers = {"x-debug-trace-id": "trace-7"}
    with pytest.raises(ServerError) as caught:
        await wire.ask(wire.whole({"message": "no"}, status=500, **headers))
    assert caught.value.request_id == "trace-7"


async def test_bodies_that_are_no_json(wire):
    with pytest.raises(Overloaded, match="Be back soon"):
        await wire.ask(wire.whole(b"<html><h1>Be back soon</h1></html>", status=503))
    with pytest.raises(ServerError):
        await wire.ask(wire.whole(b"", status=500))
    with pytest.raises(ProtocolError):
        await wire.ask(wire.whole(b"<html>", status=200))


async def test_an_error_inside_a_success(wire):
    with pytest.raises(ServerError, match="went wrong"):
        await wire.ask(wire.whole({"id": "e", "message": "went wrong"}))
    begun = [wire.start(), wire.delta("content-delta", 0, content={"text": "He"})]
    for last in (
        {"id": "e", "message": "went wrong"},
        {"type": "error", "message": "went wrong"},
        wire.end("ERROR", error="went wrong"),
        wire.end("ERROR", error={"message": "went wrong"}),
        wire.end("COMPLETE", error=["went wrong"]),
    ):
        with pytest.raises(ServerError, match="went wrong") as caught:
            await wire.ask(wire.events(*begun, last))
        assert caught.value.partial.text == "He"


async def test_an_end_without_its_end(wire):
    begun = [wire.start(), wire.delta("content-delta", 0, content={"text": "He"})]
    for answer in (wire.events(*begun), wire.stream(wire.sse(*begun), cut=True)):
        with pytest.raises(StreamInterrupted) as caught:
            await wire.ask(answer)
        assert caught.value.partial.text == "He"


async def test_what_goes_wrong_after_the_end_is_nobodys_loss(wire):
    told = [wire.start(), wire.delta("content-delta", 0, content={"text": "Hi"}), wire.end()]
    for rest in (b"", b"data: [DONE]\n\n", b"event: x\ndata: {"):
        response = await wire.ask(wire.stream(wire.sse(*told), rest, cut=not rest))
        assert response.text == "Hi"


async def test_a_second_try(wire):
    answers = [wire.whole({"message": "busy"}, status=503), wire.whole(wire.message("x"))]
    async with wire.client(answers, stack=[Retry(1)]) as (client, server):
        assert (await client.ask("hi")).text == "x"
    assert len(server.requests) == 2
