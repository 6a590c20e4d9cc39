"""What the pieces of a node's result come to."""

from __future__ import annotations

from typing import Any

from llmmw._deltas import PartStart, Restarted
from llmmw._stream import TextPieces
from llmmw.flow._events import Appended, NodeDelta, Piece, Placed, Replaced

__all__ = ["NodeFold", "snapshot"]

_DEEPEST = 100


class NodeFold:
    """Gathers the pieces of one execution of a node: call it with each `NodeDelta`, or its
    `piece`, in turn. In the end `value` equals that of the `NodeResult`, if any pieces came.

    Of what a model tells, the text counts; a node that makes something else of it tells that as
    its last piece.
    """

    begun: bool = False
    """Whether a piece has come, and was not taken back."""

    def __init__(self) -> None:
        self._value: Any = None
        self._added: list[str] = []
        self._texts = TextPieces()

    @property
    def value(self) -> Any:
        """The result so far."""
        if self._added:
            self._value = (self._value or "") + "".join(self._added)
            self._added = []
        return self._value

    def __call__(self, delta: NodeDelta | Piece) -> str:
        """Take a piece in; the text that it adds to a text, if it does."""
        piece = delta.piece if isinstance(delta, NodeDelta) else delta
        if isinstance(piece, Restarted):
            self.begun = False
            NodeFold.__init__(self)
            return ""
        begun, self.begun = self.begun, True
        if isinstance(piece, Appended):
            if isinstance(piece.value, str) and (not begun or isinstance(self._value, str)):
                return self._add(piece.value)
            self._value = self.value + piece.value if begun else piece.value
        elif isinstance(piece, Placed):
            self._place(piece.index, piece.value)
        elif isinstance(piece, Replaced):
            return self._replace(piece.value)
        else:
            text = self._texts(piece)
            if isinstance(piece, PartStart) and not piece.candidate and self._texts.wanted:
                text = getattr(piece.part, "text", "")  # of a part that comes whole
            return self._add(text)
        return ""

    def _add(self, text: str) -> str:
        if self._value is None:
            self._value = ""
        if text:
            self._added.append(text)
        return text

    def _replace(self, value: Any) -> str:
        before, self._value = self.value, value
        if isinstance(value, str) and (before is None or isinstance(before, str)):
            before = before or ""
            return value[len(before) :] if value.startswith(before) else ""
        return ""

    def _place(self, index: int, item: Any) -> None:
        self._added = []
        if not isinstance(self._value, list):
            self._value = []
        self._value += [None] * (index + 1 - len(self._value))
        self._value[index] = item

    def equals(self, result: Any) -> bool:
        """Whether the pieces have come to this."""
        value = self.value
        if value is result:
            return self.begun
        if not self.begun or type(value) is not type(result):
            return False
        try:
            return bool(value == result)
        except Exception:  # a stranger's __eq__
            return False


def snapshot(value: Any, depth: int = 0) -> Any:
    """A value as it is now: containers are copied, so that it stays so."""
    kind = type(value)
    if depth < _DEEPEST:
        if kind is list or kind is tuple:
            return kind([snapshot(one, depth + 1) for one in value])
        if kind is dict:
            return {key: snapshot(one, depth + 1) for key, one in value.items()}
        if kind is set:
            return set(value)
    return value
