"""Templates in compositions: Jinja in which models are asked."""

from __future__ import annotations

import inspect
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from typing import Any

from llmmw.errors import BadRequest
from llmmw.flow._executable import executable
from llmmw.flow._node import Executable, Future
from llmmw.flow._prompt import Prompt
from llmmw.flow._templates import PLAIN, Environment
from llmmw.flow.builtins.chat import chat, instruct
from llmmw.flow.builtins.choose import Ranking, ranking, select
from llmmw.flow.builtins.text import generate_text, generate_texts
from llmmw.flow.builtins.typed import generate_object
from llmmw.flow.compose._composition import Composition, step_of, step_operation
from llmmw.flow.compose._context import Context
from llmmw.flow.compose._models import NOTHING, ask_dry
from llmmw.flow.compose._steps import variable

__all__ = ["j"]


def j(
    template: object,
    /,
    *,
    callbacks: Mapping[str, Callable[..., Any]] | None = None,
    environment: Environment | None = None,
    filename: str | None = None,
    **variables: object,
) -> Composition:
    """A Jinja template, in a sandbox, with the variables of the context.

    ::

        c.j('''What is the southernmost city in France? {{ generate_text() }}
        Who is its mayor? {{ store("mayor", generate_text()) }}''')

    Each call of a model sees the text before it as its prompt. There are `generate_text` (also
    `llm`), `generate_texts(n)`, `chat`, `instruct`, `generate_object(type)`, `select(options)`,
    and `choose(options)`, which sets the variables `choices` and `scores`, too;
    `store(name, content, append=False, output=True)` and `get_var(name)`; `input(name)`, which
    takes the next value of a variable that is an iterator; `zip`; and the blocks
    `{% section name, hidden=True %}…{% endsection %}` and `{% role "user" %}…{% endrole %}`, which
    can't be in macros and whatever else gathers its text first.
    What `{% set %}` sets at the top is stored.

    Args:
        template: the text, a `Prompt`, or an Executable that gives the text.
        callbacks: functions for the template: sync, async, generators, or giving Executables. A
            parameter `context` is given the `Context`. The message of a `ValueError` is told in
            the text, and is the variable `error`; other errors are raised.
        environment: what it shares with others, and its limits.
        filename: what errors call it.
        variables: more variables for it alone.
    """
    if isinstance(template, Prompt):
        environment = environment or template.environment
        template = template.template
    if isinstance(template, str):
        (environment or PLAIN).sandbox.read(template, filename)
    elif not isinstance(template, (Executable, Future)):
        raise BadRequest(f"a template is a text, not {template!r}")
    given = {
        "environment": environment,
        "callbacks": callbacks and dict(callbacks),
        "filename": filename,
        "variables": variables,
    }
    return step_of(_J, template, **{name: one for name, one in given.items() if one})


async def _j(
    context: Context,
    template: str,
    environment: Environment = PLAIN,
    callbacks: Mapping[str, Callable[..., Any]] | None = None,
    filename: str | None = None,
    variables: Mapping[str, Any] | None = None,
) -> str:
    variables = variables or {}
    callbacks = {**environment.callbacks, **(callbacks or {})}
    sandbox, mark = environment.sandbox, context.mark()
    functions = _Functions(context, {**context.variables, **variables}).all()
    functions |= {name: _callback(context, name, one) for name, one in callbacks.items()}
    known = {**functions, **context.variables, **variables}
    with context.enclosed():
        made = await sandbox.render(
            sandbox.read(template, filename), known, context.append, context
        )
    context.variables.update((name, one) for name, one in made.items() if not callable(one))
    return context.text_from(mark)


_J = step_operation(_j)


def _callback(context: Context, name: str, function: Callable[..., Any]) -> Callable[..., Any]:
    """A function as a template calls it. A closure, since templates see what other things hold."""
    flow = executable(name=name)(function)
    takes_context = "context" in inspect.signature(flow.function).parameters

    async def call(*args: Any, **kwargs: Any) -> Any:
        if takes_context:
            kwargs["context"] = context
        try:
            return await context.unseen(flow(*args, **kwargs))
        except ValueError as error:
            context["error"] = str(error)
            return f"#ERROR#: {error}"

    return call


class _Functions:
    """What a template can call."""

    def __init__(self, context: Context, inputs: Mapping[str, Any]) -> None:
        self._context = context
        self._inputs = inputs

    def all(self) -> dict[str, Any]:
        """By their names."""
        own = [one for one in vars(_Functions) if not one.startswith("_") and one != "all"]
        return {"llm": self.generate_text, **{name: getattr(self, name) for name in own}}

    async def generate_text(self, mock_value: Any = NOTHING, **parameters: Any) -> Any:
        parameters = {"healing": "space", **parameters}
        return await self._asked(generate_text(self._context.prompt, **parameters), mock_value)

    async def generate_texts(self, n: int = 1, mock_value: Any = NOTHING, **parameters: Any) -> Any:
        parameters = {"healing": "space", **parameters}
        mock = (
            [f"<generate_texts {i + 1}>" for i in range(n)] if mock_value is NOTHING else mock_value
        )
        return await self._asked(generate_texts(self._context.prompt, n, **parameters), mock)

    async def chat(self, mock_value: Any = NOTHING, **parameters: Any) -> Any:
        return await self._asked(chat(self._context.messages, **parameters), mock_value)

    async def instruct(
        self, assistant_prefix: str | None = None, mock_value: Any = NOTHING, **parameters: Any
    ) -> Any:
        call = instruct(self._context.prompt, assistant_prefix, **parameters)
        return (assistant_prefix or "") + await self._asked(call, mock_value)

    async def generate_object(self, cls: Any, mock_value: Any = NOTHING, **parameters: Any) -> Any:
        call = generate_object(self._context.prompt, cls, **parameters)
        return await self._asked(call, mock_value)

    async def select(self, options: Any, mock_value: Any = NOTHING, **parameters: Any) -> Any:
        options = list(options)
        mock = options[0] if mock_value is NOTHING and options else mock_value
        call = select(self._context.prompt, options, **{"healing": "space", **parameters})
        return await self._asked(call, mock)

    async def choose(self, options: Any, mock_value: Any = NOTHING, **parameters: Any) -> Any:
        options = list(options)
        first = options[0] if mock_value is NOTHING and options else mock_value
        mock = Ranking(tuple(options), (options.index(first),)) if options else NOTHING
        parameters = {"healing": "space", **parameters}
        call = ranking(self._context.prompt, options, 1, **parameters)
        ranked: Ranking = await self._asked(call, mock)
        self._context["choices"], self._context["scores"] = options, ranked.scores
        return ranked.best

    def store(self, name: str, content: Any, append: bool = False, output: bool = True) -> Any:
        self._context[name] = [*self._context.get(name, []), content] if append else content
        return content if output else ""

    def get_var(self, name: str) -> Any:
        return variable(self._context, name)

    async def input(self, name: str, mock_value: Any = NOTHING) -> Any:
        if self._context.calls is not None and mock_value is not NOTHING:
            return mock_value
        if name not in self._inputs:
            raise BadRequest(f"the template takes the input {name!r}, which is not given")
        value = self._inputs[name]
        if not isinstance(value, (Iterator, AsyncIterator)):
            return value
        try:
            return await anext(value) if isinstance(value, AsyncIterator) else next(value)
        except (StopIteration, StopAsyncIteration):
            raise BadRequest(f"there are no more values of the input {name!r}") from None

    async def _asked(self, call: Executable[Any], mock: Any) -> Any:
        value = ask_dry(self._context, call, mock)
        return await self._context.unseen(call) if value is NOTHING else value
