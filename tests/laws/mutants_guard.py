"""Seeded bugs of guards, and of what rewrites text."""

from llmmw import _map_text
from llmmw._map_text import MapText
from llmmw.errors import ListenerFailed, ResponseRejected
from llmmw.policies import Guard
from llmmw.policies import guard as guard_module
from tests.laws.mutants import mutant


def _around(patch, change):
    real = Guard.__call__

    async def guard(self, call, next):
        return await change(real, self, call, next)

    patch.setattr(Guard, "__call__", guard)


@mutant("guarded")
def told_before_it_is_accepted(patch):
    async def change(real, self, call, next):
        listener = call.listener
        response = await real(self, call.replace(listener=None), lambda c: next(call))
        assert listener is call.listener
        return response

    _around(patch, change)


@mutant("guarded")
def told_though_rejected(patch):
    async def change(real, self, call, next):
        held = []

        async def following(inner):
            async def hear(delta):
                held.append(delta)
                await inner.listener(delta)

            return await next(inner.replace(listener=hear) if inner.listener else inner)

        try:
            return await real(self, call, following)
        except ResponseRejected:
            for delta in held if call.listener else ():
                await call.listener(delta)
            raise

    _around(patch, change)


@mutant("guarded")
def a_rejection_is_swallowed(patch):
    async def change(real, self, call, next):
        try:
            return await real(self, call, next)
        except ResponseRejected as error:
            return error.partial

    _around(patch, change)


@mutant("guarded")
def the_rejected_answer_is_lost(patch):
    real = guard_module._rejected

    def rejected(call, response, why):
        error = real(call, response, why)
        error.partial = None
        return error

    patch.setattr(guard_module, "_rejected", rejected)


@mutant("guard-with-a-bug")
def a_failing_check_rejects(patch):
    real = Guard.objection

    async def objection(self, call, response):
        try:
            return await real(self, call, response)
        except ListenerFailed as failed:
            raise ResponseRejected("the check failed", partial=response) from failed.error

    patch.setattr(Guard, "objection", objection)


@mutant("guard-outside")
def what_is_held_outlives_a_restart(patch):
    class Never:
        pass

    patch.setattr(guard_module, "Restarted", Never)


@mutant("guard-outside")
def held_is_taken_for_told(patch):
    async def change(real, self, call, next):
        said = call.on_interrupt
        return await real(self, call, lambda inner: next(inner.replace(on_interrupt=said)))

    _around(patch, change)


@mutant("mapped", "mapped-in-pieces")
def rewritten_only_in_the_response(patch):
    async def only(self, call, next):
        heard = await next(call)
        return await real(self, call.replace(listener=None), lambda _: _given(heard))

    async def _given(response):
        return response

    real = MapText.__call__
    patch.setattr(MapText, "__call__", only)


@mutant("mapped-in-pieces")
def not_rewritten_in_errors(patch):
    patch.setattr(MapText, "_error", lambda self, error: error)


@mutant("mapped-in-pieces")
def rewritten_only_in_what_is_told(patch):
    patch.setattr(_map_text, "_with", lambda response, messages: response)
