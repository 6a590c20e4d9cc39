"""How a conversation is written as plain text, for models that go on with a text."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Literal, TypeAlias

import attrs

from llmmw._messages import Message, Role
from llmmw.errors import BadRequest
from llmmw.flow.builtins.parameters import as_text, messages_of

__all__ = ["FORMATTERS", "Formatted", "Formatter", "Turn", "formatted", "truncate_reply"]


@attrs.frozen
class Turn:
    """What one message says."""

    role: Role
    text: str


@attrs.frozen
class Formatted:
    """A conversation as text."""

    text: str
    stop_sequences: tuple[str, ...] = ()
    """Where the answer ends, since the next turn begins there."""


@attrs.frozen(kw_only=True)
class Formatter:
    """A way to write conversations as text."""

    name: str
    roles: Mapping[Role, str]
    """The roles that it knows, by the words that it has for them."""
    write: Callable[[Sequence[Turn]], str] = attrs.field(repr=False)
    """Writes turns of these roles, so that the answer comes next."""
    stop_sequences: tuple[str, ...] = ()
    marks: tuple[str, ...] = ()
    """What a text has in it that is written so already."""

    def format(
        self,
        prompt: object,
        *,
        if_formatted: Literal["error", "keep"] = "error",
        if_unknown_role: Literal["error", "drop"] = "error",
    ) -> Formatted:
        """Write a conversation as text.

        Args:
            prompt: text, a message, or a conversation.
            if_formatted: whether one that has been written so is an error, or kept as it is.
            if_unknown_role: whether messages of a role that it does not know are an error, or
                left out.

        Raises:
            BadRequest: as said; and for what is no text.
        """
        messages = messages_of(prompt) if prompt not in ("", (), []) else ()
        turns = [_turn(one, self.name) for one in messages]
        found = next((mark for mark in self.marks for one in turns if mark in one.text), None)
        if found is not None:
            if if_formatted == "error":
                raise BadRequest(
                    f"the formatter {self.name!r}: the prompt has {found!r} in it, as if it were "
                    "written so already; the formatter 'concat' leaves a text as it is"
                )
            return Formatted("".join(one.text for one in turns), self.stop_sequences)
        known = [one for one in turns if one.role in self.roles]
        if len(known) < len(turns) and if_unknown_role == "error":
            role = next(one.role for one in turns if one.role not in self.roles)
            raise BadRequest(
                f"the formatter {self.name!r} knows no role {role!r}, only {', '.join(self.roles)}"
            )
        return Formatted(self.write(known) if known else "", self.stop_sequences)


def _turn(message: Message, name: str) -> Turn:
    return Turn(message.role, as_text(message.parts, f"the formatter {name!r}"))


_WORDS: Mapping[Role, str] = {"user": "User", "assistant": "Model", "system": "System"}


def _default(turns: Sequence[Turn]) -> str:
    """A task to answer, or several turns with their roles."""
    if [one.role for one in turns] in (["user"], ["user", "assistant"]):
        task, begun = turns[0].text.lstrip(" "), "".join(one.text.lstrip(" ") for one in turns[1:])
        return f"Task:{_spaced(task)}\nAnswer:{_spaced(begun)}"
    *before, last = turns if turns[-1].role == "assistant" else (*turns, Turn("assistant", ""))
    text = "".join(_line(one) for one in before)
    return f"{text}**Model**:{_spaced(last.text.lstrip(' '))}"


def _spaced(text: str) -> str:
    return f" {text}" if text else ""


def _line(one: Turn) -> str:
    if one.role != "system":
        return f"**{_WORDS[one.role]}**: {one.text}\n"
    rules = 'Actor "Model" needs to obey the following rules when generating the messages below:'
    return f"**System**: {rules}\n{one.text}\n" if one.text else ""


def _concat(turns: Sequence[Turn]) -> str:
    return "".join(one.text for one in turns)


def _gemma(turns: Sequence[Turn]) -> str:
    """Turns between marks; what the system says begins the next turn of the user."""
    text = system = ""
    for place, one in enumerate(turns):
        if one.role == "system":
            system += f"{one.text}\n\n"
            continue
        is_begun = one.role == "assistant" and place == len(turns) - 1
        role = "model" if one.role == "assistant" else "user"
        said = one.text if one.role == "assistant" else system + one.text
        system = system if one.role == "assistant" else ""
        text += f"<start_of_turn>{role}\n{said}" + ("" if is_begun else "<end_of_turn>\n")
    if system:
        text += f"<start_of_turn>user\n{system.rstrip()}<end_of_turn>\n"
    return text if turns[-1].role == "assistant" else f"{text}<start_of_turn>model\n"


_ALL: Mapping[Role, str] = {role: role for role in ("system", "user", "assistant", "tool")}

FORMATTERS: Mapping[str, Formatter] = {
    one.name: one
    for one in (
        Formatter(
            name="default",
            roles=_WORDS,
            write=_default,
            stop_sequences=("\nTask:", "\n**User**:"),
            marks=("Task:", "Answer:"),
        ),
        Formatter(name="concat", roles=_ALL, write=_concat),
        Formatter(
            name="gemma",
            roles={"user": "user", "assistant": "model", "system": "user"},
            write=_gemma,
            stop_sequences=("<end_of_turn>", "<start_of_turn>"),
            marks=("<start_of_turn>", "<end_of_turn>"),
        ),
    )
}
"""`default`: a task to answer, or turns with their roles; `concat`: the texts and no more;
`gemma`: the marks that Gemma was taught."""

GivenFormatter: TypeAlias = str | Formatter


def formatted(prompt: object, formatter: GivenFormatter) -> Formatted:
    """A conversation as text.

    Raises:
        BadRequest: if there is no such formatter, or it can't write this.
    """
    if isinstance(formatter, str):
        found = FORMATTERS.get(formatter)
        if found is None:
            known = ", ".join(FORMATTERS)
            raise BadRequest(f"formatter={formatter!r}: expected messages, {known}, or a Formatter")
        formatter = found
    return formatter.format(prompt)


def truncate_reply(reply: str, stop_sequences: Sequence[str]) -> str:
    """A text up to the first of some words in it."""
    found = [at for word in stop_sequences if word and (at := reply.find(word)) >= 0]
    return reply[: min(found)] if found else reply
