"""The output file of `map`: a journal while it runs, in the order of the input at its end.

Each finished row is appended by one write, so a killed run loses at most the line it was
writing. The order is made by writing a second file and putting it in the place of the first; if
that fails, the journal stays as it is, which is as good for going on.
"""

from __future__ import annotations

import errno
import os
import stat
import sys
import tempfile
from array import array
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import IO, Any

import attrs
import click
import orjson

from llmmw.cli._rows import Id
from llmmw.cli._run import Failed, Misused, reason_of

if sys.platform != "win32":
    import fcntl

__all__ = ["Journal", "open_journal"]

_NONE = -1
# How every line of ours begins, so that a torn one can be told from a foreign file.
_BEGIN = b'{"id":'


@attrs.define(eq=False)
class Journal:
    """An open output file. `ids` says where in the input a row stands.

    Attributes:
        answered: how many rows have an answer.
    """

    path: Path
    ids: Mapping[Id, int]
    count: int
    _file: int
    answered: int = 0
    _size: int = 0
    _lines: int = 0
    _places: array[int] = attrs.field(init=False)
    _done: bytearray = attrs.field(init=False)

    def __attrs_post_init__(self) -> None:
        self._places = array("q", [_NONE]) * self.count
        self._done = bytearray(self.count)

    def is_answered(self, place: int) -> bool:
        """Whether the row at this place of the input has its answer already."""
        if place >= self.count:
            raise Failed("the input has grown since it was read first: run again")
        return bool(self._done[place])

    def load(self) -> None:
        """Read what an earlier run has left.

        Raises:
            click.UsageError: if the file is none of ours, or belongs to another input.
        """
        self._catch_up()
        if self._size and os.pread(self._file, 1, self._size - 1) != b"\n":
            _write_all(self._file, b"\n")
            self._size += 1

    def _catch_up(self) -> None:
        """Take note of the lines that are in the file and not noted yet."""
        with self.path.open("rb") as file:
            file.seek(self._size)
            for line in file:
                self._take(line)

    def _take(self, line: bytes) -> None:
        offset, number = self._size, self._lines + 1
        self._size += len(line)
        self._lines += 1
        row = _row_of(line)
        if row is None:
            if not _is_torn(line):
                raise click.UsageError(
                    f"line {number} of {self.path} is no row of an output: the wrong file? "
                    "(--fresh writes it anew)"
                )
            return
        name, is_answer = row
        place = self.ids.get(name)
        if place is not None:
            self._note(place, offset, is_answer)
        elif is_answer:
            raise click.UsageError(
                f"{self.path} answers the row {name!r}, which the input does not have: the wrong "
                "file? (--fresh writes it anew)"
            )

    def _note(self, place: int, offset: int, is_answer: bool) -> None:
        if is_answer or not self._done[place]:
            self._places[place] = offset
        if is_answer and not self._done[place]:
            self._done[place] = 1
            self.answered += 1

    async def write(self, place: int, line: bytes, *, is_answer: bool) -> None:
        """Append a finished row.

        Raises:
            Failed: if that can't be done; the message says how many rows are safe.
        """
        offset = self._size
        try:
            _write_all(self._file, line)
        except OSError as error:
            os.ftruncate(self._file, offset)
            raise Failed(
                f"can't write {self.path}: {reason_of(error)}; {self.answered} answers are safe "
                "in it, run again to go on"
            ) from error
        self._lines += 1
        self._note(place, offset, is_answer)
        self._size += len(line)  # last, so that `_catch_up` sees what Ctrl-C has kept from here

    def kept(self) -> str:
        """How far the whole is, and how to go on."""
        have = f"{self.answered} of {self.count} rows are answered in {self.path}"
        return f"{have}; run the same command again to go on"

    def finish(self) -> str:
        """Put the rows in the order of the input, unless they are; close the file. Returns what
        went wrong with that, or `""`; the rows are safe in either case."""
        try:
            self._catch_up()
            if not self._is_ordered():
                self._rewrite()
            else:
                os.fsync(self._file)
        except OSError as error:
            return f"{self.path} is whole, but not in the order of the input: {reason_of(error)}"
        finally:
            os.close(self._file)
        return ""

    def _held(self) -> Iterator[int]:
        return (offset for offset in self._places if offset != _NONE)

    def _is_ordered(self) -> bool:
        last, held = _NONE, 0
        for offset in self._held():
            if offset < last:
                return False
            last, held = offset, held + 1
        return held == self._lines

    def _rewrite(self) -> None:
        place = Path(os.path.realpath(self.path))
        file, name = tempfile.mkstemp(prefix=f".{place.name}.", suffix=".part", dir=place.parent)
        try:
            with os.fdopen(file, "wb") as ordered, self.path.open("rb") as journal:
                for offset in self._held():
                    journal.seek(offset)
                    ordered.write(journal.readline())
                ordered.flush()
                os.fchmod(file, stat.S_IMODE(os.fstat(self._file).st_mode))
                os.fsync(file)
            Path(name).replace(place)
        except BaseException:
            Path(name).unlink(missing_ok=True)
            raise
        _sync_folder(place.parent)


def _write_all(file: int, line: bytes) -> None:
    rest = memoryview(line)
    while rest:
        rest = rest[os.write(file, rest) :]


def _row_of(line: bytes) -> tuple[Id, bool] | None:
    """The id of a row of the output and whether it is an answer; `None` if it is no such row."""
    try:
        data: Any = orjson.loads(line)
    except orjson.JSONDecodeError:
        return None
    if not isinstance(data, dict) or type(data.get("id")) not in (str, int):
        return None
    if "error" in data:
        return data["id"], False
    return (data["id"], True) if isinstance(data.get("text"), str) else None


def _is_torn(line: bytes) -> bool:
    """Whether this may be the begin of a row that was not written to its end; a computer that
    lost its power may leave zeros."""
    begun = line.rstrip(b"\n")
    try:
        orjson.loads(line)
    except orjson.JSONDecodeError:
        return _BEGIN.startswith(begun[: len(_BEGIN)]) or not begun.strip(b"\0")
    return False


def _sync_folder(folder: Path) -> None:
    file = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(file)
    finally:
        os.close(file)


def open_journal(path: Path, source: IO[bytes], *, fresh: bool) -> int:
    """Open the output for appending and hold it against a second run; its descriptor.

    Raises:
        Misused: if it can't be opened.
        click.UsageError: if it is the input, or another run has it.
    """
    flags = os.O_RDWR | os.O_CREAT | os.O_APPEND | getattr(os, "O_CLOEXEC", 0)
    try:
        file = os.open(path, flags, 0o666)
    except OSError as error:
        raise Misused(f"can't write {path}: {error.strerror}") from error
    if os.path.sameopenfile(file, source.fileno()):
        raise click.UsageError(f"{path} is the input; the output must be another file")
    _hold(file, path)
    if fresh:
        os.ftruncate(file, 0)
    return file


def _hold(file: int, path: Path) -> None:
    if sys.platform == "win32":
        return  # no such locks: two runs on one file are not noticed there
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        if error.errno in {errno.EAGAIN, errno.EACCES}:
            raise click.UsageError(f"another run is writing {path}") from error
        # A file system without locks: two runs on one file are not noticed there.
