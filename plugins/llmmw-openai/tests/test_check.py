"""What every provider must do, over all APIs."""

from __future__ import annotations

import json

import pytest
from llmmw_openai._provider import OpenAI

from llmmw import CountTokens, Embed, Generate
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
    """Reasoning, a message and a call, each in pieces."""
    thought = {"id": "rs_1", "type": "reasoning", "summary": []}
    call = {"id": "fc_1", "type": "function_call", "call_id": "c_1", "name": "f", "arguments": ""}
    first = {"item_id": "rs_1", "output_index": 0, "summary_index": 0}
    at = {"item_id": "msg_1", "output_index": 1, "content_index": 0}
    third = {"item_id": "fc_1", "output_index": 2}
    done = [
        thought | {"summary": [{"type": "summary_text", "text": "So."}]},
        item("Hi, grün.") | {"status": "completed"},
        call | {"arguments": '{"x": "ü"}'},
    ]
    text = "response.output_text"
    block = {"type": "output_text", "text": "", "annotations": []}
    part = {"type": "summary_text", "text": ""}
    events = [
        {"type": "response.created", "response": response("in_progress", usage=None)},
        {"type": "response.output_item.added", "output_index": 0, "item": thought},
        {"type": "response.reasoning_summary_part.added", **first, "part": part},
        {"type": "response.reasoning_summary_text.delta", **first, "delta": "So."},
        {"type": "response.output_item.done", "output_index": 0, "item": done[0]},
        {"type": "response.output_item.added", "output_index": 1, "item": item("")},
        {"type": "response.content_part.added", **at, "part": block},
        {"type": f"{text}.delta", **at, "delta": "Hi, "},
        {"type": f"{text}.delta", **at, "delta": "grün."},
        {"type": f"{text}.done", **at, "text": "Hi, grün."},
        {"type": "response.output_item.done", "output_index": 1, "item": done[1]},
        {"type": "response.output_item.added", "output_index": 2, "item": call},
        {"type": "response.function_call_arguments.delta", **third, "delta": '{"x": '},
        {"type": "response.function_call_arguments.delta", **third, "delta": '"ü"}'},
        {"type": "response.output_item.done", "output_index": 2, "item": done[2]},
        {"type": "response.completed", "response": response("completed", *done)},
    ]
    numbered = [one | {"sequence_number": number} for number, one in enumerate(events)]
    return Exchange(
        request=Generate(messages=["hello"]),
        body=json.dumps(response("completed", *done)).encode(),
        stream=sse(*numbered, done=False),
    )


def completion() -> Exchange:
    """Legacy Completions, which have a text in place of a message."""
    head = {"id": "c-1", "object": "text_completion", "model": "m-1", "created": 7}

    def piece(text, finish=None):
        choice = {"index": 0, "text": text, "logprobs": None, "finish_reason": finish}
        return head | {"choices": [choice]}

    pieces = [piece("Hi, "), piece("grün."), piece("", "stop")]
    return Exchange(
        request=Generate(prompt="Once"),
        body=json.dumps(piece("Hi, grün.", "stop") | {"usage": USAGE}).encode(),
        stream=sse(*pieces, head | {"choices": [], "usage": USAGE}),
    )


COUNT = Exchange(
    request=CountTokens(messages=["hello"]),
    body=json.dumps({"object": "response.input_tokens", "input_tokens": 7}).encode(),
)


def by(preset, *, key="api_key", **options):
    def make(base_url, secret):
        return OpenAI(name=preset, preset=preset, base_url=base_url, **{key: secret}, **options)

    return make


async def test_chat() -> None:
    await check_provider(by("openai"), [TEXT, TOOL])


async def test_azure() -> None:
    await check_provider(by("azure", key="token", api_version="2024-10-21"), TOOL)


async def test_a_prompt() -> None:
    await check_provider(by("vllm"), completion())


async def test_vectors() -> None:
    await check_provider(by("openai"), EMBED)


@pytest.mark.parametrize("preset", ["openai", "llama.cpp"])
async def test_a_count(preset) -> None:
    await check_provider(by(preset), COUNT)


@pytest.mark.parametrize("preset", ["openai-responses", "azure"])
async def test_responses(preset) -> None:
    await check_provider(by(preset, api="responses"), responses())
