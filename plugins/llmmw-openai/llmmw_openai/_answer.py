"""What a host answers, as parts of a response.

A whole answer and a piece of one have the same form, but for the name of a field, so one reader
takes both. It is lenient: hosts leave fields out, repeat them, and put null where lists belong.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Iterable, Mapping
from typing import Any

import attrs

from llmmw import (
    Citation,
    Generation,
    MediaPart,
    ReasoningPart,
    Response,
    TextPart,
    TokenLogprob,
)
from llmmw.errors import ProtocolError
from llmmw.plugin import ResponseBuilder
from llmmw_openai._calls import Called, Calls
from llmmw_openai._logprobs import logprobs_of
from llmmw_openai._plain_pieces import plain_text, text_alone
from llmmw_openai._think import ThinkSplitter, ThinkTags
from llmmw_openai._usage import finish_of, usage_of

__all__ = ["Answer", "seconds_of"]

Json = Mapping[str, Any]

_MOST_CANDIDATES = 1000
_LAST = 1e15
"""No time is later: seconds since 1970."""


def _object(item: Any) -> Json:
    return item if isinstance(item, dict) else {}


def _objects(items: Any) -> list[Json]:
    return [one for one in items if isinstance(one, dict)] if isinstance(items, list) else []


def _text(item: Any) -> str:
    return item if isinstance(item, str) else ""


@attrs.define(eq=False)
class _Choice:
    """One of the candidates so far."""

    finish: Json | None = None
    """The choice that told why it ended."""
    calls: Calls = attrs.field(factory=Calls)
    details: dict[int, dict[str, Any]] = attrs.field(factory=dict)
    blocks: list[dict[str, Any]] = attrs.field(factory=list)
    """OpenRouter's blocks of reasoning, which it wants to see again as they are: by their index,
    and as they came."""
    loose: bool = False
    """Whether some of these blocks came while no reasoning was told."""
    audio: dict[str, str] = attrs.field(factory=dict)
    sound: list[str] = attrs.field(factory=list)
    """The sound itself, in base64."""
    splitter: ThinkSplitter | None = None

    def hear(self, audio: Json) -> None:
        """Read a piece of a spoken answer, or a whole one."""
        for name, piece in audio.items():
            if name == "data":
                self.sound.append(_text(piece))
            else:
                before = self.audio.get(name, "") if name == "transcript" else ""
                self.audio[name] = before + str(piece)


@attrs.define(eq=False)
class Answer:
    """Reads the pieces of one answer and builds the response."""

    builder: ResponseBuilder
    name: str
    """The host, under which parts keep what only it understands."""
    alternatives: int | None = None
    """How many alternatives of a token were asked for."""
    count: int = 1
    """How many candidates were asked for."""
    sound: str = "wav"
    """The form of audio that was asked for."""
    think_tags: ThinkTags = "no"
    _choices: dict[int, _Choice] = attrs.field(factory=dict, init=False)
    _usage: Json | None = attrs.field(default=None, init=False)
    _beside: dict[str, Any] = attrs.field(factory=dict, init=False)
    _last: Json | None = attrs.field(default=None, init=False)
    """What stood around the choices of the last piece that was taken."""

    def text_alone(self, chunk: Any) -> str:
        """The text of a piece that differs from the last in nothing else, as nearly all do; empty
        if this one has to be taken. `take` would read the same in five times the time."""
        return text_alone(chunk, self._last)

    async def take(self, chunk: dict[str, Any], *, whole: bool = False) -> None:
        """Read a piece, or a whole answer, out of which is taken what is read here."""
        choices = _objects(chunk.pop("choices", None))
        chunk.pop("obfuscation", None)
        around = chunk.copy()
        if choices and not self._choices:
            id_, model = _text(chunk.get("id")), _text(chunk.get("model"))
            await self.builder.start(id=id_ or None, model=model or None)
        usage = chunk.pop("usage", None)
        for place in (_object(chunk.get("x_groq")), *choices):
            usage = usage or place.get("usage")
        if usage:
            self._usage = _object(usage) or self._usage
        if None in chunk.values():
            chunk = {name: told for name, told in chunk.items() if told is not None}
        self._beside.update(chunk)
        for choice in choices:
            number = choice.get("index")
            at = number if isinstance(number, int) and 0 <= number < _MOST_CANDIDATES else 0
            known = self._known(at)
            plain = "" if whole or known.splitter is not None else plain_text(choice)
            if plain:
                await self.builder.text(plain, candidate=at)
            else:
                await self._choice(choice, known, at, whole)
        self._last = around if 0 in self._choices and self.think_tags == "no" else None

    @property
    def finished(self) -> bool:
        """Whether every candidate has told why it ended. An empty word is none here, since some
        hosts send it with each piece."""
        finishes = [_object(known.finish).get("finish_reason") for known in self._choices.values()]
        return len(finishes) >= self.count and all(finishes)

    async def _choice(self, choice: Json, known: _Choice, at: int, whole: bool) -> None:
        # Some hosts send both: in a piece the message repeats what was told, in a whole answer
        # the delta is empty.
        in_pieces = not whole and isinstance(choice.get("delta"), dict)
        delta = _object(choice.get("delta" if in_pieces else "message"))
        logprobs = logprobs_of(choice.get("logprobs"), self.alternatives)
        refused = logprobs_of(choice.get("logprobs"), self.alternatives, "refusal")
        await self._reasoning(delta, known, at)
        await self._content(delta.get("content") or choice.get("text"), logprobs, known, at)
        refusal = _text(delta.get("refusal"))
        images = [_object(one.get("image_url")) for one in _objects(delta.get("images"))]
        pieces = _calls_of(delta)
        if known.splitter is not None and (refusal or images or pieces):
            await self._split(known.splitter.flush(), at)
        await self.builder.text(refusal, logprobs=refused, refusal=True, candidate=at)
        for one in _objects(delta.get("annotations")):
            cited = _citation(one)
            if cited is not None:
                await self.builder.text(citation=cited, candidate=at)
        for image in images:
            await self._image(image, at)
        known.hear(_object(delta.get("audio")))
        for place, piece in enumerate(pieces):
            call, text = known.calls.take(piece, place)
            if call.name:
                await self._call(call, text, at)
        if isinstance(choice.get("finish_reason"), str):
            known.finish = choice

    def _known(self, at: int) -> _Choice:
        if at not in self._choices:
            tags = self.think_tags
            splitter = None if tags == "no" else ThinkSplitter(begun=tags == "begun")
            self._choices[at] = _Choice(splitter=splitter)
        return self._choices[at]

    async def _split(self, told: Iterable[tuple[bool, str]], at: int) -> None:
        for thought, text in told:
            say = self.builder.reasoning if thought else self.builder.text
            await say(text, candidate=at)

    async def _content(
        self, content: Any, logprobs: tuple[TokenLogprob, ...], known: _Choice, at: int
    ) -> None:
        if isinstance(content, list):  # Mistral sends some answers as parts
            for part in _objects(content):
                for thought in _objects(part.get("thinking")):
                    await self.builder.reasoning(_text(thought.get("text")), candidate=at)
                await self.builder.text(_text(part.get("text")), candidate=at)
            content = ""
        if known.splitter is not None:
            await self._split(known.splitter.take(_text(content)), at)
            return
        await self.builder.text(_text(content), logprobs=logprobs, candidate=at)

    async def _reasoning(self, delta: Json, known: _Choice, at: int) -> None:
        blocks = _objects(delta.get("reasoning_details"))
        text = _text(delta.get("reasoning_content")) or _text(delta.get("reasoning"))
        if not text:
            text = "".join(_text(b.get("text")) or _text(b.get("summary")) for b in blocks)
        if text and known.splitter is not None:
            await self._split(known.splitter.off(), at)
        await self.builder.reasoning(text, candidate=at)
        if not blocks:
            return
        for block in blocks:
            index = block.get("index")
            key = index if isinstance(index, int) else len(known.details)
            if key not in known.details:
                known.blocks.append({})
            kept = known.details.setdefault(key, known.blocks[-1])
            for name, told in block.items():
                growing = name in {"text", "summary", "data"} and isinstance(told, str)
                if growing:
                    kept[name] = _text(kept.get(name)) + told
                elif told is not None or name not in kept:
                    kept[name] = told
        told = self.builder.annotate(ReasoningPart, self._echo(known), candidate=at)
        known.loose = not told

    def _echo(self, known: _Choice) -> Json:
        return {self.name: {"reasoning_details": known.blocks}}

    async def _call(self, call: Called, text: str, at: int) -> None:
        extra = {self.name: {"extra_content": call.extra}} if call.extra else {}
        await self.builder.tool_call(
            call.number,
            id=call.id or call.invented,
            name=call.name,
            arguments=text,
            candidate=at,
            custom=call.custom,
            extra=extra,
        )

    async def _image(self, image: Json, at: int) -> None:
        url = _text(image.get("url"))
        head, inline, data = url.partition(";base64,")
        if inline and head.startswith("data:"):
            media_type = head.removeprefix("data:") or "image/png"
            part = MediaPart(media_type=media_type, data=_bytes([data]))
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
        last = max(self._choices)
        if last and len(self.builder.fold.candidates()) <= last:
            await self.builder.part(TextPart(""), candidate=last)  # it said nothing, but it is one
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
            created=seconds_of(self._beside.get("created")),
            raw=self._beside,
            **fields,
        )
        return _with_finishes(response, finishes)

    async def _rest(self, at: int, known: _Choice) -> None:
        """What can be told at the end only."""
        if known.splitter is not None:
            await self._split(known.splitter.flush(), at)
        if known.loose:
            await self.builder.part(ReasoningPart(extra=self._echo(known)), candidate=at)
        for call in known.calls.nameless():
            await self._call(call, "".join(call.pieces), at)
        if any(known.sound):
            sound = MediaPart(
                media_type=f"audio/{self.sound}",
                data=_bytes(known.sound),
                extra={self.name: known.audio},
            )
            await self.builder.part(sound, candidate=at)


def _calls_of(delta: Json) -> list[Json]:
    """The pieces of tool calls, of the form before the present one too."""
    pieces = [*_objects(delta.get("tool_calls"))]
    function = _object(delta.get("function_call"))
    if function.get("name") or function.get("arguments"):
        pieces.append({"function": function})
    return pieces


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


def seconds_of(told: Any) -> float | None:
    """A time since 1970, if it is one."""
    return float(told) if isinstance(told, (int, float)) and abs(told) < _LAST else None


def _bytes(data: Iterable[str]) -> bytes:
    """Each piece of a stream may end in padding of its own."""
    try:
        return b"".join(map(base64.b64decode, re.findall("[^=]+=*", "".join(data))))
    except ValueError as error:
        raise ProtocolError(f"the host sent base64 that is none: {error}") from error
