"""Keys and addresses: where they come from, when they are asked for, and that nobody sees them."""

from __future__ import annotations

import io
import logging
import traceback

import pytest
import trio

from llmmw import Client
from llmmw.errors import AuthenticationFailed, ConfigError, LLMError
from llmmw.testing import open_server
from llmmw.wire import Secret

pytestmark = pytest.mark.plugins

KEY, OTHER = "AIzaSyOne-0123456789abcdef", "ya29.two-fedcba9876543210"


def good(wire):
    return wire.whole(wire.piece("x", finish="STOP"))


async def headers_sent(wire, host="google", **options):
    async with wire.client(good(wire), host, **options) as (client, server):
        await client.ask("hi")
    (received,) = server.requests
    assert KEY not in received.path
    return received.headers


async def test_a_key_goes_into_its_header_alone(wire):
    for given in (KEY, Secret(KEY), lambda: KEY):
        headers = await headers_sent(wire, api_key=given)
        assert headers["x-goog-api-key"] == KEY
        assert "authorization" not in headers
        headers = await headers_sent(wire, "vertex", token=given)
        assert headers["authorization"] == f"Bearer {KEY}"
        assert "x-goog-api-key" not in headers


async def test_variables_and_files(wire, monkeypatch, tmp_path):
    monkeypatch.setenv("GOOGLE_API_KEY", KEY)
    assert (await headers_sent(wire, api_key=None))["x-goog-api-key"] == KEY
    monkeypatch.setenv("GEMINI_API_KEY", KEY + "-first")
    assert (await headers_sent(wire, api_key=None))["x-goog-api-key"] == KEY + "-first"
    monkeypatch.setenv("MINE", KEY)
    headers = await headers_sent(wire, "vertex", token="env:MINE")
    assert headers["authorization"] == f"Bearer {KEY}"
    file = tmp_path / "token"
    file.write_text(f"{KEY}\n")
    headers = await headers_sent(wire, "vertex", token=f"file:{file}")
    assert headers["authorization"] == f"Bearer {KEY}"
    monkeypatch.setenv("CLOUDSDK_AUTH_ACCESS_TOKEN", KEY)
    headers = await headers_sent(wire, "vertex", token=None)
    assert headers["authorization"] == f"Bearer {KEY}"


async def test_what_is_missing_is_named(wire):
    with pytest.raises(AuthenticationFailed, match="set GEMINI_API_KEY or GOOGLE_API_KEY, or"):
        await headers_sent(wire, api_key=None)
    said = "set GOOGLE_OAUTH_ACCESS_TOKEN or CLOUDSDK_AUTH_ACCESS_TOKEN, or pass the option token"
    with pytest.raises(AuthenticationFailed, match=said):
        await headers_sent(wire, "vertex", token=None)
    with pytest.raises(ConfigError, match=r"^token: expected a text"):
        wire.provider("http://x", "vertex", token=7)
    with pytest.raises(ConfigError, match="set GOOGLE_CLOUD_PROJECT, or pass the option project"):
        wire.provider("http://x", "vertex", project=None)


def address(provider):
    return provider._http.base_url


async def test_addresses(wire, monkeypatch):
    assert address(wire.provider(None)) == "https://generativelanguage.googleapis.com/v1beta"
    monkeypatch.setenv("GOOGLE_CLOUD_PROJECT", "mine")
    for location, host in (
        (None, "aiplatform"),
        ("europe-west4", "europe-west4-aiplatform"),
        ("eu", "aiplatform.eu.rep"),
    ):
        place = location or "global"
        told = f"https://{host}.googleapis.com/v1beta1/projects/mine/locations/{place}"
        provider = wire.provider(None, "vertex", project=None, location=location)
        assert address(provider) == told
    monkeypatch.setenv("GOOGLE_CLOUD_LOCATION", "us-east1")
    assert "/us-east1-aiplatform." in address(wire.provider(None, "vertex", location=None))
    monkeypatch.setenv("GOOGLE_BASE_URL", "http://proxy/v1")
    assert address(wire.provider(None)) == "http://proxy/v1"
    monkeypatch.setenv("VERTEX_BASE_URL", "http://proxy/v2/")
    told = "http://proxy/v2/projects/p-1/locations/there"
    assert address(wire.provider(None, "vertex")) == told


async def test_a_token_that_has_run_out_is_asked_for_anew(wire):
    given = [KEY, OTHER]
    asked = []

    async def token():
        await trio.lowlevel.checkpoint()
        asked.append(1)
        return given[min(len(asked), 2) - 1]

    async def answer(received):
        if received.headers["authorization"] == f"Bearer {OTHER}":
            return good(wire)
        return wire.whole(wire.error(401, "UNAUTHENTICATED", f"bad {KEY}"), status=401)

    async with wire.client(answer, "vertex", token=token) as (client, server):
        assert asked == []
        assert (await client.ask("hi")).text == "x"
        assert (await client.ask("hi")).text == "x"
    assert (len(asked), len(server.requests)) == (2, 3)
    async with wire.client(answer, "vertex", token=KEY) as (client, server):
        with pytest.raises(AuthenticationFailed) as caught:
            await client.ask("hi")
    assert KEY not in str(caught.value)
    assert len(server.requests) == 1


@pytest.mark.parametrize("host", ["google", "vertex"])
async def test_nobody_sees_a_key(wire, host, caplog):
    """In no repr, log, error, traceback with locals, ledger or answer, whatever the host echoes."""
    caplog.set_level(logging.DEBUG)
    echo = wire.error(
        400, "INVALID_ARGUMENT", f"API key not valid: {wire.key}", {"reason": wire.key}
    )
    answers = [
        wire.whole(echo, status=400),
        wire.events(wire.piece("a"), echo),
        wire.stream(wire.sse(wire.piece("a")) + str(echo).replace("'", '"').encode()),
        wire.whole(wire.piece("x", finish="STOP"), **{"x-echo": wire.key}),
    ]
    seen = io.StringIO()
    async with wire.client(answers, host) as (client, server):
        for _ in answers[:-1]:
            try:
                async with client.stream("hi") as stream:
                    await stream.wait_response()
            except LLMError as error:
                told = traceback.TracebackException.from_exception(error, capture_locals=True)
                frames = [one for one in told.stack if one.filename != __file__]
                assert frames
                print(*(one.locals for one in frames), repr(error), error.__dict__, file=seen)
        response = await client.ask("hi")
        print(response, response.ledger, response.explain(), response.http, file=seen)
        print(wire.provider(server.url, host), client, file=seen)
    print(caplog.text, file=seen)
    assert all(wire.key in str(dict(one.headers)) for one in server.requests)
    assert wire.key not in seen.getvalue()
    assert "[key]" in seen.getvalue()


async def test_options_by_name(wire):
    options = {"vertex": {"project": "p", "token": KEY}, "google": {"api_key": KEY}}
    async with open_server([good(wire), good(wire)]) as server:
        for row in options.values():
            row["base_url"] = server.url
        async with Client(
            "google:gemini-x", "vertex:gemini-x", stack=[], options=options
        ) as client:
            assert (await client.ask("hi")).provider == "google"
            assert (await client.ask("hi", model="vertex:gemini-x")).provider == "vertex"
