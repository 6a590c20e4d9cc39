"""Messages as the wire has them: a system text, and turns of user and assistant. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
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
    ToolResultPart,
)
from llmmw.errors import BadRequest
from llmmw.wire import Losses
from llmmw_bedrock._models import Model
from llmmw_bedrock._parts import Blocks
from llmmw_bedrock._values import NAME, own

__all__ = ["conversation_of"]

Json = dict[str, Any]


def conversation_of(
    messages: Sequence[Message], model: Model, losses: Losses, *, prefill: bool
) -> Json:
    """The fields `system` and `messages`.

    Args:
        messages: what was said.
        model: the row of the model.
        losses: takes what the model can't honour.
        prefill: whether the model goes on, as it is asked here, with an answer that was begun.

    Raises:
        UnsupportedFeature: for a part that the wire has no place for.
        BadRequest: if nothing was said that could be sent.
    """
    talk = _Conversation(model, losses, prefill)
    for message in messages:
        talk.add(message)
    return talk.body()


@attrs.define(eq=False)
class _Conversation:
    """The turns so far. Turns of one role in a row are one, since roles must alternate."""

    model: Model
    losses: Losses
    prefill: bool
    blocks: Blocks = attrs.field(init=False)
    system: list[Json] = attrs.field(factory=list)
    turns: list[Json] = attrs.field(factory=list)
    shown: list[Part] = attrs.field(factory=list)
    """Media of answers, which only a user can show."""

    def __attrs_post_init__(self) -> None:
        self.blocks = Blocks(self.losses)

    def add(self, message: Message) -> None:
        """Append a message."""
        if message.name:
            self.losses.note("does not tell the model the name of a message")
        parts: Iterable[Part] = message.parts
        role = message.role
        if role == "assistant":
            media = [part for part in parts if isinstance(part, MediaPart)]
            parts = [part for part in parts if not isinstance(part, MediaPart)]
            self._say("assistant", parts, message)
            if media:
                self.shown += [TextPart("Of the answer:"), *media]
        elif role == "system" and not self.turns:
            if own(message.extra):
                self.losses.drop("fields of a system message: here it is texts alone")
            self._fill(self.system, parts, "system")
        elif role == "system":
            self._said_inside(message)
        else:
            self._say("user", parts, message)

    def _said_inside(self, message: Message) -> None:
        """A system message between others."""
        if self.model.system_inside:
            self._say("system", message.parts, message)
            return
        self.losses.note("takes a system message between others for a user's")
        around = (TextPart("<system>"), *message.parts, TextPart("</system>"))
        self._say("user", around, message)

    def _say(self, role: str, parts: Iterable[Part], message: Message) -> None:
        """Append parts to the last turn if it is of the same role, else to a new one."""
        if not self.turns or self.turns[-1]["role"] != role:
            self.turns.append({"role": role, "content": []})
        turn = self.turns[-1]
        self._fill(turn["content"], parts, role)
        if role == "user" and self.shown:
            shown, self.shown = self.shown, []
            self._fill(turn["content"], shown, role)
        turn |= own(message.extra)
        if not turn["content"]:
            self.turns.pop()

    def _fill(self, content: list[Json], parts: Iterable[Part], role: str) -> None:
        for part in parts:
            if isinstance(part, CachePoint):
                self._mark(content, part)
            elif self._fits(part):
                content.append(self.blocks.of(part, role))

    def _mark(self, content: list[Json], point: CachePoint) -> None:
        """Ends the prefix with what was said last: in the last turn, if in this one is nothing."""
        rows = [content, *(turn["content"] for turn in reversed(self.turns)), self.system]
        row = next((row for row in rows if row), None)
        if row is None:
            self.losses.note("has nothing before a cache point that could be cached")
        elif "cachePoint" not in row[-1]:
            ttl = {"ttl": point.ttl} if point.ttl else {}
            row.append({"cachePoint": {"type": "default"} | ttl})

    def _fits(self, part: Part) -> bool:
        """Whether a part goes to this host; says what does not."""
        if isinstance(part, TextPart) and not part.text.strip():
            return False  # it says nothing, and is refused
        why = ""
        if isinstance(part, OpaquePart) and part.provider != NAME:
            why = f"does not know a block of {part.provider} ({part.type})"
        elif isinstance(part, ReasoningPart) and not (self.model.signs and _is_signed(part)):
            why = "is not shown reasoning that it did not sign"
        elif getattr(part, "server", False):
            kind = "results" if isinstance(part, ToolResultPart) else "calls"
            why = f"is not shown {kind} of tools that another host ran"
        if why:
            self.losses.note(f"{why}: left out")
        return not why

    def body(self) -> Json:
        """The fields of the request."""
        if self.shown:
            self._say("user", (), Message("user", ()))
        self._begin_answer()
        self._need_turns()
        for turn in self.turns:
            if turn["role"] == "user":
                turn["content"] = _results_first(turn["content"])
        return ({"system": self.system} if self.system else {}) | {"messages": self.turns}

    def _begin_answer(self) -> None:
        """The beginning of the answer, where the last turn is one; it may not end in a blank."""
        last = self.turns[-1] if self.turns else None
        if not last or last["role"] != "assistant":
            return
        said: Json = next((one for one in reversed(last["content"]) if "cachePoint" not in one), {})
        if "text" not in said:
            return
        if not self.prefill:
            here = ", as it is asked here" if self.model.prefill else ""
            self.losses.drop(f"an answer that was begun for it{here}")
            self.turns.pop()
            return
        said["text"] = str(said["text"]).rstrip()

    def _need_turns(self) -> None:
        """The host answers turns alone: what only the system said is said by a user."""
        if self.turns:
            return
        if not self.system:
            raise BadRequest(
                "nothing in the conversation says anything to this host: add a user's message"
            )
        self.losses.note("takes no system message alone: a user says it")
        self.turns.append({"role": "user", "content": self.system})
        self.system = []


def _results_first(content: list[Json]) -> list[Json]:
    """The results of tools before all else; a cache point stays behind what it ends."""
    first: list[Json] = []
    rest: list[Json] = []
    row = rest
    for block in content:
        if "cachePoint" not in block:
            row = first if "toolResult" in block else rest
        row.append(block)
    return first + rest


def _is_signed(part: ReasoningPart) -> bool:
    """Whether the host has signed it: another's signature stands beside another's fields."""
    sealed = part.encrypted if part.redacted else part.signature
    return bool(sealed) and (not part.extra or NAME in part.extra)
