"""`llmmw map`: what comes out for what goes in."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from llmmw import Generate
from llmmw.cli._rows import Feed

from .conftest import Run, rows_of, write_rows


def test_rows_come_in_the_order_of_the_input_with_all_that_was_told(
    run: Run, tmp_path: Path
) -> None:
    source = write_rows(
        tmp_path / "in.jsonl",
        {"id": "slow", "prompt": "wait 0.4 one two"},
        {"id": 7, "prompt": "say hi", "temperature": 0},
        "",
        {"messages": [{"role": "user", "content": "cut now then"}]},
    )
    done = run("map", source, "-o", "out.jsonl", "-m", "t:x")
    assert done.returncode == 0, done.stderr
    slow, fast, third = rows_of(tmp_path / "out.jsonl")
    assert list(slow) == ["id", "text", "finish_reason", "usage", "model", "seconds"]
    assert 0.4 <= slow.pop("seconds") < 2
    assert slow == {
        "id": "slow",
        "text": "0.4 one two ",
        "finish_reason": "stop",
        "usage": {"input_tokens": 3, "output_tokens": 3},
        "model": "t:x",
    }
    assert fast["id"] == 7
    assert fast["text"] == "hi "
    assert third["id"] == 4
    assert third["finish_reason"] == "length"
    assert "3 answers, 0 errors, 1 cut at their limit of tokens, 9 tokens in, 6 out" in done.stderr


def test_stdout_has_the_order_of_the_input_too(run: Run, tmp_path: Path) -> None:
    rows = [{"id": "a", "prompt": "wait 0.3"}, {"id": "b", "prompt": "say hi"}]
    text = "".join(json.dumps(row) + "\n" for row in rows)
    done = run("map", "-", "-m", "t:x", stdin=text)
    assert [json.loads(line)["id"] for line in done.stdout.splitlines()] == ["a", "b"]
    done = run("map", write_rows(tmp_path / "in.jsonl", *rows), "-m", "t:x", "--quiet")
    assert [json.loads(line)["id"] for line in done.stdout.splitlines()] == ["a", "b"]
    assert done.stderr == ""


def test_a_pipe_is_answered_while_it_is_still_written(
    start: Callable[..., subprocess.Popen[str]],
) -> None:
    with start("map", "-", "-m", "t:x", stdin=-1) as process:
        assert process.stdin
        assert process.stdout
        process.stdin.write('{"prompt": "wait 0.2"}\n')
        process.stdin.flush()
        assert json.loads(process.stdout.readline())["text"] == "0.2 "
        process.stdin.write('{"prompt": "say ho"}')
        process.stdin.close()
        assert json.loads(process.stdout.readline())["text"] == "ho "
        assert process.wait(5) == 0


def test_a_pipe_into_a_file_is_answered_too(run: Run, tmp_path: Path) -> None:
    done = run("map", "-", "-o", "out.jsonl", "-m", "t:x", stdin='{"prompt": "say hi"}')
    assert done.returncode == 0
    assert rows_of(tmp_path / "out.jsonl")[0]["text"] == "hi "


@pytest.mark.parametrize("into", ["file", "stdout"])
def test_what_is_wrong_with_a_row_harms_no_other(run: Run, tmp_path: Path, into: str) -> None:
    deep = "[" * 900 + "]" * 900
    wrong = {
        1: ("{oops", "no JSON"),
        2: ("[1]", "expected an object, not list"),
        4: ({"id": "a", "prompt": "say again"}, "the id 'a' was used before"),
        5: ({"id": "t", "prompt": "say x", "temprature": 1}, "did you mean 'temperature'?"),
        6: ({"id": "n"}, 'needs "prompt" or "messages"'),
        7: ({"id": True, "prompt": "say x"}, '"id" must be text or a whole number'),
        8: ({"id": "s", "prompt": "say x", "stop": 5}, "can't be taken"),
        9: ({"id": "m", "prompt": "say x", "model": "ghost:x"}, "no provider is named 'ghost'"),
        10: (f'{{"id": "d", "messages": [{{"role": "user", "content": {deep}}}]}}', "too deep"),
    }
    lines = {number: row for number, (row, _) in wrong.items()}
    lines |= {3: {"id": "a", "prompt": "say first"}, 11: {"id": "z", "prompt": "say last"}}
    source = write_rows(tmp_path / "in.jsonl", *(lines[number] for number in sorted(lines)))
    where: list[object] = ["-o", "out.jsonl"] if into == "file" else []
    done = run("map", source, *where, "-m", "t:x")
    assert done.returncode == 1
    text = (tmp_path / "out.jsonl").read_text() if into == "file" else done.stdout
    rows = [json.loads(line) for line in text.splitlines()]
    assert [row["id"] for row in rows] == [1, 2, "a", "a", "t", "n", 7, "s", "m", "d", "z"]
    assert (rows[2]["text"], rows[10]["text"]) == ("first ", "last ")
    for number, (_, words) in wrong.items():
        error = rows[number - 1]["error"]
        assert error["type"] == "BadRequest"
        assert error["message"].startswith(f"line {number}: ")
        assert words in error["message"]


def test_the_error_of_a_call_stands_in_its_row(run: Run, tmp_path: Path) -> None:
    rows = [{"id": 1, "prompt": "wait 5"}, {"id": 2, "prompt": "say hi"}]
    source = write_rows(tmp_path / "in.jsonl", *rows)
    done = run("map", source, "-m", "t:x", "--timeout", "0.2")
    first, second = (json.loads(line) for line in done.stdout.splitlines())
    assert first["id"] == 1
    assert first["error"]["type"] == "DeadlineExceeded"
    assert second["text"] == "hi "
    assert done.returncode == 1


def test_options_are_for_rows_that_do_not_say_otherwise() -> None:
    rows: list[dict[str, Any]] = [{"prompt": "a"}, {"prompt": "b", "system": "mine", "seed": 2}]
    defaults = {"system": "ours", "seed": 1}
    feed = Feed(list(enumerate(rows, 1)), "line", defaults, lambda target: None)
    asked = [named.asked for named in feed if isinstance(named.asked, Generate)]
    told = [(request.messages[0].text, request.seed) for request in asked]
    assert told == [("ours", 1), ("mine", 2)]


def test_half_a_surrogate_pair_is_written_and_read_again(run: Run, tmp_path: Path) -> None:
    source = write_rows(tmp_path / "in.jsonl", {"id": 1, "prompt": "half"})
    for _ in range(2):
        assert run("map", source, "-o", "out.jsonl", "-m", "t:x").returncode == 0
    assert rows_of(tmp_path / "out.jsonl")[0]["text"] == "? "


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["nowhere.jsonl", "-m", "t:x"], "can't read the input: nowhere.jsonl: No such file"),
        ([".", "-m", "t:x"], "Is a directory"),
        (["in.jsonl", "-m", "ghost:x"], "no provider is named 'ghost'"),
        (["in.jsonl", "-m", "ghost"], 'not of the form "provider:model"'),
        (["in.jsonl", "-m", "t:x", "-p", "temprature=1"], "did you mean 'temperature'?"),
        (["in.jsonl", "-m", "t:x", "-p", "seed"], "expected name=value"),
        (["in.jsonl", "-m", "t:x", "-p", "model=t:y"], "use -m"),
        (["in.jsonl", "-m", "t:x", "--timeout", "nan"], "above 0"),
        (["in.jsonl", "-m", "t:x", "-c", "0"], "x>=1"),
        (["in.jsonl", "-m", "t:x", "-o", "in.jsonl"], "is the input"),
        (["in.jsonl", "-m", "t:x", "-o", "no/such/out"], "can't write no/such/out: No such file"),
        (["in.jsonl", "-m", "t:x", "-o", "."], "can't write .: Is a directory"),
        (["in.jsonl", "-m", "t:x", "--fresh"], "--fresh needs a file"),
        (["in.jsonl", "-m", "t:x", "--retry-failed"], "--retry-failed needs a file"),
        (["in.jsonl", "-m", "t:x", "--dead-letters", "d"], "--dead-letters needs a file"),
        (["in.jsonl", "-m", "t:x", "-o", "o", "--dead-letters", "o"], "must be two files"),
        (["in.jsonl", "-m", "t:x", "-o", "o", "--dead-letters", "in.jsonl"], "is the input"),
        (["in.jsonl", "-m", "t:x", "--limit-cost", "0"], "expected dollars above 0"),
        (["in.jsonl", "-m", "t:x", "--limit-cost", "much"], "expected dollars above 0"),
        (["in.jsonl", "-m", "t:x", "--limit-tokens", "0"], "x>=1"),
        (
            ["in.jsonl", "-m", "t:x", "--prompt", "{text}"],
            "names a column 'text'; there are: prompt",
        ),
        (["in.jsonl", "-m", "t:x", "--prompt", "{}"], "the name of a column"),
        (["in.jsonl", "-m", "t:x", "--prompt", "{prompt.real}"], "'prompt.real'"),
        (["in.jsonl", "-m", "t:x", "--prompt", "{prompt!r}"], "and nothing else"),
        (["in.jsonl", "-m", "t:x", "--prompt", "{prompt:9}"], "and nothing else"),
        (["in.jsonl", "-m", "t:x", "--prompt", "{prompt"], "a brace is written {{"),
        (["in.jsonl"], "no model was named: pass -m"),
    ],
)
def test_a_wrong_command_is_told_before_anything_is_asked(
    run: Run, tmp_path: Path, asked: Callable[[], list[str]], words: list[str], says: str
) -> None:
    source = write_rows(tmp_path / "in.jsonl", {"prompt": "say hi"})
    before = source.read_text()
    done = run("map", *words, env={"LLMMW_BLOCK": "local"})
    assert done.returncode == 2
    assert says in " ".join(done.stderr.split())
    assert asked() == []
    assert source.read_text() == before
    assert done.stdout == ""


def test_a_closed_pipe_ends_it_quietly(
    start: Callable[..., subprocess.Popen[str]], tmp_path: Path, asked: Callable[[], list[str]]
) -> None:
    rows = [{"prompt": f"wait 0.05 {number}"} for number in range(400)]
    source = write_rows(tmp_path / "in.jsonl", *rows)
    with start("map", source, "-m", "t:x", "-c", "4") as process:
        assert process.stdout
        assert process.stderr
        assert json.loads(process.stdout.readline())["id"] == 1
        process.stdout.close()
        assert process.wait(5) == 141
        assert process.stderr.read() == ""
    assert len(asked()) < 100


def test_ctrl_c_ends_it_with_one_word(
    start: Callable[..., subprocess.Popen[str]], tmp_path: Path
) -> None:
    rows = [{"prompt": "say hi"}, {"prompt": "wait 30"}]
    source = write_rows(tmp_path / "in.jsonl", *rows)
    with start("map", source, "-m", "t:x") as process:
        assert process.stdout
        assert process.stderr
        process.stdout.readline()
        process.send_signal(signal.SIGINT)
        assert process.wait(5) == 130
        assert process.stderr.read() == "\nInterrupted\n"


def test_plain_lines_tell_of_a_download(run: Run, tmp_path: Path) -> None:
    source = write_rows(tmp_path / "in.jsonl", {"prompt": "fetch me"})
    done = run("map", source, "-o", "out.jsonl", "-m", "t:x")
    assert "downloading tiny: 100.0 of 100.0 MB (100 %)\n" in done.stderr
    assert "\x1b" not in done.stderr


def test_a_terminal_gets_a_bar_and_is_given_back(
    start: Callable[..., subprocess.Popen[str]], tmp_path: Path
) -> None:
    rows: list[Any] = [{"prompt": "fetch me"}, {"prompt": "wait 1.3 x"}]
    rows += [{"prompt": f"wait 0.{number} x"} for number in range(9)]
    rows.append({"prompt": "fail", "model": "ghost:x"})
    source = write_rows(tmp_path / "in.jsonl", *rows)
    mine, theirs = os.openpty()
    env = os.environ | {"TERM": "xterm", "COLUMNS": "120"}
    with start("map", source, "-o", "out.jsonl", "-m", "t:x", stderr=theirs, env=env) as process:
        os.close(theirs)
        seen = _all_of(mine)
        assert process.wait(5) == 1
        assert "downloading tiny: 40.0 of 100.0 MB (40 %)" in seen
        assert "/12 answered" in seen
        assert "rows/s" in seen
        assert "tokens/s" in seen
        assert "left" in seen
        assert "\x1b[?25h" in seen, "the cursor is shown again"
        assert ": out.jsonl\r\n" in seen
        assert seen.rstrip().endswith("1 row failed, see out.dead.jsonl; --retry-failed asks again")
        assert seen.count("answered") < 25, "drawn four times a second at most"


def _all_of(terminal: int) -> str:
    data, until = b"", time.monotonic() + 15
    while time.monotonic() < until:
        try:
            piece = os.read(terminal, 65536)
        except OSError:  # how Linux says that the other side is closed
            break
        if not piece:
            break
        data += piece
    os.close(terminal)
    return data.decode()


def test_a_wrong_setting_ends_the_run_and_keeps_what_is_there(run: Run, tmp_path: Path) -> None:
    rows = [{"prompt": "say hi"}, {"prompt": "wait 0.2"}, {"prompt": "wrong"}]
    source = write_rows(tmp_path / "in.jsonl", *rows)
    done = run("map", source, "-o", "out.jsonl", "-m", "t:x", "-c", "1")
    assert done.returncode == 2
    assert "2 of 3 rows are answered in out.jsonl" in done.stderr
    assert "Error: no key" in done.stderr
    assert [row["id"] for row in rows_of(tmp_path / "out.jsonl")] == [1, 2]
