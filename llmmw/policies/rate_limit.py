"""Law: in every span of time, what starts stays within the limits of requests, tokens and money:
the span's share and one burst. Who does not fit waits in the order of coming, no longer than
needed, and is refused at once where its deadline comes first.

::

    RateLimit(requests=60)    a ├─────┤
                              b ·1 s·├─────┤
                              c ···2 s···├──────┤
                              d              (would wait 3 s, and has 2: shed at once)

What an attempt will use is estimated and taken of all limits together; what it did use takes the
place of that at its end. One that never left us gives all back; where nobody told what was used,
it stays as estimated. What the host says it has left never raises a limit, and after it has said
`RateLimited` nothing starts before the time it asked for.

Source: the generic cell rate algorithm, ITU-T I.371; its leaky bucket, J. Turner, "New Directions
in Communications", 1986. That failed requests count is in the hosts' own guides.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any, Literal, TypeAlias

import attrs
import trio

from llmmw._call import Call
from llmmw._chain import Handler
from llmmw._ledger import AttemptSent, AttemptStarted, QueueEntered, QueueLeft
from llmmw._prices import GivenPrices, Prices, prices_of
from llmmw._request import Request
from llmmw._response import Response, Usage
from llmmw._store import GivenStore, check_given, shown
from llmmw.errors import CallShed, ConfigError, LLMError
from llmmw.policies import _options
from llmmw.policies._buckets import Account, Costs, Ticket
from llmmw.policies._destinations import Destinations, shed
from llmmw.policies._estimate import input_estimate, output_estimate
from llmmw.policies._hints import Hint, hint_of
from llmmw.policies._turns import Sharing, Turn

__all__ = ["RateLimit"]

Amounts: TypeAlias = Mapping[str, float | None]
"""Of each limit, in its own unit; `None` is unknown."""

_LIMITS = ("requests", "input_tokens", "output_tokens", "money")
_NOTHING: Amounts = dict.fromkeys(_LIMITS, 0.0)
_LONGEST = 1e9
"""Seconds that one attempt takes of a limit, at most, so that sums stay exact."""


def _given_store(item: object, field: attrs.Attribute[Any], given: object) -> None:
    if given is not None:
        check_given("RateLimit", given)


@attrs.frozen(kw_only=True)
class RateLimit:
    """Bound how much starts in a span of time; further calls wait.

    Put it inside of the attempts, since every attempt counts, and outside of `Concurrency`, so
    that no place is held by who only waits. Limits of an attempt (`Timeout`) count from its
    sending. Who can't start before its deadline, or finds too many waiting, gets `CallShed` with
    the time as `retry_after`, at once and free of charge, and a fallback takes over.

    Args:
        requests: how many in a span of `per` seconds.
        input_tokens: how many in that span. Estimated as a token for each 4 bytes of text, 4 a
            message, 1000 an image or file.
        output_tokens: how many in that span. Estimated as the request's `max_output_tokens`.
        money: US dollars in that span, by `prices`. A target whose price is unknown is a
            `ConfigError`.
        per: seconds of the span.
        burst: seconds of the limits that may be used at once after a pause; hosts count requests
            over 1 to 10 s. One attempt may always start then, whatever it takes, and what comes
            after makes up for it.
        scope: what has limits of its own: each `provider` (an account), each `model`, or `all`
            together.
        only: the providers or models that are limited; all others pass. Default: none passes.
        queue: how many may wait; one more is shed.
        priority: of a call; higher ones go first, equal ones as they come. Default: all equal.
        estimate: counts the input tokens of a request, in place of the estimate above.
        output_estimate: tokens of an answer, where the request does not bound it.
        prices: before those of the client and the built-in ones, by target, or a file of them;
            see `llmmw.Prices`.
        store: where processes with the same limits share them, such as
            `"redis://host:6379"`. While it is out of reach, each goes by its own count.
    """

    requests: float | None = attrs.field(default=None, validator=_options.above_zero)
    input_tokens: float | None = attrs.field(default=None, validator=_options.above_zero)
    output_tokens: float | None = attrs.field(default=None, validator=_options.above_zero)
    money: float | None = attrs.field(default=None, validator=_options.above_zero)
    per: float = attrs.field(default=60.0, validator=_options.above_zero)
    burst: float = attrs.field(default=1.0, validator=_options.seconds(0))
    scope: Literal["provider", "model", "all"] = attrs.field(
        default="provider", validator=_options.one_of("provider", "model", "all")
    )
    only: tuple[str, ...] = attrs.field(default=(), converter=_options.names)
    queue: int = attrs.field(default=10_000, validator=_options.whole(0))
    priority: Callable[[Call], float] | None = None
    estimate: Callable[[Request], float] | None = None
    output_estimate: int = attrs.field(default=500, validator=_options.whole(0))
    prices: GivenPrices | None = attrs.field(default=None, hash=False)
    store: GivenStore | None = attrs.field(
        default=None, validator=_given_store, hash=False, repr=shown
    )
    _sharing: Sharing | None = attrs.field(init=False, eq=False, repr=False)
    _rates: dict[str, float] = attrs.field(init=False, eq=False, repr=False)
    _table: Prices = attrs.field(init=False, eq=False, repr=False)
    _accounts: Destinations[Account] = attrs.field(init=False, eq=False, repr=False)

    def __attrs_post_init__(self) -> None:
        limits = {name: getattr(self, name) for name in _LIMITS}
        rates = {name: limit / self.per for name, limit in limits.items() if limit is not None}
        if not rates:
            raise ConfigError(f"RateLimit() needs at least one of {', '.join(_LIMITS)}")
        if not all(0 < rate < math.inf for rate in rates.values()):
            raise ConfigError(f"RateLimit(per={self.per!r}): a limit comes to nothing in a second")
        if not all(isinstance(name, str) for name in self.only):
            raise ConfigError(f"RateLimit(only={self.only!r}): expected names of providers")
        table = prices_of(self.prices) if "money" in rates or self.prices else Prices(())
        burst, queue = self.burst, self.queue
        shared = self.store is not None
        accounts = Destinations(self.scope, lambda: Account(rates, burst, queue, shared))
        sharing = None if self.store is None else Sharing(self.store, f"{rates} {burst}")
        for name, made in (("rates", rates), ("table", table), ("accounts", accounts)):
            object.__setattr__(self, f"_{name}", made)
        object.__setattr__(self, "_sharing", sharing)

    async def __call__(self, call: Call, next: Handler) -> Response:
        request = call.request
        if self.only and not {request.model, request.provider_name}.intersection(self.only):
            return await next(call)
        name = self._accounts.name(call)
        now = trio.current_time()
        account = self._accounts.of(name, now)
        costs = [self._seconds(one, amount) for one, amount in self._expected(call).items()]
        taken = None if self._sharing else account.take(costs, now)
        ticket = taken or await self._wait(call, name, account, costs)
        spent: Amounts | None = None
        told: LLMError | Response | None = None
        try:
            told = response = await next(call)
            spent = _NOTHING if response.joined else self._used(call, response.usage)
            return response
        except LLMError as error:
            told, spent = error, self._failed(call, error)
            raise
        finally:
            if spent is None:  # cancelled, or the caller's listener failed
                spent = {} if _left_us(call) else _NOTHING
            real = [self._seconds(one, spent.get(one)) for one in self._rates]
            now = trio.current_time()
            hint: Hint | None = None
            account.settle(ticket, real, now)
            if told is not None and spent is not _NOTHING:
                hint = hint_of(call, told, self._rates, now)
            if hint is not None:
                hint.tell(account, now)  # last, so that no refund goes beyond it
            if self._sharing is not None:
                await self._sharing.settle(call, name, account, ticket, real, hint)

    def _seconds(self, name: str, amount: float | None) -> Any:
        return None if amount is None else min(amount / self._rates[name], _LONGEST)

    def _expected(self, call: Call) -> dict[str, float]:
        """What a call is estimated to take of each limit that there is."""
        request = call.request
        found: dict[str, float] = {}
        tokens, made = 0.0, output_estimate(request, self.output_estimate)
        if "input_tokens" in self._rates or "money" in self._rates:
            counted = self.estimate(request) if self.estimate else input_estimate(request)
            tokens = _checked("estimate", counted)
        for name in self._rates:
            if name == "requests":
                found[name] = 1.0
            elif name == "money":
                usage = Usage(input_tokens=math.ceil(tokens), output_tokens=made)
                found[name] = self._foretold(call, usage)
            else:
                found[name] = tokens if name == "input_tokens" else made
        return found

    def _cost(self, call: Call, usage: Usage) -> float | None:
        """What tokens cost: by the policy's own prices, else by the client's."""
        target = call.request.model
        cost, row = usage.cost, None
        if cost is None and "money" in self._rates:
            row = self._table.row(target)
            if call.host is not None and (row is None or self.prices is None):
                row = call.host.price(target)
            cost = None if row is None else row.cost(usage)
        return None if cost is None else float(cost)

    def _foretold(self, call: Call, usage: Usage) -> float:
        cost, target = self._cost(call, usage), call.request.model
        if cost is None:
            raise ConfigError(
                f"RateLimit(money={self.money:g}): the price of {target!r} is unknown; say it: "
                f'Client(prices={{"{target}": {{"input": "…", "output": "…"}}}}), in US dollars '
                "for a million tokens"
            )
        return cost

    def _used(self, call: Call, usage: Usage | None) -> Amounts:
        """What an answered attempt has used, as far as it was told."""
        if usage is None:
            return {"requests": 1.0}
        return {
            "requests": 1.0,
            "input_tokens": usage.input_tokens,
            "output_tokens": usage.output_tokens,
            "money": self._cost(call, usage),
        }

    def _failed(self, call: Call, error: LLMError) -> Amounts:
        """What a failed attempt has used."""
        if isinstance(error, CallShed) or not _left_us(call):
            return _NOTHING
        if error.processed is False:
            return {**_NOTHING, "requests": 1.0}
        return self._used(call, error.partial.usage if error.partial else None)

    async def _wait(self, call: Call, name: str, account: Account, costs: Costs) -> Ticket:
        """Wait for the turn of a call.

        Raises:
            CallShed: if it can't come in time.
        """
        call.attempt.hold_limits()
        begun, number = trio.current_time(), call.attempt.number
        ticket = account.enter(
            costs,
            begun,
            priority=_checked("priority", self.priority(call)) if self.priority else 0.0,
            deadline=trio.current_effective_deadline(),
        )
        turn = Turn(account, ticket)
        if self._sharing is not None:
            turn = self._sharing.turn(call, name, account, ticket)
        waits = False
        try:
            await turn.start()
            if ticket.state == "waiting":
                waits = True
                call.ledger.write(QueueEntered, begun, name, account.queue.index(ticket), number)
                await turn.wait()
        finally:
            now = trio.current_time()
            account.leave(ticket, now)
            if waits:
                call.ledger.write(QueueLeft, now, name, now - begun, number)
        if ticket.state == "started":
            return ticket
        await trio.lowlevel.checkpoint_if_cancelled()
        raise self._shed(call, name, max(ticket.due - trio.current_time(), 0.0))

    def _shed(self, call: Call, name: str, wait: float) -> CallShed:
        given = ", ".join(f"{one}={getattr(self, one):g}" for one in self._rates)
        return shed(
            call,
            f"RateLimit({given}): {name!r} has no room for another {wait:.3g} s, which is too "
            "late for this call, or too many wait; allow it more time, or ask another target",
            wait or None,
        )

    def statistics(self) -> dict[str, dict[str, Any]]:
        """Of each account: how many calls are `in_flight` and `waiting`, and what was `charged`
        so far, in the units of the limits."""
        return self._accounts.statistics()


def _checked(name: str, given: Any) -> float:
    """What a function of the user's gave, if it is a number."""
    low = 0 if name == "estimate" else -math.inf
    if not isinstance(given, (int, float)) or not low <= given < math.inf:
        raise ConfigError(f"RateLimit({name}=…) gave {given!r}: expected a number")
    return given


def _left_us(call: Call) -> bool:
    """Whether this attempt, or one that an inner layer made of it, was sent."""
    if call.attempt.sent is not None:
        return True
    ours = {call.attempt.number}
    for event in call.ledger.events:
        if isinstance(event, AttemptStarted) and event.parent in ours:
            ours.add(event.number)
        elif isinstance(event, AttemptSent) and event.number in ours:
            return True
    return False
