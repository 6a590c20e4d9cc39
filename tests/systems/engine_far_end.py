"""A far end that follows the routes and shapes of an LLM Engine server, over real HTTP on the
loopback: it knows users by `Authorization` alone, checks what its validators check, and answers
each prompt in capitals. What a prompt begins with may make it fail."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from itertools import count
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

import attrs

from llmmw.testing import Answer, Received, open_server
from tests.systems.engine_shapes import (
    JOB,
    KEY,
    PREFIX,
    V1,
    Refused,
    endpoint,
    events,
    job_told,
    json_answer,
    message,
    needed,
    tune_told,
    uploaded,
    user_of,
    validate,
)

__all__ = ["KEY", "PREFIX", "EngineFarEnd", "at", "open_engine"]

_SUFFIX = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-")


@attrs.define(eq=False)
class EngineFarEnd:
    """The state of the server. `looks` at a job in which it has ended."""

    url: str = ""
    looks: int = 2
    slash: bool = True
    """Batches are made at a route with a slash at its end, as FastAPI has it."""
    lose: int = 0
    """How many times the line breaks when a job has been made."""
    heard: Callable[[Received], object] = lambda received: None
    """Called with each request."""
    endpoints: dict[str, dict[str, Any]] = attrs.field(factory=dict)
    files: dict[str, tuple[str, bytes]] = attrs.field(factory=dict)
    tunes: dict[str, dict[str, Any]] = attrs.field(factory=dict)
    jobs: dict[str, dict[str, Any]] = attrs.field(factory=dict)
    outputs: dict[str, bytes] = attrs.field(factory=dict)
    """What jobs have written, by the last part of its address."""
    seen: list[Received] = attrs.field(factory=list)
    users: list[str] = attrs.field(factory=list)
    numbers: Any = attrs.field(factory=lambda: count(1))

    def __attrs_post_init__(self) -> None:
        for name in ("llama-2-7b", "team a/llama?2#7b", "sync-only"):
            self.endpoints[name] = endpoint(name)

    async def __call__(self, received: Received) -> Answer:
        path, _, query = received.path.partition("?")
        if path.startswith("/outputs/"):
            assert "x-api-key" not in {name.lower() for name in received.headers}
            assert "authorization" not in {name.lower() for name in received.headers}
            data = self.outputs.get(path.rpartition("/")[2])
            return Answer(status=404) if data is None else Answer(body=data)
        self.seen.append(received)
        self.heard(received)
        try:
            self.users.append(user_of(received))
            parts = [unquote(one) for one in path.removeprefix(PREFIX).strip("/").split("/")]
            told = self._route(received, parts, path, parse_qs(query))
        except Refused as refused:
            return json_answer({"detail": refused.detail}, refused.status)
        return told if isinstance(told, Answer) else json_answer(told)

    def _route(self, received: Received, parts: list[str], path: str, query: Any) -> Any:
        method = received.method
        if parts[:2] == ["v1", "llm"] and parts[2].startswith("completions-"):
            return self._complete(parts[2], received.json(), query["model_endpoint_name"][0])
        if parts in (["v2", "chat", "completions"], ["v2", "completions"]):
            return self._chat(received.json())
        if parts[:2] == ["v1", "files"]:
            return self._files(received, method, parts[2:])
        if parts[:3] == ["v1", "llm", "model-endpoints"]:
            return self._endpoints(received, method, parts[3:])
        if parts[:3] == ["v1", "llm", "fine-tunes"]:
            return self._tunes(received, method, parts[3:])
        if parts == ["v1", "llm", "batch-completions"]:
            return {"job_id": self._job(received.json(), "v1")["job_id"]}
        if parts == ["v2", "batch-completions"]:
            if self.slash and not path.endswith("/"):
                return Answer(status=307, headers={"Location": f"http://elsewhere.invalid{path}/"})
            made = self._job(received.json(), "v2")
            if self.lose:
                self.lose -= 1
                return Answer(reset=True)
            return job_told(made)
        if parts[:2] == ["v2", "batch-completions"]:
            return self._jobs(received, method, parts[2:])
        raise Refused(404, "Not Found")

    # Completions

    def _complete(self, form: str, body: dict[str, Any], model: str) -> Any:
        validate(body, V1, {"prompt": str, "max_new_tokens": int, "temperature": (int, float)})
        text, number = body["prompt"].upper(), f"req-{next(self.numbers)}"
        self._known(model, "The specified endpoint could not be found.")
        if body["temperature"] == 0 and (body.get("top_k"), body.get("top_p")) != (None, None):
            raise Refused(400, "top_k and top_p can't be enabled when temperature is 0.")
        if text.startswith("INTERNAL"):
            raise Refused(500, f"Upstream service error for request_id {number}.")
        words = [f"{word} " for word in text.split()][: body["max_new_tokens"]]
        counts = {"num_prompt_tokens": len(text.split()), "num_completion_tokens": len(words)}
        tokens = [{"token": word, "log_prob": -0.5} for word in words]
        if form == "completions-sync":
            output = {"text": "".join(words), **counts, "tokens": None}
            if body.get("return_token_log_probs"):
                output["tokens"] = tokens
            return {"request_id": number, "output": output}
        pieces: list[dict[str, Any]] = []
        for place, word in enumerate(words, 1):
            output = {"text": word, "finished": place == len(words), **counts, "token": None}
            output["num_completion_tokens"] = place
            if body.get("return_token_log_probs"):
                output["token"] = tokens[place - 1]
            pieces.append({"request_id": number, "output": output, "error": None})
        if text.startswith("NOTHING"):
            pieces = [{"request_id": number, "output": None, "error": None}]
        if text.startswith("CUT"):
            pieces = pieces[:-1]
        if text.startswith("BREAK"):
            content = {"error": "it broke", "timestamp": "2024-08-01 10:00:00 PDT"}
            error = {"status_code": int(words[1]), "content": content}
            pieces = [*pieces[:1], {"request_id": number, "output": None, "error": error}]
        return events(pieces, done=text.startswith("DONE"))

    def _chat(self, body: dict[str, Any]) -> Any:
        self._known(body["model"], "The specified endpoint could not be found.")
        if body["model"] == "sync-only":
            raise Refused(400, "Unsupported inference type: async")
        prompts = body.get("prompt", [])
        prompts = [prompts] if isinstance(prompts, str) else prompts
        asked = prompts or [body["messages"][-1]["content"]]
        if asked[0].startswith("gone"):
            raise Refused(410, "The model is no longer available.")
        if body.get("stream"):
            return self._chat_stream(asked[0].upper(), body)
        choices = []
        for place, text in enumerate(asked):
            said = {"text": text.upper()} if prompts else {"message": message(text, body)}
            finish = "tool_calls" if body.get("tools") else "stop"
            choices.append({"index": place, "finish_reason": finish, **said})
        usage = {"prompt_tokens": 3, "completion_tokens": 2, "total_tokens": 5}
        return {"id": "c-1", "created": 7, "model": "m", "choices": choices, "usage": usage}

    def _chat_stream(self, text: str, body: dict[str, Any]) -> Answer:
        base = {"id": "c-1", "created": 7, "model": "m"}
        rows: list[dict[str, Any]] = [
            base | {"choices": [{"index": 0, "delta": {"content": f"{word} "}}]}
            for word in text.split()
        ]
        if text.startswith("BREAK"):
            content = {"error": "it broke", "timestamp": "2024-08-01 10:00:00 PDT"}
            error = {"status_code": int(text.split()[1]), "content": content}
            return events([*rows[:1], {"request_id": "r", "error": error}])
        usage = {"prompt_tokens": 3, "completion_tokens": 2, "total_tokens": 5}
        end = {"index": 0, "delta": {}, "finish_reason": "stop"}
        rows += [base | {"choices": [end]}, base | {"choices": [], "usage": usage}]
        return events(rows, done=text.startswith("DONE"))

    def _known(self, name: str, detail: str) -> dict[str, Any]:
        if name not in self.endpoints:
            raise Refused(404, detail)
        return self.endpoints[name]

    # Administration

    def _endpoints(self, received: Received, method: str, rest: list[str]) -> Any:
        if rest == ["download"] and method == "POST":
            body = received.json()
            self._known(body["model_name"], "The requested fine-tuned model could not be found.")
            assert body["download_format"] == "hugging_face"
            self.outputs["weights.bin"] = b"\0\1weights"
            return {"urls": {"weights.bin": f"{self.url}/outputs/weights.bin?signed=1"}}
        if not rest and method == "GET":
            return {"model_endpoints": list(self.endpoints.values())}
        if not rest:
            body = received.json()
            for name in ("name", "model_name", "inference_framework_image_tag", "min_workers"):
                needed(body, name)
            row = endpoint(body["name"], model_name=body["model_name"], status="UPDATE_PENDING")
            self.endpoints[body["name"]] = row
            return {"endpoint_creation_task_id": "task-1"}
        found = self._known(rest[0], f"Model Endpoint {rest[0]}  was not found.")
        if method == "PUT":
            found["spec"] = received.json()
            return {"endpoint_creation_task_id": "task-2"}
        if method == "DELETE":
            if found["status"] == "UPDATE_IN_PROGRESS":
                raise Refused(409, "Existing operation on endpoint in progress, try again later.")
            if rest[0] == "sync-only":
                raise Refused(403, "You don't have permission to delete the endpoint.")
            del self.endpoints[rest[0]]
            return {"deleted": True}
        if found.get("status") == "UPDATE_PENDING":
            found["status"] = "READY"
            return {**found, "status": "UPDATE_PENDING"}
        return found

    def _files(self, received: Received, method: str, rest: list[str]) -> Any:
        if not rest and method == "GET":
            return {"files": [self._file(name) for name in self.files]}
        if not rest:
            name, data = uploaded(received)
            id_ = f"file-{next(self.numbers)}"
            self.files[id_] = (name, data)
            return {"id": id_}
        if rest[0] not in self.files:
            raise Refused(404, "The specified file could not be found.")
        if method == "DELETE":
            del self.files[rest[0]]
            return {"deleted": True}
        if rest[1:] == ["content"]:
            data = self.files[rest[0]][1]
            return {"id": rest[0], "content": data.decode("utf-8", "replace")}
        return self._file(rest[0])

    def _file(self, id_: str) -> dict[str, Any]:
        name, data = self.files[id_]
        return {"id": id_, "filename": name, "size": len(data.decode("utf-8", "replace"))}

    def _tunes(self, received: Received, method: str, rest: list[str]) -> Any:
        if not rest and method == "GET":
            return {"jobs": [tune_told(one) for one in self.tunes.values()]}
        if not rest:
            body = received.json()
            validate(body, {}, {"model": str, "training_file": str, "hyperparameters": dict})
            if len([one for one in self.tunes.values() if one["left"] > 0]) >= 5:
                raise Refused(400, "Limit 5 fine-tunes/fine-tuned endpoints per user.")
            suffix = body.get("suffix")
            if suffix is not None and (len(suffix) > 28 or not set(suffix) <= _SUFFIX):
                raise Refused(400, "User-provided suffix is invalid")
            file = body["training_file"]
            if file.startswith("file-") and file not in self.files:
                raise Refused(404, "Training file does not exist")
            id_ = f"ft-{next(self.numbers)}"
            name = f"{body['model']}.{suffix or 'x'}.240801-100000"
            self.tunes[id_] = {"id": id_, "left": self.looks, "model": name, "asked": body}
            return {"id": id_}
        tune = self.tunes.get(rest[0])
        if tune is None:
            raise Refused(404, "The specified fine-tune job could not be found.")
        if rest[1:] == ["cancel"]:
            assert method == "PUT"
            assert not received.body
            tune["cancelled"] = True
            return {"success": True}
        if rest[1:] == ["events"]:
            rows = [{"timestamp": 7.5, "message": "{'loss': 2.1}", "level": "info"}]
            return {"events": [*rows, {"timestamp": None, "message": "done", "level": "new"}]}
        tune["left"] -= 1
        return tune_told(tune)

    def _job(self, body: dict[str, Any], version: str) -> dict[str, Any]:
        if "refuse" in self.jobs:
            raise Refused(500, "Internal server error")
        validate(body, JOB, {"output_data_path": str, "model_config": dict})
        if not body.get("content") and not body.get("input_data_path"):
            raise Refused(422, [{"loc": ["body"], "msg": "content or input_data_path"}])
        id_ = f"batch-{next(self.numbers)}"
        self.jobs[id_] = {"job_id": id_, "left": self.looks, "asked": body, "version": version}
        return self.jobs[id_]

    def _jobs(self, received: Received, method: str, rest: list[str]) -> Any:
        job = self.jobs.get(rest[0])
        if job is None:
            raise Refused(404, "Batch completion job not found.")
        if rest[1:] == ["actions", "cancel"]:
            job["cancelled"] = True
            return {"success": True}
        if method == "POST":
            body = received.json()
            assert body["job_id"] == rest[0]
            job["asked"]["priority"] = body["priority"]
            return {**job_told(job), "success": True}
        job["left"] -= 1
        if job["left"] <= 0 and not job.get("cancelled"):
            name = job["asked"]["output_data_path"].rpartition("/")[2]
            self.outputs[name] = json.dumps(self._answers(job)).encode()
        return {"job": job_told(job)}

    def _answers(self, job: dict[str, Any]) -> list[Any]:
        content = job["asked"].get("content") or {"prompts": ["from a file"]}
        if isinstance(content, dict):
            rows = [text.upper() for text in content["prompts"]]
            return [{"text": row, "num_completion_tokens": 2, "tokens": []} for row in rows]
        found: list[Any] = []
        for body in content:
            assert "model" not in body
            text = body.get("prompt") or body["messages"][-1]["content"]
            if text.startswith("bad"):
                found.append({"object": "error", "message": "this is bad", "code": 400})
            elif text.startswith("lost"):
                found.append(None)
            else:
                found.append(self._chat({**body, "model": "llama-2-7b"}))
        return found


@asynccontextmanager
async def open_engine(**fields: Any) -> AsyncIterator[EngineFarEnd]:
    far = EngineFarEnd(**fields)
    async with open_server(far) as server:
        far.url = server.url
        yield far


def at(received: Received) -> str:
    """What was asked, as a route."""
    return f"{received.method} {urlsplit(received.path).path.removeprefix(PREFIX)}"
