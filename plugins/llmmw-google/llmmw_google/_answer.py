"""What the host answers, as parts of a response.

A whole answer and a piece of one have the same form, so one reader takes both. It is lenient: the
host leaves out whatever is empty.
"""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from typing import Any

import attrs

from llmmw import (
    Finish,
    Generation,
    MediaPart,
    OpaquePart,
    ReasoningPart,
    Response,
    TextPart,
    TokenLogprob,
)
from llmmw.errors import ProtocolError
from llmmw.plugin import ResponseBuilder
from llmmw_google._arguments import ArgumentsText, text_of_json
from llmmw_google._beside import citations_of, logprobs_of, sources_of
from llmmw_google._messages import MARK
from llmmw_google._usage import counts_something, finish_of, usage_of
from llmmw_google._values import bytes_of, seconds_of, stem_of

__all__ = ["Answer"]

Json = Mapping[str, Any]

_MOST_CANDIDATES = 1000
_MOST_CALLS = 1000
_UNTOLD = {"", "FINISH_REASON_UNSPECIFIED"}
_TOLD = {"content", "index", "finishReason", "citationMetadata", "logprobsResult"}
"""Fields of a candidate that have a place of their own; the others are details of its end."""
_APART = {"candidates", "usageMetadata"}
_PLAIN = {"content", "index"}
_OF_A_CALL = {"name", "id", "args", "partialArgs", "willContinue"}


def _object(item: Any) -> Json:
    return item if isinstance(item, dict) else {}


def _objects(items: Any) -> list[Json]:
    return [one for one in items if isinstance(one, dict)] if isinstance(items, list) else []


def _text(item: Any) -> str:
    return item if isinstance(item, str) else ""


@attrs.define(eq=False)
class _OpenCall:
    """A call whose arguments come in pieces."""

    number: int
    id: str
    arguments: ArgumentsText = attrs.field(factory=ArgumentsText)


@attrs.define(eq=False)
class _Candidate:
    """One of the candidates so far."""

    finish: str | None = None
    detail: dict[str, Any] = attrs.field(factory=dict)
    citations: list[Json] = attrs.field(factory=list)
    calls: int = 0
    beside: dict[str, Any] = attrs.field(factory=dict)
    """What came beside the last call."""
    open: _OpenCall | None = None


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
    _known: dict[int, _Candidate] = attrs.field(factory=dict, init=False)
    _usage: Json | None = attrs.field(default=None, init=False)
    _beside: dict[str, Any] = attrs.field(factory=dict, init=False)
    _stem: str = attrs.field(default="", init=False)

    async def take(self, chunk: Json) -> None:
        """Read a piece, or a whole answer."""
        id_ = _text(chunk.get("responseId"))
        if not self._known:
            model = _text(chunk.get("modelVersion"))
            await self.builder.start(id=id_ or None, model=model or None)
        self._stem = self._stem or stem_of(id_)
        for name, told in chunk.items():
            if told is not None and name not in _APART:
                self._beside[name] = told
        usage = _object(chunk.get("usageMetadata"))
        if usage and ("totalTokenCount" in usage or not self._usage or counts_something(usage)):
            self._usage = usage
        for place, candidate in enumerate(_objects(chunk.get("candidates"))):
            number = candidate.get("index")
            at = number if type(number) is int and 0 <= number < _MOST_CANDIDATES else place
            known = self._known.get(at)
            if known is None:
                known = self._known[at] = _Candidate()
            plain = _plain_text(candidate)
            if plain:
                await self.builder.text(plain, candidate=at)
            else:
                await self._candidate(candidate, known, at)

    @property
    def _blocked(self) -> Json:
        """What the host says of a prompt that it refuses."""
        told = _object(self._beside.get("promptFeedback"))
        return told if told.get("blockReason") or told.get("blockReasonMessage") else {}

    @property
    def finished(self) -> bool:
        """Whether as many candidates as were asked for told why they ended, or none will come."""
        ended = [known for known in self._known.values() if known.finish is not None]
        return len(ended) >= self.count or bool(self._blocked)

    async def _candidate(self, told: Json, known: _Candidate, at: int) -> None:
        logprobs = logprobs_of(told.get("logprobsResult"), self.alternatives)
        for part in _objects(_object(told.get("content")).get("parts")):
            logprobs = await self._part(part, logprobs, known, at)
        await self.builder.text(logprobs=logprobs, candidate=at)
        if told.get("citationMetadata"):
            known.citations.append(_object(told["citationMetadata"]))
        known.detail |= {k: v for k, v in told.items() if k not in _TOLD and v is not None}
        finish = told.get("finishReason")
        if isinstance(finish, str) and finish not in _UNTOLD:
            known.finish = finish

    async def _part(
        self, part: Json, logprobs: tuple[TokenLogprob, ...], known: _Candidate, at: int
    ) -> tuple[TokenLogprob, ...]:
        """Read a part; the log-probabilities that are left after it."""
        thought = part.get("thought") is True
        text = part.get("text")
        if isinstance(part.get("functionCall"), Mapping):
            await self._call(part, part["functionCall"], known, at)
        elif isinstance(text, str) and thought:
            await self._thought(text, part, at)
        elif isinstance(text, str):
            await self._say(text, logprobs, part, at)
            return () if text else logprobs
        elif not thought and (media := self._media(part)) is not None:
            await self.builder.part(media, candidate=at)
        elif part:
            kind = next((one for one in part if not one.startswith("thought")), "thought")
            await self.builder.part(
                OpaquePart(provider=self.name, type=kind, data=part), candidate=at
            )
        return logprobs

    async def _say(
        self, text: str, logprobs: tuple[TokenLogprob, ...], part: Json, at: int
    ) -> None:
        beside = _without(part, "text")
        if beside:
            await self.builder.end_part(candidate=at)
        if beside and not text:
            extra = {self.name: beside}
            await self.builder.part(TextPart("", extra=extra), candidate=at)
        elif text:
            await self.builder.text(text, logprobs=logprobs, candidate=at)
        if beside and text:
            self.builder.annotate(TextPart, {self.name: beside}, candidate=at)
            await self.builder.end_part(candidate=at)

    async def _thought(self, text: str, part: Json, at: int) -> None:
        extra = {self.name: _without(part, "text")}
        signed = len(extra[self.name]) > 1
        if signed:
            await self.builder.end_part(candidate=at)
        if signed and not text:
            await self.builder.part(ReasoningPart("", extra=extra), candidate=at)
        await self.builder.reasoning(text, candidate=at)
        if text:
            self.builder.annotate(ReasoningPart, extra, candidate=at)
        if signed:
            await self.builder.end_part(candidate=at)

    def _media(self, part: Json) -> MediaPart | None:
        inline, file = _object(part.get("inlineData")), _object(part.get("fileData"))
        beside = _without(part, "inlineData", "fileData")
        extra = {self.name: beside} if beside else {}
        media_type = _text((inline or file).get("mimeType")) or "application/octet-stream"
        if isinstance(inline.get("data"), str):
            data = bytes_of(inline["data"])
            name = _text(inline.get("displayName")) or None
            return MediaPart(media_type=media_type, data=data, filename=name, extra=extra)
        if isinstance(file.get("fileUri"), str):
            return MediaPart(media_type=media_type, url=file["fileUri"], extra=extra)
        return None

    async def _call(self, part: Json, call: Json, known: _Candidate, at: int) -> None:
        args, pieces = call.get("args"), _objects(call.get("partialArgs"))
        more = call.get("willContinue") is True
        name, id_ = _text(call.get("name")), _text(call.get("id"))
        goes_on = known.open is not None and (not name or (bool(id_) and known.open.id == id_))
        if not goes_on:
            await self._end_call(known, at)
            if not name and not args and not pieces:  # the end of a call that has ended already
                await self._beside_call(part, known, at)
                return
            number = await self._begin_call(part, call, known, at)
            if not pieces and not more:
                text = "" if args is None else text_of_json(args)
                await self.builder.tool_call(number, arguments=text, candidate=at)
                return
            known.open = _OpenCall(number, id_)
        else:
            await self._beside_call(part, known, at)
        assert known.open is not None
        writer = known.open.arguments
        text = "".join(writer.put((key,), one) for key, one in _object(args).items())
        text += "".join(writer.take(piece) for piece in pieces)
        await self.builder.tool_call(known.open.number, arguments=text, candidate=at)
        if not pieces and not more:
            await self._end_call(known, at)

    async def _begin_call(self, part: Json, call: Json, known: _Candidate, at: int) -> int:
        number = known.calls
        known.calls += 1
        if number >= _MOST_CALLS:
            raise ProtocolError(f"the host calls more than {_MOST_CALLS} functions at once")
        known.beside = beside = _without(part, "functionCall")
        further = {k: v for k, v in call.items() if k not in _OF_A_CALL}
        beside |= {"functionCall": further} if further else {}
        id_ = _text(call.get("id"))
        if not id_:
            self._stem = self._stem or uuid.uuid4().hex[:12]
            id_ = f"call_{self._stem}_{at}_{number}" if at else f"call_{self._stem}_{number}"
            beside[MARK] = True
        await self.builder.tool_call(
            number,
            id=id_,
            name=_text(call.get("name")),
            candidate=at,
            extra={self.name: beside} if beside else {},
        )
        return number

    async def _beside_call(self, part: Json, known: _Candidate, at: int) -> None:
        """Keep what comes beside a later piece of the last call, as a signature may."""
        if known.calls and (late := _without(part, "functionCall")):
            known.beside = known.beside | late
            extra = {self.name: known.beside}
            await self.builder.tool_call(known.calls - 1, candidate=at, extra=extra)

    async def _end_call(self, known: _Candidate, at: int) -> None:
        if known.open is not None:
            text = known.open.arguments.end()
            await self.builder.tool_call(known.open.number, arguments=text, candidate=at)
            known.open = None

    async def finish(self, **fields: Any) -> Response:
        """The response; `fields` are further ones of it.

        Raises:
            ProtocolError: if nothing was answered at all.
        """
        if not self._known and not self._blocked:
            raise ProtocolError("the host answered without any candidate")
        for at, known in sorted(self._known.items()):
            await self._end_call(known, at)
            await self._cite(known, at)
        last = max(self._known, default=0)
        if last and len(self.builder.fold.candidates()) <= last:
            await self.builder.part(TextPart(""), candidate=last)  # it said nothing, but it is one
        finishes = {at: self._finish(known) for at, known in self._known.items()}
        response = await self.builder.finish(
            finishes.get(0) or self._finish(_Candidate()),
            usage=None if self._usage is None else usage_of(self._usage),
            created=seconds_of(self._beside.get("createTime")),
            raw=self._beside,
            **fields,
        )
        return _with_finishes(response, finishes)

    async def _cite(self, known: _Candidate, at: int) -> None:
        told = [one for rows in known.citations for one in citations_of(rows, self.name)]
        told += sources_of(known.detail.get("groundingMetadata"))
        for citation in dict.fromkeys(told):  # some come with each piece anew
            await self.builder.text(citation=citation, candidate=at)

    def _finish(self, known: _Candidate) -> Finish:
        blocked = {"promptFeedback": dict(self._blocked)} if self._blocked else {}
        return finish_of(
            known.finish,
            known.detail | blocked,
            calls=bool(known.calls),
            blocked=bool(blocked),
        )


def _plain_text(told: Json) -> str:
    """The text of a candidate that has nothing else, as in nearly all pieces of a stream."""
    parts = _object(told.get("content")).get("parts")
    if not isinstance(parts, list) or len(parts) != 1 or not told.keys() <= _PLAIN:
        return ""
    [part] = parts
    return _text(part.get("text")) if isinstance(part, dict) and len(part) == 1 else ""


def _without(part: Json, *names: str) -> dict[str, Any]:
    """What a part has besides; a flag that is not set says nothing."""
    return {k: v for k, v in part.items() if k not in names and v is not None and v is not False}


def _with_finishes(response: Generation, finishes: Mapping[int, Finish]) -> Generation:
    if not response.candidates:
        return response
    return response.replace(
        candidates=tuple(
            attrs.evolve(candidate, finish=finishes.get(at))
            for at, candidate in enumerate(response.candidates)
        )
    )
