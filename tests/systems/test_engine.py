"""What programs written for the LLM Engine client rely on, as far as it is a matter of any host
(`L…` are its features, `4.5 …` the most valuable of its tests, `2.5.…` what it got wrong): answers
whole and as streams, errors, limits of parameters, batches and files. What is a matter of that
engine's own wire stands in `test_engine_routes.py` (L9-L31) and `test_engine_rules.py` (L1-L8,
L32-L43).
"""

from __future__ import annotations

import json
import subprocess
import sys
from contextlib import asynccontextmanager

import pytest

from llmmw import Client, Generate
from llmmw.errors import (
    AuthenticationFailed,
    BadRequest,
    ConfigError,
    LLMError,
    NotFound,
    PermissionDenied,
    ProtocolError,
    RateLimited,
    ServerError,
    StreamInterrupted,
)
from llmmw.testing import Answer, open_server
from tests.batches.far_end import open_far_end, options_for

pytestmark = pytest.mark.plugins


def whole(text="a text"):
    choice = {"index": 0, "finish_reason": "stop", "message": {"content": text}}
    usage = {"prompt_tokens": 3, "completion_tokens": 2}
    return says({"id": "c1", "choices": [choice], "usage": usage})


def says(data, status=200, **headers):
    headers = {"content-type": "application/json", "x-request-id": "r1", **headers}
    return Answer(status=status, headers=headers, body=json.dumps(data).encode())


def events(*pieces, end="data: [DONE]\n\n", finish="stop"):
    rows = [{"choices": [{"index": 0, "delta": {"content": one}}]} for one in pieces]
    if finish:
        rows.append({"choices": [{"index": 0, "delta": {}, "finish_reason": finish}]})
    body = ": ping\n\n" + "".join(f"data: {json.dumps(one)}\n\n" for one in rows) + end
    return Answer(headers={"content-type": "text/event-stream"}, body=body.encode())


@asynccontextmanager
async def host(answer, path="/v1"):
    """A client of a host that always answers so, and what the host heard."""

    async def answers(received):
        return answer

    async with open_server(answers) as server:
        options = {"openai": {"base_url": f"{server.url}{path}", "api_key": "key-1"}}
        async with Client("openai:m", stack=[], options=options) as client:
            yield client, server.requests


async def test_an_answer_comes_whole_with_its_tokens_and_its_id():  # L9, 4.5 1, 15
    async with host(whole()) as (client, requests):
        answer = await client.ask("hi", max_tokens=20, temperature=0.2)
    assert (answer.text, answer.finish_reason, answer.request_id) == ("a text", "stop", "r1")
    assert (answer.usage.input_tokens, answer.usage.output_tokens) == (3, 2)
    (asked,) = requests
    assert asked.path == "/v1/chat/completions"
    assert asked.headers["authorization"] == "Bearer key-1"
    assert asked.json() == {
        "model": "m",
        "messages": [{"role": "user", "content": "hi"}],
        "max_completion_tokens": 20,
        "temperature": 0.2,
    }


async def test_an_answer_comes_piece_by_piece():  # L8, L10, 4.5 3, 10, 2.5.2
    async with host(events("so ", "it is")) as (client, _), client.stream("hi") as stream:
        texts = [one async for one in stream.text]
        answer = await stream.wait_response()
    assert texts == ["so ", "it is"]
    assert answer.text == "so it is"


@pytest.mark.parametrize("end", ["", 'data: {"choices": ['])
async def test_a_stream_that_is_cut_is_an_error(end):  # L35
    async with host(events("so ", finish=None, end=end)) as (client, _):
        with pytest.raises(StreamInterrupted) as caught:
            async with client.stream("hi") as stream:
                await stream.wait_response()
    assert caught.value.partial.text == "so "


ROWS = [
    (400, BadRequest),
    (401, AuthenticationFailed),
    (403, PermissionDenied),
    (404, NotFound),
    (409, LLMError),
    (422, BadRequest),
    (429, RateLimited),
    (500, ServerError),
    (503, ServerError),
]


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("detail", ["no such endpoint", [{"loc": ["a"], "msg": "no such"}]])
@pytest.mark.parametrize(("status", "kind"), ROWS)
async def test_errors_by_their_status(status, kind, detail, stream):  # L3, L6, 4.5 2, 4, 5, 13
    async with host(says({"detail": detail}, status)) as (client, _):
        with pytest.raises(kind, match="no such") as caught:
            if stream:
                async with client.stream("hi") as opened:
                    await opened.wait_response()
            else:
                await client.ask("hi")
    assert (caught.value.status, caught.value.request_id) == (status, "r1")


async def test_a_list_as_the_body_of_an_error_hides_nothing():  # 2.5.4
    async with host(says([{"msg": "wrong"}], 400)) as (client, _):
        with pytest.raises(BadRequest, match="wrong"):
            await client.ask("hi")


async def test_every_status_of_success_is_one():  # 2.5.5
    choice = {"index": 0, "finish_reason": "stop", "message": {"content": "x"}}
    async with host(says({"choices": [choice]}, 201)) as (client, _):
        assert (await client.ask("hi")).text == "x"


@pytest.mark.parametrize("path", ["/engine/v1", "/engine/v1/"])
async def test_a_prefix_of_the_address_is_kept(path):  # L1, 2.5.8
    async with host(whole(), path) as (client, requests):
        await client.ask("hi")
    assert requests[0].path == "/engine/v1/chat/completions"


@pytest.mark.parametrize(
    "wrong",
    [{"temperature": -1}, {"top_p": 1.5}, {"top_k": -2}, {"max_tokens": 0}, {"max_tokens": -5}],
)
async def test_parameters_out_of_range_are_refused(wrong):  # L32, 4.5 14, 2.5.11
    async with host(whole()) as (client, requests):
        with pytest.raises(BadRequest):
            await client.ask("hi", **wrong)
    assert requests == []


async def test_a_name_that_no_parameter_has_is_refused():  # 2.5.11
    async with host(whole()) as (client, requests):
        with pytest.raises((BadRequest, TypeError), match="max_new_token"):
            await client.ask("hi", max_new_token=5)
    assert requests == []


async def test_two_clients_have_keys_and_addresses_of_their_own():  # 2.5.14
    async with host(whole("one")) as (one, _), host(whole("two"), "/b") as (two, requests):
        assert ((await one.ask("hi")).text, (await two.ask("hi")).text) == ("one", "two")
        assert requests[0].path == "/b/chat/completions"
    with pytest.raises(ConfigError):
        async with Client("openai:m", options={"openai": {"base": "x"}}) as client:
            await client.ask("hi")


def test_an_import_asks_nobody():  # L43, 2.5.1
    code = (
        "import socket, sys; socket.socket.connect = None; import llmmw; "
        "assert 'httpx' not in sys.modules"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True)
    assert (done.stdout, done.stderr) == (b"", b"")


@pytest.mark.parametrize("body", [b"[]", b"null", b'{"choices": 1}', b"{}"])
async def test_an_answer_that_is_none_is_a_protocol_error(body):  # 2.5.6
    answer = Answer(headers={"content-type": "application/json"}, body=body)
    async with host(answer) as (client, _):
        with pytest.raises(ProtocolError):
            await client.ask("hi")


async def test_a_batch_is_made_looked_at_cancelled_and_read():  # L11-L14, 4.5 6, 2.5.12
    async with open_far_end() as far:
        async with Client("openai:m", stack=[], options=options_for(far.url)) as client:
            asked = [Generate(messages=["a"]), Generate(messages=["b"])]
            sent = await client.batches.create(asked, max_tokens=9)
            assert (sent.total, sent.ended) == (2, False)
            assert [one.id for one in await client.batches.list()] == [sent.id]
            while not (await client.batches.get(sent.id)).ended:
                pass
            items = await client.batches.results(sent.id)
            assert sorted(one.response.text for one in items) == ["You said: a", "You said: b"]
            other = await client.batches.create(["c"])
            assert (await client.batches.cancel(other.id)).cancelled
            with pytest.raises(NotFound):
                await client.batches.get("batch_0")


async def test_files_go_there_and_back():  # L28-L31, 4.5 11, 2.5.13
    data = b"prompt,response\r\n\xff\x00"
    async with open_far_end() as far:
        async with Client("openai:m", stack=[], options=options_for(far.url)) as client:
            sent = await client.files.upload(data, name="rows.csv")
            assert sent.bytes == len(data)
            assert [one.id for one in await client.files.list()] == [sent.id]
            assert (await client.files.get(sent.id)).id == sent.id
            assert await client.files.content(sent.id) == data
            await client.files.delete(sent.id)
            assert await client.files.list() == ()
