"""The rate limit: its core against buckets that are filled second by second, and the policy in
virtual time."""

import math
from decimal import Decimal

import pytest
import trio
from hypothesis import Phase, given, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from llmmw import (
    Attempts,
    Call,
    Client,
    Embed,
    Fallback,
    Generate,
    Generation,
    RateLimit,
    Retry,
    Timeout,
    Usage,
    chain,
)
from llmmw._ledger import QueueEntered, QueueLeft
from llmmw._response import HttpInfo
from llmmw.errors import (
    CallShed,
    ConfigError,
    ConnectionFailed,
    DeadlineExceeded,
    Overloaded,
    RateLimited,
)
from llmmw.policies import _buckets
from llmmw.policies._buckets import Account
from llmmw.policies._estimate import input_estimate, output_estimate
from llmmw.testing import (
    Caller,
    Fault,
    Script,
    SimulatedProvider,
    World,
    assert_laws,
    run_virtual,
    run_world,
)

# --- the core: L46 to L52

BURST, BOUND = 8 / 64, 4
TICKS = st.integers(0, 16).map(lambda k: k / 64)
COSTS = st.tuples(TICKS, TICKS)


class Naive:
    """Two buckets as one would draw them: a level that rises by a second a second."""

    def __init__(self, now, levels=(BURST, BURST), frozen=-math.inf):
        self.now, self.levels, self.frozen = now, list(levels), frozen

    def copy(self):
        return Naive(self.now, self.levels, self.frozen)

    def to(self, now):
        self.levels = [min(BURST, level + now - self.now) for level in self.levels]
        self.now = now

    def lacks(self, costs):
        """Seconds until so much is there."""
        pairs = zip(self.levels, costs, strict=True)
        short = [min(cost, BURST) - level for level, cost in pairs if cost]
        return max([0.0, self.frozen - self.now, *short])

    def change(self, costs):
        pairs = zip(self.levels, costs, strict=True)
        self.levels = [min(BURST, level - cost) for level, cost in pairs]

    def foresee(self, queue, bound):
        """Who of the queue stays in it, and when each of them starts."""
        world, kept = self.copy(), []
        for ticket in queue:
            later = world.copy()
            later.to(world.now + world.lacks(ticket.costs))
            if later.now < ticket.deadline and len(kept) < bound:
                later.change(ticket.costs)
                world = later
                kept.append((ticket, later.now))
        return kept


class AccountMachine(RuleBasedStateMachine):
    def __init__(self):
        super().__init__()
        self.account = Account({"a": 1.0, "b": 1.0}, BURST, BOUND)
        self.naive = Naive(0.0)
        self.now = 0.0
        self.line = []  # who waits, as they should start
        self.running = []
        self.log = []  # (time, what was taken of each, whether it is a start)
        self.spent = [0.0, 0.0]
        self.woken = []

    def started(self, ticket):
        self.naive.to(self.now)
        assert self.naive.lacks(ticket.costs) == 0, "L46: started too early"
        self.naive.change(ticket.costs)
        self.running.append(ticket)
        self.book(ticket.costs, True)

    def book(self, costs, start):
        self.log.append((self.now, costs, start))
        self.spent = [a + b for a, b in zip(self.spent, costs, strict=True)]

    def reviewed(self):
        """After a change: who has to go is gone, and each knows when it starts."""
        self.naive.to(self.now)
        kept = self.naive.foresee(self.line, BOUND)
        stay = [ticket for ticket, _ in kept]
        for ticket in self.line:
            assert (ticket.state == "waiting") == (ticket in stay), "L51: shed, or not"
            assert (ticket in stay) or ticket in self.woken, "L51: nobody told it"
        self.line = stay
        assert self.account.queue == stay, "L49: another order"
        assert not stay or max(stay[0].due, self.now) == kept[0][1], "L48: another time"
        assert not stay or stay[0] in self.woken, "L48: the first in line was not woken"

    @rule(costs=COSTS, priority=st.sampled_from([0, 0, 0, 1]), patience=TICKS | st.just(math.inf))
    def arrive(self, costs, priority, patience):
        if not self.line:
            ticket = self.account.take(costs, self.now)
            self.naive.to(self.now)
            assert (ticket is not None) == (self.naive.lacks(costs) == 0), "L48"
            if ticket is not None:
                return self.started(ticket)
        else:
            assert self.account.take(costs, self.now) is None, "L49: overtook"
        self.woken = []
        made = []
        deadline = self.now + patience
        made.append(
            self.account.enter(
                costs,
                self.now,
                priority=priority,
                deadline=deadline,
                wake=lambda: self.woken.append(made[0] if made else None),
            )
        )
        ticket = made[0]
        self.woken = [*self.woken, ticket, *(t for t in self.line)]
        ahead = [t for t in self.line if t.rank < ticket.rank]
        assert len(ahead) == sum(-t.rank[0] >= priority for t in self.line), "L49"
        self.line.insert(len(ahead), ticket)
        if ticket.state == "started":
            assert not ahead, "L49: overtook"
            self.line.remove(ticket)
            self.started(ticket)
        return self.reviewed()

    @rule(ticks=TICKS, late=st.sampled_from([0, 0, 0, 1, 3]))
    def later(self, ticks, late):
        """Time goes by; who is due starts, sometimes a little late, as tasks do."""
        until = self.now + ticks
        while self.line and self.line[0].due <= until:
            head = self.line.pop(0)
            self.now = max(self.now, min(head.due + late / 64, head.deadline))
            until = max(until, self.now)
            for other in self.line:
                assert not self.account.start(other, self.now), "L49: overtook"
            self.woken = list(self.line)
            assert self.account.start(head, self.now)
            self.started(head)
            self.reviewed()
        self.now = until

    @precondition(lambda self: self.line)
    @rule(data=st.data())
    def cancel(self, data):
        ticket = data.draw(st.sampled_from(self.line))
        self.woken = list(self.line)
        self.account.leave(ticket, self.now)
        self.account.leave(ticket, self.now)
        self.line.remove(ticket)
        self.reviewed()

    @precondition(lambda self: self.running)
    @rule(data=st.data(), real=st.tuples(st.none() | TICKS, st.none() | TICKS))
    def settle(self, data, real):
        ticket = data.draw(st.sampled_from(self.running))
        self.running.remove(ticket)
        self.woken = list(self.line)
        self.account.settle(ticket, real, self.now)
        self.account.settle(ticket, real, self.now)  # L52: once only
        pairs = zip(real, ticket.costs, strict=True)
        more = tuple(0.0 if r is None else r - cost for r, cost in pairs)
        self.naive.to(self.now)
        self.naive.change(more)
        self.book(more, False)
        self.reviewed()

    @rule(place=st.integers(0, 1), left=TICKS, age=TICKS)
    def told(self, place, left, age):
        self.naive.to(self.now)
        self.naive.levels[place] = min(self.naive.levels[place], left + age)  # L50
        self.woken = list(self.line)
        self.account.lower(place, left, self.now - age, self.now)
        self.reviewed()

    @rule(hint=TICKS)
    def freeze(self, hint):
        self.naive.frozen = max(self.naive.frozen, self.now + hint)  # L50
        self.woken = list(self.line)
        self.account.freeze(self.now + hint, self.now)
        self.reviewed()

    @invariant()
    def windows(self):
        """L46, L47: in each span no more than its length, a burst, and what the last was over."""
        for place in (0, 1):
            total = 0.0
            end, costs, start = self.log[-1] if self.log else (0.0, (0.0, 0.0), False)
            if not start or not costs[place]:
                continue
            over = max(0.0, costs[place] - BURST)
            for begun, taken, _ in reversed(self.log):
                total += taken[place]
                assert total <= end - begun + BURST + over, "L46: too much in a span"

    @invariant()
    def accounts(self):
        assert self.account.charged == self.spent, "L52"
        assert self.account.in_flight == len(self.running)
        assert all(self.now < ticket.deadline for ticket in self.line), "L51: waits in vain"
        levels = [BURST - max(0.0, full - self.now) for full in self.account.full]
        self.naive.to(self.now)
        assert levels == self.naive.levels, "L47"
        rest = not self.line and not self.running and min(levels) == BURST
        assert self.account.at_rest(self.now) == (rest and self.account.frozen <= self.now)


TestAccount = AccountMachine.TestCase
TestAccount.settings = settings(max_examples=150, stateful_step_count=30, deadline=None)


def _freely(patch):
    patch.setattr(Account, "_earliest", lambda self, costs, full: -math.inf)


def _only_the_first_bucket(patch):
    real = Account._earliest
    patch.setattr(Account, "_earliest", lambda s, c, full: real(s, (c[0], 0.0), full))


def _freeze_forgotten(patch):
    patch.setattr(Account, "freeze", lambda self, until, now: None)


def _told_more_than_there_is(patch):
    def lower(self, place, left, told, now):
        self.full[place] = told + self.burst - left
        self._review(now)

    patch.setattr(Account, "lower", lower)


def _no_refund(patch):
    real = Account.settle
    patch.setattr(Account, "settle", lambda s, t, spent, now: real(s, t, (None, None), now))


def _settled_twice(patch):
    real = Account.settle

    def settle(self, ticket, spent, now):
        ticket.state = "started"
        real(self, ticket, spent, now)

    patch.setattr(Account, "settle", settle)


def _a_cancelled_one_leaves_a_hole(patch):
    def leave(self, ticket, now):
        if ticket in self.queue:
            self.queue.remove(ticket)

    patch.setattr(Account, "leave", leave)


def _last_in_first_out(patch):
    real = _buckets.insort
    patch.setattr(_buckets, "insort", lambda q, t, key: real(q, t, key=lambda x: -x.rank[1]))


def _one_too_many(patch):
    real = Account.__init__
    patch.setattr(Account, "__init__", lambda s, rates, burst, bound: real(s, rates, burst, 5))


def _at_the_deadline(patch):
    real = Account._foresee

    def foresee(self, ticket, at, full):
        deadline, ticket.deadline = ticket.deadline, math.nextafter(ticket.deadline, math.inf)
        try:
            return real(self, ticket, at, full)
        finally:
            ticket.deadline = deadline

    patch.setattr(Account, "_foresee", foresee)


MUTANTS = [
    _freely,
    _only_the_first_bucket,
    _freeze_forgotten,
    _told_more_than_there_is,
    _no_refund,
    _settled_twice,
    _a_cancelled_one_leaves_a_hole,
    _last_in_first_out,
    _one_too_many,
    _at_the_deadline,
]


@pytest.mark.parametrize("mutant", MUTANTS)
def test_a_seeded_bug_of_the_core_is_found(mutant, monkeypatch):
    mutant(monkeypatch)
    few = settings(max_examples=500, phases=[Phase.generate], database=None, print_blob=False)
    with pytest.raises(AssertionError):
        run_state_machine_as_test(AccountMachine, settings=settings(few, deadline=None))


@given(st.lists(st.floats(0, 1e9), min_size=1, max_size=6), st.floats(0, 1e6))
def test_any_numbers_are_given_back(costs, burst):
    account = Account({"a": 1.0}, burst, 100)
    now = 0.0
    for cost in costs:
        ticket = account.take((cost,), now) or account.enter((cost,), now)
        now = max(now, ticket.due)
        assert ticket.state == "started" or account.start(ticket, now)
        account.settle(ticket, (0.0,), now)
    assert math.isclose(account.charged[0], 0.0, abs_tol=1e-3)
    assert account.at_rest(now + burst + sum(costs) + 1)


# --- what it estimates


@pytest.mark.parametrize(
    ("request_", "tokens"),
    [
        (Generate(model="a:b", messages=["x" * 40]), 14),
        (Generate(model="a:b", prompt="x" * 41), 11),
        (Generate(model="a:b", messages=["漢字\ud800"]), 6),
        (Embed(model="a:b", inputs=["x" * 8, "y"]), 3),
    ],
)
def test_the_estimate_of_the_input(request_, tokens):
    assert input_estimate(request_) == tokens


def test_the_estimate_of_the_output():
    ask = Generate(model="a:b", messages=["x"], max_output_tokens=7, n=3)
    assert output_estimate(ask, 500) == 21
    assert output_estimate(ask.replace(max_output_tokens=None), 500) == 1500
    assert output_estimate(Embed(model="a:b", inputs=["x"]), 500) == 0


# --- the policy

ASK = Generate(model="sim:a", messages=["x" * 40], max_output_tokens=10)  # 14 tokens in, 10 out


class Host:
    """Answers after `seconds`, or does as the next of `turns` says, and notes when."""

    def __init__(self, seconds=0.0, turns=()):
        self.seconds, self.turns, self.starts, self.targets = seconds, list(turns), [], []

    async def __call__(self, call):
        turn = self.turns.pop(0) if self.turns else None
        if not isinstance(turn, CallShed):
            call.attempt.mark_sent(call.ledger)
            self.starts.append(trio.current_time() - self.zero)
            self.targets.append(call.request.model)
        await trio.sleep(self.seconds)
        if isinstance(turn, Exception):
            raise turn
        return turn or Generation(model="a", provider="sim")


async def run_all(stack, host, calls, gap=0.0):
    """What becomes of calls that begin one after another: a response or an error, and when."""
    host.zero = trio.current_time()
    ends = [None] * len(calls)
    handler = chain(*stack, provider=host)

    async def one(place, call):
        try:
            ends[place] = await handler(call)
        except Exception as error:
            ends[place] = error
        times[place] = trio.current_time() - host.zero

    times = [None] * len(calls)
    async with trio.open_nursery() as nursery:
        for place, call in enumerate(calls):
            nursery.start_soon(one, place, call)
            await trio.testing.wait_all_tasks_blocked()
            await trio.sleep(gap)
    return ends, times


def asks(count, request=ASK):
    return [Call(request) for _ in range(count)]


def counts(limit, name="sim"):
    found = limit.statistics()[name]
    assert found["in_flight"] == found["waiting"] == 0
    return {key: round(value, 6) for key, value in found["charged"].items()}


@pytest.mark.virtual
async def test_starts_are_spread_over_the_span_in_the_order_of_coming():
    host, limit = Host(3.0), RateLimit(requests=60)
    calls = asks(4)
    _, times = await run_all([limit], host, calls)
    assert host.starts == [0, 1, 2, 3]
    assert times == [3, 4, 5, 6]
    assert counts(limit) == {"requests": 4}
    joined, left = (e for e in calls[3].ledger.events if isinstance(e, (QueueEntered, QueueLeft)))
    assert (joined.destination, joined.ahead, left.seconds) == ("sim", 2, 3)


@pytest.mark.virtual
async def test_a_pause_allows_a_burst():
    host = Host()
    await run_all([RateLimit(requests=60, burst=3)], host, asks(5))
    assert host.starts == [0, 0, 0, 1, 2]


@pytest.mark.virtual
async def test_who_can_not_start_in_time_is_shed_at_once_and_free_of_charge():
    host, limit = Host(), RateLimit(requests=60)
    with trio.fail_after(1.5):
        ends, times = await run_all([limit], host, asks(3))
    assert host.starts == [0, 1]
    assert isinstance(ends[2], CallShed)
    assert (ends[2].retry_after, times[2]) == (2, 0)
    assert (ends[2].provider, ends[2].model) == ("sim", "a")
    assert "RateLimit(requests=60): 'sim' has no room for another 2 s" in str(ends[2])
    assert counts(limit) == {"requests": 2}


@pytest.mark.virtual
async def test_a_fallback_takes_over_without_a_wait():
    host = Host()
    stack = [Attempts(Retry(2), Fallback("b:c")), RateLimit(requests=6, only="sim")]
    with trio.fail_after(5):
        ends, times = await run_all(stack, host, asks(2))
    assert host.targets == ["sim:a", "b:c"]
    assert times == [0, 0]
    assert all(isinstance(end, Generation) for end in ends)


@pytest.mark.virtual
async def test_the_line_is_bounded_and_those_who_matter_more_go_first():
    def urgent(call):
        return call.sample

    host, limit = Host(), RateLimit(requests=60, queue=2, priority=urgent)
    calls = [Call(ASK, sample=n) for n in (0, 0, 0, 1, 0)]
    ends, _ = await run_all([limit], host, calls)
    assert [isinstance(end, CallShed) for end in ends] == [False, False, True, False, True]
    assert host.starts == [0, 1, 2]
    assert calls[3].ledger.events[-1].time < calls[1].ledger.events[-1].time
    assert counts(limit) == {"requests": 3}


@pytest.mark.virtual
async def test_nobody_waits_where_none_may():
    ends, _ = await run_all([RateLimit(requests=60, queue=0)], Host(), asks(2))
    assert isinstance(ends[1], CallShed)


@pytest.mark.virtual
async def test_limits_of_an_attempt_do_not_run_while_it_queues():
    host = Host(0.5)
    stack = [Attempts(Retry(0)), Timeout(total=1), RateLimit(requests=60)]
    ends, times = await run_all(stack, host, asks(4))
    assert times == [0.5, 1.5, 2.5, 3.5]
    assert all(isinstance(end, Generation) for end in ends)
    late, times = await run_all(stack, Host(2.0), asks(2))
    assert all(isinstance(end, DeadlineExceeded) for end in late)
    assert times == [1.5, 2.5]  # a second after its sending; the last start before was 0.5 s ago


@pytest.mark.virtual
async def test_what_was_used_takes_the_place_of_what_was_estimated():
    used = Generation(usage=Usage(input_tokens=2, output_tokens=4))
    host = Host(1.0, [used] * 3)
    limit = RateLimit(input_tokens=60, output_tokens=60, burst=14)
    await run_all([limit], host, asks(3))
    # The second needs all 14: it waits for the 2 that were used, not for the 14 that might be.
    assert host.starts == [0, 2, 4]
    assert counts(limit) == {"input_tokens": 6, "output_tokens": 12}


@pytest.mark.virtual
async def test_who_used_more_makes_up_for_it():
    used = Generation(usage=Usage(input_tokens=44, output_tokens=None))
    host = Host(1.0, [used])
    limit = RateLimit(input_tokens=60, burst=14)
    await run_all([limit], host, asks(2), gap=1.0)
    assert host.starts == [0, 44]
    assert counts(limit) == {"input_tokens": 58}


@pytest.mark.virtual
@pytest.mark.parametrize(
    ("turn", "charged"),
    [
        (CallShed("not sent"), {"requests": 0, "input_tokens": 0, "output_tokens": 0}),
        (Overloaded("no"), {"requests": 1, "input_tokens": 14, "output_tokens": 10}),
        (
            ConnectionFailed("no", processed=False),
            {"requests": 1, "input_tokens": 0, "output_tokens": 0},
        ),
        (
            Overloaded("no", partial=Generation(usage=Usage(input_tokens=3))),
            {"requests": 1, "input_tokens": 3, "output_tokens": 10},
        ),
        (ValueError("a listener"), {"requests": 1, "input_tokens": 14, "output_tokens": 10}),
        (Generation(), {"requests": 1, "input_tokens": 14, "output_tokens": 10}),
        (
            Generation(usage=Usage(output_tokens=3)),
            {"requests": 1, "input_tokens": 14, "output_tokens": 3},
        ),
    ],
)
async def test_each_end_is_charged_for_what_is_known(turn, charged):
    limit = RateLimit(requests=60, input_tokens=1000, output_tokens=1000)
    await run_all([limit], Host(0.0, [turn]), asks(1))
    assert counts(limit) == charged


@pytest.mark.virtual
async def test_a_limit_outside_of_the_attempts_knows_that_they_were_sent():
    limit = RateLimit(requests=60)
    host = Host(9.0)
    with trio.move_on_after(1):
        await run_all([limit, Attempts(Retry(2))], host, asks(1))
    assert counts(limit) == {"requests": 1}


@pytest.mark.virtual
async def test_after_a_hint_nothing_starts_before_it_and_who_has_no_time_goes_at_once():
    host = Host(1.0, [RateLimited("slow down", retry_after=20.0)])
    limit = RateLimit(requests=60)
    host.zero = trio.current_time()
    ends = {}

    async def one(name, patience):
        with trio.move_on_after(patience):
            try:
                ends[name] = await chain(limit, provider=host)(Call(ASK))
            except Exception as error:
                ends[name] = (error, trio.current_time() - host.zero)

    async with trio.open_nursery() as nursery:
        for name, patience in (("first", 100), ("patient", 100), ("short", 10), ("last", 100)):
            nursery.start_soon(one, name, patience)
            await trio.testing.wait_all_tasks_blocked()
    # The second had started at 1 s, in the tick in which the first came back.
    assert host.starts[0] == 0
    assert all(start == 1 or start >= 21 for start in host.starts[1:])
    error, at = ends["short"]
    assert isinstance(error, CallShed)
    assert at == 1
    assert error.retry_after in {20, 21}  # behind the hint, and maybe behind the second
    assert isinstance(ends["last"], Generation)


@pytest.mark.virtual
@pytest.mark.parametrize("hint", [None, math.inf, math.nan, -1.0, 0.0])
async def test_without_a_hint_it_only_begins_anew(hint):
    host = Host(0.0, [RateLimited("slow down", retry_after=hint)])
    await run_all([RateLimit(requests=60, burst=5)], host, asks(2), gap=1 / 64)
    assert host.starts[1] == 1.0  # the burst is gone


@pytest.mark.virtual
async def test_what_the_host_has_left_lowers_and_never_raises():
    def told(**rate):
        return Generation(http=HttpInfo(status=200, rate=rate))

    turns = [told(requests_remaining=1.0, tokens_remaining=10**6, requests_reset="soon")]
    host = Host(0.0, turns)
    await run_all([RateLimit(requests=60, burst=5)], host, asks(4), gap=1 / 64)
    assert host.starts == [0, 1 / 64, 1, 2]
    turns = [told(requests_remaining=60.0, requests_remaining_x=0.0, requests_per_day_remaining=-1)]
    host = Host(0.0, turns)
    await run_all([RateLimit(requests=60)], host, asks(3))
    assert host.starts == [0, 1, 2]
    host = Host(0.0, [told(tokens_per_minute_remaining=0.0)])
    await run_all([RateLimit(input_tokens=60, burst=28)], host, asks(2), gap=1.0)
    assert host.starts == [0, 14]


@pytest.mark.virtual
async def test_what_the_host_said_long_ago_is_old():
    # Ten streams of 30 s each say at their ends what was left when they began.
    nothing = Generation(http=HttpInfo(status=200, rate={"requests_remaining": 0.0}))
    host = Host(30.0, [nothing] * 100)
    await run_all([RateLimit(requests=60)], host, asks(60))
    assert host.starts == list(range(60))


@pytest.mark.virtual
async def test_no_refund_goes_beyond_what_the_host_has_left():
    told = Generation(
        usage=Usage(input_tokens=1, output_tokens=0),
        http=HttpInfo(status=200, rate={"tokens_remaining": 0.0}),
    )
    host = Host(0.0, [told])
    await run_all([RateLimit(input_tokens=60, burst=14)], host, asks(2))
    assert host.starts == [0, 14]


def test_the_clock_of_another_run_is_no_lock():
    limit = RateLimit(requests=60)

    def run(begin, turns=()):
        async def main():
            trio.lowlevel.current_clock().jump(begin)
            host = Host(0.0, list(turns))
            await run_all([limit], host, asks(2))
            return host.starts

        return run_virtual(main)

    assert run(9000.0, [RateLimited("slow down", retry_after=500.0)]) == [0, 500]
    assert run(0.0) == [0, 1]
    assert run(20_000.0) == [0, 1]
    assert limit._accounts.of("sim", 0.0).at_rest(0.0)


def test_what_ends_beside_a_long_line_costs_little(monkeypatch):
    looks = []
    real = Account._earliest
    monkeypatch.setattr(Account, "_earliest", lambda s, c, f: looks.append(1) or real(s, c, f))
    account = Account({"a": 1.0}, 1.0, 1000)
    running = [account.take((0.25,), 0.0) for _ in range(4)]
    for _ in range(1000):
        account.enter((1.0,), 0.0, deadline=1e4)
    looks.clear()
    for ticket, real_cost in zip(running, (0.0, 0.25, 0.5, None), strict=True):
        account.settle(ticket, (real_cost,), 0.5)
    account.lower(0, 0.0, 0.5, 0.5)
    account.freeze(2.0, 0.5)
    account.leave(account.queue[500], 0.5)
    assert account.enter((1.0,), 0.5, deadline=1e4).state == "waiting"
    assert account.enter((1.0,), 0.5, deadline=1e4).state == "shed"  # the line is full
    assert len(looks) < 20


@pytest.mark.virtual
async def test_money_is_limited_by_what_tokens_cost():
    prices = {"sim:*": {"input": "100000", "output": "200000"}}  # 1.40 and 2.00 for a question
    limit = RateLimit(money=60, burst=3.4, prices=prices)
    used = Generation(usage=Usage(input_tokens=4, output_tokens=0))
    told = Generation(usage=Usage(input_tokens=4, output_tokens=0, cost=Decimal("1.5")))
    host = Host(0.0, [used, told])
    await run_all([limit], host, asks(3))
    assert host.starts == pytest.approx([0, 0.4, 1.9])
    assert counts(limit) == {"money": round(0.4 + 1.5 + 3.4, 6)}


@pytest.mark.virtual
async def test_a_price_that_nobody_knows_is_not_nothing():
    ends, _ = await run_all([RateLimit(money=1)], Host(), asks(1))
    assert isinstance(ends[0], ConfigError)
    assert "the price of 'sim:a' is unknown" in str(ends[0])


@pytest.mark.virtual
async def test_the_prices_of_the_client_count_and_those_of_the_policy_before_them():
    provider = SimulatedProvider({"a": [Script(first=1.0)]})
    dear = {"sim:*": {"input": "100000", "output": "0"}}
    for own, cost in ((None, 1.4), ({"sim:a": {"input": "200000", "output": "0"}}, 2.8)):
        limit = RateLimit(money=1000, prices=own, output_estimate=0)
        async with Client("sim:a", stack=[limit], providers=[provider], prices=dear) as client:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(client.ask, ["x" * 40])
                await trio.testing.wait_all_tasks_blocked()
                charged = limit.statistics()["sim"]["charged"]["money"]
                nursery.cancel_scope.cancel()
        assert charged == pytest.approx(cost)


@pytest.mark.virtual
async def test_accounts_are_apart_by_key_and_only_some_are_limited():
    others = [Call(ASK.replace(model=model)) for model in ("a:x", "a:x", "a:y", "b:x")]
    for scope, only, starts in (
        ("provider", (), [0, 0, 1, 2]),
        ("model", (), [0, 0, 0, 1]),
        ("all", (), [0, 1, 2, 3]),
        ("provider", ["b"], [0, 0, 0, 0]),
        ("provider", "a:x", [0, 0, 0, 1]),
    ):
        host = Host()
        await run_all([RateLimit(requests=60, scope=scope, only=only)], host, others)
        assert host.starts == starts, (scope, only)


@pytest.mark.virtual
async def test_a_count_of_ones_own():
    limit = RateLimit(input_tokens=60, burst=60, estimate=lambda request: 30)
    await run_all([limit], Host(), asks(1))
    assert counts(limit) == {"input_tokens": 30}
    for wrong in (-1, math.nan, math.inf, None):
        bad = RateLimit(input_tokens=60, estimate=lambda request: wrong)  # noqa: B023
        ends, _ = await run_all([bad], Host(), asks(1))
        assert isinstance(ends[0], ConfigError), wrong
        bad = RateLimit(requests=60, priority=lambda call: math.nan)
        ends, _ = await run_all([bad], Host(), asks(2))
        assert isinstance(ends[1], ConfigError)


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"requests": 0},
        {"requests": math.nan},
        {"requests": "60"},
        {"requests": 60, "per": 0},
        {"requests": 1e300, "per": 1e-300},
        {"requests": 60, "burst": -1},
        {"requests": 60, "scope": "account"},
        {"requests": 60, "only": [1]},
        {"requests": 60, "queue": -1},
        {"money": 1, "prices": {"a:b": {"input": "dear"}}},
        {"money": 1, "prices": "/no/such/file.toml"},
    ],
)
def test_wrong_options_are_named(options):
    with pytest.raises(ConfigError):
        RateLimit(**options)


# --- in worlds: the laws, and cancellation at every step


def limited(limits):
    def stack():
        limit = RateLimit(requests=4, per=1.0, burst=8 / 64)
        limits.append(limit)
        return [Attempts(Retry(2, base=1 / 8, max_hint=1.0), Fallback("sim:b")), limit]

    return stack


def settled(trace, limit):
    """L52: each attempt that left is charged once; nothing else is, and nobody is left over."""
    opened = sum(seen.what == "opened" for seen in trace.seen)
    for account in limit.statistics().values():
        assert (account["in_flight"], account["waiting"]) == (0, 0), "L101"
        assert account["charged"] == {"requests": opened}, "L52"
    assert limit.statistics() or not opened


def test_it_obeys_the_laws():
    limits = []
    met = assert_laws(limited(limits), examples=80)
    assert met["QueueEntered"] > 10, met


def test_cancelled_at_every_step_nothing_stays_charged_that_was_not_sent():
    script = Script(first=2 / 64, gap=1 / 64, pieces=("a", "b"))
    failing = Script(first=1 / 64, pieces=(), error=Fault("rate", 0.25))
    world = World(
        scripts={"sim:a": (failing,), "sim:b": (script,), "sim:c": (script,)},
        callers=(Caller(arrive=1 / 64, mode="listen"), Caller(), Caller(arrive=2 / 64)),
    )
    limits = []
    whole = run_world(world, limited(limits), stop_at=1 << 30)
    kinds = [type(event) for event in whole.calls[0].events]
    assert kinds.count(QueueEntered) == kinds.count(QueueLeft) == 2
    assert "fallback" in {visit.call.attempt.reason for visit in whole.visits(whole.calls[0])}
    steps = whole.steps
    assert steps > 20
    for step in range(1, steps + 1):
        trace = run_world(world, limited(limits), stop_at=step)
        assert trace.live == trace.background == 0
        assert trace.tasks <= 0
        settled(trace, limits[-1])
