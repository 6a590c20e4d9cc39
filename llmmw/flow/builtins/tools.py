"""Builtins that run the functions that a model asks for. What goes wrong in one is told to the
model, as text that begins with `#ERROR#`."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any, Unpack

from llmmw._functions import arguments_for
from llmmw._messages import Message
from llmmw._parts import ToolCallPart, ToolResultPart
from llmmw._response import Generation
from llmmw._tools import Tool
from llmmw.errors import BadRequest, ResponseRejected
from llmmw.flow._builtin import Builtin, builtin
from llmmw.flow._combine import parallel
from llmmw.flow._events import Replaced
from llmmw.flow._executable import Flow, executable
from llmmw.flow._here import here
from llmmw.flow._node import Executable
from llmmw.flow.builtins.parameters import Parameters, messages_of
from llmmw.flow.builtins.text import generate

__all__ = ["Functions", "call_tools", "converse", "run_tool", "use_tools"]

Functions = Mapping[str, Callable[..., Any]] | Sequence[Callable[..., Any]]
"""Functions by the names that models know them by, or a row of them, each by its own name."""

_ERROR = "#ERROR#: "


@builtin
async def run_tool(
    name: str,
    arguments: Mapping[str, Any] | str | None = None,
    functions: Functions | None = None,
) -> Any:
    """What a function gives that is known by a name; whatever it raises is told as text that
    begins with `#ERROR#`, so that a model can mend it.

    Args:
        name: of the function.
        arguments: by their names; or as JSON text, of which each has the type of its hint.
        functions: which there are, sync or async, executables or builtins. The default is set
            for a block by `with registry(functions=[…])`.
    """
    known = _by_name(functions or ())
    try:
        if name not in known:
            told = ", ".join(known) or "none"
            raise LookupError(f"no tool is named {name!r}; there is {told}")
        function = known[name]
        if isinstance(arguments, str):
            arguments = arguments_for(_bare(function), arguments if arguments.strip() else "{}")
        value = function(**(arguments or {}))
        while inspect.isawaitable(value):
            value = await value
        return value
    except Exception as error:  # whatever it is, it is the model's to mend
        return f"{_ERROR}{type(error).__name__}: {error}"


@executable(name="call_tool")
async def _call_tool(call: ToolCallPart, functions: Functions | None) -> ToolResultPart:
    if call.custom:
        return call.result(error=f"{_ERROR}{call.name} was not called with JSON")
    value = await run_tool(call.name, call.arguments, functions)
    if isinstance(value, str) and value.startswith(_ERROR):
        return call.result(error=value)
    try:
        return call.result(value)
    except BadRequest as error:
        return call.result(error=f"{_ERROR}{error}")


@builtin
def call_tools(
    response: Generation, functions: Functions | None = None
) -> Executable[list[ToolResultPart]]:
    """The results of all tools that an answer asks for, in its order; they run at the same time.

    Args:
        response: the answer.
        functions: as for `run_tool`, which runs each.
    """
    return parallel(*(_call_tool(call, functions) for call in response.tool_calls))


@builtin
async def converse(
    prompt: object,
    functions: Functions | None = None,
    max_steps: int = 10,
    **parameters: Unpack[Parameters],
) -> tuple[Message, ...]:
    """A conversation in which a model asks for tools until it answers: all its messages, of which
    the last is the answer.

    Args:
        prompt: text, a message, or a conversation.
        functions: as for `run_tool`. Models are told of them by their docstrings and hints.
        max_steps: how often the model is asked at most.
        parameters: as for all builtins that ask for text; `tools` are further ones, which the
            provider runs itself.

    Raises:
        ResponseRejected: if it asks for tools still after so many steps; in `partial` is the last.
        BadRequest: for a function that no model can be told of.
    """
    return await _conversed(prompt, functions, max_steps, parameters, _quietly)


@builtin
async def use_tools(
    prompt: object,
    functions: Functions | None = None,
    max_steps: int = 10,
    **parameters: Unpack[Parameters],
) -> str:
    """What a model answers that may use tools on the way; `converse` gives the way, too.

    Args:
        prompt: text, a message, or a conversation.
        functions: as for `run_tool`. Models are told of them by their docstrings and hints.
        max_steps: how often the model is asked at most.
        parameters: as for all builtins that ask for text.

    Raises:
        ResponseRejected: if it asks for tools still after so many steps; in `partial` is the last.
    """
    return (await _conversed(prompt, functions, max_steps, parameters, _heard))[-1].text


async def _conversed(
    prompt: object,
    functions: Functions | None,
    max_steps: int,
    parameters: Parameters,
    around: Callable[[Any], AbstractContextManager[None]],
) -> tuple[Message, ...]:
    """The conversation; what a model says is heard by what is `around`."""
    if type(max_steps) is not int or max_steps < 1:
        raise BadRequest(f"max_steps={max_steps!r}: expected a whole number from 1 on")
    own = [_tool(name, function) for name, function in _by_name(functions or ()).items()]
    parameters["tools"] = [*own, *(parameters.get("tools") or ())]
    system = parameters.pop("system", None)
    messages = messages_of(prompt, system)
    for left in range(max_steps - 1, -1, -1):
        asked = generate(messages, **parameters)
        with around(asked):
            response = await asked
        messages = (*messages, response.message)
        if not response.tool_calls:
            return messages
        if not left:
            raise ResponseRejected(
                f"the model asks for tools still after {max_steps} steps: raise max_steps, or see "
                f"what keeps it from an answer (it asks for {response.tool_calls[0].name!r})",
                partial=response,
                processed=True,
            )
        results = await call_tools(response, functions)
        messages = (*messages, Message("tool", tuple(results)))
    raise AssertionError


def _heard(asked: Executable[Any]) -> AbstractContextManager[None]:
    """What the model says is told as our own; that it makes an answer is no text."""
    execution = here()

    def tell(piece: Any) -> None:
        if not isinstance(piece, Replaced):
            execution.tell(piece)

    passing: AbstractContextManager[None] = execution.passing_on(asked, tell)
    return passing


def _quietly(asked: object) -> AbstractContextManager[None]:
    return nullcontext()


def _by_name(functions: Functions) -> dict[str, Callable[..., Any]]:
    if isinstance(functions, Mapping):
        return dict(functions)
    named: dict[str, Callable[..., Any]] = {}
    for one in functions:
        name = getattr(_bare(one), "__name__", None)
        if name is None or named.setdefault(name, one) is not one:
            why = "has no name" if name is None else f"is the second one named {name!r}"
            raise BadRequest(f"functions: {one!r} {why}: give them as a dict")
    return named


def _bare(function: Any) -> Any:
    """The function that an executable or a builtin was made of."""
    if isinstance(function, Flow):
        return function.function
    return inspect.unwrap(function) if isinstance(function, Builtin) else function


def _tool(name: str, function: Any) -> Tool:
    told = Tool.of(_bare(function))
    return Tool(name, told.description, told.parameters)
