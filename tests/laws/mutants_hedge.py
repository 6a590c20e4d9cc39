"""Seeded bugs of hedges."""

import attrs

from llmmw import _plan
from llmmw._history import History
from llmmw._plan import Plan, _Race
from llmmw.errors import LLMError
from llmmw.policies import Hedge
from tests.laws.mutants import mutant


@mutant("hedge", "hedges")
def a_loser_is_not_cancelled(patch):
    patch.setattr(_Race, "_cancel_others", lambda self: None)


@mutant("hedge", "hedges")
def a_loser_is_not_awaited(patch):
    def run_open(self, start):
        record = _plan.begin(self.call, start, self.history)
        record.when_sent = self._wake
        self.scopes[record] = _plan.trio.CancelScope()
        nursery = self.nursery if start.reason == "first" else self.call.host.nursery
        nursery.start_soon(self._run, record, start.request)

    patch.setattr(_Race, "_open", run_open)


@mutant("hedge-scarce")
def a_hedge_is_free(patch):
    real = Plan.paid

    def paid(self, call, start, history):
        return real(self, call, attrs.evolve(start, budget=None), history)

    patch.setattr(Plan, "paid", paid)


@mutant("hedge", "hedges")
def the_first_error_ends_the_race(patch):
    real = History.live.fget
    patch.setattr(History, "live", property(lambda self: [] if self.failures else real(self)))


@mutant("hedges", "hedge-kept")
def all_who_run_are_told(patch):
    async def claim(self, record, whole):
        self.winner = record
        return True

    patch.setattr(_Race, "_claim", claim)


@mutant("hedge-limits")
def a_hedge_for_one_that_queues(patch):
    real = Hedge.due

    def due(self, history):
        held = [record for record in history.live if record.sent is None]
        for record in held:
            record.sent = record.opened
        try:
            return real(self, history)
        finally:
            for record in held:
                record.sent = None

    patch.setattr(Hedge, "due", due)
    patch.setattr(_Race, "_leave", lambda self, record: _plan.trio.lowlevel.checkpoint())


@mutant("hedge", "hedges")
def one_hedge_too_many(patch):
    real, init = Hedge.due, Plan.__init__

    def due(self, history):
        return real(attrs.evolve(self, max_hedges=self.max_hedges + 1), history)

    patch.setattr(Hedge, "due", due)
    patch.setattr(Plan, "__init__", lambda s, p, b, n, *o: init(s, p, b, n + 1, *o))


@mutant("hedges", "hedged")
def a_hedge_on_the_same_target(patch):
    patch.setattr(Hedge, "_next", lambda self, history, live: history.requests[live[0].target])


@mutant("hedge", "hedges")
def a_hedge_too_early(patch):
    real = Hedge.wait
    patch.setattr(Hedge, "wait", lambda self, request: real(self, request) - 1 / 128)


@mutant("hedge", "hedges")
def a_hedge_too_late(patch):
    real = Hedge.wait
    patch.setattr(Hedge, "wait", lambda self, request: real(self, request) + 1 / 128)


@mutant("hedge-limits", "hedges")
def a_hedge_that_was_never_made_takes_a_place(patch):
    patch.setattr(History, "forget", lambda self, record: None)


@mutant("hedge", "hedges", "hedged")
def the_error_of_a_loser_is_raised(patch):
    attempt, verdict = _plan.attempt, _plan.verdict
    faults = {}

    async def noting(call, next, request, record, *others):
        async def seen(inner):
            try:
                return await next(inner)
            except LLMError as error:
                faults[record] = error
                raise

        return await attempt(call, seen, request, record, *others)

    def all_of_them(history):
        error = verdict(history)
        lost = [faults[r] for r in history.records if r.superseded and r in faults]
        error.attempts = (*error.attempts, *lost)
        return error

    patch.setattr(_plan, "attempt", noting)
    patch.setattr(_plan, "verdict", all_of_them)
