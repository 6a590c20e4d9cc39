"""`llmmw map` as a job: formats, templates, limits, and what failed."""

from __future__ import annotations

import csv
import datetime
import decimal
import importlib
import json
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as arrow
import pytest

from llmmw.cli._limit import Limit
from llmmw.cli._tables import table_of
from llmmw.cli._template import Template

from .conftest import Run, rows_of, write_rows

parquet: Any = importlib.import_module("pyarrow.parquet")

Asked = Callable[[], list[str]]


def _csv(path: Path, *records: list[str]) -> Path:
    with path.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows(records)
    return path


def _prices(folder: Path) -> Path:
    path = folder / "llmmw.toml"
    path.write_text('stack = []\n[prices."t:x"]\ninput = "1000"\noutput = "1000"\n')
    return path


def test_csv_goes_in_and_out(run: Run, tmp_path: Path, asked: Asked) -> None:
    source = _csv(
        tmp_path / "in.csv",
        ["id", "prompt", "max_output_tokens", "stop"],
        ["007", "say one", "20", ""],
        ["b", 'say "two",\nthree', "", "x"],
        ["c", "say four"],
        ["d", "say é", "many", ""],
    )
    done = run("map", source, "-o", "out.csv", "-m", "t:x")
    assert done.returncode == 1
    with (tmp_path / "out.csv").open(newline="", encoding="utf-8") as file:
        one, two, short, wrong = csv.DictReader(file)
    assert (one["id"], one["text"], one["output_tokens"], one["model"]) == (
        "007",
        "one ",
        "1",
        "t:x",
    )
    assert (two["text"], two["error_type"]) == ('"two", three ', "")
    assert short["id"] == "3"
    assert short["error_message"] == "row 3: it has 2 fields, the header has 4"
    letters = rows_of(tmp_path / "out.dead.jsonl")
    assert [letter["number"] for letter in letters] == [3, 4]
    assert letters[1]["row"] == {"id": "d", "prompt": "say é", "max_output_tokens": "many"}
    assert wrong["error_message"].startswith("row 4: ")
    assert sorted(asked()) == ['say "two",', "say one", "three"]


def test_parquet_goes_in_and_out(run: Run, tmp_path: Path) -> None:
    rows = [
        {"id": n, "prompt": f"say {n}", "temperature": 0.5 if n % 2 else None} for n in range(9)
    ]
    parquet.write_table(arrow.Table.from_pylist(rows), tmp_path / "in.parquet", row_group_size=4)
    done = run("map", "in.parquet", "-o", "out.parquet", "-m", "t:x")
    assert done.returncode == 0, done.stderr
    table = parquet.read_table(tmp_path / "out.parquet")
    assert table.schema.field("id").type == arrow.int64()
    assert table.column("text").to_pylist() == [f"{n} " for n in range(9)]
    rows = [{"id": "a", "prompt": "say x"}, {"id": "b", "prompt": "fail"}]
    parquet.write_table(arrow.Table.from_pylist(rows), tmp_path / "in2.parquet")
    assert run("map", "in2.parquet", "-o", "two.parquet", "-m", "t:x").returncode == 1
    table = parquet.read_table(tmp_path / "two.parquet")
    assert table.column("id").to_pylist() == ["a", "b"]
    assert table.column("error_type").to_pylist() == [None, "ServerError"]


@pytest.mark.parametrize("last", [2**63 - 1, 2**64 - 1, -(2**63)])
def test_ids_of_any_size_go_into_parquet(run: Run, tmp_path: Path, last: int) -> None:
    rows = [{"id": 1, "prompt": "say x"}, {"id": last, "prompt": "say y"}]
    source = write_rows(tmp_path / "in.jsonl", *rows)
    done = run("map", source, "-o", "out.parquet", "-m", "t:x")
    assert done.returncode == 0, done.stderr
    ids = parquet.read_table(tmp_path / "out.parquet").column("id").to_pylist()
    assert ids == ([1, last] if last < 2**63 else ["1", str(last)])


def test_columns_of_parquet_are_told_as_they_are(run: Run, tmp_path: Path, asked: Asked) -> None:
    row = {
        "day": datetime.date(2024, 5, 1),
        "at": datetime.datetime(2024, 5, 1, 8, 30),
        "price": decimal.Decimal("1.50"),
        "raw": "é".encode(),
        "many": [1],
        "yes": True,
    }
    parquet.write_table(
        arrow.table({name: [one] for name, one in row.items()}),
        tmp_path / "in.parquet",
    )
    template = "say {day} {at} {price} {raw} {many} {yes}"
    done = run("map", "in.parquet", "-o", "out.jsonl", "-m", "t:x", "--prompt", template)
    assert done.returncode == 0, done.stderr
    assert asked() == ["say 2024-05-01 2024-05-01T08:30:00 1.50 é [1] true"]


def test_damaged_parquet_is_told(run: Run, tmp_path: Path) -> None:
    parquet.write_table(arrow.table({"prompt": ["say x"] * 9}), tmp_path / "in.parquet")
    data = bytearray((tmp_path / "in.parquet").read_bytes())
    data[4:40] = b"\xff" * 36
    (tmp_path / "in.parquet").write_bytes(data)
    done = run("map", "in.parquet", "-o", "out.jsonl", "-m", "t:x")
    assert done.returncode == 1
    assert "Error: in.parquet: after row 0: " in done.stderr
    assert "Traceback" not in done.stderr


def test_parquet_without_its_library_says_what_to_install(run: Run, tmp_path: Path) -> None:
    (tmp_path / "site" / "pyarrow.py").write_text("raise ImportError('gone')\n")
    source = write_rows(tmp_path / "in.jsonl", {"prompt": "say x"})

    def forget() -> None:
        import sys

        for name in [name for name in sys.modules if name.partition(".")[0] == "pyarrow"]:
            del sys.modules[name]

    done = run("map", source, "-o", "out.parquet", "-m", "t:x", before=forget)
    assert done.returncode == 2
    assert "llmmw[parquet]" in done.stderr


@pytest.mark.parametrize("name", ["in.csv", "in.jsonl"])
def test_a_template_makes_prompts_of_columns(
    run: Run, tmp_path: Path, asked: Asked, name: str
) -> None:
    rows = [["first word", "to", "temperature"], ["one", "fr", "hot"], ["two {x}", "de", "cold"]]
    if name == "in.csv":
        _csv(tmp_path / name, *rows)
    else:
        write_rows(tmp_path / name, *(dict(zip(rows[0], row, strict=True)) for row in rows[1:]))
    template = "say {{{first word}}} in {to}"
    done = run("map", name, "-o", "out.jsonl", "-m", "t:x", "-c", "1", "--prompt", template)
    assert done.returncode == 0, done.stderr
    assert asked() == ["say {one} in fr", "say {two {x}} in de"]


def test_a_row_names_its_model_in_a_column(run: Run, tmp_path: Path) -> None:
    rows = [["word", "who"], ["one", "t:small"], ["two", ""], ["three", "ghost:x"]]
    source = _csv(tmp_path / "in.csv", *rows)
    words = ["-m", "t:x", "--prompt", "say {word}", "--model-column", "who"]
    done = run("map", source, "-o", "out.jsonl", *words)
    assert done.returncode == 1
    one, two, three = rows_of(tmp_path / "out.jsonl")
    assert (one["model"], two["model"]) == ("t:small", "t:x")
    assert "no provider is named 'ghost'" in three["error"]["message"]
    done = run("map", source, "-o", "new.jsonl", "-m", "t:x", "--model-column", "whom")
    assert done.returncode == 2
    assert "no column 'whom'" in done.stderr


@pytest.mark.parametrize(
    ("records", "words", "says"),
    [
        ([["text"], ["one"]], [], "--prompt makes one of columns"),
        ([["prompt", "temprature"], ["one", "1"]], [], "did you mean 'temperature'?"),
        ([["prompt", "prompt"], ["one", "1"]], [], "the first line must name the columns"),
        ([["text"], ["one"]], ["--prompt", "{txt}"], "names a column 'txt'; there are: text"),
        ([["prompt"], ['"\x00']], [], ""),
    ],
)
def test_what_is_wrong_with_columns_is_told_before_anything_is_asked(
    run: Run, tmp_path: Path, asked: Asked, records: list[list[str]], words: list[str], says: str
) -> None:
    if not says:
        (tmp_path / "in.csv").write_bytes(b"prompt\nsay x\nsay \xff\n")
        says = "in.csv: after line"
    else:
        _csv(tmp_path / "in.csv", *records)
    done = run("map", "in.csv", "-o", "out.jsonl", "-m", "t:x", *words)
    assert done.returncode in {1, 2}
    assert says in " ".join(done.stderr.split())
    assert asked() == []


def test_what_failed_goes_to_the_dead_letters_and_is_asked_again_when_that_is_wanted(
    run: Run, tmp_path: Path, asked: Asked
) -> None:
    rows = [
        {"id": "a", "prompt": "say x"},
        {"id": "b", "prompt": "fail", "seed": 1},
        "{oops",
        {"id": "c", "prompt": "wait 9", "stop": 5},
    ]
    source, letters = write_rows(tmp_path / "in.jsonl", *rows), tmp_path / "out.dead.jsonl"
    words = ["map", source, "-o", "out.jsonl", "-m", "t:x"]
    done = run(*words)
    assert done.returncode == 1
    assert "3 rows failed, see out.dead.jsonl; --retry-failed asks again" in done.stderr
    failed, torn, wrong = rows_of(letters)
    assert failed["row"] == rows[1]
    assert failed["error"]["type"] == "ServerError"
    assert "out of order" in failed["error"]["message"]
    assert (torn["line"], torn["row"]) == (3, None)
    assert torn["error"]["message"].startswith("line 3: no JSON")
    assert wrong["id"] == "c"
    assert [row["id"] for row in rows_of(tmp_path / "out.jsonl")] == ["a", "b", 3, "c"]
    assert "fail" in asked()

    done = run(*words)
    assert (done.returncode, asked()) == (1, [])
    assert "1 answered before, 0 to go" in done.stderr

    rows[3] = {"id": "c", "prompt": "say mended"}
    write_rows(source, *rows)
    done = run(*words)
    assert asked() == ["say mended"], "a failed row that is another now is asked"
    assert [row["id"] for row in rows_of(letters)] == ["b", 3]

    done = run(*words, "--retry-failed")
    assert set(asked()) == {"fail"}
    assert "2 answered before, 2 to go" in done.stderr

    rows[1:3] = [{"id": "b", "prompt": "say b"}, {"id": "o", "prompt": "say o"}]
    write_rows(source, *rows)
    assert run(*words).returncode == 0
    assert sorted(asked()) == ["say b", "say o"]
    assert not letters.exists()


def test_another_input_writes_nothing(run: Run, tmp_path: Path) -> None:
    rows = [{"prompt": "fail"}, {"prompt": "say x"}]
    source = write_rows(tmp_path / "in.jsonl", *rows)
    assert run("map", source, "-o", "out.jsonl", "-m", "t:x").returncode == 1
    (tmp_path / "out.jsonl").unlink()
    (tmp_path / "out.dead.jsonl").unlink()
    write_rows(source, {"prompt": "fail"}, {"prompt": "say y"})
    assert run("map", source, "-o", "out.jsonl", "-m", "t:x").returncode == 2
    assert not [*tmp_path.glob("out*.jsonl")]
    write_rows(source, *rows)
    assert run("map", source, "-o", "out.jsonl", "-m", "t:x").returncode == 1
    assert rows_of(tmp_path / "out.dead.jsonl")[0]["row"] == rows[0]


@pytest.mark.parametrize("words", [[], ["--fresh"]])
def test_a_damaged_journal_is_told_and_left_alone(
    run: Run, tmp_path: Path, asked: Asked, words: list[str]
) -> None:
    source, journal = write_rows(tmp_path / "in.jsonl", {"prompt": "say x"}), "out.jsonl.journal"
    assert run("map", source, "-o", "out.jsonl", "-m", "t:x").returncode == 0
    data = bytearray((tmp_path / journal).read_bytes())
    data[4096:8192] = b"\xff" * 4096
    (tmp_path / journal).write_bytes(data)
    asked()
    done = run("map", source, "-o", "out.jsonl", "-m", "t:x", *words)
    assert (done.returncode, asked()) == (2, [])
    assert f"the journal {journal} can't be read" in done.stderr
    assert "move it away to begin a new one" in done.stderr
    assert len(done.stderr.splitlines()) == 1
    assert (tmp_path / journal).read_bytes()[4096:8192] == bytes(data[4096:8192])


def test_dead_letters_go_where_they_are_told_to(run: Run, tmp_path: Path) -> None:
    source = write_rows(tmp_path / "in.jsonl", {"prompt": "fail"})
    run("map", source, "-o", "out.jsonl", "-m", "t:x", "--dead-letters", "lost.jsonl")
    assert rows_of(tmp_path / "lost.jsonl")[0]["row"] == {"prompt": "fail"}
    assert not (tmp_path / "out.dead.jsonl").exists()


@pytest.mark.parametrize(
    ("option", "more"),
    [(["--limit-cost", "0.02"], ["--limit-cost", "9"]), (["--limit-tokens", "20"], [])],
)
def test_a_limit_ends_it_cleanly_and_the_next_run_goes_on(
    run: Run, tmp_path: Path, asked: Asked, option: list[str], more: list[str]
) -> None:
    source = write_rows(tmp_path / "in.jsonl", *({"prompt": "say x"} for _ in range(20)))
    words = [
        "map",
        source,
        "-o",
        "out.jsonl",
        "-m",
        "t:x",
        "-c",
        "2",
        "--config",
        _prices(tmp_path),
    ]
    done = run(*words, *option)
    assert done.returncode == 3
    count = len(asked())
    assert 5 <= count <= 6, "four tokens, or $0.004, each; two are alive at once"
    assert "Stopped: the limit of " in done.stderr
    assert f"{count} of 20 rows are answered in out.jsonl; run the same" in done.stderr
    assert len(rows_of(tmp_path / "out.jsonl")) == count
    done = run(*words, *option)
    assert (done.returncode, asked()) == (3, []), "the limit is one of the job, not of the run"
    done = run(*words, *more)
    assert done.returncode == 0, done.stderr
    assert len(asked()) == 20 - count
    assert len(rows_of(tmp_path / "out.jsonl")) == 20


def test_a_limit_holds_without_a_file_too(run: Run, tmp_path: Path, asked: Asked) -> None:
    source = write_rows(tmp_path / "in.jsonl", *({"prompt": "say x"} for _ in range(20)))
    done = run("map", source, "-m", "t:x", "-c", "1", "--limit-tokens", "8")
    assert (done.returncode, len(asked())) == (3, 2)
    assert len(done.stdout.splitlines()) == 2
    assert "Stopped: the limit of 8 tokens is reached: 8 are used" in done.stderr


def test_a_limit_of_money_needs_a_price(run: Run, tmp_path: Path, asked: Asked) -> None:
    source = write_rows(tmp_path / "in.jsonl", *({"prompt": "say x"} for _ in range(20)))
    done = run("map", source, "-o", "out.jsonl", "-m", "t:x", "-c", "1", "--limit-cost", "1")
    assert done.returncode == 3
    assert len(asked()) <= 5
    assert "nobody knows what an answer of t:x costs" in done.stderr


def test_hits_and_money_are_told(run: Run, tmp_path: Path, asked: Asked) -> None:
    config = _prices(tmp_path)
    config.write_text(config.read_text().replace("stack = []\n", "") + '[[stack]]\nuse = "cache"\n')
    source = write_rows(
        tmp_path / "in.jsonl", *({"prompt": "say x", "temperature": 0} for _ in range(5))
    )
    done = run("map", source, "-o", "o.jsonl", "-m", "t:x", "-c", "1", "--config", config)
    assert done.returncode == 0, done.stderr
    assert len(asked()) == 1
    assert "5 answers, 0 errors, 3 tokens in, 1 out, 4 hits, $0.0040, " in done.stderr


def test_a_template_has_names_and_nothing_else() -> None:
    assert Template.of("no names").fill({}) == "no names"
    assert Template.of("{a}{b}").fill({"a": 1.5, "b": ["é"]}) == '1.5["é"]'


def test_a_table_can_be_read_again_and_again(tmp_path: Path) -> None:
    path = _csv(tmp_path / "a.csv", ["a"], ["1"], [], ["2"])
    with path.open("rb", buffering=0) as file:
        table = table_of("a.csv", file, typed=True)
        for _ in range(2):
            assert (table.count(), table.columns()) == (2, ["a"])
            assert [*table.rows()] == [(1, {"a": 1}), (2, {"a": 2})]


def test_no_limit_is_never_reached() -> None:
    assert not Limit().reached()


def test_a_killed_run_has_its_limit_still(
    run: Run, start: Callable[..., subprocess.Popen[str]], tmp_path: Path, asked: Asked
) -> None:
    rows = [{"prompt": "say x"} for _ in range(4)]
    source = write_rows(tmp_path / "in.jsonl", *rows, {"prompt": "wait 30"})
    words = ["map", source, "-o", "out.jsonl", "-m", "t:x", "-c", "5"]
    with start(*words, "--limit-tokens", "100") as process:
        assert process.stderr
        journal = tmp_path / "out.jsonl.journal"
        while not (journal.exists() and _count(journal) == 4):
            assert process.poll() is None
        process.kill()
    asked()
    done = run(*words, "--limit-tokens", "16")
    assert (done.returncode, asked()) == (3, [])
    assert "16 are used" in done.stderr


def _count(journal: Path) -> int:
    """How many answers stand in a journal that is in use: they are in its log as they are."""
    log = journal.with_name(f"{journal.name}-wal")
    return json.dumps(log.read_bytes().decode("latin-1")).count("Generation") if log.exists() else 0
