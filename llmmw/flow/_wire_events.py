"""What a run tells as dicts of JSON data: `node.delta`, `node.result`, `node.error` and
`graph.result`; and the fold that reads them.

The data of a delta have the shape of the result, as far as it has come. They are added to what
there is: a text to a text, the members of an object to an object, `{"object": "array.item",
"index": 2, "item": …}` to an item of an array; anything else takes the place of what was there.
Two keys are there only where they are needed: `"replace": true` says that the data take the place
of all before, `"execution": 2` that a node is executed again, as in a `repeat`, for which time.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from llmmw.errors import BadRequest, LLMError
from llmmw.flow._events import (
    FlowEvent,
    GraphResult,
    NodeDelta,
    NodeError,
    NodeEvent,
    NodeResult,
    Placed,
)
from llmmw.flow._fold import NodeFold
from llmmw.flow._json_out import json_item, json_out
from llmmw.flow._log import Reads

__all__ = ["MessageFold", "MessageWriter", "error_data", "fold_messages"]

_NOTHING: Any = object()


class MessageWriter(Reads[dict[str, Any]]):
    """Makes messages of the events of one run."""

    def __init__(self) -> None:
        self._told: dict[int, tuple[NodeFold, Any]] = {}
        self._executions: dict[str, dict[int, int]] = {}

    def __call__(self, event: FlowEvent) -> Iterable[dict[str, Any]]:
        """The messages of an event: one, or none if it adds nothing."""
        if isinstance(event, NodeDelta):
            return self._delta(event)
        if isinstance(event, NodeResult):
            self._told.pop(event.key, None)
            return (self._message("node.result", event, data=json_out(event.value)),)
        if isinstance(event, NodeError):
            self._told.pop(event.key, None)
            data = error_data(event.error, derived=event.derived)
            return (self._message("node.error", event, data=data),)
        if isinstance(event, GraphResult):
            data = {key: json_out(value) for key, value in event.data.items()}
            errors = {
                key: error_data(error, derived=key in event.derived)
                for key, error in event.errors.items()
            }
            return ({"object": "graph.result", "data": data | errors},)
        return ()

    def _message(self, kind: str, event: NodeEvent, **rest: Any) -> dict[str, Any]:
        times = self._executions.setdefault(event.node, {})
        time = times.setdefault(event.key, len(times) + 1)
        again = {"execution": time} if time > 1 else {}
        return {"object": kind, "node_id": event.node, **again, **rest}

    def _delta(self, event: NodeDelta) -> Iterable[dict[str, Any]]:
        fold, before = self._told.get(event.key) or (NodeFold(), _NOTHING)
        fold(event)
        if isinstance(event.piece, Placed) and isinstance(before, list):
            try:
                return self._item(event, event.piece, before)
            except _NotAddedError:
                pass  # it is told as any other
        now = json_out(fold.value) if fold.begun else {}
        if same_json(before, now) or (before is _NOTHING and now in ({}, {"text": ""})):
            self._told[event.key] = fold, before
            return ()
        self._told[event.key] = fold, list(now) if isinstance(now, list) else now
        try:
            return (self._message("node.delta", event, data=_difference(before, now)),)
        except _NotAddedError:
            return (self._message("node.delta", event, data=now, replace=True),)

    def _item(self, event: NodeDelta, piece: Placed, told: list[Any]) -> Iterable[dict[str, Any]]:
        """An item of a list, of which no other has changed; a long one is not read again."""
        index, now = piece.index, json_item(piece.value)
        old = told[index] if index < len(told) else _NOTHING
        if same_json(old, now):
            return ()
        if old is _NOTHING and now is None:
            raise _NotAddedError
        item = _difference(old, now)
        told += [None] * (index + 1 - len(told))
        told[index] = now
        data = {"object": "array.item", "index": index, "item": item}
        return (self._message("node.delta", event, data=data),)


_FURTHEST = 1_000_000
"""So far behind the last item may another one be at most; a server that errs could fill memory."""


class _NotAddedError(Exception):
    """A value does not come of another by adding to it."""


def _difference(old: Any, new: Any) -> Any:
    """What is to be added to one to get the other; they differ."""
    if isinstance(new, str):
        if not isinstance(old, str):
            return new
        if not new.startswith(old):
            raise _NotAddedError
        return new[len(old) :]
    if isinstance(new, dict) and isinstance(old, dict):
        if not old.keys() <= new.keys():
            raise _NotAddedError
        added = {
            key: _difference(old[key], one) if key in old else _whole(one)
            for key, one in new.items()
            if key not in old or not same_json(old[key], one)
        }
        return _whole(added, deep=False)
    if isinstance(new, list):
        return _array(old if isinstance(old, list) else [], new)
    return _whole(new)


def _array(old: list[Any], new: list[Any]) -> Any:
    """An item, if only one has changed or come; else the array."""
    pairs = enumerate(new)
    changed = [
        index
        for index, one in pairs
        if (not same_json(old[index], one) if index < len(old) else one is not None)
    ]
    if len(changed) == 1 and len(new) == max(len(old), changed[0] + 1):
        index = changed[0]
        try:
            item = _difference(old[index] if index < len(old) else _NOTHING, new[index])
        except _NotAddedError:
            return _whole(new)
        return {"object": "array.item", "index": index, "item": item}
    return _whole(new)


def _whole(value: Any, deep: bool = True) -> Any:
    """A value that is told as it is; no object in it may look like an item of an array."""
    if isinstance(value, dict):
        if value.get("object") == "array.item":
            raise _NotAddedError
        if deep:
            for one in value.values():
                _whole(one)
    elif isinstance(value, list):
        for one in value:
            _whole(one)
    return value


def _added(old: Any, data: Any) -> Any:
    """What a value is with the data of a delta added."""
    if isinstance(data, str):
        return old + data if isinstance(old, str) else data
    if not isinstance(data, dict):
        return data
    if data.get("object") == "array.item":
        items = list(old) if isinstance(old, list) else []
        index = data["index"]
        if not 0 <= index < len(items) + _FURTHEST:
            raise ValueError(f"{index} is no index of an item")
        items += [_NOTHING] * (index + 1 - len(items))
        items[index] = _added(items[index], data["item"])
        return [None if one is _NOTHING else one for one in items]
    whole = dict(old) if isinstance(old, dict) else {}
    for key, one in data.items():
        whole[key] = _added(whole.get(key, _NOTHING), one)
    return whole


def same_json(one: Any, other: Any) -> bool:
    """Whether two are the same JSON; `1`, `1.0` and `true` are three."""
    if one is other:
        return True
    if type(one) is not type(other):
        return False
    if isinstance(one, dict):
        return one.keys() == other.keys() and all(
            same_json(value, other[key]) for key, value in one.items()
        )
    if isinstance(one, list):
        return len(one) == len(other) and all(map(same_json, one, other))
    return bool(one == other)


def error_data(error: BaseException, *, derived: bool = False) -> dict[str, Any]:
    """What messages say of an error: its type, its message, and the status of the answer."""
    try:
        message = str(error)
    except Exception:  # a stranger's __str__
        message = ""
    data: dict[str, Any] = {"type": "api_error", "message": message or type(error).__name__}
    status = None
    if isinstance(error, LLMError):
        status = error.status
        if error.request_id is not None:
            data["request_id"] = error.request_id
        if isinstance(error, BadRequest):
            data["type"] = "invalid_request_error"
    if derived:
        data["type"] = "dependency_error"
    data["status_code"] = status or (400 if isinstance(error, BadRequest) else 500)
    return data


class MessageFold:
    """Reads the messages of a run: call it with each in turn."""

    def __init__(self) -> None:
        self.data: dict[str, Any] = {}
        """What the deltas of each node have come to, by its id."""
        self.results: dict[str, Any] = {}
        """The results, by the node's id."""
        self.errors: dict[str, dict[str, Any]] = {}
        """What is known of the errors, by the node's id."""
        self.graph: dict[str, Any] | None = None
        """The data of the `graph.result`."""

    def __call__(self, message: Mapping[str, Any]) -> None:
        """Take a message in; of a kind that is not known, nothing.

        Of a node that is executed several times, the first counts.
        """
        kind, data = message.get("object"), message.get("data")
        if kind == "graph.result":
            self.graph = dict(data or {})
        key = message.get("node_id", message.get("nodeId"))
        if not isinstance(key, str) or message.get("execution", 1) != 1:
            return
        if kind == "node.delta":
            before = _NOTHING if message.get("replace") else self.data.get(key, _NOTHING)
            self.data[key] = data if message.get("replace") else _added(before, data)
        elif kind == "node.result":
            self.results[key] = data
        elif kind == "node.error":
            self.errors[key] = dict(data or {})


def fold_messages(messages: Iterable[Mapping[str, Any]]) -> MessageFold:
    """What the messages of a run come to."""
    fold = MessageFold()
    for one in messages:
        fold(one)
    return fold
