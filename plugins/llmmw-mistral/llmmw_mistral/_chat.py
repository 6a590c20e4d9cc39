"""Reading an answer in the form in which it comes, which need not be the one asked for."""

from __future__ import annotations

from llmmw.errors import ProtocolError, StreamInterrupted
from llmmw.wire import Reply, SSEEvent, loads
from llmmw_mistral._answer import Answer
from llmmw_mistral._values import error_in, object_in

__all__ = ["read_chat"]


async def read_chat(reply: Reply, answer: Answer) -> None:
    """Read what the host sends.

    Raises:
        LLMError: if it is an error, or ends too early.
    """
    if reply.content_type != "text/event-stream":
        await answer.take(object_in(reply, await reply.read()), whole=True)
        return
    try:
        while events := await reply.next_events():
            for event in events:
                if event.data.startswith("[DONE]"):
                    await reply.drain()
                    return
                if event.data.strip():
                    await _take(event, reply, answer)
    except StreamInterrupted:
        if not answer.finished:
            raise
    if not answer.finished:
        raise StreamInterrupted("the stream ended before the answer did")


async def _take(event: SSEEvent, reply: Reply, answer: Answer) -> None:
    if event.event == "error":
        raise reply.error(event.data.encode())
    chunk = loads(event.data)
    error = error_in(reply, chunk)
    if error is None and not isinstance(chunk, dict):
        raise ProtocolError(f"the host sent a {type(chunk).__name__} where an object belongs")
    if isinstance(chunk, dict):
        await answer.take(chunk)
    if error is not None:
        raise error
