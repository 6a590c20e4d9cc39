"""What `explain()` prints of real runs in virtual time, and what calls have cost in all."""

import random
from decimal import Decimal

import attrs
import pytest
import trio

from llmmw import (
    Attempts,
    Breaker,
    Budget,
    Client,
    Coalesce,
    Concurrency,
    Fallback,
    Generation,
    Guard,
    Hedge,
    Retry,
    Timeout,
    Usage,
)
from llmmw._events import AttemptEnded, AttemptStarted, CallEnded, CallStarted, Event
from llmmw._explain import Spent, explained, spent_in, timeline
from llmmw._provider import Provider
from llmmw.errors import LLMError, RateLimited, ServerError, StreamInterrupted
from llmmw.testing import Script, SimulatedProvider

QUICK = {"base": 0.5, "cap": 1}


@attrs.define(eq=False)
class Priced(Provider):
    """Each attempt takes a second and costs the same; those whose turn it is to fail raise."""

    turns: list = attrs.field(factory=list)
    name: str = "p"

    async def __call__(self, call):
        await trio.sleep(1)
        raised = self.turns.pop(0) if self.turns else None
        if raised is not None:
            raise raised
        usage = Usage(input_tokens=10, output_tokens=2, cost=Decimal("0.25"))
        return Generation(provider=self.name, model=call.request.model_name, usage=usage)


async def told(client, prompt="?", **options):
    client.host.random = random.Random(7)
    begun = trio.current_time()
    response = await client.ask(prompt, **options)
    assert trio.current_time() >= begun
    return response


def lines(text):
    return "\n" + "\n".join(line.rstrip() for line in text.splitlines()) + "\n"


def cut():
    return StreamInterrupted("the line broke")


@pytest.mark.virtual
async def test_nested_engines_are_branches():
    sim = SimulatedProvider({"a": [Script(first=1, pieces=(), error=cut)], "b": [Script(first=1)]})
    stack = [Attempts(Fallback("sim:b")), Retry(1, base=0)]
    async with Client("sim:a", stack=stack, providers=[sim]) as client:
        response = await told(client)
    usage = response.usage
    assert (
        lines(response.explain())
        == f"""
    0.000 s  call of sim:a
    0.000 s    attempt 1 on sim:a (first)
    0.000 s      attempt 2 on sim:a (first)
    0.000 s        sent
    1.000 s        StreamInterrupted after 1.000 s: the line broke
    1.000 s      attempt 3 on sim:a (retry)
    1.000 s        sent
    2.000 s        StreamInterrupted after 1.000 s: the line broke
    2.000 s      StreamInterrupted after 2.000 s: the line broke
    2.000 s    attempt 4 on sim:b (fallback)
    2.000 s      attempt 5 on sim:b (first)
    2.000 s        sent
    3.000 s        ok after 1.000 s, {usage.input_tokens} tokens in, 1 out
    3.000 s      ok after 1.000 s, {usage.input_tokens} tokens in, 1 out
    3.000 s  ended: ok, {usage.input_tokens} tokens in, 1 out
             total: {usage.input_tokens} + ? tokens in, 1 + ? out, $?
"""
    )


@pytest.mark.virtual
async def test_a_hedge_and_its_loser_each_have_their_branch():
    sim = SimulatedProvider({"a": [Script(first=9)], "b": [Script(first=1, pieces=("x", "y"))]})
    stack = [Hedge(2, targets="sim:b")]
    async with Client("sim:a", stack=stack, providers=[sim]) as client:
        response = await told(client)
    given = response.usage.input_tokens
    assert (
        lines(response.explain())
        == f"""
    0.000 s  call of sim:a
    0.000 s    attempt 1 on sim:a (first)
    0.000 s      sent
    3.000 s      Superseded after 3.000 s
    2.000 s    nothing came for 2.000 s: hedge
    2.000 s    attempt 2 on sim:b (hedge)
    2.000 s      sent
    3.000 s      first content
    3.000 s      ok after 1.000 s, {given} tokens in, 2 out
    3.000 s  ended: ok, {given} tokens in, 2 out
             total: {given} + ? tokens in, 2 + ? out, $?
"""
    )
    in_time = timeline(response.ledger.events)
    assert [float(line.split()[0]) for line in in_time] == [0, 0, 0, 2, 2, 2, 3, 3, 3, 3]
    assert sum("attempt 1: Superseded" in line for line in in_time) == 1


@pytest.mark.virtual
async def test_waits_sheds_limits_and_refusals_are_told():
    busy = Priced(turns=[ServerError("boom")] * 9)
    async with Client(
        "p:a",
        stack=[
            Attempts(Retry(3, **QUICK), Fallback("p:b"), budget=Budget(ratio=0, cap=0, floor=0)),
            Breaker(calls=1, open_for=5, jitter=0),
        ],
        providers=[busy],
    ) as client:
        client.host.random = random.Random(7)
        with pytest.raises(LLMError):
            await client.ask("?")
        busy.turns.clear()
        with trio.fail_after(100):
            await trio.sleep(6)
            busy.turns.append(RateLimited("slowly", retry_after=2.0))
            response = await told(client)
    assert (
        lines(response.explain())
        == """
    0.000 s  call of p:a
    0.000 s    attempt 1 on p:a (first)
    0.000 s      circuit of p:a half-open
    0.000 s      sent
    1.000 s      RateLimited after 1.000 s: slowly
    1.000 s    attempt 2 on p:b (fallback)
    1.000 s      circuit of p:b half-open
    1.000 s      sent
    2.000 s      circuit of p:b closed
    2.000 s      ok after 1.000 s, 10 tokens in, 2 out, $0.25
    2.000 s  ended: ok, 10 tokens in, 2 out, $0.25
"""
    )


@pytest.mark.virtual
async def test_an_open_circuit_and_an_empty_budget_are_told():
    stack = [
        Attempts(Retry(1, **QUICK), Fallback("p:b"), budget=Budget(ratio=0, cap=0, floor=0)),
        Breaker(calls=1, open_for=50, jitter=0),
    ]
    events = []
    provider = Priced(turns=[ServerError("boom")])
    async with Client(
        "p:a", stack=stack, providers=[provider], instruments=[events.append]
    ) as client:
        await client.ask("?")
        provider.turns = [ServerError("boom")] * 2
        events.clear()
        with pytest.raises(LLMError):
            await client.ask("?")
    text = explained(events)
    assert "CallShed after 0.000 s: the circuit of 'p:a' is open for another 49 s" in text
    assert "circuit of p:b open for 50.000 s (ServerError)" in text
    assert "no budget left for another attempt on p:b" in text
    assert "total" not in text  # of one that failed nobody knows, and the other was not sent


@pytest.mark.virtual
async def test_a_call_that_joins_says_so_and_has_cost_nothing():
    texts = {}

    async def ask(name):
        texts[name] = await client.ask("the same")

    stack = [Coalesce(), Retry(1)]
    async with Client("p:a", stack=stack, providers=[Priced()]) as client:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(ask, "first")
            await trio.sleep(0.5)
            nursery.start_soon(ask, "second")
    assert (
        lines(texts["second"].explain())
        == """
    0.000 s  call of p:a
    0.000 s    joined flight 1, 0.500 s old, with 1 waiting
    0.500 s  ended: ok
"""
    )
    assert texts["second"].total_spent == Spent()
    assert texts["first"].total_spent == Spent(
        input_tokens=10, output_tokens=2, cost=Decimal("0.25")
    )


@pytest.mark.virtual
async def test_a_wait_for_a_place_and_a_limit_are_told():
    texts = []

    async def ask():
        texts.append(lines((await client.ask("?")).explain()))

    stack = [Attempts(Retry(1, base=0)), Concurrency(1), Timeout(total=0.75)]
    slow = SimulatedProvider({"a": [Script(first=1), Script(first=0.5)]})
    async with Client("sim:a", stack=stack, providers=[slow]) as client:
        client.host.random = random.Random(7)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(ask)
            await trio.sleep(0.25)
            nursery.start_soon(ask)
    text = "".join(texts)
    assert "      waits for a place at sim:a, 0 ahead" in text
    assert "      waited 0.500 s for a place at sim:a" in text
    assert "      limit total of 0.75 s ran out (Timeout(total=0.75" in text


@pytest.mark.virtual
async def test_rejected_answers_are_in_the_total():
    verdicts = iter([False, False, True])
    stack = [Retry(2, base=0), Guard(lambda r: next(verdicts), empty=True)]
    async with Client("p:a", stack=stack, providers=[Priced()]) as client:
        response = await told(client)
    assert response.spent == (10, 2, Decimal("0.25"))
    assert response.total_spent == Spent(input_tokens=30, output_tokens=6, cost=Decimal("0.75"))
    assert response.explain().splitlines()[-1].strip() == "total: 30 tokens in, 6 out, $0.75"


@pytest.mark.virtual
async def test_a_guard_around_the_attempts_books_nothing_twice():
    verdicts = iter([False, True])
    guard = Guard(lambda r: next(verdicts), empty=True)
    events = []
    stack = [Retry(1, base=0), guard, Retry(1, base=0)]
    async with Client(
        "p:a", stack=stack, providers=[Priced()], instruments=[events.append]
    ) as client:
        await client.ask("?")
    assert spent_in(events) == Spent(input_tokens=20, output_tokens=4, cost=Decimal("0.5"))


def test_what_nobody_told_is_a_question_mark_and_never_zero():
    assert str(Spent()) == "0 tokens in, 0 out, $0"
    assert str(Spent(input_tokens=None, output_tokens=None, cost=None)) == "? tokens in, ? out, $?"
    partly = Spent(input_tokens=1, output_tokens=2, cost=Decimal("0.50"), unknown=("cost",))
    assert str(partly) == "1 tokens in, 2 out, $0.5 + ?"


@attrs.frozen
class BarrelRolled(Event):
    """An event that has no words of its own."""

    times: int
    parent: int = 0


def test_unknown_events_speak_for_themselves_at_their_place():
    events = [
        CallStarted(1.0, "a:b"),
        AttemptStarted(1.0, 1, "a:b", "first"),
        BarrelRolled(2.0, 3, parent=1),
        BarrelRolled(2.5, 4, parent=99),
        AttemptEnded(3.0, 1, "ServerError", 2.0, "two\nlines\x1b[31m"),
        CallEnded(3.0, "ServerError"),
    ]
    assert explained(events).splitlines() == [
        "    0.000 s  call of a:b",
        "    0.000 s    attempt 1 on a:b (first)",
        "    1.000 s      barrel rolled: times 3",
        "    2.000 s      ServerError after 2.000 s: two lines [31m",
        "    1.500 s    barrel rolled: times 4",
        "    2.000 s  ended: ServerError",
    ]
    assert explained([]) == ""


def test_attempts_that_claim_to_be_inside_each_other_are_printed_once():
    events = [AttemptStarted(0.0, 1, "a:b", "x", 2), AttemptStarted(0.0, 2, "a:b", "x", 1)]
    assert len(explained(events).splitlines()) == 2
