"""What the host answers, as parts of a response.

A whole answer and a line of one have the same form, of a conversation or of a prompt, so one
reader takes them all. It is lenient.
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterator, Mapping
from typing import Any

import attrs

from llmmw import Generation, MediaPart, TokenLogprob
from llmmw.errors import ProtocolError
from llmmw.plugin import ResponseBuilder
from llmmw_ollama._messages import MARK, NAME
from llmmw_ollama._usage import finish_of, usage_of
from llmmw_ollama._values import image_of, object_of, seconds_of, text_of

__all__ = ["Answer"]

Json = Mapping[str, Any]

_SAID = {"content", "response", "thinking", "tool_calls", "images", "image", "role"}
"""Fields that tell the answer; of a conversation they stand in `message`."""
_APART = {"message", "logprobs", "done", *_SAID}
_MOST_CALLS = 1000
_LEAST = -9999.0
"""In place of a probability that is no number."""


@attrs.define(eq=False)
class Answer:
    """Reads the lines of one answer and builds the response."""

    builder: ResponseBuilder
    alternatives: int | None = None
    """How many alternatives of a token were asked for."""
    complete: bool = attrs.field(default=False, init=False)
    """Whether the end of the answer came."""
    _calls: int = attrs.field(default=0, init=False)
    _stem: str = attrs.field(factory=lambda: uuid.uuid4().hex[:12], init=False)
    _logprobs: tuple[TokenLogprob, ...] = attrs.field(default=(), init=False)
    _beside: dict[str, Any] = attrs.field(factory=dict, init=False)

    async def take(self, told: Json, *, whole: bool = False) -> None:
        """Read a line, or a whole answer, which need not say that it is done.

        Raises:
            ProtocolError: if it is whole, and no answer.
        """
        if self.complete:
            return
        said = object_of(told.get("message"))
        done = told.get("done") is True
        if whole and told.get("done") is None:
            if _SAID.isdisjoint({*told, *said}):
                raise ProtocolError("the host sent an object that is no answer")
            done = True
        await self.builder.start(model=text_of(told.get("model")) or None)
        self._keep(told, said)
        self._logprobs += tuple(_logprobs(told.get("logprobs"), self.alternatives))
        await self.builder.reasoning(_first(said, told, "thinking"))
        await self._say(text_of(said.get("content")) or text_of(told.get("response")))
        for calls in (said.get("tool_calls"), told.get("tool_calls")):
            for call in calls if isinstance(calls, list) else ():
                await self._call(call)
        await self._show(said.get("images"))
        await self._show([told.get("image")])
        self.complete = done

    async def _say(self, text: str) -> None:
        """Text, with the log-probabilities of the tokens up to it: of thoughts there are some
        too, and some come ahead of their text."""
        if text:
            await self.builder.text(text, logprobs=self._logprobs)
            self._logprobs = ()

    async def _call(self, call: Any) -> None:
        function = call.get("function") if isinstance(call, dict) else None
        if not isinstance(function, dict):
            self._beside.setdefault("tool_calls", []).append(call)
            return
        number = self._calls
        self._calls += 1
        if number >= _MOST_CALLS:
            raise ProtocolError(f"the host calls more than {_MOST_CALLS} tools at once")
        beside = {k: v for k, v in call.items() if k not in {"id", "function"} and v is not None}
        further = {k: v for k, v in function.items() if k not in {"name", "arguments"}}
        beside |= {"function": further} if further else {}
        id_ = text_of(call.get("id"))
        if not id_:  # older servers give none
            id_ = f"call_{self._stem}_{number}"
            beside[MARK] = True
        await self.builder.tool_call(
            number,
            id=id_,
            name=text_of(function.get("name")),
            arguments=_arguments(function.get("arguments")),
            extra={NAME: beside} if beside else {},
        )

    async def _show(self, images: Any) -> None:
        for image in images if isinstance(images, list) else ():
            if isinstance(image, str) and image:
                kind, data = image_of(image)
                await self.builder.part(MediaPart(media_type=kind, data=data))

    def _keep(self, told: Json, said: Json) -> None:
        """What has no place of its own in a response stands in its `raw`."""
        self._beside |= {k: v for k, v in told.items() if k not in _APART and v is not None}
        further = {k: v for k, v in said.items() if k not in _SAID and v is not None}
        if further:
            self._beside["message"] = self._beside.get("message", {}) | further

    async def finish(self, **fields: Any) -> Generation:
        """The response; `fields` are further ones of it."""
        await self.builder.text(logprobs=self._logprobs)
        return await self.builder.finish(
            finish_of(self._beside.get("done_reason"), calls=bool(self._calls)),
            usage=usage_of(self._beside),
            created=seconds_of(self._beside.get("created_at")),
            raw=self._beside,
            **fields,
        )


def _first(said: Json, told: Json, name: str) -> str:
    return text_of(said.get(name)) or text_of(told.get(name))


def _arguments(told: Any) -> str:
    """The arguments of a call, which come as an object, as text.

    Raises:
        ProtocolError: if they nest too deeply.
    """
    if isinstance(told, str):
        return told
    try:
        return "" if told is None else json.dumps(told, ensure_ascii=False, separators=(",", ":"))
    except RecursionError:
        pass
    raise ProtocolError("the arguments of a call nest too deeply")


def _logprobs(told: Any, asked: int | None) -> Iterator[TokenLogprob]:
    """Log-probabilities, with as many alternatives as were asked for."""
    for row in told if isinstance(told, list) and asked is not None else ():
        if isinstance(row, dict) and isinstance(row.get("token"), str):
            top = row.get("top_logprobs")
            others = [one for one in top if isinstance(one, dict)] if isinstance(top, list) else []
            pairs = [(text_of(one.get("token")), _number(one.get("logprob"))) for one in others]
            yield TokenLogprob(row["token"], _number(row.get("logprob")), pairs[:asked])


def _number(told: Any) -> float:
    if isinstance(told, (int, float)) and not isinstance(told, bool) and told > _LEAST:
        return float(min(told, 0))  # what is greater is a rounding error
    return _LEAST
