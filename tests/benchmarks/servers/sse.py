"""A host that streams: `python sse.py PORT`. Where it is asked says how it answers:

/CHUNKS/MS/v1/…   so many pieces of text, a piece each so many milliseconds; 0: all at once
/never/v1/…       nothing, ever
"""

from __future__ import annotations

import asyncio
import json
import sys
from functools import cache
from itertools import islice
from typing import Any

import uvloop

_HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
_LAST = b"data: [DONE]\n\n"


def _event(delta: dict[str, str], finish: str | None = None) -> bytes:
    """An event of about 333 bytes, if it has text."""
    chunk = {
        "id": "chatcmpl-CBk3mZ5w7a1FfUq2k8mXo2cVtHnRp",
        "object": "chat.completion.chunk",
        "created": 1758144046,
        "model": "gpt-4o-2024-08-06",
        "service_tier": "default",
        "system_fingerprint": "fp_f33640a400",
        "choices": [{"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish}],
    }
    return f"data: {json.dumps(chunk, separators=(',', ':'))}\n\n".encode()


_BEGIN = _event({"role": "assistant", "content": ""})
_TEXTS = tuple(
    _event({"content": f"{piece} of text, and some more of it as it comes; " + "x" * 19})
    for piece in ("a piece", "another")
)
"""In turn, since a client may end an answer that says the same again and again."""
_END = _event({}, "stop") + _LAST


def _framed(data: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(data), data)


@cache
def _burst(count: int) -> bytes:
    whole = [_BEGIN, *[_TEXTS[number % 2] for number in range(count)], _END]
    return _HEAD + b"".join(map(_framed, whole)) + b"0\r\n\r\n"


class _Host(asyncio.Protocol):
    """One connection; one request at a time."""

    def connection_made(self, transport: Any) -> None:
        self._line, self._come = transport, b""
        self._next: asyncio.TimerHandle | None = None

    def connection_lost(self, error: Exception | None) -> None:
        if self._next is not None:
            self._next.cancel()

    def data_received(self, data: bytes) -> None:
        self._come += data
        head, end, rest = self._come.partition(b"\r\n\r\n")
        size = next(
            (
                int(row.split(b":")[1])
                for row in head.split(b"\r\n")
                if row.lower().startswith(b"content-length")
            ),
            0,
        )
        if end and len(rest) >= size:
            self._come = rest[size:]
            self._answer(head.split(b" ", 2)[1].decode())

    def _answer(self, path: str) -> None:
        first, second = islice(path.split("/"), 1, 3)
        if first == "never":
            return
        count, pause = int(first), int(second) / 1000
        if not pause:
            self._line.write(_burst(count))
            return
        self._line.write(_HEAD + _framed(_BEGIN) + _framed(_TEXTS[count % 2]))
        self._later(count - 1, pause, asyncio.get_running_loop().time())

    def _later(self, left: int, pause: float, now: float) -> None:
        """The next piece comes a pause after the last was due, so that no delay adds up."""
        due = now + pause
        self._next = asyncio.get_running_loop().call_at(due, self._go_on, left, pause, due)

    def _go_on(self, left: int, pause: float, due: float) -> None:
        if left:
            self._line.write(_framed(_TEXTS[left % 2]))
            self._later(left - 1, pause, due)
        else:
            self._next = None
            self._line.write(_framed(_END) + b"0\r\n\r\n")


async def _main(port: int) -> None:
    loop = asyncio.get_running_loop()
    server = await loop.create_server(_Host, "127.0.0.1", port, backlog=4096)
    await server.serve_forever()


uvloop.run(_main(int(sys.argv[1])))
