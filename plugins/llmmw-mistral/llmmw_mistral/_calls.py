"""Which tool call a piece of one belongs to. Pure.

Calls mostly come whole, some in pieces by an index. But the index may be missing or 0 always, and
the id missing, or the word `null`; so a piece goes to the last call that it does not contradict.
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Mapping
from typing import Any

import attrs
import orjson

from llmmw.errors import ProtocolError
from llmmw_mistral._values import number_of, object_of, text_of

__all__ = ["Called", "Calls"]

_MOST_CALLS = 1000


@attrs.define(eq=False)
class Called:
    """A tool call so far."""

    number: int
    key: int
    """Its index, or where it stood in the list of its first piece."""
    id: str = ""
    name: str = ""
    invented: str = attrs.field(factory=lambda: uuid.uuid4().hex[:9], init=False)
    """An id, in case that the host gives none."""
    text: str = attrs.field(default="", init=False)
    """Its arguments."""

    def goes_on(self, key: int, id: str, name: str) -> bool:
        """Whether a piece is one of this call."""
        if id and self.id:
            return id == self.id
        same = not name or not self.name or (name == self.name and not self._is_whole)
        return key == self.key and same

    @property
    def _is_whole(self) -> bool:
        try:
            orjson.loads(self.text)
        except orjson.JSONDecodeError:
            return False
        return True


@attrs.define(eq=False)
class Calls:
    """The tool calls of one candidate."""

    calls: list[Called] = attrs.field(factory=list, init=False)

    def __bool__(self) -> bool:
        return any(call.name or call.text for call in self.calls)

    def take(self, told: Mapping[str, Any], place: int) -> tuple[Called, str]:
        """The call that a piece belongs to, and what is new of its arguments now that the call
        has a name; until then they wait.

        Args:
            told: the piece.
            place: where it stands in its list.
        """
        function = object_of(told.get("function"))
        id_, name = text_of(told.get("id")), text_of(function.get("name"))
        id_ = "" if id_ == "null" else id_
        index = number_of(told.get("index"))
        key = place if index is None else index
        text = _arguments(function.get("arguments"))
        call = next((one for one in reversed(self.calls) if one.goes_on(key, id_, name)), None)
        if call is None:
            if len(self.calls) >= _MOST_CALLS:
                raise ProtocolError(f"the host calls more than {_MOST_CALLS} tools at once")
            call = Called(len(self.calls), key)
            self.calls.append(call)
        waited = "" if call.name else call.text
        call.id, call.name = call.id or id_, call.name or name
        if text == "null" and not call.text:
            text = ""  # no arguments
        call.text += text
        return call, waited + text if call.name else ""


def _arguments(told: Any) -> str:
    """Their text as it came, or the text of an object."""
    if isinstance(told, str):
        return told
    try:
        return json.dumps(told, ensure_ascii=False) if told else ""
    except RecursionError:
        pass
    raise ProtocolError("the arguments of a tool call nest too deeply")
