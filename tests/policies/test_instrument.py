"""Instrumentation: lines of the log, what is counted, and that a call never notices."""

import logging
import math
from decimal import Decimal

import pytest
import trio
from hypothesis import given
from hypothesis import strategies as st

from llmmw import (
    Attempts,
    Client,
    Coalesce,
    Fallback,
    Generation,
    Guard,
    Hedge,
    Instrumentation,
    Retry,
    Usage,
    load_config,
)
from llmmw._provider import Provider
from llmmw.errors import RateLimited, ServerError
from llmmw.policies._sketch import Sketch
from llmmw.policies._tally import CallRecord, Spent, Tally
from llmmw.testing import Script, SimulatedProvider

PROMPT, ANSWER = "the prompt is private", "the answer is private"


def slow_down():
    return RateLimited(f"you said {PROMPT!r}", status=429, code="slow", request_id="r1")


def world(**scripts):
    return SimulatedProvider(scripts)


def client(watch, *stack, provider, instruments=()):
    stack = (watch, *stack)
    return Client("sim:a", stack=stack, providers=[provider], instruments=instruments)


class Paid(Provider):
    async def __call__(self, call):
        usage = Usage(input_tokens=10, output_tokens=2, cost=Decimal("0.25"))
        return Generation(provider=self.name, model=call.request.model_name, usage=usage)


@pytest.mark.virtual
async def test_a_call_is_one_line_with_its_data(caplog):
    caplog.set_level(logging.INFO, "llmmw.calls")
    sim = world(
        a=[Script(first=1, pieces=(), error=slow_down)], b=[Script(first=2, pieces=(ANSWER,))]
    )
    async with client(Instrumentation(), Fallback("sim:b"), provider=sim) as asks:
        await asks.ask(PROMPT)
    (record,) = caplog.records
    assert record.levelname == "INFO"
    assert record.getMessage().startswith(
        "call 1: sim:a answered by sim:b in 3.000 s, 2 attempts, "
    )
    row = record.llmmw
    assert (row["call"], row["target"], row["outcome"]) == (1, "sim:a", "ok")
    assert (row["provider"], row["model"], row["attempts"]) == ("sim", "b", 2)
    assert row["seconds"] == pytest.approx(3)
    assert row["first_token"] is None
    assert row["output_tokens"] == 1
    assert "private" not in caplog.text + str(row)


@pytest.mark.virtual
async def test_a_failure_is_a_warning_without_the_words_of_the_error(caplog):
    caplog.set_level(logging.INFO, "llmmw.calls")
    sim = world(a=[Script(pieces=(), error=slow_down)])
    for details in (False, True):
        watch = Instrumentation(details=details)
        async with client(watch, provider=sim) as asks:
            with pytest.raises(RateLimited):
                await asks.ask(PROMPT)
    quiet, loud = caplog.records
    assert quiet.levelname == "WARNING"
    assert "RateLimited" in quiet.getMessage()
    assert "private" not in quiet.getMessage() + str(quiet.llmmw)
    row = quiet.llmmw
    assert (row["outcome"], row["status"], row["code"], row["request_id"]) == (
        "RateLimited", 429, "slow", "r1",
    )  # fmt: skip
    assert PROMPT in loud.getMessage()
    assert PROMPT in loud.llmmw["error"]


@pytest.mark.virtual
async def test_events_are_lines_as_they_happen_with_the_number_of_their_call(caplog):
    caplog.set_level(logging.DEBUG, "llmmw.calls")
    sim = world(a=[Script(first=1, pieces=(), error=slow_down), Script(pieces=(ANSWER,))])
    stack = (Retry(1, base=0), Guard(lambda r: f"I do not like {r.text!r}" if not r.text else None))
    seen = []
    async with client(Instrumentation(), *stack, provider=sim, instruments=[seen.append]) as asks:
        await asks.ask(PROMPT)
    lines = [record.llmmw.get("event") for record in caplog.records]
    assert lines[:3] == ["AttemptStarted", "AttemptSent", "AttemptEnded"]
    assert lines[-1] is None  # the line of the call itself
    assert {record.llmmw["call"] for record in caplog.records} == {1}
    assert {"AttemptStarted", "CallStarted", "CallEnded"} <= {type(e).__name__ for e in seen}
    assert "private" not in caplog.text + str([record.llmmw for record in caplog.records])


@pytest.mark.virtual
async def test_without_a_logger_nothing_is_logged_and_all_is_counted(caplog):
    caplog.set_level(logging.DEBUG)
    watch = Instrumentation(logger=None)
    async with client(watch, provider=world(a=[Script()])) as asks:
        await asks.ask("?")
    assert not [record for record in caplog.records if record.name.startswith("llmmw")]
    assert watch.statistics()["answered"] == 1


@pytest.mark.virtual
async def test_what_is_counted():
    bad = Script(first=1, pieces=(), error=lambda: ServerError("boom"))
    sim = world(a=[Script(first=1, pieces=("x", "y"), gap=1), bad, bad, bad], b=[Script(first=4)])
    watch = Instrumentation()
    async with client(watch, Retry(1, base=0), provider=sim) as asks:

        async def hear(delta):
            assert watch.statistics()["in_flight"] == 1

        await asks.ask("?", listener=hear)  # 1 s to the first token, 3 s in all
        with pytest.raises(ServerError):
            await asks.ask("?")
        with trio.move_on_after(1):
            await asks.ask("?", model="sim:b")
    found = watch.statistics()
    assert (found["calls"], found["answered"], found["in_flight"]) == (3, 1, 0)
    assert found["failed"] == {"ServerError": 1, "Cancelled": 1}
    assert (found["attempts"], found["extra_load"]) == (4, pytest.approx(1 / 3))
    assert found["targets"] == {"sim:a": {"ok": 1, "ServerError": 2}, "sim:b": {"Cancelled": 1}}
    assert found["output_tokens"] == 2
    assert found["cost"] is None
    assert found["unknown"]["cost"] == 3
    assert found["first_token"]["p50"] == pytest.approx(1, rel=0.01)
    assert found["completion"]["mean"] == pytest.approx(3)
    view = watch.view()
    assert view.splitlines()[0] == "calls        3, 0 in flight, 1 answered"
    assert "failed       Cancelled 1, ServerError 1" in view
    assert "money        ?" in view


@pytest.mark.virtual
async def test_money_of_rejected_answers_counts_and_that_of_joined_calls_does_not():
    watch = Instrumentation()
    answers = iter([False, True])
    stack = [watch, Coalesce(), Retry(1, base=0.01), Guard(lambda r: next(answers), empty=True)]
    async with Client("p:m", stack=stack, providers=[Paid(name="p")]) as asks:
        async with trio.open_nursery() as nursery:
            for _ in range(3):
                nursery.start_soon(asks.ask, "the same")
    found = watch.statistics()
    assert (found["answered"], found["joined"], found["attempts"]) == (3, 2, 2)
    assert (found["input_tokens"], found["output_tokens"], found["cost"]) == (20, 4, 0.5)
    assert found["unknown"] == {}
    assert "money        $0.5" in watch.view()


@pytest.mark.virtual
async def test_an_instrument_that_fails_changes_no_call(caplog):
    """L89."""

    def fails(event):
        raise RuntimeError("an instrument failed")

    class Fails(logging.Filter):
        def filter(self, record):
            raise RuntimeError("a filter failed")

    logger = logging.getLogger("llmmw.test-of-failing-filters")
    logger.setLevel(logging.DEBUG)
    logger.addFilter(Fails())
    traces = []
    for watch, instruments in (
        (Instrumentation(logger=None), []),
        (Instrumentation(logger=logger.name), [fails]),
    ):
        heard = []

        async def hear(delta, heard=heard):
            heard.append((trio.current_time(), delta))

        sim = world(a=[Script(first=1, error=slow_down, pieces=())], b=[Script(pieces=("x", "y"))])
        stack = (Attempts(Hedge(0.5, targets="sim:b"), Fallback("sim:b")),)
        async with client(watch, *stack, provider=sim, instruments=instruments) as asks:
            begun = trio.current_time()
            response = await asks.ask("?", listener=hear)
        heard = [(time - begun, delta) for time, delta in heard]
        traces.append((response, heard, len(sim.opened), len(response.ledger.events)))
        assert watch.statistics()["answered"] == 1
    (plain, told, *rest), (watched, told_too, *rest_too) = traces
    assert plain == watched
    assert [delta for _, delta in told] == [delta for _, delta in told_too]
    assert [time for time, _ in told] == pytest.approx([time for time, _ in told_too])
    assert rest == rest_too
    assert "a filter failed" in caplog.text
    assert "an instrument failed" in caplog.text


def test_a_file_has_it(tmp_path):
    path = tmp_path / "f.toml"
    path.write_text('[[stack]]\nuse = "instrument"\nlogger = "mine"\n')
    assert load_config(path).stack == (Instrumentation(logger="mine"),)


def record(target="x:y", **fields):
    known = {
        "call": 1, "target": target, "outcome": "ok", "seconds": 1.0, "first_token": None,
        "provider": "x", "model": "y", "joined": False, "ended": (), "sent": 1, "spent": Spent(),
    }  # fmt: skip
    return CallRecord(**known | fields)


def test_memory_is_bounded_whatever_the_targets_and_the_view_is_one_screen():
    tally = Tally()
    for number in range(3000):
        tally.add(record(f"x:{number}", seconds=10.0 ** (number % 12 - 6)))
    targets = tally.statistics()["targets"]
    assert len(targets) == 1001
    assert targets["others"] == {"ok": 2000}
    assert len(list(tally.lines())) <= 24


def test_what_is_unknown_is_never_zero():
    tally = Tally()
    assert "tokens       ? in, ? out" in list(tally.lines())
    tally.add(record(spent=Spent(input_tokens=None, output_tokens=3, cost=None, unknown=("cost",))))
    tally.add(record(spent=Spent(input_tokens=2, output_tokens=4, cost=Decimal(1))))
    lines = list(tally.lines())
    assert "tokens       2 in, 7 out" in lines
    assert "money        $1 (more in 1 calls: unknown)" in lines


@given(
    st.lists(st.floats(1e-4, 1e5), min_size=1, max_size=50),
    st.sampled_from([0.01, 0.5, 0.9, 0.99, 1.0]),
)
def test_a_quantile_is_right_within_one_percent(durations, share):
    sketch = Sketch()
    for seconds in durations:
        sketch.add(seconds)
    exact = sorted(durations)[math.ceil(share * len(durations) - 1e-9) - 1]
    assert sketch.quantile(share) == pytest.approx(exact, rel=0.0101)


def test_a_sketch_of_nothing_knows_nothing():
    assert set(Sketch().statistics().values()) == {None}
