"""Files that come piece by piece, and stand in their place only when they are whole."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path
from typing import Any, Protocol

import trio

from llmmw._administration import Hear, Pieces, Transfer
from llmmw.errors import BadRequest, ProtocolError, StreamInterrupted

__all__ = ["Writable", "safe_path", "save"]

_CHUNK = 2**20
"""So many bytes are written at once, since each time takes a thread."""


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
    """
    if not isinstance(to, (str, os.PathLike)):
        return await _copy(pieces, to, hear, status)
    path = Path(to)
    part = path.with_name(f".{path.name}.{os.urandom(4).hex()}.part")
    try:
        with await trio.to_thread.run_sync(_open_new, part) as file:
            size = await _copy(pieces, file, hear, status)
        await trio.to_thread.run_sync(os.replace, part, path)
    except BaseException as error:
        with suppress(OSError, ValueError):
            part.unlink()
        if not isinstance(error, (OSError, ValueError)):
            raise
        why = getattr(error, "strerror", None) or str(error)
    else:
        return size
    raise BadRequest(f"{path} can't be written: {why}")


def _open_new(path: Path) -> Any:
    """Nobody else may read it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    return os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb")


async def _copy(pieces: Pieces, to: Writable, hear: Hear, status: str) -> int:
    done = 0
    while chunk := await _chunk(pieces):
        await trio.to_thread.run_sync(to.write, chunk)
        done += len(chunk)
        hear(Transfer(done=done, total=pieces.size, status=status))
    if pieces.size not in {None, done}:
        raise StreamInterrupted(f"{done} of {pieces.size} bytes came")
    return done


async def _chunk(pieces: Pieces) -> bytes:
    found: list[bytes] = []
    size = 0
    while size < _CHUNK and (piece := await pieces.next_piece()):
        found.append(piece)
        size += len(piece)
    return b"".join(found)


def safe_path(folder: Path, name: str) -> Path:
    """Where a file of a host's choice is saved.

    Raises:
        ProtocolError: if its name leads out of the folder.
    """
    parts = name.replace("\\", "/").split("/")
    if not name or any(part in {"", ".", ".."} or ":" in part or "\0" in part for part in parts):
        raise ProtocolError(f"the host named a file {name!r}, which is no name within a folder")
    return folder.joinpath(*parts)
