"""Which answers are kept, as whose, and as how many."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TypeVar

import attrs

from llmmw._deltas import Delta
from llmmw._ledger import AttemptEnded, AttemptStarted, Event, Ledger, StreamResumed
from llmmw._plain import copied
from llmmw._record import Record
from llmmw._request import Generate, Request
from llmmw._response import Candidate, Finish, Generation, Response
from llmmw.errors import BadRequest, ContentFiltered, LLMError, NotFound

__all__ = [
    "Place",
    "answered_by",
    "as_given",
    "fewer",
    "is_lasting",
    "is_whole",
    "places",
    "several",
    "together",
    "with_others",
]

T = TypeVar("T", bound=Response)


@attrs.frozen
class Place:
    """Something to keep, and as the answer to what."""

    request: Request
    sample: int
    record: Record
    beside: bool = False
    """One of several that came together; what is there already stays."""


def several(request: Request) -> int:
    """How many answers a request asks for, where it is more than one; else 0."""
    n = request.n if isinstance(request, Generate) else None
    return n if n is not None and n > 1 else 0


def fewer(request: Request, known: int) -> Request:
    """A request of several for those that are not known yet."""
    left = several(request) - known
    return request.replace(n=left if left > 1 else None)


def is_whole(request: Request, response: Response, events: Sequence[Event] = ()) -> bool:
    """Whether an answer is all that was asked for, of one piece. One that was cut at its limit of
    tokens is if the request has set that limit; one that another attempt has gone on with is
    not."""
    if any(isinstance(event, StreamResumed) for event in events):
        return False
    if not isinstance(response, Generation):
        return True
    limited = isinstance(request, Generate) and request.max_output_tokens is not None
    whole = {"stop", "tool_call", *(["length"] if limited else [])}
    return all(finish is not None and finish.reason in whole for finish in _finishes(response))


def _finishes(response: Generation) -> Iterator[Finish | None]:
    yield response.finish
    for candidate in response.candidates:
        yield candidate.finish or response.finish


def is_lasting(error: LLMError) -> bool:
    """Whether it is about what was asked, and comes again with it."""
    return isinstance(error, (BadRequest, ContentFiltered, NotFound))


def answered_by(events: Sequence[Event], parent: int, asked: str) -> str:
    """The target whose attempt has given the answer, by what was written for attempt `parent`;
    nothing if it was asked something else than the call asks."""
    ok = {e.number for e in events if isinstance(e, AttemptEnded) and e.outcome == "ok"}
    target = asked
    for event in events:  # an inner attempt begins after the one around it
        if isinstance(event, AttemptStarted) and event.parent == parent and event.number in ok:
            if event.patched:
                return ""
            target, parent = event.target, event.number
    return target


def places(
    request: Request,
    response: Response,
    *,
    target: str,
    tenant: str,
    sample: int,
    deltas: tuple[Delta, ...] | None,
) -> list[Place]:
    """What to keep of an answer. Of several that came together each is a sample of its own, too:
    those of the first call are 0, 1, …, those of the next follow."""
    if target != request.model:
        request = request.replace(model=target)
    found = [Place(request, sample, Record(response, target, tenant, sample, deltas))]
    n = several(request)
    if n and isinstance(response, Generation) and len(response.candidates) == n:
        single = request.replace(n=None)
        for number, one in enumerate(response.candidates, start=sample * n):
            answer = response.replace(
                message=one.message, finish=one.finish or response.finish, candidates=(), usage=None
            )
            record = Record(answer, target, tenant, number)
            found.append(Place(single, number, record, beside=True))
    return found


def as_given(answer: Response, ledger: Ledger) -> Response:
    """A kept answer for a call that pays nothing for it."""
    return copied(answer, ledger=ledger, joined=True)


def together(samples: Sequence[Record]) -> Generation:
    """The answer that a request for so many would have had."""
    last = samples[-1].answer
    assert isinstance(last, Generation)
    return with_others(samples[:-1], last).replace(usage=None)


def with_others(known: Sequence[Record], response: T) -> T:
    """An answer behind those that were known before it came."""
    if not known or not isinstance(response, Generation):
        return response
    answers = [one.answer for one in known if isinstance(one.answer, Generation)]
    new = response.candidates or (Candidate(response.message, response.finish),)
    rows = (*(Candidate(one.message, one.finish) for one in answers), *new)
    return response.replace(message=rows[0].message, finish=rows[0].finish, candidates=rows)
