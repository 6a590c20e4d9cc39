"""Law: what was answered once is not asked again while it is fresh; what is kept is a whole answer,
and is given to nobody but those who asked the same.

::

    age   0 ───────── ttl ─────────── + stale_while_revalidate
          │  fresh     │  stale: given at once, and asked anew meanwhile
          │            └───────────────────────── + stale_if_error
          │                            too old: asked anew; given if that fails
    miss  ├── ask ── whole ──▶ kept ──▶ the answer            identical calls meanwhile share one
          └── ask ── ╳ cut, failed, cancelled, truncated      nothing is kept

The same is: every field of the request but its `metadata`, the tenant, the sample, and the target
that was asked. An answer that a fallback gave is kept as the answer of the target that gave it,
unless that was asked with other fields.
(RFC 5861 is the origin of the two ways to be stale; that of samples is OneTwo's.)
"""

from __future__ import annotations

import copy
import random
from typing import Any

import attrs
import trio

from llmmw._call import Call
from llmmw._chain import Handler
from llmmw._deltas import Delta, Restarted, deltas_of
from llmmw._flight import Flights
from llmmw._ledger import CacheHit, CacheMissed, Ledger
from llmmw._memory import MemoryStore
from llmmw._record import Record
from llmmw._request import Generate
from llmmw._response import Generation, Response
from llmmw._store import GivenStore, check_given, shown
from llmmw.errors import BadRequest, LLMError
from llmmw.policies import _options
from llmmw.policies._cache_answers import (
    Place,
    answered_by,
    as_given,
    fewer,
    is_lasting,
    is_whole,
    places,
    with_others,
)
from llmmw.policies._cache_key import Keys, check_dropped
from llmmw.policies._cache_listen import Heard, Recorder
from llmmw.policies._cache_mode import MODES, CacheMode, cache_mode, mode_of_block
from llmmw.policies._cache_shelf import Found, Shelf

__all__ = ["Cache", "CacheMode", "cache_mode"]

_REFRESH = 600.0
"""Seconds that asking anew in the background may take."""
_TURN = 16
"""So many hits in a row, at most, without letting other tasks have their turn."""


def _given_store(item: object, field: attrs.Attribute[Any], given: object) -> None:
    if given is not None:
        check_given("Cache", given)


@attrs.define
class _Question:
    """What a call asks, and under which key its answer is kept."""

    call: Call
    key: str
    sample: int
    mode: CacheMode
    stored: int
    """How much had been stored when it came."""


@attrs.frozen
class Cache:
    """Keep answers, and give them to whoever asks the same again.

    It belongs outside of everything but instruments. Identical calls that miss at the same time
    share one (`coalesce`). Answers that were cut, or that a filter has changed, are not kept, nor
    those that ended at a limit of tokens which the request has not set.

    A request whose temperature is above 0 passes, unless `sampled` says that its answers may be
    shared. `sample` of a call tells independent answers apart; with `n`, a call has as many. What
    a store can't do is a miss, and an event of the call's ledger.

    Args:
        store: where answers are kept: a store, or the name of one, such as `"sqlite"` or
            `"sqlite:answers.db"`. Default: memory of its own.
        mode: see `CacheMode`; `cache_mode` sets it for some calls.
        ttl: seconds that an answer is fresh. Default: for ever.
        stale_while_revalidate: further seconds in which it is given while it is asked anew.
        stale_if_error: seconds after `ttl` in which it is given if asking anew fails, but not for
            an error that is about the request itself.
        negative: seconds that an error about the request itself is kept, too. Default: it is not.
        sampled: share answers of a temperature above 0.
        buckets: how many answers to the same question are kept; one of them is given at random.
            More than 1 shares sampled answers.
        drop: fields of requests that make no difference.
        coalesce: whether identical calls in flight share one.
        max_bytes: the largest answer that is kept.
    """

    store: GivenStore | None = attrs.field(
        default=None, validator=_given_store, repr=shown, hash=False
    )
    mode: CacheMode = attrs.field(
        default="read-write", validator=_options.one_of(*MODES), kw_only=True
    )
    ttl: float | None = attrs.field(default=None, validator=_options.seconds(0), kw_only=True)
    stale_while_revalidate: float = attrs.field(
        default=0.0, validator=_options.seconds(0), kw_only=True
    )
    stale_if_error: float = attrs.field(default=0.0, validator=_options.seconds(0), kw_only=True)
    negative: float = attrs.field(default=0.0, validator=_options.seconds(0), kw_only=True)
    sampled: bool = attrs.field(default=False, kw_only=True)
    buckets: int = attrs.field(default=1, validator=_options.whole(1), kw_only=True)
    drop: tuple[str, ...] = attrs.field(
        default=(), converter=_options.names, validator=check_dropped, kw_only=True
    )
    coalesce: bool = attrs.field(default=True, kw_only=True)
    max_bytes: int = attrs.field(default=8 * 2**20, validator=_options.whole(1), kw_only=True)
    _shelf: Shelf = attrs.field(init=False, eq=False, repr=False)
    _flights: Flights = attrs.field(factory=Flights, init=False, eq=False, repr=False)
    _refreshing: set[str] = attrs.field(factory=set, init=False, eq=False, repr=False)

    @_shelf.default
    def _make_shelf(self) -> Shelf:
        grace = max(self.stale_while_revalidate, self.stale_if_error)
        return Shelf(
            MemoryStore() if self.store is None else self.store,
            Keys(self.drop),
            ttl=None if self.ttl is None else self.ttl + grace,
            negative=self.negative,
            max_bytes=self.max_bytes,
        )

    async def __call__(self, call: Call, next: Handler) -> Response:
        mode = mode_of_block.get() or self.mode
        if mode == "off" or self._is_sampled(call):
            return await next(call)
        call.need_host("Cache")
        question = self._question(call, mode)
        if question is None:
            return await next(call)
        found = await self._look(question)
        if found is not None and mode != "refresh":
            late = self._late(found)
            if late <= 0:
                return await self._give(question, found)
            if late <= self.stale_while_revalidate:
                self._refresh(question, next, found)
                return await self._give(question, found, "revalidate")
        await self._missed(question, found)
        grace = self.stale_if_error
        if found is None or not grace or self._late(found) > grace:
            return await self._ask(question, next, found)
        return await self._ask_or_give(question, next, found)

    async def _look(self, question: _Question) -> Found | None:
        """What is kept, and may still be of use."""
        if question.mode == "write-only":
            return None
        found = await self._shelf.look_for(question.call, question.key, question.sample)
        if found is None or not isinstance(found.record.answer, LLMError):
            return found
        return found if found.age <= self.negative else None

    def _is_sampled(self, call: Call) -> bool:
        """Whether its answers are not to be shared."""
        request = call.request
        if self.sampled or self.buckets > 1 or not isinstance(request, Generate):
            return False
        return (request.temperature or 0) > 0

    def _question(self, call: Call, mode: CacheMode) -> _Question | None:
        sample = call.sample
        if self.buckets > 1:
            source: Any = call.host.random if call.host is not None else random
            sample = sample * self.buckets + source.randrange(self.buckets)
        try:
            key = self._shelf.keys.of_sample(call.request, call.tenant, sample)
        except BadRequest:  # it has no plain form; whether that is wrong, others know
            return None
        return _Question(call, key, sample, mode, self._shelf.counts.stored)

    def _late(self, found: Found) -> float:
        """Seconds since it is stale; not above 0: it is fresh."""
        if self.ttl is None or isinstance(found.record.answer, LLMError):
            return 0.0
        return found.age - self.ttl

    async def _give(self, question: _Question, found: Found, stale: str = "") -> Response:
        call, answer = question.call, found.record.answer
        self._shelf.counts.hit(answer, stale)
        usage = answer.usage if isinstance(answer, Response) else None
        spent = (
            (None, None, None)
            if usage is None
            else (usage.input_tokens, usage.output_tokens, usage.cost)
        )
        now, parent = trio.current_time(), call.attempt.number
        call.ledger.write(CacheHit, now, question.key, found.age, stale, *spent, parent)
        if self._shelf.counts.hits % _TURN:
            await trio.lowlevel.checkpoint_if_cancelled()
        else:
            await trio.lowlevel.checkpoint()
        if isinstance(answer, LLMError):
            raise copy.copy(answer)
        if call.listener is not None and isinstance(answer, Generation):
            for delta in found.record.deltas or deltas_of(answer):
                await call.listener(delta)
        return as_given(answer, call.ledger)

    async def _missed(self, question: _Question, found: Found | None) -> None:
        call = question.call
        why = "absent" if found is None else "expired"
        if question.mode in {"refresh", "write-only"}:
            why = "refresh"
        elif found is None and question.sample:
            first = self._shelf.keys.of_sample(call.request, call.tenant, 0)
            why = "sample" if await self._shelf.look(call, first) else "absent"
        self._shelf.counts.missed(why)
        now = trio.current_time()
        call.ledger.write(CacheMissed, now, question.key, why, call.attempt.number)

    async def _ask(self, question: _Question, next: Handler, old: Found | None) -> Response:
        call = question.call

        async def ask(call: Call) -> Response:
            mine = attrs.evolve(question, call=call)
            if question.stored != self._shelf.counts.stored and question.mode[:4] == "read":
                found = await self._look(mine)  # it may have come while the store was looked at
                if found is not None and self._late(found) <= 0:
                    return await self._give(mine, found)
            return await self._fetch(mine, next, old)

        if not self.coalesce:
            return await ask(call)
        assert call.host is not None
        flight = (call.host, next, question.key, question.mode)
        return await self._flights.share(flight, call, ask, call.host)

    async def _ask_or_give(self, question: _Question, next: Handler, old: Found) -> Response:
        call = question.call
        heard = Heard(call.listener)
        if call.listener is not None:
            call = call.replace(listener=heard)
        try:
            return await self._ask(attrs.evolve(question, call=call), next, old)
        except LLMError as error:
            if is_lasting(error) or (heard.anything and question.call.firm):
                raise
            name = type(error).__name__
        if heard.anything and question.call.listener is not None:
            await question.call.listener(Restarted(f"{name}; an older answer is given"))
        return await self._give(question, old, name)

    async def _fetch(self, question: _Question, next: Handler, old: Found | None) -> Response:
        """Ask, and keep what comes."""
        call, began = question.call, len(question.call.ledger.events)
        told: list[Delta] | None = None
        whole, known = call.request, await self._known(question)
        if known:
            call = call.replace(request=fewer(whole, len(known)))
        if call.listener is not None:
            recorder = Recorder(call.listener)
            call, told = call.replace(listener=recorder), recorder.told
        try:
            response = await next(call)
        except LLMError as error:
            keeps = self.negative and is_lasting(error) and question.mode != "read-only"
            if keeps and not self._differs(question):
                record = Record(error, whole.model, call.tenant, question.sample)
                await self._shelf.keep(call, Place(whole, question.sample, record), old)
            raise
        given = with_others(known, response)
        if question.mode == "read-only":
            return given
        events, asked = call.ledger.events[began:], call.request.model
        target = answered_by(events, call.attempt.number, asked)
        if not target or not is_whole(call.request, response, events) or self._differs(question):
            self._shelf.counts.refused += 1
            return given
        if question.mode == "write-only":
            old = await self._shelf.look_for(call, question.key, question.sample)
        deltas = None if told is None else tuple(told)
        for place in places(
            whole if target == asked else call.request,
            given if target == asked else response,
            target=target,
            tenant=call.tenant,
            sample=question.sample,
            deltas=deltas,
        ):
            await self._shelf.keep(call, place, old if target == asked else None)
        return given

    async def _known(self, question: _Question) -> list[Record]:
        """Of several that are asked for, the first that are there; none for who listens."""
        if question.call.listener is not None or question.mode not in ("read-write", "read-only"):
            return []
        found = await self._shelf.samples(question.call, question.sample, self._late)
        return [one.record for one in found]

    def _differs(self, question: _Question) -> bool:
        """Whether something in the request was changed in place while it was asked."""
        call = question.call
        try:
            key = self._shelf.keys.of_sample(call.request, call.tenant, question.sample)
        except BadRequest:
            return True
        return key != question.key

    def _refresh(self, question: _Question, next: Handler, old: Found) -> None:
        """Ask anew in the background, once."""
        key, call = question.key, question.call
        assert call.host is not None
        if key in self._refreshing or question.mode == "read-only":
            return
        self._refreshing.add(key)
        ledger = Ledger(hear=call.host.hear)
        quiet = Call(
            call.request, tenant=call.tenant, sample=call.sample, ledger=ledger, host=call.host
        )

        async def work() -> None:
            try:
                with trio.move_on_after(_REFRESH):
                    await self._fetch(attrs.evolve(question, call=quiet), next, old)
            finally:
                self._refreshing.discard(key)

        call.host.start(work)

    def statistics(self) -> dict[str, Any]:
        """How many calls were `hits` (`stale` of them, and `negative`: errors) and `misses`, of
        these `sample_misses` where other samples were there; how many answers were `stored`
        (`new`, with `new_samples` beside a first; `overwritten`, `redundant`) and `refused`; how
        many `joined` another; how often the store `failed`; the tokens and US dollars saved; and
        `store`, its own."""
        counts = self._shelf.counts.data()
        return {**counts, "joined": self._flights.joined, "store": self._shelf.statistics()}
