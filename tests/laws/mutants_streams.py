"""Seeded bugs of what is told, and of when."""

import math

from llmmw._gate import Gate
from llmmw._response import Generation
from llmmw._tasks import open_nursery
from llmmw.policies import timeout as timeout_module
from tests.laws.mutants import mutant


@mutant("watch")
def the_time_of_the_consumer_is_the_streams(patch):
    real = timeout_module._Watch.__call__

    async def tell(self, delta):
        listener = self._listener

        async def hear(delta):
            if math.isnan(self._first):
                now = timeout_module.trio.current_time()
                self.scope.deadline = min(self._end, now + self._idle)
            await listener(delta)

        self._listener = listener and hear
        try:
            await real(self, delta)
        finally:
            self._listener = listener

    patch.setattr(timeout_module._Watch, "__call__", tell)


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
