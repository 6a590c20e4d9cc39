"""`llmmw models|files|fine-tunes|batches`: what they print, and how they end."""

from __future__ import annotations

import json
from datetime import datetime
from pathlib import Path
from typing import Any

import click
import pytest
from click.testing import CliRunner

from llmmw._plugins import Plugins, resolve
from llmmw.cli.batches import batches
from llmmw.cli.files import files
from llmmw.cli.fine_tunes import fine_tunes
from llmmw.cli.models import models
from llmmw.testing import Answer
from tests.administration.far_end import NOW, Many

from .conftest import distribution
from .shell import Done, open_shell

pytestmark = pytest.mark.plugins

MOMENT = str(datetime.fromtimestamp(NOW))


@pytest.fixture
def eager(monkeypatch: pytest.MonkeyPatch) -> None:
    """The first looks come at once."""
    monkeypatch.setattr("llmmw._verbs._follow._EVERY", 0.01)
    monkeypatch.setattr("llmmw._verbs._patience._FIRST", 0.01)


async def test_models_are_listed_shown_and_deleted() -> None:
    async with open_shell() as (host, llmmw):
        listed = await llmmw("models", "list")
        assert (listed.status, listed.err) == (0, "")
        assert listed.out == (
            "id      owner   created\n"
            f"small   system  {MOMENT}\n"
            f"middle  system  {MOMENT}\n"
            f"large   system  {MOMENT}\n"
        )
        assert (await llmmw("models", "list", "--limit", 1)).out == (
            f"id     owner   created\nsmall  system  {MOMENT}\n"
        )
        rows = (await llmmw("models", "list", "--json", "-p", "openai")).rows
        assert [row["id"] for row in rows] == ["small", "middle", "large"]
        assert rows[0]["raw"] == host.models["small"]
        card = await llmmw("models", "show", "small")
        assert card.cells == {
            "id": "small",
            "provider": "openai",
            "owner": "system",
            "created": MOMENT,
            "failed": "no",
        }
        assert (await llmmw("models", "show", "small", "--json")).rows == rows[:1]
        gone = await llmmw("models", "delete", "small", "large")
        assert (gone.status, gone.out) == (0, "small is deleted\nlarge is deleted\n")
        assert list(host.models) == ["middle"]
        gone = await llmmw("models", "delete", "middle", "--json")
        assert gone.rows == [{"id": "middle", "deleted": True}]
        assert (await llmmw("models", "list")).out == ""


async def test_files_are_sent_listed_fetched_and_deleted(tmp_path: Path) -> None:
    path, to = tmp_path / "examples.jsonl", tmp_path / "copy.jsonl"
    path.write_bytes(b"{}\n" * 500)
    async with open_shell() as (host, llmmw):
        sent = await llmmw("files", "upload", path, "--purpose", "fine-tune")
        assert (sent.status, sent.err) == (0, "")
        assert sent.cells == {
            "id": "file-1",
            "provider": "openai",
            "name": "examples.jsonl",
            "bytes": "1,500",
            "purpose": "fine-tune",
            "status": "processed",
            "created": MOMENT,
        }
        assert (await llmmw("files", "upload", path, "--name", "other")).cells["name"] == "other"
        assert (await llmmw("files", "list")).out.splitlines() == [
            "id      name            bytes  purpose    status     created",
            f"file-1  examples.jsonl  1,500  fine-tune  processed  {MOMENT}",
            f"file-2  other           1,500  batch      processed  {MOMENT}",
        ]
        assert (await llmmw("files", "show", "file-1")).out == sent.out
        saved = await llmmw("files", "download", "file-1", to)
        assert (saved.status, saved.out) == (0, f"{to}  1,500 bytes\n")
        assert to.read_bytes() == path.read_bytes()
        to.write_bytes(b"mine")
        kept = await llmmw("files", "download", "file-1", to)
        assert (kept.status, to.read_bytes()) == (2, b"mine")
        assert kept.err == f"Error: {to} is there already; --force overwrites it\n"
        forced = await llmmw("files", "download", "file-1", to, "--force", "--json")
        assert forced.rows == [{"id": "file-1", "path": str(to), "bytes": 1500}]
        assert to.read_bytes() == path.read_bytes()
        assert (await llmmw("files", "download", "file-1", "-")).out == "{}\n" * 500
        assert (await llmmw("files", "delete", "file-1", "file-2")).status == 0
        assert host.files == {}
        lost = await llmmw("files", "upload", tmp_path / "none")
        assert lost.status == 1
        assert lost.err == (
            f"Error: BadRequest: the file {tmp_path / 'none'} can't be sent: No such file or "
            "directory\n"
        )


@pytest.mark.usefixtures("eager")
async def test_a_fine_tune_is_begun_followed_and_waited_for(tmp_path: Path) -> None:
    path = tmp_path / "examples.jsonl"
    path.write_bytes(b"{}\n")
    async with open_shell(looks=3) as (host, llmmw):
        options = ("-H", "n_epochs=3", "-H", "batch_size=auto", "--suffix", "us", "-f", "seed=7")
        begun = await llmmw("fine-tunes", "create", "small", path, *options, "--json")
        (row,) = begun.rows
        assert row["hyperparameters"] == {"n_epochs": 3, "batch_size": "auto"}
        assert (row["raw"]["suffix"], row["raw"]["seed"]) == ("us", 7)
        assert host.files[row["training_file"]] == b"{}\n"
        id = row["id"]
        said = await llmmw("fine-tunes", "events", id, "--follow")
        messages = ["Created fine-tuning job", "Step 1", "Step 2", "Step 3", "The job has ended"]
        assert said.out.splitlines()[0] == "at                   level  message"
        assert [line[28:] for line in said.out.splitlines()[1:]] == messages
        assert len((await llmmw("fine-tunes", "events", id, "--limit", 2)).out.splitlines()) == 3
        points = (await llmmw("fine-tunes", "checkpoints", id)).out.splitlines()
        assert points[0].split() == ["id", "step", "model", "metrics", "created"]
        assert "step=300.0, full_valid_loss=0.5" in points[1]
        done = await llmmw("fine-tunes", "wait", id)
        assert (done.status, done.err) == (0, "")
        assert done.cells["succeeded"] == "yes"
        assert done.cells["fine tuned model"] == f"ft:small:us::{id}"
        assert done.out == (await llmmw("fine-tunes", "show", id)).out
        listed = (await llmmw("fine-tunes", "list")).out.splitlines()
        assert listed[1].split()[:4] == [id, "succeeded", "small", f"ft:small:us::{id}"]


@pytest.mark.usefixtures("eager")
async def test_a_fine_tune_that_fails_has_the_exit_status_1() -> None:
    async with open_shell(ending="failed", files={"file-0": b"{}"}) as (_, llmmw):
        begun = await llmmw("fine-tunes", "create", "small", "file-0", "--json")
        done = await llmmw("fine-tunes", "wait", begun.rows[0]["id"])
        assert (done.status, done.cells["failure"]) == (1, "too many lines")
        other = (await llmmw("fine-tunes", "create", "small", "file-0", "--json")).rows[0]["id"]
        assert (await llmmw("fine-tunes", "cancel", other)).cells["status"] == "cancelled"
        gone = await llmmw("fine-tunes", "delete", other)
        assert gone.status == 1
        assert gone.err == "Error: UnsupportedFeature: openai has no fine_tunes.delete\n"


@pytest.mark.usefixtures("eager")
async def test_batches_are_submitted_waited_for_and_deleted(tmp_path: Path) -> None:
    body = {"model": "small", "messages": [{"role": "user", "content": "one"}]}
    row = {"custom_id": "a", "method": "POST", "url": "/v1/chat/completions", "body": body}
    (tmp_path / "q.jsonl").write_text(json.dumps(row))
    async with open_shell() as (host, llmmw):
        file = (await llmmw("files", "upload", tmp_path / "q.jsonl", "--json")).rows[0]["id"]
        sent = await llmmw("batches", "submit", file, "-f", 'metadata={"of": "us"}')
        assert (sent.status, sent.cells["metadata"]) == (0, "of=us")
        id = sent.cells["id"]
        done = await llmmw("batches", "wait", id)
        assert (done.status, done.cells["status"]) == (0, "completed")
        assert (await llmmw("batches", "fetch", id)).rows[0]["text"] == "You said: one"
        assert (await llmmw("batches", "list")).out.splitlines() == [
            "id       status     completed  failed  total  created",
            f"{id}  completed  1          0       1      {MOMENT}",
        ]
        host.refuse = [{"message": "no such model", "code": "model", "line": 1}]
        refused = (await llmmw("batches", "submit", file)).cells["id"]
        failed = await llmmw("batches", "wait", refused)
        assert (failed.status, failed.cells["refusals"]) == (1, "line 1: no such model")
        lacks = await llmmw("batches", "update", id, "-f", "a=1")
        assert lacks.err == "Error: UnsupportedFeature: openai has no batches.update\n"
        host.batches["msgbatch_7"] = host.batches[id] | {"id": "msgbatch_7", "wire": "anthropic"}
        gone = await llmmw("batches", "delete", "msgbatch_7", "-p", "anthropic")
        assert (gone.status, gone.out) == (0, "msgbatch_7 is deleted\n")


async def test_names_from_hosts_do_not_steer_the_terminal() -> None:
    wild = "a\x1b[2J\nb\t\x9b31m\x07"
    file = {"id": wild, "filename": wild, "bytes": 1, "purpose": wild, "status": wild}
    async with open_shell(shelves={"files": [file]}) as (host, llmmw):
        tamed = "a\ufffd[2J b \ufffd31m\ufffd"
        listed = await llmmw("files", "list")
        assert listed.out.splitlines()[1] == "  ".join([tamed, tamed, "1    ", tamed, tamed])
        host.kept[wild], host.files["wild"] = file, b""
        host.kept["wild"] = file
        assert (await llmmw("files", "show", "wild")).cells["name"] == tamed
        raw = await llmmw("files", "list", "--json")
        assert raw.rows[0]["raw"] == file
        assert not {"\x1b", "\x07", "\x9b"} & set(raw.out)
        told = json.dumps({"error": {"message": f"no {wild}"}}).encode()
        host.fail = [Answer(status=404, body=told)]
        lost = await llmmw("files", "show", "x")
        assert lost.err == "Error: NotFound: no a [2J b 31m (404)\n"
        assert "\x1b" not in (await llmmw("files", "delete", "wild\x1b[2J")).err


async def test_errors_are_one_line_and_a_status(tmp_path: Path) -> None:
    async with open_shell(looks=1000, files={"file-0": b"{}"}) as (_, llmmw):
        lost = await llmmw("models", "show", "none")
        assert (lost.status, lost.out) == (1, "")
        assert lost.err.startswith("Error: NotFound: The model 'none' does not exist")
        assert lost.err.count("\n") == 1
        unknown = await llmmw("models", "list", "-p", "nowhere")
        assert unknown.status == 2
        assert "nowhere" in unknown.err
        assert unknown.err.count("\n") == 1
        (tmp_path / "empty.toml").write_text("")
        nobody = await llmmw("models", "list", "--config", tmp_path / "empty.toml", model="")
        assert (nobody.status, nobody.err.count("\n")) == (2, 1)
        assert "-p names a provider" in nobody.err
        (tmp_path / "mine.toml").write_text('[providers.mine]\nuse = "openai"')
        mine = await llmmw("models", "list", "-p", "mine", "--config", tmp_path / "mine.toml")
        assert mine.out.startswith("id ")
        begun = (await llmmw("fine-tunes", "create", "small", "file-0", "--json")).rows[0]["id"]
        late = await llmmw("fine-tunes", "wait", begun, "--timeout", "0.2")
        assert (late.status, late.out) == (1, "")
        assert "DeadlineExceeded: fine_tunes.wait took longer than 0.2 s" in late.err
        for words, told in (
            (("fine-tunes", "create", "small", "gone.jsonl"), "there is no file gone.jsonl"),
            (("fine-tunes", "create", "small", "file-0", "-f", "suffix=a"), "suffix is no field"),
            (("models", "create", "m", "-f", "provider=a"), "provider is no field"),
            (("models", "update", "m", "-f", "a"), "expected name=value"),
            (("fine-tunes", "events", begun, "--follow", "--limit", 1), "leave --limit out"),
            (("models", "list", "--timeout", 0), "above 0"),
        ):
            wrong = await llmmw(*words)
            assert wrong.status == 2
            assert told in wrong.err


async def test_a_column_that_fills_later_is_shown_from_there() -> None:
    def row(number: int) -> dict[str, Any]:
        return {"id": f"f-{number}", "filename": "x" * number if number >= 100 else None}

    async with open_shell(shelves={"files": Many(101, row)}) as (_, llmmw):
        lines = (await llmmw("files", "list")).out.splitlines()
        assert lines[:2] == ["id", "f-0"]
        assert lines[100:] == ["f-99", "id     name", f"f-100  {'x' * 100}"]


SHELF = """
from contextlib import asynccontextmanager

import attrs
from llmmw.errors import NotFound
from llmmw.plugin import ModelInfo, Models, Provider, Source, Spec, Transfer, hookimpl

KEPT = {}


@attrs.frozen(kw_only=True)
class Shelf(Models):
    async def create(self, id, fields):
        KEPT[id] = {"looks": 0, **fields}
        return self._info(id)

    async def update(self, id, fields):
        KEPT[id] |= fields
        return self._info(id)

    async def get(self, id):
        KEPT[id]["looks"] += 1
        return self._info(id)

    async def pull(self, id, hear):
        hear(Transfer(status="pulling"))
        hear(Transfer(done=5, total=10, status="pulling"))
        KEPT[id] = {"looks": 9}
        return self._info(id)

    async def links(self, id, fields):
        return {"a/weights.bin": "1" * fields["size"], "config.json": "{}"}

    @asynccontextmanager
    async def fetch(self, link):
        with Source.of_pieces("x", [link.encode()]).open() as pieces:
            yield pieces

    def _info(self, id):
        told = KEPT[id]
        bad = told.get("bad", False)
        ready = told["looks"] >= 2 and not bad
        status = "FAILED" if bad else "READY" if ready else "PENDING"
        return ModelInfo(
            id=id, provider="shelf", status=status, ready=ready, failed=bad, raw=dict(told)
        )


@attrs.define(eq=False)
class Shelves(Provider):
    name: str = attrs.field(default="shelf", kw_only=True)

    @property
    def models(self):
        return Shelf(name="shelf")


@hookimpl
def llmmw_providers():
    return [Spec("shelf", "llmmw_shelf:Shelves", "keeps models")]
"""


@pytest.mark.usefixtures("eager")
async def test_models_are_made_changed_pulled_and_saved(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "site").mkdir()
    distribution(tmp_path / "site", "llmmw_shelf", SHELF, "provider:shelf")
    monkeypatch.syspath_prepend(str(tmp_path / "site"))
    folder = tmp_path / "model"
    async with open_shell() as (_, llmmw):

        async def shelf(*words: object) -> Done:
            return await llmmw("models", *words, "-p", "shelf")

        made = await shelf("create", "m", "-f", "min_workers=2", "-f", "gpu=big", "--json")
        assert made.rows[0]["raw"] == {"looks": 0, "min_workers": 2, "gpu": "big"}
        assert (await shelf("wait", "m")).cells["status"] == "READY"
        changed = await shelf("update", "m", "-f", "bad=true", "--json")
        assert changed.rows[0]["failed"] is True
        failed = await shelf("wait", "m")
        assert (failed.status, failed.cells["failed"]) == (1, "yes")
        pulled = await shelf("pull", "n")
        assert (pulled.status, pulled.cells["ready"], pulled.err) == (0, "yes", "")
        saved = await shelf("download", "n", folder, "-f", "size=4")
        paths = [folder / "a" / "weights.bin", folder / "config.json"]
        assert saved.out.splitlines() == [str(path) for path in paths]
        assert [path.read_bytes() for path in paths] == [b"1111", b"{}"]


@pytest.mark.parametrize(
    ("group", "verbs"),
    [
        (models, "list show create update delete pull download wait"),
        (files, "list show upload download delete"),
        (fine_tunes, "list show create cancel delete events checkpoints wait"),
        (batches, "list show submit update cancel delete wait fetch"),
    ],
)
def test_each_verb_has_the_same_options(group: click.Group, verbs: str) -> None:
    assert sorted(group.commands) == sorted(verbs.split())
    assert resolve(Plugins().spec("command", str(group.name))) is group
    for verb in group.commands.values():
        told = CliRunner().invoke(verb, ["--help"]).output
        for option in ("--provider NAME", "--config FILE", "--timeout SECONDS", "--json"):
            assert option in told
