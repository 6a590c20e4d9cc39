"""What can be asked for by name: parts of the comparison, and the scripts that stand alone.

A part more is a module in `parts/` with `run(bench)`, and a row here.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from importlib import import_module
from pathlib import Path

from tests.benchmarks._bench import Bench, Row

__all__ = ["PARTS", "SCRIPTS", "part", "run_script"]

PARTS = {
    "requests": "whole answers, 1, 64 and 512 in flight",
    "stream": "streamed answers, in one burst and paced; time to the first token",
    "tls": "whole answers over TLS",
    "overhead": "what each policy adds",
    "imports": "import time",
    "cancel": "a thousand calls in flight are cancelled",
    "many": "ten thousand streams at once",
    "memory": "memory after many calls, and a map over many rows (`--calls`)",
}
"""Those that are run unless some are named."""
SCRIPTS = {
    path.stem.removeprefix("bench_").replace("_", "-"): path
    for path in sorted(Path(__file__).parent.glob("bench_*.py"))
}
"""Run by name only."""


def part(name: str) -> Callable[[Bench], list[Row]]:
    """The function that measures a part."""
    found: Callable[[Bench], list[Row]] = import_module(f"tests.benchmarks.parts.{name}").run
    return found


def run_script(name: str) -> int:
    """Run a script; its exit status."""
    return subprocess.run([sys.executable, str(SCRIPTS[name])], check=False).returncode
