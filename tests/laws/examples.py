"""Worlds worth keeping: what once broke a law, and ties that are rarely drawn."""

import trio

from llmmw import (
    Attempts,
    Balance,
    Budget,
    Coalesce,
    Concurrency,
    Fallback,
    Guard,
    Hedge,
    RateLimit,
    Retry,
    Timeout,
)
from llmmw.errors import LLMError
from llmmw.testing import Caller, Fault, Script, World
from llmmw.testing._layers import Minds
from llmmw.testing._world import TARGETS


def world(a, *callers, b=None, **others):
    scripts = {"sim:a": a, "sim:b": b or (Script(),), "sim:c": (Script(),)}
    return World(scripts=scripts, callers=callers or (Caller(),), **others)


async def stubborn(call, next):
    response = await next(call)
    trio.lowlevel.current_clock().jump(1 / 16)  # the limit comes while the reply is on its way
    return response


async def dawdling(call, next):
    try:
        return await next(call)
    except LLMError:
        trio.lowlevel.current_clock().jump(1 / 8)
        raise


BUSY = (Script(pieces=(), error=Fault("busy")),)
CUT = (Script(pieces=("a ",), error=Fault("rate")),)
HINTED = (Script(pieces=(), error=Fault("rate", 1.0)),)

EXAMPLES = {
    # A line of four before a limit, of whom one leaves it.
    "rate-line": (
        world(
            (Script(), Script(), Script(pieces=(), error=Fault("shed")), Script()),
            *(Caller(arrive=k / 64) for k in range(4)),
            Caller(arrive=1 / 64, patience=1 / 64, by_hand=True),
        ),
        lambda: [RateLimit(requests=16, per=1.0, burst=0)],
    ),
    # A host asks for a pause, and other targets are of the same account.
    "rate-hint": (
        world(HINTED, Caller(), Caller()),
        lambda: [Fallback("sim:b"), RateLimit(requests=16, per=1.0, burst=1 / 8)],
    ),
    # The budget of one target was empty, and another was not asked though it had its own.
    "other-budget": (
        world(BUSY, Caller(), Caller(), b=BUSY, chance=0.0),
        lambda: [Attempts(Retry(1), Fallback("sim:b"), budget=Budget(cap=1.0))],
    ),
    # The wait for one target was too long, and another was not asked though it was ready.
    "other-wait": (
        world(
            (Script(pieces=(), error=Fault("busy")), Script()),
            Caller(patience=1 / 8),
            b=(Script(first=1 / 16, pieces=(), error=Fault("rate", 0.0)), Script()),
            chance=0.5,
        ),
        lambda: [Attempts(Retry(2), Fallback("sim:b"))],
    ),
    # Iterating a stream took away the cause of its error.
    "cause": (world(CUT, Caller(mode="stream")), lambda: [Attempts(Retry(2))]),
    # The ledger said "ok" of an attempt that was cancelled while its held deltas were told.
    "held": (
        world(
            (Script(pieces=()),),
            Caller(mode="listen", patience=1 / 64, pauses=(1 / 16,)),
        ),
        lambda: [Fallback("sim:b")],
    ),
    # A reply that is complete in the instant of the limit is returned.
    "stubborn": (
        world((Script(),), Caller()),
        lambda: [Timeout(total=1 / 16), stubborn],
    ),
    # Nobody listens, but a limit does: that is not the caller.
    "watched-ask": (
        world((Script(pieces=("a ",), error=Fault("cut")), Script(pieces=("b ",))), chance=0.0),
        lambda: [Timeout(idle=1.0, stream=True), Retry(2)],
    ),
    # An attempt fails in the instant of the deadline: there is no time for another.
    "at-the-deadline": (
        world(BUSY, Caller(patience=1 / 8)),
        lambda: [Attempts(Fallback("sim:b")), dawdling],
    ),
    # Many wait for one place; one gives up while it does.
    "crowd": (
        world(
            (Script(first=1 / 16),),
            *(Caller(arrive=k / 64) for k in range(3)),
            Caller(arrive=3 / 64, patience=1 / 8),
            *(Caller(arrive=k / 64) for k in range(4, 7)),
        ),
        lambda: [Concurrency(1)],
    ),
    # Of many calls, most are answered at once elsewhere than where they fail at once.
    "many-balanced": (
        world(BUSY, *(Caller(arrive=k / 16) for k in range(60)), chance=0.0),
        lambda: [Attempts(Fallback("sim:b")), Balance(*TARGETS, strategy="least-busy")],
    ),
    # One target sheds all calls, and is not asked again at once.
    "many-shed": (
        world(
            (Script(pieces=(), error=Fault("shed")),),
            *(Caller(arrive=k / 16) for k in range(8)),
            chance=0.0,
        ),
        lambda: [Balance(*TARGETS, strategy="least-busy")],
    ),
    # A flight told the answer of one attempt, and its error had that of another.
    "flight-of-hedges": (
        world(
            (
                Script(first=1 / 64, pieces=("a0.0 ",)),
                Script(first=1 / 64, pieces=("a1.0 ", "a1.1 "), error=Fault("busy")),
            ),
            Caller(asks="this"),
            Caller(arrive=1 / 64, mode="listen", pauses=(1 / 64, 0.0, 2 / 64), asks="this"),
            b=(
                Script(),
                Script(first=1 / 64, gap=1 / 64, pieces=("b ",), error=Fault("rate", 1 / 64)),
            ),
        ),
        lambda: [Coalesce(), Hedge(0.0, targets=("sim:b", "sim:c"), cancel_after=2)],
    ),
    # Two attempts of one call share a flight.
    "hedges-aboard": (
        world((Script(),), Caller(mode="listen", pauses=(1 / 64, 0.0, 2 / 64)), greets=True),
        lambda: [Hedge(0.0), Coalesce()],
    ),
    # A check fails while a hedge waits for the place of the attempt that it looked at.
    "minded": (
        world((Script(pieces=("a ",)),), Caller(), Caller()),
        lambda: [
            Hedge(0.0, targets="sim:b", max_hedges=2),
            Guard(Minds("a")),
            Concurrency(1, queue=1, scope="all"),
        ],
    ),
    # A retry came before the hint of a hedge that had ended last.
    "hint-of-a-hedge": (
        world(
            (Script(pieces=(), error=Fault("rate", 100.0)), Script()),
            chance=0.0,
            b=(
                Script(first=4 / 64, pieces=(), error=Fault("rate", 4 / 64)),
                Script(first=1 / 64, pieces=(), error=Fault("rate", 1 / 64)),
                Script(),
            ),
        ),
        lambda: [Attempts(Retry(1), Fallback("sim:b"), Hedge(1 / 64, targets="sim:b"))],
    ),
    # An answer is continued by a target that repeats the white space before the cut.
    "resumed": (
        world(
            (Script(pieces=("a  b \n",), error=Fault("cut")),),
            Caller(mode="stream", on_interrupt="resume"),
            b=(Script(pieces=("a  b", " \n", " c")),),
            prefill=TARGETS,
        ),
        lambda: [Attempts(Retry(2), Fallback("sim:b"))],
    ),
    # Only the last target can go on with an answer.
    "resumed-elsewhere": (
        world(
            (Script(first=1 / 64, pieces=("a ",), error=Fault("cut")),),
            Caller(mode="listen", on_interrupt="resume", pauses=(1 / 64,)),
            prefill=("sim:c",),
        ),
        lambda: [Attempts(Retry(2), Fallback("sim:b", "sim:c"), Hedge(1.0))],
    ),
    # What was continued breaks off again.
    "resumed-twice": (
        world(
            (Script(pieces=("a ",), error=Fault("cut")),),
            Caller(mode="stream", on_interrupt="resume"),
            b=(Script(pieces=("b ",), error=Fault("cut")),),
            prefill=TARGETS,
        ),
        lambda: [Attempts(Retry(2), Fallback("sim:b", "sim:c")), Retry(1)],
    ),
    # A piece of a tool call was told.
    "tool-cut": (
        world(
            (Script(pieces=("{",), tool="f", error=Fault("cut")),),
            Caller(mode="stream", on_interrupt="resume"),
            prefill=TARGETS,
        ),
        lambda: [Attempts(Retry(2), Fallback("sim:b"))],
    ),
    # An answer breaks off within what is held back.
    "held-back": (
        world(
            (Script(pieces=("a ", "b "), error=Fault("cut")), Script(pieces=("a ", "b ", "c "))),
            Caller(mode="stream"),
        ),
        lambda: [Attempts(Retry(2), hold_back=2)],
    ),
    # One of the targets can't serve the call.
    "picky": (
        world(BUSY, Caller(), Caller(mode="stream"), b=BUSY, unable=("sim:c",)),
        lambda: [Attempts(Retry(1), Fallback("sim:c", "sim:b"), Hedge(1.0))],
    ),
    # The same of those that are balanced.
    "picky-balance": (
        world((Script(),), Caller(), Caller(mode="stream"), unable=("sim:a", "sim:c")),
        lambda: [Attempts(Retry(1), Fallback("sim:b")), Balance(*TARGETS)],
    ),
    # A hint is waited for where there is no other target.
    "hint": (world((*HINTED, Script()), Caller()), lambda: [Retry(2)]),
}
