"""`@executable`: functions whose calls are lazy values."""

from __future__ import annotations

import inspect
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Iterator
from functools import partial, update_wrapper
from types import MappingProxyType
from typing import Any, ClassVar, Generic, TypeVar, cast, overload

from llmmw.errors import ConfigError
from llmmw.flow._node import Executable, Operation, node

__all__ = ["Flow", "executable"]

T = TypeVar("T")
_BY_PLACE = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)


class Flow(Generic[T]):
    """A function whose calls are lazy values; on a class, a method."""

    __reachable__: ClassVar[frozenset[str]] = frozenset()

    def __init__(
        self, function: Callable[..., Any], operation: Operation, outputs: int | None
    ) -> None:
        update_wrapper(self, function)
        self.function = function
        self.operation = operation
        self.outputs = outputs

    def __call__(self, *args: Any, **kwargs: Any) -> Executable[T]:
        made = node(self.operation, *args, **kwargs)
        if self.outputs is not None:
            made.outputs = self.outputs
        return made

    def __get__(self, instance: object, owner: type | None = None) -> Any:
        if instance is None:
            return self

        def bound(*args: Any, **kwargs: Any) -> Executable[T]:
            made = cast("Callable[..., Executable[T]]", self)
            return made(instance, *args, **kwargs)

        return update_wrapper(bound, self.function.__get__(instance, owner))

    def __repr__(self) -> str:
        return f"<executable {self.operation.name}>"


@overload
def executable(function: Callable[..., Awaitable[T]], /) -> Flow[T]: ...
@overload
def executable(function: Callable[..., AsyncIterator[T]], /) -> Flow[T]: ...
@overload
def executable(function: Callable[..., Iterator[T]], /) -> Flow[T]: ...
@overload
def executable(function: Callable[..., T], /) -> Flow[T]: ...
@overload
def executable(
    *,
    name: str | None = None,
    pure: bool = False,
    lazy: Collection[str] = (),
    runs_result: bool = True,
    thread: bool = False,
    outputs: int | None = None,
) -> Callable[[Callable[..., Any]], Flow[Any]]: ...


def executable(
    function: Callable[..., Any] | None = None,
    /,
    *,
    name: str | None = None,
    pure: bool = False,
    lazy: Collection[str] = (),
    runs_result: bool = True,
    thread: bool = False,
    outputs: int | None = None,
) -> Any:
    """Make the calls of a function lazy values.

    ::

        @executable
        async def mayor_of(country):
            city = await generate_text(f"The southernmost city of {country} is")
            return await generate_text(f"The mayor of {city} is")

        await client.run(mayor_of("France"))

    Executables among the arguments run first, at the same time. The function may be sync or
    async, or a generator: each value that it yields is the result so far, each `Appended` is
    added to it, and readers of the run's stream see them come.

    Args:
        function: the function; one that is an executable already is given back.
        name: what its nodes are called; default: the function's name.
        pure: equal arguments always give an equal result, so equal calls may run once.
        lazy: parameters that take Executables as they are, to await them or not.
        runs_result: whether an Executable that the function returns is executed, too.
        thread: the function blocks, so it is called in a thread.
        outputs: how many items the result has, so that `a, b = f()` can be written.

    Raises:
        ConfigError: for `outputs` below 0, or `lazy` parameters that there are not.
    """
    if function is not None:
        return _made(function)
    return partial(
        _made,
        name=name,
        pure=pure,
        lazy=lazy,
        runs_result=runs_result,
        thread=thread,
        outputs=outputs,
    )


def _made(
    function: Callable[..., Any],
    *,
    name: str | None = None,
    pure: bool = False,
    lazy: Collection[str] = (),
    runs_result: bool = True,
    thread: bool = False,
    outputs: int | None = None,
) -> Flow[Any]:
    if isinstance(function, Flow):
        return function
    if outputs is not None and (type(outputs) is not int or outputs < 0):
        raise ConfigError(f"outputs={outputs!r}: expected a whole number from 0 on")
    called = str(name or getattr(function, "__name__", type(function).__name__))
    try:
        known = inspect.signature(function).parameters
    except (TypeError, ValueError):
        known = MappingProxyType({})
    unknown = sorted(set(lazy) - set(known))
    if unknown:
        raise ConfigError(f"{called} has no parameter {unknown[0]!r}, which `lazy` names")
    operation = Operation(
        name=called,
        function=function,
        pure=pure,
        lazy=frozenset(lazy),
        runs_result=runs_result,
        thread=thread,
        parameters=tuple(one.name for one in known.values() if one.kind in _BY_PLACE),
    )
    return Flow(function, operation, outputs)
