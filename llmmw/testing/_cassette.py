"""Record and replay: what hosts answered once, again and again, without network or key."""

from __future__ import annotations

import base64
import os
import stat
import tempfile
import zlib
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Literal, TypeAlias

import attrs
import httpx
import orjson

from llmmw.errors import ConfigError
from llmmw.wire._tape import TAPE, Send

__all__ = ["Cassette", "NotRecorded", "cassette"]

Mode: TypeAlias = Literal["replay", "record", "auto"]
_FORMAT = "llmmw-cassette-1"
_KEPT = (
    *("content-type", "retry-after", "retry-after-ms", "x-should-retry", "x-request-id"),
    *("request-id", "apim-request-id", "x-amzn-requestid", "x-amzn-errortype", "cf-ray"),
    *("mistral-correlation-id", "x-debug-trace-id"),
)
_KEPT_BEGINNINGS = ("x-ratelimit-", "anthropic-ratelimit-", "ratelimit")
"""Headers of answers that are kept: what providers read. Of requests, none is."""
_LEFT = "the reader had left"
_READABLE = ("", "identity", "gzip", "x-gzip")
"""Codings in which a key is found. A body in another, which no provider reads, is not kept."""


class NotRecorded(Exception):
    """The cassette has no such call. It is no error of the line, so that no retry or fallback
    takes it for one."""


@attrs.define(eq=False)
class Cassette:
    """Calls over HTTP as they were recorded. Stands below all providers made of `llmmw.wire`.

    Args:
        path: the file, for messages.
        calls: what was recorded: plain data.
        needs_key: whether it records, and so calls really leave.
        ordered: whether calls are replayed in the order of the recording alone.
        scrub: takes further private things out of each text before it is kept.
    """

    path: Path
    calls: list[dict[str, Any]]
    needs_key: bool
    ordered: bool = False
    scrub: Callable[[str], str] = attrs.field(default=str, repr=False)
    _played: set[int] = attrs.field(factory=set, init=False)

    @property
    def left(self) -> int:
        """How many recorded calls were not replayed yet."""
        return 0 if self.needs_key else len(self.calls) - len(self._played)

    async def send(
        self, request: httpx.Request, send: Send, scrub: Callable[[str], str]
    ) -> httpx.Response:
        """Record a call, or replay it. Called by `llmmw.wire.Http`."""

        def clean(text: str) -> str:
            return self.scrub(scrub(text))

        asked = _asked(request, clean)
        if self.needs_key:
            return await self._record(request, asked, send, clean)
        return self._replay(request, asked)

    async def _record(
        self, request: httpx.Request, asked: dict[str, Any], send: Send, clean: Callable[[str], str]
    ) -> httpx.Response:
        request.headers["Accept-Encoding"] = "identity"  # so that people can read what is kept
        call: dict[str, Any] = {"request": asked}
        self.calls.append(call)
        try:
            answer = await send()
        except httpx.TransportError as error:
            call["broken"] = _broken(error, clean)
            raise
        except BaseException:
            call["broken"] = {"kind": "ReadError", "why": _LEFT}
            raise
        call["status"] = answer.status_code
        headers = {name.lower(): text for name, text in answer.headers.items()}
        call["headers"] = {name: clean(text) for name, text in headers.items() if _is_kept(name)}
        assert isinstance(answer.stream, httpx.AsyncByteStream)
        coding = headers.get("content-encoding", "").strip().lower()
        if coding not in _READABLE:
            call["headers"]["content-encoding"] = clean(coding)
        answer.stream = _Recorded(answer.stream, call, coding, clean)
        return answer

    def _replay(self, request: httpx.Request, asked: dict[str, Any]) -> httpx.Response:
        call = self._find(asked)
        broken = call.get("broken")
        if "status" not in call:
            raise _error(broken or {})
        return httpx.Response(
            call["status"],
            headers=call["headers"],
            stream=_Replayed(call["pieces"], broken),
            request=request,
        )

    def _find(self, asked: dict[str, Any]) -> dict[str, Any]:
        waiting = [at for at in range(len(self.calls)) if at not in self._played]
        for at in waiting[:1] if self.ordered else waiting:
            if self.calls[at]["request"] == asked:
                self._played.add(at)
                return self.calls[at]
        raise NotRecorded(self._missing(asked, waiting))

    def _missing(self, asked: dict[str, Any], waiting: list[int]) -> str:
        what = f"{asked['method']} {asked['url']}"
        why = f"none of the {len(waiting)} calls left is one"
        if not waiting:
            why = f"all its {len(self.calls)} calls were replayed"
        else:
            same = [self.calls[at]["request"] for at in waiting]
            if self.ordered:
                same = same[:1]
                why = f"the next one is {same[0]['method']} {same[0]['url']}"
            same = [one for one in same if one["url"] == asked["url"]]
            if same:
                why = f"{_difference(same[0]['body'], asked['body'])} in the next call to there"
        return (
            f"{self.path} has no call {what} with this body: {why}; "
            'record it anew with mode="record"'
        )


@contextmanager
def cassette(
    path: str | Path,
    mode: Mode = "auto",
    *,
    ordered: bool = False,
    scrub: Callable[[str], str] = str,
) -> Iterator[Cassette]:
    """Record calls over HTTP into a file, or replay them from it, as long as the block runs.

    It holds for all providers made of `llmmw.wire`, and for whatever is started within the block:
    open the client there. Recording really calls. Replaying reaches no host and needs no key; it
    answers each call by the first recorded one of the same host, path and body that was not
    replayed yet, with the same pieces, errors and breaks of the line.

    The file is JSON that people can read, of mode 0600, written when the block ends well. No
    header of a request is kept, of an answer those that providers read, and no trace of a key.

    Args:
        path: the file.
        mode: `replay`; `record`, which replaces the file; or `auto`: replay if it is there.
        ordered: replay calls in the order of the recording alone, which is only sure where no
            two of them are under way at the same time.
        scrub: a function that takes private things, as the names of accounts, out of a text
            before it is kept; keys are out already. It sees addresses, bodies and headers as they
            travel, where JSON may have its own way to write a letter beyond ASCII.

    Raises:
        ConfigError: if the file is not there to be replayed, or is no cassette.
        NotRecorded: from a call that is not in the cassette.
    """
    path = Path(path)
    records = mode == "record" or (mode == "auto" and not path.exists())
    if mode not in {"replay", "record", "auto"}:
        raise ConfigError(f"mode={mode!r}: expected replay, record or auto")
    tape = Cassette(path, [] if records else _read(path), records, ordered, scrub)
    before = TAPE.set(tape)
    try:
        yield tape
    finally:
        TAPE.reset(before)
    if records:
        _write(path, tape.calls)


class _Recorded(httpx.AsyncByteStream):
    """The body of an answer, noted as it is read."""

    def __init__(
        self,
        stream: httpx.AsyncByteStream,
        call: dict[str, Any],
        coding: str,
        clean: Callable[[str], str],
    ) -> None:
        self._stream, self._call, self._coding, self._clean = stream, call, coding, clean
        self._pieces: list[bytes] = []
        self._closed = False
        self._broken: dict[str, str] | None = {"kind": "ReadError", "why": _LEFT}
        self._note()

    async def __aiter__(self) -> AsyncIterator[bytes]:
        try:
            async for piece in self._stream:
                self._pieces.append(piece)
                yield piece
            if not self._closed:
                self._broken = None
        except httpx.TransportError as error:
            self._broken = _broken(error, self._clean)
            raise
        finally:
            self._note()

    async def aclose(self) -> None:
        self._closed = True
        await self._stream.aclose()

    def _note(self) -> None:
        self._call["pieces"] = _kept(_unpacked(self._pieces, self._coding), self._clean)
        if self._broken is None:
            self._call.pop("broken", None)
        else:
            self._call["broken"] = self._broken


class _Replayed(httpx.AsyncByteStream):
    def __init__(self, pieces: list[Any], broken: Mapping[str, str] | None) -> None:
        self._pieces, self._broken = pieces, broken

    async def __aiter__(self) -> AsyncIterator[bytes]:
        for piece in self._pieces:
            yield _bytes(piece)
        if self._broken is not None:
            raise _error(self._broken)


def _is_kept(name: str) -> bool:
    return name in _KEPT or name.startswith(_KEPT_BEGINNINGS)


def _asked(request: httpx.Request, clean: Callable[[str], str]) -> dict[str, Any]:
    """What a request is, without its headers."""
    url = request.url.copy_with(username=None, password=None)
    told = request.content.decode("utf-8", "replace")
    mark = request.headers.get("Content-Type", "").partition("; boundary=")[2]
    body: Any = clean(told.replace(mark, "boundary") if mark else told)  # it is another each time
    with suppress(orjson.JSONDecodeError):
        body = orjson.loads(body)
    return {"method": request.method, "url": clean(str(url)), "body": body}


def _unpacked(pieces: list[bytes], coding: str) -> list[bytes]:
    """The pieces as they were before a host compressed them, though asked not to."""
    if coding not in _READABLE:
        return [b"left out"]
    if "gzip" not in coding:
        return pieces
    unpacker = zlib.decompressobj(16 + zlib.MAX_WBITS)
    with suppress(zlib.error):
        return [plain for piece in pieces if (plain := unpacker.decompress(piece))]
    return []


def _kept(pieces: list[bytes], clean: Callable[[str], str]) -> list[Any]:
    """The pieces as JSON has them. A secret may lie across several: then they become one."""
    joined = b"".join(pieces)
    code = "latin-1" if _text(joined) is None else "utf-8"  # of which any bytes are some text
    whole = joined.decode(code)
    cleaned = clean(whole)
    if cleaned != whole:
        pieces = [cleaned.encode(code, "replace")]
    kept = [_text(piece) for piece in pieces]
    return kept if all(isinstance(piece, str) for piece in kept) else _joined(pieces)


def _text(piece: bytes) -> str | None:
    try:
        return piece.decode()
    except UnicodeDecodeError:
        return None


def _joined(pieces: list[bytes]) -> list[Any]:
    return [
        {"base64": base64.b64encode(piece).decode()} if _text(piece) is None else _text(piece)
        for piece in pieces
    ]


def _bytes(piece: Any) -> bytes:
    return piece.encode() if isinstance(piece, str) else base64.b64decode(piece["base64"])


def _broken(error: httpx.TransportError, clean: Callable[[str], str]) -> dict[str, str]:
    return {"kind": type(error).__name__, "why": clean(str(error))}


def _error(broken: Mapping[str, str]) -> httpx.TransportError:
    kind = getattr(httpx, broken.get("kind", ""), httpx.ReadError)
    told = kind(f"{broken.get('why') or 'the line broke'}, when recorded")
    assert isinstance(told, httpx.TransportError)
    return told


def _difference(recorded: Any, asked: Any) -> str:
    if not isinstance(recorded, dict) or not isinstance(asked, dict):
        return "another body is"
    names = sorted(recorded.keys() | asked.keys())
    other = [name for name in names if recorded.get(name, ...) != asked.get(name, ...)]
    return f"{', '.join(other)} differs" if other else "another method is"


def _read(path: Path) -> list[dict[str, Any]]:
    try:
        told = orjson.loads(path.read_bytes())
        if told["format"] == _FORMAT:
            calls: list[dict[str, Any]] = told["calls"]
            return calls
    except FileNotFoundError:
        raise ConfigError(f'{path} is not there: record it with mode="record"') from None
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise ConfigError(f"{path} can't be read as a cassette: {error}") from error
    raise ConfigError(f"{path} is no cassette of this version: record it anew")


def _write(path: Path, calls: list[dict[str, Any]]) -> None:
    """All or nothing, and readable by its owner alone."""
    data = orjson.dumps({"format": _FORMAT, "calls": calls}, option=orjson.OPT_INDENT_2)
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, written = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(data + b"\n")
        Path(written).chmod(stat.S_IRUSR | stat.S_IWUSR)
        Path(written).replace(path)
    except BaseException:
        Path(written).unlink(missing_ok=True)
        raise
