"""What a host answers, as parts of a response.

A whole answer and a piece of one have the same form, but for the name of a field, so one reader
takes both. It is lenient: hosts leave fields out, repeat them, and put null where lists belong.
"""

from __future__ import annotations

import base64
import binascii
import uuid
from collections.abc import Iterable, Mapping
from typing import Any

import attrs
import orjson

from llmmw import (
    Citation,
    Generation,
    MediaPart,
    ReasoningPart,
    Response,
    TokenLogprob,
)
from llmmw.errors import ProtocolError
from llmmw.plugin import ResponseBuilder
from llmmw_openai._logprobs import logprobs_of
from llmmw_openai._usage import finish_of, usage_of

__all__ = ["Answer"]

Json = Mapping[str, Any]

_MOST_CANDIDATES = 1000


def _object(item: Any) -> Json:
    return item if isinstance(item, Mapping) else {}


def _objects(items: Any) -> Iterable[Json]:
    return [one for one in items if isinstance(one, Mapping)] if isinstance(items, list) else []


def _text(item: Any) -> str:
    return item if isinstance(item, str) else ""


@attrs.define(eq=False)
class _Choice:
    """One of the candidates so far."""

    finish: Json | None = None
    """The choice that told why it ended."""
    calls: dict[object, str] = attrs.field(factory=dict)
    """The id of each tool call that has begun, by the key under which its pieces come."""
    waiting: dict[object, str] = attrs.field(factory=dict)
    """Arguments of calls whose name has not come yet."""
    details: dict[object, dict[str, Any]] = attrs.field(factory=dict)
    """OpenRouter's blocks of reasoning, which it wants to see again as they are."""
    loose: bool = False
    """Whether some of these blocks came while no reasoning was told."""
    audio: dict[str, str] = attrs.field(factory=dict)


@attrs.define(eq=False)
class Answer:
    """Reads the pieces of one answer and builds the response."""

    builder: ResponseBuilder
    name: str
    """The host, under which parts keep what only it understands."""
    alternatives: int | None = None
    """How many alternatives of a token were asked for."""
    ended: bool = attrs.field(default=False, init=False)
    """Whether the host said that this was all."""
    _choices: dict[int, _Choice] = attrs.field(factory=dict, init=False)
    _usage: Json | None = attrs.field(default=None, init=False)
    _beside: dict[str, Any] = attrs.field(factory=dict, init=False)

    async def take(self, chunk: Json) -> None:
        """Read a piece, or a whole answer."""
        choices = _objects(chunk.get("choices"))
        if choices:
            id_, model = _text(chunk.get("id")), _text(chunk.get("model"))
            await self.builder.start(id=id_ or None, model=model or None)
        for name, told in chunk.items():
            if name not in {"choices", "usage", "obfuscation"} and told is not None:
                self._beside[name] = told
        grok = _object(chunk.get("x_groq")).get("usage")
        for place in (grok, *(choice.get("usage") for choice in choices), chunk.get("usage")):
            if isinstance(place, Mapping) and place:
                self._usage = place
        for choice in choices:
            await self._choice(choice)

    @property
    def finished(self) -> bool:
        """Whether every candidate that has begun has told why it ended."""
        return bool(self._choices) and all(c.finish is not None for c in self._choices.values())

    async def _choice(self, choice: Json) -> None:
        number = choice.get("index")
        at = number if isinstance(number, int) and 0 <= number < _MOST_CANDIDATES else 0
        known = self._choices.setdefault(at, _Choice())
        delta = _object(choice.get("delta")) or _object(choice.get("message"))
        logprobs = logprobs_of(choice.get("logprobs"), self.alternatives)
        await self._reasoning(delta, known, at)
        await self._content(delta.get("content") or choice.get("text"), logprobs, at)
        await self.builder.text(_text(delta.get("refusal")), refusal=True, candidate=at)
        for one in _objects(delta.get("annotations")):
            cited = _citation(one)
            if cited is not None:
                await self.builder.text(citation=cited, candidate=at)
        for image in _objects(delta.get("images")):
            await self._image(_object(image.get("image_url")), at)
        for name, piece in _object(delta.get("audio")).items():
            before = known.audio.get(name, "") if name in {"data", "transcript"} else ""
            known.audio[name] = before + str(piece)
        for place, call in enumerate(_objects(delta.get("tool_calls"))):
            await self._call(call, place, known, at)
        function = _object(delta.get("function_call"))
        if function.get("name") or function.get("arguments"):
            await self._call({"function": function}, 0, known, at)
        if isinstance(choice.get("finish_reason"), str):
            known.finish = choice

    async def _content(self, content: Any, logprobs: tuple[TokenLogprob, ...], at: int) -> None:
        if isinstance(content, list):  # Mistral sends some answers as parts
            for part in _objects(content):
                for thought in _objects(part.get("thinking")):
                    await self.builder.reasoning(_text(thought.get("text")), candidate=at)
                await self.builder.text(_text(part.get("text")), candidate=at)
            content = ""
        await self.builder.text(_text(content), logprobs=logprobs, candidate=at)

    async def _reasoning(self, delta: Json, known: _Choice, at: int) -> None:
        blocks = _objects(delta.get("reasoning_details"))
        text = _text(delta.get("reasoning_content")) or _text(delta.get("reasoning"))
        if not text:
            text = "".join(_text(b.get("text")) or _text(b.get("summary")) for b in blocks)
        await self.builder.reasoning(text, candidate=at)
        if not blocks:
            return
        for block in blocks:
            key = block.get("index", len(known.details))
            kept = known.details.setdefault(key, {})
            for name, told in block.items():
                growing = name in {"text", "summary", "data"} and isinstance(told, str)
                if growing:
                    kept[name] = kept.get(name, "") + told
                elif told is not None or name not in kept:
                    kept[name] = told
        told = self.builder.annotate(ReasoningPart, self._echo(known), candidate=at)
        known.loose = not told

    def _echo(self, known: _Choice) -> Json:
        return {self.name: {"reasoning_details": list(known.details.values())}}

    async def _call(self, call: Json, place: int, known: _Choice, at: int) -> None:
        """A piece of a tool call. Its key is the index, unless that is missing or lies."""
        custom = _object(call.get("custom")) if call.get("type") != "function" else {}
        function = custom or _object(call.get("function"))
        id_, name = _text(call.get("id")), _text(function.get("name"))
        key: object = call.get("index")
        if key is None:
            key = place if id_ in {"", known.calls.get(place)} else (place, id_)
            if not id_ and not name and known.calls:
                key = next(reversed(known.calls))  # goes on with the last one
        elif id_ and known.calls.get(key, id_) not in {"", id_}:
            key = (key, id_)  # another id under the same index is another call
        elif (key, id_) in known.calls:
            key = (key, id_)
        told = function.get("input" if custom else "arguments")
        text = told if isinstance(told, str) else orjson.dumps(told).decode() if told else ""
        if key not in known.calls:
            text = known.waiting.pop(key, "") + text
            if not name:
                known.waiting[key] = text
                return
            known.calls[key] = id_
        fields: dict[str, Any] = {"custom": True} if custom else {}
        extra = _object(call.get("extra_content"))
        if extra:
            fields["extra"] = {self.name: {"extra_content": extra}}
        await self.builder.tool_call(
            key,
            id=id_ or f"call_{uuid.uuid4().hex[:24]}",
            name=name,
            arguments="" if text == "null" else text,
            candidate=at,
            **fields,
        )

    async def _image(self, image: Json, at: int) -> None:
        url = _text(image.get("url"))
        if url.startswith("data:"):
            media_type, _, data = url.removeprefix("data:").partition(";base64,")
            part = MediaPart(media_type=media_type or "image/png", data=_bytes(data))
        elif url:
            part = MediaPart(media_type="image/*", url=url)
        else:
            return
        await self.builder.part(part, candidate=at)

    async def finish(self, **fields: Any) -> Response:
        """The response; `fields` are further ones of it.

        Raises:
            ProtocolError: if nothing was answered at all.
        """
        if not self._choices:
            raise ProtocolError("the host answered without any choice")
        for at, known in sorted(self._choices.items()):
            await self._rest(at, known)
        finishes = {
            at: finish_of(
                _object(known.finish).get("finish_reason"),
                known.finish or {},
                calls=bool(known.calls),
            )
            for at, known in self._choices.items()
        }
        response = await self.builder.finish(
            finishes.get(0, finish_of(None, {}, calls=False)),
            usage=None if self._usage is None else usage_of(self._usage),
            created=_seconds(self._beside.get("created")),
            raw=self._beside,
            **fields,
        )
        return _with_finishes(response, finishes)

    async def _rest(self, at: int, known: _Choice) -> None:
        """What can be told at the end only."""
        if known.loose:
            await self.builder.part(ReasoningPart(extra=self._echo(known)), candidate=at)
        if known.audio.get("data"):
            beside = {name: told for name, told in known.audio.items() if name != "data"}
            media_type = "audio/wav"
            sound = MediaPart(
                media_type=media_type,
                data=_bytes(known.audio["data"]),
                extra={self.name: beside},
            )
            await self.builder.part(sound, candidate=at)


def _with_finishes(response: Generation, finishes: Mapping[int, Any]) -> Generation:
    if not response.candidates:
        return response
    return response.replace(
        candidates=tuple(
            attrs.evolve(candidate, finish=finishes.get(at))
            for at, candidate in enumerate(response.candidates)
        )
    )


def _citation(told: Json) -> Citation | None:
    cited = _object(told.get("url_citation")) or told
    url = _text(cited.get("url"))
    if not url:
        return None
    start, end = cited.get("start_index"), cited.get("end_index")
    return Citation(
        url=url,
        title=_text(cited.get("title")) or None,
        text=_text(cited.get("content")) or None,
        start=start if isinstance(start, int) else None,
        end=end if isinstance(end, int) else None,
    )


def _seconds(told: Any) -> float | None:
    return float(told) if isinstance(told, (int, float)) else None


def _bytes(data: str) -> bytes:
    try:
        return base64.b64decode(data)
    except binascii.Error as error:
        raise ProtocolError(f"the host sent base64 that is none: {error}") from error
