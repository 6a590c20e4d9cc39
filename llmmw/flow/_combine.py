"""Executables made of others: at once, one after another, again, or only if."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import aclosing
from typing import Any, Literal, TypeVar

import trio

from llmmw._tasks import open_nursery
from llmmw.errors import BadRequest
from llmmw.flow._contents import Contents, contents_of, filled
from llmmw.flow._events import Placed
from llmmw.flow._here import here
from llmmw.flow._items import each, once
from llmmw.flow._node import Executable, Operation, as_executable, node
from llmmw.flow._pool import evaluate, settle
from llmmw.flow._registry import Registry, copy_registry

__all__ = [
    "Box",
    "If",
    "check_counts",
    "gather",
    "map_over",
    "parallel",
    "repeat",
    "resolved",
    "serial",
    "with_current_registry",
    "with_registry",
]

T = TypeVar("T")
Errors = Literal["raise", "keep"]


def _as_given(*items: Any) -> list[Any]:
    return list(items)


_GATHER = Operation(name="parallel", function=_as_given, kind="parallel")


def gather(*items: object) -> Executable[list[Any]]:
    """All at once, as they are found; see `parallel`."""
    return node(_GATHER, *items)


def parallel(
    *executables: object, limit: int | None = None, errors: Errors = "raise"
) -> Executable[list[Any]]:
    """Run several at once; their results in the order given.

    Args:
        executables: what to run; values that are no Executables stand for themselves.
        limit: how many at once at most; default: as many as the run allows.
        errors: `raise` ends all at the first error; `keep` puts each error in its place.

    Raises:
        BadRequest: for an option that can't be taken.
    """
    _check(limit, errors)
    if limit is None and errors == "raise":
        return gather(*executables)
    return node(_PARALLEL, list(executables), limit, errors)


async def _parallel(several: list[Any], limit: int | None, errors: Errors) -> list[Any]:
    execution = here()
    options = {"parent": execution, "limit": limit}
    nodes: Contents = {}
    several = contents_of(several, nodes)
    placed = enumerate(several)
    execution.places = {one: place for place, one in placed if isinstance(one, Executable)}
    result = execution.scope.value
    if errors == "keep":
        came = await settle(execution.scope, nodes, **options)
        result = dict(zip(nodes, came, strict=True)).__getitem__
    else:
        await evaluate(execution.scope, nodes, **options)
    return list(filled(several, result))


_PARALLEL = Operation(
    name="parallel",
    function=_parallel,
    lazy=frozenset({"several"}),
    parameters=("several", "limit", "errors"),
    kind="parallel",
)


def serial(*executables: object) -> Executable[list[Any]]:
    """Run several one after another; their results in that order."""
    return node(_SERIAL, list(executables))


async def _serial(several: list[Any]) -> list[Any]:
    tell, results = here().tell, []
    for one in several:
        results.append(await one if isinstance(one, Executable) else await resolved(one))
        tell(Placed(len(results) - 1, results[-1]))
    return results


_SERIAL = Operation(
    name="serial",
    function=_serial,
    lazy=frozenset({"several"}),
    parameters=("several",),
    kind="serial",
)


def map_over(
    function: Callable[[Any], Any],
    items: object,
    *,
    limit: int | None = None,
    errors: Errors = "raise",
) -> Executable[list[Any]]:
    """Apply a function to each of many items; the results in their order.

    Args:
        function: gives an Executable, an awaitable or a value of each.
        items: an iterable or asynchronous iterable, or an Executable that gives one. It is read
            no faster than items are done. An iterator is good for one run.
        limit: how many at once at most; default: as many as the run allows.
        errors: `raise` ends all at the first error; `keep` puts each error in its place.
    """
    _check(limit, errors)
    return node(_MAP, function, once(items), limit, errors)


async def _map(
    function: Callable[[Any], Any], items: Any, limit: int | None, errors: Errors
) -> list[Any]:
    most, tell = limit or here().scope.run.concurrency, here().tell
    results: list[Any] = []
    places = trio.Semaphore(most)

    async def one(index: int, item: Any) -> None:
        try:
            results[index] = await _applied(function, item)
            tell(Placed(index, results[index]))
        except Exception as error:
            if errors == "raise":
                raise
            results[index] = error
        finally:
            places.release()

    async with open_nursery() as nursery, aclosing(each(items)) as several:
        async for item in several:
            try:
                # Those that there is room for begin in the same pass, which fills batches.
                places.acquire_nowait()
            except trio.WouldBlock:
                await places.acquire()
            results.append(None)
            nursery.start_soon(one, len(results) - 1, item)
    return results


async def _applied(function: Callable[[Any], Any], item: Any) -> Any:
    value = function(item)
    while not isinstance(value, (str, bytes)) and hasattr(value, "__await__"):
        value = await value
    return value


_MAP = Operation(
    name="map",
    function=_map,
    parameters=("function", "items", "limit", "errors"),
    kind="map",
)


def repeat(executable: object, n: int, *, start: int = 0) -> Executable[list[Any]]:
    """Run one several times, each time as another sample: the first is what it gives unrepeated,
    and a cache keeps each apart; with a temperature above 0, one that is `sampled`. Repeats may be
    nested.

    Args:
        executable: what to run.
        n: how often.
        start: the number of the first sample, to go on after an earlier repeat.
    """
    check_counts(n=n, start=start)
    return node(_REPEAT, as_executable(executable), n, start)


def check_counts(**numbers: object) -> None:
    """Raise `BadRequest` for a number that is no whole one from 0 on."""
    for name, number in numbers.items():
        if type(number) is not int or number < 0:
            raise BadRequest(f"{name}={number!r}: expected a whole number from 0 on")


async def _repeat(again: Executable[Any], n: int, start: int) -> list[Any]:
    execution = here()
    places = trio.Semaphore(execution.scope.run.concurrency)
    results: list[Any] = [None] * n

    async def one(index: int) -> None:
        async with places:
            scope = execution.scope.sampled(start + index)
            await evaluate(scope, (again,), parent=execution)
            results[index] = scope.value(again)
            execution.tell(Placed(index, results[index]))

    async with open_nursery() as nursery:
        for index in range(n):
            nursery.start_soon(one, index)
    return results


_REPEAT = Operation(
    name="repeat",
    function=_repeat,
    lazy=frozenset({"again"}),
    parameters=("again", "n", "start"),
    kind="repeat",
)


def If(condition: object, then: object, otherwise: object = None) -> Executable[Any]:  # noqa: N802
    """One of two, by a condition; the other is not run, unless something else needs it."""
    return node(_IF, condition, then, otherwise)


async def _if(condition: object, then: Any, otherwise: Any) -> Any:
    chosen = then if condition else otherwise
    if not isinstance(chosen, Executable):
        return await resolved(chosen)
    with here().passing_on(chosen):
        return await chosen


async def resolved(value: Any) -> Any:
    """A value with the results of the Executables in it, run by the node that asks."""
    execution = here()
    found: Contents = {}
    value = contents_of(value, found)
    if not found:
        return value
    await evaluate(execution.scope, found, parent=execution)
    return filled(value, execution.scope.value)


_IF = Operation(
    name="If",
    function=_if,
    lazy=frozenset({"then", "otherwise"}),
    parameters=("condition", "then", "otherwise"),
    kind="If",
)


def _box(value: Any) -> Any:
    return value


_BOX = Operation(name="Box", function=_box, pure=True, kind="Box")


def Box(value: T) -> Executable[T]:  # noqa: N802
    """A value of any shape with what the Executables in it give."""
    return node(_BOX, value)


def with_registry(executable: Executable[T], bound: Registry) -> Executable[T]:
    """An Executable that runs under a registry, whichever is in force where it runs."""
    return node(_WITH, as_executable(executable), bound)


def with_current_registry(executable: Executable[T]) -> Executable[T]:
    """An Executable that runs under what the registry is now."""
    return with_registry(executable, copy_registry())


async def _with(bound: Executable[Any], registry: Registry) -> Any:
    execution = here()
    scope = execution.scope.under(registry)
    with execution.passing_on(bound):
        await evaluate(scope, (bound,), parent=execution)
    return scope.value(bound)


_WITH = Operation(
    name="with_registry",
    function=_with,
    lazy=frozenset({"bound"}),
    parameters=("bound", "registry"),
    kind="with_registry",
)


def _check(limit: int | None, errors: str) -> None:
    if limit is not None and (type(limit) is not int or limit < 1):
        raise BadRequest(f"limit={limit!r}: expected a whole number from 1 on")
    if errors not in ("raise", "keep"):
        raise BadRequest(f"errors={errors!r}: expected 'raise' or 'keep'")
