"""Models, profiles and batches at the control plane."""

from __future__ import annotations

from urllib.parse import parse_qs, unquote, urlsplit

import pytest

from llmmw.errors import BadRequest, NotFound, UnsupportedFeature

pytestmark = pytest.mark.plugins

MODEL = {
    "modelId": "amazon.nova-lite-v1:0",
    "modelName": "Nova Lite",
    "providerName": "Amazon",
    "modelLifecycle": {"status": "ACTIVE"},
    "later": 1,
}
ARN = "arn:aws:bedrock:us-east-1:123456789012"
PROFILE = {
    "inferenceProfileId": "us.amazon.nova-lite-v1:0",
    "inferenceProfileArn": f"{ARN}:inference-profile/us.amazon.nova-lite-v1:0",
    "inferenceProfileName": "US Nova Lite",
    "status": "ACTIVE",
    "type": "SYSTEM_DEFINED",
    "createdAt": "2026-01-02T03:04:05Z",
}
OWN = PROFILE | {
    "inferenceProfileArn": f"{ARN}:application-inference-profile/ab12",
    "type": "APPLICATION",
}
JOB = {
    "jobArn": f"{ARN}:model-invocation-job/abcdefghijkl",
    "status": "InProgress",
    "submitTime": "2026-01-02T03:04:05Z",
    "jobExpirationTime": "2026-01-05T03:04:05Z",
    "totalRecordCount": 10,
    "successRecordCount": 3,
    "errorRecordCount": 1,
}
FIELDS = {
    "modelId": "amazon.nova-lite-v1:0",
    "roleArn": "arn:aws:iam::123456789012:role/r",
    "outputDataConfig": {"s3OutputDataConfig": {"s3Uri": "s3://b/out/"}},
}


async def test_models_and_profiles_page_by_page(wire):
    answers = [
        wire.whole({"modelSummaries": [MODEL, {"modelId": "x"}]}),
        wire.whole({"inferenceProfileSummaries": [PROFILE], "nextToken": "a/b="}),
        wire.whole({"inferenceProfileSummaries": [OWN]}),
    ]
    async with wire.client(answers, make=wire.signing) as (client, server):
        rows = [one async for one in client.models.list()]
    assert [one.id for one in rows] == [
        "amazon.nova-lite-v1:0",
        "x",
        "us.amazon.nova-lite-v1:0",
        OWN["inferenceProfileArn"],
    ]
    first, profile = rows[0], rows[2]
    assert (first.name, first.owner, first.status, first.ready) == (
        "Nova Lite",
        "Amazon",
        "ACTIVE",
        None,
    )
    assert first.raw == MODEL
    assert (profile.created, profile.ready) == (1767323045.0, True)
    sent = [urlsplit(one.path) for one in server.requests]
    assert [one.path for one in sent] == [
        "/foundation-models",
        "/inference-profiles",
        "/inference-profiles",
    ]
    assert parse_qs(sent[2].query) == {"maxResults": ["1000"], "nextToken": ["a/b="]}
    assert all("Signature=" in one.headers["authorization"] for one in server.requests)


@pytest.mark.parametrize(
    ("id", "path"),
    [
        ("amazon.nova-lite-v1:0", "/foundation-models/"),
        ("us.amazon.nova-lite-v1:0", "/inference-profiles/"),
        (OWN["inferenceProfileArn"], "/inference-profiles/"),
    ],
)
async def test_one_model(wire, id, path):
    async with wire.client(wire.whole({"modelDetails": MODEL} | PROFILE)) as (client, server):
        told = await client.models.get(id)
    assert told.name
    (received,) = server.requests
    assert received.path.startswith(path)
    assert unquote(received.path) == path + id
    assert received.path.count("/") == 2


async def test_a_model_that_is_not_there(wire):
    answer = wire.whole({"message": "no"}, 404, x_amzn_errortype="ResourceNotFoundException")
    async with wire.client(answer) as (client, _):
        with pytest.raises(NotFound, match="no"):
            await client.models.get("x")


async def test_a_batch_of_a_file_in_s3(wire):
    answers = [wire.whole({"jobArn": JOB["jobArn"]}), wire.whole(JOB)]
    source = {"inputDataConfig": {"s3InputDataConfig": {"s3BucketOwner": "123456789012"}}}
    async with wire.client(answers) as (client, server):
        info = await client.batches.submit("s3://b/in.jsonl", **FIELDS, **source)
    assert (info.id, info.status, info.ended) == (JOB["jobArn"], "InProgress", False)
    assert (info.total, info.completed, info.failed) == (10, 3, 1)
    assert (info.created, info.expires) == (1767323045.0, 1767582245.0)
    one, two = server.requests
    body = one.json()
    assert (one.method, one.path) == ("POST", "/model-invocation-job")
    assert body["inputDataConfig"]["s3InputDataConfig"] == {
        "s3InputFormat": "JSONL",
        "s3Uri": "s3://b/in.jsonl",
        "s3BucketOwner": "123456789012",
    }
    assert body["clientRequestToken"].isalnum()
    assert body["jobName"].startswith("llmmw-")
    assert {name: body[name] for name in FIELDS} == FIELDS
    assert unquote(two.path) == f"/model-invocation-job/{JOB['jobArn']}"


async def test_a_batch_that_lacks_what_it_needs(wire):
    async with wire.client(wire.whole(JOB)) as (client, server):
        with pytest.raises(BadRequest, match="needs roleArn, outputDataConfig among its fields"):
            await client.batches.submit("s3://b/in.jsonl", modelId="m")
    assert server.requests == []


async def test_batches_page_by_page(wire):
    answers = [
        wire.whole({"invocationJobSummaries": [JOB], "nextToken": "t"}),
        wire.whole({"invocationJobSummaries": [JOB | {"status": "Completed"}]}),
    ]
    async with wire.client(answers) as (client, server):
        rows = [one async for one in client.batches.list()]
    assert [one.status for one in rows] == ["InProgress", "Completed"]
    query = parse_qs(urlsplit(server.requests[1].path).query)
    assert query["nextToken"] == ["t"]
    assert query["sortOrder"] == ["Descending"]


@pytest.mark.parametrize(
    ("status", "ended"),
    [
        *((word, False) for word in ("Submitted", "Validating", "Scheduled", "Stopping", "New")),
        *((word, True) for word in ("Completed", "PartiallyCompleted", "Stopped", "Expired")),
        ("Failed", True),
    ],
)
async def test_how_far_a_batch_is(wire, status, ended):
    answer = wire.whole(JOB | {"status": status, "message": "why"})
    async with wire.client(answer) as (client, _):
        info = await client.batches.get("abcdefghijkl")
    assert info.ended is ended
    assert [one.message for one in info.refusals] == (["why"] if status == "Failed" else [])


async def test_a_batch_is_stopped(wire):
    answers = [wire.whole(b""), wire.whole(JOB | {"status": "Stopping"})]
    async with wire.client(answers) as (client, server):
        assert (await client.batches.cancel("abcdefghijkl")).status == "Stopping"
    assert [(one.method, one.path) for one in server.requests] == [
        ("POST", "/model-invocation-job/abcdefghijkl/stop"),
        ("GET", "/model-invocation-job/abcdefghijkl"),
    ]


async def test_batches_are_files(wire):
    async with wire.client(wire.whole(JOB | {"status": "Completed"})) as (client, _):
        with pytest.raises(UnsupportedFeature, match=r"as a file in S3: .*batches.submit\('s3:"):
            await client.batches.create(["hi"])
        with pytest.raises(UnsupportedFeature, match="stands in S3, where outputDataConfig"):
            await client.batches.results("abcdefghijkl")


@pytest.mark.parametrize("junk", [{}, {"modelSummaries": None}, {"modelSummaries": [1, None, {}]}])
async def test_little_is_enough(wire, junk):
    async with wire.client([wire.whole(junk), wire.whole({})]) as (client, _):
        rows = [one async for one in client.models.list()]
    assert [one.id for one in rows] == [""] * (len(rows) if junk.get("modelSummaries") else 0)
    job = {"status": 7, "submitTime": "soon", "totalRecordCount": "x", "jobExpirationTime": True}
    async with wire.client(wire.whole(job)) as (client, _):
        info = await client.batches.get("a")
    assert (info.id, info.ended, info.total, info.created, info.expires) == (
        "",
        False,
        None,
        None,
        None,
    )
