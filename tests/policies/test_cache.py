"""What users see of `Cache`."""

import math

import attrs
import pytest
import trio

from llmmw import (
    Attempts,
    Cache,
    Call,
    Client,
    Embeddings,
    Fallback,
    Generate,
    Generation,
    Message,
    PartDelta,
    PartEnd,
    Retry,
    TextPart,
    Usage,
    cache_mode,
    chain,
)
from llmmw._ledger import CacheHit, CacheMissed, CacheStored, StoreFailed
from llmmw._response import Candidate, Finish
from llmmw.errors import (
    BadRequest,
    ConfigError,
    ContentFiltered,
    Overloaded,
    StreamInterrupted,
)
from llmmw.stores import Layers, MemoryStore
from llmmw.testing import Fault, Script, SimulatedProvider, open_host

pytestmark = pytest.mark.virtual

SLOW = Script(first=1, gap=1, pieces=("a", "b", "c"))
DONE = Finish("stop")


def client_of(cache, *scripts, inside=(), **others):
    provider = SimulatedProvider({"a": scripts or ["one", "two", "three"], **others})
    return provider, Client("sim:a", stack=[cache, *inside], providers=[provider])


def events(response, kind):
    return [event for event in response.ledger.events if isinstance(event, kind)]


async def texts(client, count, **parameters):
    return [(await client.ask("hello", **parameters)).text for _ in range(count)]


async def test_the_second_answer_costs_nothing():
    cache = Cache()
    provider, client = client_of(
        cache, Script(pieces=("one",), usage=Usage(input_tokens=3, output_tokens=4))
    )
    async with client:
        first = await client.ask("hello")
        second = await client.ask("hello")
    assert second == first
    assert len(provider.opened) == 1
    assert first.spent[:2] == (3, 4)
    assert second.spent == (None, None, None)
    assert second.usage == first.usage
    (missed,), (stored,) = events(first, CacheMissed), events(first, CacheStored)
    (hit,) = events(second, CacheHit)
    assert (missed.why, stored.how, stored.target) == ("absent", "new", "sim:a")
    assert missed.key == stored.key == hit.key
    assert (hit.stale, hit.input_tokens, hit.output_tokens) == ("", 3, 4)
    assert "cache hit" in second.explain()
    found = cache.statistics()
    assert (found["hits"], found["misses"], found["stored"]) == (1, 1, 1)
    assert (found["saved_input_tokens"], found["saved_output_tokens"]) == (3, 4)


async def test_what_differs_is_asked():
    provider, client = client_of(Cache(), "x")
    async with client:
        for parameters in ({}, {"seed": 1}, {"tenant": "t"}, {"sample": 1}, {"system": "s"}):
            await client.ask("hello", **parameters)
        await client.ask("hello!")
        assert len(provider.opened) == 6
        await client.ask("hello", metadata={"who": "me"})
        assert len(provider.opened) == 6


async def test_a_tenant_never_gets_the_answer_of_another():
    store = MemoryStore()
    provider, client = client_of(Cache(store))
    async with client:
        assert (await client.ask("hello", tenant="a")).text == "one"
        assert (await client.ask("hello", tenant="b")).text == "two"
        keys = [stored.key async for stored in store.scan()]
        assert len(keys) == 2
        # Not even if somebody changes the keys of the store.
        values = [await store.get(key) for key in keys]
        for key, other in zip(keys, reversed(values), strict=True):
            await store.put(key, other.value)
        assert (await client.ask("hello", tenant="a")).text == "three"
    assert len(provider.opened) == 3


@pytest.mark.parametrize("first", ["stream", "ask"])
async def test_a_hit_tells_what_was_told_or_what_the_answer_says(first):
    provider, client = client_of(Cache(), SLOW)
    told = []

    async def hear(delta):
        told.append(delta)

    async with client:
        if first == "stream":
            async with client.stream("hello") as stream:
                was = [delta async for delta in stream]
        else:
            await client.ask("hello")
        began = trio.current_time()
        response = await client.ask("hello", listener=hear)
        assert trio.current_time() == began
        async with client.stream("hello") as stream:
            assert [delta async for delta in stream] == told
    pieces = [delta.text for delta in told if isinstance(delta, PartDelta)]
    assert pieces == (["a", "b", "c"] if first == "stream" else ["abc"])
    if first == "stream":
        assert told == was
    assert response.text == "abc"
    assert len(provider.opened) == 1


async def test_of_an_answer_that_began_anew_only_what_counts_is_told():
    cut = Script(pieces=("wr", "ong"), error=Fault("cut"))
    _, client = client_of(Cache(), cut, SLOW, inside=[Retry(1)])
    told = []

    async def hear(delta):
        told.append(delta)

    async with client:
        await client.ask("hello", listener=hear, on_interrupt="restart")
        told.clear()
        await client.ask("hello", listener=hear)
    assert "".join(d.text for d in told if isinstance(d, PartDelta)) == "abc"


WHOLE = Generation(message=Message("assistant", "x"), finish=DONE)


@pytest.mark.parametrize(
    ("response", "limit", "kept"),
    [
        (WHOLE, None, True),
        (WHOLE.replace(message=Message("assistant", ())), None, True),
        (WHOLE.replace(finish=Finish("tool_call")), None, True),
        (WHOLE.replace(finish=Finish("length")), None, False),
        (WHOLE.replace(finish=Finish("length")), 5, True),
        (WHOLE.replace(finish=Finish("content_filter")), None, False),
        (WHOLE.replace(finish=Finish("error")), None, False),
        (WHOLE.replace(finish=Finish("other")), None, False),
        (WHOLE.replace(finish=None), None, False),
        (
            WHOLE.replace(
                candidates=(
                    Candidate(Message("assistant", "x"), DONE),
                    Candidate(Message("assistant", "y"), Finish("content_filter")),
                )
            ),
            None,
            False,
        ),
        (Embeddings(vectors=((1.0,),)), None, True),
    ],
)
async def test_only_whole_answers_are_kept(response, limit, kept):
    calls = []

    async def answer(call):
        calls.append(call)
        return response

    cache = Cache()
    handler = chain(cache, provider=answer)
    request = Generate(model="sim:a", messages=["hello"], max_output_tokens=limit)
    async with open_host() as host:
        for _ in range(2):
            assert await handler(Call(request, host=host)) == response
    assert len(calls) == (1 if kept else 2)
    assert cache.statistics()["refused"] == (0 if kept else 2)


@pytest.mark.parametrize(
    "script", [Script(pieces=("a",), error=Fault("cut")), Script(error=Fault("busy"))]
)
async def test_a_failed_answer_is_not_kept(script):
    cache = Cache()
    provider, client = client_of(cache, script, "good")
    async with client:
        with pytest.raises((StreamInterrupted, Overloaded)):
            async with client.stream("hello") as stream:
                await stream.wait_response()
        assert (await client.ask("hello")).text == "good"
        assert (await client.ask("hello")).text == "good"
    assert len(provider.opened) == 2
    assert cache.statistics()["stored"] == 1


async def test_a_cancelled_answer_is_not_kept():
    cache = Cache()
    provider, client = client_of(cache, SLOW)
    async with client:
        for after in (0.5, 1.5, 2.5, 3.5, 3.9375):
            with trio.move_on_after(after) as scope:
                async with client.stream("hello") as stream:
                    await stream.wait_response()
            assert scope.cancelled_caught
            assert cache.statistics()["stored"] == 0
        assert provider.live == 0


async def test_an_answer_that_another_target_went_on_with_is_not_kept():
    from llmmw._ledger import StreamResumed

    async def resumes(call, next):
        call.ledger.write(StreamResumed, trio.current_time(), "sim:b", 3)
        return await next(call)

    _provider, client = client_of(Cache(), inside=[resumes])
    async with client:
        assert await texts(client, 2) == ["one", "two"]


async def test_identical_calls_share_one():
    cache = Cache()
    provider, client = client_of(cache, SLOW)
    answers = []

    async def ask():
        answers.append(await client.ask("hello"))

    async with client, trio.open_nursery() as nursery:
        for _ in range(100):
            nursery.start_soon(ask)
    assert len(provider.opened) == 1
    assert {one.text for one in answers} == {"abc"}
    assert cache.statistics()["joined"] == 99
    assert cache.statistics()["stored"] == 1


async def test_identical_calls_are_asked_apart_on_request():
    provider, client = client_of(Cache(coalesce=False), SLOW)
    async with client, trio.open_nursery() as nursery:
        for _ in range(3):
            nursery.start_soon(client.ask, "hello")
    assert len(provider.opened) == 3


@attrs.define
class SlowStore(MemoryStore):
    """It takes its time, as one behind a network does."""

    async def get(self, key):
        await trio.sleep(0.25)
        return await super().get(key)


async def test_who_comes_while_the_answer_does_asks_nothing():
    cache = Cache(SlowStore())
    provider, client = client_of(cache, Script(first=0.25))
    async with client, trio.open_nursery() as nursery:
        for _ in range(20):
            await trio.sleep(1 / 32)
            nursery.start_soon(client.ask, "hello")
    assert len(provider.opened) == 1


async def test_it_ages():
    cache = Cache(ttl=10)
    provider, client = client_of(cache, "one", "one", "two", "three")
    async with client:
        assert await texts(client, 2) == ["one", "one"]
        await trio.sleep(10)
        assert await texts(client, 1) == ["one"]
        await trio.sleep(1)
        assert await texts(client, 1) == ["one"]
        assert len(provider.opened) == 2
        await trio.sleep(11)
        assert await texts(client, 1) == ["two"]
    found = cache.statistics()
    assert (found["new"], found["misses"]) == (3, 3)


async def test_a_stale_answer_is_given_while_it_is_asked_anew():
    cache = Cache(ttl=10, stale_while_revalidate=20)
    scripts = [
        Script(pieces=("old",)),
        Script(first=1, error=Fault("busy")),
        Script(first=1, pieces=("new",)),
    ]
    provider, client = client_of(cache, *scripts)
    async with client:
        await client.ask("hello")
        await trio.sleep(15)
        began = trio.current_time()
        stale = [await client.ask("hello") for _ in range(5)]
        assert trio.current_time() == began
        assert [one.text for one in stale] == ["old"] * 5
        assert [event.stale for event in events(stale[0], CacheHit)] == ["revalidate"]
        assert len(provider.opened) == 1
        await trio.sleep(2)  # it failed
        assert len(provider.opened) == 2
        assert (await client.ask("hello")).text == "old"
        await trio.sleep(2)
        assert len(provider.opened) == 3
        fresh = await client.ask("hello")
        assert fresh.text == "new"
        assert events(fresh, CacheHit)[0].age == 1
        assert cache.statistics()["overwritten"] == 1
        await trio.sleep(40)
        assert (await client.ask("hello")).text == "new"
        assert len(provider.opened) == 4


async def test_a_stale_answer_stands_in_for_an_error():
    cache = Cache(ttl=10, stale_if_error=20)
    wrong = Script(error=Fault("bad"))
    busy = Script(pieces=("half",), error=Fault("cut"))
    _provider, client = client_of(cache, "old", busy, busy, wrong, busy, busy)
    async with client:
        await client.ask("hello")
        await trio.sleep(15)
        answer = await client.ask("hello")
        assert answer.text == "old"
        assert events(answer, CacheHit)[0].stale == "StreamInterrupted"
        with pytest.raises(StreamInterrupted):  # it has heard a half already
            async with client.stream("hello") as stream:
                await stream.wait_response()
        with pytest.raises(BadRequest):  # it is about the request itself
            await client.ask("hello")
        told = []

        async def hear(delta):
            told.append(delta)

        assert (await client.ask("hello", listener=hear, on_interrupt="restart")).text == "old"
        ends = [delta.part.text for delta in told if isinstance(delta, PartEnd)]
        assert ends[-1] == "old"
        await trio.sleep(20)
        with pytest.raises(StreamInterrupted):
            await client.ask("hello")


async def test_errors_are_kept_on_request_only():
    scripts = [Script(error=Fault("refused")), "good"]
    provider, client = client_of(Cache(negative=5), *scripts)
    async with client:
        raised = []
        for _ in range(3):
            with pytest.raises(ContentFiltered) as caught:
                await client.ask("hello")
            raised.append(caught.value)
        assert len({id(one) for one in raised}) == 3
        assert len({str(one) for one in raised}) == 1
        assert len(provider.opened) == 1
        await trio.sleep(6)
        assert (await client.ask("hello")).text == "good"
    provider, client = client_of(Cache(negative=5), Script(error=Fault("busy")), "good")
    async with client:  # but none that may pass
        with pytest.raises(Overloaded):
            await client.ask("hello")
        assert (await client.ask("hello")).text == "good"


async def test_modes():
    cache = Cache()
    _provider, client = client_of(cache, "1", "2", "3", "4", "5")
    async with client:
        with cache_mode("read-only"):
            assert await texts(client, 2) == ["1", "2"]
        with cache_mode("write-only"):
            assert await texts(client, 1) == ["3"]
        assert await texts(client, 1) == ["3"]
        with cache_mode("read-only"):
            assert await texts(client, 1) == ["3"]
        with cache_mode("off"):
            assert await texts(client, 1) == ["4"]
        assert await texts(client, 1) == ["3"]
        with cache_mode("refresh"):
            assert await texts(client, 1) == ["5"]
        assert await texts(client, 1) == ["5"]
    assert cache.statistics()["overwritten"] == 1
    with pytest.raises(ConfigError, match="expected one of 'read-write'"), cache_mode("on"):
        pass


async def test_what_is_stored_is_counted():
    cache = Cache(sampled=True, ttl=10)
    _provider, client = client_of(cache, "1", "1", "2", "3", "4")
    async with client:
        await texts(client, 2)
        with cache_mode("write-only"):
            await texts(client, 2)
        with cache_mode("refresh"):
            await texts(client, 1)
        await texts(client, 2, sample=1)
        await trio.sleep(11)
        await texts(client, 1)
    names = ("hits", "misses", "new", "new_samples", "overwritten", "redundant", "stored")
    found = cache.statistics()
    assert [found[name] for name in names] == [2, 6, 3, 1, 2, 1, 6]
    assert found["sample_misses"] == 1


async def test_the_mode_of_a_client_and_of_tasks():
    store = MemoryStore()
    _provider, client = client_of(Cache(store))
    async with client:
        await client.ask("hello")
        other = client.replace(stack=[Cache(store, mode="read-only")])
        assert (await other.ask("hello")).text == "one"
        assert (await other.ask("who?")).text == "two"
        assert (await other.ask("who?")).text == "three"
        with cache_mode("refresh"):
            async with client.map(["hello"]) as items:
                assert [item.response.text async for item in items] == ["three"]


async def test_a_refresh_that_fails_gives_the_old_answer_if_that_was_asked_for():
    for grace in (0, 10):
        _, client = client_of(Cache(stale_if_error=grace), "old", Script(error=Fault("busy")))
        async with client:
            await client.ask("hello")
            with cache_mode("refresh"):
                if grace:
                    assert (await client.ask("hello")).text == "old"
                else:
                    with pytest.raises(Overloaded):
                        await client.ask("hello")


async def test_the_answer_of_a_fallback_is_that_of_its_target():
    provider, client = client_of(
        Cache(),
        Script(error=Fault("busy")),
        "a",
        inside=[Attempts(Fallback("sim:b"))],
        b=["b1", "b2"],
    )
    async with client:
        first = await client.ask("hello")
        assert first.text == "b1"
        assert [event.target for event in events(first, CacheStored)] == ["sim:b"]
        assert (await client.ask("hello", model="sim:b")).text == "b1"
        assert (await client.ask("hello")).text == "a"
        assert (await client.ask("hello")).text == "a"
    assert [seen.model for seen in provider.opened] == ["a", "b", "a"]


class Broken(MemoryStore):
    """It can't do anything."""

    async def get(self, key):
        raise OSError("the disk is gone")

    async def put(self, key, value, ttl=None, *, age=0.0):
        raise OSError("the disk is gone")


class NeverOpens(MemoryStore):
    def open(self, host):
        raise OSError("no way")


@pytest.mark.parametrize("store", [Broken(), NeverOpens()])
async def test_a_store_that_fails_is_a_miss(store):
    cache = Cache(store)
    _provider, client = client_of(cache, "one", "two")
    async with client:
        first = await client.ask("hello")
        assert [first.text, *(await texts(client, 1))] == ["one", "two"]
    messages = [event.message for event in events(first, StoreFailed)]
    assert len(messages) == 2
    assert all("OSError" in message for message in messages)
    assert cache.statistics()["failed"] == 4


@pytest.mark.parametrize("damage", [b"", b"llmmw", b"\x00" * 100, "flip"])
async def test_an_entry_that_can_t_be_read_is_a_miss(damage):
    store = MemoryStore()
    _provider, client = client_of(Cache(store))
    async with client:
        await client.ask("hello")
        (stored,) = [one async for one in store.scan()]
        value = stored.value
        if damage == "flip":
            damage = value[:-3] + bytes([value[-3] ^ 1]) + value[-2:]
        await store.put(stored.key, damage)
        again = await client.ask("hello")
        assert again.text == "two"
        assert events(again, StoreFailed)
        assert (await client.ask("hello")).text == "two"


async def test_a_name_needs_a_client_and_the_registry():
    request = Generate(model="sim:a", messages=["hello"])

    async def answer(call):
        return WHOLE

    handler = chain(Cache("memory"), provider=answer)
    async with open_host() as host:
        with pytest.raises(ConfigError, match="call through a Client"):
            await handler(Call(request, host=host))
    with pytest.raises(ConfigError, match="needs a host"):
        await handler(Call(request))


async def test_what_is_given_can_be_changed_by_nobody():
    extra = {"seen": ["once"]}
    answer = Generation(
        message=Message("assistant", (TextPart("x", extra=extra),)), finish=DONE, model="a"
    )

    async def leaf(call):
        return answer

    handler = chain(Cache(), provider=leaf)
    request = Generate(model="sim:a", messages=["hello"])
    async with open_host() as host:
        await handler(Call(request, host=host))
        extra["seen"].append("changed by the provider")
        for _ in range(3):
            given = await handler(Call(request, host=host))
            assert given.parts[0].extra == {"seen": ["once"]}
            given.parts[0].extra["seen"].append("changed by who was given it")
            given.message.extra["more"] = 1
            assert (await handler(Call(request, host=host))).message.extra == {}


async def test_too_large_an_answer_is_not_kept():
    cache = Cache(max_bytes=200)
    _provider, client = client_of(cache, "x" * 300, "y")
    async with client:
        assert (await client.ask("hello")).text[0] == "x"
        assert await texts(client, 2) == ["y", "y"]
    assert cache.statistics()["refused"] == 1


@pytest.mark.parametrize(
    "options",
    [
        {"mode": "on"},
        {"ttl": -1},
        {"ttl": math.inf},
        {"stale_if_error": -1},
        {"negative": "x"},
        {"buckets": 0},
        {"drop": ("modle",)},
        {"drop": 5},
        {"drop": [["seed"]]},
        {"store": 5},
        {"store": {}},
        {"store": ""},
    ],
)
def test_wrong_options(options):
    with pytest.raises(ConfigError):
        Cache(**options)


async def test_hits_let_others_have_their_turn_and_notice_a_cancellation():
    _, client = client_of(Cache(), "x")
    turns = 0

    async def other():
        nonlocal turns
        while True:
            await trio.lowlevel.checkpoint()
            turns += 1

    async with client, trio.open_nursery() as nursery:
        await client.ask("hello")
        nursery.start_soon(other)
        for _ in range(200):
            await client.ask("hello")
        assert turns >= 10
        with trio.CancelScope() as scope:
            scope.cancel()
            await client.ask("hello")
        assert scope.cancelled_caught
        nursery.cancel_scope.cancel()


async def test_the_answer_to_another_question_is_kept_as_nobodys():
    busy = Script(pieces=(), error=Fault("busy"))
    patch = {"model": "sim:b", "max_output_tokens": 3}
    cache = Cache()
    _, client = client_of(cache, busy, b=["cut sho", "whole"], inside=[Fallback(patch)])
    async with client:
        assert (await client.ask("hello")).text == "cut sho"
        assert (await client.ask("hello", model="sim:b")).text == "whole"
    assert cache.statistics()["refused"] == 1


async def test_patched_twice_it_is_patched():
    busy = Script(pieces=(), error=Fault("busy"))
    inside = [Fallback({"model": "sim:b", "extra": {"sim": {"x": 1}}}), Fallback("sim:c")]
    _, client = client_of(Cache(), busy, b=busy, c=[busy, "first", "second"], inside=inside)
    async with client:
        assert (await client.ask("hello")).text == "first"
        assert (await client.ask("hello", model="sim:c")).text == "second"


@pytest.mark.parametrize("mode", ["read-write", "write-only"])
async def test_an_error_takes_the_place_of_no_answer(mode):
    bad = Script(pieces=(), error=Fault("bad"))
    cache = Cache(ttl=1, stale_while_revalidate=100, negative=50)
    _, client = client_of(cache, "good", bad)
    async with client:
        assert (await client.ask("hello")).text == "good"
        await trio.sleep(2)
        if mode == "write-only":
            with cache_mode(mode), pytest.raises(BadRequest):
                await client.ask("hello")
        for _ in range(2):
            assert (await client.ask("hello")).text == "good"
            await trio.sleep(2)


def test_memory_ages_from_one_run_of_trio_to_the_next(monkeypatch):
    cache, now = Cache(ttl=60), [0.0]
    monkeypatch.setattr("llmmw._memory.time.monotonic", lambda: now[0])

    class Clock(trio.abc.Clock):
        """Ahead of the machine's by as much as trio's own happens to be."""

        def __init__(self, ahead):
            self.ahead = ahead

        def start_clock(self):
            pass

        def current_time(self):
            return self.ahead + now[0]

        def deadline_to_sleep_time(self, deadline):
            return max(0.0, deadline - self.current_time())

    async def ask(text):
        _, client = client_of(cache, text)
        async with client:
            return (await client.ask("hello")).text

    found = []
    for ahead, at, text in ((900, 0, "a"), (50, 59, "b"), (700, 61, "c"), (10, 100, "d")):
        now[0] = at
        found.append(trio.run(ask, text, clock=Clock(ahead)))
    assert found == ["a", "a", "c", "c"]


def test_no_repr_has_a_password():
    url = "redis://:hunter2@host/0"
    for given in (f"redis:{url}", {"use": "redis", "url": url}):
        layers = Layers(given, given, additional=[given])
        assert "hunter2" not in repr([Cache(given), layers])
    assert "sqlite:answers.db" in repr(Cache("sqlite:answers.db"))


@pytest.mark.parametrize("store", ["answers.db", "sqlight:answers.db", {"use": "memory", "x": 1}])
async def test_a_store_that_there_is_not_is_an_error_and_no_miss(store):
    provider, client = client_of(Cache(store))
    async with client:
        with pytest.raises(ConfigError, match="store"):
            await client.ask("hello")
    assert provider.opened == []
