"""The vectors of server-sent events, over real HTTP through `llmmw.wire`."""

from __future__ import annotations

from contextlib import aclosing

from llmmw.errors import LLMError
from llmmw.testing.conformance._cases import Case
from llmmw.wire import Http

__all__ = ["event_differences"]


async def event_differences(case: Case, http: Http) -> list[str]:
    """What a reading of the events that come from a host has otherwise than the case says."""
    told: list[dict[str, str]] = []
    try:
        async with http.post("/", b"{}", stream=True) as reply, aclosing(reply.events()) as events:
            async for event in events:
                # The standard drops what lacks its last empty line; we take it, and say so.
                if not event.unterminated:
                    told += [{"event": event.event or "message", "data": event.data}]
    except LLMError as error:
        return [f"raised {type(error).__name__}: {error}"]
    wanted = [
        {"event": one.get("event") or "message", "data": one["data"]}
        for one in case.expected["events"]
    ]
    return [] if told == wanted else [f"events {told!r}; expected {wanted!r}"]
