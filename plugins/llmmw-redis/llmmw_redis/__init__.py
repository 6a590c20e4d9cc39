"""Redis for llmmw: the store `redis`, which also keeps limits that several processes share.

This module is light: it names what there is. The store is imported when it is needed.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from llmmw.plugin import Spec, hookimpl

if TYPE_CHECKING:
    from llmmw_redis._store import RedisStore as RedisStore

__all__ = ["RedisStore", "llmmw_stores"]


@hookimpl
def llmmw_stores() -> list[Spec]:
    """The store `redis`."""
    summary = "in a Redis, for several machines: redis://host:6379"
    return [Spec("redis", "llmmw_redis._store:RedisStore", summary)]


def __getattr__(name: str) -> object:
    if name != "RedisStore":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from llmmw_redis._store import RedisStore

    return RedisStore
