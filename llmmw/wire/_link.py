"""Links that hosts give to files which lie elsewhere."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

from llmmw.errors import ConfigError, ProtocolError
from llmmw.wire._http import Http
from llmmw.wire._reply import MOST_OF_A_FILE, Reply

__all__ = ["open_link"]


@asynccontextmanager
async def open_link(link: str) -> AsyncIterator[Reply]:
    """What a link leads to, however long it is; no key goes there.

    Raises:
        LLMError: if it is not reached, or answers with a status other than 2xx.
    """
    http: Http | None = None
    with suppress(ConfigError):  # which shows the link; whoever has it needs no key
        http = Http(base_url=link)
    if http is None:
        raise ProtocolError("the host gave a link that is no address of HTTP")
    async with http.open(), http.get("") as reply:
        reply.most_bytes = MOST_OF_A_FILE
        yield reply
