"""Counting tokens."""

from __future__ import annotations

import pytest

from llmmw import Message, ToolCallPart
from llmmw.errors import ProtocolError, RateLimited

pytestmark = pytest.mark.plugins


async def test_tokens_are_counted_by_the_host(wire):
    answer = wire.whole({"input_tokens": 14}, request_id="req_3")
    extra = {"anthropic": {"thinking": {"type": "adaptive"}, "betas": ["b"]}}
    async with wire.client(answer) as (client, server):
        told = await client.count_tokens(
            "hi", system="Be brief.", tools=[{"name": "f"}], extra=extra
        )
    assert (told.tokens, told.provider, told.request_id) == (14, "anthropic", "req_3")
    (received,) = server.requests
    assert received.path == "/v1/messages/count_tokens"
    assert received.headers["anthropic-beta"] == "b"
    schema = {"type": "object", "properties": {}}
    assert received.json() == {
        "model": "claude-sonnet-4-5",
        "system": [{"type": "text", "text": "Be brief."}],
        "messages": [{"role": "user", "content": [{"type": "text", "text": "hi"}]}],
        "tools": [{"name": "f", "description": "", "input_schema": schema}],
        "thinking": {"type": "adaptive"},
    }


async def test_tools_of_a_history_are_declared(wire):
    asked = Message("assistant", [ToolCallPart(id="t", name="f")])
    async with wire.client(wire.whole({"input_tokens": 1})) as (client, server):
        await client.count_tokens(["hi", asked])
    assert server.requests[0].json()["tools"] == [{"name": "f", "input_schema": {"type": "object"}}]


@pytest.mark.parametrize("told", [{}, {"input_tokens": None}, {"input_tokens": -1}, [], "x"])
async def test_what_is_no_number(wire, told):
    async with wire.client(wire.whole(told)) as (client, _):
        with pytest.raises(ProtocolError):
            await client.count_tokens("hi")


async def test_errors(wire):
    error = {"type": "error", "error": {"type": "rate_limit_error", "message": "slow"}}
    async with wire.client([wire.whole(error, 429), wire.whole(error)]) as (client, _):
        for _ in range(2):
            with pytest.raises(RateLimited, match="slow"):
                await client.count_tokens("hi")


async def test_a_history_that_ends_with_an_answer_is_counted(wire):
    async with wire.client(wire.whole({"input_tokens": 3}), model="claude-opus-4-6") as (
        client,
        server,
    ):
        assert (await client.count_tokens(["hi", ("assistant", "yes")])).tokens == 3
    assert [turn["role"] for turn in server.requests[0].json()["messages"]] == ["user", "assistant"]
