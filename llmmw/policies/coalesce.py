"""Law: identical calls in flight share one; whoever leaves takes nothing from the others, and the
last to leave ends it.

::

    first    ├──── a ─ b ──┤ left
    second         ├─ a b ─── c ─ d ── response      told from the start, then as it comes
    third                ├─ a b c ─ d ── response
    flight   ├──── a ─ b ──── c ─ d ── response      in the host's nursery
             deadline: the latest of those who wait

Calls are identical if their requests are equal, but for `metadata`, and so are their tenant and
their sample. What a second call finds is work in flight, never an answer of the past: that is a
cache. An error is each waiter's own copy and is forgotten with the flight. (Go's `singleflight` is
the origin; there a caller can't leave, and nothing is told before the end.)
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import attrs

from llmmw._call import Call
from llmmw._chain import Handler
from llmmw._flight import Flights
from llmmw._request import Request
from llmmw._response import Response
from llmmw._tasks import Host

__all__ = ["Coalesce"]


@attrs.frozen(eq=False)
class _Question:
    """What identical calls have in common. The request itself and not its `key()`, which would
    encode all of a long conversation, or an image, for every call."""

    host: Host
    next: Handler
    """One policy may stand in several chains."""
    request: Request
    tenant: str
    sample: int
    _hash: int = attrs.field(init=False)

    @_hash.default
    def _find_hash(self) -> int:
        return hash((self.request, self.tenant, self.sample))

    def __hash__(self) -> int:
        return self._hash

    def __eq__(self, other: object) -> bool:
        return (
            type(other) is type(self)
            and self.host is other.host
            and self.next is other.next
            and (self.tenant, self.sample) == (other.tenant, other.sample)
            and self.request == other.request
            and _same(self.request, other.request)
        )


def _same(one: Any, other: Any) -> bool:
    """Whether two equal values are the same in JSON, too, where 1 is not true."""
    if one is other or isinstance(one, (str, bytes)):
        return True
    if isinstance(one, bool) or isinstance(other, bool):
        return False
    if isinstance(one, Mapping):
        return all(_same(item, other[name]) for name, item in one.items())
    if isinstance(one, (list, tuple)):
        return all(map(_same, one, other))
    names = [field.name for field in getattr(type(one), "__attrs_attrs__", ()) if field.eq]
    return all(_same(getattr(one, name), getattr(other, name)) for name in names)


@attrs.frozen
class Coalesce:
    """Let identical calls that are in flight at the same time share one.

    It belongs outside of everything that makes, delays or limits attempts. The flight streams if
    the first of its calls does; a call that listens to one that does not stream is told the answer
    at its end. The flight has the latest deadline of the calls that wait for it. When the answer
    comes, the one of them that has waited longest pays; to the others it is `joined`.

    Where an answer breaks off, a retry inside begins it anew, and `on_interrupt` of each call says
    what that means to it: with `error`, and with `resume`, a call that was told something gets
    `StreamInterrupted` as soon as the answer begins anew, and the others go on.
    """

    _flights: Flights = attrs.field(factory=Flights, init=False, eq=False, repr=False)

    async def __call__(self, call: Call, next: Handler) -> Response:
        host = call.need_host("Coalesce")
        request = call.request
        if request.metadata:
            request = request.replace(metadata={})
        question = _Question(host, next, request, call.tenant, call.sample)
        return await self._flights.share(question, call, next, host)

    def statistics(self) -> dict[str, int]:
        """How many flights were started, how many calls joined one, and how many are in flight."""
        flights = self._flights
        return {"started": flights.started, "joined": flights.joined, "in_flight": len(flights)}
