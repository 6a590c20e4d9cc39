"""A far end for administration, over real HTTP on the loopback: the routes, fields and pages of
Mistral's published API. Each job takes a step whenever it is looked at."""

from __future__ import annotations

import json
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from itertools import count
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

import attrs

from llmmw import Client
from llmmw.testing import Answer, Received, open_server

__all__ = ["FarEnd", "account", "open_far_end"]

Json = dict[str, Any]

STEPS = {
    "batch": ("QUEUED", "RUNNING", "SUCCESS"),
    "job": ("QUEUED", "VALIDATING", "VALIDATED", "RUNNING", "SUCCESS"),
}
ENDED = {"SUCCESS", "FAILED", "CANCELLED", "TIMEOUT_EXCEEDED"}


def _json(told: Any, status: int = 200) -> Answer:
    headers = {"Content-Type": "application/json"}
    return Answer(status=status, headers=headers, body=json.dumps(told).encode())


def _missing(what: str) -> Answer:
    return _json({"detail": f"{what} not found"}, 404)


def form_of(received: Received) -> dict[str, bytes]:
    """The fields of a form; that of the file has its name beside it, as `name`."""
    kind = {k.lower(): v for k, v in received.headers.items()}["content-type"]
    mark = b"--" + kind.partition("boundary=")[2].encode()
    fields: dict[str, bytes] = {}
    for part in received.body.split(mark)[1:-1]:
        head, _, body = part.partition(b"\r\n\r\n")
        named = re.search(rb'name="([^"]*)"(?:; filename="([^"]*)")?', head)
        assert named is not None
        fields[named[1].decode()] = body.removesuffix(b"\r\n")
        if named[2] is not None:
            fields["name"] = named[2]
    return fields


@attrs.define(eq=False)
class FarEnd:
    """The state of the server."""

    key: str
    url: str = ""
    files: dict[str, Json] = attrs.field(factory=dict)
    contents: dict[str, bytes] = attrs.field(factory=dict)
    batches: dict[str, Json] = attrs.field(factory=dict)
    jobs: dict[str, Json] = attrs.field(factory=dict)
    models: dict[str, Json] = attrs.field(factory=dict)
    asked: list[str] = attrs.field(factory=list)
    """Methods and paths, in their order."""
    fate: str = ""
    """How the next batches end, in place of success."""
    numbers: Any = attrs.field(factory=lambda: count(1))

    async def __call__(self, received: Received) -> Answer:
        parts = urlsplit(received.path)
        self.asked.append(f"{received.method} {received.path}")
        assert received.headers["authorization"] == f"Bearer {self.key}"
        names = [unquote(one) for one in parts.path.removeprefix("/v1/").split("/")]
        query = {name: one[0] for name, one in parse_qs(parts.query).items()}
        table = {
            "files": self._files,
            "models": self._models,
            "batch": self._batches,
            "fine_tuning": self._fine_tuning,
        }
        found = table[names[0]](received, names, query)
        return found if isinstance(found, Answer) else _json(found)

    def _page(self, rows: dict[str, Json], query: dict[str, str]) -> Json:
        page, size = int(query["page"]), int(query["page_size"])
        shown = list(reversed(rows.values()))[page * size : (page + 1) * size]
        return {"data": shown, "object": "list", "total": len(rows)}

    def _files(self, received: Received, names: list[str], query: dict[str, str]) -> Any:
        if len(names) == 1 and received.method == "GET":
            return self._page(self.files, query)
        if len(names) == 1:
            form = form_of(received)
            return self.keep(form["name"].decode(), form["purpose"].decode(), form["file"])
        if names[1] not in self.files:
            return _missing("File")
        if names[-1] == "content":
            headers = {"Content-Type": "application/octet-stream"}
            return Answer(headers=headers, body=self.contents[names[1]])
        if received.method == "DELETE":
            del self.files[names[1]]
            return {"id": names[1], "object": "file", "deleted": True}
        return self.files[names[1]] | {"deleted": False}

    def keep(self, name: str, purpose: str, content: bytes) -> Json:
        """Keep a file."""
        number = next(self.numbers)
        id_ = f"file/{number}"
        self.contents[id_] = content
        self.files[id_] = {
            "id": id_,
            "object": "file",
            "bytes": len(content),
            "created_at": 1_700_000_000 + number,
            "filename": name,
            "purpose": purpose,
            "sample_type": "batch_request",
            "num_lines": content.count(b"\n"),
            "source": "upload",
        }
        return self.files[id_]

    def _models(self, received: Received, names: list[str], query: dict[str, str]) -> Any:
        if len(names) == 1:
            return {"object": "list", "data": list(self.models.values())}
        if names[1] not in self.models:
            return _missing("Model")
        if received.method == "DELETE":
            del self.models[names[1]]
            return {"id": names[1], "object": "model", "deleted": True}
        return self.models[names[1]]

    def add_model(self, name: str, **more: Any) -> None:
        """A card of a model."""
        self.models[name] = {
            "id": name,
            "object": "model",
            "created": 17,
            "owned_by": "mistralai",
            "capabilities": {"completion_chat": True, "completion_fim": False},
            "name": name.title(),
            "max_context_length": 131_072,
            "aliases": [],
            "type": "base",
            **more,
        }

    def _batches(self, received: Received, names: list[str], query: dict[str, str]) -> Any:
        if len(names) == 2 and received.method == "GET":
            return self._page(self.batches, query)
        if len(names) == 2:
            return self._begin_batch(received.json())
        if names[2] not in self.batches:
            return _missing("Batch job")
        batch = self.batches[names[2]]
        if received.method == "DELETE":
            return self.batches.pop(names[2])
        if names[-1] == "cancel":
            batch["status"] = "CANCELLATION_REQUESTED"
            return batch
        self._step(batch, "batch")
        if batch["status"] in {"SUCCESS", "TIMEOUT_EXCEEDED"} and not batch["output_file"]:
            self._answer(batch)
        return batch

    def _begin_batch(self, asked: Json) -> Json:
        rows = [json.loads(r) for f in asked["input_files"] for r in self.contents[f].splitlines()]
        assert all(row.keys() == {"custom_id", "body"} for row in rows)
        assert not any("model" in row["body"] or "stream" in row["body"] for row in rows)
        assert asked["endpoint"].startswith("/v1/")
        id_ = f"batch/{next(self.numbers)}"
        self.batches[id_] = {
            "id": id_,
            "object": "batch",
            "input_files": asked["input_files"],
            "metadata": asked.get("metadata"),
            "endpoint": asked["endpoint"],
            "model": asked["model"],
            "timeout_hours": asked.get("timeout_hours", 24),
            "output_file": None,
            "error_file": None,
            "errors": [],
            "status": "QUEUED",
            "created_at": 1_700_000_000,
            "total_requests": len(rows),
            "completed_requests": 0,
            "succeeded_requests": 0,
            "failed_requests": 0,
        }
        return self.batches[id_]

    def _step(self, one: Json, kind: str) -> None:
        if one["status"] == "CANCELLATION_REQUESTED":
            one["status"] = "CANCELLED"
        if one["status"] in ENDED or (one["status"] == "VALIDATED" and not one["auto_start"]):
            return
        steps = STEPS[kind]
        one["status"] = steps[steps.index(one["status"]) + 1]
        if one["status"] == "SUCCESS" and kind == "batch" and self.fate:
            one["status"] = self.fate
        if one["status"] == "FAILED" and kind == "batch":
            one["errors"] = [{"message": "no line can be read", "count": 2}]

    def _answer(self, batch: Json) -> None:
        """Answer the questions: one that says `bad` is refused, one that says `lost` forgotten."""
        good, bad = [], []
        for file in batch["input_files"]:
            for row in map(json.loads, self.contents[file].splitlines()):
                said = json.dumps(row["body"])
                if "lost" in said:
                    continue
                told = {"id": "r", "custom_id": row["custom_id"], "error": None}
                if "bad" in said:
                    error = {"object": "error", "message": "this is bad", "type": "invalid_request"}
                    bad.append(told | {"response": {"status_code": 400, "body": error}})
                else:
                    message = {"role": "assistant", "content": f"{batch['model']} says yes"}
                    choice = {"index": 0, "message": message, "finish_reason": "stop"}
                    usage = {"prompt_tokens": 3, "completion_tokens": 2, "total_tokens": 5}
                    body = {"id": "c", "model": batch["model"], "choices": [choice], "usage": usage}
                    good.append(told | {"response": {"status_code": 200, "body": body}})
        batch |= {"succeeded_requests": len(good), "failed_requests": len(bad)}
        for name, rows in (("output_file", good), ("error_file", bad)):
            content = b"".join(json.dumps(row).encode() + b"\n" for row in rows)
            batch[name] = self.keep(f"{name}.jsonl", "batch", content)["id"] if rows else None

    def _fine_tuning(self, received: Received, names: list[str], query: dict[str, str]) -> Any:
        if names[1] == "models":
            return self._made(received, names)
        if len(names) == 2 and received.method == "GET":
            return self._page(self.jobs, query)
        if len(names) == 2:
            return self._begin_job(received.json())
        if names[2] not in self.jobs:
            return _missing("Job")
        job = self.jobs[names[2]]
        if names[-1] == "cancel":
            job["status"] = "CANCELLATION_REQUESTED"
        elif names[-1] == "start":
            job |= {"auto_start": True, "status": "RUNNING"}
        else:
            before = job["status"]
            self._step(job, "job")
            if job["status"] != before:
                self._tell(job)
        return job

    def _begin_job(self, asked: Json) -> Any:
        if not asked.get("training_files"):
            where = ["body", "training_files"]
            return _json({"detail": [{"loc": where, "msg": "Field required", "type": "m"}]}, 422)
        assert "training_file" not in asked
        id_ = f"job/{next(self.numbers)}"
        self.jobs[id_] = {
            "id": id_,
            "object": "job",
            "auto_start": asked.get("auto_start", True),
            "model": asked["model"],
            "status": "QUEUED",
            "job_type": "completion",
            "created_at": 100,
            "modified_at": 100,
            "training_files": [one["file_id"] for one in asked["training_files"]],
            "validation_files": asked.get("validation_files"),
            "hyperparameters": asked["hyperparameters"],
            "suffix": asked.get("suffix"),
            "fine_tuned_model": None,
            "trained_tokens": None,
            "events": [],
            "checkpoints": [],
        }
        return self.jobs[id_]

    def _tell(self, job: Json) -> None:
        at = job["modified_at"] = job["modified_at"] + 1
        told = {"name": "status-updated", "data": {"status": job["status"]}, "created_at": at}
        job["events"].insert(0, told)
        if job["status"] == "RUNNING":
            metrics = {"train_loss": 0.5, "valid_loss": None, "valid_mean_token_accuracy": 1}
            job["checkpoints"] = [{"metrics": metrics, "step_number": 10, "created_at": at}]
        if job["status"] == "SUCCESS":
            job |= {"fine_tuned_model": f"ft:{job['model']}:x", "trained_tokens": 99}
            self.add_model(job["fine_tuned_model"], type="fine-tuned", archived=False)

    def _made(self, received: Received, names: list[str]) -> Any:
        card = self.models.get(names[2])
        if card is None:
            return _missing("Model")
        if names[-1] == "archive":
            card["archived"] = received.method == "POST"
            return {"id": names[2], "object": "model", "archived": card["archived"]}
        assert received.method == "PATCH"
        card |= received.json()
        return card


@asynccontextmanager
async def open_far_end(key: str) -> AsyncIterator[FarEnd]:
    """Serve as long as the block runs."""
    far = FarEnd(key)
    async with open_server(far) as server:
        far.url = server.url
        yield far


@asynccontextmanager
async def account(wire: Any, **options: Any) -> AsyncIterator[tuple[Client, FarEnd, Any]]:
    """A client of such a server, and its provider."""
    async with open_far_end(wire.key) as far:
        provider = wire.provider(far.url)
        async with Client("mistral:small", providers=[provider], **options) as client:
            yield client, far, provider
