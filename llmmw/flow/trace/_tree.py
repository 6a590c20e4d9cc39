"""A run as a tree: an observer that keeps what it hears."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import attrs
import orjson

from llmmw._cache_events import CacheHit
from llmmw._explain import Spent, spent_in
from llmmw.errors import BadRequest
from llmmw.flow._events import (
    CallMade,
    FlowEvent,
    NodeError,
    NodeEvent,
    NodeResult,
    NodeStarted,
)
from llmmw.flow.trace._shown import readable, shown

__all__ = ["Trace", "TracedCall", "TracedNode"]

_DEEP = 1000


def _is(*kinds: type, default: Any = attrs.NOTHING) -> Any:
    """A field of these types, so that what is read from a file is a trace indeed."""
    return attrs.field(default=default, validator=attrs.validators.instance_of(kinds))


_NONE = type(None)
_COST = attrs.validators.optional(attrs.validators.matches_re(r"-?\d+(\.\d+)?"))


@attrs.define(kw_only=True)
class TracedCall:
    """A model that was asked."""

    model: str = _is(str)
    request: Any
    """What was asked, as plain JSON."""
    started: float = _is(float, int)
    """Seconds since the run began."""
    ended: float = _is(float, int)
    response: Any = None
    """What it answered, as plain JSON."""
    error: str | None = _is(str, _NONE, default=None)
    cached: bool = _is(bool, default=False)
    """It was answered out of a cache."""
    input_tokens: int | None = _is(int, _NONE, default=None)
    output_tokens: int | None = _is(int, _NONE, default=None)
    cost: str | None = attrs.field(default=None, validator=_COST)
    """US dollars; of all attempts."""
    story: str = _is(str, default="")
    """What was decided for it: attempts, waits, hits."""


@attrs.define(kw_only=True)
class TracedNode:
    """One execution of a node."""

    id: str = _is(str)
    name: str = _is(str)
    started: float | None = _is(float, int, _NONE)
    """Seconds since the run began; `None` if it never did, since what it needs has failed."""
    inputs: Any = None
    """Its arguments, as plain JSON."""
    ended: float | None = _is(float, int, _NONE, default=None)
    """`None`: it was cancelled, or goes on."""
    output: Any = None
    """Its result, as plain JSON."""
    error: str | None = _is(str, _NONE, default=None)
    calls: list[TracedCall] = attrs.field(factory=list)
    nodes: list[TracedNode] = attrs.field(factory=list)
    """What ran within it."""

    @property
    def state(self) -> str:
        """`done`, `failed`, `skipped` (what it needs has failed) or `cancelled`."""
        if self.error is not None:
            return "failed" if self.started is not None else "skipped"
        return "done" if self.ended is not None else "cancelled"

    @property
    def seconds(self) -> float | None:
        """How long it took, once it has ended."""
        if self.started is None or self.ended is None:
            return None
        return self.ended - self.started

    def walk(self, depth: int = 0) -> Iterator[tuple[int, TracedNode]]:
        """It and all within it, with their depths; no recursion."""
        stack = [(depth, self)]
        while stack:
            level, node = stack.pop()
            yield level, node
            stack.extend((level + 1, one) for one in reversed(node.nodes))


class Trace:
    """Hears a run and keeps what it did.

    ::

        trace = Trace()
        await client.run(flow, observer=trace)
        print(trace)
        trace.save("trace.html")
    """

    pieces = False  # a trace changes nothing about the calls

    def __init__(self) -> None:
        self.nodes: list[TracedNode] = []
        """The nodes of the run itself, in the order in which they began."""
        self._by_key: dict[int, TracedNode] = {}
        self._begin: float | None = None

    def __call__(self, event: FlowEvent) -> None:
        """Keep what an event says."""
        if isinstance(event, NodeStarted):
            self._started(event)
        elif isinstance(event, CallMade):
            self._by_key[event.key].calls.append(self._call(event))
        elif isinstance(event, NodeResult):
            node = self._by_key[event.key]
            node.ended, node.output = self._time(event.at), shown(event.value)
        elif isinstance(event, NodeError):
            self._failed(event)

    def _time(self, at: float) -> float:
        if self._begin is None:
            self._begin = at
        return at - self._begin

    def _started(self, event: NodeStarted) -> None:
        node = _named(event, self._time(event.at))
        node.inputs = {readable(name): shown(one) for name, one in event.inputs.items()}
        self._add(node, event.key, event.parent)

    def _add(self, node: TracedNode, key: int, parent: int | None) -> None:
        self._by_key[key] = node
        around = self._by_key.get(parent) if parent is not None else None
        (self.nodes if around is None else around.nodes).append(node)

    def _failed(self, event: NodeError) -> None:
        if event.derived:
            node = _named(event, None)
            self._add(node, event.key, event.parent)
        else:
            node = self._by_key[event.key]
            node.ended = self._time(event.at)
        node.error = _said(event.error)

    def _call(self, event: CallMade) -> TracedCall:
        events = event.ledger.events if event.ledger is not None else []
        spent = spent_in(events)
        return TracedCall(
            model=readable(event.request.model),
            request=shown(event.request),
            started=self._time(event.started),
            ended=self._time(event.ended),
            response=shown(event.response),
            error=None if event.error is None else _said(event.error),
            cached=any(isinstance(one, CacheHit) for one in events),
            input_tokens=spent.input_tokens,
            output_tokens=spent.output_tokens,
            cost=None if spent.cost is None else f"{spent.cost.normalize():f}",
            story=readable(event.response.explain()) if event.response is not None else "",
        )

    def walk(self) -> Iterator[tuple[int, TracedNode]]:
        """All nodes with their depths, each before what ran within it."""
        for node in self.nodes:
            yield from node.walk()

    @property
    def calls(self) -> list[TracedCall]:
        """All calls to models."""
        return [call for _, node in self.walk() for call in node.calls]

    @property
    def seconds(self) -> float:
        """From the begin of the run to the last that happened."""
        times = [time for _, node in self.walk() for time in (node.started, node.ended)]
        times += [call.ended for call in self.calls]
        return max([time for time in times if time is not None], default=0.0)

    @property
    def spent(self) -> Spent:
        """What all calls have used, as far as it was told."""
        calls = self.calls
        given = [one.input_tokens for one in calls if one.input_tokens is not None]
        made = [one.output_tokens for one in calls if one.output_tokens is not None]
        cost = [Decimal(one.cost) for one in calls if one.cost is not None]
        lacks = {
            "input_tokens": len(given) < len(calls),
            "output_tokens": len(made) < len(calls),
            "cost": len(cost) < len(calls),
        }
        return Spent(
            input_tokens=sum(given) if given or not calls else None,
            output_tokens=sum(made) if made or not calls else None,
            cost=sum(cost, Decimal(0)) if cost or not calls else None,
            unknown=tuple(name for name, lacking in lacks.items() if lacking),
        )

    def __str__(self) -> str:
        from llmmw.flow.trace._text import text_of

        return text_of(self)

    def to_dict(self) -> dict[str, Any]:
        """The tree as plain JSON values."""
        return {"version": 1, "nodes": [attrs.asdict(node) for node in self.nodes]}

    @classmethod
    def from_dict(cls, data: Any) -> Trace:
        """A trace that `to_dict` gave.

        Raises:
            BadRequest: if it is none.
        """
        trace = cls()
        try:
            if data["version"] != 1:
                raise BadRequest(f"a trace of version {data['version']!r} can't be read")
            trace.nodes = [_node(one) for one in data["nodes"]]
        except (KeyError, TypeError, ValueError, AttributeError, RecursionError) as error:
            raise BadRequest(f"this is no trace: {error}") from error
        return trace

    def to_json(self) -> str:
        """The tree as JSON."""
        return orjson.dumps(self.to_dict(), option=orjson.OPT_INDENT_2).decode()

    def to_html(self) -> str:
        """A page that needs nothing else, to be read in a browser."""
        from llmmw.flow.trace._html import page_of

        return page_of(self)

    def save(self, path: str | Path) -> None:
        """Write it to a file, in the form of its suffix: `.html`, `.json` or `.txt`.

        Raises:
            BadRequest: for another suffix.
        """
        forms = {".html": self.to_html, ".json": self.to_json, ".txt": self.__str__}
        suffix = Path(path).suffix
        if suffix not in forms:
            raise BadRequest(f"{path}: the suffix must be one of {', '.join(forms)}")
        Path(path).write_text(forms[suffix](), encoding="utf-8")


def _named(event: NodeEvent, started: float | None) -> TracedNode:
    return TracedNode(id=readable(event.node), name=readable(event.name), started=started)


def _said(error: Exception) -> str:
    said: str = shown(f"{type(error).__name__}: {readable(error)}")
    return said


def _node(data: dict[str, Any], depth: int = 0) -> TracedNode:
    if depth > _DEEP:
        raise BadRequest(f"this trace nests more than {_DEEP} deep")
    given = dict(data)
    given["calls"] = [TracedCall(**one) for one in data["calls"]]
    given["nodes"] = [_node(one, depth + 1) for one in data["nodes"]]
    return TracedNode(**given)
