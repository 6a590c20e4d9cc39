"""What the first API answers, whole or in pieces, as a response. Lenient: whatever is missing, null
or of another type is taken for not told."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import attrs

from llmmw import Finish, Response, TokenLogprob, Usage
from llmmw.errors import ProtocolError, StreamInterrupted
from llmmw.plugin import ResponseBuilder
from llmmw.wire import Reply, SSEEvent, loads
from llmmw_llm_engine._told import object_of, told_in

__all__ = ["Completion", "read_completion"]

Json = Mapping[str, Any]

_LEAST = -9999.0
"""For a probability of zero, which JSON has no number for."""
_MOST = 2**63
_PARTS = frozenset({"text", "token", "tokens", "finished"})


def _number(told: Any) -> int | None:
    known = isinstance(told, (int, float)) and not isinstance(told, bool) and 0 <= told < _MOST
    return int(told) if known else None


@attrs.define(eq=False)
class Completion:
    """Reads the pieces of one answer and builds the response."""

    builder: ResponseBuilder
    most: object
    """How many tokens it might have."""
    logprobs: bool = False
    """Whether those of its tokens were asked for."""
    finished: bool = attrs.field(default=False, init=False)
    """Whether the host has said that it is whole."""
    id: str | None = attrs.field(default=None, init=False)
    _raw: dict[str, Any] = attrs.field(factory=dict, init=False)

    async def take(self, told: Json, *, whole: bool = False) -> None:
        """Read a piece, or a whole answer.

        Raises:
            ProtocolError: if a whole one has no text.
        """
        output = object_of(told.get("output"))
        if whole and not isinstance(output.get("text"), str):
            raise ProtocolError("the host answered without a text")
        number = told.get("request_id")
        if isinstance(number, str) and number:
            self.id = self.id or number
        await self.builder.start(id=self.id)
        text = output.get("text")
        await self.builder.text(
            text if isinstance(text, str) else "",
            logprobs=self._logprobs(output, whole) if self.logprobs else (),
        )
        beside = {**told, **output}
        self._raw |= {k: one for k, one in beside.items() if k not in _OUTER and one is not None}
        self.finished = self.finished or whole or output.get("finished") is True

    def _logprobs(self, output: Json, whole: bool) -> tuple[TokenLogprob, ...]:
        rows = output.get("tokens") if whole else [output.get("token")]
        return tuple(
            TokenLogprob(row["token"], _logprob(row.get("log_prob")), ())
            for row in (rows if isinstance(rows, list) else ())
            if isinstance(row, dict) and isinstance(row.get("token"), str)
        )

    async def finish(self, **fields: Any) -> Response:
        """The response; `fields` are further ones of it.

        Raises:
            StreamInterrupted: if the host has not said that it is whole.
        """
        if not self.finished:
            raise StreamInterrupted("the stream ended before the answer did")
        given, made = (_number(self._raw.get(f"num_{kind}_tokens")) for kind in _KINDS)
        most = _number(self.most)
        is_cut = made is not None and most is not None and made >= most
        usage = Usage(input_tokens=given, output_tokens=made, raw=dict(self._raw))
        return await self.builder.finish(
            Finish("length" if is_cut else "stop"),  # the host has no word for it
            usage=None if given is None and made is None else usage,
            raw=self._raw,
            **fields,
        )


_KINDS = ("prompt", "completion")
_OUTER = _PARTS | {"output", "error"}


def _logprob(told: Any) -> float:
    if isinstance(told, (int, float)) and not isinstance(told, bool) and told > _LEAST:
        return float(min(told, 0))
    return _LEAST


async def read_completion(reply: Reply, answer: Completion) -> None:
    """Read an answer in the form in which it came, which need not be the one asked for."""
    if reply.content_type != "text/event-stream":
        await answer.take(await told_in(reply), whole=True)
        return
    while not answer.finished and (events := await reply.next_events()):
        for event in events:
            if event.data.startswith("[DONE]"):
                await reply.drain()
                return
            if event.data.strip() and not answer.finished:
                await _take(event, reply, answer)
    if answer.finished:
        await reply.drain()


async def _take(event: SSEEvent, reply: Reply, answer: Completion) -> None:
    if event.event == "error":
        raise reply.error(event.data.encode())
    told = loads(event.data)
    error = reply.error_in(told)
    if error is not None:
        raise error
    if not isinstance(told, dict):
        raise ProtocolError(f"the host sent a {type(told).__name__} where an object belongs")
    await answer.take(told)
