"""Models, files, fine-tuning jobs and batches at OpenAI's wire, from all kinds of programs."""

from __future__ import annotations

import io
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from llmmw import Client
from llmmw.errors import (
    BadRequest,
    DeadlineExceeded,
    LLMError,
    NotFound,
    ProtocolError,
    UnsupportedFeature,
)
from llmmw.testing import Answer, open_server

from .conftest import JUNK, peak_of
from .faces import FACES, Face, open_face
from .far_end import NOW, Host, Many, open_host, options_for

pytestmark = pytest.mark.plugins

TARGET = "openai:gpt-4o-mini"
EXAMPLES = b'{"messages": []}\n' * 10
EACH_FACE = pytest.mark.parametrize("kind", FACES)


@asynccontextmanager
async def asking(kind: str, **fields: Any) -> AsyncIterator[tuple[Host, Face]]:
    async with open_host(**fields) as host, open_face(kind, TARGET, host.url) as face:
        yield host, face


@asynccontextmanager
async def client_of(host: Host) -> AsyncIterator[Client]:
    async with Client(TARGET, stack=[], options=options_for(host.url)) as client:
        yield client


@EACH_FACE
async def test_models(kind: str) -> None:
    async with asking(kind) as (host, face):
        listed = await face.rows(lambda client: client.models.list())
        assert [one.id for one in listed] == ["small", "middle", "large"]
        assert len(await face.rows(lambda client: client.models.list(limit=2))) == 2
        found = await face.ask(lambda client: client.models.get("small"))
        assert found == listed[0]
        assert (found.provider, found.owner, found.created) == ("openai", "system", NOW)
        assert found.raw == host.models["small"]
        host.models["ft:org/x"] = host.models["small"]
        await face.ask(lambda client: client.models.delete("ft:org/x"))
        assert "ft:org/x" not in host.models
        with pytest.raises(NotFound, match="'none' does not exist"):
            await face.ask(lambda client: client.models.get("none"))
        with pytest.raises(UnsupportedFeature, match=r"openai has no models\.pull"):
            await face.ask(lambda client: client.models.pull("small"))


@EACH_FACE
async def test_files(kind: str, tmp_path: Path) -> None:
    path = tmp_path / 'ex"amples\u00e9.jsonl'
    path.write_bytes(EXAMPLES)
    heard: list[Any] = []
    async with asking(kind) as (host, face):
        sent = await face.ask(
            lambda client: client.files.upload(path, purpose="fine-tune", progress=heard.append)
        )
        assert host.files[sent.id] == EXAMPLES
        assert (sent.provider, sent.bytes, sent.purpose) == ("openai", 170, "fine-tune")
        assert (sent.status, sent.created, sent.raw["expires_at"]) == ("processed", NOW, None)
        assert sent.name == "ex%22amples\u00e9.jsonl"
        assert [one.done for one in heard] == [0, 170]
        other = await face.ask(lambda client: client.files.upload(io.BytesIO(b"x"), name="o"))
        assert await face.ask(lambda client: client.files.get(sent.id)) == sent
        assert await face.rows(lambda client: client.files.list()) == [sent, other]
        assert await face.ask(lambda client: client.files.content(sent.id)) == EXAMPLES
        to = tmp_path / "new" / "copy.jsonl"
        assert await face.ask(lambda client: client.files.download(sent.id, to)) == 170
        assert to.read_bytes() == EXAMPLES
        await face.ask(lambda client: client.files.delete(sent.id))
        assert list(host.files) == [other.id]
        with pytest.raises(NotFound, match=f"No such File object: {sent.id}"):
            await face.ask(lambda client: client.files.get(sent.id))
        with pytest.raises(NotFound):
            await face.ask(lambda client: client.files.download(sent.id, tmp_path / "none"))
        assert not (tmp_path / "none").exists()


@EACH_FACE
@pytest.mark.usefixtures("eager")
async def test_a_fine_tune_from_its_file_to_its_model(kind: str, tmp_path: Path) -> None:
    path = tmp_path / "examples.jsonl"
    path.write_bytes(EXAMPLES)
    heard: list[Any] = []
    async with asking(kind, looks=3) as (host, face):
        begun = await face.ask(
            lambda client: client.fine_tunes.create(
                "gpt-4o-mini",
                path,
                validation_file="file-1",
                hyperparameters={"n_epochs": 3},
                suffix="us",
                seed=7,
            )
        )
        assert (begun.ended, begun.status) == (False, "validating_files")
        assert begun.hyperparameters == {"n_epochs": 3}
        assert host.kept[begun.training_file]["purpose"] == "fine-tune"
        assert (begun.validation_file, begun.raw["seed"]) == ("file-1", 7)
        done = await face.ask(
            lambda client: client.fine_tunes.wait(begun.id, progress=heard.append)
        )
        assert [one.status for one in heard] == ["running", "running", "succeeded"]
        assert (done.ended, done.succeeded, done.failure) == (True, True, "")
        assert done.fine_tuned_model == f"ft:gpt-4o-mini:us::{begun.id}"
        assert (done.trained_tokens, done.finished) == (5768, NOW + 60)
        assert await face.rows(lambda client: client.fine_tunes.list()) == [done]
        said = await face.rows(lambda client: client.fine_tunes.events(begun.id))
        assert [one.message for one in said[::-1]] == [
            "Created fine-tuning job",
            "Step 1",
            "Step 2",
            "Step 3",
            "The job has ended",
        ]
        assert said[0].level == "info"
        points = await face.rows(lambda client: client.fine_tunes.checkpoints(begun.id))
        assert [one.step for one in points] == [300, 200, 100]
        assert points[0].model == f"{done.fine_tuned_model}:ckpt-step-300"
        assert points[0].metrics == {"step": 300, "full_valid_loss": 0.5}


@EACH_FACE
@pytest.mark.usefixtures("eager")
async def test_events_are_followed_until_the_end_each_once(kind: str) -> None:
    async with asking(kind, looks=4, files={"file-0": EXAMPLES}) as (_, face):
        begun = await face.ask(lambda client: client.fine_tunes.create("small", "file-0"))
        said = await face.rows(lambda client: client.fine_tunes.events(begun.id, follow=True))
        assert [one.message for one in said] == [
            "Created fine-tuning job",
            *(f"Step {number}" for number in (1, 2, 3, 4)),
            "The job has ended",
        ]
        assert len({one.id for one in said}) == len(said)


@EACH_FACE
@pytest.mark.usefixtures("eager")
async def test_a_fine_tune_that_fails_or_is_cancelled(kind: str) -> None:
    async with asking(kind, ending="failed", files={"file-0": EXAMPLES}) as (_, face):
        begun = await face.ask(lambda client: client.fine_tunes.create("small", "file-0"))
        done = await face.ask(lambda client: client.fine_tunes.wait(begun.id))
        assert (done.ended, done.succeeded, done.failure) == (True, False, "too many lines")
        other = await face.ask(lambda client: client.fine_tunes.create("small", "file-0"))
        gone = await face.ask(lambda client: client.fine_tunes.cancel(other.id))
        assert (gone.status, gone.ended, gone.succeeded) == ("cancelled", True, False)
        with pytest.raises(BadRequest, match="invalid training_file: file-9"):
            await face.ask(lambda client: client.fine_tunes.create("small", "file-9"))
        with pytest.raises(NotFound, match="Could not find fine tune: ftjob-none"):
            await face.ask(lambda client: client.fine_tunes.get("ftjob-none"))
        with pytest.raises(NotFound):
            await face.rows(lambda client: client.fine_tunes.events("ftjob-none", follow=True))


@EACH_FACE
@pytest.mark.usefixtures("eager")
async def test_batches_of_an_uploaded_file_waited_for(kind: str) -> None:
    body = {"model": "small", "messages": [{"role": "user", "content": "one"}]}
    row = {"custom_id": "a", "method": "POST", "url": "/v1/chat/completions", "body": body}
    heard: list[Any] = []
    async with asking(kind) as (_, face):
        data = json.dumps(row).encode()
        file = await face.ask(lambda client: client.files.upload(data, name="q.jsonl"))
        sent = await face.ask(lambda client: client.batches.submit(file.id, metadata={"of": "us"}))
        assert (sent.ended, sent.metadata) == (False, {"of": "us"})
        done = await face.ask(lambda client: client.batches.wait(sent.id, progress=heard.append))
        assert [one.status for one in heard] == ["in_progress", "completed"]
        (item,) = await face.ask(lambda client: client.batches.results(sent.id))
        assert (item.id, item.response.text) == ("a", "You said: one")
        assert await face.rows(lambda client: client.batches.list()) == [done]
        with pytest.raises(UnsupportedFeature, match=r"openai has no batches\.delete"):
            await face.ask(lambda client: client.batches.delete(sent.id))


@EACH_FACE
async def test_a_wait_ends_with_its_deadline_and_says_how_far_it_was(kind: str) -> None:
    async with asking(kind, looks=1000, files={"file-0": EXAMPLES}) as (_, face):
        begun = await face.ask(lambda client: client.fine_tunes.create("small", "file-0"))
        with pytest.raises(DeadlineExceeded, match=r"took longer than 0\.3 s; it was 'running'"):
            await face.ask(lambda client: client.fine_tunes.wait(begun.id, timeout=0.3))


def long_file(number: int) -> dict[str, Any]:
    """A file's row of about a kilobyte."""
    told = {"object": "file", "bytes": number, "created_at": int(NOW), "notes": "x" * 900}
    return {"id": f"file-{number:05}", "filename": f"{number}.jsonl", "purpose": "batch", **told}


@EACH_FACE
async def test_ten_thousand_files_cost_the_memory_of_a_page(kind: str) -> None:
    size = 10_000
    async with asking(kind, shelves={"files": Many(size, long_file)}) as (host, face):
        await face.rows(lambda client: client.files.list(limit=300))

        async def count(limit: int) -> int:
            return await face.count(lambda client: client.files.list(limit=limit))

        few, small = await peak_of(lambda: count(300))
        host.heard.clear()
        many, peak = await peak_of(lambda: count(size))
        assert (few, many) == (300, size)
        assert len(host.heard) == size // 100
        assert peak < small * 1.5, (peak, small)
        host.heard.clear()
        assert await count(150) == 150
        assert len(host.heard) == 2


async def test_a_list_begins_anew_in_each_loop_and_asks_for_no_page_too_many() -> None:
    shelves = {"files": Many(250, long_file)}
    async with open_host(shelves=shelves) as host, client_of(host) as client:
        files = client.files.list()
        assert host.heard == []
        async for file in files:
            assert file.id == "file-00000"
            break
        assert len(host.heard) == 1
        assert [one.bytes for one in await files] == list(range(250))
        assert len(host.heard) == 4


async def test_the_key_goes_to_the_host_alone(tmp_path: Path) -> None:
    async with open_server(Answer(body=b"stolen")) as thief, open_host() as host:
        async with client_of(host) as client:
            sent = await client.files.upload(b"data", name="a")
            for status in (301, 302, 307, 308):
                moved = Answer(status=status, headers={"Location": f"{thief.url}/v1/files"})
                for ask in (
                    lambda: client.files.download(sent.id, tmp_path / "a"),
                    lambda: client.files.upload(b"data", name="b"),
                    lambda: client.models.list(),
                    lambda: client.fine_tunes.create("m", "file-1"),
                ):
                    host.fail = [moved]
                    with pytest.raises(LLMError) as caught:
                        await ask()
                    assert "sk-" not in str(caught.value)
        assert thief.requests == []
        assert list(tmp_path.iterdir()) == []


@pytest.mark.usefixtures("eager")
@pytest.mark.parametrize("body", [b"[]", b"7", b'"x"', b"null", b"{", b""])
async def test_answers_that_are_none_are_errors_of_the_protocol(body: bytes) -> None:
    async with open_host() as host, client_of(host) as client:
        for ask in (
            lambda: client.files.get("f"),
            lambda: client.models.get("m"),
            lambda: client.fine_tunes.get("j"),
            lambda: client.batches.get("b"),
            lambda: client.files.upload(b"data"),
        ):
            host.fail = [Answer(body=body)] * 3
            with pytest.raises(ProtocolError):
                await ask()


FIELDS = {
    "models": "id created owned_by name context_length",
    "files": "id bytes created_at filename purpose status",
    "fine_tunes": "id status model fine_tuned_model training_file created_at finished_at "
    "hyperparameters trained_tokens error",
    "batches": "id status request_counts created_at expires_at metadata errors",
}
NUMBERS = ("bytes", "input_limit", "total", "completed", "trained_tokens")


@pytest.mark.usefixtures("eager")
@pytest.mark.parametrize("group", FIELDS)
@pytest.mark.parametrize("junk", JUNK, ids=repr)
async def test_fields_of_wrong_types_are_endured(junk: Any, group: str) -> None:
    """A field that is not what it should be is left out, and stands in `raw`."""
    told = dict.fromkeys(FIELDS[group].split(), junk) | {"id": junk or "x"}
    counts = dict.fromkeys(("total", "completed", "failed"), junk)
    async with open_host() as host, client_of(host) as client:
        verbs = getattr(client, group)
        for more in ({}, {"status": "failed"}, {"request_counts": counts}):
            host.fail = [Answer(body=json.dumps(told | more).encode())]
            found = await verbs.get("x")
            assert found.raw == told | more
            assert isinstance(found.id, str)
            assert {type(getattr(found, name, None)) for name in NUMBERS} <= {int, type(None)}
            assert type(getattr(found, "created", None)) in {float, type(None)}
        host.fail = [Answer(body=json.dumps({"data": [junk, told], "has_more": 1}).encode())]
        assert 1 <= len(await verbs.list()) <= 2


@pytest.mark.usefixtures("eager")
@pytest.mark.parametrize("group", FIELDS)
async def test_lists_that_are_none_are_errors_of_the_protocol(group: str) -> None:
    async with open_host() as host, client_of(host) as client:
        for junk in (7, True, "x", {"a": 1}):
            host.fail = [Answer(body=json.dumps({"data": junk}).encode())] * 3
            with pytest.raises(ProtocolError, match="where a list belongs"):
                await getattr(client, group).list()
        for body in (b"7", b"null", b'"x"'):
            host.fail = [Answer(body=body)] * 3
            with pytest.raises(ProtocolError, match="where a list belongs"):
                await getattr(client, group).list()


async def test_hosts_without_verbs_say_so() -> None:
    options = {"together": {"api_key": "none", "base_url": "http://127.0.0.1:9"}}
    async with Client("together:m", stack=[], options=options) as client:
        with pytest.raises(UnsupportedFeature, match="together has no fine_tunes"):
            await client.fine_tunes.get("x")
        with pytest.raises(BadRequest, match="limit=-1"):
            client.models.list(limit=-1)
