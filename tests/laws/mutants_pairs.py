"""Seeded bugs that show when two runs are compared."""

from llmmw import _client, _plan, _tasks
from tests.laws.mutants import mutant


@mutant("retry")
def who_listens_gets_no_retry(patch):
    real = _plan.Plan.following

    def following(self, call, history):
        return None if call.listener else real(self, call, history)

    patch.setattr(_plan.Plan, "following", following)


@mutant("retry")
def an_instrument_that_fails_ends_the_call(patch):
    def tell_all(instruments):
        def tell(event):
            for instrument in instruments:
                instrument(event)

        return tell

    patch.setattr(_tasks, "tell_all", tell_all)


@mutant("retry")
def a_long_chain_loses_a_layer(patch):
    real = _client.chain
    patch.setattr(_client, "chain", lambda *parts, provider: real(*parts[:2], provider=provider))


@mutant("hedge")
def a_hedge_ends_the_first(patch):
    real = _plan._Race._open

    def opened(self, start):
        if start.reason == "hedge":
            for scope in self.scopes.values():
                scope.cancel()
        real(self, start)

    patch.setattr(_plan._Race, "_open", opened)
