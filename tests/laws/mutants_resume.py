"""Seeded bugs of answers that are continued, and of targets that are passed over."""

from llmmw import _plan, _resume
from llmmw._gate import Gate
from llmmw._ledger import Ledger, TargetPassedOver
from llmmw._resume import Join, Told
from tests.laws.mutants import mutant


@mutant("resumed")
def white_space_is_told_twice(patch):
    patch.setattr(Join, "_fresh", lambda self, text: text)


@mutant("resumed")
def what_goes_on_begins_anew(patch):
    async def verbatim(self, delta):
        self._mark()
        self._told.fold.clear()
        await self._told(delta)

    patch.setattr(Join, "__call__", verbatim)


@mutant("attempts", "retry")
def the_text_so_far_is_not_sent(patch):
    patch.setattr(Told, "request", lambda self, request: request)


@mutant("tool-cut")
def goes_on_after_a_piece_of_a_call(patch):
    patch.setattr(Told, "text", property(lambda self: ""))


@mutant("resumed-twice")
def goes_on_again_and_again(patch):
    patch.setattr(Told, "seams", property(lambda self: 0))


@mutant("held-back")
def nothing_is_held_back(patch):
    before = Gate.before.__func__

    def made(cls, call, first, claim, hold_back):
        return before(cls, call, first, claim)

    patch.setattr(Gate, "before", classmethod(made))


@mutant("picky")
def who_can_not_serve_is_asked(patch):
    patch.setattr(_plan, "objection", lambda *given, **options: "")


@mutant("picky")
def passed_over_in_silence(patch):
    real = Ledger.write

    def write(self, kind, *fields, **others):
        if kind is not TargetPassedOver:
            real(self, kind, *fields, **others)

    patch.setattr(Ledger, "write", write)


@mutant("resumed-elsewhere")
def who_can_not_go_on_is_asked_to(patch):
    patch.setattr(_resume, "_prefills", lambda call, target: True)
