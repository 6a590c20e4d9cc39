"""The headers of a request to `POST /compose`."""

from __future__ import annotations

import platform
import secrets as random
from collections.abc import Mapping
from importlib.metadata import version

from llmmw._secret import Secret
from llmmw.errors import ConfigError

__all__ = ["compose_headers", "request_id_in", "secret_headers"]

_REQUEST_ID = "X-Substrate-Request-Id"
_SPOKEN = "2024-06-17"
"""The version of the interface."""
_HOSTS = ("openai", "anthropic")


def compose_headers(
    given: Mapping[str, str | Secret], *, stream: bool = False
) -> dict[str, str | Secret]:
    """The headers of one request, with a new id.

    Args:
        given: further ones, which go before those.
        stream: ask for the messages as they come.
    """
    own = {
        "Accept": "text/event-stream" if stream else "application/json",
        _REQUEST_ID: random.token_hex(16),
        **({"X-Substrate-Streaming": "1"} if stream else {}),
        **_about_us(),
    }
    names = {name.lower() for name in given}
    return {name: one for name, one in own.items() if name.lower() not in names} | dict(given)


def request_id_in(headers: Mapping[str, str | Secret]) -> str | None:
    """The id in the headers of a request, by which the endpoint knows it, too."""
    found = (str(one) for name, one in headers.items() if name.lower() == _REQUEST_ID.lower())
    return next(found, None)


def secret_headers(keys: Mapping[str, str | Secret]) -> dict[str, Secret]:
    """The headers with keys of hosts that the endpoint asks for you.

    Args:
        keys: by the host: `openai`, `anthropic`.

    Raises:
        ConfigError: for another host, or what is no key.
    """
    found: dict[str, Secret] = {}
    for name, one in keys.items():
        if name not in _HOSTS:
            known = ", ".join(_HOSTS)
            raise ConfigError(f"secrets: there is no header for {name!r}; known: {known}")
        if not isinstance(one, (str, Secret)):
            raise ConfigError(f"secrets: the key of {name} is a {type(one).__name__}, not a text")
        found[f"x-substrate-{name}-api-key"] = one if isinstance(one, Secret) else Secret(one)
    return found


def _about_us() -> dict[str, str]:
    here = version("llmmw")
    return {
        "User-Agent": f"llmmw/{here} Python/{platform.python_version()}",
        "X-Substrate-Backend": "v1",
        "X-Substrate-Lang": "python",
        "X-Substrate-Package-Version": here,
        "X-Substrate-Version": _SPOKEN,
        "X-Substrate-OS": platform.system() or "Unknown",
        "X-Substrate-Arch": platform.machine() or "unknown",
        "X-Substrate-Runtime": platform.python_implementation(),
        "X-Substrate-Runtime-Version": platform.python_version(),
    }
