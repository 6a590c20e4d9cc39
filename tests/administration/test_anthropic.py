"""Models, files and message batches at Anthropic's wire, from all three kinds of programs."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import attrs
import pytest

from llmmw import Client
from llmmw.errors import BadRequest, LLMError, NotFound, ProtocolError, UnsupportedFeature
from llmmw.testing import Answer, open_server

from .conftest import JUNK, peak_of
from .faces import FACES, Face, open_face
from .far_end import NOW, Host, Many, anthropic_model, open_host, options_for

pytestmark = pytest.mark.plugins

TARGET = "anthropic:claude-haiku-4-5"
EACH_FACE = pytest.mark.parametrize("kind", FACES)


@asynccontextmanager
async def asking(kind: str, **fields: Any) -> AsyncIterator[tuple[Host, Face]]:
    async with (
        open_host("anthropic", **fields) as host,
        open_face(kind, TARGET, host.url) as face,
    ):
        yield host, face


@asynccontextmanager
async def client_of(host: Host, **options: Any) -> AsyncIterator[Client]:
    given = options_for(host.url)
    given["anthropic"] |= options
    async with Client(TARGET, stack=[], options=given) as client:
        yield client


@EACH_FACE
async def test_models(kind: str) -> None:
    async with asking(kind) as (host, face):
        listed = await face.rows(lambda client: client.models.list())
        assert [one.id for one in listed] == ["small", "middle", "large"]
        found = await face.ask(lambda client: client.models.get("small"))
        assert found == listed[0]
        assert (found.provider, found.name, found.created) == ("anthropic", "Small", NOW)
        assert (found.input_limit, found.output_limit) == (200_000, 64_000)
        assert found.raw == host.models["small"]
        with pytest.raises(NotFound, match="'none' does not exist"):
            await face.ask(lambda client: client.models.get("none"))
        with pytest.raises(UnsupportedFeature, match=r"anthropic has no models\.delete"):
            await face.ask(lambda client: client.models.delete("small"))
        with pytest.raises(UnsupportedFeature, match="anthropic has no fine_tunes"):
            await face.ask(lambda client: client.fine_tunes.get("x"))


@EACH_FACE
async def test_files_of_the_beta(kind: str, tmp_path: Path) -> None:
    path = tmp_path / "data.csv"
    path.write_bytes(b"a,b\n" * 1000)
    heard: list[Any] = []
    async with asking(kind) as (host, face):
        sent = await face.ask(lambda client: client.files.upload(path, progress=heard.append))
        assert host.files[sent.id] == path.read_bytes()
        assert (sent.name, sent.bytes, sent.created) == ("data.csv", 4000, NOW)
        assert [one.done for one in heard] == [0, 4000]
        assert await face.ask(lambda client: client.files.get(sent.id)) == sent
        assert await face.rows(lambda client: client.files.list()) == [sent]
        with pytest.raises(BadRequest, match="can not be downloaded"):
            await face.ask(lambda client: client.files.download(sent.id, tmp_path / "no"))
        assert not (tmp_path / "no").exists()
        host.kept[sent.id]["downloadable"] = True
        to = tmp_path / "copy.csv"
        assert await face.ask(lambda client: client.files.download(sent.id, to)) == 4000
        assert to.read_bytes() == path.read_bytes()
        await face.ask(lambda client: client.files.delete(sent.id))
        assert host.files == {}
        with pytest.raises(NotFound, match="No such File"):
            await face.ask(lambda client: client.files.delete(sent.id))


async def test_the_beta_joins_those_that_the_user_has_named() -> None:
    async with open_host("anthropic") as host:
        for name in ("anthropic-beta", "Anthropic-Beta"):
            async with client_of(host, headers={name: "one,two"}) as client:
                await client.files.upload(b"data")
                await client.models.list()
        betas = [one.headers["anthropic-beta"] for one in host.heard]
        assert betas == ["one,two,files-api-2025-04-14", "one,two"] * 2


@EACH_FACE
@pytest.mark.usefixtures("eager")
async def test_message_batches_waited_for(kind: str) -> None:
    heard: list[Any] = []
    async with asking(kind, looks=3) as (_, face):
        sent = await face.ask(lambda client: client.batches.create({"a": "one"}, max_tokens=9))
        done = await face.ask(lambda client: client.batches.wait(sent.id, progress=heard.append))
        assert [one.status for one in heard] == ["in_progress", "in_progress", "ended"]
        assert (done.ended, done.total, done.completed) == (True, 1, 1)
        (item,) = await face.ask(lambda client: client.batches.results(sent.id))
        assert (item.id, item.response.text) == ("a", "You said: one")
        assert await face.rows(lambda client: client.batches.list()) == [done]
        with pytest.raises(UnsupportedFeature, match=r"anthropic has no batches\.submit"):
            await face.ask(lambda client: client.batches.submit("file-1"))
        with pytest.raises(NotFound, match="no such batch"):
            await face.ask(lambda client: client.batches.wait("msgbatch_0"))


async def test_a_batch_is_deleted() -> None:
    async with open_host("anthropic") as host, client_of(host) as client:
        sent = await client.batches.create({"a": "one"}, max_tokens=9)
        await client.batches.delete(sent.id)
        assert host.heard[-1].method == "DELETE"
        assert host.heard[-1].path == f"/v1/messages/batches/{sent.id}"


def long_model(number: int) -> dict[str, Any]:
    """A model's row of about a kilobyte."""
    return anthropic_model(f"model-{number:05}") | {"notes": "x" * 900}


@EACH_FACE
async def test_ten_thousand_models_cost_the_memory_of_a_page(kind: str) -> None:
    size = 10_000
    async with asking(kind, shelves={"models": Many(size, long_model)}) as (host, face):

        async def count(limit: int) -> int:
            return await face.count(lambda client: client.models.list(limit=limit))

        assert await count(300) == 300
        few, small = await peak_of(lambda: count(300))
        host.heard.clear()
        many, peak = await peak_of(lambda: count(size))
        assert (few, many) == (300, size)
        assert len(host.heard) == size // 100
        assert peak < small * 1.5, (peak, small)


async def test_the_key_goes_to_the_host_alone(tmp_path: Path) -> None:
    """Neither a redirection nor the address of a batch's results takes it elsewhere."""
    async with open_server(Answer(body=b"{}")) as thief, open_host("anthropic") as host:
        async with client_of(host) as client:
            sent = await client.batches.create({"a": "one"}, max_tokens=9)
            while not (info := await client.batches.get(sent.id)).ended:
                pass
            verbs = (await client.host.provider(TARGET)).batches
            elsewhere = attrs.evolve(info, raw=dict(info.raw) | {"results_url": thief.url})
            assert [one.id async for one in verbs.results(elsewhere)] == ["a"]
            moved = Answer(status=307, headers={"Location": f"{thief.url}/v1/files"})
            for ask in (
                lambda: client.files.download("file-1", tmp_path / "a"),
                lambda: client.files.upload(b"data", name="b"),
                lambda: client.models.list(),
                lambda: client.batches.results(sent.id),
            ):
                host.fail = [moved]
                with pytest.raises(LLMError) as caught:
                    await ask()
                assert "sk-" not in str(caught.value)
        assert thief.requests == []
        assert list(tmp_path.iterdir()) == []


FIELDS = {
    "models": "display_name created_at max_input_tokens max_tokens",
    "files": "filename size_bytes created_at downloadable",
    "batches": "processing_status request_counts created_at expires_at cancel_initiated_at",
}
NUMBERS = ("bytes", "input_limit", "output_limit", "total", "completed")


@pytest.mark.usefixtures("eager")
@pytest.mark.parametrize("group", FIELDS)
@pytest.mark.parametrize("junk", JUNK, ids=repr)
async def test_fields_of_wrong_types_are_endured(junk: Any, group: str) -> None:
    """A field that is not what it should be is left out, and stands in `raw`."""
    told = dict.fromkeys(FIELDS[group].split(), junk) | {"id": junk or "x"}
    counts = dict.fromkeys(("succeeded", "errored", "processing"), junk)
    async with open_host() as host, client_of(host) as client:
        verbs = getattr(client, group)
        for more in ({}, {"request_counts": counts}):
            host.fail = [Answer(body=json.dumps(told | more).encode())]
            found = await verbs.get("x")
            assert found.raw == told | more
            assert isinstance(found.id, str)
            assert {type(getattr(found, name, None)) for name in NUMBERS} <= {int, type(None)}
        host.fail = [Answer(body=json.dumps({"data": [junk, told], "has_more": 1}).encode())]
        assert 1 <= len(await verbs.list()) <= 2
        for data in (7, True, "x", {"a": 1}):
            host.fail = [Answer(body=json.dumps({"data": data}).encode())] * 3
            with pytest.raises(ProtocolError, match="where a list belongs"):
                await verbs.list()
