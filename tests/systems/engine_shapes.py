"""The shapes in which an LLM Engine server answers, and what it checks of what it is asked."""

from __future__ import annotations

import base64
import json
from typing import Any

from llmmw.testing import Answer, Received

KEY = "scale-far-end-0123456789"
PREFIX = "/llm-engine"


class Refused(Exception):
    """What FastAPI answers for an `HTTPException`."""

    def __init__(self, status: int, detail: Any) -> None:
        self.status, self.detail = status, detail


def endpoint(name: str, **fields: Any) -> dict[str, Any]:
    """A model endpoint as the host tells it."""
    rest = {"source": "hugging_face", "status": "READY", "inference_framework": "vllm"}
    return {"id": None, "name": name, "model_name": None, **rest, "spec": None, **fields}


V1 = {
    "temperature": (0, 1),
    "presence_penalty": (0, 2),
    "frequency_penalty": (0, 2),
    "top_k": (-1, 10**9),
    "top_p": (0, 1),
}
JOB = {"data_parallelism": (1, 64), "max_runtime_sec": (1, 172_800)}


def validate(body: dict[str, Any], bounds: dict[str, Any], kinds: dict[str, Any]) -> None:
    for name, kind in kinds.items():
        needed(body, name)
        if not isinstance(body[name], kind):
            raise Refused(422, [{"loc": ["body", name], "msg": "wrong type", "type": "type_error"}])
    for name, (low, high) in bounds.items():
        number = body.get(name)
        if number is not None and not low <= number <= high:
            raise Refused(422, [{"loc": ["body", name], "msg": "out of range", "type": "value"}])


def needed(body: dict[str, Any], name: str) -> None:
    if name not in body:
        raise Refused(422, [{"loc": ["body", name], "msg": "field required", "type": "missing"}])


def user_of(received: Received) -> str:
    headers = {name.lower(): told for name, told in received.headers.items()}
    kind, _, told = headers.get("authorization", "").partition(" ")
    user = told
    if kind == "Basic":
        user, colon, password = base64.b64decode(told).decode().partition(":")
        assert (colon, password) == (":", "")
    if not user or user != headers.get("x-api-key") or user not in {KEY, "root"}:
        raise Refused(401, "No authentication was passed in")
    return user


def uploaded(received: Received) -> tuple[str, bytes]:
    headers = {name.lower(): told for name, told in received.headers.items()}
    mark = b"--" + headers["content-type"].partition("boundary=")[2].encode()
    (part,) = received.body.split(mark)[1:-1]
    head, _, data = part.removeprefix(b"\r\n").removesuffix(b"\r\n").partition(b"\r\n\r\n")
    assert b'name="file"' in head
    return head.partition(b'filename="')[2].partition(b'"')[0].decode(), data


def message(text: str, body: dict[str, Any]) -> dict[str, Any]:
    if not body.get("tools"):
        return {"role": "assistant", "content": text.upper()}
    name = body["tools"][0]["function"]["name"]
    call = {"id": "call-1", "type": "function", "function": {"name": name, "arguments": "{}"}}
    return {"role": "assistant", "content": None, "tool_calls": [call]}


def tune_told(tune: dict[str, Any]) -> dict[str, Any]:
    status = "CANCELLED" if tune.get("cancelled") else "RUNNING" if tune["left"] > 0 else "SUCCESS"
    made = tune["model"] if status == "SUCCESS" else None
    return {"id": tune["id"], "fine_tuned_model": made, "status": tune.get("status", status)}


def job_told(job: dict[str, Any]) -> dict[str, Any]:
    status = "cancelled" if job.get("cancelled") else "running" if job["left"] > 0 else "completed"
    asked = job["asked"]
    return {
        "job_id": job["job_id"],
        "input_data_path": asked.get("input_data_path"),
        "output_data_path": asked["output_data_path"],
        "model_config": asked["model_config"],
        "priority": asked.get("priority"),
        "status": job.get("status", status),
        "created_at": "2024-08-01 10:00:00+00:00",
        "expires_at": "2024-08-02 10:00:00+00:00",
        "completed_at": None,
        "metadata": None,
    }


def events(rows: list[dict[str, Any]], *, done: bool = False) -> Answer:
    """As sse-starlette writes them: lines end with CRLF, and comments keep the line open."""
    ping = ": ping - 2024-08-01 10:00:00+00:00\r\n\r\n"
    told = [f"data: {json.dumps(row)}\r\n\r\n{ping}" for row in rows]
    end = "data: [DONE]\r\n\r\n" if done else ""
    headers = {"Content-Type": "text/event-stream; charset=utf-8"}
    return Answer(headers=headers, pieces=[one.encode() for one in [ping, *told, end] if one])


def json_answer(data: Any, status: int = 200) -> Answer:
    headers = {"Content-Type": "application/json"}
    return Answer(status=status, headers=headers, body=json.dumps(data).encode())
