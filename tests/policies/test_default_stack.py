"""A client with two targets and no stack of its own: what it must not do worse than with one."""

import attrs
import pytest
import trio

from llmmw import Client, Hedge, default_stack
from llmmw.errors import (
    AuthenticationFailed,
    BadRequest,
    CallShed,
    ConfigError,
    ContextWindowExceeded,
    Overloaded,
)
from llmmw.plugin import Provider
from llmmw.policies import Attempts, Breaker, Fallback
from llmmw.testing import Fault, Script, SimulatedProvider

pytestmark = pytest.mark.virtual

SLOW = Script(pieces=["hello"], first=150.0)


def client(provider, *more, **options):
    return Client("sim:a", "sim:b", providers=[provider, *more], **options)


@attrs.define(eq=False)
class Broken(Provider):
    async def __call__(self, call):
        raise ConfigError("no wheel in the index")


async def test_a_hedge_that_breaks_by_itself_leaves_the_one_that_goes_on():
    late = SimulatedProvider({"a": Script(pieces=["hello"], first=12.0)})
    async with Client("sim:a", "bad:b", providers=[late, Broken(name="bad")]) as one:
        assert (await one.ask("hi")).text == "hello"
        assert trio.current_time() == 12.0


async def test_a_hedge_whose_target_is_for_other_requests_is_left_out():
    late = SimulatedProvider({"a": Script(first=12.0), "b": "b"})
    stack = [Attempts(Fallback({"model": "sim:b", "temperature": 0.0}), Hedge())]
    async with Client("sim:a", stack=stack, providers=[late]) as one:
        assert (await one.embed(["hi"])).vectors == ((2.0,),)


async def test_whoever_does_not_listen_is_not_cut_for_a_late_first_token():
    async with client(SimulatedProvider({"a": SLOW, "b": SLOW})) as one:
        assert (await one.ask("hi")).text == "hello"
        assert trio.current_time() == 150.0


async def test_a_half_open_circuit_is_waited_for_no_longer_than_its_probe_may_take():
    def both(call, before):
        up = trio.current_time() >= 4
        return Script(first=2.0) if up else Script(error=Fault("busy"))

    stack = default_stack("sim:a", "sim:b")
    stack[2] = Breaker(calls=4, jitter=0)
    async with client(SimulatedProvider({"a": both, "b": both}), stack=stack) as one:
        for _ in range(4):
            with pytest.raises((Overloaded, CallShed)):  # quick retries may open both before
                await one.ask("hi", timeout=0.1)
        answered = []

        async def ask():
            answered.append((await one.ask("hi", timeout=30)).text)

        await trio.sleep(5.5)
        async with trio.open_nursery() as nursery:
            for _ in range(20):
                nursery.start_soon(ask)
        assert answered == ["ok"] * 20
        assert trio.current_time() < 30


@pytest.mark.parametrize(("kind", "raised"), [("bad", BadRequest), ("long", ContextWindowExceeded)])
async def test_an_open_circuit_does_not_hide_what_is_wrong_with_the_request(kind, raised):
    host = SimulatedProvider({"a": "a", "b": Script(error=Fault(kind))})
    stack = default_stack("sim:a", "sim:b")
    async with client(host, stack=stack) as one:
        stack[2].isolate("sim:a")
        with pytest.raises(raised):
            await one.ask("hi")
        assert trio.current_time() < 1


async def test_a_missing_key_is_told_each_time_and_opens_nothing():
    @attrs.define(eq=False)
    class Keyless(Provider):
        keys: list[str] = attrs.field(factory=list)

        async def __call__(self, call):
            if not self.keys:
                raise AuthenticationFailed("set SOME_KEY", processed=False)
            return await SimulatedProvider({"a": "mended", "b": "mended"})(call)

    one = Keyless(name="sim")
    async with client(one) as asked:
        for _ in range(3):
            with pytest.raises(AuthenticationFailed, match="SOME_KEY"):
                await asked.ask("hi")
        one.keys.append("here")
        assert (await asked.ask("hi")).text == "mended"
