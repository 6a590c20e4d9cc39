"""What can be put to the test: a policy as it is, a stack, or what makes one."""

from __future__ import annotations

import threading

import attrs
import pytest
from hypothesis import Phase

from llmmw import Attempts, Breaker, Fallback, Hedge, Retry, Timeout, default_stack, describe
from llmmw.errors import LLMError
from llmmw.testing import Caller, Fault, Script, World, assert_laws, run_world
from llmmw.testing._subject import maker_of

BUSY = Script(error=Fault("busy"), pieces=())


async def good(call, next):
    return await next(call)


async def bad(call, next):
    """Forgets that the caller may have heard the beginning."""
    try:
        return await next(call)
    except LLMError:
        return await next(call)


@attrs.define
class Once:
    """Lets the first call through only, and so has a state."""

    text: str = ""
    calls: int = 0

    async def __call__(self, call, next):
        self.calls += 1
        assert self.calls == 1, "another run has left something"
        return await next(call)


WORLD = World(scripts={"sim:a": "hello"})


@pytest.mark.parametrize(
    "subject",
    [
        good,
        [good, good],
        (),
        Once("x"),
        [Timeout(total=9), Once()],
        Once,
        lambda: Once("x"),
        lambda: [good, Once()],
        lambda text="x": (Once(text),),
        Retry,
    ],
)
def test_each_run_has_a_fresh_one(subject) -> None:
    make = maker_of(subject)
    for _ in range(3):
        (call,) = run_world(WORLD, make).calls
        assert call.response.text == "hello"
        assert run_world(WORLD, subject).calls[0].response.text == "hello"
    assert maker_of(make) is make


def test_what_was_given_keeps_its_state() -> None:
    once = Once(calls=0)
    run_world(WORLD, once)
    assert once.calls == 0
    breaker = Breaker(calls=1)
    down = World(scripts={"sim:a": BUSY}, callers=[Caller(), Caller(arrive=1)])
    for _ in range(2):
        first, second = run_world(down, breaker).calls
        assert (type(first.error).__name__, type(second.error).__name__) == (
            "Overloaded",
            "CallShed",
        )
    assert breaker.statistics() == {}


@pytest.mark.parametrize("subject", ["good", 3, None, [3], lambda call: None, lambda: 3, [[good]]])
def test_what_is_none(subject) -> None:
    with pytest.raises(TypeError, match=r"middleware is called with \(call, next\)"):
        run_world(WORLD, subject)


def test_what_cannot_be_copied() -> None:
    @attrs.define
    class Locking:
        lock: object

        async def __call__(self, call, next):
            return await next(call)

    with pytest.raises(TypeError, match=r"can't be copied .*give a function that makes it"):
        assert_laws(Locking(threading.Lock()), examples=1)
    assert_laws(lambda: Locking(threading.Lock()), examples=5)


def test_laws_of_a_middleware_itself() -> None:
    assert assert_laws(good, examples=20)["worlds"] == 20
    assert assert_laws(Retry(2), examples=20)["worlds"] == 20
    assert assert_laws(Retry, examples=20)["worlds"] == 20
    with pytest.raises(AssertionError, match=r"^L\d+: "):
        assert_laws(bad, examples=100, phases=[Phase.generate])


def test_a_world_by_hand_and_its_trace() -> None:
    world = World(
        scripts={"sim:a": [Script(first=2, error=Fault("busy"), pieces=()), "hello"]},
        callers=[Caller(), Caller(arrive=1, patience=0.5), Caller(mode="stream", arrive=5)],
    )
    trace = run_world(world, [Timeout(total=9), Retry(1)])
    first, second, third = trace.calls
    assert (first.outcome, first.response.text, first.done) == ("ok", "hello", 2.25)
    assert (second.outcome, second.done) == ("ok", 1)  # it met the second script
    assert (third.outcome, third.arrived) == ("ok", 5)
    assert [visit.target for visit in trace.visits(first)] == ["sim:a", "sim:a"]


def test_a_configuration_is_what_it_should_be() -> None:
    stack = default_stack("sim:a", "sim:b")
    attempts = Attempts(Retry(2), Fallback("sim:b"), Hedge("p95"))
    breaker = Breaker(share=0.75, window=10)
    limits = Timeout(total=300, first_token=120, idle=120)
    expected = [Timeout(total=600), attempts, breaker, limits]
    assert describe(stack) == describe(expected)
    assert describe(stack) != describe(expected[:-1])
    assert describe([Attempts(Retry(3))]) != describe([Attempts(Retry(2))])
    assert str(describe(stack)[0]) == "Timeout(total=600)"
