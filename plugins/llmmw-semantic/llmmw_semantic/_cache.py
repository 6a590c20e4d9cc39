"""A middleware that gives the answer to a question again when it is asked in other words.

::

    question ─▶ vector ─▶ the nearest that were kept ─▶ alike, and the guard agrees ─▶ its answer
                 │ too late, failed          │ none
                 └───────────────────────────┴─▶ ask ─▶ a whole answer ─▶ kept

All but the last message of the user must be the same: the target, the parameters, the tenant, the
messages before.
"""

from __future__ import annotations

from typing import Any

import attrs
import trio

from llmmw import Embed, Embeddings, Generation, Response
from llmmw._ledger import StoreFailed
from llmmw._record import Record
from llmmw._store import GivenStore, check_given, name_of_store, opened, shown
from llmmw.errors import ConfigError, LLMError
from llmmw.plugin import Attempt, Call, Handler, Store, deltas_of
from llmmw.policies._cache_answers import answered_by, is_whole
from llmmw.policies._cache_key import Keys
from llmmw.policies._cache_listen import Recorder
from llmmw.policies._cache_mode import mode_of_block
from llmmw.stores import MemoryStore
from llmmw_semantic._asked import Asked, asked
from llmmw_semantic._events import SemanticHit, SemanticMissed
from llmmw_semantic._guard import difference
from llmmw_semantic._index import Index, Near, Vector
from llmmw_semantic._kept import Kept, read_kept, unit_vector, write_kept

__all__ = ["SemanticCache"]

_CANDIDATES = 8
"""So many of the nearest are looked at."""
_MANY_SCOPES = 10_000


def _target(item: object, field: attrs.Attribute[str], given: object) -> None:
    if not isinstance(given, str) or ":" not in given:
        raise ConfigError(f'SemanticCache(embed={given!r}): expected "provider:model"')


def _between(low: float, high: float) -> Any:
    def check(item: object, field: attrs.Attribute[Any], given: Any) -> None:
        if not isinstance(given, (int, float)) or not low < given <= high:
            raise ConfigError(
                f"SemanticCache({field.name}={given!r}): expected a number above {low:g}, "
                f"{high:g} at most"
            )

    return check


def _given_store(item: object, field: attrs.Attribute[Any], given: object) -> None:
    if given is not None:
        check_given("SemanticCache", given)


@attrs.frozen
class SemanticCache:
    """Give the answer to a question again when another one means the same.

    It belongs inside of a `Cache`, which finds the very same question for nothing, and outside of
    everything else. It compares the last message of the user, in English best; all else must be
    equal. Tools, structured output, several answers, images and a temperature above 0 pass. What
    it gives may be the answer to a question that is not quite the same: each hit is an event of
    the call's ledger, a `SemanticHit`, with that question and how similar it is.

    Args:
        embed: the target that makes vectors, `"provider:model"`; it is asked through the layers
            inside of this one.
        threshold: how similar two questions must be, from 0 to 1. It depends on the model of the
            vectors; the default was measured with `minilm:all-MiniLM-L6-v2`.
        store: where questions are kept: a store, or the name of one. Default: memory of its own.
            What others have put there is found when it was there at the first look.
        guard: whether questions must agree in numbers, units, dates, names, negation, scope,
            direction, tense, order, and in all words but those that say nothing or the same, too.
        ttl: seconds that an answer may be given. Default: for ever.
        patience: seconds that a vector may take; the call then goes on without it.
        max_entries: how many questions are compared at most; what was used least goes first.
        max_length: signs of a question at most; longer ones pass.
        sampled: share answers of a temperature above 0.
        tools: also where tools are given, or were used.
        structured: also where the form of the answer is given.
    """

    embed: str = attrs.field(validator=_target)
    threshold: float = attrs.field(default=0.82, validator=_between(0, 1), kw_only=True)
    store: GivenStore | None = attrs.field(
        default=None,
        validator=_given_store,
        hash=False,
        repr=shown,
        kw_only=True,
    )
    guard: bool = attrs.field(default=True, kw_only=True)
    ttl: float | None = attrs.field(
        default=None, validator=attrs.validators.optional(_between(0, 1e12)), kw_only=True
    )
    patience: float = attrs.field(default=2.0, validator=_between(0, 1e6), kw_only=True)
    max_entries: int = attrs.field(default=10_000, validator=_between(0, 1e6), kw_only=True)
    max_length: int = attrs.field(default=500, validator=_between(0, 1e5), kw_only=True)
    sampled: bool = attrs.field(default=False, kw_only=True)
    tools: bool = attrs.field(default=False, kw_only=True)
    structured: bool = attrs.field(default=False, kw_only=True)
    _given: GivenStore = attrs.field(init=False, eq=False, repr=False)
    _index: Index = attrs.field(init=False, eq=False, repr=False)
    _loaded: set[str] = attrs.field(factory=set, init=False, eq=False, repr=False)
    _keys: Keys = attrs.field(factory=Keys, init=False, eq=False, repr=False)
    _counts: dict[str, int] = attrs.field(init=False, eq=False, repr=False)

    def __attrs_post_init__(self) -> None:
        counts = dict.fromkeys(("hits", "misses", "stored", "refused", "failed"), 0)
        store = MemoryStore(max_entries=self.max_entries) if self.store is None else self.store
        for name, made in (
            ("given", store),
            ("index", Index(self.max_entries)),
            ("counts", counts),
        ):
            object.__setattr__(self, f"_{name}", made)

    async def __call__(self, call: Call, next: Handler) -> Response:
        mode = mode_of_block.get() or "read-write"
        found = asked(
            call,
            self.embed,
            self._keys,
            most=self.max_length,
            sampled=self.sampled,
            tools=self.tools,
            structured=self.structured,
        )
        if mode == "off" or found is None:
            return await next(call)
        store = await self._opened(call, found)
        vector = None if store is None else await self._vector(call, next, found.question)
        if store is None or vector is None:
            return await next(call)
        if mode[:4] == "read":
            answer = await self._look(call, store, found, vector)
            if answer is not None:
                return answer
        return await self._ask(call, next, store, found, vector, keep=mode != "read-only")

    async def _opened(self, call: Call, found: Asked) -> Store | None:
        """The store, with what it had of this scope in the index."""
        host = call.need_host("SemanticCache")
        try:
            store = await opened(host, self._given)
            if found.scope not in self._loaded:
                if len(self._loaded) >= _MANY_SCOPES:
                    self._loaded.clear()
                self._loaded.add(found.scope)
                await self._load(call, store, found)
        except ConfigError:
            raise
        except Exception as error:  # a store is never worth a call
            self._loaded.discard(found.scope)
            self._failed(call, error)
            return None
        return store

    async def _load(self, call: Call, store: Store, found: Asked) -> None:
        async for stored in store.scan(found.prefix):
            try:
                kept = read_kept(stored.value)
                self._index.add(found.scope, stored.key, kept.question, kept.vector)
            except ValueError as error:  # damaged, or of another version or model
                self._failed(call, error)

    async def _vector(self, call: Call, next: Handler, question: str) -> Vector | None:
        attempt = Attempt(call.attempt.number, call.attempt.reason, call.attempt.target)
        request = Embed(model=self.embed, inputs=(question,))
        asking = call.replace(request=request, listener=None, attempt=attempt)
        why = f"no vector within {self.patience:g} s"
        with trio.move_on_after(self.patience):
            try:
                made = await next(asking)
                if isinstance(made, Embeddings) and len(made.vectors) == 1:
                    return unit_vector(made.vectors[0])
                why = f"{self.embed} gave no vector"
            except (LLMError, ValueError) as error:
                why = f"{type(error).__name__}: {error}"
        self._counts["failed"] += 1
        self._missed(call, f"failed: {why}")
        return None

    async def _look(
        self, call: Call, store: Store, found: Asked, vector: Vector
    ) -> Response | None:
        """The answer to the nearest question that will do."""
        nearest: Near | None = None
        why = "absent"
        for near in list(self._index.nearest(found.scope, vector, _CANDIDATES)):
            if near.similarity < self.threshold:
                if nearest is None:
                    nearest, why = near, "unlike"
                break
            differs = difference(near.question, found.question) if self.guard else ""
            if not differs:
                answer = await self._give(call, store, near)
                if answer is not None:
                    return answer
            elif nearest is None:
                nearest, why = near, differs
        self._counts["misses"] += 1
        self._missed(call, why, nearest)
        return None

    async def _give(self, call: Call, store: Store, near: Near) -> Response | None:
        try:
            stored = await store.get(near.key)
            kept = None if stored is None else read_kept(stored.value)
        except Exception as error:  # a store is never worth a call
            self._failed(call, error)
            return None
        answer = kept.record.answer if kept is not None else None
        if stored is None or kept is None or not isinstance(answer, Generation):
            self._index.remove(near.key)
            return None
        if kept.record.tenant != call.tenant or (self.ttl is not None and stored.age > self.ttl):
            return None
        self._counts["hits"] += 1
        self._index.use(near.key)
        now, parent = trio.current_time(), call.attempt.number
        call.ledger.write(SemanticHit, now, near.question, near.similarity, stored.age, parent)
        await trio.lowlevel.checkpoint()
        if call.listener is not None:
            for delta in kept.record.deltas or deltas_of(answer):
                await call.listener(delta)
        return answer.replace(ledger=call.ledger, joined=True)

    async def _ask(
        self, call: Call, next: Handler, store: Store, found: Asked, vector: Vector, *, keep: bool
    ) -> Response:
        """Ask, and keep what comes."""
        began, told = len(call.ledger.events), None
        asking = call
        if call.listener is not None:
            recorder = Recorder(call.listener)
            asking, told = call.replace(listener=recorder), recorder.told
        response = await next(asking)
        if not keep:
            return response
        events, target = call.ledger.events[began:], call.request.model
        given_by = answered_by(events, call.attempt.number, target)
        if not is_whole(call.request, response, events) or given_by != target:
            self._counts["refused"] += 1
            return response
        deltas = None if told is None else tuple(told)
        record = Record(response, target, call.tenant, 0, deltas)
        try:
            value = write_kept(Kept(found.question, vector, record))
            await store.put(found.key, value, self.ttl)
        except Exception as error:  # a store is never worth an answer
            self._failed(call, error)
            return response
        self._index.add(found.scope, found.key, found.question, vector)
        self._counts["stored"] += 1
        return response

    def _missed(self, call: Call, why: str, near: Near | None = None) -> None:
        question, similarity = (near.question, near.similarity) if near else ("", 0.0)
        now, parent = trio.current_time(), call.attempt.number
        call.ledger.write(SemanticMissed, now, why, question, similarity, parent)

    def _failed(self, call: Call, error: Exception) -> None:
        self._counts["failed"] += 1
        name, message = name_of_store(self._given), f"{type(error).__name__}: {error}"
        call.ledger.write(StoreFailed, trio.current_time(), name, message, call.attempt.number)

    def statistics(self) -> dict[str, Any]:
        """How many calls were `hits` and `misses`, how many answers were `stored` and `refused`,
        how often the store or the vectors `failed`, and how many `entries` are compared."""
        return {**self._counts, "entries": len(self._index)}
