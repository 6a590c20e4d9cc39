"""A file to send, read piece by piece, and again from its start whenever that is needed."""

from __future__ import annotations

import io
import os
import stat
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol

import attrs
import trio

from llmmw.errors import BadRequest

__all__ = ["Pieces", "Source", "source_of"]

_PIECE = 256 * 1024
_NO_SIZE = "the size of {} can't be told beforehand: save it as a file first"


class Pieces(Protocol):
    """Bytes as they come."""

    @property
    def size(self) -> int | None:
        """How many there will be, if that is known."""

    async def next_piece(self) -> bytes:
        """The next ones; empty at the end."""


@attrs.frozen
class Source:
    """A file to send.

    Args:
        name: what the host is told as its name.
        size: its bytes.
    """

    name: str
    size: int
    _begin: Callable[[], _Reading] = attrs.field(repr=False)

    @contextmanager
    def open(self) -> Iterator[Pieces]:
        """The file from its start.

        Raises:
            BadRequest: if it can't be read, or is not as long as it was.
        """
        reading = self._begin()
        try:
            yield reading
        finally:
            reading.close()

    @classmethod
    def of_pieces(cls, name: str, pieces: Sequence[bytes]) -> Source:
        """A file of what is in memory already; it is not copied."""
        size = sum(map(len, pieces))
        return cls(name, size, lambda: _Reading(size, _evenly(pieces)))


def _evenly(pieces: Iterable[bytes]) -> Iterator[bytes]:
    """Long ones cut and short ones joined, so that each is worth a write, and a progress."""
    held = bytearray()
    for whole in pieces:
        for at in range(0, len(whole), _PIECE):
            held += whole[at : at + _PIECE]
            if len(held) >= _PIECE:
                yield bytes(held)
                held.clear()
    yield bytes(held)


class _Reading:
    """Pieces that are in memory, one by one."""

    def __init__(self, size: int, pieces: Iterator[bytes]) -> None:
        self.size: int | None = size
        self._left = pieces

    async def next_piece(self) -> bytes:
        """The next one."""
        return next(self._left, b"")

    def close(self) -> None:
        """Nothing is open."""


class _ReadingFile(_Reading):
    """A file, read in threads since a disk may be far away; never more of it than was told."""

    def __init__(self, name: str, size: int, file: Any, *, ours: bool) -> None:
        super().__init__(size, iter(()))
        self._name, self._file, self._ours = name, file, ours
        self._unread = size

    async def next_piece(self) -> bytes:
        """The next ones."""
        if not self._unread:
            return b""
        try:
            piece = await trio.to_thread.run_sync(self._file.read, min(_PIECE, self._unread))
        except (OSError, ValueError) as error:  # ValueError: its owner has closed it
            raise BadRequest(f"{self._name} can't be read: {_why(error)}") from None
        if not piece:
            raise BadRequest(f"{self._name} has become shorter while it was sent")
        if not isinstance(piece, (bytes, bytearray, memoryview)):
            raise BadRequest(f"{self._name} gave a {type(piece).__name__}: open it in binary mode")
        self._unread -= len(piece)
        return bytes(piece)

    def close(self) -> None:
        """Close what was opened here."""
        if self._ours:
            self._file.close()


def source_of(file: object, name: str | None = None) -> Source:
    """A file to send.

    Args:
        file: a path; bytes; or an open binary file, read from where it stands.
        name: what the host is told; default: the file's own name, else `data`.

    Raises:
        BadRequest: if it is none of these, or can't be read.
    """
    if isinstance(file, (bytes, bytearray, memoryview)):
        return Source.of_pieces(name or "data", [bytes(file)])
    if isinstance(file, (str, os.PathLike)):
        return _of_path(Path(file), name)
    if callable(getattr(file, "read", None)):
        return _of_open(file, name)
    raise BadRequest(f"a path, bytes or an open binary file can be sent, not {type(file).__name__}")


def _of_path(path: Path, name: str | None) -> Source:
    def opened() -> Any:
        try:
            # Looked at first: to open a pipe without a writer would hold up everything.
            if not stat.S_ISREG(path.stat().st_mode) and not path.is_dir():
                raise BadRequest(_NO_SIZE.format(path))
            return path.open("rb")
        except (OSError, ValueError) as error:  # ValueError: a name that none can be
            raise BadRequest(f"the file {path} can't be sent: {_why(error)}") from None

    with opened() as file:
        size = os.fstat(file.fileno()).st_size
    return Source(
        name or path.name, size, lambda: _ReadingFile(str(path), size, opened(), ours=True)
    )


def _of_open(file: Any, name: str | None) -> Source:
    if isinstance(file, io.TextIOBase):
        raise BadRequest("the file is open as text: open it in binary mode, 'rb'")
    own = getattr(file, "name", None)
    named = name or (Path(own).name if isinstance(own, str) else "") or "data"
    try:
        start, size = _rest(file)
    except (AttributeError, OSError):  # a pipe, or what has no more than `read`
        raise BadRequest(_NO_SIZE.format(named)) from None
    except ValueError as error:
        raise BadRequest(f"{named} can't be sent: {error}") from None

    def begin() -> _Reading:
        try:
            file.seek(start)
        except (OSError, ValueError) as error:
            raise BadRequest(f"{named} can't be read again: {_why(error)}") from None
        return _ReadingFile(named, size, file, ours=False)

    return Source(named, size, begin)


def _rest(file: Any) -> tuple[int, int]:
    """Where an open file stands, and how many bytes follow."""
    start = file.tell()
    end = file.seek(0, os.SEEK_END)
    file.seek(start)
    return start, max(end - start, 0)


def _why(error: Exception) -> str:
    return getattr(error, "strerror", None) or str(error)
