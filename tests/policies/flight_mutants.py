"""Seeded bugs of shared flights, each with the stack that shows it."""

import trio

from llmmw import _flight
from llmmw._flight import _Flight
from llmmw._tasks import Task
from llmmw.policies import coalesce

MUTANTS = {}


def mutant(*stacks):
    def add(patch):
        MUTANTS[patch.__name__] = (patch, stacks)
        return patch

    return add


@mutant("coalesce")
def last_waiter_leaves_and_the_flight_goes_on(patch):
    def remove(self, waiter):
        self.waiters.pop(waiter, None)

    async def leave(self, waiter):
        self._remove(waiter)

    patch.setattr(_Flight, "_remove", remove)
    patch.setattr(_Flight, "_leave", leave)


@mutant("coalesce")
def one_waiter_leaves_and_the_flight_dies(patch):
    real = _Flight._remove

    def remove(self, waiter):
        real(self, waiter)
        self.task.scope.cancel()

    patch.setattr(_Flight, "_remove", remove)


@mutant("coalesce")
def the_leader_leaves_and_the_flight_dies(patch):
    real = _Flight._remove

    def remove(self, waiter):
        leads = next(iter(self.waiters), None) is waiter
        real(self, waiter)
        if leads:
            self.task.scope.cancel()

    patch.setattr(_Flight, "_remove", remove)


@mutant("slow")
def joins_a_dying_flight(patch):
    real = _Flight.land

    def land(self):
        if self.waiters or self.task.scope.cancel_called:  # it has ended
            real(self)

    patch.setattr(_Flight, "land", land)
    patch.setattr(_Flight, "joinable", True)


@mutant("coalesce")
def joins_a_flight_that_has_ended(patch):
    patch.setattr(_Flight, "land", lambda self: None)


@mutant("coalesce", "retried")
def scope_made_inside_the_task(patch):
    real = Task._run

    async def run(self, work):
        self.scope = trio.CancelScope()
        await real(self, work)

    patch.setattr(Task, "_run", run)


@mutant("coalesce")
def one_error_for_all(patch):
    real = Task.result_nowait

    def result(self):
        if self._error is not None:
            raise self._error
        return real(self)

    patch.setattr(Task, "result_nowait", result)


@mutant("coalesce", "retried")
def a_slow_waiter_slows_the_others(patch):
    async def hear(self, delta):
        for waiter in list(self.waiters):
            if waiter.call.listener is not None:
                await waiter.call.listener(delta)

    async def replay(self, waiter, listener):
        await self.task.ended.wait()

    patch.setattr(_Flight, "_hear", hear)
    patch.setattr(_Flight, "_replay", replay)


@mutant("coalesce")
def the_deadline_is_that_of_the_first(patch):
    real = _Flight.add

    def add(self, call, deadline):
        before = self.task.scope.deadline
        waiter = real(self, call, deadline)
        if len(self.waiters) > 1:
            self.task.scope.deadline = before
        return waiter

    patch.setattr(_Flight, "add", add)


@mutant("retried")
def the_deadline_stays_when_one_leaves(patch):
    real = _Flight._move

    def move(self, before, now):
        if now > before:
            real(self, before, now)

    patch.setattr(_Flight, "_move", move)


@mutant("coalesce")
def late_ones_are_told_from_now_on(patch):
    real = _Flight.add

    def add(self, call, deadline):
        waiter = real(self, call, deadline)
        waiter.place = len(self._told)
        return waiter

    patch.setattr(_Flight, "add", add)


@mutant("retried")
def restarted_is_told_to_who_minds(patch):
    class Waiter(_flight._Waiter):
        cut = property(lambda self: False, lambda self, value: None)

    patch.setattr(_flight, "_Waiter", Waiter)


@mutant("retried")
def the_others_do_not_hear_of_a_restart(patch):
    real = _Flight._replay

    async def replay(self, waiter, listener):
        async def deaf(delta):
            if not isinstance(delta, _flight.Restarted):
                await listener(delta)

        await real(self, waiter, deaf)

    patch.setattr(_Flight, "_replay", replay)


@mutant("slow")
def the_end_is_not_waited_for(patch):
    async def leave(self, waiter):
        self._remove(waiter)

    patch.setattr(_Flight, "_leave", leave)


@mutant("slow")
def the_wait_for_the_end_is_not_shielded(patch):
    async def leave(self, waiter):
        self._remove(waiter)
        if not self.waiters:
            with trio.move_on_after(2):
                await self.task.ended.wait()

    patch.setattr(_Flight, "_leave", leave)


@mutant("coalesce")
def tenants_share(patch):
    real = coalesce._Question
    patch.setattr(coalesce, "_Question", lambda h, n, r, tenant, s: real(h, n, r, "", s))


@mutant("coalesce")
def a_silent_flight_tells_nothing(patch):
    patch.setattr(_flight, "deltas_of", lambda response: ())


@mutant("coalesce")
def everybody_pays(patch):
    from llmmw import Generation

    real = Generation.replace
    patch.setattr(
        Generation, "replace", lambda self, joined=False, **changes: real(self, **changes)
    )


@mutant("coalesce")
def nobody_pays_when_the_first_has_left(patch):
    real = _Flight.wait

    async def wait(self, waiter):
        response = await real(self, waiter)
        self.payer = None
        return response

    patch.setattr(_Flight, "wait", wait)


@mutant("coalesce")
def an_error_after_content_is_passed_as_it_is(patch):
    patch.setattr(_flight, "broken_off", lambda error, partial: error)


@mutant("coalesce")
def every_call_flies_alone(patch):
    patch.setattr(_Flight, "joinable", False)
