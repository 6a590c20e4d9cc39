"""What the host answers, as parts of a response.

A whole answer and a piece of one have the same form, but for the name of a field, so one reader
takes both. Content is a text, or a list of chunks; a stream may go from one to the other.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import attrs

from llmmw import Citation, Finish, Generation, OpaquePart, ReasoningPart, TextPart
from llmmw.errors import ProtocolError
from llmmw.plugin import ResponseBuilder
from llmmw_mistral._calls import Called, Calls
from llmmw_mistral._usage import finish_of, usage_of
from llmmw_mistral._values import NAME, number_of, object_of, objects_of, seconds_of, text_of

__all__ = ["Answer"]

Json = Mapping[str, Any]

_MOST_CANDIDATES = 1000
_PLAIN = frozenset({"content", "role"})
_READ = frozenset({"content", "role", "tool_calls", "prefix"})
_TEXT = frozenset({"type", "text"})
_THOUGHT = frozenset({"type", "thinking"})
_CHOICE = frozenset({"index", "delta", "message", "messages", "finish_reason"})


@attrs.define(eq=False)
class _Choice:
    """One of the candidates so far."""

    begun: str
    """What was begun for it, as long as it may be repeated."""
    held: str = ""
    """What came that may be the repetition."""
    word: str | None = None
    """Why it ended."""
    calls: Calls = attrs.field(factory=Calls)
    thought: dict[str, Any] = attrs.field(factory=dict)
    """What the running reasoning has beside its text."""
    rows: list[list[str] | Json] = attrs.field(factory=list)
    """What it consists of: texts, in pieces, and whatever else."""
    asides: list[Json] = attrs.field(factory=list)
    """What tools of the host have said."""
    beside: dict[str, Any] = attrs.field(factory=dict)

    def bare(self, text: str) -> str:
        """A piece of text without what is repeated. What may be that waits."""
        if not self.begun:
            return text
        self.held += text
        if len(self.held) < len(self.begun) and self.begun.startswith(self.held):
            return ""
        text = self.held.removeprefix(self.begun)
        self.begun = self.held = ""
        return text

    @property
    def told(self) -> dict[str, Any]:
        """What has no place of its own in a response."""
        return self.beside | ({"messages": self.asides} if self.asides else {})

    def rest(self) -> str:
        """What waits though nothing more will come of it."""
        text, self.held, self.begun = self.held, "", ""
        return text


@attrs.define(eq=False)
class Answer:
    """Reads the pieces of one answer and builds the response."""

    builder: ResponseBuilder
    count: int = 1
    """How many candidates were asked for."""
    begun: str = ""
    """The beginning of an answer that the request had, which the host may repeat."""
    _choices: dict[int, _Choice] = attrs.field(factory=dict, init=False)
    _usage: Json | None = attrs.field(default=None, init=False)
    _beside: dict[str, Any] = attrs.field(factory=dict, init=False)

    async def take(self, chunk: Json, *, whole: bool = False) -> None:
        """Read a piece, or a whole answer."""
        choices = objects_of(chunk.get("choices"))
        if choices and not self._choices:
            id_, model = text_of(chunk.get("id")), text_of(chunk.get("model"))
            await self.builder.start(id=id_ or None, model=model or None)
        self._usage = object_of(chunk.get("usage")) or self._usage
        for name, told in chunk.items():
            if name not in {"choices", "usage"} and told is not None:
                self._beside[name] = told
        for choice in choices:
            number = number_of(choice.get("index"))
            at = number if number is not None and number < _MOST_CANDIDATES else 0
            known = self._choices.setdefault(at, _Choice(self.begun))
            plain = _plain_text(choice)
            if plain and not known.begun:
                await self.builder.text(plain, candidate=at)
            else:
                await self._choice(choice, known, at, whole)

    @property
    def finished(self) -> bool:
        """Whether every candidate has told why it ended."""
        words = [known.word for known in self._choices.values()]
        return len(words) >= self.count and all(words)

    async def _choice(self, choice: Json, known: _Choice, at: int, whole: bool) -> None:
        forms = ("message", "delta") if whole else ("delta", "message")
        message = choice.get(forms[0]) or choice.get(forms[1])
        _keep(known, choice, _CHOICE)
        for one in objects_of([message]) or objects_of(choice.get("messages")):
            if one.get("role") == "tool":  # what a tool of the host has said
                known.asides.append(one)
                continue
            _keep(known, one, _READ)
            await self._content(one.get("content"), known, at)
            for place, piece in enumerate(objects_of(one.get("tool_calls"))):
                await self._say(known.rest(), at)
                call, text = known.calls.take(piece, place)
                if call.name:
                    await self._call(call, text, at)
        known.word = text_of(choice.get("finish_reason")) or known.word

    async def _say(self, text: str, at: int) -> None:
        await self.builder.text(text, candidate=at)

    async def _content(self, content: Any, known: _Choice, at: int) -> None:
        if isinstance(content, str):
            await self._say(known.bare(content), at)
            return
        for chunk in objects_of(content):
            kind = text_of(chunk.get("type")) or "text"
            if kind == "text":
                await self._text(chunk, known, at)
                continue
            await self._say(known.rest() if known.held else "", at)
            if kind == "thinking":
                await self._think(chunk, known, at)
            elif kind in {"reference", "tool_reference"}:
                await self.builder.text(citation=_citation(chunk), candidate=at)
                await self.builder.end_part(candidate=at)  # so that it stays behind its text
            else:
                part = OpaquePart(provider=NAME, type=kind, data=dict(chunk))
                await self.builder.part(part, candidate=at)

    async def _text(self, chunk: Json, known: _Choice, at: int) -> None:
        further = {k: v for k, v in chunk.items() if k not in _TEXT and v is not None}
        if further:  # it is of this chunk alone
            await self.builder.end_part(candidate=at)
        await self._say(known.bare(text_of(chunk.get("text"))), at)
        if further:
            self.builder.annotate(TextPart, {NAME: further}, candidate=at)
            await self.builder.end_part(candidate=at)

    async def _think(self, chunk: Json, known: _Choice, at: int) -> None:
        inside = chunk.get("thinking")
        rows = [{"text": inside}] if isinstance(inside, str) else objects_of(inside)
        if not self._annotate(known, at):  # a part of its own begins
            known.thought, known.rows = {}, []
        known.thought |= {k: v for k, v in chunk.items() if k not in _THOUGHT and v is not None}
        for row in rows:
            _join(known.rows, row)
            await self.builder.reasoning(text_of(row.get("text")), candidate=at)
        if any(isinstance(row, dict) for row in known.rows):
            known.thought |= {"thinking": [_row(one) for one in known.rows]}
        if not self._annotate(known, at) and known.rows:
            part = ReasoningPart(extra={NAME: dict(known.thought)})
            await self.builder.part(part, candidate=at)

    def _annotate(self, known: _Choice, at: int) -> bool:
        extra = {NAME: dict(known.thought)} if known.thought else {}
        return self.builder.annotate(ReasoningPart, extra, candidate=at)

    async def _call(self, call: Called, text: str, at: int) -> None:
        id_ = call.id or call.invented
        await self.builder.tool_call(
            call.number, id=id_, name=call.name, arguments=text, candidate=at
        )

    async def finish(self, **fields: Any) -> Generation:
        """The response; `fields` are further ones of it.

        Raises:
            ProtocolError: if nothing was answered at all.
        """
        if not self._choices:
            raise ProtocolError("the host answered without any choice")
        for at, known in sorted(self._choices.items()):
            await self._say(known.rest(), at)
            for call in known.calls.calls:
                if not call.name and call.text:
                    await self._call(call, call.text, at)
        last = max(self._choices)
        if last and len(self.builder.fold.candidates()) <= last:
            await self.builder.part(TextPart(""), candidate=last)  # it said nothing, but it is one
        beside = {str(at): told for at, known in self._choices.items() if (told := known.told)}
        finishes = {at: finish_of(k.word, calls=bool(k.calls)) for at, k in self._choices.items()}
        response = await self.builder.finish(
            finishes.get(0, finish_of(None, calls=False)),
            usage=None if self._usage is None else usage_of(self._usage),
            created=seconds_of(self._beside.get("created")),
            raw=self._beside | ({"choices": beside} if beside else {}),
            **fields,
        )
        return _with_finishes(response, finishes)


def _plain_text(choice: Json) -> str:
    """The text of a piece that has nothing else, as nearly all have."""
    delta = choice.get("delta")
    if not isinstance(delta, dict) or not delta.keys() <= _PLAIN or not choice.keys() <= _CHOICE:
        return ""
    if choice.get("finish_reason") is not None or delta.get("role") == "tool":
        return ""
    return text_of(delta.get("content"))


def _join(rows: list[list[str] | Json], row: Json) -> None:
    """Put a row behind those of a thought; text that goes on is one row, however it was cut."""
    if not row.keys() <= _TEXT or row.get("type") not in (None, "text"):
        rows.append(dict(row))
    elif text := text_of(row.get("text")):
        last = rows[-1] if rows else None
        if isinstance(last, list):
            last.append(text)
        else:
            rows.append([text])


def _row(row: list[str] | Json) -> Json:
    return {"type": "text", "text": "".join(row)} if isinstance(row, list) else row


def _keep(known: _Choice, told: Json, read: frozenset[str]) -> None:
    """What has no place of its own in a response stands in its `raw`."""
    for name, one in told.items():
        if name not in read and one is not None:
            known.beside[name] = one


def _citation(chunk: Json) -> Citation:
    return Citation(
        url=text_of(chunk.get("url")) or None,
        title=text_of(chunk.get("title")) or None,
        text=text_of(chunk.get("description")) or None,
        extra={NAME: dict(chunk)},
    )


def _with_finishes(response: Generation, finishes: Mapping[int, Finish]) -> Generation:
    if not response.candidates:
        return response
    return response.replace(
        candidates=tuple(
            attrs.evolve(candidate, finish=finishes.get(at))
            for at, candidate in enumerate(response.candidates)
        )
    )
