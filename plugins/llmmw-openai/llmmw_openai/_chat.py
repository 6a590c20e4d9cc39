"""Reading a chat or a legacy completion, in the form in which it comes."""

from __future__ import annotations

from typing import Any

from llmmw.errors import LLMError, ProtocolError, StreamInterrupted
from llmmw.wire import Reply, SSEEvent, loads
from llmmw_openai._answer import Answer
from llmmw_openai._prefill import Echo
from llmmw_openai._reading import object_in

__all__ = ["read_chat"]


async def read_chat(reply: Reply, answer: Answer, echo: Echo | None = None) -> None:
    """Read an answer in the form in which it came, which need not be the one asked for.

    Args:
        reply: what the host sends.
        answer: reads it.
        echo: takes out what it repeats of an answer that was begun for it.
    """
    if reply.content_type != "text/event-stream":
        told = object_in(reply, await reply.read())
        await answer.take(told if echo is None else echo.bare(told, whole=True), whole=True)
        return
    try:
        while events := await reply.next_events():
            for event in events:
                if event.data.startswith("[DONE]"):
                    await reply.drain()
                    return
                await _take(event, reply, answer, echo)
            del event
            events.clear()  # thousands of streams may wait here
    except StreamInterrupted:
        if not answer.finished:
            raise
    if not answer.finished:
        raise StreamInterrupted("the stream ended before the answer did")


async def _take(event: SSEEvent, reply: Reply, answer: Answer, echo: Echo | None) -> None:
    if not event.data.strip():
        return
    if event.event == "error":
        raise reply.error(event.data.encode())
    chunk = loads(event.data)
    if echo is None and (text := answer.text_alone(chunk)):
        await answer.builder.text(text)
        return
    error = reply.error_in(chunk) or _stopped(reply, chunk)
    if error is None and not isinstance(chunk, dict):
        raise ProtocolError(f"the host sent a {type(chunk).__name__} where an object belongs")
    if isinstance(chunk, dict):
        await answer.take(chunk if echo is None else echo.bare(chunk, whole=False))
    if error is not None:
        raise error


def _stopped(reply: Reply, chunk: Any) -> LLMError | None:
    """Groq's word, beside the choices, for why it stopped a stream early."""
    beside = chunk.get("x_groq") if isinstance(chunk, dict) else None
    told = beside.get("error") if isinstance(beside, dict) else None
    return reply.error({"error": told}) if told else None
