"""One request in flight."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Literal, Protocol, TypeAlias

import attrs
import trio

from llmmw._deltas import Delta
from llmmw._ledger import AttemptSent, Ledger
from llmmw._request import Request
from llmmw.errors import ConfigError

if TYPE_CHECKING:
    from llmmw._tasks import Host

__all__ = ["FIRM", "Attempt", "Call", "Listener", "OnInterrupt"]

Listener: TypeAlias = Callable[[Delta], Awaitable[None]]
"""Hears the pieces of an answer, one after another, and is awaited."""

OnInterrupt: TypeAlias = Literal["error", "restart", "resume", "buffer"]
"""What happens to an answer that breaks off after some of it was told; see `Call`."""

FIRM = ("error", "resume")
"""Of these, those after which nothing that was told is taken back."""


class Limit(Protocol):
    """A limit of time on an attempt, which stands still while the attempt waits to be sent."""

    def hold(self) -> None:
        """Do not run."""

    def start(self, now: float) -> None:
        """Run from `now` on, if it does not run."""


@attrs.define(eq=False)
class Attempt:
    """Which try of a call this is. `sent` is set by the innermost layer, once it left us."""

    number: int = 0
    reason: str = "first"
    target: str = ""
    sent: float | None = None
    limits: tuple[Limit, ...] = attrs.field(default=(), init=False, repr=False)
    """The limits on this attempt alone; those that are held count from sending."""
    silent: bool = attrs.field(default=False, init=False, repr=False)
    """Nobody listens to it: it streams for a policy's sake, so that its first content is seen."""
    continues: bool = attrs.field(default=False, init=False, repr=False)
    """It goes on with an answer of which the caller has heard a part."""

    def hold_limits(self) -> None:
        """Say that the attempt waits for a place, a download, …: nobody's slowness but ours.
        Once it is sent, this does nothing."""
        if self.sent is None:
            for limit in self.limits:
                limit.hold()

    def run_limits(self, now: float) -> None:
        """Have the limits run that are held."""
        for limit in self.limits:
            limit.start(now)

    def mark_sent(self, ledger: Ledger) -> None:
        """Say that the attempt leaves now; what it waited for before was not the provider."""
        if self.sent is None:
            now = trio.current_time()
            ledger.write(AttemptSent, now, self.number)
            self.leave(now)

    def leave(self, now: float) -> None:
        """Have left, unless it was before."""
        if self.sent is None:
            self.sent = now
            self.run_limits(now)


@attrs.frozen(eq=False)
class Call:
    """A request on its way down a chain. Frozen; `call.replace(…)` makes a changed one.

    A call has no deadline: the trio cancel scopes around it are its deadline.
    """

    request: Request
    listener: Listener | None = None
    """Hears the deltas; `None` lets the provider use its cheaper way without a stream."""
    on_interrupt: OnInterrupt = "error"
    """What happens when an answer breaks off after its listener has heard some of it: `error`
    raises, `restart` tells `Restarted` and begins anew, `resume` has another attempt go on with the
    text where it can and raises where it can't, `buffer` tells nothing before the end. Where nobody
    listens, it is always `restart`."""
    tenant: str = ""
    """On whose behalf; calls of different tenants never share an answer."""
    sample: int = 0
    """Which of several independent answers to the same request."""
    attempt: Attempt = attrs.field(factory=Attempt)
    ledger: Ledger = attrs.field(factory=Ledger)
    host: Host | None = None

    def replace(
        self,
        *,
        request: Request | None = None,
        listener: Listener | Literal["same"] | None = "same",
        on_interrupt: OnInterrupt | None = None,
        tenant: str | None = None,
        sample: int | None = None,
        attempt: Attempt | None = None,
        ledger: Ledger | None = None,
        host: Host | None = None,
    ) -> Call:
        """The same call with other fields. Written by hand: `attrs.evolve` costs thrice."""
        return Call(
            self.request if request is None else request,
            self.listener if listener == "same" else listener,
            self.on_interrupt if on_interrupt is None else on_interrupt,
            self.tenant if tenant is None else tenant,
            self.sample if sample is None else sample,
            self.attempt if attempt is None else attempt,
            self.ledger if ledger is None else ledger,
            self.host if host is None else host,
        )

    @property
    def firm(self) -> bool:
        """Whether what its listener has heard can't be taken back."""
        return self.on_interrupt in FIRM

    def listening(self, listener: Listener) -> Call:
        """The same call heard by a policy's own listener. If its caller does not listen, an
        interruption restarts it: every listener of a policy understands `Restarted`."""
        silent = self.listener is None
        return self.replace(listener=listener, on_interrupt="restart" if silent else None)

    def need_host(self, who: str) -> Host:
        """The host, for policies that keep work beyond a call.

        Raises:
            ConfigError: if the call has none; `who` names the policy that needs it.
        """
        if self.host is None:
            raise ConfigError(
                f"{who} needs a host for its background work: "
                "call through a Client, or with llmmw.testing.open_host()"
            )
        return self.host
