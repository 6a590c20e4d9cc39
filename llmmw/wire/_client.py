"""The httpx client of a provider: its TLS, its proxies, and what its loggers may tell."""

from __future__ import annotations

import functools
import logging
import ssl
import weakref
from contextlib import suppress

import httpx
import truststore

from llmmw.errors import ConfigError
from llmmw.wire._scrub import Scrubber

__all__ = ["SCRUBBED", "new_client", "tls"]


@functools.cache
def tls() -> ssl.SSLContext:
    """One context for all hosts, which trusts what the system trusts."""
    found = truststore.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    found.set_alpn_protocols(["http/1.1"])
    return found


def new_client() -> httpx.AsyncClient:
    """A client that uses the proxies of the environment.

    Raises:
        ConfigError: if these are none. Their address may hold a password, so it is not shown.
    """
    limits = httpx.Limits(max_connections=None, max_keepalive_connections=100)
    with suppress(ValueError, ImportError, httpx.InvalidURL):
        return httpx.AsyncClient(verify=tls(), limits=limits)
    raise ConfigError(
        "HTTP_PROXY, HTTPS_PROXY, ALL_PROXY or NO_PROXY can't be used: expected http://host:port, "
        "or socks5://host:port with the package socksio installed"
    )


class _Scrubbed(logging.Filter):
    """httpcore tells its loggers the headers of each answer, where a host may echo the key."""

    def __init__(self) -> None:
        super().__init__()
        self.scrubbers: weakref.WeakSet[Scrubber] = weakref.WeakSet()

    def filter(self, record: logging.LogRecord) -> bool:
        text = record.getMessage()
        for scrub in list(self.scrubbers):
            text = scrub(text)
        record.msg, record.args = text, ()
        return True


SCRUBBED = _Scrubbed()
_LOGGERS = (
    *(f"httpcore.{part}" for part in ("connection", "http11", "http2", "proxy", "socks")),
    *("hpack.hpack", "hpack.table"),  # of a client that speaks HTTP/2
)
for _name in _LOGGERS:
    logging.getLogger(_name).addFilter(SCRUBBED)
