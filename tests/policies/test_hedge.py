"""Hedges: when they start and where, what they cost, and what is learned, in virtual time."""

import itertools
import math
import random
import statistics

import pytest
import trio
from hypothesis import given, settings
from hypothesis import strategies as st

from llmmw import (
    Attempts,
    Breaker,
    Budget,
    Call,
    Client,
    Fallback,
    Finish,
    Generate,
    Hedge,
    Retry,
    Timeout,
    chain,
    default_stack,
)
from llmmw._history import History, Record
from llmmw._ledger import AttemptEnded, AttemptStarted, BudgetRefused, HedgeFired
from llmmw._listen import ResponseBuilder
from llmmw.errors import CallShed, ConfigError, LLMError, Overloaded
from llmmw.policies._quantile import Quantile
from llmmw.testing import Caller, Fault, Script, SimulatedProvider, World, run_virtual, run_world

P95, P99 = 1.512, 2.219
"""Of the reference world: the 95th percentile of the first content, and the 99th of it hedged."""


def reference(chance):
    """A time to the first content, from the reference world."""
    kind = chance.random()
    if kind < 0.93:
        return 0.6 * math.exp(0.3 * chance.gauss(0, 1))
    if kind < 0.99:
        return 1.8 * math.exp(0.45 * chance.gauss(0, 1))
    return 4.0 * (1 - chance.random()) ** (-1 / 1.8)


def question(target="sim:a", text="hello"):
    return Generate(model=target, messages=[text])


def races(delay, first, second, *, apart=0.1, seen=None, **options):
    """The time to the first content of each of a row of calls, which come `apart` seconds."""
    hedge = Hedge(delay, targets="other:b", **options)
    times = [math.inf] * len(first)

    async def answer(call):
        call.attempt.mark_sent(call.ledger)
        number = call.sample
        await trio.sleep((second if call.request.model == "other:b" else first)[number])
        builder = ResponseBuilder(call, "sim")
        await builder.text("ok")
        return await builder.finish(Finish("stop"))

    handler = chain(hedge, provider=answer)

    async def call(number):
        begun = trio.current_time()

        async def hear(delta):
            times[number] = min(times[number], trio.current_time() - begun)

        one = Call(question(), hear, sample=number)
        await handler(one)
        if seen is not None:
            seen(number, one, hedge)

    async def main():
        async with trio.open_nursery() as nursery:
            for number in range(len(first)):
                nursery.start_soon(call, number)
                await trio.sleep(apart)

    run_virtual(main)
    return times, hedge


FREE = {"budget": Budget(ratio=1.0, cap=1e9)}


@settings(max_examples=100)
@given(
    st.lists(st.tuples(st.floats(0, 9), st.floats(0, 9)), min_size=1, max_size=8),
    st.floats(0, 5),
)
def test_the_first_content_comes_at_the_least_of_the_two(draws, delay):
    first, second = zip(*draws, strict=True)
    times, _ = races(delay, first, second, **FREE)
    for got, x1, x2 in zip(times, first, second, strict=True):
        assert got == pytest.approx(min(x1, delay + x2), abs=1e-9)


def test_the_quantiles_of_the_reference_world():
    chance = random.Random(20251121)
    first = [reference(chance) for _ in range(20_000)]
    second = [reference(chance) for _ in range(20_000)]
    times, _ = races(P95, first, second, apart=0.01, **FREE)
    wrong = [abs(got - min(x1, P95 + x2)) for got, x1, x2 in zip(times, first, second, strict=True)]
    assert max(wrong) < 1e-9
    assert statistics.quantiles(times, n=100)[98] == pytest.approx(P99, rel=0.03)


def learned_rate(count=12_000, **options):
    """How often it hedges with a learned delay, and what the delay was once it was warm."""
    chance = random.Random(7)
    first = [reference(chance) for _ in range(count)]
    second = [reference(chance) for _ in range(count)]
    hedges, delays = [], []

    def seen(number, call, hedge):
        hedges.append(any(isinstance(e, HedgeFired) for e in call.ledger.events))
        if number > 2000 and number % 20 == 0:
            delays.append(hedge.wait(call.request))

    races("p95", first, second, seen=seen, **options)
    return sum(hedges) / count, statistics.mean(delays)


def test_the_learned_delay_keeps_the_extra_load():
    """L36, without a budget that would keep it anyway."""
    rate, delay = learned_rate(**FREE)
    assert rate <= 0.053
    assert delay == pytest.approx(P95, rel=0.1)


def test_to_learn_from_winners_only_makes_it_fire_too_often(monkeypatch):
    """The mutant that L36 kills."""
    real = Hedge.learn

    def learn(self, record, request, now):
        if record.first is not None:
            real(self, record, request, now)

    monkeypatch.setattr(Hedge, "learn", learn)
    rate, delay = learned_rate(**FREE)
    assert rate > 0.06
    assert delay < P95 * 0.9


def test_a_sudden_slowness_is_learned_and_costs_no_more_than_the_budget():
    chance = random.Random(3)
    draws = [reference(chance) for _ in range(8000)]
    first = [x if k < 3000 else 4 * x for k, x in enumerate(draws)]
    fired = []

    def seen(number, call, hedge):
        fired.append(any(isinstance(e, HedgeFired) for e in call.ledger.events))

    _, hedge = races("p95", first, draws[::-1], seen=seen)
    assert sum(fired) <= 20 + 0.05 * len(first)
    assert hedge.wait(question()) == pytest.approx(4 * P95, rel=0.25)


def test_few_times_give_a_careful_delay():
    known = Quantile(0.95)
    assert known.value() is None
    for k in range(18):
        known.add(1.0, float(k))
        assert known.value() == pytest.approx(4.0, rel=0.03)
    for k in range(18, 40):
        known.add(1.0, float(k))
    assert known.value() == pytest.approx(1.0, rel=0.03)


def test_what_was_cut_short_is_not_taken_for_its_time():
    known = Quantile(0.9)
    for k in range(1000):
        known.add(min(k / 100, 5.0), k / 10, cut_short=k / 100 > 5.0 and k % 2 == 0)
    assert known.value() >= 5.0


def test_calls_that_gave_up_are_learned_from():
    async def silent(call):
        call.attempt.mark_sent(call.ledger)
        await trio.sleep_forever()

    hedge = Hedge("p95")

    async def main():
        with trio.move_on_after(3):
            await chain(hedge, provider=silent)(Call(question()))

    run_virtual(main)
    ((_, known),) = hedge._learned.items()
    assert known.count == 1
    assert known.value() is None


# Where it goes.


def history_of(*targets, request=None):
    history = History(request or question())
    for target in targets:
        history.records.append(Record(1, "first", target, sent=0.0))
        history.requests[target] = question(target)
    return history


def test_another_provider_is_asked_before_another_model_of_the_same():
    hedge = Hedge(1, targets=("sim:b", "other:a"))
    start = hedge.propose(history_of("sim:a"), 0.0)
    assert (start.target, start.at) == ("other:a", 1.0)
    start = Hedge(1, targets=("sim:b",)).propose(history_of("sim:a"), 0.0)
    assert start.target == "sim:b"


def test_nothing_is_proposed_while_one_is_not_sent_or_has_content():
    history = history_of("sim:a")
    history.records[0].sent = None
    assert Hedge(1).propose(history, 9.0) is None
    history.records[0].sent, history.records[0].first = 0.0, 0.5
    assert Hedge(1).propose(history, 9.0) is None


def test_an_open_circuit_is_passed_over():
    """The hedge of a goes to c, for the circuit of b is open."""
    scripts = {
        "a": (Script(first=5.0),),
        "b": (Script(pieces=(), error=Fault("auth")),),
        "c": (Script(first=0.25),),
    }
    provider = SimulatedProvider(scripts=scripts)
    stack = [Attempts(Retry(2), Fallback("sim:b", "sim:c"), Hedge(1)), Breaker()]

    async def main():
        async with Client("sim:a", stack=stack, providers=[provider]) as client:
            with pytest.raises(LLMError):
                await client.replace(stack=stack[1:]).ask("open it", model="sim:b")
            begun = trio.current_time()
            response = await client.ask("hello")
            return response.model, trio.current_time() - begun

    assert run_virtual(main) == ("c", 1.25)


# What it leaves behind.


def test_a_loser_is_cancelled_and_booked():
    scripts = {"sim:a": (Script(first=5.0),), "sim:b": (Script(first=0.5),)}
    world = World(scripts={**scripts, "sim:c": (Script(),)})
    trace = run_world(world, lambda: [Hedge(1, targets="sim:b")])
    (call,) = trace.calls
    assert call.done == 1.5
    ends = {e.number: e.outcome for e in call.events if isinstance(e, AttemptEnded)}
    assert ends == {1: "Superseded", 2: "ok"}
    ended = [(s.time, s.model, s.detail) for s in trace.seen if s.what == "ended"]
    assert sorted(ended) == [(1.5, "a", "cancelled"), (1.5, "b", "ok")]
    assert trace.live == 0


def test_the_budget_ends_hedges_and_nothing_else():
    budget = Budget(ratio=0.0, cap=2.0, floor=0.0)
    seen = []
    times, _ = races(
        1.0,
        [4.0] * 5,
        [0.5] * 5,
        budget=budget,
        seen=lambda number, call, hedge: seen.append(
            any(isinstance(e, BudgetRefused) for e in call.ledger.events)
        ),
    )
    assert [round(t, 9) for t in times] == [1.5, 1.5, 4.0, 4.0, 4.0]
    assert sum(seen) == 3


def test_a_kept_one_takes_over_where_the_winner_breaks_off():
    scripts = {
        "sim:a": (Script(first=1.0, gap=1.0, pieces=("a ",), error=Fault("cut")),),
        "sim:b": (Script(first=1.0, gap=1.0, pieces=("b ", "b ", "b ")),),
        "sim:c": (Script(),),
    }
    caller = Caller(mode="listen", on_interrupt="restart")
    world = World(scripts=scripts, callers=(caller,))
    trace = run_world(world, lambda: [Hedge(0.5, targets="sim:b", cancel_after=2)])
    (call,) = trace.calls
    assert (call.response.text, call.done) == ("b b b ", 4.5)


# The default stack.


def test_the_default_stack_of_several_targets():
    one, several = default_stack("sim:a"), default_stack("sim:a", "sim:b")
    assert [type(layer) for layer in one] == [Timeout, Attempts, Timeout]
    assert [type(layer) for layer in several] == [Timeout, Attempts, Breaker, Timeout]
    assert [type(policy) for policy in several[1].policies] == [Retry, Fallback, Hedge]


def test_where_all_circuits_are_open_the_error_says_so():
    def fails(call, number):
        return Script(pieces=(), error=Fault("auth"))

    provider = SimulatedProvider(scripts={"a": fails, "b": fails})

    async def main():
        async with Client("sim:a", "sim:b", providers=[provider]) as client:
            errors = []
            for _ in range(2):
                with pytest.raises(LLMError) as caught:
                    await client.ask("hello")
                errors.append(caught.value)
            return errors

    first, second = run_virtual(main)
    assert not isinstance(first, CallShed)
    assert isinstance(second, CallShed)
    assert "the circuit of 'sim:a' is open for another 300 s" in str(second)
    assert [error.model for error in second.attempts] == ["a", "b"]
    assert len(provider.opened) == 2


def test_where_all_circuits_are_open_for_a_while_it_is_waited_for():
    def fails(call, number):
        return Script() if trio.current_time() > 4 else Script(pieces=(), error=Fault("busy"))

    provider = SimulatedProvider(scripts={"a": fails, "b": fails})

    async def main():
        async with Client("sim:a", "sim:b", providers=[provider]) as client:
            breaker = client.stack[2]
            while any(
                c["state"] != "open" for c in breaker.statistics().values() or [{"state": ""}]
            ):
                with pytest.raises(LLMError):
                    await client.ask("hello")
            return (await client.ask("hello")).text, trio.current_time()

    text, now = run_virtual(main)
    assert text == "ok"
    assert now < 8


def test_a_flapping_primary_is_asked_three_times_at_most_while_its_circuit_is_open():
    def flaps(call, number):
        well = int(trio.current_time() // 20) % 2 == 0
        return Script() if well else Script(pieces=(), error=Fault("busy"))

    provider = SimulatedProvider(scripts={"a": flaps, "b": (Script(),)})
    changes = []

    def hear(event):
        if type(event).__name__ == "CircuitChanged" and event.destination == "sim:a":
            changes.append((event.time, event.state))

    async def main():
        async with Client("sim:a", "sim:b", providers=[provider], instruments=[hear]) as client:
            for _ in range(1000):
                assert (await client.ask("hello")).text == "ok"
                await trio.sleep(0.1)

    run_virtual(main)
    asked = [seen.time for seen in provider.opened if seen.model == "a"]
    bounds = [(t, s) for t, s in changes if s in {"open", "closed"}]
    periods = [
        (begin, end) for (begin, state), (end, _) in itertools.pairwise(bounds) if state == "open"
    ]
    assert len(periods) >= 3
    assert all(sum(begin < t <= end for t in asked) <= 3 for begin, end in periods)


@pytest.mark.parametrize("delay", [-1, "p0", "p100", "fast", math.inf, True])
def test_a_wrong_delay_is_told(delay):
    with pytest.raises(ConfigError, match="expected seconds, or a percentile"):
        Hedge(delay)


def test_statistics_tell_what_was_learned():
    _, hedge = races("p50", [1.0] * 4, [1.0] * 4)
    ((name, delay),) = hedge.statistics()["delays"].items()
    assert name.startswith("sim:a, ")
    assert delay == pytest.approx(1.0, rel=0.03)


def test_the_ledger_tells_why_it_was_started():
    found = []
    races(1.0, [4.0], [0.5], seen=lambda n, call, hedge: found.extend(call.ledger.events))
    fired = next(e for e in found if isinstance(e, HedgeFired))
    started = [e for e in found if isinstance(e, AttemptStarted)]
    assert fired.after == 1.0
    assert [(e.target, e.reason) for e in started] == [("sim:a", "first"), ("other:b", "hedge")]


class EndsWhenDue(SimulatedProvider):
    """Fails just when a hedge is due."""

    async def __call__(self, call):
        if call.request.model_name == "a":
            await trio.sleep(1.0)
            raise Overloaded("busy")
        return await super().__call__(call)


@pytest.mark.virtual
async def test_what_a_hedge_was_to_stand_beside_may_end_before_it_starts():
    stack = [Attempts(Fallback("sim:b"), Hedge(1.0))]
    async with Client("sim:a", providers=[EndsWhenDue({"b": "yes"})], stack=stack) as client:
        for _ in range(30):  # which of the two runs first is drawn
            response = await client.ask("hi")
            assert response.text == "yes"
            fired = [e for e in response.ledger.events if isinstance(e, HedgeFired)]
            assert [event.after for event in fired] in ([], [1.0])
