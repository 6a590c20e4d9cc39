"""From the bytes of a stream to deltas and a response, on one core.

python3 tests/benchmarks/bench_streams.py

Three rivals read the same bytes, which come in pieces as a socket gives them, in the same run:
the floor, which splits at empty lines and decodes the JSON and does no more; our provider, from
the reply's bytes to a listener that hears each delta and the response at the end; and the host's
own client (`pip install openai anthropic`), if it is installed. No network is between.
"""

from __future__ import annotations

import json
import random
import time
from collections.abc import AsyncIterator, Callable, Iterator
from importlib import import_module
from typing import Any

import attrs
import httpx
import orjson
import trio
from _measure import medians, say
from llmmw_anthropic._provider import Anthropic
from llmmw_google._provider import Google
from llmmw_openai._provider import OpenAI

from llmmw import Call, Delta, Generate, Generation

_PIECE = 16 * 2**10
"""Bytes that come at once when a reader does not wait: a record of TLS."""
_PIECES_OF_TEXT = 4000
_MOST = 10
"""How often a stream is read for one measure."""


def _texts() -> list[str]:
    """Pieces of text as models make them: a word or a part of one, seldom something else."""
    dice = random.Random(5)
    signs = ["\n\n", "ü", " 東京", ' "', "\\", " **", ",", "."]
    letters = "etaoinshrdlu"
    words = ["".join(dice.choices(letters, k=dice.randint(1, 8))) for _ in range(500)]
    return [
        dice.choice(signs) if dice.random() < 0.15 else f" {dice.choice(words)}"
        for _ in range(_PIECES_OF_TEXT)
    ]


_TEXTS = _texts()


def _written(events: list[dict[str, Any]], *, named: bool = False, end: str = "\n") -> bytes:
    rows = []
    for event in events:
        name = f"event: {event['type']}{end}" if named else ""
        data = json.dumps(event, separators=(",", ":"), ensure_ascii=False)
        rows.append(f"{name}data: {data}{end}{end}")
    return "".join(rows).encode()


def _chat() -> bytes:
    head = {
        "id": "chatcmpl-CBk3mZ5w7a1FfUq2k8mXo2cVtHnRp",
        "object": "chat.completion.chunk",
        "created": 1758144046,
        "model": "gpt-4o-2024-08-06",
        "service_tier": "default",
        "system_fingerprint": "fp_f33640a400",
    }

    def chunk(delta: dict[str, Any], finish: str | None = None) -> dict[str, Any]:
        choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish}
        return head | {"choices": [choice], "usage": None, "obfuscation": "xY3kQz9"}

    usage = {"prompt_tokens": 9, "completion_tokens": 4000, "total_tokens": 4009}
    events = [chunk({"role": "assistant", "content": "", "refusal": None})]
    events += [chunk({"content": text}) for text in _TEXTS]
    events += [chunk({}, "stop"), head | {"choices": [], "usage": usage}]
    return _written(events) + b"data: [DONE]\n\n"


def _responses() -> bytes:
    text = "".join(_TEXTS)
    head = {"id": "resp_00a60507bf41223d0068c9d2fbf93481", "object": "response", "output": []}
    head |= {"created_at": 1758057212, "model": "gpt-5-2025-08-07", "status": "in_progress"}
    block = {"type": "output_text", "text": "", "annotations": [], "logprobs": []}
    item = {"id": "msg_00a60507bf41223d0068c9d30294fc81", "type": "message", "role": "assistant"}
    item |= {"status": "in_progress", "content": []}
    full = item | {"status": "completed", "content": [block | {"text": text}]}
    usage = {"input_tokens": 9, "output_tokens": 4000, "total_tokens": 4009}
    ended = head | {"status": "completed", "output": [full], "usage": usage}
    place = {"item_id": item["id"], "output_index": 0, "content_index": 0}
    told: list[tuple[str, dict[str, Any]]] = [
        ("created", {"response": head}),
        ("in_progress", {"response": head}),
        ("output_item.added", {"output_index": 0, "item": item}),
        ("content_part.added", place | {"part": block}),
    ]
    told += [
        ("output_text.delta", place | {"delta": t, "logprobs": [], "obfuscation": "xY3kQz9a"})
        for t in _TEXTS
    ]
    told += [
        ("output_text.done", place | {"text": text, "logprobs": []}),
        ("content_part.done", place | {"part": block | {"text": text}}),
        ("output_item.done", {"output_index": 0, "item": full}),
        ("completed", {"response": ended}),
    ]
    events = [
        {"type": f"response.{kind}", "sequence_number": number} | fields
        for number, (kind, fields) in enumerate(told)
    ]
    return _written(events, named=True)


def _messages() -> bytes:
    message = {"id": "msg_01Xf6SmUVY1mDrSwFc5RsY3n", "type": "message", "role": "assistant"}
    message |= {"model": "claude-sonnet-4-5-20250929", "content": [], "stop_reason": None}
    message |= {"stop_sequence": None, "usage": {"input_tokens": 9, "output_tokens": 1}}
    block = {"type": "text", "text": ""}
    deltas = [{"type": "text_delta", "text": text} for text in _TEXTS]
    ended = {"stop_reason": "end_turn", "stop_sequence": None}
    events: list[dict[str, Any]] = [
        {"type": "message_start", "message": message},
        {"type": "content_block_start", "index": 0, "content_block": block},
        {"type": "ping"},
        *({"type": "content_block_delta", "index": 0, "delta": delta} for delta in deltas),
        {"type": "content_block_stop", "index": 0},
        {"type": "message_delta", "delta": ended, "usage": {"output_tokens": 4000}},
        {"type": "message_stop"},
    ]
    return _written(events, named=True)


def _gemini() -> bytes:
    def chunk(number: int, text: str) -> dict[str, Any]:
        candidate = {"content": {"parts": [{"text": text}], "role": "model"}, "index": 0}
        usage = {"promptTokenCount": 9, "candidatesTokenCount": number}
        usage |= {"totalTokenCount": 9 + number}
        details = {"promptTokensDetails": [{"modality": "TEXT", "tokenCount": 9}]}
        beside = {"modelVersion": "gemini-2.5-flash", "responseId": "yNXKaMrtLIPgvdIP8pqE0A8"}
        return {"candidates": [candidate], "usageMetadata": usage | details, **beside}

    events = [chunk(number, text) for number, text in enumerate(_TEXTS)]
    events[-1]["candidates"][0]["finishReason"] = "STOP"
    return _written(events, end="\r\n")


class _Body(httpx.AsyncByteStream):
    def __init__(self, pieces: list[bytes]) -> None:
        self._pieces = pieces

    async def __aiter__(self) -> AsyncIterator[bytes]:
        for piece in self._pieces:
            yield piece


@attrs.define
class _Rivals:
    """One wire: its bytes, and who reads them."""

    wire: str
    body: bytes
    ours: Callable[[httpx.AsyncClient], Any]
    official: Callable[[list[bytes]], Callable[[], int]]
    end: bytes = b"\n\n"

    @property
    def pieces(self) -> list[bytes]:
        return [self.body[at : at + _PIECE] for at in range(0, len(self.body), _PIECE)]

    def floor(self) -> float:
        """Microseconds an event, of which only the JSON is read."""
        started = time.thread_time()
        for _ in range(_MOST):
            for event in self.body.split(self.end):
                place = event.find(b"data: ")
                if place >= 0 and not event.endswith(b"[DONE]"):
                    orjson.loads(event[place + 6 :])
        return self._each(started)

    def provider(self) -> float:
        """Microseconds an event, of our provider."""
        pieces = self.pieces
        heard = 0

        def answer(request: httpx.Request) -> httpx.Response:
            headers = {"content-type": "text/event-stream"}
            return httpx.Response(200, headers=headers, stream=_Body(pieces))

        async def hear(delta: Delta) -> None:
            nonlocal heard
            heard += 1

        async def main() -> float:
            async with httpx.AsyncClient(transport=httpx.MockTransport(answer)) as client:
                provider = self.ours(client)
                async with provider.open(None):
                    started = time.thread_time()
                    for _ in range(_MOST):
                        call = Call(Generate(model="host:model", messages=["hello"]), hear)
                        response = await provider(call)
                    taken = self._each(started)
            assert isinstance(response, Generation)
            assert response.text == "".join(_TEXTS)
            assert heard >= _MOST * _PIECES_OF_TEXT
            return taken

        return trio.run(main)

    def client(self) -> float:
        """Microseconds an event, of the host's own client."""
        read = self.official(self.pieces)
        started = time.thread_time()
        count = read()
        assert count >= _PIECES_OF_TEXT
        return self._each(started) * _MOST

    def _each(self, started: float) -> float:
        return (time.thread_time() - started) / _MOST / _PIECES_OF_TEXT * 1e6


def _official(name: str, make: str, ask: Callable[[Any], Any]) -> Any:
    """Reads a stream with a host's own client, whichever httpx it is built on."""

    def over(pieces: list[bytes]) -> Callable[[], int]:
        package = import_module(name)
        base = import_module(package.DefaultHttpxClient.__base__.__module__.partition(".")[0])

        class Body(base.SyncByteStream):  # type: ignore[name-defined, misc]
            def __iter__(self) -> Iterator[bytes]:
                return iter(pieces)

        def answer(request: Any) -> Any:
            headers = {"content-type": "text/event-stream"}
            return base.Response(200, headers=headers, stream=Body())

        http = base.Client(transport=base.MockTransport(answer))
        client = getattr(package, make)(api_key="none", http_client=http)
        return lambda: sum(1 for _ in ask(client))

    over.package = name  # type: ignore[attr-defined]
    return over


_HELLO = [{"role": "user", "content": "hello"}]

_RIVALS = [
    _Rivals(
        "chat",
        _chat(),
        lambda http: OpenAI(name="host", api_key="none", http=http),
        _official(
            "openai",
            "OpenAI",
            lambda c: c.chat.completions.create(model="m", messages=_HELLO, stream=True),
        ),
    ),
    _Rivals(
        "responses",
        _responses(),
        lambda http: OpenAI(name="host", api_key="none", http=http, api="responses"),
        _official(
            "openai", "OpenAI", lambda c: c.responses.create(model="m", input="hello", stream=True)
        ),
    ),
    _Rivals(
        "messages",
        _messages(),
        lambda http: Anthropic(name="host", api_key="none", http=http),
        _official(
            "anthropic",
            "Anthropic",
            lambda c: c.messages.create(model="m", messages=_HELLO, max_tokens=9, stream=True),
        ),
    ),
    _Rivals(
        "gemini",
        _gemini(),
        lambda http: Google(name="host", api_key="none", http=http),
        None,
        b"\r\n\r\n",
    ),
]


def wire(rivals: _Rivals) -> None:
    """One wire's lines."""
    runs = {"floor": rivals.floor, "ours": rivals.provider}
    missing = "google's own client is not compared"
    if rivals.official is not None:
        try:
            import_module(rivals.official.package)
            runs["client"] = rivals.client
        except ImportError:
            missing = f"not compared with `{rivals.official.package}`, which is not installed"
    taken = medians(runs)
    size = len(rivals.body) / _PIECES_OF_TEXT
    each = ", ".join(f"{name} {time:.2f}" for name, time in taken.items())
    print(f"      {rivals.wire}: microseconds an event of {size:.0f} bytes: {each}")
    share = 100 * taken["floor"] / taken["ours"]
    say(f"{rivals.wire}: our share of the floor", share, 25, "%", most=False)
    if "client" in taken:
        name = f"{rivals.wire}: chunks a second against `{rivals.official.package}`"
        ratio = taken["client"] / taken["ours"]
        if rivals.official.package == "openai":
            say(name, ratio, 10, "x", most=False)
        else:
            print(f"      {name}: {ratio:.1f} x")
    else:
        print(f"      {rivals.wire}: {missing}")


if __name__ == "__main__":
    for rivals in _RIVALS:
        wire(rivals)
