"""Instruments: whoever hears the events of all calls as they happen."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from typing import TypeAlias

from llmmw._ledger import Event

__all__ = ["Instrument", "tell_all"]

Instrument: TypeAlias = Callable[[Event], None]
"""Called with every event of every call; must be quick. What it raises is logged and dropped."""

_log = logging.getLogger("llmmw.instrument")


def tell_all(instruments: Sequence[Instrument]) -> Instrument | None:
    """One instrument for all; `None` where nobody listens, so that nothing is called."""
    if not instruments:
        return None

    def tell(event: Event) -> None:
        for instrument in instruments:
            try:
                instrument(event)
            except Exception:  # an observer never changes what it observes (law L89)
                _log.exception("an instrument failed on %s", type(event).__name__)

    return tell
