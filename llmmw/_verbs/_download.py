"""Files that come piece by piece, and stand in their place only when they are whole."""

from __future__ import annotations

import io
import os
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any, Protocol, TypeVar

import trio

from llmmw._administration import Hear, Pieces, Transfer
from llmmw.errors import BadRequest, ProtocolError, StreamInterrupted

__all__ = ["Writable", "safe_path", "save"]

T = TypeVar("T")

_NEW = os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0)
_CHUNK = 2**20
"""So many bytes are written at once, since each time takes a thread."""
_STALLED = 120.0
"""Seconds without a byte after which a host has gone, since no policy looks after files."""


class Writable(Protocol):
    """What is open to write bytes to."""

    def write(self, data: bytes, /) -> Any: ...


async def save(pieces: Pieces, to: str | Path | Writable, hear: Hear, status: str = "") -> int:
    """Write bytes as they come, and tell how many there were.

    Args:
        pieces: they come from here.
        to: a path, where nothing stands before all has come, and what stood there is replaced; or
            an open binary file.
        hear: told how far it is.
        status: what it is told besides.

    Raises:
        StreamInterrupted: if less came than was promised.
        BadRequest: if it can't be written.
    """
    if not isinstance(to, (str, os.PathLike)):
        given: object = to
        if isinstance(given, io.TextIOBase) or not callable(getattr(given, "write", None)):
            raise BadRequest(f"a path or an open binary file is written to, not {to!r:.100}")
        return await _copy(pieces, to, hear, status)
    part: _Part = await _of_file(to, _Part, Path(to))
    try:
        size = await _copy(pieces, part, hear, status)
        await _of_file(to, part.finish)
        return size
    finally:
        part.close()


class _Part:
    """A file that takes its place when it is whole. Nobody else may read it."""

    def __init__(self, path: Path) -> None:
        if path.exists() and not path.is_file():
            raise OSError("it is no file, but a directory or a device")
        self._path = path.resolve()  # what a link leads to is written, and the link stays
        self._path.parent.mkdir(parents=True, exist_ok=True)
        self._part = self._path.parent / f".llmmw-{os.urandom(8).hex()}.part"
        self._file = os.fdopen(os.open(self._part, _NEW, 0o600), "wb")

    def write(self, data: bytes) -> None:
        try:
            self._file.write(data)
        except OSError as error:
            raise _unwritten(self._path, error) from None

    def finish(self) -> None:
        self._file.close()
        self._part.replace(self._path)

    def close(self) -> None:
        """Leave nothing, if it was not finished."""
        with suppress(OSError):
            self._file.close()
        with suppress(OSError):
            self._part.unlink()


async def _of_file(to: object, do: Callable[..., T], *arguments: Any) -> T:
    """Do what takes a disk, in a thread."""
    try:
        return await trio.to_thread.run_sync(do, *arguments)
    except (OSError, ValueError, RuntimeError) as error:  # no name; links in a circle
        raise _unwritten(to, error) from None


def _unwritten(to: object, error: Exception) -> BadRequest:
    return BadRequest(f"{to} can't be written: {getattr(error, 'strerror', None) or error}")


async def _copy(pieces: Pieces, to: Writable, hear: Hear, status: str) -> int:
    done = 0
    hear(Transfer(done=0, total=pieces.size, status=status))
    while chunk := await _chunk(pieces):
        await trio.to_thread.run_sync(_write, to, chunk)
        done += len(chunk)
        hear(Transfer(done=done, total=pieces.size, status=status))
    if pieces.size not in {None, done}:
        raise StreamInterrupted(f"{done} of {pieces.size} bytes came")
    return done


def _write(to: Writable, data: bytes) -> None:
    """All of it: a file without a buffer may take less at once."""
    while (taken := to.write(data)) is not None and 0 < taken < len(data):
        data = data[taken:]


async def _chunk(pieces: Pieces) -> bytes:
    found: list[bytes] = []
    size = 0
    while size < _CHUNK and (piece := await _piece(pieces)):
        found.append(piece)
        size += len(piece)
    return b"".join(found)


async def _piece(pieces: Pieces) -> bytes:
    with trio.move_on_after(_STALLED):
        return await pieces.next_piece()
    raise StreamInterrupted(f"nothing has come for {_STALLED:g} s")


def safe_path(folder: Path, name: str) -> Path:
    """Where a file of a host's choice is saved.

    Raises:
        ProtocolError: if its name leads out of the folder.
    """
    parts = name.replace("\\", "/").split("/")
    if not name or any(part in {"", ".", ".."} or ":" in part or "\0" in part for part in parts):
        raise ProtocolError(f"the host named a file {name!r}, which is no name within a folder")
    return folder.joinpath(*parts)
