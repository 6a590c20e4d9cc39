"""A request before it is made, and whom it is made for."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Protocol, TypeAlias

import attrs
import httpx

from llmmw._secret import Secret
from llmmw.wire._body import Body, Sending
from llmmw.wire._scrub import Scrubber

__all__ = ["CONNECT", "Account", "Asked", "Line", "Sign"]

Sign: TypeAlias = Callable[[Secret, str, str, Mapping[str, str], bytes], Mapping[str, str]]
"""Headers that prove the key, of it and of method, address, headers and body as they leave."""
_OF_THE_LINE = frozenset({"content-length", "transfer-encoding", "connection"})
"""What follows from body and line, whatever a user says."""
CONNECT = 5.0
"""Seconds to connect, as in the vendors' own clients."""
_WHOLE = {"connect": CONNECT, "read": None, "write": None, "pool": None}
"""All other limits are those of policies."""
_PIECES = {**_WHOLE, "write": 120.0}
"""Seconds that a host may take for one piece of a body: files have no policy that looks after
them."""


@attrs.frozen
class Asked:
    """A request: with a body it is a POST, else a GET, or what it says."""

    path: str
    body: bytes | Body | None
    stream: bool
    query: Mapping[str, str] = attrs.field(factory=dict)
    content_type: str = "application/json"
    method: str = ""

    @property
    def verb(self) -> str:
        """The method of HTTP."""
        return self.method.upper() or ("GET" if self.body is None else "POST")

    @property
    def kind(self) -> str:
        """What the body is; empty where there is none."""
        if self.body is None:
            return ""
        return self.body.content_type if isinstance(self.body, Body) else self.content_type

    @property
    def size(self) -> int | None:
        """How long the body is; `None`: there is none, and none is expected."""
        if self.body is None:
            return 0 if self.verb in {"POST", "PUT", "PATCH"} else None
        return self.body.size if isinstance(self.body, Body) else len(self.body)

    @property
    def times(self) -> Mapping[str, float | None]:
        """What each step may take, as httpx has it."""
        return _PIECES if isinstance(self.body, Body) else _WHOLE

    @property
    def fixed(self) -> tuple[object, ...] | None:
        """What its address and the headers that anybody may see are made of, besides those of its
        account; `None`: they are not the same again."""
        if self.query or isinstance(self.body, Body):
            return None
        return self.path, self.verb, self.kind, self.stream

    def address(self, base_url: str) -> str:
        """Where it goes, before its own query: the path stands before that of the base."""
        base, mark, query = base_url.partition("?")
        return base.rstrip("/") + self.path + mark + query

    def url(self, base_url: str) -> httpx.URL:
        """Where it goes.

        Raises:
            httpx.InvalidURL: if that is no address.
        """
        url = httpx.URL(self.address(base_url))
        return url.copy_merge_params(self.query) if self.query else url


@attrs.frozen
class Account:
    """Whose request it is, and what proves it.

    Args:
        base_url: the host.
        headers: those that anybody may see, and those that nobody may.
        header: the one that carries the key, after the word `scheme`.
        sign: makes headers of the key, where it is not sent itself.
        secret: the key.
        scrub: takes secrets out of texts.
    """

    base_url: str
    headers: Mapping[str, str | Secret] = attrs.field(repr=False)
    header: str
    scheme: str
    sign: Sign | None = attrs.field(repr=False)
    secret: Secret | None
    scrub: Scrubber = attrs.field(repr=False)
    secrets: tuple[Secret, ...] = attrs.field(init=False, repr=False)

    @secrets.default
    def _find_secrets(self) -> tuple[Secret, ...]:
        found = (self.secret, *self.headers.values())
        return tuple(one for one in found if isinstance(one, Secret))

    def told(self, asked: Asked) -> dict[str, str]:
        """The headers that anybody may see, by their names in lower case."""
        rows = {"accept-encoding": "identity" if asked.stream else "gzip"}
        if asked.kind:
            rows["content-type"] = asked.kind
        # A form alone knows the mark in its type.
        fixed = _OF_THE_LINE | {"content-type"} if isinstance(asked.body, Body) else _OF_THE_LINE
        for name, value in self.headers.items():
            if isinstance(value, str) and name.lower() not in fixed:
                rows[name.lower()] = value
        return rows

    def hidden(
        self, method: str, url: str, headers: Mapping[str, str], body: bytes
    ) -> dict[str, str]:
        """The headers that nobody may see; they replace others. Made at the last moment, and kept
        nowhere."""
        rows = {n.lower(): v.reveal() for n, v in self.headers.items() if isinstance(v, Secret)}
        if self.secret is None:
            return rows
        if self.sign is not None:
            signed = self.sign(self.secret, method, url, {**headers, **rows}, body)
            return rows | {name.lower(): value for name, value in signed.items()}
        return rows | {self.header.lower(): self.scheme + self.secret.reveal()}


class Line(Protocol):
    """A way to hosts."""

    async def send(self, asked: Asked, account: Account, body: Sending | None) -> Any:
        """The answer, when its head has come: with `status_code`, `headers`, `aiter_raw`,
        `is_closed` and `aclose`, as httpx has them.

        Raises:
            httpx.TransportError: if there is none.
        """

    async def warm(self, base_url: str) -> None:
        """Have an idle connection to a host, if it can keep any and there is none.

        Raises:
            httpx.TransportError: if none can be made.
        """

    async def aclose(self) -> None:
        """Close all connections that are its own."""
