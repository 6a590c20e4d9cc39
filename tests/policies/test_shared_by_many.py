"""Ten thousand who ask the same at once ask it once, and whoever leaves takes nothing from those
who stay: through a client, as users see it."""

import math

import attrs
import pytest
import trio
from hypothesis import event, example, given, settings
from hypothesis import strategies as st
from trio.testing import MockClock

from llmmw import Cache, Client, Coalesce, Retry
from llmmw.testing import Script, SimulatedProvider
from llmmw.testing._check import examples_of

MANY = 10_000
T = 1 / 16
SLOW = Script(first=8 * T, gap=2 * T, pieces=("a", "b", "c"))
"""Its pieces come after 8, 10 and 12 ticks."""
STACKS = {
    "coalesce": lambda: [Coalesce()],
    "cache": lambda: [Cache()],
    "retried": lambda: [Coalesce(), Retry(2)],
}


@pytest.mark.virtual
@pytest.mark.parametrize("name", ["coalesce", "cache"])
async def test_ten_thousand_at_once_ask_once(name):
    provider, texts = SimulatedProvider({"a": SLOW}), []

    async def ask(leaves):
        with trio.move_on_after(4 * T if leaves else math.inf):
            texts.append((await client.ask("the same")).text)

    async with Client("sim:a", stack=STACKS[name](), providers=[provider]) as client:
        async with trio.open_nursery() as nursery:
            for number in range(MANY):
                nursery.start_soon(ask, number % 10 == 0)  # a tenth of them leave
    assert len(provider.opened) == 1
    assert texts == ["abc"] * (MANY - MANY // 10)


@attrs.frozen
class Person:
    """Somebody who asks, in one of the ways there are."""

    how: str = "ask"
    arrive: int = 0
    leave: int | None = None
    """Ticks after arriving; `None`: stays."""
    by: str = "deadline"
    """What makes it leave."""


people = st.lists(
    st.builds(
        Person,
        how=st.sampled_from(("ask", "listen", "stream", "buffer")),
        arrive=st.sampled_from((0, 0, 0, 1, 7, 8, 9, 11)),
        leave=st.none() | st.integers(0, 14),
        by=st.sampled_from(("deadline", "cancel", "break")),
    ),
    min_size=2,
    max_size=8,
)
LEADER_LEAVES = [Person("stream", 0, 9, "break"), Person("stream", 1), Person("ask", 9)]


async def asks(client, person, told):
    """The text of the answer; what is told goes into a list."""
    if person.how in ("ask", "listen", "buffer"):

        async def listener(delta):
            told.append(delta.text or "" if type(delta).__name__ == "PartDelta" else "")

        interrupt = "buffer" if person.how == "buffer" else "error"
        heard = None if person.how == "ask" else listener
        return (await client.ask("the same", listener=heard, on_interrupt=interrupt)).text
    async with client.stream("the same") as stream:
        async for text in stream.text:
            told.append(text)
            if person.by == "break" and person.leave is not None:
                return None
        return (await stream.wait_response()).text


async def lives(client, person, told):
    """One person's call, from arriving to leaving; the text, or `None`."""
    await trio.sleep(person.arrive * T)
    with trio.CancelScope() as scope:
        if person.leave is not None and person.by == "deadline":
            scope.deadline = trio.current_time() + person.leave * T
        async with trio.open_nursery() as nursery:
            if person.leave is not None and person.by == "cancel":
                nursery.start_soon(cancels, scope, person.leave * T)
            text = await asks(client, person, told)
            nursery.cancel_scope.cancel()
        return text
    return None


async def cancels(scope, seconds):
    await trio.sleep(seconds)
    scope.cancel()


async def run(stack, persons):
    provider = SimulatedProvider({"a": SLOW})
    told = [[] for _ in persons]
    got = [None] * len(persons)

    async def live(number):
        got[number] = await lives(client, persons[number], told[number])

    async with Client("sim:a", stack=stack, providers=[provider]) as client:
        async with trio.open_nursery() as nursery:
            for number in range(len(persons)):
                nursery.start_soon(live, number)
        rest = await client.ask("the same")
        assert rest.text == "abc"
    return provider, got, told


@pytest.mark.parametrize("name", STACKS)
def test_whoever_leaves_takes_nothing_from_those_who_stay(name):
    @settings(deadline=None, database=None, derandomize=True, max_examples=examples_of(150))
    @given(people)
    @example(LEADER_LEAVES)
    def check(persons):
        clock = MockClock(autojump_threshold=0)
        provider, got, told = trio.run(run, STACKS[name](), persons, clock=clock)
        for person, text, heard in zip(persons, got, told, strict=True):
            if person.leave is None:
                assert text == "abc"
                assert person.how == "ask" or "".join(heard) == "abc"
            else:
                assert text in (None, "abc")
                assert "abc".startswith("".join(heard))
        first = min(persons, key=lambda one: one.arrive)
        stays = [one for one in persons if one.arrive == first.arrive and one.leave is None]
        if stays:
            assert len(provider.opened) == (1 if name == "cache" else 2)  # the last one asks again
            event("one stays from the start")
        assert len(provider.opened) <= len(persons) + 1

    check()
