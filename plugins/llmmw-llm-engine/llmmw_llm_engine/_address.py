"""Where an engine is."""

from __future__ import annotations

import os
from urllib.parse import quote, urlsplit

from llmmw.errors import BadRequest, ConfigError

__all__ = ["address_of", "in_path", "is_hosted"]

_HOSTED = "https://api.spellbook.scale.com/llm-engine"
_VARIABLE = "LLM_ENGINE_BASE_PATH"


def address_of(base_url: str | None) -> str:
    """The address: the option, else the variable, else the hosted one; a prefix is kept, with a
    slash at its end or without.

    Raises:
        ConfigError: if it has a query, which the paths of this host would clash with.
    """
    url = base_url or os.environ.get(_VARIABLE) or _HOSTED
    if "?" in url or "#" in url:
        raise ConfigError(
            f"the address of llm-engine, in base_url or {_VARIABLE}, ends before a query: "
            "expected https://host/prefix"
        )
    return url.rstrip("/")


def is_hosted(url: str) -> bool:
    """Whether it is the hosted engine, whose models are not the caller's to make."""
    return (urlsplit(url).hostname or "").lower() == urlsplit(_HOSTED).hostname


def in_path(name: str) -> str:
    """A name as a part of a path or a query. One of dots would lead elsewhere.

    Raises:
        BadRequest: if it is empty, or no Unicode.
    """
    if not name:
        raise BadRequest("a name or an id is empty")
    try:
        return quote(name, safe="") if name.strip(".") else name.replace(".", "%2E")
    except UnicodeEncodeError:
        raise BadRequest(f"the name {name!r} has halves of characters") from None
