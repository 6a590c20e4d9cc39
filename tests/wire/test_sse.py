"""Events from bytes: the standard's rules, any cutting, bounded memory and work."""

import itertools
import re
import tracemalloc

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from llmmw.errors import ProtocolError
from llmmw.wire._sse import SSEDecoder, SSEEvent

Read = tuple[list[tuple[str, str]], str]


def decoded(*pieces: bytes) -> list[SSEEvent]:
    decoder = SSEDecoder()
    return [event for piece in pieces for event in decoder.feed(piece)] + decoder.end()


def plain(stream: bytes) -> list[SSEEvent]:
    """The standard, read as it is written, from the whole stream at once; no event at its end."""
    text = stream.decode("utf-8-sig", "replace")
    lines = re.split("\r\n|\r|\n", text)[:-1]
    events: list[SSEEvent] = []
    data, name, last, retry = "", "", "", None
    for line in lines:
        if line == "":
            if data:
                events.append(SSEEvent(data[:-1], name, id=last, retry=retry))
            data, name = "", ""
            continue
        if line.startswith(":"):
            continue
        field, colon, value = line.partition(":")
        value = value[1:] if colon and value.startswith(" ") else value
        if field == "data":
            data += value + "\n"
        elif field == "event":
            name = value
        elif field == "id" and "\0" not in value:
            last = value
        elif field == "retry" and re.fullmatch("[0-9]+", value):
            retry = int(value)
    return events


@pytest.mark.parametrize(
    ("stream", "events"),
    [
        (b"data: a\n\n", [("a", "")]),
        (b"data:a\r\n\r\n", [("a", "")]),
        (b"data: a\r\rdata: b\r\r", [("a", ""), ("b", "")]),
        (b"data:  two blanks\n\n", [(" two blanks", "")]),
        (b"data:\ta tab\n\n", [("\ta tab", "")]),
        (b"data: a\ndata\ndata: b\n\n", [("a\n\nb", "")]),
        (b"event: x\r\ndata: a\r\ndata: b\r\n\r\n", [("a\nb", "x")]),
        (b"data:\n\n", [("", "")]),
        (b"data\n\n", [("", "")]),
        (b"\xef\xbb\xbfdata: a\n\n", [("a", "")]),
        (b"\xef\xbb\xbf\xef\xbb\xbfdata: a\n\ndata: b\n\n", [("b", "")]),
        (b": a comment\n\n:\ndata: a\n: in between\n\n", [("a", "")]),
        (b"event: ping\ndata: a\n\ndata: b\n\n", [("a", "ping"), ("b", "")]),
        (b"event: lost\n\ndata: a\n\n", [("a", "")]),
        (b"event: x\nevent\ndata: a\n\n", [("a", "")]),
        (b"id: 1\nretry: 1000\nretry: x\nid: \0\nother: 3\ndata: a\n\n", [("a", "")]),
        (b"Data: no\n data: no\ndata : no\ndata: a\n\n", [("a", "")]),
        (b"data: gr\xc3\xbc\xc3\n\ndata: \xff\n\n", [("grü\ufffd", ""), ("\ufffd", "")]),
        ("data: line\u2028end\x0b\x85\n\n".encode(), [("line\u2028end\x0b\x85", "")]),
        (b"", []),
        (b"\n\n\r\n", []),
    ],
)
def test_the_rules_of_the_standard(stream: bytes, events: list[tuple[str, str]]) -> None:
    assert [(event.data, event.event) for event in decoded(stream)] == events
    pieces = [stream[at : at + 1] for at in range(len(stream))]
    assert [(event.data, event.event) for event in decoded(*pieces)] == events


@pytest.mark.parametrize(
    ("stream", "told"),
    [
        (b"id: 1\ndata: a\n\ndata: b\n\n", [("1", None), ("1", None)]),
        (b"id: 1\ndata: a\n\nid: 2\n\ndata: b\n\n", [("1", None), ("2", None)]),
        (b"id: 1\ndata: a\n\nid\ndata: b\n\n", [("1", None), ("", None)]),
        (b"id: 1\nid: 2\0\ndata: a\n\n", [("1", None)]),
        (b"data: a\nid:  1\n\n", [(" 1", None)]),
        (b"retry: 30\ndata: a\n\ndata: b\n\n", [("", 30), ("", 30)]),
        (b"retry: 007\nretry: 1s\nretry: -1\nretry:\ndata: a\n\n", [("", 7)]),
        ("retry: ٣\nretry: ²\ndata: a\n\n".encode(), [("", None)]),
        (b"retry: " + b"9" * 5000 + b'\nid: 1\ndata: {"a": 1}', [("1", None)]),
    ],
)
def test_the_last_id_and_the_last_pause_stay(
    stream: bytes, told: list[tuple[str, int | None]]
) -> None:
    assert [(event.id, event.retry) for event in decoded(stream)] == told


@pytest.mark.parametrize(
    ("stream", "data"),
    [
        (b'data: {"a": [1]}', '{"a": [1]}'),
        (b'data: {"a": [1]}\n', '{"a": [1]}'),
        (b'event: x\ndata: {"a":\ndata: 1}\r', '{"a":\n1}'),
        (b"data: [DONE]", "[DONE]"),
        (b"data: [DONE] \r\n", "[DONE] "),
        (b'data: {"a": [1', None),
        (b"data: 12", None),
        (b"data:", None),
        (b"data: " + b"[" * 100_000, None),
        (b"event: x", None),
    ],
)
def test_at_the_end_only_a_whole_event_counts(stream: bytes, data: str | None) -> None:
    name = "x" if stream.startswith(b"event") else ""
    expected = [] if data is None else [SSEEvent(data, name, unterminated=True)]
    assert decoded(stream) == expected
    assert not SSEEvent("a").unterminated


def test_a_decoder_that_ended_has_forgotten_the_event() -> None:
    decoder = SSEDecoder()
    decoder.feed(b'event: x\ndata: {"a": 1}')
    assert len(decoder.end()) == 1
    assert decoder.end() == []


MARKS = [b"data: ", b"data:", b"data", b"event: e", b"error: {}", b"{", b"}", b":", b" "]
MARKS += [b"id:", b"id: 7", b"id", b"retry: ", b"retry:5", b"\0", b"event: e\ndata: a\n\n"]
ENDS = [b"\n", b"\r", b"\r\n", b"\n\n", b"[DONE]", b'{"a":1}']
SIGNS = ["ü€🙂".encode(), b"\xf0\x9f", b"\xef\xbb\xbf"]
PIECES = st.sampled_from([*MARKS, *ENDS, *SIGNS])
STREAMS = st.lists(PIECES | st.binary(max_size=3), max_size=40).map(b"".join)


@settings(deadline=None, database=None)
@given(STREAMS, st.lists(st.integers(0, 200), max_size=30))
def test_no_cutting_changes_the_events(stream: bytes, places: list[int]) -> None:
    whole, cut = SSEDecoder(), SSEDecoder()
    expected = whole.feed(stream)
    assert expected == plain(stream)
    expected += whole.end()
    bounds = [0, *sorted(min(place, len(stream)) for place in places), len(stream)]
    events = []
    for start, end in itertools.pairwise(bounds):
        events += cut.feed(stream[start:end])
    assert events + cut.end() == expected
    assert cut.stray == whole.stray


@pytest.mark.parametrize(
    ("stream", "stray"),
    [
        (
            b'data: {}\n\n{\n  "error": {\n    "code": 499\n  }\n}\n',
            '{\n  "error": {\n    "code": 499',
        ),
        (b'data: {}\n\n{"error":"x"}', '{"error":"x"}'),
        (b'error: {"code":500}\n\n', '{"code":500}'),
        (b'[{"error":1}]\n', '[{"error":1}]'),
        (b"error: plain\nfoo: bar\nid: {\n: {\n<html>\n\n", ""),
    ],
)
def test_a_bare_error_is_kept_aside(stream: bytes, stray: str) -> None:
    decoder = SSEDecoder()
    decoder.feed(stream)
    decoder.end()
    assert decoder.stray.startswith(stray)
    assert bool(decoder.stray) == bool(stray)


def test_what_is_kept_aside_is_bounded() -> None:
    decoder = SSEDecoder()
    decoder.feed(b"{\n" + b"x\n" * 200_000)
    decoder.feed(b"y" * 100_000 + b"\n")
    assert len(decoder.stray) == 65_536


@pytest.mark.parametrize(
    "stream",
    [b"data:" + b"x" * 96, b"data: 123\n" * 12 + b"\n", b"data\n" * 26, b":" + b"x" * 100 + b"\n"],
)
@pytest.mark.parametrize("size", [1, 7, 1000])
def test_a_line_and_an_event_are_bounded(stream: bytes, size: int) -> None:
    decoder = SSEDecoder(max_event=100)
    with pytest.raises(ProtocolError, match=r"more than 100 bytes; .*base_url"):
        for at in range(0, len(stream), size):
            decoder.feed(stream[at : at + size])


@pytest.mark.parametrize("size", [1, 7, 1000])
def test_up_to_the_bound_all_is_read(size: int) -> None:
    decoder = SSEDecoder(max_event=100)
    stream = b"data:" + b"x" * 95 + b"\n\n"
    events = []
    for at in range(0, 10 * len(stream), size):
        events += decoder.feed((10 * stream)[at : at + size])
    assert [len(event.data) for event in events] == [95] * 10


def test_an_event_in_many_pieces_is_copied_a_bounded_number_of_times() -> None:
    """What is held is one growing buffer: neither the text again for each piece, nor a heap of
    pieces."""
    decoder = SSEDecoder()
    piece = b"x" * 64
    decoder.feed(b"data: ")
    tracemalloc.start()
    for _ in range(20_000):
        assert decoder.feed(piece) == []
    held, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert held < 1.3 * 20_000 * 64
    assert most < 2.5 * 20_000 * 64
    [event] = decoder.feed(b"\n\n")
    assert len(event.data) == 20_000 * 64
