"""`llmmw ask`: one question, from wherever it comes."""

from __future__ import annotations

import json
import os
import signal
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import IO

import pytest

from .conftest import Run

PNG = b"\x89PNG\r\n\x1a\n" + b"\0" * 8


@pytest.mark.plugins
@pytest.mark.parametrize(
    ("words", "stdin", "answer"),
    [
        (["say", "hi there"], "", "say hi there"),
        ([], "from stdin\n", "from stdin"),
        (["-"], "from stdin", "from stdin"),
        (["Sum up:"], "long text\n", "Sum up:\n\nlong text"),
        (["alone"], "\n", "alone"),
    ],
)
def test_the_prompt_is_the_argument_then_the_standard_input(
    run: Run, words: list[str], stdin: str, answer: str
) -> None:
    done = run("ask", *words, "-m", "echo:any", stdin=stdin)
    assert (done.returncode, done.stdout, done.stderr) == (0, f"{answer}\n", "")


def test_text_is_out_as_it_arrives(start: Callable[..., subprocess.Popen[str]]) -> None:
    with start("ask", "wait 0.1 one two", "-m", "t:x", stdin=subprocess.DEVNULL) as process:
        assert process.stdout
        assert process.stdout.read() == "0.1 one two \n"


def test_a_row_of_json_has_all_that_was_told(run: Run) -> None:
    done = run("ask", "say hi there", "-m", "t:x", "--json")
    row = json.loads(done.stdout)
    assert done.stdout.count("\n") == 1
    assert row.pop("seconds") >= 0
    assert row == {
        "text": "hi there ",
        "finish_reason": "stop",
        "usage": {"input_tokens": 3, "output_tokens": 2},
        "model": "t:x",
    }
    called = json.loads(run("ask", "tool", "-m", "t:x", "--json").stdout)
    assert called["tool_calls"] == [{"id": "c1", "name": "look", "arguments": '{"at": 1}'}]


def test_verbose_tells_attempts_waits_and_speed(run: Run) -> None:
    done = run("ask", "say hi there", "-m", "t:x", "-v")
    assert done.stdout == "hi there \n"
    lines = done.stderr.splitlines()
    for line, words in zip(
        lines,
        [
            "call of t:x",
            "attempt 1 on t:x (first)",
            "sent",
            "first content",
            "ok after",
            "ended: ok, 3 tokens in, 2 out",
            "t:x, ",
        ],
        strict=True,
    ):
        assert words in line
    assert "2 tokens, " in lines[-1]
    assert lines[-1].endswith(" tokens/s")


@pytest.mark.plugins
def test_fallbacks_are_tried_in_order(run: Run) -> None:
    done = run("ask", "fail", "-m", "t:x", "-m", "echo:any", "-v")
    assert (done.returncode, done.stdout) == (0, "fail\n")
    assert "ServerError" in done.stderr
    assert "attempt 2 on echo:any" in done.stderr


def test_waits_are_told_while_they_last(start: Callable[..., subprocess.Popen[str]]) -> None:
    with start("ask", "fail", "-m", "t:x", "-v", stdin=subprocess.DEVNULL) as process:
        assert process.stderr
        assert process.stdout
        seen = ""
        while "(backoff)" not in seen:
            line = process.stderr.readline()
            assert line, f"ended before it told a wait: {seen}"
            seen += line
        assert process.poll() is None
        rest = process.stderr.read()
        assert process.wait(10) == 1
    assert rest.splitlines()[-1].startswith("Error: ServerError: t:x: out of order")
    assert rest.splitlines()[-1].endswith("(after 3 attempts)")


def test_a_broken_answer_leaves_its_text_and_a_message(run: Run) -> None:
    done = run("ask", "break one two", "-m", "t:x")
    assert (done.returncode, done.stdout) == (1, "one two \n")
    assert done.stderr == "Error: StreamInterrupted: t:x: the line is dead\n"


def test_a_cut_answer_and_a_tool_are_remarked(run: Run) -> None:
    done = run("ask", "cut it", "-m", "t:x")
    assert (done.returncode, done.stdout) == (0, "it \n")
    assert "cut at its limit of tokens" in done.stderr
    assert 'asks for a tool: look({"at": 1})' in run("ask", "tool", "-m", "t:x").stderr


def test_attachments_follow_the_prompt(run: Run, tmp_path: Path) -> None:
    (tmp_path / "dot.png").write_bytes(PNG)
    (tmp_path / "note.txt").write_text("five!")
    done = run("ask", "say a", "-m", "t:x", "-a", "dot.png", "-a", "note.txt")
    assert done.stdout == "a [image/png 16][text/plain 5]\n"


def test_parameters_reach_the_request(run: Run, tmp_path: Path, site: Path) -> None:
    seen = "print(call.request, file=__import__('sys').stderr)"
    code = (site / "llmmw_t.py").read_text()
    at = "        answer = ResponseBuilder"
    (site / "llmmw_t.py").write_text(code.replace(at, f"        {seen}\n{at}"))
    (tmp_path / "schema.json").write_text('{"type": "object"}')
    frequent = ["--temperature", "0.5", "--max-output-tokens", "9", "--seed", "4", "--stop", "x"]
    done = run(
        *("ask", "say a", "-m", "t:x", "-s", "be brief", *frequent, "--stop", "y"),
        *("-p", "top_p=0.25", "-p", "reasoning=low", "--schema", "schema.json"),
    )
    assert done.returncode == 0, done.stderr
    for words in (
        "temperature=0.5",
        "max_output_tokens=9",
        "seed=4",
        "stop_sequences=('x', 'y')",
        "top_p=0.25",
        "Reasoning(effort='low'",
        "schema={'type': 'object'}",
        "role='system', parts=(TextPart(text='be brief'",
    ):
        assert words in done.stderr


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["hi", "-m", "t:x", "-p", "temprature=1"], "did you mean 'temperature'?"),
        (["hi", "-m", "t:x", "--temperature", "-1"], "expected a number from 0 to 100"),
        (["hi", "-m", "t:x", "-p", "tools=5"], "can't be taken"),
        (["hi", "-m", "t:x", "-a", "gone.png"], "can't read the attachment gone.png: No such"),
        (["hi", "-m", "t:x", "-a", "fake.png"], "fake.png is no readable image"),
        (["hi", "-m", "t:x", "--schema", "gone.json"], "can't read the schema: gone.json: No"),
        (["hi", "-m", "t:x", "--schema", "fake.png"], "fake.png is no JSON"),
        (["", "-m", "t:x"], "there is nothing to ask"),
        (["hi", "-m", "tt:x"], "no provider is named 'tt'; did you mean 't'?"),
        (["hi", "-m", "x"], "the model 'x' is not of the form"),
    ],
)
def test_a_wrong_command_asks_nothing(
    run: Run, tmp_path: Path, asked: Callable[[], list[str]], words: list[str], says: str
) -> None:
    (tmp_path / "fake.png").write_text("no image")
    done = run("ask", *words)
    assert done.returncode == 2
    assert says in " ".join(done.stderr.split())
    assert asked() == []


def test_input_that_is_no_text_is_told(start: Callable[..., subprocess.Popen[bytes]]) -> None:
    with start("ask", "-m", "t:x", stdin=-1, text=False) as process:
        _, told = process.communicate(b"\xff\xfe", timeout=10)
    assert process.returncode == 2
    assert b"no UTF-8 text" in told


def test_ctrl_c_ends_an_answer(start: Callable[..., subprocess.Popen[str]]) -> None:
    with start("ask", "wait 30", "-m", "t:x", "-v", stdin=subprocess.DEVNULL) as process:
        assert process.stderr
        for line in process.stderr:
            if line.endswith(" sent\n"):
                break
        process.send_signal(signal.SIGINT)
        assert process.wait(5) == 130
        told = process.stderr.read()
    assert told.endswith("\nInterrupted\n")
    assert "Traceback" not in told


def test_a_closed_pipe_ends_it_quietly(start: Callable[..., subprocess.Popen[str]]) -> None:
    with start("ask", "wait 0.5 one two", "-m", "t:x", stdin=subprocess.DEVNULL) as process:
        assert process.stdout
        assert process.stderr
        process.stdout.close()
        assert process.wait(5) == 141
        assert process.stderr.read() == ""


def test_a_full_disk_is_told(run: Run) -> None:
    with Path("/dev/full").open("w") as full:
        done = run("ask", "say hi", "-m", "t:x", stdout=full.fileno())
    assert (done.returncode, done.stderr) == (1, "Error: No space left on device\n")


def test_a_slow_reader_does_not_stop_the_call(
    start: Callable[..., subprocess.Popen[str]],
) -> None:
    """The pipe is full and nobody reads it; the call's limit of time runs out all the same."""
    words = ["ask", "flood", "-m", "t:x", "-v", "--timeout", "0.5"]
    with start(*words, stdin=subprocess.DEVNULL) as process:
        assert process.stdout
        assert process.stderr
        ended = _until(process.stderr, "ended: DeadlineExceeded")
        assert ended, "nothing was told while the pipe was full"
        assert process.poll() is None
        assert process.stdout.read() == "x" * 200_000 + "\n"
        assert process.wait(5) == 1


def _until(file: IO[str], words: str) -> list[str]:
    """The line that has these words, as a list; none if the file ends before."""
    return next(([line] for line in file if words in line), [])


def test_a_terminal_is_not_steered_by_an_answer(
    start: Callable[..., subprocess.Popen[str]],
) -> None:
    mine, theirs = os.openpty()
    wanted = {"stdout": theirs, "stderr": theirs, "stdin": subprocess.DEVNULL}
    with start("ask", "slow \x1b[2J \x9b red", "-m", "t:x", "-v", **wanted) as process:
        os.close(theirs)
        assert process.wait(10) == 0
        seen = os.read(mine, 65536).decode()
        os.close(mine)
        assert "\x1b" not in seen
        assert "\x9b" not in seen
        assert "�[2J � red \r\n" in seen, "in one piece: -v waits for the end of the line"
        assert seen.index("ended: ok") > seen.index("red")


def test_a_download_is_shown(run: Run) -> None:
    done = run("ask", "fetch it", "-m", "t:x")
    assert done.stderr == "downloading tiny: 100.0 of 100.0 MB (100 %)\n"
