"""Seeded bugs of what is told, and of when."""

import math

from llmmw._gate import Gate
from llmmw._response import Generation
from llmmw._tasks import open_nursery
from llmmw.policies import timeout as timeout_module
from tests.laws.mutants import mutant


@mutant("watch")
def the_time_of_the_consumer_is_the_streams(patch):
    real = timeout_module._Watch._while_heard

    async def while_heard(self, delta, heard, came):
        if math.isnan(self._first):
            self._set(min(self._end, came + self._idle))
            await heard
            self._go_on(delta, came)
        else:
            await real(self, delta, heard, came)

    patch.setattr(timeout_module._Watch, "_while_heard", while_heard)


@mutant("attempts", "retry")
def what_is_held_is_told_in_passing(patch):
    before, release, hosts = Gate.before.__func__, Gate.release, {}

    def made(cls, call, *others):
        gate = before(cls, call, *others)
        hosts[gate] = call.host
        return gate

    async def later(self):
        if self._on_interrupt == "buffer":
            hosts[self].nursery.start_soon(release, self)
        else:
            await release(self)

    patch.setattr(Gate, "before", classmethod(made))
    patch.setattr(Gate, "release", later)


@mutant("attempts", "retry")
def what_is_held_is_told_all_at_once(patch):
    async def release(self):
        held, self._held = self._held, []
        async with open_nursery() as nursery:
            for delta in held:
                nursery.start_soon(self._pass, delta)

    patch.setattr(Gate, "release", release)


@mutant("attempts", "retry")
def tokens_are_counted_twice(patch):
    real = Generation.spent.fget
    patch.setattr(
        Generation, "spent", property(lambda self: tuple(n and 2 * n for n in real(self)))
    )
