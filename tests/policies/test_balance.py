"""Balancing: the pure choice, then the policy around it."""

import math
import random
from collections import Counter

import pytest
import trio
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from llmmw import Attempts, Balance, Breaker, Client, Fallback, Generate, Hedge, Retry
from llmmw._call import Attempt, Call
from llmmw._ledger import TargetChosen
from llmmw._response import Generation
from llmmw.errors import (
    AuthenticationFailed,
    BadRequest,
    CallShed,
    ConfigError,
    ConnectionFailed,
    ContentFiltered,
    ContextWindowExceeded,
    DeadlineExceeded,
    NotFound,
    Overloaded,
    PermissionDenied,
    QuotaExhausted,
    RateLimited,
    StreamInterrupted,
)
from llmmw.policies._choice import Chooser, Estimate
from llmmw.testing import Caller, Fault, Script, SimulatedProvider, World, run_world

OPTIONS = {"decay": 1.0, "explore": 1.0, "exclude_for": 4 / 64, "exclude_max": 16 / 64}
CHANCES = st.sampled_from([0.0, 0.25, 0.5, 63 / 64])
AHEAD = (0.0, 1 / 64, 0.5, 1.0, 7.0, 100.0)


def chooser(strategy="peak-ewma", names="abc", **options):
    made = Chooser(strategy=strategy, **(OPTIONS | options))
    for name in names:
        made.add(name, 1.0)
    return made


class ChoiceMachine(RuleBasedStateMachine):
    """L58, L60 and L61 on the pure core, on a lattice of times."""

    strategy = "peak-ewma"

    def __init__(self):
        super().__init__()
        self.core = chooser(self.strategy)
        self.now = 0.0
        self.visits = []
        self.excluded = {}
        self.names = 3

    @rule(ticks=st.integers(0, 8))
    def later(self, ticks):
        self.now += ticks / 64

    @rule(
        chances=st.tuples(CHANCES, CHANCES),
        used=st.sampled_from([{}, {}, {"a": 1}, {"a": 1, "b": 1}, {"b": 2, "c": 1, "d": 1}]),
        never=st.sampled_from(["", "", "a", "bd"]),
    )
    def choose(self, chances, used, never):
        core = self.core
        if set(never).issuperset(core.members):
            return
        draws = iter(chances)
        found = core.choose(self.now, lambda: next(draws), used, never)
        there = [m for name, m in core.members.items() if name not in never]
        assert found.member in there
        fit = [m for m in there if not self.now < self.excluded.get(m, -1.0)]
        assert (found.member in fit) or not fit  # L58
        if fit:
            least = min(used.get(m.name, 0) for m in fit)
            fit = [m for m in fit if used.get(m.name, 0) == least]
            assert found.member in fit
        if found.why == "cost":
            assert found.member is not found.other
            assert found.cost <= found.other_cost
            assert found.other in fit
            costs = {m: self.cost(m) for m in (found.member, found.other)}
            assert [found.cost, found.other_cost] == list(costs.values())
            if self.strategy == "least-busy":
                assert found.cost == min(self.cost(m) for m in fit)
        if found.why == "unused":
            assert found.member.used == min(m.used for m in fit)
        self.visits.append(core.enter(found, self.now))

    def cost(self, member):
        if self.strategy == "least-busy":
            return (member.in_flight + 1) / member.weight
        return self.core.cost(member, self.now)

    @rule(
        data=st.data(),
        end=st.sampled_from(["ok", "ok", "failed", "hint", "cancelled"]),
        first=st.booleans(),
    )
    def leave(self, data, end, first):
        if not self.visits:
            return
        visit = self.visits.pop(data.draw(st.integers(0, len(self.visits) - 1)))
        member, core, estimate = visit.member, self.core, visit.member.estimate
        stale, failures = visit.change != member.change, member.failures
        if end == "ok":
            core.answered(visit)
            if not stale:
                self.excluded.pop(member, None)
                assert member.failures == 0
        elif end == "failed":
            core.failed(visit, self.now)
            if not stale:
                assert member.failures == failures + 1
                grown = min(16 / 64, 4 / 64 * 2**failures)
                self.exclude(member, grown)
        elif end == "hint":
            core.exclude(visit, self.now, 8 / 64)
            self.exclude(member, 8 / 64)
        before = [estimate.value(self.now + ahead) for ahead in AHEAD]
        mean, least = estimate.mean, estimate.least
        seconds = self.now - visit.begun
        if end == "ok" or first:
            estimate.add(seconds, self.now)
            assert estimate.value(self.now) >= seconds  # a peak shows at once
        else:
            estimate.add_longer(seconds, self.now)
            after = [estimate.value(self.now + ahead) for ahead in AHEAD]
            assert mean is None or all(
                x >= y - 1e-12 for x, y in zip(after, before, strict=True)
            )  # L60
            assert estimate.mean == mean or estimate.mean > mean
            assert estimate.least >= least
            assert (estimate.least if mean is None else estimate.value(self.now)) >= seconds
        core.leave(visit)

    def exclude(self, member, seconds):
        self.excluded[member] = max(self.now + seconds, self.excluded.get(member, -1.0))

    @rule(name=st.sampled_from("abcd"))
    def come_or_go(self, name):  # L61
        if name not in self.core.members:
            self.core.add(name, 1.0)
        elif len(self.core.members) > 1:
            del self.core.members[name]

    @invariant()
    def in_flight(self):
        here = Counter(visit.member.name for visit in self.visits if self.is_member(visit))
        told = self.core.statistics()
        assert {name: one["in_flight"] for name, one in told.items()} == {n: here[n] for n in told}

    def is_member(self, visit):
        return self.core.members.get(visit.member.name) is visit.member


class BusyMachine(ChoiceMachine):
    strategy = "least-busy"


class WeightedMachine(ChoiceMachine):
    strategy = "weighted"


TestPeakEwma = ChoiceMachine.TestCase
TestLeastBusy = BusyMachine.TestCase
TestWeighted = WeightedMachine.TestCase
for _case in (TestPeakEwma, TestLeastBusy, TestWeighted):
    _case.settings = settings(
        database=None, derandomize=True, deadline=None, max_examples=60, stateful_step_count=30
    )


def test_an_estimate_jumps_up_at_once_and_fades_to_its_mean():
    estimate = Estimate(10.0)
    assert estimate.value(0.0) is None
    for _ in range(16):
        estimate.add(1.0, 0.0)
    estimate.add(17.0, 0.0)
    assert (estimate.value(0.0), estimate.mean) == (17.0, 2.0)
    assert estimate.value(10.0) == pytest.approx(2 + 15 / math.e)
    assert estimate.value(1e9) == 2.0
    estimate.add(0.5, 10.0)  # a quick answer lowers the mean and leaves the peak
    assert estimate.value(10.0) == pytest.approx(2 + 15 / math.e)
    assert estimate.mean == 2 - 1.5 / 16
    assert estimate.value(5.0) == estimate.mean  # the clock of another run


def test_turns_are_by_weight_and_even():
    core = chooser("weighted", "")
    for name, weight in (("a", 5.0), ("b", 1.0), ("c", 1.0)):
        core.add(name, weight)
    order = "".join(
        core.enter(core.choose(0.0, random.random, {}), 0.0).member.name for _ in range(14)
    )
    assert order == "aabacaa" * 2


def test_who_was_never_asked_is_asked_and_who_was_not_for_long_now_and_then():
    core, rng, asked = chooser(explore=30.0), random.Random(1), Counter()
    seconds = {"a": 0.25, "b": 4.0, "c": 8.0}
    for k in range(36_000):  # ten a second, for an hour
        now = k / 10
        choice = core.choose(now, rng.random, {})
        visit = core.enter(choice, now)
        asked[visit.member.name, choice.why] += 1
        core.answered(visit)
        visit.member.estimate.add(seconds[visit.member.name], now)
        core.leave(visit)
        if k == 2:
            assert set(asked) == {("a", "unused"), ("b", "unused"), ("c", "unused")}
    # c is the dearer one of every pair, so it is asked for want of use only.
    assert asked["c", "cost"] == 0
    assert 100 <= asked["c", "unused"] <= 120
    assert asked["a", "cost"] == pytest.approx(24_000, rel=0.02)


def test_seldom_calls_explore_seldom():
    core, rng, asked = chooser(names="ab"), random.Random(1), Counter()
    for k in range(2100):  # one in a minute: each target was not used for longer than `explore`
        visit = core.enter(core.choose(60.0 * k, rng.random, {}), 60.0 * k)
        asked[visit.member.name] += 1
        visit.member.estimate.add({"a": 0.25, "b": 4.0}[visit.member.name], 60.0 * k)
        core.leave(visit)
    assert asked["b"] == pytest.approx(100, abs=2)


def test_failures_that_were_under_way_together_count_as_one():
    core = chooser(names="ab")
    choice = core.choose(0.0, random.random, {})
    visits = [core.enter(choice, 0.0) for _ in range(50)]
    for visit in visits:
        core.failed(visit, 1.0)
        core.leave(visit)
    assert choice.member.failures == 1
    assert choice.member.until == 1.0 + 4 / 64


def test_if_none_is_fit_the_one_that_is_first_is_asked():
    core = chooser()
    for seconds, name in ((3.0, "a"), (1.0, "b"), (2.0, "c")):
        core.exclude(core.enter(_only(core, name), 0.0), 0.0, seconds)
    assert core.choose(0.5, random.random, {}).member.name == "b"
    assert core.choose(0.5, random.random, {}, never={"b"}).member.name == "c"
    assert core.choose(1.0, random.random, {}).why == "only"


def _only(core, name):
    return core.choose(0.0, random.random, {}, never=set(core.members) - {name})


# The policy.

ANSWER = Generation(model="a", provider="sim")


def call_of(model="sim:a", **fields):
    return Call(Generate(model=model, messages=["hello"]), **fields)


class Servers:
    """Ends each call to a target as told, and notes who was asked."""

    def __init__(self, **ends):
        self.ends = {f"sim:{name}": end for name, end in ends.items()}
        self.asked = []

    async def __call__(self, call):
        self.asked.append(call.request.model)
        await trio.lowlevel.checkpoint()
        end = self.ends.get(call.request.model)
        if end is not None:
            raise end
        return ANSWER


async def asked_by(balance, servers, call=None):
    """What one call ends with."""
    try:
        await balance(call or call_of(), servers)
    except Exception as error:
        return type(error).__name__
    return "ok"


@pytest.mark.virtual
async def test_other_calls_pass():
    servers = Servers()
    balance = Balance("sim:b", "sim:c")
    call = call_of("sim:a")
    assert await asked_by(balance, servers, call) == "ok"
    assert servers.asked == ["sim:a"]
    assert call.ledger.events == []
    assert all(one["chosen"] == 0 for one in balance.statistics().values())


@pytest.mark.virtual
@pytest.mark.parametrize("strategy", ["peak-ewma", "least-busy", "weighted"])
async def test_every_call_of_one_of_its_targets_is_balanced(strategy):
    servers = Servers()
    balance = Balance("sim:a", "sim:b", {"model": "sim:c", "temperature": 0.5}, strategy=strategy)
    for k in range(30):
        assert await asked_by(balance, servers, call_of(f"sim:{'abc'[k % 3]}")) == "ok"
    assert min(Counter(servers.asked).values()) >= 3
    told = balance.statistics()
    assert sum(one["chosen"] for one in told.values()) == 30
    assert all(one["in_flight"] == 0 for one in told.values())


@pytest.mark.virtual
async def test_a_patch_of_a_target_goes_with_it():
    requests = []

    async def notes(call):
        requests.append(call.request)
        return ANSWER

    balance = Balance("sim:a", {"model": "sim:c", "temperature": 0.5}, strategy="weighted")
    for name in "ac":
        await balance(call_of(f"sim:{name}"), notes)
        await balance(call_of(f"sim:{name}"), notes)
    assert [(r.model, r.temperature) for r in requests] == [("sim:a", None), ("sim:c", 0.5)] * 2


@pytest.mark.virtual
@pytest.mark.parametrize(
    ("error", "seconds"),
    [
        (ConnectionFailed("net"), 1.0),
        (Overloaded("busy"), 1.0),
        (Overloaded("busy", retry_after=7.0), 7.0),
        (StreamInterrupted("cut"), 1.0),
        (PermissionDenied("not you"), 1.0),
        (DeadlineExceeded("late", limit="total", after=1.0, layer="Timeout"), 1.0),
        (RateLimited("rate"), 1.0),
        (RateLimited("rate", retry_after=30.0), 30.0),
        (RateLimited("rate", retry_after=math.inf), 1.0),
        (QuotaExhausted("no money"), 300.0),
        (QuotaExhausted("no money", retry_after=3600.0), 3600.0),
        (AuthenticationFailed("wrong key"), 300.0),
        (NotFound("no such deployment"), 300.0),
        (BadRequest("bad"), 0.0),
        (ContextWindowExceeded("long"), 0.0),
        (ContentFiltered("refused"), 0.0),
        (ZeroDivisionError(), 0.0),
    ],
    ids=repr,
)
async def test_how_long_a_target_is_excluded(error, seconds):
    balance, servers = Balance("sim:a", "sim:b", strategy="weighted"), Servers(a=error)
    assert await asked_by(balance, servers) == type(error).__name__
    servers.asked.clear()
    if seconds:
        assert balance.statistics()["sim:a"]["until"] == trio.current_time() + seconds
        for _ in range(2):
            await asked_by(balance, servers)
            await trio.sleep(seconds * 63 / 64 / 2)
        assert set(servers.asked) == {"sim:b"}
        await trio.sleep(seconds / 64)
    servers.ends.clear()
    await asked_by(balance, servers)
    await asked_by(balance, servers)
    assert "sim:a" in servers.asked
    assert balance.statistics()["sim:a"]["failures"] == 0


@pytest.mark.virtual
async def test_a_shed_call_goes_elsewhere_at_once_within_its_attempt():
    balance = Balance("sim:a", "sim:b", "sim:c", strategy="weighted")
    servers = Servers(a=CallShed("open", retry_after=5.0), b=CallShed("full"))
    call = call_of()
    assert await asked_by(balance, servers, call) == "ok"
    assert servers.asked == ["sim:a", "sim:b", "sim:c"]
    assert [str(e) for e in call.ledger.events] == [
        "goes to sim:a (share)",
        "goes to sim:b (share)",
        "goes to sim:c (only)",
    ]
    until = {name: one["until"] for name, one in balance.statistics().items()}
    now = trio.current_time()
    assert until == {"sim:a": now + 5.0, "sim:b": now + 1.0, "sim:c": None}


@pytest.mark.virtual
async def test_if_all_shed_the_call_is_shed():
    balance = Balance("sim:a", "sim:b")
    servers = Servers(a=CallShed("open"), b=CallShed("full"))
    assert await asked_by(balance, servers) == "CallShed"
    assert sorted(servers.asked) == ["sim:a", "sim:b"]
    servers.asked.clear()
    servers.ends.pop("sim:b")
    assert await asked_by(balance, servers) == "ok"


@pytest.mark.virtual
async def test_what_was_told_is_not_told_again_by_another():
    asked = []

    async def tells_and_sheds(call):
        asked.append(call.request.model)
        await call.listener(object())
        raise CallShed("too late")

    async def hears(delta):
        pass

    balance = Balance("sim:a", "sim:b")
    assert await asked_by(balance, tells_and_sheds, call_of(listener=hears)) == "CallShed"
    assert len(asked) == 1


@pytest.mark.virtual
async def test_in_flight_counts_to_the_end_of_a_call_whatever_end():
    balance = Balance("sim:a", "sim:b", strategy="least-busy")
    ends = {"sim:a": trio.Event(), "sim:b": trio.Event()}

    async def waits(call):
        await ends[call.request.model].wait()
        return ANSWER

    async with trio.open_nursery() as nursery:
        for _ in range(6):
            nursery.start_soon(balance, call_of(), waits)
        await trio.testing.wait_all_tasks_blocked()
        assert [one["in_flight"] for one in balance.statistics().values()] == [3, 3]
        with trio.move_on_after(1):
            await balance(call_of(), waits)
        assert [one["in_flight"] for one in balance.statistics().values()] == [3, 3]
        ends["sim:b"].set()
        await trio.testing.wait_all_tasks_blocked()
        assert [one["in_flight"] for one in balance.statistics().values()] == [3, 0]
        ends["sim:a"].set()


@pytest.mark.virtual
async def test_a_target_that_goes_keeps_its_calls_and_gets_no_more():  # L61
    balance = Balance("sim:a", "sim:b", strategy="least-busy")
    go, ended, asked = trio.Event(), [], []

    async def waits(call):
        asked.append(call.request.model)
        await go.wait()
        return ANSWER

    async def caller():
        ended.append(await balance(call_of("sim:a"), waits))

    async with trio.open_nursery() as nursery:
        for _ in range(4):
            nursery.start_soon(caller)
        await trio.testing.wait_all_tasks_blocked()
        balance.remove("sim:a")
        asked.clear()
        for _ in range(4):
            nursery.start_soon(caller)
        await trio.testing.wait_all_tasks_blocked()
        assert asked == ["sim:b"] * 4
        assert balance.statistics()["sim:b"]["in_flight"] == 6
        balance.add("sim:c")
        nursery.start_soon(caller)
        await trio.testing.wait_all_tasks_blocked()
        assert asked[-1] == "sim:c"
        go.set()
    assert ended == [ANSWER] * 9
    with pytest.raises(ConfigError, match="'sim:a' is none of the targets; there is sim:b, sim:c"):
        balance.remove("sim:a")
    balance.remove("sim:b")
    with pytest.raises(ConfigError, match="'sim:c' is the only target left"):
        balance.remove("sim:c")
    with pytest.raises(ConfigError, match="'sim:c' is there already"):
        balance.add("sim:c")
    with pytest.raises(ConfigError, match="expected more than 0"):
        balance.add("sim:d", weight=0)


@pytest.mark.virtual
async def test_what_was_cut_short_counts_from_sending_and_only_raises():
    balance = Balance("sim:a", "sim:b", strategy="weighted")

    async def queues(call):
        await trio.sleep(5)
        call.attempt.mark_sent(call.ledger)
        await trio.sleep(3)
        return ANSWER

    for _ in range(2):
        with trio.move_on_after(6):
            await balance(call_of(attempt=Attempt()), queues)
    assert [one["seconds"] for one in balance.statistics().values()] == [1.0, 1.0]
    await balance(call_of(attempt=Attempt()), queues)
    assert balance.statistics()["sim:a"]["seconds"] == 3.0
    await balance(call_of(attempt=Attempt()), queues)
    with trio.move_on_after(6):
        await balance(call_of(attempt=Attempt()), queues)
    assert balance.statistics()["sim:a"]["seconds"] == 3.0


def chosen_by(trace):
    """Where the attempts of each call went."""
    return [
        [event.target for event in call.events if isinstance(event, TargetChosen)]
        for call in trace.calls
    ]


BUSY = Script(pieces=(), error=Fault("busy"))
NAMES = ("sim:a", "sim:b", "sim:c")


@pytest.mark.parametrize("strategy", ["peak-ewma", "least-busy", "weighted"])
@pytest.mark.parametrize("chance", [0.0, 0.5, 63 / 64])
def test_further_attempts_of_a_call_go_elsewhere(strategy, chance):
    late = Script(first=1 / 64, pieces=(), error=Fault("busy"))
    world = World(scripts=dict.fromkeys(NAMES, (late,)), chance=chance)
    stack = [
        Attempts(Retry(2, base=0.0), Fallback("sim:b", "sim:c")),
        Balance(*NAMES, strategy=strategy),
    ]
    (went,) = chosen_by(run_world(world, lambda: stack))
    assert len(went) == 5
    assert sorted(went[:3]) == list(NAMES)
    assert went[3:] == went[:2]


@pytest.mark.parametrize("chance", [0.0, 0.5, 63 / 64])
def test_a_hedge_goes_elsewhere(chance):
    slow, quick = Script(first=1.0), Script(first=1 / 64)
    world = World(scripts={"sim:a": (slow,), "sim:b": (quick,), "sim:c": (quick,)}, chance=chance)
    stack = [Attempts(Retry(2), Hedge(2 / 64)), Balance("sim:a", "sim:b")]
    trace = run_world(world, lambda: stack)
    (went,) = chosen_by(trace)
    if went[0] == "sim:a":
        assert went == ["sim:a", "sim:b"]
        assert trace.calls[0].done == 3 / 64
        assert stack[1].statistics()["sim:a"]["seconds"] == 3 / 64  # it would have taken longer
    else:
        assert went == ["sim:b"]


def test_an_open_circuit_is_nothing_that_a_caller_sees():  # L44, L58
    callers = tuple(Caller(arrive=k / 64) for k in range(100))
    world = World(scripts={"sim:a": (BUSY,), "sim:b": (Script(),)}, callers=callers)
    balance = Balance("sim:a", "sim:b", exclude_for=1 / 64, strategy="weighted")
    stack = [Attempts(Fallback("sim:b")), balance, Breaker(calls=1, open_for=60)]
    trace = run_world(world, lambda: stack)
    assert all(call.outcome == "ok" and call.done == call.arrived for call in trace.calls)
    assert sum(seen.model == "a" for seen in trace.seen if seen.what == "opened") == 1
    assert sum("sim:a" in went for went in chosen_by(trace)) == 2  # and one was shed


@pytest.mark.parametrize("strategy", ["peak-ewma", "least-busy", "weighted"])
def test_who_fails_at_once_gets_little_traffic(strategy):  # L59
    callers = tuple(Caller(arrive=k / 16) for k in range(400))
    scripts = {"sim:a": (BUSY,), "sim:b": (Script(first=1.0),), "sim:c": (Script(first=1.0),)}
    stack = [Attempts(Retry(2, base=0.0)), Balance(*NAMES, strategy=strategy)]
    trace = run_world(World(scripts=scripts, callers=callers), lambda: stack)
    assert all(call.outcome == "ok" for call in trace.calls)
    share = sum("sim:a" in went for went in chosen_by(trace)) / len(callers)
    assert share <= 0.02
    counts = Counter(went[-1] for went in chosen_by(trace))
    assert min(counts["sim:b"], counts["sim:c"]) >= 100


def test_the_slower_one_gets_less_and_is_not_forgotten():
    callers = tuple(Caller(arrive=k / 16) for k in range(1000))
    scripts = {"sim:a": (Script(first=2.0),), "sim:b": (Script(first=0.25),)}
    balance = Balance("sim:a", "sim:b", explore=10.0)
    trace = run_world(World(scripts=scripts, callers=callers), lambda: [balance])
    counts = Counter(went[0] for went in chosen_by(trace))
    # 16 calls a second: b is asked up to 0.25 · 8 = 2.0, that is, always but for want of use.
    assert 5 <= counts["sim:a"] <= 60
    assert [round(one["seconds"], 3) for one in balance.statistics().values()] == [2.0, 0.25]


@pytest.mark.virtual
async def test_explain_tells_what_was_chosen_and_why():
    quick, slow = Script(first=0.25), Script(first=0.5)
    provider = SimulatedProvider({"a": [slow], "b": [quick]})
    stack = [Attempts(Fallback("sim:b")), Balance("sim:a", "sim:b")]
    async with Client("sim:a", stack=stack, providers=[provider]) as client:
        for _ in range(3):
            response = await client.ask("hello")
    assert response.model == "b"
    assert "goes to sim:b: cost 0.25, sim:a 0.5" in response.explain()


@pytest.mark.parametrize(
    ("targets", "options", "message"),
    [
        ((), {}, "Balance() needs two targets or more"),
        (("sim:a",), {}, "needs two targets or more"),
        (("sim:a", "b"), {}, "Balance('b'): expected a model as \"provider:model\""),
        (("sim:a", {"temperature": 1}), {}, 'expected a model as "provider:model"'),
        (("sim:a", {"model": "sim:b", "temprature": 1}), {}, "a request has no field 'temprature'"),
        (("sim:a", lambda request: request), {}, "expected a model, or a dict with its model"),
        (("sim:a", "sim:a"), {}, "Balance('sim:a'): 'sim:a' is there already"),
        (("sim:a", {"model": "sim:a"}), {}, "'sim:a' is there already"),
        (
            NAMES,
            {"strategy": "random"},
            "strategy='random'): expected one of 'peak-ewma', 'least-b",
        ),
        (NAMES, {"weights": {"sim:x": 1}}, "Balance(weights=…): 'sim:x' is none of its targets"),
        (NAMES, {"weights": {"sim:a": 0}}, "'sim:a': 0}): expected more than 0"),
        (NAMES, {"weights": {"sim:a": True}}, "expected more than 0"),
        (NAMES, {"decay": 0}, "Balance(decay=0): expected seconds, a number from 0.001 on"),
        (NAMES, {"explore": -1}, "explore=-1"),
        (NAMES, {"exclude_for": math.inf}, "exclude_for=inf"),
        (NAMES, {"exclude_max": None}, "exclude_max=None"),
        (NAMES, {"hold": "long"}, "hold='long'"),
    ],
    ids=lambda given: str(given).partition(" at 0x")[0],
)
def test_a_wrong_option_is_named(targets, options, message):
    with pytest.raises(ConfigError) as caught:
        Balance(*targets, **options)
    assert message in str(caught.value)
