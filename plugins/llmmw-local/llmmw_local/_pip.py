"""Where wheels come from: `LLMMW_INDEX_URL`, else what pip is told, else the public index.

pip's order is kept: environment variables over files; `[install]` over `[global]`; and of the
files the one of the environment (`PIP_CONFIG_FILE`, virtual environment, user, system) that is
nearest. Source: pip's documentation, "Configuration".
"""

from __future__ import annotations

import configparser
import os
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from urllib.parse import unquote, urlsplit, urlunsplit
from urllib.request import url2pathname

import attrs
import platformdirs

from llmmw.errors import ConfigError

__all__ = ["Place", "Sources", "find_sources", "place_of"]

PUBLIC_INDEX = "https://pypi.org/simple"
_SECTIONS = ("global", "install")
_TRUE = {"1", "true", "yes", "on"}


@attrs.frozen
class Place:
    """An address without its credentials, which stand beside it and are never shown."""

    url: str = attrs.field(repr=lambda url: _shown(url))
    auth: tuple[str, str] | None = attrs.field(default=None, repr=False)

    def child(self, name: str) -> Place:
        """The page `name` below this one."""
        parts = urlsplit(self.url)
        below = parts._replace(path=f"{parts.path.rstrip('/')}/{name}/")
        return Place(urlunsplit(below), self.auth)

    @property
    def origin(self) -> tuple[str, str]:
        """Scheme and host with port: whom credentials may be sent to."""
        parts = urlsplit(self.url)
        return parts.scheme, parts.netloc.lower()

    @property
    def shown(self) -> str:
        """The address for a message."""
        return _shown(self.url)

    @property
    def file(self) -> Path | None:
        """The path of a `file:` address."""
        parts = urlsplit(self.url)
        return Path(url2pathname(parts.path)) if parts.scheme == "file" else None


def _shown(url: str) -> str:
    """A query may hold a token and stays out."""
    parts = urlsplit(url)
    return urlunsplit((parts.scheme, parts.netloc, parts.path, "", ""))


def place_of(address: str) -> Place:
    """Take an address, or the path of a folder or file, apart.

    Raises:
        ConfigError: if it is no http, https or file address.
    """
    if "://" not in address and "@" in address.partition("/")[0]:
        host = address.rpartition("@")[2]
        raise ConfigError(f"the package index …@{host} has no scheme: write https://…")
    if "://" not in address and not address.startswith("file:"):
        return Place(Path(address).expanduser().absolute().as_uri())
    try:
        parts = urlsplit(address)
    except ValueError as error:
        raise ConfigError(f"the address of a package index is no URL: {error}") from None
    _, at, host = parts.netloc.rpartition("@")
    bare = urlunsplit((parts.scheme, host, parts.path, parts.query, ""))
    if parts.scheme not in {"http", "https", "file"}:
        raise ConfigError(f"the package index {Place(bare).shown} is no http, https or file URL")
    if not at:
        return Place(bare)
    return Place(bare, (unquote(parts.username or ""), unquote(parts.password or "")))


@attrs.frozen(kw_only=True)
class Sources:
    """Where to look for a wheel, and how to get there."""

    indexes: tuple[Place, ...]
    """Simple indexes, in order; may be empty (`no-index`)."""
    links: tuple[Place, ...] = ()
    """Folders and pages that link files directly; looked at first."""
    certificates: str | None = None
    """A file or folder of certificates to trust beside the system's."""
    proxy: str | None = attrs.field(default=None, repr=False)
    """The proxy that pip is told to use; otherwise the usual variables count."""


def find_sources(environ: Mapping[str, str] = os.environ) -> Sources:
    """Read the environment and pip's files.

    Raises:
        ConfigError: for a file of pip's that can't be read, or an address that is none.
    """
    pip = _settings(environ)
    certificates = next(
        (
            found
            for found in (
                pip.get("cert"),
                environ.get("SSL_CERT_FILE"),
                environ.get("REQUESTS_CA_BUNDLE"),
            )
            if found
        ),
        None,
    )
    own = environ.get("LLMMW_INDEX_URL", "").split()
    if own:
        indexes, links = own, []
    else:
        links = pip.get("find-links", "").split()
        main = (pip.get("index-url") or PUBLIC_INDEX).split()
        indexes = [*main, *pip.get("extra-index-url", "").split()]
        if pip.get("no-index", "").lower() in _TRUE:
            indexes = []
    return Sources(
        indexes=tuple(map(place_of, indexes)),
        links=tuple(map(place_of, links)),
        certificates=certificates,
        proxy=pip.get("proxy") or None,
    )


def _settings(environ: Mapping[str, str]) -> dict[str, str]:
    """The settings of pip by their long name, as they apply to `pip install`."""
    by_section: dict[str, dict[str, str]] = {section: {} for section in _SECTIONS}
    for path in _files(environ):
        parser = configparser.RawConfigParser()
        try:
            parser.read(path, encoding="utf-8")
        except (OSError, UnicodeError, configparser.Error) as error:
            kind = type(error).__name__  # its text may quote a line with a password
            raise ConfigError(f"pip's configuration {path} can't be read ({kind})") from None
        for section in _SECTIONS:
            if parser.has_section(section):
                by_section[section].update(_named(dict(parser.items(section))))
    prefix = "PIP_"
    told = {name[len(prefix) :]: text for name, text in environ.items() if name.startswith(prefix)}
    merged: dict[str, str] = {}
    for layer in (*by_section.values(), _named(told)):
        merged.update({name: text for name, text in layer.items() if text})
    return merged


def _named(raw: Mapping[str, str]) -> dict[str, str]:
    return {name.lower().replace("_", "-"): text.strip() for name, text in raw.items()}


def _files(environ: Mapping[str, str]) -> Iterator[Path]:
    """The configuration files of pip that apply, the nearest last."""
    chosen = environ.get("PIP_CONFIG_FILE")
    if chosen == os.devnull:
        return
    name = "pip.ini" if sys.platform == "win32" else "pip.conf"
    if sys.platform == "linux":
        yield Path("/etc") / name
    yield platformdirs.site_config_path("pip", False) / name
    if not (chosen and Path(chosen).exists()):
        yield Path.home() / ("pip" if sys.platform == "win32" else ".pip") / name
        yield platformdirs.user_config_path("pip", False) / name
    yield Path(sys.prefix) / name
    if chosen:
        yield Path(chosen).expanduser()
