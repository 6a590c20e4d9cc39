"""Junk at each place of what the host tells: an answer or an error, never another exception. Lists
and objects stand where texts are expected too, so that nothing may be hashed."""

from __future__ import annotations

import json

import pytest
from llmmw_llm_engine._answer import Completion
from llmmw_llm_engine._jobs import info_of

from llmmw import Call, Generate
from llmmw.errors import LLMError
from llmmw.plugin import ResponseBuilder, Source
from llmmw.testing import open_host, open_server

pytestmark = pytest.mark.plugins

JUNK = [None, True, -1, 10**400, 1e999, "", "x", [], [None], [[1]], {}, {"a": 1}, [{}], {"b": []}]


def broken(data):
    """`data` with junk at each place in turn."""
    yield from JUNK
    for key in (
        data if isinstance(data, dict) else range(len(data)) if isinstance(data, list) else ()
    ):
        for one in broken(data[key]):
            copy = data.copy()
            copy[key] = one
            yield copy


async def outcome(rows, *, whole):
    """Whether there is an answer; errors are ours alone."""
    call = Call(Generate(model="llm-engine:m", prompt="hi"))
    answer = Completion(ResponseBuilder(call, "llm-engine", "m"), 20, logprobs=True)
    try:
        for row in rows:
            await answer.take(row, whole=whole)
        told = await answer.finish()
    except LLMError:
        return "error"
    assert told.finish is not None
    return "answer"


async def test_junk_in_a_whole_answer(wire):
    found = {"answer": 0, "error": 0}
    good = wire.output(tokens=[{"token": "x", "log_prob": -1}])
    for data in broken(good):
        if isinstance(data, dict):
            found[await outcome([data], whole=True)] += 1
    assert min(found.values()) > 10


async def test_junk_in_a_stream(wire):
    good = wire.pieces("a", "b", token={"token": "x", "log_prob": -1})
    found = {"answer": 0, "error": 0}
    for place, event in enumerate(good):
        for junk in broken(event):
            if isinstance(junk, dict):
                rows = [*good[:place], junk, *good[place + 1 :]]
                found[await outcome(rows, whole=False)] += 1
    assert min(found.values()) > 10


JOB = {
    "job_id": "b",
    "status": "running",
    "output_data_path": "/no/such/file.json",
    "model_config": {"model": "m"},
    "created_at": "2024-08-01",
    "expires_at": "7",
    "metadata": {"a": "b"},
}
MODEL = {"name": "m", "status": "READY", "spec": {"created_by": "me"}, "urls": {"a": "b"}}
TUNE = {"id": "f", "status": "RUNNING", "fine_tuned_model": "m"}
EVENTS = {"events": [{"timestamp": 1, "message": "m", "level": "l"}]}
FILE = {"id": "f", "filename": "n", "size": 3, "content": "text"}


async def results_of(provider):
    info = await provider.batches.get("b")
    return [one async for one in provider.batches.results(info)]


async def content_of(provider):
    async with provider.files.content("f") as pieces:
        while await pieces.next_piece():
            pass


def nobody(transfer):
    return


OWN = {"model": "m", "inference_framework_image_tag": "x"}
VERBS = [
    ({"model_endpoints": [MODEL]}, lambda one: one.models.list()),
    (MODEL, lambda one: one.models.get("m")),
    (MODEL, lambda one: one.models.create("m", OWN)),
    (MODEL, lambda one: one.models.update("m", {})),
    ({"deleted": True}, lambda one: one.models.delete("m")),
    (MODEL, lambda one: one.models.links("m", {})),
    ({"files": [FILE]}, lambda one: one.files.list()),
    (FILE, lambda one: one.files.get("f")),
    (FILE, lambda one: one.files.upload(Source.of_pieces("a", [b"b"]), "", nobody)),
    ({"deleted": True}, lambda one: one.files.delete("f")),
    (FILE, content_of),
    ({"jobs": [TUNE]}, lambda one: one.fine_tunes.list()),
    (TUNE, lambda one: one.fine_tunes.get("f")),
    ({**TUNE, "success": True}, lambda one: one.fine_tunes.cancel("f")),
    (TUNE, lambda one: one.fine_tunes.create({"model": "m", "training_file": "f"})),
    (EVENTS, lambda one: one.fine_tunes.events("f")),
    ({"job": JOB}, lambda one: one.batches.get("b")),
    ({**JOB, "success": True}, lambda one: one.batches.update("b", {})),
    ({"job": JOB, "success": True}, lambda one: one.batches.cancel("b")),
    (JOB, lambda one: one.batches.submit("s3://i", {"model": "m", "output_data_path": "s3://o"})),
    ({"job": JOB}, results_of),
]


@pytest.mark.parametrize(("good", "verb"), VERBS)
async def test_junk_in_what_is_administered(wire, good, verb):
    said = []

    async def answer(received):
        return wire.whole(json.dumps(said[-1]).encode())

    async with open_server(answer) as server, open_host() as host:
        provider = wire.provider(server.url)
        async with provider.open(host):
            for data in broken(good):
                said.append(data)
                try:
                    await verb(provider)
                except LLMError:
                    pass
    assert len(said) > 14


def test_a_job_by_its_id_alone():
    info = info_of({"job_id": "b"}, "llm-engine")
    assert (info.id, info.status, info.ended, info.created) == ("b", "", False, None)
