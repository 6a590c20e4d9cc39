"""The standard output as an async writer: what it gets is out at once, and a slow reader at the
other end of a pipe never stops the calls in flight."""

from __future__ import annotations

import os
import stat
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import attrs
import trio

from llmmw.cli._run import Misused, tame

__all__ = ["Output", "may_wait", "open_output"]

# POSIX: a pipe that is ready takes this much without waiting.
_PIPE_BUF = 512 if sys.platform == "darwin" else 4096


def may_wait(file: int) -> bool:
    """Whether reading or writing this file may wait for somebody else, and can be watched."""
    mode = os.fstat(file).st_mode
    return os.name == "posix" and (stat.S_ISFIFO(mode) or stat.S_ISSOCK(mode) or os.isatty(file))


@attrs.define(eq=False)
class Output:
    """A file that is written piece by piece. `None`: `sys.stdout`, where a test has put something
    there that no file stands behind."""

    file: int | None
    is_terminal: bool = attrs.field(init=False)
    _waits: bool = attrs.field(init=False)

    def __attrs_post_init__(self) -> None:
        self.is_terminal = self.file is not None and os.isatty(self.file)
        self._waits = self.file is not None and may_wait(self.file)

    async def text(self, text: str) -> None:
        """Write text, without control characters if this is a terminal."""
        await self.write((tame(text) if self.is_terminal else text).encode(errors="replace"))

    async def write(self, data: bytes) -> None:
        """Write bytes.

        Raises:
            OSError: if that fails; `BrokenPipeError` if the reader has gone.
        """
        if self.file is None:
            sys.stdout.write(data.decode())
            return
        rest = memoryview(data)
        while rest:
            if self._waits:
                await trio.lowlevel.wait_writable(self.file)
            rest = rest[os.write(self.file, rest[:_PIPE_BUF] if self._waits else rest) :]


@contextmanager
def open_output(path: Path | None = None) -> Iterator[int | None]:
    """The descriptor of the standard output, or of a device that is opened for writing.

    Raises:
        Misused: if it can't be opened.
    """
    if path is None:
        yield _stdout()
        return
    try:
        file = os.open(path, os.O_WRONLY)
    except OSError as error:
        raise Misused(f"can't write {path}: {error.strerror}") from error
    try:
        yield file
    finally:
        os.close(file)


def _stdout() -> int | None:
    try:
        sys.stdout.flush()
        return sys.stdout.fileno()
    except BrokenPipeError:
        raise
    except (OSError, ValueError, AttributeError):
        return None
