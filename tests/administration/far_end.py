"""A far end for administration, over real HTTP on the loopback: models, files, fine-tuning jobs and
batches as OpenAI has them; models, message batches and the beta of files as Anthropic has them."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

import attrs

from llmmw.testing import Answer, Received, open_server
from tests.batches.far_end import KEY, NOW, FarEnd, options_for

__all__ = ["KEY", "NOW", "Host", "Many", "open_host", "options_for"]

_FILES_BETA = "files-api-2025-04-14"


@attrs.frozen
class Many(Sequence[dict[str, Any]]):
    """So many rows, each made when it is looked at; their ids end in their numbers."""

    size: int
    row: Callable[[int], dict[str, Any]]

    def __len__(self) -> int:
        return self.size

    def __getitem__(self, at: Any) -> Any:
        numbers = range(self.size)[at]
        return self.row(numbers) if isinstance(numbers, int) else [self.row(n) for n in numbers]


@attrs.define(eq=False)
class Host(FarEnd):
    """The state of the server. `looks` at a job in which it ends, as it does of a batch."""

    models: dict[str, dict[str, Any]] = attrs.field(factory=dict)
    kept: dict[str, dict[str, Any]] = attrs.field(factory=dict)
    """What the host tells of its files, whose contents are `files`."""
    jobs: dict[str, dict[str, Any]] = attrs.field(factory=dict)
    said: dict[str, list[dict[str, Any]]] = attrs.field(factory=dict)
    """The events of each job, the last first."""
    shelves: dict[str, Sequence[dict[str, Any]]] = attrs.field(factory=dict)
    """Long lists, by their paths."""
    ending: str = "succeeded"
    """Of jobs."""
    heard: list[Received] = attrs.field(factory=list)

    async def __call__(self, received: Received) -> Answer:
        self.heard.append(attrs.evolve(received, body=b""))
        return await super().__call__(received)

    async def _route(self, received: Received, path: str) -> Any:
        parts = [unquote(part) for part in path.removeprefix("/v1/").split("/")]
        wire = "anthropic" if "anthropic-version" in received.headers else "openai"
        query = {name: one[0] for name, one in parse_qs(urlsplit(received.path).query).items()}
        if parts[0] == "models":
            return self._of_models(received, wire, "/".join(parts[1:]), query)
        if parts[0] == "files":
            return await self._of_files(received, wire, parts[1:], query)
        if parts[:2] == ["fine_tuning", "jobs"]:
            return await self._of_jobs(received, parts[2:], query)
        return await super()._route(received, path)

    def _of_models(self, received: Received, wire: str, id: str, query: Mapping[str, str]) -> Any:
        if not id:
            rows = self.shelves.get("models") or list(self.models.values())
            if wire == "openai":
                assert not query
                return {"object": "list", "data": list(rows)}
            return _page(rows, wire, query)
        if id not in self.models:
            return missing(wire, f"The model '{id}' does not exist")
        if received.method == "DELETE":
            del self.models[id]
            return {"id": id, "object": "model", "deleted": True}
        return self.models[id]

    async def _of_files(
        self, received: Received, wire: str, parts: list[str], query: Mapping[str, str]
    ) -> Any:
        if wire == "anthropic" and _FILES_BETA not in received.headers.get("anthropic-beta", ""):
            return missing(wire, "Not found")
        if not parts:
            if received.method == "POST":
                return await self._keep(received, wire)
            await self.hook("list")
            return _page(self.shelves.get("files") or list(self.kept.values()), wire, query)
        id = parts[0]
        if id not in self.files:
            return missing(wire, f"No such File object: {id}")
        if parts[1:] == ["content"]:
            if self.kept.get(id, {}).get("downloadable") is False:
                return _error(wire, 400, "This file can not be downloaded")
            return Answer(body=self.files[id])
        if received.method == "DELETE":
            del self.files[id], self.kept[id]
            gone = {"object": "file", "deleted": True} if wire == "openai" else {}
            return {"id": id, "type": "file_deleted", **gone}
        return self.kept[id]

    async def _keep(self, received: Received, wire: str) -> Any:
        form = form_of(received)
        name, data = form["file"]
        id = f"file-{next(self.numbers)}"
        self.files[id] = data
        if wire == "anthropic":
            assert form.keys() == {"file"}
            told = {"type": "file", "size_bytes": len(data), "created_at": _iso(NOW)}
            self.kept[id] = {"id": id, "filename": name, **told, "downloadable": False}
            return self.kept[id]
        told = {"object": "file", "bytes": len(data), "created_at": int(NOW), "expires_at": None}
        purpose = form["purpose"][1].decode()
        self.kept[id] = {"id": id, "filename": name, **told, "purpose": purpose}
        self.kept[id]["status"] = "processed"
        return self.kept[id]

    async def _of_jobs(self, received: Received, parts: list[str], query: Mapping[str, str]) -> Any:
        if not parts and received.method == "POST":
            return self._train(received.json())
        if not parts:
            return _page(list(self.jobs.values())[::-1], "openai", query)
        if parts[0] not in self.jobs:
            return missing("openai", f"Could not find fine tune: {parts[0]}")
        job = self.jobs[parts[0]]
        match parts[1:]:
            case ["cancel"]:
                self._say(job, "Fine-tuning job cancelled", "warn")
                job["status"] = "cancelled"
            case ["events"]:
                return _page(self.said[job["id"]], "openai", query)
            case ["checkpoints"]:
                return _page(_checkpoints(job), "openai", query)
            case _:
                await self.hook("job")
                self._go_on(job)
        return {name: one for name, one in job.items() if name != "left"}

    def _train(self, asked: dict[str, Any]) -> Any:
        id = f"ftjob-{next(self.numbers)}"
        if asked["training_file"] not in self.files:
            return _error("openai", 400, f"invalid training_file: {asked['training_file']}")
        self.jobs[id] = {
            "validation_file": None,
            "hyperparameters": {"n_epochs": "auto"},
            **asked,
            "object": "fine_tuning.job",
            "id": id,
            "created_at": int(NOW),
            "status": "validating_files",
            "finished_at": None,
            "fine_tuned_model": None,
            "trained_tokens": None,
            "error": {},
            "left": self.looks,
        }
        self.said[id] = []
        self._say(self.jobs[id], "Created fine-tuning job")
        return {name: one for name, one in self.jobs[id].items() if name != "left"}

    def _go_on(self, job: dict[str, Any]) -> None:
        if job["status"] in {"succeeded", "failed", "cancelled"}:
            return
        job["left"] -= 1
        job["status"] = "running"
        self._say(job, f"Step {self.looks - job['left']}")
        if job["left"] <= 0:
            job["status"] = self.ending
            job["finished_at"] = int(NOW) + 60
            if self.ending == "succeeded":
                job["fine_tuned_model"] = f"ft:{job['model']}:us::{job['id']}"
                job["trained_tokens"] = 5768
            else:
                job["error"] = {"code": "exceeded", "message": "too many lines", "param": None}
            self._say(job, "The job has ended")

    def _say(self, job: dict[str, Any], message: str, level: str = "info") -> None:
        said = self.said[job["id"]]
        event = {"object": "fine_tuning.job.event", "id": f"ftevent-{next(self.numbers)}"}
        more = {"created_at": int(NOW) + len(said), "level": level, "message": message}
        said.insert(0, event | more | {"data": None, "type": "message"})


def _checkpoints(job: Mapping[str, Any]) -> list[dict[str, Any]]:
    return [
        {
            "object": "fine_tuning.job.checkpoint",
            "id": f"ftckpt-{step}",
            "created_at": int(NOW) + step,
            "fine_tuned_model_checkpoint": f"{job['fine_tuned_model']}:ckpt-step-{step}",
            "fine_tuning_job_id": job["id"],
            "metrics": {"step": step, "full_valid_loss": 0.5, "note": None},
            "step_number": step,
        }
        for step in (300, 200, 100)
    ]


def form_of(received: Received) -> dict[str, tuple[str, bytes]]:
    """The fields of a form, each with its file's name, and its value."""
    mark = b"--" + received.headers["content-type"].partition("boundary=")[2].encode()
    found = {}
    for part in received.body.split(mark)[1:-1]:
        head, _, rest = part.partition(b"\r\n\r\n")
        name = head.partition(b' name="')[2].partition(b'"')[0].decode()
        file = head.partition(b'filename="')[2].partition(b'"')[0].decode()
        found[name] = (file, rest.removesuffix(b"\r\n"))
    return found


def _page(rows: Sequence[dict[str, Any]], wire: str, query: Mapping[str, str]) -> Any:
    """A page, as both hosts have them."""
    after = query.get("after" if wire == "openai" else "after_id")
    size = int(query["limit"])
    assert size <= 100
    begin = 0
    if after is not None:
        if isinstance(rows, Many):
            begin = int(after.rpartition("-")[2]) + 1
        else:
            begin = next((n for n, row in enumerate(rows) if row["id"] == after), -1) + 1
        if not begin:
            return _error(wire, 400, f"no row is named {after}")
    data = list(rows[begin : begin + size])
    ends = {"first_id": data[0]["id"], "last_id": data[-1]["id"]} if data else {}
    return {"object": "list", "data": data, "has_more": begin + size < len(rows), **ends}


def missing(wire: str, message: str) -> Answer:
    """404, as each host says it."""
    return _error(wire, 404, message)


def _error(wire: str, status: int, message: str) -> Answer:
    kinds = {400: "invalid_request_error", 404: "not_found_error"}
    told: dict[str, Any] = {"error": {"message": message, "type": kinds[status]}}
    if wire == "anthropic":
        told |= {"type": "error", "request_id": "req_1"}
    return Answer(status=status, body=json.dumps(told).encode())


def _iso(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat().replace("+00:00", "Z")


def openai_model(id: str) -> dict[str, Any]:
    """A model as OpenAI tells it."""
    return {"id": id, "object": "model", "created": int(NOW), "owned_by": "system"}


def anthropic_model(id: str) -> dict[str, Any]:
    """A model as Anthropic tells it."""
    told = {"display_name": id.title(), "created_at": _iso(NOW), "max_input_tokens": 200_000}
    return {"type": "model", "id": id, **told, "max_tokens": 64_000}


@asynccontextmanager
async def open_host(wire: str = "openai", **fields: Any) -> AsyncIterator[Host]:
    """A server with three models."""
    make = openai_model if wire == "openai" else anthropic_model
    host = Host(models={id: make(id) for id in ("small", "middle", "large")}, **fields)
    async with open_server(host) as server:
        host.url = server.url
        yield host
