"""The output as a file: JSON lines, CSV, or Parquet, as its name says. It takes the place of the
old one when it is whole."""

from __future__ import annotations

import csv
import io
import os
import stat
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from itertools import islice
from pathlib import Path
from typing import IO, Any

import orjson

from llmmw.cli._rows import encode
from llmmw.cli._tables import format_of, pyarrow

__all__ = ["replace_file", "write_rows"]

_BATCH = 5000
_COLUMNS: Mapping[str, str] = {
    "id": "string",
    "text": "string",
    "finish_reason": "string",
    "model": "string",
    "seconds": "float64",
    "input_tokens": "int64",
    "output_tokens": "int64",
    "cost": "float64",
    "reasoning": "string",
    "refusal": "string",
    "tool_calls": "string",
    "candidates": "string",
    "warnings": "string",
    "error_type": "string",
    "error_message": "string",
}
"""Of CSV and of Parquet; what is no plain value stands there as JSON."""


def write_rows(path: Path, rows: Iterable[Mapping[str, Any]], *, numbered: bool) -> None:
    """Write rows of the output in the format that the path says.

    Args:
        path: the file.
        rows: as they stand in a file of JSON lines.
        numbered: all ids are whole numbers.

    Raises:
        OSError: if that fails; what was there is there still.
    """
    form = format_of(path)

    def write(file: IO[bytes]) -> None:
        if form == "csv":
            _write_csv(file, map(_flat, rows))
        elif form == "parquet":
            _write_parquet(file, map(_flat, rows), numbered=numbered)
        else:
            file.writelines(map(encode, rows))

    replace_file(path, write)


def _write_csv(file: IO[bytes], rows: Iterable[dict[str, Any]]) -> None:
    text = io.TextIOWrapper(file, encoding="utf-8", errors="replace", newline="")
    writer = csv.DictWriter(text, [*_COLUMNS])
    writer.writeheader()
    writer.writerows(rows)
    text.flush()
    text.detach()


def _write_parquet(file: IO[bytes], rows: Iterator[dict[str, Any]], *, numbered: bool) -> None:
    arrow = pyarrow()
    kinds = {**_COLUMNS, "id": "int64" if numbered else "string"}
    schema = arrow.schema([*kinds.items()])
    with arrow.parquet.ParquetWriter(file, schema) as writer:
        while batch := list(islice(rows, _BATCH)):
            for row in batch:
                row["id"] = row["id"] if numbered else str(row["id"])
            writer.write_table(arrow.Table.from_pylist(batch, schema))


def _flat(row: Mapping[str, Any]) -> dict[str, Any]:
    """A row of the output with plain values alone."""
    usage, error = row.get("usage", {}), row.get("error", {})
    told = {**usage, **row, "error_type": error.get("type"), "error_message": error.get("message")}
    return {name: _plain(told.get(name)) for name in _COLUMNS}


def _plain(value: Any) -> Any:
    if isinstance(value, str):
        return value.encode(errors="replace").decode()
    if isinstance(value, (list, dict)):
        return orjson.dumps(value, default=str).decode()
    return value


def replace_file(path: Path, write: Callable[[IO[bytes]], None]) -> None:
    """Have `write` fill a new file, and put it in the place of the old one with the same mode."""
    place = Path(os.path.realpath(path))
    part = place.with_name(f".{place.name}.part")
    try:
        with part.open("wb") as file:
            write(file)
            file.flush()
            with suppress(FileNotFoundError):
                os.fchmod(file.fileno(), stat.S_IMODE(place.stat().st_mode))
            os.fsync(file.fileno())
        part.replace(place)
    except BaseException:
        part.unlink(missing_ok=True)
        raise
    _sync_folder(place.parent)


def _sync_folder(folder: Path) -> None:
    if os.name == "posix":
        file = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(file)
        finally:
            os.close(file)
