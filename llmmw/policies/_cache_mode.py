"""How a cache is used, as a whole and for some calls."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Literal, TypeAlias, get_args

from llmmw.errors import ConfigError

__all__ = ["MODES", "CacheMode", "cache_mode", "mode_of_block"]

CacheMode: TypeAlias = Literal["read-write", "read-only", "write-only", "refresh", "off"]
"""What a cache does for a call: `read-only` keeps nothing; `write-only` keeps, and never looks;
`refresh` asks anew and keeps that, and looks only when asking has failed; `off` does nothing."""

MODES: tuple[str, ...] = get_args(CacheMode)
mode_of_block: ContextVar[CacheMode | None] = ContextVar("cache_mode", default=None)


@contextmanager
def cache_mode(mode: CacheMode) -> Iterator[None]:
    """Calls that are made in the block, and by tasks that it starts, use caches in this way.

    ::

        with cache_mode("refresh"):
            response = await client.ask("What is new?")
    """
    if mode not in MODES:
        raise ConfigError(f"cache_mode({mode!r}): expected one of {', '.join(map(repr, MODES))}")
    token = mode_of_block.set(mode)
    try:
        yield
    finally:
        mode_of_block.reset(token)
