"""Limits in a real Redis: the script counts as the core does, and processes share an account."""

import json
import subprocess
import sys
from itertools import pairwise
from pathlib import Path

import pytest
import trio
from hypothesis import given, settings
from hypothesis import strategies as st
from llmmw_redis import RedisStore
from llmmw_redis._address import address_of
from llmmw_redis._connection import connect
from llmmw_redis._limits import _script

from llmmw import Client, RateLimit, Usage
from llmmw._ledger import AttemptSent, QueueEntered, StoreFailed
from llmmw._store import opened
from llmmw.errors import CallShed, ConfigError, Overloaded, RateLimited
from llmmw.plugin import SharedBuckets
from llmmw.policies._buckets import Account
from llmmw.testing import Fault, Script, SimulatedProvider, open_host

NAMES = ("requests", "money")
BURST = 8 / 64
TICKS = st.integers(0, 16).map(lambda k: k / 64)
ANY = st.floats(0, 5, allow_subnormal=False) | TICKS
STEPS = st.one_of(
    st.tuples(st.just("take"), st.tuples(ANY, ANY)),
    st.tuples(st.just("settle"), st.tuples(ANY, ANY)),
    st.tuples(st.just("lower"), st.sampled_from(NAMES), ANY, ANY),
    st.tuples(st.just("freeze"), ANY),
    st.tuples(st.just("wait"), ANY),
)


def eval_script(connection, account, *given):
    text, _ = _script()
    words = [one if isinstance(one, str) else repr(float(one)) for one in given]
    return connection.ask([("EVAL", text, 1, account, *words)])


async def replay(path, seed, steps):
    """The same steps by the core and by the script, at the same times."""
    connection = await connect(address_of(path), 2**20, None)
    account, now, open_tickets = Account(dict.fromkeys(NAMES, 1.0), BURST, 0), 1.7e9, []
    try:
        for verb, *given in steps:
            if verb == "wait":
                now += given[0]
                continue
            if verb == "take":
                (costs,) = given
                ticket = account.take(costs, now)
                words = [word for pair in zip(NAMES, costs, strict=True) for word in pair]
                (reply,) = await eval_script(connection, seed, "take", now, BURST, *words)
                assert reply[0] == (ticket is not None)
                if ticket is not None:
                    open_tickets.append(ticket)
            elif verb == "settle" and open_tickets:
                ticket, real = open_tickets.pop(0), given[0]
                account.settle(ticket, real, now)
                rows = zip(NAMES, real, ticket.costs, strict=True)
                words = [word for name, r, c in rows for word in (name, r - c, "")]
                (reply,) = await eval_script(connection, seed, "settle", now, BURST, "", 0, *words)
            elif verb == "lower":
                name, left, ago = given
                account.lower(NAMES.index(name), left, now - ago, now)
                words = (name, 0, left)
                (reply,) = await eval_script(
                    connection, seed, "settle", now, BURST, "", ago, *words
                )
            elif verb == "freeze":
                account.freeze(now + given[0], now)
                (reply,) = await eval_script(connection, seed, "settle", now, BURST, given[0], 0)
            else:
                continue
            told = dict(zip(reply[3::2], map(float, reply[4::2]), strict=True))
            assert float(reply[1]) == now
            assert max(float(reply[2]), now) == max(account.frozen, now)
            for name, instant in zip(NAMES, account.full, strict=True):
                if name.encode() in told:
                    assert max(told[name.encode()], now) == max(instant, now)
    finally:
        connection.close()


def test_the_script_counts_as_the_core_does(redis):
    number = iter(range(10**9))

    @settings(max_examples=150)
    @given(st.lists(STEPS, max_size=25))
    def run(steps):
        trio.run(replay, redis.url, f"a{next(number)}", steps)

    run()


async def test_the_time_is_the_server_s_and_accounts_are_forgotten(redis):
    async with open_host() as host:
        store = await opened(host, RedisStore(redis.url, timeout=10))
        assert isinstance(store, SharedBuckets)
        levels = await store.take("a", {"requests": 0.5, "money": 0.0}, 0.0)
        assert levels.taken
        assert 0.4 < levels.full["requests"] <= 0.5
        assert levels.full["money"] < 0
        again = await store.take("a", {"requests": 0.5}, 0.0)
        assert not again.taken
        assert 0 < again.full["requests"] < levels.full["requests"]
        await store.settle("a", 0.0, {"requests": -1.0})
        assert (await store.take("a", {"requests": 0.0}, 0.0)).full["requests"] < 0
        await store.settle("a", 0.0, {}, left={"requests": 0.0}, ago=0.5, frozen=1000.0)
        frozen = await store.take("a", {"requests": 0.5}, 0.0)
        assert not frozen.taken
        assert 990 < frozen.frozen <= 1000
        assert 1000 < int(redis.cli("pttl", "llmmw:l:a")) / 1000 <= 1130
        redis.cli("script", "flush")
        assert (await store.take("b", {"requests": 0.5}, 1.0)).taken


async def test_a_clock_that_is_set_back(redis):
    connection = await connect(address_of(redis.url), 2**20, None)
    take = ("take", "requests", 5.0)
    try:
        for now, taken, used in ((1e9, 1, 1e9), (1e9 - 30, 0, 1e9), (1e9 - 90, 1, 1e9 - 90)):
            (reply,) = await eval_script(connection, "a", take[0], now, 1.0, *take[1:])
            assert (reply[0], float(reply[1])) == (taken, used)
    finally:
        connection.close()


# --- the policy


def limited(redis, **options):
    store = RedisStore(redis.url, timeout=10)
    return RateLimit(**{"requests": 600, "burst": 0.0, "store": store, **options})


def sent(heard):
    return [event.time for event in heard if isinstance(event, AttemptSent)]


async def test_two_clients_share_an_account(redis):
    heard = []
    provider = SimulatedProvider({"a": "x"})
    one, two = limited(redis, requests=1200), limited(redis, requests=1200)
    async with (
        Client("sim:a", stack=[one], providers=[provider], instruments=[heard.append]) as first,
        Client("sim:a", stack=[two], providers=[provider], instruments=[heard.append]) as second,
    ):
        async with trio.open_nursery() as nursery:
            for number in range(12):
                nursery.start_soon((first, second)[number % 2].ask, f"{number}")
    times = sorted(sent(heard))
    assert len(times) == 12
    assert times[-1] - times[0] >= 11 * 0.05 - 0.02
    gaps = [b - a for a, b in pairwise(times)]
    assert sum(gaps) / len(gaps) < 0.2
    assert not [event for event in heard if isinstance(event, StoreFailed)]
    charged = [limit.statistics()["sim"]["charged"]["requests"] for limit in (one, two)]
    assert sum(charged) == 12


async def test_tokens_are_settled(redis):
    answer = Script(pieces=("x",), usage=Usage(input_tokens=5, output_tokens=90))
    provider = SimulatedProvider({"a": answer, "b": Script(error=Fault("busy"))})
    limit = limited(redis, requests=None, output_tokens=6000, burst=10.0)
    async with Client("sim:a", stack=[limit], providers=[provider]) as client:
        store = limit.store
        await client.ask("hello", max_output_tokens=10)
        account = limit._sharing.account("sim")
        levels = await store.take(account, {"output_tokens": 0.0}, 10.0)
        assert 0.7 < levels.full["output_tokens"] <= 0.9  # 90 tokens at 100 a second
        with pytest.raises(Overloaded):
            await client.ask("hello", model="sim:b", max_output_tokens=500)
        after = await store.take(account, {"output_tokens": 0.0}, 10.0)
        assert 4.5 < after.full["output_tokens"] - levels.full["output_tokens"] <= 5.0


async def test_what_a_host_says_all_learn(redis):
    provider = SimulatedProvider({"a": [Script(error=Fault("rate", 100.0)), "x"]})
    async with (
        Client("sim:a", stack=[limited(redis)], providers=[provider]) as first,
        Client("sim:a", stack=[limited(redis)], providers=[provider]) as second,
    ):
        with pytest.raises(RateLimited):
            await first.ask("hello")
        with pytest.raises(CallShed) as raised:
            await second.ask("hello", timeout=50)
        assert 90 < raised.value.retry_after <= 100
    assert len(provider.opened) == 1


async def test_a_cancelled_call_gives_back(redis):
    provider = SimulatedProvider({"a": "x"})
    limit = limited(redis, requests=6, burst=0.0)  # one in 10 s
    waits = trio.Event()

    def hear(event):
        if isinstance(event, QueueEntered):
            waits.set()

    async with Client("sim:a", stack=[limit], providers=[provider], instruments=[hear]) as client:
        await client.ask("hello")
        with trio.CancelScope() as scope:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(client.ask, "hello")
                await waits.wait()
                scope.cancel()
        account = limit._sharing.account("sim")
        levels = await limit.store.take(account, {"requests": 0.0}, 0.0)
        assert 5 < levels.full["requests"] < 10
        assert limit.statistics()["sim"] == {
            "in_flight": 0,
            "waiting": 0,
            "charged": {"requests": 1.0},
        }


async def test_without_the_server_each_goes_by_its_own_count(redis):
    heard = []
    provider = SimulatedProvider({"a": "x"})
    limit = limited(redis, requests=1200, burst=0.0)
    async with Client(
        "sim:a", stack=[limit], providers=[provider], instruments=[heard.append]
    ) as client:
        await client.ask("hello")
        redis.kill()
        for _ in range(5):
            await client.ask("hello")
        times = sent(heard)
        assert all(b - a >= 0.045 for a, b in pairwise(times))
        assert len([event for event in heard if isinstance(event, StoreFailed)]) >= 5
        redis.start()
        heard.clear()
        with trio.fail_after(60):
            while any(isinstance(event, StoreFailed) for event in heard) or not heard:
                heard.clear()
                await client.ask("hello")
        assert "llmmw:l:" in redis.cli("keys", "*")


async def test_a_store_without_buckets_is_refused():
    provider = SimulatedProvider({"a": "x"})
    async with Client(
        "sim:a", stack=[RateLimit(requests=5, store="memory")], providers=[provider]
    ) as client:
        with pytest.raises(ConfigError, match="'memory' keeps no limits"):
            await client.ask("hello")
    assert "hunter2" not in repr(RateLimit(requests=5, store="redis://:hunter2@host"))
    with pytest.raises(ConfigError, match="is no store"):
        RateLimit(requests=5, store=5)


# --- four processes: L46, L47, L52

HAMMER = Path(__file__).with_name("hammer.py")


def hammered(url, calls, rate, burst, *hint):
    command = [sys.executable, str(HAMMER), url, str(calls), str(rate), str(burst)]
    running = [
        subprocess.Popen(
            [*command, str(seed), *([] if seed else map(str, hint))],
            stdout=subprocess.PIPE,
            text=True,
        )
        for seed in range(4)
    ]
    told = [json.loads(process.communicate(timeout=100)[0]) for process in running]
    assert all(process.returncode == 0 for process in running)
    return told


def test_what_one_of_four_processes_is_told_all_obey(redis):
    told = hammered(redis.url, 40, 40.0, 0.1, 1.5)
    starts = sorted(time for one in told for time in one["starts"])
    (at,) = told[0]["frozen"]
    # L50; the hint is older by what the settling took, which a busy machine draws out.
    assert not [start for start in starts if at < start < at + 1.0]
    assert [start for start in starts if start < at]
    # L48: whoever was there goes on when it is over, within a second, unless all of its calls were
    # made before, as of one that began the earliest.
    there = [one["starts"] for one in told if min(one["starts"]) < at < max(one["starts"])]
    assert there
    for own in there:
        assert any(at + 1.0 <= start <= at + 2.6 for start in own)


def test_four_processes_keep_within_one_account(redis):
    calls, rate, burst = 40, 100.0, 0.1
    told = hammered(redis.url, calls, rate, burst)
    starts = sorted(time for one in told for time in one["starts"])
    assert len(starts) == sum(one["sent"] for one in told)
    for first in range(len(starts)):
        for last in range(first, len(starts)):
            span = starts[last] - starts[first]
            most = rate * span + max(burst * rate, 1.0) + 1e-6
            assert last - first + 1 <= most, "L46"
    # L47, L52: what the account was charged is the sum of what the attempts took, each once.
    charged = sum(one["charged"] for one in told)
    assert charged == pytest.approx(sum(one["spent"] for one in told))
    assert all(one["failed"] == 0 for one in told)
    assert sum(one["cancelled"] for one in told) > 0
    assert len(starts) > 2 * calls
