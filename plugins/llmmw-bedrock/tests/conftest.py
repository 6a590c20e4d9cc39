"""A host that answers as a test says, over real HTTP, and a client that asks it."""

from __future__ import annotations

import json
import struct
import zlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta

import pytest
from llmmw_bedrock._models import model_of
from llmmw_bedrock._provider import Bedrock
from llmmw_bedrock._request import body_of

from llmmw import Client, Generate
from llmmw.testing import Answer, Server, open_server
from llmmw.wire import Losses

KEY = "bedrock-api-key-0123456789abcdef"
ID = "AKIDEXAMPLE"
SECRET = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"
TOKEN = "session-token-0123456789abcdefghij"
MODEL = "us.anthropic.claude-sonnet-4-5-20250929-v1:0"
EVENTS = "application/vnd.amazon.eventstream"


def frame(headers: dict[str, str], payload: bytes) -> bytes:
    """A message of an event stream whose headers are texts."""
    block = b"".join(
        struct.pack(">B", len(name))
        + name.encode()
        + struct.pack(">BH", 7, len(told.encode()))
        + told.encode()
        for name, told in headers.items()
    )
    start = struct.pack(">II", 16 + len(block) + len(payload), len(block))
    body = start + struct.pack(">I", zlib.crc32(start)) + block + payload
    return body + struct.pack(">I", zlib.crc32(body))


class Wire:
    """What a host sends, and how it is asked."""

    key, id, secret, token = KEY, ID, SECRET, TOKEN
    frame = staticmethod(frame)

    def message(self, *content, stop="end_turn", **more) -> dict:
        """A whole message; a text stands for a block of it."""
        blocks = [{"text": one} if isinstance(one, str) else one for one in content]
        usage = {"inputTokens": 10, "outputTokens": 5, "totalTokens": 15}
        said = {"message": {"role": "assistant", "content": blocks}}
        told = {"output": said, "stopReason": stop, "usage": usage, "metrics": {"latencyMs": 7}}
        return told | more

    def start(self) -> tuple:
        """How a stream begins."""
        return ("messageStart", {"role": "assistant", "p": "abc"})

    def block(self, index, *deltas, start=None, stop=True) -> list[tuple]:
        """The events of a block; a text stands for a delta of text."""
        place = {"contentBlockIndex": index}
        pieces = [{"text": one} if isinstance(one, str) else one for one in deltas]
        begun = [("contentBlockStart", place | {"start": start})] if start else []
        told = [("contentBlockDelta", place | {"delta": one, "p": "ab"}) for one in pieces]
        return [*begun, *told, *[("contentBlockStop", place)] * stop]

    def end(self, stop="end_turn", usage=None, fields=None, **more) -> list[tuple]:
        """How a stream ends."""
        told = usage or {"inputTokens": 10, "outputTokens": 5, "totalTokens": 15}
        beside = {"additionalModelResponseFields": fields} if fields else {}
        return [
            ("messageStop", {"stopReason": stop} | beside),
            ("metadata", {"usage": told, "metrics": {"latencyMs": 7}} | more),
        ]

    def event(self, kind, fields) -> bytes:
        """An event as the host writes it."""
        names = {":event-type": kind, ":content-type": "application/json", ":message-type": "event"}
        return frame(names, json.dumps(fields).encode())

    def exception(self, kind, **fields) -> bytes:
        """An exception in a stream."""
        names = {":exception-type": kind, ":content-type": "application/json"}
        return frame(names | {":message-type": "exception"}, json.dumps(fields).encode())

    def frames(self, *events) -> bytes:
        """Events, and what is bytes already, one after the other."""
        return b"".join(one if isinstance(one, bytes) else self.event(*one) for one in events)

    def events(self, *events, **fields) -> Answer:
        """An answer that is a stream."""
        return self.stream(self.frames(*events), **fields)

    def stream(self, *pieces, **fields) -> Answer:
        headers = {"Content-Type": EVENTS}
        return Answer(headers=headers | fields.pop("headers", {}), pieces=pieces, **fields)

    def whole(self, data, status=200, **headers) -> Answer:
        """An answer that comes whole: JSON, or bytes as they are."""
        body = data if isinstance(data, bytes) else json.dumps(data).encode()
        named = {name.replace("_", "-"): told for name, told in headers.items()}
        return Answer(
            status=status, headers={"Content-Type": "application/json"} | named, body=body
        )

    def provider(self, url, **options) -> Bedrock:
        """A provider with a key of Bedrock's own."""
        at = {"base_url": url, "control_url": url} if url else {}
        key = {} if {"access_key_id", "profile", "api_key"} & options.keys() else {"api_key": KEY}
        return Bedrock(**({"name": "bedrock", "region": "us-east-1"} | at | key | options))

    def signing(self, url, **options) -> Bedrock:
        """A provider that signs."""
        given = {"access_key_id": ID, "secret_access_key": SECRET}
        return self.provider(url, **(given | options))

    def profiles(self, tmp_path, **profiles) -> None:
        """Writes the AWS files of a test."""
        rows = [
            f"[profile {name}]\n" + "".join(f"{key} = {told}\n" for key, told in fields.items())
            for name, fields in profiles.items()
        ]
        (tmp_path / "config").write_text("\n".join(rows))

    def later(self, minutes) -> str:
        """When credentials end."""
        then = datetime.now(UTC) + timedelta(minutes=minutes)
        return then.strftime("%Y-%m-%dT%H:%M:%SZ")

    @asynccontextmanager
    async def client(
        self, answers, *, stack=(), model=MODEL, make=None, **options
    ) -> AsyncIterator[tuple[Client, Server]]:
        """A client of a server that gives `answers`."""
        async with open_server(answers) as server:
            provider = (make or self.provider)(server.url, **options)
            target = f"{provider.name}:{model}"
            async with Client(target, stack=list(stack), providers=[provider]) as client:
                yield client, server

    async def ask(self, answers, prompt="hi", *, stream=None, **parameters):
        """The response of one call; it streams if the answer does, unless `stream` says."""
        streams = isinstance(answers, Answer) and answers.pieces is not None
        async with self.client(answers) as (client, _):
            if not (streams if stream is None else stream):
                return await client.ask(prompt, **parameters)
            async with client.stream(prompt, **parameters) as told:
                return await told.wait_response()

    def body(self, messages="hi", *, model=MODEL, notes=None, stream=False, **fields) -> dict:
        """The body that a request becomes; it must lose nothing unless `notes` are given."""
        given = [messages] if isinstance(messages, str) else messages
        request = Generate(model=f"bedrock:{model}", messages=given, **fields)
        kept = notes if notes is not None else []
        gathered = Losses(request, "bedrock", kept)
        told = body_of(request, model_of(model), gathered, stream=stream, extra=("bedrock",))
        assert notes is not None or not kept
        return told


@pytest.fixture(scope="session")
def wire() -> Wire:
    return Wire()


@pytest.fixture(autouse=True)
def _bare(monkeypatch, tmp_path):
    """No variable or file of this machine decides where a test goes, or with which key."""
    names = ["BEARER_TOKEN_BEDROCK", "ACCESS_KEY_ID", "SECRET_ACCESS_KEY", "SESSION_TOKEN"]
    names += ["PROFILE", "DEFAULT_PROFILE", "REGION", "DEFAULT_REGION", "ENDPOINT_URL_BEDROCK"]
    names += ["ENDPOINT_URL", "USE_FIPS_ENDPOINT"]
    names += ["ENDPOINT_URL_BEDROCK_RUNTIME", "CONTAINER_CREDENTIALS_RELATIVE_URI"]
    names += ["CONTAINER_CREDENTIALS_FULL_URI", "WEB_IDENTITY_TOKEN_FILE", "ROLE_ARN"]
    for name in names:
        monkeypatch.delenv(f"AWS_{name}", raising=False)
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "config"))
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "credentials"))
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
