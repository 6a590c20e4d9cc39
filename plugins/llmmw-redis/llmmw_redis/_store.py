"""Values in a Redis: each under its key with a prefix, behind the time at which it was made.

The server's clock tells how old a value is, and the server forgets what its time is over for.
"""

from __future__ import annotations

import math
import ssl
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

import attrs
import trio

from llmmw.errors import ConfigError
from llmmw.plugin import Host, Levels, Stored, StoreError
from llmmw.wire import Key, KeyOption
from llmmw_redis._address import Address, address_of
from llmmw_redis._connection import Command
from llmmw_redis._limits import Limits
from llmmw_redis._server import Server

__all__ = ["RedisStore"]

_MARK = b"\x01"
_HEAD = len(_MARK) + 8
_ENDLESS = 1e11
"""Seconds that are as good as for ever."""
_PAGE = 20
_DEFAULT: Any = "redis://localhost:6379"
_MOST_KEYS = 1_000_000


def _above_zero(item: object, field: attrs.Attribute[Any], given: Any) -> None:
    if not isinstance(given, (int, float)) or not 0 < given < math.inf:
        raise ConfigError(f"RedisStore({field.name}={given!r}): expected a number above 0")


@attrs.define(eq=False)
class RedisStore:
    """Keeps values in a Redis, for all who know its address. Its clock is the server's.

    While the server is away, or too slow, every call goes on without it: who asks gets a
    `StoreError` within `timeout`, and at once until the next try, which comes after 0.1 s at
    first, and every 5 s later on.

    Args:
        url: `redis://host:6379/0`, with TLS `rediss://host:6379/0`, or
            `unix:///run/redis.sock?db=0`; `user:password@` may stand before the host.
        password: the password, `env:NAME` or `file:PATH` that tell where it is, or a function
            that gives it.
        prefix: what all keys begin with, so that others may use the same database.
        timeout: seconds that a request may take, connecting included.
        connections: how many there are at most; further requests wait for one.
        max_bytes: the largest value.
        tls: for `rediss`, in place of trusting what the system trusts.
    """

    url: Address = attrs.field(default=_DEFAULT, converter=address_of)
    password: KeyOption = attrs.field(default=None, kw_only=True, repr=False)
    prefix: str = attrs.field(
        default="llmmw:", validator=attrs.validators.instance_of(str), kw_only=True
    )
    timeout: float = attrs.field(default=0.25, validator=_above_zero, kw_only=True)
    connections: int = attrs.field(default=8, validator=_above_zero, kw_only=True)
    max_bytes: int = attrs.field(default=64 * 2**20, validator=_above_zero, kw_only=True)
    tls: ssl.SSLContext | None = attrs.field(default=None, kw_only=True, repr=False)
    _key: Key = attrs.field(init=False, repr=False)
    _server: Server | None = attrs.field(default=None, init=False, repr=False)
    _counts: dict[str, int] = attrs.field(init=False, repr=False)

    def __attrs_post_init__(self) -> None:
        self._key = Key(self.password, (), needed=False, option="password")
        self.password = None
        self._counts = dict.fromkeys(("entries", "bytes", "read", "written"), 0)

    @asynccontextmanager
    async def open(self, host: Host) -> AsyncIterator[None]:
        """The lifetime. The server is first spoken to when it is needed.

        Raises:
            StoreError: if the store is open already.
        """
        if self._server is not None:
            raise StoreError(f"{self.url} is open already")
        self._server = server = Server(
            self.url,
            self._key,
            self.timeout,
            self.max_bytes + _HEAD + 2**16,
            self.tls,
            host.random,
            trio.Semaphore(self.connections),
        )
        try:
            yield
        finally:
            self._server = None
            server.close()

    async def _ask(self, *commands: Command) -> list[Any]:
        if self._server is None:
            raise StoreError(f"the store {self.url} is not open")
        return await self._server.ask(*commands)

    def _name(self, key: str) -> bytes:
        return f"{self.prefix}v:{key}".encode()

    async def get(self, key: str) -> Stored | None:
        """What is there."""
        name = self._name(key)
        value, left, now = await self._ask(("GET", name), ("PTTL", name), ("TIME",))
        self._counts["read"] += 1
        return _stored(key, value, left, _micros(now))

    async def put(
        self, key: str, value: bytes, ttl: float | None = None, *, age: float = 0.0
    ) -> None:
        """Keep a value.

        Raises:
            StoreError: for one that is larger than `max_bytes`, or if it can't be sent.
        """
        if len(value) > self.max_bytes:
            raise StoreError(f"a value of {len(value)} bytes is larger than {self.max_bytes}")
        name, keep = self._name(key), math.inf if ttl is None else ttl
        if keep <= 0:
            await self._ask(("DEL", name))
            return
        (now,) = await self._ask(("TIME",))
        made = max(0, _micros(now) - round(min(age, _ENDLESS) * 1e6))
        until = () if keep >= _ENDLESS else ("PX", max(1, round(keep * 1000)))
        await self._ask(("SET", name, _MARK + made.to_bytes(8) + value, *until))
        self._counts["written"] += 1

    async def delete(self, key: str) -> bool:
        """Forget a value."""
        (count,) = await self._ask(("DEL", self._name(key)))
        return bool(count)

    async def scan(self, prefix: str = "") -> AsyncIterator[Stored]:
        """All under keys that begin so. Their names are gathered first.

        Raises:
            StoreError: if there are more than a million.
        """
        names = sorted(await self._names(prefix))
        entries = size = 0
        for start in range(0, len(names), _PAGE):
            page = names[start : start + _PAGE]
            asked = [command for name in page for command in (("GET", name), ("PTTL", name))]
            *replies, now = await self._ask(*asked, ("TIME",))
            for name, value, left in zip(page, replies[::2], replies[1::2], strict=True):
                key = name[len(self._name("")) :].decode()
                found = _stored(key, value, left, _micros(now))
                if found is not None:
                    entries, size = entries + 1, size + len(found.value)
                    yield found
        if not prefix:
            self._counts.update(entries=entries, bytes=size)

    async def _names(self, prefix: str) -> set[bytes]:
        escaped = self._name(prefix)
        for sign in (b"\\", b"*", b"?", b"[", b"]"):
            escaped = escaped.replace(sign, b"\\" + sign)
        names: set[bytes] = set()
        cursor = b"0"
        while True:
            ((cursor, some),) = await self._ask(
                ("SCAN", cursor, "MATCH", escaped + b"*", "COUNT", 1000)
            )
            names.update(some)
            if len(names) > _MOST_KEYS:
                raise StoreError(f"{self.url} has more than {_MOST_KEYS} entries of this prefix")
            if cursor == b"0":
                return names

    async def flush(self) -> None:
        """What was put is with the server already."""

    def statistics(self) -> Mapping[str, Any]:
        """`entries` and `bytes` as they were when all was last gone through; of this program, how
        often it has `read` and `written`, and how often the server could not be asked
        (`failed`)."""
        failed = 0 if self._server is None else self._server.failed
        return {**self._counts, "failed": failed}

    async def take(self, account: str, costs: Mapping[str, float], burst: float) -> Levels:
        """Take of the buckets that processes share; see `llmmw.plugin.SharedBuckets`."""
        return await self._limits().take(account, costs, burst)

    async def settle(
        self,
        account: str,
        burst: float,
        changes: Mapping[str, float],
        *,
        left: Mapping[str, float] | None = None,
        ago: float = 0.0,
        frozen: float = 0.0,
    ) -> None:
        """Change what was taken of shared buckets; see `llmmw.plugin.SharedBuckets`."""
        await self._limits().settle(account, burst, changes, left or {}, ago, frozen)

    def _limits(self) -> Limits:
        return Limits(self._ask, f"{self.prefix}l:")


def _micros(time: list[bytes]) -> int:
    seconds, micros = time
    return int(seconds) * 1_000_000 + int(micros)


def _stored(key: str, value: bytes | None, left: int, now: int) -> Stored | None:
    if value is None or left == -2:
        return None
    if not value.startswith(_MARK) or len(value) < _HEAD:
        raise StoreError(f"under the key {key} stands something else than a value of ours")
    age = (now - int.from_bytes(value[len(_MARK) : _HEAD])) / 1e6
    return Stored(key, value[_HEAD:], max(0.0, age), None if left < 0 else left / 1000)
