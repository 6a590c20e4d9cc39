"""A builtin that asks for a value of a type."""

from __future__ import annotations

from typing import Any, Unpack

import attrs

from llmmw._messages import Message
from llmmw._output import output_of
from llmmw._parts import TextPart
from llmmw._request import Generate
from llmmw._response import Generation
from llmmw.errors import BadRequest, OutputInvalid
from llmmw.flow._ask import ask
from llmmw.flow._builtin import builtin
from llmmw.flow.builtins.parameters import Parameters, request_of

__all__ = ["asked_again", "generate_object"]


@builtin
async def generate_object(
    prompt: object, cls: object, retries: int = 2, **parameters: Unpack[Parameters]
) -> Any:
    """A value of a type that a model answers.

    The target is held to the type by its own mechanism; where it has none, by a tool or a
    grammar; else it is asked for in words. An answer that is no such value goes back to the model
    with what is wrong.

    Args:
        prompt: text, a message, a conversation, or parts of one message.
        cls: an attrs class, dataclass, pydantic model, `TypedDict`, or any type of plain data
            such as `list[Invoice]`; or a JSON schema, of which the data is given.
        retries: how often the model is asked again at most.
        parameters: as for all builtins that ask for text, but `output` and `raw`.

    Raises:
        OutputInvalid: if the last answer has not that form, either; it is in `partial`.
        BadRequest: if `cls` has no form in JSON.
    """
    if type(retries) is not int or retries < 0:
        raise BadRequest(f"retries={retries!r}: expected a whole number from 0 on")
    parameters["output"] = output_of(cls)
    parameters["unsupported"] = parameters.get("unsupported") or "emulate"
    return await asked_again(request_of(prompt, **parameters)[0], retries)


async def asked_again(request: Generate, retries: int) -> Any:
    """The value of an answer; one that has not the form that is asked for goes back to the model,
    so often at most.

    Raises:
        OutputInvalid: if the last one has not that form, either.
    """
    for left in range(retries, -1, -1):
        try:
            return (await ask(request, Generation)).value
        except OutputInvalid as error:
            if not left or not isinstance(error.partial, Generation):
                raise
            request = _once_more(request, error.partial, error)
    raise AssertionError


def _once_more(request: Generate, answer: Generation, error: OutputInvalid) -> Generate:
    """The same question, after the answer that would not do and what is wrong with it."""
    said = TextPart(f"That will not do: {error.message}. Answer again, and mend that.")
    if request.prompt is not None:
        return request.replace(prompt=f"{request.prompt}{answer.text}\n{said.text}\n")
    shown = tuple(part for part in answer.parts if isinstance(part, TextPart) and part.text)
    before = (Message("assistant", shown),) if shown else ()
    messages = (*request.messages, *before, Message("user", (said,)))
    return attrs.evolve(request, messages=messages)
