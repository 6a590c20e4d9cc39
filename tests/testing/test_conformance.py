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
from llmmw.testing.conformance._run import exceptions
from llmmw.testing.conformance._stage import Stage
from llmmw.testing.conformance._targets import KEY

plugins = pytest.mark.plugins
USAGE = {"prompt_tokens": 3, "completion_tokens": 5, "total_tokens": 8}
READ = {"text": "", "reasoning": "", "tool_calls": [], "finish_reason": "stop"}
READ_USAGE = {"input_tokens": 3, "output_tokens": 5}
ASKED = {"model": "gpt-4o", "messages": [{"role": "user", "content": "Hello"}]}
PLANTED = "sk-planted-7f3a91c0d84be265"
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
    verdicts = await run_cases(cases_of(root), **options)
    return {one.case.id: (one.status, one.why) for one in verdicts}


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
    verdicts = await run_cases(cases_of(tmp_path), cuts=1)
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


FURTHER = (
    ("aws-bedrock", "bedrock-converse"),
    ("cohere", "cohere-v2"),
    ("mistral", "mistral-chat"),
    ("ollama", "ollama-chat"),
    ("scale-llm-engine", "scale-completion"),
    ("scale-llm-engine", "scale-file"),
    ("anthropic", "anthropic-batch"),
)


@plugins
def test_no_key_is_printed(tmp_path, monkeypatch) -> None:
    """Neither ours, which the host tells back, nor one of the user's, which is not even sent."""
    names = ("OPENAI", "ANTHROPIC", "GEMINI", "GOOGLE", "COHERE", "MISTRAL", "OLLAMA")
    for name in (*(f"{one}_API_KEY" for one in names), "AWS_BEARER_TOKEN_BEDROCK"):
        monkeypatch.setenv(name, PLANTED)
    error = {"error": {"message": f"bad key {KEY}", "code": KEY, "type": f"no-{KEY}"}}
    fields = {"http_status": 401, "response_headers": {"x-request-id": KEY, "location": KEY}}
    asked = ASKED | {"temperature": 0.1}
    case(tmp_path, "told", error, {"error": "other"}, request=asked, **fields)
    case(tmp_path, "moved", b"", {"error": "other"}, **fields | {"http_status": 307})
    case(tmp_path, "inside", sse(json.dumps(error)), {"text": "Hi"}, **STREAM)
    case(tmp_path, "claude", error, {}, provider="anthropic", wire="anthropic-messages", **fields)
    case(tmp_path, "gemini", error, {}, provider="google", wire="gemini", **fields)
    for provider, wire in FURTHER:
        case(tmp_path, wire, error, {}, provider=provider, wire=wire, **fields)
    runs = [["--json"], [], ["--mutate", "60"], ["--mutate", "60", "--json"]]
    for options in runs:
        done = CliRunner().invoke(conformance, [str(tmp_path), "--cuts", "1", *options])
        assert ("[key]" in done.output) is ("--mutate" not in options)
        for key in (KEY, PLANTED):
            assert key[:12] not in done.output, options
            assert key[-12:] not in done.output, options


@plugins
async def test_only_the_key_of_the_run_is_sent(tmp_path, monkeypatch) -> None:
    heard = []
    monkeypatch.setenv("OPENAI_API_KEY", PLANTED)
    real = Stage.heard
    monkeypatch.setattr(
        Stage, "heard", lambda self: (heard.extend(self.server.requests), real(self))[1]
    )
    case(tmp_path, "a", chat(content="Hi"), {"text": "Hi"}, request=ASKED)
    (verdict,) = await run_cases(cases_of(tmp_path), cuts=0)
    assert verdict.why == ""
    sent = repr([(one.path, dict(one.headers), one.body) for one in heard])
    assert KEY in sent
    assert PLANTED not in sent


@plugins
async def test_an_answer_that_is_not_done_may_be_an_error(tmp_path) -> None:
    fields = {"provider": "openai", "wire": "openai-responses"}
    queued = {"id": "r", "status": "queued", "output": []}
    case(tmp_path, "a", queued, {"status": "queued", "finish_reason": "queued"}, **fields)
    case(tmp_path, "b", queued, {"status": "completed", "finish_reason": "completed"}, **fields)
    assert [status for status, _ in (await run(tmp_path)).values()] == ["passed", "failed"]
