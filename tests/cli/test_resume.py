"""`llmmw map -o`: whatever ends a run, the next one asks what has no answer and nothing else."""

from __future__ import annotations

import fcntl
import json
import os
import random
import resource
import signal
import stat
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import trio

from llmmw.cli._journal import Journal, open_journal
from llmmw.cli._run import Failed

from .conftest import Run, rows_of, write_rows

COUNT = 60


def _work(tmp_path: Path, count: int = COUNT) -> Path:
    """Rows that take a different time each, so that they are finished out of order."""
    chance = random.Random(5)
    rows = (
        {"id": f"r{number}", "prompt": f"wait {chance.uniform(0.01, 0.15):.3f} r{number}"}
        for number in range(count)
    )
    return write_rows(tmp_path / "in.jsonl", *rows)


def _names(prompts: list[str]) -> list[str]:
    return [prompt.split()[-1] for prompt in prompts]


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGKILL])
def test_a_killed_run_goes_on_where_it_stopped(
    run: Run,
    start: Callable[..., subprocess.Popen[str]],
    tmp_path: Path,
    asked: Callable[[], list[str]],
    how: signal.Signals,
) -> None:
    source, out = _work(tmp_path), tmp_path / "out.jsonl"
    with start("map", source, "-o", out, "-m", "t:x", "-c", "4") as process:
        until = time.monotonic() + 10
        while not (out.exists() and out.read_bytes().count(b"\n") >= 15):
            assert time.monotonic() < until
            time.sleep(0.005)
        process.send_signal(how)
        code = process.wait(5)
        told = process.stderr.read() if process.stderr else ""
    kept = [row["id"] for row in rows_of(out)]
    assert 15 <= len(kept) < COUNT
    if how is signal.SIGINT:
        assert code == 130
        assert told.startswith(f"\nInterrupted: {len(kept)} of {COUNT} rows are answered in ")
        assert kept == sorted(kept, key=lambda name: int(name[1:])), "in the order of the input"
    first = _names(asked())
    assert set(kept) <= set(first)

    done = run("map", source, "-o", out, "-m", "t:x")
    assert done.returncode == 0, done.stderr
    assert f"{len(kept)} answered before, {COUNT - len(kept)} to go" in done.stderr
    second = _names(asked())
    assert sorted(second) == sorted({f"r{number}" for number in range(COUNT)} - set(kept))
    assert [row["id"] for row in rows_of(out)] == [f"r{number}" for number in range(COUNT)]

    before = out.stat()
    done = run("map", source, "-o", out, "-m", "t:x")
    assert (done.returncode, asked()) == (0, [])
    assert out.stat().st_ino == before.st_ino
    assert out.stat().st_mtime_ns == before.st_mtime_ns
    assert done.stderr == f"{COUNT} answered before, 0 to go\n"
    assert list(tmp_path.glob(".out*")) == [], "no second file is left behind"


def test_rows_are_in_the_file_before_the_run_ends(
    start: Callable[..., subprocess.Popen[str]], tmp_path: Path
) -> None:
    rows = [{"id": "a", "prompt": "wait 30"}, {"id": "b", "prompt": "say hi"}]
    out = tmp_path / "out.jsonl"
    with start("map", write_rows(tmp_path / "in.jsonl", *rows), "-o", out, "-m", "t:x") as process:
        until = time.monotonic() + 5
        while not (out.exists() and out.read_bytes().endswith(b"\n")):
            assert time.monotonic() < until
            time.sleep(0.01)
        assert [row["id"] for row in rows_of(out)] == ["b"]
        process.kill()


def test_errors_and_torn_lines_are_asked_again(
    run: Run, tmp_path: Path, asked: Callable[[], list[str]]
) -> None:
    rows = [{"id": name, "prompt": f"say {name}"} for name in "abcdef"]
    source, out = write_rows(tmp_path / "in.jsonl", *rows), tmp_path / "out.jsonl"
    done = {"id": "b", "text": "B", "finish_reason": "stop"}
    failed = {"id": "a", "error": {"type": "RateLimited", "message": "slow down"}}
    whole = json.dumps({"id": "f", "text": "F"})
    torn = '{"id":"c","text":"half of'
    write_rows(out, failed, torn, done, "\0\0\0", {"id": "gone", "error": {}})
    with out.open("a") as file:
        file.write(whole)  # its end of line is missing, and nothing else
    assert run("map", source, "-o", out, "-m", "t:x").returncode == 0
    assert sorted(_names(asked())) == ["a", "c", "d", "e"]
    told = {row["id"]: row["text"] for row in rows_of(out)}
    assert told == {"a": "a ", "b": "B", "c": "c ", "d": "d ", "e": "e ", "f": "F"}
    assert list(told) == list("abcdef")
    with out.open("a") as file:
        file.write('{"i')
    assert run("map", source, "-o", out, "-m", "t:x").returncode == 0
    assert asked() == []
    assert [row["id"] for row in rows_of(out)] == list("abcdef")


def test_an_error_of_a_line_does_not_hide_an_answer(
    run: Run, tmp_path: Path, asked: Callable[[], list[str]]
) -> None:
    rows = [{"id": 1, "prompt": "say x"}, {"id": 1, "prompt": "say y"}, "oops"]
    source = write_rows(tmp_path / "in.jsonl", *rows)
    first = run("map", source, "-o", "out.jsonl", "-m", "t:x")
    before, _ = (tmp_path / "out.jsonl").read_bytes(), asked()
    second = run("map", source, "-o", "out.jsonl", "-m", "t:x")
    assert (first.returncode, second.returncode, asked()) == (1, 1, [])
    assert (tmp_path / "out.jsonl").read_bytes() == before
    assert [row["id"] for row in rows_of(tmp_path / "out.jsonl")] == [1, 1, 3]


@pytest.mark.parametrize(
    "content",
    [
        '{"id": "stranger", "text": "hello"}\n',
        '{"name": "a table of mine"}\n',
        "Dear diary,\n",
        "no line at all",
        '{"id": ["a"], "text": "hello"}\n',
    ],
)
def test_a_foreign_file_is_left_alone_unless_it_shall_be_written_anew(
    run: Run, tmp_path: Path, asked: Callable[[], list[str]], content: str
) -> None:
    source = write_rows(tmp_path / "in.jsonl", {"id": "a", "prompt": "say hi"})
    out = tmp_path / "out.jsonl"
    out.write_text(content)
    done = run("map", source, "-o", out, "-m", "t:x")
    assert done.returncode == 2
    assert "the wrong file? (--fresh" in " ".join(done.stderr.split())
    assert out.read_text() == content
    assert asked() == []
    assert run("map", source, "-o", out, "-m", "t:x", "--fresh").returncode == 0
    assert [row["text"] for row in rows_of(out)] == ["hi "]


def test_a_device_that_is_full_ends_it_with_one_message(run: Run, tmp_path: Path) -> None:
    source = write_rows(tmp_path / "in.jsonl", {"id": "a", "prompt": "say hi"})
    done = run("map", source, "-o", "/dev/full", "-m", "t:x")
    says = "Error: can't write the output: No space left on device; 0 rows are safe\n"
    assert (done.returncode, done.stderr) == (1, says)
    with Path("/dev/full").open("w") as full:
        done = run("map", source, "-m", "t:x", stdout=full.fileno())
    assert (done.returncode, done.stderr) == (1, says)


def test_a_full_disk_keeps_whole_rows_and_the_next_run_goes_on(
    run: Run, tmp_path: Path, asked: Callable[[], list[str]]
) -> None:
    source = _work(tmp_path, 20)

    def fill() -> None:
        sys.dont_write_bytecode = True  # the limit holds for whatever the process writes
        resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))

    env = {"LLMMW_T_LOG": "/dev/null"}
    done = run("map", source, "-o", "out.jsonl", "-m", "t:x", before=fill, env=env)
    kept = [row["id"] for row in rows_of(tmp_path / "out.jsonl")]
    assert 3 <= len(kept) < 20
    assert done.returncode == 1
    assert done.stderr == (
        f"Error: can't write out.jsonl: File too large; {len(kept)} answers are safe in it, "
        "run again to go on\n"
    )
    assert run("map", source, "-o", "out.jsonl", "-m", "t:x").returncode == 0
    assert set(_names(asked())).isdisjoint(kept)
    assert [row["id"] for row in rows_of(tmp_path / "out.jsonl")] == [f"r{n}" for n in range(20)]


def test_two_runs_on_one_file_are_refused(run: Run, tmp_path: Path) -> None:
    source = write_rows(tmp_path / "in.jsonl", {"id": "a", "prompt": "say hi"})
    with (tmp_path / "out.jsonl").open("w") as other:
        fcntl.flock(other, fcntl.LOCK_EX)
        done = run("map", source, "-o", "out.jsonl", "-m", "t:x")
    assert done.returncode == 2
    assert "another run is writing out.jsonl" in done.stderr


def test_the_mode_of_the_file_and_a_link_to_it_stay(run: Run, tmp_path: Path) -> None:
    rows = [{"id": 1, "prompt": "wait 0.2"}, {"id": 2, "prompt": "say hi"}]
    real, link = tmp_path / "real.jsonl", tmp_path / "out.jsonl"
    real.touch(mode=0o640)
    link.symlink_to(real)
    source = write_rows(tmp_path / "in.jsonl", *rows)
    assert run("map", source, "-o", link, "-m", "t:x").returncode == 0
    assert link.is_symlink()
    assert [row["id"] for row in rows_of(real)] == [1, 2]
    assert stat.S_IMODE(real.stat().st_mode) == 0o640


def _journal(tmp_path: Path, *ids: str) -> Journal:
    path = tmp_path / "out.jsonl"
    source = tmp_path / "source"
    source.touch()
    with source.open("rb") as file:
        descriptor = open_journal(path, file, fresh=False)
    made = Journal(path, {name: place for place, name in enumerate(ids)}, len(ids), descriptor)
    made.load()
    return made


def _line(name: str) -> bytes:
    return json.dumps({"id": name, "text": name}).encode() + b"\n"


def test_a_failed_ordering_leaves_the_journal(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    journal = _journal(tmp_path, "a", "b")

    async def fill() -> None:
        await journal.write(1, _line("b"), is_answer=True)
        await journal.write(0, _line("a"), is_answer=True)

    def refuse(*names: object) -> Path:
        raise OSError(28, "No space left on device")

    trio.run(fill)
    monkeypatch.setattr(Path, "replace", refuse)
    problem = journal.finish()
    assert problem.endswith("not in the order of the input: No space left on device")
    assert (tmp_path / "out.jsonl").read_bytes() == _line("b") + _line("a")
    assert list(tmp_path.glob(".out*")) == []


def test_a_row_that_the_disk_took_half_of_is_taken_out_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    journal = _journal(tmp_path, "a", "b")
    real, full = os.write, [False]

    def write(file: int, data: bytes) -> int:
        if full[0]:
            raise OSError(28, "No space left on device")
        full[0] = b'"b"' in bytes(data)
        return real(file, data[:5] if full[0] else data)

    async def fill() -> None:
        await journal.write(0, _line("a"), is_answer=True)
        monkeypatch.setattr("llmmw.cli._journal.os.write", write)
        await journal.write(1, _line("b"), is_answer=True)

    with pytest.raises(Failed, match="No space left on device; 1 answers are safe"):
        trio.run(fill)
    monkeypatch.undo()
    assert (tmp_path / "out.jsonl").read_bytes() == _line("a")
    assert journal.finish() == ""


def test_a_row_that_ctrl_c_caught_after_its_writing_is_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The interrupt may come between the system's write and our taking note of it."""
    journal = _journal(tmp_path, "a", "b", "c")
    real = Journal._note

    def interrupted(self: Journal, place: int, offset: int, is_answer: bool) -> None:
        if place == 1:
            raise KeyboardInterrupt
        real(self, place, offset, is_answer)

    async def fill() -> None:
        await journal.write(2, _line("c"), is_answer=True)
        await journal.write(1, _line("b"), is_answer=True)

    monkeypatch.setattr(Journal, "_note", interrupted)
    with pytest.raises(KeyboardInterrupt):
        trio.run(fill)
    monkeypatch.setattr(Journal, "_note", real)
    assert journal.finish() == ""
    assert (tmp_path / "out.jsonl").read_bytes() == _line("b") + _line("c")


def test_an_input_that_grows_meanwhile_is_noticed(tmp_path: Path) -> None:
    with pytest.raises(Failed, match="the input has grown"):
        _journal(tmp_path, "a").is_answered(1)
