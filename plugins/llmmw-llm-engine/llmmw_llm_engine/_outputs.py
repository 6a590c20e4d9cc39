"""Where what comes of batches is written, and how it is read there."""

from __future__ import annotations

import re
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import attrs
import trio

from llmmw.errors import (
    ConfigError,
    NotFound,
    PermissionDenied,
    ProtocolError,
    UnsupportedFeature,
)
from llmmw.plugin import Pieces, source_of
from llmmw.wire import MOST_OF_A_FILE, Http, JSONArrayDecoder

__all__ = ["Outputs", "bare", "elements_of", "is_there"]

_MOST_ELEMENT = 64 * 2**20
_ID = "{id}"
_WEB = {"http", "https"}


@attrs.frozen
class Outputs:
    """The addresses of outputs, in which `{id}` stands for what tells them apart.

    Args:
        written: where the host writes.
        read: where this is read; default: the same.
    """

    written: str | None = None
    read: str | None = None

    def __attrs_post_init__(self) -> None:
        for option, given in (("batch_output", self.written), ("batch_results", self.read)):
            if given is not None and given.count(_ID) != 1:
                raise ConfigError(f"{option}={_shown(given)!r}: expected {_ID} in it, once")
        if self.read is not None and self.written is None:
            raise ConfigError("batch_results is where batch_output is read: give that too")

    def path(self, id: str) -> str:
        """Where the output of this id is written."""
        assert self.written is not None
        return self.written.replace(_ID, id)

    def id_in(self, path: str) -> str | None:
        """The id of an output; none, if it was written elsewhere."""
        if self.written is None:
            return None
        begin, _, end = self.written.partition(_ID)
        # The host tells the path: what stands for the id must lead nowhere else.
        found = re.fullmatch(f"{re.escape(begin)}([\\w-][\\w.-]*){re.escape(end)}", path)
        return None if found is None else found.group(1)

    def address(self, path: str) -> str:
        """Where an output is read.

        Raises:
            UnsupportedFeature: if it was written to where nobody said that it can be read. The
                host alone names no file of this machine.
        """
        found = self.id_in(path)
        if found is not None:
            return path if self.read is None else self.read.replace(_ID, found)
        if urlsplit(path).scheme.lower() not in _WEB:
            raise _out_of_reach(path)
        return path


async def elements_of(address: str, client: Any) -> AsyncGenerator[bytes, None]:
    """The elements of an output, one by one, as JSON.

    Args:
        address: an https address, asked without a key; or a path of this machine.
        client: asks it, if it is an address.

    Raises:
        UnsupportedFeature: if it is neither.
    """
    decoder = JSONArrayDecoder(max_event=_MOST_ELEMENT, max_total=MOST_OF_A_FILE)
    async with _opened(address, client) as pieces:
        while piece := await pieces.next_piece():
            for element in decoder.feed(piece):
                yield element
    if not decoder.ended:
        raise ProtocolError(f"the output {_shown(address)} is no whole list")


async def is_there(address: str, client: Any) -> bool:
    """Whether an output has been written.

    Raises:
        UnsupportedFeature: if it can't be read here.
    """
    try:
        async with _opened(address, client):
            return True
    except (NotFound, PermissionDenied):  # a bucket says so, too, of what is not there
        return False


@asynccontextmanager
async def bare(address: str, client: Any) -> AsyncGenerator[Pieces, None]:
    """What is at an address, fetched without a key: whoever has the address may read it.

    Raises:
        ProtocolError: if it is no address of HTTP.
    """
    http: Http | None = None
    with suppress(ConfigError):  # which shows it whole
        http = Http(base_url=address, client=client)
    if http is None:
        raise ProtocolError(f"{_shown(address)!r} is no address of HTTP")
    async with http.get("", stream=True) as reply:
        reply.most_bytes = MOST_OF_A_FILE
        yield reply


def _out_of_reach(address: str) -> UnsupportedFeature:
    return UnsupportedFeature(
        f"what came of the batch is at {_shown(address)}, which only the host reaches: read it "
        "there, or tell by the options batch_output and batch_results where it can be read"
    )


def _shown(address: str) -> str:
    """An address for people: what signs it, and lets anybody read it, stands in its query."""
    return address.partition("?")[0]


@asynccontextmanager
async def _opened(address: str, client: Any) -> AsyncGenerator[Pieces, None]:
    scheme = urlsplit(address).scheme.lower()
    if scheme in _WEB:
        async with bare(address, client) as pieces:
            yield pieces
        return
    path = Path(unquote(urlsplit(address).path) if scheme == "file" else address)
    if scheme not in {"", "file"} or not path.is_absolute():
        raise _out_of_reach(address)
    if not await trio.Path(path).is_file():
        raise NotFound(f"there is no output {path}")
    with source_of(path).open() as pieces:
        yield pieces
