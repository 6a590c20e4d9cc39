"""What an endpoint tells of a graph: read by several, cut, junk, late, and never ending."""

from __future__ import annotations

import json

import pytest
import trio
import trio.testing

from llmmw.errors import (
    BadRequest,
    DeadlineExceeded,
    LLMError,
    ProtocolError,
    ServerError,
    StreamInterrupted,
)
from llmmw.flow.dag import Box, ComposeEndpoint, ComposeResponse, ComputeText, NodeFailed, node_id
from llmmw.testing import Answer, open_server

pytestmark = pytest.mark.plugins

SSE = {"content-type": "text/event-stream"}
RESULT = {"object": "node.result", "node_id": "a", "data": {"text": "x"}}
WHOLE = {"object": "graph.result", "data": {"a": {"text": "x"}}}
NODE = ComputeText("hi", id="a")


def sse(*messages):
    return "".join(f"data: {json.dumps(one)}\n\n" for one in messages).encode()


async def told(body, headers=SSE, **more):
    async with open_server(Answer(headers=headers, body=body, **more)) as server:
        async with ComposeEndpoint(base_url=server.url) as endpoint:
            async with endpoint.stream(NODE) as stream:
                return await stream.response()


async def test_a_reader_that_is_cancelled_takes_nothing_from_others():
    go_on = trio.Event()
    answer = Answer(headers=SSE, pieces=[sse(RESULT), go_on.wait, sse(WHOLE)])
    async with open_server(answer) as server, ComposeEndpoint(base_url=server.url) as endpoint:
        async with endpoint.stream(NODE) as stream:
            reader = aiter(stream)
            assert await anext(reader) == RESULT
            async with trio.open_nursery() as nursery:
                nursery.start_soon(anext, reader)
                await trio.testing.wait_all_tasks_blocked(0.01)
                nursery.cancel_scope.cancel()
            go_on.set()
            assert await anext(reader) == WHOLE  # it may even go on itself
            assert [one async for one in stream] == [RESULT, WHOLE]


async def test_the_result_of_the_graph_is_the_end_even_if_the_line_stays_open():
    never = trio.Event()
    answer = Answer(headers=SSE, pieces=[sse(RESULT, WHOLE, RESULT), never.wait])
    async with open_server(answer) as server, ComposeEndpoint(base_url=server.url) as endpoint:
        with trio.fail_after(5):
            async with endpoint.stream(NODE) as stream:
                assert [one async for one in stream] == [RESULT, WHOLE]
                assert (await stream.response()).get(NODE).text == "x"
            await server.left.wait()


async def test_a_line_that_breaks_after_the_result_is_no_loss():
    answer = Answer(headers=SSE, pieces=[sse(WHOLE)], cut=True)
    async with open_server(answer) as server, ComposeEndpoint(base_url=server.url) as endpoint:
        async with endpoint.stream(NODE) as stream:
            assert (await stream.response()).get("a").text == "x"


async def test_the_block_may_take_longer_than_the_answer():
    async with open_server(Answer(headers=SSE, body=sse(WHOLE))) as server:
        outside = trio.current_effective_deadline()
        async with ComposeEndpoint(base_url=server.url, timeout=3) as endpoint:
            async with endpoint.stream(NODE) as stream:
                assert trio.current_effective_deadline() < outside
                await stream.response()
                assert trio.current_effective_deadline() == outside


async def test_an_answer_that_takes_too_long_tells_no_key_of_the_address():
    never = trio.Event()
    async with open_server(Answer(headers=SSE, pieces=[sse(RESULT), never.wait])) as server:
        url = server.url + "?key=of-mine"
        async with ComposeEndpoint(base_url=url, timeout=0.05) as endpoint:
            with pytest.raises(DeadlineExceeded) as caught:
                async with endpoint.stream(NODE) as stream:
                    await stream.response()
    assert "of-mine" not in str(caught.value)


async def test_a_stream_cut_at_any_byte_is_the_whole_or_an_error():
    body = sse({"object": "node.delta", "node_id": "a", "data": {"text": "ü"}}, RESULT, WHOLE)
    answers = [Answer(headers=SSE, body=body[:at]) for at in range(len(body) + 1)]
    found = []
    async with open_server(answers) as server, ComposeEndpoint(base_url=server.url) as endpoint:
        for _ in answers:
            async with endpoint.stream(NODE) as stream:
                try:
                    found.append((await stream.response()).get("a").text)
                except StreamInterrupted:
                    found.append(None)
    assert set(found[:-3]) == {None}  # the last line may lack its end
    assert found[-1] == "x"


@pytest.mark.parametrize(
    "message",
    [
        "1",
        "[]",
        "null",
        "{nope",
        '{"object": "graph.result"}',
        '{"object": "graph.result", "data": [["a", 1]]}',
        '{"object": "graph.result", "data": ' + '{"a":' * 3000 + "1" + "}" * 3001,
        '{"object": "node.delta", "node_id": "a", "data": ' + '{"a":' * 900 + "1" + "}" * 901,
        "{}",
        '{"error": {"message": "no"}}',
        '{"object": "node.delta", "node_id": "a", "data": {"x": {"object": "array.item"}}}',
        '{"object": "graph.error"}',
        '{"object": "graph.error", "data": [1]}',
    ],
)
async def test_messages_that_are_none(message):
    with pytest.raises((ProtocolError, ServerError)):
        await told(f"data: {message}\n\n".encode() + sse(WHOLE))


@pytest.mark.parametrize(
    "message",
    [
        "",
        " ",
        "[DONE]",
        '{"object": "node.new", "data": 1}',
        '{"object": [1]}',
        '{"object": "node.delta", "node_id": [], "data": 5}',
        '{"object": "node.result", "node_id": null}',
        '{"object": "node.result", "node_id": "a", "data": {"x": {"object": "array.item"}}}',
        json.dumps(WHOLE),
    ],
)
async def test_messages_that_say_nothing_hinder_none(message):
    response = await told(f"data: {message}\n\n".encode() + sse(WHOLE))
    assert response.json == {"data": WHOLE["data"]}


@pytest.mark.parametrize("data", [None, {}, {"type": "oom"}, {"type": [], "message": 1}])
async def test_a_node_that_failed_has_failed_whatever_is_told_of_it(data):
    error = {"object": "node.error", "nodeId": "a", "data": data}
    response = await told(sse(error, {"object": "graph.result", "data": {}}))
    with pytest.raises(NodeFailed, match="the node 'a' failed: the endpoint does not say why"):
        response.get(NODE)


async def test_an_error_by_status_has_the_id_that_stands_in_the_header():
    headers = {"x-substrate-request-id": "r-header"}
    for how in ("run", "stream"):
        with pytest.raises(ServerError) as caught:
            async with open_server(Answer(status=500, headers=headers)) as server:
                async with ComposeEndpoint(base_url=server.url) as endpoint:
                    if how == "run":
                        await endpoint.run(NODE)
                    async with endpoint.stream(NODE):
                        pass
        assert caught.value.request_id == "r-header"


async def test_an_error_by_status_without_an_id_has_that_of_the_request():
    async with open_server(Answer(status=500)) as server:
        async with ComposeEndpoint(base_url=server.url) as endpoint:
            with pytest.raises(ServerError) as caught:
                await endpoint.run(NODE)
    assert caught.value.request_id == server.requests[0].headers["x-substrate-request-id"]


async def test_an_error_of_the_block_is_no_error_of_the_stream():
    async with open_server(Answer(headers=SSE, pieces=[trio.Event().wait])) as server:
        async with ComposeEndpoint(base_url=server.url) as endpoint:
            with pytest.raises(ValueError, match="mine"):
                async with endpoint.stream(NODE):
                    raise ValueError("mine")
            with trio.fail_after(5):
                await server.left.wait()
            other = ServerError("of another host", status=500)
            with pytest.raises(ServerError, match="of another host"):
                async with endpoint.stream(NODE):
                    raise other


async def test_two_streams_at_once_and_one_block_at_a_time():
    async with open_server([Answer(headers=SSE, body=sse(WHOLE))] * 2) as server:
        async with ComposeEndpoint(base_url=server.url) as endpoint:
            async with endpoint.stream(NODE) as one, endpoint.stream(NODE) as two:
                assert (await one.response()).json == (await two.response()).json
            with pytest.raises(BadRequest, match="open already"):
                await endpoint.__aenter__()


@pytest.mark.parametrize("name", ["items", "get", "keys", "type"])
def test_each_name_of_a_result_can_be_had(name):
    response = ComposeResponse({"data": {"a": {name: {"b": 1}}}})
    assert response.get(getattr(NODE.future, name)).b == 1
    assert response.get(NODE)[name] == {"b": 1}


@pytest.mark.parametrize("told_", [{"type": []}, {"type": {}}, {"type": "x_error"}, []])
def test_what_is_like_an_error_is_a_result(told_):
    data = {"message": 1, **told_} if isinstance(told_, dict) else told_
    assert ComposeResponse({"data": {"a": data}}).get("a") == data


def test_a_response_gives_data_and_no_methods():
    response = ComposeResponse({"data": {"a": {"text": "x", "rows": [1]}, "b": {"i": 0}}})
    b = Box(0, id="b")
    assert response.get(NODE.future.rows[b.future.i]) == 1
    for future in (NODE.future.text.upper, NODE.future.rows.append, NODE.future.rows[[1]]):
        with pytest.raises(BadRequest, match="the result of 'a' has no"):
            response.get(future)


def test_an_error_with_facts_of_wrong_types():
    told_ = {"type": "api_error", "message": "m", "status_code": True, "request_id": [1]}
    error = ComposeResponse({"data": {"a": told_}}, request_id="r").get_error("a")
    assert (error.status, error.request_id, error.retryable) == (None, "r", error.retryable)


def test_the_id_of_a_future_is_that_of_the_node_it_is_of():
    b = Box(0, id="b")
    assert node_id(NODE.future.rows[b.future.i]) == "a"
    assert node_id(NODE) == node_id("a") == "a"


async def test_errors_after_what_was_told_are_raised_to_each_reader():
    async with open_server(Answer(headers=SSE, body=sse(RESULT))) as server:
        async with ComposeEndpoint(base_url=server.url) as endpoint:
            async with endpoint.stream(NODE) as stream:
                for _ in range(2):
                    seen = []
                    with pytest.raises(LLMError) as caught:
                        async for one in stream:
                            seen.append(one)
                    assert seen == [RESULT]
    assert type(caught.value) is StreamInterrupted
