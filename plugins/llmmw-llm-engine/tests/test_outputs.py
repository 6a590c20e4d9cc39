"""Where what comes of batches is written and read."""

from __future__ import annotations

import json

import pytest
from llmmw_llm_engine._outputs import Outputs, elements_of

from llmmw import Client
from llmmw.errors import ConfigError, NotFound, ProtocolError, UnsupportedFeature
from llmmw.testing import Answer, open_host, open_server

pytestmark = pytest.mark.plugins


def test_what_no_address_can_be():
    for given in ("s3://b/all.json", "s3://{id}/{id}.json"):
        with pytest.raises(ConfigError, match="batch_output"):
            Outputs(given)
    with pytest.raises(ConfigError, match="batch_output"):
        Outputs(None, "https://h/{id}")


def test_ids_and_addresses():
    outputs = Outputs("s3://b/{id}.json", "https://h/{id}?x=1")
    assert outputs.path("file-1") == "s3://b/file-1.json"
    assert outputs.id_in("s3://b/file-1.json") == "file-1"
    assert outputs.id_in("s3://c/file-1.json") is None
    for given in ("../../etc/x", "a/b", "a?b", "..", "a%2Fb", ""):
        assert outputs.id_in(f"s3://b/{given}.json") is None
    assert outputs.address("s3://b/file-1.json") == "https://h/file-1?x=1"
    assert outputs.address("https://elsewhere/x") == "https://elsewhere/x"
    for told in ("/etc/x.json", "file:///etc/x.json", "s3://c/file-1.json", "s3://b/../x.json"):
        with pytest.raises(UnsupportedFeature, match="batch_results"):
            outputs.address(told)  # the host alone names no file of this machine


async def read(address, client=None):
    return [json.loads(one) async for one in elements_of(address, client)]


async def test_a_file_of_this_machine(tmp_path):
    path = tmp_path / "a b.json"
    path.write_bytes(json.dumps([{"a": 1}, None, [2]]).encode())
    assert await read(str(path)) == [{"a": 1}, None, [2]]
    assert await read(path.as_uri()) == [{"a": 1}, None, [2]]
    with pytest.raises(NotFound):
        await read(str(tmp_path / "none.json"))
    path.write_bytes(b'[{"a": 1}, {"b"')
    with pytest.raises(ProtocolError):
        await read(str(path))


@pytest.mark.parametrize("address", ["s3://b/x.json", "gs://b/x", "x.json", "C:\\x.json"])
async def test_what_only_the_host_reaches(address):
    with pytest.raises(UnsupportedFeature, match="batch_results"):
        await read(address)


async def test_an_address_is_asked_without_a_key(wire):
    async with open_server(Answer(body=b"[1, 2]")) as server, open_host() as host:
        provider = wire.provider(server.url)
        async with provider.open(host):
            found = await read(f"{server.url}/x.json?signed=1", provider._http.client)
    (asked,) = server.requests
    assert (found, asked.path) == ([1, 2], "/x.json?signed=1")
    assert wire.key not in str(asked.headers)


async def test_without_an_address_no_question_is_in_a_batch(wire):
    async with wire.client(wire.whole({})) as (client, server):
        with pytest.raises(UnsupportedFeature, match="batch_output"):
            await client.batches.create(["a"])
        with pytest.raises(UnsupportedFeature, match="list"):
            async for _ in client.batches.list():
                pass
        with pytest.raises(UnsupportedFeature, match="delete"):
            await client.batches.delete("b")
    assert server.requests == []


async def test_fields_of_each_batch(wire):
    config = {"checkpoint_path": "s3://c", "num_shards": 2}
    fields = {"model_config": config, "gpus": 2, "labels": {"team": "x", "a": "of all"}}
    job = {"job_id": "b", "status": "queued", "output_data_path": "s3://o/f.json"}
    answers = [wire.whole({"id": "f"}), wire.whole(job)] * 2
    options = {"batch_output": "s3://o/{id}.json", "batch_fields": fields}
    async with wire.client(answers, **options) as (client, server):
        info = await client.batches.create({"x": "hello"}, metadata={"a": "b"})
        await client.batches.create({"x": "hello"})
    assert server.requests[1].json() == {
        "model_config": {"checkpoint_path": "s3://c", "num_shards": 2, "model": "m"},
        "gpus": 2,
        "content": [{"messages": [{"role": "user", "content": "hello"}]}],
        "output_data_path": "s3://o/f.json",
        "labels": {"team": "x", "a": "b"},
    }
    assert server.requests[3].json()["labels"] == fields["labels"]
    assert (info.id, info.status) == ("b", "queued")
    assert isinstance(client, Client)


async def test_a_failed_batch_says_so_for_each_question(wire):
    job = {"job_id": "b", "status": "failed", "output_data_path": "/no/where/f.json"}
    content = {"id": "f", "content": json.dumps(["x", "y"])}
    answers = [wire.whole({"job": job}), wire.whole(content)]
    async with wire.client(answers, batch_output="/no/where/{id}.json") as (client, _):
        items = await client.batches.results("b")
    assert [one.id for one in items] == ["x", "y"]
    assert all(one.error is not None for one in items)


async def results_of(wire, tmp_path, rows, *, content=("x", "y"), path=None):
    """What came of a job that has written `rows`."""
    output = tmp_path / "f.json"
    output.write_bytes(rows)
    job = {"job_id": "b", "status": "completed", "output_data_path": path or str(output)}
    kept = wire.whole({"detail": "none"}, status=404)
    if content is not None:
        kept = wire.whole({"id": "f", "content": json.dumps(content)})
    options = {"batch_output": f"{tmp_path}/{{id}}.json"}
    async with wire.client([wire.whole({"job": job}), kept], **options) as (client, _):
        return await client.batches.results("b")


def answered(text):
    choice = {"index": 0, "message": {"content": text}, "finish_reason": "stop"}
    return json.dumps({"choices": [choice]})


async def test_what_is_no_answer_is_the_failure_of_its_question_alone(wire, tmp_path):
    items = await results_of(wire, tmp_path, f"[nonsense, {answered('B')}]".encode())
    assert [one.id for one in items] == ["x", "y"]
    assert (items[0].error is not None, items[1].response.text) == (True, "B")


async def test_more_answers_than_questions_belong_to_none(wire, tmp_path):
    rows = ", ".join([answered("A")] * 3)
    with pytest.raises(ProtocolError, match="more answers than 2 questions"):
        await results_of(wire, tmp_path, f"[{rows}]".encode(), content=("1", "2"))


async def test_a_job_that_was_submitted_to_such_an_address_has_numbers(wire, tmp_path):
    items = await results_of(wire, tmp_path, f"[{answered('A')}]".encode(), content=None)
    assert [(one.id, one.response.text) for one in items] == [("0", "A")]


async def test_what_signs_an_address_is_not_told(wire, tmp_path):
    signed = "https://host/{id}.json?sig=zz-signature"
    provider = wire.provider("http://host", batch_output="s3://b/{id}", batch_results=signed)
    assert "zz-signature" not in repr(provider)
    with pytest.raises(ConfigError) as wrong:
        Outputs("https://host/x.json?sig=zz-signature")
    with pytest.raises(UnsupportedFeature) as far:
        await read("azure://host/x.json?sig=zz-signature")
    async with open_server(Answer(body=b"[1, 2")) as server, open_host() as host:
        asked = wire.provider(server.url)
        async with asked.open(host):
            with pytest.raises(ProtocolError, match="no whole list") as cut:
                await read(f"{server.url}/x.json?sig=zz-signature", asked._http.client)
            with pytest.raises(ProtocolError, match="no address") as link:
                async with asked.models.fetch("s3://b/x?sig=zz-signature"):
                    pass
    for caught in (wrong, far, cut, link):
        assert "zz-signature" not in str(caught.value)


async def test_what_the_first_api_tells_of_an_answer_is_kept(wire, tmp_path):
    tokens = [{"token": "A", "log_prob": -0.5}]
    row = {"text": "A", "num_prompt_tokens": 1, "num_completion_tokens": 1, "tokens": tokens}
    items = await results_of(wire, tmp_path, json.dumps([row]).encode(), content=["x"])
    (answer,) = [one.response for one in items]
    assert (answer.text, answer.usage.output_tokens) == ("A", 1)
    assert answer.raw["tokens"] == tokens
