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
from llmmw_anthropic._blocks import NAME
from llmmw_anthropic._models import Model
from llmmw_anthropic._notes import Notes
from llmmw_anthropic._parts import block_of, own

__all__ = ["conversation_of"]

Json = dict[str, Any]

_MOST_MARKS = 4


def conversation_of(
    messages: Sequence[Message], model: Model, notes: Notes, *, prefill: bool
) -> Json:
    """The fields `system` and `messages`.

    Args:
        messages: what was said.
        model: the row of the model.
        notes: takes what the model can't honour, and the betas that are needed.
        prefill: whether the model goes on, as it is asked here, with an answer that was begun.

    Raises:
        UnsupportedFeature: for a part that the wire has no place for.
        BadRequest: if nothing was said that could be sent.
    """
    talk = _Conversation(model, notes, prefill)
    for message in messages:
        talk.add(message)
    return talk.body()


@attrs.define(eq=False)
class _Conversation:
    """The turns so far. Turns of one role in a row are one, since the host wants all results of
    tools in the turn after their calls."""

    model: Model
    notes: Notes
    prefill: bool
    system: list[Json] = attrs.field(factory=list)
    turns: list[Json] = attrs.field(factory=list)
    shown: list[Part] = attrs.field(factory=list)
    """Media of answers, which only a user can show."""
    marked: list[Json] = attrs.field(factory=list)
    """Blocks that end a prefix to cache."""

    def add(self, message: Message) -> None:
        """Append a message."""
        if message.name:
            self.notes.note("does not tell the model the name of a message")
        parts: Iterable[Part] = message.parts
        role = message.role
        if role == "assistant":
            media = [part for part in parts if isinstance(part, MediaPart)]
            parts = [part for part in parts if not isinstance(part, MediaPart)]
            self._say("assistant", parts, message)
            if media:
                self.shown += [TextPart("Of the answer:"), *media]
        elif role == "system" and not self.turns:
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
        self.notes.note("takes a system message between others for a user's")
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
                self._mark(part)
            elif self._fits(part):
                content.append(block_of(part, role, self.notes))

    def _mark(self, point: CachePoint) -> None:
        """The block before the mark ends the prefix: the nearest that can be marked."""
        rows = [self.system, *(turn["content"] for turn in self.turns)]
        blocks = [block for row in rows for block in row if block.get("type") not in _UNMARKED]
        if not blocks:
            self.notes.note("has nothing before a cache point that could be cached")
            return
        control = {"type": "ephemeral"} | ({"ttl": point.ttl} if point.ttl else {})
        blocks[-1]["cache_control"] = control
        if not any(one is blocks[-1] for one in self.marked):
            self.marked.append(blocks[-1])

    def _fits(self, part: Part) -> bool:
        """Whether a part goes to this host; says what does not."""
        if isinstance(part, TextPart) and not part.text.strip():
            return False  # it says nothing, and is refused
        why = ""
        if isinstance(part, OpaquePart) and part.provider != NAME:
            why = f"does not know a block of {part.provider} ({part.type})"
        elif isinstance(part, ReasoningPart) and not _is_ours(part):
            why = "is not shown reasoning that it did not sign"
        elif getattr(part, "server", False):
            kind = "results" if isinstance(part, ToolResultPart) else "calls"
            why = f"is not shown {kind} of tools that another host ran"
        if why:
            self.notes.note(f"{why}: left out")
        return not why

    def body(self) -> Json:
        """The fields of the request."""
        if self.shown:
            self._say("user", (), Message("user", ()))
        self._begin_answer()
        self._need_turns()
        self._unmark()
        for turn in self.turns:
            if turn["role"] == "user":  # results go first
                turn["content"].sort(key=lambda block: block.get("type") != "tool_result")
        return ({"system": self.system} if self.system else {}) | {"messages": self.turns}

    def _begin_answer(self) -> None:
        """The beginning of the answer, where the last turn is one; it may not end in a blank."""
        last = self.turns[-1] if self.turns else None
        if not last or last["role"] != "assistant" or last["content"][-1].get("type") != "text":
            return
        if not self.prefill:
            here = ", as it is asked here" if self.model.prefill else ""
            self.notes.drop(f"an answer that was begun for it{here}")
            self.turns.pop()
            return
        said = last["content"][-1]
        said["text"] = str(said.get("text", "")).rstrip()

    def _need_turns(self) -> None:
        """The host answers turns alone: what only the system said is said by a user."""
        if self.turns:
            return
        if not self.system:
            raise BadRequest(
                "nothing in the conversation says anything to this host: add a user's message"
            )
        self.notes.note("takes no system message alone: a user says it")
        self.turns.append({"role": "user", "content": self.system})
        self.system = []

    def _unmark(self) -> None:
        if len(self.marked) > _MOST_MARKS:
            self.notes.drop(f"more than {_MOST_MARKS} cache points")
            for block in self.marked[:-_MOST_MARKS]:
                del block["cache_control"]


_UNMARKED = ("thinking", "redacted_thinking")


def _is_ours(part: ReasoningPart) -> bool:
    """Whether the host has signed it: another's signature stands beside another's fields."""
    sealed = part.encrypted if part.redacted else part.signature
    return bool(sealed) and (not part.extra or NAME in part.extra)
