"""The breaker: its circuit against a model, and the policy in virtual time."""

import math
import random
from itertools import pairwise

import pytest
import trio
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from llmmw import Attempts, Breaker, Call, Fallback, Generate, Generation, Retry
from llmmw._ledger import CircuitChanged, Ledger
from llmmw.errors import (
    AuthenticationFailed,
    BadRequest,
    CallShed,
    ConfigError,
    ConnectionFailed,
    ContentFiltered,
    DeadlineExceeded,
    NotFound,
    Overloaded,
    ProtocolError,
    QuotaExhausted,
    RateLimited,
    StreamInterrupted,
    UnsupportedFeature,
)
from llmmw.policies._circuit import Circuit
from llmmw.policies._destinations import Destinations
from llmmw.testing import Caller, Fault, Script, World, open_host, run_world

WINDOW, OPEN_FOR, OPEN_MAX, PROBE_LIMIT = 20 / 64, 4 / 64, 16 / 64, 6 / 64
OPTIONS = {
    "share": 0.5,
    "calls": 3,
    "window": WINDOW,
    "open_for": OPEN_FOR,
    "open_max": OPEN_MAX,
    "probe_limit": PROBE_LIMIT,
}
STEPS = {("closed", "open"), ("open", "half-open"), ("half-open", "closed"), ("half-open", "open")}


class CircuitMachine(RuleBasedStateMachine):
    """L37 to L43 on the pure circuit."""

    def __init__(self):
        super().__init__()
        self.circuit = Circuit(probes=2, **OPTIONS)
        self.now = 0.0
        self.held = []  # permits in hand, with the time and the number of changes when given
        self.ends = []  # (time, failed) of what counted since the last change
        self.openings = 0  # by failures, since it was last closed

    def seen(self):
        return self.circuit.state, self.circuit.changes

    def moved(self, before, by_hand=False):
        state, changes = before
        if self.circuit.changes == changes:
            assert self.circuit.state == state
            return
        assert by_hand or (state, self.circuit.state) in STEPS  # L39
        assert by_hand or self.circuit.changes == changes + 1
        self.ends = []

    @rule(ticks=st.integers(0, 8))
    def later(self, ticks):
        self.now += ticks / 64

    @rule()
    def enter(self):
        before = self.seen()
        open_still = before[0] == "open" and self.now < self.circuit.until
        young = [p for p, at, n in self.held if n == before[1] and self.now - at < PROBE_LIMIT]
        permit = self.circuit.enter(self.now)
        self.moved(before)
        if open_still or before[0] == "isolated":
            assert permit is None  # L37
        elif before[0] == "closed" or (before[0] == "open" and not open_still):
            assert permit is not None
        else:
            assert (permit is not None) == (len(young) < 2)  # L38, and a probe never hangs
        if permit is not None:
            self.held.append((permit, self.now, self.circuit.changes))
        elif before[0] != "isolated":
            wait = self.circuit.wait(self.now)  # L44
            assert wait > 0
            if before[0] == "open":
                assert wait == self.circuit.until - self.now

    @rule(
        data=st.data(),
        verdict=st.sampled_from(["ok", "failed", "failed", "failed", "held", "ignored"]),
    )
    def leave(self, data, verdict):
        if not self.held:
            return
        place = data.draw(st.integers(0, len(self.held) - 1))
        permit, _, change = self.held.pop(place)
        before, counts = self.seen(), self.circuit.counts(self.now)
        stale = change != before[1]
        self.circuit.leave(permit, verdict, self.now, 1.0)
        if stale or verdict == "ignored":  # L40, L42
            assert self.seen() == before
            assert self.circuit.counts(self.now) == counts
            return
        if verdict == "held":
            assert (self.circuit.state, self.circuit.until) == ("open", self.now + 1.0)
        elif before[0] == "half-open":
            assert self.circuit.state == {"ok": "closed", "failed": "open"}[verdict]
            self.openings = 0 if verdict == "ok" else self.openings
        else:
            self.ends.append((self.now, verdict == "failed"))
            total, failed = counts[0] + 1, counts[1] + 1
            enough = verdict == "failed" and total >= 3 and 2 * failed >= total  # L43
            assert self.circuit.state == ("open" if enough else "closed")
        if self.circuit.state == "open" and verdict == "failed":
            self.openings += 1
            grown = min(OPEN_MAX, OPEN_FOR * 2 ** (self.openings - 1))
            assert self.circuit.until == self.now + grown
        self.moved(before)

    @rule(close=st.sampled_from([True, True, False]))
    def by_hand(self, close):
        before = self.seen()
        (self.circuit.close if close else self.circuit.isolate)(self.now)
        assert self.circuit.state == ("closed" if close else "isolated")
        self.openings = 0 if close else self.openings
        self.moved(before, by_hand=True)

    @invariant()
    def counted(self):
        total, failed = self.circuit.counts(self.now)
        all_of = [f for at, f in self.ends if at > self.now - WINDOW]
        surely = [f for at, f in self.ends if at > self.now - WINDOW * 9 / 10]
        assert len(surely) <= total <= len(all_of)
        assert sum(surely) <= failed <= sum(all_of)

    @invariant()
    def given_back(self):  # L41
        probes = self.circuit.statistics()["probes"]
        mine = [n for _, _, n in self.held if n == self.circuit.changes]
        assert probes <= (len(mine) if self.circuit.state == "half-open" else 0)


TestCircuit = CircuitMachine.TestCase
TestCircuit.settings = settings(
    database=None, derandomize=True, deadline=None, max_examples=150, stateful_step_count=40
)


def tripped(**changes):
    """A circuit that three failures at 0 have opened."""
    circuit = Circuit(**(OPTIONS | {"probes": 1} | changes))
    for _ in range(3):
        circuit.leave(circuit.enter(0.0), "failed", 0.0)
    assert circuit.state == "open"
    return circuit


def test_a_cancelled_probe_closes_nothing_and_frees_its_place():  # L40
    circuit = tripped()
    probe = circuit.enter(OPEN_FOR)
    assert circuit.enter(OPEN_FOR) is None
    circuit.leave(probe, "ignored", OPEN_FOR)
    assert circuit.state == "half-open"
    assert circuit.enter(OPEN_FOR) is not None


def test_a_probe_that_hangs_makes_room_and_still_counts():
    circuit = tripped()
    hangs = circuit.enter(OPEN_FOR)
    due = OPEN_FOR + PROBE_LIMIT
    assert circuit.enter(due - 1 / 64) is None
    assert circuit.wait(due - 1 / 64) == 1 / 64
    second = circuit.enter(due)
    assert second is not None
    circuit.leave(hangs, "ok", due)
    assert circuit.state == "closed"
    circuit.leave(second, "failed", due)  # L42
    assert (circuit.state, circuit.counts(due)) == ("closed", (0, 0))


def test_the_time_it_stays_open_grows_up_to_its_cap_and_begins_anew():
    circuit, now, waits = tripped(), 0.0, []
    for verdict in ["failed"] * 3 + ["ok"] + ["failed"] * 3:
        if circuit.state == "open":
            waits.append(circuit.until - now)
            now = circuit.until
        circuit.leave(circuit.enter(now), verdict, now)
    assert waits == [4 / 64, 8 / 64, 16 / 64, 16 / 64]
    assert circuit.until - now == 4 / 64
    for _ in range(10_000):
        now = circuit.until
        circuit.leave(circuit.enter(now), "failed", now)
    assert circuit.until - now == OPEN_MAX


def test_programs_that_met_the_same_outage_do_not_probe_as_one():
    for jitter, chance, share in ((0.5, 0.0, 1.0), (0.5, 0.5, 0.75), (0.0, 0.5, 1.0)):
        circuit = Circuit(**(OPTIONS | {"probes": 1, "calls": 1, "jitter": jitter}))
        now = 0.0
        for opened in (4 / 64, 8 / 64, 16 / 64, 16 / 64):
            permit = circuit.enter(now)
            circuit.leave(permit, "failed", now, chance=lambda chance=chance: chance)
            assert circuit.until - now == opened * share
            now = circuit.until
        circuit.leave(circuit.enter(now), "held", now, 7.0, lambda: 1.0)
        assert circuit.until - now == 7.0  # a time that was told is kept


@pytest.mark.virtual
async def test_the_chance_of_a_client_decides_how_long_it_stays_open():
    breaker = Breaker(calls=1, open_for=4.0, jitter=0.5)
    async with open_host() as host:
        host.random = random.Random(5)
        call = CALL.replace(host=host, ledger=Ledger())
        await ends_of(breaker, Server(Overloaded("busy")), 1, call)
    wait = breaker.statistics()["sim:a"]["until"] - trio.current_time()
    assert wait == 4.0 * (1 - 0.5 * random.Random(5).random())


def test_failures_that_are_old_do_not_count():
    circuit = Circuit(probes=1, **OPTIONS)
    for at in (0.0, 0.0, WINDOW):
        circuit.leave(circuit.enter(at), "failed", at)
    assert (circuit.state, circuit.counts(WINDOW)) == ("closed", (1, 1))


def test_few_failures_among_many_answers_do_not_open_it():
    circuit = Circuit(probes=1, **OPTIONS)
    for verdict in ["ok", "failed", "ok"] * 20:
        circuit.leave(circuit.enter(0.0), verdict, 0.0)
    assert circuit.state == "closed"
    assert circuit.counts(0.0) == (60, 20)


def test_the_clock_of_another_run_is_no_lock():
    circuit = tripped()
    circuit.leave(circuit.enter(1000.0), "held", 1000.0, 1e6)
    assert circuit.enter(1001.0) is None
    assert circuit.enter(3.0) is not None
    circuit.close(1000.0)
    circuit.leave(circuit.enter(1000.0), "failed", 1000.0)
    assert circuit.counts(3.0) == (0, 0)


def test_what_is_at_rest_is_forgotten_when_there_is_much():
    kept = Destinations("model", lambda: Circuit(probes=1, **OPTIONS))
    busy = kept.of("busy", 0.0)
    busy.isolate(0.0)
    for number in range(5000):
        kept.of(str(number), 0.0)
        assert len(list(kept)) <= 1001
    assert kept.of("busy", 0.0) is busy


# The policy.

CALL = Call(Generate(model="sim:a", messages=["hello"]))
ANSWER = Generation(model="a", provider="sim")


class Server:
    """Ends each call as it is told to, `ok` when it is told nothing more."""

    def __init__(self, *ends):
        self.ends = list(ends)
        self.asked = 0

    async def __call__(self, call):
        self.asked += 1
        await trio.lowlevel.checkpoint()
        end = self.ends.pop(0) if self.ends else None
        if end is not None:
            raise end
        return ANSWER


async def ends_of(breaker, server, count, call=CALL):
    """What became of so many calls, one after the other."""
    found = []
    for _ in range(count):
        try:
            await breaker(call, server)
            found.append("ok")
        except Exception as error:
            found.append(type(error).__name__)
    return found


def late():
    return DeadlineExceeded("late", limit="total", after=1.0, layer="Timeout")


@pytest.mark.virtual
@pytest.mark.parametrize(
    "error",
    [
        ConnectionFailed("net"),
        Overloaded("busy"),
        StreamInterrupted("cut"),
        ProtocolError("garbled"),
        late(),
    ],
    ids=repr,
)
async def test_it_opens_on_failures_sheds_at_once_and_recovers(error):  # L37, L44
    breaker, server = Breaker(jitter=0, calls=4), Server(*[error] * 4)
    kind = type(error).__name__
    assert await ends_of(breaker, server, 6) == [kind] * 4 + ["CallShed"] * 2
    began = trio.current_time()
    await trio.sleep(2)
    with pytest.raises(CallShed, match="circuit of 'sim:a' is open for another 3 s") as caught:
        await breaker(CALL, server)
    assert caught.value.retry_after == 3.0
    assert (caught.value.provider, caught.value.model) == ("sim", "a")
    assert trio.current_time() == began + 2
    assert server.asked == 4
    await trio.sleep(3)
    assert await ends_of(breaker, server, 2) == ["ok", "ok"]
    told = [str(e) for e in CALL.ledger.events if isinstance(e, CircuitChanged)][-3:]
    assert told == [
        f"circuit of sim:a open for 5.000 s ({kind})",
        "circuit of sim:a half-open",
        "circuit of sim:a closed",
    ]
    assert breaker.statistics()["sim:a"]["state"] == "closed"


@pytest.mark.virtual
@pytest.mark.parametrize(
    ("error", "closes"),
    [
        (RateLimited("rate", status=429, retry_after=1.0), False),
        (CallShed("full"), False),
        (UnsupportedFeature("no", status=400), False),
        (BadRequest("told before sending"), False),
        (ZeroDivisionError(), False),
        (BadRequest("bad", status=400), True),
        (ContentFiltered("refused", code="content_filter"), True),
        (NotFound("no such model", status=404), True),
    ],
    ids=repr,
)
async def test_what_is_no_failure_opens_nothing(error, closes):
    breaker = Breaker(jitter=0, calls=1, open_for=1.0)
    assert await ends_of(breaker, Server(*[error] * 9), 9) == [type(error).__name__] * 9
    assert breaker.statistics()["sim:a"]["calls"] == (9 if closes else 0)
    await ends_of(breaker, Server(*[Overloaded("busy")] * 10), 10)
    await trio.sleep(1)
    await ends_of(breaker, Server(error), 1)
    state = breaker.statistics()["sim:a"]["state"]
    assert state == ("closed" if closes else "half-open")


@pytest.mark.virtual
@pytest.mark.parametrize(
    ("error", "seconds"),
    [
        (QuotaExhausted("no money", retry_after=3600.0), 3600.0),
        (QuotaExhausted("no money"), 300.0),
        (AuthenticationFailed("wrong key"), 300.0),
        (AuthenticationFailed("wrong key", retry_after=math.inf), 300.0),
    ],
    ids=str,
)
async def test_no_quota_and_a_wrong_key_hold_it_open(error, seconds):
    breaker = Breaker(jitter=0)
    assert await ends_of(breaker, Server(error), 2) == [type(error).__name__, "CallShed"]
    await trio.sleep(seconds - 1)
    assert await ends_of(breaker, Server(), 1) == ["CallShed"]
    await trio.sleep(1)
    assert await ends_of(breaker, Server(), 2) == ["ok", "ok"]


@pytest.mark.virtual
async def test_a_cancelled_probe_lets_the_next_one_try():  # L40, L41
    breaker = Breaker(jitter=0, calls=1, open_for=1.0)
    await ends_of(breaker, Server(Overloaded("busy")), 1)
    await trio.sleep(1)

    async def hangs(call):
        await trio.sleep_forever()

    with trio.move_on_after(2):
        await breaker(CALL, hangs)
    assert breaker.statistics()["sim:a"]["state"] == "half-open"
    assert breaker.statistics()["sim:a"]["probes"] == 0
    assert await ends_of(breaker, Server(), 1) == ["ok"]


@pytest.mark.virtual
async def test_while_one_probes_the_others_are_shed_until_it_has_hung_too_long():  # L38
    breaker = Breaker(jitter=0, calls=1, open_for=1.0, probe_limit=10.0)
    await ends_of(breaker, Server(Overloaded("busy")), 1)
    await trio.sleep(1)

    async def hangs(call):
        await trio.sleep_forever()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(breaker, CALL, hangs)
        await trio.sleep(4)
        with pytest.raises(CallShed, match="half-open") as caught:
            await breaker(CALL, Server())
        assert caught.value.retry_after == 4.0  # as long as the probe has taken
        await trio.sleep(6)
        assert await ends_of(breaker, Server(), 1) == ["ok"]
        nursery.cancel_scope.cancel()
    assert breaker.statistics()["sim:a"]["state"] == "closed"


@pytest.mark.virtual
async def test_by_hand():  # L39
    breaker = Breaker(jitter=0)
    breaker.isolate("sim:a")
    await trio.sleep(1e4)
    with pytest.raises(CallShed, match="isolated by hand") as caught:
        await breaker(CALL, Server())
    assert caught.value.retry_after is None
    assert breaker.statistics()["sim:a"]["state"] == "isolated"
    breaker.close("sim:a")
    assert await ends_of(breaker, Server(), 1) == ["ok"]


@pytest.mark.virtual
@pytest.mark.parametrize(("scope", "other"), [("model", "ok"), ("provider", "CallShed")])
async def test_what_breaks_by_itself(scope, other):
    breaker = Breaker(jitter=0, calls=1, scope=scope)
    await ends_of(breaker, Server(Overloaded("busy")), 1)
    sibling = CALL.replace(request=CALL.request.replace(model="sim:b"))
    stranger = CALL.replace(request=CALL.request.replace(model="other:a"))
    assert await ends_of(breaker, Server(), 1, sibling) == [other]
    assert await ends_of(breaker, Server(), 1, stranger) == ["ok"]


def test_with_another_target_healthy_the_caller_never_sees_it():  # L44
    busy = Script(pieces=(), error=Fault("busy"))
    callers = tuple(Caller(arrive=k / 64) for k in range(20))
    world = World(scripts={"sim:a": (busy,), "sim:b": (Script(),)}, callers=callers)
    stack = [Attempts(Retry(2), Fallback("sim:b")), Breaker(jitter=0, calls=5)]
    trace = run_world(world, lambda: stack)
    assert all(call.outcome == "ok" and call.done == call.arrived for call in trace.calls)
    assert sum(seen.model == "a" for seen in trace.seen if seen.what == "opened") == 5


@pytest.mark.parametrize("fails", [1, 2, 3, 5, 9])
def test_a_target_that_is_well_again_gets_traffic_within_open_max(fails):  # L45
    busy = Script(pieces=(), error=Fault("busy"))
    callers = tuple(Caller(arrive=float(k)) for k in range(400))
    scripts = {"sim:a": (busy,) * fails + (Script(),), "sim:b": (Script(),)}
    breaker = Breaker(jitter=0, calls=2)
    stack = [Fallback("sim:b"), breaker]
    trace = run_world(World(scripts=scripts, callers=callers), lambda: stack)
    opened = [seen.time for seen in trace.seen if (seen.what, seen.model) == ("opened", "a")]
    begin = trace.calls[0].arrived
    gaps = [b - a for a, b in pairwise(opened)]
    assert max(gaps, default=0) <= breaker.open_max + 1
    if len(opened) > fails + 1:
        assert breaker.statistics()["sim:a"]["state"] == "closed"
        assert opened[-1] == begin + 399


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"jitter": 2}, "Breaker(jitter=2): expected a number from 0 to 1"),
        ({"share": 0}, "Breaker(share=0): expected a number above 0, up to 1"),
        ({"share": 1.5}, "share=1.5"),
        ({"calls": 0}, "calls=0"),
        ({"window": 0}, "window=0"),
        ({"open_for": -1}, "open_for=-1"),
        ({"open_max": math.inf}, "open_max=inf"),
        ({"probes": 0}, "probes=0"),
        ({"probe_limit": 0.0}, "probe_limit=0.0"),
        ({"hold": None}, "hold=None"),
        ({"scope": "all"}, "scope='all'): expected one of 'model', 'provider'"),
    ],
    ids=str,
)
def test_a_wrong_option_is_named(options, message):
    with pytest.raises(ConfigError) as caught:
        Breaker(**options)
    assert message in str(caught.value)
