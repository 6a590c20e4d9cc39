"""Answers that go back as history: each rule of a host finds what breaks it."""

from __future__ import annotations

import copy
import json

import pytest

from llmmw import Message
from llmmw.testing.conformance import cases_of, run_cases
from llmmw.testing.conformance._replay import replay_differences
from tests.testing.conformance_wires import REPLAYS
from tests.testing.test_conformance import STREAM, case, chunk, sse

plugins = pytest.mark.plugins


def deltas(*rows: dict) -> bytes:
    return "".join(f"event: {row['type']}\ndata: {json.dumps(row)}\n\n" for row in rows).encode()


def block(index: int, begin: dict, *pieces: dict) -> list[dict]:
    return [
        {"type": "content_block_start", "index": index, "content_block": begin},
        *({"type": "content_block_delta", "index": index, "delta": piece} for piece in pieces),
        {"type": "content_block_stop", "index": index},
    ]


THINKS = {"type": "thinking", "thinking": "I will look.", "signature": "sig"}
SEALED = {"type": "redacted_thinking", "data": "sealed"}
USES = {"type": "tool_use", "id": "toolu_1", "name": "weather", "input": {"city": "Bern"}}
ANTHROPIC = deltas(
    {"type": "message_start", "message": {"id": "m", "type": "message", "content": []}},
    *block(
        0,
        {"type": "thinking", "thinking": ""},
        {"type": "thinking_delta", "thinking": "I will "},
        {"type": "thinking_delta", "thinking": "look."},
        {"type": "signature_delta", "signature": "sig"},
    ),
    *block(1, SEALED),
    *block(
        2,
        USES | {"input": {}},
        {"type": "input_json_delta", "partial_json": '{"city": '},
        {"type": "input_json_delta", "partial_json": '"Bern"}'},
    ),
    {"type": "message_delta", "delta": {"stop_reason": "tool_use"}, "usage": {}},
    {"type": "message_stop"},
)
RESULT = {"type": "tool_result", "tool_use_id": "toolu_1", "content": "done"}
TO_ANTHROPIC = {
    "messages": [
        {
            "role": "user",
            "content": [{"type": "text", "text": "hello", "cache_control": {"type": "ephemeral"}}],
        },
        {"role": "assistant", "content": [THINKS, SEALED, USES]},
        {"role": "user", "content": [RESULT]},
    ],
    "tools": [{"name": "weather"}],
}
REASONS = {"type": "reasoning", "id": "rs_1", "summary": [], "encrypted_content": "sealed"}
CALLS = {"type": "function_call", "id": "fc", "call_id": "c1", "name": "weather", "arguments": "{}"}
RESPONSES = json.dumps({"output": [REASONS, CALLS], "status": "completed"}).encode()
TO_RESPONSES = {
    "input": [
        {"role": "user", "content": "hello"},
        REASONS,
        CALLS,
        {"type": "function_call_output", "call_id": "c1", "output": "done"},
    ]
}
SIGNED = {"functionCall": {"name": "weather", "args": {"city": "Bern"}}, "thoughtSignature": "sig"}
GEMINI = sse(
    json.dumps({"candidates": [{"content": {"parts": [{"text": "So "}]}}]}),
    json.dumps({"candidates": [{"content": {"parts": [{"text": "be it."}, SIGNED]}}]}),
    json.dumps({"candidates": [{"content": {"parts": []}, "finishReason": "STOP"}]}),
    done=False,
)
TO_GEMINI = {
    "contents": [
        {"role": "user", "parts": [{"text": "hello"}]},
        {"role": "model", "parts": [{"text": "So be it."}, SIGNED]},
        {"role": "user", "parts": [{"functionResponse": {"name": "weather", "response": {}}}]},
    ]
}
FUNCTION = {"name": "weather", "arguments": '{"city":  "Bern"}'}
CALL = {"id": "call_1", "type": "function", "function": FUNCTION}
DEEP = sse(
    chunk(reasoning_content="So "),
    chunk(reasoning_content="be it."),
    chunk(tool_calls=[{"index": 0, "id": "call_1", "function": FUNCTION | {"arguments": ""}}]),
    chunk(tool_calls=[{"index": 0, "function": {"arguments": '{"city":  '}}]),
    chunk(tool_calls=[{"index": 0, "function": {"arguments": '"Bern"}'}}]),
    chunk(finish="tool_calls"),
)
TO_DEEP = {
    "messages": [
        {"role": "user", "content": "hello"},
        {
            "role": "assistant",
            "content": None,
            "reasoning_content": "So be it.",
            "tool_calls": [CALL],
        },
        {"role": "tool", "tool_call_id": "call_1", "content": "done"},
    ]
}
DETAILS = [{"type": "reasoning.text", "text": "So", "signature": "sig", "index": 0}]
ROUTED = sse(chunk(reasoning_details=DETAILS), chunk(content="Hi"), chunk(finish="stop"))
TO_ROUTER = {
    "messages": [
        {"role": "user", "content": "hello"},
        {"role": "assistant", "content": "Hi", "reasoning_details": DETAILS},
    ]
}
WIRES = {
    "anthropic": ("anthropic-messages", ANTHROPIC, TO_ANTHROPIC, STREAM),
    "openai": ("openai-responses", RESPONSES, TO_RESPONSES, {}),
    "google": ("gemini", GEMINI, TO_GEMINI, STREAM),
    "deepseek": ("openai-chat", DEEP, TO_DEEP, STREAM),
    "openrouter": ("openai-chat", ROUTED, TO_ROUTER, STREAM),
    **REPLAYS,
}


def write(root, provider):
    wire, body, sent, fields = WIRES[provider]
    case(root, provider, body, {}, provider=provider, wire=wire, **fields)
    (one,) = cases_of(root)
    return one, copy.deepcopy(sent)


def breaches(one, sent) -> str:
    return "; ".join(replay_differences(one, [Message("tool", ())], sent))


@plugins
@pytest.mark.parametrize("provider", WIRES)
async def test_the_providers_send_their_answers_back(tmp_path, provider) -> None:
    write(tmp_path, provider)
    (verdict,) = await run_cases(cases_of(tmp_path), cuts=0)
    assert (verdict.status, verdict.why, verdict.notes) == ("passed", "", "")
    assert verdict.replays == (1 if provider == "openrouter" else 2)


@pytest.mark.parametrize("provider", WIRES)
def test_what_is_right_breaks_no_rule(tmp_path, provider) -> None:
    assert breaches(*write(tmp_path, provider)) == ""


def drop(*place):
    """Take out what stands at a place."""

    def change(sent):
        for name in place[:-1]:
            sent = sent[name]
        del sent[place[-1]]

    return change


def put(*place):
    """Put the last at the place that the others say."""

    def change(sent):
        for name in place[:-2]:
            sent = sent[name]
        sent[place[-2]] = place[-1]

    return change


def turn(*place):
    """Turn the order at a place."""

    def change(sent):
        for name in place:
            sent = sent[name]
        sent.reverse()

    return change


SPOKEN = {"text": "Go on."}
DONE = {"toolResult": {"toolUseId": "use_1", "content": [{"text": "done"}]}}


@pytest.mark.parametrize(
    ("provider", "change", "sign"),
    [
        ("anthropic", drop("messages", 1, "content", 0, "signature"), "block 0"),
        ("anthropic", put("messages", 1, "content", 0, "thinking", "I'll look."), "block 0"),
        ("anthropic", drop("messages", 1, "content", 0), "block 0"),
        ("anthropic", put("messages", 1, "content", 1, "data", "other"), "block 1"),
        ("anthropic", turn("messages", 1, "content"), "block 0"),
        ("anthropic", put("messages", 1, "content", 2, "id", "toolu_2"), "block 2"),
        ("anthropic", put("messages", 1, "content", 2, "input", {}), "block 2"),
        ("anthropic", put("messages", 2, "content", 0, "tool_use_id", "toolu_2"), "results of"),
        ("anthropic", put("messages", 2, "content", [{"type": "text"}, RESULT]), "results of"),
        ("anthropic", put("messages", 2, "content", [RESULT, RESULT]), "results of"),
        ("anthropic", drop("messages", 0, "content", 0, "cache_control"), "the mark of the cache"),
        ("anthropic", drop("tools"), "are not declared"),
        ("openai", drop("input", 1), "item 0"),
        ("openai", drop("input", 1, "encrypted_content"), "item 0"),
        ("openai", put("input", 1, "id", "rs_2"), "item 0"),
        ("openai", put("input", 2, "call_id", "c2"), "item 1"),
        ("openai", put("input", 3, "call_id", "c2"), "not the outputs"),
        ("openai", put("input", [{}, CALLS, REASONS, TO_RESPONSES["input"][3]]), "item 0"),
        ("google", drop("contents", 1, "parts", 1, "thoughtSignature"), "part 1"),
        ("google", put("contents", 1, "parts", 0, "thoughtSignature", "sig"), "part 0"),
        ("google", put("contents", 1, "parts", 1, "functionCall", {"name": "wind"}), "part 1"),
        ("google", turn("contents", 1, "parts"), "part 0"),
        ("google", put("contents", 1, "parts", 0, "text", "So"), "part 0"),
        ("google", put("contents", 2, "parts", [{"text": "done"}]), "responses of"),
        ("deepseek", drop("messages", 1, "reasoning_content"), "reasoning_content"),
        ("deepseek", put("messages", 1, "tool_calls", 0, "id", "call_2"), "a call"),
        ("deepseek", put("messages", 1, "tool_calls", []), "0 calls"),
        (
            "deepseek",
            put("messages", 1, "tool_calls", 0, "function", "arguments", '{"city":"Bern"}'),
            "a call",
        ),
        ("deepseek", put("messages", 2, "tool_call_id", "call_2"), "results of"),
        ("deepseek", drop("messages", 2), "results of"),
        ("openrouter", drop("messages", 1, "reasoning_details"), "reasoning_details"),
        ("openrouter", put("messages", 1, "content", "Ho"), "text"),
        ("openrouter", drop("messages", 1), "0 messages"),
        ("aws-bedrock", drop("messages", 1, "content", 0), "block 0"),
        ("aws-bedrock", put("messages", 1, "content", 1, SPOKEN), "block 1"),
        ("aws-bedrock", turn("messages", 1, "content"), "block 0"),
        ("aws-bedrock", put("messages", 1, "content", 3, "toolUse", "input", {}), "block 3"),
        ("aws-bedrock", drop("messages", 2), "the roles are"),
        ("aws-bedrock", put("messages", 2, "content", [SPOKEN]), "has results of"),
        ("aws-bedrock", put("messages", 2, "content", [SPOKEN, DONE]), "do not begin the turn"),
        ("aws-bedrock", drop("toolConfig"), "none is declared"),
        ("cohere", drop("messages", 1, "tool_plan"), "plan is"),
        ("cohere", put("messages", 1, "content", "Ho"), "text is"),
        ("cohere", put("messages", 1, "content", "Ho"), "content beside the calls"),
        ("cohere", put("messages", 1, "tool_calls", 0, "id", "w_2"), "call 0"),
        ("cohere", put("messages", 1, "tool_calls", []), "call"),
        ("cohere", put("messages", 2, "tool_call_id", "w_2"), "results of"),
        ("ollama", put("messages", 1, "content", "Ho"), "content is"),
        ("ollama", put("messages", 1, "thinking", "Ho"), "thinking is"),
        ("ollama", put("messages", 1, "tool_calls", []), "call"),
        ("ollama", put("messages", 1, "tool_calls", 0, "function", "arguments", "{}"), "call 0"),
        ("ollama", drop("messages", 2, "tool_name"), "results of [None]"),
        ("ollama", drop("messages", 1), "0 messages"),
    ],
)
def test_each_rule_finds_what_breaks_it(tmp_path, provider, change, sign) -> None:
    one, sent = write(tmp_path, provider)
    change(sent)
    assert sign in breaches(one, sent)


@plugins
async def test_an_answer_that_goes_back_otherwise_fails_its_case(tmp_path, monkeypatch) -> None:
    write(tmp_path, "anthropic")
    monkeypatch.setattr("llmmw_anthropic._messages._is_ours", lambda part: False)
    (verdict,) = await run_cases(cases_of(tmp_path), cuts=0, strict=True)
    assert verdict.status == "failed"
    assert verdict.why.startswith("replay: block 0")
    (verdict,) = await run_cases(cases_of(tmp_path), cuts=0)
    assert (verdict.status, verdict.why) == ("passed", "")
    assert verdict.notes.startswith("replay: block 0")


@plugins
@pytest.mark.parametrize(
    "called",
    [
        {"function_call": {"name": "f", "arguments": '{"a":  1}'}},
        {"tool_calls": [{"id": "c", "function": {"name": "f", "arguments": {"a": 1}}}]},
        {
            "function_call": {"name": "", "arguments": ""},
            "tool_calls": [{"id": "c", "function": {"name": "f", "arguments": None}}],
        },
    ],
)
async def test_calls_of_other_forms_go_back_as_calls(tmp_path, called) -> None:
    message = {"role": "assistant", "content": None, **called}
    body = {"id": "c", "choices": [{"message": message, "finish_reason": "tool_calls"}]}
    case(tmp_path, "a", body, {"finish_reason": "tool_calls"})
    (verdict,) = await run_cases(cases_of(tmp_path), cuts=0)
    assert (verdict.status, verdict.notes, verdict.replays) == ("passed", "", 2)
