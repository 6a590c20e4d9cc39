"""What the laws found once, each as its smallest example; and the laws of pure parts."""

import random
from itertools import permutations

import pytest
import trio
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from llmmw import Attempts, Budget, Client, Fallback, Retry, Timeout, ToolCallPart, _listen
from llmmw._budget import pay
from llmmw._deltas import PartDelta, PartEnd, PartStart
from llmmw._history import History, Record, Start
from llmmw._request import generate_of
from llmmw.errors import LLMError, Overloaded, StreamInterrupted
from llmmw.testing import Caller, Fault, Script, SimulatedProvider, World, run_virtual, run_world

BUSY = Script(pieces=(), error=Fault("busy"))


def test_no_attempt_opens_once_the_call_is_cancelled():  # L16
    scopes = []

    async def outer(call, next):
        with trio.CancelScope() as scope:
            scopes.append(scope)
            return await next(call)

    async def cancelling(call, next):
        try:
            return await next(call)
        except LLMError:
            scopes[-1].cancel()
            raise

    scripts = {"sim:a": (BUSY,), "sim:b": (Script(),)}
    trace = run_world(World(scripts=scripts), lambda: [outer, Fallback("sim:b"), cancelling])
    assert [visit.target for visit in trace.visits(trace.calls[0])] == ["sim:a"]
    assert isinstance(trace.calls[0].error, Overloaded)


def test_another_target_is_retried_when_one_has_no_budget():  # L9
    stack = [Attempts(Retry(1, base=0.0), Fallback("sim:b"), budget=Budget(cap=1.0, floor=0.0))]
    scripts = {"sim:a": (BUSY,), "sim:b": (BUSY,)}
    trace = run_world(World(scripts=scripts, callers=(Caller(), Caller())), lambda: stack)
    visits = [visit.target for call in trace.calls for visit in trace.visits(call)]
    assert sorted(visits) == ["sim:a"] * 3 + ["sim:b"] * 3


def test_another_target_is_retried_when_one_takes_too_long():  # L9
    slow = Script(pieces=(), error=Fault("busy"))
    quick = Script(pieces=(), error=Fault("rate", 0.0))
    world = World(
        scripts={"sim:a": (slow,), "sim:b": (quick, Script(pieces=("b",)))},
        callers=(Caller(patience=1 / 64),),
    )
    trace = run_world(world, lambda: [Attempts(Retry(1), Fallback("sim:b"))])
    assert trace.calls[0].response is not None
    assert trace.calls[0].response.text == "b"


def test_the_cause_of_an_error_comes_through_a_stream():  # L98
    scripts = {"sim:a": (Script(pieces=("x",), error=Fault("busy")),)}
    world = World(scripts=scripts, callers=(Caller(mode="stream"),))
    error = run_world(world, lambda: [Retry(1)]).calls[0].error
    assert isinstance(error, StreamInterrupted)
    assert isinstance(error.__cause__, Overloaded)
    assert error.partial.text == "x"


def test_an_attempt_cut_while_its_answer_is_told_is_not_ok():  # L88
    caller = Caller(mode="listen", patience=1 / 64, pauses=(1 / 16,))
    world = World(scripts={"sim:a": (Script(pieces=()),)}, callers=(caller,))
    events = run_world(world, lambda: [Retry(1)]).calls[0].events
    assert [e.outcome for e in events if hasattr(e, "outcome")] == ["Cancelled"]


def test_an_input_that_fails_is_no_clean_end_of_a_map():  # L98
    def inputs():
        yield "one"
        raise ZeroDivisionError

    async def main():
        came, clean = [], False
        async with Client("sim:a", providers=[SimulatedProvider({"a": [Script()]})]) as client:
            with pytest.raises(ZeroDivisionError):
                async with client.map(inputs(), concurrency=1) as items:
                    async for item in items:
                        came.append(item.index)
                    clean = True
        return clean

    for seed in range(20):
        random.seed(seed)
        trio._core._run._r.seed(seed)
        assert run_virtual(main) is False


@pytest.mark.parametrize("limits", [{"first_token": 1 / 16}, {"first_token": 1 / 16, "idle": 1.0}])
def test_a_limit_that_fires_while_a_delta_comes_is_named(limits):  # L19
    async def hears(call, next):
        async def hear(delta):
            pass

        return await next(call.replace(listener=hear))

    async def lingers(call, next):
        with trio.CancelScope(shield=True):
            await trio.sleep(1 / 8)
        await call.listener(PartDelta(index=0, text="x"))
        await trio.sleep(1)
        return await next(call)

    world = World(scripts={"sim:a": (Script(),)})
    trace = run_world(world, lambda: [hears, Timeout(**limits), lingers], probes=False)
    assert getattr(trace.calls[0].error, "limit", trace.calls[0].error) == "first_token"


def test_a_part_that_comes_whole_is_content():  # L19
    async def tells_a_whole_part(call, next):
        part = ToolCallPart(id="1", name="now")
        await call.listener(PartStart(7, part))
        await call.listener(PartEnd(7, part))
        return await next(call)

    world = World(scripts={"sim:a": (Script(first=1 / 16),)}, callers=(Caller(mode="listen"),))
    trace = run_world(world, lambda: [Timeout(first_token=1 / 32), tells_a_whole_part])
    assert trace.calls[0].outcome == "ok"


def test_a_stream_is_bounded(monkeypatch):  # L80
    monkeypatch.setattr(_listen, "_MOST_BYTES", 10)
    world = World(
        scripts={"sim:a": (Script(pieces=("x" * 6, "y" * 6)),)}, callers=(Caller(mode="stream"),)
    )
    trace = run_world(world, list)
    assert trace.calls[0].outcome == "error"
    assert sum(len(d.text) for _, d in trace.calls[0].heard if hasattr(d, "text")) <= 10


@given(
    st.integers(1, 10_000),
    st.sampled_from((0.0, 0.5, 63 / 64)),
    st.integers(0, 64),
    st.integers(0, 64),
)
@settings(database=None, derandomize=True, deadline=None)
def test_backoff_stays_within_its_cap(failures, chance, base, cap):  # L7
    retry = Retry(2, base=base / 64, cap=cap / 64)
    wait = retry.backoff(failures, chance)
    assert 0 <= wait <= cap / 64
    assert retry.backoff(failures + 1, chance) >= wait


@pytest.mark.parametrize("drained", [False, True])
def test_failures_deposit_nothing(drained):  # L14
    def extras(first):
        scripts = {"sim:a": (first, BUSY)}
        callers = tuple(Caller(arrive=float(k)) for k in range(6))
        budget = Budget(ratio=0.25, cap=2.0, floor=0.0)
        while drained and budget.take("sim:a", 0.0):
            pass
        world = World(scripts=scripts, callers=callers)
        trace = run_world(world, lambda: [Retry(2, base=1 / 8, budget=budget)])
        return [len(trace.visits(call)) for call in trace.calls][1:]

    after_success, after_fault = extras(Script()), extras(BUSY)
    for count in range(1, 6):
        assert sum(after_fault[:count]) <= sum(after_success[:count])


class BudgetMachine(RuleBasedStateMachine):
    """L10, L11, L12 on the pure bucket, two targets and one clock."""

    def __init__(self):
        super().__init__()
        self.budget = Budget(ratio=0.25, cap=2.0, floor=1 / 8)
        self.now = 0.0
        self.calls = {"a": 0, "b": 0}
        self.taken = {"a": 0, "b": 0}

    @rule(seconds=st.integers(0, 64))
    def later(self, seconds):
        self.now += seconds / 64

    @rule(place=st.sampled_from("ab"))
    def deposit(self, place):
        self.calls[place] += 1
        self.budget.deposit(place, self.now)

    @rule(place=st.sampled_from("ab"))
    def take(self, place):
        target, other = ("a", "b") if place == "a" else ("b", "a")
        before = [self.budget.balance(t, self.now) for t in (target, other)]
        taken = self.budget.take(target, self.now)
        after = [self.budget.balance(t, self.now) for t in (target, other)]
        assert after == [before[0] - taken, before[1]]
        assert taken == (before[0] >= 1)
        self.taken[target] += taken

    @invariant()
    def bounded(self):
        for target in "ab":
            assert 0 <= self.budget.balance(target, self.now) <= self.budget.cap
            most = self.budget.cap + 0.25 * self.calls[target] + self.now / 8
            assert self.taken[target] <= most + 1e-9


TestBudget = BudgetMachine.TestCase
TestBudget.settings = settings(database=None, derandomize=True, deadline=None, max_examples=50)


def test_a_start_is_paid_from_all_its_budgets_or_from_none():  # L12
    full, empty = Budget(cap=1.0, floor=0.0), Budget(cap=0.0, floor=0.0)
    accounts = [(full, "a"), (empty, "a"), (full, "b")]
    for row in permutations(accounts):
        assert not pay(row, 0.0)
        assert [budget.balance(target, 0.0) for budget, target in accounts] == [1.0, 0.0, 1.0]
    assert pay([(full, "a"), (full, "b")], 0.0)
    assert not pay([(full, "a")], 0.0)


def test_two_stacks_that_share_a_budget_keep_its_bound_together():  # L15
    shared = Budget(ratio=0.0, cap=3.0, floor=0.0)

    def half(world):
        return run_world(world, lambda: [Retry(2, base=0.0, budget=shared)])

    callers = (Caller(), Caller())
    world = World(scripts={"sim:a": (BUSY,)}, callers=callers)
    traces = [half(world), half(world)]
    repeated = sum(len(t.visits(c)) - 1 for t in traces for c in t.calls)
    assert repeated == 3


def test_a_proposal_is_pure():
    request = generate_of("hello").replace(model="sim:a")
    record = Record(
        1, "first", "sim:a", opened=0.0, ended=1.0, error=Overloaded("busy"), chance=0.5
    )
    history = History(request, [record], {"sim:a": request})
    first = Retry(2).propose(history, 1.0)
    assert isinstance(first, Start)
    assert Retry(2).propose(history, 1.0) == first
