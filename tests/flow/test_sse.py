"""Messages of a run, and their text as server-sent events."""

from __future__ import annotations

import json
from datetime import date
from decimal import Decimal
from enum import Enum

import attrs
import pydantic
import pytest
import trio
from hypothesis import given
from hypothesis import strategies as st

from llmmw import Client, Generation, Message
from llmmw.errors import BadRequest, ServerError
from llmmw.flow import (
    MessageFold,
    NodeDelta,
    NodeResult,
    Placed,
    Replaced,
    executable,
    fold_messages,
    serial,
    sse_event,
)
from llmmw.flow._json_out import json_out
from llmmw.flow._wire_events import MessageWriter
from llmmw.wire import SSEDecoder

pytestmark = pytest.mark.virtual


@executable
def grow(text):
    for end in range(1, len(text) + 1):
        yield text[:end]


@executable
def add(left, right):
    return left + right


@executable
def fail(error):
    raise error


@executable
async def wait_then(value, seconds):
    await trio.sleep(seconds)
    return value


async def messages_of(flow, **options):
    async with Client(stack=[]) as client, client.stream(flow, **options) as events:
        return [one async for one in events.messages()]


async def test_the_shapes_of_messages():  # S30, S31, S33
    text = grow("ab").with_options(id="a")
    row = serial(1, text).with_options(id="row")
    assert await messages_of(row) == [
        {"object": "node.delta", "node_id": "row", "data": _item(0, 1)},
        {"object": "node.delta", "node_id": "row", "data": _item(1, "ab")},
        {"object": "node.result", "node_id": "row", "data": [1, "ab"]},
        {"object": "graph.result", "data": {"row": [1, "ab"]}},
    ]
    assert await messages_of(text) == [
        {"object": "node.delta", "node_id": "a", "data": {"text": "a"}},
        {"object": "node.delta", "node_id": "a", "data": {"text": "b"}},
        {"object": "node.result", "node_id": "a", "data": {"text": "ab"}},
        {"object": "graph.result", "data": {"a": {"text": "ab"}}},
    ]


def _item(index, item):
    return {"object": "array.item", "index": index, "item": item}


async def test_errors_in_messages():  # S32
    broken = fail(ServerError("busy", status=503, request_id="r1")).with_options(id="broken")
    needs = add(broken, 1).with_options(id="needs")
    wrong = fail(BadRequest("no such thing")).with_options(id="wrong")
    plain = fail(KeyError()).with_options(id="plain")
    came = await messages_of([needs, wrong, plain], errors="keep")
    busy = {"message": "busy (503, request r1)", "request_id": "r1", "status_code": 503}
    expected = {
        "broken": {"type": "api_error"} | busy,
        "needs": {"type": "dependency_error"} | busy,
        "wrong": {
            "type": "invalid_request_error",
            "message": "no such thing",
            "status_code": 400,
        },
        "plain": {"type": "api_error", "message": "KeyError", "status_code": 500},
    }
    assert fold_messages(came).errors == expected
    assert came[-1] == {"object": "graph.result", "data": expected}


def test_messages_of_others_are_read_too():  # S30
    fold = MessageFold()
    fold({"object": "node.result", "nodeId": "a", "data": {"text": "b"}})
    fold({"object": "node.news", "node_id": "a"})
    fold({"object": "node.error", "node_id": "c", "data": {"type": "api_error"}})
    assert (fold.results, fold.errors) == ({"a": {"text": "b"}}, {"c": {"type": "api_error"}})


JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-2, 2)
    | st.sampled_from([0.5, 1.0])
    | st.text("ab", max_size=3)
    | st.just("array.item"),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["object", "index", "item", "a"]), inner, max_size=3)
    ),
    max_leaves=8,
)
PIECES = st.lists(
    st.builds(Replaced, JSON) | st.builds(Placed, st.integers(0, 3), JSON), min_size=1, max_size=5
)


def written(data):
    return json.dumps(data, sort_keys=True)


@given(pieces=PIECES)
def test_law_deltas_fold_to_what_they_tell(pieces):  # S31
    writer, fold, sofar = MessageWriter(), MessageFold(), None
    at = {"node": "a", "name": "a", "key": 1, "at": 0.0}
    for piece in pieces:
        if isinstance(piece, Replaced):
            sofar = piece.value
        else:
            sofar = list(sofar) if isinstance(sofar, list) else []
            sofar += [None] * (piece.index + 1 - len(sofar))
            sofar[piece.index] = piece.value
        for message in writer(NodeDelta(**at, piece=piece)):
            fold(json.loads(json.dumps(message)))
        if "a" in fold.data or sofar not in ("", {}):
            assert written(fold.data["a"]) == written(json_out(sofar))
    (done,) = writer(NodeResult(**at, value=sofar))
    assert done == {"object": "node.result", "node_id": "a", "data": json_out(sofar)}


class Colour(Enum):
    RED = "red"


@attrs.frozen
class Place:
    name: str
    at: tuple[int, int] = (1, 2)
    key: str = attrs.field(default="secret", repr=False)


class Model(pydantic.BaseModel):
    day: date


class Rude:
    def __repr__(self):
        raise ValueError


@pytest.mark.parametrize(
    ("value", "data"),
    [
        ("so", {"text": "so"}),
        (["so", None, True, 2], ["so", None, True, 2]),
        (Place("here"), {"name": "here", "at": [1, 2]}),
        (Model(day=date(2024, 1, 2)), {"day": "2024-01-02"}),
        ({1: Colour.RED, "b": {3, 1}}, {"1": "red", "b": [1, 3]}),
        (Decimal("1.50"), "1.50"),
        (b"ab", {"base64": "YWI="}),
        (float("inf"), {"repr": "inf"}),
        ([float("nan")], [{"repr": "nan"}]),
        (Colour, {"repr": "<enum 'Colour'>"}),
        (Rude(), {"repr": "<Rude>"}),
    ],
)
def test_results_as_json(value, data):
    assert json_out(value) == data
    json.dumps(json_out(value), allow_nan=False)


def test_an_answer_as_json_has_its_text():
    answer = Generation(message=Message("assistant", "so it is"), model="m")
    data = json_out(answer)
    assert (data["text"], data["model"]) == ("so it is", "m")


def test_what_holds_itself_is_cut_off():
    endless: list = []
    endless.append(endless)
    json.dumps(json_out(endless))


async def test_server_sent_events_of_a_run():  # S29, S37
    flow = [grow("a\nb"), grow("\ud800")]
    async with Client(stack=[]) as client, client.stream(flow) as events:
        texts = [text async for text in events.sse()]
        messages = [one async for one in events.messages()]
    read = SSEDecoder().feed("".join(texts).encode())
    assert [json.loads(one.data) for one in read] == messages
    assert [one.id for one in read] == [str(number + 1) for number in range(len(messages))]
    assert {one.event for one in read} == {""}


async def test_what_a_run_fails_with_is_its_last_event():
    async with Client(stack=[]) as client, client.stream(fail(ValueError("no"))) as events:
        text = "".join([text async for text in events.sse()])
    *_, last = SSEDecoder().feed(text.encode())
    error = {"type": "api_error", "message": "no", "status_code": 500}
    assert json.loads(last.data) == {"object": "graph.error", "data": error}


async def test_comments_keep_a_connection_alive():
    async with Client(stack=[]) as client:
        async with client.stream(wait_then(1, 10)) as events:
            texts = [text async for text in events.sse(keep_alive=4)]
        assert [text[0] for text in texts] == [":", ":", "i", "i"]
        assert len(SSEDecoder().feed("".join(texts).encode())) == 2
        async with client.stream(wait_then(1, 100)) as events:
            assert len([text async for text in events.sse(keep_alive=None)]) == 2


LINE = st.text(st.characters(exclude_characters="\r\n\0", exclude_categories=["Cs"]))


@given(
    events=st.lists(
        st.tuples(
            st.text(st.characters(exclude_categories=["Cs"])), st.none() | LINE, st.none() | LINE
        )
    ),
    cut=st.integers(1, 9),
)
def test_law_events_are_read_as_they_were_written(events, cut):  # S29
    text = "".join(sse_event(data, event=event, id=id) for data, event, id in events).encode()
    decoder = SSEDecoder()
    read = [one for at in range(0, len(text), cut) for one in decoder.feed(text[at : at + cut])]
    wanted, last = [], ""
    for data, event, id in events:
        last = last if id is None else id
        wanted.append((data.replace("\r\n", "\n").replace("\r", "\n"), event or "", last))
    assert [(one.data, one.event, one.id or "") for one in read] == wanted


def test_fields_of_an_event():
    assert sse_event("a\nb", event="news", id="7", retry=100) == (
        "event: news\nid: 7\nretry: 100\ndata: a\ndata: b\n\n"
    )
    for wrong in ("a\nb", "a\rb", "a\0"):
        with pytest.raises(BadRequest, match="one line"):
            sse_event("", event=wrong)
        with pytest.raises(BadRequest, match="one line"):
            sse_event("", id=wrong)


PLACED = st.lists(
    st.tuples(
        st.integers(0, 5),
        st.none() | st.integers(0, 2) | st.text("ab", max_size=3) | st.lists(st.integers(0, 1))
        | st.dictionaries(st.sampled_from(["a", "object"]), st.sampled_from(["array.item", "b"])),
    ),
    max_size=8,
)  # fmt: skip


@given(PLACED)
def test_items_of_lists_come_to_the_list(placed):
    writer, fold, whole, told = MessageWriter(), MessageFold(), [], []
    for index, value in placed:
        whole += [None] * (index + 1 - len(whole))
        whole[index] = value
        piece = Placed(index, value)
        event = NodeDelta(node="a", name="a", key=1, piece=piece, at=0.0)
        for message in writer(event):
            told.append((message, json.dumps(message)))
            fold(json.loads(told[-1][1]))
        assert fold.data.get("a", []) == whole
    assert all(json.dumps(message) == text for message, text in told)  # what was told stays


async def test_a_long_list_is_told_in_linear_time():
    class Counted(dict):
        looked = 0

        def items(self):
            Counted.looked += 1
            return super().items()

    writer = MessageWriter()
    for index in range(300):
        piece = Placed(index, Counted(n=index))
        list(writer(NodeDelta(node="a", name="a", key=1, piece=piece, at=0.0)))
    assert Counted.looked <= 600


async def test_strange_results_and_errors_end_no_stream():
    class Strange:
        def model_dump(self):
            return {}

        def __repr__(self):
            return "strange"

    class UnsaidError(Exception):
        def __str__(self):
            raise RuntimeError("no text")

    @executable
    def give():
        return Strange()

    @executable
    def fail():
        raise UnsaidError

    flow = [give().with_options(id="a"), fail().with_options(id="b")]
    async with Client("echo:x", stack=[]) as client, client.stream(flow, errors="keep") as stream:
        messages = [one async for one in stream.messages()]
    data = messages[-1]["data"]
    assert data["a"] == {"repr": "strange"}
    assert data["b"]["message"] == "UnsaidError"
