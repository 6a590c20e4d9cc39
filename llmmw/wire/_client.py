"""The httpx client of a provider: its TLS, its proxies, and what its loggers may tell."""

from __future__ import annotations

import functools
import logging
import os
import ssl
import sys
import weakref
from contextlib import suppress

import httpx

from llmmw.errors import ConfigError
from llmmw.wire._scrub import Scrubber

__all__ = ["SCRUBBED", "new_client", "tls"]


def tls() -> ssl.SSLContext:
    """One context for all hosts. It trusts what `SSL_CERT_FILE` or else `SSL_CERT_DIR` names, and
    where neither is set what the system trusts.

    Raises:
        ConfigError: if what they name can't be read.
    """
    file, folder = os.environ.get("SSL_CERT_FILE"), os.environ.get("SSL_CERT_DIR")
    why = ""
    try:
        return _trusting(file or None, None if file else folder or None)
    except (OSError, ssl.SSLError) as error:
        why = str(error)
    raise ConfigError(f"SSL_CERT_FILE={file!r}, SSL_CERT_DIR={folder!r}: no certificates: {why}")


@functools.lru_cache(maxsize=8)
def _trusting(file: str | None, folder: str | None) -> ssl.SSLContext:
    usual = ssl.get_default_verify_paths()
    found: ssl.SSLContext = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    if file or folder:
        found.load_verify_locations(file, folder)
    elif sys.platform not in {"darwin", "win32"} and (usual.cafile or usual.capath):
        found.set_default_verify_paths()  # truststore reads them anew for each connection
    else:
        import truststore

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
