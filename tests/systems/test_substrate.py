"""What programs written for Substrate rely on, as ours do it here (`S…` are its features, `4.4 …`
its own tests, `2.4.…` what it got wrong).

What differs: nodes are our own builtins, and `llmmw.flow.dag` has the classes of the wire beside
them; an answer with a status of failure, a failed node and a stream that is cut are typed errors.
`test_substrate_wire.py` has all rows once more, over the wire to a far end.
"""

from __future__ import annotations

import base64
import json
import threading
import zlib
from contextlib import asynccontextmanager
from typing import TypedDict

import pytest
import trio

from llmmw import Cache, Client
from llmmw.errors import (
    AuthenticationFailed,
    BadRequest,
    ProtocolError,
    ServerError,
    StreamInterrupted,
)
from llmmw.flow import (
    Box,
    Graph,
    GraphResult,
    If,
    MessageFold,
    NodeDelta,
    NodeError,
    NodeResult,
    builtin,
    concat,
    copy_registry,
    embed,
    executable,
    fold_messages,
    format,
    from_link,
    generate,
    generate_object,
    generate_text,
    generate_texts,
    jinja,
    jq,
    registry,
    sse_event,
    to_link,
    with_registry,
)
from llmmw.flow import dag as d
from llmmw.stores import MemoryStore
from llmmw.testing import Answer, Script, open_server
from llmmw.wire import SSEDecoder

from .asked import Asked, ran, text_of

pytestmark = pytest.mark.virtual


@executable
def give(value):
    return value


@executable
def fail(message="oh"):
    raise ServerError(message, request_id="r1")


def answers(*pieces, gap=0.0):
    return Asked(Script(pieces=pieces, gap=gap))


async def streamed(model, flow, **options):
    """The messages of a run."""
    async with model.client() as client, client.stream(flow, **options) as events:
        return [one async for one in events.messages()]


# Graphs.


def test_the_last_node_brings_all_before_it():  # S15, 4.4 1, 4
    a = generate_text("hi")
    b = generate_text(concat("more of ", a))
    c = generate_text(b.future.strip())
    graph = Graph.collect(c)
    assert {a.id, b.id, c.id} <= set(graph)
    futures = [one for one in graph.values() if one.operation.kind in ("attribute", "call")]
    assert len(futures) == 2


def test_what_must_be_done_before_is_an_edge_without_data():  # S16, 4.4 2
    a, b = give(1), give(2)
    c = give(3).with_options(depends=[a, b])
    edges = {(one.source, one.target, one.kind) for one in Graph.collect(c).edges()}
    assert edges == {(a.id, c.id, "order"), (b.id, c.id, "order")}


async def test_it_is_done_before():  # S16
    told = []
    note = executable(told.append)
    await ran(note("c").with_options(depends=[note("a"), note("b")]))
    assert told[-1] == "c"
    assert sorted(told) == ["a", "b", "c"]


async def test_what_that_needs_is_kept_and_done_too():  # 4.4 6, 2.4.10
    told = []
    note = executable(told.append)
    a = note("a")
    b = note("b").with_options(depends=[a])
    c = note("c").with_options(depends=[b])
    assert len(Graph.collect(c)) == 3
    await ran(c)
    assert told == ["a", "b", "c"]


def test_a_graph_as_json():  # S6-S8, S36, 4.4 3
    a = generate_text("hi").with_options(id="a")
    b = generate_text(concat("more of ", a.future.strip())).with_options(id="b")
    text = Graph.collect(b).to_json()
    nodes = json.loads(text)["nodes"]
    assert [one["id"] for one in nodes if one["do"].startswith("builtin")] == ["a", "b"]
    assert [one["do"] for one in nodes][1:4] == ["attribute", "call", "concat"]
    assert {"$node": "a"} in nodes[1]["args"]
    assert Graph.from_json(text).to_json() == text


def test_an_id_begins_with_what_the_node_does():  # S9, S17, 4.4 5
    one, other = generate_text("hi"), generate_text("hi")
    assert one.id.startswith("generate_text-")
    assert one.id != other.id
    assert not one.hidden


def test_two_nodes_of_one_id_are_refused():  # 2.4.9
    flow = [give(1).with_options(id="a"), give(2).with_options(id="a")]
    with pytest.raises(BadRequest, match="two nodes have the id 'a'"):
        Graph.collect(flow)


def test_the_order_of_nodes_is_always_the_same():  # 2.4.9
    def made():
        several = [give(k).with_options(id=f"n{k}") for k in range(20)]
        return Graph.collect(give(several).with_options(id="all"))

    assert made().to_json() == made().to_json()
    assert list(made())[:3] == ["n0", "n1", "n2"]


def test_a_circle_is_found():  # 2.4.14
    a = give(1).with_options(id="a")
    b = give(a).with_options(id="b")
    a.args, a.inputs = (b,), (b,)
    with pytest.raises(BadRequest, match=r"need each other in a circle: (a -> b -> a|b -> a -> b)"):
        Graph(b, {"a": a, "b": b}).validate()


# Futures.


def test_a_future_is_a_chain_of_steps():  # S10, 4.4 7
    a, b = give({}).with_options(id="a"), give({}).with_options(id="b")
    graph = Graph.collect(a.future.items[b.future.i].x)
    kinds = [(one.operation.kind, one.args[1:]) for one in graph.values()]
    i = next(one for one in graph.values() if one.args[1:] == ("i",))
    assert [one for one in kinds if one[0] in ("attribute", "item")] == [
        ("attribute", ("items",)),
        ("attribute", ("i",)),
        ("item", (i,)),
        ("attribute", ("x",)),
    ]


async def test_futures_find_items_by_keys_that_are_futures():  # S10, 4.4 8, 12
    rows = give({"rows": [{"x": 1}, {"x": 2}]})
    where = give({"i": 1, "name": "x"})
    assert await ran(rows.future.rows[where.future.i][where.future["name"]]) == 2
    assert await ran(rows.future[concat("ro", "ws")][0]) == {"x": 1}


@pytest.mark.parametrize("name", ["id", "directive", "next_id", "node", "future", "args", "name"])
async def test_no_name_of_a_value_is_one_of_ours(name):  # 2.4.8
    assert await ran(getattr(give({name: "value"}).future, name)) == "value"


async def test_futures_are_found_in_all_containers():  # 2.4.7
    x = give("x")
    flow = give(((x,), {x}, {x: [x.future.upper()]}, frozenset([x])))
    assert await ran(flow) == (("x",), {"x"}, {"x": ["X"]}, frozenset(["x"]))


# Texts.


async def test_concat_takes_anything():  # S11, 4.4 9-10, 2.4.11
    x = give("x")
    assert await ran([concat(), concat(x), concat("a", x, concat("b", x.future.upper()))]) == [
        "",
        "x",
        "axbX",
    ]
    assert await ran([concat(0), concat(None, False, 1.5), concat({"a": [1]})]) == [
        "0",
        "False1.5",
        '{"a":[1]}',
    ]


async def test_format_with_and_without_spaces_between():  # S12, 4.4 11
    x, y = give("x"), give({"z": 1})
    assert await ran(format("{x}{y} {x}", x=x, y=y.future.z)) == "x1 x"
    assert await ran(format(concat("{a}", "!"), a=x)) == "x!"


async def test_jinja_goes_through_a_list_that_is_not_there_yet():  # S13
    rows = give([1, 2])
    assert await ran(jinja("{% for r in rows %}[{{ r }}]{% endfor %}", rows=rows)) == "[1][2]"


async def test_jq_asks_futures_and_values():  # S14
    value = {"a": [{"b": "c"}]}
    assert await ran([jq(give(value), ".a[0].b"), jq(value, ".a[0].b")]) == ["c", "c"]


# Nodes.


async def test_nodes_run_when_their_inputs_are_ready():  # S15
    model = Asked(lambda call, number: Script(first=1, pieces=text_of(call.request)))
    a, b = generate_text("a"), generate_text("b")
    assert await model(generate_text(concat(a, b))) == "ab"
    assert trio.current_time() == 2


async def test_a_hidden_node_is_not_told():  # S17
    secret = give("s").with_options(hidden=True)
    shown = give(secret)
    (*_, last) = await streamed(Asked(), shown)
    assert last == {"object": "graph.result", "data": {shown.id: {"text": "s"}}}


async def test_a_part_of_a_flow_has_a_cache_of_its_own():  # S18
    model = Asked(["one", "two", "three", "four"])
    cache = Cache(MemoryStore(), ttl=10)
    async with model.client() as client:
        with registry(client=client.replace(stack=[cache])):
            kept = copy_registry()

        async def both():
            return await client.run([with_registry(generate_text("a"), kept), generate_text("b")])

        first, second = await both(), await both()
        assert first[0] == second[0]
        assert first[1] != second[1]
        await trio.sleep(11)
        third = await both()
    assert third[0] != first[0]


async def test_only_the_branch_that_is_taken_runs():  # S19
    told = []
    note = executable(lambda what: told.append(what) or what)
    flow = [If(give(1), note("yes"), note("no")), If(give(0), note("yes?"))]
    assert await ran(flow) == ["yes", None]
    assert told == ["yes"]


async def test_a_box_gathers():  # S20
    x = give("x")
    assert await ran(Box({"a": [x, {"b": x.future.upper()}]})) == {"a": ["x", {"b": "X"}]}


class City(TypedDict):
    name: str


async def test_text_several_texts_and_json():  # S21, S22
    model = Asked(["one", "two", "three", '{"name": "Bayonne"}'])
    text = await model(generate("hi", temperature=0.4, max_tokens=9))
    assert text.text == "one"
    assert len(await model(generate_texts("hi", 2))) == 2
    found = await model(generate_object("a city", City).future.name)
    assert found == "Bayonne"


async def test_a_node_of_any_name():  # S25
    @builtin(name="upscale", interface=True)
    async def upscale(image: str, factor: int = 2) -> str: ...

    node = upscale("cat", 4)
    assert node.id.startswith("upscale-")
    upscale.configure(lambda image, factor: f"{image} x{factor}")
    assert await ran(node) == "cat x4"


def test_a_function_of_python_takes_futures_by_name():  # S26
    @executable(thread=True)
    def work(*, text, times):
        return text * times, threading.current_thread() is threading.main_thread()

    assert work(text=give("a"), times=give({"n": 2}).future.n).compute() == ("aa", False)


async def test_vectors():  # S24
    model = Asked()
    assert await model([embed("ab"), embed(["a", "abc"])]) == [[2.0], [[1.0], [3.0]]]


# Results and errors.


async def test_a_result_is_got_by_its_node():  # S28, 4.4 13, 15
    x = give("x")
    async with Client(stack=[]) as client, client.stream(give(x)) as events:
        assert await events.get(x).result() == "x"
        with pytest.raises(BadRequest, match="no result of 'nobody'"):
            await events.get("nobody").result()


async def test_an_error_is_got_by_its_node_with_its_type():  # S32, S34, 4.4 14, 2.4.2
    bad = fail()
    after, fine = give(bad), give("fine")
    async with (
        Client(stack=[]) as client,
        client.stream([after, fine], errors="keep") as events,
    ):
        with pytest.raises(ServerError, match="oh"):
            await events.get(bad).result()
        with pytest.raises(ServerError, match="oh"):
            await events.get(after).result()
        assert await events.get(fine).result() == "fine"
        found = await events.result()
        messages = [one async for one in events.messages()]
    assert isinstance(found[0], ServerError)
    assert found[1] == "fine"
    errors = fold_messages(messages).errors
    assert errors[bad.id] == {
        "type": "api_error",
        "message": "oh (request r1)",
        "request_id": "r1",
        "status_code": 500,
    }
    assert errors[after.id]["type"] == "dependency_error"
    assert messages[-1]["data"][bad.id] == errors[bad.id]
    assert messages[-1]["data"][fine.id] == {"text": "fine"}


@pytest.mark.plugins
@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize(
    ("status", "body", "kind"),
    [
        (401, b'{"error": {"message": "no such key"}}', AuthenticationFailed),
        (500, b'{"type": "api_error", "message": "down"}', ServerError),
        (200, b"<html>", ProtocolError),
    ],
)
async def test_a_refusal_over_http_is_a_typed_error(status, body, kind, stream):  # 2.4.1, 2.4.3
    async def answer(received):
        headers = {"content-type": "application/json", "x-request-id": "req-7"}
        return Answer(status=status, body=body, headers=headers)

    async with open_server(answer) as server:
        options = {"openai": {"base_url": f"{server.url}/v1", "api_key": "k"}}
        given = json.dumps(options)
        async with Client("openai:m", stack=[], options=options) as client:
            with pytest.raises(kind) as caught:
                if stream:
                    async with client.stream(generate_text("hi")) as events:
                        await events.result()
                else:
                    await client.run(generate_text("hi"))
    assert caught.value.provider == "openai"
    assert caught.value.status == (None if kind is ProtocolError else status)
    assert caught.value.request_id == "req-7"
    assert json.dumps(options) == given  # 2.4.12


# Streams.


async def test_nothing_is_asked_before_the_stream_is_open():  # S3
    model = answers("a")
    async with model.client() as client:
        stream = client.stream(generate_text("hi"))
        assert model.requests == []
        async with stream as events:
            assert await events.result() == "a"


async def test_a_stream_tells_four_kinds_of_messages():  # S29-S33
    model = answers("so ", "it is")
    node = generate_text("hi").with_options(id="a")
    bad = fail().with_options(id="b")
    messages = await streamed(model, [node, bad], errors="keep")
    own = [one for one in messages if one.get("node_id") == "a"]
    assert own == [
        {"object": "node.delta", "node_id": "a", "data": {"text": "so "}},
        {"object": "node.delta", "node_id": "a", "data": {"text": "it is"}},
        {"object": "node.result", "node_id": "a", "data": {"text": "so it is"}},
    ]
    kinds = [one["object"] for one in messages]
    assert set(kinds) == {"node.delta", "node.result", "node.error", "graph.result"}
    assert kinds[-1] == "graph.result"


async def test_a_result_comes_before_slower_ones_are_done():  # S30
    @executable
    async def after(seconds):
        await trio.sleep(seconds)
        return seconds

    async with Client(stack=[]) as client, client.stream([after(5), after(1)]) as events:
        first = await anext(events)
        assert (first.value, trio.current_time()) == (1, 1)


async def test_a_list_grows_by_its_items():  # S31
    model = Asked(lambda call, number: Script(pieces=f"t{number}", first=1 + number))
    node = generate_texts("hi", 3).with_options(id="a")
    messages = await streamed(model, node)
    deltas = [one["data"] for one in messages if one["object"] == "node.delta"]
    assert all(one["object"] == "array.item" for one in deltas)
    assert sorted(one["item"] for one in deltas) == ["t0", "t1", "t2"]


async def test_deltas_come_to_the_result_and_results_to_the_whole():  # S31, S33, 2.4.6
    model = answers("so ", "it ", "is", gap=1)
    a, b = generate_text("a"), generate("b")
    async with model.client() as client:
        whole = await client.run([a, b])
        async with client.stream([a, b]) as events:
            found = [one async for one in events]
            fold = fold_messages([one async for one in events.messages()])
    assert found[-1] == GraphResult(value=found[-1].value, data=found[-1].data)
    assert found[-1].value == whole
    assert fold.graph == fold.results
    assert fold.data[a.id] == fold.results[a.id] == {"text": "so it is"}
    assert fold.results[b.id]["text"] == "so it is"
    assert all(isinstance(one, (NodeDelta, NodeResult, NodeError, GraphResult)) for one in found)


async def test_each_reader_reads_all_and_again():  # S34, 2.4.4, 2.4.6
    node = generate_text("hi")
    async with answers("a", "b").client() as client, client.stream(node) as events:
        one, other = events.tee(2)
        first = [event async for event in one]
        assert first == [event async for event in other]
        assert first == [event async for event in events]
        own = [event async for event in events.get(node)]
        assert own == first[:-1]
        messages = [message async for message in events.messages()]
        assert messages == [message async for message in events.messages()]


async def test_who_leaves_early_ends_the_work():  # 2.4.4
    model = answers("a", "b", gap=5)
    async with model.client() as client:
        async with client.stream(generate_text("hi")) as events:
            await anext(events)
        assert model.provider.live == 0
        assert trio.current_time() == 0
    (counts,) = model.provider.statistics().values()
    assert counts["cancelled"] == 1


def read_back(texts):
    decoder = SSEDecoder()
    data = "".join(texts).encode()
    return [json.loads(one.data) for one in [*decoder.feed(data), *decoder.end()]]


async def test_server_sent_events_are_read_back_as_they_were():  # S29, S37, 2.4.5
    model = answers("two\n", "lines\r\n\r\n", "data: x")
    async with model.client() as client, client.stream(generate_text("hi")) as events:
        messages = [one async for one in events.messages()]
        texts = [one async for one in events.sse()]
    assert read_back(texts) == messages
    assert all(one.endswith("\n\n") for one in texts)


def test_each_line_of_data_has_its_own_field():  # 2.4.5
    assert sse_event("a\nb", event="e", id="1", retry=5) == (
        "event: e\nid: 1\nretry: 5\ndata: a\ndata: b\n\n"
    )


def test_messages_of_both_spellings_are_read():  # S30
    fold = MessageFold()
    fold({"object": "node.result", "nodeId": "a", "data": 1})
    fold({"object": "node.result", "node_id": "b", "data": 2})
    assert fold.results == {"a": 1, "b": 2}


# Links.


def test_a_link_holds_the_graph():  # S35
    graph = Graph.collect(generate_text(concat("a", Box("b"))))
    link = to_link(graph, "https://example.com/s/")
    assert link.startswith("https://example.com/s/")
    assert "=" not in link
    assert from_link(link) == graph.to_json()


# The wire.

HOLE = "__$$SB_GRAPH_OP_ID$$__"


def test_the_last_node_brings_all_before_it_on_the_wire():  # S6-S8, S36, 4.4 1, 3-5
    a = d.ComputeText("hi", id="a")
    b = d.ComputeText(concat("more of ", a.future.text), id="b")
    graph = d.to_dag(b)
    assert graph["id"].startswith("graph_")
    assert graph["initial_args"] == {}
    assert [(one["id"], one["node"]) for one in graph["nodes"]] == [
        ("a", "ComputeText"),
        ("b", "ComputeText"),
    ]
    first, second = graph["nodes"]
    assert first["_should_output_globally"] is True
    assert first["args"]["prompt"] == "hi"
    assert first["args"]["max_tokens"] is None
    text, whole = graph["futures"]
    assert second["args"]["prompt"] == {HOLE: whole["id"]}
    assert whole["directive"] == {
        "type": "string-concat",
        "items": [{"future_id": None, "val": "more of "}, {"future_id": text["id"], "val": None}],
    }
    assert text["directive"] == {
        "type": "trace",
        "origin_node_id": "a",
        "op_stack": [{"future_id": None, "key": "text", "accessor": "attr"}],
    }
    assert d.ComputeText("x").id.startswith("ComputeText")


def test_keys_that_are_futures_on_the_wire():  # S10, 4.4 7-8, 12
    a, b = d.Box({}, id="a"), d.Box({}, id="b")
    graph = d.to_dag(d.Box(a.future.value[b.future.value.i][concat("x", "y")].z, id="c"))
    stacks = [one["directive"].get("op_stack") for one in graph["futures"]]
    (whole,) = [one for one in stacks if one and len(one) == 4]
    assert [one["accessor"] for one in whole] == ["attr", "item", "item", "attr"]
    assert [one["key"] for one in whole] == ["value", None, None, "z"]
    assert all(one["future_id"] for one in whole[1:3])


def test_order_goes_through_on_the_wire():  # S16, 4.4 2, 6, 2.4.10
    a = d.Box(1, id="a")
    b = d.Box(2, id="b", _depends=[a])
    c = d.Box(3, id="c", _depends=[b])
    graph = d.to_dag(c)
    assert [one["id"] for one in graph["nodes"]] == ["a", "b", "c"]
    assert sorted(edge[:2] for edge in graph["edges"]) == [["a", "b"], ["b", "c"]]


def test_options_of_nodes_are_told_when_they_are_set():  # S7, S17, S18, 2.4.11
    plain, set_ = d.to_dag(
        d.Box(1, id="p", hide=True),
        d.Box(2, id="s", _cache_age=0, _cache_keys=["value"], _max_retries=0),
    )["nodes"]
    assert set(plain) == {"id", "node", "args"}
    assert (set_["_cache_age"], [*set_["_cache_keys"]], set_["_max_retries"]) == (0, ["value"], 0)


def test_texts_and_queries_on_the_wire():  # S11-S14, 4.4 9, 2.4.7, 2.4.11
    x = d.Box("x", id="x").future.value
    graph = d.to_dag(d.Box((concat(0, None), format("{x}", x=x), jinja("{{x}}", x=x), jq(x, "."))))
    kinds = {one["directive"]["type"]: one["directive"] for one in graph["futures"]}
    assert set(kinds) == {"string-concat", "format", "jinja", "jq", "trace"}
    assert [one["val"] for one in kinds["string-concat"]["items"]] == ["0", ""]
    assert kinds["jq"]["query"] == "."
    assert len(graph["nodes"][1]["args"]["value"]) == 4


async def test_a_graph_of_the_wire_runs_here_and_gives_the_same():  # S15, S19-S21
    model = Asked({"hi": "one", "more of one": "two"})
    a = d.ComputeText("hi", id="a", hide=True)
    b = d.ComputeText(concat("more of ", a.future.text), id="b")
    branch = d.If(False, b.future.text, id="if")
    flow = {"b": b, "if": branch}
    text = json.dumps({"dag": d.to_dag(*flow.values())})
    assert await model(flow) == await model(d.from_dag(text))
    assert await model(d.from_dag(text)) == {"b": {"text": "two"}, "if": {"result": None}}


async def test_a_result_is_good_for_its_age():  # S18
    model = Asked(["one", "two"])
    node = d.ComputeText("hi", _cache_age=10)
    async with model.client() as client:
        first = await client.run(node)
        assert first.text == "one"
        first["text"] = "changed"
        assert (await client.run(node)).text == "one"
        await trio.sleep(11)
        assert (await client.run(node)).text == "two"


@asynccontextmanager
async def open_endpoint(*answers, **options):
    """An endpoint, and the server that plays it."""
    several = list(answers)

    async def answer(received):
        return several.pop(0)

    async with open_server(answer) as server:
        given = {"base_url": server.url, "api_key": "key-1", **options}
        async with d.ComposeEndpoint(**given) as endpoint:
            yield endpoint, server


def says(data, status=200, **headers):
    headers = {"content-type": "application/json", "x-substrate-request-id": "r7", **headers}
    return Answer(status=status, headers=headers, body=json.dumps(data).encode())


async def test_what_an_endpoint_is_sent():  # S1, S2, S4, S5, 4.4 3, 2.4.12
    mine = {"x-mine": "1", "X-Substrate-Lang": "other"}
    secrets = {"openai": "key-2"}
    node = d.ComputeText("hi", id="a")
    async with open_endpoint(
        says({"data": {"a": {"text": "x"}}}), headers=mine, secrets=secrets
    ) as (endpoint, server):
        await endpoint.run(node)
    (asked,) = server.requests
    assert (asked.method, asked.path) == ("POST", "/compose")
    assert asked.json() == {"dag": d.to_dag(node)}
    told = {name.lower(): value for name, value in asked.headers.items()}
    assert told["authorization"] == "Bearer key-1"
    assert told["accept"] == told["content-type"] == "application/json"
    assert told["x-substrate-openai-api-key"] == "key-2"
    assert (told["x-mine"], told["x-substrate-lang"]) == ("1", "other")
    assert len(told["x-substrate-request-id"]) == 32
    for name in ("backend", "package-version", "version", "os", "arch", "runtime"):
        assert told[f"x-substrate-{name}"]
    assert (mine, secrets) == (
        {"x-mine": "1", "X-Substrate-Lang": "other"},
        {"openai": "key-2"},
    )


async def test_a_response_has_results_errors_and_its_id():  # S28, S32, S34, 4.4 13-15, 2.4.2
    good, bad = d.ComputeText("hi", id="good"), d.ComputeText("ho", id="bad")
    error = {"type": "api_error", "message": "oh", "status_code": 500}
    async with open_endpoint(says({"data": {"good": {"text": "x"}, "bad": error}})) as (one, _):
        response = await one.run(good, bad)
    assert response.request_id == "r7"
    assert response.get(good).text == response.get(good.future.text) == "x"
    assert response.get_error(good) is None
    assert response.get_error(bad).code == "api_error"
    with pytest.raises(d.NodeFailed, match="oh"):
        response.get(bad)
    with pytest.raises(BadRequest, match="no result of the node 'other'"):
        response.get("other")


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize(
    ("status", "kind"), [(401, AuthenticationFailed), (500, ServerError), (200, ServerError)]
)
async def test_a_refusal_of_an_endpoint_is_a_typed_error(stream, status, kind):  # 2.4.1, 2.4.3
    body = {"type": "api_error", "message": "no such key", "request_id": "r8"}
    async with open_endpoint(says(body, status)) as (endpoint, _):
        with pytest.raises(kind) as caught:
            if stream:
                async with endpoint.stream(d.Box(1)) as events:
                    await events.response()
            else:
                await endpoint.run(d.Box(1))
    assert caught.value.request_id is not None


TOLD = [
    {"object": "node.delta", "node_id": "a", "data": {"text": "so\n"}},
    {"object": "node.delta", "node_id": "a", "data": {"text": "it is"}},
    {"object": "node.result", "node_id": "a", "data": {"text": "so\nit is"}},
    {"object": "graph.result", "data": {"a": {"text": "so\nit is"}}},
]


def says_events(*messages):
    texts = [sse_event(json.dumps(one, indent=1)) for one in messages]  # of several lines
    body = "".join([": ping\n\n", *texts]).encode()
    return Answer(headers={"content-type": "text/event-stream"}, body=body)


async def test_a_stream_of_an_endpoint_is_read_by_several():  # S3, S29-S34, 2.4.4-2.4.6
    node = d.ComputeText("hi", id="a")
    async with open_endpoint(says_events(*TOLD)) as (endpoint, server):
        async with endpoint.stream(node) as events:
            assert [one async for one in events] == TOLD
            assert [one async for one in events] == TOLD
            assert [one async for one in events.get(node)] == TOLD[:-1]
            assert (await events.response()).get(node).text == "so\nit is"
    told = {name.lower(): value for name, value in server.requests[0].headers.items()}
    assert (told["accept"], told["x-substrate-streaming"]) == ("text/event-stream", "1")
    assert fold_messages(TOLD).data["a"] == TOLD[2]["data"]


async def test_a_stream_that_is_cut_is_no_result():  # S33
    async with (
        open_endpoint(says_events(*TOLD[:2])) as (endpoint, _),
        endpoint.stream(d.ComputeText("hi", id="a")) as events,
    ):
        with pytest.raises(StreamInterrupted):
            await events.response()


def test_a_link_in_the_form_of_the_wire():  # S35
    graph = d.to_dag(d.Box(1, id="a"))
    link = to_link(graph, "https://example.com/s/")
    end = link.rpartition("/")[2]
    packed = base64.urlsafe_b64decode(end + "=" * (-len(end) % 4))
    assert json.loads(zlib.decompress(packed)) == json.loads(from_link(link)) == graph
