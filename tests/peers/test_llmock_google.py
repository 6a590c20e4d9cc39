"""A server that fails as it is told, in Gemini's dialect: what the provider makes of that."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from llmmw import Attempts, Client, Generation, Middleware, Retry
from llmmw.errors import (
    AuthenticationFailed,
    BadRequest,
    LLMError,
    NotFound,
    Overloaded,
    PermissionDenied,
    ProtocolError,
    RateLimited,
    ServerError,
    StreamInterrupted,
)

from .test_llmock import Mock, open_mock

pytestmark = pytest.mark.plugins

PROMPT = "one two three four five six"
WHOLE = f"Hello! You said: {PROMPT}"
HURRIED = Attempts(Retry(3, base=0.02))


@pytest.fixture(scope="module")
def server() -> Iterator[Mock]:
    with open_mock() as mock:
        yield mock


@pytest.fixture
def mock(server: Mock) -> Mock:
    """The server as if nothing had been before."""
    server.reset()
    return server


@asynccontextmanager
async def open_client(mock: Mock, *stack: Middleware) -> AsyncIterator[Client]:
    options = {"google": {"base_url": f"{mock.url}/gemini/v1beta", "api_key": "AIza-nobody-0000"}}
    async with Client("google:gemini-2.5-pro", stack=stack, options=options) as client:
        yield client


async def read(client: Client, **how: Any) -> Generation:
    async with client.stream(PROMPT, **how) as stream:
        return await stream.wait_response()


async def test_it_answers(mock: Mock) -> None:
    async with open_client(mock) as client:
        answers = [await client.ask(PROMPT), await read(client)]
    for one in answers:
        assert one.text == WHOLE
        assert one.finish_reason == "stop"
        assert one.usage is not None
        assert one.usage.output_tokens == len(WHOLE) // 4
    assert mock.findings() == []


async def test_a_tool_is_called_and_its_answer_goes_back(mock: Mock) -> None:
    tool = {"name": "look", "description": "Look somewhere.", "parameters": {"type": "object"}}
    call = {"name": "look", "arguments": {"where": 'behind the "door"', "far": True}}
    mock.expect({"type": "reply", "tool_calls": [call], "times": 2})
    async with open_client(mock) as client:
        answers = [await client.ask(PROMPT, tools=[tool]), await read(client, tools=[tool])]
        for answer in answers:
            (made,) = answer.tool_calls
            assert (made.name, made.parse()) == ("look", call["arguments"])
            assert answer.finish_reason == "tool_call"
            result = {"role": "tool", "tool_call_id": made.id, "content": "a cat"}
            after = await client.ask([PROMPT, answer, result], tools=[tool])
            assert after.text == WHOLE  # it echoes what the user said
    assert mock.findings() == []


ERRORS = {
    400: BadRequest,
    401: AuthenticationFailed,
    403: PermissionDenied,
    404: NotFound,
    429: RateLimited,
    500: ServerError,
    503: Overloaded,
}


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize(("status", "kind"), ERRORS.items())
async def test_each_status_is_one_error_and_retried_where_that_may_help(
    mock: Mock, status: int, kind: type[LLMError], stream: bool
) -> None:
    mock.expect({"type": "fail", "status": status, "retry_after": 0.05})
    async with open_client(mock) as client:
        with pytest.raises(LLMError) as caught:
            await (read(client) if stream else client.ask(PROMPT))
    assert type(caught.value) is kind
    assert caught.value.status == status
    mock.reset()
    mock.expect({"type": "fail", "status": status, "retry_after": 0.05})
    may_pass = kind in {RateLimited, ServerError, Overloaded}
    async with open_client(mock, HURRIED) as client:
        try:
            response = await (read(client) if stream else client.ask(PROMPT))
        except LLMError:
            assert not may_pass
        else:
            assert may_pass
            assert response.text == WHOLE
    assert len(mock.requests()) == 1 + may_pass
    assert mock.findings() == []


@pytest.mark.parametrize("kind", ["truncate", "disconnect", "malformed"])
async def test_a_broken_stream_is_asked_for_again(mock: Mock, kind: str) -> None:
    mock.fault(kind, times=2)
    async with open_client(mock, HURRIED) as client:
        restarted = await read(client, on_interrupt="restart")
        assert len(mock.requests()) == 3
        mock.fault(kind)
        with pytest.raises((StreamInterrupted, ProtocolError)) as caught:
            await read(client)
    assert restarted.text == WHOLE
    assert caught.value.partial is not None
