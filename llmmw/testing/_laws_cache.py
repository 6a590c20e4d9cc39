"""The laws of caches, each a function of a trace.

They look at a `Cache` that is outside of all that makes attempts and keeps its answers in memory.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from functools import cached_property

import attrs

from llmmw._deltas import Delta, Fold, PartDelta
from llmmw._ledger import CacheHit, CacheStored, Event
from llmmw._memory import MemoryStore
from llmmw._record import Record, read_record
from llmmw._response import Generation
from llmmw.errors import (
    BadRequest,
    ContentFiltered,
    ContextWindowExceeded,
    LLMError,
    NotFound,
    UnsupportedFeature,
)
from llmmw.policies import Balance, Cache
from llmmw.testing._calls import CallTrace, Entry
from llmmw.testing._laws import demand
from llmmw.testing._trace import Trace

__all__ = ["CACHE_LAWS", "Cached", "caches"]


@attrs.frozen(eq=False)
class _Hit:
    """A call that was given what is kept."""

    event: CacheHit
    entry: Entry
    call: CallTrace


@attrs.define(eq=False, slots=False)
class Cached:
    """A cache of a stack, and what came to it and went on from it."""

    cache: Cache
    trace: Trace
    depth: int

    @cached_property
    def came(self) -> list[tuple[CallTrace, Entry]]:
        """The calls as they came to it."""
        return [(c, e) for c in self.trace.calls for e in c.entries if e.depth == self.depth]

    @cached_property
    def went(self) -> list[Entry]:
        """What it has asked."""
        return [e for c in self.trace.calls for e in c.entries if e.depth == self.depth + 1]

    @cached_property
    def answers(self) -> list[Entry]:
        """What it was answered."""
        return [entry for entry in self.went if entry.outcome == "ok"]

    @property
    def events(self) -> Iterator[Event]:
        """What has happened to the calls that came to it."""
        for _, entry in self.came:
            yield from entry.call.ledger.events

    def refreshes(self) -> list[CallTrace]:
        """What it has asked in the background, as calls of its own."""
        calls = self.trace.calls
        return [c for c in calls if c.by is not None and c.by.depth == self.depth]

    def hits(self) -> Iterator[_Hit]:
        """The calls that were given what is kept, and neither asked nor waited for who did."""
        for call, entry in self.came:
            for event in entry.call.ledger.events:
                if isinstance(event, CacheHit) and event.stale in {"", "revalidate"}:
                    yield _Hit(event, entry, call)

    def kept(self) -> list[Record]:
        """What it has at the end."""
        store = self.cache._shelf.given  # noqa: SLF001 (a law may look)
        if not isinstance(store, MemoryStore):
            return []
        lru = store._lru  # noqa: SLF001
        found = (lru.get(key) for key in lru.keys())  # noqa: SIM118 (it is no mapping)
        return [read_record(one.value) for one in found if one is not None]


def caches(trace: Trace) -> Iterator[Cached]:
    """The cache of a stack, if it has one that these laws speak of."""
    if sum(isinstance(layer, Cache) for layer in trace.stack) > 1:
        return  # their events look alike
    for depth, layer in enumerate(trace.stack):
        if isinstance(layer, Cache) and all(engine.depth > depth for engine in trace.engines):
            yield Cached(layer, trace, depth)


def _balances(trace: Trace) -> bool:
    return any(isinstance(layer, Balance) for layer in trace.stack)


def _same(one: Entry, other: Entry) -> bool:
    """Whether both ask the same of one target for one tenant."""
    return (
        (one.call.tenant, one.call.sample) == (other.call.tenant, other.call.sample)
        and one.target == other.target
        and one.request.replace(metadata={}) == other.request.replace(metadata={})
    )


def _folded(deltas: Iterable[Delta]) -> object:
    """What these tell, or why they tell nothing."""
    fold = Fold()
    try:
        for delta in deltas:
            fold(delta)
    except LLMError as error:
        return error
    return fold.response().message


def law_62(trace: Trace) -> None:
    """What a cache keeps is a whole answer that some call was given, with the deltas that tell it;
    never what was cut, failed or cancelled."""
    for cached in caches(trace):
        for record in cached.kept():
            whole = [e.response for e in cached.answers if e.call.tenant == record.tenant]
            kept = record.answer
            allowed = isinstance(kept, LLMError) and cached.cache.negative > 0
            demand("L62", allowed or kept in whole, f"{kept!r} was never answered")
            if record.deltas is not None and isinstance(record.answer, Generation):
                told = _folded(record.deltas)
                demand("L62", told == record.answer.message, f"{told!r} would be told")
        stored = {
            id(event)
            for entry in (*cached.went, *(entry for _, entry in cached.came))
            for event in entry.call.ledger.events
            if isinstance(event, CacheStored)
        }
        ended = [e for e in cached.went if isinstance(e.error, LLMError)]
        most = len(cached.answers) + (len(ended) if cached.cache.negative else 0)
        demand("L62", len(stored) <= most, "more was stored than answered")


def law_67(trace: Trace) -> None:
    """A hit asks nothing, takes no time, and tells the answer that it gives."""
    for cached in caches(trace):
        for hit in cached.hits():
            entry = hit.entry
            demand("L67", hit.event.time == entry.opened, "a hit has waited")
            unheard = entry.call.listener is None and entry.outcome == "ok"
            demand("L67", not unheard or entry.ended == entry.opened, "a hit took time")
            if isinstance(entry.response, Generation) and entry.call.listener is not None:
                deltas = [told.delta for told in entry.told]
                told = "".join(d.text for d in deltas if isinstance(d, PartDelta))
                demand("L67", told == entry.response.text, f"{told!r} was told")


def law_68(trace: Trace) -> None:
    """Of what is stale one at a time is asked anew, and only of that."""
    for cached in caches(trace):
        refreshes = [call.top for call in cached.refreshes()]
        for one in refreshes:
            for other in refreshes:
                beside = one.opened_order < other.opened_order < one.ended_order
                demand("L68", not (beside and _same(one, other)), "asked anew twice at once")
        stale = {id(hit.entry) for hit in cached.hits() if hit.event.stale == "revalidate"}
        demand("L68", all(id(c.by) in stale for c in cached.refreshes()), "asked anew without need")


_LASTING = {
    kind.__name__
    for kind in (BadRequest, ContentFiltered, ContextWindowExceeded, NotFound, UnsupportedFeature)
}


def law_69(trace: Trace) -> None:
    """Nothing is given after its time, it is as old as it is said to be, and it stands in for no
    error that is about the request itself."""
    for cached in caches(trace):
        cache = cached.cache
        if cache.ttl is None:
            continue
        for _, entry in cached.came:
            for event in entry.call.ledger.events:
                if isinstance(event, CacheHit):
                    grace = cache.stale_if_error if event.stale else 0.0
                    if event.stale == "revalidate":
                        grace = cache.stale_while_revalidate
                    lasting = event.stale in _LASTING
                    demand("L69", not lasting, f"given in place of {event.stale}")
                    late = event.age > cache.ttl + grace
                    demand("L69", not late, f"{event.age:g} s old, {event.stale or 'fresh'}")
        for hit in cached.hits():
            made = [e for e in cached.answers if e.ended == hit.event.time - hit.event.age]
            right = any(_same(e, hit.entry) for e in made)
            demand("L69", right, f"nothing was answered {hit.event.age:g} s before")


def law_115(trace: Trace) -> None:
    """A hit is an answer of the target that was asked, or of one that a balancer takes for it, to
    the same question, of the same tenant."""
    for cached in caches(trace):
        visits = [v for c in trace.calls for v in trace.visits(c) if v.outcome == "ok"]
        balanced = _balances(trace)
        for hit in cached.hits():
            given = hit.entry.response
            if isinstance(given, Generation) and not trace.rewrites and not balanced:
                found = (
                    isinstance(v.response, Generation)
                    and v.response.message == given.message
                    and v.target == hit.entry.target
                    and v.call.tenant == hit.entry.call.tenant
                    and v.ended <= hit.event.time
                    for v in visits
                )
                demand("L115", any(found), f"{given.text!r} is another's")


def law_116(trace: Trace) -> None:
    """Of identical calls that miss at the same time one asks, unless each is to ask for itself."""
    for cached in caches(trace):
        background = {id(call.top) for call in cached.refreshes()}
        asked = [e for e in cached.went if id(e) not in background and e.outcome != "cancelled"]
        for one in asked if cached.cache.coalesce else ():
            for other in asked:
                beside = one.opened_order < other.opened_order < one.ended_order
                demand("L116", not (beside and _same(one, other)), "two ask the same at once")


def law_117(trace: Trace) -> None:
    """While an answer is fresh the same is not asked again."""
    for cached in () if _balances(trace) else caches(trace):  # who gave it, is not to be seen then
        fresh = cached.cache.ttl
        anew = {id(call.top): call.by for call in cached.refreshes()}
        for answer in cached.answers:
            gave = [v.target for v in answer.below() if not v.children and v.outcome == "ok"]
            if not gave or gave[-1] != answer.target:
                continue
            for other in cached.went:
                later = answer.ended_order < other.opened_order
                within = fresh is None or other.opened <= answer.ended + fresh
                asker = other.parent or anew.get(id(other))
                came = asker is not None and asker.opened_order > answer.ended_order
                again = later and within and came and _same(answer, other)
                demand("L117", not again, "asked again though it is fresh")


CACHE_LAWS: tuple[Callable[[Trace], None], ...] = (
    law_62,
    law_67,
    law_68,
    law_69,
    law_115,
    law_116,
    law_117,
)
