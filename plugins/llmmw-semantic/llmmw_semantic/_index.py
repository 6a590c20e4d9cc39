"""Vectors, and which of them is nearest: all are looked at, which for some ten thousand takes less
than a millisecond."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator

import attrs
import numpy as np
import numpy.typing as npt

__all__ = ["Index", "Near", "Vector"]

Vector = npt.NDArray[np.float32]


@attrs.frozen
class Near:
    """A kept question, and how similar it is."""

    key: str
    question: str
    similarity: float


@attrs.define(eq=False)
class _Shelf:
    """The questions of one scope. Rows in use stand at the front."""

    vectors: Vector
    keys: list[str] = attrs.field(factory=list)
    questions: list[str] = attrs.field(factory=list)
    places: dict[str, int] = attrs.field(factory=dict)

    def add(self, key: str, question: str, vector: Vector) -> None:
        count = len(self.keys)
        if count == len(self.vectors):
            self.vectors = np.concatenate([self.vectors, np.empty_like(self.vectors)])
        self.vectors[count] = vector
        self.places[key] = count
        self.keys.append(key)
        self.questions.append(question)

    def remove(self, key: str) -> None:
        place, last = self.places.pop(key), len(self.keys) - 1
        if place != last:
            self.vectors[place] = self.vectors[last]
            self.keys[place], self.questions[place] = self.keys[last], self.questions[last]
            self.places[self.keys[place]] = place
        self.keys.pop()
        self.questions.pop()


@attrs.define(eq=False)
class Index:
    """Questions by scope: those that differ in nothing but how they are put. What was used least
    goes when there are too many.

    Args:
        most: how many are kept in all scopes together.
    """

    most: int
    _scopes: dict[str, _Shelf] = attrs.field(factory=dict, init=False)
    _used: OrderedDict[str, str] = attrs.field(factory=OrderedDict, init=False)
    """The scope of each key, the least recently used first."""

    def __len__(self) -> int:
        return len(self._used)

    def add(self, scope: str, key: str, question: str, vector: Vector) -> list[str]:
        """Keep a question; the keys of those that had to go for it."""
        self.remove(key)
        shelf = self._scopes.get(scope)
        if shelf is None:
            shelf = self._scopes[scope] = _Shelf(np.empty((4, len(vector)), np.float32))
        shelf.add(key, question, vector)
        self._used[key] = scope
        gone = []
        while len(self._used) > self.most:
            gone.append(next(iter(self._used)))
            self.remove(gone[-1])
        return gone

    def remove(self, key: str) -> None:
        """Forget a question."""
        scope = self._used.pop(key, None)
        if scope is not None:
            shelf = self._scopes[scope]
            shelf.remove(key)
            if not shelf.keys:
                del self._scopes[scope]

    def use(self, key: str) -> None:
        """Note that it was of use."""
        self._used.move_to_end(key)

    def nearest(self, scope: str, vector: Vector, most: int) -> Iterator[Near]:
        """The most similar ones, the nearest first."""
        shelf = self._scopes.get(scope)
        if shelf is None or shelf.vectors.shape[1] != len(vector):
            return
        similar = shelf.vectors[: len(shelf.keys)] @ vector
        best = (
            np.argpartition(-similar, most)[:most] if len(similar) > most else range(len(similar))
        )
        for place in sorted(map(int, best), key=lambda place: -float(similar[place])):
            yield Near(shelf.keys[place], shelf.questions[place], float(similar[place]))
