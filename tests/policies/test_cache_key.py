"""What makes two calls the same to a cache, and which answer of several one gets."""

import attrs
import pytest
import trio
from hypothesis import given
from hypothesis import strategies as st

from llmmw import (
    Attempts,
    Cache,
    Call,
    Candidate,
    Choice,
    Client,
    CountTokens,
    Detokenize,
    Embed,
    Fallback,
    Finish,
    Generate,
    Generation,
    Message,
    Reasoning,
    Score,
    ServerTool,
    Tokenize,
    Tool,
    ToolNames,
    Usage,
    chain,
)
from llmmw._ledger import CacheMissed
from llmmw._plain import plain
from llmmw.errors import BadRequest, ConfigError, Overloaded
from llmmw.policies._cache_key import Keys
from llmmw.testing import SimulatedProvider, open_host

pytestmark = pytest.mark.virtual

BASE = {
    Generate: {"model": "a:b", "messages": ["hello"]},
    Embed: {"model": "a:b", "inputs": ["hello"]},
    Score: {"model": "a:b", "prompt": "hello", "options": ["x", "y"]},
    CountTokens: {"model": "a:b", "messages": ["hello"]},
    Tokenize: {"model": "a:b", "text": "hello"},
    Detokenize: {"model": "a:b", "tokens": [1, 2]},
}
OTHERS = {
    "model": "a:c",
    "extra": {"a": {"b": 1}},
    "unsupported": "drop",
    "messages": ["hello", "there"],
    "text": "there",
    "tokens": [1, 3],
    "max_output_tokens": 5,
    "temperature": 0.5,
    "top_p": 0.5,
    "top_k": 5,
    "min_p": 0.5,
    "stop_sequences": ["x"],
    "seed": 5,
    "frequency_penalty": 0.5,
    "presence_penalty": 0.5,
    "repetition_penalty": 0.5,
    "logit_bias": {"5": 1.0},
    "logprobs": 0,
    "n": 2,
    "output": Choice(["x", "y"]),
    "reasoning": Reasoning(effort="low"),
    "tools": [Tool("f"), ServerTool("s", "p")],
    "tool_choice": ToolNames(["f"]),
    "parallel_tool_calls": False,
    "inputs": ["hello", "there"],
    "dimensions": 5,
    "purpose": "query",
    "prompt": "hello!",
    "options": ["x"],
}
"""Another value for each field of a request that makes a difference."""
NO_DIFFERENCE = {"metadata": {"who": "me"}}
OF_CALLS = {
    "request": True,
    "tenant": True,
    "sample": True,
    "listener": False,
    "on_interrupt": False,
    "attempt": False,
    "ledger": False,
    "host": False,
}
"""Whether a field of a call is in the key."""


@pytest.mark.parametrize("kind", BASE, ids=lambda kind: kind.__name__)
def test_every_field_is_decided_about(kind):
    """Whoever adds a field to a request says here whether answers depend on it."""
    keys, request = Keys(), kind(**BASE[kind])
    for field in attrs.fields(kind):
        if not field.init:
            continue
        assert (field.name in OTHERS) != (field.name in NO_DIFFERENCE), field.name
        changed = {**BASE[kind], field.name: {**OTHERS, **NO_DIFFERENCE}[field.name]}
        if kind is Generate and field.name == "prompt":
            del changed["messages"]
        same = keys.base(kind(**changed), "") == keys.base(request, "")
        assert same == (field.name in NO_DIFFERENCE), field.name


def test_every_field_of_a_call_is_decided_about():
    assert {field.name for field in attrs.fields(Call)} == set(OF_CALLS)


def test_kinds_tenants_and_samples_differ():
    keys = Keys()
    one, other = Generate(**BASE[Generate]), CountTokens(**BASE[CountTokens])
    found = {keys.of_sample(r, t, s) for r in (one, other) for t in ("", "t") for s in (0, 1)}
    assert len(found) == 8
    assert not any("hello" in key for key in found)


TEXT = st.text(max_size=8)
PLAIN = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**40), 2**40) | TEXT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3),
    max_leaves=8,
)


@given(st.dictionaries(TEXT, PLAIN, max_size=4), TEXT)
def test_the_order_of_fields_and_how_a_text_is_encoded_make_no_difference(extra, text):
    import unicodedata

    def key(extra, text):
        return Keys().base(Generate(model="a:b", messages=[f"x{text}"], extra={"a": extra}), "")

    backwards = dict(reversed(extra.items()))
    decomposed = unicodedata.normalize("NFD", text)
    assert key(extra, unicodedata.normalize("NFC", text)) == key(backwards, decomposed)
    assert key({**extra, "other": 1}, text) != key({**extra, "other": True}, text)


def test_what_is_dropped_makes_no_difference():
    keys = Keys(("seed", "extra"))
    one = Generate(**BASE[Generate], seed=1, extra={"a": {"session": 1}})
    assert keys.base(one, "") == keys.base(Generate(**BASE[Generate]), "")
    with pytest.raises(ConfigError, match="'sede' is no field of a request; there is"):
        Cache(drop=("sede",))


@pytest.mark.parametrize("drop", ["seed", ["seed"], ("seed",), {"seed"}])
async def test_what_is_dropped_is_named_as_one_likes(drop):
    provider, client = client_of(Cache(drop=drop))
    async with client:
        for seed in (1, 2):
            await client.ask("hello", seed=seed)
    assert len(provider.opened) == 1


@given(st.dictionaries(TEXT, PLAIN, max_size=3), st.dictionaries(TEXT, PLAIN, max_size=3))
def test_a_request_that_was_changed_in_place_is_another(before, after):
    keys, deep = Keys(), {"b": dict(before)}
    tool = Tool("f", parameters={"type": "object", "properties": deep})
    request = Generate(model="a:b", messages=["x"], extra={"a": deep}, tools=[tool])
    one = keys.base(request, "")
    deep["b"].clear()
    deep["b"].update(after)
    assert keys.base(request, "") == Keys().base(request, "")
    assert (keys.base(request, "") == one) == (plain(before) == plain(after))


@pytest.mark.parametrize(
    "inside",
    [
        lambda request: request.extra,
        lambda request: request.logit_bias,
        lambda request: request.messages[0].extra,
        lambda request: request.messages[0].parts[0].extra,
    ],
)
def test_what_has_got_something_in_it_is_another(inside):
    keys, request = Keys(), Generate(model="a:b", messages=["x"], logit_bias={}, metadata={"a": ""})
    one = keys.base(request, "")
    assert keys.base(request, "") is one
    inside(request)["1"] = {"x": 1}
    assert keys.base(request, "") == Keys().base(request, "") != one
    inside(request).clear()
    assert keys.base(request, "") == one
    request.metadata["b"] = ""  # makes no difference
    assert keys.base(request, "") == one


async def test_an_answer_to_what_was_changed_meanwhile_is_kept_as_nobodys():
    provider = SimulatedProvider({"b": ["one", "two", "three"]}, name="a")
    extra = {"a": {}}
    request = Generate(model="a:b", messages=["x"], extra=extra)

    async def changes(call, next):
        answer = await next(call)
        extra["a"]["x"] = len(provider.opened)
        return answer

    cache = Cache()
    async with Client("a:b", stack=[cache, changes], providers=[provider]) as client:
        assert (await client.ask(request)).text == "one"
        assert (await client.ask(request)).text == "two"
        del extra["a"]["x"]
        assert (await client.ask(request)).text == "three"
    assert cache.statistics()["stored"] == 0
    assert cache.statistics()["refused"] == 3


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("\u00e9", "e\u0301"),
        ({"\u00e9": 2**70}, {"e\u0301": 2**70}),
        ({"\u00e9": "\ud800"}, {"e\u0301": "\ud800"}),
        (1.0, 1),
        (-0.0, 0),
        (1e22, 10**22),
        ([1e3, {"x": 2.0}], (1000, {"x": 2})),
    ],
)
def test_what_json_may_write_in_two_ways_has_one_key(one, other):
    def key(item):
        return Generate(model="a:b", messages=["x"], extra={"a": {"b": item}}).key()

    assert key(one) == key(other) != key("something else")


def test_keys_stay_what_they_are():
    """What users have kept is found by the next version, too."""
    plainly = Generate(model="sim:a", messages=["hello"])
    richly = Generate(
        model="sim:a",
        messages=[("system", "Be br\u00e8f."), "hello"],
        temperature=1.0,
        max_output_tokens=5,
        extra={"sim": {"x": [1.5, -0.0, None, True]}},
        tools=[Tool("f", parameters={"type": "object"})],
        output=Choice(["x", "y"]),
        metadata={"who": "me"},
    )
    assert Keys().of_sample(plainly, "", 0) == "1f04c91e70f63d1f3dafbdcf0508d9cd.0"
    assert Keys().of_sample(richly, "t", 3) == "dd1a8eff4cf9e8384ba53002b891d942.3"


def test_a_request_is_hashed_once_and_forgotten():
    keys, requests = Keys(), [Generate(model="a:b", messages=[str(k)]) for k in range(5000)]
    found = [keys.base(one, "") for one in requests]
    assert [keys.base(one, "") for one in requests] == found
    assert len(keys._known) <= 4000
    del requests  # another request may get the place of one that is gone
    for k in range(5000):
        assert keys.base(Generate(model="a:b", messages=[str(k)]), "") == found[k]


async def test_a_request_that_has_no_key_passes():
    calls = []

    async def leaf(call):
        calls.append(call)
        return Generation(message=Message("assistant", "x"), finish=Finish("stop"))

    request = Generate(**BASE[Generate], extra={"a": {"b": object()}})
    async with open_host() as host:
        handler = chain(Cache(), provider=leaf)
        for _ in range(2):
            await handler(Call(request, host=host))
    assert len(calls) == 2
    with pytest.raises(BadRequest):
        request.key()


def client_of(cache, *scripts):
    provider = SimulatedProvider({"a": scripts or [str(k) for k in range(100)]})
    return provider, Client("sim:a", stack=[cache], providers=[provider])


async def test_sampled_answers_are_shared_on_request_only():
    for options, expected in (({}, ["0", "1"]), ({"sampled": True}, ["0", "0"])):
        _, client = client_of(Cache(**options))
        async with client:
            found = [(await client.ask("hello", temperature=0.5)).text for _ in range(2)]
            assert found == expected
            same = [(await client.ask("who?", temperature=0)).text for _ in range(2)]
            assert len(set(same)) == 1


async def test_sampled_calls_in_flight_are_not_shared_either():
    provider, client = client_of(Cache())
    async with client, trio.open_nursery() as nursery:
        for _ in range(3):
            nursery.start_soon(lambda: client.ask("hello", temperature=1))
    assert len(provider.opened) == 3


async def test_samples_are_apart_and_the_first_is_the_plain_one():
    _, client = client_of(Cache(sampled=True))
    async with client:
        plain = await client.ask("hello", temperature=1)
        found = [(await client.ask("hello", temperature=1, sample=k)).text for k in range(3)]
        assert found == ["0", "1", "2"]
        assert plain.text == "0"
        assert found == [
            (await client.ask("hello", temperature=1, sample=k)).text for k in range(3)
        ]
        missed = (await client.ask("hello", temperature=1, sample=3)).ledger.events
    assert [event.why for event in missed if isinstance(event, CacheMissed)] == ["sample"]


def several(*names):
    rows = tuple(Candidate(Message("assistant", name), Finish("stop")) for name in names)
    return Generation(
        message=rows[0].message,
        finish=rows[0].finish,
        candidates=rows if len(rows) > 1 else (),
        usage=Usage(input_tokens=1, output_tokens=len(names)),
    )


async def test_what_came_together_are_samples_of_their_own():
    asked = []

    async def leaf(call):
        n = call.request.n or 1
        asked.append(n)
        return several(*(f"{len(asked)}.{k}" for k in range(n)))

    cache = Cache(sampled=True)
    handler = chain(cache, provider=leaf)
    async with open_host() as host:

        async def ask(n=None, sample=0):
            request = Generate(model="a:b", messages=["hello"], temperature=1, n=n)
            return await handler(Call(request, sample=sample, host=host))

        three = await ask(3)
        assert await ask(3) == three
        assert asked == [3]
        assert [(await ask(sample=k)).message.text for k in range(3)] == ["1.0", "1.1", "1.2"]
        assert asked == [3]
        assert (await ask(sample=3)).message.text == "2.0"
        # Others came one by one, and are there for whom asks for several at once.
        for k in (4, 5):
            await ask(sample=k)
        again = await ask(3, sample=1)
        assert [one.message.text for one in again.candidates] == ["2.0", "3.0", "4.0"]
        assert again.message.text == "2.0"
        assert asked == [3, 1, 1, 1]
        # A first answer that is there stays the first.
        other = await ask(2)
        assert [one.message.text for one in other.candidates] == ["1.0", "1.1"]
        assert (await ask(1)).message.text == "1.0"


@pytest.mark.parametrize("shared", [1, 2])
async def test_what_is_there_is_given_before_others_are_asked_for(shared):
    asked = []

    async def leaf(call):
        n = call.request.n or 1
        asked.append((call.request.model, n))
        if call.request.model == "a:b" and len(asked) > shared:
            raise Overloaded("busy")
        return several(*(f"{len(asked)}.{k}" for k in range(n)))

    cache = Cache(sampled=True)
    handler = chain(cache, Attempts(Fallback("c:d")), provider=leaf)
    async with open_host() as host:

        async def ask(n=None, sample=0, model="a:b"):
            request = Generate(model=model, messages=["hello"], temperature=1, n=n)
            return await handler(Call(request, sample=sample, host=host))

        await ask()
        three = await ask(3)
        if shared == 2:
            assert [one.message.text for one in three.candidates] == ["1.0", "2.0", "2.1"]
            assert asked == [("a:b", 1), ("a:b", 2)]
            assert three.message.text == "1.0"
            assert three.usage.output_tokens == 2
            assert not three.joined
            assert (await ask(3)).candidates == three.candidates
            assert [(await ask(sample=k)).message.text for k in range(3)] == ["1.0", "2.0", "2.1"]
            assert len(asked) == 2
        else:  # what another target adds is kept as its own
            assert [one.message.text for one in three.candidates] == ["1.0", "3.0", "3.1"]
            found = [(await ask(sample=k, model="c:d")).message.text for k in range(2)]
            assert found == ["3.0", "3.1"]


async def test_a_stream_of_several_is_asked_whole():
    asked = []

    async def leaf(call):
        asked.append(call.request.n)
        return several(*(f"{len(asked)}.{k}" for k in range(call.request.n or 1)))

    async def listen(delta):
        pass

    handler = chain(Cache(sampled=True), provider=leaf)
    async with open_host() as host:
        for n in (None, 3):
            request = Generate(model="a:b", messages=["hello"], temperature=1, n=n)
            await handler(Call(request, host=host, listener=listen))
    assert asked == [None, 3]


async def test_buckets_keep_several_answers():
    provider, client = client_of(Cache(buckets=3))
    async with client:
        found = [(await client.ask("hello", temperature=1)).text for _ in range(60)]
    assert len(provider.opened) == 3
    assert set(found) == {"0", "1", "2"}
