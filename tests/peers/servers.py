"""Servers that others wrote, each in a process of its own.

The scripts beside this file print the server's address on one line, and end when their standard
input closes: so none outlives its tests, however these end.
"""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

__all__ = ["open_peer"]

_RUNNERS = {".py": sys.executable, ".mjs": "node"}
_START, _END = 60.0, 10.0
"""Seconds after which a process that hangs is killed."""


@contextmanager
def open_peer(script: str, *words: object, **env: str) -> Iterator[str]:
    """The address of a server, which runs as long as the block does.

    Args:
        script: a file beside this one.
        words: its arguments.
        env: environment variables for it.
    """
    path = Path(__file__).with_name(script)
    process = subprocess.Popen(
        [_RUNNERS[path.suffix], path, *map(str, words)],
        env={**os.environ, **env},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    with process:
        try:
            yield _address(process)
        finally:
            assert process.stdin is not None
            process.stdin.close()
            try:
                status = process.wait(_END)
            except subprocess.TimeoutExpired:
                process.kill()
                raise
    assert status == 0, f"{script} ended with {status}"


def _address(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    guard = threading.Timer(_START, process.kill)
    guard.start()
    try:
        address = process.stdout.readline().strip()
    finally:
        guard.cancel()
        guard.join()
    assert address.startswith("http://"), f"the server did not start: {address!r}"
    return address
