"""Azure: two forms of address, a key or a token, and what its filter says."""

from __future__ import annotations

import pytest
from llmmw_openai._provider import OpenAI

from llmmw import Client
from llmmw.errors import ConfigError, ContentFiltered
from llmmw.testing import open_server

pytestmark = pytest.mark.plugins

TOKEN = "eyJ0eXAi.0123456789.abcdef"
CLASSIC = "2024-10-21"


def good(wire):
    vectors = [{"index": 0, "embedding": [1.0]}]
    return wire.whole(wire.chat({"content": "x"}) | {"output": [], "data": vectors})


async def paths(wire, monkeypatch, *, embed=True, **options):
    """The paths and the first headers of a chat, a raw prompt and a vector."""
    from llmmw import Generate

    options = {"api_key": wire.key} | options
    async with open_server(good(wire)) as server:
        monkeypatch.setenv("AZURE_OPENAI_ENDPOINT", f"{server.url}/")
        provider = OpenAI(name="azure", preset="azure", **options)
        async with Client("azure:my dep", stack=[], providers=[provider]) as client:
            await client.ask("hi")
            if provider.api is None:
                await client.ask(Generate(prompt="hi", model="azure:my dep"))
            await client.embed("a")
    return [one.path for one in server.requests], server.requests[0]


async def test_the_address_of_v1_is_the_default(wire, monkeypatch):
    told, first = await paths(wire, monkeypatch)
    assert told == [
        f"/openai/v1/{api}" for api in ("chat/completions", "completions", "embeddings")
    ]
    assert first.json()["model"] == "my dep"
    assert first.headers["api-key"] == wire.key
    assert "authorization" not in first.headers
    told, _ = await paths(wire, monkeypatch, api_version="preview")
    assert told[0] == "/openai/v1/chat/completions?api-version=preview"


@pytest.mark.parametrize("by_variable", [False, True])
async def test_a_date_is_the_classic_address(wire, monkeypatch, by_variable):
    if by_variable:
        monkeypatch.setenv("OPENAI_API_VERSION", CLASSIC)
    told, _ = await paths(wire, monkeypatch, **({} if by_variable else {"api_version": CLASSIC}))
    assert told == [
        f"/openai/deployments/my%20dep/{api}?api-version={CLASSIC}"
        for api in ("chat/completions", "completions", "embeddings")
    ]
    options = {"api": "responses", "api_version": "2025-04-01-preview"}
    told, first = await paths(wire, monkeypatch, **options)
    assert told[0] == "/openai/responses?api-version=2025-04-01-preview"
    assert first.json()["model"] == "my dep"


@pytest.mark.parametrize("tail", ["", "/", "/openai", "/openai/", "/openai/v1", "/openai/v1/"])
def test_the_endpoint_as_the_portal_shows_it(monkeypatch, tail):
    monkeypatch.setenv("AZURE_OPENAI_ENDPOINT", f"https://r.openai.azure.com{tail}")
    made = OpenAI(name="azure", preset="azure")
    assert made._http.base_url == "https://r.openai.azure.com/openai/v1"
    made = OpenAI(name="azure", preset="azure", api_version=CLASSIC)
    assert made._http.base_url == f"https://r.openai.azure.com/openai?api-version={CLASSIC}"


async def test_an_address_of_ones_own(wire):
    async with open_server(good(wire)) as server:
        options = {"preset": "azure", "api_key": wire.key, "api_version": CLASSIC}
        provider = OpenAI(name="azure", base_url=f"{server.url}/openai", **options)
        async with Client("azure:d", stack=[], providers=[provider]) as client:
            await client.ask("hi")
    path = f"/openai/deployments/d/chat/completions?api-version={CLASSIC}"
    assert server.requests[0].path == path


def test_others_have_no_versions():
    with pytest.raises(ConfigError, match="groq has no versions"):
        OpenAI(name="groq", preset="groq", api_version=CLASSIC)


async def test_a_token_in_place_of_a_key(wire, monkeypatch):
    _, first = await paths(wire, monkeypatch, api_key=None, token=lambda: TOKEN)
    assert first.headers["authorization"] == f"Bearer {TOKEN}"
    assert "api-key" not in first.headers
    monkeypatch.setenv("AZURE_OPENAI_AD_TOKEN", TOKEN)
    _, first = await paths(wire, monkeypatch, api_key=None)
    assert first.headers["authorization"] == f"Bearer {TOKEN}"
    monkeypatch.setenv("AZURE_OPENAI_API_KEY", wire.key)
    _, first = await paths(wire, monkeypatch, api_key=None)
    assert first.headers["api-key"] == wire.key
    with pytest.raises(ConfigError, match="two ways to the same") as caught:
        OpenAI(name="azure", preset="azure", api_key=wire.key, token=TOKEN)
    made = OpenAI(name="azure", preset="azure", token=TOKEN, base_url="http://x")
    for text in (str(caught.value), repr(made), repr(made._http), repr(made.key)):
        assert wire.key not in text
        assert TOKEN not in text


async def test_an_expired_token_is_asked_for_anew(wire, monkeypatch):
    tokens = iter(["old-0123456789", "new-0123456789"])

    async def answer(received):
        if received.headers["authorization"] == "Bearer old-0123456789":
            return wire.whole({"error": {"code": "401", "message": "expired"}}, 401)
        return good(wire)

    async with open_server(answer) as server:
        provider = OpenAI(
            name="azure", preset="azure", base_url=server.url, token=lambda: next(tokens)
        )
        async with Client("azure:d", stack=[], providers=[provider]) as client:
            assert (await client.ask("hi")).text == "x"


async def test_what_the_filter_refuses(wire):
    found = {"violence": {"filtered": True, "severity": "high"}}
    inner = {"code": "ResponsibleAIPolicyViolation", "content_filter_result": found}
    said = {"message": "The prompt was filtered", "code": "content_filter", "status": 400}
    answer = wire.whole({"error": said | {"innererror": inner}}, 400)
    with pytest.raises(ContentFiltered, match="The prompt was filtered") as caught:
        await wire.ask(answer, preset="azure")
    assert (caught.value.code, caught.value.status) == ("content_filter", 400)


async def test_what_the_filter_says_of_a_good_answer(wire):
    prompt = [{"prompt_index": 0, "content_filter_results": {"hate": {"filtered": False}}}]
    first = {"id": "", "model": "", "choices": [], "prompt_filter_results": prompt}
    late = {"choices": [{"index": 0, "content_filter_offsets": {"check_offset": 4}}]}
    cut = wire.chunk({}, "content_filter")
    cut["choices"][0]["content_filter_results"] = {"hate": {"filtered": True}}
    events = [first, wire.chunk({"content": "a"}), cut, late]
    told = await wire.ask(wire.events(*events), preset="azure")
    assert (told.text, told.id, told.finish_reason) == ("a", "c-1", "content_filter")
    assert told.raw["prompt_filter_results"] == prompt
    assert told.finish.detail == {"content_filter_results": {"hate": {"filtered": True}}}
