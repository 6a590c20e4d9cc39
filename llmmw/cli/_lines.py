"""Lines of the input: bounded in length, read no faster than they are wanted."""

from __future__ import annotations

import os
import stat
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import IO, TypeAlias

import attrs
import click
import trio

from llmmw.cli._out import may_wait
from llmmw.cli._run import reason_of

__all__ = ["Line", "PipedLines", "Splitter", "count_lines", "lines_of", "open_input", "spooled"]

MOST_BYTES = 64 * 2**20
_CHUNK = 2**18
_BOM = b"\xef\xbb\xbf"

Line: TypeAlias = tuple[int, bytes | None]
"""The number of a line, from 1, and its content; `None` if it is longer than `MOST_BYTES`."""


@attrs.define(eq=False)
class Splitter:
    """Makes lines of chunks. Lines of nothing but spaces are counted and left out."""

    most: int = MOST_BYTES
    _number: int = 0
    _rest: bytearray = attrs.field(factory=bytearray)
    _too_long: bool = False

    def feed(self, chunk: bytes) -> Iterator[Line]:
        """The lines that end in this chunk; no chunk at all ends the last."""
        *ended, rest = chunk.split(b"\n")
        for piece in ended:
            self._keep(piece)
            yield from self._line()
        self._keep(rest)
        if not chunk:
            yield from self._line()

    def _keep(self, piece: bytes) -> None:
        if self._too_long or len(self._rest) + len(piece) > self.most:
            self._too_long = True
            self._rest.clear()
        else:
            self._rest += piece

    def _line(self) -> Iterator[Line]:
        self._number += 1
        line = bytes(self._rest)
        if self._number == 1:
            line = line.removeprefix(_BOM)
        if self._too_long or line.strip():
            yield self._number, None if self._too_long else line
        self._rest.clear()
        self._too_long = False


def lines_of(file: IO[bytes]) -> Iterator[Line]:
    """The lines of a file from where it stands."""
    splitter = Splitter()
    while chunk := file.read(_CHUNK):
        yield from splitter.feed(chunk)
    yield from splitter.feed(b"")


def count_lines(file: IO[bytes]) -> int:
    """How many lines there are that count; the file stands at its begin afterwards."""
    count = sum(1 for _ in lines_of(file))
    file.seek(0)
    return count


@attrs.define(eq=False)
class PipedLines:
    """The lines of a pipe or terminal, waited for without stopping the calls in flight."""

    file: int
    _splitter: Splitter = attrs.field(factory=Splitter)
    _ready: Iterator[Line] = attrs.field(factory=lambda: iter(()))
    _ended: bool = False

    async def next(self) -> Line | None:
        """The next line; `None` after the last."""
        while True:
            line = next(self._ready, None)
            if line is not None or self._ended:
                return line
            await trio.lowlevel.wait_readable(self.file)
            chunk = os.read(self.file, _CHUNK)
            self._ended = not chunk
            self._ready = self._splitter.feed(chunk)


def open_input(name: str) -> IO[bytes]:
    """Open the input for bytes, unbuffered where it is a pipe; `-` is the standard input.

    Raises:
        click.UsageError: if that fails.
    """
    try:
        if name != "-":
            file: IO[bytes] = Path(name).open("rb", buffering=0)  # noqa: SIM115 (the caller closes it)
        elif sys.stdin is None:
            raise click.UsageError("the standard input is closed")
        else:
            file = open(sys.stdin.fileno(), "rb", buffering=0, closefd=False)  # noqa: SIM115
        if stat.S_ISDIR(os.fstat(file.fileno()).st_mode):
            raise IsADirectoryError(21, "Is a directory", name)
    except OSError as error:
        raise click.UsageError(f"can't read the input: {reason_of(error)}") from error
    return file


def is_piped(file: IO[bytes]) -> bool:
    """Whether reading it may wait for whoever writes it."""
    return may_wait(file.fileno())


def spooled(file: IO[bytes]) -> IO[bytes]:
    """The input as a file that can be read twice; what comes through a pipe is copied."""
    if file.seekable():
        return file
    copy: IO[bytes] = tempfile.TemporaryFile()  # noqa: SIM115 (the caller closes it)
    while chunk := file.read(_CHUNK):
        copy.write(chunk)
    copy.seek(0)
    file.close()
    return copy
