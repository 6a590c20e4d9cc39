"""What comes of graphs, templates and answers that strangers wrote: an error, and nothing else."""

from __future__ import annotations

import json
import math

import pytest

from llmmw import Client
from llmmw.errors import BadRequest, ProtocolError
from llmmw.flow import Graph, Prompt, executable, generate_text, jinja, registry
from llmmw.flow._registry import in_force
from llmmw.flow.dag import ComposeEndpoint, ComputeText, Node, from_dag
from llmmw.testing import Answer, open_server

pytestmark = pytest.mark.plugins


async def ran(flow, **options):
    async with Client("echo:x", stack=[]) as client:
        return await client.run(flow, **options)


def graph_of(*nodes):
    return json.dumps({"graph": 1, "value": {"$node": nodes[-1]["id"]}, "nodes": nodes})


PROMPT = {"$prompt": ["x", "en"]}
IMAGE = {"$value": {"$kind": "MediaPart", "media_type": "image/png", "url": "https://a/b.png"}}


@pytest.mark.parametrize("given", [PROMPT, IMAGE])
async def test_a_graph_that_was_read_opens_no_file(given, tmp_path):
    place = tmp_path / "secret"
    place.write_text("secret")
    text = graph_of(
        {"id": "held", "do": "box", "args": [given]},
        {"id": "way", "do": "attribute", "args": [{"$node": "held"}, "from_file"]},
        {"id": "file", "do": "call", "args": [{"$node": "way"}, str(place)]},
    )
    with pytest.raises(BadRequest, match="no flow may take the attribute 'from_file'"):
        await ran(Graph.from_json(text).value)


async def test_a_graph_that_was_read_binds_no_builtin():
    text = graph_of(
        {"id": "held", "do": "box", "args": [{"$function": "generate_text"}]},
        {"id": "way", "do": "attribute", "args": [{"$node": "held"}, "configure"]},
        {"id": "done", "do": "call", "args": [{"$node": "way"}, {"$function": "same"}]},
    )
    with registry() as own:
        with pytest.raises(BadRequest, match="no flow may take the attribute 'configure'"):
            await ran(Graph.from_json(text, {"same": lambda prompt: "evil"}).value)
        assert own.bindings == {}


@pytest.mark.parametrize(
    "template",
    [
        "{{ prompt.from_file('/etc/hostname').template }}",
        "{{ prompt.environment }}",
        "{{ builtin.update(model='echo:y') }}",
        "{{ registry.bindings }}",
    ],
)
async def test_a_template_reaches_nothing_that_makes_flows(template):
    given = {"prompt": Prompt("x"), "builtin": generate_text, "registry": in_force.get()}
    with pytest.raises(BadRequest):
        await ran(jinja(template, **given))
    assert await ran(jinja("{{ prompt.template }}", prompt=Prompt("x"))) == "x"


@pytest.mark.parametrize(
    "row",
    [
        {"depends": [5]},
        {"depends": [["a"]]},
        {"depends": [{"$node": "a"}]},
        {"timeout": -1},
        {"timeout": math.nan},
        {"outputs": -1},
        {"id": ""},
    ],
)
def test_a_node_that_can_not_be_is_refused(row):
    first = {"id": "a", "do": "box", "args": [1]}
    with pytest.raises(BadRequest):
        Graph.from_json(graph_of(first, {"id": "b", "do": "box", **row}))


def test_aliases_that_can_not_be_are_refused():
    with pytest.raises(BadRequest, match="aliases"):
        Graph.from_json('{"graph": 1, "nodes": [], "value": 1, "aliases": {"x": []}}')


BOX = {"id": "a", "node": "Box", "args": {"value": 1}, "_should_output_globally": True}


@pytest.mark.parametrize(
    "dag",
    [
        {"nodes": [{**BOX, "args": [1]}]},
        {"nodes": [{**BOX, "args": "x"}]},
        {"nodes": [BOX], "edges": 5},
        {
            "nodes": [BOX],
            "futures": [
                {
                    "id": "f",
                    "directive": {"type": "trace", "origin_node_id": "a", "op_stack": ["x"]},
                }
            ],
        },
    ],
)
def test_a_dag_that_can_not_be_is_refused(dag):
    with pytest.raises(BadRequest):
        from_dag(dag)


async def test_a_dag_says_by_edges_alone_what_comes_before():
    dag = {"nodes": [{**BOX, "_before": "x"}, {**BOX, "id": "b"}], "edges": [["b", "a"]]}
    assert await ran(from_dag(dag)) == {"a": {"value": 1}, "b": {"value": 1}}


async def test_what_is_kept_of_a_node_is_what_the_same_carries_out():
    async with Client("echo:x", stack=[]) as client:
        one = Node("Same", lambda value: f"one {value}", value=1, _cache_age=60)
        other = Node("Same", lambda value: f"other {value}", value=1, _cache_age=60)
        for _ in range(2):
            assert await client.run([one, other]) == ["one 1", "other 1"]
        asked = ComputeText("hi", _cache_age=60)
        with registry():
            generate_text.configure(executable(lambda prompt, temperature: "own"))
            assert (await client.run(asked)).text == "own"
        assert (await client.run(asked)).text == "hi"


ITEM = {"object": "array.item", "item": "x"}


@pytest.mark.parametrize(
    "message",
    [
        {"object": "node.delta", "node_id": "a", "data": {"c": {**ITEM, "index": 10**12}}},
        {"object": "node.delta", "node_id": "a", "data": {"c": {**ITEM, "index": -1}}},
        {"object": "node.delta", "node_id": "a", "data": {"c": ITEM}},
        {"object": "node.error", "node_id": "a", "data": [1]},
        {"object": "graph.result", "data": "x"},
    ],
)
async def test_a_stream_with_a_message_that_is_none_is_an_error(message):
    piece = f"data: {json.dumps(message)}\n\n".encode()
    answer = Answer(headers={"content-type": "text/event-stream"}, pieces=[piece])
    async with open_server(answer) as server:
        async with ComposeEndpoint(base_url=server.url) as endpoint:
            async with endpoint.stream(ComputeText("a", id="a")) as stream:
                for _ in range(2):  # whoever asks
                    with pytest.raises(ProtocolError, match="a message that is none"):
                        await stream.response()
