"""`llmmw local`."""

from __future__ import annotations

import orjson
import pytest
from click.testing import CliRunner
from llmmw_local import _cli

from llmmw.cli import main

pytestmark = pytest.mark.plugins


@pytest.fixture
def small(index, monkeypatch, tmp_path):
    """A known model on an index on loopback."""
    known = {"small": index.model}
    monkeypatch.setattr("llmmw_local._models.KNOWN", known)
    monkeypatch.setattr("llmmw_local._cli.KNOWN", known)
    monkeypatch.setenv("LLMMW_CACHE", str(tmp_path))
    monkeypatch.setenv("LLMMW_INDEX_URL", index.url)
    return tmp_path / "models" / "small.gguf"


def run(*words):
    return CliRunner().invoke(main, ["local", *words])


def test_pull_and_list(small):
    assert run("list").stdout == f"small  absent  1 MB  {small}  \n"
    pulled = run("pull", "small")
    assert pulled.exit_code == 0, pulled.output
    assert pulled.stdout == f"{small}\n"
    assert pulled.stderr.splitlines()[-1] == "small: 1 of 1 MB"
    assert run("list").stdout == f"small  present  1 MB  {small}  \n"
    (row,) = orjson.loads(run("list", "--json").stdout)
    assert (row["present"], row["path"]) == (True, str(small))
    assert run("pull", "small").stderr == ""


def test_pull_on_a_terminal(small, monkeypatch):
    monkeypatch.setattr("sys.stderr.isatty", lambda: True, raising=False)
    with _cli._meter(_cli.KNOWN["small"]) as progress:
        progress(5, 10)


def test_pull_what_is_not_there(small, index, tmp_path):
    assert "there is small" in run("pull", "smal").stderr
    (tmp_path / "x.gguf").write_bytes(b"GGUF")
    assert "is a file already" in run("pull", str(tmp_path / "x.gguf")).stderr
    index.status = 404
    failed = run("pull", "small")
    assert failed.exit_code == 2
    assert "LLMMW_INDEX_URL" in failed.stderr
