"""Seeded bugs of rate limits."""

import math

from llmmw.errors import CallShed
from llmmw.policies import RateLimit
from llmmw.policies import rate_limit as rate_limit_module
from llmmw.policies._buckets import Account
from tests.laws.mutants import mutant


@mutant("rate-queue", "rate-outside")
def starts_are_free(patch):
    patch.setattr(Account, "_earliest", lambda self, costs, full: -math.inf)


@mutant("rate-line")
def the_last_goes_first(patch):
    real = Account.enter
    count = iter(range(1 << 30))
    patch.setattr(
        Account, "enter", lambda s, c, n, **k: real(s, c, n, **k | {"priority": next(count)})
    )


@mutant("rate-hint")
def a_hint_is_forgotten(patch):
    patch.setattr(Account, "freeze", lambda self, until, now: None)


@mutant("rate-outside", "rate-queue")
def waits_whatever_the_deadline(patch):
    real = Account.enter
    patch.setattr(
        Account, "enter", lambda s, c, n, **k: real(s, c, n, **k | {"deadline": math.inf})
    )


@mutant("rate-line")
def shed_without_need(patch):
    real = Account.enter

    def enter(self, costs, now, **options):
        if self.queue:
            options["deadline"] = now
        return real(self, costs, now, **options)

    patch.setattr(Account, "enter", enter)


@mutant("rate", "all-limits")
def a_cancelled_attempt_is_free(patch):
    patch.setattr(rate_limit_module, "_left_us", lambda call: False)


@mutant("rate-line")
def what_was_never_sent_is_charged(patch):
    def failed(self, call, error):
        return {"requests": 1.0} if isinstance(error, CallShed) else real(self, call, error)

    real = RateLimit._failed
    patch.setattr(RateLimit, "_failed", failed)


@mutant("rate-line")
def who_leaves_the_line_is_counted(patch):
    def leave(self, ticket, now):
        if ticket.state == "waiting":
            self.queue.remove(ticket)
            self._charge(ticket.costs, now)

    patch.setattr(Account, "leave", leave)


@mutant("all-limits", "rate")
def settled_twice(patch):
    real = Account.settle

    def settle(self, ticket, spent, now):
        real(self, ticket, spent, now)
        ticket.state = "started"
        real(self, ticket, [0.0 for _ in spent], now)

    patch.setattr(Account, "settle", settle)
