"""Redis for llmmw: the store `redis`, which also keeps limits that several processes share."""

from __future__ import annotations

from llmmw.plugin import Spec, hookimpl
from llmmw_redis._store import RedisStore as RedisStore

__all__ = ["RedisStore", "llmmw_stores"]


@hookimpl
def llmmw_stores() -> list[Spec]:
    """The store `redis`."""
    summary = "in a Redis, for several machines: redis://host:6379"
    return [Spec("redis", "llmmw_redis:RedisStore", summary)]
