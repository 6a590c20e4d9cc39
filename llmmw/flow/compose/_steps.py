"""Steps that ask nobody: text with fields, roles, variables, sections, branches."""

from __future__ import annotations

from collections.abc import Callable
from inspect import isawaitable
from typing import Any

from llmmw._messages import Role
from llmmw.errors import BadRequest
from llmmw.flow._node import Executable, node
from llmmw.flow._text import formatted
from llmmw.flow.compose._composition import (
    Composition,
    Steps,
    composed,
    on_branches,
    run_on,
    step_of,
    step_operation,
    steps_in,
)
from llmmw.flow.compose._context import Context

__all__ = [
    "c",
    "f",
    "fork",
    "get_var",
    "join",
    "section",
    "section_end",
    "section_start",
    "store",
]


async def _f(context: Context, template: Any) -> str:
    text = formatted(template, context.variables)
    context.append(text)
    return text


async def _c(context: Context, content: Any, role: Role | None) -> Any:
    context.append(content, role)
    return content


async def _get_var(context: Context, name: str) -> Any:
    value = variable(context, name)
    context.append(value)
    return value


def variable(context: Context, name: str) -> Any:
    """A variable that must be there.

    Raises:
        BadRequest: if it is not.
    """
    if name in context:
        return context[name]
    known = ", ".join(map(str, context.variables)) or "none"
    raise BadRequest(f"no variable {name!r} was given or stored; there are: {known}")


async def _store(context: Context, name: str, steps: Steps) -> Any:
    value = await run_on(context, steps)
    context[name] = value
    return value


async def _section(context: Context, name: str, hidden: bool, steps: Steps) -> Any:
    with context.section(name, hidden=hidden):
        return await run_on(context, steps)


async def _section_start(context: Context, name: str, hidden: bool) -> None:
    context.section_start(name, hidden)


async def _section_end(context: Context) -> None:
    context.section_end()


async def _fork(context: Context, join: Callable[..., Any], branches: list[Steps]) -> Any:
    value = join(context, await on_branches(context, branches))
    if isawaitable(value) and not isinstance(value, Executable):
        value = await value
    if isinstance(value, Executable):
        return await run_on(context, value)
    context.append(value)
    return value


_F = step_operation(_f)
_C = step_operation(_c)
_GET_VAR = step_operation(_get_var)
_STORE = step_operation(_store, lazy="steps")
_SECTION = step_operation(_section, lazy="steps")
_SECTION_START = step_operation(_section_start)
_SECTION_END = step_operation(_section_end)
_FORK = step_operation(_fork, lazy="branches")


def f(template: object) -> Composition:
    """Text with the variables of the context in its `{fields}`, as `str.format` has them.

    Raises:
        BadRequest: when it runs, if a variable is missing.
    """
    return step_of(_F, template)


def c(content: object, role: Role | None = None) -> Composition:
    """Text, parts or a message, said by somebody.

    Args:
        content: may be an Executable that gives it.
        role: `system`, `user`, `assistant` or `tool`.
    """
    return step_of(_C, content, role)


def get_var(name: str) -> Composition:
    """The value of a variable, as text.

    Raises:
        BadRequest: when it runs, if there is none.
    """
    return step_of(_GET_VAR, name)


def store(name: str, *content: object) -> Composition:
    """Steps whose outcome is a variable from then on. Their text is added all the same.

    Args:
        name: the variable.
        content: one step, of which what it gave is kept, as the object of `generate_object`; of
            several, their text is.
    """
    if not isinstance(name, str) or not name:
        raise BadRequest(f"a variable has a name, not {name!r}")
    return step_of(_STORE, name, steps_in(content))


def section(name: str, *content: object, hidden: bool = False) -> Composition:
    """Steps whose text is the variable `name` from then on. Sections may be nested.

    Args:
        name: the variable.
        content: the steps.
        hidden: the text is taken away at the end of the section, and readers of the stream are
            spared it. So a model can think, and what follows does not see how.
    """
    return composed([node(_SECTION, name, hidden, steps_in(content)).with_options(hidden=hidden)])


def section_start(name: str, hidden: bool = False) -> Composition:
    """Begin a section, where it can't stand around its steps; `section_end` ends it."""
    return step_of(_SECTION_START, name, hidden)


def section_end() -> Composition:
    """End the section that was begun last.

    Raises:
        BadRequest: when it runs, if none was.
    """
    return step_of(_SECTION_END)


def fork(*branches: object, join: Callable[[Context, list[Context]], Any]) -> Composition:
    """Run branches at the same time, each on a copy of the context.

    Args:
        branches: compositions, or anything that is a step.
        join: called with the context and those of the branches at their ends. What it gives is
            added to the text; it may be async, write variables, or `take_over` a branch.
    """
    return step_of(_FORK, join, [steps_in([one]) for one in branches])


def join(function: Callable[[Context, list[Context]], Any]) -> Callable[..., Composition]:
    """Make a function of branches that runs them and joins them by another function.

    ::

        @c.join
        def shortest(context, branches):
            context.take_over(min(branches, key=lambda one: len(one.text)))

        "Q: …" + shortest(c.generate_text(), c.generate_text(temperature=1))
    """

    def made(*branches: object) -> Composition:
        return fork(*branches, join=function)

    return made
