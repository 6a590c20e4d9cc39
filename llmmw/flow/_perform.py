"""One execution of one node: its function is called, awaited or iterated."""

from __future__ import annotations

import inspect
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import aclosing, closing
from functools import partial
from typing import Any, TypeAlias

import trio

from llmmw.errors import DeadlineExceeded
from llmmw.flow._contents import filled
from llmmw.flow._events import Appended, NodeError, NodeResult, NodeStarted, Placed, Replaced
from llmmw.flow._execution import Execution
from llmmw.flow._fold import NodeFold
from llmmw.flow._here import in_flow
from llmmw.flow._node import Executable, Future, as_executable
from llmmw.flow._registry import in_force

__all__ = ["perform"]


async def perform(execution: Execution) -> Any:
    """Execute a node whose inputs are done, and tell of it."""
    hear = execution.scope.run.hear
    if hear is None:
        return await _value(execution, *_arguments(execution))
    node = execution.node
    args, kwargs = _arguments(execution)
    hear(
        NodeStarted(
            **execution.named(),
            parent=execution.parent.key if execution.parent is not None else None,
            inputs=_named(node.operation.parameters, args) | kwargs,
            hidden=node.hidden,
            at=trio.current_time(),
        )
    )
    try:
        value = await _value(execution, args, kwargs)
    except Exception as error:
        hear(NodeError(**execution.named(), error=error, at=trio.current_time()))
        raise
    execution.told(value)
    done = NodeResult(**execution.named(), value=value, at=trio.current_time(), hidden=node.hidden)
    hear(done)
    return value


def _named(names: tuple[str, ...], args: tuple[Any, ...]) -> dict[str, Any]:
    more = map(str, range(len(names), len(args)))
    return dict(zip((*names, *more), args, strict=False))


def _arguments(execution: Execution) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """The arguments of the node, with the results of its inputs; their containers are its own
    this time, since a function may change what it is given."""
    node = execution.node
    value, lazy = execution.scope.value, node.operation.lazy
    names = node.operation.parameters if lazy else ()
    kept = {place for place, name in enumerate(names) if name in lazy}
    args = [filled(one, _same if place in kept else value) for place, one in enumerate(node.args)]
    named = {k: filled(one, _same if k in lazy else value) for k, one in node.kwargs.items()}
    return tuple(args), named


def _same(node: Executable[Any]) -> Executable[Any]:
    return node


async def _value(execution: Execution, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    seconds = execution.node.timeout
    if seconds is None:
        return await _called(execution, args, kwargs)
    with trio.move_on_after(seconds) as limit:
        return await _called(execution, args, kwargs)
    assert limit.cancelled_caught
    name = execution.node.id
    message = f"{name} was not done within {seconds:g} s"
    raise DeadlineExceeded(message, limit="timeout", after=seconds, layer=name)


async def _called(execution: Execution, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    operation = execution.node.operation
    outer = in_flow.set(execution)
    bound = in_force.set(execution.scope.registry)
    try:
        if operation.thread:
            value = await trio.to_thread.run_sync(
                partial(operation.function, *args, **kwargs),
                abandon_on_cancel=True,
                limiter=execution.scope.run.threads,
            )
        else:
            value = operation.function(*args, **kwargs)
            if inspect.isawaitable(value) and not isinstance(value, (Executable, Future)):
                value = await value
        if inspect.isasyncgen(value):
            return await _last_of(execution, value)
        if inspect.isgenerator(value):
            step = _in_thread(execution) if operation.thread else _here
            return await _last_of(execution, _stepped(value, step))
        return await _run_on(execution, value)
    finally:
        in_force.reset(bound)
        in_flow.reset(outer)


async def _run_on(execution: Execution, value: Any) -> Any:
    """What a function gave, run in its turn if it is an Executable."""
    while isinstance(value, (Executable, Future)) and execution.node.operation.runs_result:
        node = as_executable(value)
        with execution.passing_on(node):
            value = await execution.wait(node)
    return value


_Step: TypeAlias = Callable[[Iterator[Any]], Awaitable[Any]]
_END = object()


async def _stepped(generator: Iterator[Any], step: _Step) -> AsyncIterator[Any]:
    with closing(generator):  # type: ignore[type-var]
        while (value := await step(generator)) is not _END:
            yield value


async def _here(generator: Iterator[Any]) -> Any:
    await trio.lowlevel.checkpoint()  # one that has no end can be left, and others have their turn
    return next(generator, _END)


def _in_thread(execution: Execution) -> _Step:
    async def step(generator: Iterator[Any]) -> Any:
        # Waited for, also when cancelled: a generator that runs can't be closed.
        limiter = execution.scope.run.threads
        return await trio.to_thread.run_sync(next, generator, _END, limiter=limiter)

    return step


async def _last_of(execution: Execution, generator: Any) -> Any:
    """What a generator has given in the end: each value in place of the one before, each
    `Appended` added to it, each `Placed` in its place."""
    fold = NodeFold()
    execution.speaks()
    async with aclosing(generator):
        async for given in generator:
            piece = await _run_on(execution, given)
            if not isinstance(piece, (Appended, Placed, Replaced)):
                piece = Replaced(piece)
            fold(piece)
            execution.tell(piece)
    return fold.value
