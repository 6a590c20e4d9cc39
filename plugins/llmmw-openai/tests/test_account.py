"""Keys and addresses: where they come from, when they are asked for, and whom they reach."""

from __future__ import annotations

import base64

import attrs
import httpx
import pytest
import trio
from llmmw_openai._presets import PRESETS
from llmmw_openai._provider import OpenAI

from llmmw import Client
from llmmw.errors import AuthenticationFailed, ConfigError, LLMError, NotFound
from llmmw.testing import Answer, open_server
from llmmw.wire import Secret

pytestmark = pytest.mark.plugins

KEY, OTHER = "sk-one-0123456789abcdef", "sk-two-fedcba9876543210"


def good(wire):
    """An answer of each API."""
    vectors = [{"index": 0, "embedding": [1.0]}]
    return wire.whole(wire.chat({"content": "x"}) | {"output": [], "data": vectors})


async def ask(client, preset):
    """Ask for what the host has."""
    await (client.ask("hi") if PRESETS[preset].generates else client.embed("hi"))


def refusing(wire, *accepted):
    """A host that takes these keys only."""

    async def answer(received):
        key = received.headers["authorization"].removeprefix("Bearer ")
        if key in accepted:
            return good(wire)
        return wire.whole({"error": {"message": f"Incorrect API key provided: {key}"}}, 401)

    return answer


async def key_sent(wire, preset="openai", header="authorization", **options):
    async with wire.client(good(wire), preset, **options) as (client, server):
        await ask(client, preset)
    return server.requests[0].headers.get(header)


@attrs.define
class Source:
    """A function that gives keys in turn, and counts."""

    keys: list
    asked: int = 0

    def __call__(self):
        self.asked += 1
        return self.keys[min(self.asked, len(self.keys)) - 1]

    async def slowly(self):
        await trio.lowlevel.checkpoint()
        key = self()
        await trio.lowlevel.checkpoint()
        return key


async def test_a_text_a_secret_a_function(wire):
    for given in (KEY, f" {KEY}\n", Secret(KEY), lambda: KEY, lambda: Secret(KEY)):
        assert await key_sent(wire, api_key=given) == f"Bearer {KEY}"
    assert await key_sent(wire, api_key=Source([KEY]).slowly) == f"Bearer {KEY}"


async def test_variables_and_files(wire, monkeypatch, tmp_path):
    monkeypatch.setenv("MINE", KEY)
    assert await key_sent(wire, api_key="env:MINE") == f"Bearer {KEY}"
    file = tmp_path / "key"
    file.write_text(f"{KEY}\r\n")
    assert await key_sent(wire, api_key=f"file:{file}") == f"Bearer {KEY}"
    monkeypatch.setenv("HOME", str(tmp_path))
    assert await key_sent(wire, api_key="file:~/key") == f"Bearer {KEY}"


@pytest.mark.parametrize("preset", PRESETS)
async def test_each_host_has_its_own_variable_and_header(wire, preset, monkeypatch):
    row = PRESETS[preset]
    (variable,) = row.keys
    monkeypatch.setenv(variable, KEY)
    expected = KEY if preset == "azure" else f"Bearer {KEY}"
    header = "api-key" if preset == "azure" else "authorization"
    assert await key_sent(wire, preset, header, api_key=None) == expected
    monkeypatch.delenv(variable)
    async with wire.client(good(wire), preset, api_key=None) as (client, server):
        if row.key_needed:
            with pytest.raises(AuthenticationFailed, match=f"set {variable}") as caught:
                await ask(client, preset)
            assert caught.value.processed is False
            assert server.requests == []
        else:
            await ask(client, preset)
            assert header not in server.requests[0].headers


async def test_a_missing_key_leads_to_the_fallback(wire):
    async with open_server(good(wire)) as server:
        hosts = [
            wire.provider(server.url, "groq", api_key=None),
            wire.provider(server.url, "together"),
        ]
        async with Client("groq:a", "together:b", providers=hosts) as client:
            assert (await client.ask("hi")).provider == "together"
    assert len(server.requests) == 1


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ("", "the option api_key is empty"),
        ("  \n", "the option api_key is empty"),
        ("sk-öäü-0123456789", "signs that no key has"),
        ("sk-two words 0123456789", "signs that no key has"),
        ("sk-0123456789\nX-Evil: 1", "signs that no key has"),
        ("env:NOWHERE", "the variable NOWHERE is not set"),
        ("file:/nowhere/key", "/nowhere/key, can't be read: .*No such file"),
        (lambda: None, "gave a NoneType, no text"),
        (lambda: 1 / 0, "the function given as api_key failed: ZeroDivisionError"),
    ],
)
async def test_what_is_no_key(wire, given, said):
    async with wire.client(good(wire), api_key=given) as (client, server):
        with pytest.raises(AuthenticationFailed, match=said) as caught:
            await client.ask("hi")
        assert server.requests == []
    assert caught.value.processed is False
    assert "0123456789" not in str(caught.value)


async def test_an_option_that_is_none_at_all(wire):
    with pytest.raises(ConfigError, match="api_key: expected a text"):
        wire.provider("http://x", api_key=7)


async def test_many_calls_ask_for_a_key_once(wire):
    source = Source([KEY])
    async with wire.client(refusing(wire, KEY), api_key=source.slowly) as (client, server):
        async with trio.open_nursery() as nursery:
            for _ in range(20):
                nursery.start_soon(client.ask, "hi")
    assert (source.asked, len(server.requests)) == (1, 20)


@pytest.mark.parametrize("stream", [False, True])
async def test_a_key_that_was_refused_is_asked_for_again(wire, stream):
    source = Source([KEY, OTHER])
    async with wire.client(refusing(wire, OTHER), api_key=source.slowly) as (client, server):
        if stream:
            async with client.stream("hi") as told:
                assert (await told.wait_response()).text == "x"
        else:
            assert (await client.ask("hi")).text == "x"
        assert (source.asked, len(server.requests)) == (2, 2)
        await client.ask("hi")
    assert (source.asked, len(server.requests), server.connections) == (2, 3, 1)


async def test_many_calls_with_a_refused_key_ask_once_more(wire):
    source = Source([KEY, OTHER])
    async with wire.client(refusing(wire, OTHER), api_key=source.slowly) as (client, _):
        async with trio.open_nursery() as nursery:
            for _ in range(20):
                nursery.start_soon(client.ask, "hi")
    assert source.asked == 2


async def test_a_second_refusal_is_the_end(wire):
    for source in (Source([KEY, OTHER]), Source([KEY])):
        async with wire.client(refusing(wire), api_key=source) as (client, server):
            with pytest.raises(AuthenticationFailed, match="Incorrect API key") as caught:
                await client.ask("hi")
        assert (caught.value.status, source.asked) == (401, 2)
        assert len(server.requests) == len(source.keys)
        assert KEY not in str(caught.value)
        assert OTHER not in str(caught.value)


async def test_a_file_is_read_again_after_a_refusal(wire, tmp_path):
    file = tmp_path / "key"
    file.write_text(KEY)
    async with wire.client(refusing(wire, KEY), api_key=f"file:{file}") as (client, server):
        await client.ask("hi")
        file.unlink()
        await client.ask("hi")  # it is kept
    file.write_text(KEY)
    async with wire.client(refusing(wire, OTHER), api_key=f"file:{file}") as (client, server):
        with pytest.raises(AuthenticationFailed):
            await client.ask("hi")
        assert len(server.requests) == 1
        file.write_text(OTHER)
        await client.ask("hi")


async def test_a_fixed_key_is_sent_once(wire):
    async with wire.client(refusing(wire), api_key=KEY) as (client, server):
        with pytest.raises(AuthenticationFailed):
            await client.ask("hi")
    assert len(server.requests) == 1


# Addresses.


@pytest.mark.parametrize(
    ("preset", "variables", "url"),
    [
        ("openai", {}, "https://api.openai.com/v1"),
        ("openai", {"OPENAI_BASE_URL": "https://x/v1"}, "https://x/v1"),
        ("groq", {"GROQ_BASE_URL": "https://x/v1"}, "https://x/v1"),
        ("llama.cpp", {"LLAMA_CPP_BASE_URL": "http://x:1/v1"}, "http://x:1/v1"),
        ("azure", {"AZURE_OPENAI_ENDPOINT": "https://r.x/"}, "https://r.x/openai/v1"),
        ("azure", {"AZURE_BASE_URL": "https://y"}, "https://y"),
        (
            "snowflake",
            {"SNOWFLAKE_ACCOUNT": "me-1"},
            "https://me-1.snowflakecomputing.com/api/v2/cortex/v1",
        ),
        (
            "bedrock-mantle",
            {"AWS_REGION": "eu-west-1"},
            "https://bedrock-mantle.eu-west-1.api.aws/v1",
        ),
    ],
)
def test_an_address_from_variables(preset, variables, url, monkeypatch):
    for name, told in variables.items():
        monkeypatch.setenv(name, told)
    assert OpenAI(name="x", preset=preset)._http.base_url == url
    other = OpenAI(name="x", preset=preset, base_url="http://mine")
    assert other._http.base_url == "http://mine"


@pytest.mark.parametrize(
    ("preset", "said"),
    [
        ("azure", "needs the variable AZURE_OPENAI_ENDPOINT; set it, or AZURE_BASE_URL"),
        ("snowflake", "SNOWFLAKE_ACCOUNT"),
        ("bedrock-mantle", "AWS_REGION.*BEDROCK_MANTLE_BASE_URL"),
    ],
)
def test_an_address_that_lacks_a_variable(preset, said):
    with pytest.raises(ConfigError, match=said):
        OpenAI(name="x", preset=preset)


@pytest.mark.parametrize(
    ("tail", "path"),
    [
        ("/v1", "/v1/chat/completions"),
        ("/v1/", "/v1/chat/completions"),
        ("", "/chat/completions"),
        ("/d?api-version=2024-10-21", "/d/chat/completions?api-version=2024-10-21"),
    ],
)
async def test_the_path_is_appended(wire, tail, path):
    async with open_server(good(wire)) as server:
        provider = wire.provider(server.url + tail)
        async with Client("openai:m", stack=[], providers=[provider]) as client:
            await client.ask("hi")
    assert server.requests[0].path == path


@pytest.mark.parametrize(
    ("url", "said"),
    [
        (f"https://user:{KEY}@host/v1", "holds a user and a password"),
        ("api.openai.com/v1", "expected an address"),
        ("ftp://host", "expected an address"),
        ("https://", "expected an address"),
        ("http://host:port", "expected an address"),
    ],
)
def test_an_address_that_is_none(wire, url, said):
    with pytest.raises(ConfigError, match=said) as caught:
        wire.provider(url)
    assert KEY not in str(caught.value)


@pytest.mark.parametrize("own", [False, True])
@pytest.mark.parametrize("preset", ["openai", "azure"])
async def test_a_redirect_does_not_take_the_key_along(wire, own, preset):
    async with open_server(good(wire)) as elsewhere:
        away = Answer(status=307, headers={"Location": f"{elsewhere.url}/v1/chat/completions"})
        async with httpx.AsyncClient(follow_redirects=True) as http:
            options = {"http": http} if own else {}
            async with wire.client(away, preset, **options) as (client, _):
                with pytest.raises(NotFound, match="set base_url") as caught:
                    await client.ask("hi")
        assert elsewhere.url in str(caught.value)
        assert elsewhere.connections == 0


async def test_headers_and_secrets_among_them(wire):
    async def answer(received):
        said = " ".join(received.headers.values())
        return wire.whole({"error": {"message": f"you sent {said}"}}, 400)

    headers = {"X-Title": "mine", "X-Api-Key": OTHER}
    async with wire.client(answer, headers=headers) as (client, server):
        with pytest.raises(LLMError, match="you sent") as caught:
            await client.ask("hi")
    sent = server.requests[0].headers
    assert (sent["x-title"], sent["x-api-key"]) == ("mine", OTHER)
    assert sent["user-agent"].startswith("llmmw-openai/")
    for secret in (OTHER, wire.key, base64.b64encode(OTHER.encode()).decode()):
        assert secret not in str(caught.value)
    with pytest.raises(ConfigError, match="'X-Title' is no text"):
        wire.provider("http://x", headers={"X-Title": 1})
