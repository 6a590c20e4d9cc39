"""The content of a file, decoded out of JSON as it comes."""

from __future__ import annotations

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from llmmw_llm_engine._content import Content, ContentDecoder

from llmmw.errors import ProtocolError, StreamInterrupted
from llmmw.testing import Answer, open_host, open_server
from llmmw.wire import loads

pytestmark = pytest.mark.plugins

TEXT = 'a "b" \\ / \b\f\n\r\t é ü 語 \U0001f600 \u2028 \x00 }{[],: "content":'


def decoded(data, size=None):
    decoder = ContentDecoder()
    sizes = size or len(data) or 1
    found = [decoder.feed(data[at : at + sizes]) for at in range(0, len(data), sizes)]
    return b"".join(found), decoder.ended


@pytest.mark.parametrize("ascii_", [True, False])
def test_every_cut(ascii_):
    told = {"id": "f", "more": {"content": ["x", {"content": "no"}]}, "content": TEXT, "x": [1]}
    data = json.dumps(told, ensure_ascii=ascii_).encode()
    for at in range(len(data) + 1):
        decoder = ContentDecoder()
        found = decoder.feed(data[:at]) + decoder.feed(data[at:])
        assert (found.decode(), decoder.ended) == (TEXT, True)
    assert decoded(data, 1) == (TEXT.encode(), True)


@pytest.mark.parametrize(
    "told",
    [
        r"x\\ud83d y",  # a backslash, and letters behind it
        r"\\\\ud83d\\\ud83d\ude00",
        r"\ud83d\ud83d\ude00",  # halves, one of which has no other
        r"\ud83d\u00e9\ud83d\n\ude00\ud83d",
    ],
)
def test_every_cut_of_halves_of_characters_and_what_looks_like_them(told):
    data = f'{{"content": "{told}"}}'.encode()
    whole = loads(data)["content"].encode()
    for at in range(len(data) + 1):
        decoder = ContentDecoder()
        assert decoder.feed(data[:at]) + decoder.feed(data[at:]) == whole
    assert decoded(data, 1) == (whole, True)


def test_what_stands_behind_the_content_is_not_held():
    decoder = ContentDecoder()
    assert decoder.feed(b'{"content": "a", "more": "') == b"a"
    for _ in range(9):
        assert decoder.feed(b"x" * 65_536) == b""
    assert (decoder.ended, len(decoder._held)) == (True, 0)


@settings(max_examples=200)
@given(
    text=st.text(),
    before=st.dictionaries(st.text(max_size=8), st.text() | st.lists(st.integers()), max_size=3),
    ascii_=st.booleans(),
    indent=st.none() | st.just(2),
    size=st.integers(1, 9),
)
def test_any_text(text, before, ascii_, indent, size):
    before.pop("content", None)
    told = {**before, "content": text}
    data = json.dumps(told, ensure_ascii=ascii_, indent=indent).encode("utf-8", "surrogatepass")
    assert decoded(data, size) == (text.encode("utf-8", "surrogatepass"), True)


@pytest.mark.parametrize(
    "data",
    [
        b"[]",
        b'{"content": null}',
        b'{"content": 7}',
        b'{"content": "a\x01 and more behind that"}',
        b'{"content": "a\\q and more behind that"}',
        b'{"id": "' + b"x" * 70_000,
    ],
)
def test_what_is_none(data):
    with pytest.raises(ProtocolError):
        decoded(data)


@pytest.mark.parametrize("data", [b"", b"{}", b'{"id": "content"}', b'{"content": "abc'])
def test_what_is_not_whole(data):
    assert not decoded(data)[1]


async def test_an_answer_that_is_cut_is_an_error(wire):
    pieces = [b'{"id": "f", "content": "abc']
    answer = Answer(headers={"Content-Type": "application/json"}, pieces=pieces, cut=True)
    async with open_server(answer) as server, open_host() as host:
        provider = wire.provider(server.url)
        async with provider.open(host), provider.files.content("f") as content:
            with pytest.raises((ProtocolError, StreamInterrupted)):
                while await content.next_piece():
                    pass


async def test_memory_does_not_grow_with_the_file():
    rows = iter([b'{"content": "', *[b"x" * 65_536] * 400, b'"}', b""])

    async def next_piece():
        return next(rows)

    content, size, largest = Content(next_piece), 0, 0
    while piece := await content.next_piece():
        size += len(piece)
        largest = max(largest, len(piece), len(content._decoder._held))
    assert size == 400 * 65_536
    assert largest <= 65_536
