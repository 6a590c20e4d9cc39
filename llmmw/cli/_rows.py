"""Rows of the input, what is asked for each, and rows of the output."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from typing import Any, TypeAlias

import attrs
import orjson

from llmmw._map import request_of
from llmmw._response import Generation, Usage
from llmmw.cli._lines import MOST_BYTES, Line, PipedLines
from llmmw.errors import BadRequest, ConfigError, LLMError

__all__ = ["Feed", "PipedFeed", "Reader", "Row", "answer_of", "encode", "error_of"]

Id: TypeAlias = str | int


@attrs.frozen
class Row:
    """A row of the input. `place` counts rows from 0, `line` lines from 1."""

    place: int
    line: int
    id: Id
    data: Mapping[str, Any] = attrs.field(factory=dict, repr=False)
    problem: str = ""
    """Why it can't be asked."""


@attrs.define(eq=False)
class Reader:
    """Makes rows of lines. `ids` has the place of each id; a later row can't have it too."""

    ids: dict[Id, int] = attrs.field(factory=dict)
    count: int = 0

    def row(self, line: Line) -> Row:
        """The row of a line; one with a problem where the line is none."""
        place, number = self.count, line[0]
        self.count += 1
        data = _object(line[1])
        if isinstance(data, str):
            return Row(place, number, number, problem=data)
        name = data.pop("id", None)
        if name is None:
            name = number
        if isinstance(name, bool) or not isinstance(name, (str, int)):
            return Row(place, number, number, problem='"id" must be text or a whole number')
        if self.ids.setdefault(name, place) != place:
            return Row(place, number, name, problem=f"the id {name!r} was used before")
        return Row(place, number, name, data)


def _object(line: bytes | None) -> dict[str, Any] | str:
    """The object that a line is, or why it is none."""
    if line is None:
        return f"the line is longer than {MOST_BYTES} bytes"
    try:
        data = orjson.loads(line)
    except orjson.JSONDecodeError as error:
        return f"no JSON: {error.msg} (column {error.colno})"
    return data if isinstance(data, dict) else f"expected an object, not {type(data).__name__}"


_UNASKED: Mapping[str, Any] = {}
"""What stands for a row with a problem: no request, so it comes back as an error in its turn."""


@attrs.define(eq=False)
class Feed:
    """Gives `Client.map` its requests and remembers for which row each of them stands.

    Args:
        lines: the input.
        reader: makes rows of them.
        defaults: parameters for rows that do not say otherwise.
        check_target: raises `ConfigError` for a model that a row can't name.
        skip: whether the row at this place is not to be asked.
    """

    lines: Iterator[Line]
    reader: Reader
    defaults: Mapping[str, Any]
    check_target: Callable[[object], None]
    skip: Callable[[int], bool] = lambda place: False
    waiting: dict[int, Row] = attrs.field(factory=dict, init=False)
    """Rows that were asked and not answered yet, by the index that `map` gives them."""
    _given: int = attrs.field(default=0, init=False)

    def __iter__(self) -> Iterator[object]:
        for line in self.lines:
            row = self.reader.row(line)
            if not self.skip(row.place):
                yield self.asked(row)

    def asked(self, row: Row) -> object:
        """What `map` is given for a row."""
        request: object = _UNASKED
        problem = row.problem
        if not problem:
            try:
                request = self._request(row.data)
            except (BadRequest, ConfigError) as error:
                problem = str(error)
        self.waiting[self._given] = Row(row.place, row.line, row.id, problem=problem)
        self._given += 1
        return request

    def _request(self, data: Mapping[str, Any]) -> object:
        if "model" in data:
            self.check_target(data["model"])
        return request_of(data, self.defaults)[1]


@attrs.define(eq=False)
class PipedFeed:
    """A feed whose lines come through a pipe."""

    piped: PipedLines
    feed: Feed

    def __aiter__(self) -> AsyncIterator[object]:
        return self

    async def __anext__(self) -> object:
        line = await self.piped.next()
        if line is None:
            raise StopAsyncIteration
        return self.feed.asked(self.feed.reader.row(line))


def answer_of(response: Generation) -> dict[str, Any]:
    """An answer as a row of the output, without its id. What few answers have (reasoning, tool
    calls, …) stands there only if this one has it."""
    seconds = response.ledger.seconds if response.ledger else None
    row: dict[str, Any] = {
        "text": response.text,
        "finish_reason": response.finish_reason,
        "usage": _usage(response.usage),
        "model": f"{response.provider}:{response.model}",
        "seconds": round(seconds, 3) if seconds is not None else None,
    }
    beside = {
        "reasoning": response.reasoning,
        "refusal": response.refusal,
        "tool_calls": [
            {"id": call.id, "name": call.name, "arguments": call.arguments}
            for call in response.tool_calls
        ],
        "candidates": [
            {"text": one.message.text, "finish_reason": one.finish.reason if one.finish else None}
            for one in response.candidates
        ],
        "warnings": list(response.warnings),
    }
    return row | {name: told for name, told in beside.items() if told}


def _usage(usage: Usage | None) -> dict[str, Any]:
    """What was told of the tokens spent."""
    if usage is None:
        return {}
    told = {field.name: getattr(usage, field.name) for field in attrs.fields(Usage) if field.repr}
    if usage.cost is not None:
        told["cost"] = float(usage.cost)
    return {name: one for name, one in told.items() if one is not None and one != {}}


def error_of(row: Row, error: LLMError | None) -> dict[str, Any]:
    """The error of a row as a row of the output, without its id."""
    if row.problem:
        kind, message = BadRequest.__name__, f"line {row.line}: {row.problem}"
    else:
        kind, message = type(error).__name__, str(error)
    return {"error": {"type": kind, "message": message}}


def encode(row: Mapping[str, Any]) -> bytes:
    """A row as one line of JSON."""
    try:
        return orjson.dumps(row, option=orjson.OPT_APPEND_NEWLINE)
    except TypeError:
        # Half of a surrogate pair, as some models write it, is no valid UTF-8.
        return orjson.dumps(_valid(row), option=orjson.OPT_APPEND_NEWLINE, default=str)


def _valid(item: Any) -> Any:
    if isinstance(item, str):
        return item.encode(errors="replace").decode()
    if isinstance(item, Mapping):
        return {_valid(name): _valid(one) for name, one in item.items()}
    return [_valid(one) for one in item] if isinstance(item, (list, tuple)) else item
