"""What every provider must do, over both APIs that generate, and for vectors."""

from __future__ import annotations

import json

import pytest
from llmmw_openai._provider import OpenAI

from llmmw import Embed, Generate
from llmmw.testing import Exchange, check_provider

pytestmark = pytest.mark.plugins

CALL = {"id": "call_1", "type": "function", "function": {"name": "f", "arguments": '{"x": "ü"}'}}
USAGE = {"prompt_tokens": 3, "completion_tokens": 5, "total_tokens": 8}


def chunk(delta, finish=None):
    choice = {"index": 0, "delta": delta, "finish_reason": finish}
    return {"id": "c-1", "model": "m-1", "created": 7, "choices": [choice]}


def sse(*events, done=True) -> bytes:
    rows = [f"data: {json.dumps(one, ensure_ascii=False)}\n\n" for one in events]
    return "".join([*rows, "data: [DONE]\n\n" * done]).encode()


def chat(message, chunks, finish):
    whole = {"index": 0, "message": {"role": "assistant", **message}, "finish_reason": finish}
    body = {"id": "c-1", "model": "m-1", "created": 7, "choices": [whole], "usage": USAGE}
    told = [chunk({"role": "assistant"}), *map(chunk, chunks), chunk({}, finish)]
    usage = {"id": "c-1", "model": "m-1", "created": 7, "choices": [], "usage": USAGE}
    return Exchange(
        request=Generate(messages=["hello"]),
        body=json.dumps(body).encode(),
        stream=sse(*told, usage),
    )


TEXT = chat({"content": "Hi, grün."}, [{"content": "Hi, "}, {"content": "grün."}], "stop")
TOOL = chat(
    {"content": None, "tool_calls": [CALL]},
    [
        {"tool_calls": [CALL | {"index": 0, "function": {"name": "f", "arguments": ""}}]},
        {"tool_calls": [{"index": 0, "function": {"arguments": '{"x": '}}]},
        {"tool_calls": [{"index": 0, "function": {"arguments": '"ü"}'}}]},
    ],
    "tool_calls",
)
VECTORS = {
    "data": [{"index": 0, "embedding": [0.5, 1.0]}],
    "model": "m-1",
    "usage": {"prompt_tokens": 2, "total_tokens": 2},
}
EMBED = Exchange(request=Embed(inputs=["hello"]), body=json.dumps(VECTORS).encode())


def item(text):
    content = [{"type": "output_text", "text": text, "annotations": []}]
    return {"id": "msg_1", "type": "message", "role": "assistant", "content": content}


def response(status, *items, **more):
    usage = {"input_tokens": 3, "output_tokens": 5, "total_tokens": 8}
    told = {"id": "resp_1", "object": "response", "model": "m-1", "created_at": 7}
    return told | {"status": status, "output": list(items), "usage": usage} | more


def responses() -> Exchange:
    at = {"item_id": "msg_1", "output_index": 0, "content_index": 0}
    part = {"type": "output_text", "text": "", "annotations": []}
    done = item("Hi, grün.") | {"status": "completed"}
    events = [
        {"type": "response.created", "response": response("in_progress", usage=None)},
        {
            "type": "response.output_item.added",
            "output_index": 0,
            "item": item("") | {"content": [], "status": "in_progress"},
        },
        {"type": "response.content_part.added", **at, "part": part},
        {"type": "response.output_text.delta", **at, "delta": "Hi, "},
        {"type": "response.output_text.delta", **at, "delta": "grün."},
        {"type": "response.output_text.done", **at, "text": "Hi, grün."},
        {"type": "response.output_item.done", "output_index": 0, "item": done},
        {"type": "response.completed", "response": response("completed", done)},
    ]
    numbered = [one | {"sequence_number": number} for number, one in enumerate(events)]
    return Exchange(
        request=Generate(messages=["hello"]),
        body=json.dumps(response("completed", done)).encode(),
        stream=sse(*numbered, done=False),
    )


@pytest.mark.parametrize("preset", ["openai", "vllm"])
async def test_chat(preset) -> None:
    def make(base_url, key):
        return OpenAI(name=preset, preset=preset, base_url=base_url, api_key=key)

    await check_provider(make, [TEXT, TOOL])


async def test_vectors() -> None:
    await check_provider(
        lambda base_url, key: OpenAI(name="openai", base_url=base_url, api_key=key), EMBED
    )


async def test_responses() -> None:
    def make(base_url, key):
        return OpenAI(name="openai", base_url=base_url, api_key=key, api="responses")

    await check_provider(make, responses())
