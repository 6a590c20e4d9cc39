"""Leaving the interpreter, and forking, while an engine works."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.plugins


def run(gguf, how):
    command = [sys.executable, str(Path(__file__).with_name("leave.py")), str(gguf), how]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)


@pytest.mark.parametrize("how", ["writing", "reading", "loading"])
def test_leave_while(gguf, how):
    ended = run(gguf, how)
    assert (ended.returncode, ended.stdout, ended.stderr) == (0, "", "")


def test_free_at_once(gguf):
    """As where a call is cancelled while its engine loads."""
    ended = run(gguf, "freed")
    assert (ended.returncode, ended.stdout, ended.stderr) == (0, "", "")


@pytest.mark.skipif(not hasattr(__import__("os"), "fork"), reason="this system does not fork")
def test_fork(gguf):
    """A child gets its own engine and its own exit status; the parent's goes on."""
    ended = run(gguf, "fork")
    assert (ended.returncode, ended.stdout.split(), ended.stderr) == (0, ["3", "4"], "")


def test_naming_the_plugin_imports_nothing_heavy():
    code = (
        "import sys, llmmw_local; llmmw_local.llmmw_providers(); llmmw_local.llmmw_commands();"
        "print({'xllamacpp', 'httpx', 'truststore', 'llmmw_local._provider'} & set(sys.modules))"
    )
    ended = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True
    )
    assert ended.stdout == "set()\n"
