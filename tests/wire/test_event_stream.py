"""Messages of a binary event stream, cut at whatever place."""

from __future__ import annotations

import itertools
import struct
import zlib
from uuid import UUID

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from llmmw.errors import LLMError, ProtocolError, StreamInterrupted
from llmmw.wire import EventMessage, EventStreamDecoder

# A message by its bytes: lengths, their checksum, two headers, a payload, the checksum of it all.
KNOWN = bytes.fromhex(
    "0000002a 00000013 6aeda912"
    "05 3a6b696e64 07 0005 6576656e74 01 6e 03 fffe"
    "7b2261223a317d 8e873fc5"
)
NUMBERS = {2: ("b", 8), 3: ("h", 16), 4: ("i", 32), 5: ("q", 64), 8: ("q", 64)}


def written(kind: int, value) -> bytes:
    """The type of a header's value, and the value."""
    if kind in NUMBERS:
        return struct.pack(f">B{NUMBERS[kind][0]}", kind, value)
    if kind in {6, 7}:
        data = value.encode() if kind == 7 else value
        return struct.pack(">BH", kind, len(data)) + data
    return bytes([kind]) + (value.bytes if kind == 9 else b"")


def frame(headers, payload: bytes = b"") -> bytes:
    block = b"".join(
        bytes([len(name.encode())]) + name.encode() + written(*told) for name, told in headers
    )
    return sealed(block, payload)


def sealed(block: bytes, payload: bytes = b"") -> bytes:
    start = struct.pack(">II", 16 + len(block) + len(payload), len(block))
    body = start + struct.pack(">I", zlib.crc32(start)) + block + payload
    return body + struct.pack(">I", zlib.crc32(body))


def decoded(*pieces: bytes, **limits: int) -> tuple[list[EventMessage], LLMError | None]:
    """The messages, and what ended them."""
    decoder = EventStreamDecoder(**limits)
    found: list[EventMessage] = []
    try:
        for piece in pieces:
            found += decoder.feed(piece)
        decoder.end()
    except LLMError as error:
        return found, error
    return found, None


values = st.one_of(
    st.just((0, True)),
    st.just((1, False)),
    *(
        st.tuples(st.just(kind), st.integers(-(2 ** (bits - 1)), 2 ** (bits - 1) - 1))
        for kind, (_, bits) in NUMBERS.items()
    ),
    st.tuples(st.just(6), st.binary(max_size=9)),
    st.tuples(st.just(7), st.text(max_size=9)),
    st.tuples(st.just(9), st.uuids()),
)
messages = st.lists(
    st.tuples(
        st.dictionaries(st.text(min_size=1, max_size=8), values, max_size=4),
        st.binary(max_size=20),
    ),
    max_size=4,
)


@settings(max_examples=200)
@given(told=messages, cuts=st.lists(st.integers(0, 400), max_size=6), rest=st.integers(0, 15))
def test_the_messages_are_those_of_the_whole(told, cuts, rest):
    body = b"".join(frame(headers.items(), payload) for headers, payload in told)
    body += KNOWN[:rest]
    places = [0, *sorted(cut % (len(body) + 1) for cut in cuts), len(body)]
    pieces = [body[a:b] for a, b in itertools.pairwise(places)]
    wanted = [
        EventMessage({name: value for name, (_, value) in headers.items()}, payload)
        for headers, payload in told
    ]
    for way in (pieces, [bytes([one]) for one in body]):
        found, error = decoded(*way)
        assert found == wanted
        assert (error is None) is (rest == 0)
        assert rest == 0 or isinstance(error, StreamInterrupted)


def test_a_known_message():
    assert decoded(KNOWN) == (
        [EventMessage({":kind": "event", "n": -2}, b'{"a":1}')],
        None,
    )


def test_a_message_is_there_with_its_last_byte():
    decoder = EventStreamDecoder()
    assert decoder.feed(KNOWN[:-1]) == []
    assert len(decoder.feed(KNOWN[-1:] + KNOWN + KNOWN[:5])) == 2


def test_texts_among_the_headers():
    (message,), _ = decoded(frame([("a", (7, "ü")), ("b", (4, 1)), ("c", (9, UUID(int=7)))]))
    assert (message.text("a"), message.text("b"), message.text("d")) == ("ü", "", "")


@pytest.mark.parametrize("bit", range(8 * len(KNOWN)))
def test_each_bit_that_is_another_is_found(bit):
    data = bytearray(KNOWN)
    data[bit // 8] ^= 1 << bit % 8
    found, error = decoded(bytes(data))
    assert found == []
    where = "prelude" if bit < 96 else "message"
    assert isinstance(error, ProtocolError)
    assert f"the checksum of {'its' if where == 'prelude' else 'the'} {where}" in error.message


def test_what_comes_before_a_broken_message_does_not_depend_on_the_cuts():
    broken = KNOWN[:-1] + bytes([KNOWN[-1] ^ 1])
    body = KNOWN + broken + KNOWN
    for size in (1, 7, len(KNOWN), len(body)):
        pieces = [body[at : at + size] for at in range(0, len(body), size)]
        found, error = decoded(*pieces)
        assert len(found) == 1
        assert isinstance(error, ProtocolError)
    decoder = EventStreamDecoder()
    assert len(decoder.feed(KNOWN + broken)) == 1
    for _ in range(2):
        with pytest.raises(ProtocolError, match="the checksum of the message does not match"):
            decoder.feed(b"")


@pytest.mark.parametrize(
    ("block", "why"),
    [
        (b"\x01a\x00\x01a\x01", "the header 'a' twice"),
        (b"\x01a\x0a", "of the type 10"),
        (b"\x05ab", "ends behind the headers"),
        (b"\x01a", "ends behind the headers"),
        (b"\x01a\x04\x00\x00", "ends behind the headers"),
        (b"\x01a\x07\x00\x05abc", "ends behind the headers"),
        (b"\x01a\x07\x00\x01\xff", "utf-8"),
        (b"\x01\xff\x00", "utf-8"),
    ],
)
def test_headers_that_are_none(block, why):
    found, error = decoded(sealed(block))
    assert found == []
    assert isinstance(error, ProtocolError)
    assert why in error.message


def test_messages_are_bounded():
    one = frame([("a", (7, "bc"))], b"12345")
    assert len(decoded(one, max_payload=5, max_headers=7)[0]) == 1
    for limits, what in (({"max_payload": 4}, "payload"), ({"max_headers": 6}, "headers")):
        found, error = decoded(one[:12], **limits)  # known before it comes
        assert found == []
        assert isinstance(error, ProtocolError)
        assert what in error.message


@pytest.mark.parametrize(
    ("size", "headers", "what"),
    [
        (24 * 2**20 + 17, 0, "payload has more than 25,165,824"),
        (2**18, 2**17 + 1, "headers have more than 131,072"),
        (15, 0, "longer than itself"),
        (20, 5, "longer than itself"),
    ],
)
def test_what_no_message_can_be(size, headers, what):
    start = struct.pack(">II", size, headers)
    _, error = decoded(start + struct.pack(">I", zlib.crc32(start)))
    assert isinstance(error, ProtocolError)
    assert what in error.message
