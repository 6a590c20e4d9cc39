"""Exchanges of the wires of Bedrock, Cohere, Mistral and Ollama: what was asked, and what is to go
back."""

from __future__ import annotations

import json

SCHEMA = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
PIXEL = "iVBORw0KGgo="
FUNCTION = {"name": "weather", "description": "How it is.", "parameters": SCHEMA}
TOOLS = [{"type": "function", "function": FUNCTION}]
CALLED = {"name": "weather", "arguments": '{"city":"Bern"}'}
USE = {"toolUseId": "use_1", "name": "weather", "input": {"city": "Bern"}}
SPEC = {"name": "weather", "description": "How it is.", "inputSchema": {"json": SCHEMA}}
THOUGHT = {"reasoningContent": {"reasoningText": {"text": "So be it.", "signature": "sig"}}}
SEALED = {"reasoningContent": {"redactedContent": "c2VhbGVk"}}

BEDROCK = {
    "system": [{"text": "Be brief."}, {"cachePoint": {"type": "default"}}],
    "messages": [
        {
            "role": "user",
            "content": [
                {"text": "Hi"},
                {"image": {"format": "png", "source": {"bytes": PIXEL}}},
            ],
        },
        {"role": "assistant", "content": [THOUGHT, SEALED, {"toolUse": USE}]},
        {
            "role": "user",
            "content": [
                {
                    "toolResult": {
                        "toolUseId": "use_1",
                        "content": [{"text": "rain"}],
                        "status": "error",
                    }
                },
                {"text": "Go on."},
            ],
        },
    ],
    "inferenceConfig": {"maxTokens": 9, "temperature": 0.5, "stopSequences": ["x"]},
    "toolConfig": {"tools": [{"toolSpec": SPEC}], "toolChoice": {"tool": {"name": "weather"}}},
    "additionalModelRequestFields": {"top_k": 5},
    "guardrailConfig": {"guardrailIdentifier": "g", "guardrailVersion": "1"},
}
COHERE = {
    "model": "command-a-03-2025",
    "messages": [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": "Hi"},
        {
            "role": "assistant",
            "tool_plan": "I will look.",
            "tool_calls": [{"id": "w_1", "type": "function", "function": CALLED}],
        },
        {"role": "tool", "tool_call_id": "w_1", "content": "rain"},
    ],
    "tools": TOOLS,
    "tool_choice": "REQUIRED",
    "max_tokens": 9,
    "p": 0.5,
    "k": 5,
    "seed": 1,
    "stop_sequences": ["x"],
    "safety_mode": "STRICT",
    "stream": False,
}
OLLAMA = {
    "model": "llama3.2",
    "messages": [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": "Hi", "images": [PIXEL]},
        {
            "role": "assistant",
            "thinking": "So be it.",
            "tool_calls": [{"function": {"name": "weather", "arguments": {"city": "Bern"}}}],
        },
        {"role": "tool", "content": "rain", "tool_name": "weather"},
    ],
    "tools": TOOLS,
    "options": {"temperature": 0.5, "num_predict": 9, "seed": 1, "num_ctx": 2048},
    "keep_alive": "5m",
}
MISTRAL = {
    "model": "mistral-small-latest",
    "messages": [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": [{"type": "text", "text": "Hi"}]},
        {
            "role": "assistant",
            "content": "",
            "tool_calls": [{"id": "w12345678", "type": "function", "function": CALLED}],
        },
        {"role": "tool", "tool_call_id": "w12345678", "content": "rain"},
    ],
    "tools": TOOLS,
    "tool_choice": "any",
    "max_tokens": 9,
    "random_seed": 1,
    "safe_prompt": True,
}
SAYS = {"role": "assistant", "content": [{"text": "Hi"}]}
CHOICE = {"index": 0, "message": {"role": "assistant", "content": "Hi"}, "finish_reason": "stop"}
REQUESTS = {
    "bedrock-converse": (
        "aws-bedrock",
        BEDROCK,
        {"output": {"message": SAYS}, "stopReason": "end_turn", "usage": {"inputTokens": 1}},
    ),
    "cohere-v2": ("cohere", COHERE, {"id": "c", "message": SAYS, "finish_reason": "COMPLETE"}),
    "ollama-chat": (
        "ollama",
        OLLAMA,
        {"message": {"role": "assistant", "content": "Hi"}, "done": True, "done_reason": "stop"},
    ),
    "mistral-chat": ("mistral", MISTRAL, {"id": "m", "choices": [CHOICE]}),
}


def lines(*rows: dict) -> bytes:
    return b"".join(json.dumps(row).encode() + b"\n" for row in rows)


def delta(index: int, **told) -> dict:
    return {"contentBlockDelta": {"contentBlockIndex": index, "delta": told}}


FROM_BEDROCK = lines(
    {"messageStart": {"role": "assistant"}},
    delta(0, reasoningContent={"text": "So "}),
    delta(0, reasoningContent={"text": "be it."}),
    delta(0, reasoningContent={"signature": "sig"}),
    {"contentBlockStop": {"contentBlockIndex": 0}},
    delta(1, reasoningContent={"redactedContent": "c2VhbGVk"}),
    delta(2, text="I "),
    delta(2, text="look."),
    {
        "contentBlockStart": {
            "contentBlockIndex": 3,
            "start": {"toolUse": {"toolUseId": "use_1", "name": "weather"}},
        }
    },
    delta(3, toolUse={"input": '{"city":'}),
    delta(3, toolUse={"input": '"Bern"}'}),
    {"contentBlockStop": {"contentBlockIndex": 3}},
    {"messageStop": {"stopReason": "tool_use"}},
    {"metadata": {"usage": {"inputTokens": 1, "outputTokens": 2}}},
)
HELLO = {"role": "user", "content": "hello"}
TO_BEDROCK = {
    "messages": [
        {"role": "user", "content": [{"text": "hello"}, {"cachePoint": {"type": "default"}}]},
        {"role": "assistant", "content": [THOUGHT, SEALED, {"text": "I look."}, {"toolUse": USE}]},
        {
            "role": "user",
            "content": [{"toolResult": {"toolUseId": "use_1", "content": [{"text": "done"}]}}],
        },
    ],
    "toolConfig": {"tools": [{"toolSpec": SPEC}]},
}


def said(kind: str, index: int | None = None, **message) -> dict:
    """An event of Cohere's."""
    at = {} if index is None else {"index": index}
    return {"type": kind, **at, "delta": {"message": message}}


FROM_COHERE = lines(
    {"id": "c", **said("message-start", role="assistant")},
    said("tool-plan-delta", tool_plan="I will "),
    said("tool-plan-delta", tool_plan="look."),
    said(
        "tool-call-start",
        0,
        tool_calls={"id": "w_1", "type": "function", "function": CALLED | {"arguments": ""}},
    ),
    said("tool-call-delta", 0, tool_calls={"function": {"arguments": '{"city":'}}),
    said("tool-call-delta", 0, tool_calls={"function": {"arguments": '"Bern"}'}}),
    {"type": "tool-call-end", "index": 0},
    {"type": "message-end", "delta": {"finish_reason": "TOOL_CALL", "usage": {}}},
)
TO_COHERE = {"messages": [HELLO, COHERE["messages"][2], COHERE["messages"][3]]}
FROM_OLLAMA = lines(
    {"message": {"role": "assistant", "thinking": "So "}, "done": False},
    {"message": {"role": "assistant", "thinking": "be it."}, "done": False},
    {"message": {"role": "assistant", "content": "I look."}, "done": False},
    {"message": OLLAMA["messages"][2] | {"thinking": ""}, "done": False},
    {"message": {"role": "assistant", "content": ""}, "done": True, "done_reason": "stop"},
)
TO_OLLAMA = {
    "messages": [
        HELLO,
        OLLAMA["messages"][2] | {"content": "I look."},
        {"role": "tool", "content": "done", "tool_name": "weather"},
    ]
}
BARE = {"mode": "stream", "framing": "bare-json-lines"}
REPLAYS = {
    "aws-bedrock": ("bedrock-converse", FROM_BEDROCK, TO_BEDROCK, BARE),
    "cohere": ("cohere-v2", FROM_COHERE, TO_COHERE, BARE),
    "ollama": ("ollama-chat", FROM_OLLAMA, TO_OLLAMA, BARE | {"framing": "ndjson"}),
}
