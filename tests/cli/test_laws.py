"""`llmmw laws` as a user meets it."""

import json
import subprocess
import sys

import pytest
from click.testing import CliRunner

from llmmw.policies.concurrency import Places
from llmmw.testing._command import laws


def test_every_law_is_told_with_its_counts():
    found = CliRunner().invoke(laws, ["--examples", "30", "--seed", "3", "--json"])
    assert found.exit_code == 0, found.output
    data = json.loads(found.output)
    assert data["examples"] == 30
    assert data["breaches"] == []
    rows = {row["law"]: row for row in data["laws"]}
    assert {"L1", "L55", "L101"} <= set(rows)
    assert rows["L99"]["cases"] == 30
    assert all(row["events"] <= row["cases"] for row in rows.values())
    assert {row["verdict"] for row in rows.values()} <= {"holds", "not met"}


def test_one_law_only():
    found = CliRunner().invoke(laws, ["--examples", "10", "--law", "L20", "--law", "1"])
    assert found.exit_code == 0, found.output
    shown = [line.split()[0] for line in found.output.splitlines() if line.startswith("L")]
    assert shown == ["L1", "L20"]


@pytest.mark.parametrize("given", ["nonsense", "4711"])
def test_no_law_of_that_name(given):
    found = CliRunner().invoke(laws, ["--law", given])
    assert found.exit_code == 2
    assert given in found.output


def test_a_breach_comes_with_a_program_that_shows_it(monkeypatch, tmp_path):
    with monkeypatch.context() as patch:
        patch.setattr(Places, "leave", lambda self, drops, sign: None)
        found = CliRunner().invoke(laws, ["--examples", "100", "--law", "55"])
    assert found.exit_code == 1, found.output
    head, _, program = found.output.partition("# L55: ")
    assert "broken" in head
    program = program.partition("\n")[2]
    (tmp_path / "shown.py").write_text(program)
    command = [sys.executable, str(tmp_path / "shown.py")]
    well = subprocess.run(command, capture_output=True, text=True, check=False)
    assert well.returncode == 0, well.stderr  # the library itself has no such bug
    bug = "from llmmw.policies.concurrency import Places\nPlaces.leave = lambda *given: None\n"
    (tmp_path / "shown.py").write_text(bug + program)
    broken = subprocess.run(command, capture_output=True, text=True, check=False)
    assert "AssertionError: L55" in broken.stderr


def test_without_hypothesis_it_says_what_to_install(monkeypatch):
    monkeypatch.delitem(sys.modules, "llmmw.testing._night", raising=False)
    monkeypatch.setitem(sys.modules, "hypothesis", None)
    found = CliRunner().invoke(laws, [])
    assert found.exit_code == 1
    assert "pip install 'llmmw[testing]'" in found.output


def test_ctrl_c_prints_what_was_found(monkeypatch):
    from llmmw.testing import _night

    real, runs = _night.run_world, []

    def stopped(*args, **options):
        runs.append(args)
        if len(runs) > 20:
            raise KeyboardInterrupt
        return real(*args, **options)

    monkeypatch.setattr(_night, "run_world", stopped)
    found = CliRunner().invoke(laws, ["--examples", "100"])
    assert found.exit_code == 130
    assert "20 examples" in found.output
    assert "holds" in found.output
