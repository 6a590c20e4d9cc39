"""Messages as the wire has them, and the documents beside them. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
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
from llmmw_cohere._documents import document_of, image_of, is_image
from llmmw_cohere._values import NAME, fields_of

__all__ = ["PLAN", "conversation_of"]

Json = dict[str, Any]

PLAN = "tool_plan"
"""What marks reasoning that is the plan before calls of tools, and no thinking."""


def conversation_of(messages: Sequence[Message], losses: Losses, *, thinks: bool) -> Json:
    """The fields `messages` and `documents`.

    Args:
        messages: what was said.
        losses: takes what the host can't honour.
        thinks: whether the model is shown what it thought.

    Raises:
        UnsupportedFeature: for a part that the wire has no place for.
        BadRequest: if nothing was said that could be sent.
    """
    talk = _Conversation(losses, thinks)
    last = max((n for n, message in enumerate(messages) if message.role == "user"), default=0)
    for place, message in enumerate(messages):
        talk.add(message, is_last=place >= last)
    return talk.body()


@attrs.define(eq=False)
class _Conversation:
    losses: Losses
    thinks: bool
    told: list[Json] = attrs.field(factory=list)
    documents: list[Json] = attrs.field(factory=list)
    shown: list[Part] = attrs.field(factory=list)
    """Images of answers and of results, which only a user can show."""

    def add(self, message: Message, *, is_last: bool) -> None:
        """Append a message."""
        if message.name:
            self.losses.note("does not tell the model the name of a message")
        if message.role == "tool":
            for part in message.parts:
                self._result(part, message)
            return
        self._show()
        if message.role == "assistant":
            self._answer(message)
            return
        if not is_last and any(_is_document(part) for part in message.parts):
            self.losses.note("takes documents beside the conversation, not where they were shown")
        content = self._content(message.parts, message.role)
        if message.role == "system":
            self._system(content, message)
        else:
            self._say({"role": "user", "content": content}, message)

    def _system(self, content: list[Json], message: Message) -> None:
        """The host wants one system message, and that first: others are said by a user."""
        if not self.told:
            self._say({"role": "system", "content": content}, message)
        elif not content:
            return  # it says nothing
        elif self.told[-1]["role"] == "system":
            before = self.told[-1]
            before["content"] = [*_blocks(before["content"]), _text("\n\n"), *content]
            before |= fields_of(message.extra)
        else:
            self.losses.note("takes a system message between others for a user's")
            around = [_text("<system>"), *content, _text("</system>")]
            self._say({"role": "user", "content": around}, message)

    def _say(self, told: Json, message: Message) -> None:
        """Append a message, with plain text where that says all; none that says nothing."""
        content = told.get("content")
        if (
            isinstance(content, list)
            and len(content) == 1
            and content[0].keys() == {"type", "text"}
        ):
            told["content"] = content[0]["text"]
        told |= fields_of(message.extra)
        if told.get("content") or told.get("tool_calls"):
            self.told.append(told)

    def _show(self) -> None:
        """What only a user can show, after the last of a row of results."""
        if self.shown:
            shown, self.shown = self.shown, []
            self.told.append({"role": "user", "content": self._content(shown, "user")})

    def _content(self, parts: Iterable[Part], role: str) -> list[Json]:
        blocks: list[Json] = []
        for part in self._kept(parts):
            if isinstance(part, TextPart):
                blocks.append(_text(part.text) | fields_of(part.extra))
            elif isinstance(part, OpaquePart):
                blocks.append(dict(part.data))
            elif isinstance(part, MediaPart) and role == "user" and is_image(part):
                blocks.append(image_of(part))
            elif isinstance(part, MediaPart) and role == "user":
                self.documents.append(document_of(part))
            else:
                raise _misplaced(part, role)
        return blocks

    def _kept(self, parts: Iterable[Part]) -> Iterator[Part]:
        """The parts without those that are for nobody here."""
        for part in parts:
            if isinstance(part, OpaquePart) and part.provider != NAME:
                self.losses.note(
                    f"does not know a block of {part.provider} ({part.type}): left out"
                )
            elif getattr(part, "server", False):
                kind = "results" if isinstance(part, ToolResultPart) else "calls"
                self.losses.note(f"is not shown {kind} of tools that another host ran: left out")
            elif isinstance(part, TextPart) and not part.text.strip():
                continue  # it says nothing, and is refused
            elif not isinstance(part, CachePoint):
                yield part

    def _answer(self, message: Message) -> None:
        """An answer: content, or calls with the plan before them, beside which no text stands."""
        calls, plan, said = self._parted(message.parts)
        if calls:
            texts = [part for part in said if isinstance(part, TextPart)]
            if any(one for part in texts for one in _sources(part)):
                self.losses.note("takes a text beside calls for their plan, without its citations")
            plan += [part.text for part in texts]
            said = [part for part in said if not isinstance(part, TextPart)]
        content = [self._said(part) for part in said]
        if plan and not calls and not content:
            content, plan = [_text("\n".join(plan))], []  # a plan of nothing is no message
        told = {
            "content": content,
            PLAN: "\n".join(plan),
            "tool_calls": calls,
            "citations": [one for part in said for one in _sources(part)],
        }
        given = {name: one for name, one in told.items() if one}
        self._say({"role": "assistant"} | given, message)

    def _parted(self, parts: Iterable[Part]) -> tuple[list[Json], list[str], list[Part]]:
        """The calls of an answer, the plan before them, and what it says."""
        calls: list[Json] = []
        plan: list[str] = []
        said: list[Part] = []
        for part in self._kept(parts):
            if isinstance(part, ToolCallPart):
                calls.append(_call(part))
            elif isinstance(part, MediaPart):
                self.shown += [] if self.shown else [TextPart("Of the answer:")]
                self.shown.append(part)
            elif not isinstance(part, ReasoningPart):
                said.append(part)
            elif fields_of(part.extra).get(PLAN):
                plan.append(part.text)
            elif self._goes_back(part):
                said.append(part)
        return calls, plan, said

    def _said(self, part: Part) -> Json:
        if isinstance(part, ReasoningPart):
            return {"type": "thinking", "thinking": part.text} | fields_of(part.extra)
        return self._content([part], "assistant")[0]

    def _goes_back(self, part: ReasoningPart) -> bool:
        """Whether reasoning goes to this model; says what does not."""
        foreign = part.redacted or (part.extra and NAME not in part.extra)
        if foreign or part.signature or part.encrypted:
            self.losses.note("is not shown reasoning of another host: left out")
        elif not self.thinks:
            self.losses.note("is not shown reasoning, since this model does not think: left out")
        elif part.text.strip():
            return True
        return False

    def _result(self, part: Part, message: Message) -> None:
        if not isinstance(part, ToolResultPart):
            raise UnsupportedFeature(f"a tool message holds tool results, not a {part.kind} part")
        if not any(True for _ in self._kept([part])):
            return
        blocks: list[Json] = []
        images: list[Part] = []
        for one in self._kept(part.content):
            if isinstance(one, MediaPart) and is_image(one):
                images.append(one)
            elif isinstance(one, MediaPart):
                blocks.append({"type": "document", "document": document_of(one)})
            else:
                blocks += self._content([one], "tool result")
        if images:
            self.shown += [TextPart(f"Of the tool result {part.call_id}:"), *images]
        if part.is_error:
            self.losses.note(f"is not told that the tool result {part.call_id} is an error")
        hint = "(see the user's next message)" if images else "(nothing)"
        content: Any = blocks or hint  # which may not be empty
        if blocks and all(block.keys() == {"type", "text"} for block in blocks):
            content = "".join(block["text"] for block in blocks)
        told = {"role": "tool", "tool_call_id": part.call_id, "content": content}
        self.told.append(told | fields_of(part.extra) | fields_of(message.extra))

    def body(self) -> Json:
        """The fields of the request."""
        self._show()
        while self.told and self.told[-1]["role"] == "assistant":
            self.losses.drop("an answer that was begun for it")
            self.told.pop()
        if not self.told:
            raise BadRequest(
                "nothing in the conversation says anything to this host: add a user's message"
            )
        return {"messages": self.told} | ({"documents": self.documents} if self.documents else {})


def _text(said: str) -> Json:
    return {"type": "text", "text": said}


def _blocks(content: Any) -> list[Json]:
    return [_text(content)] if isinstance(content, str) else content


def _is_document(part: Part) -> bool:
    return isinstance(part, MediaPart) and not is_image(part)


def _sources(part: Part) -> Iterator[Json]:
    """The citations of a text, in the host's own form."""
    for one in part.citations if isinstance(part, TextPart) else ():
        if source := fields_of(one.extra):
            yield dict(source)


def _call(part: ToolCallPart) -> Json:
    function = {"name": part.name, "arguments": part.arguments.strip() or "{}"}
    return {"id": part.id, "type": "function", "function": function} | fields_of(part.extra)


def _misplaced(part: Part, role: str) -> UnsupportedFeature:
    kind = part.kind.replace("_", " ")
    return UnsupportedFeature(f"a {role} message takes no {kind} part on this wire; leave it out")
