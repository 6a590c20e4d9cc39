"""What was decided for a call: frozen events in the order of time.

The names of the events are API: instruments hear exactly what is written here.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, ParamSpec, TypeAlias

import attrs

from llmmw._batch_api_events import BatchFetched as BatchFetched
from llmmw._batch_api_events import BatchPolled as BatchPolled
from llmmw._batch_api_events import BatchSubmitted as BatchSubmitted
from llmmw._batch_api_events import WentLive as WentLive
from llmmw._batch_events import BatchJoined as BatchJoined
from llmmw._batch_events import BatchSplit as BatchSplit
from llmmw._cache_events import CacheHit as CacheHit
from llmmw._cache_events import CacheMissed as CacheMissed
from llmmw._cache_events import CacheStored as CacheStored
from llmmw._cache_events import StoreFailed as StoreFailed
from llmmw._events import AnswerRejected as AnswerRejected
from llmmw._events import AttemptEnded as AttemptEnded
from llmmw._events import AttemptFirst as AttemptFirst
from llmmw._events import AttemptSent as AttemptSent
from llmmw._events import AttemptStarted as AttemptStarted
from llmmw._events import BudgetRefused as BudgetRefused
from llmmw._events import CallEnded as CallEnded
from llmmw._events import CallStarted as CallStarted
from llmmw._events import CircuitChanged as CircuitChanged
from llmmw._events import DownloadProgress as DownloadProgress
from llmmw._events import Event as Event
from llmmw._events import FlightJoined as FlightJoined
from llmmw._events import FlightLeft as FlightLeft
from llmmw._events import FlightStarted as FlightStarted
from llmmw._events import HedgeFired as HedgeFired
from llmmw._events import LimitReached as LimitReached
from llmmw._events import QueueEntered as QueueEntered
from llmmw._events import QueueLeft as QueueLeft
from llmmw._events import StreamRestarted as StreamRestarted
from llmmw._events import StreamResumed as StreamResumed
from llmmw._events import TargetChosen as TargetChosen
from llmmw._events import TargetPassedOver as TargetPassedOver
from llmmw._events import WaitStarted as WaitStarted

__all__ = [
    "AnswerRejected",
    "AttemptEnded",
    "AttemptFirst",
    "AttemptSent",
    "AttemptStarted",
    "BatchFetched",
    "BatchJoined",
    "BatchPolled",
    "BatchSplit",
    "BatchSubmitted",
    "BudgetRefused",
    "CacheHit",
    "CacheMissed",
    "CacheStored",
    "CallEnded",
    "CallStarted",
    "CircuitChanged",
    "DownloadProgress",
    "Event",
    "FlightJoined",
    "FlightLeft",
    "FlightStarted",
    "HedgeFired",
    "Ledger",
    "LimitReached",
    "QueueEntered",
    "QueueLeft",
    "StoreFailed",
    "StreamRestarted",
    "StreamResumed",
    "TargetChosen",
    "TargetPassedOver",
    "WaitStarted",
    "WentLive",
]

P = ParamSpec("P")
Heard: TypeAlias = Callable[[Event], None]


@attrs.define(eq=False, repr=False)
class Ledger:
    """The events of one call. `hear` is called with each as it is written."""

    hear: Heard | None = None
    # Where nobody hears them, events are made when they are read: most never are.
    _rows: list[Any] = attrs.field(factory=list, init=False)
    _numbers: int = attrs.field(default=0, init=False)

    def write(self, kind: Callable[P, Event], *args: P.args, **fields: P.kwargs) -> None:
        """Record an event of this kind with these fields, and tell it to the instruments."""
        if self.hear is None:
            self._rows.append((partial(kind, **fields) if fields else kind, *args))
        else:
            self.add(kind(*args, **fields))

    def add(self, event: Event) -> None:
        """Record an event that is made already, and tell it to the instruments."""
        self._rows.append(event)
        if self.hear is not None:
            self.hear(event)

    @property
    def events(self) -> list[Event]:
        """What was written, in its order."""
        rows = self._rows
        for place, row in enumerate(rows):
            if type(row) is tuple:
                rows[place] = row[0](*row[1:])
        return list(rows)

    def __repr__(self) -> str:
        return f"<Ledger of {len(self._rows)} events>"

    def next_number(self) -> int:
        """A number for an attempt, one for the whole call."""
        self._numbers += 1
        return self._numbers

    @property
    def seconds(self) -> float | None:
        """From the first event to the last."""
        events = self.events
        return events[-1].time - events[0].time if events else None
