"""Law: whoever watches a call changes nothing of it, whatever happens to the watcher.

::

    instrument   ├──────────────────────────────┤ one line, and counted
    call         ├─ attempt ✗ ─ wait ─ attempt ✓┤
    first token                          ↑ as the caller hears it

It stands outside of everything, so that it sees what the caller sees; what happened inside is read
out of the call's ledger.
"""

from __future__ import annotations

import logging
from typing import Any

import attrs
import trio

from llmmw._call import Call
from llmmw._chain import Handler
from llmmw._deltas import Delta, PartDelta, PartEnd
from llmmw._events import Event
from llmmw._instrument import tell_all
from llmmw._response import Response
from llmmw.errors import ListenerFailed, LLMError
from llmmw.policies._tally import CallRecord, Tally, record_of

__all__ = ["Instrumentation"]

_WORDLESS: dict[str, Any] = {"message": ""}
_own_log = logging.getLogger("llmmw.instrument")


@attrs.define(eq=False)
class _Watched:
    """One call as it is seen from outside."""

    number: int
    call: Call
    begun: float
    first: float | None = None
    response: Response | None = None
    error: Exception | None = None

    async def hear(self, delta: Delta) -> None:
        """Note when the first content comes."""
        if self.first is None:
            content = isinstance(delta, PartDelta) and delta.content
            if content or isinstance(delta, PartEnd):
                self.first = trio.current_time() - self.begun
        assert self.call.listener is not None
        await self.call.listener(delta)

    def record(self) -> CallRecord:
        """What it was, now that it is over."""
        failed = "Cancelled" if self.error is None else type(self.error).__name__
        return record_of(
            self.call.ledger.events,
            self.response,
            call=self.number,
            target=self.call.request.model,
            outcome=failed if self.response is None else "ok",
            seconds=trio.current_time() - self.begun,
            first_token=self.first,
        )


@attrs.frozen(kw_only=True)
class Instrumentation:
    """Log calls, and count them. Put it first in the stack.

    Each call is one line of Python's `logging`: at INFO, or at WARNING if it has failed. At DEBUG
    each event of its ledger is one, too. The record has the same as data, a dict in its attribute
    `llmmw`: `call` (a number), `target`, `outcome`, `seconds`, `first_token`, `attempts`,
    `provider`, `model`, `input_tokens`, `output_tokens`, `cost`, and of errors `status`, `code`
    and `request_id`. Prompts, answers and keys are never in it.

    Args:
        logger: name of the logger; `None` logs nothing.
        details: log the words of errors, too. They may quote a prompt or an answer.
    """

    logger: str | None = "llmmw.calls"
    details: bool = False
    _tally: Tally = attrs.field(factory=Tally, init=False, eq=False, repr=False)

    async def __call__(self, call: Call, next: Handler) -> Response:
        tally, ledger = self._tally, call.ledger
        tally.calls += 1
        tally.in_flight += 1
        watched = _Watched(tally.calls, call, trio.current_time())
        hear = ledger.hear
        log = None if self.logger is None else logging.getLogger(self.logger)
        if log is not None and log.isEnabledFor(logging.DEBUG):
            own = _Debug(log, tally.calls, self.details)
            ledger.hear = tell_all([own] if hear is None else [hear, own])
        try:
            listens = call.listener is not None
            response = await next(call.replace(listener=watched.hear) if listens else call)
            watched.response = response
            return response
        except Exception as error:
            watched.error = error.error if isinstance(error, ListenerFailed) else error
            raise
        finally:
            ledger.hear = hear
            tally.in_flight -= 1
            self._note(watched, log)

    def _note(self, watched: _Watched, log: logging.Logger | None) -> None:
        try:
            record = watched.record()
            self._tally.add(record)
            if log is not None:
                _write(log, record, watched.error, self.details)
        except Exception:  # an observer never changes what it observes (law L89)
            _own_log.exception("Instrumentation failed on call %d", watched.number)

    def statistics(self) -> dict[str, Any]:
        """How many `calls` there were, `answered`, `failed` by the name of their error (or
        `Cancelled`), `joined` to others', and how many are `in_flight`; `attempts` that were sent,
        the `extra_load` of those beyond the first, and by `targets` how they ended; tokens and
        `cost` (US dollars) of all attempts as far as they are known, and in how many calls some
        were `unknown`; quantiles and mean of the seconds to the `first_token` (of calls with a
        listener) and to `completion` (of those answered), at most 1 % wrong."""
        return self._tally.statistics()

    def view(self) -> str:
        """The statistics as text for people, on one screen."""
        return "\n".join(self._tally.lines())


@attrs.frozen(eq=False)
class _Debug:
    """An instrument that logs each event of one call."""

    log: logging.Logger
    number: int
    details: bool

    def __call__(self, event: Event) -> None:
        if not self.details and hasattr(event, "message"):
            event = attrs.evolve(event, **_WORDLESS)
        row = {"call": self.number, "event": type(event).__name__}
        row |= attrs.asdict(event, recurse=False)
        self.log.debug("call %d: %s", self.number, event, extra={"llmmw": row})


def _write(log: logging.Logger, record: CallRecord, error: Exception | None, details: bool) -> None:
    level = logging.INFO if error is None else logging.WARNING
    if not log.isEnabledFor(level):
        return
    spent = record.spent
    row: dict[str, Any] = {
        "call": record.call,
        "target": record.target,
        "outcome": record.outcome,
        "seconds": record.seconds,
        "first_token": record.first_token,
        "attempts": record.sent,
        "provider": record.provider,
        "model": record.model,
        "input_tokens": spent.input_tokens,
        "output_tokens": spent.output_tokens,
        "cost": spent.cost,
    }
    if isinstance(error, LLMError):
        row |= {"status": error.status, "code": error.code, "request_id": error.request_id}
    if details and error is not None:
        row["error"] = str(error)
    answered = f"answered by {record.provider}:{record.model}"
    what = answered if record.outcome == "ok" else record.outcome
    said = f": {row['error']}" if "error" in row else ""
    many = f"{record.sent} attempt{'' if record.sent == 1 else 's'}"
    text = f"{record.target} {what} in {record.seconds:.3f} s, {many}, {spent}{said}"
    log.log(level, "call %d: %s", record.call, text, extra={"llmmw": row})
