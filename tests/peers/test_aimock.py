"""A server that speaks as Azure, Bedrock, Cohere and Ollama do, by an author who is not ours. It
runs on Node, which Python can't install; without it these tests are skipped and say why."""

from __future__ import annotations

import os
import shutil
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any

import attrs
import httpx
import pytest

from llmmw import Client, Generation, Message
from llmmw.errors import (
    AuthenticationFailed,
    ConnectionFailed,
    LLMError,
    NotFound,
    Overloaded,
    PermissionDenied,
    RateLimited,
    ServerError,
    StreamInterrupted,
)

from .servers import open_peer

pytestmark = pytest.mark.plugins

KEY = "sk-nobody-0000000000"
WHOLE = "The quick brown fox jumps over it."
PROMPT = "Tell me of the fox."


@attrs.frozen
class Host:
    """A host that the server can play."""

    provider: str
    path: str = ""
    options: dict[str, Any] = attrs.field(factory=dict)
    otherwise: frozenset[str] = frozenset()
    """What the server does otherwise than the host, or not at all."""


HOSTS = {
    "azure": Host("azure", "/openai/v1"),
    "azure, by deployments": Host("azure", "/openai", {"api_version": "2024-10-21"}),
    "bedrock": Host(
        "bedrock", options={"region": "us-east-1"}, otherwise=frozenset({"embeddings"})
    ),
    "cohere": Host("cohere", otherwise=frozenset({"reasoning"})),  # it is sent as text
    "ollama": Host("ollama", otherwise=frozenset({"embeddings", "limits", "reasoning", "usage"})),
}


def hosts_with(what: str) -> pytest.MarkDecorator:
    """Run a test with the hosts whose way of this the server has."""
    told = [name for name, host in HOSTS.items() if what not in host.otherwise]
    return pytest.mark.parametrize("host", told, indirect=True)


def why_not() -> str:
    """Why the server can't run here; empty if it can."""
    if shutil.which("node") is None:
        return "Node is not installed"
    folder = os.environ.get("LLMMW_AIMOCK", "")
    if not Path(folder, "node_modules/@copilotkit/aimock").is_dir() or not folder:
        return (
            "aimock is not installed: copy tests/peers/package.json into a folder, run "
            "`npm install` in it, and name it in LLMMW_AIMOCK"
        )
    return ""


@attrs.frozen
class Mock:
    """A running server, and its control panel."""

    url: str
    panel: httpx.Client

    def answer(self, response: dict[str, Any], match: dict[str, Any] | None = None, **how) -> None:
        """Let requests that match have this answer."""
        rows = [{"match": match or {"userMessage": PROMPT}, "response": response, **how}]
        self.panel.post("/fixtures", json={"fixtures": rows}).raise_for_status()

    def fail(self, status: int) -> None:
        """Let the next request fail."""
        body = {"message": "so it is", "type": "told", "code": "told"}
        self.panel.post("/error", json={"status": status, "body": body}).raise_for_status()

    def heard(self) -> list[dict[str, Any]]:
        """What it was asked, as the server has understood it."""
        return [one["body"] for one in self.panel.get("/journal").json()]

    def reset(self) -> None:
        """Forget what was asked and what is to be answered."""
        self.panel.post("/reset").raise_for_status()


@contextmanager
def running() -> Iterator[Mock]:
    """The server, where it can run; else the tests are skipped."""
    if reason := why_not():
        pytest.skip(reason)
    with open_peer("aimock_server.mjs") as url:
        with httpx.Client(base_url=f"{url}/__aimock", trust_env=False, verify=False) as panel:
            yield Mock(url, panel)


@pytest.fixture(scope="module")
def server() -> Iterator[Mock]:
    with running() as mock:
        yield mock


@pytest.fixture
def mock(server: Mock) -> Mock:
    """The server as if nothing had been before."""
    server.reset()
    return server


@pytest.fixture(params=HOSTS)
def host(request: pytest.FixtureRequest) -> Host:
    return HOSTS[request.param]


@asynccontextmanager
async def open_client(mock: Mock, host: Host) -> AsyncIterator[Client]:
    options = {"base_url": mock.url + host.path, "api_key": KEY, **host.options}
    target = f"{host.provider}:some-model"
    async with Client(target, stack=[], options={host.provider: options}) as client:
        yield client


async def read(client: Client, prompt: object = PROMPT, **how: Any) -> Generation:
    async with client.stream(prompt, **how) as stream:
        return await stream.wait_response()


USAGE = {"prompt_tokens": 11, "completion_tokens": 7, "total_tokens": 18}
TOOL = {
    "name": "look",
    "description": "Look somewhere.",
    "parameters": {"type": "object", "properties": {"where": {"type": "string"}}},
}


async def test_an_answer_is_the_same_whole_and_in_pieces(mock: Mock, host: Host) -> None:
    mock.answer({"content": WHOLE})
    async with open_client(mock, host) as client:
        answers = [
            await client.ask(PROMPT, system="Be brief.", max_output_tokens=50),
            await read(client, system="Be brief.", max_output_tokens=50),
        ]
    for one in answers:
        assert (one.text, one.finish_reason, one.provider) == (WHOLE, "stop", host.provider)
        assert not one.warnings
    for body in mock.heard():
        assert [one["role"] for one in body["messages"]] == ["system", "user"]


@hosts_with("usage")
async def test_tokens_are_counted(mock: Mock, host: Host) -> None:
    mock.answer({"content": WHOLE, "usage": USAGE})
    async with open_client(mock, host) as client:
        answers = [await client.ask(PROMPT), await read(client)]
    for one in answers:
        assert (one.usage.input_tokens, one.usage.output_tokens) == (11, 7)


async def test_a_tool_is_called_and_its_result_goes_back(mock: Mock, host: Host) -> None:
    calls = [{"name": "look", "arguments": {"where": 'the "door"', "n": n}} for n in range(2)]
    mock.answer({"toolCalls": calls}, {"userMessage": PROMPT, "hasToolResult": False})
    mock.answer({"content": WHOLE}, {"userMessage": PROMPT, "hasToolResult": True})
    async with open_client(mock, host) as client:
        whole = await client.ask(PROMPT, tools=[TOOL])
        streamed = await read(client, tools=[TOOL])
        for one in (whole, streamed):
            assert one.finish_reason == "tool_call"
            assert [call.name for call in one.tool_calls] == ["look", "look"]
            assert [call.parse() for call in one.tool_calls] == [c["arguments"] for c in calls]
        results = [Message("tool", call.result("a door")) for call in streamed.tool_calls]
        last = await client.ask([PROMPT, streamed, *results], tools=[TOOL])
    assert (last.text, last.finish_reason) == (WHOLE, "stop")
    told = mock.heard()[-1]["messages"]
    assert [one["role"] for one in told] == ["user", "assistant", "tool", "tool"]
    assert [one["content"] for one in told[2:]] == ["a door"] * 2
    sent = [call["function"] for call in told[1]["tool_calls"]]
    assert [one["name"] for one in sent] == ["look", "look"]


@hosts_with("reasoning")
async def test_text_and_reasoning_keep_their_places(mock: Mock, host: Host) -> None:
    mock.answer({"content": WHOLE, "reasoning": "A fox is quick."})
    async with open_client(mock, host) as client:
        answers = [await client.ask(PROMPT), await read(client)]
    for one in answers:
        assert (one.reasoning, one.text) == ("A fox is quick.", WHOLE)


@hosts_with("limits")
async def test_a_limit_ends_an_answer(mock: Mock, host: Host) -> None:
    mock.answer({"content": WHOLE, "finishReason": "length"})
    async with open_client(mock, host) as client:
        answers = [await client.ask(PROMPT), await read(client)]
    assert [one.finish_reason for one in answers] == ["length", "length"]


ERRORS = {
    401: AuthenticationFailed,
    403: PermissionDenied,
    404: NotFound,
    429: RateLimited,
    500: ServerError,
    503: Overloaded,
}


@pytest.mark.parametrize(("status", "kind"), ERRORS.items())
async def test_each_status_is_one_error(
    mock: Mock, host: Host, status: int, kind: type[LLMError]
) -> None:
    mock.answer({"content": WHOLE})
    async with open_client(mock, host) as client:
        for ask in (client.ask, lambda prompt: read(client, prompt)):
            mock.fail(status)
            with pytest.raises(LLMError, match="so it is") as caught:
                await ask(PROMPT)
            assert type(caught.value) is kind
            assert (caught.value.status, caught.value.provider) == (status, host.provider)
        assert (await client.ask(PROMPT)).text == WHOLE


async def test_a_stream_that_is_cut_is_never_a_success(mock: Mock, host: Host) -> None:
    async with open_client(mock, host) as client:
        for pieces in range(1, 6):
            mock.reset()
            mock.answer({"content": WHOLE}, truncateAfterChunks=pieces, latency=2)
            with pytest.raises((StreamInterrupted, ConnectionFailed)) as caught:
                await read(client)
            partial = caught.value.partial
            assert partial is None or (WHOLE.startswith(partial.text) and partial.finish is None)
    assert isinstance(caught.value, StreamInterrupted)
    assert partial is not None


@hosts_with("embeddings")
async def test_embeddings(mock: Mock, host: Host) -> None:
    mock.answer({"embedding": [0.5, -0.25, 0.125]}, {"inputText": "fox"})
    async with open_client(mock, host) as client:
        told = await client.embed(["a fox", "the fox"])
    assert told.vectors == ((0.5, -0.25, 0.125),) * 2
