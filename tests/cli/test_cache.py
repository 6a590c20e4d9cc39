"""`llmmw cache`: what is kept of answers."""

from __future__ import annotations

import base64
import json
import zlib
from pathlib import Path
from typing import Any

import msgspec
import orjson
import pytest
import trio

from llmmw import (
    Cache,
    Client,
    Embeddings,
    Generation,
    Message,
    Response,
    ToolCallPart,
    Usage,
)
from llmmw._record import Record, write_record
from llmmw.stores import SqliteStore
from llmmw.testing import SimulatedProvider, open_host

from .conftest import Run


@pytest.fixture
def kept(tmp_path: Path) -> Path:
    """A file in which two answers are kept."""
    return keep(tmp_path / "a.db", "one", "two")


def keep(path: Path, *texts: str) -> Path:
    provider = SimulatedProvider({text: f"{text} answer" for text in texts})

    async def main() -> None:
        stack = [Cache(f"sqlite:{path}")]
        async with Client("sim:one", stack=stack, providers=[provider]) as client:
            for text in texts:
                await client.ask("hello", model=f"sim:{text}")

    trio.run(main)
    return path


def test_stats(run: Run, kept: Path) -> None:
    done = run("cache", "stats", "--store", f"sqlite:{kept}")
    assert (done.returncode, done.stderr) == (0, "")
    assert f"sqlite:{kept}: 2 entries" in done.stdout
    assert "sim:one: 1, 1 tokens in" in done.stdout
    done = run("cache", "stats", "--store", f"sqlite:{kept}", "--json")
    found = json.loads(done.stdout)
    assert found["entries"] == 2
    assert found["targets"]["sim:two"]["entries"] == 1


def test_list(run: Run, kept: Path) -> None:
    done = run("cache", "list", "--store", f"sqlite:{kept}", "--target", "sim:one")
    (line,) = done.stdout.splitlines()
    assert line.endswith("sim:one  one answer")
    done = run("cache", "list", "--store", f"sqlite:{kept}", "--json")
    rows = [json.loads(line) for line in done.stdout.splitlines()]
    assert {row["text"] for row in rows} == {"one answer", "two answer"}
    assert "hello" not in done.stdout


def test_clear(run: Run, kept: Path) -> None:
    store = ("--store", f"sqlite:{kept}")
    done = run("cache", "clear", *store, stdin="n\n")
    assert done.returncode != 0
    assert "2 entries" in run("cache", "stats", *store).stdout
    done = run("cache", "clear", *store, "--older-than", "1d", "--yes")
    assert done.stdout == "0 entries are forgotten\n"
    done = run("cache", "clear", *store, "--target", "sim:one", "--yes")
    assert done.stdout == "1 entries are forgotten\n"
    done = run("cache", "clear", *store, stdin="y\n")
    assert "1 entries are forgotten" in done.stdout
    assert "0 entries" in run("cache", "stats", *store).stdout
    wrong = run("cache", "clear", *store, "--older-than", "soon", "--yes")
    assert wrong.returncode == 2
    assert "'soon': expected 90s, 15m, 12h or 30d" in wrong.stderr


def test_what_is_exported_can_be_imported(run: Run, kept: Path, tmp_path: Path) -> None:
    file = tmp_path / "answers.jsonl"
    done = run("cache", "export", file, "--store", f"sqlite:{kept}")
    assert done.stdout == f"2 entries are in {file}\n"
    assert file.stat().st_mode & 0o077 == 0
    again = run("cache", "export", file, "--store", f"sqlite:{kept}")
    assert again.returncode == 2
    assert "is there already; --force overwrites it" in again.stderr
    other = f"sqlite:{tmp_path / 'b.db'}"
    done = run("cache", "import", file, "--store", other)
    assert done.stdout == "2 entries are copied; 0 were there already\n"
    done = run("cache", "import", file, "--store", other)
    assert done.stdout == "0 entries are copied; 2 were there already\n"
    assert run("cache", "diff", f"sqlite:{kept}", other).stdout == ""
    provider = SimulatedProvider({})

    async def main() -> str:
        async with Client("sim:one", stack=[Cache(other)], providers=[provider]) as client:
            return (await client.ask("hello")).text

    assert trio.run(main) == "one answer"
    assert not provider.opened


def hostile(key: str = "k.0", **fields: Any) -> str:
    """A line with an entry that can be read, whatever it holds."""
    text = {"": "TextPart", "text": "hi", **fields.pop("part", {})}
    message = {"": "Message", "role": "assistant", "parts": [text]}
    finish = {"": "Finish", "reason": "stop"}
    answer = {"": "Generation", "message": message, "finish": finish, **fields}
    packed = msgspec.msgpack.encode(["sim:one", "", 0, answer, None])
    value = b"llmmw\x01" + zlib.crc32(packed).to_bytes(4) + packed
    row = {"key": key, "value": base64.b64encode(value).decode(), "made": 0, "expires": None}
    return orjson.dumps(row).decode()


def cost(given: str) -> dict[str, Any]:
    return {"usage": {"": "Usage", "cost": {"": "Decimal", "is": given}}}


HOSTILE = {
    "a key for the terminal": hostile(key="\x1b[2J"),
    "a key without end": hostile(key="k" * 201),
    "no text": hostile(part={"text": 5}),
    "no message": hostile(message=None),
    "another kind": hostile(message={"": "Finish", "reason": "stop"}),
    "a ledger": hostile(ledger=5),
    "tokens": hostile(usage={"": "Usage", "input_tokens": "many"}),
    "no number": hostile(**cost("sNaN")),
    "too large a number": hostile(**cost("1e999999")),
    "too long a number": hostile(**cost("1" * 1000)),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_entries_are_refused(run: Run, tmp_path: Path, name: str) -> None:
    file, store = tmp_path / "hostile.jsonl", f"sqlite:{tmp_path / 'c.db'}"
    file.write_text(f"{hostile()}\n{HOSTILE[name]}\n")
    done = run("cache", "import", file, "--store", store)
    assert done.returncode == 1
    assert done.stderr == f"Error: line 2 of {file} is no entry of a cache\n"
    assert "1 entries" in run("cache", "stats", "--store", store).stdout


@pytest.mark.parametrize("line", ["{}", "no JSON", '{"key": 1, "value": "eA==", "made": 0}'])
def test_a_wrong_file_is_told(run: Run, tmp_path: Path, line: str) -> None:
    file = tmp_path / "wrong.jsonl"
    file.write_text(f"{line}\n")
    done = run("cache", "import", file, "--store", f"sqlite:{tmp_path / 'b.db'}")
    assert done.returncode == 1
    assert f"Error: line 1 of {file} is no entry of a cache" in done.stderr


def test_merge_and_diff(run: Run, kept: Path, tmp_path: Path) -> None:
    other = keep(tmp_path / "b.db", "two", "three")
    done = run("cache", "diff", f"sqlite:{kept}", f"sqlite:{other}")
    assert sorted(line.split()[0] + line.split()[2] for line in done.stdout.splitlines()) == [
        "+sim:three",
        "-sim:one",
    ]
    done = run("cache", "merge", f"sqlite:{other}", "--store", f"sqlite:{kept}")
    assert done.stdout == "1 entries are copied; 1 were there already\n"
    done = run("cache", "diff", f"sqlite:{kept}", f"sqlite:{other}", "--json")
    (row,) = [json.loads(line) for line in done.stdout.splitlines()]
    assert (row["change"], row["target"]) == ("-", "sim:one")


def test_answers_of_tools_and_of_other_kinds_are_told_apart(run: Run, tmp_path: Path) -> None:
    def kept(name: str, day: str, used: int) -> str:
        call = ToolCallPart(id="1", name="open", arguments=f'{{"day": "{day}"}}')
        answers: list[Response] = [
            Generation(message=Message("assistant", (call,)), usage=Usage(output_tokens=used)),
            Embeddings(vectors=((float(len(day)),),)),
        ]

        async def main() -> None:
            store = SqliteStore(tmp_path / name)
            async with open_host() as host, store.open(host):
                for number, answer in enumerate(answers):
                    await store.put(f"{number}", write_record(Record(answer, "a:b")))

        trio.run(main)
        return f"sqlite:{tmp_path / name}"

    monday, again, sunday = (
        kept("a.db", "Monday", 1),
        kept("b.db", "Monday", 2),
        kept("c.db", "Su", 1),
    )
    done = run("cache", "diff", monday, sunday)
    first, second = done.stdout.splitlines()
    assert first == '~ 0  a:b  open({"day": "Su"})'
    assert second.startswith("~ 1  a:b  Embeddings(")
    assert run("cache", "diff", monday, again).stdout == ""
    assert 'open({"day": "Monday"})' in run("cache", "list", "--store", monday).stdout


def test_a_store_that_is_not_there(run: Run, tmp_path: Path) -> None:
    for words in (["stats"], ["list"], ["export", "x.jsonl"]):
        done = run("cache", *words, "--store", f"sqlite:{tmp_path / 'none.db'}")
        assert done.returncode == 1
        assert done.stderr == f"Error: {tmp_path / 'none.db'} is not there\n"
    assert not (tmp_path / "none.db").exists()
    done = run("cache", "stats", "--store", "sqlte:x")
    assert done.returncode == 2
    assert "did you mean 'sqlite'?" in done.stderr
