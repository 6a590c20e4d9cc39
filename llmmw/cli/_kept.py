"""What a cache has kept, as the command line shows it."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from typing import Any

import attrs

from llmmw._record import Record, RecordError, read_record
from llmmw._response import Generation, Response
from llmmw._store import Store, Stored

__all__ = ["Entry", "differences", "entries_of"]


@attrs.frozen
class Entry:
    """What is kept under a key; without a record where that can't be read."""

    stored: Stored
    record: Record | None

    @property
    def target(self) -> str:
        return self.record.target if self.record is not None else "(unreadable)"

    @property
    def answer(self) -> object:
        return self.record.answer if self.record is not None else None

    @property
    def text(self) -> str:
        """The answer in words."""
        if isinstance(self.answer, Generation):
            calls = (f"{call.name}({call.arguments})" for call in self.answer.tool_calls)
            return self.answer.text or " ".join(calls)
        if isinstance(self.answer, Response):
            return repr(self.answer)
        return "" if self.answer is None else f"{type(self.answer).__name__}: {self.answer}"

    @property
    def said(self) -> object:
        """What makes it another answer: not what it has cost, nor its id."""
        if isinstance(self.answer, Generation):
            return self.answer.message, self.answer.candidates
        return self.answer if isinstance(self.answer, Response) else self.text or self.stored.value

    def row(self) -> dict[str, Any]:
        """What `export` writes."""
        now, stored, record = time.time(), self.stored, self.record
        return {
            "key": stored.key,
            "target": self.target,
            "tenant": record.tenant if record is not None else "",
            "sample": record.sample if record is not None else 0,
            "made": now - stored.age,
            "expires": None if stored.ttl is None else now + stored.ttl,
            "text": self.text,
        }


def _entry(stored: Stored) -> Entry:
    try:
        return Entry(stored, read_record(stored.value))
    except RecordError:
        return Entry(stored, None)


async def entries_of(store: Store, target: str | None = None) -> AsyncIterator[Entry]:
    async for stored in store.scan():
        found = _entry(stored)
        if target is None or found.target == target:
            yield found


async def differences(one: Store, other: Store) -> AsyncIterator[tuple[str, Entry]]:
    old, new = one.scan(), other.scan()
    before, after = await anext(old, None), await anext(new, None)
    while before is not None or after is not None:
        if after is None or (before is not None and before.key < after.key):
            assert before is not None
            yield "-", _entry(before)
            before = await anext(old, None)
        elif before is None or after.key < before.key:
            yield "+", _entry(after)
            after = await anext(new, None)
        else:
            was, now = _entry(before), _entry(after)
            if was.said != now.said:
                yield "~", now
            before, after = await anext(old, None), await anext(new, None)
