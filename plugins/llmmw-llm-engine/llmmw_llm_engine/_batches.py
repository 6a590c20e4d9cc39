"""Batches: jobs that answer many questions offline, and write what comes to an address.

::

    ids of the questions ─▶ a file at the host ─┐
    questions, in order ─▶ job ─▶ answers, in order, at …/{id of that file}.json ─▶ outcomes

The host gives answers back without ids, in the order of their questions. So the ids go into a file
first, and the address of the output names it: whoever knows the job can tell whose answers they
are, in another process too.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Iterable, Iterator, Mapping
from contextlib import aclosing, contextmanager, suppress
from contextvars import ContextVar
from typing import Any

import attrs

from llmmw import Call, Response
from llmmw.errors import (
    LLMError,
    NotFound,
    PermissionDenied,
    ProtocolError,
    ServerError,
    UnsupportedFeature,
)
from llmmw.plugin import BatchInfo, BatchLimits, Handler, Line, Outcome, Page
from llmmw.wire import HttpBatches, dumps, loads, packed
from llmmw_llm_engine._address import in_path
from llmmw_llm_engine._jobs import info_of, job_body, merged
from llmmw_llm_engine._kept import KeptIds
from llmmw_llm_engine._outputs import Outputs, elements_of
from llmmw_llm_engine._told import object_of, text_of, told_in

__all__ = ["EngineBatches", "is_of_a_batch"]

Json = Mapping[str, Any]

_PATH = "/v2/batch-completions"
_PATH_V1 = "/v1/llm/batch-completions"
_LIMITS = BatchLimits(lines=10_000, bytes=32 * 2**20)
"""The host tells none; all questions go in one request."""

_OF_A_BATCH = ContextVar("llmmw_llm_engine_batch", default=False)


def is_of_a_batch() -> bool:
    """Whether a call is written for a batch, or read from one, which knows the second API only."""
    return _OF_A_BATCH.get()


@contextmanager
def _of_a_batch() -> Iterator[None]:
    before = _OF_A_BATCH.set(True)
    try:
        yield
    finally:
        _OF_A_BATCH.reset(before)


@attrs.frozen(kw_only=True)
class EngineBatches(HttpBatches):
    """The verbs for batch completions; see `llmmw.plugin.Batches`.

    Args:
        outputs: where what comes of batches is written and read.
        fields: of each batch.
        kept: the ids of questions.
    """

    limits: BatchLimits = _LIMITS
    outputs: Outputs
    fields: Json
    kept: KeptIds

    async def write(self, ask: Handler, call: Call) -> Line:
        """A call as a question of a batch; see `Batches`."""
        if self.outputs.written is None:
            raise self.lacks(
                "create", "set the option batch_output, where the host can write what comes"
            )
        with _of_a_batch():
            return await super().write(ask, call)

    async def read(self, ask: Handler, call: Call, outcome: Outcome) -> Response:
        """What came for a call; see `Batches`."""
        with _of_a_batch():
            return await super().read(ask, call, outcome)

    def group(self, path: str, body: Json, headers: Mapping[str, str]) -> str:
        """A batch has one model, and holds chats or prompts."""
        return f"{path} {body.get('model')}"

    async def create(
        self, lines: Mapping[str, Line], metadata: Mapping[str, str] | None = None
    ) -> BatchInfo:
        """Send all questions at once, behind their ids."""
        model = next(iter(lines.values())).body.get("model")
        asked = {
            "model": model,
            "content": [_without_model(line.body) for line in lines.values()],
            "output_data_path": self.outputs.path("kept"),
            "labels": dict(metadata) if metadata else None,
        }
        body = job_body(merged(self.fields, asked), "v2")
        return await self._begin_kept(lines, metadata, body, "v2")

    async def submit(self, file: str, fields: Json) -> BatchInfo:
        """Begin a job whose questions are at an address that the host can read.

        Args:
            file: that address; empty, if `fields` have `content`.
            fields: `model` or `model_config`, `output_data_path` (or the option batch_output),
                `labels`, `priority`, `data_parallelism`, `max_runtime_sec`, `tool_config`, the
                hardware; and `api`: `v1` for its older form, else `v2`.
        """
        given = dict(fields)
        api = given.pop("api", None) or "v2"
        if api not in {"v1", "v2"}:
            raise UnsupportedFeature(f"api={api!r}: {self.name} has batches of v1 and v2")
        asked = merged(self.fields, given) | ({"input_data_path": file} if file else {})
        if "output_data_path" in asked or self.outputs.written is None:
            return await self._begin(job_body(asked, api), api)
        # Such a job has no ids; the address of its output must be its own all the same.
        body = job_body(asked | {"output_data_path": self.outputs.path("kept")}, api)
        return await self._begin_kept((), body.get("labels"), body, api)

    async def get(self, id: str) -> BatchInfo:
        """How far a job is; by the id of the file of its ids, too, for one whose own nobody got."""
        found = await self.kept.job(id)
        if found is not None:
            return found
        async with self.http.get(f"{_PATH}/{in_path(id)}") as reply:
            return info_of(await told_in(reply), self.name)

    async def list(self, after: str | None = None) -> Page[BatchInfo]:
        """The jobs that were made of questions here, by the ids of their files, which serve in
        place of their own. The host lists none."""
        if self.outputs.written is None:
            raise self.lacks("list", "keep the ids of the batches that you make")
        return Page(await self.kept.jobs())

    async def update(self, id: str, fields: Json) -> BatchInfo:
        """Change the `priority` of a job."""
        unknown = sorted(fields.keys() - {"priority"})
        if unknown:
            raise UnsupportedFeature(f"only the priority of a batch changes, not {unknown[0]}")
        body = dumps({"job_id": id, **fields})
        async with self.http.post(f"{_PATH}/{in_path(id)}", body) as reply:
            told = await told_in(reply)
        if told.get("success") is False:
            raise ServerError(f"the host did not change the batch {id}")
        return info_of(told, self.name)

    async def cancel(self, id: str) -> BatchInfo:
        """Let a job end. One that is known by its file alone goes on."""
        found = await self.kept.job(id)
        if found is not None:
            return found
        async with self.http.post(f"{_PATH}/{in_path(id)}/actions/cancel", b"{}") as reply:
            told = await told_in(reply)
        info = await self.get(id)
        if told.get("success") is False and not info.ended:
            raise ServerError(f"the host did not cancel the batch {id}")
        return info

    async def results(self, batch: BatchInfo) -> AsyncGenerator[Outcome, None]:
        """What came, in the order of the questions. Those of a job that was submitted have the
        numbers of their places as ids."""
        path = text_of(batch.raw.get("output_data_path"))
        if not path:
            raise UnsupportedFeature(f"the host does not tell where the output of {batch.id} is")
        ids = await self.kept.ids(path)
        place = 0
        try:
            rows = elements_of(self.outputs.address(path), self.http.client)
            async with aclosing(rows):
                async for row in rows:
                    if ids and place == len(ids):  # by the order alone they are told apart
                        raise ProtocolError(f"the host gave more answers than {place} questions")
                    yield _outcome(ids[place] if ids else str(place), row)
                    place += 1
        except (NotFound, PermissionDenied):  # a bucket says so, too, of what is not there
            if not batch.ended or batch.status.lower() == "completed" or not ids:
                raise
        for name in ids[place:]:
            ending = _ENDINGS.get(batch.status.lower(), "answered")
            yield Outcome(id=name, ending=ending, status=500, body=_NOTHING)

    async def _begin_kept(
        self, ids: Iterable[str], labels: Mapping[str, str] | None, body: Json, api: str
    ) -> BatchInfo:
        """Keep the ids, and begin a job whose output names the file of them."""
        kept = await self.kept.keep(ids, labels)
        try:
            return await self._begin({**body, "output_data_path": self.outputs.path(kept)}, api)
        except LLMError as error:
            if error.processed is False or error.status not in _UNSURE:
                await self.kept.forget(kept)
            raise

    async def _begin(self, body: Json, api: str) -> BatchInfo:
        path = _PATH_V1 if api == "v1" else _PATH
        try:
            return await self._posted(path, body)
        except LLMError as error:
            if error.status not in {307, 308} or path != _PATH:
                raise
        # Servers that route it by a name with a slash redirect; the key goes no further than there.
        return await self._posted(f"{path}/", body)

    async def _posted(self, path: str, body: Json) -> BatchInfo:
        async with self.http.post(path, dumps(body)) as reply:
            told = await told_in(reply)
        info = info_of(told, self.name)
        beside = {name: body[name] for name in ("output_data_path",) if name not in info.raw}
        return attrs.evolve(info, raw={**info.raw, **beside})


_UNSURE = {None, 408, 502, 504}
"""With these, and on a broken line, the job may have been made."""
_ENDINGS = {"cancelled": "cancelled", "expired": "expired"}
_NOTHING = packed({"error": {"message": "the batch ended without an answer to this"}})


def _without_model(body: Json) -> Json:
    return {name: one for name, one in body.items() if name != "model"}


def _outcome(id: str, data: bytes) -> Outcome:
    """What came of one question: a chat or a completion, an error, an answer of the first API, or
    nothing that can be read."""
    row: Json = {}
    with suppress(ProtocolError):
        row = object_of(loads(data))
    if not row:
        return Outcome(id=id, status=500, body=_NOTHING)
    if row.get("object") == "error" or row.get("error"):
        code = object_of(row.get("error")).get("code") or row.get("code")
        status = code if type(code) is int and 400 <= code < 600 else 500
        return Outcome(id=id, status=status, body=packed(dict(row)))
    if "choices" not in row and isinstance(row.get("text"), str):
        row = _as_completion(row)
    return Outcome(id=id, body=packed(dict(row)))


def _as_completion(row: Json) -> Json:
    given, made = row.get("num_prompt_tokens"), row.get("num_completion_tokens")
    return {
        **{name: one for name, one in row.items() if name != "text"},
        "object": "text_completion",
        "choices": [{"index": 0, "text": row["text"], "finish_reason": None}],
        "usage": {"prompt_tokens": given, "completion_tokens": made},
    }
