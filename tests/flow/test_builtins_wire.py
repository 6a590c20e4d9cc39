"""Builtins over real HTTP: what a host is sent."""

from __future__ import annotations

import json
from typing import Any

import attrs
import pytest

from llmmw import Client
from llmmw.flow import generate_object, parallel, select, use_tools
from llmmw.testing import Answer, Received, open_server

pytestmark = pytest.mark.plugins


@pytest.fixture(autouse=True)
def _key(monkeypatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-flows")


@attrs.frozen
class Invoice:
    total: float
    lines: list[str]


class Host:
    """Answers by a function of the body that it is sent, and keeps all bodies."""

    def __init__(self, answer) -> None:
        self.answer, self.bodies = answer, []

    async def __call__(self, received: Received) -> Answer:
        body = received.json()
        self.bodies.append(body)
        message = self.answer(body)
        finish = "tool_calls" if "tool_calls" in message else "stop"
        choice = {"index": 0, "message": message, "finish_reason": finish}
        told = json.dumps({"id": "c", "choices": [choice]}).encode()
        return Answer(headers={"Content-Type": "application/json"}, body=told)

    async def run(self, flow: Any) -> Any:
        async with open_server(self) as server:
            options = {"openai": {"base_url": server.url}}
            async with Client("openai:gpt-4o", stack=[], options=options) as client:
                return await client.run(flow)


async def test_results_of_tools_go_back_each_with_its_call() -> None:
    def double(number: int) -> int:
        """Twice a number."""
        return number * 2

    def answer(body):
        if body["messages"][-1]["role"] == "tool":
            return {"content": "8 and 10"}
        calls = [
            {
                "id": f"call-{number}",
                "type": "function",
                "function": {"name": "double", "arguments": json.dumps({"number": number})},
            }
            for number in (4, 5)
        ]
        return {"content": None, "tool_calls": calls}

    host = Host(answer)
    assert await host.run(use_tools("double 4 and 5", [double], temperature=0)) == "8 and 10"
    first, second = host.bodies
    assert first["tools"][0]["function"]["name"] == "double"
    results = [one for one in second["messages"] if one["role"] == "tool"]
    assert [(one["tool_call_id"], one["content"]) for one in results] == [
        ("call-4", "8"),
        ("call-5", "10"),
    ]


async def test_the_hosts_own_mechanism_and_what_is_wrong() -> None:
    def answer(body):
        is_first = len(body["messages"]) == 1
        return {"content": "{}" if is_first else '{"total": 3.5, "lines": []}'}

    host = Host(answer)
    assert await host.run(generate_object("the bill", Invoice)) == Invoice(3.5, [])
    assert [body["response_format"]["type"] for body in host.bodies] == ["json_schema"] * 2
    assert [one["role"] for one in host.bodies[1]["messages"]] == ["user", "assistant", "user"]


async def test_a_choice_where_no_probabilities_are_told() -> None:
    def answer(body):
        schema = body["response_format"]["json_schema"]["schema"]
        return {"content": json.dumps({"value": schema["properties"]["value"]["enum"][-1]})}

    host = Host(answer)
    flow = parallel(select("Which?", ["a", "b", "c"]), select("And?", ["x", "y"]))
    assert await host.run(flow) == ["c", "y"]
    assert len(host.bodies) == 2
