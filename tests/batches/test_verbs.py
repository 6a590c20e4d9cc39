"""The verbs of providers for batches and files, as a client and the command line show them."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
import tracemalloc
from collections.abc import AsyncIterator
from contextlib import aclosing, asynccontextmanager
from itertools import repeat
from pathlib import Path
from typing import Any

import pytest
import trio

from llmmw import BatchApi, Client, Embed, Generate, aio, sync
from llmmw.errors import BadRequest, NotFound, UnsupportedFeature
from llmmw.testing import Answer

from .far_end import KEY, FarEnd, open_far_end, options_for

pytestmark = pytest.mark.plugins

TARGETS = {"openai": "openai:gpt-4o-mini", "anthropic": "anthropic:claude-haiku-4-5"}
KINDS = pytest.mark.parametrize("kind", list(TARGETS))


@asynccontextmanager
async def open_client(kind: str, far: FarEnd) -> AsyncIterator[Client]:
    async with Client(TARGETS[kind], stack=[], options=options_for(far.url)) as client:
        yield client


async def ended(client: Client, id: str) -> None:
    while not (await client.batches.get(id)).ended:
        pass


@KINDS
async def test_a_batch_is_sent_looked_at_and_read(kind: str) -> None:
    async with open_far_end() as far, open_client(kind, far) as client:
        rows = {"first": "one", "second": {"prompt": "bad two", "system": "Be kind."}}
        sent = await client.batches.create(rows, max_tokens=9, metadata={"of": "us"})
        assert (sent.ended, sent.total, sent.provider) == (False, 2, kind)
        (batch,) = far.batches.values()
        assert batch["asked"].keys() == rows.keys()
        sizes = {
            one.get("max_completion_tokens", one.get("max_tokens"))
            for one in batch["asked"].values()
        }
        assert sizes == {9}
        await ended(client, sent.id)
        items = {item.id: item for item in await client.batches.results(sent.id)}
        assert items["first"].response.text == "You said: one"
        assert isinstance(items["second"].error, BadRequest)
        assert items["second"].error.provider == kind


@KINDS
async def test_batches_are_listed_page_by_page_and_cancelled(kind: str) -> None:
    async with open_far_end() as far, open_client(kind, far) as client:
        sent = [(await client.batches.create([f"p{n}"])).id for n in range(5)]
        listed = await client.batches.list()
        assert [one.id for one in listed] == sent[::-1]
        assert [one.id for one in await client.batches.list(limit=3)] == sent[:1:-1]
        assert (await client.batches.cancel(sent[0])).cancelled
        await ended(client, sent[0])
        (item,) = await client.batches.results(sent[0])
        assert "was cancelled" in str(item.error)
        with pytest.raises(NotFound, match="no such batch"):
            await client.batches.get("batch_0")


async def test_vectors_come_out_of_batches_too() -> None:
    async with open_far_end() as far, open_client("openai", far) as client:
        sent = await client.batches.create([Embed(inputs=["a", "bb"])], model="openai:embed")
        await ended(client, sent.id)
        (item,) = await client.batches.results(sent.id)
        assert item.response.vectors == ((1.0,), (2.0,))


def _line(far: FarEnd, kind: str, id: str) -> bytes:
    """What came of a batch of one question."""
    if kind == "openai":
        (whole,) = (data for data in far.files.values() if b"You said" in data)
    else:
        whole = far._anthropic_results(far.batches[id])
    return whole + b"\n"


@KINDS
async def test_results_are_read_line_by_line_and_not_kept(kind: str) -> None:
    lines, size = 300, 30_000
    async with open_far_end() as far, open_client(kind, far) as client:
        sent = await client.batches.create({"q": "x" * size})
        await ended(client, sent.id)
        info = await client.batches.get(sent.id)
        verbs = (await client.host.provider(TARGETS[kind])).batches
        far.fail = [Answer(pieces=repeat(_line(far, kind, sent.id), lines))]
        tracemalloc.start()
        try:
            count = 0
            async with aclosing(verbs.results(info)) as outcomes:
                async for outcome in outcomes:
                    count += len(outcome.body) > size
            (_, peak) = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
    assert count == lines
    assert peak < lines * size / 4, peak


@KINDS
async def test_a_broken_line_of_results_and_an_odd_one_spoil_no_other(kind: str) -> None:
    async with open_far_end() as far, open_client(kind, far) as client:
        sent = await client.batches.create({"q": "hello"})
        await ended(client, sent.id)
        deep = b"[" * 300 + b"18446744073709551616" + b"]" * 300
        body = b'"body": {"x": %b}, "status_code": 200' % deep
        odd = b'{"custom_id": "o", "response": {%b}, "result": ' % body
        odd += b'{"type": "succeeded", "message": {"x": %b}}}\n' % deep
        answer = Answer(pieces=[b"{broken\r\n\r\n7\n", odd, _line(far, kind, sent.id)])
        far.fail = [(await _looked(client, far, sent.id)), answer]
        items = {item.id: item for item in await client.batches.results(sent.id)}
    assert items["q"].response.text == "You said: hello"
    assert items["o"].error is not None


async def _looked(client: Client, far: FarEnd, id: str) -> Answer:
    """What the host says of a batch, to be said once more."""
    info = await client.batches.get(id)
    return Answer(body=json.dumps(dict(info.raw)).encode())


@KINDS
async def test_what_can_not_be_one_batch_is_refused_before_it_is_sent(kind: str) -> None:
    async with open_far_end() as far, open_client(kind, far) as client:
        two = [Generate(messages=["a"], model=f"{k}:m") for k in TARGETS]
        with pytest.raises(BadRequest, match="one provider"):
            await client.batches.create(two)
        with pytest.raises(BadRequest, match="one provider, and not to none"):
            await client.batches.create([])
        with pytest.raises(BadRequest, match="map takes many"):
            await client.batches.create("one")
        if kind == "openai":
            models = [Generate(messages=["a"], model=f"openai:{m}") for m in "ab"]
            with pytest.raises(BadRequest, match="differ in model or API"):
                await client.batches.create(models)
        assert not far.seen


async def test_files_are_sent_listed_read_and_deleted() -> None:
    data = b'{"a": "\xc3\xa4"}\r\n--llmmw\r\n'
    async with open_far_end() as far, open_client("openai", far) as client:
        sent = await client.files.upload(data, name="a b.jsonl", purpose="assistants")
        assert sent.bytes == len(data)
        assert [one.id for one in await client.files.list()] == [sent.id]
        assert await client.files.content(sent.id) == data
        assert (await client.files.get(sent.id)).purpose == "batch"
        await client.files.delete(sent.id)
        assert await client.files.list() == ()
    async with Client("echo:x") as client:
        with pytest.raises(UnsupportedFeature, match="echo has no files"):
            await client.files.list()


async def run(far: FarEnd, *words: object) -> tuple[int, str, str]:
    """`llmmw batches …` in a process of its own."""
    env = os.environ | {
        "OPENAI_BASE_URL": f"{far.url}/v1",
        "OPENAI_API_KEY": KEY,
        "ANTHROPIC_BASE_URL": far.url,
        "ANTHROPIC_API_KEY": KEY,
        "LLMMW_CONFIG": "",
    }
    code = "from llmmw.cli import main; main()"
    process = await trio.run_process(
        [sys.executable, "-c", code, "batches", *map(str, words)],
        env=env,
        check=False,
        capture_stdout=True,
        capture_stderr=True,
    )
    assert KEY not in (process.stdout + process.stderr).decode()
    return process.returncode, process.stdout.decode(), process.stderr.decode()


async def test_the_command_line_shows_batches_and_journals(tmp_path: Path) -> None:
    journal = tmp_path / "night.db"
    layer = BatchApi(journal, max_wait=0.01, poll=0.02, least_time=0)
    async with open_far_end() as far:
        async with Client(TARGETS["openai"], stack=[layer], options=options_for(far.url)) as client:
            async with client.map(["one", "bad two"], concurrency=2, errors="yield") as items:
                assert len([item async for item in items]) == 2
            id = next(iter(far.batches))
            known = await run(far, "list", "--journal", journal)  # while the journal is in use
            assert known[0] == 0
            assert known[1].splitlines()[1].startswith(f"{id}  openai    fetched  2      20")
        status, told, _ = await run(far, "list", "-p", "openai", "--json")
        assert (status, json.loads(told)["id"]) == (0, id)
        shown = (await run(far, "show", id, "--journal", journal))[1]
        assert [line.split()[:2] for line in shown.splitlines()][:5] == [
            ["id", id],
            ["provider", "openai"],
            ["status", "completed"],
            ["ended", "yes"],
            ["total", "2"],
        ]
        status, told, said = await run(far, "fetch", id, "-p", "openai")
        rows: list[dict[str, Any]] = [json.loads(line) for line in told.splitlines()]
        assert status == 1, said
        assert sorted(row.get("text", "") for row in rows) == ["", "You said: one"]
        assert {"BadRequest"} == {row["error"]["type"] for row in rows if "error" in row}
        assert (await run(far, "cancel", id, "-p", "openai"))[0] == 0
        assert far.batches[id]["cancelled"]
        lost = await run(far, "show", "nothing", "-p", "anthropic")
        assert lost[0] == 1
        assert "NotFound" in lost[2]
        assert (await run(far, "show", id, "--journal", tmp_path / "no.db"))[0] == 2
        unknown = await run(far, "show", "other", "--journal", journal)
        assert unknown[0] == 2
        assert unknown[2] == f"Error: the journal {journal} knows no batch 'other'\n"


async def test_who_fetches_too_early_is_told_so() -> None:
    async with open_far_end(withhold=True) as far, open_client("openai", far) as client:
        sent = await client.batches.create(["one"])
        status, told, said = await run(far, "fetch", sent.id, "-p", "openai")
        assert (status, told) == (1, "")
        assert said == f"{sent.id}  in_progress  0 of 1: it has not ended, fetch it later\n"


def test_it_is_a_command_of_llmmw() -> None:
    script = "from llmmw.cli import main; main()"
    words = [sys.executable, "-c", script, "batches", "--help"]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    for word in ("list", "show", "cancel", "fetch"):
        assert word in done.stdout


@pytest.mark.parametrize("face", ["sync", "aio"])
async def test_plain_and_asyncio_programs_have_them_too(face: str) -> None:
    def plain(url: str) -> tuple[str, int]:
        with sync.Client(TARGETS["openai"], stack=[], options=options_for(url)) as client:
            sent = client.batches.create(["one"])
            while not client.batches.get(sent.id).ended:
                pass
            (item,) = client.batches.results(sent.id)
            client.batches.cancel(sent.id)
            assert client.files.content(client.files.upload(b"data", name="a").id) == b"data"
            return item.response.text, len(tuple(client.batches.list()))

    async def loop(url: str) -> tuple[str, int]:
        async with aio.Client(TARGETS["openai"], stack=[], options=options_for(url)) as client:
            sent = await client.batches.create(["one"])
            while not (await client.batches.get(sent.id)).ended:
                pass
            (item,) = await client.batches.results(sent.id)
            file = await client.files.upload(b"data", name="a")
            assert (await client.files.get(file.id)).bytes == 4
            await client.files.delete(file.id)
            return item.response.text, len(await client.batches.list())

    async with open_far_end() as far:
        work = plain if face == "sync" else lambda url: asyncio.run(loop(url))
        assert await trio.to_thread.run_sync(work, far.url) == ("You said: one", 1)
