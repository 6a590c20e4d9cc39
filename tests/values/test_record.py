"""What is kept of an answer, as bytes."""

import math
from decimal import Decimal

import attrs
import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmmw import (
    Candidate,
    Citation,
    Detokenized,
    Embeddings,
    Finish,
    Generate,
    Generation,
    MediaPart,
    Message,
    OpaquePart,
    PartDelta,
    PartEnd,
    PartStart,
    ReasoningPart,
    ResponseStart,
    Restarted,
    Scores,
    TextPart,
    TokenCount,
    TokenLogprob,
    Tokens,
    ToolCallPart,
    ToolResultPart,
    Usage,
)
from llmmw import _record as module
from llmmw._deltas import deltas_of
from llmmw._ledger import Ledger
from llmmw._record import (
    Record,
    RecordError,
    read_record,
    read_value,
    write_record,
    write_value,
)
from llmmw._response import HttpInfo
from llmmw.errors import ContentFiltered

FREE = {"$kind": "TextPart", "": "Message", "a": [1, {"b": [None, True, 1.5]}], "c": {}}
PARTS = (
    TextPart(
        "héllo\n",
        citations=(Citation(url="u", extra=FREE),),
        logprobs=(TokenLogprob("h", -math.inf, top=(("h", -0.1), ("e", -2))),),
        refusal=True,
        id="i",
        extra=FREE,
    ),
    ReasoningPart("hm", signature="s", encrypted="e", redacted=True, format="summary"),
    ToolCallPart(id="1", name="f", arguments='{"a": 1}', server=True, custom=True, extra=FREE),
    ToolResultPart(call_id="1", name="f", content=("x",), is_error=True),
    MediaPart(media_type="image/png", data=b"\x89PNG\r\n\x1a\n\x00\xff"),
    OpaquePart(provider="p", type="t", data=FREE),
)
FULL = Generation(
    model="m",
    provider="p",
    id="i",
    usage=Usage(
        input_tokens=0,
        output_tokens=5,
        cache_read_tokens=1,
        server_tool_calls={"search": 2},
        cost=Decimal("0.000123"),
    ),
    request_id="r",
    created=5.5,
    warnings=("w",),
    message=Message("assistant", PARTS, name="n", id="i", extra=FREE),
    finish=Finish("stop", raw="end", stop_sequence="x", detail=FREE),
    candidates=(
        Candidate(Message("assistant", PARTS), Finish("stop")),
        Candidate(Message("assistant", "y")),
    ),
)
ANSWERS = [
    FULL,
    Generation(),
    Embeddings(vectors=((1.0, -0.0, 1e-300), (2.0, 3.0, 4.0)), usage=Usage(input_tokens=3)),
    Scores(scores=(0.5, -math.inf)),
    TokenCount(tokens=0),
    Tokens(tokens=(0, 49151)),
    Detokenized(text="a\ufffd"),
]


@pytest.mark.parametrize("answer", ANSWERS, ids=lambda one: type(one).__name__)
def test_an_answer_comes_back_as_it_was(answer):
    found = read_record(write_record(Record(answer, "t", "me", 3))).answer
    assert found == answer
    for field in attrs.fields(type(answer)):
        if field.name not in {"raw", "http", "ledger", "joined", "output"}:
            assert getattr(found, field.name) == getattr(answer, field.name), field.name
    if answer.usage is not None:
        assert found.usage.cost == answer.usage.cost


def test_what_may_hold_secrets_is_left_out():
    answer = FULL.replace(
        raw={"secret": "s3cret"},
        http=HttpInfo(status=200, headers={"x": "s3cret"}),
        ledger=Ledger(),
        usage=Usage(raw={"x": "s3cret"}),
    )
    data = write_record(Record(answer))
    assert b"s3cret" not in data
    found = read_record(data).answer
    assert (found.raw, found.http, found.ledger, found.usage.raw) == (None, None, None, None)


def test_every_field_of_an_answer_is_decided_about():
    """Whoever adds a field says here whether it is kept."""
    kept = {
        "model", "provider", "id", "usage", "request_id", "created", "warnings", "message",
        "finish", "candidates", "vectors", "scores", "tokens", "text",
    }  # fmt: skip
    for kind in (Generation, Embeddings, Scores, TokenCount, Tokens, Detokenized):
        for field in attrs.fields(kind):
            left_out = field.name in {"raw", "http", "ledger", "joined", "output"}
            assert left_out != (field.name in kept), field.name


DELTAS = (
    ResponseStart(id="i", model="m", provider="p"),
    PartStart(0, TextPart("")),
    PartDelta(index=0, text="hé"),
    PartDelta(index=0, text="llo", logprobs=(TokenLogprob("l", -1.0),)),
    PartEnd(0, TextPart("héllo", logprobs=(TokenLogprob("l", -1.0),))),
    PartStart(1, ToolCallPart(id="1", name="f")),
    PartDelta(index=1, arguments="{}"),
    PartEnd(1, ToolCallPart(id="1", name="f", arguments="{}")),
    PartEnd(2, TextPart("of another answer")),
)


def test_deltas_come_back_as_they_were():
    message = Message("assistant", (DELTAS[4].part, DELTAS[7].part))
    record = Record(Generation(message=message), "t", deltas=DELTAS)
    assert read_record(write_record(record)) == record


def test_deltas_that_say_no_more_than_the_answer_take_no_place():
    record = Record(FULL, deltas=tuple(deltas_of(FULL)))
    assert read_record(write_record(record)).deltas is None


def test_an_error_comes_back_as_one():
    error = ContentFiltered("no", provider="p", model="m", status=400, code="c")
    found = read_record(write_record(Record(error))).answer
    assert type(found) is ContentFiltered
    assert str(found) == str(error)


def test_requests_have_a_form_too():
    request = Generate(
        model="a:b",
        messages=[Message("user", PARTS[:1])],
        output={"type": "object", "properties": {"a": {"type": "string"}}},
        metadata={"": "x"},
        extra={"a": FREE},
        logit_bias={"1": 2.0},
    )
    assert read_value(write_value(request)) == request


@pytest.mark.parametrize(
    "item", [object(), lambda: None, Restarted("x"), Record(FULL), TokenCount(tokens=2**70)]
)
def test_what_has_no_form_is_refused(item):
    with pytest.raises(RecordError):
        write_value(item)


def test_depth_and_size_are_bounded(monkeypatch):
    part = TextPart("x")
    for _ in range(40):
        part = ToolResultPart(call_id="1", content=(part,))
    with pytest.raises(RecordError, match="deeper"):
        write_value(part)
    deep = b"\x91" * 100_000 + b"\xc0"
    for data in (deep, msgspec.msgpack.encode({"": "TextPart", "text": "x"})[:-1]):
        with pytest.raises(RecordError):
            read_value(module._MAGIC + module.zlib.crc32(data).to_bytes(4) + data)
    monkeypatch.setattr(module, "_MOST_BYTES", 10)
    with pytest.raises(RecordError, match="more than 10 bytes"):
        write_value(TextPart("x" * 10))


@given(st.binary(max_size=60), st.integers(0, 300), st.integers(0, 255))
def test_damaged_bytes_are_refused(junk, at, byte):
    whole = write_record(Record(FULL, "t"))
    changed = bytearray(whole)
    changed[at % len(whole)] ^= byte or 1
    for data in (junk, bytes(changed), whole[: at % len(whole)], whole + b"x"):
        with pytest.raises(RecordError):
            read_record(data)


@pytest.mark.parametrize(
    "data",
    [
        ["t", "", 0, {"": "Popen", "args": "x"}, None],
        ["t", "", 0, {"": "Error", "kind": "__all__"}, None],
        ["t", "", 0, {"": "Error", "kind": "ConfigError", "message": "x"}, None],
        ["t", "", 0, {"": "TextPart", "text": "x"}, None],
        ["t", "", 0, {"": "Generation", "nothing": 1}, None],
        ["t", "", 0, {"": "Generation"}, [[9]]],
        ["t", "", 0, {"": "Generation"}, [[4, 0, 0]]],
        [1, "", 0, {"": "Generation"}, None],
        {},
        5,
    ],
)
def test_nothing_else_can_be_made_of_a_file(data):
    packed = msgspec.msgpack.encode(data)
    with pytest.raises(RecordError):
        read_record(module._MAGIC + module.zlib.crc32(packed).to_bytes(4) + packed)


def test_a_later_version_is_refused():
    data = write_record(Record(FULL))
    with pytest.raises(RecordError, match="another version"):
        read_record(b"llmmw\x02" + data[6:])
