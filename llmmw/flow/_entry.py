"""What a node has come to in a scope, and who is to be told of it."""

from __future__ import annotations

from types import TracebackType
from typing import Any, Protocol

import attrs

from llmmw._tasks import own_error
from llmmw.flow._node import Executable

__all__ = ["DONE", "RUNNING", "WAITING", "Entry", "mark", "raised", "settled"]

WAITING, RUNNING, DONE = range(3)


class Pool(Protocol):
    """Runs entries, as these need it."""

    ended: bool

    def offer(self, entry: Entry) -> None: ...
    def inherit(self, entry: Entry) -> None: ...
    def root_done(self, root: Entry) -> None: ...


@attrs.define(eq=False)
class Entry:
    """What a node has come to in a scope."""

    node: Executable[Any] | None
    """Let go once it is done, so that its entry is forgotten with it."""
    alive: object
    """Has it forgotten."""
    pool: Pool | None = None
    state: int = WAITING
    value: Any = None
    error: Exception | None = None
    raised: tuple[list[str], TracebackType | None] | None = None
    """The notes and the traceback of its error as they were before somebody had it."""
    missing: int = -1
    """How many of its inputs are not done; -1: not looked at yet."""
    dependents: list[Entry] = attrs.field(factory=list)
    awaited_by: list[Pool] = attrs.field(factory=list)
    """The pools that end when it is done."""
    wanted_by: list[Pool] = attrs.field(factory=list)
    """Other pools that would run it, should its own end before it has."""
    note: Any = None
    """What its execution keeps besides the value."""


def settled(entry: Entry, error: Exception | None) -> list[Entry]:
    """Note that it is done, and tell the pools that wait; the entries that needed it."""
    entry.state, entry.error, entry.node, entry.pool = DONE, error, None, None
    for pool in entry.awaited_by:
        pool.root_done(entry)
    entry.awaited_by.clear()
    entry.wanted_by.clear()
    dependents, entry.dependents = entry.dependents, []
    for dependent in dependents:
        dependent.missing -= 1
    return dependents


def mark(error: Exception) -> tuple[list[str], TracebackType | None]:
    """What is written on an error by now."""
    return list(getattr(error, "__notes__", ())), error.__traceback__


def raised(entry: Entry) -> Exception:
    """Its error; a copy for all but the first who has it: on the way each node writes on it."""
    error = entry.error
    assert error is not None
    if entry.raised is None:
        entry.raised = mark(error)
        return error
    own = own_error(error)
    if own is not error:
        notes, trace = entry.raised
        own.__notes__ = list(notes)
        own.__traceback__ = trace
    return own
