"""`llmmw map -o`: whatever ends a run, the next one asks what has no answer and nothing else."""

from __future__ import annotations

import resource
import signal
import sqlite3
import stat
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from llmmw._job_file import open_job_file
from llmmw.errors import ConfigError

from .conftest import Run, rows_of, write_rows

COUNT = 60


def _work(tmp_path: Path, count: int = COUNT) -> Path:
    """Rows that take a different time each, so that they are finished out of order."""
    rows = (
        {"id": f"r{number}", "prompt": f"wait 0.{(number * 7) % 15 + 1:02} r{number}"}
        for number in range(count)
    )
    return write_rows(tmp_path / "in.jsonl", *rows)


def _names(prompts: list[str]) -> list[str]:
    return [prompt.split()[-1] for prompt in prompts]


def _journaled(out: Path) -> list[str]:
    with sqlite3.connect(f"{out}.journal") as db:
        rows = db.execute("SELECT id FROM rows ORDER BY place").fetchall()
    db.close()
    return [name.strip('"') for (name,) in rows]


def _wait_for(path: Path, lines: int) -> None:
    until = time.monotonic() + 10
    while not (path.exists() and path.read_bytes().count(b"\n") >= lines):
        assert time.monotonic() < until
        time.sleep(0.005)


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
        _wait_for(tmp_path / "asked.txt", 25)
        process.send_signal(how)
        code = process.wait(5)
        told = process.stderr.read() if process.stderr else ""
    kept = _journaled(out)
    first = _names(asked())
    assert 0 < len(kept) < COUNT
    assert set(kept) <= set(first)
    if how is signal.SIGINT:
        assert len(kept) >= len(first) - 4, "what was answered is written before it ends"
        assert code == 130
        assert told.startswith(f"\nInterrupted: {len(kept)} of {COUNT} rows are answered in ")
        assert [row["id"] for row in rows_of(out)] == kept, "in the order of the input"
    else:
        assert not out.exists()

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
    assert sorted(path.name for path in tmp_path.glob("*out*")) == [
        *("out.jsonl", "out.jsonl.journal"),
        "stdout",
    ]


def test_answers_come_back_as_they_were_and_a_lost_output_is_made_again(
    run: Run, tmp_path: Path, asked: Callable[[], list[str]]
) -> None:
    rows = [{"prompt": "say one"}, {"id": "x", "prompt": "tool"}, {"id": "late", "prompt": "say 3"}]
    source, out = write_rows(tmp_path / "in.jsonl", *rows), tmp_path / "out.jsonl"
    assert run("map", source, "-o", out, "-m", "t:x").returncode == 0
    first = out.read_bytes()
    out.unlink()
    assert asked() != []
    assert run("map", source, "-o", out, "-m", "t:x").returncode == 0
    assert (asked(), out.read_bytes()) == ([], first)
    with source.open("a") as file:
        file.write('{"id": "added", "prompt": "say more"}\n')
    assert run("map", source, "-o", out, "-m", "t:x").returncode == 0
    assert asked() == ["say more"]
    assert out.read_bytes().startswith(first)


@pytest.mark.parametrize(
    ("now", "options", "says"),
    [
        ([{"prompt": "say ONE"}, {"prompt": "say two"}], [], "row 0 of the input"),
        ([{"prompt": "say two"}, {"prompt": "say one"}], [], "row 0 of the input"),
        ([{"prompt": "say one"}, {"prompt": "say two"}], ["-p", "seed=3"], "row 0 of the input"),
        ([{"prompt": "say one"}, {"prompt": "say two"}], ["-m", "t:y"], "row 0 of the input"),
        ([{"prompt": "say one"}], [], "knows 2 rows, and the input has 1"),
    ],
)
def test_another_input_is_noticed(
    run: Run,
    tmp_path: Path,
    asked: Callable[[], list[str]],
    now: list[object],
    options: list[str],
    says: str,
) -> None:
    source = write_rows(tmp_path / "in.jsonl", {"prompt": "say one"}, {"prompt": "say two"})
    assert run("map", source, "-o", "out.jsonl", "-m", "t:x").returncode == 0
    before = (tmp_path / "out.jsonl").read_bytes()
    asked()
    write_rows(source, *now)
    model = [] if "-m" in options else ["-m", "t:x"]
    done = run("map", source, "-o", "out.jsonl", *model, *options)
    assert done.returncode == 2
    assert says in done.stderr
    assert "--fresh" in done.stderr
    assert asked() == []
    assert (tmp_path / "out.jsonl").read_bytes() == before
    assert run("map", source, "-o", "out.jsonl", *model, *options, "--fresh").returncode == 0
    assert len(rows_of(tmp_path / "out.jsonl")) == len(now)


@pytest.mark.parametrize("name", ["out.jsonl", "out.dead.jsonl"])
def test_a_foreign_file_is_left_alone_unless_it_shall_be_written_anew(
    run: Run, tmp_path: Path, asked: Callable[[], list[str]], name: str
) -> None:
    source = write_rows(tmp_path / "in.jsonl", {"id": "a", "prompt": "say hi"})
    foreign = tmp_path / name
    foreign.write_text("Dear diary,\n")
    done = run("map", source, "-o", "out.jsonl", "-m", "t:x")
    assert done.returncode == 2
    assert "the wrong file? (--fresh" in " ".join(done.stderr.split())
    assert foreign.read_text() == "Dear diary,\n"
    assert asked() == []
    assert run("map", source, "-o", "out.jsonl", "-m", "t:x", "--fresh").returncode == 0
    assert [row["text"] for row in rows_of(tmp_path / "out.jsonl")] == ["hi "]
    assert not (tmp_path / "out.dead.jsonl").exists()


@pytest.mark.parametrize("content", [b"Dear diary,\n" * 50, b"database"])
def test_a_file_that_is_no_journal_is_left_alone(
    run: Run, tmp_path: Path, asked: Callable[[], list[str]], content: bytes
) -> None:
    source = write_rows(tmp_path / "in.jsonl", {"id": "a", "prompt": "say hi"})
    journal = tmp_path / "out.jsonl.journal"
    if content == b"database":
        with sqlite3.connect(journal) as db:
            db.execute("CREATE TABLE mine (a)")
        db.close()
        content = journal.read_bytes()
    journal.write_bytes(content)
    done = run("map", source, "-o", "out.jsonl", "-m", "t:x")
    assert done.returncode == 2
    assert "journal" in done.stderr
    assert asked() == []


def test_a_device_that_is_full_ends_it_with_one_message(run: Run, tmp_path: Path) -> None:
    source = write_rows(tmp_path / "in.jsonl", {"id": "a", "prompt": "say hi"})
    done = run("map", source, "-o", "/dev/full", "-m", "t:x")
    says = "Error: can't write the output: No space left on device; 0 rows are safe\n"
    assert (done.returncode, done.stderr) == (1, says)
    with Path("/dev/full").open("w") as full:
        done = run("map", source, "-m", "t:x", stdout=full.fileno())
    assert (done.returncode, done.stderr) == (1, says)


def test_a_full_disk_keeps_what_was_written_and_the_next_run_goes_on(
    run: Run, tmp_path: Path, asked: Callable[[], list[str]]
) -> None:
    rows = [{"id": n, "prompt": f"wait 0.03 {'x' * 3000} r{n}"} for n in range(60)]
    source = write_rows(tmp_path / "in.jsonl", *rows)

    def fill() -> None:
        sys.dont_write_bytecode = True  # the limit holds for whatever the process writes
        resource.setrlimit(resource.RLIMIT_FSIZE, (200_000, 200_000))

    env = {"LLMMW_T_LOG": "/dev/null"}
    done = run("map", source, "-o", "out.jsonl", "-m", "t:x", "-c", "4", before=fill, env=env)
    kept = _journaled(tmp_path / "out.jsonl")
    assert 3 <= len(kept) < 60
    assert done.returncode == 1
    assert "the journal out.jsonl.journal can't be written: " in done.stderr
    assert "the rows that it has are safe" in done.stderr
    assert run("map", source, "-o", "out.jsonl", "-m", "t:x").returncode == 0
    assert {name.strip("r") for name in _names(asked())}.isdisjoint(kept)
    assert [row["id"] for row in rows_of(tmp_path / "out.jsonl")] == list(range(60))


def test_two_runs_on_one_journal_are_refused(
    run: Run, start: Callable[..., subprocess.Popen[str]], tmp_path: Path
) -> None:
    source = write_rows(tmp_path / "in.jsonl", {"id": "a", "prompt": "wait 30"})
    with start("map", source, "-o", "out.jsonl", "-m", "t:x") as process:
        _wait_for(tmp_path / "asked.txt", 1)
        done = run("map", source, "-o", "out.jsonl", "-m", "t:x")
        process.kill()
    assert done.returncode == 2
    assert "another run uses the journal out.jsonl.journal" in done.stderr


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
    assert stat.S_IMODE((tmp_path / "out.jsonl.journal").stat().st_mode) == 0o600


def test_an_output_that_can_not_be_written_loses_nothing(
    run: Run, tmp_path: Path, asked: Callable[[], list[str]]
) -> None:
    source = write_rows(tmp_path / "in.jsonl", {"id": 1, "prompt": "say hi"})
    (tmp_path / ".out.jsonl.part").mkdir()
    done = run("map", source, "-o", "out.jsonl", "-m", "t:x")
    assert done.returncode == 1
    assert "all rows are safe in out.jsonl.journal, run again to write them" in done.stderr
    (tmp_path / ".out.jsonl.part").rmdir()
    asked()
    assert run("map", source, "-o", "out.jsonl", "-m", "t:x").returncode == 0
    assert (asked(), rows_of(tmp_path / "out.jsonl")[0]["text"]) == ([], "hi ")


def test_a_journal_of_a_later_version_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "job"
    open_job_file(path).close()
    with sqlite3.connect(path) as db:
        db.execute("PRAGMA user_version = 99")
    db.close()
    with pytest.raises(ConfigError, match="another version of llmmw"):
        open_job_file(path)
