"""Models, files, fine-tunes and batches at a server that keeps some, by an author who is not ours:
as Azure and OpenAI have them, and Ollama its models."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager

import pytest
import trio

from llmmw import Client
from llmmw.errors import BadRequest, NotFound

from .test_aimock import HOSTS, PROMPT, Host, Mock, open_client, running

pytestmark = pytest.mark.plugins

ROWS = b'{"messages": [{"role": "user", "content": "Hi"}]}\n' * 20_000
KEEPERS = {"azure": HOSTS["azure"], "openai": Host("openai", "/v1")}


@pytest.fixture(scope="module")
def server() -> Iterator[Mock]:
    with running() as mock:
        yield mock


@pytest.fixture(params=KEEPERS)
def host(request: pytest.FixtureRequest) -> Host:
    return KEEPERS[request.param]


@asynccontextmanager
async def opened(server: Mock, host: Host) -> AsyncIterator[Client]:
    server.reset()
    async with open_client(server, host) as client:
        yield client


@pytest.mark.parametrize("host", [*KEEPERS.values(), HOSTS["ollama"]], ids=lambda one: one.provider)
async def test_models_are_listed(server: Mock, host: Host) -> None:
    async with opened(server, host) as client:
        for name in ("model-a", "model-b"):
            server.answer({"content": "Hi"}, {"model": name})
        told = await client.models.list()
        assert {"model-a", "model-b"} <= {one.id for one in told}
        assert {one.provider for one in told} == {host.provider}


async def test_a_file_goes_there_and_comes_back(server: Mock, host: Host, tmp_path) -> None:
    path = tmp_path / "rows.jsonl"
    path.write_bytes(ROWS)
    heard: list[int] = []
    async with opened(server, host) as client:
        sent = await client.files.upload(
            path, purpose="fine-tune", progress=lambda told: heard.append(told.done)
        )
        assert (sent.name, sent.bytes, sent.purpose) == ("rows.jsonl", len(ROWS), "fine-tune")
        assert heard[-1] >= len(ROWS)
        assert await client.files.get(sent.id) == sent
        assert sent in await client.files.list()
        assert await client.files.download(sent.id, tmp_path / "back") == len(ROWS)
        assert (tmp_path / "back").read_bytes() == ROWS
        await client.files.delete(sent.id)
        with pytest.raises(NotFound):
            await client.files.get(sent.id)


async def test_a_fine_tune_is_begun_followed_and_stopped(server: Mock, host: Host) -> None:
    async with opened(server, host) as client:
        begun = await client.fine_tunes.create("some-model", ROWS, suffix="mine")
        assert (begun.model, begun.ended) == ("some-model", False)
        assert await client.files.content(begun.training_file) == ROWS
        assert begun.id in [one.id for one in await client.fine_tunes.list()]
        events = await client.fine_tunes.events(begun.id)
        assert any("created" in event.message for event in events)
        stopped = await client.fine_tunes.cancel(begun.id)
        assert (stopped.status, stopped.ended, stopped.succeeded) == ("cancelled", True, False)
        with pytest.raises(BadRequest):
            await client.fine_tunes.cancel(begun.id)
        with pytest.raises(NotFound):
            await client.fine_tunes.get("ftjob-nobody")


async def test_a_batch_is_answered(server: Mock, host: Host) -> None:
    async with opened(server, host) as client:
        begun = await client.batches.create({"a": PROMPT, "b": PROMPT})
        assert begun.id in [one.id for one in await client.batches.list()]
        with trio.fail_after(10):
            info = begun
            while not info.ended:  # each look brings it on
                info = await client.batches.get(begun.id)
        assert (info.status, info.total, info.completed, info.failed) == ("completed", 2, 2, 0)
        items = await client.batches.results(begun.id)
        assert {item.id for item in items} == {"a", "b"}
        assert all(item.response is not None and item.response.text for item in items)
        with pytest.raises(BadRequest, match="completed"):
            await client.batches.cancel(begun.id)
