"""A far end for batches, over real HTTP on the loopback: as OpenAI and as Anthropic have them. It
counts what it is asked, ends each batch after so many looks at it, and fails as a question says."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from itertools import count
from typing import Any
from urllib.parse import parse_qs, urlsplit

import attrs

from llmmw.testing import Answer, Received, open_server

__all__ = ["KEY", "FarEnd", "open_far_end", "options_for"]

KEY = "sk-far-end-0123456789"
NOW = 1_700_000_000.0

Hook = Callable[[str], Awaitable[None]]


async def _nothing(stage: str) -> None:
    return


def text_of(body: dict[str, Any]) -> str:
    """What is asked."""
    if "input" in body:
        return "|".join(body["input"])
    content = body["messages"][-1]["content"]
    return content if isinstance(content, str) else content[0]["text"]


@attrs.define(eq=False)
class FarEnd:
    """The state of the server. `looks` at a batch in which it has ended."""

    url: str = ""
    looks: int = 2
    hook: Hook = _nothing
    """Awaited at each stage; what it does stands between the work and the answer."""
    clock: Callable[[], float] = lambda: NOW
    files: dict[str, bytes] = attrs.field(factory=dict)
    batches: dict[str, dict[str, Any]] = attrs.field(factory=dict)
    asked: Counter[str] = attrs.field(factory=Counter)
    """How often each question was taken into a batch."""
    live: Counter[str] = attrs.field(factory=Counter)
    seen: list[str] = attrs.field(factory=list)
    numbers: Any = attrs.field(factory=lambda: count(1))
    fail: list[Answer] = attrs.field(factory=list)
    """Answers that are given to the next requests instead."""
    refuse: list[dict[str, Any]] = attrs.field(factory=list)
    """What the next batch is refused for as a whole."""
    lose: int = 0
    """How many times the line breaks when a batch has been taken."""
    withhold: bool = False
    """Batches do not end."""

    async def __call__(self, received: Received) -> Answer:
        path = urlsplit(received.path).path
        self.seen.append(f"{received.method} {re.sub('[0-9]+$', '#', path)}")
        assert KEY in "".join(received.headers.values())
        if self.fail:
            return self.fail.pop(0)
        found = await self._route(received, path)
        return found if isinstance(found, Answer) else _json(found)

    async def _route(self, received: Received, path: str) -> Any:
        get = received.method == "GET"
        if path == "/v1/files" and not get:
            return await self._upload(received)
        if path == "/v1/files":
            return {"data": [_file(name, data) for name, data in self.files.items()]}
        if path.endswith("/content"):
            await self.hook("results")
            return Answer(body=self.files[path.split("/")[3]])
        if path.startswith("/v1/files/"):
            return self._file(received, path.split("/")[3])
        if path in {"/v1/chat/completions", "/v1/messages", "/v1/embeddings"}:
            body = received.json()
            self.live[text_of(body)] += 1
            return answer_to(body, path)
        wire = "anthropic" if path.startswith("/v1/messages/") else "openai"
        parts = path.removeprefix("/v1/messages").removeprefix("/v1").strip("/").split("/")
        if len(parts) == 1 and not get:
            return await self._create(received, wire)
        if len(parts) == 1:
            return self._list(wire, parse_qs(urlsplit(received.path).query))
        if parts[1] not in self.batches:
            return _json({"error": {"message": "no such batch"}}, 404)
        batch = self.batches[parts[1]]
        if parts[-1] == "cancel":
            batch["cancelled"] = True
            return _told(batch)
        if parts[-1] == "results":
            await self.hook("results")
            return Answer(body=self._anthropic_results(batch))
        await self.hook("poll")
        self._look(batch)
        return _told(batch)

    async def _upload(self, received: Received) -> Any:
        kind = {k.lower(): v for k, v in received.headers.items()}["content-type"]
        mark = b"--" + kind.partition("boundary=")[2].encode()
        parts = dict(_part(part) for part in received.body.split(mark)[1:-1])
        assert parts["purpose"] in {b"batch", b"assistants"}
        name = f"file-{next(self.numbers)}"
        await self.hook("upload")
        self.files[name] = parts["file"]
        await self.hook("uploaded")
        return _file(name, parts["file"])

    def _file(self, received: Received, name: str) -> Any:
        if received.method == "DELETE":
            del self.files[name]
            return {"id": name, "deleted": True}
        return _file(name, self.files[name])

    async def _create(self, received: Received, wire: str) -> Any:
        body = received.json()
        await self.hook("create")
        if wire == "openai":
            rows = [json.loads(r) for r in self.files[body["input_file_id"]].split(b"\n") if r]
            assert all(row["url"] == body["endpoint"] and row["method"] == "POST" for row in rows)
            assert len({row["body"]["model"] for row in rows}) == 1
            asked = {row["custom_id"]: row["body"] for row in rows}
        else:
            rows = body["requests"]
            asked = {row["custom_id"]: row["params"] for row in rows}
        assert len(asked) == len(rows)
        assert all(re.fullmatch("[A-Za-z0-9_-]{1,64}", name) for name in asked)
        assert not any(one.get("stream") for one in asked.values())
        name = f"{'batch' if wire == 'openai' else 'msgbatch'}_{next(self.numbers)}"
        batch = {
            "id": name,
            "wire": wire,
            "asked": asked,
            "path": body.get("endpoint", "/v1/messages"),
            "metadata": body.get("metadata"),
            "left": self.looks,
            "created": self.clock(),
            "betas": received.headers.get("anthropic-beta", ""),
            "refused": self.refuse[:],
        }
        self.batches[name] = batch
        if not self.refuse:
            self.asked.update(text_of(one) for one in asked.values())
        self.refuse = []
        await self.hook("created")
        if self.lose:
            self.lose -= 1
            return Answer(reset=True)
        return _told(batch)

    def _list(self, wire: str, query: dict[str, list[str]]) -> Any:
        rows = [_told(b) for b in reversed(self.batches.values()) if b["wire"] == wire]
        after = (query.get("after") or query.get("after_id") or [None])[0]
        if after:
            rows = rows[[row["id"] for row in rows].index(after) + 1 :]
        return {"data": rows[:2], "has_more": len(rows) > 2}

    def _look(self, batch: dict[str, Any]) -> None:
        batch["left"] -= not self.withhold
        if batch.get("ended") or (batch["left"] > 0 and not batch.get("cancelled")):
            return
        batch["ended"] = True
        if batch["wire"] == "openai" and not batch["refused"]:
            rows = {"output": [], "error": []}
            for name, body in reversed(batch["asked"].items()):
                row = self._openai_row(batch, name, body)
                if row is not None:
                    good = row["response"] is not None and row["response"]["status_code"] == 200
                    rows["output" if good else "error"].append(json.dumps(row))
            for kind, lines in rows.items():
                if lines:
                    file = f"file-{next(self.numbers)}"
                    self.files[file] = "\r\n".join(lines).encode()
                    batch[kind] = file

    def _openai_row(self, batch: dict[str, Any], name: str, body: dict[str, Any]) -> Any:
        text = text_of(body)
        row: dict[str, Any] = {"id": "r", "custom_id": name, "response": None, "error": None}
        ending = self._ending(batch, text)
        if ending == "vanished":
            return None
        if ending in {"expired", "cancelled"}:
            return row | {"error": {"code": f"batch_{ending}", "message": f"it was {ending}"}}
        status, told = (200, answer_to(body, batch["path"]))
        if ending == "bad":
            status, told = 400, {"error": {"message": "this is bad", "code": "invalid_value"}}
        if ending == "busy":
            status, told = 503, {"error": {"message": "too busy", "code": None}}
        return row | {"response": {"status_code": status, "request_id": "q-1", "body": told}}

    def _ending(self, batch: dict[str, Any], text: str) -> str:
        """A question may say what comes of it the first time."""
        word = text.split()[0]
        if batch.get("cancelled"):
            return "cancelled"
        if word in {"bad", "always"}:
            return {"always": "busy"}.get(word, word)
        first = self.asked[text] == 1
        return word if first and word in {"busy", "expired", "vanished"} else "fine"

    def _anthropic_results(self, batch: dict[str, Any]) -> bytes:
        lines = []
        for name, body in reversed(batch["asked"].items()):
            ending = self._ending(batch, text_of(body))
            result: dict[str, Any] = {"type": "succeeded", "message": answer_to(body, "messages")}
            if ending in {"expired", "cancelled"}:
                result = {"type": {"cancelled": "canceled"}.get(ending, ending)}
            if ending in {"bad", "busy"}:
                kind = "invalid_request_error" if ending == "bad" else "overloaded_error"
                error = {"type": "error", "error": {"type": kind, "message": f"it is {ending}"}}
                result = {"type": "errored", "error": error}
            if ending != "vanished":
                lines.append(json.dumps({"custom_id": name, "result": result}))
        return "\n".join(lines).encode()


def answer_to(body: dict[str, Any], path: str) -> dict[str, Any]:
    text = text_of(body)
    if "input" in body:
        rows = [{"index": n, "embedding": [float(len(t))]} for n, t in enumerate(body["input"])]
        usage = {"prompt_tokens": 7, "total_tokens": 7}
        return {"object": "list", "data": rows, "model": body["model"], "usage": usage}
    if "messages" in path:
        return {
            "id": "msg-1",
            "type": "message",
            "role": "assistant",
            "model": body["model"],
            "content": [{"type": "text", "text": f"You said: {text}"}],
            "stop_reason": "end_turn",
            "usage": {"input_tokens": 1000, "output_tokens": 100},
        }
    message = {"role": "assistant", "content": f"You said: {text}"}
    return {
        "id": "chatcmpl-1",
        "object": "chat.completion",
        "created": 7,
        "model": body["model"],
        "choices": [{"index": 0, "message": message, "finish_reason": "stop"}],
        "usage": {"prompt_tokens": 1000, "completion_tokens": 100, "total_tokens": 1100},
    }


def _told(batch: dict[str, Any]) -> dict[str, Any]:
    """A batch as its host tells it."""
    ended, cancelled, size = batch.get("ended"), batch.get("cancelled"), len(batch["asked"])
    if batch["wire"] == "anthropic":
        iso = datetime.fromtimestamp(batch["created"], UTC).isoformat()
        counts = dict.fromkeys(("succeeded", "errored", "canceled", "expired"), 0)
        counts["processing"] = 0 if ended else size
        counts["succeeded"] = size if ended else 0
        return {
            "id": batch["id"],
            "type": "message_batch",
            "processing_status": "ended" if ended else "in_progress",
            "request_counts": counts,
            "created_at": iso,
            "cancel_initiated_at": iso if cancelled else None,
            "results_url": "https://elsewhere.invalid/results" if ended else None,
        }
    status = "cancelled" if cancelled else "completed"
    if batch["refused"]:
        status = "failed"
    return {
        "id": batch["id"],
        "object": "batch",
        "status": status if ended else "cancelling" if cancelled else "in_progress",
        "created_at": batch["created"],
        "metadata": batch["metadata"],
        "request_counts": {"total": size, "completed": size if ended else 0, "failed": 0},
        "output_file_id": batch.get("output"),
        "error_file_id": batch.get("error"),
        "errors": {"data": batch["refused"]} if ended and batch["refused"] else None,
    }


def _file(name: str, data: bytes) -> dict[str, Any]:
    return {"id": name, "filename": "llmmw.jsonl", "bytes": len(data), "purpose": "batch"}


def _part(part: bytes) -> tuple[str, bytes]:
    head, _, rest = part.removeprefix(b"\r\n").removesuffix(b"\r\n").partition(b"\r\n\r\n")
    return head.partition(b'name="')[2].partition(b'"')[0].decode(), rest


def _json(data: Any, status: int = 200) -> Answer:
    headers = {"Content-Type": "application/json"}
    return Answer(status=status, headers=headers, body=json.dumps(data).encode())


def options_for(url: str) -> dict[str, dict[str, Any]]:
    """Options of providers, so that they ask this server."""
    return {
        "openai": {"base_url": f"{url}/v1", "api_key": KEY},
        "anthropic": {"base_url": url, "api_key": KEY},
    }


@asynccontextmanager
async def open_far_end(**fields: Any) -> AsyncIterator[FarEnd]:
    far = FarEnd(**fields)
    async with open_server(far) as server:
        far.url = server.url
        yield far
