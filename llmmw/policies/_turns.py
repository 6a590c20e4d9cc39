"""Whose turn it is at an account: by its own buckets, or by those that processes share."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping, Sequence

import attrs
import trio

from llmmw._call import Call
from llmmw._ledger import StoreFailed
from llmmw._shared_buckets import SharedBuckets
from llmmw._store import GivenStore, name_of_store, opened
from llmmw.errors import ConfigError, PluginError
from llmmw.policies._buckets import Account, Ticket
from llmmw.policies._hints import Hint

__all__ = ["Sharing", "Turn"]

_AGAIN = 1.0
"""Seconds after which shared buckets are asked anew: others may have given back."""
_PAUSE = 0.001
"""Seconds before they are asked anew at the earliest."""


@attrs.define(eq=False)
class Turn:
    """A ticket that waits at an account, to which it was given."""

    account: Account
    ticket: Ticket
    _changed: trio.Event = attrs.field(factory=trio.Event, init=False)

    def __attrs_post_init__(self) -> None:
        self.ticket.wake = lambda: self._changed.set()

    async def wait(self) -> None:
        """Wait until it has started, or can't."""
        while self.ticket.state == "waiting":
            self._changed = trio.Event()
            with trio.move_on_at(self.when()):
                await self._changed.wait()
            await self.start()

    def is_first(self) -> bool:
        """Whether it is the first in line."""
        return self.ticket.state == "waiting" and self.account.queue[0] is self.ticket

    def when(self) -> float:
        """When it is worth a try."""
        return self.ticket.due if self.is_first() else math.inf

    async def start(self) -> None:
        """Start it, if it is its turn."""
        self.account.start(self.ticket, trio.current_time())


@attrs.define(eq=False)
class _SharedTurn(Turn):
    """A ticket of an account that others take from, too: they are asked, and the account's own
    buckets show what they said. If they are out of reach, these decide."""

    sharing: Sharing = attrs.field(kw_only=True)
    call: Call = attrs.field(kw_only=True)
    name: str = attrs.field(kw_only=True)
    _asked: float = attrs.field(default=-math.inf, init=False)

    def when(self) -> float:
        """When it is due as far as is known here, or when it is time to look."""
        due = min(super().when(), self._asked + _AGAIN if self.is_first() else math.inf)
        return max(due, self._asked + _PAUSE)

    async def start(self) -> None:
        """Ask whether it may start."""
        if not self.is_first() or trio.current_time() < self.when():
            return
        account, ticket = self.account, self.ticket
        costs = dict(zip(account.rates, ticket.costs, strict=True))
        try:
            buckets = await self.sharing.buckets(self.call)
            with trio.CancelScope(shield=True):  # or nobody knew whether it was taken
                levels = await buckets.take(self.sharing.account(self.name), costs, account.burst)
        except (ConfigError, PluginError):
            raise
        except Exception as error:  # a store is never worth a call
            self.sharing.tell(self.call, error)
            account.start(ticket, trio.current_time())
            return
        self._asked = now = trio.current_time()
        started = levels.taken and account.start(ticket, now, granted=True)
        full = [now + levels.full.get(name, -math.inf) for name in account.rates]
        account.mirror(full, now + levels.frozen, now)
        ticket.granted = levels.taken
        if levels.taken and not started:  # it was shed while it was asked for
            await self.sharing.settle(self.call, self.name, account, ticket, [0.0] * len(costs))


@attrs.frozen(eq=False)
class Sharing:
    """The store in which a rate limit's buckets are."""

    given: GivenStore
    limits: str
    """What tells its limits from others of the same account."""

    def turn(self, call: Call, name: str, account: Account, ticket: Ticket) -> Turn:
        """The turn of a ticket."""
        return _SharedTurn(account, ticket, sharing=self, call=call, name=name)

    def account(self, name: str) -> str:
        """What the store calls an account: all who share it have the same limits."""
        return f"{hashlib.sha256(self.limits.encode()).hexdigest()[:16]}:{name}"

    async def buckets(self, call: Call) -> SharedBuckets:
        """The store, open.

        Raises:
            ConfigError: if it has no buckets.
        """
        store = await opened(call.need_host("RateLimit(store=…)"), self.given)
        if not isinstance(store, SharedBuckets):
            raise ConfigError(
                f"RateLimit(store=…): the store {name_of_store(self.given)!r} keeps no limits for "
                "several processes; that of llmmw-redis does"
            )
        return store

    def tell(self, call: Call, error: Exception) -> None:
        """Write that the store failed."""
        name, message = name_of_store(self.given), f"{type(error).__name__}: {error}"
        call.ledger.write(StoreFailed, trio.current_time(), name, message, call.attempt.number)

    async def settle(
        self,
        call: Call,
        name: str,
        account: Account,
        ticket: Ticket,
        spent: Sequence[float | None],
        hint: Hint | None = None,
    ) -> None:
        """Tell the store what was really spent, and what a host has said."""
        now = trio.current_time()
        changes = _changes(account.rates, ticket, spent)
        if not changes and hint is None:
            return
        left, told, until = (hint.left, hint.told, hint.until) if hint else ({}, now, now)
        try:
            with trio.CancelScope(shield=True):  # the store bounds it
                buckets = await self.buckets(call)
                await buckets.settle(
                    self.account(name),
                    account.burst,
                    changes,
                    left=left,
                    ago=now - told,
                    frozen=max(until - now, 0.0),
                )
        except Exception as error:  # a store is never worth an answer
            self.tell(call, error)


def _changes(
    rates: Mapping[str, float], ticket: Ticket, spent: Sequence[float | None]
) -> dict[str, float]:
    """What is to be added to what the store has taken for a ticket; that is nothing for one which
    started without it."""
    found: dict[str, float] = {}
    for name, cost, real in zip(rates, ticket.costs, spent, strict=True):
        change = (cost if real is None else real) - (cost if ticket.granted else 0.0)
        if change:
            found[name] = change
    return found
