"""Keys, addresses and headers: where they come from, and whom they reach."""

from __future__ import annotations

import base64
import logging
import traceback

import pytest

from llmmw import Client, MediaPart, Message, OpaquePart
from llmmw.errors import AuthenticationFailed, ConfigError, LLMError
from llmmw.testing import open_server

pytestmark = pytest.mark.plugins

OTHER = "sk-ant-other-fedcba9876543210"


def good(wire):
    return wire.whole(wire.message("x"))


async def sent(wire, prompt="hi", *, extra=None, **options):
    """The request as it reached the host."""
    async with wire.client(good(wire), **options) as (client, server):
        await client.ask(prompt, extra=extra or {})
    (received,) = server.requests
    return received


async def test_what_each_request_carries(wire):
    received = await sent(wire)
    assert received.path == "/v1/messages"
    assert received.headers["x-api-key"] == wire.key
    assert received.headers["anthropic-version"] == "2023-06-01"
    assert received.headers["user-agent"].startswith("llmmw-anthropic/")
    assert "anthropic-beta" not in received.headers
    assert "authorization" not in received.headers


async def test_keys_and_tokens_from_variables(wire, monkeypatch):
    monkeypatch.setenv("ANTHROPIC_API_KEY", OTHER)
    assert (await sent(wire, api_key=None)).headers["x-api-key"] == OTHER
    monkeypatch.setenv("ANTHROPIC_AUTH_TOKEN", "token-0123456789")
    received = await sent(wire, api_key=None, auth="token")
    assert received.headers["authorization"] == "Bearer token-0123456789"
    assert "x-api-key" not in received.headers
    for auth, variable in (("key", "ANTHROPIC_API_KEY"), ("token", "ANTHROPIC_AUTH_TOKEN")):
        monkeypatch.delenv(variable)
        with pytest.raises(AuthenticationFailed, match=f"set {variable}"):
            await sent(wire, api_key=None, auth=auth)
    with pytest.raises(ConfigError, match="auth='both'"):
        wire.provider("http://x", auth="both")


@pytest.mark.parametrize(
    ("tail", "path"),
    [
        ("", "/v1/messages"),
        ("/", "/v1/messages"),
        ("/v1", "/v1/messages"),
        ("/v1/", "/v1/messages"),
        ("/proxy", "/proxy/v1/messages"),
        ("/v1?x=1", "/v1/messages?x=1"),
    ],
)
async def test_the_address(wire, tail, path, monkeypatch):
    async with open_server(good(wire)) as server:
        monkeypatch.setenv("ANTHROPIC_BASE_URL", server.url + tail)
        provider = wire.provider(None)
        async with Client("anthropic:m", stack=[], providers=[provider]) as client:
            await client.ask("hi")
    assert server.requests[0].path == path


async def test_betas_are_gathered(wire):
    extra = {"anthropic": {"betas": ["b", "c"]}}
    headers = {"Anthropic-Beta": "a"}
    received = await sent(wire, extra=extra, betas=["b"], headers=headers)
    assert received.headers["anthropic-beta"] == "a,b,c"
    assert "betas" not in received.json()
    assert (await sent(wire, betas="a")).headers["anthropic-beta"] == "a"


@pytest.mark.parametrize(
    "part",
    [
        MediaPart(media_type="image/png", file_id="f"),
        OpaquePart(
            provider="anthropic",
            type="container_upload",
            data={"type": "container_upload", "file_id": "f"},
        ),
    ],
)
async def test_files_of_the_host_need_a_beta(wire, part):
    received = await sent(wire, [Message("user", [part])])
    assert received.headers["anthropic-beta"] == "files-api-2025-04-14"


async def test_fields_under_the_name_of_an_account(wire):
    received = await sent(wire, extra={"work": {"service_tier": "auto"}}, name="work")
    assert received.json()["service_tier"] == "auto"


async def test_a_long_answer_is_streamed_in_any_case(wire):
    answer = wire.events(wire.start(), *wire.text("a"), *wire.end())
    async with wire.client(answer) as (client, server):
        assert (await client.ask("hi")).text == "a"
        assert (await client.ask("hi", max_output_tokens=100)).text == "a"
    assert [one.json().get("stream") for one in server.requests] == [True, None]


async def test_a_secret_among_the_headers_stays_one_beside_betas(wire):
    headers = {"X-Proxy-Key": OTHER}
    received = await sent(wire, betas=["b"], headers=headers)
    assert received.headers["x-proxy-key"] == OTHER


async def test_keys_are_told_to_nobody(wire, caplog):
    async def answer(received):
        said = " ".join(received.headers.values())
        error = {"type": "invalid_request_error", "message": f"you sent {said}"}
        return wire.whole({"type": "error", "error": error}, 400, x_echo=said)

    caplog.set_level(logging.DEBUG)
    extra = {"anthropic": {"betas": ["b"]}}
    async with wire.client(answer, headers={"X-Proxy-Key": OTHER}) as (client, _):
        for more in ({}, {"extra": extra}):
            with pytest.raises(LLMError, match="you sent") as caught:
                await client.ask("hi", **more)
            error = caught.value
            trace = "".join(traceback.TracebackException.from_exception(error).format())
            shown = [str(error), repr(error), trace, repr(client), caplog.text]
            frame = error.__traceback__.tb_next  # the first is this test
            while frame is not None:
                shown.append(repr(frame.tb_frame.f_locals))
                frame = frame.tb_next
            for secret in (wire.key, OTHER):
                for form in (secret, base64.b64encode(secret.encode()).decode()):
                    assert not any(form in text for text in shown)
    assert wire.key not in repr(wire.provider("http://x"))
