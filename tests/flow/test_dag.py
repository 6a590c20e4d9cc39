"""Graphs as `POST /compose` has them: written, read and run here, and sent to a server."""

from __future__ import annotations

import json
import random
import re
import traceback

import pytest
import trio
from hypothesis import given, settings
from hypothesis import strategies as st

from llmmw import Client
from llmmw._plugins import Plugins
from llmmw.errors import (
    AuthenticationFailed,
    BadRequest,
    ConfigError,
    DeadlineExceeded,
    LLMError,
    ProtocolError,
    RateLimited,
    ServerError,
    StreamInterrupted,
)
from llmmw.flow import Box as OurBox
from llmmw.flow import (
    Graph,
    embed,
    executable,
    from_link,
    generate_text,
    registry,
    to_link,
)
from llmmw.flow import If as OurIf
from llmmw.flow._text import concat, format, jinja, jq
from llmmw.flow._wire_events import error_data
from llmmw.flow.dag import (
    BatchComputeJSON,
    BatchComputeText,
    Box,
    ComposeEndpoint,
    ComposeResponse,
    ComputeJSON,
    ComputeText,
    EmbedText,
    Experimental,
    If,
    MultiComputeJSON,
    MultiComputeText,
    MultiEmbedText,
    Node,
    NodeFailed,
    from_dag,
    to_dag,
)
from llmmw.testing import Answer, open_server

KEY = "sk-secret-of-this-test"
HOLE = "__$$SB_GRAPH_OP_ID$$__"
pytestmark = pytest.mark.plugins


PLUGINS = Plugins()  # looked for once


async def ran(flow, **options):
    async with Client("echo:x", stack=[], plugins=PLUGINS) as client:
        return await client.run(flow, **options)


def by_id(dag, name="nodes"):
    return {row["id"]: row for row in dag[name]}


# Writing.


def test_the_last_node_brings_all_that_it_needs():  # S6, S15, S36; 4.4.1, 4.4.4
    story = ComputeText("tell", id="story")
    short = ComputeText(concat("Summarise: ", story.future.text), id="short")
    dag = to_dag(short)
    assert set(dag) == {"id", "nodes", "edges", "futures", "initial_args"}
    assert re.fullmatch("graph_[0-9a-f]+", dag["id"])
    assert dag["initial_args"] == {}
    assert dag["edges"] == []
    assert list(by_id(dag)) == ["story", "short"]
    assert [row["directive"]["type"] for row in dag["futures"]] == ["trace", "string-concat"]


def test_a_whole_graph():  # S7, S8, S10, S11; 4.4.3
    story = ComputeText("tell", max_tokens=20, id="story")
    short = ComputeText(concat("Summarise: ", story.future.text), id="short", hide=True)
    dag = to_dag(short)
    args = {"image_uris": None, "temperature": 0.4}  # no model: an endpoint has its own
    assert dag["nodes"] == [
        {
            "id": "story",
            "node": "ComputeText",
            "args": {"prompt": "tell", "max_tokens": 20, **args},
            "_should_output_globally": True,
        },
        {
            "id": "short",
            "node": "ComputeText",
            "args": {"prompt": {HOLE: "future2"}, "max_tokens": None, **args},
        },
    ]
    step = {"future_id": None, "key": "text", "accessor": "attr"}
    assert dag["futures"] == [
        {
            "id": "future1",
            "directive": {"type": "trace", "origin_node_id": "story", "op_stack": [step]},
        },
        {
            "id": "future2",
            "directive": {
                "type": "string-concat",
                "items": [
                    {"future_id": None, "val": "Summarise: "},
                    {"future_id": "future1", "val": None},
                ],
            },
        },
    ]


def test_ids_begin_with_the_class_and_are_unique():  # S9; 4.4.5
    one, two = ComputeText("a"), ComputeText("a")
    ids = list(by_id(to_dag(one, two)))
    assert len(set(ids)) == 2
    assert all(one.startswith("ComputeText") for one in ids)
    with pytest.raises(BadRequest, match="two nodes have the id 'x'"):  # 2.4.9
        to_dag(ComputeText("a", id="x"), ComputeText("b", id="x"))


def test_futures_on_attributes_items_and_other_futures():  # S10; 4.4.7, 4.4.12
    one, two = Box({"items": [1]}, id="one"), Box(0, id="two")
    dag = to_dag(Box(one.future.value.items[two.future.value].x, id="last"))
    futures = by_id(dag, "futures")
    trace = futures[by_id(dag)["last"]["args"]["value"][HOLE]]["directive"]
    assert [(one["accessor"], one["key"]) for one in trace["op_stack"]] == [
        ("attr", "value"),
        ("attr", "items"),
        ("item", None),
        ("attr", "x"),
    ]
    key = futures[trace["op_stack"][2]["future_id"]]["directive"]
    assert key["origin_node_id"] == "two"


def test_any_name_can_be_taken_from_a_result():  # 2.4.8
    one = Box({"id": 1, "directive": 2}, id="one")
    path = one.future.value.directive
    (future,) = to_dag(Box(path))["futures"]
    assert [step["key"] for step in future["directive"]["op_stack"]] == ["value", "directive"]


def test_futures_are_found_at_any_depth():  # S8; 2.4.7
    one = ComputeText("a", id="one")
    dag = to_dag(Box({"x": [(one.future.text, 1)], "y": {"z": one}}, id="box"))
    value = by_id(dag)["box"]["args"]["value"]
    assert value["x"][0][0].keys() == {HOLE}
    assert value["x"][0][1] == 1
    whole = by_id(dag, "futures")[value["y"]["z"][HOLE]]["directive"]
    assert whole["op_stack"] == []


def test_a_text_may_be_made_of_many_others():
    text = ComputeText("x").future.text
    for _ in range(2_000):
        text = concat(text, "!")
    dag = to_dag(ComputeText(text))
    assert len(dag["futures"]) == 2_001
    assert len(from_dag(dag)) == 2


def test_order_is_kept_through_all():  # S16; 2.4.10, 4.4.2, 4.4.6
    a = ComputeText("a", id="a")
    b = ComputeText("b", id="b", _depends=[a])
    c = ComputeText("c", id="c", _depends=[b])
    dag = to_dag(c)
    assert list(by_id(dag)) == ["a", "b", "c"]
    assert dag["edges"] == [["a", "b", {}], ["b", "c", {}]]


def test_options_of_nodes_are_there_when_given():  # S17, S18; 2.4.11
    dag = to_dag(
        ComputeText("a", id="all", _cache_age=60, _cache_keys=["prompt"], _max_retries=2),
        ComputeText("b", id="zero", _cache_age=0, _max_retries=0),
        ComputeText("c", id="none", hide=True),
    )
    options = {
        row["id"]: {name: one for name, one in row.items() if name.startswith("_")}
        for row in dag["nodes"]
    }
    shown = {"_should_output_globally": True}
    assert options["all"] == {
        **shown,
        "_cache_age": 60,
        "_cache_keys": ["prompt"],
        "_max_retries": 2,
    }
    assert options["zero"] == {**shown, "_cache_age": 0, "_max_retries": 0}
    assert options["none"] == {}
    for wrong in (
        {"_cache_age": "1"},
        {"_max_retries": -1},
        {"_cache_keys": "prompt"},
        {"_cache_keys": 1},
        {"_depends": Box(1)},
        {"id": 5},
        {"id": ""},
    ):
        with pytest.raises(BadRequest, match=r"ComputeText: (_|id)"):
            ComputeText("a", **wrong)


def test_all_directives():  # S11-S14; 4.4.9
    one = Box({"n": 0}, id="one")
    n = one.future.value.n
    dag = to_dag(
        Box(concat(0, None, n, False), id="concat"),
        Box(format("{x}!", x=n, y=[n]), id="format"),
        Box(jinja(concat("{{", "x}}"), x=n), id="jinja"),
        Box(jq(one, ".value.n"), id="jq"),
    )
    futures = by_id(dag, "futures")
    told = {
        key: futures[row["args"]["value"][HOLE]]["directive"]
        for key, row in by_id(dag).items()
        if key != "one"
    }
    assert [item["val"] for item in told["concat"]["items"]] == ["0", "", None, "False"]
    assert told["format"]["f_string"] == {"future_id": None, "val": "{x}!"}
    assert told["format"]["variables"]["y"][0].keys() == {HOLE}
    assert futures[told["jinja"]["template"]["future_id"]]["directive"]["type"] == "string-concat"
    assert told["jq"]["query"] == ".value.n"
    assert futures[told["jq"]["target"]["future_id"]]["directive"]["op_stack"] == []


def test_nodes_of_ours_have_their_class_of_the_wire():
    text = generate_text("a", temperature=0.1).with_options(id="text")
    choice = OurIf(True, text).with_options(id="choice")
    dag = to_dag(OurBox([choice, embed(text)]).with_options(id="box"))
    rows = by_id(dag)
    assert rows["text"]["node"] == "ComputeText"
    assert rows["text"]["args"] == {"prompt": "a", "temperature": 0.1}
    assert rows["choice"]["args"].keys() == {"condition", "value_if_true", "value_if_false"}
    ways = {
        row["directive"]["origin_node_id"]: [one["key"] for one in row["directive"]["op_stack"]]
        for row in dag["futures"]
    }
    assert ways["text"] == ["text"]
    assert ways["choice"] == ["result"]


def test_what_no_endpoint_knows_is_refused():
    @executable
    def mine(value):
        return value

    with pytest.raises(BadRequest, match="none knows what 'mine' does"):
        to_dag(Box(mine(1)))
    with pytest.raises(BadRequest, match=r"Box.*: a set can't be sent"):
        to_dag(Box({1, 2}))
    with pytest.raises(BadRequest, match="names in an object are texts"):
        to_dag(Box({1: 2}))


def test_a_dag_goes_into_an_address():  # S35
    dag = to_dag(ComputeText("a"))
    assert json.loads(from_link(to_link(dag, "https://example.org/s/"))) == dag


# Running here.


async def test_a_dag_gives_the_same_here_as_its_nodes():  # S15, S19, S20
    story = ComputeText("once", id="story")
    short = ComputeText(concat("short: ", story.future.text), id="short")
    box = Box({"both": [story.future.text, (short.future.text,)]}, id="box")
    yes = If(story.future.text, box.future.value["both"][1], id="yes")
    no = If(False, short.future.text, id="no")
    other = If(0, 1, {"x": short.future.text}, id="other")
    nodes = {one.label: one for one in (story, short, box, yes, no, other)}
    expected = {
        "story": {"text": "once"},
        "short": {"text": "short: once"},
        "box": {"value": {"both": ["once", ["short: once"]]}},
        "yes": {"result": ["short: once"]},
        "no": {"result": None},
        "other": {"result": {"x": "short: once"}},
    }
    assert await ran(from_dag(to_dag(nodes))) == expected
    direct = await ran(nodes)
    assert json.loads(json.dumps(direct)) == expected
    assert direct["box"].value.both[0] == "once"
    again = to_dag(from_dag(json.dumps({"dag": to_dag(nodes)})))
    assert await ran(from_dag(again)) == expected
    assert by_id(again).keys() == nodes.keys()


async def test_classes_of_nodes_that_ask_models():  # S21
    schema = {"type": "object", "properties": {"a": {"type": "integer"}}, "required": ["a"]}
    flow = {
        "multi": MultiComputeText("hi", 3),
        "batch": BatchComputeText(["a", "b"], max_tokens=9),
        "json": ComputeJSON('{"a": 1}', schema),
        "multi_json": MultiComputeJSON('{"a": 1}', schema, 2),
        "batch_json": BatchComputeJSON(['{"a": 1}', '{"a": 2}'], schema),
    }
    dag = to_dag({name: one.with_options(id=name) for name, one in flow.items()})
    assert by_id(dag)["batch"]["args"]["max_tokens"] == 9
    for found in (await ran(flow), await ran(from_dag(dag))):
        assert found["multi"] == {"choices": [{"text": "hi"}] * 3}
        assert found["batch"] == {"outputs": [{"text": "a"}, {"text": "b"}]}
        assert found["json"] == {"json_object": {"a": 1}}
        assert found["multi_json"].choices[1] == {"json_object": {"a": 1}}
        assert found["batch_json"]["outputs"][1] == {"json_object": {"a": 2}}


async def test_embeddings():  # S24
    one = EmbedText("abc", id="one", doc_id="d1")
    several = MultiEmbedText([{"text": "a"}, {"text": "bb", "metadata": {"m": 1}}], id="several")
    dag = to_dag(one, several, Box(one.future.embedding.vector[0], id="first"))
    with registry():
        embed.configure(_lengths)
        found = await ran(from_dag(dag))
    assert found["one"] == {"embedding": {"vector": [3.0], "doc_id": "d1"}}
    assert found["several"]["embeddings"][1] == {"vector": [2.0], "metadata": {"m": 1}}
    assert found["first"] == {"value": 3.0}


async def _lengths(inputs, *, model=None, dimensions=None, purpose=None):
    if isinstance(inputs, str):
        return [float(len(inputs))]
    return [[float(len(one))] for one in inputs]


async def test_nodes_of_any_class_are_carried_out_by_functions():  # S23, S25
    async def upscale(image, factor=2):
        return {"image": image * factor}

    def failing(**given):
        raise ValueError("broken")

    dag = to_dag(
        Node("UpscaleImage", image="ab", id="up"),
        Experimental("Upscale2", {"image": "c"}, timeout=5, id="experiment"),
        Node("UpscaleImage", upscale, image="x", factor=3, id="own"),
    )
    assert by_id(dag)["experiment"]["args"] == {
        "name": "Upscale2",
        "args": {"image": "c"},
        "timeout": 5,
    }
    functions = {"UpscaleImage": upscale, "Upscale2": upscale}
    found = await ran(from_dag(dag, functions))
    assert found["up"] == {"image": "abab"}
    assert found["experiment"] == {"output": {"image": "cc"}}
    assert await ran(Node("UpscaleImage", upscale, image="x", factor=3)) == {"image": "xxx"}
    with pytest.raises(BadRequest, match="carries out nodes of the class 'UpscaleImage'"):
        await ran(from_dag(dag))
    with pytest.raises(ValueError, match="broken"):
        await ran(from_dag(dag, {**functions, "UpscaleImage": failing}))


async def test_models_by_their_names_in_the_graph():
    dag = to_dag(ComputeText("a", model="Llama3Instruct8B", id="a"))
    assert await ran(from_dag(dag, models={"Llama3Instruct8B": "echo:y"})) == {"a": {"text": "a"}}


async def test_text_made_of_futures():  # S11-S14; 4.4.10, 4.4.11
    one = Box({"n": 0, "rows": ["a", "b"]}, id="one")
    value = one.future.value
    dag = to_dag(
        Box(concat(), id="empty"),
        Box(concat(0, value.n, None, "x"), id="concat"),
        Box(format("{x} {y}", x=value.n, y="z"), id="format"),
        Box(jinja("{% for row in rows %}{{row}},{% endfor %}", rows=value.rows), id="jinja"),
        Box(jq(one, ".value.rows[1]"), id="jq"),
    )
    found = await ran(from_dag(dag))
    assert {key: one["value"] for key, one in found.items() if key != "one"} == {
        "empty": "",
        "concat": "00x",
        "format": "0 z",
        "jinja": "a,b,",
        "jq": "b",
    }


async def test_hidden_nodes_are_not_given_out():  # S17
    one = ComputeText("a", id="hidden", hide=True)
    dag = to_dag(ComputeText(one.future.text, id="shown"))
    assert await ran(from_dag(dag)) == {"shown": {"text": "a"}}


async def test_a_node_runs_after_those_it_depends_on():  # S16
    order = []

    async def noted(name):
        await trio.lowlevel.checkpoint()
        order.append(name)
        return name

    a = Node("Noted", name="a", id="a")
    b = Node("Noted", name="b", id="b", _depends=[a])
    await ran(from_dag(to_dag(Node("Noted", name="c", _depends=[b])), {"Noted": noted}))
    assert order == ["a", "b", "c"]


@pytest.mark.virtual
async def test_a_result_is_kept_as_long_as_its_age_allows():  # S18
    asked = []

    def noted(**given):
        asked.append(given)
        return {"n": len(asked)}

    def one(x, y=0, **options):
        return Node("Noted", noted, x=x, y=y, **options)

    async with Client("echo:x", stack=[]) as client:
        run = client.run
        assert (await run(one(1, _cache_age=10)))["n"] == 1
        await trio.sleep(9)
        assert (await run(one(1, _cache_age=10)))["n"] == 1
        assert (await run(one(2, _cache_age=10)))["n"] == 2
        await trio.sleep(2)
        assert (await run(one(1, _cache_age=10)))["n"] == 3
        assert (await run(one(1, _cache_age=0)))["n"] == 4
        assert (await run(one(5, 1, _cache_age=10, _cache_keys=["x"])))["n"] == 5
        assert (await run(one(5, 2, _cache_age=10, _cache_keys=["x"])))["n"] == 5
    async with Client("echo:x", stack=[]) as other:
        assert (await other.run(one(1, _cache_age=10)))["n"] == 6


async def test_a_node_is_tried_again_as_often_as_it_says():  # S18
    asked = []

    def failing(times, error=ServerError):
        asked.append(1)
        if len(asked) <= times:
            raise error("busy")
        return {"asked": len(asked)}

    assert await ran(Node("Busy", failing, times=2, _max_retries=2)) == {"asked": 3}
    asked.clear()
    with pytest.raises(ServerError):
        await ran(Node("Busy", failing, times=2, _max_retries=1))
    asked.clear()
    with pytest.raises(BadRequest):
        await ran(Node("Busy", failing, times=1, error=BadRequest, _max_retries=5))
    assert len(asked) == 1


@settings(max_examples=40)
@given(seed=st.integers(0, 2**32), size=st.integers(1, 6))
def test_any_graph_gives_the_same_after_it_was_a_dag(seed, size):
    choose = random.Random(seed).choice
    nodes = [Box({"k": [1, "x"]})]

    def some():
        return choose([*nodes[-4:], 2, None, {"k": [nodes[-1], (1, nodes[0])]}])

    makers = [
        lambda: Box(some()),
        lambda: If(some(), some(), some()),
        lambda: OurIf(some(), some()),
        lambda: OurBox([some()]),
        lambda: ComputeText(concat("a", some(), nodes[0].future.value.k[1])),
        lambda: generate_text(format("{a} {b.value}", a=some(), b=nodes[0])),
        lambda: Box(nodes[0].future.value["k"][nodes[0].future.value.k[0]], _depends=[nodes[-1]]),
    ]
    for _ in range(size):
        nodes.append(choose(makers)())
    dag = to_dag(*nodes)

    async def both():
        return await ran(nodes), await ran(from_dag(json.dumps(dag)))

    direct, read = trio.run(both)
    response = ComposeResponse({"data": read})
    for one, value in zip(nodes, direct, strict=True):
        assert json.loads(json.dumps(response.get(one))) == json.loads(json.dumps(value))


NODE = {"id": "a", "node": "Box", "args": {"value": 1}}


@pytest.mark.parametrize(
    ("dag", "message"),
    [
        ("", "no JSON"),
        ([], "no object"),
        ({"nodes": {}}, "the nodes of the dag are no list"),
        ({"nodes": [{"node": "Box"}]}, "one of the nodes of the dag has no id"),
        ({"nodes": [{"id": "a"}]}, "'a' in the dag has no node"),
        ({"nodes": [NODE, NODE]}, "two of the nodes of the dag have the id 'a'"),
        ({"nodes": [{**NODE, "args": {"value": {HOLE: "f"}}}]}, "needs the future f, which is not"),
        ({"nodes": [NODE], "edges": [["b", "a", {}]]}, "needs the node b, which is not there"),
        ({"nodes": [NODE], "edges": [["a", "b", {}]]}, "an edge to a node b, which is not there"),
        ({"nodes": [NODE], "edges": ["a"]}, "an edge that is none"),
        ({"nodes": [NODE], "edges": [["a", "a", {}]]}, "in a circle: node a -> node a"),
        ({"nodes": [NODE], "futures": [{"id": "f", "directive": {"type": "x"}}]}, "type 'x'"),
        (
            {"nodes": [NODE], "futures": [{"id": "f", "directive": {"type": "jq"}}]},
            "the future f of the dag can't be read",
        ),
    ],
)
def test_what_is_no_dag_is_said_so(dag, message):  # 2.4.14
    with pytest.raises(BadRequest) as raised:
        from_dag(dag)
    assert message in str(raised.value)


@pytest.mark.parametrize("key", ["__class__", "_x", "format", 3])
def test_a_dag_reaches_nothing_private(key):
    step = {"future_id": None, "key": key, "accessor": "attr"}
    directive = {"type": "trace", "origin_node_id": "a", "op_stack": [step]}
    with pytest.raises(BadRequest, match="attribute"):
        from_dag({"nodes": [NODE], "futures": [{"id": "f", "directive": directive}]})


# Sending.


def answering(client):
    """A server that runs what it is sent."""

    async def answer(received):
        if (received.method, received.path) != ("POST", "/compose"):
            return Answer(status=404)
        flow = from_dag(received.body)
        if received.headers.get("accept") == "text/event-stream":
            async with client.stream(flow, errors="keep") as stream:
                texts = [text.encode() async for text in stream.sse(keep_alive=None)]
            return Answer(headers={"content-type": "text/event-stream"}, pieces=texts)
        values = await client.run(flow, errors="keep")
        data = {
            key: error_data(one) if isinstance(one, Exception) else one
            for key, one in values.items()
        }
        headers = {"content-type": "application/json", "x-substrate-request-id": "r1"}
        return Answer(headers=headers, body=json.dumps({"data": data}).encode())

    return answer


def sample():
    story = ComputeText("once\nupon", id="story")
    short = generate_text(concat("short: ", story.future.text)).with_options(id="short")
    return story, short


async def test_an_endpoint_gives_what_a_run_here_gives():  # S2, S4, S28
    story, short = sample()
    async with Client("echo:x", stack=[]) as client, open_server(answering(client)) as server:
        async with ComposeEndpoint(base_url=server.url) as endpoint:
            response = await endpoint.run(short, story)
            again = await endpoint.run(to_dag(short))
        here = await client.run([story, short])
    assert [response.get(story), response.get(short)] == here
    assert response.get("story").text == "once\nupon"
    assert response.get(story.future.text) == "once\nupon"
    assert response.get(story.future.text[0]) == "o"
    assert response.request_id == "r1"
    assert response.status == 200
    assert response.json["data"]["short"] == {"text": "short: once\nupon"}
    assert response.get_error(story) is None
    assert again.json == response.json
    assert server.connections == 1  # 2.4.13
    with pytest.raises(BadRequest, match="no result of the node 'other'; it has 'story'"):
        response.get("other")
    with pytest.raises(BadRequest, match="'story' has no 'length'"):
        response.get(story.future.length)


async def test_the_headers_of_a_request():  # S1, S5
    headers = {"x-extra": "1", "user-agent": "mine"}
    mine = {"openai": "sk-openai-secret", "anthropic": "sk-ant-secret"}
    answer = Answer(body=b'{"data": {}}', headers={"content-type": "application/json"})
    async with open_server(answer) as server:
        endpoint = ComposeEndpoint(base_url=server.url, api_key=KEY, secrets=mine, headers=headers)
        async with endpoint:
            await endpoint.run(ComputeText("a"))
            await endpoint.run(ComputeText("a"))
    first, second = [one.headers for one in server.requests]
    assert first["authorization"] == f"Bearer {KEY}"
    assert first["accept"] == first["content-type"] == "application/json"
    assert first["x-substrate-openai-api-key"] == "sk-openai-secret"
    assert first["x-substrate-anthropic-api-key"] == "sk-ant-secret"
    assert (first["x-extra"], first["user-agent"]) == ("1", "mine")
    assert re.fullmatch(r"\d{4}-\d\d-\d\d", first["x-substrate-version"])
    assert {"x-substrate-lang", "x-substrate-os", "x-substrate-arch"} <= set(first)
    assert (first["x-substrate-backend"], first["x-substrate-runtime"]) == ("v1", "CPython")
    ids = [one["x-substrate-request-id"] for one in (first, second)]
    assert ids[0] != ids[1]
    assert all(len(one) == 32 for one in ids)
    assert mine == {"openai": "sk-openai-secret", "anthropic": "sk-ant-secret"}  # 2.4.12
    assert headers == {"x-extra": "1", "user-agent": "mine"}
    assert "secret" not in repr(endpoint)
    with pytest.raises(ConfigError, match="no header for 'mistral'"):
        ComposeEndpoint(base_url=server.url, secrets={"mistral": "x"})


def refusing(status):
    body = json.dumps({"error": {"message": f"no: {KEY}"}}).encode()
    return Answer(status=status, body=body, headers={"x-request-id": "r7"})


@pytest.mark.parametrize(
    ("status", "kind"), [(401, AuthenticationFailed), (429, RateLimited), (500, ServerError)]
)
@pytest.mark.parametrize("how", ["run", "stream"])
async def test_a_status_of_failure_is_an_error(status, kind, how):  # 2.4.1, 2.4.3
    async with open_server(refusing(status)) as server:
        async with ComposeEndpoint(base_url=server.url, api_key=KEY) as endpoint:
            with pytest.raises(kind) as raised:
                if how == "run":
                    await endpoint.run(ComputeText("a"))
                else:
                    async with endpoint.stream(ComputeText("a")) as stream:
                        await stream.response()
    assert (raised.value.status, raised.value.request_id) == (status, "r7")
    shown = traceback.TracebackException.from_exception(raised.value, capture_locals=True)
    assert KEY not in "".join(shown.format())


async def test_a_redirect_is_not_followed():
    answer = Answer(status=307, headers={"location": "http://127.0.0.1:9/compose"})
    async with open_server(answer) as server:
        async with ComposeEndpoint(base_url=server.url, api_key=KEY) as endpoint:
            with pytest.raises(LLMError):
                await endpoint.run(ComputeText("a"))
    assert len(server.requests) == 1


async def test_a_failed_node_is_an_error_when_it_is_asked_for():  # S32; 2.4.2, 4.4.14, 4.4.15
    async with Client("echo:x", stack=[]) as client, open_server(answering(client)) as server:
        async with ComposeEndpoint(base_url=server.url) as endpoint:
            broken = Node("Unknown", id="broken")
            fine = ComputeText("a", id="fine")
            response = await endpoint.run(broken, fine)
    assert response.get(fine).text == "a"
    assert response.get_error(fine) is None
    error = response.get_error(broken)
    assert (error.code, error.node, error.request_id) == ("invalid_request_error", "broken", "r1")
    with pytest.raises(NodeFailed, match="the node 'broken' failed: nothing here carries out"):
        response.get(broken)


@pytest.mark.parametrize("body", [b"[]", b"<html>", b'{"nodes": 1}'])
async def test_an_answer_that_is_none_is_an_error(body):
    async with open_server(Answer(body=body)) as server:
        async with ComposeEndpoint(base_url=server.url) as endpoint:
            with pytest.raises((ProtocolError, ServerError)):
                await endpoint.run(ComputeText("a"))


@pytest.mark.parametrize("how", ["run", "stream"])
async def test_an_answer_has_its_time(how):
    release = trio.Event()

    async def never(received):
        await release.wait()
        return Answer()

    async with open_server(never) as server:
        async with ComposeEndpoint(base_url=server.url, timeout=0.05) as endpoint:
            with pytest.raises(DeadlineExceeded, match=r"did not answer within 0\.05 s"):
                if how == "run":
                    await endpoint.run(ComputeText("a"))
                else:
                    async with endpoint.stream(ComputeText("a")):
                        pass


async def test_an_endpoint_is_used_within_its_block():
    endpoint = ComposeEndpoint(base_url="http://127.0.0.1:9")
    with pytest.raises(ConfigError, match="the endpoint is not open"):
        await endpoint.run(ComputeText("a"))


async def test_a_stream_tells_what_happens_and_ends_with_the_whole():  # S3, S30, S31, S33
    story, short = sample()
    async with Client("echo:x", stack=[]) as client, open_server(answering(client)) as server:
        async with ComposeEndpoint(base_url=server.url) as endpoint:
            async with endpoint.stream(short) as stream:
                first = [message async for message in stream]
                second = [message async for message in stream]  # 2.4.4
                of_story = [one async for one in stream.get(story)]
                response = await stream.response()
            run = await endpoint.run(short)
    headers = server.requests[0].headers
    assert headers["accept"] == "text/event-stream"
    assert headers["x-substrate-streaming"] == "1"
    assert first == second
    assert first[-1]["object"] == "graph.result"
    kinds = [one["object"] for one in of_story]
    assert kinds[-1] == "node.result"
    assert "node.delta" in kinds
    assert response.json["data"] == first[-1]["data"]
    assert response.get(short) == run.get(short) == "short: once\nupon"
    assert response.get(story.future.text) == run.get(story).text


def events(*messages):
    texts = [f"data: {json.dumps(one)}\n\n".encode() for one in messages]
    return Answer(headers={"content-type": "text/event-stream"}, pieces=texts)


RESULT = {"object": "graph.result", "data": {"a": {"text": "x"}}}


async def streamed(answer):
    async with open_server(answer) as server:
        async with ComposeEndpoint(base_url=server.url) as endpoint:
            async with endpoint.stream(ComputeText("a", id="a")) as stream:
                return await stream.response()


async def test_a_stream_that_breaks_off_is_an_error():
    with pytest.raises(StreamInterrupted):
        await streamed(events({"object": "node.delta", "node_id": "a", "data": {"text": "x"}}))
    whole = await streamed(events({"object": "node.result", "nodeId": "a", "data": {}}, RESULT))
    assert whole.get("a").text == "x"


async def test_a_stream_that_tells_an_error_raises_it():
    error = {"type": "api_error", "message": "out of order", "status_code": 503}
    with pytest.raises(ServerError, match="out of order"):
        await streamed(events({"object": "graph.error", "data": error}))


async def test_an_endpoint_that_does_not_stream_is_read_all_the_same():  # 2.4.3
    headers = {"content-type": "application/json"}
    whole = await streamed(
        Answer(headers=headers, body=json.dumps({"data": RESULT["data"]}).encode())
    )
    assert whole.get("a").text == "x"
    with pytest.raises(ServerError):
        await streamed(Answer(headers=headers, body=b'{"type": "api_error", "message": "no"}'))


async def test_leaving_a_stream_closes_the_line():  # 2.4.4
    begun, forever = trio.Event(), trio.Event()

    async def endless(received):
        return Answer(
            headers={"content-type": "text/event-stream"},
            pieces=[
                events({"object": "node.delta", "node_id": "a", "data": {}}).pieces[0],
                forever.wait,
            ],
        )

    async with open_server(endless) as server:
        async with ComposeEndpoint(base_url=server.url) as endpoint:
            async with endpoint.stream(ComputeText("a", id="a")) as stream:
                async for _ in stream:
                    begun.set()
                    break
            assert begun.is_set()
            await server.left.wait()


async def test_several_read_one_stream():  # S34
    answer = events({"object": "node.result", "node_id": "a", "data": {"text": "x"}}, RESULT)
    found = []

    async def read(stream):
        found.append([one["object"] async for one in stream])

    async with open_server(answer) as server:
        async with ComposeEndpoint(base_url=server.url) as endpoint:
            async with endpoint.stream(ComputeText("a", id="a")) as stream:
                async with trio.open_nursery() as nursery:
                    for _ in range(3):
                        nursery.start_soon(read, stream)
    assert found == [["node.result", "graph.result"]] * 3


def test_graphs_of_such_nodes_are_graphs():
    assert next(iter(Graph.collect(sample()[1]))) == "story"
