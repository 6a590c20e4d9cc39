"""Who is compared. A peer more is a program in `peers/`, and a row here."""

from __future__ import annotations

from typing import Literal

import attrs

from tests.benchmarks._peers import HERE

__all__ = ["BARE", "OURS", "REQUESTS", "STREAMS", "TLS", "Rival"]


@attrs.frozen
class Rival:
    """One client program, as it is asked.

    Args:
        name: as tables have it.
        program: its file.
        env: where it runs: here, or in an environment of the peers.
        variant: told to the program.
        most: no more in flight than so.
    """

    name: str
    program: str
    env: Literal["here", "clients", "litellm"] = HERE
    variant: str = ""
    most: int = 10_000


BARE = Rival("bare httptools over trio", "peers/bare.py")
OURS = Rival("llmmw, default stack", "ours/with_trio.py")
_THREAD = Rival("llmmw.aio, by its thread", "ours/with_asyncio.py")
_GUEST = Rival("llmmw.aio, as a guest", "ours/with_asyncio.py", variant="guest")
_POOL = Rival("llmmw's pool alone", "ours/over_wire.py", variant="pool")
_HTTPX = Rival("httpx on trio", "peers/with_httpx.py", "clients")
_AIOHTTP = Rival("aiohttp", "peers/with_aiohttp.py", "clients")
_OPENAI = Rival("openai", "peers/with_openai.py", "clients")
_LANGCHAIN = Rival("langchain-openai", "peers/with_langchain.py", "clients")
_LITELLM = Rival("litellm", "peers/with_litellm.py", "litellm")

REQUESTS = [
    BARE,
    _POOL,
    Rival("httpx over llmmw's transport", "ours/over_wire.py", variant="transport"),
    Rival("llmmw, empty stack", "ours/with_trio.py", variant="bare"),
    OURS,
    Rival("llmmw, default stack, anthropic:", "ours/with_trio.py", variant="anthropic"),
    _THREAD,
    _GUEST,
    Rival("llmmw.sync", "ours/with_threads.py", most=1),
    _HTTPX,
    _AIOHTTP,
    _OPENAI,
    Rival("anthropic", "peers/with_anthropic.py", "clients"),
    _LANGCHAIN,
    _LITELLM,
]
STREAMS = [
    BARE,
    Rival("bare, with orjson", "peers/bare.py", variant="orjson"),
    Rival("llmmw, empty stack", "ours/with_trio.py", variant="bare"),
    OURS,
    _THREAD,
    _GUEST,
    _OPENAI,
    _LANGCHAIN,
    _LITELLM,
]
TLS = [BARE, _POOL, OURS, _HTTPX, _AIOHTTP, _OPENAI]
