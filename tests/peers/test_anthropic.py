"""Anthropic's wire as others speak it: a server that fails as it is told, and a real model behind
llama.cpp's own server."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from llmmw import Client, Generation, Message, Middleware, Timeout, ToolResultPart
from llmmw.errors import (
    AuthenticationFailed,
    ContextWindowExceeded,
    LLMError,
    NotFound,
    Overloaded,
    PermissionDenied,
    QuotaExhausted,
    RateLimited,
    ServerError,
    StreamInterrupted,
)

from .servers import open_peer
from .test_llmock import HURRIED, PROMPT, WHOLE, Mock, open_mock
from .test_local_server import CONTEXT, KEY, SLOTS, model_file

pytestmark = pytest.mark.plugins


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
async def open_client(mock: Mock, *stack: Middleware) -> AsyncIterator[Client]:
    options = {"anthropic": {"base_url": f"{mock.url}/anthropic", "api_key": "sk-nobody-0000"}}
    async with Client("anthropic:claude-sonnet-4-6", stack=stack, options=options) as client:
        yield client


async def read(client: Client, prompt: object = PROMPT, **how: Any) -> Generation:
    async with client.stream(prompt, **how) as stream:
        return await stream.wait_response()


async def test_it_answers(mock: Mock) -> None:
    async with open_client(mock) as client:
        answers = [
            await client.ask(PROMPT, max_output_tokens=100),
            await client.ask(PROMPT),  # its limit is the model's, so that it is streamed
            await read(client),
        ]
    for one in answers:
        assert (one.text, one.finish_reason, one.finish.raw) == (WHOLE, "stop", "end_turn")
        assert one.usage.output_tokens == len(WHOLE) // 4
        assert one.model == "claude-sonnet-4-6"
    assert mock.findings() == []


async def test_a_tool_is_called_and_its_result_goes_back(mock: Mock) -> None:
    tool = {"name": "look", "description": "Look somewhere.", "parameters": {"type": "object"}}
    calls = [{"name": "look", "arguments": {"where": 'the "door"', "n": n}} for n in range(2)]
    mock.expect({"type": "reply", "tool_calls": calls, "times": 2})
    async with open_client(mock) as client:
        whole = await client.ask(PROMPT, tools=[tool], max_output_tokens=100)
        streamed = await read(client, tools=[tool])
        for one in (whole, streamed):
            assert one.finish_reason == "tool_call"
            assert [c.parse() for c in one.tool_calls] == [c["arguments"] for c in calls]
        results = [ToolResultPart(call_id=c.id, content="done") for c in streamed.tool_calls]
        talk = [PROMPT, streamed, Message("tool", results)]
        await client.ask(talk, tools=[tool])
    sent = mock.requests()[-1]["body"]["messages"]
    ids = [call.id for call in streamed.tool_calls]
    assert [block["id"] for block in sent[1]["content"]] == ids
    assert [block["tool_use_id"] for block in sent[2]["content"]] == ids
    assert mock.findings() == []


ERRORS = {
    401: AuthenticationFailed,
    402: QuotaExhausted,
    403: PermissionDenied,
    404: NotFound,
    413: ContextWindowExceeded,
    429: RateLimited,
    500: ServerError,
    504: ServerError,
    529: Overloaded,
}


@pytest.mark.parametrize(("status", "kind"), ERRORS.items())
async def test_each_status_is_one_error(mock: Mock, status: int, kind: type[LLMError]) -> None:
    async with open_client(mock) as client:
        for ask in (client.ask, lambda prompt: read(client, prompt)):
            mock.expect({"type": "fail", "status": status, "retry_after": 0.05})
            with pytest.raises(LLMError) as caught:
                await ask(PROMPT)
            assert type(caught.value) is kind
            assert (caught.value.status, caught.value.provider) == (status, "anthropic")


async def test_a_prompt_that_is_too_long_is_told_as_that(mock: Mock) -> None:
    async with open_client(mock, HURRIED) as client:
        with pytest.raises(ContextWindowExceeded, match="100 maximum"):
            await client.ask("word " * 400)
    assert len(mock.requests()) == 1


@pytest.mark.parametrize("kind", ["truncate", "disconnect"])
async def test_a_stream_that_ends_early_is_never_a_success(mock: Mock, kind: str) -> None:
    # All events but the last; pings count too.
    events = 6 + len(WHOLE.split())
    async with open_client(mock) as client:
        for after in range(events):
            mock.fault(kind, after)
            with pytest.raises(StreamInterrupted) as caught:
                await read(client)
            partial = caught.value.partial
            assert partial is None or (WHOLE.startswith(partial.text) and partial.finish is None)


# A real model.

SAME = {"temperature": 0}


@pytest.fixture(scope="module")
def local() -> Iterator[str]:
    """The address of llama.cpp's server."""
    path = model_file()
    if path.startswith("the model"):
        pytest.skip(path)
    # Threads that wait by spinning are slow where cores are shared; OpenMP reads this as it loads.
    with open_peer("llama_server.py", path, KEY, SLOTS, CONTEXT, GOMP_SPINCOUNT="1000") as url:
        yield url


@asynccontextmanager
async def open_local(url: str, **options: Any) -> AsyncIterator[Client]:
    given = {"base_url": url, "api_key": KEY} | options
    stack = [Timeout(total=60)]
    async with Client("anthropic:smollm2", stack=stack, options={"anthropic": given}) as client:
        yield client


async def test_a_real_answer_is_the_same_whole_and_in_pieces(local: str) -> None:
    async with open_local(local) as client:
        whole = await client.ask("What is 2+2?", max_output_tokens=20, **SAME)
        streamed = await read(client, "What is 2+2?", max_output_tokens=20, **SAME)
    assert "4" in whole.text
    assert streamed.text == whole.text
    for one in (whole, streamed):
        assert one.finish_reason == "stop"
        assert one.usage.input_tokens > 5
        assert one.usage.output_tokens > 1
        assert not one.warnings


async def test_a_real_limit_and_a_real_conversation(local: str) -> None:
    async with open_local(local) as client:
        short = await client.ask("Hello", max_output_tokens=1, **SAME)
        talk = [("user", "My name is Ida."), ("assistant", "Hello Ida."), ("user", "Who am I?")]
        long = await client.ask(talk, system="Be brief.", max_output_tokens=3, **SAME)
    assert long.usage.input_tokens > short.usage.input_tokens
    assert (long.finish_reason, long.usage.output_tokens) == ("length", 3)


async def test_a_real_count_is_that_of_the_answer(local: str) -> None:
    async with open_local(local) as client:
        counted = await client.count_tokens("What is 2+2?", system="Be brief.")
        asked = await client.ask("What is 2+2?", system="Be brief.", max_output_tokens=1, **SAME)
    assert counted.tokens == asked.usage.input_tokens


async def test_real_refusals(local: str) -> None:
    async with open_local(local, api_key="wrong-key-0000") as client:
        with pytest.raises(AuthenticationFailed):
            await client.ask("hi", max_output_tokens=1)
    async with open_local(local) as client:
        with pytest.raises(ContextWindowExceeded):
            await client.ask("word " * 2 * CONTEXT, max_output_tokens=1)
