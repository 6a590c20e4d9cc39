"""What this host says of its batches, as it was seen to say it."""

from __future__ import annotations

import json

import pytest

from llmmw.errors import BadRequest, CallShed, DeadlineExceeded
from llmmw.testing import Answer

COUNTS = {"processing": 2, "succeeded": 0, "errored": 0, "canceled": 0, "expired": 0}
TOLD = {
    "id": "msgbatch_123",
    "type": "message_batch",
    "processing_status": "in_progress",
    "request_counts": COUNTS,
    "created_at": "2024-09-24T18:37:24.100Z",
    "expires_at": "2024-09-25T18:37:24.100Z",
    "archived_at": None,
    "results_url": None,
}


def told(**more: object) -> Answer:
    headers = {"Content-Type": "application/json"}
    return Answer(headers=headers, body=json.dumps({**TOLD, **more}).encode())


@pytest.mark.parametrize(
    ("status", "ended"),
    [("in_progress", False), ("canceling", False), ("tomorrow", False), ("ended", True)],
)
async def test_a_status_says_whether_more_will_come(wire, status: str, ended: bool) -> None:
    async with wire.client(told(processing_status=status)) as (client, _):
        info = await client.batches.get("msgbatch_123")
    assert (info.ended, info.total, info.completed, info.failed) == (ended, 2, 0, 0)
    assert info.created == 1727203044.1
    assert info.expires - info.created == 86_400
    assert info.metadata is None


async def test_outcomes_are_read_as_live_answers_are(wire) -> None:
    rows = [
        {"custom_id": "a", "result": {"type": "succeeded", "message": wire.message("Paris")}},
        {
            "custom_id": "b",
            "result": {
                "type": "errored",
                "error": {
                    "type": "error",
                    "error": {"type": "invalid_request_error", "message": "bad"},
                },
            },
        },
        {"custom_id": "c", "result": {"type": "expired"}},
        {"custom_id": "d", "result": {"type": "canceled"}},
        {"custom_id": "e", "result": {"type": "succeeded", "message": None}},
    ]
    body = "\n".join(map(json.dumps, rows)).encode()
    far = "https://elsewhere.invalid/v1/messages/batches/msgbatch_123/results"
    answers = [told(processing_status="ended", results_url=far), Answer(body=body)]
    async with wire.client(answers) as (client, server):
        items = {item.id: item for item in await client.batches.results("msgbatch_123")}
    assert items["a"].response.text == "Paris"
    assert items["a"].response.usage.output_tokens == 5
    assert isinstance(items["b"].error, BadRequest)
    assert isinstance(items["c"].error, DeadlineExceeded)
    assert isinstance(items["d"].error, CallShed)
    assert items["e"].error is not None
    # The key went to the host alone, whatever address it named.
    assert server.requests[1].path == "/v1/messages/batches/msgbatch_123/results"


async def test_a_question_is_as_a_live_one_without_a_stream(wire) -> None:
    async with wire.client(told()) as (client, server):
        long = {"max_tokens": 60_000, "extra": {"anthropic": {"betas": ["b-1"]}}}
        await client.batches.create({"x": {"prompt": "hi", "system": "Be brief.", **long}})
    (asked,) = server.requests
    (row,) = asked.json()["requests"]
    assert row["custom_id"] == "x"
    assert row["params"]["max_tokens"] == 60_000
    assert "stream" not in row["params"]
    assert {k.lower(): v for k, v in asked.headers.items()}["anthropic-beta"] == "b-1"
