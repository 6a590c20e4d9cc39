"""A planted key, and an ear for all that is logged."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager

__all__ = ["PLANTED", "leaks"]

PLANTED = "sk-planted-7h1s1sN0tAr3alK3y-42"


class _Ear(logging.Handler):
    def __init__(self, said: list[str]) -> None:
        super().__init__(logging.DEBUG)
        self._said = said

    def emit(self, record: logging.LogRecord) -> None:
        self._said += [record.getMessage(), repr(record.args)]


@contextmanager
def leaks(said: list[str]) -> Iterator[None]:
    """Append whatever any logger says, at whatever level, as long as the block runs."""
    root = logging.getLogger()
    ear, level = _Ear(said), root.level
    named = [
        one for one in logging.Logger.manager.loggerDict.values() if isinstance(one, logging.Logger)
    ]
    levels = [(one, one.level) for one in named]
    root.addHandler(ear)
    root.setLevel(logging.DEBUG)
    for one in named:
        one.setLevel(logging.DEBUG)
    try:
        yield
    finally:
        root.removeHandler(ear)
        root.setLevel(level)
        for one, before in levels:
            one.setLevel(before)
