"""The key of an engine goes out twice: gateways read `x-api-key`, servers `Authorization`."""

from __future__ import annotations

import base64

import attrs

from llmmw.wire import Http, Key, Secret

__all__ = ["HEADER", "ROOT", "Authorization", "EngineKey", "without_a_key"]

HEADER = "x-api-key"
ROOT = "root"
"""The user that an engine's own client names when it has no key. A server of one's own that checks
no users wants some user all the same; the hosted one would only say that it knows no such key."""


@attrs.define(eq=False)
class EngineKey(Key):
    """A key that remembers what it gave last."""

    told: Secret | None = attrs.field(default=None, init=False, repr=False)

    async def get(self) -> Secret | None:
        """The key; see `Key`."""
        self.told = await super().get()
        return self.told


class Authorization(Secret):
    """The header of a key as it is when the header is sent, since keys are renewed.

    Args:
        key: the key.
        bearer: whether it goes as a bearer's; else as a user without a password.
    """

    __slots__ = ("_bearer", "_key")

    def __init__(self, key: EngineKey, *, bearer: bool) -> None:
        super().__init__("")
        self._key, self._bearer = key, bearer

    def reveal(self) -> str:
        """The value of the header."""
        told = ROOT if self._key.told is None else self._key.told.reveal()
        if self._bearer:
            return f"Bearer {told}"
        return "Basic " + base64.b64encode(f"{told}:".encode()).decode()


def without_a_key(http: Http) -> None:
    """Have `root` sent where there is no key. Set behind the guard of headers: it is no secret, and
    would be taken out of whatever a host says."""
    if HEADER not in map(str.lower, http.headers):
        http.headers = {**http.headers, HEADER: ROOT}
