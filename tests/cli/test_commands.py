"""The group itself: where commands come from, which model is asked, and how it all ends."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from contextlib import suppress
from decimal import Decimal
from pathlib import Path

import pytest
from click.testing import CliRunner

from llmmw._config._file import load_config
from llmmw._explain import Spent
from llmmw._ledger import DownloadProgress
from llmmw._map import Item, Progress
from llmmw._plugins import Named, Plugins
from llmmw._response import Finish, Generation
from llmmw.cli import main
from llmmw.cli._lines import Splitter
from llmmw.cli._meter import Meter
from llmmw.cli._model import choose_models
from llmmw.cli._progress import Lines, downloads
from llmmw.errors import ConfigError, ServerError

from .conftest import Run, distribution

COMMAND = """
import click
from llmmw.plugin import Spec, hookimpl

@click.command()
def hello():
    click.echo("hello from a plugin")

@hookimpl
def llmmw_commands():
    return [Spec("hello", "llmmw_hello:hello", "greet")]
"""


@pytest.mark.plugins
def test_commands_of_plugins_stand_beside_ours_and_broken_ones_harm_none(
    run: Run, site: Path
) -> None:
    distribution(site, "llmmw_hello", COMMAND, "command:hello")
    distribution(site, "llmmw_bad", "raise RuntimeError('rotten')", "command:bad")
    bent = COMMAND.replace('"hello"', '"odd"').replace("llmmw_hello:hello", "llmmw_odd:click")
    distribution(site, "llmmw_odd", bent, "command:odd")
    help = run("--help")
    assert help.returncode == 0
    for words in ("ask ", "map ", "plugins ", "hello", "greet", "bad", "(broken:", "rotten"):
        assert words in help.stdout
    assert run("hello").stdout == "hello from a plugin\n"
    bad = run("bad")
    assert bad.returncode == 2
    assert "RuntimeError: rotten" in bad.stderr
    odd = run("odd")
    assert odd.returncode == 2
    assert "llmmw_odd:click is a module, no command" in odd.stderr
    assert run("ask", "hi", "-m", "echo:any").stdout == "hi\n"


def test_an_unknown_command_says_what_there_is(run: Run) -> None:
    done = run("maps")
    assert done.returncode == 2
    assert "no command is named 'maps'; did you mean 'map'?" in done.stderr
    assert run().returncode == 2
    assert "Commands:" in run().stderr


def test_the_list_of_commands_imports_none_of_them(site: Path) -> None:
    code = """
import sys
from llmmw.cli import main
try:
    main(["--help"])
except SystemExit:
    pass
heavy = {"rich", "httpx", "orjson", "llmmw._client", "llmmw.cli.ask", "llmmw.cli.map"}
print(sorted(heavy & set(sys.modules)), file=sys.stderr)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "Commands:" in done.stdout
    assert done.stderr == "[]\n"


def test_versions_are_told(run: Run) -> None:
    lines = run("--version").stdout.splitlines()
    assert lines[0].startswith("llmmw ")
    assert "llmmw_t 1.0" in lines


@pytest.mark.parametrize("name", ["ask", "map", "plugins"])
def test_help_tells_examples_and_exit_status(name: str) -> None:
    told = CliRunner().invoke(main, [name, "--help"])
    assert told.exit_code == 0
    assert "Examples:" in told.output
    assert "Exit status:" in told.output


def test_plugins_as_json_and_as_text(run: Run, site: Path) -> None:
    distribution(site, "llmmw_bad", "raise RuntimeError('rotten')", "provider:bad")
    env = {"LLMMW_BLOCK": "retry"}
    rows = {row["name"]: row for row in json.loads(run("plugins", "--json", env=env).stdout)}
    keys = "name kind distribution version state reason summary options"
    assert list(rows["t"]) == keys.split()
    assert (rows["t"]["state"], rows["t"]["distribution"]) == ("ready", "llmmw_t")
    assert rows["bad"]["state"] == "broken"
    assert "rotten" in rows["bad"]["reason"]
    assert rows["retry"]["state"] == "blocked"
    assert rows["timeout"]["options"]["total"] is None
    lines = run("plugins", env=env).stdout.splitlines()
    assert lines[0].split() == ["name", "kind", "from", "state", "what"]
    starts = {line.index("provider") for line in lines if " provider " in line}
    assert len(starts) == 1, "columns are aligned"


def test_a_full_disk_and_a_closed_pipe_are_met_once(
    start: Callable[..., subprocess.Popen[str]],
) -> None:
    """What stands in Python's buffer must not fail a second time when the interpreter ends."""
    with Path("/dev/full").open("w") as full, start("plugins", stdout=full) as process:
        told = process.communicate()[1]
    assert (process.returncode, told) == (1, "Error: No space left on device\n")
    reader, writer = os.pipe()
    os.close(reader)
    with start("plugins", stdout=writer) as process:
        os.close(writer)
        told = process.communicate()[1]
    assert (process.returncode, told) == (141, "")


def read_all(terminal: int) -> str:
    """What a process writes on its terminal until it ends."""
    pieces = []
    with suppress(OSError), open(terminal, "rb", buffering=0) as file:
        while piece := file.read(65536):
            pieces.append(piece)
    return b"".join(pieces).decode()


def test_plugins_on_a_terminal_is_a_table(start: Callable[..., subprocess.Popen[str]]) -> None:
    mine, theirs = os.openpty()
    env = os.environ | {"TERM": "xterm", "COLUMNS": "100"}
    with start("plugins", stdout=theirs, stdin=subprocess.DEVNULL, env=env) as process:
        os.close(theirs)
        seen = read_all(mine)
        assert process.wait(10) == 0
        assert "\x1b[32mready" in seen
        assert "does as it is told" in seen


def test_the_model_is_named_or_set_or_configured_or_small(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    here = [one for one in Plugins().found if one.distribution in {"llmmw", "llmmw-echo"}]
    bare = Plugins(here, [])
    local = Plugins([*here, Named("provider", "local", "llmmw_echo", "llmmw-local", "1")], [])
    monkeypatch.setattr("llmmw.cli._model.check_target", lambda *given: None)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    monkeypatch.delenv("LLMMW_CONFIG", raising=False)
    monkeypatch.delenv("LLMMW_MODEL", raising=False)
    with pytest.raises(ConfigError) as none:
        choose_models([], bare, load_config())
    for place in ("-m", "LLMMW_MODEL", "configuration", "local:smollm2"):
        assert place in str(none.value)
    assert choose_models([], local, load_config()) == ["local:smollm2"]
    assert capsys.readouterr().err.startswith("using local:smollm2 (")
    (tmp_path / "llmmw").mkdir()
    (tmp_path / "llmmw/config.toml").write_text('model = "echo:configured"')
    assert choose_models([], local, load_config()) == ["echo:configured"]
    monkeypatch.setenv("LLMMW_MODEL", "echo:set")
    assert choose_models([], bare, load_config()) == ["echo:set"]
    assert choose_models(["echo:a", "echo:b"], bare, load_config()) == ["echo:a", "echo:b"]
    assert capsys.readouterr().err == ""


def test_a_wrong_configuration_is_told(run: Run, tmp_path: Path) -> None:
    (tmp_path / "mine.toml").write_text("modle = 'echo:any'")
    done = run("ask", "hi", env={"LLMMW_CONFIG": "mine.toml"})
    assert done.returncode == 2
    assert done.stderr == "Error: mine.toml: unknown key 'modle'; did you mean 'model'?\n"


def test_plain_lines_come_every_five_seconds_at_most(capsys: pytest.CaptureFixture[str]) -> None:
    lines = Lines()
    for second in range(21):
        lines.show(100.0 + second, "rows", second, 50, f"at {second}")
    assert capsys.readouterr().err.split("\n") == ["at 5", "at 10", "at 15", "at 20", ""]
    hear = downloads(lines)
    for done in (0, 1_500_000, 3_000_000, 3_000_000):
        hear(DownloadProgress(200.0, "m", done, 3_000_000))
    hear(DownloadProgress(200.0, "other", 1_000_000))
    hear(DownloadProgress(206.0, "other", 2_000_000))
    assert capsys.readouterr().err.splitlines() == [
        "downloading m: 3.0 of 3.0 MB (100 %)",
        "downloading other: 2.0 MB",
    ]


def test_the_meter_tells_rates_of_this_run_and_what_is_left() -> None:
    meter = Meter(total=500, before=100, begun=10.0)
    answer, error = Generation(finish=Finish("stop")), ServerError("no")
    for index in range(18):
        meter.count(Item(index=index, id=index, response=answer))
    for index in range(18, 20):
        meter.count(Item(index=index, id=index, error=error))
    meter.count(Item(index=20, id=20, response=answer, journaled=True))
    spent = Spent(input_tokens=90, output_tokens=720, cost=Decimal("0.25"))
    meter.see(Progress(done=21, failed=2, total=500, hits=4, spent=spent))
    rest = "10.0 rows/s, 360 tokens/s, 4 hits, $0.2500, 0:38 left"
    assert meter.line(12.0) == f"118/500 answered, 2 errors, {rest}"
    meter.ended = 4010.0
    assert meter.summary() == (
        "18 answers, 2 errors, 90 tokens in, 720 out, 4 hits, $0.2500, 4000.0 s, 0.2 tokens/s"
    )
    assert Meter().line(1.0) == "0 answered"
    assert Meter(total=9, begun=0.0, answers=1).line(1000.0).endswith("2:13:20 left")


@pytest.mark.parametrize("size", [1, 2, 3, 7, 100])
def test_lines_are_the_same_however_the_chunks_fall(size: int) -> None:
    text = b"\xef\xbb\xbfone\n\n  \r\ntwo\r\n" + b"x" * 12 + b"\nlast"
    splitter = Splitter(most=10)
    chunks = [text[at : at + size] for at in range(0, len(text), size)]
    found = [line for chunk in [*chunks, b""] for line in splitter.feed(chunk)]
    assert found == [(1, b"one"), (4, b"two\r"), (5, None), (6, b"last")]
