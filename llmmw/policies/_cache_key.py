"""Under which keys an answer is kept."""

from __future__ import annotations

import weakref
from collections.abc import Collection
from typing import Any

import attrs

from llmmw._plain import key_of_plain, plain
from llmmw._request import (
    CountTokens,
    Detokenize,
    Embed,
    Generate,
    Request,
    Score,
    Tokenize,
)
from llmmw.errors import ConfigError

__all__ = ["Keys", "check_dropped"]

_KNOWN = {
    field.name
    for kind in (CountTokens, Detokenize, Embed, Generate, Score, Tokenize)
    for field in attrs.fields(kind)
}
_MOST = 4000


def check_dropped(item: object, field: attrs.Attribute[tuple[str, ...]], given: object) -> None:
    """Fields of requests, by their names."""
    names = given if isinstance(given, tuple) else (given,)
    for name in names:
        if not isinstance(name, str) or name not in _KNOWN:
            known = ", ".join(sorted(_KNOWN))
            raise ConfigError(f"Cache(drop=…): {name!r} is no field of a request; there is {known}")


@attrs.define(eq=False)
class Keys:
    """Makes keys: a hash over every field of a request but `metadata`, and but those that are
    dropped, with the tenant; and the number of the sample.

    A key has no text of the request in it. A request that is asked again is not hashed again,
    unless something in it can have been changed in place: it has a mapping with something in it.
    """

    dropped: Collection[str] = ()
    _known: dict[tuple[int, str], tuple[weakref.ref[Request], str, list[Any]]] = attrs.field(
        factory=dict
    )
    """With what had nothing in it then, and may have by now."""

    def base(self, request: Request, tenant: str) -> str:
        """What the keys of all samples begin with.

        Raises:
            BadRequest: for a request that has no plain form.
        """
        place = (id(request), tenant)
        known = self._known.get(place)
        if known is not None and known[0]() is request and not any(known[2]):
            return known[1]
        changeable: list[Any] = []
        data = plain(request, changeable=changeable)
        for name in ("metadata", *self.dropped):
            data.pop(name, None)
        if data.get("n") == 1:
            del data["n"]
        key = key_of_plain([data, tenant])
        if len(self._known) >= _MOST:
            self._known.clear()
        if request.metadata:  # it makes no difference
            changeable = [one for one in changeable if one is not request.metadata]
        if not any(changeable):
            self._known[place] = (weakref.ref(request), key, changeable)
        return key

    def of_sample(self, request: Request, tenant: str, sample: int) -> str:
        """The key of one sample; with `n`, of one answer that has so many."""
        return f"{self.base(request, tenant)}.{sample}"
