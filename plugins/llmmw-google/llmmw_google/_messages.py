"""Messages as the wire has them: a system instruction, and turns of a user and the model. Pure."""

from __future__ import annotations

import base64
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import attrs

from llmmw import (
    CachePoint,
    MediaPart,
    Message,
    OpaquePart,
    Part,
    ReasoningPart,
    TextPart,
    ToolCallPart,
    ToolResultPart,
)
from llmmw.errors import BadRequest, UnsupportedFeature
from llmmw.wire import Losses
from llmmw_google._models import Model

__all__ = ["MARK", "contents_of", "own"]

Json = dict[str, Any]

MARK = "synthetic_id"
"""In `extra` of a call whose id is none of Google's; it is not sent back."""

_FILES = "https://generativelanguage.googleapis.com/v1beta/"
_UNSIGNED = "skip_thought_signature_validator"
"""Google's own word in place of a signature, for turns that none of its models wrote."""


def own(extra: Mapping[str, Any], name: str) -> Json:
    """The fields for this host among those that a message, a part or a tool has besides.

    Raises:
        BadRequest: if they are no object.
    """
    fields = extra.get(name)
    if fields is None:
        return {}
    if not isinstance(fields, Mapping):
        raise BadRequest(f"extra[{name!r}]={fields!r}: expected an object")
    return dict(fields)


def contents_of(messages: Sequence[Message], model: Model, name: str, losses: Losses) -> Json:
    """The fields `systemInstruction` and `contents`.

    Args:
        messages: what was said.
        model: what the model can do.
        name: under which parts keep what only this host understands.
        losses: takes what the host can't honour.

    Raises:
        UnsupportedFeature: for a part that the wire has no place for.
        BadRequest: for the result of a call that was never made, without a name; and if nothing
            was said that could be sent.
    """
    turns = _Turns(model, name, losses, _calls_of(messages))
    for message in messages:
        turns.add(message)
    turns.end_results()
    turns.begin_answer()
    told: Json = {"contents": turns.told}
    if turns.system and turns.told and model.system:
        told["systemInstruction"] = {"parts": turns.system}
    elif turns.system:
        alone = "" if turns.told else " alone"
        losses.note(f"takes no system message{alone}: a user says it")
        turns.told.insert(0, {"role": "user", "parts": turns.system})
    elif not turns.told:
        raise BadRequest(
            "nothing in the conversation says anything to this host: add a user's message"
        )
    return told


def _calls_of(messages: Sequence[Message]) -> Mapping[str, tuple[int, ToolCallPart]]:
    parts = [part for message in messages for part in message.parts]
    calls = [part for part in parts if isinstance(part, ToolCallPart) and not part.server]
    return {call.id: (place, call) for place, call in enumerate(calls)}


@attrs.define
class _Turns:
    """The conversation so far."""

    model: Model
    name: str
    losses: Losses
    calls: Mapping[str, tuple[int, ToolCallPart]]
    told: list[Json] = attrs.field(factory=list, init=False)
    system: list[Json] = attrs.field(factory=list, init=False)
    results: list[tuple[int, Json]] = attrs.field(factory=list, init=False)
    """Results of one turn, which stand together, in the order of their calls."""
    shown: list[Json] = attrs.field(factory=list, init=False)
    """Media of these results: a user shows them."""

    def add(self, message: Message) -> None:
        if message.role == "tool":
            for part in message.parts:
                self._result(part)
            return
        if message.role == "system":
            if self.told or self.results:
                self.losses.note("reads all system messages before the conversation")
            self.system += [self._said(part, "system") for part in self._kept(message)]
            return
        if message.role == "user":
            parts = [self._said(part, "user") for part in self._kept(message)]
        else:
            parts = list(self._answered(message))
        if parts:
            self.end_results()
            self._turn("user" if message.role == "user" else "model", parts, message)

    def end_results(self) -> None:
        if self.results:
            self.results.sort(key=lambda row: row[0])
            self.told.append({"role": "user", "parts": [told for _, told in self.results]})
        if self.shown:
            self.told.append({"role": "user", "parts": self.shown})
        self.results, self.shown = [], []

    def begin_answer(self) -> None:
        """The beginning of the answer, where the last turn is one."""
        last = self.told[-1] if self.told and self.model.prefill is False else None
        if last and last["role"] == "model" and "text" in last["parts"][-1]:
            self.losses.drop("an answer that was begun for it")
            self.told.pop()

    def _turn(self, role: str, parts: list[Json], message: Message) -> None:
        self.told.append({"role": role, "parts": parts} | own(message.extra, self.name))

    def _kept(self, message: Message) -> Iterator[Part]:
        """The parts without those that are for nobody here."""
        for part in message.parts:
            if isinstance(part, OpaquePart) and part.provider != self.name:
                what = f"a block of {part.provider} ({part.type})"
                self.losses.note(f"does not know {what}: left out")
            elif isinstance(part, (ToolCallPart, ToolResultPart)) and part.server:
                what = f"a tool that another host has run ({part.name})"
                self.losses.note(f"does not know {what}: left out")
            elif not isinstance(part, CachePoint):
                yield part

    def _said(self, part: Part, role: str) -> Json:
        if isinstance(part, TextPart):
            return {"text": part.text} | self._beside(part)
        if isinstance(part, OpaquePart):
            return dict(part.data)
        if isinstance(part, MediaPart) and role != "system":
            if part.detail not in (None, "auto"):
                self.losses.note(f"does not mind the detail of one medium ({part.detail})")
            return _media(part) | self._beside(part)
        kind = part.kind.replace("_", " ")
        raise UnsupportedFeature(
            f"a {role} message takes no {kind} part on this wire; leave it out"
        )

    def _answered(self, message: Message) -> Iterator[Json]:
        """The parts of an answer, each with its own signature. What was thought goes back to the
        host that thought it."""
        unsigned = self.model.signed_calls
        for part in self._kept(message):
            if isinstance(part, ReasoningPart):
                if beside := self._beside(part):
                    yield {"text": part.text} | beside
            elif isinstance(part, ToolCallPart):
                told = self._call(part)
                if unsigned:  # the first of several speaks for all
                    told = {"thoughtSignature": _UNSIGNED} | told
                    unsigned = False
                yield told
            else:
                told = self._said(part, "assistant")
                if told != {"text": ""}:
                    yield told

    def _beside(self, part: Any) -> Json:
        """What the part had besides, when this host sent it."""
        return {k: v for k, v in own(part.extra, self.name).items() if k != MARK}

    def _call(self, part: ToolCallPart) -> Json:
        beside = self._beside(part)
        further = own(beside, "functionCall")
        beside.pop("functionCall", None)
        call = {"name": part.name, "args": self._args(part)} | self._id(part) | further
        return {"functionCall": call} | beside

    def _id(self, call: ToolCallPart) -> Json:
        made = own(call.extra, self.name).get(MARK)
        return {} if made or not call.id else {"id": call.id}

    def _args(self, part: ToolCallPart) -> Any:
        try:
            given = part.parse()
        except BadRequest:
            given = None
        if isinstance(given, dict):
            return given
        self.losses.note(f"takes objects alone as arguments: those of {part.id} go into one")
        return {"arguments": part.arguments}

    def _result(self, part: Part) -> None:
        if not isinstance(part, ToolResultPart):
            raise UnsupportedFeature(f"a tool message holds tool results, not a {part.kind} part")
        place, call = self.calls.get(part.call_id, (len(self.calls), None))
        name = part.name or (call.name if call else "")
        if not name:
            raise BadRequest(
                f"the tool result {part.call_id!r} answers no call of this conversation, "
                "and has no name: Google pairs the two by name"
            )
        named = self._id(call) if call else {"id": part.call_id} if part.call_id else {}
        said = "".join(one.text for one in part.content if isinstance(one, TextPart))
        self._show(part)
        response = {"error" if part.is_error else "output": said}
        told = {"name": name, "response": response} | named | self._beside(part)
        self.results.append((place, {"functionResponse": told}))

    def _show(self, part: ToolResultPart) -> None:
        """Media of a result come after all results, with a word of whose they are."""
        media = [one for one in part.content if isinstance(one, (MediaPart, OpaquePart))]
        message = Message("user", tuple(media))
        shown = [self._said(one, "user") for one in self._kept(message)]
        if shown:
            self.shown += [{"text": f"Of the tool result {part.call_id}:"}, *shown]


def _media(part: MediaPart) -> Json:
    if part.data is not None:
        data = base64.b64encode(part.data).decode()
        return {"inlineData": {"mimeType": part.media_type, "data": data}}
    uri = part.url or part.file_id or ""
    if part.file_id is not None and "://" not in uri:
        uri = _FILES + uri
    known = {} if "*" in part.media_type else {"mimeType": part.media_type}
    return {"fileData": known | {"fileUri": uri}}
