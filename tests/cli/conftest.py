"""A provider whose prompts say what shall happen, made visible as an installed distribution."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TypeAlias

import pytest

_PROVIDER = '''
import os

import attrs
import trio
from llmmw import Finish, Usage
from llmmw.errors import ConfigError, ServerError, StreamInterrupted
from llmmw.plugin import DownloadProgress, Provider, ResponseBuilder, Spec, hookimpl


def note(words):
    with open(os.environ["LLMMW_T_LOG"], "a") as file:
        file.write(words + "\\n")


@attrs.define(eq=False)
class Scripted(Provider):
    """`say WORDS`, `slow WORDS`, `wait SECONDS`, `fail`, `break WORDS`,
    `cut WORDS`, `fetch`, `flood`, `half`, `wrong`, `tool`; every prompt is
    noted when it is asked."""

    async def __call__(self, call):
        message = call.request.messages[-1]
        verb, _, rest = message.text.partition(" ")
        if "LLMMW_T_LOG" in os.environ:
            note(message.text)
        answer = ResponseBuilder(call, self.name)
        if verb == "wait":
            await trio.sleep(float(rest.split()[0]))
        elif verb == "fail":
            raise ServerError("out of order")
        elif verb == "wrong":
            raise ConfigError("no key")
        elif verb == "fetch":
            for done in (0, 40_000_000, 100_000_000):
                now = trio.current_time()
                call.host.emit(DownloadProgress(now, "tiny", done, 100_000_000))
                # Long enough for a display that others move, too, to be drawn in between.
                await trio.sleep(1.0 if done == 40_000_000 else 0.3)
        elif verb == "flood":
            await answer.text("x" * 200_000)
            await trio.sleep(30)
        elif verb == "half":
            rest = "\\ud83d"
        elif verb == "tool":
            await answer.tool_call(0, id="c1", name="look", arguments='{"at": 1}')
        for word in rest.split():
            await answer.text(word + " ")
            await trio.sleep(0.05 if verb == "slow" else 0)
        if verb == "break":
            raise answer.interrupted("the line is dead")
        for part in message.parts[1:]:
            await answer.text(f"[{part.media_type} {len(part.data)}]")
        usage = Usage(input_tokens=3, output_tokens=len(rest.split()))
        reason = "length" if verb == "cut" else "stop"
        return await answer.finish(Finish(reason), usage=usage)


@hookimpl
def llmmw_providers():
    return [Spec("t", "llmmw_t:Scripted", "does as it is told")]
'''

Run: TypeAlias = Callable[..., "subprocess.CompletedProcess[str]"]


def distribution(folder: Path, name: str, code: str, *points: str) -> None:
    """Write a distribution into a folder of the import path."""
    (folder / f"{name}.py").write_text(code)
    about = folder / f"{name}-1.0.dist-info"
    about.mkdir()
    (about / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
    text = ""
    for point in points:
        kind, _, what = point.partition(":")
        text += f"[llmmw.{kind}]\n{what} = {name}\n"
    (about / "entry_points.txt").write_text(text)


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder on the import path of the commands that a test runs; has the provider `t`."""
    folder = tmp_path / "site"
    folder.mkdir()
    distribution(folder, "llmmw_t", _PROVIDER, "provider:t")
    monkeypatch.setenv("PYTHONPATH", str(folder))
    monkeypatch.setenv("LLMMW_T_LOG", str(tmp_path / "asked.txt"))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    for name in ("LLMMW_MODEL", "LLMMW_CONFIG", "LLMMW_BLOCK", "PYTHONUNBUFFERED"):
        monkeypatch.delenv(name, raising=False)
    return folder


@pytest.fixture
def asked(tmp_path: Path) -> Callable[[], list[str]]:
    """Gives the prompts that the provider `t` was asked since the last look."""
    path = tmp_path / "asked.txt"

    def take() -> list[str]:
        lines = path.read_text().splitlines() if path.exists() else []
        path.unlink(missing_ok=True)
        return lines

    return take


def command(*words: object) -> list[str]:
    """The command line, run by the interpreter of the tests."""
    return [sys.executable, "-c", "from llmmw.cli import main; main()", *map(str, words)]


@pytest.fixture
def run(site: Path, tmp_path: Path) -> Run:
    """Runs `llmmw` to its end, in the test's folder: a real process with real files, but forked,
    since starting an interpreter for each would take most of the time."""

    def start(
        *words: object,
        stdin: str = "",
        stdout: int | None = None,
        env: dict[str, str] | None = None,
        before: Callable[[], None] = lambda: None,
    ) -> subprocess.CompletedProcess[str]:
        (tmp_path / "stdin").write_text(stdin)
        files = [tmp_path / "stdin", tmp_path / "stdout", tmp_path / "stderr"]
        child = os.fork()
        if not child:
            os.chdir(tmp_path)
            os.environ.update(env or {})
            sys.path.insert(0, str(site))
            before()
            _become(files, stdout, [str(word) for word in words])
        status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        told = [path.read_text() for path in files[1:]]
        assert "Traceback" not in told[1], told[1]
        return subprocess.CompletedProcess(list(words), status, *told)

    return start


def _become(files: list[Path], stdout: int | None, words: list[str]) -> None:
    """In the child: take over the three standard files, run the command, and end."""
    status = 99
    try:
        for number, path in enumerate(files):
            flags = os.O_RDONLY if number == 0 else os.O_WRONLY | os.O_CREAT | os.O_TRUNC
            os.dup2(os.open(path, flags, 0o600), number)
        if stdout is not None:
            os.dup2(stdout, 1)
        sys.stdin, sys.stdout, sys.stderr = os.fdopen(0), os.fdopen(1, "w"), os.fdopen(2, "w")
        signal.signal(signal.SIGINT, signal.default_int_handler)
        signal.alarm(20)
        from llmmw.cli import main

        main(words)
    except SystemExit as ended:
        status = ended.code if isinstance(ended.code, int) else 98
        sys.stdout.flush()
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stderr.flush()
        os._exit(status)


@pytest.fixture
def start(site: Path, tmp_path: Path) -> Iterator[Callable[..., subprocess.Popen[str]]]:
    """Starts `llmmw` and leaves it running; what hangs is killed, so that its test fails."""
    guards: list[threading.Timer] = []

    def begin(*words: object, **options: Any) -> subprocess.Popen[str]:
        defaults: dict[str, Any] = {"stdout": -1, "stderr": -1, "text": True, "cwd": tmp_path}
        process = subprocess.Popen(command(*words), **(defaults | options))
        guards.append(threading.Timer(12, process.kill))
        guards[-1].start()
        return process

    yield begin
    for guard in guards:
        guard.cancel()
        guard.join()


def write_rows(path: Path, *rows: object) -> Path:
    """Write a JSONL file; text is written as it is, a bare prompt gets no id."""
    lines = (row if isinstance(row, str) else json.dumps(row) for row in rows)
    path.write_text("".join(f"{line}\n" for line in lines))
    return path


def rows_of(path: Path) -> list[dict[str, Any]]:
    """The rows of a JSONL file."""
    return [json.loads(line) for line in path.read_text().splitlines()]
