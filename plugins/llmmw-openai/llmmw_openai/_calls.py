"""Which tool call a piece of one belongs to. Pure.

The wire has an index for that, and id and name in the first piece alone. But hosts leave the index
out or send 0 always, leave the id out, repeat the name, or send each call whole; so a piece goes to
the last call that it does not contradict.
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Mapping
from typing import Any

import attrs
import orjson

from llmmw.errors import ProtocolError

__all__ = ["Called", "Calls"]

Json = Mapping[str, Any]

_MOST_CALLS = 1000


def _invented() -> str:
    return f"call_{uuid.uuid4().hex[:24]}"


@attrs.define(eq=False)
class Called:
    """A tool call so far."""

    number: int
    index: object
    place: int
    """Where it stood in the list of its first piece."""
    id: str = ""
    name: str = ""
    custom: bool = False
    extra: Json = attrs.field(factory=dict)
    invented: str = attrs.field(factory=_invented, init=False)
    """An id, in case that the host gives none."""
    pieces: list[str] = attrs.field(factory=list, init=False)

    def goes_on(self, piece: Called, text: str) -> bool:
        """Whether a piece that looks like a call of its own is one of this call."""
        if piece.index is not None and piece.index != self.index:
            return False
        if _differ(piece.id, self.id) or _differ(piece.name, self.name):
            return False
        if not piece.name or (piece.index is None and piece.id and piece.place == self.place):
            return True
        if piece.index is None and piece.place != self.place:
            return False
        return bool(piece.id) or not (text.strip() and self._is_whole)

    @property
    def _is_whole(self) -> bool:
        text = "".join(self.pieces)
        if not text.rstrip().endswith("}"):
            return False
        try:
            orjson.loads(text)
        except orjson.JSONDecodeError:
            return False
        return True


def _differ(one: str, other: str) -> bool:
    return bool(one and other and one != other)


@attrs.define(eq=False)
class Calls:
    """The tool calls of one candidate."""

    calls: list[Called] = attrs.field(factory=list, init=False)

    def __bool__(self) -> bool:
        return any(call.name or call.pieces for call in self.calls)

    def take(self, told: Json, place: int) -> tuple[Called, str]:
        """The call that a piece belongs to, and what is new of its arguments now that the call
        has a name; until then they wait.

        Args:
            told: the piece.
            place: where it stands in its list.
        """
        custom = _object(told.get("custom")) if told.get("type") != "function" else {}
        function = custom or _object(told.get("function"))
        piece = Called(
            number=len(self.calls),
            index=told.get("index"),
            place=place,
            id=_text(told.get("id")),
            name=_text(function.get("name")),
            custom=bool(custom),
            extra=_object(told.get("extra_content")),
        )
        text = _arguments(function.get("input" if custom else "arguments"))
        call = next((one for one in reversed(self.calls) if one.goes_on(piece, text)), None)
        if call is None:
            if len(self.calls) >= _MOST_CALLS:
                raise ProtocolError(f"the host calls more than {_MOST_CALLS} tools at once")
            call = piece
            self.calls.append(call)
        elif piece.name and not call.name:
            call.name, call.custom = piece.name, piece.custom
            text = "".join([*call.pieces, text])
            call.pieces.clear()
        call.id = call.id or piece.id
        if text == "null" and not call.pieces:
            text = ""  # no arguments
        if text:
            call.pieces.append(text)
        return call, text if call.name else ""

    def nameless(self) -> list[Called]:
        """The calls that got no name to the end, but arguments."""
        return [call for call in self.calls if not call.name and call.pieces]


def _object(item: Any) -> Json:
    return item if isinstance(item, Mapping) else {}


def _text(item: Any) -> str:
    return item if isinstance(item, str) else ""


def _arguments(told: Any) -> str:
    """Their text as it came, or the text of an object."""
    if isinstance(told, str):
        return told
    try:
        return json.dumps(told, ensure_ascii=False) if told else ""
    except RecursionError:
        pass
    raise ProtocolError("the arguments of a tool call nest too deeply")
