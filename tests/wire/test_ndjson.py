"""Lines of JSON that come piece by piece, cut at whatever place."""

from __future__ import annotations

import itertools
import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from llmmw.errors import ProtocolError
from llmmw.wire import NDJSONDecoder, loads

rows_of = st.lists(st.dictionaries(st.text(max_size=3), st.text(max_size=4), max_size=3))


def decoded(*data: bytes, **limits: int) -> list[object]:
    decoder = NDJSONDecoder(**limits)
    found = [loads(one) for piece in data for one in decoder.feed(piece)]
    return found + [loads(one) for one in decoder.end()]


@settings(max_examples=200)
@given(
    rows=rows_of,
    cuts=st.lists(st.integers(0, 300), max_size=6),
    end=st.sampled_from(["\n", "\r\n", "\n\n", " \r\n\r\n"]),
    last=st.booleans(),
    mark=st.booleans(),
)
def test_the_lines_are_those_of_the_whole(rows, cuts, end, last, mark):
    texts = [json.dumps(row, ensure_ascii=False) for row in rows]
    body = b"\xef\xbb\xbf" * mark + (end.join(texts) + end * last).encode()
    places = [0, *sorted(cut % (len(body) + 1) for cut in cuts), len(body)]
    pieces = [body[a:b] for a, b in itertools.pairwise(places)]
    assert decoded(*pieces) == rows
    assert decoded(*(bytes([one]) for one in body)) == rows


def test_a_line_is_there_with_its_end():
    decoder = NDJSONDecoder()
    assert decoder.feed(b'{"a":1}') == []
    assert decoder.feed(b'\n{"a":2}\n{') == [b'{"a":1}', b'{"a":2}']


@pytest.mark.parametrize("rest", [b'{"a":', b"{", b"12", b'"text"', b"nul", b" \r"])
def test_a_last_line_that_was_cut_is_none(rest):
    assert decoded(b'{"a":1}\n' + rest) == [{"a": 1}]
    assert decoded(b'{"a":1}\n{"a":2}') == [{"a": 1}, {"a": 2}]


def test_lines_are_bounded():
    assert decoded(b'{"a":1}\n', max_line=7) == [{"a": 1}]
    for body in (b'{"a":12}\n', b'{"a":1}\n{"a":12}', b"x" * 8):
        with pytest.raises(ProtocolError, match="a line of JSON of more than 7 bytes"):
            NDJSONDecoder(max_line=7).feed(body)
    decoder = NDJSONDecoder(max_total=20)
    decoder.feed(b"\n" * 20)
    with pytest.raises(ProtocolError, match="lines of JSON of more than 20 bytes"):
        decoder.feed(b"\n")
    assert decoded(b"\n" * 100, max_total=None) == []
