"""Keys, addresses, headers and vectors: where they come from, and whom they reach."""

from __future__ import annotations

import logging
import traceback

import pytest

from llmmw import Embed, Generate
from llmmw.errors import AuthenticationFailed, BadRequest, ConfigError, LLMError, ProtocolError

pytestmark = pytest.mark.plugins

OTHER = "mistral-other-fedcba9876543210"


async def sent(wire, *, tail="", **options):
    """The request as it reached the host."""
    async with wire.client(wire.whole(wire.chat("x")), **options) as (client, server):
        await client.ask("hi")
    (received,) = server.requests
    return received


async def test_what_each_request_carries(wire):
    received = await sent(wire, headers={"X-Team": "a"})
    assert received.path == "/v1/chat/completions"
    assert received.headers["authorization"] == f"Bearer {wire.key}"
    assert received.headers["user-agent"].startswith("llmmw-mistral/")
    assert received.headers["x-team"] == "a"


async def test_the_key_of_the_variable(wire, monkeypatch):
    with pytest.raises(AuthenticationFailed, match="set MISTRAL_API_KEY"):
        await sent(wire, api_key=None)
    monkeypatch.setenv("MISTRAL_API_KEY", OTHER)
    assert (await sent(wire, api_key=None)).headers["authorization"] == f"Bearer {OTHER}"


@pytest.mark.parametrize(
    ("address", "base"),
    [
        (None, "https://api.mistral.ai/v1"),
        ("https://x", "https://x/v1"),
        ("https://x/v1/", "https://x/v1"),
        ("https://x/mistral?a=b", "https://x/mistral/v1?a=b"),
    ],
)
def test_addresses(wire, monkeypatch, address, base):
    assert wire.provider(address)._http.base_url == base
    if address is not None:
        monkeypatch.setenv("MISTRAL_BASE_URL", address)
        assert wire.provider(None)._http.base_url == base


def test_an_address_that_is_none(wire):
    with pytest.raises(ConfigError, match="base_url=7: expected an address"):
        wire.provider(7)


async def test_keys_are_in_nothing_that_leaves(wire, caplog):
    caplog.set_level(logging.DEBUG)
    echo = wire.whole({"message": f"the key {wire.key} is wrong"}, status=401, x_key=wire.key)
    async with wire.client(echo) as (client, _):
        for ask in (
            lambda: client.ask("hi"),
            lambda: client.models.get("x"),
            lambda: client.files.get("x"),
            lambda: client.fine_tunes.get("x"),
            lambda: client.batches.get("x"),
        ):
            with pytest.raises(LLMError) as caught:
                await ask()
            held = [
                repr(frame.f_locals)
                for frame, _ in traceback.walk_tb(caught.value.__traceback__)
                if frame.f_globals["__name__"].partition(".")[0] in {"llmmw", "llmmw_mistral"}
            ]
            assert held
            for told in (repr(caught.value), str(caught.value), *held):
                assert wire.key not in told
    provider = wire.provider("http://x")
    for one in (provider, provider.models, provider.files, provider.fine_tunes, provider.batches):
        assert wire.key not in repr(one)
    assert wire.key not in caplog.text


def vectors(wire, count, **more):
    rows = [{"index": at, "embedding": [float(at), 1]} for at in reversed(range(count))]
    usage = {"prompt_tokens": 3, "total_tokens": 3}
    return wire.whole({"data": rows, "model": "mistral-embed", "usage": usage, **more})


async def test_vectors(wire):
    async with wire.client(vectors(wire, 2), model="mistral-embed") as (client, server):
        extra = {"mistral": {"output_dtype": "int8"}}
        told = await client.embed(["a", "b"], dimensions=8, extra=extra)
    (received,) = server.requests
    assert received.path == "/v1/embeddings"
    assert received.json() == {
        "model": "mistral-embed",
        "input": ["a", "b"],
        "output_dimension": 8,
        "output_dtype": "int8",
    }
    assert [list(vector) for vector in told.vectors] == [[0, 1], [1, 1]]
    assert (told.model, told.provider, told.usage.input_tokens) == ("mistral-embed", "mistral", 3)


async def test_many_vectors_are_asked_for_in_turn(wire):
    usage = {"prompt_tokens": 3, "x": None}
    answers = [
        vectors(wire, count, usage=usage | {"prompt_tokens_details": {"cached_tokens": count}})
        for count in (2, 1)
    ]
    async with wire.client(answers, model="mistral-embed") as (client, server):
        told = await client.embed(["x" * 20_000, "y" * 20_000, "z" * 20_000])
        assert (len(told.vectors), told.usage.input_tokens) == (3, 6)
        assert (told.usage.cache_read_tokens, told.usage.raw["x"]) == (3, None)
        assert [len(one.json()["input"]) for one in server.requests] == [2, 1]
    broken = wire.whole({"message": "no"}, status=400)
    async with wire.client([vectors(wire, 2), broken], model="mistral-embed") as (client, _):
        with pytest.raises(BadRequest) as caught:
            await client.embed(["x" * 40_000, "y" * 4_000, "z" * 20_000])
        assert caught.value.processed


@pytest.mark.parametrize(
    "data", [None, [], [{"index": 1, "embedding": [1]}], [{"index": 0, "embedding": ["x"]}], [7]]
)
async def test_vectors_that_are_none(wire, data):
    async with wire.client(wire.whole({"data": data}), model="mistral-embed") as (client, _):
        with pytest.raises(ProtocolError):
            await client.embed(["a"])


def test_capabilities(wire):
    able = wire.provider("http://x").capabilities
    assert able("mistral-embed").kinds == {Embed}
    assert able("mistral-large-latest").kinds == {Generate}
    assert able("of-another-kind").kinds == {Generate, Embed}
    told = {name: able(name).parameters for name in ("codestral-latest", "mistral-small-latest")}
    assert ["prompt" in one for one in told.values()] == [True, False]
    assert ["reasoning" in one for one in told.values()] == [False, True]
    assert able("pixtral-large-2411").media == {"image", "audio", "document"}
    assert able("m").prefill
    assert not {"logprobs", "top_k", "logit_bias"} & able("m").parameters
