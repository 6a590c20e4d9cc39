"""What this host says of its batches and files, as it was seen to say it."""

from __future__ import annotations

import pytest

from llmmw import Client
from llmmw.errors import LLMError, QuotaExhausted
from llmmw.testing import Answer, Server


async def batch(wire, told) -> object:
    async with wire.client(wire.whole({"id": "batch_1", **told})) as (client, _):
        return await client.batches.get("batch_1")


@pytest.mark.parametrize(
    ("status", "ended"),
    [
        ("validating", False),
        ("in_progress", False),
        ("finalizing", False),
        ("cancelling", False),
        ("a word of tomorrow", False),
        ("completed", True),
        ("expired", True),
        ("failed", True),
        ("cancelled", True),
    ],
)
async def test_a_status_says_whether_more_will_come(wire, status: str, ended: bool) -> None:
    counts = {"total": 2, "completed": 2, "failed": 0}
    told = {"status": status, "request_counts": counts, "created_at": 17, "expires_at": None}
    info = await batch(wire, told)
    assert (info.status, info.ended, info.total, info.created) == (status, ended, 2, 17.0)
    assert info.cancelled == status.startswith("cancel")


async def test_little_is_enough(wire) -> None:
    info = await batch(wire, {"request_counts": None, "metadata": None, "errors": None})
    assert (info.ended, info.total, info.metadata, info.refusals) == (False, None, {}, ())


async def test_why_a_batch_was_refused(wire) -> None:
    rows = [{"code": "x", "message": "no", "line": 3, "param": None}, {"message": None}, 7]
    info = await batch(wire, {"status": "failed", "errors": {"object": "list", "data": rows}})
    assert [(one.message, one.code, one.line) for one in info.refusals] == [
        ("no", "x", 3),
        ("the batch was refused", None, None),
    ]
    assert (await batch(wire, {"status": "failed"})).refusals[0].line is None


RESULTS = (
    b'{"id":"r1","custom_id":"a","response":{"status_code":200,"request_id":"q","body":'
    b'{"id":"c","object":"chat.completion","model":"m-1","choices":[{"index":0,"message":'
    b'{"role":"assistant","content":"Hi"},"finish_reason":"stop"}]}},"error":null}\r\n'
    b'{"id":"r2","custom_id":"b","response":{"status_code":429,"request_id":"q","body":'
    b'{"error":{"message":"no money","type":"insufficient_quota","code":"insufficient_quota"}}},'
    b'"error":null}\r\n'
    b'{"id":"r3","custom_id":"c","response":null,"error":{"code":"batch_expired","message":"x"}}\n'
    b'{"id":"r4","custom_id":"d","response":null,"error":{"code":"odd","message":"an odd end"}}\n'
    b'[]\n{"no":"id"}\n'
)


async def test_outcomes_are_read_as_live_answers_are(wire) -> None:
    done = {"id": "batch_1", "status": "completed", "output_file_id": "f/1", "error_file_id": None}
    answers = [wire.whole(done), Answer(body=RESULTS)]
    async with wire.client(answers) as (client, server):
        items = {item.id: item for item in await client.batches.results("batch_1")}
    assert list(items) == ["a", "b", "c", "d"]
    assert items["a"].response.text == "Hi"
    assert items["a"].response.request_id == "q"
    assert isinstance(items["b"].error, QuotaExhausted)
    assert "expired" in str(items["c"].error)
    assert "an odd end" in str(items["d"].error)
    assert server.requests[1].path == "/files/f%2F1/content"


async def test_a_batch_without_files_has_no_outcomes(wire) -> None:
    done = {"id": "batch_1", "status": "expired", "output_file_id": None, "error_file_id": None}
    async with wire.client(wire.whole(done)) as (client, _):
        assert await client.batches.results("batch_1") == ()


async def test_no_line_streams_or_runs_in_the_background(wire) -> None:
    file, made = {"id": "f"}, {"id": "batch_1", "status": "validating"}
    for api, path in (("chat", "/v1/chat/completions"), ("responses", "/v1/responses")):
        answers = [wire.whole(file), wire.whole(made)]
        async with wire.client(answers, api=api) as (client, server):
            extra = {"openai": {"stream": True, "background": True}}
            await client.batches.create({"x": "hi"}, extra=extra)
        upload, create = server.requests
        assert create.json()["endpoint"] == path
        assert b'"url":"%b"' % path.encode() in upload.body
        assert b'"stream"' not in upload.body
        assert b'"background"' not in upload.body


async def test_hosts_with_batches_have_them_and_others_not(wire, monkeypatch) -> None:
    def has(preset: str, **options: str) -> bool:
        return wire.provider("http://host/v1", preset, **options).batches is not None

    assert [p for p in ("openai", "azure", "groq", "together", "vllm") if has(p)] == [
        "openai",
        "azure",
        "groq",
    ]
    assert not has("azure", api_version="2024-10-21")


async def test_no_error_of_a_batch_holds_the_key(wire) -> None:
    refused = wire.whole({"error": {"message": f"the key {wire.key} is wrong"}}, status=401)

    async def told(ask) -> str:
        with pytest.raises(LLMError) as caught:
            await ask
        return str(caught.value)

    async with wire.client(refused) as (client, server):
        assert isinstance(client, Client)
        assert isinstance(server, Server)
        for ask in (client.batches.get("b"), client.batches.list(), client.files.list()):
            assert wire.key not in await told(ask)
