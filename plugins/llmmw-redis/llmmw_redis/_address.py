"""Where a Redis is: a URL, and what it says."""

from __future__ import annotations

from urllib.parse import parse_qs, unquote, urlsplit

import attrs

from llmmw.errors import ConfigError
from llmmw.wire import Secret

__all__ = ["Address", "address_of"]

_FORMS = "redis://host:6379/0, rediss://host:6379/0 or unix:///run/redis.sock?db=0"


@attrs.frozen
class Address:
    """A server, and who asks it; `str()` has no password in it."""

    host: str = ""
    port: int = 6379
    path: str = ""
    """Of a Unix socket; then there is no host."""
    database: int = 0
    tls: bool = False
    user: str = ""
    password: Secret | None = None

    def __str__(self) -> str:
        if self.path:
            return f"unix://{self.path}"
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"redis{'s' * self.tls}://{host}:{self.port}/{self.database}"


def address_of(given: str | Address) -> Address:
    """What a URL says; `//host` is `redis://host`.

    Raises:
        ConfigError: for what is no URL of a Redis. It does not repeat it, for the password.
    """
    if isinstance(given, Address):
        return given
    address = _parsed(given) if isinstance(given, str) else None
    if address is None:
        raise ConfigError(f"RedisStore(url=…): this is no URL of a Redis; expected {_FORMS}")
    return address


def _parsed(url: str) -> Address | None:
    try:
        found = urlsplit(f"redis:{url}" if url.startswith("//") else url)
        port, path = found.port or 6379, unquote(found.path)
        given = parse_qs(found.query, strict_parsing=bool(found.query))
        named = given.pop("db", [path[1:] if found.scheme != "unix" else ""])
        database = int(named[0] or 0)
    except ValueError:
        return None
    is_socket = found.scheme == "unix"
    if given or database < 0 or found.fragment or is_socket != bool(path and not found.hostname):
        return None
    if found.scheme not in {"redis", "rediss", "unix"} or not (found.hostname or is_socket):
        return None
    return Address(
        host=found.hostname or "",
        port=port,
        path=path if is_socket else "",
        database=database,
        tls=found.scheme == "rediss",
        user=unquote(found.username or ""),
        password=Secret(unquote(found.password)) if found.password else None,
    )
