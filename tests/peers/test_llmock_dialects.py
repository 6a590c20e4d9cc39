"""Faults and limits in the dialects of Anthropic and of Gemini, under the same policies as any
other host's: whoever changes the host in a target finds the same errors, waits and partials."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from typing import Any

import attrs
import pytest
import trio

from llmmw import Attempts, Client, Generation, Middleware, RateLimit, Retry, Timeout
from llmmw._ledger import AttemptEnded, WaitStarted
from llmmw.errors import (
    CallShed,
    DeadlineExceeded,
    LLMError,
    Overloaded,
    ProtocolError,
    RateLimited,
    ServerError,
    StreamInterrupted,
)

from .test_llmock import HURRIED, PROMPT, WHOLE, Mock, open_mock

pytestmark = pytest.mark.plugins


@attrs.frozen
class Dialect:
    """A host as the server plays it."""

    target: str
    path: str
    before: int
    """Events of a stream before its first word."""

    @asynccontextmanager
    async def client(self, mock: Mock, *stack: Middleware) -> AsyncIterator[Client]:
        name = self.target.partition(":")[0]
        options = {name: {"base_url": mock.url + self.path, "api_key": "sk-nobody-0000"}}
        async with Client(self.target, stack=stack, options=options) as client:
            yield client


DIALECTS = {
    "anthropic": Dialect("anthropic:claude-sonnet-4-6", "/anthropic", 3),
    "google": Dialect("google:gemini-2.5-pro", "/gemini/v1beta", 0),
}


@pytest.fixture(params=DIALECTS)
def dialect(request: pytest.FixtureRequest) -> Dialect:
    return DIALECTS[request.param]


@pytest.fixture(scope="module")
def server() -> Iterator[Mock]:
    with open_mock() as mock:
        yield mock


@pytest.fixture
def mock(server: Mock) -> Mock:
    """The server as if nothing had been before."""
    server.reset()
    return server


async def read(client: Client, **how: Any) -> Generation:
    async with client.stream(PROMPT, **how) as stream:
        return await stream.wait_response()


ERRORS = {
    408: ServerError,
    429: RateLimited,
    500: ServerError,
    503: Overloaded,
    504: ServerError,
    529: Overloaded,
}


@pytest.mark.parametrize(("status", "kind"), ERRORS.items())
async def test_each_status_is_one_error_with_its_wait(
    mock: Mock, dialect: Dialect, status: int, kind: type[LLMError]
) -> None:
    async with dialect.client(mock) as client:
        for ask in (client.ask, lambda prompt: read(client)):
            mock.expect({"type": "fail", "status": status, "retry_after": 0.25})
            with pytest.raises(LLMError) as caught:
                await ask(PROMPT)
            error = caught.value
            assert (type(error), error.status) == (kind, status)
            assert error.retry_after == 0.25  # the header in whole seconds says 1
            assert error.retryable
            assert error.partial is None


async def test_the_wait_that_a_host_asks_for_is_kept(mock: Mock, dialect: Dialect) -> None:
    mock.expect({"type": "fail", "status": 429, "retry_after": 0.3, "times": 2})
    async with dialect.client(mock, HURRIED) as client:
        response = await read(client)
    waits = [one for one in response.ledger.events if isinstance(one, WaitStarted)]
    assert [one.why for one in waits] == ["hint", "hint"]
    assert response.ledger.seconds >= 0.6
    assert mock.findings() == []


@pytest.mark.parametrize("kind", ["truncate", "disconnect", "malformed"])
async def test_a_partial_has_all_that_came(mock: Mock, dialect: Dialect, kind: str) -> None:
    words = WHOLE.split()
    async with dialect.client(mock) as client:
        for after in range(len(words)):
            mock.fault(kind, dialect.before + after)
            with pytest.raises((StreamInterrupted, ProtocolError)) as caught:
                await read(client)
            assert type(caught.value) is (
                ProtocolError if kind == "malformed" else StreamInterrupted
            )
            assert caught.value.retryable
            partial = caught.value.partial
            assert (partial.text.split() if partial else []) == words[:after]
            assert partial is None or partial.finish is None


async def test_a_stream_that_falls_silent_is_left_and_asked_for_again(
    mock: Mock, dialect: Dialect
) -> None:
    limit = Timeout(idle=1.0, stream=True)
    mock.fault("stall", dialect.before + 3, stall_seconds=60)
    async with dialect.client(mock, limit) as client:
        with pytest.raises(DeadlineExceeded) as caught:
            await client.ask(PROMPT)
    assert caught.value.limit == "idle"
    mock.fault("stall", dialect.before + 3, stall_seconds=60)
    async with dialect.client(mock, HURRIED, limit) as client:
        assert (await client.ask(PROMPT)).text == WHOLE
    assert mock.findings() == []


async def test_one_call_survives_one_of_each(mock: Mock, dialect: Dialect) -> None:
    mock.expect(
        {"type": "fail", "status": 429, "retry_after": 0.1},
        {"type": "fail", "status": 529, "retry_after": 0.05},
        {"type": "fail", "status": 500},
        {"type": "stream_fault", "kind": "truncate", "after_chunks": 3},
        {"type": "stream_fault", "kind": "malformed", "after_chunks": 4},
        {"type": "stream_fault", "kind": "disconnect", "after_chunks": 5},
    )
    async with dialect.client(mock, Attempts(Retry(6, base=0.02))) as client:
        response = await read(client, on_interrupt="restart")
    assert response.text == WHOLE
    ended = [one.outcome for one in response.ledger.events if isinstance(one, AttemptEnded)]
    assert ended == [
        *("RateLimited", "Overloaded", "ServerError"),
        *("StreamInterrupted", "ProtocolError", "StreamInterrupted", "ok"),
    ]
    assert len(mock.requests()) == 7


async def test_calls_that_are_broken_are_told_as_they_came(mock: Mock, dialect: Dialect) -> None:
    tool = {"name": "look", "description": "Look.", "parameters": {"type": "object"}}
    mock.expect({"type": "tool_fault", "kind": "malformed_arguments", "times": 2})
    async with dialect.client(mock) as client:
        for ask in (client.ask, lambda prompt, **how: read(client, **how)):
            response = await ask(PROMPT, tools=[tool])
            assert response.finish_reason == "tool_call"
            (call,) = response.tool_calls
            assert call.arguments in {"{", "{}"}  # not all dialects can write what is no JSON
            # The call goes back, with what the caller says of it.
            await client.ask([PROMPT, response, call.result(error="no JSON")], tools=[tool])


@pytest.fixture
def limited() -> Iterator[Mock]:
    """Takes 6 requests at once, then one in ten seconds, and says how many are left."""
    with open_mock(LLMOCK_RPM="6") as mock:
        yield mock


async def test_what_a_host_has_left_reaches_the_limiter(limited: Mock, dialect: Dialect) -> None:
    """Another program has spent most of the account: ours learns so before it is refused."""
    async with dialect.client(limited) as other:
        left = [(await other.ask(PROMPT)).http.rate["requests_remaining"] for _ in range(3)]
    assert left[0] == 5
    limit = RateLimit(requests=6, burst=60)
    async with dialect.client(limited, limit) as client:
        with pytest.raises(CallShed) as caught:
            for _ in range(6):
                with trio.fail_after(2):  # no time to wait for another
                    await client.ask(PROMPT)
    assert 2 < caught.value.retry_after <= 10
    told = [one["status"] for one in limited.requests()]
    assert told == [200] * len(told)
    assert 4 < len(told) < 9
    assert limited.findings() == []


async def test_who_was_refused_lets_nobody_else_ask(limited: Mock, dialect: Dialect) -> None:
    limited.expect({"type": "fail", "status": 429, "retry_after": 30})
    async with dialect.client(limited, RateLimit(requests=6, burst=60)) as client:
        with pytest.raises(RateLimited) as caught:
            await client.ask(PROMPT)
        with pytest.raises(CallShed), trio.fail_after(2):
            await client.ask(PROMPT)
    assert caught.value.retry_after == 30
    assert len(limited.requests()) == 1
