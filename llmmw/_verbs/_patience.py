"""How verbs are asked: within a limit of time, again where that is safe, and again and again until
something has ended."""

from __future__ import annotations

import math
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from typing import TypeVar

import trio

from llmmw.errors import BadRequest, DeadlineExceeded, LLMError

__all__ = ["SHORT", "STUMBLES", "ask_verb", "sleep_before_poll", "wait_for", "within"]

T = TypeVar("T")

SHORT = 60.0
"""Seconds that a verb may take which moves no files. The vendors' own clients: 600 s, and 10 s."""
_TRIES = 3
_FIRST, _LONGEST = 0.5, 30.0
_MOST_HINT = 120.0
STUMBLES = 8
"""So many polls may fail one after another."""


@contextmanager
def within(seconds: float | None, verb: str) -> Iterator[None]:
    """A limit of time for a verb.

    Raises:
        DeadlineExceeded: if it ran out.
    """
    limit = _checked(seconds)
    with trio.move_on_after(limit) as scope:
        yield
    if scope.cancelled_caught:
        raise _late(verb, limit)


def _checked(seconds: float | None) -> float:
    if seconds is None:
        return math.inf
    if isinstance(seconds, bool) or not isinstance(seconds, (int, float)) or not seconds >= 0:
        raise BadRequest(f"timeout={seconds!r}: expected seconds from 0 on, or None")
    return seconds


def _late(verb: str, seconds: float, last: str = "") -> DeadlineExceeded:
    told = f"; it was {last!r} at last" if last else ""
    return DeadlineExceeded(
        f"{verb} took longer than {seconds:g} s{told}", limit="total", after=seconds, layer=verb
    )


async def ask_verb(
    ask: Callable[[], Awaitable[T]], verb: str, timeout: float | None, *, reads: bool
) -> T:
    """Ask a host, and again after a failure that may pass: always if it only `reads`; else where
    the host has surely not done what was asked.

    Raises:
        LLMError: what it said at last.
    """
    with within(timeout, verb):
        for tries in range(1, _TRIES + 1):
            try:
                return await ask()
            except LLMError as error:
                again = error.retryable and (reads or error.processed is False)
                pause = _pause(tries, error)
                if not again or tries == _TRIES or pause > _left():
                    raise
            await trio.sleep(pause)
    raise AssertionError("unreachable")


async def wait_for(
    ask: Callable[[], Awaitable[T]],
    ended: Callable[[T], bool],
    status: Callable[[T], str],
    hear: Callable[[T], None],
    *,
    verb: str,
    timeout: float | None,
) -> T:
    """Ask a host how far something is until it has ended, ever more seldom.

    Raises:
        DeadlineExceeded: if the time ran out; with the host's last word.
        LLMError: if the host does not tell, several times in a row.
    """
    last = ""
    stumbles = polls = 0
    with trio.move_on_after(_checked(timeout)):
        while True:
            pause = _pause(polls := polls + 1)
            try:
                with within(SHORT, verb):  # a look that hangs is a stumble, too
                    found = await ask()
            except LLMError as error:
                stumbles += 1
                if not error.retryable or stumbles == STUMBLES:
                    raise
                pause = _pause(polls, error)
            else:
                stumbles, last = 0, status(found)
                hear(found)
                if ended(found):
                    return found
            await sleep_before_poll(pause)
    assert timeout is not None
    raise _late(verb, timeout, last)


async def sleep_before_poll(pause: float) -> None:
    """Sleep, but wake before the deadline, so that one more look is taken."""
    await trio.sleep(min(pause, max(_left() / 2, 0.1)))


def _left() -> float:
    return trio.current_effective_deadline() - trio.current_time()


def _pause(tries: int, error: LLMError | None = None) -> float:
    """Seconds: what the host asks for, else more each time."""
    if error is not None and error.retry_after is not None:
        return min(max(0.0, error.retry_after), _MOST_HINT)  # so ordered, 0 for what is no number
    return min(_FIRST * 1.5 ** min(tries - 1, 40), _LONGEST)
