"""Compositions: steps put together by `+`, which run one after another on one context."""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable, Collection, Iterable, Mapping
from contextlib import aclosing, closing
from functools import partial, update_wrapper
from typing import Any, ClassVar, ParamSpec, get_args, overload

import attrs

from llmmw._messages import Message
from llmmw._parts import Part
from llmmw.errors import BadRequest, ConfigError
from llmmw.flow._combine import with_registry
from llmmw.flow._here import here
from llmmw.flow._node import Executable, Future, Operation, as_executable, node
from llmmw.flow._pool import evaluate
from llmmw.flow._prompt import Prompt
from llmmw.flow._registry import copy_registry
from llmmw.flow.compose._context import Asked, Context, are_parts

__all__ = ["Composition", "composed", "on_branches", "run_on", "step", "step_of"]

P = ParamSpec("P")
Steps = list[Executable[Any]]
_NAMED = (inspect.Parameter.POSITIONAL_OR_KEYWORD,)
_CONTENT = (str, Message, *get_args(Part))


@attrs.define(eq=False, repr=False, slots=True)
class Composition(Executable[str]):
    """Steps that run one after another; each finds what those before have written.

    `+` adds steps on either side: texts, parts, messages, `Prompt`s, Executables (their results
    as text) and other compositions. Its result is the whole text; `context()` gives variables,
    messages and sections, too. It can be run again, and each run begins with nothing.
    """

    composes: ClassVar[bool] = True

    @property
    def steps(self) -> tuple[Executable[Any], ...]:
        """What runs, in order."""
        return tuple(self.args[0])

    def __add__(self, other: object) -> Composition:
        more = steps_of(other)
        return NotImplemented if more is None else composed([*self.steps, *more])

    def __radd__(self, other: object) -> Composition:
        before = steps_of(other)
        return NotImplemented if before is None else composed([*before, *self.steps])

    def __call__(self, **variables: object) -> Composition:
        """The same with values for its variables; they may be Executables."""
        return composed([node(_GIVEN, variables), *self.steps])

    def context(self) -> Executable[Context]:
        """What there is at its end: variables, messages and sections besides the text.

        Both in one run are one execution.
        """
        return node(_CONTEXT, self)

    def dry_run(self, **variables: object) -> Executable[list[Asked]]:
        """What each call would see, if the answers were `<generate_text 1>` and so on, or the
        `mock_value`s that its steps have. It asks no model: what does so without a step is an
        error. Other functions are called."""
        return node(_DRY_RUN, self(**variables).args[0])


def composed(steps: Iterable[Executable[Any]]) -> Composition:
    """A composition of steps."""
    several = list(steps)
    return Composition(_COMPOSE, (several,), lazy=tuple(dict.fromkeys(several)))


def steps_of(value: object) -> Steps | None:
    """The steps that a value stands for in a composition, if it can."""
    if isinstance(value, Composition):
        return list(value.steps)
    if isinstance(value, (Executable, Future)):
        return [node(_VALUE, as_executable(value))]
    if isinstance(value, Prompt):
        # It stands beside us, and makes compositions.
        from llmmw.flow.compose._template import j

        return list(j(value).steps)
    if isinstance(value, _CONTENT) or are_parts(value):
        return [node(_VALUE, value)]
    return None


def step_of(operation: Operation, *args: object, **kwargs: object) -> Composition:
    """A composition of one step."""
    return composed([node(operation, *args, **kwargs)])


def steps_in(several: Iterable[object]) -> Steps:
    """The steps of several values, one after another.

    Raises:
        BadRequest: for a value that stands for none.
    """
    found: Steps = []
    for one in several:
        steps = steps_of(one)
        if steps is None:
            raise BadRequest(f"{one!r} is no step: give text, parts, an Executable or a c.… step")
        found += steps
    return found


# How they run.


async def run_on(context: Context, content: object) -> Any:
    """Run steps on a context; what the step gave if it is one, else the text that they added."""
    steps = content if isinstance(content, list) else steps_in([content])
    execution, mark = here(), context.mark()
    outer, execution.around = execution.around, context
    try:
        with context.enclosed():
            values = [await _ran(execution, context, one) for one in steps]
    finally:
        execution.around = outer
    return values[0] if len(values) == 1 else context.text_from(mark)


async def _ran(execution: Any, context: Context, step: Executable[Any]) -> Any:
    if step.operation is _VALUE and not step.inputs:
        return await _text(context, *step.args)
    # A node of its own, since a step may stand in several places.
    return await execution.wait(context.unseen(step.with_options(id=step.id)))


async def on_branches(context: Context, branches: Iterable[Steps]) -> list[Context]:
    """Run steps at the same time, each on a copy of a context; the copies."""
    execution = here()
    nodes = [node(_BRANCH, steps, context.copy()) for steps in branches]
    await evaluate(execution.scope, nodes, parent=execution)
    return [execution.scope.value(one) for one in nodes]


async def _branch(steps: Steps, context: Context) -> Context:
    await run_on(context, steps)
    return context


async def _compose(steps: Steps) -> str:
    execution, context = here(), Context()
    context.listen(execution.tell)
    await run_on(context, steps)
    context.listen(None)
    execution.scope.entries[execution.node.number].note = context
    return context.text


async def _context_of(composition: Composition) -> Context:
    execution = here()
    await execution.wait(composition)
    note: Context = execution.scope.entries[composition.number].note
    return note


class _NoClient:
    """Stands for the client in a dry run."""

    targets = ("dry:run",)

    def _call(self, *_: object) -> Any:
        raise BadRequest("a dry run asks no model, but what is not a step of it does")

    capabilities = _call


async def _dry_run(steps: Steps) -> list[Asked]:
    context, registry = Context(calls=[]), copy_registry()
    registry.client = _NoClient()
    await with_registry(node(_BRANCH, steps, context), registry)
    assert context.calls is not None
    return context.calls


async def _on_context(function: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Any:
    """Call what a step does with the context that it runs on."""
    parent = here().parent
    if parent is None or parent.around is None:
        raise BadRequest("a step runs in a composition: run that instead")
    return await function(parent.around, *args, **kwargs)


def step_operation(function: Callable[..., Any], *, lazy: str = "") -> Operation:
    """The operation of a step; `lazy` is its parameter for steps, or lists of them."""
    several = list(inspect.signature(function).parameters.values())[1:]
    names = tuple(one.name for one in several if one.default is one.empty and one.kind in _NAMED)
    return Operation(
        name=function.__name__.strip("_"),
        function=partial(_on_context, function),
        lazy=frozenset([lazy] if lazy else ()),
        runs_result=False,
        parameters=names,
        kind="step",
    )


async def _given(context: Context, variables: Mapping[str, Any]) -> None:
    context.variables.update(variables)


async def _text(context: Context, value: Any) -> Any:
    context.append(value)
    return value


def _whole(name: str, function: Callable[..., Any]) -> Operation:
    names = tuple(inspect.signature(function).parameters)
    return Operation(
        name=name,
        function=function,
        lazy=frozenset(names[:1]),
        runs_result=False,
        parameters=names,
        kind="compose",
    )


_COMPOSE = _whole("compose", _compose)
_BRANCH = _whole("branch", _branch)
_CONTEXT = _whole("context", _context_of)
_DRY_RUN = _whole("dry_run", _dry_run)
_GIVEN = step_operation(_given)
_VALUE = step_operation(_text)


# Steps of one's own.


@overload
def step(function: Callable[P, Any], /) -> Callable[..., Composition]: ...
@overload
def step(
    *, name: str | None = None, lazy: Collection[str] = ()
) -> Callable[[Callable[..., Any]], Callable[..., Composition]]: ...


def step(
    function: Callable[..., Any] | None = None,
    /,
    *,
    name: str | None = None,
    lazy: Collection[str] = (),
) -> Any:
    """Make a step of a function that has a parameter `context`.

    ::

        @c.step
        async def count(context):
            context["words"] = len(context.text.split())

        "Three words here" + count()

    What it gives is added to the text: `None` adds nothing, a composition or other Executable is
    run, and of a generator each value is added.

    Args:
        function: sync or async; it reads and writes the `Context`, and runs steps in it by
            `await context.run(…)`. Executables among its other arguments run first.
        name: what the step is called; default: the function's name.
        lazy: parameters that take Executables and compositions as they are, to run them or not.

    Raises:
        ConfigError: if it has no parameter `context`, or lacks one that `lazy` names.
    """
    if function is None:
        return lambda given: step_with(given, name, lazy)
    return step_with(function, name, lazy)


def step_with(
    function: Callable[..., Any], name: str | None, lazy: Collection[str]
) -> Callable[..., Composition]:
    """`step` with all that it can be told."""
    called = name or str(getattr(function, "__name__", type(function).__name__))
    own = inspect.signature(function)
    missing = [one for one in ("context", *lazy) if one not in own.parameters]
    if missing:
        raise ConfigError(f"{called} has no parameter {missing[0]!r}, which a step needs")
    others = [one for key, one in own.parameters.items() if key != "context"]
    signature = own.replace(parameters=others)
    is_named = own.parameters["context"].kind is inspect.Parameter.KEYWORD_ONLY
    place = None if is_named else list(own.parameters).index("context")
    operation = Operation(
        name=called,
        function=partial(_on_context, partial(_own, function, place)),
        lazy=frozenset(lazy),
        runs_result=False,
        parameters=tuple(signature.parameters),
        kind="step",
    )

    def made(*args: Any, **kwargs: Any) -> Composition:
        try:
            given = signature.bind(*args, **kwargs)
        except TypeError as error:
            raise TypeError(f"{called}: {error}") from None
        return step_of(operation, *given.args, **given.kwargs)

    return update_wrapper(made, function)


async def _own(
    function: Callable[..., Any],
    place: int | None,
    context: Context,
    /,
    *args: Any,
    **kwargs: Any,
) -> Any:
    if place is not None and len(args) >= place:
        args = (*args[:place], context, *args[place:])
    else:
        kwargs["context"] = context
    value = function(*args, **kwargs)
    if inspect.isasyncgen(value):
        async with aclosing(value):
            async for piece in value:
                await _added(context, piece)
        return None
    if inspect.isgenerator(value):
        with closing(value):
            for piece in value:
                await _added(context, piece)
        return None
    return await _added(context, value)


async def _added(context: Context, value: Any) -> Any:
    """Add to the text what a function gave."""
    while isinstance(value, Awaitable) and not isinstance(value, (Executable, Future)):
        value = await value
    if isinstance(value, (Executable, Future)):
        return await run_on(context, value)
    context.append(value)
    return value
