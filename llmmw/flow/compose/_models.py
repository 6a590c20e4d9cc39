"""Steps that ask models, each with all that was before as its prompt."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from llmmw.errors import BadRequest
from llmmw.flow._events import Appended, Piece, Replaced
from llmmw.flow._fold import NodeFold
from llmmw.flow._here import here
from llmmw.flow._node import Executable
from llmmw.flow._text import as_text
from llmmw.flow.builtins.chat import chat as _chat_builtin
from llmmw.flow.builtins.chat import instruct as _instruct_builtin
from llmmw.flow.builtins.choose import select as _select_builtin
from llmmw.flow.builtins.text import generate_text as _generate_text_builtin
from llmmw.flow.builtins.typed import generate_object as _generate_object_builtin
from llmmw.flow.compose._composition import (
    Composition,
    Steps,
    on_branches,
    step_of,
    step_operation,
    steps_in,
)
from llmmw.flow.compose._context import Asked, Context

__all__ = ["ask_dry", "chat", "generate_object", "generate_text", "instruct", "select"]

NOTHING = object()


def ask_dry(context: Context, call: Executable[Any], mock: Any) -> Any:
    """Note what would be asked; what stands for the answer. `NOTHING`, if this is no dry run."""
    if context.calls is None:
        return NOTHING
    given = dict(call.kwargs)
    prompt = given.pop("prompt", given.pop("messages", ""))
    context.calls.append(Asked(call.name, prompt, given))
    return f"<{call.name} {len(context.calls)}>" if mock is NOTHING else mock


async def _answer(
    context: Context, call: Executable[str], role: Any, mock: Any, first: str = ""
) -> str:
    """Ask for text, and add it as it comes."""
    text = ask_dry(context, call, mock)
    context.append(first, role)
    told = _Told(context)
    if text is NOTHING:
        execution = here()
        with execution.passing_on(call, told):
            text = await execution.wait(call)
    told.end(text, role)
    return f"{first}{text}" if first else text


class _Told:
    """Tells the pieces of an answer as pieces of the text that it is added to."""

    def __init__(self, context: Context) -> None:
        self._context, self._before = context, context.text
        self._fold = NodeFold()
        self._shown = ""
        self._heals = self._before.endswith(" ")

    def __call__(self, piece: Piece) -> None:
        text = self._fold(piece)
        if self._heals and not self._shown:
            text = text.lstrip(" ")
        if text:
            self._shown += text
            self._context.tell(Appended(text))
        elif self._shown and not self._fold.begun:
            self._shown = ""
            self._context.tell(Replaced(self._before))

    def end(self, text: str, role: Any) -> None:
        """The answer is whole."""
        context = self._context
        listener = context.listen(None)
        context.append(text, role)
        context.listen(listener)
        context.tell_change(self._before + self._shown, context.text)


async def _generate_text(context: Context, mock_value: object = NOTHING, **parameters: Any) -> str:
    call = _generate_text_builtin(context.prompt, **parameters)
    return await _answer(context, call, context.reply_role, mock_value)


async def _chat(context: Context, mock_value: object = NOTHING, **parameters: Any) -> str:
    return await _answer(
        context, _chat_builtin(context.messages, **parameters), "assistant", mock_value
    )


async def _instruct(
    context: Context,
    assistant_prefix: str | None,
    mock_value: object = NOTHING,
    **parameters: Any,
) -> str:
    call = _instruct_builtin(context.prompt, assistant_prefix, **parameters)
    return await _answer(context, call, context.reply_role, mock_value, assistant_prefix or "")


async def _generate_object(
    context: Context, cls: Any, mock_value: object = NOTHING, **parameters: Any
) -> Any:
    call = _generate_object_builtin(context.prompt, cls, **parameters)
    value = ask_dry(context, call, mock_value)
    if value is NOTHING:
        value = await call
    context.append(as_text(value), context.reply_role)
    return value


async def _select(
    context: Context,
    branches: list[Steps],
    mock_value: object = NOTHING,
    **parameters: Any,
) -> str:
    mark = context.mark()
    ends = await on_branches(context, branches)
    texts = [one.text_from(mark) for one in ends]
    call = _select_builtin(context.prompt, list(dict.fromkeys(texts)), **parameters)
    chosen = ask_dry(context, call, texts[0] if mock_value is NOTHING else mock_value)
    if chosen is NOTHING:
        chosen = await call
    if chosen not in texts:
        raise BadRequest(f"select was answered {chosen!r}, which is none of its options")
    context.take_over(ends[texts.index(chosen)])
    return str(chosen)


_GENERATE_TEXT = step_operation(_generate_text)
_CHAT = step_operation(_chat)
_INSTRUCT = step_operation(_instruct)
_GENERATE_OBJECT = step_operation(_generate_object)
_SELECT = step_operation(_select, lazy="branches")


def generate_text(**parameters: Any) -> Composition:
    """What a model answers to all before.

    Spaces at the end of that are not sent, and an answer loses those that it begins with then;
    `healing="none"` leaves both alone.

    Args:
        parameters: as for the builtin `generate_text`; and `mock_value`, the answer in a dry run.
    """
    return step_of(_GENERATE_TEXT, **{"healing": "space", **parameters})


def chat(**parameters: Any) -> Composition:
    """What a model says next in the conversation that was before, as the assistant.

    Args:
        parameters: as for the builtin `chat`; and `mock_value`, the answer in a dry run.
    """
    return step_of(_CHAT, **parameters)


def instruct(assistant_prefix: str | None = None, **parameters: Any) -> Composition:
    """What a model does as it was told before.

    Args:
        assistant_prefix: the beginning of the answer; it is added, too.
        parameters: as for the builtin `instruct`; and `mock_value`, what follows the prefix in a
            dry run.
    """
    return step_of(_INSTRUCT, assistant_prefix, **parameters)


def generate_object(cls: object, **parameters: Any) -> Composition:
    """A value of a type that a model answers to all before; its JSON is added to the text.
    `store` keeps the value itself.

    Args:
        cls: the type, or a JSON schema.
        parameters: as for the builtin `generate_object`; and `mock_value`, the value in a dry
            run.
    """
    return step_of(_GENERATE_OBJECT, cls, **parameters)


def select(*options: object, **parameters: Any) -> Composition:
    """Go on with the one of several branches whose text follows best: with its text, and with
    what it has stored.

    Args:
        options: texts, compositions or anything that is a step, or one list of them. They run at
            the same time, each on a copy of the context. Of equal texts the first is meant.
        parameters: as for the builtin `select`; and `mock_value`, the text chosen in a dry run,
            by default that of the first.

    Raises:
        BadRequest: if there are no options.
    """
    several: Iterable[object] = options
    if len(options) == 1 and isinstance(options[0], (list, tuple)):
        several = options[0]
    branches = [steps_in([one]) for one in several]
    if not branches:
        raise BadRequest("select needs options, at least one")
    return step_of(_SELECT, branches, **{"healing": "space", **parameters})
