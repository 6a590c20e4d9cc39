"""Seeded bugs. Each breaks one thing that a law forbids; a law that lets one live is no law.

A mutant is a function that patches the library; `MUTANTS` has it with the stack that shows it.
"""

import types

import attrs
import trio

from llmmw import _attempts, _client, _plan, _stream
from llmmw._budget import Budget
from llmmw._call import Call
from llmmw._gate import Gate
from llmmw._history import History
from llmmw._ledger import AttemptEnded, Ledger
from llmmw._plan import Plan
from llmmw._response import Generation
from llmmw.errors import CallShed, ConnectionFailed, LLMError, StreamInterrupted
from llmmw.policies import Breaker, Concurrency, Fallback, Retry, Timeout
from llmmw.policies import timeout as timeout_module
from llmmw.policies._circuit import Circuit
from llmmw.policies.concurrency import Places

MUTANTS = {}


def mutant(*stacks):
    def add(patch):
        MUTANTS[patch.__name__] = (patch, stacks)
        return patch

    return add


def _shim(**changes):
    shim = types.SimpleNamespace(**{n: getattr(trio, n) for n in dir(trio) if n[0] != "_"})
    shim.__dict__.update(changes)
    return shim


def _around_attempt(patch, change):
    real = _plan.attempt

    async def attempt(call, next, request, record, history):
        return await change(real, call, next, request, record, history)

    patch.setattr(_plan, "attempt", attempt)


@mutant("attempts")
def retry_after_told(patch):
    real = _attempts._fail

    def fail(call, record, error, history):
        real(call, record, error, history)
        record.told = False

    patch.setattr(_attempts, "_fail", fail)


@mutant("retry")
def off_by_one(patch):
    real, init = Retry.propose, Plan.__init__
    more = {"retries": 3}
    patch.setattr(Retry, "propose", lambda s, h, now: real(attrs.evolve(s, **more), h, now))
    patch.setattr(Plan, "__init__", lambda s, p, b, n, *o: init(s, p, b, n + 1, *o))


@mutant("attempts", "retry")
def sleep_past_the_deadline(patch):
    shim = _shim(current_effective_deadline=lambda: float("inf"))
    patch.setattr(_plan, "trio", shim)


@mutant("scarce")
def budget_not_charged(patch):
    patch.setattr(Budget, "take", lambda self, target, now: True)


@mutant("attempts", "scarce")
def first_visits_charged(patch):
    real = Fallback.propose

    def propose(self, history, now):
        start = real(self, history, now)
        refused = start is not None and not budgets.take(start.target, now)
        return None if refused else start

    budgets = Budget(ratio=0, cap=1, floor=0)
    patch.setattr(Fallback, "propose", propose)


@mutant("retry", "attempts")
def hint_ignored(patch):
    def ready(self, records):
        last = records[-1]
        if last.error is None or last.ended is None or not last.error.retryable:
            return None
        return last.ended + self.backoff(len(records), last.chance)

    patch.setattr(Retry, "_ready", ready)


@mutant("retry")
def backoff_not_capped(patch):
    patch.setattr(Retry, "backoff", lambda self, n, chance: chance * self.base * 2.0 ** (n - 1))


@mutant("fallback", "attempts")
def fallback_to_a_used_target(patch):
    real = Fallback.propose
    patch.setattr(Fallback, "propose", lambda s, h, now: real(s, _fresh(h), now))


def _fresh(history):
    return History(history.request, history.records, {}, failures=history.failures)


@mutant("fallback", "attempts")
def patches_compound(patch):
    real = Fallback.propose

    def propose(self, history, now):
        last = history.requests[history.records[-1].target]
        return real(self, attrs.evolve(history, request=last), now)

    patch.setattr(Fallback, "propose", propose)


@mutant("fallback")
def fallback_whatever_the_error(patch):
    real = Fallback._allowed

    def allowed(self, error, original):
        return real(self, ConnectionFailed("any"), original)

    patch.setattr(Fallback, "_allowed", allowed)


@mutant("attempts", "fallback")
def wait_before_fallback(patch):
    real = Fallback.propose

    def propose(self, history, now):
        start = real(self, history, now)
        return start and attrs.evolve(start, at=now + 1 / 64)

    patch.setattr(Fallback, "propose", propose)


@mutant("fallback", "attempts")
def no_gate(patch):
    async def tell(self, delta):
        self.fold(delta)
        self.won = self.won or self.fold.anything
        await self._pass(delta)

    patch.setattr(Gate, "__call__", tell)


@mutant("attempts")
def gate_forgets_the_order(patch):
    async def release(self):
        while self._held:
            await self._pass(self._held.pop())

    patch.setattr(Gate, "release", release)


@mutant("attempts", "fallback")
def buffer_tells_early(patch):
    real = Gate.before.__func__

    def before(cls, call, *others):
        gate = real(cls, call, *others)
        gate._on_interrupt = call.on_interrupt.replace("buffer", "restart")
        return gate

    patch.setattr(Gate, "before", classmethod(before))


@mutant("watched-ask", "nested")
def inner_listener_taken_for_the_caller(patch):
    patch.setattr(Call, "listening", lambda self, listener: self.replace(listener=listener))


@mutant("attempts")
def listener_blamed_on_the_provider(patch):
    def wrapped(listener):
        async def hear(delta):
            try:
                await listener(delta)
            except Exception as error:
                raise ConnectionFailed("the listener failed") from error

        hear.complete = lambda error: None
        return hear

    patch.setattr(_client, "CallerListener", wrapped)


@mutant("attempts", "retry")
def cancelled_swallowed(patch):
    async def attempt(real, call, next, request, record, history):
        try:
            return await real(call, next, request, record, history)
        except trio.Cancelled:
            history.records[-1].error = ConnectionFailed("cancelled")
            history.failures.append(history.records[-1])
            return None

    _around_attempt(patch, attempt)


@mutant("timeout", "full")
def limit_blamed_for_the_outer_scope(patch):
    async def called(self, call, next):
        try:
            with trio.move_on_after(self.total or 1000):
                return await next(call)
        except trio.Cancelled:
            pass
        raise self._late(call, "total")

    patch.setattr(Timeout, "__call__", called)


@mutant("timeout", "full")
def limit_shields_from_the_outer_scope(patch):
    shim = _shim(CancelScope=lambda **when: trio.CancelScope(**when, shield=True))
    patch.setattr(timeout_module, "trio", shim)


@mutant("watch")
def idle_runs_while_the_consumer_pauses(patch):
    real = timeout_module._Watch.__call__

    async def tell(self, delta):
        listener = self._listener
        if listener is not None:
            with trio.CancelScope() as pausing:
                pausing.deadline = trio.current_time() + self._idle
                await listener(delta)
            if pausing.cancelled_caught:
                self.scope.cancel()
                await trio.lowlevel.checkpoint()
        self._listener = None
        try:
            await real(self, delta)
        finally:
            self._listener = listener

    patch.setattr(timeout_module._Watch, "__call__", tell)


@mutant("stubborn")
def error_after_a_complete_reply(patch):
    async def called(self, call, next):
        with trio.move_on_after(self.total or 1000) as scope:
            response = await next(call)
            if not scope.cancel_called:
                return response
        raise self._late(call, "total")

    patch.setattr(Timeout, "__call__", called)


@mutant("default", "nothing")
def channel_closed_with_a_checkpoint(patch):
    async def run(self, answer, call):
        async with self._send:
            response = await answer(call.replace(listener=self._listen))
            self._response = response

    async def guarded(self, answer, call):
        try:
            await run(self, answer, call)
        except LLMError as error:
            await trio.lowlevel.checkpoint()
            self._error = error

    patch.setattr(_stream.Stream, "_run", guarded)


@mutant("attempts", "default")
def end_of_file_taken_for_success(patch):
    async def attempt(real, call, next, request, record, history):
        async def lenient(inner):
            try:
                return await next(inner)
            except StreamInterrupted as error:
                return error.partial or Generation(model=inner.request.model_name, provider="sim")

        return await real(call, lenient, request, record, history)

    _around_attempt(patch, attempt)


@mutant("retry", "attempts")
def first_error_wins(patch):
    patch.setattr(_plan, "verdict", lambda history: history.records[0].error)


@mutant("attempts")
def last_error_wins(patch):
    patch.setattr(_plan, "verdict", lambda history: history.records[-1].error)


@mutant("attempts")
def attempts_forgotten(patch):
    real = _plan.verdict

    def verdict(history):
        error = real(history)
        error.attempts = error.attempts[-1:]
        return error

    patch.setattr(_plan, "verdict", verdict)


@mutant("retry", "attempts")
def restart_not_announced(patch):
    async def wait(call, start, last):
        await trio.sleep_until(max(start.at, trio.current_time()))

    patch.setattr(_plan, "wait", wait)


@mutant("attempts")
def gives_up_too_early(patch):
    init = Plan.__init__
    patch.setattr(Plan, "__init__", lambda s, p, b, n, *o: init(s, p, b, n - 1, *o))


@mutant("retry", "attempts")
def cancelled_attempt_not_recorded(patch):
    real = Ledger.write

    def write(self, kind, *fields, **others):
        if not (kind is AttemptEnded and "Cancelled" in fields):
            real(self, kind, *fields, **others)

    patch.setattr(Ledger, "write", write)


@mutant("retry", "attempts")
def the_clock_leaks_in(patch):
    real = Retry.propose

    def propose(self, history, now):
        start = real(self, history, now)
        return start and attrs.evolve(start, at=-(-start.at * 8 // 1) / 8)

    patch.setattr(Retry, "propose", propose)


# What the library itself had, until the laws found it.


@mutant("default", "attempts")
def cause_lost_between_the_tasks(patch):
    real = _stream.Stream.__anext__

    async def anext(self):
        try:
            return await real(self)
        except LLMError as error:
            raise error from None

    patch.setattr(_stream.Stream, "__anext__", anext)


@mutant("at-the-deadline")
def opens_at_the_deadline(patch):
    real = trio.current_effective_deadline

    def deadline():
        now = trio.current_time()
        return max(real(), now + 1 / 1024)

    patch.setattr(_plan, "trio", _shim(current_effective_deadline=deadline))


@mutant("scarce")
def one_proposal_only(patch):
    real = Retry.propose

    def propose(self, history, now):
        if history.refused:
            return None
        return real(self, history, now)

    patch.setattr(Retry, "propose", propose)


@mutant("held")
def ledger_says_ok_too_early(patch):
    async def attempt(real, call, next, request, record, history):
        try:
            return await real(call, next, request, record, history)
        except trio.Cancelled:
            call.ledger._rows[:] = [
                attrs.evolve(event, outcome="ok")
                if isinstance(event, AttemptEnded) and record.error is None
                else event
                for event in call.ledger.events
            ]
            raise

    _around_attempt(patch, attempt)


# Breakers and limits of concurrency.


@mutant("breaker")
def an_open_circuit_lets_calls_through(patch):
    real = Circuit.enter

    def enter(self, now):
        permit = real(self, now)
        return self._pass if permit is None and self.state == "open" else permit

    patch.setattr(Circuit, "enter", enter)


@mutant("breaker")
def half_open_before_its_time(patch):
    real = Circuit.enter
    patch.setattr(Circuit, "enter", lambda self, now: real(self, now + 1 / 64))


@mutant("breaker", "breaker-alone")
def any_number_of_probes(patch):
    real = Circuit.enter

    def enter(self, now):
        self._probing = []
        return real(self, now)

    patch.setattr(Circuit, "enter", enter)


@mutant("breaker")
def open_circuits_close_by_themselves(patch):
    real = Circuit._change

    def change(self, state, now):
        real(self, "closed" if state == "half-open" else state, now)

    patch.setattr(Circuit, "_change", change)


@mutant("breaker", "limits")
def a_cancelled_probe_closes_the_circuit(patch):
    real = Circuit.leave

    def leave(self, permit, verdict, *others):
        probe = permit in self._probing
        real(self, permit, "ok" if probe and verdict == "ignored" else verdict, *others)

    patch.setattr(Circuit, "leave", leave)


@mutant("breaker", "limits")
def a_cancelled_probe_keeps_its_place(patch):
    real = Circuit.leave

    def leave(self, permit, verdict, *others):
        if verdict != "ignored":
            real(self, permit, verdict, *others)

    patch.setattr(Circuit, "leave", leave)


@mutant("breaker", "limits")
def a_call_of_before_the_change_counts(patch):
    real = Circuit.leave

    def leave(self, permit, *others):
        permit.change = self.changes
        real(self, permit, *others)

    patch.setattr(Circuit, "leave", leave)


@mutant("breaker-alone", "limits")
def opens_after_too_few_calls(patch):
    real = Circuit._count

    def count(self, verdict, now):
        self.calls = 1
        return real(self, verdict, now)

    patch.setattr(Circuit, "_count", count)


@mutant("breaker")
def a_refusal_says_not_how_long(patch):
    patch.setattr(Circuit, "wait", lambda self, now: 0.0)


@mutant("breaker")
def a_refusal_takes_time(patch):
    real = Breaker.__call__

    async def called(self, call, next):
        try:
            return await real(self, call, next)
        except CallShed:
            await trio.sleep(1 / 64)
            raise

    patch.setattr(Breaker, "__call__", called)


@mutant("places", "one-queue")
def one_place_too_many(patch):
    real = Places.take

    def take(self):
        self.limit += 1
        taken = real(self)
        self.limit -= 1
        return taken

    patch.setattr(Places, "take", take)


@mutant("places", "one-queue")
def a_place_is_free_at_the_first_delta(patch):
    real = Places.leave

    async def called(self, call, next):
        held = []

        async def early(inner):
            async def hear(delta):
                if not held:
                    held.append(self._places.of(self._places.name(call), 0.0))
                    real(held[0], held[0].drops, "ignored")
                await call.listener(delta)

            return await next(inner if call.listener is None else inner.replace(listener=hear))

        def leave(places, drops, sign):
            if not held:
                real(places, drops, sign)

        with patch.context() as inside:
            inside.setattr(Places, "leave", leave)
            return await called_really(self, call, early)

    called_really = Concurrency.__call__
    patch.setattr(Concurrency, "__call__", called)


@mutant("places", "one-queue")
def a_failed_call_keeps_its_place(patch):
    real = Places.leave

    def leave(self, drops, sign):
        if sign != "dropped":
            real(self, drops, sign)

    patch.setattr(Places, "leave", leave)


@mutant("places", "one-queue")
def a_cancelled_call_keeps_its_place(patch):
    async def called(self, call, next):
        places = self._places.of(self._places.name(call), 0.0)
        if not places.take():
            await self._wait(call, "", places)
        try:
            response = await next(call)
        except Exception:
            places.leave(places.drops, "ignored")
            raise
        places.leave(places.drops, "ok")
        return response

    patch.setattr(Concurrency, "__call__", called)


@mutant("places", "crowd")
def a_cancelled_waiter_stays_in_the_queue(patch):
    real = Places.queue

    def queue(self, who, wake):
        def woken():
            try:
                wake()
            except (AssertionError, AttributeError):
                pass

        real(self, who, woken)

    patch.setattr(Places, "queue", queue)
    patch.setattr(Places, "forget", lambda self, who: self._waiting.update({who: lambda: None}))


@mutant("crowd")
def last_come_first_served(patch):
    real = Places.queue

    def queue(self, who, wake):
        real(self, who, wake)
        self._waiting.move_to_end(who, last=False)

    patch.setattr(Places, "queue", queue)


@mutant("places")
def a_queue_that_is_full_too_early(patch):
    real = Concurrency._wait

    async def wait(self, call, name, places):
        await real(attrs.evolve(self, queue=self.queue - 1), call, name, places)

    patch.setattr(Concurrency, "_wait", wait)


@mutant("adaptive")
def a_drop_raises_the_limit(patch):
    real = Places._adapt

    def adapt(self, sign):
        real(self, "ok" if sign == "dropped" else sign)

    patch.setattr(Places, "_adapt", adapt)


@mutant("adaptive")
def a_limit_beyond_its_bounds(patch):
    real = Places._adapt

    def adapt(self, sign):
        self.least, self.most = 0, 99
        real(self, sign)

    patch.setattr(Places, "_adapt", adapt)


@mutant("adaptive")
def what_was_cancelled_lowers_the_limit(patch):
    real = Places.leave
    signs = {"ignored": "dropped"}
    patch.setattr(
        Places, "leave", lambda self, drops, sign: real(self, drops, signs.get(sign, sign))
    )
