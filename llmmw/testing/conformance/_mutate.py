"""Damaged bodies: whatever a host sends, a provider answers or raises an `LLMError`, in time."""

from __future__ import annotations

import fnmatch
import random
import re
import resource
import sys
import time
import traceback
from collections import Counter
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import AsyncExitStack
from typing import Any

import attrs
import httpx
import orjson
import trio

from llmmw._plugins import Plugins
from llmmw._request import Generate
from llmmw._session import Client
from llmmw.errors import LLMError
from llmmw.testing.conformance._administered import ask_verb_of, before
from llmmw.testing.conformance._cases import Case
from llmmw.testing.conformance._frames import frame, payloads_of
from llmmw.testing.conformance._targets import Target, target_of
from llmmw.wire._tape import TAPE, Send

__all__ = ["Report", "mutate"]

_SLOW = 5.0
"""Seconds of work on one answer that count as a defect; it hangs after four times as many."""
_MOST_BYTES = 20_000
"""Of longer bodies a window is damaged, so that most of the time goes into different ones."""
_PLAIN = ("events", "frames", "signature")
"""Kinds of cases that no provider answers."""
_STATUSES = (*[200] * 30, 301, 400, 401, 403, 404, 413, 429, 500, 503, 529)
_HINTS = ("7", "-1", "1e400", "NaN", "Wed, 21 Oct 2015 07:28:00 GMT", "x" * 5000, "", "\xff")
_HINTED = ("retry-after", "retry-after-ms", "x-ratelimit-reset-tokens", "content-type", "location")


@attrs.define
class Report:
    """What the damaged answers came to."""

    mutations: int = 0
    seconds: float = 0.0
    slowest: float = 0.0
    growth: int = 0
    """Bytes by which the process has grown."""
    ends: Counter[str] = attrs.field(factory=Counter)
    """How many answers ended in which way: `answered`, or the name of an error."""
    defects: list[str] = attrs.field(factory=list)

    def plain(self) -> dict[str, Any]:
        """The report as plain data."""
        return attrs.asdict(self) | {"ends": dict(self.ends)}

    def page(self) -> str:
        """The report for people."""
        pace = self.mutations / self.seconds if self.seconds else 0.0
        rows = [f"{count:>9}  {end}" for end, count in self.ends.most_common()]
        return "\n".join(
            [
                f"{self.mutations} mutations in {self.seconds:.1f} s, {pace:.0f} a second; "
                f"the slowest took {self.slowest * 1000:.0f} ms; "
                f"the process grew by {self.growth / 2**20:.0f} MiB",
                *rows,
                f"{len(self.defects)} defects",
                *self.defects,
                "",
            ]
        )


@attrs.define
class _Damaged:
    """A tape that answers every request with the bytes of the moment."""

    status: int = 200
    headers: Mapping[str, str] = attrs.field(factory=dict)
    pieces: Sequence[bytes] = ()
    before: list[bytes] = attrs.field(factory=list)
    """Sound answers to the first requests."""
    needs_key: bool = False

    async def send(
        self, request: httpx.Request, send: Send, scrub: Callable[[str], str]
    ) -> httpx.Response:
        if self.before:
            stream = _Pieces([self.before.pop(0)])
            return httpx.Response(200, stream=stream, request=request)
        rows = [(name.encode(), text.encode("latin-1")) for name, text in self.headers.items()]
        stream = _Pieces(self.pieces)
        return httpx.Response(self.status, headers=rows, stream=stream, request=request)


class _Pieces(httpx.AsyncByteStream):
    def __init__(self, pieces: Sequence[bytes]) -> None:
        self._pieces = pieces

    async def __aiter__(self) -> AsyncIterator[bytes]:
        for piece in self._pieces:
            yield piece


async def mutate(cases: Sequence[Case], count: int, seed: int = 0, only: str = "*") -> Report:
    """Give so many damaged bodies to the providers that play the cases.

    Args:
        cases: where the bodies come from.
        count: how many damaged ones.
        seed: which ones.
        only: as in `run_cases`.
    """
    plugins = Plugins()
    known = plugins.names("provider")
    played: list[tuple[Case, Target]] = []
    for case in cases:
        target = target_of(case, known)
        wanted = only in case.id or fnmatch.fnmatch(case.id, only)
        if wanted and isinstance(target, Target) and target.kind not in _PLAIN:
            played.append((case, target))
    report, damaged = Report(), _Damaged()
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    begin = time.perf_counter()
    token = TAPE.set(damaged)
    try:
        async with AsyncExitStack() as stack:
            clients: dict[str, Client] = {}
            for number in range(count):
                draw = random.Random(f"{seed} {number}")  # noqa: S311 (no secret)
                case, target = played[number % len(played)]
                if repr(target) not in clients:
                    clients[repr(target)] = await stack.enter_async_context(
                        _client(target, plugins)
                    )
                other = draw.choice(played)[0]
                _damage(damaged, case, other, draw)
                await _one(clients[repr(target)], case, target, number, report)
    finally:
        TAPE.reset(token)
    report.seconds = time.perf_counter() - begin
    grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    report.growth = grown * (1 if sys.platform == "darwin" else 1024)
    return report


def _client(target: Target, plugins: Plugins) -> Client:
    options = {"base_url": "http://127.0.0.1:9", **target.options}
    model = f"{target.name}:m"
    return Client(model, stack=[], plugins=plugins, options={target.name: options})


async def _one(client: Client, case: Case, target: Target, number: int, report: Report) -> None:
    begin = time.thread_time()  # which does not depend on what else the machine does
    try:
        with trio.fail_after(_SLOW * 4):
            await _asked(client, case, target)
        end = "answered"
    except LLMError as error:
        end = type(error).__name__
    except Exception as error:  # whatever it is, it is a defect
        end = "defect"
        frame = traceback.extract_tb(error.__traceback__)[-1]
        where = f"{frame.filename.rpartition('/')[2]}:{frame.lineno}"
        report.defects.append(f"{number} {case.id}: {type(error).__name__} at {where}: {error}")
    took = time.thread_time() - begin
    if took > _SLOW:
        report.defects.append(f"{number} {case.id}: took {took:.1f} s")
    report.slowest = max(report.slowest, took)
    report.ends[end] += 1
    report.mutations += 1


async def _asked(client: Client, case: Case, target: Target) -> None:
    if target.kind == "embed":
        await client.embed("hello", model=f"{target.name}:{case.model}")
        return
    if target.kind == "count":
        await client.count_tokens("hello")
        return
    if target.kind == "verbs":
        await ask_verb_of(case, client)
        return
    prompt: Generate | str = Generate(prompt="hello") if target.kind == "prompt" else "hello"
    if not case.streams:
        await client.ask(prompt)
        return
    async with client.stream(prompt) as stream:
        await stream.wait_response()


def _damage(damaged: _Damaged, case: Case, other: Case, draw: random.Random) -> None:
    body = draw.choice(case.answers)
    frames = body.startswith(b"\0") and draw.random() < 0.8  # sound ones, with damage inside
    if frames:
        body = b"\n".join(map(orjson.dumps, payloads_of(body)))
    body = _window(body, draw)
    for _ in range(draw.choice((1, 1, 1, 2, 4))):
        body = draw.choice(_WAYS)(body, _window(other.body, draw), draw)
    if frames:
        body = b"".join(map(frame, body.split(b"\n")))
    damaged.status = draw.choice(_STATUSES)
    headers = dict(case.headers)
    if draw.random() < 0.3:
        headers[draw.choice(_HINTED)] = draw.choice(_HINTS)
    damaged.headers = headers
    damaged.before = before(case)
    size = draw.choice((1 << 20, 4096, 97, 5))
    damaged.pieces = [body[at : at + size] for at in range(0, len(body), size)]


def _window(body: bytes, draw: random.Random) -> bytes:
    """The whole body; of a long one its beginning, a part of the middle, and its end."""
    if len(body) <= _MOST_BYTES:
        return body
    third = _MOST_BYTES // 3
    at = draw.randrange(third, len(body) - third)
    return body[:third] + body[at : at + third] + body[-third:]


def _span(body: bytes, draw: random.Random) -> tuple[int, int]:
    begin = draw.randint(0, len(body))
    return begin, min(len(body), begin + draw.choice((1, 8, 64, 512, 4096)))


def _cut(body: bytes, other: bytes, draw: random.Random) -> bytes:
    return body[: draw.randint(0, len(body))]


def _spliced(body: bytes, other: bytes, draw: random.Random) -> bytes:
    begin, end = _span(other, draw)
    at = draw.randint(0, len(body))
    return body[:at] + other[begin:end] + body[at:]


def _repeated(body: bytes, other: bytes, draw: random.Random) -> bytes:
    begin, end = _span(body, draw)
    times = draw.choice((2, 3, 50))
    return body[:begin] + body[begin:end] * times + body[end:]


def _flipped(body: bytes, other: bytes, draw: random.Random) -> bytes:
    data = bytearray(body)
    for _ in range(draw.choice((1, 3, 30)) if data else 0):
        data[draw.randrange(len(data))] ^= 1 << draw.randrange(8)
    return bytes(data)


def _dropped(body: bytes, other: bytes, draw: random.Random) -> bytes:
    begin, end = _span(body, draw)
    return body[:begin] + body[end:]


def _shuffled(body: bytes, other: bytes, draw: random.Random) -> bytes:
    lines = body.splitlines(keepends=True)
    draw.shuffle(lines)
    return b"".join(lines)


_VALUES = (b"null", b"0", b"-1", b"1e999", b'""', b"[]", b"{}", b"true", b'"\xff"', b"[[[[[[[[[[")


def _retyped(body: bytes, other: bytes, draw: random.Random) -> bytes:
    """Another value where one stands: what follows a colon."""
    places = [found.start() for found in re.finditer(b":", body)]
    if not places:
        return body
    at = draw.choice(places) + 1
    ends = [end for end in (body.find(sign, at) for sign in (b",", b"}", b"]")) if end >= 0]
    return body[:at] + draw.choice(_VALUES) + body[min(ends, default=len(body)) :]


_WAYS: tuple[Callable[[bytes, bytes, random.Random], bytes], ...] = (
    *(_cut, _spliced, _repeated, _flipped, _dropped, _shuffled, _retyped, _retyped),
)
