"""The scripts of the simulated provider as a host answers over HTTP, in OpenAI's chat format."""

from __future__ import annotations

import functools
import json
from collections.abc import Awaitable, Callable, Iterator, Mapping
from typing import Any, TypeAlias

import attrs
import trio

from llmmw._call import Call
from llmmw._messages import Message
from llmmw._request import Generate
from llmmw.errors import LLMError
from llmmw.sim import Fault, Script, Scripted
from llmmw.sim._faults import KINDS
from llmmw.sim._script import Turns
from llmmw.testing._server import Answer, Received

__all__ = ["ChatHost"]

Pieces: TypeAlias = Iterator[bytes | Callable[[], Awaitable[None]]]

_BROKEN = b'{"id": "chat-1", "choices": [{"index": 0, "delta": {"cont'
_BREAKS = {"net", "cut"}


@attrs.define(eq=False)
class ChatHost:
    """What a host answers, for `open_server`: each script as bytes of OpenAI's chat format, as a
    stream where that is asked for. Errors need to be `Fault`s.

    ::

        async with open_server(ChatHost({"gpt-4o": "hello"})) as server: ...

    Args:
        scripts: as for `SimulatedProvider`.
        scale: real seconds for each second of the scripts.
    """

    scripts: Mapping[Any, Scripted]
    scale: float = 1.0
    _turns: Turns = attrs.field(factory=Turns, init=False)

    async def __call__(self, received: Received) -> Answer:
        asked = received.json()
        request = Generate(model=f"http:{asked['model']}", messages=_messages(asked))
        try:
            script = self._turns.next(self.scripts, Call(request))
        except LLMError as error:  # nothing is scripted for it
            return _error(404, "model_not_found", error.message, {})
        fault = _fault(script)
        if not script.pieces:
            await self._wait(script.first)
            if script.hangs:
                await trio.sleep_forever()
            if fault is not None:
                return self._refusal(fault)
        if asked.get("stream"):
            told = bool((asked.get("stream_options") or {}).get("include_usage"))
            usage = _usage(script, request) if told else None
            return Answer(
                headers={"Content-Type": "text/event-stream"},
                pieces=self._events(script, fault, usage),
                cut=fault is not None and fault.kind in _BREAKS,
            )
        return await self._whole(script, fault, request)

    async def _wait(self, seconds: float) -> None:
        await trio.sleep(seconds * self.scale)

    def _refusal(self, fault: Fault) -> Answer:
        """An error that comes instead of an answer."""
        kind = KINDS[fault.kind]
        if kind.status is None:
            streams = {"Content-Type": "text/event-stream"}
            return {
                "net": Answer(reset=True),
                "cut": Answer(headers=streams, pieces=(), cut=True),
                "unfinished": Answer(headers=streams, pieces=()),
                "garbled": Answer(headers=streams, pieces=(b"data: " + _BROKEN + b"\n\n",)),
            }[fault.kind]
        hint = fault.retry_after
        headers = {} if hint is None else {"retry-after-ms": f"{hint * self.scale * 1000:.0f}"}
        return _error(kind.status, kind.code, f"scripted: {fault.kind}", headers)

    def _events(self, script: Script, fault: Fault | None, usage: Any) -> Pieces:
        if script.pieces:
            yield functools.partial(self._wait, script.first)
        for piece, gap in script.timed:
            yield _event(_chunk({"role": "assistant", "content": piece}))
            if gap:
                yield functools.partial(self._wait, gap)
        if script.hangs:
            yield trio.sleep_forever
        if fault is None:
            yield _event(_chunk({}, "stop"))
            if usage is not None:
                yield _event(_chunk(None) | {"usage": usage})
            yield b"data: [DONE]\n\n"
        elif fault.kind == "garbled":
            yield b"data: " + _BROKEN + b"\n\n"
        elif KINDS[fault.kind].status is not None:  # too late for a status
            yield _event(_told(KINDS[fault.kind].code, f"scripted: {fault.kind}"))

    async def _whole(self, script: Script, fault: Fault | None, request: Generate) -> Answer:
        await self._wait(script.seconds)
        message = {"role": "assistant", "content": script.text}
        choice = {"index": 0, "message": message, "finish_reason": "stop"}
        usage = _usage(script, request)
        body = _bytes({"id": "chat-1", "choices": [choice], "usage": usage})
        headers = {"Content-Type": "application/json"}
        if fault is None:
            return Answer(headers=headers, body=body)
        if KINDS[fault.kind].status is not None:
            return self._refusal(fault)
        half = body[: len(body) // 2]
        return Answer(headers=headers, pieces=(half,), cut=fault.kind in _BREAKS)


def _messages(asked: Mapping[str, Any]) -> list[Message]:
    return [
        Message(told["role"], told.get("content") or "")
        for told in asked["messages"]
        if told["role"] != "tool"
    ]


def _fault(script: Script) -> Fault | None:
    error = script.error
    if error is None or (isinstance(error, Fault) and error.kind != "shed"):
        return error
    raise TypeError(f"over HTTP a script fails with a Fault that a host knows, not with {error!r}")


def _usage(script: Script, request: Generate) -> dict[str, int | None]:
    usage = script.usage_of(request)
    return {"prompt_tokens": usage.input_tokens, "completion_tokens": usage.output_tokens}


def _error(status: int, code: str | None, message: str, headers: Mapping[str, str]) -> Answer:
    named = {"Content-Type": "application/json"} | dict(headers)
    return Answer(status=status, headers=named, body=_bytes(_told(code, message)))


def _told(code: str | None, message: str) -> dict[str, Any]:
    return {"error": {"message": message, "type": code, "code": code}}


def _chunk(delta: Mapping[str, Any] | None, finish: str | None = None) -> dict[str, Any]:
    choice = {"index": 0, "delta": delta, "finish_reason": finish}
    return {"id": "chat-1", "choices": [] if delta is None else [choice]}


def _event(data: object) -> bytes:
    return b"data: " + _bytes(data) + b"\n\n"


def _bytes(data: object) -> bytes:
    return json.dumps(data).encode()
