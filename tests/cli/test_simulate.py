"""`llmmw simulate`: a stack in a simulated world."""

from __future__ import annotations

import json
import re
from pathlib import Path

from .conftest import Run

CONFIG = """\
model = "openai:gpt-4o-mini"

[[stack]]
use = "attempts"
[stack.retry]
retries = 1
[stack.fallback]
targets = ["nobody:has-this"]
"""

WORLD = """\
[targets."openai:*"]
first_token = 0.5
[[targets."openai:*".faults]]
error = "busy"
share = 0.2
[targets."*"]
first_token = 1.5
"""


def data_of(run: Run, *words: object) -> dict:
    done = run("simulate", *words, "--json", "--requests", 200)
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    return json.loads(done.stdout)


def test_json_has_what_scripts_want(run: Run) -> None:
    data = data_of(run)
    assert data["answered"] == 1.0
    assert 0 < data["extra_load"] < 0.1
    for what in ("first_token", "completion"):
        assert set(data[what]) == {"p50", "p90", "p95", "p99", "p999", "mean"}
        assert 0.4 < data[what]["p50"] < 0.8
    assert data["money"] is None
    assert data["did"]["hedges"] == data["events"]["AttemptStarted"]["hedge"] > 0
    assert any(policy["statistics"].get("delays") for policy in data["policies"])
    assert data == data_of(run, "default", "--seed", 1)
    assert data != data_of(run, "default", "--seed", 2)


def test_a_configuration_meets_a_world_of_files(run: Run, tmp_path: Path) -> None:
    (tmp_path / "llmmw.toml").write_text(CONFIG)
    (tmp_path / "world.toml").write_text(WORLD)
    data = data_of(run, "llmmw.toml", "--world", "world.toml", "--against", "none")
    assert list(data["targets"]) == ["openai:gpt-4o-mini", "nobody:has-this"]
    assert data["did"]["fallbacks"] == data["targets"]["nobody:has-this"]["attempts"] > 20
    assert data["answered"] == 1.0
    against = data["against"]
    assert against["answered"] == 1.0 - against["errors"]["Overloaded"] / 200
    assert list(against["targets"]) == ["openai:gpt-4o-mini"]


def test_the_page_sets_stacks_side_by_side(run: Run) -> None:
    done = run("simulate", "default", "--against", "none", "--requests", 300)
    assert done.returncode == 0, done.stderr
    assert re.search(r"^default +100\.000% +\+\d\.\d\d% +unknown$", done.stdout, re.MULTILINE)
    assert re.search(r"^none +100\.000% +\+0\.00% +unknown$", done.stdout, re.MULTILINE)
    assert "first token, s" in done.stdout
    assert re.search(r"did +hedges \d+", done.stdout)
    assert "\x1b" not in done.stdout


def test_what_is_wrong_is_told_in_one_line(run: Run, tmp_path: Path) -> None:
    (tmp_path / "world.toml").write_text('[targets."*"]\nfirst = 1\n')
    for words, told in [
        (("defualt",), "no stack 'defualt': expected a configuration file, or default or none"),
        (("llmmw.toml",), "can't read the configuration llmmw.toml"),
        (("default", "--world", "world.toml"), 'targets."*".first\'; did you mean'),
        (("default", "--world", "there.toml"), "can't read the world there.toml"),
        (("default", "-m", "gpt"), "gpt"),
        (("default", "--plot", "tail.txt"), "its name should end with one of"),
        (("default", "--plot", "no/tail.svg"), "there is no folder no"),
        (("default", "--rate", "0"), "--rate"),
    ]:
        done = run("simulate", *words, "--requests", 5)
        assert done.returncode == 2, words
        assert told in done.stderr
        assert done.stdout == ""


def test_a_plot_is_a_picture_with_its_words_and_the_same_each_time(
    run: Run, tmp_path: Path
) -> None:
    for name in ("one.svg", "two.svg"):
        done = run("simulate", "--requests", 200, "--plot", name)
        assert done.returncode == 0, done.stderr
    one, two = ((tmp_path / name).read_text() for name in ("one.svg", "two.svg"))
    assert one == two
    assert one.lstrip().startswith("<?xml")
    words = set(re.findall(r"<!-- (.*?) -->", one))  # matplotlib tells what its paths say
    assert {"default: first token", "none: first token", "p99", "1 s"} <= words


def test_without_matplotlib_one_line_says_what_to_install(run: Run) -> None:
    def hide() -> None:
        import sys

        sys.modules["matplotlib"] = sys.modules["matplotlib.figure"] = None  # type: ignore[assignment]

    done = run("simulate", "--requests", 5, "--plot", "tail.svg", before=hide)
    assert done.returncode == 2
    assert done.stderr == (
        "Error: a plot needs matplotlib, which is not installed: "
        "python3 -m pip install 'llmmw[plot]'\n"
    )
