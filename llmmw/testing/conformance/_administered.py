"""Recorded answers of administration, read through the verbs of a client."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, TypeAlias

from llmmw._session import Client
from llmmw.errors import LLMError, UnsupportedFeature
from llmmw.testing.conformance._cases import Case
from llmmw.testing.conformance._reading import Outcome, differences, usage_differences
from llmmw.testing.conformance._recorded import bare, shown

__all__ = ["after", "ask_verb_of", "before", "verb_differences"]

Json: TypeAlias = Mapping[str, Any]
Verb: TypeAlias = Callable[[Client, Json], Awaitable[list[str]]]

_ID = "id-1"
_NAMES = {
    "fine_tune_id": "id",
    "filename": "name",
    "size": "bytes",
    "timestamp": "at",
    **{name: name for name in ("id", "status", "message", "level")},
}
"""Where a field of the host's stands with us."""
_ENDED_BATCH = (
    b'{"id": "id-1", "type": "message_batch", "object": "batch", "status": "completed",'
    b' "processing_status": "ended", "output_file_id": "file-1"}'
)
_KNOWN = b'{"id": "id-1", "fine_tune_id": "id-1", "name": "id-1", "status": "CANCELLED"}'
_PENDING = "pending"
_MOST = 4
"""So many more requests may be made: failures are asked again."""


def before(case: Case) -> list[bytes]:
    """What is served before the case: results are asked of a batch that has ended."""
    return [_ENDED_BATCH] if case.wire.endswith("-batch-results") else []


def after(case: Case) -> list[bytes]:
    """What is served behind the case: failures again; else what a verb asks as well."""
    return [case.body if case.status >= 400 else _KNOWN] * _MOST


async def verb_differences(case: Case, client: Client) -> list[str]:
    """What a client's verbs give otherwise than the case says."""
    try:
        found = await ask_verb_of(case, client)
    except UnsupportedFeature:
        raise
    except LLMError as error:
        return differences(case, [Outcome(error=error)])
    wanted = case.expected.get("error")
    return [f"no error was raised; expected {shown(wanted)}"] if wanted else found


async def ask_verb_of(case: Case, client: Client) -> list[str]:
    """Ask by the verb that the case is an answer to, and compare.

    Raises:
        LLMError: what the verb raises.
    """
    verb = _verb(case)
    if verb is None:
        raise UnsupportedFeature("no verb is known for this answer")
    return await verb(client, {"object": {}, **case.expected})


def _verb(case: Case) -> Verb | None:
    if case.wire in _WIRES:
        return _WIRES[case.wire]
    group = case.wire.removeprefix("scale-")
    named = re.search(r"-([a-z_]+)(?:-\d+)?$", case.id)
    return _VERBS.get(f"{group}.{named[1]}" if named else "") or _VERBS.get(f"{group}.list")


def _beside(info: Any, told: Json) -> list[str]:
    """A value beside the host's own object: it is kept whole, and read where we have names."""
    found = [] if info.raw == told else [f"raw is {shown(dict(info.raw))}, not {shown(dict(told))}"]
    for theirs, ours in _NAMES.items():
        wanted = told.get(theirs)
        if wanted is not None and hasattr(info, ours) and getattr(info, ours) != wanted:
            found.append(f"{ours} {getattr(info, ours)!r}; expected {wanted!r}")
    return found


def _rows(infos: Sequence[Any], told: Json) -> list[str]:
    rows = next((one for one in told.values() if isinstance(one, list)), [])
    if len(infos) != len(rows):
        return [f"{len(infos)} rows; expected {len(rows)}"]
    return [each for info, row in zip(infos, rows, strict=True) for each in _beside(info, row)]


async def _models(client: Client, told: Json) -> list[str]:
    infos = await client.models.list()
    rows = told["object"].get("model_endpoints", ())
    named = [info.id for info in infos] == [row["name"] for row in rows]
    return _rows(infos, told["object"]) + ([] if named else ["the ids are not the names"])


async def _model(client: Client, told: Json) -> list[str]:
    return _beside(await client.models.get(str(told["object"].get("name") or _ID)), told["object"])


async def _model_links(client: Client, told: Json) -> list[str]:
    links = dict(await client.models.links(_ID))
    wanted = told["object"].get("urls")
    return [] if links == wanted else [f"links {shown(links)}; expected {shown(wanted)}"]


async def _model_deleted(client: Client, told: Json) -> list[str]:
    await client.models.delete(_ID)
    return []


async def _files(client: Client, told: Json) -> list[str]:
    return _rows(await client.files.list(), told["object"])


async def _file(client: Client, told: Json) -> list[str]:
    return _beside(await client.files.get(_ID), told["object"])


async def _file_sent(client: Client, told: Json) -> list[str]:
    info = await client.files.upload(b"prompt,response\nhello,hi\n", name="data.csv")
    wanted = told["object"].get("id")
    return [] if info.id == wanted else [f"id {info.id!r}; expected {wanted!r}"]


async def _file_content(client: Client, told: Json) -> list[str]:
    content = await client.files.content(_ID)
    wanted = str(told["object"].get("content", "")).encode()
    return [] if content == wanted else [f"content {content!r}; expected {wanted!r}"]


async def _file_deleted(client: Client, told: Json) -> list[str]:
    await client.files.delete(_ID)
    return []


async def _fine_tunes(client: Client, told: Json) -> list[str]:
    return _rows(await client.fine_tunes.list(), told["object"])


async def _fine_tune(client: Client, told: Json) -> list[str]:
    return _beside(await client.fine_tunes.get(_ID), told["object"])


async def _fine_tune_begun(client: Client, told: Json) -> list[str]:
    info = await client.fine_tunes.create("m", "https://example.com/data.csv")
    wanted = told["object"].get("fine_tune_id", told["object"].get("id"))
    return [] if info.id == wanted else [f"id {info.id!r}; expected {wanted!r}"]


async def _fine_tune_cancelled(client: Client, told: Json) -> list[str]:
    await client.fine_tunes.cancel(_ID)
    return []


async def _events(client: Client, told: Json) -> list[str]:
    return _rows(await client.fine_tunes.events(_ID), told["object"])


async def _batch(client: Client, told: Json) -> list[str]:
    info = await client.batches.get(_ID)
    counts = told.get("request_counts") or {}
    rows = [
        ("status", info.status, told.get("raw_status", info.status)),
        ("ended", info.ended, told["status"] != _PENDING),
        ("total", info.total, counts.get("total", info.total)),
        ("completed", info.completed, counts.get("completed", info.completed)),
    ]
    if "failed" in counts and (info.failed or 0) > counts["failed"]:  # others count more as that
        rows.append(("failed", info.failed, counts["failed"]))
    return [f"{name} {got!r}; expected {wanted!r}" for name, got, wanted in rows if got != wanted]


async def _batch_begun(client: Client, told: Json) -> list[str]:
    questions, answers = "s3://bucket/questions.json", "s3://bucket/answers.json"
    info = await client.batches.submit(questions, model="m", output_data_path=answers)
    wanted = told["object"].get("job_id")
    return [] if info.id == wanted else [f"id {info.id!r}; expected {wanted!r}"]


async def _results(client: Client, told: Json) -> list[str]:
    items = {item.id: item for item in await client.batches.results(_ID)}
    if list(items) != [row["id"] for row in told["results"]]:
        return [f"results of {list(items)}; expected {[row['id'] for row in told['results']]}"]
    found = []
    for row in told["results"]:
        item = items[row["id"]]
        if row["status"] != "succeeded":
            code = getattr(item.error, "code", None)
            if item.error is None or row.get("error_type", code) != code:
                found.append(f"{row['id']}: {item.error!r}; expected {shown(bare(row))}")
        elif item.response is None or getattr(item.response, "text", "") != row.get("text", ""):
            found.append(f"{row['id']}: {item!r}; expected the text {row.get('text')!r}")
        else:
            found += usage_differences(row.get("usage") or {}, item.response.usage)
    return found


_WIRES: Mapping[str, Verb] = {
    "anthropic-batch": _batch,
    "openai-batch": _batch,
    "anthropic-batch-results": _results,
    "openai-batch-results": _results,
}
_VERBS: Mapping[str, Verb] = {
    "completion.batch_create": _batch_begun,
    "model.list": _models,
    "model.get": _model,
    "model.download": _model_links,
    "model.delete": _model_deleted,
    "file.list": _files,
    "file.get": _file,
    "file.upload": _file_sent,
    "file.download": _file_content,
    "file.get_content": _file_content,
    "file.delete": _file_deleted,
    "fine_tuning.list": _fine_tunes,
    "fine_tuning.get": _fine_tune,
    "fine_tuning.create": _fine_tune_begun,
    "fine_tuning.cancel": _fine_tune_cancelled,
    "fine_tuning.get_events": _events,
}
