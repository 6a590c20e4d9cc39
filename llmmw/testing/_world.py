"""A scripted world: targets and what their attempts do, callers and how they behave.

`run_world` sends the callers through a stack and gives the trace that the laws look at.
"""

from __future__ import annotations

import contextvars
import math
import random
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from typing import Literal, TypeAlias

import attrs
import trio

from llmmw._call import Call, Listener, OnInterrupt
from llmmw._capabilities import Capabilities
from llmmw._chain import Handler, Middleware
from llmmw._deltas import Delta
from llmmw._instrument import Instrument
from llmmw._ledger import Event
from llmmw._request import Embed
from llmmw._response import Response
from llmmw._session import Client
from llmmw.sim import Fault, Script, SimulatedProvider
from llmmw.testing._subject import MakeStack, Subject, maker_of
from llmmw.testing._trace import CallTrace, Entry, Told, Trace
from llmmw.testing._unasked import Unasked
from llmmw.testing._virtual import StopAt, run_virtual

__all__ = ["TARGETS", "Caller", "Fault", "MakeStack", "Tired", "World", "run_world"]

Attempts: TypeAlias = str | Script | Sequence[str | Script]
"""What the attempts on one target do, in turn; the last goes on for ever."""

TARGETS = ("sim:a", "sim:b", "sim:c")
"""The targets of drawn worlds."""


class Tired(Exception):
    """What the callers of a world raise when they have had enough."""


@attrs.frozen(kw_only=True)
class Caller:
    """Someone who calls.

    Args:
        arrive: when.
        mode: `ask` without a listener, `listen` (ask with one), or `stream`.
        on_interrupt: as for a call.
        patience: seconds until it gives up. (Nobody waits for ever.)
        by_hand: it gives up by cancelling, which nobody can foresee, not by a deadline.
        pauses: seconds that it takes over each delta, in turn.
        raises_at: the delta over which it raises `Tired`.
        leaves_at: the delta after which it leaves the stream.
        asks: what. Callers who ask the same share a flight where the stack lets them; whoever
            asks nothing in particular asks what nobody else does.
    """

    arrive: float = 0.0
    mode: Literal["ask", "listen", "stream"] = "ask"
    on_interrupt: OnInterrupt = "error"
    patience: float = 1000.0
    by_hand: bool = False
    pauses: tuple[float, ...] = ()
    raises_at: int | None = None
    leaves_at: int | None = None
    asks: str = ""


def _row(given: Attempts) -> tuple[Script, ...]:
    row = (given,) if isinstance(given, (str, Script)) else given
    return tuple(Script(pieces=one) if isinstance(one, str) else one for one in row)


def _rows(given: Mapping[str, Attempts]) -> Mapping[str, tuple[Script, ...]]:
    return {target: _row(attempts) for target, attempts in given.items()}


def _callers(given: Caller | Iterable[Caller]) -> tuple[Caller, ...]:
    return (given,) if isinstance(given, Caller) else tuple(given)


@attrs.frozen(kw_only=True)
class World:
    """Targets and callers.

    ::

        World(
            scripts={"sim:a": [Script(first=2, error=Fault("busy")), "hello"], "sim:b": "hi"},
            callers=[Caller(), Caller(arrive=1.5, mode="stream", patience=4)],
        )

    Args:
        scripts: what the attempts on each target of the provider `sim` do: a text or a script, or
            several in turn, of which the last goes on for ever. Callers ask the first target.
        callers: who calls; one, or several.
        chance: the number that every draw of the jitter gives.
        greets: the provider says that it begins before it has any content.
        prefill, unable: targets that go on with a begun answer; that can't serve any caller.
    """

    scripts: Mapping[str, tuple[Script, ...]] = attrs.field(converter=_rows)
    callers: tuple[Caller, ...] = attrs.field(default=(Caller(),), converter=_callers)
    chance: float = 0.5
    greets: bool = False
    prefill: tuple[str, ...] = ()
    unable: tuple[str, ...] = ()

    def provider(self) -> SimulatedProvider:
        """A provider with the targets of this world, for a client of your own."""
        scripts = {target.partition(":")[2]: row for target, row in self.scripts.items()}
        able = {target.partition(":")[2]: Capabilities(prefill=True) for target in self.prefill}
        able |= {t.partition(":")[2]: Capabilities(kinds=frozenset({Embed})) for t in self.unable}
        return SimulatedProvider(scripts, greets=self.greets, able=able)


class _Even(random.Random):
    """Always the same chance, so that the length of every wait is known."""

    def __init__(self, chance: float) -> None:
        super().__init__()
        self.chance = chance

    def random(self) -> float:
        return self.chance


_here: contextvars.ContextVar[Entry | None] = contextvars.ContextVar("entry", default=None)


class _Run:
    def __init__(
        self,
        world: World,
        stack: Sequence[Middleware],
        probes: bool,
        step: int,
        instruments: Sequence[Instrument],
    ) -> None:
        self.world = world
        self.instruments = (*instruments, self.hear)
        self.stack = tuple(stack)
        self.order: dict[int, int] = {}
        self.kept: list[object] = []
        self.count = 0
        self.calls = [CallTrace(i, c, self.order) for i, c in enumerate(world.callers)]
        self.unasked = Unasked()
        self.scopes = [trio.CancelScope() for _ in world.callers]
        self.probes = probes
        self.stop_at = StopAt(step, lambda: self.stop(0))
        self.provider = world.provider()

    def next(self) -> int:
        self.count += 1
        return self.count

    def hear(self, event: Event) -> None:
        self.kept.append(event)  # or its identity might be given to another one
        self.order[id(event)] = self.next()

    def stop(self, index: int) -> None:
        """Cancel a caller by hand."""
        call = self.calls[index]
        if call.done == math.inf and call.stopped == math.inf:
            call.stopped, call.stopped_order = trio.current_time(), self.next()
            self.scopes[index].cancel()

    def probe(self, depth: int) -> Middleware:
        """A pass-through layer that notes everything that passes."""

        async def probe(call: Call, next: Handler) -> Response:
            now = trio.current_time()
            parent = _here.get()
            known = self.calls[int(call.request.metadata["caller"])]
            trace = self.unasked.trace_of(call, known, parent)
            if parent is not None and parent.call.ledger is not call.ledger:
                parent = None
            entry = Entry(depth, call, now, self.next(), trio.current_effective_deadline(), parent)
            trace.entries.append(entry)
            if parent is not None:
                parent.children.append(entry)
            token = _here.set(entry)
            inner = call
            if call.listener is not None:
                inner = call.replace(listener=self.noting(entry, call.listener))
            try:
                entry.response = await next(inner)
                entry.outcome = "ok"
                return entry.response
            except BaseException as error:
                entry.outcome = "error" if isinstance(error, Exception) else "cancelled"
                entry.error, entry.cause = error, error.__cause__
                raise
            finally:
                _here.reset(token)
                entry.ended, entry.ended_order = trio.current_time(), self.next()
                entry.deadline_at_end = trio.current_effective_deadline()
                self.unasked.note(trace, entry)

        return probe

    def noting(self, entry: Entry, listener: Listener) -> Listener:
        async def note(delta: Delta) -> None:
            told = Told(delta, trio.current_time(), self.next())
            entry.told.append(told)
            try:
                await listener(delta)
                told.heard = trio.current_time()
            finally:
                told.over, told.over_order = trio.current_time(), self.next()

        return note

    def probed(self) -> list[Middleware]:
        layers: list[Middleware] = [self.probe(0)]
        for depth, layer in enumerate(self.stack, 1):
            layers.append(layer)
            if self.probes or depth == len(self.stack):
                layers.append(self.probe(depth))
        return layers

    async def live(self) -> Trace:
        tasks = trio.lowlevel.current_statistics().tasks_living
        client = Client(
            next(iter(self.world.scripts)),
            stack=self.probed(),
            providers=[self.provider],
            instruments=self.instruments,
        )
        async with client:
            client.host.random = _Even(self.world.chance)
            async with trio.open_nursery() as nursery:
                for call in self.calls:
                    nursery.start_soon(self.caller, client, call)
            reached = any(e.depth == len(self.stack) for c in self.calls for e in c.entries)
            known = reached + len(client.host.stores)
            background = len(client.host.nursery.child_tasks) - known
            background = 0 if self.unasked.live else background
        return Trace(
            self.world,
            self.stack,
            [*self.calls, *self.unasked.calls],
            self.provider.seen,
            bottom=len(self.stack),
            live=self.provider.live,
            tasks=trio.lowlevel.current_statistics().tasks_living - tasks,
            background=background,
            steps=self.stop_at.steps,
        )

    async def caller(self, client: Client, call: CallTrace) -> None:
        caller, scope = call.caller, self.scopes[call.index]
        await trio.sleep(caller.arrive)
        call.arrived = trio.current_time()
        async with trio.open_nursery() as nursery:
            if caller.by_hand:
                nursery.start_soon(self.lose_patience, call)
            else:
                call.deadline = scope.deadline = call.arrived + caller.patience
            if call.index == 0 and self.stop_at.step > 0:
                trio.lowlevel.add_instrument(self.stop_at)
            try:
                with scope:
                    await (self.stream if caller.mode == "stream" else self.ask)(client, call)
            except Exception as error:
                call.outcome, call.error = "error", error
            call.done, call.done_order = trio.current_time(), self.next()
            call.live_at_end = sum(e.outcome == "alive" for e in call.entries)
            nursery.cancel_scope.cancel()
        if call.index == 0 and self.stop_at.step > 0:
            trio.lowlevel.remove_instrument(self.stop_at)

    async def lose_patience(self, call: CallTrace) -> None:
        await trio.sleep(call.caller.patience)
        self.stop(call.index)

    def hearing(self, call: CallTrace) -> Callable[[Delta], Awaitable[None]]:
        async def hear(delta: Delta) -> None:
            place = len(call.heard)
            call.heard.append((trio.current_time(), delta))
            pause = call.caller.pauses[place] if place < len(call.caller.pauses) else 0
            if pause:
                await trio.sleep(pause)
            if place == call.caller.raises_at:
                call.stopped, call.stopped_order = trio.current_time(), self.next()
                call.tired = True
                raise Tired

        return hear

    async def ask(self, client: Client, call: CallTrace) -> None:
        caller = call.caller
        call.response = await client.ask(
            "hello",
            listener=self.hearing(call) if caller.mode == "listen" else None,
            on_interrupt=caller.on_interrupt,
            tenant=caller.asks or str(call.index),
            metadata={"caller": str(call.index)},
        )
        call.outcome = "ok"

    async def stream(self, client: Client, call: CallTrace) -> None:
        hear, caller = self.hearing(call), call.caller
        async with client.stream(
            "hello",
            on_interrupt=caller.on_interrupt,
            tenant=caller.asks or str(call.index),
            metadata={"caller": str(call.index)},
        ) as stream:
            async for delta in stream:
                await hear(delta)
                if len(call.heard) - 1 == caller.leaves_at:
                    call.stopped, call.stopped_order = trio.current_time(), self.next()
                    call.outcome = "left"
                    return
            call.response = stream.response
            call.outcome = "ok"


def run_world(
    world: World,
    subject: Subject,
    *,
    probes: bool = True,
    stop_at: int = 0,
    instruments: Sequence[Instrument] = (),
) -> Trace:
    """Send the callers of a world through a stack, on a virtual clock.

    Args:
        world: who calls, and what the targets do.
        subject: a middleware, or a stack of them, outermost first; or what makes one. The run has
            a fresh one.
        probes: watch every place of the stack; otherwise its top and its bottom only.
        stop_at: cancel the first caller before this step of the scheduler, counted from its
            arrival; 0 is never, and a number beyond the last counts the steps.
        instruments: who else hears all events, besides the trace.
    """
    stack = maker_of(subject)()
    return run_virtual(lambda: _Run(world, stack, probes, stop_at, instruments).live())
