"""What a request tells of us."""

from __future__ import annotations

import platform
import secrets
from collections.abc import Mapping
from importlib.metadata import version

from llmmw.errors import ConfigError
from llmmw.wire import Secret

__all__ = ["REQUEST_ID", "SPOKEN", "about_us", "for_hosts", "of_request"]

SPOKEN = "2024-06-17"
"""The version of the interface."""
REQUEST_ID = "X-Substrate-Request-Id"
"""The header with an id of ours, which the host gives back."""
_HOSTS = ("openai", "anthropic")


def about_us() -> dict[str, str]:
    """The headers of every request."""
    own = version("llmmw-substrate")
    return {
        "User-Agent": f"llmmw-substrate/{own}",
        "X-Substrate-Backend": "v1",
        "X-Substrate-Lang": "python",
        "X-Substrate-Package-Version": own,
        "X-Substrate-Version": SPOKEN,
        "X-Substrate-OS": platform.system() or "Unknown",
        "X-Substrate-Arch": platform.machine() or "unknown",
        "X-Substrate-Runtime": platform.python_implementation(),
        "X-Substrate-Runtime-Version": platform.python_version(),
    }


def for_hosts(keys: Mapping[str, str | Secret]) -> dict[str, Secret]:
    """The headers with keys of hosts that are asked for you.

    Raises:
        ConfigError: for another host.
    """
    unknown = set(keys) - set(_HOSTS)
    if unknown:
        known = ", ".join(_HOSTS)
        raise ConfigError(f"secrets: there is no header for {min(unknown)!r}; known: {known}")
    return {
        f"x-substrate-{name}-api-key": one if isinstance(one, Secret) else Secret(one)
        for name, one in keys.items()
    }


def of_request(*, stream: bool) -> dict[str, str]:
    """The headers of one request."""
    told = {"Accept": "application/json", REQUEST_ID: secrets.token_hex(16)}
    if stream:
        told |= {"Accept": "text/event-stream", "X-Substrate-Streaming": "1"}
    return told
