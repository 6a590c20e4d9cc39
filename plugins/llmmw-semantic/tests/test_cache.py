"""The semantic cache, with a real model of vectors and simulated answers."""

import contextlib

import pytest
import trio
from llmmw_semantic import MiniLM, SemanticCache, SemanticHit, SemanticMissed

from llmmw import (
    Attempts,
    Client,
    Embeddings,
    Fallback,
    Retry,
    cache_mode,
)
from llmmw.errors import ConfigError, LLMError, Overloaded, UnsupportedFeature
from llmmw.plugin import Provider, StoreError
from llmmw.stores import MemoryStore, SqliteStore
from llmmw.testing import Fault, Script, SimulatedProvider, open_host

FRANCE, GERMANY = "What is the capital of France?", "What is the capital of Germany?"
SAME = "Tell me, what is France's capital?"
MODEL = "minilm:all-MiniLM-L6-v2"


def client_of(*stack, provider=None, heard=None, embed=None):
    provider = provider or SimulatedProvider({"a": ["one", "two", "three", "four", "five"]})
    instruments = [] if heard is None else [heard.append]
    providers = [provider, embed or MiniLM()]
    return Client("sim:a", stack=list(stack), providers=providers, instruments=instruments)


def semantic(**options):
    return SemanticCache(MODEL, **{"threshold": 0.75, "patience": 60, **options})


async def test_the_same_in_other_words_is_asked_once():
    heard, cache = [], semantic()
    provider = SimulatedProvider({"a": Script(pieces=("Pa", "ris"))})
    async with client_of(cache, Retry(1), provider=provider, heard=heard) as client:
        first = await client.ask(FRANCE)
        again = await client.ask(SAME)
        assert (first.text, again.text, again.joined) == ("Paris", "Paris", True)
        async with client.stream(SAME) as stream:
            assert "".join([piece async for piece in stream.text]) == "Paris"
        assert (await client.ask(GERMANY)).joined is False
    assert len(provider.opened) == 2
    hits = [event for event in heard if isinstance(event, SemanticHit)]
    assert [hit.question for hit in hits] == [FRANCE, FRANCE]
    assert 0.75 < hits[0].similarity < 1
    assert f"like “{FRANCE}”" in again.explain()
    misses = [event for event in heard if isinstance(event, SemanticMissed)]
    assert [(miss.why, miss.question) for miss in misses] == [("absent", ""), ("unlike", FRANCE)]
    assert cache.statistics() == {
        "hits": 2,
        "misses": 2,
        "stored": 2,
        "refused": 0,
        "failed": 0,
        "entries": 2,
    }


async def test_the_guard_is_asked_besides():
    heard = []
    for guard, opened in ((True, 2), (False, 1)):
        provider = SimulatedProvider({"a": "x"})
        cache = semantic(threshold=0.6, guard=guard)
        async with client_of(cache, provider=provider, heard=heard) as client:
            await client.ask(FRANCE)
            await client.ask(GERMANY)
        assert len(provider.opened) == opened
    assert [e.why for e in heard if isinstance(e, SemanticMissed)] == ["absent", "name", "absent"]


async def test_all_else_must_be_equal():
    provider = SimulatedProvider({"a": "x", "b": "y"})
    async with client_of(semantic(), provider=provider) as client:
        await client.ask(FRANCE)
        for options in (
            {"system": "Be brief."},
            {"max_output_tokens": 5},
            {"tenant": "other"},
            {"model": "sim:b"},
            {"seed": 1},
        ):
            assert not (await client.ask(SAME, **options)).joined
        before = [FRANCE, await client.ask(FRANCE)]
        assert not (await client.ask([*before, "And its river?"])).joined
        assert (await client.ask([*before, "And what is its river?"])).joined
        assert (await client.ask(SAME, metadata={"a": "b"})).joined


@pytest.mark.parametrize(
    "options",
    [
        {"temperature": 0.5},
        {"n": 2},
        {"sample": 1},
        {"tools": [{"name": "f", "description": "f", "parameters": {"type": "object"}}]},
        {"output": {"type": "object"}},
    ],
)
async def test_what_passes(options):
    cache = semantic()
    async with client_of(cache) as client:
        for prompt in (FRANCE, SAME):
            with contextlib.suppress(UnsupportedFeature):  # this provider can't do all of it
                await client.ask(prompt, **options)
        await client.ask("x" * 501)
    assert cache.statistics()["misses"] == cache.statistics()["stored"] == 0


async def test_it_is_shared_on_request():
    async with client_of(semantic(sampled=True)) as client:
        await client.ask(FRANCE, temperature=0.5)
        assert (await client.ask(SAME, temperature=0.5)).joined


async def test_modes_of_a_block():
    provider = SimulatedProvider({"a": ["one", "two", "three", "four"]})
    async with client_of(semantic(), provider=provider) as client:
        with cache_mode("read-only"):
            await client.ask(FRANCE)
        await client.ask(FRANCE)
        with cache_mode("off"):
            assert (await client.ask(SAME)).text == "three"
        with cache_mode("refresh"):
            assert (await client.ask(FRANCE)).text == "four"
        assert (await client.ask(SAME)).text == "four"


async def test_questions_survive_the_program(tmp_path):
    for number in range(2):
        store = SqliteStore(tmp_path / "a.db")
        provider = SimulatedProvider({"a": "x"})
        async with client_of(semantic(store=store), provider=provider) as client:
            assert (await client.ask(SAME if number else FRANCE)).joined is bool(number)
    assert len(provider.opened) == 0


async def test_what_was_cut_or_failed_is_not_kept():
    scripts = [Script(error=Fault("busy")), Script(pieces=("x",), error=Fault("cut")), "whole"]
    cache = semantic()
    async with client_of(cache, provider=SimulatedProvider({"a": scripts})) as client:
        for _ in range(2):
            with pytest.raises(LLMError):
                await client.ask(FRANCE)
        assert (await client.ask(SAME)).text == "whole"
        assert cache.statistics()["stored"] == 1


async def test_an_answer_of_a_fallback_is_not_kept():
    provider = SimulatedProvider({"a": Script(error=Fault("busy")), "b": "other"})
    cache = semantic()
    async with client_of(cache, Attempts(Fallback("sim:b")), provider=provider) as client:
        assert (await client.ask(FRANCE)).text == "other"
    assert cache.statistics()["refused"] == 1


class Vectors(Provider):
    """Vectors that go wrong."""

    name = "minilm"

    def __init__(self, how):
        super().__init__(name="minilm")
        self.how = how

    async def __call__(self, call):
        if self.how == "hangs":
            await trio.sleep_forever()
        if self.how == "fails":
            raise Overloaded("no")
        return Embeddings(model="m", provider="minilm", vectors=[[0.0, 0.0]])


@pytest.mark.virtual
@pytest.mark.parametrize(
    ("how", "why"),
    [("hangs", "no vector within 2 s"), ("fails", "Overloaded"), ("zero", "no vector")],
)
async def test_without_vectors_the_call_goes_on(how, why):
    heard, cache = [], semantic(patience=2)
    async with client_of(cache, heard=heard, embed=Vectors(how)) as client:
        assert [(await client.ask(FRANCE)).text for _ in range(2)] == ["one", "two"]
    missed = [event.why for event in heard if isinstance(event, SemanticMissed)]
    assert len(missed) == 2
    assert all(one.startswith("failed: ") and why in one for one in missed)


class Broken(MemoryStore):
    async def put(self, *given, **more):
        raise StoreError("full")


async def test_without_the_store_the_call_goes_on():
    cache = semantic(store=Broken())
    async with client_of(cache) as client:
        assert [(await client.ask(FRANCE)).text for _ in range(2)] == ["one", "two"]
    assert cache.statistics()["failed"] == 2


async def test_what_can_t_be_read_hides_nothing_else(tmp_path):
    store = SqliteStore(tmp_path / "a.db")
    async with client_of(semantic(store=store)) as client:
        await client.ask(FRANCE)
        await client.ask(GERMANY)
    async with open_host() as host, store.open(host):
        first, _ = [stored.key async for stored in store.scan()]
        await store.put(first, b"of another version")
    cache = semantic(store=SqliteStore(tmp_path / "a.db"))
    async with client_of(cache) as client:
        joined = [(await client.ask(question)).joined for question in (FRANCE, GERMANY)]
    assert sorted(joined) == [False, True]
    assert cache.statistics()["failed"] == 1


class Late(MemoryStore):
    """It can't be gone through at first."""

    def scan(self, prefix=""):
        if not self.asked:
            self.asked.append(prefix)
            raise StoreError("away")
        return super().scan(prefix)

    def __init__(self):
        super().__init__()
        vars(self)["asked"] = []


async def test_a_store_that_comes_back_is_gone_through():
    shared = MemoryStore()
    async with client_of(semantic(store=shared)) as client:
        await client.ask(FRANCE)
        kept = [stored async for stored in shared.scan()]
    cache = semantic(store=(store := Late()))
    async with client_of(cache) as client:
        assert (await client.ask(GERMANY)).joined is False
        for stored in kept:
            await store.put(stored.key, stored.value)
        assert (await client.ask(SAME)).joined is True


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: SemanticCache("minilm"), "embed='minilm'"),
        (lambda: semantic(threshold=2), "threshold=2"),
        (lambda: semantic(max_entries=0), "max_entries=0"),
        (lambda: semantic(ttl=-1), "ttl=-1"),
        (lambda: semantic(ttl="1h"), "ttl='1h'"),
        (lambda: semantic(store=5), "is no store"),
    ],
)
def test_wrong_options(make, words):
    with pytest.raises(ConfigError, match=words):
        make()
    assert "hunter2" not in repr(semantic(store="redis://:hunter2@host"))


async def test_vectors_of_sentences():
    async with Client(MODEL, stack=[], providers=[MiniLM()]) as client:
        texts = ["how do I reset my password", "steps to change my password", "a red fish"]
        one, two, other = (await client.embed(texts)).vectors
        alone = (await client.embed(texts[:1])).vectors[0]
    assert len(one) == 384
    assert sum(a * b for a, b in zip(one, two, strict=True)) > 0.7
    assert abs(sum(a * b for a, b in zip(one, other, strict=True))) < 0.3
    assert sum(a * b for a, b in zip(one, alone, strict=True)) > 0.98
