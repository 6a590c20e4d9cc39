"""Recorded cases against the installed providers: a folder made here, of the form of others."""

from __future__ import annotations

import base64
import json
import random
from pathlib import Path

import pytest
import trio
from click.testing import CliRunner

from llmmw.testing.conformance import cases_of, run_cases
from llmmw.testing.conformance._command import conformance
from llmmw.testing.conformance._cuts import cuttings, every_cut
from llmmw.testing.conformance._mutate import mutate
from llmmw.testing.conformance._requests import canonical, request_of
from llmmw.testing.conformance._run import exceptions

plugins = pytest.mark.plugins
USAGE = {"prompt_tokens": 3, "completion_tokens": 5, "total_tokens": 8}
READ = {"text": "", "reasoning": "", "tool_calls": [], "finish_reason": "stop"}
READ_USAGE = {"input_tokens": 3, "output_tokens": 5}
WEATHER = {"id": "call_1", "name": "weather", "arguments": {"city": "Bern"}}


def case(root: Path, name: str, body: object, expected: dict, **fields) -> None:
    """Write a case; `fields` are those of `case.json`, and `request`."""
    folder = root / name
    folder.mkdir(parents=True)
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    (folder / "body.x").write_bytes(data)
    (folder / "expected.json").write_text(json.dumps(expected))
    if "request" in fields:
        (folder / "request.json").write_text(json.dumps(fields.pop("request")))
    told = {"id": name, "provider": "openai", "wire": "openai-chat", "mode": "unary"}
    told |= {"framing": "json", "http_status": 200, "body": "body.x"}
    (folder / "case.json").write_text(json.dumps(told | fields))


def chat(finish="stop", **message) -> dict:
    choice = {"index": 0, "message": message, "finish_reason": finish}
    return {"id": "c", "model": "m", "choices": [choice], "usage": USAGE}


def chunk(id="c", finish=None, **delta) -> str:
    choice = {"index": 0, "delta": delta, "finish_reason": finish}
    return json.dumps({"id": id, "choices": [choice]}, ensure_ascii=False)


def sse(*rows: str, done=True) -> bytes:
    return "".join(f"data: {row}\n\n" for row in [*rows, *["[DONE]"] * done]).encode()


def bare(*rows: str) -> bytes:
    return "\n".join(rows).encode()


STREAM = {"mode": "stream", "framing": "sse"}
LINES = {"mode": "stream", "framing": "bare-json-lines"}
TEXT = sse(chunk(content="Gr"), chunk(content="ün"), chunk(finish="stop"))


async def run(root: Path, **options) -> dict[str, tuple[str, str]]:
    found = {}
    async for verdict in run_cases(cases_of(root), **options):
        found[verdict.case.id] = verdict.status, verdict.why
    return found


@plugins
async def test_cases_that_pass(tmp_path) -> None:
    function = {"name": "weather", "arguments": '{"city": "Bern"}'}
    call = {"id": "call_1", "type": "function", "function": function}
    case(tmp_path, "whole", chat(content="Hi"), READ | {"text": "Hi", "usage": READ_USAGE})
    case(
        tmp_path,
        "call",
        chat("tool_calls", tool_calls=[call]),
        READ | {"tool_calls": [WEATHER], "finish_reason": "tool_calls"},
    )
    case(tmp_path, "stream", TEXT, READ | {"text": "Grün"}, **STREAM)
    lines = bare(chunk(content="Gr"), chunk(content="ün"), chunk(finish="stop"))
    case(tmp_path, "lines", lines, READ | {"text": "Grün"}, **LINES)
    several = bare(
        *(chunk(content="one, "), chunk(finish="stop")),
        *(chunk(id="d", content="two"), chunk(id="d", finish="stop")),
    )
    case(tmp_path, "several", several, READ | {"text": "one, two"}, **LINES)
    error = {"message": "slow down", "code": "rate_limit_exceeded"}
    case(tmp_path, "limit", {"error": error}, {"error": error}, http_status=429)
    cut = sse(chunk(content="Gr"), done=False)
    case(tmp_path, "cut", cut, READ | {"text": "Gr", "truncated": True}, **STREAM)
    html = {"error": "body is not JSON (6 bytes)", "unparsable_body": True}
    case(tmp_path, "html", b"<html>", html, framing="html")
    found = await run(tmp_path, cuts=5)
    assert found == dict.fromkeys(found, ("passed", ""))
    assert len(found) == 8


@plugins
@pytest.mark.parametrize(
    ("body", "expected", "fields", "why"),
    [
        (chat(content="Hi"), {"text": "Ho"}, {}, "text 'Hi'; expected 'Ho'"),
        (chat(content="Hi"), {"finish_reason": "length"}, {}, "finish_reason 'stop'"),
        (chat(content="Hi"), {"usage": {"input_tokens": 4}}, {}, "usage.input_tokens 3; expec"),
        (chat(content="Hi"), {"tool_calls": [WEATHER]}, {}, "tool calls []; expected ['weather']"),
        (chat(content="Hi"), {"error": "no"}, {}, "no error was raised; expected 'no'"),
        (chat(content="Hi"), {"truncated": True}, {}, "no error was raised"),
        (TEXT, {"text": "Grü"}, STREAM, "text 'Grün'; expected 'Grü'"),
        (TEXT[:-70], {"text": "Grün"}, STREAM, "raised StreamInterrupted"),
        ({"error": "busy"}, {"error": "late"}, {"http_status": 503}, "expected 'late'"),
        (
            sse(chunk(content="Gr"), done=False),
            {"text": "Grün", "truncated": True},
            STREAM,
            "error.partial.text 'Gr'; expected 'Grün'",
        ),
    ],
)
async def test_cases_that_fail(tmp_path, body, expected, fields, why) -> None:
    case(tmp_path, "a", body, expected, **fields)
    (status, told), *_ = (await run(tmp_path)).values()
    assert status == "failed"
    assert why in told


async def test_cases_that_nobody_speaks(tmp_path) -> None:
    case(tmp_path, "a", {}, {}, wire="smoke-signals")
    case(tmp_path, "b", {}, {}, provider="nobody", wire="embeddings")
    assert await run(tmp_path) == {
        "a": ("unsupported", "no plugin speaks the wire smoke-signals"),
        "b": ("unsupported", "no plugin is installed for nobody"),
    }


@plugins
async def test_a_case_judged_wrong_is_excepted(tmp_path, monkeypatch) -> None:
    reasons = {"a": "it is not so", "b": "nor this"}
    monkeypatch.setattr("llmmw.testing.conformance._run.exceptions", lambda: reasons)
    case(tmp_path, "a", chat(content="Hi"), {"text": "Ho"})
    case(tmp_path, "b", chat(content="Hi"), {"text": "Hi"})
    case(tmp_path, "c", chat(content="Hi"), {"text": "Ho"})
    found = await run(tmp_path)
    assert found["a"] == ("excepted", "it is not so")
    assert found["b"] == ("passed", "")
    assert found["c"][0] == "failed"


def test_each_exception_has_a_reason() -> None:
    assert all(len(reason.split()) > 5 for reason in exceptions().values())


async def test_vectors_of_events(tmp_path) -> None:
    body = "\ufeffevent: stock\r\ndata: ü\r\ndata\r\n\r\n: note\ndata: b\n\ndata: lost".encode()
    events = [{"event": "stock", "data": "ü\n"}, {"event": "message", "data": "b"}]
    chunks = [base64.b64encode(body[at : at + 3]).decode() for at in range(0, len(body), 3)]
    fields = STREAM | {"wire": "sse", "provider": "sse", "chunks_b64": chunks}
    case(tmp_path, "good", body, {"events": events}, **fields)
    case(tmp_path, "bad", body, {"events": events[:1]}, **fields)
    verdicts = [one async for one in run_cases(cases_of(tmp_path), cuts=1)]
    assert [one.status for one in verdicts] == ["failed", "passed"]
    assert verdicts[1].servings == 3 + 1 + len(body) - 1  # those of all, its own, at each place


def test_bodies_are_cut_everywhere() -> None:
    body = bytes(range(200)) * 200
    for pieces in cuttings(body, 4, random.Random(1)):
        assert b"".join(pieces) == body
    whole, bytewise, *_ = cuttings(body[:999], 4, random.Random(1))
    assert (len(whole), len(bytewise)) == (1, 999)
    assert [len(first) for first, _ in every_cut(body[:50])] == list(range(1, 50))
    for empty in cuttings(b"", 2, random.Random(1)):
        assert b"".join(empty) == b""


REQUEST = {
    "model": "gpt-4o",
    "messages": [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Hi"}],
    "max_completion_tokens": 9,
    "temperature": 0.5,
    "stream": False,
}


@plugins
async def test_what_we_send_is_what_was_recorded(tmp_path) -> None:
    parts = [{"type": "text", "text": "H"}, {"type": "text", "text": "i"}]
    recorded = {
        "same": {name: REQUEST[name] for name in REQUEST if name != "stream"},
        "equal": REQUEST | {"messages": [{"role": "user", "content": parts}]},
        "unread": REQUEST | {"audio": {}},
        "refused": {name: REQUEST[name] for name in REQUEST} | {"model": "o3"},
    }
    for name, request in recorded.items():
        case(tmp_path, name, chat(content="Hi"), {"text": "Hi"}, request=request)
    case(tmp_path, "none", chat(content="Hi"), {"text": "Hi"})
    verdicts = [one async for one in run_cases(cases_of(tmp_path), cuts=0)]
    assert {one.case.id: one.request for one in verdicts} == {name: name for name in recorded} | {
        "none": "none"
    }
    assert {one.status for one in verdicts} == {"passed"}


def test_requests_of_each_wire_are_read_alike() -> None:
    schema = {"type": "object", "properties": {"city": {"type": "string"}}}
    tool = {"name": "weather", "description": "How it is."}
    system, user = "Be brief.", {"role": "user", "content": "Hi"}
    bodies = {
        "openai-chat": REQUEST
        | {"tools": [{"type": "function", "function": tool | {"parameters": schema}}]},
        "openai-responses": {
            "model": "m",
            "instructions": system,
            "input": [{"role": "user", "content": [{"type": "input_text", "text": "Hi"}]}],
            "max_output_tokens": 9,
            "temperature": 0.5,
            "tools": [tool | {"type": "function", "parameters": schema}],
        },
        "anthropic-messages": {
            "model": "m",
            "system": [{"type": "text", "text": system}],
            "messages": [user],
            "max_tokens": 9,
            "temperature": 0.5,
            "tools": [tool | {"input_schema": schema}],
        },
    }
    read = [canonical(wire, body) for wire, body in bodies.items()]
    assert read[0] == read[1] == read[2]
    gemini = {
        "contents": [{"role": "user", "parts": [{"text": "Hi"}]}],
        "system_instruction": {"parts": [{"text": system}]},
        "generationConfig": {"maxOutputTokens": 9, "temperature": 0.5},
    }
    assert canonical("gemini", gemini) == {k: v for k, v in read[0].items() if k != "tools"}
    request = request_of("openai-chat", bodies["openai-chat"])
    assert [message.role for message in request.messages] == ["system", "user"]
    assert (request.max_output_tokens, request.tools[0].name) == (9, "weather")


@pytest.mark.parametrize(
    "more",
    [
        {"messages": [{"role": "tool", "content": "x", "tool_call_id": "1"}]},
        {"messages": [{"role": "user", "content": [{"type": "image_url", "image_url": {}}]}]},
        {"messages": [{"role": "user"}]},
        {"messages": "Hi"},
        {"audio": {}},
        {"tools": [{"type": "web_search"}]},
    ],
)
def test_what_is_not_simple_is_not_compared(more) -> None:
    assert canonical("openai-chat", REQUEST | more) is None
    assert request_of("openai-chat", REQUEST | more) is None
    assert canonical("smoke-signals", REQUEST) is None


@plugins
def test_the_command(tmp_path) -> None:
    case(tmp_path, "good", chat(content="Hi"), {"text": "Hi"})
    case(tmp_path, "other", {}, {}, wire="smoke-signals")
    run = CliRunner().invoke
    done = run(conformance, [str(tmp_path), "--cuts", "1"])
    assert done.exit_code == 0, done.output
    assert "openai-chat" in done.output
    case(tmp_path, "wrong", chat(content="Hi"), {"text": "Ho"})
    done = run(conformance, [str(tmp_path), "--json"])
    assert done.exit_code == 1
    told = json.loads(done.stdout)["cases"]
    assert [(one["id"], one["status"]) for one in told] == [
        ("good", "passed"),
        ("other", "unsupported"),
        ("wrong", "failed"),
    ]
    assert told[2]["why"] == "text 'Hi'; expected 'Ho'"
    assert run(conformance, [str(tmp_path), "--only", "goo"]).exit_code == 0
    assert run(conformance, [str(tmp_path), "--only", "nothing"]).exit_code == 2
    (tmp_path / "empty").mkdir()
    assert run(conformance, [str(tmp_path / "empty")]).exit_code == 2


@plugins
def test_damaged_bodies(tmp_path, monkeypatch) -> None:
    case(tmp_path, "whole", chat(content="Hi"), {})
    case(tmp_path, "stream", TEXT, {}, **STREAM)
    report = trio.run(mutate, cases_of(tmp_path), 200)
    assert report.defects == []
    assert report.mutations == report.ends.total() == 200
    assert {"answered", "ProtocolError", "StreamInterrupted"} <= report.ends.keys()
    done = CliRunner().invoke(conformance, [str(tmp_path), "--mutate", "20", "--json"])
    assert json.loads(done.stdout)["mutations"] == 20

    def broken(*_, **__):
        raise KeyError("choices")

    monkeypatch.setattr("llmmw_openai._answer.Answer.take", broken)
    report = trio.run(mutate, cases_of(tmp_path), 50)
    assert any("KeyError" in defect for defect in report.defects)
    done = CliRunner().invoke(conformance, [str(tmp_path), "--mutate", "50"])
    assert done.exit_code == 1
