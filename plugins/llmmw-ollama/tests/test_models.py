"""The models of a server: listed, looked at, fetched, made and deleted, at a small server that does
what the documents of the host say."""

from __future__ import annotations

import json
from contextlib import asynccontextmanager

import attrs
import pytest
import trio

from llmmw.errors import (
    BadRequest,
    LLMError,
    NotFound,
    ProtocolError,
    ServerError,
    StreamInterrupted,
    UnsupportedFeature,
)
from llmmw.plugin import Transfer
from llmmw.testing import Answer

pytestmark = pytest.mark.plugins

KNOWN = {"llama3.2": 2_019_393_189}
LAYERS = {"sha256:aa": 1_000, "sha256:bb": 30}


@attrs.define
class Host:
    """Models by their names, and what is in memory."""

    models: dict[str, int] = attrs.field(factory=dict)
    loaded: set[str] = attrs.field(factory=set)
    has_ps: bool = True
    fails: str = ""
    """What is said in the middle of a pull."""
    stops: bool = False
    """It leaves in the middle of a pull."""
    held: trio.Event | None = None
    """What it waits for in the middle of a pull."""

    async def __call__(self, received) -> Answer:
        name = (received.method + received.path).removeprefix("POST/api/").lower()
        body = received.json() if received.body else {}
        if received.method == "DELETE":
            return self._deleted(body["model"])
        known = {"get/api/tags": self._tags, "get/api/ps": self._ps}
        asked = {"show": self._show, "pull": self._pull, "create": self._create}
        return known[name]() if name in known else asked[name](body)

    def _json(self, told, status=200) -> Answer:
        kind = {"Content-Type": "application/json; charset=utf-8"}
        return Answer(status=status, headers=kind, body=json.dumps(told).encode())

    def _lines(self, *lines) -> Answer:
        rows = [one if callable(one) else json.dumps(one).encode() + b"\n" for one in lines]
        return Answer(headers={"Content-Type": "application/x-ndjson"}, pieces=rows)

    def _row(self, name, size) -> dict:
        return {
            "name": name,
            "model": name,
            "modified_at": "2026-05-04T17:37:44.706015396-07:00",
            "size": size,
            "digest": "sha256:a80c",
            "details": {"family": "llama", "parameter_size": "3.2B"},
        }

    def _tags(self) -> Answer:
        return self._json({"models": [self._row(*row) for row in self.models.items()]})

    def _ps(self) -> Answer:
        if not self.has_ps:
            return Answer(status=404, body=b"404 page not found")
        rows = [{**self._row(name, 9), "context_length": 4096} for name in self.loaded]
        return self._json({"models": rows})

    def _show(self, body) -> Answer:
        name = body["model"]
        if name not in self.models:
            return self._json({"error": f"model '{name}' not found"}, 404)
        return self._json(
            {
                "modelfile": "# Modelfile generated",
                "details": {"family": "llama"},
                "model_info": {
                    "general.architecture": "llama",
                    "llama.context_length": 131072,
                    "llama.embedding_length": 3072,
                },
                "capabilities": ["completion", "tools"],
                "modified_at": "2026-05-04T17:37:44Z",
            }
        )

    def _pull(self, body) -> Answer:
        name = body["model"]
        if name == "nope":
            return self._lines(
                {"status": "pulling manifest"},
                {"error": "pull model manifest: file does not exist"},
            )
        lines = [{"status": "pulling manifest"}]
        for digest, size in LAYERS.items():
            layer = {"status": f"pulling {digest[7:]}", "digest": digest, "total": size}
            lines += [layer, layer | {"completed": size // 2}]
            if self.held is not None:
                lines.append(self.held.wait)
            if self.fails:
                return self._lines(*lines, {"error": self.fails})
            if self.stops:
                return self._lines(*lines)
            lines.append(layer | {"completed": size})
        self.models[name] = sum(LAYERS.values())
        ends = ["verifying sha256 digest", "writing manifest", "success"]
        return self._lines(*lines, *({"status": status} for status in ends))

    def _create(self, body) -> Answer:
        source = body.get("from")
        if not source:
            return self._json({"error": "neither 'from' or 'files' was specified"}, 400)
        if source not in self.models:
            return self._lines({"error": f"model '{source}' not found"})
        self.models[body["model"]] = self.models[source]
        return self._lines({"status": "using existing layer"}, {"status": "success"})

    def _deleted(self, name) -> Answer:
        if self.models.pop(name, None) is None:
            return self._json({"error": f"model '{name}' not found"}, 404)
        return Answer()


@asynccontextmanager
async def opened(wire, host):
    async with wire.client(host) as (client, server):
        provider = wire.provider(server.url)
        async with provider.open(None):
            yield provider.models, server
    assert client


async def test_what_is_there(wire):
    host = Host({"llama3.2": 7, "all-minilm": 1}, {"llama3.2"})
    async with opened(wire, host) as (models, _):
        page = await models.list()
    assert page.after is None
    one, other = page.rows
    assert (one.id, one.provider, one.bytes, one.status) == ("llama3.2", "ollama", 7, "loaded")
    assert (one.input_limit, one.raw["running"]["context_length"]) == (4096, 4096)
    assert (other.id, other.status, other.input_limit) == ("all-minilm", "", None)
    assert one.ready
    assert other.ready
    assert one.created == pytest.approx(1777941464.706)
    assert other.raw["details"]["family"] == "llama"


async def test_nothing_is_there(wire):
    """Older servers say so with a null."""
    for told in ({"models": None}, {"models": []}):
        async with opened(wire, wire.whole(told)) as (models, _):
            assert (await models.list()).rows == ()


async def test_a_host_that_does_not_tell_what_is_in_memory(wire):
    async with opened(wire, Host({"llama3.2": 7}, has_ps=False)) as (models, _):
        (one,) = (await models.list()).rows
    assert (one.id, one.status) == ("llama3.2", "")


async def test_one(wire):
    async with opened(wire, Host(KNOWN)) as (models, _):
        one = await models.get("llama3.2")
        with pytest.raises(NotFound, match="model 'nope' not found"):
            await models.get("nope")
    assert (one.id, one.input_limit, one.ready) == ("llama3.2", 131072, True)
    assert one.raw["capabilities"] == ["completion", "tools"]


async def test_a_pull_is_heard(wire):
    heard = []
    async with opened(wire, Host()) as (models, server):
        one = await models.pull("llama3.2", heard.append)
    assert one.id == "llama3.2"
    assert server.requests[0].json() == {"model": "llama3.2", "stream": True}
    told = [(one.done, one.total, one.status) for one in heard]
    assert told == [
        (0, None, "pulling manifest"),
        (0, 1_000, "pulling aa"),
        (500, 1_000, "pulling aa"),
        (1_000, 1_000, "pulling aa"),
        (1_000, 1_030, "pulling bb"),
        (1_015, 1_030, "pulling bb"),
        (1_030, 1_030, "pulling bb"),
        (1_030, 1_030, "verifying sha256 digest"),
        (1_030, 1_030, "writing manifest"),
        (1_030, 1_030, "success"),
    ]
    assert all(isinstance(one, Transfer) for one in heard)


async def test_a_pull_that_fails(wire):
    heard = []
    async with opened(wire, Host()) as (models, _):
        with pytest.raises(NotFound, match="file does not exist"):
            await models.pull("nope", heard.append)
    assert [one.status for one in heard] == ["pulling manifest"]
    async with opened(wire, Host(fails="max retries exceeded: EOF")) as (models, _):
        with pytest.raises(ServerError, match="max retries exceeded"):
            await models.pull("llama3.2", heard.append)
    async with opened(wire, Host(stops=True)) as (models, _):
        with pytest.raises(StreamInterrupted, match="stopped before it was done"):
            await models.pull("llama3.2", heard.append)


async def test_whoever_leaves_ends_a_pull(wire):
    """By cancellation, and by what a listener raises."""
    host = Host(held=trio.Event())
    async with opened(wire, host) as (models, server):
        with trio.CancelScope() as scope:
            await models.pull("a", lambda told: scope.cancel() if told.done else None)
        assert scope.cancelled_caught
        await server.left.wait()

        def full(told):
            raise OSError("no room")

        with pytest.raises(OSError, match="no room"):
            await models.pull("b", full)
        host.held.set()


async def test_made_and_deleted(wire):
    async with opened(wire, Host(dict(KNOWN))) as (models, server):
        made = await models.create("mario", {"from": "llama3.2", "system": "You are Mario."})
        assert made.id == "mario"
        assert server.requests[0].json() == {
            "from": "llama3.2",
            "system": "You are Mario.",
            "model": "mario",
            "stream": True,
        }
        assert [one.id for one in (await models.list()).rows] == ["llama3.2", "mario"]
        await models.create("luigi", {"from_": "mario"})
        await models.delete("mario")
        with pytest.raises(NotFound, match="mario"):
            await models.delete("mario")
        deleted = server.requests[-1]
        assert (deleted.method, deleted.path) == ("DELETE", "/api/delete")
        assert deleted.json() == {"model": "mario"}


async def test_what_can_not_be_made(wire):
    async with opened(wire, Host()) as (models, _):
        with pytest.raises(NotFound, match="model 'nope' not found"):
            await models.create("mario", {"from": "nope"})
        with pytest.raises(BadRequest, match="neither 'from'"):
            await models.create("mario", {})
        with pytest.raises(UnsupportedFeature, match=r"ollama has no models\.update"):
            await models.update("mario", {})


@pytest.mark.parametrize("told", [b"{}", b'{"models": {}}', b'{"models": [1]}', b"[]", b"x", b""])
async def test_what_is_no_list(wire, told):
    async with opened(wire, wire.whole(told)) as (models, _):
        with pytest.raises(ProtocolError):
            await models.list()


@pytest.mark.parametrize("junk", [None, 7, "x", [], {"a": 1}, -1, 1e999])
async def test_junk_in_a_model(wire, junk):
    """Never another exception than one of ours."""
    rows = {"models": [dict.fromkeys(Host()._row("m", 1), junk) | {"context_length": junk}]}
    shown = dict.fromkeys(("model_info", "modified_at", "details"), junk)
    shown["model_info"] = {"llama.context_length": junk}
    progress = {"status": junk, "digest": junk, "total": junk, "completed": junk}
    for told in (rows, shown):
        async with opened(wire, wire.whole(told)) as (models, _):
            await models.list() if told is rows else await models.get("m")
    async with opened(wire, wire.lines(progress, {"status": "success"})) as (models, _):
        with pytest.raises(LLMError):  # the server here has nothing but lines
            await models.pull("m", lambda told: None)


async def test_through_a_client(wire):
    heard = []
    async with wire.client(Host()) as (client, _):
        pulled = await client.models.pull("llama3.2", progress=heard.append)
        assert pulled.input_limit == 131072
        await client.models.create("mario", from_="llama3.2", system="You are Mario.")
        assert [one.id async for one in client.models.list()] == ["llama3.2", "mario"]
        assert (await client.models.wait("mario")).ready
        await client.models.delete("mario")
        with pytest.raises(NotFound):
            await client.models.get("mario")
    assert heard[-1].done == heard[-1].total == sum(LAYERS.values())
