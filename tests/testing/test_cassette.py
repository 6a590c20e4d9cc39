"""Calls over HTTP, recorded once and replayed without network, key, or change in a provider."""

from __future__ import annotations

import base64
import gzip
import json
import stat
import traceback
import zlib

import pytest
import trio

import llmmw.sync
from llmmw import Client, Retry
from llmmw.errors import (
    ConfigError,
    ConnectionFailed,
    LLMError,
    ProtocolError,
    RateLimited,
    StreamInterrupted,
)
from llmmw.testing import Answer, NotRecorded, cassette, open_server
from llmmw.testing._network import no_network

pytestmark = pytest.mark.plugins

KEY = "sk-planted-4b1d0a7c93e2f586"
JSON = {"Content-Type": "application/json"}
EVENTS = {"Content-Type": "text/event-stream"}


def chat(text) -> Answer:
    choice = {"index": 0, "message": {"content": text}, "finish_reason": "stop"}
    return Answer(headers=JSON, body=json.dumps({"id": "c", "choices": [choice]}).encode())


def event(text, finish=None) -> bytes:
    choice = {"index": 0, "delta": {"content": text}, "finish_reason": finish}
    return f"data: {json.dumps({'choices': [choice]}, ensure_ascii=False)}\n\n".encode()


def client(url, *, key=KEY, stack=()) -> Client:
    options = {"openai": {"base_url": url} | ({"api_key": key} if key else {})}
    return Client("openai:m", stack=list(stack), options=options)


async def told(client, prompt):
    async with client.stream(prompt) as stream:
        return [piece async for piece in stream.text]


@pytest.fixture(autouse=True)
def _no_key(monkeypatch):
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)


async def record(path, answers, use, **options):
    """Record what `use` does with a client; the address that it called."""
    async with open_server(answers) as server:
        with cassette(path, "record", **options):
            async with client(server.url) as made:
                result = await use(made)
        return server, result


async def test_what_was_recorded_is_replayed(tmp_path) -> None:
    async def use(made):
        return (await made.ask("one")).text, await told(made, "two"), (await made.ask("one")).text

    stream = Answer(
        headers=EVENTS, pieces=[event("grün"), event("er", "stop"), b"data: [DONE]\n\n"]
    )
    path = tmp_path / "deep" / "calls.json"
    server, recorded = await record(path, [chat("first"), stream, chat("second")], use)
    assert recorded == ("first", ["grün", "er"], "second")
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    with no_network(), cassette(path, "replay") as tape:
        assert tape.left == 3
        async with client(server.url, key=None) as made:
            assert await use(made) == recorded
        assert tape.left == 0
    assert len(server.requests) == 3
    calls = json.loads(path.read_text())["calls"]
    assert calls[1]["request"]["body"]["messages"][0]["content"] == "two"
    assert "".join(calls[1]["pieces"]).startswith('data: {"choices"')


async def test_auto_records_once(tmp_path) -> None:
    path = tmp_path / "calls.json"
    async with open_server([chat("first"), chat("second")]) as server:
        for _ in range(3):
            with cassette(path):
                async with client(server.url) as made:
                    assert (await made.ask("hi")).text == "first"
        assert len(server.requests) == 1


async def test_errors_and_breaks_are_replayed(tmp_path) -> None:
    answers = [
        Answer(status=429, headers=JSON | {"Retry-After": "3"}, body=b'{"error": "slow down"}'),
        Answer(headers=EVENTS, pieces=[event("half")], cut=True),
        Answer(reset=True),
    ]

    async def use(made):
        found = []
        for prompt in ("one", "two", "three"):
            try:
                await told(made, prompt)
            except LLMError as error:
                partial = error.partial.text if error.partial else ""
                found.append((type(error), error.status, error.retry_after, partial))
        return found

    server, recorded = await record(tmp_path / "c.json", answers, use)
    assert recorded == [
        (RateLimited, 429, 3.0, ""),
        (StreamInterrupted, None, None, "half"),
        (ConnectionFailed, None, None, ""),
    ]
    with cassette(tmp_path / "c.json", "replay"):
        async with client(server.url, key=None) as made:
            assert await use(made) == recorded


async def test_no_key_is_kept_anywhere(tmp_path) -> None:
    """The host echoes the key in a header, in a body, and in a stream across two pieces."""
    half = len(KEY) // 2
    answers = [
        Answer(
            status=401,
            headers=JSON | {"X-Request-Id": KEY, "Set-Cookie": "session=abcdefgh", "X-Own": KEY},
            body=json.dumps({"error": {"message": f"bad key {KEY}"}}).encode(),
        ),
        Answer(
            headers=EVENTS,
            pieces=[
                *(event(KEY[:half])[:-30], event(KEY[:half])[-30:]),
                *(f": {KEY[:half]}".encode(), f"{KEY[half:]}\n\n".encode(), event("ü", "stop")),
            ],
        ),
    ]

    async def use(made):
        with pytest.raises(LLMError):
            await made.ask("hi")
        return await told(made, f"my key is {KEY}")

    path = tmp_path / "c.json"
    server, _ = await record(path, answers, use)
    assert KEY in json.dumps([dict(one.headers) for one in server.requests])  # it was sent
    kept = path.read_text()
    for piece in (KEY, KEY[:half], KEY[half:], "session=abcdefgh", "x-own", "authorization"):
        assert piece.lower() not in kept.lower()
    assert "[key]" in kept
    with cassette(path, "replay"):  # with the key, and so with the same body
        async with client(server.url) as made:
            await use(made)


async def test_no_key_is_in_what_is_missing(tmp_path) -> None:
    path = tmp_path / "c.json"
    server, _ = await record(path, chat("hello"), lambda made: made.ask("hi"))
    with cassette(path, "replay") as tape:
        async with client(server.url) as made:
            with pytest.raises(NotRecorded) as caught:
                await made.ask(f"what is {KEY}?")
    report = traceback.TracebackException.from_exception(caught.value)
    assert KEY[:12] not in "".join(report.format()) + repr(tape)


async def test_private_things_are_taken_out(tmp_path) -> None:
    path = tmp_path / "c.json"

    async def use(made):
        return (await made.ask("I am Zoe Smith")).text

    def scrub(text):
        return text.replace("Zoe Smith", "[name]")

    _, text = await record(path, chat("Hello Zoe Smith"), use, scrub=scrub)
    assert text == "Hello Zoe Smith"
    kept = json.loads(path.read_text())
    assert kept["calls"][0]["request"]["body"]["messages"][0]["content"] == "I am [name]"
    assert "Smith" not in path.read_text()


async def test_a_call_that_is_not_there(tmp_path) -> None:
    path = tmp_path / "c.json"
    server, _ = await record(path, [chat("a"), chat("b")], lambda made: made.ask("one"))
    with cassette(path, "replay"):
        async with client(server.url, stack=[Retry(5)], key=None) as made:
            with pytest.raises(NotRecorded, match=r"messages differs .*record it anew"):
                await made.ask("two")
            assert (await made.ask("one")).text == "a"
            with pytest.raises(NotRecorded, match="all its 1 calls were replayed"):
                await made.ask("one")
    assert len(server.requests) == 1


async def test_in_order_alone(tmp_path) -> None:
    async def use(made):
        return [(await made.ask(prompt)).text for prompt in ("one", "two")]

    path = tmp_path / "c.json"
    server, _ = await record(path, [chat("a"), chat("b")], use)
    for ordered, expected in ((False, "b"), (True, None)):
        with cassette(path, "replay", ordered=ordered):
            async with client(server.url, key=None) as made:
                if expected is None:
                    with pytest.raises(NotRecorded, match="messages differs"):
                        await made.ask("two")
                else:
                    assert (await made.ask("two")).text == expected


async def test_at_the_same_time(tmp_path) -> None:
    prompts = [f"question {number}" for number in range(8)]

    async def answer(received):
        return chat(received.json()["messages"][0]["content"].upper())

    async def use(made):
        found = {}

        async def one(prompt):
            found[prompt] = (await made.ask(prompt)).text

        async with trio.open_nursery() as nursery:
            for prompt in prompts:
                nursery.start_soon(one, prompt)
        return found

    server, recorded = await record(tmp_path / "c.json", answer, use)
    assert recorded == {prompt: prompt.upper() for prompt in prompts}
    with cassette(tmp_path / "c.json", "replay"):
        async with client(server.url, key=None) as made:
            assert await use(made) == recorded


async def test_an_answer_that_was_left_is_no_whole_one(tmp_path) -> None:
    waits = trio.Event()
    answer = Answer(headers=EVENTS, pieces=[event("half"), waits.wait, event("", "stop")])

    async def use(made):
        async with made.stream("hi") as stream:
            return await anext(stream.text)

    server, piece = await record(tmp_path / "c.json", answer, use)
    assert piece == "half"
    with cassette(tmp_path / "c.json", "replay"):
        async with client(server.url, key=None) as made:
            with pytest.raises(StreamInterrupted, match="the reader had left"):
                await told(made, "hi")


async def test_what_a_host_compresses_is_kept_readable(tmp_path) -> None:
    plain = chat("hello")
    packed = Answer(headers=JSON | {"Content-Encoding": "gzip"}, body=gzip.compress(plain.body))
    path = tmp_path / "c.json"
    server, response = await record(path, packed, lambda made: made.ask("hi"))
    assert response.text == "hello"
    assert "hello" in path.read_text()
    with cassette(path, "replay"):
        async with client(server.url, key=None) as made:
            assert (await made.ask("hi")).text == "hello"


async def test_a_failed_recording_leaves_no_file(tmp_path) -> None:
    path = tmp_path / "c.json"
    with pytest.raises(LookupError), cassette(path, "record"):
        raise LookupError
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("content", ["", "{}", "[]", '{"format": "other", "calls": []}', "\x00"])
def test_what_is_no_cassette(tmp_path, content) -> None:
    path = tmp_path / "c.json"
    path.write_text(content)
    with pytest.raises(ConfigError, match=r"c\.json"), cassette(path, "replay"):
        pass


def test_what_is_not_there(tmp_path) -> None:
    with pytest.raises(ConfigError, match='record it with mode="record"'):
        with cassette(tmp_path / "c.json", "replay"):
            pass
    with pytest.raises(ConfigError, match="mode='play'"), cassette(tmp_path / "c.json", "play"):
        pass


def test_it_reaches_plain_code(tmp_path) -> None:
    async def main():
        return await record(tmp_path / "c.json", chat("hello"), lambda made: made.ask("hi"))

    server, _ = trio.run(main)
    options = {"openai": {"base_url": server.url}}
    with cassette(tmp_path / "c.json", "replay"):
        with llmmw.sync.Client("openai:m", stack=[], options=options) as made:
            assert made.ask("hi").text == "hello"


async def test_what_nobody_can_read_is_not_kept(tmp_path) -> None:
    """A key that a host echoes could be read in it by others."""
    packed = zlib.compress(json.dumps({"error": {"message": f"bad key {KEY}"}}).encode())
    answer = Answer(headers=JSON | {"Content-Encoding": "br"}, body=packed)

    async def use(made):
        with pytest.raises(ProtocolError) as caught:
            await made.ask("hi")
        return caught.value.message

    path = tmp_path / "c.json"
    server, told = await record(path, answer, use)
    assert "br" in told
    assert base64.b64encode(packed).decode() not in path.read_text()
    assert "left out" in path.read_text()
    with cassette(path, "replay"):
        async with client(server.url, key=None) as made:
            assert await use(made) == told
