"""JSON on the wire: strict where we write, lenient where we read."""

import json
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmmw.errors import BadRequest, ProtocolError
from llmmw.wire import dumps, loads

texts = st.text(st.characters(codec="utf-8"))
values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | texts,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(texts, inner, max_size=4),
)


@given(values)
def test_what_is_written_is_read(value: object) -> None:
    assert loads(dumps(value)) == value
    assert loads(dumps(value).decode()) == value
    assert loads(json.dumps(value)) == value


def deep(levels: int) -> object:
    value: object = 0
    for _ in range(levels):
        value = [value]
    return value


@pytest.mark.parametrize(
    "body",
    ["\ud800", {"a": object()}, {1: 2}, {"a": 2**70}, {"a": {1, 2}}, {"a": b"x"}, deep(5000)],
    ids=["half a character", "object", "number as key", "large", "set", "bytes", "deep"],
)
def test_what_is_no_json_is_not_written(body: object) -> None:
    with pytest.raises(BadRequest, match="can't be written as JSON"):
        dumps(body)


@pytest.mark.parametrize(
    ("data", "value"),
    [
        (b'{"a":1,"a":2}', {"a": 2}),
        (b"\xef\xbb\xbf{}", {}),
        ('{"a":-Infinity,"b":Infinity}', {"a": -math.inf, "b": math.inf}),
        (b"[1e999]", [math.inf]),
        ('["\\ud83d\\ude00"]', ["😀"]),
        ('["\\ud83d"]', ["\ufffd"]),
        ('{"\\ude00":["a\\ud83d",{"b":"\\ude00c"}]}', {"\ufffd": ["a\ufffd", {"b": "\ufffdc"}]}),
        ('[NaN,"\\ud83d"]', None),
    ],
)  # fmt: skip
def test_what_servers_send_besides(data: bytes | str, value: object) -> None:
    told = loads(data)
    if value is None:
        assert math.isnan(told[0])
        assert told[1] == "\ufffd"
    else:
        assert told == value


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"", "nothing where JSON belongs"),
        ("", "nothing"),
        (b"{", "no JSON"),
        (b"<html>", "no JSON"),
        (b"\xff\xfe", "no JSON"),
        (b"{} {}", "no JSON"),
        ("[" * 200_000, "no JSON"),
        ("[" * 200_000 + "]" * 200_000, "no JSON"),
        ("1" * 10_000, "no JSON"),
    ],
)
def test_what_is_none(data: bytes | str, said: str) -> None:
    with pytest.raises(ProtocolError, match=said) as caught:
        loads(data)
    assert len(str(caught.value)) < 100


@given(st.binary(max_size=30) | st.text(max_size=30))
def test_anything_is_read_or_an_error(data: bytes | str) -> None:
    try:
        told = loads(data)
    except ProtocolError:
        return
    json.dumps(told, ensure_ascii=False).encode()
