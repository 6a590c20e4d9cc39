"""Seeded bugs of calls that ride batches, each with the law that finds it
(`tests/policies/test_batch_api_laws.py`)."""

from __future__ import annotations

import math

import attrs

from llmmw.errors import BadRequest
from llmmw.policies import _batch_desk
from llmmw.policies._batch_desk import Desk
from llmmw.policies._batch_journal import Journal
from llmmw.policies._batch_piles import Pile
from llmmw.policies._batch_seats import Seats
from llmmw.policies.batch_api import BatchApi

BATCH_API_MUTANTS = {}


def mutant(law):
    def keep(patch):
        BATCH_API_MUTANTS[patch.__name__] = (patch, law)
        return patch

    return keep


@mutant(118)
def the_answer_of_another(patch):
    real = Journal.came

    def came(self, tag, outcomes):
        rows = list(outcomes)
        ids = [row.id for row in rows]
        turned = ids[1:] + ids[:1]
        return real(self, tag, [attrs.evolve(r, id=i) for r, i in zip(rows, turned, strict=True)])

    patch.setattr(Journal, "came", came)


@mutant(118)
def one_failure_is_told_to_all(patch):
    real = Journal.came

    def came(self, tag, outcomes):
        rows = list(outcomes)
        bad = [row for row in rows if row.status == 400]
        return real(self, tag, [attrs.evolve(r, status=bad[0].status if bad else r.status)
                                for r in rows])  # fmt: skip

    patch.setattr(Journal, "came", came)


@mutant(119)
def planned_when_it_was_sent(patch):
    async def send(self, tag, lines, batches, provider):
        names = list(lines)
        info = await self._created(tag, lines, batches)
        await self.write(self.journal.plan, tag, provider, names)
        await self._sent(tag, info, found=False)
        await self._fetched(tag, info, batches)

    patch.setattr(Desk, "_send", send)


@mutant(119)
def never_looks_for_what_may_be_there(patch):
    async def orphan(self, tag, batches):
        return None

    patch.setattr(Desk, "_orphan", orphan)


@mutant(119)
def does_not_wait_for_what_is_on_its_way(patch):
    patch.setattr(_batch_desk, "_SETTLE", 0.0)


@mutant(119)
def fetched_before_it_is_read(patch):
    async def read(self, tag, info, batches):
        await self.write(self.journal.fetched, tag, "lost")
        return await real(self, tag, info, batches)

    real = Desk._read
    patch.setattr(Desk, "_read", read)


@mutant(119)
def all_again_if_one_has_failed(patch):
    def again(self, question):
        with self._transaction() as db:
            db.execute(
                "UPDATE questions SET tag = NULL, ending = NULL, tries = tries + 1 WHERE tag = ?",
                (question.tag,),
            )

    patch.setattr(Journal, "again", again)


@mutant(119)
def live_answers_are_not_kept(patch):
    patch.setattr(Journal, "keep", lambda self, name, record: None)


@mutant(119)
def who_waits_is_not_told_of_live_answers(patch):
    async def keep(self, name, record):
        await self.write(self.journal.keep, name, record)

    patch.setattr(Desk, "keep", keep)


@mutant(120)
def tries_are_not_counted(patch):
    real = Journal.again

    def again(self, question):
        real(self, question)
        self._writer.execute("UPDATE questions SET tries = 0 WHERE name = ?", (question.name,))

    patch.setattr(Journal, "again", again)


@mutant(120)
def every_error_may_pass(patch):
    patch.setattr(BadRequest, "retryable", True)


@mutant(121)
def live_too_late(patch):
    real = BatchApi._found
    patch.setattr(BatchApi, "_found", lambda self, *args: real(self, *args[:-1], args[-1] + 50))


@mutant(121)
def near_deadlines_wait_too(patch):
    real = BatchApi._found

    def found(self, *args):
        return real(self, *args[:-1], math.inf if args[-1] == -math.inf else args[-1])

    patch.setattr(BatchApi, "_found", found)


@mutant(122)
def lines_are_not_counted(patch):
    patch.setattr(
        Pile, "has_room", lambda s, size: not s.closed and s.bytes + size <= s.limits.bytes
    )


@mutant(122)
def bytes_are_not_counted(patch):
    patch.setattr(Pile, "has_room", lambda s, size: not s.closed and len(s.lines) < s.limits.lines)


@mutant(123)
def the_first_to_go_live_cancels_it(patch):
    def give_up(self, seat, batches):
        if seat.tag is not None and seat.tag in self._seats._awaited:
            self._seats._awaited[seat.tag] = 0
            real(self, seat, batches)

    real = Desk.give_up
    patch.setattr(Desk, "give_up", give_up)


@mutant(123)
def it_goes_on_for_nobody(patch):
    patch.setattr(Desk, "give_up", lambda self, seat, batches: None)


@mutant(123)
def who_comes_later_is_not_counted(patch):
    real = Seats._count
    patch.setattr(Seats, "_count", lambda self, seat, more: real(self, seat, min(more, 0)))


@mutant(123)
def what_nobody_wants_is_sent(patch):
    patch.setattr(Pile, "remove", lambda self, name: None)
