"""Executables: values that describe work. Building one does no work and no I/O."""

from __future__ import annotations

import itertools
import operator
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from typing import Any, ClassVar, Generic, NoReturn, TypeVar

import attrs

from llmmw.errors import BadRequest
from llmmw.flow._contents import Contents, contents_of, filled
from llmmw.flow._here import here
from llmmw.flow._reach import reachable

__all__ = [
    "OPERATORS",
    "Executable",
    "Future",
    "Operation",
    "as_executable",
    "check_timeout",
    "ids_in",
    "node",
]

T = TypeVar("T")
_count = itertools.count(1)


@attrs.frozen(eq=False, kw_only=True)
class Operation:
    """What a node does with its arguments, once they are there."""

    name: str
    function: Callable[..., Any] = attrs.field(repr=False)
    """Called with the arguments; may give a value, an awaitable, or a generator."""
    pure: bool = False
    """Equal arguments always give an equal result, so equal nodes may be one."""
    lazy: frozenset[str] = frozenset()
    """Parameters that take Executables as they are, to run them or not."""
    runs_result: bool = True
    """Whether an Executable that it gives is executed in its turn."""
    thread: bool = False
    """It blocks, so it is called in a thread."""
    parameters: tuple[str, ...] = ()
    """Names of the positional parameters, in order."""
    kind: str = "function"
    """How it is shown and saved: `function`, `builtin`, or one of the library's own words."""


class _Lazy(Generic[T]):
    """Operators on what is not there yet: each gives another Executable."""

    __slots__ = ()

    def __bool__(self) -> NoReturn:
        raise TypeError(f"{self!r} has no value before it runs, so it is neither true nor false")

    def __len__(self) -> NoReturn:
        raise TypeError(f"{self!r} has no length before it runs")

    def __contains__(self, item: object) -> NoReturn:
        raise TypeError(f"{self!r} can't be searched before it runs")

    __hash__: ClassVar[Callable[[Any], int]] = object.__hash__

    def __getitem__(self, key: object) -> Executable[Any]:
        return node(_ITEM, self, key)

    def __await__(self) -> Generator[Any, Any, T]:
        awaited: Generator[Any, Any, T] = here().wait(as_executable(self)).__await__()
        return awaited


def _item(value: Any, key: Any) -> Any:
    return value[key]


def _attribute(value: Any, name: str) -> Any:
    if isinstance(value, Mapping) and name in value:
        return value[name]
    if not reachable(value, name):
        raise BadRequest(f"no flow may take the attribute {name!r} of {value!r}")
    return getattr(value, name)


def _call(function: Any, /, *args: Any, **kwargs: Any) -> Any:
    return function(*args, **kwargs)


_ITEM = Operation(name="item", function=_item, pure=True, kind="item")
_ATTRIBUTE = Operation(name="attribute", function=_attribute, pure=True, kind="attribute")
_CALL = Operation(name="call", function=_call, kind="call")


def _operator(name: str, function: Callable[..., Any]) -> Operation:
    return Operation(name=name, function=function, pure=True, kind="operator")


OPERATORS: dict[str, Operation] = {}
"""The operators by their name, as graphs are saved with them."""

for _name in ("abs", "neg", "pos", "invert"):
    OPERATORS[_name] = _operator(_name, getattr(operator, _name))

    def _one(self: Any, *, _with: Operation = OPERATORS[_name]) -> Executable[Any]:
        return node(_with, self)

    setattr(_Lazy, f"__{_name}__", _one)

for _name in (
    *("add", "sub", "mul", "floordiv", "truediv", "mod", "pow", "matmul"),
    *("and_", "or_", "xor", "lshift", "rshift", "eq", "ne", "lt", "le", "gt", "ge"),
):
    OPERATORS[_name] = _operator(_name, getattr(operator, _name))

    def _two(self: Any, other: Any, *, _with: Operation = OPERATORS[_name]) -> Any:
        if _with.name == "add" and isinstance(other, Executable) and other.composes:
            return NotImplemented
        return node(_with, self, other)

    def _turned(self: Any, other: Any, *, _with: Operation = OPERATORS[_name]) -> Executable[Any]:
        return node(_with, other, self)

    setattr(_Lazy, f"__{_name.rstrip('_')}__", _two)
    if _name not in {"eq", "ne", "lt", "le", "gt", "ge"}:
        setattr(_Lazy, f"__r{_name.rstrip('_')}__", _turned)


@attrs.define(eq=False, repr=False, slots=True)
class Executable(_Lazy[T]):
    """A value that is not there yet: an operation and its arguments, which may hold others.

    Run it by `await client.run(e)`, in plain programs by `e.compute()`, and inside of a function
    that is itself an Executable by `await e`. It can be run again; nothing is remembered.
    """

    composes: ClassVar[bool] = False
    """Whether `+` with it makes a composition."""
    operation: Operation
    args: tuple[Any, ...] = ()
    kwargs: Mapping[str, Any] = attrs.field(factory=dict)
    inputs: tuple[Executable[Any], ...] = ()
    """What runs before it: the Executables in its arguments, and those it depends on."""
    lazy: tuple[Executable[Any], ...] = ()
    """Executables in its arguments that the operation runs itself, if it does."""
    depends: tuple[Executable[Any], ...] = ()
    """What must be done before, though its value is not used."""
    timeout: float | None = None
    """Seconds that it may take."""
    hidden: bool = False
    """Its result is not told to who reads the run's stream."""
    label: str | None = None
    number: int = attrs.field(factory=_count.__next__)
    outputs: int | None = None
    """How many items its result has, where it may be unpacked."""

    @property
    def id(self) -> str:
        """Its name in graphs, streams and traces."""
        return self.label or f"{self.operation.name}-{self.number}"

    @property
    def name(self) -> str:
        """What it does, in a word."""
        return self.operation.name

    @property
    def future(self) -> Any:
        """Its value to be: any attribute, item or call on it is an Executable, too."""
        return Future(self)

    def with_options(
        self,
        *,
        id: str | None = None,
        depends: Sequence[Executable[Any]] = (),
        timeout: float | None = None,
        hidden: bool | None = None,
    ) -> Executable[T]:
        """The same work with other options.

        Args:
            id: its name in graphs, streams and traces.
            depends: what must be done before, though its value is not used.
            timeout: seconds that it may take; a `DeadlineExceeded` after that.
            hidden: whether readers of a stream are spared its result.

        Raises:
            BadRequest: for a timeout that is none.
        """
        check_timeout(timeout)
        before = tuple(as_executable(one) for one in depends)
        given: dict[str, Any] = {"number": next(_count), "label": id}
        if timeout is not None:
            given["timeout"] = timeout
        if hidden is not None:
            given["hidden"] = hidden
        return attrs.evolve(
            self,
            inputs=_unique((*self.inputs, *before)),
            depends=_unique((*self.depends, *before)),
            **given,
        )

    def compute(self, **options: Any) -> T:
        """Run it from a plain program; arguments as for `llmmw.sync.run`."""
        # By its name: a face stands above us, and is loaded where a program wants it.
        from importlib import import_module

        result: T = import_module("llmmw.sync").run(self, **options)
        return result

    def __iter__(self) -> Iterator[Executable[Any]]:
        if self.outputs is None:
            raise TypeError(f"{self!r} can't be iterated before it runs; say how many: outputs=")
        return iter([self[index] for index in range(self.outputs)])

    def __repr__(self) -> str:
        given = [_shown(one) for one in self.args]
        given += [f"{name}={_shown(one)}" for name, one in self.kwargs.items()]
        return f"<{self.id}: {self.name}({', '.join(given)})>"


class Future(_Lazy[Any]):
    """The value to be of an Executable. Every name on it is one of that value, none is ours."""

    __slots__ = ("__node__",)
    __node__: Executable[Any]

    def __init__(self, of: Executable[Any]) -> None:
        self.__node__ = of

    def __getattr__(self, name: str) -> Future:
        if name.startswith("__") and name.endswith("__"):
            raise AttributeError(name)
        return Future(node(_ATTRIBUTE, self.__node__, name))

    def __getitem__(self, key: object) -> Any:
        return Future(node(_ITEM, self.__node__, key))

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return Future(node(_CALL, self.__node__, *args, **kwargs))

    def __iter__(self) -> NoReturn:
        raise TypeError(f"{self!r} can't be iterated before it runs")

    def __repr__(self) -> str:
        return f"<future of {self.__node__!r}>"


def as_executable(value: object) -> Executable[Any]:
    """The Executable that a value is.

    Raises:
        TypeError: if it is none.
    """
    if isinstance(value, Executable):
        return value
    if isinstance(value, Future):
        return value.__node__
    raise TypeError(f"expected an Executable, not {value!r}")


def node(operation: Operation, /, *args: Any, **kwargs: Any) -> Executable[Any]:
    """An Executable of an operation. Containers among the arguments are copied, so that what is
    done to them later changes nothing."""
    inputs: Contents = {}
    lazy: Contents = {}
    names = operation.parameters if operation.lazy else ()
    kept = [
        contents_of(one, lazy if place < len(names) and names[place] in operation.lazy else inputs)
        for place, one in enumerate(args)
    ]
    named = {
        name: contents_of(one, lazy if name in operation.lazy else inputs)
        for name, one in kwargs.items()
    }
    return Executable(operation, tuple(kept), named, tuple(inputs), tuple(lazy))


def check_timeout(seconds: object) -> None:
    """Raise `BadRequest` for a timeout that is neither `None` nor seconds from 0 on."""
    if seconds is None:
        return
    if isinstance(seconds, bool) or not isinstance(seconds, (int, float)) or not seconds >= 0:
        raise BadRequest(f"timeout={seconds!r}: expected seconds from 0 on")


def _unique(several: Sequence[Executable[Any]]) -> tuple[Executable[Any], ...]:
    return tuple(dict.fromkeys(several))


class _Id(str):
    """An id that is written without quotes."""

    __slots__ = ()

    def __repr__(self) -> str:
        return str(self)


def ids_in(value: object) -> Any:
    """A value whose Executables are shown by their ids, and not with all that is in them."""
    return filled(value, lambda one: _Id(one.id))


def _shown(value: object) -> str:
    text = repr(ids_in(value))
    return text if len(text) <= 40 else text[:37] + "..."
