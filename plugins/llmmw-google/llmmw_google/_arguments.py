"""Arguments of a function that come in pieces, each with the path of its place, as JSON text.

The text grows as the pieces come, so that whoever listens sees it grow. That works since the model
writes from the front to the back: a piece for a place that is closed already is an error.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

import attrs

from llmmw.errors import ProtocolError

__all__ = ["ArgumentsText", "text_of_json"]

_Path = tuple[str | int, ...]

_STEP = re.compile(r"""[.]([^.\[\]]+)|\[([0-9]{1,6})\]|\[(["'])(.*?)\3\]""")
_MOST_STEPS = 100
_MOST_HOLES = 1000
_NOTHING = object()


def text_of_json(value: Any) -> str:
    """The text of data.

    Raises:
        ProtocolError: if it nests too deeply.
    """
    try:
        return json.dumps(value, ensure_ascii=False, separators=(",", ":"))
    except RecursionError:
        pass
    raise ProtocolError("the arguments of a function call nest too deeply")


@attrs.define
class _Frame:
    """An object or array that is being written."""

    is_array: bool
    last: str | int = ""
    keys: set[str] = attrs.field(factory=set)
    count: int = 0


@attrs.define(eq=False)
class ArgumentsText:
    """The arguments of one call. Call `take` with each piece, then `end`."""

    _frames: list[_Frame] = attrs.field(factory=list, init=False)
    _place: _Path = attrs.field(default=(), init=False)
    """Where the last value stands."""
    _waits: Any = attrs.field(default=_NOTHING, init=False)
    """That value, unless it is a text, whose end has not come: the quote is open then."""
    _quoted: bool = attrs.field(default=False, init=False)

    def take(self, piece: Mapping[str, Any]) -> str:
        """What a piece adds to the text.

        Raises:
            ProtocolError: if its place can't be written any more.
        """
        text = piece.get("stringValue")
        if isinstance(text, str):
            path = _path_of(piece.get("jsonPath"))
            begun = "" if self._quoted and path == self._place else self._at(path) + '"'
            self._quoted = True
            return begun + json.dumps(text, ensure_ascii=False)[1:-1]
        for name in ("numberValue", "boolValue", "nullValue"):
            if name in piece:
                value = None if name == "nullValue" else piece[name]
                return self.put(_path_of(piece.get("jsonPath")), value)
        return ""

    def put(self, path: _Path, value: Any) -> str:
        """What a value that comes whole adds to the text."""
        begun = ""
        if self._quoted or path != self._place:
            begun = self._at(path)
        self._waits = value
        return begun

    def end(self) -> str:
        """The rest of the text."""
        rest = self._end_value()
        while self._frames:
            rest += "]" if self._frames.pop().is_array else "}"
        return rest

    def _end_value(self) -> str:
        rest = '"' if self._quoted else ""
        if self._waits is not _NOTHING:
            rest = text_of_json(self._waits)
        self._quoted, self._waits = False, _NOTHING
        return rest

    def _at(self, path: _Path) -> str:
        """What leads from the last place to this one."""
        told = self._end_value()
        self._place = path
        if not self._frames:
            self._frames.append(_Frame(is_array=False))
            told += "{"
        shared = 0
        last = min(len(path), len(self._frames)) - 1
        while shared < last and self._frames[shared].last == path[shared]:
            shared += 1
        while len(self._frames) > shared + 1:
            told += "]" if self._frames.pop().is_array else "}"
        told += _step(self._frames[-1], path[shared])
        for step in path[shared + 1 :]:
            frame = _Frame(is_array=isinstance(step, int))
            self._frames.append(frame)
            told += ("[" if frame.is_array else "{") + _step(frame, step)
        return told


def _step(frame: _Frame, step: str | int) -> str:
    """What stands before the next value of an object or array."""
    comma = "," if frame.count else ""
    frame.last = step
    if isinstance(step, str) and not frame.is_array and step not in frame.keys:
        frame.keys.add(step)
        frame.count += 1
        return f"{comma}{text_of_json(step)}:"
    if isinstance(step, int) and frame.is_array and 0 <= step - frame.count < _MOST_HOLES:
        holes = "null," * (step - frame.count)
        frame.count = step + 1
        return comma + holes
    raise ProtocolError(f"the arguments of a function call come in no order: {step!r} again")


def _path_of(told: Any) -> _Path:
    """`$.a[0].b` as its steps."""
    text = told.removeprefix("$") if isinstance(told, str) else ""
    steps: list[str | int] = []
    at = 0
    while at < len(text) and len(steps) <= _MOST_STEPS:
        found = _STEP.match(text, at)
        if found is None:
            break
        name, place, _, quoted = found.groups()
        steps.append(int(place) if place is not None else name if name is not None else quoted)
        at = found.end()
    if not steps or at < len(text) or isinstance(steps[0], int):
        raise ProtocolError("an argument of a function call comes with a path that is none")
    return tuple(steps)
