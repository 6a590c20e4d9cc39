"""Typed answers and functions as tools over real HTTP, through each face."""

import json
from collections.abc import Iterator
from typing import Any

import attrs
import pytest
import trio

from llmmw import Attempts, Client, Generation, Guard, Retry, aio, sync
from llmmw.testing import Answer, Received, Server, open_server

pytestmark = pytest.mark.plugins


@attrs.frozen
class Invoice:
    """A bill."""

    total: float
    lines: list[str]


@pytest.fixture(autouse=True)
def _key(monkeypatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-typed")


def whole(message: dict[str, Any], finish: str = "stop") -> Answer:
    body = {"id": "c", "choices": [{"index": 0, "message": message, "finish_reason": finish}]}
    return Answer(headers={"Content-Type": "application/json"}, body=json.dumps(body).encode())


def streamed(*pieces: str) -> Answer:
    def rows() -> Iterator[bytes]:
        for piece in pieces:
            choice = {"index": 0, "delta": {"content": piece}, "finish_reason": None}
            yield b"data: " + json.dumps({"id": "c", "choices": [choice]}).encode() + b"\n\n"
        choice = {"index": 0, "delta": {}, "finish_reason": "stop"}
        yield b"data: " + json.dumps({"id": "c", "choices": [choice]}).encode() + b"\n\n"
        yield b"data: [DONE]\n\n"

    return Answer(headers={"Content-Type": "text/event-stream"}, pieces=list(rows()))


GOOD = '{"total": 3.5, "lines": ["tea"]}'


async def host(received: Received) -> Answer:
    return (
        streamed(GOOD[:7], GOOD[7:]) if received.json().get("stream") else whole({"content": GOOD})
    )


def options(server: Server) -> dict[str, Any]:
    return {"openai": {"base_url": server.url}}


async def test_a_class_is_asked_for_and_comes_back() -> None:
    async with open_server(host) as server:
        async with Client("openai:m", options=options(server)) as client:
            response = await client.ask("Bill me.", output=Invoice)
            async with client.stream("Bill me.", output=Invoice) as stream:
                told = await stream.wait_response()
    assert response.value == told.value == Invoice(3.5, ["tea"])
    for received in server.requests:
        asked = received.json()["response_format"]
        assert asked["type"] == "json_schema"
        assert (asked["json_schema"]["name"], asked["json_schema"]["strict"]) == ("Invoice", True)
        schema = asked["json_schema"]["schema"]
        assert schema["required"] == ["total", "lines"]
        assert schema["additionalProperties"] is False


async def test_a_wrong_answer_is_asked_for_again() -> None:
    answers = [whole({"content": '{"total": "much"}'}), whole({"content": GOOD})]
    async with open_server(answers) as server:
        stack = [Attempts(Retry(1, base=0)), Guard()]
        async with Client("openai:m", stack=stack, options=options(server)) as client:
            assert (await client.ask("Bill me.", output=Invoice)).value == Invoice(3.5, ["tea"])
    assert len(server.requests) == 2


async def test_plain_and_asyncio_programs_have_the_value_too() -> None:
    def plain(server: Server) -> Generation:
        with sync.Client("openai:m", options=options(server)) as client:
            with client.stream("Bill me.", output=list[Invoice]) as stream:
                assert "".join(stream.text) == GOOD
            return client.ask("Bill me.", output=Invoice)

    def asynchronous(server: Server) -> Generation:
        import asyncio

        async def main() -> Generation:
            async with aio.Client("openai:m", options=options(server)) as client:
                return await client.ask("Bill me.", output=Invoice)

        return asyncio.run(main())

    async with open_server(host) as server:
        for run in (plain, asynchronous):
            response = await trio.to_thread.run_sync(run, server)
            assert response.value == Invoice(3.5, ["tea"])


def price(item: str, count: int = 1) -> float:
    """What something costs.

    Args:
        item: Its name.
        count: How many.
    """
    return {"tea": 3.5}[item] * count


async def test_the_model_calls_functions_until_it_answers() -> None:
    def called(place: int, arguments: str) -> dict[str, Any]:
        function = {"name": "price", "arguments": arguments}
        return {"id": f"call-{place}", "type": "function", "function": function}

    calls = [called(0, '{"item": "tea", "count": 2}'), called(1, '{"item": "gold"}')]
    answers = [
        whole({"content": None, "tool_calls": calls}, "tool_calls"),
        whole({"content": GOOD}),
    ]
    async with open_server(answers) as server:
        async with Client("openai:m", options=options(server)) as client:
            talk: list[object] = ["Bill me for tea."]
            response = await client.ask(talk, tools=[price], output=Invoice)
            while response.tool_calls:
                talk.append(response)
                for call in response.tool_calls:
                    try:
                        talk.append(call.result(price(**call.bind(price))))
                    except KeyError as error:
                        talk.append(call.result(error=error))
                response = await client.ask(talk, tools=[price], output=Invoice)
    assert response.value.total == 3.5
    first, second = (received.json() for received in server.requests)
    (tool,) = first["tools"]
    assert tool["function"]["description"] == "What something costs."
    assert tool["function"]["parameters"]["required"] == ["item"]
    assert tool["function"]["parameters"]["properties"]["item"]["description"] == "Its name."
    assert [message["role"] for message in second["messages"]] == [
        "user",
        "assistant",
        "tool",
        "tool",
    ]
    assert second["messages"][2]["tool_call_id"] == "call-0"
    assert second["messages"][2]["content"] == "7.0"
    assert "KeyError: 'gold'" in second["messages"][3]["content"]
