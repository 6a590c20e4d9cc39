"""Rows of the input, what is asked for each, and rows of the output."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Mapping
from typing import Any, TypeAlias

import attrs
import orjson

from llmmw._map import Named, request_of
from llmmw._request import Request
from llmmw._response import Generation, Usage
from llmmw.cli._lines import PipedLines
from llmmw.cli._tables import Raw, object_of
from llmmw.cli._template import Template
from llmmw.errors import BadRequest, ConfigError, LLMError

__all__ = ["Feed", "PipedFeed", "Reader", "Row", "answer_of", "encode", "error_of"]

Id: TypeAlias = str | int


@attrs.frozen
class Row:
    """A row of the input."""

    number: int
    """From 1; lines without a row count, too."""
    id: Id
    data: Mapping[str, Any] = attrs.field(factory=dict, repr=False)
    problem: str = ""
    """Why it can't be asked."""


@attrs.define(eq=False)
class Reader:
    """Makes rows of what a table has. A later row can't have the id of an earlier one."""

    _ids: set[Id] = attrs.field(factory=set)

    def row(self, raw: Raw) -> Row:
        """The row; one with a problem where it is none."""
        number, data = raw
        if isinstance(data, str):
            return Row(number, number, problem=data)
        name = data.pop("id", None)
        if name is None or name == "":
            name = number
        if isinstance(name, bool) or not isinstance(name, (str, int)):
            return Row(number, number, data, '"id" must be text or a whole number')
        if name in self._ids:
            return Row(number, name, data, f"the id {name!r} was used before")
        self._ids.add(name)
        return Row(number, name, data)


@attrs.define(eq=False)
class Feed:
    """Gives `Client.map` its requests.

    Args:
        raw: the input.
        unit: what its numbers count.
        defaults: parameters for rows that do not say otherwise.
        check_target: raises `ConfigError` for a model that a row can't name.
        template: makes the prompt of a row, whose fields then are no parameters.
        model_column: which field has the model of a row.
        ended: whether no more shall be asked.
    """

    raw: Iterable[Raw]
    unit: str
    defaults: Mapping[str, Any]
    check_target: Callable[[object], None]
    template: Template | None = None
    model_column: str | None = None
    ended: Callable[[], bool] = lambda: False
    _reader: Reader = attrs.field(factory=Reader, init=False)

    def __iter__(self) -> Iterator[Named]:
        for raw in self.raw:
            if self.ended():
                return
            yield self.asked(raw)

    def asked(self, raw: Raw) -> Named:
        """What `map` is given for a row."""
        row = self._reader.row(raw)
        problem = row.problem
        if not problem:
            try:
                return Named(row.id, self._request(row.data))
            except (BadRequest, ConfigError) as error:
                problem = str(error)
        return Named(row.id, BadRequest(f"{self.unit} {row.number}: {problem}"))

    def _request(self, data: Mapping[str, Any]) -> Request:
        asked = dict(data)
        model = asked.pop(self.model_column, None) if self.model_column else None
        if self.template is not None:
            asked = {"prompt": self.template.fill(data)}
        if model:
            asked["model"] = model
        if "model" in asked:
            self.check_target(asked["model"])
        return request_of(asked, self.defaults)[1]


@attrs.define(eq=False)
class PipedFeed:
    """A feed whose lines come through a pipe."""

    piped: PipedLines
    feed: Feed

    def __aiter__(self) -> AsyncIterator[Named]:
        return self

    async def __anext__(self) -> Named:
        line = None if self.feed.ended() else await self.piped.next()
        if line is None:
            raise StopAsyncIteration
        return self.feed.asked(object_of(line))


def answer_of(response: Generation, seconds: float | None = None) -> dict[str, Any]:
    """An answer as a row of the output, without its id. What few answers have (reasoning, tool
    calls, …) stands there only if this one has it. `seconds` is for one without a ledger."""
    if response.ledger is not None:
        seconds = response.ledger.seconds
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


def error_of(error: LLMError) -> dict[str, Any]:
    """An error as a row of the output, without its id."""
    return {"error": {"type": type(error).__name__, "message": str(error)}}


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
