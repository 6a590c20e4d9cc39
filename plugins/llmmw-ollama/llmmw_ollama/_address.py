"""Where the server is, from any of the forms in which `OLLAMA_HOST` is written. Pure."""

from __future__ import annotations

import ipaddress
import re
from urllib.parse import urlsplit

from llmmw.errors import ConfigError

__all__ = ["address_of", "is_cloud"]

_PORT = 11434
_PORTS = {"http": 80, "https": 443}


def address_of(told: str, where: str) -> str:
    """The address that requests go to, without `/api`.

    A server that listens on all addresses (0.0.0.0) is asked at that of this machine.

    Args:
        told: `host`, `host:port`, `:port`, a port, or an address with `http://` or `https://`;
            nothing is this machine. Without a scheme the port is 11434, else that of the scheme;
            but ollama.com is `https://` without saying so.
        where: where it was told, for the error.

    Raises:
        ConfigError: if it is none of these.
    """
    bare = told.strip().strip("\"'").strip()
    scheme, mark, place = bare.partition("://")
    if not mark:
        scheme, place = "http", bare
    port, host = None, ""
    try:
        url = urlsplit(f"//{_spelt(place)}")
        port, host = url.port, url.hostname or ""
    except ValueError:
        url = None
    if url is None or (mark and not host) or (mark and scheme.lower() not in _PORTS):
        shown = "" if "@" in told else f"={told!r}"  # it may hold a password
        raise ConfigError(f"{where}{shown}: expected host, host:port, :port or http://host:port")
    if not mark and _is_of_cloud(host):  # a key goes there
        scheme, mark = "https", "://"
    user = url.netloc.rpartition("@")[0]
    path = url.path.rstrip("/").removesuffix("/api")
    number = (_PORTS[scheme.lower()] if mark else _PORT) if port is None else port
    query = f"?{url.query}" if url.query else ""
    before = f"{user}@" if user else ""
    return f"{scheme.lower()}://{before}{_reached(host)}:{number}{path}{query}"


def is_cloud(address: str) -> bool:
    """Whether an address is that of ollama.com, where a key is needed. Over `http://`, where all
    can read it, none is sent by itself."""
    url = urlsplit(address)
    return url.scheme == "https" and _is_of_cloud(url.hostname or "")


def _is_of_cloud(host: str) -> bool:
    return host == "ollama.com" or host.endswith(".ollama.com")


def _spelt(place: str) -> str:
    """A place as addresses have it: a port has a colon before it, a bare IPv6 number brackets."""
    host, slash, path = place.partition("/")
    if re.fullmatch("[0-9]{1,5}", place):
        return f":{place}"
    try:
        is_six = ipaddress.ip_address(host).version == 6
    except ValueError:
        is_six = False
    return f"[{host}]{slash}{path}" if is_six else place


def _reached(host: str) -> str:
    """The name or number by which a server is reached that listens on `host`."""
    try:
        number = ipaddress.ip_address(host or "127.0.0.1")
    except ValueError:
        return host
    if number.is_unspecified:
        return "127.0.0.1" if number.version == 4 else "[::1]"
    return str(number) if number.version == 4 else f"[{number}]"
