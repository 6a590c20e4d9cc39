"""An array of JSON that comes piece by piece: its elements are those of the whole, at whatever
place its bytes are cut, and each is there with its last byte."""

from __future__ import annotations

import itertools
import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from llmmw.errors import ProtocolError
from llmmw.wire import JSONArrayDecoder, loads

values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**63 - 1)
    | st.text('ab"\\[]{},é\n ', max_size=6),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text('"]}', max_size=3), inner),
    max_leaves=8,
)


def pieces(body: bytes, cuts: list[int]) -> list[bytes]:
    places = [0, *sorted(cut % (len(body) + 1) for cut in cuts), len(body)]
    return [body[a:b] for a, b in itertools.pairwise(places)]


def decoded(*data: bytes, **limits: int) -> list[object]:
    decoder = JSONArrayDecoder(**limits)
    found = [loads(one) for piece in data for one in decoder.feed(piece)]
    assert decoder.ended
    return found


@settings(max_examples=300)
@given(
    rows=st.lists(values, max_size=4),
    cuts=st.lists(st.integers(0, 400), max_size=6),
    between=st.sampled_from([",", "\n,\r\n", " , "]),
    indent=st.none() | st.integers(0, 2),
    escaped=st.booleans(),
    mark=st.booleans(),
)
def test_the_elements_are_those_of_the_whole(rows, cuts, between, indent, escaped, mark):
    texts = [json.dumps(row, indent=indent, ensure_ascii=escaped) for row in rows]
    body = b"\xef\xbb\xbf" * mark + f" [{between.join(texts)}\n]\r\n".encode()
    assert decoded(*pieces(body, cuts)) == rows


def test_every_cut_and_every_byte_alone():
    rows = [{"text": 'a "quoted" \\ [bracket', "é": [1, {"x": "}"}]}, 7, "s", []]
    body = json.dumps(rows, ensure_ascii=False).encode()
    for at in range(len(body) + 1):
        assert decoded(body[:at], body[at:]) == rows
    assert decoded(*(bytes([one]) for one in body)) == rows


def test_an_element_is_there_with_its_last_byte():
    decoder = JSONArrayDecoder()
    assert decoder.feed(b'[{"a": 1') == []
    assert decoder.feed(b"}") == [b'{"a": 1}']
    assert decoder.feed(b'\n,\r\n{"a"') == []
    assert decoder.feed(b": 2}") == [b'{"a": 2}']
    assert not decoder.ended
    assert decoder.feed(b"\n]") == []
    assert decoder.ended


def test_an_array_that_is_cut_has_not_ended():
    body = b'[{"a": "]"}, [1], 3]'
    for at in range(len(body)):
        decoder = JSONArrayDecoder()
        decoder.feed(body[:at])
        assert not decoder.ended


@pytest.mark.parametrize(
    "body", [b"{}", b"x", b"[,1]", b"[1,,2]", b"[1] 2", b"[1]]", b'"a"', b"\xef\xbb\xbf{"]
)
def test_what_is_no_array_is_said_to_be_none(body):
    with pytest.raises(ProtocolError, match="array"):
        JSONArrayDecoder().feed(body)


def test_a_comma_may_stand_before_the_end():
    assert decoded(b"[1, ]") == [1]
    assert decoded(b"[]") == []


def test_an_element_is_bounded():
    assert decoded(b"[" + b"1" * 9 + b"]", max_event=9) == [111111111]
    for body in (b"[" + b"1" * 10, b'["' + b"x" * 10 + b'"]', b"[{" + b" " * 9 + b"}]"):
        with pytest.raises(ProtocolError, match="element of an array of more than 9 bytes"):
            JSONArrayDecoder(max_event=9).feed(body)
        one = JSONArrayDecoder(max_event=9)
        with pytest.raises(ProtocolError, match="more than 9 bytes"):
            for sign in body:
                one.feed(bytes([sign]))


def test_the_whole_is_bounded_blanks_and_all():
    decoder = JSONArrayDecoder(max_total=20)
    decoder.feed(b"[1," + b" " * 17)
    with pytest.raises(ProtocolError, match="an array of more than 20 bytes"):
        decoder.feed(b" ")


def test_an_element_of_many_pieces_takes_no_time():
    decoder = JSONArrayDecoder()
    decoder.feed(b'["')
    for _ in range(2_000):
        assert decoder.feed(b"x" * 1_000) == []
    assert [len(one) for one in decoder.feed(b'"]')] == [2_000_002]
