"""A far end that speaks `POST /compose`: a real HTTP server on loopback that carries graphs out.

It knows nothing of ours but the server that it stands on: it reads the wire as it is published.

    request   {"dag": {"nodes": […], "edges": […], "futures": […], …}}
    answer    {"data": {id: result or error}}, or server-sent events of four kinds
"""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from contextlib import asynccontextmanager

import attrs
import jinja2
import jq
import trio

from llmmw.testing import Answer, open_server

from .substrate_nodes import NODES, WrongCallError, check_call

KEY = "key-of-the-far-end"
HOLE = "__$$SB_GRAPH_OP_ID$$__"
LAZY = {"If": {"condition", "value_if_true", "value_if_false"}}
JSON = {"content-type": "application/json"}


class DependencyError(Exception):
    """What a node needs has failed."""


@attrs.define(eq=False, repr=False)
class FarEnd:
    """What it was asked, and how it behaves."""

    server: object = None
    nursery: object = None
    counts: Counter = attrs.field(factory=Counter)
    done: list = attrs.field(factory=list)
    waiting: list = attrs.field(factory=list)
    cancelled: trio.Event = attrs.field(factory=trio.Event)
    stores: dict = attrs.field(factory=dict)
    cache: dict = attrs.field(factory=dict)
    node_name: str = "node_id"
    indent: int | None = None
    now: float = 0.0
    token: trio.lowlevel.TrioToken = attrs.field(factory=trio.lowlevel.current_trio_token)
    _events: defaultdict = attrs.field(factory=lambda: defaultdict(trio.Event))

    @property
    def url(self):
        return self.server.url

    @property
    def requests(self):
        return self.server.requests

    def event(self, key):
        """What a node `wait` waits for."""
        return self._events[key]

    async def answer(self, received):
        """The answer to a request."""
        told = {name.lower(): one for name, one in received.headers.items()}
        headers = JSON | {"x-substrate-request-id": told.get("x-substrate-request-id", "")}
        refused = self._refused(received, told)
        if refused:
            return Answer(status=refused[0], headers=headers, body=body_of(error_of(*refused[1:])))
        run = Run(self, received.json()["dag"])
        wrong = run.wrong()
        if wrong:
            told = error_of("invalid_request_error", wrong, 400)
            return Answer(status=400, headers=headers, body=body_of(told))
        if told.get("x-substrate-streaming") == "1":
            headers["content-type"] = "text/event-stream"
            return Answer(headers=headers, pieces=self._streamed(run))
        return Answer(headers=headers, body=body_of({"data": await run.all()}))

    def _refused(self, received, told):
        if (received.method, received.path) != ("POST", "/compose"):
            return 404, "invalid_request_error", f"no route {received.path}", 404
        if told.get("authorization") != f"Bearer {KEY}":
            return 401, "invalid_request_error", "the API key is wrong", 401
        try:
            dag = received.json()["dag"]
            assert {"nodes", "edges", "futures", "initial_args", "id"} <= set(dag)
        except (ValueError, KeyError, TypeError, AssertionError):
            return 422, "invalid_request_error", "the body holds no dag", 422
        if any(one["args"].get("name") == "crash" for one in dag["nodes"]):
            return 500, "api_error", "out of order", 500
        return None

    def _streamed(self, run):
        """The messages as they come; who leaves ends the run."""
        send, receive = trio.open_memory_channel(1000)
        scope, came = trio.CancelScope(), []

        async def carry_out():
            with scope:
                async with send:
                    run.send = send
                    await run.all()
            if scope.cancelled_caught:
                self.cancelled.set()

        async def wait():
            try:
                came.append(await receive.receive())
            except trio.EndOfChannel:
                came.append(None)

        self.nursery.start_soon(carry_out)
        try:
            while True:
                yield wait
                message = came.pop()
                if message is None:
                    return
                text = json.dumps(message, indent=self.indent)
                lines = "".join(f"data: {line}\n" for line in text.split("\n"))
                yield f"{lines}\n".encode()
        finally:
            scope.cancel()


@attrs.define(eq=False)
class Run:
    """One graph."""

    far: FarEnd
    dag: dict
    send: object = None
    results: dict = attrs.field(factory=dict)
    errors: dict = attrs.field(factory=dict)
    nodes: dict = attrs.field(init=False)
    futures: dict = attrs.field(init=False)
    ended: dict = attrs.field(init=False)

    def __attrs_post_init__(self):
        self.nodes = {one["id"]: one for one in self.dag["nodes"]}
        self.futures = {one["id"]: one["directive"] for one in self.dag["futures"]}
        self.ended = {key: trio.Event() for key in self.nodes}

    def wrong(self):
        """What is wrong with the graph, if anything is."""
        if len(self.nodes) != len(self.dag["nodes"]):
            return "two nodes have one id"
        unknown = {one for edge in self.dag["edges"] for one in edge[:2]} - set(self.nodes)
        if unknown:
            return f"an edge goes to {min(unknown)}, which is not there"
        text = json.dumps(self.dag["nodes"])
        if text.count(HOLE) != sum(text.count(f'"{HOLE}": "{one}"') for one in self.futures):
            return "a placeholder has no future"
        return ""

    async def all(self):
        """Carry all out, each as soon as it can be; what is given out."""
        async with trio.open_nursery() as nursery:
            for key in self.nodes:
                nursery.start_soon(self.one, key)
        data = {
            key: self.errors.get(key, self.results.get(key))
            for key, one in self.nodes.items()
            if one.get("_should_output_globally")
        }
        await self.tell({"object": "graph.result", "data": data})
        return data

    async def tell(self, message):
        if self.send is not None:
            if "node" in message:
                message = {
                    "object": message["object"],
                    self.far.node_name: message["node"],
                    "data": message["data"],
                }
            await self.send.send(message)

    async def one(self, key):
        """Carry out a node, and tell of it."""
        node = self.nodes[key]
        work = Work(self.far, self, key, bool(node.get("_should_output_globally")))
        try:
            for source, target, _ in self.dag["edges"]:
                if target == key:
                    await self.ready(source)
            self.results[key] = await self.carried(node, work)
        except DependencyError as error:
            self.errors[key] = error_of("dependency_error", str(error), 424)
        except WrongCallError as error:
            self.errors[key] = error_of("invalid_request_error", str(error), 400)
        except Exception as error:
            self.errors[key] = error_of("api_error", str(error), 500)
        self.ended[key].set()
        if work.shown:
            failed = key in self.errors
            data = self.errors[key] if failed else self.results[key]
            told = {"object": "node.error" if failed else "node.result", "node": key}
            await self.tell({**told, "data": data})

    async def carried(self, node, work):
        name, args = node["node"], node["args"]
        check_call(name, args)
        lazy = LAZY.get(name, set())
        args = {key: one if key in lazy else await work.resolved(one) for key, one in args.items()}
        counted = {key: args[key] for key in node.get("_cache_keys") or args}
        kept = json.dumps([name, counted], sort_keys=True, default=str)
        if node.get("_cache_age") and kept in self.far.cache:
            at, result = self.far.cache[kept]
            if self.far.now - at < node["_cache_age"]:
                return result
        for left in range(node.get("_max_retries") or 0, -1, -1):
            try:
                result = await NODES[name](work, **args)
                break
            except RuntimeError:
                if not left:
                    raise
        self.far.cache[kept] = self.far.now, result
        return result

    async def ready(self, key):
        """The result of a node, once it is there."""
        await self.ended[key].wait()
        if key in self.errors:
            raise DependencyError(f"{key} has failed: {self.errors[key]['message']}")
        return self.results[key]

    async def future(self, key):
        """What a future stands for."""
        told = self.futures[key]
        if told["type"] == "trace":
            value = await self.ready(told["origin_node_id"])
            for step in told["op_stack"]:
                named = step["future_id"]
                value = value[step["key"] if named is None else await self.future(named)]
            return value
        if told["type"] == "string-concat":
            return "".join([str(await self.either(one)) for one in told["items"]])
        if told["type"] == "jq":
            target = await self.either(told["target"])
            return next(iter(jq.compile(told["query"]).input_value(target)))
        given = await self.resolved(told["variables"])
        if told["type"] == "format":
            return (await self.either(told["f_string"])).format(**given)
        if told["type"] == "jinja":
            return jinja2.Template(await self.either(told["template"])).render(**given)
        raise WrongCallError(f"a future of an unknown type {told['type']!r}")

    async def either(self, told):
        if told["future_id"] is not None:
            return await self.future(told["future_id"])
        return await self.resolved(told["val"])

    async def resolved(self, value):
        """A value with what its futures stand for."""
        if isinstance(value, dict):
            if HOLE in value:
                return await self.future(value[HOLE])
            return {key: await self.resolved(one) for key, one in value.items()}
        return [await self.resolved(one) for one in value] if isinstance(value, list) else value


@attrs.frozen
class Work:
    """What a node may do beside computing."""

    far: FarEnd
    run: Run
    key: str
    shown: bool

    async def tell(self, data):
        if self.shown:
            await self.run.tell({"object": "node.delta", "node": self.key, "data": data})

    async def resolved(self, value):
        return await self.run.resolved(value)


def error_of(kind, message, status):
    return {"type": kind, "message": message, "request_id": "r-far", "status_code": status}


def body_of(data):
    return json.dumps(data).encode()


@asynccontextmanager
async def open_far_end(**behaviour):
    """A far end as long as the block runs."""
    far = FarEnd(**behaviour)
    async with trio.open_nursery() as nursery, open_server(far.answer) as server:
        far.server, far.nursery = server, nursery
        yield far
        nursery.cancel_scope.cancel()
