"""Recorded requests become ours, are sent, and are the same again; what is not, is told."""

from __future__ import annotations

import copy

import pytest
from click.testing import CliRunner

from llmmw.testing.conformance import cases_of, run_cases
from llmmw.testing.conformance._command import conformance
from llmmw.testing.conformance._requests import request_differences, request_of
from tests.testing.conformance_wires import REQUESTS
from tests.testing.test_conformance import case, chat

plugins = pytest.mark.plugins

SCHEMA = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
PIXEL = "iVBORw0KGgo="
WEATHER = {"name": "weather", "description": "How it is."}

CHAT = {
    "model": "gpt-4o",
    "messages": [
        {"role": "system", "content": "Be brief."},
        {
            "role": "user",
            "content": [
                {"type": "text", "text": "Hi"},
                {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{PIXEL}"}},
            ],
        },
        {
            "role": "assistant",
            "content": None,
            "tool_calls": [
                {
                    "id": "call_1",
                    "type": "function",
                    "function": {"name": "weather", "arguments": '{"city":  "Bern"}'},
                }
            ],
        },
        {"role": "tool", "tool_call_id": "call_1", "content": "rain"},
    ],
    "tools": [{"type": "function", "function": WEATHER | {"parameters": SCHEMA}}],
    "tool_choice": "auto",
    "response_format": {
        "type": "json_schema",
        "json_schema": {"name": "out", "schema": SCHEMA, "strict": True},
    },
    "max_completion_tokens": 9,
    "temperature": 0.5,
    "stop": ["x"],
    "service_tier": "flex",
    "stream": False,
}
RESPONSES = {
    "model": "gpt-4o",
    "instructions": "Be brief.",
    "input": [
        {"role": "user", "content": [{"type": "input_text", "text": "Hi"}]},
        {"type": "reasoning", "id": "rs_1", "summary": [], "encrypted_content": "e"},
        {
            "type": "function_call",
            "id": "fc_1",
            "call_id": "c",
            "name": "weather",
            "arguments": "{}",
        },
        {"type": "function_call_output", "call_id": "c", "output": "rain"},
    ],
    "tools": [WEATHER | {"type": "function", "parameters": SCHEMA, "strict": False}],
    "include": ["reasoning.encrypted_content"],
    "text": {"format": {"type": "json_schema", "name": "out", "schema": SCHEMA, "strict": True}},
    "max_output_tokens": 9,
    "store": False,
}
MESSAGES = {
    "model": "claude-sonnet-4-5",
    "max_tokens": 2048,
    "system": [{"type": "text", "text": "Be brief.", "cache_control": {"type": "ephemeral"}}],
    "messages": [
        {"role": "user", "content": "Hi"},
        {
            "role": "assistant",
            "content": [
                {"type": "thinking", "thinking": "so", "signature": "sig"},
                {"type": "redacted_thinking", "data": "secret"},
                {"type": "tool_use", "id": "t", "name": "weather", "input": {"city": "Bern"}},
            ],
        },
        {
            "role": "user",
            "content": [{"type": "tool_result", "tool_use_id": "t", "content": "rain"}],
        },
    ],
    "tools": [WEATHER | {"input_schema": SCHEMA}],
    "tool_choice": {"type": "auto"},
    "thinking": {"type": "enabled", "budget_tokens": 1024},
    "stop_sequences": ["x"],
    "metadata": {"user_id": "u"},
}
GEMINI = {
    "contents": [
        {"role": "user", "parts": [{"text": "Hi"}]},
        {
            "role": "model",
            "parts": [
                {
                    "functionCall": {"name": "weather", "args": {"city": "Bern"}},
                    "thoughtSignature": "sig",
                }
            ],
        },
        {
            "role": "user",
            "parts": [{"functionResponse": {"name": "weather", "response": {"sky": "rain"}}}],
        },
    ],
    "system_instruction": {"parts": [{"text": "Be brief."}]},
    "tools": [{"function_declarations": [WEATHER | {"parameters": SCHEMA}]}],
    "generationConfig": {"maxOutputTokens": 9, "temperature": 0.5, "imageConfig": {"n": 1}},
    "safetySettings": [{"category": "c", "threshold": "t"}],
}
ANSWERED = {"output": [], "status": "completed", "id": "r"}
CANDIDATE = {"content": {"role": "model", "parts": [{"text": "Hi"}]}, "finishReason": "STOP"}
WIRES = {
    "openai-chat": ("openai", CHAT, chat(content="Hi")),
    "openai-responses": ("openai", RESPONSES, ANSWERED),
    "anthropic-messages": (
        "anthropic",
        MESSAGES,
        {"type": "message", "id": "m", "content": [], "stop_reason": "end_turn"},
    ),
    "gemini": ("google", GEMINI, {"candidates": [CANDIDATE]}),
    **REQUESTS,
}


def write(root, wire, request) -> None:
    provider, _, body = WIRES[wire]
    url = "https://host/v1beta/models/gemini-2.5-flash:generateContent"
    case(root, "a", body, {}, provider=provider, wire=wire, request=request, url=url)


@plugins
@pytest.mark.parametrize("wire", WIRES)
async def test_what_we_send_is_what_was_recorded(tmp_path, wire) -> None:
    write(tmp_path, wire, WIRES[wire][1])
    (verdict,) = await run_cases(cases_of(tmp_path), cuts=0)
    assert (verdict.why, verdict.notes) == ("", "")
    assert verdict.request in {"same", "equal"}


@pytest.mark.parametrize("wire", WIRES)
def test_nothing_is_read_away(tmp_path, wire) -> None:
    write(tmp_path, wire, WIRES[wire][1])
    (one,) = cases_of(tmp_path)
    assert request_of(one, WIRES[wire][0]) is not None
    assert request_differences(one, copy.deepcopy(dict(one.request))) == []
    for place in [*leaves(one.request)]:
        other = copy.deepcopy(dict(one.request))
        change(other, place)
        assert request_differences(one, other), place


def leaves(told, before=()):
    """The places of all values."""
    pairs = told.items() if isinstance(told, dict) else enumerate(told)
    for name, one in pairs:
        if isinstance(one, (dict, list)) and one:
            yield from leaves(one, (*before, name))
        else:
            yield (*before, name)


def change(told, place) -> None:
    """Give a place another value."""
    for name in place[:-1]:
        told = told[name]
    told[place[-1]] = f"{told[place[-1]]}?"


@plugins
async def test_what_we_send_otherwise_is_told(tmp_path, monkeypatch) -> None:
    write(tmp_path, "openai-chat", CHAT)
    monkeypatch.setattr("llmmw_openai._request._WIRE", {"temperature": "heat"})
    monkeypatch.setattr("llmmw_openai._messages._call", lambda part, preset: {"id": "no"})
    (verdict,) = await run_cases(cases_of(tmp_path), cuts=0)
    assert (verdict.status, verdict.request, verdict.why) == ("passed", "other", "")
    (strict,) = await run_cases(cases_of(tmp_path), cuts=0, strict=True)
    assert (strict.status, strict.why) == ("failed", verdict.notes)
    for sign in (
        "temperature is null, was 0.5",
        "heat is 0.5, was null",
        'id is "no", was "call_1"',
    ):
        assert sign in verdict.notes


@plugins
def test_a_note_fails_a_strict_run_alone(tmp_path, monkeypatch) -> None:
    write(tmp_path, "openai-chat", CHAT)
    monkeypatch.setattr("llmmw_openai._request._WIRE", {"temperature": "heat"})
    done = CliRunner().invoke(conformance, [str(tmp_path), "--cuts", "0"])
    assert done.exit_code == 0
    assert "note on a\n    request: temperature is null" in done.output
    done = CliRunner().invoke(conformance, [str(tmp_path), "--cuts", "0", "--strict"])
    assert done.exit_code == 1
    assert "failed a\n    request: temperature is null" in done.output


@plugins
async def test_requests_that_are_refused_or_not_read(tmp_path) -> None:
    plain = {"model": "gpt-4o", "messages": [{"role": "user", "content": "Hi"}]}
    recorded = {
        "same": plain,
        "equal": plain | {"stream": False},
        "refused": plain | {"model": "o3", "temperature": 0.5},
        "unread": plain | {"messages": "Hi"},
    }
    for name, request in recorded.items():
        case(tmp_path, name, chat(content="Hi"), {"text": "Hi"}, request=request)
    case(tmp_path, "none", chat(content="Hi"), {"text": "Hi"})
    verdicts = await run_cases(cases_of(tmp_path), cuts=0)
    assert {one.case.id: one.request for one in verdicts} == {
        name: name for name in [*recorded, "none"]
    }
    assert {one.status for one in verdicts} == {"passed"}
    assert ["temperature" in one.refused for one in verdicts] == [
        one.case.id == "refused" for one in verdicts
    ]
