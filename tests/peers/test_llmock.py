"""A server that fails as it is told: what the provider makes of each failure, and what the policies
do about it. The server judges its clients, and its verdict on this one is asserted too."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Any

import attrs
import httpx
import pytest
import trio

from llmmw import Attempts, Client, Generation, Middleware, Retry, Timeout
from llmmw._ledger import AttemptEnded, WaitStarted
from llmmw.errors import (
    AuthenticationFailed,
    BadRequest,
    ContextWindowExceeded,
    DeadlineExceeded,
    LLMError,
    NotFound,
    Overloaded,
    PermissionDenied,
    ProtocolError,
    QuotaExhausted,
    RateLimited,
    ServerError,
    StreamInterrupted,
)
from llmmw.policies.attempts import Budget

from .servers import open_peer

pytestmark = pytest.mark.plugins

PROMPT = "one two three four five six"
WHOLE = f"Hello! You said: {PROMPT}"
WORDS = len(WHOLE.split())
HURRIED = Attempts(Retry(3, base=0.02))
"""Waits little where the server names no wait."""


@attrs.frozen
class Mock:
    """A running server, and its control panel."""

    url: str
    panel: httpx.Client

    def expect(self, *behaviors: dict[str, Any]) -> None:
        """Let the next requests meet this, one after another."""
        told = self.panel.post("/scenario", json={"behaviors": behaviors})
        assert told.status_code == 201, told.text

    def fault(self, kind: str, after: int = 3, **more: Any) -> None:
        """Let the next stream break after so many events."""
        self.expect({"type": "stream_fault", "kind": kind, "after_chunks": after, **more})

    def requests(self) -> list[dict[str, Any]]:
        """What it was asked since the test began."""
        return self.panel.get("/requests").json()["requests"]

    def findings(self) -> list[str]:
        """What it finds wrong with its client, but for how little time passes between attempts
        of tests in a hurry, where it asks for none."""
        told = self.panel.get("/verdict").json()
        return [one["code"] for one in told["findings"] if one["code"] != "no_backoff"]

    def reset(self) -> None:
        """Forget the requests so far, and what the next ones would meet."""
        self.panel.post("/reset").raise_for_status()


@contextmanager
def open_mock(**settings: str) -> Iterator[Mock]:
    with open_peer("llmock_server.py", LLMOCK_RESPONSE_STYLE="echo", **settings) as url:
        with httpx.Client(base_url=f"{url}/_llmock", trust_env=False, verify=False) as panel:
            yield Mock(url, panel)


@pytest.fixture(scope="module")
def server() -> Iterator[Mock]:
    with open_mock(LLMOCK_CONTEXT_WINDOW="100") as mock:
        yield mock


@pytest.fixture
def mock(server: Mock) -> Mock:
    """The server as if nothing had been before."""
    server.reset()
    return server


@asynccontextmanager
async def open_client(
    mock: Mock, *stack: Middleware, host: str = "openai", path: str = "/v1"
) -> AsyncIterator[Client]:
    options = {host: {"base_url": mock.url + path, "api_key": "sk-nobody-0000"}}
    async with Client(f"{host}:gpt-4o-mini", stack=stack, options=options) as client:
        yield client


async def read(client: Client, **how: Any) -> Generation:
    async with client.stream(PROMPT, **how) as stream:
        return await stream.wait_response()


async def test_it_answers(mock: Mock) -> None:
    async with open_client(mock) as client:
        whole = await client.ask(PROMPT)
        streamed = await read(client)
        several = await read(client, n=2)
    for one in (whole, streamed):
        assert one.text == WHOLE
        assert one.finish_reason == "stop"
        assert one.usage.input_tokens == len(PROMPT) // 4
        assert one.usage.output_tokens == len(WHOLE) // 4
    assert [candidate.message.text for candidate in several.candidates] == [WHOLE, WHOLE]
    assert mock.findings() == []


HOSTS = {
    "groq": "/groq/openai/v1",
    "mistral": "/mistral/v1",
    "perplexity": "/perplexity/v1",
    "together": "/together/v1",
    "xai": "/xai/v1",
}


@pytest.mark.parametrize(("host", "path"), HOSTS.items())
async def test_hosts_in_their_own_dialects(mock: Mock, host: str, path: str) -> None:
    async with open_client(mock, host=host, path=path) as client:
        whole, streamed = await client.ask(PROMPT), await read(client)
        mock.expect({"type": "fail", "status": 429, "retry_after": 0.75})
        with pytest.raises(RateLimited) as caught:
            await client.ask(PROMPT)
        mock.fault("truncate")
        with pytest.raises(StreamInterrupted):
            await read(client)
    assert whole.text == streamed.text == WHOLE
    assert (caught.value.retry_after, caught.value.provider) == (0.75, host)


async def test_a_tool_is_called(mock: Mock) -> None:
    tool = {"name": "look", "description": "Look somewhere.", "parameters": {"type": "object"}}
    call = {"name": "look", "arguments": {"where": 'behind the "door"', "far": True}}
    mock.expect({"type": "reply", "tool_calls": [call], "times": 2})
    async with open_client(mock) as client:
        answers = [await client.ask(PROMPT, tools=[tool]), await read(client, tools=[tool])]
        mock.expect({"type": "reply", "tool_calls": [call]})
        mock.fault("disconnect")
        with pytest.raises(StreamInterrupted) as caught:
            await read(client, tools=[tool])
    for answer in answers:
        assert answer.finish_reason == "tool_call"
        assert [one.name for one in answer.tool_calls] == ["look"]
        assert json.loads(answer.tool_calls[0].arguments) == call["arguments"]
    assert caught.value.partial.finish is None


async def test_vectors(mock: Mock) -> None:
    async with open_client(mock) as client:
        response = await client.embed(["a", "b"], model="openai:text-embedding-3-small")
        again = await client.embed("b", model="openai:text-embedding-3-small")
    assert len(response.vectors) == 2
    assert response.vectors[1] == again.vectors[0] != response.vectors[0]


ERRORS = {
    400: BadRequest,
    401: AuthenticationFailed,
    402: QuotaExhausted,
    403: PermissionDenied,
    404: NotFound,
    408: ServerError,
    409: ServerError,
    413: ContextWindowExceeded,
    422: BadRequest,
    429: RateLimited,
    500: ServerError,
    502: ServerError,
    503: Overloaded,
    504: ServerError,
    529: Overloaded,
}


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize(("status", "kind"), ERRORS.items())
async def test_each_status_is_one_error_and_retried_where_that_may_help(
    mock: Mock, status: int, kind: type[LLMError], stream: bool
) -> None:
    may_pass = kind in {RateLimited, ServerError, Overloaded}
    fail = {"type": "fail", "status": status, "retry_after": 0.05}
    async with open_client(mock, HURRIED) as client:
        mock.expect(fail)
        if may_pass:
            response = await (read(client) if stream else client.ask(PROMPT))
            assert response.text == WHOLE
            ended = [one for one in response.ledger.events if isinstance(one, AttemptEnded)]
            assert [one.outcome for one in ended] == [kind.__name__, "ok"]
        else:
            with pytest.raises(LLMError) as caught:
                await (read(client) if stream else client.ask(PROMPT))
            assert type(caught.value) is kind
            assert caught.value.status == status
            assert caught.value.message
    assert len(mock.requests()) == 1 + may_pass
    assert mock.findings() == []


async def test_the_wait_that_a_host_asks_for_is_kept(mock: Mock) -> None:
    refuse = {"type": "fail", "status": 429, "retry_after": 0.3}
    mock.expect(refuse)
    async with open_client(mock) as client:
        with pytest.raises(RateLimited) as caught:
            await client.ask(PROMPT)
    assert caught.value.retry_after == 0.3  # the header in whole seconds says 1
    assert caught.value.code == "rate_limit_exceeded"
    assert mock.findings() == ["gave_up"]  # so it looks
    mock.reset()
    mock.expect(refuse | {"times": 2})
    async with open_client(mock, HURRIED) as client:
        response = await client.ask(PROMPT)
    waits = [one for one in response.ledger.events if isinstance(one, WaitStarted)]
    assert [one.why for one in waits] == ["hint", "hint"]
    assert response.ledger.seconds >= 0.6
    assert mock.findings() == []


async def test_a_prompt_that_is_too_long_is_told_as_that(mock: Mock) -> None:
    async with open_client(mock, HURRIED) as client:
        with pytest.raises(ContextWindowExceeded, match="100 tokens"):
            await client.ask("word " * 100)
    assert len(mock.requests()) == 1


@pytest.mark.parametrize("kind", ["truncate", "disconnect"])
async def test_a_stream_that_ends_early_is_never_a_success(mock: Mock, kind: str) -> None:
    # Events: the role, the words, the reason of the end, the usage, and the mark of the end.
    told = ["", *(" ".join(WHOLE.split()[:count]) for count in range(WORDS + 1))]
    async with open_client(mock) as client:
        for after in range(WORDS + 2):
            mock.fault(kind, after)
            with pytest.raises(StreamInterrupted) as caught:
                await read(client)
            partial = caught.value.partial
            assert (partial.text.strip() if partial else "") == told[after]
            assert partial is None or partial.finish is None
        mock.fault("truncate", WORDS + 2)  # all candidates had told why they end
        assert (await read(client)).text == WHOLE


async def test_an_event_that_is_none_is_an_error(mock: Mock) -> None:
    async with open_client(mock) as client:
        for after in range(WORDS + 3):
            mock.fault("malformed", after)
            with pytest.raises(ProtocolError) as caught:
                await read(client)
            assert caught.value.retryable


@pytest.mark.parametrize("kind", ["truncate", "disconnect", "malformed"])
async def test_a_broken_stream_is_asked_for_again(mock: Mock, kind: str) -> None:
    mock.fault(kind, times=2)
    async with open_client(mock, HURRIED) as client:
        restarted = await read(client, on_interrupt="restart")
        mock.fault(kind, after=1)  # nobody had heard of this one
        untold = await read(client)
        assert len(mock.requests()) == 5
        # What the line still holds is sent to nobody, and the server can't see that.
        assert set(mock.findings()) <= {"malformed_chunk_ignored"}
        mock.fault(kind)
        with pytest.raises((StreamInterrupted, ProtocolError)) as caught:
            await read(client)
    assert restarted.text == untold.text == WHOLE
    assert caught.value.partial.text == "Hello! You "
    assert len(mock.requests()) == 6  # a reader who has heard a part is told, not asked again


async def test_a_stream_that_falls_silent_is_left_and_asked_for_again(mock: Mock) -> None:
    mock.fault("stall", stall_seconds=60)
    limit = Timeout(idle=1.0, stream=True)
    async with open_client(mock, limit) as client:
        with pytest.raises(DeadlineExceeded) as caught:
            await client.ask(PROMPT)
    assert (caught.value.limit, caught.value.after) == ("idle", 1.0)
    mock.fault("stall", stall_seconds=60)
    async with open_client(mock, HURRIED, limit) as client:
        assert (await client.ask(PROMPT)).text == WHOLE
    assert mock.findings() == []


@pytest.mark.parametrize(
    ("behavior", "limit"),
    [("slow_first_token", "first_token"), ("delay", "total")],
)
async def test_an_answer_that_is_late_is_left_and_asked_for_again(
    mock: Mock, behavior: str, limit: str
) -> None:
    mock.expect({"type": behavior, "seconds": 60})
    async with open_client(mock, HURRIED, Timeout(**{limit: 1.5})) as client:
        response = await read(client)
    assert response.text == WHOLE
    ended = [one for one in response.ledger.events if isinstance(one, AttemptEnded)]
    assert [one.outcome for one in ended] == ["DeadlineExceeded", "ok"]


async def test_one_call_survives_one_of_each(mock: Mock) -> None:
    mock.expect(
        {"type": "fail", "status": 429, "retry_after": 0.1},
        {"type": "fail", "status": 503, "retry_after": 0.05},
        {"type": "fail", "status": 500},
        {"type": "stream_fault", "kind": "truncate", "after_chunks": 3},
        {"type": "stream_fault", "kind": "stall", "after_chunks": 2, "stall_seconds": 60},
        {"type": "stream_fault", "kind": "disconnect", "after_chunks": 5},
    )
    attempts = Attempts(Retry(6, base=0.02))
    async with open_client(mock, attempts, Timeout(idle=1.0, stream=True)) as client:
        assert (await client.ask(PROMPT)).text == WHOLE
    assert len(mock.requests()) == 7
    assert mock.findings() == []


@pytest.fixture
def unlucky() -> Iterator[Mock]:
    """Breaks every second stream, at random."""
    faults = {f"LLMOCK_STREAM_FAULT_{kind}": "0.25" for kind in ("TRUNCATE", "DISCONNECT")}
    with open_mock(**faults) as mock:
        yield mock


async def test_at_even_chances_every_answer_is_whole(unlucky: Mock) -> None:
    # A call fails with chance 1/2^41; of thirty calls one, with less than 1.5e-11.
    retries = Attempts(Retry(40, base=0.001, cap=0.001), budget=Budget(cap=2000.0), max_attempts=41)
    answers: list[Generation] = []

    async def call(client: Client) -> None:
        answers.append(await read(client, on_interrupt="restart"))

    async with open_client(unlucky, retries) as client:
        async with trio.open_nursery() as nursery:
            for _ in range(30):
                nursery.start_soon(call, client)
    assert [answer.text for answer in answers] == [WHOLE] * 30
    told = unlucky.requests()
    assert sum(one["fault"] is None for one in told) == 30
    assert len(told) > 30  # with no fault at all, that is a chance of 1/2^30


@pytest.fixture
def limited() -> Iterator[Mock]:
    """Takes 60 requests at once, then one a second."""
    with open_mock(LLMOCK_RPM="60") as mock:
        yield mock


async def test_a_true_limit_is_waited_for(limited: Mock) -> None:
    async with open_client(limited, HURRIED) as client:
        async with client.map([PROMPT] * 60, concurrency=16) as items:
            answers = [item.response async for item in items]
        left = [answer.http.rate["requests_remaining"] for answer in answers]
        assert max(left) == 59
        assert answers[0].http.rate["requests_limit"] == 60
        while True:  # what came back to the account in the meantime is spent
            last = await client.ask(PROMPT)
            waits = [one for one in last.ledger.events if isinstance(one, WaitStarted)]
            if waits:
                break
    assert [one.why for one in waits] == ["hint"]
    assert 0 < waits[0].until - waits[0].time <= 1
    refused = [one for one in limited.requests() if one["status"] == 429]
    assert len(refused) == 1
    assert limited.findings() == []
