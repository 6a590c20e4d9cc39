"""What makes two calls the same to a cache, and which answer of several one gets."""

import attrs
import pytest
import trio
from hypothesis import given
from hypothesis import strategies as st

from llmmw import (
    Cache,
    Call,
    Candidate,
    Choice,
    Client,
    CountTokens,
    Embed,
    Finish,
    Generate,
    Generation,
    Message,
    Reasoning,
    Score,
    ServerTool,
    Tool,
    ToolNames,
    Usage,
    chain,
)
from llmmw._ledger import CacheMissed
from llmmw.errors import BadRequest, ConfigError
from llmmw.policies._cache_key import Keys
from llmmw.testing import SimulatedProvider, open_host

pytestmark = pytest.mark.virtual

BASE = {
    Generate: {"model": "a:b", "messages": ["hello"]},
    Embed: {"model": "a:b", "inputs": ["hello"]},
    Score: {"model": "a:b", "prompt": "hello", "options": ["x", "y"]},
    CountTokens: {"model": "a:b", "messages": ["hello"]},
}
OTHERS = {
    "model": "a:c",
    "extra": {"a": {"b": 1}},
    "unsupported": "drop",
    "messages": ["hello", "there"],
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


async def test_buckets_keep_several_answers():
    provider, client = client_of(Cache(buckets=3))
    async with client:
        found = [(await client.ask("hello", temperature=1)).text for _ in range(60)]
    assert len(provider.opened) == 3
    assert set(found) == {"0", "1", "2"}
