"""A small server that plays OpenAI's models, files and fine-tuning jobs, for the page about their
administration."""

from __future__ import annotations

import os
import threading
from itertools import count
from urllib.parse import urlsplit

import orjson
import trio

from llmmw.testing import Answer, Received, open_server

__all__ = ["play"]


class SmallHost:
    """Keeps what it is sent; each look at a job is a step of its training."""

    def __init__(self) -> None:
        self.models = {name: {"id": name, "owned_by": "openai"} for name in ("small", "large")}
        self.files: dict[str, dict[str, object]] = {}
        self.contents: dict[str, bytes] = {}
        self.jobs: dict[str, dict[str, object]] = {}
        self.events: dict[str, list[dict[str, object]]] = {}
        self.numbers = count(1)

    async def __call__(self, received: Received) -> Answer:
        path = urlsplit(received.path).path.removeprefix("/v1/")
        found = self.answer(received, *path.split("/"))
        if found is None:
            told = {"error": {"message": f"there is no {path}"}}
            return Answer(status=404, body=orjson.dumps(told))
        return Answer(body=found if isinstance(found, bytes) else orjson.dumps(found))

    def answer(self, received: Received, kind: str, *rest: str) -> object:
        if kind == "files" and received.method == "POST":
            return self.keep(received.body)
        if kind == "fine_tuning" and received.method == "POST":
            return self.train(received.json())
        rows = {"models": self.models, "files": self.files, "fine_tuning": self.jobs}[kind]
        names = rest[1:] if kind == "fine_tuning" else rest
        if not names:
            return {"data": list(rows.values()), "has_more": False}
        if names[0] not in rows:
            return None
        if received.method == "DELETE":
            return {"id": rows.pop(names[0])["id"], "deleted": True}
        if names[1:] == ("content",):
            return self.contents[names[0]]
        if names[1:] == ("events",):
            return {"data": self.events[names[0]]}
        return self.step(names[0]) if kind == "fine_tuning" else rows[names[0]]

    def keep(self, form: bytes) -> object:
        parts = [part.partition(b"\r\n\r\n") for part in form.split(b"\r\n--")]
        (head, _, data) = next(part for part in parts if b"filename=" in part[0])
        purpose = next(part[2] for part in parts if b'"purpose"' in part[0]).decode()
        file = head.partition(b'filename="')[2].partition(b'"')[0].decode()
        name = f"file-{next(self.numbers)}"
        self.contents[name] = data
        self.files[name] = {"id": name, "filename": file, "bytes": len(data), "purpose": purpose}
        return self.files[name]

    def train(self, asked: dict[str, object]) -> object:
        name = f"ftjob-{next(self.numbers)}"
        self.jobs[name] = {**asked, "id": name, "status": "queued"}
        self.events[name] = [{"id": "e-0", "message": "the job is queued"}]
        return self.jobs[name]

    def step(self, name: str) -> object:
        job, events = self.jobs[name], self.events[name]
        steps = len(events)
        if steps <= 2:
            done = {"status": "succeeded", "fine_tuned_model": f"ft:{job['model']}:{name}"}
            job.update(done if steps == 2 else {"status": "running"})
            events.append({"id": f"e-{steps}", "message": f"epoch {steps} is over"})
        return job


def play() -> None:
    """Serve in a thread until the program ends, and have `openai` ask there."""
    begun = threading.Event()

    async def serve() -> None:
        async with open_server(SmallHost()) as server:
            os.environ["OPENAI_BASE_URL"] = f"{server.url}/v1"
            os.environ["OPENAI_API_KEY"] = "none"
            begun.set()
            await trio.sleep_forever()

    threading.Thread(target=trio.run, args=[serve], daemon=True).start()
    begun.wait()
