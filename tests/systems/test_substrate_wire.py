"""Substrate's rows S1-S37 over its wire: graphs go to a far end that carries them out.

Each test is named after its row, or after the defect (`d…`, of §2.4) that ours must not have.
What differs on purpose: a redirect is an error (S4), `run` raises for a status of failure (S2), a
stream can be read again (2.4.4), and functions of Python are not pickled (S26).
"""

from __future__ import annotations

import asyncio
import base64
import json
import re
import traceback
import zlib

import pytest
import trio
import trio.testing
from hypothesis import given, settings
from hypothesis import strategies as st
from llmmw_substrate import GraphResponse, Substrate
from llmmw_substrate import nodes as n

from llmmw import Client, aio, sync
from llmmw.errors import (
    AuthenticationFailed,
    BadRequest,
    ConfigError,
    LLMError,
    NotFound,
    ProtocolError,
    ServerError,
    StreamInterrupted,
    UnsupportedFeature,
)
from llmmw.flow import MessageFold, concat, executable, fold_messages, format, jinja, jq, sse_event
from llmmw.flow.dag import NodeFailed
from llmmw.testing import Answer, open_server
from llmmw.wire import SSEDecoder

from .substrate_far_end import HOLE, KEY, open_far_end

pytestmark = pytest.mark.plugins


def substrate_at(far, **options):
    return Substrate(**{"api_key": KEY, "base_url": far.url} | options)


async def ran(*nodes, **behaviour):
    """The response to a graph, and the far end."""
    async with open_far_end(**behaviour) as far, substrate_at(far) as substrate:
        return await substrate.run(*nodes), far


async def streamed(*nodes, **behaviour):
    """The messages of a graph."""
    async with open_far_end(**behaviour) as far, substrate_at(far) as substrate:
        async with substrate.stream(*nodes) as stream:
            return [message async for message in stream]


def waiting(key, **more):
    return n.Experimental("wait", {"key": key}, id=key, **more)


def failing(**more):
    return n.Experimental("fail", {"message": "it broke"}, id="bad", **more)


def kinds(messages):
    return [one["object"] for one in messages]


# The request.


async def test_s1_a_client_with_its_headers_and_keys_of_other_hosts():
    mine = {"x-mine": "1", "x-substrate-lang": "other", "USER-AGENT": "me"}
    secrets = {"openai": "key-o", "anthropic": "key-a"}
    async with open_far_end() as far:
        async with substrate_at(far, headers=mine, secrets=secrets) as substrate:
            await substrate.run(n.Box(1))
        told = far.requests[0].headers
    assert told["x-substrate-openai-api-key"] == "key-o"
    assert told["x-substrate-anthropic-api-key"] == "key-a"
    assert (told["x-mine"], told["x-substrate-lang"]) == ("1", "other")
    assert told["user-agent"] == "me"
    assert (len(mine), len(secrets)) == (3, 2)  # 2.4.12: what was given stays as it was
    assert not re.search("key-", repr(substrate))
    assert Substrate().base_url == "https://api.substrate.run"
    assert Substrate().timeout == 300
    with pytest.raises(ConfigError, match="no header for 'mistral'"):
        Substrate(secrets={"mistral": "x"})


async def test_s2_run_gives_the_results_of_a_graph():
    story = n.ComputeText("tell a story")
    summary = n.ComputeText(prompt=concat("sum up: ", story.future.text))
    response, far = await ran(story, summary)
    assert response.get(story).text == "so tell a story."
    assert response.get(summary).text == "so sum up: so tell a story.."
    assert len(far.requests) == 1


async def test_s3_a_stream_asks_when_its_block_begins():
    async with open_far_end() as far, substrate_at(far) as substrate:
        stream = substrate.stream(n.ComputeText("hi"))
        assert far.requests == []
        async with stream as messages:
            assert (await anext(aiter(messages)))["object"] == "node.delta"
    assert len(far.requests) == 1


async def test_s4_one_post_with_the_dag():
    node = n.ComputeText("hi", id="a")
    _, far = await ran(node)
    (asked,) = far.requests
    assert (asked.method, asked.path) == ("POST", "/compose")
    assert asked.json() == {"dag": Substrate.serialize(node)}


async def test_s4_a_redirect_is_an_error_since_it_could_carry_the_key_away():
    answer = Answer(status=307, headers={"location": "http://127.0.0.1:9/compose"})
    async with open_server(answer) as server:
        async with Substrate(api_key=KEY, base_url=server.url) as substrate:
            with pytest.raises(LLMError):
                await substrate.run(n.Box(1))
    assert len(server.requests) == 1


@pytest.mark.parametrize("stream", [False, True])
async def test_s5_headers(stream):
    async with open_far_end() as far, substrate_at(far) as substrate:
        for _ in range(2):
            if stream:
                async with substrate.stream(n.Box(1)) as messages:
                    await messages.response()
            else:
                await substrate.run(n.Box(1))
        first, second = (one.headers for one in far.requests)
    assert first["authorization"] == f"Bearer {KEY}"
    assert first["content-type"] == "application/json"
    assert first["accept"] == ("text/event-stream" if stream else "application/json")
    assert first.get("x-substrate-streaming") == ("1" if stream else None)
    assert first["user-agent"].startswith("llmmw/")
    assert (first["x-substrate-backend"], first["x-substrate-lang"]) == ("v1", "python")
    assert re.fullmatch(r"\d{4}-\d\d-\d\d", first["x-substrate-version"])
    for name in ("package-version", "os", "arch", "runtime", "runtime-version"):
        assert first[f"x-substrate-{name}"]
    ids = {one["x-substrate-request-id"] for one in (first, second)}
    assert len(ids) == 2
    assert all(len(one) == 32 for one in ids)


def test_s6_the_shape_of_a_dag():
    a = n.Box(1, id="a")
    dag = Substrate.serialize(n.Box(a.future.value, id="b", _depends=[a]))
    assert set(dag) == {"id", "nodes", "edges", "futures", "initial_args"}
    assert dag["id"].startswith("graph_")
    assert (dag["edges"], dag["initial_args"]) == ([["a", "b", {}]], {})
    assert all(set(one) == {"id", "directive"} for one in dag["futures"])
    assert json.loads(json.dumps(dag)) == dag


def test_s7_the_shape_of_a_node_nulls_among_its_arguments():
    (row,) = Substrate.serialize(n.ComputeText("hi", id="a"))["nodes"]
    assert row == {
        "id": "a",
        "node": "ComputeText",
        "args": {
            "prompt": "hi",
            "image_uris": None,
            "temperature": 0.4,
            "max_tokens": None,
            "model": "Llama3Instruct8B",
        },
        "_should_output_globally": True,
    }


async def test_s8_placeholders_at_any_depth():
    a = n.Box({"x": "y"}, id="a")
    box = n.Box({"deep": [[a.future.value.x, {"in": a.future.value}]]}, id="box")
    dag = Substrate.serialize(box)
    deep = dag["nodes"][1]["args"]["value"]["deep"][0]
    assert [set(deep[0]), set(deep[1]["in"])] == [{HOLE}, {HOLE}]
    response, _ = await ran(box)
    assert response.get(box).value == {"deep": [["y", {"in": {"x": "y"}}]]}


def test_s9_ids_begin_with_the_kind_and_are_unique():
    several = [n.ComputeText("hi") for _ in range(50)]
    ids = [one["id"] for one in Substrate.serialize(*several)["nodes"]]
    assert len(set(ids)) == 50
    assert all(one.startswith("ComputeText") for one in ids)
    response = GraphResponse({"data": {one: {"text": one} for one in ids}})
    assert [response.get(one)["text"] for one in several] == ids


async def test_s10_futures_of_attributes_items_and_keys_that_are_futures():
    a, b = n.Box({"items": [{"x": "no"}, {"x": "yes"}]}, id="a"), n.Box({"i": 1}, id="b")
    end = n.Box(a.future.value["items"][b.future.value.i].x, id="c")
    response, _ = await ran(end)
    assert response.get(end).value == "yes"


async def test_s11_concat_joins_texts_and_futures():
    a = n.Box("b", id="a")
    several = {
        "mixed": concat("a", a.future.value, "c"),
        "none": concat(),
        "one": concat(a.future.value),
        "nothing": concat("a", None, ""),
        "falsy": concat("a", 0),  # 2.4.11
    }
    boxes = {name: n.Box(one, id=name) for name, one in several.items()}
    response, _ = await ran(*boxes.values())
    found = {name: response.get(one).value for name, one in boxes.items()}
    assert found == {"mixed": "abc", "none": "", "one": "b", "nothing": "a", "falsy": "a0"}


async def test_s12_format_fills_fields_by_futures():
    a = n.Box({"x": "X", "form": "{x}-{y}"}, id="a")
    one = n.Box(format("{x} {y}", x=a.future.value.x, y="Y"), id="one")
    two = n.Box(format(a.future.value.form, x=a.future.value.x, y=1), id="two")
    response, _ = await ran(one, two)
    assert (response.get(one).value, response.get(two).value) == ("X Y", "X-1")


async def test_s13_jinja_goes_through_a_list():
    a = n.Box(["x", "y"], id="a")
    node = n.Box(jinja("{% for r in rows %}<{{ r }}>{% endfor %}", rows=a.future.value))
    response, _ = await ran(node)
    assert response.get(node).value == "<x><y>"


async def test_s14_jq_asks_futures_and_plain_values():
    a = n.Box({"a": [{"b": "c"}]}, id="a")
    one = n.Box(jq(a.future.value, ".a[0].b"), id="one")
    two = n.Box(jq({"a": [{"b": "d"}]}, ".a[0].b"), id="two")
    response, _ = await ran(one, two)
    assert (response.get(one).value, response.get(two).value) == ("c", "d")


async def test_s15_the_last_node_brings_all_before_it_and_they_run_at_once():
    a, b = waiting("a"), waiting("b")
    c = n.Box([a.future.output, b.future.output], id="c")
    assert [one["id"] for one in Substrate.serialize(c)["nodes"]] == ["a", "b", "c"]
    async with open_far_end() as far, substrate_at(far) as substrate:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(substrate.run, c)
            while sorted(far.waiting) != ["a", "b"]:
                await trio.lowlevel.checkpoint()
            far.event("b").set()
            far.event("a").set()
    assert sorted(far.done) == ["a", "b"]


async def test_s16_d10_order_without_data_goes_through_all():
    a = n.Experimental("count", {"key": "a"}, id="a")
    b = n.Experimental("count", {"key": "b"}, id="b", _depends=[a])
    c = n.Experimental("count", {"key": "c"}, id="c", _depends=[b])
    dag = Substrate.serialize(c)
    assert [one["id"] for one in dag["nodes"]] == ["a", "b", "c"]
    assert dag["edges"] == [["a", "b", {}], ["b", "c", {}]]
    _, far = await ran(c)
    assert far.done == ["a", "b", "c"]


async def test_s17_a_hidden_node_is_in_no_answer():
    hidden = n.ComputeText("hi", id="hidden", hide=True)
    shown = n.ComputeText(hidden.future.text, id="shown")
    response, _ = await ran(shown)
    assert set(response.json["data"]) == {"shown"}
    with pytest.raises(BadRequest, match="no result of the node 'hidden'"):
        response.get(hidden)
    assert {one.get("node_id") for one in await streamed(shown)} == {"shown", None}


async def test_s18_age_keys_and_retries_of_a_node():
    def counted(more=0, **options):
        args = {"key": "k", "more": more}
        return n.Experimental("count", args, **options)

    async with open_far_end() as far, substrate_at(far) as substrate:

        async def runs(node):
            return (await substrate.run(node)).get(node).output["runs"]

        assert [await runs(counted(_cache_age=10)) for _ in range(2)] == [1, 1]
        far.now = 11
        assert await runs(counted(_cache_age=10)) == 2
        assert await runs(counted(more=1, _cache_age=10, _cache_keys=["name"])) == 3
        assert await runs(counted(more=2, _cache_age=10, _cache_keys=["name"])) == 3
        twice = n.Experimental("fail", {"times": 2}, _max_retries=2)
        assert (await substrate.run(twice)).get(twice).output == {"runs": 3}
    (row,) = Substrate.serialize(n.Box(1, _cache_age=0, _max_retries=0))["nodes"]
    assert (row["_cache_age"], row["_max_retries"]) == (0, 0)  # 2.4.11


async def test_s19_if_takes_one_of_two_and_both_are_sent():
    yes, no = n.ComputeText("yes", id="yes"), n.ComputeText("no", id="no")
    true = n.Box(True, id="true")
    one = n.If(true.future.value, yes.future.text, no.future.text, id="one")
    two = n.If(False, yes.future.text, id="two")
    assert {row["id"] for row in Substrate.serialize(one)["nodes"]} == {"yes", "no", "true", "one"}
    response, _ = await ran(one, two)
    assert (response.get(one).result, response.get(two).result) == ("so yes.", None)


async def test_s20_a_box_gathers_what_its_nodes_give():
    a, b = n.ComputeText("a"), n.ComputeText("b")
    box = n.Box({"both": (a.future.text, [b.future.text]), "zero": 0})
    response, _ = await ran(box)
    assert response.get(box).value == {"both": ["so a.", ["so b."]], "zero": 0}


SCHEMA = {"type": "object", "properties": {"name": {"type": "string"}, "n": {"type": "integer"}}}


async def test_s21_nodes_that_write():
    several = {
        "text": n.ComputeText("a b c", max_tokens=2),
        "multi": n.MultiComputeText("a", 2),
        "batch": n.BatchComputeText(["a", "b"]),
        "json": n.ComputeJSON("a", SCHEMA),
        "prose": n.ComputeJSON("no JSON", SCHEMA),
        "multi_json": n.MultiComputeJSON("a", SCHEMA, 2),
        "batch_json": n.BatchComputeJSON(["a"], SCHEMA),
        "code": n.GenerateCode("sort", "python"),
        "codes": n.MultiGenerateCode("sort", "sql", num_choices=2),
    }
    response, _ = await ran(*several.values())
    got = {name: response.get(one) for name, one in several.items()}
    assert got["text"].text == "so a"
    assert [one.text for one in got["multi"].choices] == ["so a.", "1 a."]
    assert [one.text for one in got["batch"].outputs] == ["so a.", "so b."]
    assert got["json"].json_object == {"name": "x", "n": 7}
    assert (got["prose"].json_object, got["prose"].text) == (None, "sorry")
    assert [one.json_object["n"] for one in got["multi_json"].choices] == [7, 7]
    assert got["batch_json"].outputs[0].json_object == {"name": "x", "n": 7}
    assert got["code"].code == "python: sort"
    assert [one.code for one in got["codes"].choices] == ["sql 0: sort", "sql 1: sort"]


async def test_s22_models_by_their_names_and_further_arguments():
    llama = n.Llama3Instruct8B("hi", system_prompt="be brief", num_choices=2)
    mixtral = n.Mixtral8x7BInstruct("hi", json_schema=SCHEMA)
    seen = n.Firellava13B("what is it?", ["http://host/a.jpg"])
    loose = n.ComputeText("hi", top_p=0.1, id="loose")
    response, far = await ran(llama, mixtral, seen, loose)
    assert [one.text for one in response.get(llama).choices] == [
        "so be brief: hi.",
        "1 be brief: hi.",
    ]
    assert response.get(mixtral).choices[0].json_object == {"name": "x", "n": 7}
    assert response.get(seen).text == "1 images, what is it?"
    rows = {one["id"]: one["args"] for one in far.requests[0].json()["dag"]["nodes"]}
    assert rows["loose"]["top_p"] == 0.1
    for kind in (n.Mistral7BInstruct, n.Mixtral8x7BInstruct, n.Llama3Instruct70B):
        (row,) = Substrate.serialize(kind("hi"))["nodes"]
        assert (row["args"]["top_p"], row["args"]["presence_penalty"]) == (0.95, 1.1)


async def test_s23_images_video_and_speech():
    image = n.GenerateImage("a cat", store="hosted")
    upscaled = n.UpscaleImage(image.future.image_uri)
    several = n.MultiGenerateImage("a cat", 2)
    light = n.StableDiffusionXLLightning("a cat", seeds=[5])
    mask = n.SegmentUnderPoint("http://host/a.jpg", {"x": 1, "y": 2})
    film = n.StableVideoDiffusion(light.future.outputs[0].image_uri)
    frames = n.InterpolateFrames(["a", "b"], output_format="frames", fps=3)
    said = n.TranscribeSpeech("http://host/a.wav", segment=True, align=True, suggest_chapters=True)
    spoken = n.GenerateSpeech(said.future.text)
    response, _ = await ran(image, upscaled, several, light, mask, film, frames, said, spoken)
    assert response.get(image).image_uri == "https://host/image.jpg"
    assert response.get(upscaled).image_uri.startswith("data:image/jpeg;base64,")
    assert len(response.get(several).outputs) == 2
    assert response.get(light).outputs[0].seed == 5
    assert response.get(mask).mask_image_uri
    assert response.get(film).video_uri.startswith("data:image/gif")
    assert (response.get(frames).video_uri, len(response.get(frames).frame_uris)) == (None, 3)
    heard = response.get(said)
    assert heard.segments[0].words[0].word == "hi"
    assert (heard.segments[0].end, heard.chapters[0].title) == (1.5, "one")
    assert response.get(spoken).audio_uri.startswith("data:audio/wav")


async def test_s24_vectors_and_their_store():
    made = n.FindOrCreateVectorStore("birds", "jina-v2", id="made")
    rows = [{"text": one, "doc_id": one} for one in ("aaa", "eee", "iii")]
    filled = n.MultiEmbedText(rows, collection_name="birds", id="filled", _depends=[made])
    found = n.QueryVectorStore(
        "birds", "jina-v2", query_strings=["aae"], top_k=2, include_values=True, _depends=[filled]
    )
    async with open_far_end() as far, substrate_at(far) as substrate:
        response = await substrate.run(found, filled)
        assert [one.id for one in response.get(found).results[0]] == ["aaa", "eee"]
        assert len(response.get(found).results[0][0].vector) == 6
        assert response.get(filled).embeddings[1].doc_id == "eee"
        changed = n.UpdateVectors("birds", "jina-v2", [{"id": "aaa", "metadata": {"m": 1}}])
        fetched = n.FetchVectors("birds", "jina-v2", ["aaa", "zzz"], _depends=[changed])
        response = await substrate.run(changed, fetched)
        assert response.get(changed).count == 1
        (vector,) = response.get(fetched).vectors
        assert (vector.id, vector.metadata) == ("aaa", {"m": 1})
        listed = n.ListVectorStores()
        assert (await substrate.run(listed)).get(listed).items[0].collection_name == "birds"
        gone = n.DeleteVectors("birds", "jina-v2", ["aaa"])
        assert (await substrate.run(gone)).get(gone).count == 1
        dropped = n.DeleteVectorStore("birds", "jina-v2")
        assert (await substrate.run(dropped)).get(dropped).model == "jina-v2"
        chunks = n.SplitDocument("abcdef", chunk_size=4, doc_id="d")
        response = await substrate.run(chunks)
        assert [one.text for one in response.get(chunks).items] == ["abcd", "ef"]
        several = [n.EmbedText("a"), n.EmbedImage("a"), n.JinaV2([{"text": "a"}]), n.CLIP(rows)]
        response = await substrate.run(*several, n.MultiEmbedImage([{"image_uri": "a"}]))
        assert len(response.get(several[0]).embedding.vector) == 6


async def test_s25_a_node_of_any_name():
    node = n.Experimental("count", {"key": "x"}, timeout=5)
    response, far = await ran(node)
    assert response.get(node).output == {"runs": 1}
    (row,) = far.requests[0].json()["dag"]["nodes"]
    assert row["args"] == {"name": "count", "args": {"key": "x"}, "timeout": 5}


async def test_s26_functions_of_python_are_refused_on_the_wire_and_run_here():
    with pytest.raises(UnsupportedFeature, match="pickled"):
        n.RunPython(len, {"x": 1})

    @executable
    def shouted(response, node):
        return response.get(node).text.upper()

    async with open_far_end() as far, Client(stack=[]) as client:
        story = n.ComputeText("hi", id="story")
        flow = shouted(substrate_at(far).graph(story), "story")
        assert await client.run(flow) == "SO HI."


ARGS = {
    "prompts": ["a"],
    "num_choices": 1,
    "num_images": 1,
    "items": [{"text": "a", "image_uri": "b"}],
    "image_uris": ["a"],
    "frame_uris": ["a"],
    "json_schema": SCHEMA,
    "point": {"x": 1, "y": 1},
    "ids": [],
    "vectors": [],
    "args": {"key": "a"},
    "name": "count",
    "model": "jina-v2",
}


@pytest.mark.parametrize("name", sorted(n.KINDS))
async def test_s27_each_of_46_kinds_is_sent_and_gives_its_type(name):
    kind = n.KINDS[name]
    assert len(n.KINDS) == 46
    assert getattr(n, name) is kind
    node = kind(**{arg: ARGS.get(arg, "x") for arg in kind.needed}, id="it")
    async with open_far_end(stores={("x", "jina-v2"): {}}) as far, substrate_at(far) as substrate:
        response = await substrate.run(node)
    assert type(response.get(node)) is kind.out
    assert response.get("it").raw == response.json["data"]["it"]


def test_s27_a_kind_says_what_it_needs():
    with pytest.raises(BadRequest, match="QueryVectorStore needs model"):
        n.QueryVectorStore("birds")
    with pytest.raises(BadRequest, match="prompt is given twice"):
        n.ComputeText("a", prompt="b")
    with pytest.raises(BadRequest, match="takes 1 arguments in order, not 2"):
        n.Box(1, 2)


# The answer.


async def test_s28_a_response_gives_typed_results_and_what_it_came_with():
    node = n.ComputeText("hi", id="a")
    response, far = await ran(node)
    got = response.get(node)
    assert (got.text, got.raw) == ("so hi.", {"text": "so hi."})
    assert response.get(node.future.text) == "so hi."
    assert response.json == {"data": {"a": {"text": "so hi."}}}
    assert response.request_id == far.requests[0].headers["x-substrate-request-id"]
    assert (response.status, response.headers["content-type"]) == (200, "application/json")
    with pytest.raises(BadRequest, match="no result of the node 'other'; it has 'a'"):
        response.get("other")


async def test_s29_a_stream_as_messages_and_as_text_that_is_read_back():
    async with open_far_end(indent=1) as far, substrate_at(far) as substrate:  # data of lines
        async with substrate.stream(n.ComputeText("a\nb\r\nc", id="a")) as stream:
            messages = [one async for one in stream]
            texts = [one async for one in stream.sse()]
    decoder = SSEDecoder()
    events = [*decoder.feed("".join(texts).encode()), *decoder.end()]
    assert [json.loads(one.data) for one in events] == messages
    assert all(one.endswith("\n\n") for one in texts)
    assert kinds(messages)[-2:] == ["node.result", "graph.result"]


async def test_s30_a_result_comes_before_slower_ones_are_done():
    async with open_far_end() as far, substrate_at(far) as substrate:
        async with substrate.stream(waiting("slow"), n.Box(1, id="quick")) as stream:
            first = await anext(aiter(stream))
            assert (first["object"], first["node_id"]) == ("node.result", "quick")
            assert far.done == []
            far.event("slow").set()
            assert kinds([one async for one in stream])[-1] == "graph.result"


@pytest.mark.parametrize("name", ["node_id", "nodeId"])
async def test_s30_both_spellings_are_read_and_one_is_told(name):
    async with open_far_end(node_name=name) as far, substrate_at(far) as substrate:
        node = n.ComputeText("hi", id="a")
        async with substrate.stream(node) as stream:
            messages = [one async for one in stream]
            assert (await stream.get(node).result()).text == "so hi."
    assert all(one["node_id"] == "a" for one in messages[:-1])
    assert not any("nodeId" in one for one in messages)
    assert fold_messages(messages).data["a"] == {"text": "so hi."}


async def test_s31_deltas_have_the_shape_of_the_result_and_items_of_lists_their_place():
    messages = await streamed(n.BatchComputeText(["a", "b"], id="a"))
    deltas = [one["data"]["outputs"] for one in messages if one["object"] == "node.delta"]
    assert {one["object"] for one in deltas} == {"array.item"}
    assert [(one["index"], one["item"]["text"]) for one in deltas] == [
        (0, "so"),
        (0, " a."),
        (1, "so"),
        (1, " b."),
    ]


TEXTS = st.text(max_size=12)
ROWS = st.lists(st.fixed_dictionaries({"text": TEXTS}), min_size=1, max_size=4)
RESULTS = st.fixed_dictionaries(
    {"text": TEXTS, "choices": ROWS, "inner": st.fixed_dictionaries({"a": TEXTS, "b": ROWS})}
)


def pieces_of(value, draw):
    """Deltas of a value: its texts in pieces, the items of its lists each at its place."""
    if isinstance(value, str):
        at = draw(st.integers(0, len(value)))
        return [value[:at], value[at:]]
    if isinstance(value, list):
        return [
            {"object": "array.item", "index": at, "item": piece}
            for at, one in enumerate(value)
            for piece in pieces_of(one, draw)
        ]
    return [{name: piece} for name, one in value.items() for piece in pieces_of(one, draw)]


@settings(max_examples=150)
@given(result=RESULTS, data=st.data())
def test_s31_d6_the_deltas_of_a_node_come_to_its_result(result, data):
    fold = MessageFold()
    for piece in pieces_of(result, data.draw):
        message = {"object": "node.delta", "node_id": "a", "data": piece}
        fold(json.loads(json.dumps(message)))
    assert fold.data["a"] == result


async def test_s31_the_deltas_of_the_far_end_come_to_its_results():
    several = [n.ComputeText("a b"), n.MultiComputeText("a", 3), n.Llama3Instruct8B("x y")]
    fold = fold_messages(await streamed(*several))
    assert len(fold.data) == 3
    assert fold.data == fold.results == fold.graph


async def test_s32_d2_a_failed_node_is_a_typed_error_and_others_go_on():
    bad = failing()
    after = n.Box(bad.future.output, id="after")
    wrong = n.Llama3Instruct8B("hi", id="wrong", no_such_argument=1)
    fine = n.ComputeText("fine", id="fine")
    async with open_far_end() as far, substrate_at(far) as substrate:
        response = await substrate.run(after, bad, wrong, fine)
        async with substrate.stream(after, bad, wrong, fine) as stream:
            messages = [one async for one in stream]
            later = await stream.response()
            with pytest.raises(NodeFailed, match="it broke"):
                await stream.get(bad).result()
            assert (await stream.get(fine).result()).text == "so fine."
    told = {one["node_id"]: one["data"] for one in messages if one["object"] == "node.error"}
    assert {key: one["type"] for key, one in told.items()} == {
        "after": "dependency_error",
        "bad": "api_error",
    }
    for one in (response, later):
        assert one.get(fine).text == "so fine."
        with pytest.raises(NodeFailed, match="the node 'bad' failed: it broke") as caught:
            one.get(bad)
        error = caught.value
        assert (error.node, error.code, error.status) == ("bad", "api_error", 500)
        assert error.request_id == "r-far"
        with pytest.raises(NodeFailed) as caught:
            one.get(after)
        assert caught.value.code == "dependency_error"


async def test_s32_a_type_of_error_that_nobody_knows_is_an_error_all_the_same():
    data = {"a": {"type": "gpu_error", "message": "too warm"}}
    response = GraphResponse({"data": data}, kinds={"a": "ComputeText"})
    with pytest.raises(NodeFailed, match="too warm"):
        response.get("a")


async def test_s32_an_error_that_the_graph_does_not_repeat_is_kept():
    told = [
        {"object": "node.error", "node_id": "a", "data": {"type": "api_error", "message": "oh"}},
        {"object": "graph.result", "data": {}},
    ]
    body = "".join(sse_event(json.dumps(one)) for one in told).encode()
    answer = Answer(headers={"content-type": "text/event-stream"}, body=body)
    async with open_server(answer) as server, Substrate(base_url=server.url, api_key=KEY) as s:
        async with s.stream(n.Box(1, id="a")) as stream:
            with pytest.raises(NodeFailed, match="oh"):
                (await stream.response()).get("a")


async def test_s33_the_result_of_the_graph_is_last_and_what_run_gives():
    several = [n.ComputeText("a", id="a"), n.MultiComputeText("b", 2, id="b")]
    messages = await streamed(*several)
    response, _ = await ran(*several)
    assert kinds(messages).index("graph.result") == len(messages) - 1
    assert messages[-1]["data"] == response.json["data"]


async def test_s34_readers_of_one_node_and_several_readers_at_once():
    a, b = n.ComputeText("a", id="a"), n.ComputeText("b", id="b")
    found = []

    async def read(reader):
        found.append([one async for one in reader])

    async with open_far_end() as far, substrate_at(far) as substrate:
        async with substrate.stream(a, b) as stream, trio.open_nursery() as nursery:
            for reader in (*stream.tee(2), stream.get(a)):
                nursery.start_soon(read, reader)
    short, whole, other = sorted(found, key=len)
    assert whole == other
    assert short == [one for one in whole if one.get("node_id") == "a"]
    assert kinds(short)[-1] == "node.result"


async def test_s34_an_event_that_is_no_json_is_an_error():
    body = b"data: {nope\n\n"
    answer = Answer(headers={"content-type": "text/event-stream"}, body=body)
    async with open_server(answer) as server, Substrate(base_url=server.url, api_key=KEY) as s:
        async with s.stream(n.Box(1)) as stream:
            with pytest.raises(ProtocolError):
                await stream.response()
            texts = [one async for one in stream.sse()]
    assert json.loads(texts[-1].removeprefix("data: "))["object"] == "graph.error"


def test_s35_an_address_holds_the_graph():
    node = n.ComputeText(concat("a", n.Box("b", id="b").future.value), id="a")
    address = Substrate.visualize(node)
    start = "https://explore.substrate.run/s/"
    assert address.startswith(start)
    packed = address.removeprefix(start)
    assert not re.search(r"[+/=]", packed)
    data = zlib.decompress(base64.urlsafe_b64decode(packed + "=" * (-len(packed) % 4)))
    assert json.loads(data) == Substrate.serialize(node)


def test_s36_serializing_needs_no_network_and_gives_the_same_each_time():
    def made():
        several = [n.Box(k, id=f"n{k}") for k in range(20)]
        return Substrate.serialize(n.Box([one.future.value for one in several], id="all"))

    assert made() == made()
    assert [one["id"] for one in made()["nodes"]][:3] == ["n0", "n1", "n2"]  # 2.4.9
    assert Substrate.serialize(made()) == made()


async def test_s37_a_stream_goes_on_to_another_client():
    async with open_far_end() as far, substrate_at(far) as substrate:

        async def pass_on(received):
            async with substrate.stream(n.ComputeText("one\ntwo", id="a")) as stream:
                texts = [text.encode() async for text in stream.sse()]
            return Answer(headers={"content-type": "text/event-stream"}, pieces=texts)

        async with open_server(pass_on) as proxy:
            async with Substrate(base_url=proxy.url, api_key=None) as second:
                async with second.stream(n.ComputeText("ignored", id="a")) as stream:
                    assert (await stream.response()).get("a").text == "so one\ntwo."


# What it must not have: §2.4.


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize(
    ("options", "node", "kind", "status"),
    [
        ({"api_key": "wrong"}, n.Box(1), AuthenticationFailed, 401),
        ({"api_key": None}, n.Box(1), AuthenticationFailed, 401),
        ({}, n.Experimental("crash", {}), ServerError, 500),
        ({"base_url": "/elsewhere"}, n.Box(1), NotFound, 404),
    ],
)
async def test_d1_d3_a_status_of_failure_is_a_typed_error(options, node, kind, status, stream):
    async with open_far_end() as far:
        base = {"base_url": far.url + options.get("base_url", "")}
        async with substrate_at(far, **{**options, **base}) as substrate:
            with pytest.raises(kind) as caught:
                if stream:
                    async with substrate.stream(node):
                        pass
                else:
                    await substrate.run(node)
    assert caught.value.status == status
    assert caught.value.request_id
    assert KEY not in str(caught.value)


async def test_d3_an_answer_in_json_to_a_stream_is_read():
    body = json.dumps({"data": {"a": {"text": "x"}}}).encode()
    answers = [body, b'{"type": "api_error", "message": "no"}']
    headers = {"content-type": "application/json"}
    several = [Answer(headers=headers, body=one) for one in answers]
    async with open_server(several) as server, Substrate(base_url=server.url, api_key=KEY) as s:
        async with s.stream(n.ComputeText("hi", id="a")) as stream:
            assert (await stream.response()).get("a").text == "x"
        with pytest.raises(ServerError, match="no"):
            async with s.stream(n.ComputeText("hi", id="a")) as stream:
                await stream.response()


async def test_d4_a_stream_is_read_again_and_leaving_it_ends_the_work():
    async with open_far_end() as far, substrate_at(far) as substrate:
        async with substrate.stream(n.ComputeText("hi", id="a")) as stream:
            assert [one async for one in stream] == [one async for one in stream]
        async with substrate.stream(n.Box(1), waiting("never")) as stream:
            await anext(aiter(stream))
        with trio.fail_after(5):
            await far.cancelled.wait()
            await far.server.left.wait()
    assert far.done == []


async def test_d4_a_reader_that_is_cancelled_takes_nothing_from_others():
    async with open_far_end() as far, substrate_at(far) as substrate:
        async with substrate.stream(waiting("a")) as stream:
            with trio.CancelScope() as scope:
                async with trio.open_nursery() as nursery:
                    nursery.start_soon(anext, aiter(stream))
                    await trio.testing.wait_all_tasks_blocked()
                    scope.cancel()
            far.event("a").set()
            assert kinds([one async for one in stream]) == ["node.result", "graph.result"]


async def test_d4_a_stream_that_was_left_is_no_whole():
    async with open_far_end() as far, substrate_at(far) as substrate:
        async with substrate.stream(n.Box(1, id="a"), waiting("never")) as stream:
            await anext(aiter(stream))
        with trio.fail_after(5), pytest.raises(StreamInterrupted, match="was left"):
            await stream.response()
        assert (await stream.get("a").result()).value == 1


@pytest.mark.parametrize("stream", [False, True])
async def test_d12_no_key_is_in_what_is_raised(stream):
    async def failure(substrate):
        try:
            if not stream:
                return await substrate.run(n.Experimental("crash", {}))
            async with substrate.stream(n.Experimental("crash", {})):
                pass
        except ServerError as error:
            return traceback.TracebackException.from_exception(error, capture_locals=True)

    async with open_far_end() as far:
        async with substrate_at(far, secrets={"openai": "key-of-openai"}) as substrate:
            text = "".join((await failure(substrate)).format())
    assert far.requests[0].headers["x-substrate-openai-api-key"] == "key-of-openai"
    assert "substrate = " in text
    assert KEY not in text
    assert "key-of-openai" not in text


async def test_d4_a_stream_that_is_cut_is_no_result():
    told = {"object": "node.delta", "node_id": "a", "data": {"text": "x"}}
    answer = Answer(
        headers={"content-type": "text/event-stream"}, body=sse_event(json.dumps(told)).encode()
    )
    async with open_server(answer) as server, Substrate(base_url=server.url, api_key=KEY) as s:
        async with s.stream(n.ComputeText("hi", id="a")) as stream:
            with pytest.raises(StreamInterrupted):
                await stream.get("a").result()


async def test_d7_futures_in_tuples_go_and_what_json_lacks_is_refused():
    a = n.Box("x", id="a")
    box = n.Box((a.future.value, [(a.future.value,)]))
    response, _ = await ran(box)
    assert response.get(box).value == ["x", [["x"]]]
    with pytest.raises(BadRequest, match="a set can't be sent"):
        Substrate.serialize(n.Box({a.future.value}))
    with pytest.raises(BadRequest, match="names in an object are texts"):
        Substrate.serialize(n.Box({a.future.value: 1}))


@pytest.mark.parametrize("name", ["id", "directive", "next_id", "node", "future", "items", "get"])
async def test_d8_each_name_of_a_result_can_be_had(name):
    a = n.Box({name: "value"}, id="a")
    box = n.Box(getattr(a.future.value, name))
    response, _ = await ran(box)
    assert response.get(box).value == "value"


def test_d9_two_nodes_of_one_id_are_refused():
    with pytest.raises(BadRequest, match="two nodes have the id 'a'"):
        Substrate.serialize(n.Box(1, id="a"), n.Box(2, id="a"))


async def test_d13_connections_are_used_again():
    async with open_far_end() as far, substrate_at(far) as substrate:
        for _ in range(3):
            await substrate.run(n.Box(1))
    assert far.server.connections == 1


def test_d14_a_circle_is_refused():
    a = n.Box(1, id="a")
    b = n.Box(a.future.value, id="b")
    a.kwargs, a.inputs = {"value": b}, (b,)
    with pytest.raises(BadRequest, match="need each other in a circle"):
        Substrate.serialize(b)


def test_d15_there_is_one_if():
    node = n.If(True, 1)
    assert Substrate.serialize(node)["nodes"][0]["node"] == "If"


@pytest.mark.parametrize(
    ("told", "what"),
    [
        ({"text": 1}, r"the result of 'a'\.text: a text is wanted, not a int"),
        ({"text": True}, r"the result of 'a'\.text: a text is wanted, not a bool"),
        ({}, r"the result of 'a' is no TextOut: it has no 'text'"),
        ([], r"the result of 'a' is no TextOut: an object is wanted"),
    ],
)
def test_d2_a_result_of_another_shape_says_so(told, what):
    response = GraphResponse({"data": {"a": told}}, kinds={"a": "ComputeText"})
    with pytest.raises(ProtocolError, match=what):
        response.get("a")


@pytest.mark.parametrize("count", [True, 1.5, "1", None])
def test_d2_a_number_is_a_number(count):
    response = GraphResponse({"data": {"a": {"count": count}}}, kinds={"a": "DeleteVectors"})
    with pytest.raises(ProtocolError, match="a whole number is wanted"):
        response.get("a")


async def test_it_is_used_within_its_block_and_with_something_to_run():
    substrate = Substrate(base_url="http://127.0.0.1:9", api_key=KEY)
    with pytest.raises(ConfigError, match="not open"):
        await substrate.run(n.Box(1))
    async with substrate:
        with pytest.raises(BadRequest, match="there is no node to run"):
            await substrate.run()
        with pytest.raises(BadRequest, match="open already"):
            await substrate.__aenter__()


# Other programs.


def in_a_far_end(work):
    """Do a plain work in a thread while a far end is there."""

    async def main():
        async with open_far_end() as far:
            return await trio.to_thread.run_sync(work, far), far

    return trio.run(main)


def test_a_graph_from_a_plain_program():
    def work(far):
        node = n.ComputeText("hi")
        with sync.Client(stack=[]) as client:
            return client.run(substrate_at(far).graph(node)).get(node).text

    assert in_a_far_end(work)[0] == "so hi."


def test_a_graph_from_an_asyncio_program():
    async def main(far):
        node = n.ComputeText("hi")
        async with aio.Client(stack=[]) as client:
            return (await client.run(substrate_at(far).graph(node))).get(node).text

    assert in_a_far_end(lambda far: asyncio.run(main(far)))[0] == "so hi."


def test_a_plain_program_hears_a_graph_as_it_goes_on():
    def work(far):
        heard, node = [], n.ComputeText("hi", id="a")
        with sync.Client(stack=[]) as client:
            response = client.run(substrate_at(far).graph(node, hear=heard.append))
        assert heard[-1]["data"] == response.json["data"]
        return kinds(heard)

    told, far = in_a_far_end(work)
    assert told == ["node.delta", "node.delta", "node.result", "graph.result"]
    assert far.requests[0].headers["x-substrate-streaming"] == "1"


def test_an_asyncio_program_passes_a_graph_on_as_it_goes_on():
    async def main(far):
        loop, queue = asyncio.get_running_loop(), asyncio.Queue()

        def hear(message):
            loop.call_soon_threadsafe(queue.put_nowait, message)

        async with aio.Client(stack=[]) as client:
            flow = substrate_at(far).graph(n.Box(1), waiting("a"), hear=hear)
            run = asyncio.create_task(client.run(flow))
            first = await queue.get()
            trio.from_thread.run_sync(far.event("a").set, trio_token=far.token)
            await run
        return [first["object"], queue.qsize()]

    assert in_a_far_end(lambda far: asyncio.run(main(far)))[0] == ["node.result", 2]


async def test_what_hears_a_graph_may_be_async_and_may_fail():
    async def hear(message):
        await trio.lowlevel.checkpoint()
        raise ValueError("enough")

    async with open_far_end() as far, Client(stack=[]) as client:
        with pytest.raises(ValueError, match="enough"):
            await client.run(substrate_at(far).graph(n.Box(1), waiting("never"), hear=hear))
        with trio.fail_after(5):
            await far.cancelled.wait()


def test_nodes_stream_from_a_plain_program_one_by_one():
    def work(far):
        told = n.ComputeText("tell", model=None, id="told")
        short = n.ComputeText(concat("short: ", told.future.text), model=None, id="short")
        options = {"substrate": {"api_key": KEY, "base_url": far.url}}
        with sync.Client("substrate:Llama3Instruct8B", stack=[], options=options) as client:
            with client.stream(short) as events:
                return list(events.messages())

    messages, far = in_a_far_end(work)
    assert messages[-1]["data"]["short"] == {"text": "so short: so tell.."}
    assert len(far.requests) == 2
