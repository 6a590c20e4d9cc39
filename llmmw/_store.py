"""What a store is: bytes by key, behind a policy that would rather ask again than fail.

A store knows its own clock, so it tells how old a value is, and no policy needs to know the time.
It is opened with its host, as a provider is; a policy names it or holds it, and `opened` gives it
ready for use, one for all policies of a host that mean the same.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import AbstractAsyncContextManager
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias, runtime_checkable

import attrs
import trio

from llmmw._lifetime import live
from llmmw.errors import ConfigError

if TYPE_CHECKING:
    from llmmw._tasks import Host, Task

__all__ = [
    "GivenStore",
    "Store",
    "StoreError",
    "Stored",
    "check_given",
    "name_of_store",
    "only_given",
    "opened",
    "shown",
]

_CLEAN_UP = 5.0
"""Seconds that a store may take to write what it has and close."""
_FIRST_WAIT, _LONGEST_WAIT = 0.1, 5.0
"""Seconds after which a store is opened anew that could not be, ever longer."""
_REST = 4
"""So many times as long as its opening took, at least: calls do other things than wait for it."""


class StoreError(Exception):
    """A store can't do what it was asked to: it is closed, full, or out of reach. Policies go on
    without it, and tell it as an event."""


@attrs.frozen
class Stored:
    """What a store has under a key."""

    key: str
    value: bytes
    age: float
    """Seconds since it was made, by the store's own clock; never below 0."""
    ttl: float | None = None
    """Seconds that it will still be kept at most; `None`: without end."""


@runtime_checkable
class Store(Protocol):
    """Bytes by key. Any method may raise any `Exception`; a policy takes it for a miss.

    A key is text of 200 characters at most, without control characters. A value is given back as
    it was put, or not at all. What is put is seen by `get` of the same store at once; by others
    that share its file or server, and after a crash, when it was written, for which `flush` waits.
    """

    def open(self, host: Host) -> AbstractAsyncContextManager[Any]:
        """Its lifetime, left when the host closes; what was put is written then. It tells what
        its user should know by `host.emit`."""

    async def get(self, key: str) -> Stored | None:
        """What is there, unless its `ttl` is over. Need not be a checkpoint."""

    async def put(
        self, key: str, value: bytes, ttl: float | None = None, *, age: float = 0.0
    ) -> None:
        """Keep a value, in place of what was there; for `ttl` seconds at most. It is `age` seconds
        old, where it comes from somewhere else."""

    async def delete(self, key: str) -> bool:
        """Forget a value; whether there was one."""

    def scan(self, prefix: str = "") -> AsyncIterator[Stored]:
        """All that is there under keys that begin so, in the order of the keys. What changes
        meanwhile may be in it or not."""

    async def flush(self) -> None:
        """Wait until all that was put is as safe as this store can make it."""

    def statistics(self) -> Mapping[str, Any]:
        """What it counts: `entries` and `bytes`, as far as it knows, among others."""


GivenStore: TypeAlias = str | Mapping[str, Any] | Store
"""A store; or its name, with what it takes first after a colon (`"sqlite:answers.db"`); or, as a
table of a file, its options and its name under `use`."""


def check_given(whose: str, given: object) -> None:
    """Raise `ConfigError` for what is no `GivenStore`."""
    named = given.get("use") if isinstance(given, Mapping) else given
    if not (isinstance(named, str) and named) and not isinstance(given, Store):
        raise ConfigError(
            f"{whose}: a {type(given).__name__} is no store: expected one, its name "
            '("sqlite:answers.db"), or a table with its use'
        )


def name_of_store(given: GivenStore) -> str:
    """What to call a store. Not all that was given, which may have a password in it."""
    if isinstance(given, str):
        return given.partition(":")[0]
    return str(given["use"]) if isinstance(given, Mapping) else type(given).__name__


def shown(given: GivenStore | None) -> str:
    """Its `repr`, without what may be a password in it."""
    plain = "@" not in given if isinstance(given, str) else not isinstance(given, Mapping)
    return repr(given if plain or given is None else name_of_store(given))


@attrs.define(eq=False)
class _Open:
    """A store whose lifetime runs in a task of its own, until the host closes."""

    store: Store
    ready: trio.Event = attrs.field(factory=trio.Event)
    life: Task[None] | None = None
    began: float = attrs.field(factory=trio.current_time)


@attrs.frozen
class _Shut:
    """Why a store could not be opened, and when that is tried anew."""

    store: Store
    why: str
    wait: float
    again: float


def only_given(name: str, options: Mapping[str, Any], *items: str) -> Store:
    """What makes stores out of names where nothing knows any."""
    raise ConfigError(f"the store {name!r} is only a name: call through a Client, or give a store")


def _made(host: Host, given: GivenStore) -> Store:
    if isinstance(given, str):
        name, _, first = given.partition(":")
        found = host.make_store(name, {}, *([first] if first else []))
    elif isinstance(given, Mapping):
        options = {key: one for key, one in given.items() if key != "use"}
        found = host.make_store(str(given["use"]), options)
    else:
        found = given
    if not isinstance(found, Store):
        name, kind = name_of_store(given), type(found).__name__
        raise ConfigError(f"the store {name!r} made a {kind}, which is no store")
    return found


def _identity(given: GivenStore) -> str:
    if isinstance(given, str):
        return given
    return repr(sorted(given.items())) if isinstance(given, Mapping) else f"<{id(given)}>"


async def opened(host: Host, given: GivenStore) -> Store:
    """The store, open as long as its host is. All who mean the same share it.

    Raises:
        Exception: what its opening raised. Who needs it later tries anew.
        StoreError: if that was just now.
    """
    identity = _identity(given)
    if identity not in host.stores:
        _check_time(host, identity)
        host.stores[identity] = made = _Open(_made(host, given))
        made.life = host.start(lambda: _live(host, identity))
    there: _Open = host.stores[identity]
    if not there.ready.is_set():
        await there.ready.wait()
        if host.stores.get(identity) is not there:
            assert there.life is not None
            await there.life.wait()  # raises what its opening raised
            raise StoreError(f"the store {name_of_store(given)!r} ended its lifetime by itself")
        host.shut_stores.pop(identity, None)
    return there.store


def _check_time(host: Host, identity: str) -> None:
    shut: _Shut | None = host.shut_stores.get(identity)
    rest = 0.0 if shut is None else shut.again - trio.current_time()
    if shut is not None and rest > 0:
        raise StoreError(f"{shut.why}; it is opened anew in {rest:.2g} s")


async def _live(host: Host, identity: str) -> None:
    there: _Open = host.stores[identity]
    try:
        await live(there.store.open(host), there.ready, _CLEAN_UP)
    except Exception as error:
        if not there.ready.is_set():
            before: _Shut | None = host.shut_stores.get(identity)
            wait = _FIRST_WAIT if before is None else min(2 * before.wait, _LONGEST_WAIT)
            now = trio.current_time()
            again = now + max(wait, _REST * (now - there.began))
            why = f"{type(error).__name__}: {error}"
            host.shut_stores[identity] = _Shut(there.store, why, wait, again)
        raise
    finally:
        host.stores.pop(identity, None)
        there.ready.set()
