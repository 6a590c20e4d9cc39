"""Batches of a server that somebody else wrote, as OpenAI and Anthropic have them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from llmmw import BatchApi, Client

from .servers import open_peer

pytestmark = pytest.mark.plugins

HOSTS = {
    "openai": ("openai:gpt-4o-mini", "/v1"),
    "anthropic": ("anthropic:claude-haiku-4-5", "/anthropic"),
}
PROMPTS = [f"question number {n}" for n in range(12)]


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    with open_peer("llmock_batches_server.py", LLMOCK_RESPONSE_STYLE="echo") as url:
        yield url


@pytest.mark.parametrize("host", list(HOSTS))
async def test_a_map_goes_by_batch_and_a_later_run_asks_nothing(
    host: str, url: str, tmp_path: Path
) -> None:
    target, path = HOSTS[host]
    options = {host: {"base_url": url + path, "api_key": "sk-nobody-0000"}}

    async def run() -> tuple[list[str], dict[str, int]]:
        layer = BatchApi(tmp_path / "night.db", max_wait=0.05, poll=0.1, least_time=0)
        async with (
            Client(target, stack=[layer], options=options) as client,
            client.map(PROMPTS, concurrency=20) as items,
        ):
            texts = [item.response.text async for item in items]
        return texts, layer.statistics()

    texts, counts = await run()
    assert texts == [f"Hello! You said: {prompt}" for prompt in PROMPTS]
    assert (counts["asked"], counts["sent"], counts["live"]) == (12, 1, 0)
    again, counts = await run()
    assert again == texts
    assert (counts["known"], counts["sent"]) == (12, 0)
    with httpx.Client(base_url=f"{url}/_llmock", trust_env=False, verify=False) as panel:
        asked = [row["path"] for row in panel.get("/requests").json()["requests"]]
    assert not [one for one in asked if one.endswith(("/completions", "/messages"))]


async def test_the_verbs_show_what_there_is(url: str) -> None:
    options = {"openai": {"base_url": f"{url}/v1", "api_key": "sk-nobody-0000"}}
    async with Client("openai:gpt-4o-mini", stack=[], options=options) as client:
        sent = await client.batches.create(["Hello"], metadata={"of": "us"})
        assert sent.status == "validating"
        # Others may be there, as young as this one: the server counts whole seconds.
        listed = {batch.id: batch.metadata for batch in await client.batches.list()}
        assert listed[sent.id] == {"of": "us"}
        assert (await client.batches.cancel(sent.id)).status == "cancelled"
        file = await client.files.upload(b"{}\n", name="x.jsonl")
        assert await client.files.content(file.id) == b"{}\n"
        await client.files.delete(file.id)
