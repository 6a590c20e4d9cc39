"""Places: the pure core against a model, and the policy in virtual time."""

import random
from collections import Counter
from contextlib import nullcontext

import pytest
import trio
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from llmmw import (
    Attempts,
    Breaker,
    Call,
    Client,
    Concurrency,
    Fallback,
    Generate,
    Generation,
    Hedge,
    PartDelta,
    RateLimit,
    Retry,
    Timeout,
)
from llmmw._call import Attempt
from llmmw._ledger import QueueEntered, QueueLeft
from llmmw.errors import (
    BadRequest,
    CallShed,
    ConfigError,
    ConnectionFailed,
    DeadlineExceeded,
    Overloaded,
    RateLimited,
    ServerError,
)
from llmmw.policies.concurrency import Places
from llmmw.testing import Caller, Script, SimulatedProvider, World, run_virtual, run_world
from llmmw.testing._strategies import worlds

LEAST, MOST = 2, 6


class PlacesMachine(RuleBasedStateMachine):
    """L53 to L57 on the pure core."""

    def __init__(self):
        super().__init__()
        self.places = Places(LEAST, MOST, 0.75, 4)
        self.count = 0
        self.inside = []  # (who, the number of drops when it came in)
        self.outside = []  # who waits, in order
        self.awake = []

    def came(self, who):
        assert len(self.inside) < self.places.limit  # L54
        self.inside.append((who, self.places.drops))

    def woken(self, who):
        assert self.outside.pop(0) == who  # L57
        self.came(who)

    @rule()
    def enter(self):
        self.count += 1
        who = self.count
        free = len(self.inside) < self.places.limit
        assert self.places.take() == free
        if free:
            assert not self.outside  # nobody overtakes
            self.came(who)
        else:
            self.outside.append(who)
            self.places.queue(who, lambda: self.woken(who))

    @rule(data=st.data(), sign=st.sampled_from(["ok", "ok", "ok", "dropped", "ignored"]))
    def leave(self, data, sign):
        if not self.inside:
            return
        busy, limit, exact = len(self.inside), self.places.limit, self.places.exact
        place = data.draw(st.integers(0, busy - 1))
        _, drops = self.inside.pop(place)
        fresh = drops == self.places.drops
        # The places are counted anew in `woken`, so the model gives this one up first.
        self.places.leave(drops, sign)
        changed = self.places.exact - exact
        if sign == "ignored" or not fresh:  # L56
            assert changed == 0
        elif sign == "dropped":  # L53
            assert changed <= 0
            assert self.places.exact == max(LEAST, exact * 0.75)
        else:
            assert 0 <= changed <= 1
            assert changed == 0 or 2 * busy >= limit

    @rule(data=st.data())
    def cancel_one_that_waits(self, data):
        if self.outside:
            place = data.draw(st.integers(0, len(self.outside) - 1))
            self.places.forget(self.outside.pop(place))

    @invariant()
    def bounded(self):
        places = self.places
        assert LEAST <= places.limit <= MOST
        assert places.limit == int(places.exact)
        assert places.in_flight == len(self.inside)  # L55
        assert places.waiting == len(self.outside)
        assert not self.outside or places.in_flight >= places.limit  # no place is left empty


TestPlaces = PlacesMachine.TestCase
TestPlaces.settings = settings(
    database=None, derandomize=True, deadline=None, max_examples=150, stateful_step_count=40
)


def rounds(places, count, sign):
    """The limit after each of so many rounds, with all places in use all the time."""
    inside, limits = [], []
    for _ in range(count):
        for _ in range(places.limit):
            while places.take():
                inside.append(places.drops)
            places.leave(inside.pop(0), sign)
        limits.append(places.limit)
    for drops in inside:
        places.leave(drops, "ignored")
    return limits


def test_it_doubles_until_the_first_drop_then_grows_by_one_a_round():
    places = Places(1, 100, 0.5, 4)
    assert rounds(places, 2, "ok") == [8, 16]
    assert rounds(places, 1, "dropped") == [8]  # sixteen failed at once: one decrease
    grown = rounds(places, 8, "ok")
    assert [b - a for a, b in zip([8, *grown], grown, strict=False)] in ([0] + [1] * 7, [1] * 8)
    assert rounds(places, 20, "dropped")[-1] == 1
    assert rounds(Places(1, 9, 0.5, 4), 9, "ok")[-1] == 9


def test_a_limit_that_nobody_needs_stays_as_it_is():
    places = Places(1, 100, 0.9, 20)
    for _ in range(100):
        for _ in range(9):
            assert places.take()
        for _ in range(9):
            places.leave(0, "ok")
    assert places.limit == 20


def test_it_finds_what_the_server_can_do():
    # 100 at once are taken, more are refused: nine in ten places used, one in thirty refused.
    chance, places, limits, refused, asked = random.Random(1), Places(1, 1000, 0.9, 20), [], 0, 0
    inside = []
    for _ in range(40_000):
        while places.take():
            inside.append((places.drops, len(inside) < 100))
            asked += 1
        drops, good = inside.pop(chance.randrange(len(inside)))
        refused += not good
        places.leave(drops, "ok" if good else "dropped")
        limits.append(places.limit)
    used = limits[10_000:]
    assert 85 < sum(used) / len(used) < 105
    assert refused < asked / 30


# The policy.

ANSWER = Generation(model="a", provider="sim")


def call_of(model="sim:a", **fields):
    return Call(Generate(model=model, messages=["hello"]), **fields)


class Server:
    """Keeps every call until it is let go, and notes who came."""

    def __init__(self):
        self.came = []
        self.open = 0
        self.most = 0
        self.gates = {}

    async def __call__(self, call):
        self.came.append(call.tenant)
        self.open += 1
        self.most = max(self.most, self.open)
        gate = self.gates[call.tenant] = trio.Event()
        try:
            await gate.wait()
        finally:
            self.open -= 1
        return ANSWER


async def settled():
    await trio.testing.wait_all_tasks_blocked()


@pytest.mark.virtual
async def test_who_has_no_place_waits_in_the_order_of_coming():  # L54, L57
    policy, server, scopes = Concurrency(2), Server(), {}

    async def caller(name):
        with trio.CancelScope() as scopes[name]:
            await policy(call_of(tenant=name), server)

    async with trio.open_nursery() as nursery:
        for name in "abcdef":
            nursery.start_soon(caller, name)
            await settled()
        assert server.came == ["a", "b"]
        assert policy.statistics() == {"sim:a": {"limit": 2, "in_flight": 2, "waiting": 4}}
        scopes["c"].cancel()
        await settled()
        assert policy.statistics()["sim:a"]["waiting"] == 3
        server.gates["b"].set()
        await settled()
        assert server.came == ["a", "b", "d"]
        scopes["a"].cancel()
        await settled()
        assert server.came == ["a", "b", "d", "e"]
        for name in "def":
            server.gates[name].set()
            await settled()
    assert server.most == 2
    assert policy.statistics() == {"sim:a": {"limit": 2, "in_flight": 0, "waiting": 0}}


@pytest.mark.virtual
async def test_cancelled_in_the_instant_of_its_turn():  # L55, L57
    for seed in range(20):
        random.seed(seed)
        trio._core._run._r.seed(seed)
        policy, server, scopes = Concurrency(1), Server(), {}

        async def caller(name, policy=policy, server=server, scopes=scopes):
            with trio.CancelScope() as scopes[name]:
                await policy(call_of(tenant=name), server)

        async with trio.open_nursery() as nursery:
            for name in "abc":
                nursery.start_soon(caller, name)
                await settled()
            if seed % 2:
                scopes["b"].cancel()
                server.gates["a"].set()
            else:
                server.gates["a"].set()
                scopes["b"].cancel()
            await settled()
            assert server.came[-1] == "c"
            server.gates["c"].set()
        assert server.most == 1
        assert policy.statistics()["sim:a"]["in_flight"] == 0


@pytest.mark.virtual
async def test_a_full_queue_sheds_at_once():
    policy, server = Concurrency(1, queue=1), Server()
    async with trio.open_nursery() as nursery:
        for name in "ab":
            nursery.start_soon(policy, call_of(tenant=name), server)
            await settled()
        before = trio.current_time()
        with pytest.raises(CallShed) as caught:
            await policy(call_of(), server)
        assert trio.current_time() == before
        assert str(caught.value) == (
            "sim:a: 1 calls are at 'sim:a' and 1 wait, which is all that Concurrency(queue=1) "
            "lets; ask another target, or let more wait"
        )
        nursery.cancel_scope.cancel()
    with pytest.raises(CallShed):
        await shed_with_no_queue()


async def shed_with_no_queue():
    policy, server = Concurrency(1, queue=0), Server()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(policy, call_of(tenant="a"), server)
        await settled()
        try:
            await policy(call_of(), server)
        except CallShed as error:
            nursery.cancel_scope.cancel()
            shed = error
    raise shed


@pytest.mark.virtual
async def test_a_place_is_held_to_the_end_of_a_stream():
    slow = Script(first=1.0, gap=1.0, pieces=("a", "b", "c"))
    policy, provider = Concurrency(1), SimulatedProvider({"a": [slow]})
    async with Client("sim:a", stack=[policy], providers=[provider]) as client:
        began = trio.current_time()
        async with client.stream("one") as stream:
            async for delta in stream:
                if isinstance(delta, PartDelta):
                    assert policy.statistics()["sim:a"]["in_flight"] == 1
        async with trio.open_nursery() as nursery:
            nursery.start_soon(client.ask, "two")
            nursery.start_soon(client.ask, "three")
        assert trio.current_time() == began + 12
        async with client.stream("left") as stream:
            async for _ in stream:
                break
        assert policy.statistics()["sim:a"] == {"limit": 1, "in_flight": 0, "waiting": 0}


@pytest.mark.virtual
async def test_queueing_is_not_blamed_on_the_server():  # limits of an attempt count from sending
    server = SimulatedProvider({"a": [Script(first=3.0)]})
    stack = [Attempts(), Timeout(total=4, first_token=4), Concurrency(1)]
    async with Client("sim:a", stack=stack, providers=[server]) as client:
        began = trio.current_time()
        async with trio.open_nursery() as nursery:
            for _ in range(5):
                nursery.start_soon(client.ask, "hello")
        assert trio.current_time() == began + 15


@pytest.mark.virtual
async def test_a_deadline_bounds_the_wait_and_the_ledger_tells_of_it():
    policy, server = Concurrency(1), Server()
    waits = call_of(attempt=Attempt(number=7))
    async with trio.open_nursery() as nursery:
        nursery.start_soon(policy, call_of(tenant="a"), server)
        await settled()
        with trio.move_on_after(5) as scope:
            await policy(waits, server)
        assert scope.cancelled_caught
        assert policy.statistics()["sim:a"]["waiting"] == 0
        nursery.cancel_scope.cancel()
    entered, left = waits.ledger.events
    assert isinstance(entered, QueueEntered)
    assert isinstance(left, QueueLeft)
    assert str(entered) == "waits for a place at sim:a, 0 ahead"
    assert str(left) == "waited 5.000 s for a place at sim:a"
    assert {entered.parent, left.parent} == {7}


@pytest.mark.virtual
@pytest.mark.parametrize(
    ("error", "limit"),
    [
        (RateLimited("rate"), 18),
        (Overloaded("busy"), 18),
        (ServerError("failed"), 18),
        (DeadlineExceeded("late", limit="total", after=1.0, layer="Timeout"), 18),
        (ConnectionFailed("net"), 20),
        (BadRequest("bad"), 20),
        (CallShed("inside"), 20),
        (ZeroDivisionError(), 20),
        (None, 20),
    ],
    ids=repr,
)
async def test_what_lowers_an_adaptive_limit(error, limit):  # L53, L56
    policy = Concurrency()

    async def fails(call):
        if error is None:
            await trio.sleep_forever()
        raise error

    with nullcontext() if error is None else pytest.raises(type(error)):
        with trio.move_on_after(1):
            await policy(call_of(), fails)
    assert policy.statistics()["sim:a"] == {"limit": limit, "in_flight": 0, "waiting": 0}


@pytest.mark.virtual
@pytest.mark.parametrize(
    ("scope", "places"),
    [("model", 3), ("provider", 2), ("all", 1)],
    ids=["model", "provider", "all"],
)
async def test_what_has_places_of_its_own(scope, places):
    policy, server = Concurrency(1, scope=scope), Server()
    async with trio.open_nursery() as nursery:
        for model in ("sim:a", "sim:b", "other:a"):
            nursery.start_soon(policy, call_of(model, tenant=model), server)
            await settled()
        assert server.open == places
        assert len(policy.statistics()) == places
        nursery.cancel_scope.cancel()


def test_a_queue_that_is_full_sends_calls_elsewhere():
    slow = Script(first=1.0)
    callers = tuple(Caller(arrive=k / 64) for k in range(6))
    world = World(scripts={"sim:a": (slow,), "sim:b": (Script(),)}, callers=callers)
    stack = [Fallback("sim:b"), Concurrency(1, queue=1)]
    trace = run_world(world, lambda: stack)
    assert [call.response.model for call in trace.calls] == ["a", "a", "b", "b", "b", "b"]


def test_it_can_be_used_again_in_another_run():
    policy = Concurrency(1)

    async def main():
        answers = SimulatedProvider({"a": [Script(first=1.0)]})
        async with Client("sim:a", stack=[policy], providers=[answers]) as client:
            with trio.move_on_after(1.5):
                async with trio.open_nursery() as nursery:
                    for _ in range(4):
                        nursery.start_soon(client.ask, "hello")
        return len(answers.opened)

    assert [run_virtual(main) for _ in range(3)] == [2, 2, 2]
    assert policy.statistics() == {"sim:a": {"limit": 1, "in_flight": 0, "waiting": 0}}


@pytest.mark.parametrize(
    ("given", "options", "message"),
    [
        ((0,), {}, "Concurrency(limit=0): expected a whole number from 1 on"),
        (("8",), {}, "limit='8'"),
        ((8,), {"most": 9}, "Concurrency(8) is fixed: most belongs to an adaptive one"),
        ((), {"least": 9, "most": 8}, "Concurrency(least=9, initial=8, most=8): expected least"),
        ((), {"initial": 300}, "initial=300, most=200): expected least <= initial <= most"),
        ((), {"initial": "x"}, "initial='x'"),
        ((), {"least": None}, "least=None"),
        ((), {"factor": 0}, "factor=0): expected a number above 0, up to 1"),
        ((), {"queue": -1}, "queue=-1"),
        ((), {"scope": "target"}, "scope='target'): expected one of 'model', 'provider', 'all'"),
    ],
    ids=str,
)
def test_a_wrong_option_is_named(given, options, message):
    with pytest.raises(ConfigError) as caught:
        Concurrency(*given, **options)
    assert message in str(caught.value)


class Watched(trio.abc.Instrument):
    """All three limits under attempts that retry and hedge. At each opening and each end no
    attempt is without its place, and whenever all tasks wait no place is without its attempt.
    (In between, who leaves has given its place to a task that has yet to run.)"""

    def __init__(self):
        self.breaker = Breaker(calls=2, open_for=2 / 64, probe_limit=2 / 64, jitter=0)
        self.rate = RateLimit(requests=32, per=1.0, burst=8 / 64)
        self.places = Concurrency(2)
        self.open, self.most, self.wrong = 0, 0, []

    def held(self):
        return sum(one["in_flight"] for one in self.places.statistics().values())

    async def watch(self, call, next):
        if not self.open:
            trio.lowlevel.add_instrument(self)  # again is no harm
        self.open += 1
        self.most = max(self.most, self.open)
        self.check()
        try:
            return await next(call)
        finally:
            self.check()
            self.open -= 1

    def check(self):
        reserved = sum(one["in_flight"] for one in self.rate.statistics().values())
        if not self.open <= min(self.held(), reserved):
            self.wrong.append((self.open, self.held(), reserved))

    def before_io_wait(self, timeout):
        if timeout > 0 and self.held() != self.open:
            self.wrong.append((self.open, self.held()))

    def stack(self):
        engine = Attempts(Retry(1, base=1 / 64), Fallback("sim:b"), Hedge(1 / 64, targets="sim:c"))
        return [engine, self.breaker, self.rate, self.places, self.watch]

    def at_rest(self):
        for policy in (self.rate, self.places):
            for one in policy.statistics().values():
                assert (one["in_flight"], one["waiting"]) == (0, 0)
        assert all(one["probes"] == 0 for one in self.breaker.statistics().values())
        assert self.open == 0
        assert not self.wrong, "places held are not the attempts open"


def test_places_held_are_attempts_open_whatever_is_cancelled():  # L55, L101
    met = Counter()

    @settings(
        max_examples=12,
        deadline=None,
        database=None,
        derandomize=True,
        suppress_health_check=list(HealthCheck),
    )
    @given(st.random_module(), worlds(callers=3))
    def run(_, world):
        whole = run_world(world, (watched := Watched()).stack, stop_at=1 << 30)
        watched.at_rest()
        met.update(whole.happened())
        met["at once"] += watched.most > 1
        for step in range(1, whole.steps + 1):
            run_world(world, (watched := Watched()).stack, probes=False, stop_at=step)
            watched.at_rest()

    run()
    assert min(met[what] for what in ("retry", "hedge", "at once", "QueueEntered")) > 1, met
