"""Reading a chat, in the form in which it comes."""

from __future__ import annotations

from llmmw.errors import StreamInterrupted
from llmmw.wire import Reply, SSEEvent
from llmmw_cohere._answer import Answer
from llmmw_cohere._values import object_in

__all__ = ["read_chat"]


async def read_chat(reply: Reply, answer: Answer) -> None:
    """Read an answer in the form in which it came, which need not be the one asked for.

    Raises:
        LLMError: if it is an error, or ends too early.
    """
    if reply.content_type != "text/event-stream":
        await answer.whole(object_in(reply, await reply.read()))
        return
    while events := await reply.next_events():
        for event in events:
            await _take(event, reply, answer)
            if answer.complete:
                await reply.drain()
                return
    raise StreamInterrupted("the stream ended before the answer did")


async def _take(event: SSEEvent, reply: Reply, answer: Answer) -> None:
    if not event.data.strip() or event.data.startswith("[DONE]"):
        return
    if event.event == "error":
        raise reply.error(event.data.encode())
    told = object_in(reply, event.data)
    await answer.take(told if "type" in told else {"type": event.event, **told})
    if answer.error:
        raise reply.error({"error": answer.error})
