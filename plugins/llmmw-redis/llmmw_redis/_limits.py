"""Limits that several processes share: buckets in a Redis, taken from by one script at a time."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from functools import cache
from hashlib import sha1
from importlib.resources import files
from typing import Any

import attrs

from llmmw.plugin import Levels, StoreError

__all__ = ["Limits"]


@cache
def _script() -> tuple[str, str]:
    """The script, and the name by which a server knows it."""
    text = files(__package__).joinpath("buckets.lua").read_text("utf-8")
    return text, sha1(text.encode(), usedforsecurity=False).hexdigest()


@attrs.frozen
class Limits:
    """The accounts of a server."""

    ask: Callable[..., Awaitable[list[Any]]]
    prefix: str

    async def take(self, account: str, costs: Mapping[str, float], burst: float) -> Levels:
        """Take of all buckets at once, or of none."""
        given = [text for name, cost in costs.items() for text in (name, _text(cost))]
        return _levels(await self._run(account, "take", "", _text(burst), *given))

    async def settle(
        self,
        account: str,
        burst: float,
        changes: Mapping[str, float],
        left: Mapping[str, float],
        ago: float,
        frozen: float,
    ) -> None:
        """Change what was taken, and what is known."""
        rows: list[str] = []
        for name in {**changes, **left}:
            known = _text(left[name]) if name in left else ""
            rows += [name, _text(changes.get(name, 0.0)), known]
        until = _text(frozen) if frozen > 0 else ""
        await self._run(account, "settle", "", _text(burst), until, _text(ago), *rows)

    async def _run(self, account: str, *given: str) -> list[Any]:
        text, known = _script()
        named = (1, self.prefix + account, *given)
        try:
            (reply,) = await self.ask(("EVALSHA", known, *named))
        except StoreError as error:
            if "NOSCRIPT" not in str(error):
                raise
            (reply,) = await self.ask(("EVAL", text, *named))
        found: list[Any] = reply
        return found


def _text(number: float) -> str:
    return repr(float(number))


def _levels(reply: list[Any]) -> Levels:
    taken, now, frozen, *rows = reply
    full = {
        name.decode(): float(instant) - float(now)
        for name, instant in zip(rows[::2], rows[1::2], strict=True)
    }
    return Levels(bool(taken), full, float(frozen) - float(now))
