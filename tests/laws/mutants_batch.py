"""Seeded bugs of batches; the laws of batches find each (`tests/policies/test_batch_laws.py`).

They are not in `MUTANTS`: no drawn world of those has calls that go together.
"""

from __future__ import annotations

import trio

from llmmw.policies import _batches, _shares
from llmmw.policies import batch as batch_module
from llmmw.policies._batches import Batches, Limits, Split

BATCH_MUTANTS = {}


def mutant(patch):
    BATCH_MUTANTS[patch.__name__] = patch
    return patch


@mutant
def answers_in_the_wrong_order(patch):
    real = batch_module._answers
    patch.setattr(batch_module, "_answers", lambda calls, response: real(calls, response)[::-1])


@mutant
def length_not_checked(patch):
    def answers(calls, response):
        rows = iter(response.vectors)
        return [
            (
                response,
                {"vectors": tuple(v for v, _ in zip(rows, call.request.inputs, strict=False))},
            )
            for call in calls
        ]

    patch.setattr(batch_module, "_answers", answers)


@mutant
def one_too_many(patch):
    patch.setattr(Limits, "allow", lambda s, size, tokens: size <= s.size + 1)


@mutant
def tokens_not_counted(patch):
    patch.setattr(Limits, "allow", lambda s, size, tokens: size <= s.size)


@mutant
def tenants_mixed(patch):
    real = Batches.ask

    async def ask(self, key, *rest):
        return await real(self, key[:2] + key[3:], *rest)

    patch.setattr(Batches, "ask", ask)


@mutant
def one_who_leaves_takes_all(patch):
    real = _batches._Batch.leave

    async def leave(self, seat):
        self.task.scope.cancel()
        await real(self, seat)

    patch.setattr(_batches._Batch, "leave", leave)


@mutant
def last_leaves_and_it_goes_on(patch):
    async def leave(self, seat):
        del self.seats[seat]
        if not self.seats:
            self.close()

    patch.setattr(_batches._Batch, "leave", leave)


@mutant
def the_end_is_not_waited_for(patch):
    patch.setattr(_batches, "_CLEANUP", 0)


@mutant
def deadline_of_the_first(patch):
    real = _batches._Batch.add

    def add(self, seat):
        first = self.task.scope.deadline if self.seats else seat.deadline
        real(self, seat)
        self.task.scope.deadline = first

    patch.setattr(_batches._Batch, "add", add)


@mutant
def deadline_of_who_has_left(patch):
    async def leave(self, seat):
        others = len(self.seats) > 1
        before = self.task.scope.deadline
        await real(self, seat)
        if others:
            self.task.scope.deadline = before

    real = _batches._Batch.leave
    patch.setattr(_batches._Batch, "leave", leave)


@mutant
def refused_as_a_whole(patch):
    real = batch_module.Batch._answer

    async def answer(self, *rest):
        try:
            return await real(self, *rest)
        except Split as split:
            raise split.__cause__ from None

    patch.setattr(batch_module.Batch, "_answer", answer)


@mutant
def all_again_one_by_one(patch):
    def split(self, batch):
        for seat in batch.seats:
            seat.batch = None

    patch.setattr(Batches, "split", split)


@mutant
def one_error_for_all(patch):
    patch.setattr(_batches.Task, "result_nowait", _shared_result)


def _shared_result(task):
    if task._error is not None:
        raise task._error
    return task._value


@mutant
def usage_of_all_for_each(patch):
    patch.setattr(batch_module, "usages_of", lambda total, inputs, outputs: [total] * len(inputs))


@mutant
def shares_rounded_down(patch):
    patch.setattr(_shares, "parts_of", lambda total, w: [total * one // (sum(w) or 1) for one in w])


@mutant
def who_has_left_pays(patch):
    patch.setattr(_batches.Seat, "taken", property(lambda seat: True))


@mutant
def waits_for_more(patch):
    async def collect(self):
        await trio.sleep(0.25)
        self.close()
        return await self.answer()

    patch.setattr(_batches._Batch, "collect", collect)
