"""The running of one attempt, and what a call ends with after several."""

from __future__ import annotations

import copy
import random
from collections.abc import Awaitable, Callable, Iterator
from typing import TypeAlias

import trio

from llmmw._call import Call
from llmmw._chain import Handler
from llmmw._deltas import Restarted
from llmmw._gate import Gate, at_once
from llmmw._history import History, Record, Start
from llmmw._ledger import (
    AttemptEnded,
    AttemptFirst,
    AttemptStarted,
    StreamRestarted,
    WaitStarted,
)
from llmmw._listen import broken_off
from llmmw._request import Request
from llmmw._response import Response
from llmmw._resume import Join
from llmmw.errors import ListenerFailed, LLMError, StreamInterrupted

__all__ = ["attempt", "begin", "restart", "verdict", "wait"]

Claim: TypeAlias = Callable[[bool], Awaitable[bool]]
"""Whether an attempt may tell what it has; asked with its first content (`False`), and with its
response (`True`), when it may wait for the answer."""


async def restart(call: Call, last: Record | None) -> None:
    """Take back what an attempt has told, if it has and can: what can't be is to be continued."""
    gate = last.gate if last is not None else None
    if last is None or gate is None or gate.told:
        return
    if call.listener is not None and gate.passed:
        reason = type(last.error).__name__
        call.ledger.write(StreamRestarted, trio.current_time(), reason, call.attempt.number)
        await call.listener(Restarted(reason))


async def wait(call: Call, start: Start, last: Record | None) -> None:
    """Take back what the last attempt has told, at once, since a listener may want no other;
    then wait for the time of the next."""
    await restart(call, last)
    now = trio.current_time()
    if start.at > now:
        call.ledger.write(WaitStarted, now, start.at, start.why, call.attempt.number)
        await trio.sleep_until(start.at)


def begin(call: Call, start: Start, history: History) -> Record:
    """The record of an attempt that is to start now."""
    now = trio.current_time()
    number = call.ledger.next_number()
    record = Record(number, start.reason, start.target, opened=now, paid=start.paid)
    record.silent = call.attempt.silent
    record.continues = call.attempt.continues or (history.said is not None and history.said.begun)
    if call.attempt.number:
        record.outer = call.attempt
    history.records.append(record)
    history.requests.setdefault(start.target, start.request)
    return record


async def attempt(
    call: Call,
    next: Handler,
    request: Request,
    record: Record,
    history: History,
    claim: Claim = at_once,
) -> Response | None:
    """One attempt: its response, or `None` and an error in its record."""
    ledger, number = call.ledger, record.number
    parent = call.attempt.number
    patched = _is_patched(request, call.request)
    started = (number, record.target, record.reason, parent, patched)
    ledger.write(AttemptStarted, record.opened, *started)
    join: Join | None = None
    if call.listener is None:
        inner = call.replace(request=request, attempt=record)
    else:
        inner, join = _behind_gate(call, request, record, history, claim)
    outcome, message = "Cancelled", ""
    response: Response | None = None
    try:
        response = await next(inner)
        if record.gate is not None:
            record.first = trio.current_time() if record.first is None else record.first
            await record.gate.release()
        if join is not None:
            response = await join.finish(response)
        outcome = "ok"
        return response
    except Exception as error:
        outcome = type(error).__name__
        if record.superseded:  # the fault of one that has lost is nobody's business
            message = f"{outcome}: {error}"
        elif isinstance(error, LLMError):
            message = error.message
            _fail(call, record, error, history)
        elif _spare(record, error, history):
            record.superseded, message = True, f"{outcome}: {error}"
        else:
            raise
        return None
    finally:
        ended = record.ended = trio.current_time()
        outcome = "Superseded" if record.superseded else outcome
        spent = response.spent if response is not None else ()
        seconds = ended - record.opened
        ledger.write(AttemptEnded, ended, number, outcome, seconds, message, *spent)


def _behind_gate(
    call: Call, request: Request, record: Record, history: History, claim: Claim
) -> tuple[Call, Join | None]:
    """The call of an attempt that is heard, and what joins it to an answer it goes on with."""
    join: Join | None = None
    heard = call
    if history.said is not None and history.said.begun:
        join = Join(history.said, record)
        heard, request = call.replace(listener=join), history.said.request(request)

    def first() -> None:
        record.first = trio.current_time()
        call.ledger.write(AttemptFirst, record.first, record.number)

    gate = record.gate = Gate.before(heard, first, claim, history.hold_back)
    return call.replace(request=request, attempt=record, listener=gate), join


def _is_patched(request: Request, original: Request) -> bool:
    """Whether it asks something else, and not only another target."""
    if request is original:
        return False
    same = request.replace(model=original.model)
    return same != original or same.extra != original.extra


def _spare(record: Record, error: Exception, history: History) -> bool:
    """Whether an error that is none of a call ends only this attempt: it was an extra one, of
    which nothing was told, and the one that it was to help goes on."""
    extra = record.reason == "hedge" and not isinstance(error, ListenerFailed)
    passed = record.gate is not None and record.gate.passed
    return extra and not passed and any(one is not record for one in history.live)


def _fail(call: Call, record: Record, error: LLMError, history: History) -> None:
    source = call.host.random if call.host is not None else random
    record.chance = source.random()
    record.error = error
    history.failures.append(record)
    if not record.counts:
        record.refund()
    if record.gate is not None:
        record.told = record.gate.told
        if error.partial is None and record.gate.fold.anything:
            error.partial = record.gate.fold.response()


def verdict(history: History) -> LLMError:
    """The error of the attempt that was told, else of the first target's last failure, else of
    the last failure; of those that were sent, if any was, for an open circuit hides nothing."""
    told = [record for record in history.records if record.told]
    own = [record for record in history.on(history.records[0].target) if record.error is not None]
    sent = [record for record in history.failures if record.counts]
    own_sent = [record for record in own if record.counts]
    record = (told or own_sent or sent or own or history.failures)[-1]
    chosen = record.error
    assert chosen is not None
    errors = [one for record in history.records for one in _all_of(record.error)]
    if told and not isinstance(chosen, StreamInterrupted):
        chosen = broken_off(chosen, chosen.partial)
    if len(errors) > 1:
        # A copy, since whoever raised the error may raise the same object again.
        one, chosen = chosen, copy.copy(chosen).with_traceback(chosen.__traceback__)
        chosen.__cause__ = one.__cause__
        chosen.attempts = tuple(errors)
        if told and record.continues and history.said is not None:
            chosen.partial = history.said.fold.response()
    return chosen


def _all_of(error: LLMError | None) -> Iterator[LLMError]:
    if error is not None:
        yield from error.attempts or (error,)
