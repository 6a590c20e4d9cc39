"""Samplers: what gives so many samples, from one on."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Generic, Protocol, TypeAlias, TypeVar, cast

import attrs

from llmmw.errors import BadRequest
from llmmw.flow._combine import Box, check_counts, repeat
from llmmw.flow._node import Executable, Future, as_executable

__all__ = ["Repeated", "RoundRobin", "Sampler"]

T = TypeVar("T")
Inner: TypeAlias = "Executable[T] | Callable[..., Executable[T]]"


class Sampler(Protocol[T]):
    """Gives samples: `sampler(question, n=3, start=2)` the third, fourth and fifth."""

    def __call__(
        self, *inputs: Any, n: int, start: int = 0, **named: Any
    ) -> Executable[list[T]]: ...


@attrs.frozen
class Repeated(Generic[T]):
    """Samples of one Executable, or of what a function makes of the inputs."""

    inner: Inner[T]

    def __call__(self, *inputs: Any, n: int, start: int = 0, **named: Any) -> Executable[list[T]]:
        """So many samples, from `start` on."""
        return repeat(_made(self.inner, inputs, named), n, start=start)


def _several(item: Sequence[Inner[T]]) -> tuple[Inner[T], ...]:
    if not item:
        raise BadRequest("a round robin needs one Executable at least")
    return tuple(item)


@attrs.frozen
class RoundRobin(Generic[T]):
    """Samples of several Executables in turn: of three, sample 4 is the second of the second."""

    inners: Sequence[Inner[T]] = attrs.field(converter=_several)

    def __call__(self, *inputs: Any, n: int, start: int = 0, **named: Any) -> Executable[list[T]]:
        """So many samples, from `start` on."""
        check_counts(n=n, start=start)
        size = len(self.inners)
        rows: dict[int, Executable[list[T]]] = {}
        for turn in range(start, start + min(n, size)):
            count = len(range(turn, start + n, size))
            made = _made(self.inners[turn % size], inputs, named)
            rows[turn % size] = repeat(made, count, start=turn // size)
        turns = [rows[(start + k) % size][k // size] for k in range(n)]
        return cast("Executable[list[T]]", Box(turns))


def _made(inner: Any, inputs: tuple[Any, ...], named: dict[str, Any]) -> Executable[Any]:
    """The Executable that an inner one is; or what it makes of the inputs."""
    if isinstance(inner, (Executable, Future)):
        return as_executable(inner)
    return as_executable(inner(*inputs, **named))
