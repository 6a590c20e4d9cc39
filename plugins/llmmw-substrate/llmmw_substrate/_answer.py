"""What the host tells of the one node of a request, as deltas. Pure."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from contextlib import suppress
from itertools import zip_longest
from typing import Any

import attrs

from llmmw import (
    Candidate,
    Delta,
    Finish,
    Generation,
    PartDelta,
    PartEnd,
    PartStart,
    ResponseStart,
    TextPart,
)
from llmmw.errors import ProtocolError
from llmmw.plugin import Fold
from llmmw_substrate._request import NODE

__all__ = ["Answer", "vectors_of"]

_MOST = 64
_PLACED = {"text", "json_object", "choices"}


@attrs.define(eq=False)
class Answer:
    """Reads one answer, whole or from its messages.

    Args:
        provider: the provider's name, as the response tells it.
        model: the model that was asked.
    """

    provider: str
    model: str
    fold: Fold = attrs.field(factory=Fold, init=False)
    """What was told so far."""
    complete: bool = attrs.field(default=False, init=False)
    """Whether the result has come."""
    _told: list[str] = attrs.field(factory=list, init=False)
    _beside: dict[str, Any] = attrs.field(factory=dict, init=False)
    _made: list[Delta] = attrs.field(factory=list, init=False)

    def take(self, message: Mapping[str, Any]) -> list[Delta]:
        """The deltas that a message makes.

        Raises:
            ProtocolError: if it is none, or takes back what was told.
        """
        self._made = []
        kind, data = message.get("object"), message.get("data")
        if self.complete:
            return []
        if kind == "graph.result":
            if not isinstance(data, dict) or NODE not in data:
                raise ProtocolError("the host ended the graph without a result of its node")
            return self.whole(data[NODE])
        if message.get("node_id", message.get("nodeId")) != NODE:
            return []
        if kind == "node.result":
            return self.whole(data)
        if kind == "node.delta":
            for at, text, added in _pieces(data):
                before = self._told[at] if added and at < len(self._told) else ""
                self._tell(at, before + text)
        return self._made

    def whole(self, result: object) -> list[Delta]:
        """The deltas that are left when the result of the node is there.

        Raises:
            ProtocolError: if it is none.
        """
        self._made = []
        rows = _rows(result)
        texts = [_text(row, before) for row, before in zip_longest(rows, self._told)]
        self._begin()
        for at, text in enumerate(texts):
            self._tell(at, text)
            self._open(at)
            self._make(PartEnd(0, self.fold.whole(0, at), at))
        self.complete = True
        assert isinstance(result, dict)
        more = [_beside(row) for row in rows] if "choices" in result else []
        self._beside = _beside(result) | ({"choices": more} if any(more) else {})
        return self._made

    def response(self, **fields: Any) -> Generation:
        """The answer as it is now; `fields` are further ones of the response."""
        told = self.fold.response(**fields)
        if not told.candidates:
            return told
        several = tuple(Candidate(one.message, told.finish) for one in told.candidates)
        return told.replace(candidates=several)

    def finished(self, **fields: Any) -> Generation:
        """The whole answer. The host does not say why it ended, nor what it cost."""
        return self.response(finish=Finish("stop"), raw=self._beside, **fields)

    def _tell(self, at: int, text: str) -> None:
        """The text of a candidate, as far as it has come."""
        before = self._told[at] if at < len(self._told) else ""
        if not text.startswith(before):
            raise ProtocolError("the host took back what it had told")
        if text != before:
            self._open(at)
            self._told[at] = text
            self._make(PartDelta(index=0, candidate=at, text=text[len(before) :]))

    def _begin(self) -> None:
        if self.fold.start == ResponseStart():
            self._make(ResponseStart(model=self.model, provider=self.provider))

    def _open(self, at: int) -> None:
        """Begin the parts of candidates up to this one."""
        self._begin()
        for candidate in range(len(self._told), at + 1):
            self._told.append("")
            self._make(PartStart(0, TextPart(""), candidate))

    def _make(self, delta: Delta) -> None:
        self.fold(delta)
        self._made.append(delta)


def _pieces(data: object) -> list[tuple[int, str, bool]]:
    """The texts in a delta: of which candidate, and whether they are added to what there is.

    Raises:
        ProtocolError: if it has choices that are none.
    """
    if not isinstance(data, dict):
        return []
    rows = data.get("choices")
    several: list[tuple[Any, Any, bool]]
    if "choices" not in data:
        several = [(0, data, True)]
    elif isinstance(rows, list) and len(rows) <= _MOST:
        several = [(at, row, False) for at, row in enumerate(rows)]
    elif isinstance(rows, dict) and rows.get("object") == "array.item":
        several = [(rows.get("index", -1), rows.get("item"), True)]
    else:
        raise ProtocolError("the host sent choices that are none")
    if not all(type(at) is int and 0 <= at < _MOST for at, _, _ in several):
        raise ProtocolError("the host sent a choice of no place")
    texts = [
        (at, row.get("text") if isinstance(row, dict) else None, to) for at, row, to in several
    ]
    return [(at, text, to) for at, text, to in texts if isinstance(text, str)]


def _rows(told: object) -> list[Any]:
    """The candidates of a result.

    Raises:
        ProtocolError: if there is none.
    """
    rows = told.get("choices", [told]) if isinstance(told, dict) else None
    if not isinstance(rows, list) or not rows or len(rows) > _MOST:
        raise ProtocolError("the host sent no result of its node")
    return rows


def _text(row: object, before: str | None) -> str:
    """The text of a candidate, or its data; what was told `before` goes on."""
    if isinstance(row, dict):
        data, text = row.get("json_object"), row.get("text")
        if isinstance(text, str) and (data is None or (before and text.startswith(before))):
            return text
        if data is not None:
            with suppress(RecursionError):
                return json.dumps(data, ensure_ascii=False)
    raise ProtocolError("the host sent a choice without a text")


def _beside(row: Mapping[str, Any]) -> dict[str, Any]:
    """What has no place in a response."""
    return {name: one for name, one in row.items() if name not in _PLACED}


def vectors_of(told: object, count: int) -> list[list[float]]:
    """The vectors of a result, in the order of the inputs.

    Raises:
        ProtocolError: if they are not one vector for each of `count` inputs.
    """
    rows = told.get("embeddings") if isinstance(told, dict) else None
    if not isinstance(rows, list) or len(rows) != count:
        raise ProtocolError(f"the host sent no list of {count} vectors")
    return [_vector(row.get("vector") if isinstance(row, dict) else None) for row in rows]


def _vector(told: object) -> list[float]:
    if isinstance(told, list) and told:
        numbers = [one for one in told if type(one) in (int, float)]
        try:
            if len(numbers) == len(told) and math.isfinite(sum(map(float, numbers))):
                return [float(one) for one in numbers]
        except OverflowError:
            pass
    raise ProtocolError("the host sent a vector that is none")
