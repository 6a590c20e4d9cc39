"""A look through a table to train on, before it is sent: what the host would refuse, or train
wrongly on, by the lines at fault. Memory does not grow with the file."""

from __future__ import annotations

import csv
import io
import os
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import IO

import attrs
import trio

from llmmw.errors import BadRequest
from llmmw.plugin import Source

__all__ = ["CsvProblem", "CsvReport", "check_source", "check_training_csv"]

_COLUMNS = ("prompt", "response")
_MOST_ROWS, _ADVISED_ROWS = 100_000, 200
_MOST_TOLD = 20
_PIECE = 256 * 1024
_MOST_ROW = 1024 * 1024
_WIDE = (b"\xff\xfe", b"\xfe\xff")
_BOM = b"\xef\xbb\xbf"


@attrs.frozen
class CsvProblem:
    """What is wrong with a line; `line` is counted from 1, the header's."""

    line: int
    message: str

    def __str__(self) -> str:
        return f"line {self.line}: {self.message}"


@attrs.frozen(kw_only=True)
class CsvReport:
    """What was found in a table to train on."""

    rows: int
    """Below the header."""
    bytes: int
    longest: int
    """Characters of the longest row; models cut what is too long for them."""
    columns: tuple[str, ...]
    problems: tuple[CsvProblem, ...]
    """The first 20."""
    count: int
    """How many problems there are in all."""
    advice: tuple[str, ...]
    """What is no fault, but good to know."""

    @property
    def ok(self) -> bool:
        """Whether the host takes it."""
        return not self.count

    def __str__(self) -> str:
        head = f"{self.rows} rows, {self.bytes} bytes, the longest row of {self.longest} characters"
        if self.ok:
            return "; ".join([f"the table can be trained on: {head}", *self.advice])
        more = self.count - len(self.problems)
        told = [*map(str, self.problems), *([f"and {more} more"] if more else []), *self.advice]
        return "; ".join([f"the table can't be trained on ({head})", *told])


def check_training_csv(source: str | os.PathLike[str] | bytes | IO[bytes]) -> CsvReport:
    """Look through a table to train on: columns `prompt` and `response`, at most 100,000 rows and
    better 200 at least, UTF-8, quotes that close, and no cell that is empty, or longer than
    `csv.field_size_limit()`.

    Args:
        source: a path, the bytes, or a file that is open in binary mode, read to its end.

    Raises:
        BadRequest: if it can't be read.
    """
    if isinstance(source, (bytes, bytearray, memoryview)):
        return _report_of([bytes(source)])
    if isinstance(source, io.TextIOBase):
        raise BadRequest("the table is open as text: open it in binary mode, 'rb'")
    if not isinstance(source, (str, os.PathLike)):
        return _report_of(iter(lambda: source.read(_PIECE), b""))
    try:
        with Path(source).open("rb") as file:
            return _report_of(iter(lambda: file.read(_PIECE), b""))
    except OSError as error:
        raise BadRequest(f"the table {source} can't be read: {error.strerror}") from None


async def check_source(source: Source) -> CsvReport:
    """As `check_training_csv`, for a file that is to be sent; in a thread of its own."""
    with source.open() as opened:

        def pieces() -> Iterator[bytes]:
            while piece := trio.from_thread.run(opened.next_piece):
                yield piece

        # No thread of those that it reads by, which wait for none that way.
        limiter = trio.CapacityLimiter(1)
        return await trio.to_thread.run_sync(lambda: _report_of(pieces()), limiter=limiter)


@attrs.define(eq=False)
class _Problems:
    """The first of them, and how many there are."""

    told: list[CsvProblem] = attrs.field(factory=list)
    count: int = 0

    def add(self, line: int, message: str) -> None:
        self.count += 1
        if len(self.told) < _MOST_TOLD:
            self.told.append(CsvProblem(line, message))


class _TooLong(Exception):
    """A row that can't be held in memory."""


@attrs.define(eq=False)
class _Lines:
    """The lines of a file, as text with their ends: LF, CRLF, or CR alone."""

    pieces: Iterable[bytes]
    problems: _Problems
    size: int = 0
    number: int = 0
    row: int = 0
    """Bytes of the row that is being read: whoever reads rows sets it back."""

    def __iter__(self) -> Iterator[str]:
        held = b""
        for piece in self.pieces:
            is_begun = self.size >= len(_BOM)
            self.size += len(piece)
            held += piece
            if self.size < len(_BOM):
                continue
            if not is_begun:
                if held.startswith(_WIDE):
                    self.problems.add(1, "is UTF-16: save the table as UTF-8")
                    return
                held = self._without_mark(held)
            *lines, held = [*held.splitlines(keepends=True), b""]
            if lines and not lines[-1].endswith(b"\n"):  # behind a CR, LF may come
                held = lines.pop()
            for line in lines:
                self.row += len(line)
                if self.row > _MOST_ROW:
                    raise _TooLong
                yield self._text(line)
            if self.row + len(held) > _MOST_ROW:
                raise _TooLong
        for line in held.splitlines(keepends=True):
            yield self._text(line)

    def _without_mark(self, begin: bytes) -> bytes:
        if begin.startswith(_BOM):
            self.problems.add(1, "begins with a byte order mark, which hides the first column")
        return begin.removeprefix(_BOM)

    def _text(self, line: bytes) -> str:
        self.number += 1
        if b"\0" in line:
            self.problems.add(self.number, "holds a NUL")
            line = line.replace(b"\0", b"")
        try:
            return line.decode()
        except UnicodeDecodeError as error:
            wrong = line[error.start]
            self.problems.add(
                self.number, f"is not UTF-8: byte {error.start + 1} of it is 0x{wrong:02x}"
            )
            return line.decode(errors="replace")


def _report_of(pieces: Iterable[bytes]) -> CsvReport:
    problems = _Problems()
    lines = _Lines(pieces, problems)
    rows = _rows(lines, problems)
    line, header = next(rows, (0, []))
    places = _places(line, header, problems)
    count = longest = 0
    for line, row in rows if header else ():
        count += 1
        longest = max(longest, sum(map(len, row)))
        _check_row(line, row, header, places, problems)
        if count == _MOST_ROWS + 1:
            problems.add(line, f"is row {count}: at most {_MOST_ROWS} are taken")
    if not count and header:
        problems.add(line, "there are no rows below the header")
    few = f"better are {_ADVISED_ROWS} rows at least"
    return CsvReport(
        rows=count,
        bytes=lines.size,
        longest=longest,
        columns=tuple(header),
        problems=tuple(problems.told),
        count=problems.count,
        advice=(few,) if count < _ADVISED_ROWS else (),
    )


def _rows(lines: _Lines, problems: _Problems) -> Iterator[tuple[int, list[str]]]:
    """The rows and the lines where they begin; below the first, empty lines count for nothing."""
    reader = csv.reader(lines, strict=True)
    while True:
        begin, lines.row = reader.line_num + 1, 0
        try:
            row = next(reader)
        except StopIteration:
            return
        except _TooLong:
            message = f"is longer than {_MOST_ROW} bytes: nothing behind was read"
            problems.add(begin, message)
            return
        except csv.Error as error:
            problems.add(begin, _said(str(error)))
            continue
        if row or begin == 1:
            yield begin, row


def _said(error: str) -> str:
    if "field limit" in error:
        return f"a cell has more than {csv.field_size_limit()} characters: is its quote closed?"
    if "unexpected end" in error:
        return "a quote is opened that nothing closes"
    if "expected after" in error:
        return "a quote within a quoted text: it has to stand twice"
    return f"is no CSV: {error}"


def _places(line: int, header: Sequence[str], problems: _Problems) -> list[tuple[str, int]]:
    """Where the columns are that matter."""
    if not header:
        if not problems.count:  # of what could not be read at all, that says enough
            what = "is empty" if line else "the table is empty"
            problems.add(1, f"{what}: the first line has to be {','.join(_COLUMNS)}")
        return []
    found: list[tuple[str, int]] = []
    for name in _COLUMNS:
        if header.count(name) == 1:
            found.append((name, header.index(name)))
        elif name in header:
            problems.add(line, f"the column {name!r} is there {header.count(name)} times")
        else:
            like = [one for one in header if one.strip().lower() == name]
            hint = f", only {like[0]!r}" if like else ""
            problems.add(line, f"there is no column {name!r}{hint}")
    return found


def _check_row(
    line: int,
    row: Sequence[str],
    header: Sequence[str],
    places: Iterable[tuple[str, int]],
    problems: _Problems,
) -> None:
    if len(row) != len(header):
        more = ": a text with a comma needs quotes around it" if len(row) > len(header) else ""
        problems.add(line, f"has {len(row)} cells, and the header {len(header)}{more}")
        return
    for name, place in places:
        if not row[place].strip():
            problems.add(line, f"the {name} is empty")
