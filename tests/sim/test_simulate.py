"""Stacks in simulated worlds: exact where it can be, the same for the same seed."""

from __future__ import annotations

import math

import pytest

from llmmw import Attempts, Budget, Fallback, Hedge, Retry, Timeout, default_stack
from llmmw.errors import ConfigError
from llmmw.sim import Report, load_world, simulate

AMPLE = {"ratio": 1.0, "cap": 1e9, "floor": 0.0}


def hedged(delay: float | str, **budget: float) -> list[Hedge]:
    own = {"budget": Budget(**budget)} if budget else {}
    return [Hedge(delay, targets=["sim:b"], **own)]


def world_of(tmp_path, text: str):
    path = tmp_path / "world.toml"
    path.write_text(text)
    return load_world(path)


def test_the_reference_world_has_the_quantiles_that_it_should_have():
    report = simulate([], requests=10_000)
    first = report.first_token
    # Three standard errors and more of each, at this size.
    assert first.p50 == pytest.approx(0.617, rel=0.02)
    assert first.p90 == pytest.approx(1.018, rel=0.04)
    assert first.p95 == pytest.approx(1.512, rel=0.08)
    assert first.p99 == pytest.approx(4.368, rel=0.15)
    assert first.mean == pytest.approx(0.793, rel=0.06)
    assert report.answered == 1.0
    assert report.extra_load == 0.0
    assert report.seconds == pytest.approx(1000, rel=0.05)
    assert report.first_tokens == report.completions


def test_a_hedge_with_a_fixed_delay_is_exact_call_by_call():
    delay = 1.512
    bare, other = simulate([], "sim:a", requests=2000), simulate([], "sim:b", requests=2000)
    report = simulate(hedged(delay, **AMPLE), "sim:a", requests=2000)
    pairs = zip(bare.first_tokens, other.first_tokens, strict=True)
    wanted = [min(first, delay + second) for first, second in pairs]
    assert max(map(abs, map(float.__sub__, report.first_tokens, wanted))) <= 1e-9
    fired = sum(first > delay for first in bare.first_tokens)
    assert fired > 50
    assert report.did["hedges"] == fired
    assert report.extra_load == pytest.approx(fired / 2000)


def test_a_learned_delay_comes_close_to_the_true_one():
    fixed = simulate(hedged(1.512, **AMPLE), requests=5000)
    learned = simulate(hedged("p95"), requests=5000)
    # The full size is in tests/benchmarks/bench_simulate.py, with a bound of 1.05 and 5.3 %.
    assert learned.first_token.p99 <= 1.08 * fixed.first_token.p99
    assert 0.03 < learned.extra_load <= 0.056


def test_the_same_seed_gives_the_same_report_and_another_does_not(tmp_path):
    world = world_of(tmp_path, FAULTY)

    def run(seed: int) -> Report:
        return simulate(default_stack("sim:a", "sim:b"), world=world, requests=600, seed=seed)

    one, again, other = run(7), run(7), run(8)
    assert one.data() == again.data()
    assert one.first_tokens.tobytes() == again.first_tokens.tobytes()
    assert one.data() != other.data()
    assert one.did["retries"] + one.did["fallbacks"] > 5
    assert one.did["hedges"] > 5


def test_every_stack_meets_the_same_world(tmp_path):
    bare = simulate([], requests=500)
    bounded = simulate([Timeout(total=50), Attempts(Retry(1))], requests=500)
    assert bare.first_tokens == bounded.first_tokens


FAULTY = """
[targets."*"]
first_token = { kind = "lognormal", median = 0.5, sigma = 0.4 }
gap = 0.01
output_tokens = { kind = "measured", values = [3, 8] }
[[targets."*".faults]]
error = "busy"
share = 0.05
[[targets."*".faults]]
error = "cut"
share = 0.02
after = 0.5
"""


def test_errors_of_the_world_reach_a_bare_caller_in_their_shares(tmp_path):
    report = simulate([], world=world_of(tmp_path, FAULTY), requests=2000)
    assert set(report.errors) == {"Overloaded", "StreamInterrupted"}
    assert report.errors["Overloaded"] == pytest.approx(100, rel=0.35)
    assert report.errors["StreamInterrupted"] == pytest.approx(40, rel=0.5)
    assert report.answered == pytest.approx(0.93, abs=0.02)
    assert sum(map(math.isnan, report.completions)) == sum(report.errors.values())
    assert report.targets["sim:a"].ends["ok"] == 2000 - sum(report.errors.values())
    both = zip(report.first_tokens, report.completions, strict=True)
    spans = {round(end - first, 9) for first, end in both if not math.isnan(end)}
    assert spans == {0.03, 0.08}  # a gap after each of 3 or of 8 tokens


def test_a_cut_is_an_error_to_a_stream_and_restarts_for_others(tmp_path):
    def run(callers: str) -> Report:
        world = world_of(tmp_path, callers + FAULTY)
        stack = [Attempts(Retry(3), Fallback("sim:b"))]
        return simulate(stack, world=world, requests=1000)

    assert set(run("").errors) == {"StreamInterrupted"}
    patient = run('[callers]\non_interrupt = "restart"\n')
    assert patient.answered == 1.0
    assert patient.did["restarts"] > 5


def test_an_outage_comes_and_goes_by_its_schedule(tmp_path):
    world = world_of(
        tmp_path,
        """
        [targets."*"]
        first_token = 1
        [[targets."*".faults]]
        error = "server"
        start = 10
        seconds = 5
        every = 20
        """,
    )
    report = simulate([], world=world, requests=400, rate=10.0)
    assert report.seconds > 36
    share = report.errors["ServerError"] / 400
    assert share == pytest.approx(10 / 40, abs=0.07)
    saved = simulate([Attempts(Fallback("sim:b"))], world=world, requests=400, rate=10.0)
    # The other one is out at the same times, and is asked 0.1 s later, when the error is told.
    assert saved.errors["ServerError"] == pytest.approx(report.errors["ServerError"], abs=5)
    assert saved.did["fallbacks"] == report.errors["ServerError"]


def test_stalls_and_slow_times_are_as_long_as_they_say(tmp_path):
    world = world_of(
        tmp_path,
        """
        [targets."sim:a"]
        first_token = 1
        gap = 0.5
        output_tokens = 4
        [[targets."sim:a".faults]]
        stall = 30
        after = 0.5
        [targets."sim:b"]
        first_token = 1
        gap = 0.5
        output_tokens = 4
        [[targets."sim:b".faults]]
        slow = 4
        """,
    )
    stalled = simulate([], "sim:a", world=world, requests=20)
    assert stalled.first_token.p50 == pytest.approx(1)
    assert stalled.completion.p50 == pytest.approx(1 + 4 * 0.5 + 30)
    slow = simulate([], "sim:b", world=world, requests=20)
    assert slow.first_token.p50 == pytest.approx(4)
    assert slow.completion.p50 == pytest.approx(4 + 4 * 2)


def test_a_limit_of_rate_refuses_with_the_time_to_wait(tmp_path):
    text = """
    [targets."*"]
    first_token = 0.1
    rate_limit = { requests = 300, per = 60, burst = 2 }
    """
    bare = simulate([], world=world_of(tmp_path, text), requests=500, rate=20.0)
    assert set(bare.errors) == {"RateLimited"}
    assert bare.targets["sim:a"].ends["ok"] == pytest.approx(5 * bare.seconds, rel=0.1)
    retried = simulate([Attempts(Retry(3))], world=world_of(tmp_path, text), requests=50, rate=4.0)
    assert retried.waited["hint"] > 0
    assert retried.answered > 0.9


def test_what_never_ends_is_counted_and_ends_the_simulation(tmp_path):
    world = world_of(
        tmp_path,
        '[targets."*"]\nfirst_token = 1\n[[targets."*".faults]]\nhangs = true\nshare = 0.5',
    )
    bare = simulate([], world=world, requests=100)
    assert set(bare.errors) == {"NeverEnded"}
    assert bare.first_token.p50 == pytest.approx(1)
    assert simulate([Timeout(total=5)], world=world, requests=100).errors == {
        "DeadlineExceeded": bare.errors["NeverEnded"]
    }


def test_callers_lose_their_patience(tmp_path):
    world = world_of(tmp_path, '[callers]\npatience = 2\n[targets."*"]\nfirst_token = 3')
    report = simulate([], world=world, requests=10)
    assert report.errors == {"GaveUp": 10}
    assert report.answered == 0.0
    assert report.first_token.p99 is None
    assert report.data()["completion"]["mean"] is None


def test_money_is_counted_where_prices_are_known_and_unknown_elsewhere(tmp_path):
    text = """
    [callers]
    input_tokens = 1000
    [targets."*"]
    first_token = { kind = "lognormal", median = 1, sigma = 0.5 }
    output_tokens = 100
    [targets."sim:a"]
    first_token = { kind = "lognormal", median = 1, sigma = 0.5 }
    output_tokens = 100
    price = { input = 1, output = 10 }
    """
    world = world_of(tmp_path, text)
    one = simulate([], "sim:a", world=world, requests=100)
    assert float(one.money) == pytest.approx(100 * (0.001 + 0.001))
    assert one.money_lost == 0
    assert simulate([], "sim:b", world=world, requests=10).money is None
    # A hedge that loses costs its input, and what it had said.
    same = [Hedge(1.0, budget=Budget(**AMPLE))]
    hedged = simulate(same, "sim:a", world=world, requests=100)
    losers = hedged.targets["sim:a"].ends["cancelled"]
    assert losers > 20
    assert float(hedged.money_lost) == pytest.approx(losers * 0.001)
    assert hedged.money == one.money + hedged.money_lost
    # The library's own prices know this one; nobody knows that one.
    assert simulate([], "openai:gpt-5-mini", requests=10).money > 0
    assert simulate([], "openai:nobody-knows-me", requests=10).money is None


def test_a_simulation_asks_nobody():
    """The targets are those of a real provider, and nothing of it is even looked up."""
    stack = [Attempts(Fallback("anthropic:nothing", "nowhere:at-all"))]
    report = simulate(stack, "openai:gpt-4o-mini", requests=5)
    assert list(report.targets) == ["openai:gpt-4o-mini"]


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", "targets: is missing"),
        ("[targets]", "[targets."),
        ("[target.a]\n", "unknown key 'target'; did you mean 'targets'?"),
        ('[targets."sim:a"]\n', 'targets."sim:a".first_token: is missing'),
        ('[targets."*"]\nfirst_token = -1', 'targets."*".first_token = -1: expected a number'),
        ('[targets."*"]\nfirst_token = {kind = "normal"}', "expected one of constant, lognormal"),
        ('[targets."*"]\nfirst_token = {kind="pareto", least=1}', "first_token.alpha: is missing"),
        ('[targets."*"]\nfirst_token = [{kind="constant", value=1}]', "first_token[0].share: is"),
        ('[targets."*"]\nfirst_token = 1\nfaults = [{share = 1}]', "expected one of error, hangs"),
        ('[targets."*"]\nfirst_token = 1\nfaults = [{error = "bsy"}]', "faults[0].error"),
        ('[targets."*"]\nfirst_token = 1\nfaults = [{hangs = true, share = 2}]', "from 0 to 1"),
        ('[targets."*"]\nfirst_token = 1\nprice = {output = 1}', "says nothing of input"),
        ('[callers]\npatience = 0\n[targets."*"]\nfirst_token = 1', "callers.patience = 0"),
        ("what", "world.toml: "),
    ],
)
def test_a_wrong_world_is_told_with_file_and_key(tmp_path, text, told):
    with pytest.raises(ConfigError) as caught:
        world_of(tmp_path, text)
    assert "world.toml" in str(caught.value)
    assert told in str(caught.value)


def test_a_target_that_the_world_does_not_have_is_told(tmp_path):
    world = world_of(tmp_path, '[targets."sim:a"]\nfirst_token = 1')
    with pytest.raises(ConfigError, match="no target 'sim:b'; it has sim:a"):
        simulate([], "sim:b", world=world, requests=5)
    with pytest.raises(ConfigError, match="can't read the world"):
        load_world(tmp_path / "none.toml")
    with pytest.raises(ConfigError, match="requests=0"):
        simulate([], requests=0)
