"""What is asked of Substrate's plugin on a bad day: graphs of any size and form, answers of any."""

from __future__ import annotations

import json
import traceback

import pytest
import trio
from hypothesis import given, settings
from hypothesis import strategies as st
from llmmw_substrate import GraphResponse, Substrate
from llmmw_substrate import nodes as n
from llmmw_substrate._outs import Out

from llmmw.errors import BadRequest, ConfigError, LLMError, ServerError
from llmmw.flow import concat, fold_messages, jq
from llmmw.flow.dag import NodeFailed, from_dag
from llmmw.testing import Answer, open_server

from .substrate_far_end import KEY, open_far_end

pytestmark = pytest.mark.plugins

A, B = n.Box({"x": "X", "i": 0}, id="a"), n.Box(["p", "q"], id="b")


# Graphs.


def test_a_graph_of_a_thousand_nodes_and_deep_chains():
    several = {}
    value = key = text = path = B.future.value
    for at in range(1_500):
        value = n.Box(value, id=f"n{at}").future.value
        key = B.future.value[key]
        text = concat(text, "a")
        path = path.x
    for name, one in {"value": value, "key": key, "text": text, "path": path}.items():
        several[name] = Substrate.serialize(n.Box(one, id="end"))
    assert len(several["value"]["nodes"]) == 1_502
    assert len(several["key"]["futures"]) == len(several["text"]["futures"]) == 1_501
    assert len(several["path"]["futures"][0]["directive"]["op_stack"]) == 1_501
    assert all(list(from_dag(dag))[-1] == "end" for dag in several.values())


async def test_order_goes_through_texts_and_keys():
    text = concat("a", A.future.value.x, jq(B.future.value, ".[0]"))
    last = n.Box(1, id="c", _depends=[text, B.future.value[A.future.value.i], A])
    assert Substrate.serialize(last)["edges"] == [["a", "c", {}], ["b", "c", {}]]
    async with open_far_end() as far, Substrate(api_key=KEY, base_url=far.url) as substrate:
        response = await substrate.run(last, A, B)
    assert response.get(last).value == 1
    assert response.get(B.future.value[A.future.value.i]) == "p"


async def test_all_that_a_query_finds_and_texts_of_numbers():
    every = n.Box(jq(B.future.value, ".[] # each", all=True), id="every")
    text = n.Box(concat(1, None, True, 0.5, ["ü"], A.future.value.x), id="text")
    async with open_far_end() as far, Substrate(api_key=KEY, base_url=far.url) as substrate:
        response = await substrate.run(every, text)
        (dag,) = [one.json()["dag"] for one in far.requests]
    assert response.get(every).value == ["p", "q"]
    assert response.get(text).value == '1True0.5["ü"]X'
    items = next(one["directive"]["items"] for one in dag["futures"] if "items" in one["directive"])
    assert {type(one["val"]) for one in items[:-1]} == {str}


@pytest.mark.parametrize(
    ("node", "what"),
    [
        (n.Box(float("nan")), "nan is no number in JSON"),
        (n.Box([{"a": float("-inf")}]), "-inf is no number in JSON"),
        (n.Box({"__$$SB_GRAPH_OP_ID$$__": "future1"}), "stands for a future"),
        (n.Box(B.future.value[1.5]), r"1\.5 is no key on the wire"),
        (n.Box(B.future.value[0:1]), "is no key on the wire"),
        (n.Box(B.future.value[True]), "is no key on the wire"),
        (n.Box(jq({}, A.future.value.x)), "a query is a text on the wire"),
        (n.Box(jq(A, ".a").future.x), "takes a part of jq"),
        (n.Box(b"x"), "a bytes can't be sent"),
        ({"nodes": 5}, "the dag is none"),
        ({"nodes": [{}]}, "the dag is none"),
        ({"nodes": [5]}, "the dag is none"),
    ],
)
def test_what_can_not_be_sent(node, what):
    with pytest.raises(BadRequest, match=what):
        Substrate.serialize(node)


def test_two_nodes_of_one_id_that_need_each_other_are_no_circle():
    with pytest.raises(BadRequest, match="two nodes have the id 'a'"):
        Substrate.serialize(n.Box(A.future.value, id="a"))
    with pytest.raises(BadRequest, match="two nodes have the id 'Box"):
        one = n.Box(1)
        Substrate.serialize(one, n.Box(2, id=f"Box{one.number}"))


def test_what_is_asked_of_a_text_says_that_it_is_no_node():
    with pytest.raises(BadRequest, match="is no node of the graph"):
        GraphResponse({"data": {}}).get(concat("a", A.future.value.x))


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text(max_size=5)
    | st.floats(allow_nan=False, allow_infinity=False),
    lambda inner: st.lists(inner, max_size=3)
    | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=8,
)  # fmt: skip


@settings(max_examples=100, deadline=None)
@given(value=VALUES)
def test_any_data_goes_as_it_is(value):
    (row,) = Substrate.serialize(n.Box(value, id="a"))["nodes"]
    assert json.loads(json.dumps(row["args"]["value"])) == value


# Answers.

NAMES = ["text", "choices", "outputs", "json_object", "embeddings", "vector", "results", "items"]
NAMES += ["value", "type", "message", "status_code", "object", "index", "item", "id", "metadata"]
JUNK = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=3)
    | st.sampled_from(["api_error", "array.item"]),
    lambda inner: st.lists(inner, max_size=3)
    | st.dictionaries(st.sampled_from(NAMES), inner, max_size=4),
    max_leaves=12,
)  # fmt: skip


@settings(max_examples=300, deadline=None)
@given(told=JUNK, kind=st.sampled_from(sorted(n.KINDS)))
def test_a_result_of_any_form_is_of_its_type_or_an_error_of_ours(told, kind):
    response = GraphResponse({"data": {"a": told}}, kinds={"a": kind})
    try:
        got = response.get("a")
    except LLMError:
        return
    assert isinstance(got, Out)
    repr(got)


MESSAGES = st.fixed_dictionaries(
    {},
    optional={
        "object": st.sampled_from(
            ["node.delta", "node.result", "node.error", "graph.result", "graph.error", "new"]
        )
        | JUNK,
        "node_id": st.just("a") | JUNK,
        "nodeId": st.just("a") | JUNK,
        "data": st.fixed_dictionaries({"a": JUNK}) | JUNK,
    },
)


@settings(max_examples=30, deadline=None)
@given(messages=st.lists(MESSAGES | JUNK, max_size=6))
def test_messages_of_any_form_give_messages_or_an_error_of_ours(messages):
    body = "".join(f"data: {json.dumps(one)}\n\n" for one in messages).encode()
    answer = Answer(headers={"content-type": "text/event-stream"}, body=body)

    async def read():
        async with open_server(answer) as server:
            async with Substrate(api_key=KEY, base_url=server.url) as substrate:
                async with substrate.stream(n.ComputeText("x", id="a")) as stream:
                    for of in (stream, stream.get("a")):
                        try:
                            told = [one async for one in of]
                        except LLMError:
                            continue
                        assert all(isinstance(one, dict) and "nodeId" not in one for one in told)
                        fold_messages(told)
                    for wait in (stream.response, stream.get("a").result):
                        try:
                            await wait()
                        except LLMError:
                            continue
                    texts = [one async for one in stream.sse()]
                    assert all(one.startswith("data: ") for one in texts)

    trio.run(read)


async def test_a_failure_of_an_unknown_form_is_a_failure():
    error = {"object": "node.error", "node_id": "a", "data": {"type": "oom", "message": "full"}}
    body = f"data: {json.dumps(error)}\n\n".encode()
    answer = Answer(headers={"content-type": "text/event-stream"}, body=body)
    async with open_server(answer) as server:
        async with Substrate(api_key=KEY, base_url=server.url) as substrate:
            async with substrate.stream(n.ComputeText("x", id="a")) as stream:
                with pytest.raises(NodeFailed, match="full"):
                    await stream.get("a").result()


async def test_a_future_of_several_nodes_asks_for_the_one_that_it_is_of():
    data = {"a": {"type": "api_error", "message": "broke"}, "b": {"value": [1]}}
    response = GraphResponse({"data": data}, kinds={"a": "Box", "b": "Box"})
    part = A.future.value[B.future.value[0]]
    assert response.get_error(part).node == "a"
    assert response.get_error(B.future.value[A.future.value]) is None


# Keys.


@pytest.mark.parametrize("timeout", [None, -1, "5", True, float("nan")])
def test_a_timeout_that_is_none(timeout):
    with pytest.raises(ConfigError, match="expected seconds from 0 on"):
        Substrate(timeout=timeout)


def test_keys_that_are_none():
    for key in (None, 5):
        with pytest.raises(ConfigError, match="the key of openai is a"):
            Substrate(secrets={"openai": key})


@pytest.mark.parametrize("how", ["refused", "cut", "junk", "unreached"])
async def test_no_key_is_in_an_error_of_any_kind(how):
    answers = {
        "refused": Answer(status=500, body=f"the key {KEY} and key-of-openai".encode()),
        "cut": Answer(headers={"content-type": "text/event-stream"}, pieces=[b"data: "], cut=True),
        "junk": Answer(headers={"content-type": "text/event-stream"}, body=b"data: [\n\n"),
    }
    async with open_server(answers.get(how, Answer())) as server:
        options = {"secrets": {"openai": "key-of-openai"}, "headers": {"x-my-token": "token-mine"}}
        options["base_url"] = "http://127.0.0.1:9" if how == "unreached" else server.url
        text = await shown_of(Substrate(api_key=KEY, **options))
    assert "substrate = Substrate(" in text
    for secret in (KEY, "key-of-openai", "token-mine"):
        assert secret not in text


async def shown_of(substrate):
    """What a traceback with locals shows of a stream that fails."""
    async with substrate:
        try:
            async with substrate.stream(n.Box(1)) as stream:
                await stream.response()
        except LLMError as error:
            told = traceback.TracebackException.from_exception(error, capture_locals=True)
            return "".join(told.format())


# Cancellation.


async def test_cancelled_at_any_moment_it_leaves_no_task_and_closes_the_line():
    """After so many switches of tasks, each number in turn, until one run is left to its end."""
    body = b"".join(
        f"data: {json.dumps(one)}\n\n".encode()
        for one in (
            {"object": "node.result", "node_id": "a", "data": {"value": 1}},
            {"object": "graph.result", "data": {"a": {"value": 1}}},
        )
    )
    answer = Answer(headers={"content-type": "text/event-stream"}, body=body)
    done = []

    async def ask(substrate, scope):
        with scope:
            async with substrate.stream(n.Box(1, id="a")) as stream:
                done.append((await stream.response()).get("a").value)

    async with open_server([answer] * 400) as server:
        async with Substrate(api_key=KEY, base_url=server.url) as substrate:
            for switches in range(400):
                scope = trio.CancelScope()
                async with trio.open_nursery() as nursery:
                    nursery.start_soon(ask, substrate, scope)
                    for _ in range(switches):
                        await trio.lowlevel.checkpoint()
                    scope.cancel()
                if len(done) > 3:
                    break
            async with substrate.stream(n.Box(1, id="a")) as stream:  # it goes on working
                assert (await stream.response()).get("a").value == 1
    assert done[0] == 1


async def test_an_error_by_status_keeps_the_id_in_its_header():
    headers = {"x-substrate-request-id": "r-header"}
    async with open_server(Answer(status=500, headers=headers)) as server:
        async with Substrate(api_key=KEY, base_url=server.url) as substrate:
            with pytest.raises(ServerError) as caught:
                await substrate.run(n.Box(1))
    assert caught.value.request_id == "r-header"
