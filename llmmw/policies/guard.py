"""Law: of an answer that is not accepted the caller is told nothing, and it is an error like any
other; one that is accepted is told as it came, at its end.

::

    attempts   ├─ 1 ─────────────── ✗ ── 2 ─────────────── ✓
    provider     a ─ b ─ response       c ─ d ─ response
    guard        held    rejected       held    accepted
    caller                                      c d response

Whether an answer will do is known at its end, so nothing is told before. It stands inside of the
attempts, which make another one, and outside of breakers and limits, since the server has done
what it was asked.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Awaitable, Callable
from typing import Any, TypeAlias

import attrs
import trio

from llmmw._call import Call
from llmmw._chain import Handler
from llmmw._deltas import Delta, Restarted
from llmmw._events import AnswerRejected
from llmmw._output import OutputFormat
from llmmw._request import Generate
from llmmw._response import Generation, Response, asked_for
from llmmw.errors import ConfigError, ListenerFailed, OutputInvalid, ResponseRejected
from llmmw.policies._form import lacks_content, lacks_form, lacks_match

__all__ = ["Check", "Guard", "Verdict"]

Verdict: TypeAlias = bool | str | None
"""`True` or `None` accepts an answer; `False`, or a text that says why, rejects it."""

Check: TypeAlias = Callable[[Generation], Verdict | Awaitable[Verdict]]
"""Looks at an answer; may be async."""


def _callable(item: Any, field: attrs.Attribute[Any], given: Any) -> None:
    if given is not None and not callable(given):
        raise ConfigError(f"Guard({given!r}): expected a function of an answer")


def _pattern(item: Any, field: attrs.Attribute[Any], given: Any) -> None:
    try:
        re.compile(given or "")
    except (re.error, TypeError) as error:
        expected = f"expected a regular expression: {error}"
        raise ConfigError(f"Guard(matches={given!r}): {expected}") from None


@attrs.frozen
class Guard:
    """Reject answers that will not do: `ResponseRejected`, after which another attempt is made.

    `Guard()` alone rejects answers that are empty, and those that have not the form which their
    request asked for with `output=`: these with `OutputInvalid`, as `response.value` would. Only
    answers of models are looked at, no embeddings or scores.

    Put it inside of the attempts, and limits such as `Timeout(first_token=…)` inside of it: whoever
    listens is told all at the end of the answer.

    Args:
        check: gets the answer; `True` or `None` accepts it, `False` rejects it, and so does a text,
            which says why. It may be async. What it raises is no fault of the answer: it ends the
            call, is not retried, and reaches the caller as it is.
        empty: accept answers without any text, tool call or media, too.
        form: reject answers that have no `value`: that are no JSON, do not follow the schema,
            make no object of the type, or are none of the choices, where the request asks for
            that. Tool calls go instead of any form.
        matches: a regular expression that must be found in the text (`re.search`).
    """

    check: Check | None = attrs.field(default=None, validator=_callable)
    empty: bool = attrs.field(default=False, kw_only=True)
    form: bool = attrs.field(default=True, kw_only=True)
    matches: str | None = attrs.field(default=None, validator=_pattern, kw_only=True)

    async def __call__(self, call: Call, next: Handler) -> Response:
        held: list[Delta] = []
        if call.listener is None:
            response = await next(call)
        else:

            async def hold(delta: Delta) -> None:
                if isinstance(delta, Restarted):
                    held.clear()
                else:
                    held.append(delta)

            # The caller has heard nothing yet, so what is inside may begin anew.
            response = await next(call.replace(listener=hold, on_interrupt="restart"))
        if isinstance(response, Generation):
            response = asked_for(response, response.ledger, _output(call))
            why = await self.objection(call, response)
            if why is not None:
                raise _rejected(call, response, why)
        if call.listener is not None:
            for delta in held:
                await call.listener(delta)
        return response

    async def objection(self, call: Call, response: Generation) -> str | None:
        """Why an answer to a call is not accepted, or `None`: it is.

        Raises:
            ListenerFailed: with what the check raised, or the class that was asked for, on its
                way to the caller.
        """
        why = None if self.empty else lacks_content(response)
        if why is None and self.matches is not None:
            why = lacks_match(response, self.matches)
        try:
            if why is None and self.form:
                why = lacks_form(response, _output(call))
            if why is None and self.check is not None:
                verdict = self.check(response)
                why = _why(await verdict if inspect.isawaitable(verdict) else verdict)
        except Exception as error:
            # Even if it is an LLMError: it is not the provider's of this call.
            raise ListenerFailed(error) from error
        return why


def _output(call: Call) -> OutputFormat | None:
    return call.request.output if isinstance(call.request, Generate) else None


def _why(verdict: object) -> str | None:
    if verdict is None or verdict is True:
        return None
    if verdict is False:
        return "the check said no"
    if isinstance(verdict, str):
        return verdict
    raise TypeError(
        f"the check of a Guard gave {type(verdict).__name__}: expected True or None for an answer "
        "that will do, False or a text that says why for any other"
    )


def _rejected(call: Call, response: Generation, why: str) -> ResponseRejected:
    now, parent = trio.current_time(), call.attempt.number
    call.ledger.write(AnswerRejected, now, why, *response.spent, parent)
    kind = ResponseRejected if lacks_form(response, _output(call)) is None else OutputInvalid
    return kind(
        f"the answer was rejected: {why}",
        provider=response.provider or None,
        model=response.model or None,
        request_id=response.request_id,
        partial=response,
        processed=True,
    )
