"""Recorded cases that are no answers to questions: vectors of AWS, frames, and administration."""

from __future__ import annotations

import json
import struct
import zlib

import pytest
import trio

from llmmw.testing.conformance import cases_of, run_cases
from llmmw.testing.conformance._frames import frame, payloads_of
from llmmw.testing.conformance._mutate import mutate
from llmmw.testing.conformance._targets import target_of
from llmmw.wire import EventStreamDecoder
from tests.testing.conformance_wires import REPLAYS
from tests.testing.test_conformance import case, run

plugins = pytest.mark.plugins


def test_lines_become_frames_that_others_can_read() -> None:
    lines = [
        b'{"messageStart": {"role": "assistant"}}',
        b'{"throttlingException": {"message": "x"}}',
    ]
    decoder = EventStreamDecoder()
    start, late = decoder.feed(b"".join(map(frame, lines)))
    decoder.end()
    assert (start.text(":message-type"), start.text(":event-type")) == ("event", "messageStart")
    assert json.loads(start.payload) == {"role": "assistant"}
    assert late.text(":message-type") == "exception"
    assert late.text(":exception-type") == "throttlingException"
    told = list(payloads_of(b"".join(map(frame, lines)) + b"\0\0\0"))
    assert told == [json.loads(line) for line in lines]
    assert list(payloads_of(frame(b"no JSON") + frame(lines[0])[:-1])) == []
    (odd,) = EventStreamDecoder().feed(frame(b"no JSON"))
    assert (odd.payload, odd.text(":event-type")) == (b"no JSON", "")


def test_lines_of_several_answers_are_told_apart(tmp_path) -> None:
    wire, body, _, fields = REPLAYS["aws-bedrock"]
    case(tmp_path, "a", body * 2, {}, provider="aws-bedrock", wire=wire, **fields)
    (one,) = cases_of(tmp_path)
    whole = b"".join(map(frame, body.splitlines()))
    assert one.answers == [whole, whole]


def framed(payload: bytes, headers: bytes = b"") -> bytes:
    prelude = struct.pack(">II", 16 + len(headers) + len(payload), len(headers))
    whole = prelude + struct.pack(">I", zlib.crc32(prelude)) + headers + payload
    return whole + struct.pack(">I", zlib.crc32(whole))


async def test_vectors_of_frames(tmp_path) -> None:
    fields = {"provider": "aws", "wire": "aws-eventstream", "framing": "aws-eventstream"}
    body = framed(b"hi", b"\x01a\x00" + b"\x01b\x06\x00\x02xy" + b"\x01c\x08" + bytes(7) + b"\x09")
    headers = {"a": True, "b": {"bytes": "xy"}, "c": {"timestamp": 9}}
    read = {"valid": True, "headers": headers, "payload": "hi"}
    broken = {"valid": False, "error": "message checksum mismatch"}
    case(tmp_path, "good", body, read, **fields)
    case(tmp_path, "broken", body[:-1] + b"?", broken, **fields)
    case(tmp_path, "other", body, read | {"payload": "ho"}, **fields)
    case(tmp_path, "header", body, read | {"headers": headers | {"a": False}}, **fields)
    case(tmp_path, "sound", body, broken, **fields)
    case(tmp_path, "raised", body[:-1] + b"?", read, **fields)
    found = await run(tmp_path, cuts=1)
    assert {name for name, (status, _) in found.items() if status == "passed"} == {"good", "broken"}
    assert "b'ho'" in found["other"][1]
    assert "checksum" in found["raised"][1]


REQUEST = b"""GET /?b=2&a=1 HTTP/1.1
Host:example.amazonaws.com
My-Header1:value1
  value2
X-Amz-Date:20150830T123600Z"""
EXAMPLE = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"
AT = {"access_key": "AKIDEXAMPLE", "secret_key": EXAMPLE, "region": "us-east-1"}
AT |= {"service": "service", "date": "20150830T123600Z"}
PROOF = (
    "AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20150830/us-east-1/service/aws4_request, "
    "SignedHeaders=host;my-header1;x-amz-date, Signature="
)
SIGNATURE = "50725e489c7cab59eef6e36903e6c4309b142b4fbb89482c2b7fa5064cf97930"
"""As the signer of botocore makes it; and the one below."""
WRITTEN = {
    "region": "eu-central-1",
    "service": "bedrock",
    "credentials": {
        "accessKeyId": "AKIDEXAMPLE",
        "secretAccessKey": EXAMPLE,
        "sessionToken": "token",
    },
    "request": {
        "method": "POST",
        "url": "https://host/model/a%3A0/converse",
        "body": '{"a": 1}',
        "contentType": "application/json",
    },
}
WRITTEN_PROOF = (
    "AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20250102/eu-central-1/bedrock/aws4_request, "
    "SignedHeaders=content-type;host;x-amz-content-sha256;x-amz-date;x-amz-security-token, "
    "Signature=8d619c5b52dcbe9afb7d8260fb20a8ea56a1c2012ffa8090c95581b79081b927"
)


@plugins
async def test_vectors_of_signatures(tmp_path) -> None:
    fields = {"provider": "aws", "wire": "aws-sigv4", "mode": "vector", "http_status": 0}
    raw = fields | {"framing": "raw-http-request"}
    case(tmp_path, "raw", REQUEST, AT | {"authz": PROOF + SIGNATURE}, **raw)
    case(tmp_path, "wrong", REQUEST, AT | {"authz": PROOF + SIGNATURE[::-1]}, **raw)
    told = {"date": "20250102T030405Z", "authorization": WRITTEN_PROOF}
    case(tmp_path, "written", WRITTEN, told, **fields)
    found = await run(tmp_path)
    assert found["raw"] == found["written"] == ("passed", "")
    assert found["wrong"][0] == "failed"
    assert EXAMPLE not in found["wrong"][1]


COUNTS = {"processing": 0, "succeeded": 1, "errored": 1, "canceled": 0, "expired": 1}
BATCH = {"id": "b", "type": "message_batch", "processing_status": "ended", "request_counts": COUNTS}
SAID = {"id": "m", "type": "message", "role": "assistant", "stop_reason": "end_turn"}
SAID |= {"content": [{"type": "text", "text": "Paris"}]}
SAID |= {"usage": {"input_tokens": 3, "output_tokens": 2}}
REFUSED = {"type": "error", "error": {"type": "invalid_request_error", "message": "bad"}}
RESULTS = [
    {"custom_id": "a", "result": {"type": "succeeded", "message": SAID}},
    {"custom_id": "b", "result": {"type": "errored", "error": REFUSED}},
]
READ_RESULTS = [
    {"id": "a", "status": "succeeded", "text": "Paris", "usage": {"output_tokens": 2}},
    {"id": "b", "status": "failed", "error_type": "invalid_request_error"},
]


@plugins
async def test_batches(tmp_path) -> None:
    fields = {"provider": "anthropic", "wire": "anthropic-batch"}
    counts = {"total": 3, "completed": 1, "failed": 2}
    read = {"status": "completed", "raw_status": "ended", "request_counts": counts}
    case(tmp_path, "good", BATCH, read, **fields)
    for name, other in {
        "open": {"status": "pending"},
        "word": {"raw_status": "over"},
        "total": {"request_counts": counts | {"total": 4}},
        "failed": {"request_counts": counts | {"failed": 0}},
    }.items():
        case(tmp_path, f"other {name}", BATCH, read | other, **fields)
    fields |= {"wire": "anthropic-batch-results", "framing": "ndjson"}
    body = "\n".join(map(json.dumps, RESULTS)).encode()
    case(tmp_path, "good results", body, {"results": READ_RESULTS}, **fields)
    answered, refused = READ_RESULTS
    for name, rows in {
        "fewer": [answered],
        "text": [answered | {"text": "Rome"}, refused],
        "usage": [answered | {"usage": {"output_tokens": 3}}, refused],
        "error": [answered, refused | {"error_type": "api_error"}],
        "ending": [answered | {"status": "failed"}, refused],
    }.items():
        case(tmp_path, f"other results {name}", body, {"results": rows}, **fields)
    found = await run(tmp_path, cuts=1)
    assert {status for status, _ in found.values()} == {"passed", "failed"}
    for name, (status, why) in found.items():
        assert status == ("passed" if name.startswith("good") else "failed"), (name, why)


JOBS = {"jobs": [{"fine_tune_id": "ft-1", "status": "STARTED"}]}
EVENTS = {"events": [{"timestamp": 1.5, "message": "{'loss': 2.1}", "level": "info"}]}
KEPT = {"files": [{"id": "f", "filename": "a.csv", "size": 100}]}
SERVED = {"model_endpoints": [{"id": None, "name": "llama", "source": "hugging_face"}]}
VERBS = {
    "scale-fine_tuning-list-1": JOBS,
    "scale-fine_tuning-get-2": JOBS["jobs"][0],
    "scale-fine_tuning-create-3": {"fine_tune_id": "ft-1"},
    "scale-fine_tuning-cancel-4": {"success": True},
    "scale-fine_tuning-get_events-5": EVENTS,
    "scale-file-list-6": KEPT,
    "scale-file-get-7": KEPT["files"][0],
    "scale-file-upload-8": {"id": "f"},
    "scale-file-download-9": {"id": "f", "content": "prompt"},
    "scale-file-delete-10": {"deleted": True},
    "scale-completion-batch_create-0": {"job_id": "job-1"},
    "scale-model-list-11": SERVED,
    "scale-model-get-12": SERVED["model_endpoints"][0],
    "scale-model-download-13": {"urls": {"weights": "https://host/weights"}},
    "scale-model-delete-14": {"deleted": True},
}
SCALE = {"provider": "scale-llm-engine"}


def wire_of(name: str) -> str:
    return "-".join(name.split("-")[:2])


@plugins
async def test_verbs(tmp_path) -> None:
    for name, told in VERBS.items():
        case(tmp_path, name, told, {"object": told}, wire=wire_of(name), **SCALE)
    missing = {"detail": "there is none"}
    error = {"error": "there is none", "status": 404}
    fields = SCALE | {"wire": "scale-file", "http_status": 404}
    case(tmp_path, "scale-error-404", missing, error, **fields)
    found = await run(tmp_path, cuts=1)
    assert found == dict.fromkeys(found, ("passed", ""))


@plugins
@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("scale-fine_tuning-list-1", {"jobs": []}),
        ("scale-fine_tuning-list-1", {"jobs": [{"fine_tune_id": "ft-1", "status": "PENDING"}]}),
        ("scale-fine_tuning-get-2", {"fine_tune_id": "ft-2", "status": "STARTED"}),
        ("scale-fine_tuning-create-3", {"fine_tune_id": "ft-2"}),
        ("scale-fine_tuning-get_events-5", {"events": [EVENTS["events"][0] | {"level": "warn"}]}),
        ("scale-file-list-6", {"files": [KEPT["files"][0] | {"size": 99}]}),
        ("scale-file-upload-8", {"id": "g"}),
        ("scale-completion-batch_create-0", {"job_id": "job-2"}),
        ("scale-file-download-9", {"content": "response"}),
        ("scale-model-list-11", {"model_endpoints": [{"name": "falcon"}]}),
        ("scale-model-download-13", {"urls": {}}),
    ],
)
async def test_what_verbs_tell_otherwise(tmp_path, name, told) -> None:
    case(tmp_path, name, VERBS[name], {"object": told}, wire=wire_of(name), **SCALE)
    assert (await run(tmp_path))[name][0] == "failed"


@plugins
async def test_an_error_that_is_missing_or_not_expected(tmp_path) -> None:
    fields = SCALE | {"wire": "scale-file"}
    case(tmp_path, "a", KEPT, {"error": "there is none"}, **fields)
    case(tmp_path, "b", {"detail": "no"}, {"object": KEPT}, http_status=404, **fields)
    found = await run(tmp_path)
    assert found["a"] == ("failed", 'no error was raised; expected "there is none"')
    assert found["b"][0] == "failed"
    assert "raised NotFound" in found["b"][1]


@plugins
def test_damaged_administration(tmp_path) -> None:
    for name, told in VERBS.items():
        case(tmp_path, name, told, {"object": told}, wire=wire_of(name), **SCALE)
    body = "\n".join(map(json.dumps, RESULTS)).encode()
    fields = {"provider": "anthropic", "wire": "anthropic-batch-results", "framing": "ndjson"}
    case(tmp_path, "results", body, {"results": READ_RESULTS}, **fields)
    clock = trio.testing.MockClock(autojump_threshold=0.02)
    report = trio.run(mutate, cases_of(tmp_path), 90, clock=clock)
    assert report.defects == []
    assert {"answered", "ProtocolError"} <= report.ends.keys()


@plugins
def test_damage_inside_of_sound_frames(tmp_path, monkeypatch) -> None:
    wire, body, _, fields = REPLAYS["aws-bedrock"]
    case(tmp_path, "a", body, {}, provider="aws-bedrock", wire=wire, **fields)
    heard: list[bytes] = []
    real = EventStreamDecoder.feed

    def feed(decoder, data):
        found = real(decoder, data)
        heard.extend(one.payload for one in found)
        return found

    monkeypatch.setattr(EventStreamDecoder, "feed", feed)
    report = trio.run(mutate, cases_of(tmp_path), 150)
    assert report.defects == []
    assert {"answered", "ProtocolError"} <= report.ends.keys()
    sound = {json.dumps(next(iter(json.loads(line).values()))) for line in body.splitlines()}
    assert any(payload.decode("utf-8", "replace") not in sound for payload in heard)


def target(root, known, **fields):
    case(root, "a", b'{"embeddings": []}', {}, **fields)
    (one,) = cases_of(root)
    return target_of(one, known)


@pytest.mark.parametrize(
    ("fields", "name"),
    [
        ({"provider": "mistral", "wire": "openai-chat"}, "mistral-openai"),
        ({"provider": "mistral", "wire": "mistral-chat"}, "mistral"),
        ({"provider": "cohere", "wire": "openai-chat"}, "openai"),
        ({"provider": "ollama", "wire": "embeddings", "url": "http://h/api/embed"}, "ollama"),
        ({"provider": "ollama", "wire": "embeddings", "url": "http://h/v1/embeddings"}, "o-openai"),
        ({"provider": "aws-bedrock", "wire": "bedrock-invoke"}, "bedrock"),
    ],
)
def test_who_plays_a_host_that_speaks_two_wires(tmp_path, fields, name) -> None:
    known = {"mistral", "mistral-openai", "ollama", "ollama-openai", "cohere", "openai", "bedrock"}
    assert target(tmp_path, known, **fields).name == name.replace("o-", "ollama-")


async def test_wires_that_are_not_spoken_have_a_reason(tmp_path) -> None:
    for wire in ("gemini-interactions", "openai-responses-compact", "bedrock-invoke"):
        case(tmp_path, wire, {}, {}, provider="aws-bedrock", wire=wire)
    verdicts = await run_cases(cases_of(tmp_path))
    assert {one.status for one in verdicts} == {"unsupported"}
    assert all(len(one.why.split()) > 5 for one in verdicts)
