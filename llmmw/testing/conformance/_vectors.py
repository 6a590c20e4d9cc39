"""The vectors of AWS, through the decoder and the signer that Bedrock's provider works with."""

from __future__ import annotations

import hashlib
import importlib
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import orjson

from llmmw.errors import LLMError
from llmmw.testing.conformance._cases import Case
from llmmw.wire import EventMessage, EventStreamDecoder, Secret

__all__ = ["frame_differences", "signature_differences"]

_PLUGIN = "llmmw_bedrock"


def signature_differences(case: Case) -> list[str]:
    """What is otherwise in the signature of a request than the case says."""
    told = _raw(case) if case.framing == "raw-http-request" else _written(case)
    bedrock = importlib.import_module(_PLUGIN)
    token = told.pop("token")
    told["credentials"] = bedrock.AwsCredentials(
        told.pop("access_key"), Secret(told.pop("secret_key")), Secret(token) if token else None
    )
    wanted, stamp = told.pop("wanted"), told.pop("stamp")
    told["at"] = datetime.strptime(stamp, "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC)
    got = bedrock.signed(**told)
    rows = [("X-Amz-Date", stamp), ("Authorization", wanted)]
    return [f"{name} {got[name]}; expected {one}" for name, one in rows if got[name] != one]


def _raw(case: Case) -> dict[str, Any]:
    """The request of a vector that is kept as it goes over the line."""
    head, _, body = case.body.replace(b"\r\n", b"\n").partition(b"\n\n")
    first, *lines = head.decode().splitlines()
    method, _, rest = first.partition(" ")
    headers: list[tuple[str, str]] = []
    for line in lines:
        if line[:1] in {" ", "\t"}:  # goes on with the line before
            name, value = headers.pop()
            headers.append((name, f"{value} {line.strip()}"))
        else:
            name, _, value = line.partition(":")
            headers.append((name, value))
    host = next(value for name, value in headers if name.lower() == "host").strip()
    expected = case.expected
    return {
        "method": method,
        "url": f"https://{host}{rest.rpartition(' ')[0]}",
        "headers": headers,
        "body": body,
        "region": expected["region"],
        "service": expected["service"],
        "access_key": expected["access_key"],
        "secret_key": expected["secret_key"],
        "token": expected.get("token"),
        "stamp": expected["date"],
        "wanted": expected["authz"],
    }


def _written(case: Case) -> dict[str, Any]:
    """The request of a vector that is kept as JSON; its body's hash is signed as a header."""
    told = orjson.loads(case.body)
    asked, keys = told["request"], told["credentials"]
    body = asked["body"].encode()
    digest = hashlib.sha256(body).hexdigest()
    return {
        "method": asked["method"],
        "url": asked["url"],
        "headers": {"Content-Type": asked["contentType"], "X-Amz-Content-Sha256": digest},
        "body": body,
        "region": told["region"],
        "service": told["service"],
        "access_key": keys["accessKeyId"],
        "secret_key": keys["secretAccessKey"],
        "token": keys.get("sessionToken"),
        "stamp": case.expected["date"],
        "wanted": case.expected["authorization"],
    }


def frame_differences(case: Case, pieces: Sequence[bytes]) -> list[str]:
    """What is otherwise in a frame that comes in these pieces than the case says."""
    decoder = EventStreamDecoder()
    frames: list[EventMessage] = []
    try:
        for piece in pieces:
            frames += decoder.feed(piece)
        decoder.end()
    except LLMError as error:
        return [f"raised {error}"] if case.expected["valid"] else []
    if not case.expected["valid"]:
        return [f"read as {frames!r}; expected {case.expected['error']}"]
    if len(frames) != 1:
        return [f"{len(frames)} frames; expected one"]
    wanted = {name: _value(one) for name, one in case.expected["headers"].items()}
    payload = case.expected["payload"].encode()
    rows = [("headers", dict(frames[0].headers), wanted), ("payload", frames[0].payload, payload)]
    return [f"{name} {got!r}; expected {one!r}" for name, got, one in rows if got != one]


def _value(told: Any) -> Any:
    """A header's value; what JSON has no form for stands as an object with its kind."""
    if not isinstance(told, dict):
        return told
    ((kind, one),) = told.items()
    if kind == "timestamp":
        return one
    return UUID(bytes=one.encode()) if kind == "uuid_bytes" else one.encode()
