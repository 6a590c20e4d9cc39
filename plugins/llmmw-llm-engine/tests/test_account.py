"""Keys and addresses: where they come from, whom they reach, and who never sees them."""

from __future__ import annotations

import base64
from urllib.parse import parse_qs, unquote

import pytest
from llmmw_llm_engine._key import Authorization, EngineKey
from llmmw_llm_engine._provider import LLMEngine

from llmmw import Client, Generate
from llmmw.errors import AuthenticationFailed, BadRequest, ConfigError
from llmmw.testing import open_server
from llmmw.wire import Secret

pytestmark = pytest.mark.plugins

OTHER = "scale-two-fedcba9876543210"


async def headers_of(wire, **options):
    async with wire.client(wire.whole(wire.output()), **options) as (client, server):
        await client.ask(Generate(prompt="hi"))
    told = {name.lower(): one for name, one in server.requests[0].headers.items()}
    return told["x-api-key"], told["authorization"]


def basic(key):
    return "Basic " + base64.b64encode(f"{key}:".encode()).decode()


async def test_a_text_a_secret_a_function_a_variable(wire, monkeypatch):
    expected = (wire.key, basic(wire.key))
    monkeypatch.setenv("MINE", wire.key)
    for given in (wire.key, Secret(wire.key), lambda: wire.key, "env:MINE"):
        assert await headers_of(wire, api_key=given) == expected
    assert await headers_of(wire, api_key=None) == ("root", basic("root"))
    monkeypatch.setenv("SCALE_API_KEY", wire.key)
    assert await headers_of(wire, api_key=None) == expected
    assert await headers_of(wire, auth="bearer") == (wire.key, f"Bearer {wire.key}")


async def test_root_is_no_secret(wire):
    answer = wire.whole({"detail": "the root cause is this"}, 400)
    async with wire.client(answer, api_key=None) as (client, _):
        with pytest.raises(BadRequest, match="the root cause is this"):
            await client.ask(Generate(prompt="hi"))


async def test_a_key_is_taken_out_of_what_the_host_says(wire):
    for said in (wire.key, basic(wire.key), f"Bearer {wire.key}"):
        answer = wire.whole({"detail": f"who is {said}?"}, 401)
        async with wire.client(answer) as (client, _):
            with pytest.raises(AuthenticationFailed) as caught:
                await client.ask(Generate(prompt="hi"))
        assert "[key]" in str(caught.value)
        assert wire.key not in str(caught.value)


def test_no_repr_shows_a_key(wire):
    provider = wire.provider("http://host", headers={"X-Secret-Token": OTHER})
    shown = repr(provider) + repr(provider.models) + repr(provider.batches) + repr(vars)
    assert wire.key not in shown
    assert OTHER not in shown
    secret = Authorization(EngineKey(Secret(wire.key)), bearer=False)
    assert repr(secret) == "Secret(…)"


@pytest.mark.parametrize("url", ["host", "ftp://host", "https://user:pw@host", "https://host?x=1"])
def test_what_no_address_can_be(url):
    with pytest.raises(ConfigError):
        LLMEngine(name="llm-engine", base_url=url)


def test_what_it_can(wire):
    provider = wire.provider("http://host")
    assert provider.price("m").input == 0
    hosted = LLMEngine(name="llm-engine", api_key=wire.key)
    assert hosted.price("m") is None
    assert "reasoning" not in hosted.capabilities("m").parameters
    assert hosted.capabilities("m").media == {"image"}
    assert hosted.key.where == "the option api_key"


async def test_a_target_with_a_hyphen_in_its_name(wire):
    async with open_server(wire.whole(wire.output())) as server:
        options = {"llm-engine": {"base_url": server.url, "api_key": wire.key}}
        async with Client("llm-engine:team:model", options=options) as client:
            await client.ask(Generate(prompt="hi"))
    (asked,) = server.requests
    assert asked.path.endswith("model_endpoint_name=team%3Amodel")


async def test_a_second_account_has_another_name(wire):
    async with wire.client(wire.whole(wire.output()), name="ours") as (client, _):
        answer = await client.ask(Generate(prompt="hi", extra={"ours": {"new": 1}}))
    assert answer.provider == "ours"


NAMES = ["a/b", "100%", "a?b=c#d", "two words", "ü語", "..", ".", "a/../b", "%2e", "a+b&c"]


@pytest.mark.parametrize("name", NAMES)
async def test_a_name_is_one_part_of_a_path_or_a_query(wire, name):
    answers = [wire.whole({"name": name}), wire.whole(wire.output())]
    async with wire.client(answers) as (client, server):
        await client.models.get(name)
        await client.ask(Generate(prompt="hi"), model=f"llm-engine:{name}")
    told, asked = (one.path for one in server.requests)
    assert told.count("/") == 4
    assert unquote(told.rpartition("/")[2]) == name
    assert parse_qs(asked.partition("?")[2]) == {"model_endpoint_name": [name]}


async def test_halves_of_characters_are_in_no_name(wire):
    async with wire.client(wire.whole({})) as (client, server):
        for verbs in (client.models, client.files, client.fine_tunes, client.batches):
            with pytest.raises(BadRequest, match="halves"):
                await verbs.get("x\ud800")
        with pytest.raises(BadRequest, match="halves"):
            await client.ask(Generate(prompt="hi"), model="llm-engine:x\ud800")
    assert server.requests == []
