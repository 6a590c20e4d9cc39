"""The input as rows, read as a stream: JSON lines, CSV or Parquet, as the name of the file says."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Sequence
from importlib import import_module
from pathlib import Path
from typing import IO, Any, Protocol, TypeAlias

import attrs
import click
import orjson

from llmmw.cli._lines import MOST_BYTES, Line, count_lines, lines_of
from llmmw.cli._run import Failed

__all__ = ["Raw", "Table", "format_of", "object_of", "pyarrow", "table_of"]

Raw: TypeAlias = tuple[int, dict[str, Any] | str]
"""The number of a row, from 1, and its fields, or what is wrong with it."""
_WORDS = {"id", "prompt", "model", "system"}
"""Columns of CSV that are text, whatever they look like."""
_BATCH = 1000


class Table(Protocol):
    """Rows that can be read again and again."""

    @property
    def unit(self) -> str:
        """What the numbers count: `line` or `row`."""

    def columns(self) -> Sequence[str] | None:
        """The names of the columns, where all rows have the same."""

    def count(self) -> int:
        """How many rows there are."""

    def rows(self) -> Iterator[Raw]:
        """All rows, from the first."""


def format_of(name: str | Path) -> str:
    """`jsonl`, `csv` or `parquet`; what has none of these suffixes is JSON lines."""
    suffix = Path(name).suffix.lower().removeprefix(".")
    return suffix if suffix in {"csv", "parquet"} else "jsonl"


def table_of(name: str, file: IO[bytes], *, typed: bool) -> Table:
    """The rows of an open file that can be read again.

    Args:
        name: tells the format by its suffix.
        file: is read from its begin.
        typed: fields of CSV are parameters of a request: numbers where they look so, and missing
            where they are empty.
    """
    form = format_of(name)
    if form == "csv":
        return CsvTable(name, file, typed)
    if form == "parquet":
        return ParquetTable(name, file)
    return JsonTable(file)


@attrs.frozen
class JsonTable:
    """One object a line."""

    file: IO[bytes]
    unit: str = attrs.field(default="line", init=False)

    def columns(self) -> Sequence[str] | None:
        """Each row has its own."""
        return None

    def count(self) -> int:
        """Lines that count."""
        self.file.seek(0)
        return count_lines(self.file)

    def rows(self) -> Iterator[Raw]:
        """All lines."""
        self.file.seek(0)
        return map(object_of, lines_of(self.file))


def object_of(line: Line) -> Raw:
    """The row that a line of JSON is."""
    number, text = line
    if text is None:
        return number, f"the line is longer than {MOST_BYTES} bytes"
    try:
        data = orjson.loads(text)
    except orjson.JSONDecodeError as error:
        return number, f"no JSON: {error.msg} (column {error.colno})"
    if isinstance(data, dict):
        return number, data
    return number, f"expected an object, not {type(data).__name__}"


@attrs.frozen
class CsvTable:
    """Comma-separated values in UTF-8, with a header."""

    name: str
    file: IO[bytes]
    typed: bool
    unit: str = attrs.field(default="row", init=False)

    def columns(self) -> Sequence[str] | None:
        """The header."""
        header = next(self._records(), [])
        if not header or len({*header}) < len(header) or "" in header:
            raise click.UsageError(
                f"{self.name}: the first line must name the columns, each by a name of its own"
            )
        return header

    def count(self) -> int:
        """Records after the header."""
        return sum(1 for record in self._records() if record) - 1

    def rows(self) -> Iterator[Raw]:
        """All records after the header."""
        header = self.columns() or ()
        records = (record for record in self._records() if record)
        next(records)
        for number, record in enumerate(records, 1):
            if len(record) != len(header):
                yield number, f"it has {len(record)} fields, the header has {len(header)}"
                continue
            pairs = zip(header, record, strict=True)
            yield number, _typed(dict(pairs)) if self.typed else dict(pairs)

    def _records(self) -> Iterator[list[str]]:
        csv.field_size_limit(MOST_BYTES)
        self.file.seek(0)
        raw: Any = self.file  # any file of bytes will do
        buffer = io.BufferedReader(raw)
        text = io.TextIOWrapper(buffer, encoding="utf-8-sig", newline="")
        reader = csv.reader(text, strict=True)
        try:
            yield from reader
        except (csv.Error, UnicodeDecodeError) as error:
            raise Failed(f"{self.name}: after line {reader.line_num}: {error}") from error
        finally:
            text.detach()
            buffer.detach()  # the file stays open


def _typed(record: dict[str, str]) -> dict[str, Any]:
    return {
        name: field if name in _WORDS else _value(field) for name, field in record.items() if field
    }


def _value(field: str) -> Any:
    try:
        return orjson.loads(field)
    except orjson.JSONDecodeError:
        return field


@attrs.frozen
class ParquetTable:
    """A file of Apache Parquet."""

    name: str
    file: IO[bytes]
    unit: str = attrs.field(default="row", init=False)

    def columns(self) -> Sequence[str] | None:
        """As its schema says."""
        return list(self._open().schema_arrow.names)

    def count(self) -> int:
        """As its footer says."""
        return int(self._open().metadata.num_rows)

    def rows(self) -> Iterator[Raw]:
        """All rows; some thousands of them are in memory."""
        number = 0
        for batch in self._batches():
            for row in batch:
                number += 1
                yield number, {name: one for name, one in row.items() if one is not None}

    def _batches(self) -> Iterator[list[dict[str, Any]]]:
        arrow, count = pyarrow(), 0
        try:
            for batch in self._open().iter_batches(batch_size=_BATCH):
                yield batch.to_pylist()
                count += batch.num_rows
        except (arrow.ArrowException, OSError) as error:
            raise Failed(f"{self.name}: after row {count}: {error}") from error

    def _open(self) -> Any:
        arrow = pyarrow()
        self.file.seek(0)
        try:
            return arrow.parquet.ParquetFile(arrow.PythonFile(self.file, mode="r"))
        except (arrow.ArrowException, OSError) as error:
            raise click.UsageError(f"{self.name} is no Parquet: {error}") from error


def pyarrow() -> Any:
    """`pyarrow`, with its `parquet`.

    Raises:
        click.UsageError: if it is not installed.
    """
    try:
        import_module("pyarrow.parquet")
        return import_module("pyarrow")
    except ImportError as error:
        raise click.UsageError(
            "Parquet needs pyarrow: python3 -m pip install 'llmmw[parquet]'"
        ) from error
