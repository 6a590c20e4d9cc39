"""Seeded bugs of caches; the laws of caches find each (`tests/policies/test_cache_laws.py`).

They are not in `MUTANTS`: in the worlds drawn for those hardly anybody asks the same again.
"""

import attrs
import trio

from llmmw import _record
from llmmw._deltas import Restarted
from llmmw._record import Record
from llmmw._response import Generation
from llmmw.errors import LLMError, StreamInterrupted
from llmmw.policies import Cache, _cache_shelf
from llmmw.policies import cache as cache_module
from llmmw.policies._cache_answers import Place
from llmmw.policies._cache_key import Keys
from llmmw.policies._cache_listen import Recorder
from llmmw.policies._cache_shelf import Shelf

CACHE_MUTANTS = {}


def mutant(*stacks):
    def add(patch):
        CACHE_MUTANTS[patch.__name__] = (patch, stacks)
        return patch

    return add


@mutant("cache")
def a_partial_answer_is_kept(patch):
    real = Cache._fetch

    async def fetch(self, question, next, old):
        try:
            return await real(self, question, next, old)
        except StreamInterrupted as error:
            call = question.call
            if error.partial is not None:
                record = Record(error.partial, call.request.model, call.tenant, question.sample)
                await self._shelf.keep(call, Place(call.request, question.sample, record), old)
            raise

    patch.setattr(Cache, "_fetch", fetch)


@mutant("cache")
def a_cancelled_call_fills_the_cache(patch):
    async def fetch(self, question, next, old):
        call = question.call
        try:
            return await real(self, question, next, old)
        except trio.Cancelled:
            record = Record(Generation(), call.request.model, call.tenant, question.sample)
            with trio.CancelScope(shield=True):
                await self._shelf.keep(call, Place(call.request, question.sample, record), old)
            raise

    real = Cache._fetch
    patch.setattr(Cache, "_fetch", fetch)


@mutant("cache")
def what_was_taken_back_is_recorded(patch):
    async def call(self, delta):
        if not isinstance(delta, Restarted):
            self.told.append(delta)
        await self._listener(delta)

    patch.setattr(Recorder, "__call__", call)


@mutant("cache", "stale")
def a_hit_asks_all_the_same(patch):
    real = Cache._give

    async def give(self, question, found, stale=""):
        await trio.sleep(1 / 64)
        return await real(self, question, found, stale)

    patch.setattr(Cache, "_give", give)


@mutant("cache")
def a_hit_tells_nothing(patch):
    patch.setattr(cache_module, "deltas_of", lambda answer: ())
    real = _record.read_record
    patch.setattr(_cache_shelf, "read_record", lambda value: attrs.evolve(real(value), deltas=None))


@mutant("stale")
def every_stale_hit_asks_anew(patch):
    real = Cache._refresh

    def refresh(self, question, next, old):
        self._refreshing.clear()
        real(self, question, next, old)

    patch.setattr(Cache, "_refresh", refresh)


@mutant("stale")
def fresh_answers_are_asked_anew_too(patch):
    patch.setattr(Cache, "_late", lambda self, found: found.age)


@mutant("stale", "grace")
def nothing_is_too_old(patch):
    real = Cache._late
    patch.setattr(Cache, "_late", lambda self, found: min(real(self, found), 0.0))


@mutant("grace")
def any_old_answer_stands_in_for_an_error(patch):
    real = Cache._ask

    async def ask(self, question, next, old):
        try:
            return await real(self, question, next, old)
        except LLMError as error:
            if old is None:
                raise
            name = type(error).__name__
        return await self._give(question, old, name)

    patch.setattr(Cache, "_ask", ask)


@mutant("stale")
def the_age_begins_anew_with_each_look(patch):
    real = Shelf.look

    async def look(self, call, key):
        found = await real(self, call, key)
        return None if found is None else attrs.evolve(found, age=found.age / 2)

    patch.setattr(Shelf, "look", look)


@mutant("cache")
def tenants_are_one(patch):
    real = Keys.base
    patch.setattr(Keys, "base", lambda self, request, tenant: real(self, request, ""))
    patch.setattr(_cache_shelf, "read_record", _ForAll())


class _ForAll:
    """Reads a record as if it were that of whoever asks."""

    def __call__(self, value):
        return attrs.evolve(_record.read_record(value), tenant=_Anybody())


class _Anybody(str):
    __hash__ = str.__hash__

    def __ne__(self, other):
        return False


@mutant("fallback")
def the_answer_of_a_fallback_is_kept_for_the_target_asked(patch):
    patch.setattr(cache_module, "answered_by", lambda events, parent, asked: asked)


@mutant("cache")
def each_asks_for_itself(patch):
    async def share(self, key, call, next, host):
        return await next(call)

    patch.setattr(cache_module.Flights, "share", share)


@mutant("cache")
def nothing_is_kept(patch):
    async def keep(self, call, place, old):
        pass

    patch.setattr(Shelf, "keep", keep)
