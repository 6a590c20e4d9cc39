"""What the host tells of the one node of a request, as deltas. Pure."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
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
from llmmw.flow import MessageFold
from llmmw.plugin import Fold
from llmmw_substrate._request import NODE

__all__ = ["Answer", "is_failure", "vectors_of"]

_MOST = 64
_PLACED = {"text", "json_object", "choices"}


def is_failure(told: object) -> bool:
    """Whether what stands in the place of a result is an error."""
    if not isinstance(told, dict) or not isinstance(told.get("message"), str):
        return False
    kind = told.get("type")
    return isinstance(kind, str) and kind.endswith("_error")


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
    _messages: MessageFold = attrs.field(factory=MessageFold, init=False)
    _told: list[str] = attrs.field(factory=list, init=False)
    _beside: dict[str, Any] = attrs.field(factory=dict, init=False)
    _made: list[Delta] = attrs.field(factory=list, init=False)

    def take(self, message: Mapping[str, Any]) -> list[Delta]:
        """The deltas that a message makes.

        Raises:
            ProtocolError: if it is none, or takes back what was told.
        """
        self._made = []
        if self.complete:
            return []
        try:
            self._messages(message)
        except (LookupError, TypeError, ValueError, RecursionError) as error:
            raise ProtocolError(f"the host sent a message that is none: {error!r}") from None
        if NODE in self._messages.results:
            return self.whole(self._messages.results[NODE])
        if self._messages.graph is not None:
            if NODE not in self._messages.graph:
                raise ProtocolError("the host ended the graph without a result of its node")
            return self.whole(self._messages.graph[NODE])
        self._tell(_begun(self._messages.data.get(NODE)))
        return self._made

    def whole(self, result: object) -> list[Delta]:
        """The deltas that are left when the result of the node is there.

        Raises:
            ProtocolError: if it is none.
        """
        self._made = []
        texts = _texts(result)
        self._begin()
        self._tell(texts)
        for at in range(len(texts)):
            self._open(at)
            self._make(PartEnd(0, self.fold.whole(0, at), at))
        self.complete = True
        assert isinstance(result, dict)
        self._beside = {name: one for name, one in result.items() if name not in _PLACED}
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

    def _tell(self, texts: Sequence[str]) -> None:
        for at, text in enumerate(texts):
            before = self._told[at] if at < len(self._told) else ""
            if text == before:
                continue
            if not text.startswith(before):
                raise ProtocolError("the host took back what it had told")
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


def _begun(told: object) -> list[str]:
    """The texts of a result of which only a part is there."""
    if not isinstance(told, dict):
        return []
    rows = told.get("choices") if "choices" in told else [told]
    if not isinstance(rows, list) or len(rows) > _MOST:
        raise ProtocolError("the host sent choices that are none")
    texts = [row.get("text") if isinstance(row, dict) else None for row in rows]
    return [text if isinstance(text, str) else "" for text in texts]


def _texts(told: object) -> list[str]:
    """The texts of a result.

    Raises:
        ProtocolError: if there is none.
    """
    rows = told.get("choices", [told]) if isinstance(told, dict) else None
    if not isinstance(rows, list) or not rows or len(rows) > _MOST:
        raise ProtocolError("the host sent no result of its node")
    return [_text(row) for row in rows]


def _text(row: object) -> str:
    if isinstance(row, dict):
        data, text = row.get("json_object"), row.get("text")
        if data is not None:
            return json.dumps(data, ensure_ascii=False)
        if isinstance(text, str):
            return text
    raise ProtocolError("the host sent a choice without a text")


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
