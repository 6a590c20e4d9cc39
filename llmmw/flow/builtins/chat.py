"""Builtins that go on with a conversation, whatever kind of model is asked."""

from __future__ import annotations

from typing import Any, Unpack

from llmmw._messages import Message
from llmmw._output import strings
from llmmw._parts import TextPart
from llmmw.flow._builtin import builtin
from llmmw.flow._node import Executable
from llmmw.flow.builtins.formats import Formatter, formatted
from llmmw.flow.builtins.parameters import Parameters, messages_of
from llmmw.flow.builtins.text import generate_text

__all__ = ["chat", "instruct"]


@builtin
def chat(
    messages: object,
    formatter: str | Formatter = "messages",
    **parameters: Unpack[Parameters],
) -> Executable[str]:
    """What a model says next in a conversation.

    Args:
        messages: text, a message, or a conversation. An assistant's message at its end is the
            beginning of the answer, where the target can go on with one.
        formatter: `messages` sends them as they are, to models that were made for that. Others
            are sent text, written by the formatter `default`, `concat`, `gemma` or one's own;
            their answer ends where it would write the next turn.
        parameters: as for all builtins that ask for text.

    Raises:
        BadRequest: for what the formatter can't write.
    """
    if formatter == "messages":
        return generate_text(messages, **parameters)
    given: dict[str, Any] = dict(parameters)
    system = given.pop("system", None)
    written = formatted(messages_of(messages, system), formatter)
    stops = [
        one for name in ("stop_sequences", "stop") for one in strings(given.pop(name, None) or ())
    ]
    stops += written.stop_sequences
    given["unsupported"] = given.get("unsupported") or "emulate"
    given["raw"] = True
    given["stop_sequences"] = tuple(dict.fromkeys(stops))
    return generate_text(written.text, **given)


@builtin
def instruct(
    prompt: object,
    assistant_prefix: str | None = None,
    formatter: str | Formatter = "messages",
    **parameters: Unpack[Parameters],
) -> Executable[str]:
    """What a model does as it is told.

    Args:
        prompt: text, a message, or a conversation.
        assistant_prefix: the beginning of the answer, where the target can go on with one; what
            is given does not have it.
        formatter: as for `chat`, which is asked.
        parameters: as for all builtins that ask for text.
    """
    messages = messages_of(prompt)
    if assistant_prefix:
        messages = (*messages, Message("assistant", (TextPart(assistant_prefix),)))
    return chat(messages, formatter, **parameters)
