"""What is asked, and what comes of the answers."""

from __future__ import annotations

import json

import pytest

from llmmw import Client, Embed, Generate, JsonSchema, MediaPart, Message, TextPart
from llmmw.errors import (
    AuthenticationFailed,
    BadRequest,
    ConfigError,
    ProtocolError,
    RateLimited,
    ServerError,
    StreamInterrupted,
    UnsupportedFeature,
)
from llmmw.testing import Answer

pytestmark = pytest.mark.plugins

SCHEMA = {"type": "object", "properties": {"a": {"type": "integer"}}, "required": ["a"]}
IMAGE = MediaPart(media_type="image/png", data=b"x")
DETAILED = MediaPart(media_type="image/png", data=b"x", detail="high")


def test_a_call_is_a_graph_of_one_node(wire):
    node = wire.args([("system", "be brief"), ("user", "hi")], temperature=0.5, n=2, top_p=0.1)
    assert node == {
        "id": "answer",
        "node": "Llama3Instruct8B",
        "args": {
            "prompt": "hi",
            "system_prompt": "be brief",
            "temperature": 0.5,
            "top_p": 0.1,
            "num_choices": 2,
        },
        "_should_output_globally": True,
    }


def test_other_models_are_asked_by_compute_text(wire):
    node = wire.args(model="gpt-4o", max_output_tokens=9)
    assert (node["node"], node["args"]) == (
        "ComputeText",
        {"prompt": "hi", "model": "gpt-4o", "max_tokens": 9},
    )


def test_images_are_shown_to_the_model_that_sees(wire):
    parts = [TextPart("what"), IMAGE, MediaPart(media_type="image/*", url="http://h/a.png")]
    node = wire.args([Message("user", parts)], model="Firellava13B")
    assert node["args"]["image_uris"] == ["data:image/png;base64,eA==", "http://h/a.png"]
    with pytest.raises(UnsupportedFeature, match="wants an image"):
        wire.args(model="Firellava13B")
    with pytest.raises(UnsupportedFeature, match="MediaPart"):
        wire.args([Message("user", [IMAGE])])


def test_fields_for_the_host_go_into_its_node(wire):
    extra = {"substrate": {"repetition_penalty": 1.5, "_cache_age": 60, "new": [1]}}
    node = wire.args(extra=extra)
    assert (node["args"]["repetition_penalty"], node["args"]["new"]) == (1.5, [1])
    assert node["_cache_age"] == 60


@pytest.mark.parametrize(
    "messages",
    [
        ["hi", ("assistant", "ho"), "hi"],
        [("assistant", "ho")],
        [("system", "so")],
        ["hi", ("system", "so")],
        ["a", "b"],
    ],
)
def test_a_conversation_is_refused(wire, messages):
    with pytest.raises(UnsupportedFeature, match="takes one prompt of a user"):
        wire.args(messages, unsupported="drop")


@pytest.mark.parametrize(
    ("model", "fields", "what"),
    [
        ("Llama3Instruct8B", {"temperature": 1.5}, "temperature=1.5: it goes from 0 to 1"),
        ("Llama3Instruct8B", {"n": 9}, "n=9: it goes from 1 to 8"),
        ("gpt-4o", {"top_p": 0.5}, "top_p=0.5"),
        ("gpt-4o", {"messages": [("system", "s"), ("user", "u")]}, "a system message"),
        ("gpt-4o", {"messages": [Message("user", "u", name="bo")]}, "the name of a message"),
        ("Firellava13B", {"messages": [Message("user", [DETAILED])]}, "the detail of an image"),
        ("Llama3Instruct70B", {"output": SCHEMA}, "JsonSchema as output"),
        ("Llama3Instruct8B", {"output": "json"}, "JsonObject as output"),
    ],
)
def test_what_a_model_lacks_is_refused_or_warned_of(wire, model, fields, what):
    fields = {"messages": "hi"} | fields
    with pytest.raises(UnsupportedFeature, match=what):
        wire.args(fields["messages"], model=model, **_but(fields))
    losses = []
    wire.args(fields["messages"], model=model, losses=losses, unsupported="drop", **_but(fields))
    assert losses == [f"substrate can't honour {what}: dropped"]


def _but(fields):
    return {name: one for name, one in fields.items() if name != "messages"}


async def test_an_answer_with_its_candidates(wire):
    told = await wire.ask(wire.whole(wire.result("a", "b", seed=7)), n=2)
    assert (told.text, [one.message.text for one in told.candidates]) == ("a", ["a", "b"])
    assert (told.finish_reason, told.usage, told.raw) == ("stop", None, {"seed": 7})
    assert (told.model, told.provider) == ("Llama3Instruct8B", "substrate")


async def test_an_answer_after_a_schema(wire):
    result = {"choices": [{"json_object": {"a": 1}}]}
    item = {"object": "array.item", "index": 0, "item": {"json_object": {"a": 1}}}
    for answer in (
        wire.whole(result),
        wire.events(wire.delta({"choices": item}), *wire.ended(result)),
    ):
        async with wire.client(answer) as (client, server):
            told = await client.ask("hi", output=JsonSchema(SCHEMA))
        assert told.value == {"a": 1}
        (node,) = server.requests[0].json()["dag"]["nodes"]
        assert node["args"]["json_schema"] == SCHEMA


async def test_pieces_come_as_they_are_told(wire):
    answer = wire.events(wire.choice("so "), wire.choice("it"), *wire.ended(wire.result("so it")))
    async with wire.client(answer) as (client, server):
        async with client.stream("hi") as stream:
            assert [one async for one in stream.text] == ["so ", "it"]
    told = server.requests[0].headers
    assert (told["accept"], told["x-substrate-streaming"]) == ("text/event-stream", "1")
    assert told["authorization"] == f"Bearer {wire.key}"


async def test_a_result_that_only_the_graph_tells_is_taken(wire):
    answer = wire.events({"object": "graph.result", "data": {"answer": wire.result("x")}})
    assert (await wire.ask(answer)).text == "x"


async def test_what_was_told_is_not_taken_back(wire):
    answer = wire.events(wire.choice("so"), *wire.ended(wire.result("other")))
    with pytest.raises(ProtocolError, match="took back") as caught:
        await wire.ask(answer)
    assert caught.value.partial.text == "so"


async def test_a_line_that_breaks_after_the_result_is_no_loss(wire):
    first, _ = wire.ended(wire.result("x"))
    assert (await wire.ask(wire.events(first, cut=True))).text == "x"
    with pytest.raises(StreamInterrupted) as caught:
        await wire.ask(wire.events(wire.choice("so"), cut=True))
    assert caught.value.partial.text == "so"
    with pytest.raises(StreamInterrupted, match="ended before the result of its node"):
        await wire.ask(wire.events(wire.choice("so")))


@pytest.mark.parametrize("choices", [["x"] * 65, "x", {"a": 1}])
async def test_choices_that_are_none(wire, choices):
    with pytest.raises(ProtocolError, match="choices that are none"):
        await wire.ask(wire.events(wire.delta({"choices": choices})))


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (("api_error", "broke", 500), ServerError),
        (("api_error", "slow down", 429), RateLimited),
        (("invalid_request_error", "no", 400), BadRequest),
        (("gpu_error", "warm", 500), ServerError),
    ],
)
async def test_the_error_of_the_node_is_that_of_the_call(wire, error, kind):
    told = wire.error(*error)
    message = {"object": "node.error", "node_id": "answer", "data": told}
    ended = {"object": "graph.result", "data": {"answer": told}}
    for answer in (
        wire.whole(told),
        wire.events(message, ended),
        wire.events(message),
        wire.events(ended),
        wire.events({"object": "graph.error", "data": told}),
    ):
        with pytest.raises(kind, match=error[1]) as caught:
            await wire.ask(answer)
        assert caught.value.code == error[0]
        assert caught.value.request_id == "r1"


async def test_the_id_of_a_request_is_kept(wire):
    told = await wire.ask(wire.whole(wire.result("x"), x_substrate_request_id="r7"))
    assert told.request_id == "r7"
    async with wire.client(wire.body(b"{}", 500)) as (client, server):
        with pytest.raises(ServerError) as caught:
            await client.ask("hi")
    assert caught.value.status == 500
    assert caught.value.request_id == server.requests[0].headers["x-substrate-request-id"]


async def test_vectors(wire):
    result = {"embeddings": [{"vector": [1, 0.5]}, {"vector": [2, 3]}]}
    async with wire.client(wire.whole(result), model="jina-v2") as (client, server):
        told = await client.embed(["a", "b"])
        assert told.vectors == ((1.0, 0.5), (2.0, 3.0))
        (node,) = server.requests[0].json()["dag"]["nodes"]
        assert node["args"] == {"items": [{"text": "a"}, {"text": "b"}], "model": "jina-v2"}
        with pytest.raises(UnsupportedFeature, match="dimensions=3"):
            await client.embed("a", dimensions=3)


@pytest.mark.parametrize("vector", [[], None, ["a"], [True], [1e308, 1e308], [10**400]])
async def test_vectors_that_are_none(wire, vector):
    answer = wire.body(
        b'{"data": {"answer": {"embeddings": [{"vector": %s}]}}}'
        % str(vector).replace("'", '"').replace("None", "null").replace("True", "true").encode()
    )
    async with wire.client(answer, model="clip") as (client, _):
        with pytest.raises(ProtocolError):
            await client.embed(["a"])


async def test_each_kind_of_model_answers_its_kind_of_request(wire):
    async with wire.client(Answer()) as (client, _):
        with pytest.raises(UnsupportedFeature, match="does not answer Embed"):
            await client.embed(["a"])
        with pytest.raises(UnsupportedFeature, match="does not answer Generate"):
            await client.ask("hi", model="substrate:clip")


def test_what_models_can_do(wire):
    can = wire.provider("http://h").capabilities
    assert can("Firellava13B").media == {"image"}
    assert can("gpt-4o").media == can("Llama3Instruct8B").media == frozenset()
    assert can("Mistral7BInstruct").outputs == {"schema"}
    assert can("Llama3Instruct70B").outputs == frozenset()
    assert "top_p" in can("Llama3Instruct70B").parameters
    assert can("of-the-future").kinds == {Generate, Embed}


async def test_the_options_of_the_provider(monkeypatch):
    async with Client("substrate:Llama3Instruct8B", stack=[]) as client:
        with pytest.raises(AuthenticationFailed, match="set SUBSTRATE_API_KEY"):
            await client.ask("hi")
    options = {"substrate": {"secrets": {"mistral": "x"}}}
    with pytest.raises(ConfigError, match="no header for 'mistral'"):
        async with Client("substrate:x", stack=[], options=options) as client:
            await client.ask("hi")


async def test_keys_of_other_hosts(wire):
    answer = wire.whole({"text": "x"})
    secrets = {"openai": "key-o"}
    async with wire.client(
        answer, model="gpt-4o", secrets=secrets, headers={"user-agent": "me"}
    ) as (
        client,
        server,
    ):
        await client.ask("hi")
        assert "key-o" not in repr(client.capabilities("substrate:gpt-4o"))
    told = server.requests[0].headers
    assert told["x-substrate-openai-api-key"] == "key-o"
    assert told["user-agent"] == "me"
    assert "key-o" not in repr(wire.provider("http://h", secrets=secrets))


async def test_a_result_with_fewer_choices_than_were_told_takes_one_back(wire):
    answer = wire.events(wire.choice("a"), wire.choice("b", 1), *wire.ended(wire.result("a")))
    with pytest.raises(ProtocolError):
        await wire.ask(answer, n=2)


async def test_a_choice_that_has_text_and_data_goes_on_as_it_began(wire):
    result = {"choices": [{"text": '{"a":1}', "json_object": {"a": 1}, "seed": 5}], "more": 1}
    told = await wire.ask(wire.events(wire.choice('{"a":'), *wire.ended(result)))
    assert told.text == '{"a":1}'
    assert told.raw == {"more": 1, "choices": [{"seed": 5}]}
    assert (await wire.ask(wire.whole(result))).text == '{"a": 1}'


@pytest.mark.parametrize("index", [-1, 64, 10**9, True, "0", None])
async def test_a_choice_of_no_place(wire, index):
    with pytest.raises(ProtocolError, match="a choice of no place"):
        await wire.ask(wire.events(wire.choice("x", index), *wire.ended(wire.result("x"))))


async def test_what_has_no_place_in_a_text_takes_no_memory(wire):
    """An index is a number that a host may err in, and so is how deep data nest."""
    far = {"object": "array.item", "index": 10**9, "item": {"text": "y"}}
    deep = json.loads('{"a":' * 900 + "1" + "}" * 900)
    answer = wire.events(wire.delta({"other": far}), *wire.ended(wire.result("x")))
    assert (await wire.ask(answer)).text == "x"
    for result in ({"choices": [{"json_object": deep}]}, {"choices": [{"text": "x", "b": deep}]}):
        try:
            await wire.ask(wire.whole(result))
        except ProtocolError:
            continue


async def test_the_id_of_an_error_by_status_stands_in_its_header(wire):
    async with wire.client(wire.body(b"", 500, x_substrate_request_id="r9")) as (client, _):
        with pytest.raises(ServerError) as caught:
            await client.ask("hi")
    assert caught.value.request_id == "r9"
