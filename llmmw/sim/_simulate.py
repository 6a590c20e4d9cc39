"""Running a stack in virtual time against a world."""

from __future__ import annotations

import math
import random
from array import array
from collections import Counter, defaultdict
from collections.abc import Sequence
from typing import Any

import attrs
import trio

from llmmw._arguments import check_layers, check_targets
from llmmw._call import Call
from llmmw._chain import Handler, Middleware, chain, describe
from llmmw._config._accounts import layers_in
from llmmw._deltas import Delta, PartDelta, Restarted
from llmmw._ledger import (
    AttemptEnded,
    AttemptStarted,
    CircuitChanged,
    Event,
    Ledger,
    LimitReached,
    QueueLeft,
    StreamRestarted,
    WaitStarted,
)
from llmmw._request import Generate
from llmmw._tasks import Host, open_host, open_nursery
from llmmw.errors import ConfigError, LLMError
from llmmw.sim._hosts import Asked, Hosts, asked
from llmmw.sim._report import Report
from llmmw.sim._virtual import run_fast
from llmmw.sim._world import WorldModel, key_of
from llmmw.sim._world_file import load_world

__all__ = ["simulate"]

_DETAIL: dict[type[Event], str] = {
    AttemptStarted: "reason",
    AttemptEnded: "outcome",
    WaitStarted: "why",
    LimitReached: "limit",
    CircuitChanged: "state",
    StreamRestarted: "reason",
}
"""By which of its fields an event is counted."""

_LONG = 86_400.0
"""Virtual seconds after the last call; what goes on then never ends."""


def simulate(
    stack: Sequence[Middleware],
    target: str = "sim:a",
    *,
    world: WorldModel | None = None,
    requests: int = 10_000,
    rate: float = 10.0,
    seed: int = 1,
) -> Report:
    """Send calls through a stack, in virtual time, against a world in place of real targets.

    Calls come at random, as those of many callers do (a Poisson process), and do not wait for
    each other. The same arguments give the same report. It runs trio itself, so that it can't be
    called from async code.

    Args:
        stack: the layers, outermost first, not used before: what they learn stays in them.
        target: whom calls ask.
        world: how targets answer; default: `load_world("reference")`.
        requests: how many calls.
        rate: calls a second, on average.
        seed: of all that is left to chance.

    Raises:
        ConfigError: for a number that can't be, or a target that the world does not have.
    """
    check_layers(stack)
    check_targets([target])
    if requests < 1 or not 0.0 < rate < math.inf:
        raise ConfigError(f"simulate(requests={requests}, rate={rate}): expected more than 0")
    world = load_world() if world is None else world
    run = _Run(tuple(stack), target, world, requests, rate, seed)
    return run_fast(run.live, seed)


def _unknown(requests: int) -> array[float]:
    return array("d", [math.nan]) * requests


@attrs.define(eq=False)
class _Run:
    """One simulation."""

    stack: tuple[Middleware, ...]
    target: str
    world: WorldModel
    requests: int
    rate: float
    seed: int
    hosts: Hosts = attrs.field(init=False)
    handler: Handler = attrs.field(init=False)
    request: Generate = attrs.field(init=False)
    first_tokens: array[float] = attrs.field(init=False)
    completions: array[float] = attrs.field(init=False)
    errors: Counter[str] = attrs.field(factory=Counter, init=False)
    counts: Counter[tuple[type[Event], str]] = attrs.field(factory=Counter, init=False)
    waited: defaultdict[str, float] = attrs.field(init=False)

    def __attrs_post_init__(self) -> None:
        self.hosts = Hosts(self.world, key_of(self.seed))
        self.handler = chain(*self.stack, provider=self.hosts)
        text = "word" * max(self.world.callers.input_tokens - 4, 1)
        self.request = Generate(model=self.target, messages=[text])
        self.waited = defaultdict(float)
        self.first_tokens = _unknown(self.requests)
        self.completions = _unknown(self.requests)

    async def live(self) -> Report:
        """All of it; the callers are tasks of one nursery."""
        self.world.target(self.target)  # a wrong name is told before anything runs
        arrivals = random.Random(f"arrivals of {self.seed}")  # noqa: S311 (no secret)
        at = 0.0
        async with open_host([self.hear]) as host:
            host.random = random.Random(self.seed)  # noqa: S311
            async with open_nursery() as nursery:
                for number in range(self.requests):
                    at += arrivals.expovariate(self.rate)
                    await trio.sleep_until(at)
                    nursery.start_soon(self.call, number, host)
                # A call that nothing bounds must not keep the others from being reported.
                nursery.cancel_scope.deadline = at + _LONG
            return self.report()

    async def call(self, number: int, host: Host) -> None:
        """One call, and what its caller sees."""
        asked.set(Asked(number))
        callers, begun = self.world.callers, trio.current_time()

        async def hear(delta: Delta) -> None:
            if isinstance(delta, Restarted):
                self.first_tokens[number] = math.nan
            elif isinstance(delta, PartDelta) and math.isnan(self.first_tokens[number]):
                self.first_tokens[number] = trio.current_time() - begun

        # Each call is a sample of its own: the same question would otherwise be shared or cached.
        call = Call(
            self.request,
            hear,
            callers.on_interrupt,
            sample=number,
            ledger=Ledger(self.hear),
            host=host,
        )
        try:
            if callers.patience == math.inf:
                await self.handler(call)
            else:
                with trio.fail_after(callers.patience):
                    await self.handler(call)
            self.completions[number] = trio.current_time() - begun
            if math.isnan(self.first_tokens[number]):
                self.first_tokens[number] = self.completions[number]
        except (LLMError, trio.TooSlowError) as error:
            gave_up = isinstance(error, trio.TooSlowError)
            self.errors["GaveUp" if gave_up else type(error).__name__] += 1
        finally:
            if math.isnan(self.completions[number]):
                self.first_tokens[number] = math.nan

    def hear(self, event: Event) -> None:
        """Count an event."""
        kind = type(event)
        detail = _DETAIL.get(kind)
        self.counts[kind, "" if detail is None else getattr(event, detail)] += 1
        if isinstance(event, WaitStarted):
            self.waited[event.why] += event.until - event.time
        elif isinstance(event, QueueLeft):
            self.waited["queue"] += event.seconds

    def report(self) -> Report:
        """What was seen, when the last caller has gone."""
        events: dict[str, dict[str, int]] = {}
        for (kind, detail), count in self.counts.items():
            events.setdefault(kind.__name__, {})[detail] = count
        never = sum(map(math.isnan, self.completions)) - self.errors.total()
        if never:
            self.errors["NeverEnded"] = never
        return Report(
            stack=tuple(str(layer) for layer in describe(self.stack)),
            world=self.world.name,
            requests=self.requests,
            rate=self.rate,
            seed=self.seed,
            seconds=trio.current_time(),
            errors=self.errors,
            targets=self.hosts.meters,
            events=events,
            waited=self.waited,
            policies=tuple(_statistics(self.stack)),
            first_tokens=self.first_tokens,
            completions=self.completions,
        )


def _statistics(stack: Sequence[Middleware]) -> list[tuple[str, dict[str, Any]]]:
    every = [one for layer in stack for one in (layer, *layers_in(layer))]
    counting = [one for one in every if callable(getattr(one, "statistics", None))]
    names = [str(*describe([one])) for one in counting]
    return [(name, one.statistics()) for name, one in zip(names, counting, strict=True)]
