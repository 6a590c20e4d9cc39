"""What can be sent: pipes, closed files, odd names, long bytes; and the form that it goes in."""

from __future__ import annotations

import io
import os
import threading
import traceback
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from llmmw import Client, Transfer
from llmmw._secret import Secret
from llmmw.errors import BadRequest, ConnectionFailed, LLMError
from llmmw.plugin import Source, source_of
from llmmw.testing import Answer, Received, cassette
from tests.administration.keeper import CHUNK, KEY, keeper_at, kept, open_files


async def fine(received: Received) -> Answer:
    return Answer(body=b"f1")


def test_a_pipe_without_a_writer_holds_nothing_up(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    told: list[BaseException] = []

    def look() -> None:
        try:
            source_of(pipe)
        except BadRequest as error:
            told.append(error)

    thread = threading.Thread(target=look, daemon=True)
    thread.start()
    thread.join(10)
    assert [str(one) for one in told] == [
        f"the size of {pipe} can't be told beforehand: save it as a file first"
    ]


async def test_open_files_that_can_not_be_sent_are_refused_with_words(tmp_path: Path) -> None:
    class Bare:
        def read(self, size: int) -> bytes:
            return b""

    class Text(io.BytesIO):
        def read(self, size: int | None = -1) -> Any:
            return super().read(size).decode()

    closed = io.BytesIO(b"x")
    closed.close()
    read, write = os.pipe()
    with os.fdopen(read, "rb") as pipe, os.fdopen(write, "wb"):
        for file, words in [
            (closed, r"data can't be sent: .*closed file"),
            (Bare(), "can't be told beforehand"),
            (pipe, "can't be told beforehand"),
        ]:
            with pytest.raises(BadRequest, match=words):
                source_of(file)
    with pytest.raises(BadRequest, match="can't be sent: embedded null"):
        source_of("a\0b")
    async with kept(fine) as (client, _):
        with pytest.raises(BadRequest, match="data gave a str: open it in binary mode"):
            await client.files.upload(Text(b"abc"))
        held = io.BytesIO(CHUNK * 20)

        def close(transfer: Transfer) -> None:
            if transfer.done:
                held.close()

        with pytest.raises(BadRequest, match=r"data can't be read: .*closed file"):
            await client.files.upload(held, progress=close)


@pytest.mark.parametrize("pieces", [[CHUNK * 40], [b"ab"] * 500_000, [b"", b"x", b""], []])
async def test_pieces_in_memory_are_sent_in_pieces_of_one_size(pieces: list[bytes]) -> None:
    source = Source.of_pieces("rows", pieces)
    found = []
    with source.open() as reading:
        while piece := await reading.next_piece():
            found.append(piece)
    assert b"".join(found) == b"".join(pieces)
    assert max(map(len, found), default=0) <= 512 * 1024
    assert len(found) <= source.size // (256 * 1024) + 1, "none is too small to be worth a write"


async def test_a_name_that_is_no_utf_8_is_sent_with_question_marks(tmp_path: Path) -> None:
    path = Path(os.fsdecode(os.fsencode(tmp_path) + b"/a\xff\xc3\xa4.txt"))
    path.write_bytes(b"x")
    async with kept(fine) as (client, server):
        await client.files.upload(path)
    assert 'filename="a?ä.txt"'.encode() in server.requests[0].body


async def test_a_form_says_itself_what_it_is_whatever_headers_are_given() -> None:
    headers = {"content-type": "application/json", "Content-Length": "3", "x-mine": "1"}
    async with kept(fine, headers=headers) as (client, server):
        await client.files.upload(b"abc")
    (received,) = server.requests
    assert received.headers["content-type"].startswith("multipart/form-data; boundary=")
    assert int(received.headers["content-length"]) == len(received.body)
    assert received.headers["x-mine"] == "1"


async def test_what_progress_raises_is_told_with_its_place_and_without_the_key() -> None:
    def broken(transfer: Transfer) -> None:
        raise ZeroDivisionError("mine")

    async with kept(fine) as (client, _):
        with pytest.raises(ZeroDivisionError) as caught:
            await client.files.upload(b"abc", progress=broken)
    told = traceback.TracebackException.from_exception(caught.value, capture_locals=True)
    assert told.stack[-1].name == "broken"
    assert KEY not in "".join(told.format())


async def test_progress_may_be_none() -> None:
    async with kept(fine) as (client, _):
        assert (await client.files.upload(b"abc", progress=None)).id == "f1"
        assert await client.files.download("f", io.BytesIO(), progress=None) == 2


async def test_a_host_that_answers_before_all_was_sent(tmp_path: Path) -> None:
    path = tmp_path / "large"
    path.write_bytes(CHUNK * 64)

    async def answer(received: Received) -> Answer:
        return Answer(status=413, body=b'{"error": {"message": "too large"}}')

    async with kept(answer) as (client, _):
        with pytest.raises(BadRequest, match="too large") as caught:
            await client.files.upload(path)
        assert type(caught.value) is BadRequest, "it was no prompt"
        assert str(path) not in open_files()


async def test_an_upload_is_replayed_from_a_cassette(tmp_path: Path) -> None:
    for mode in ("record", "replay"):
        with cassette(tmp_path / "tape.json", mode=mode) as tape:  # type: ignore[arg-type]
            async with kept(fine) as (client, server):
                if mode == "replay":
                    for call in tape.calls:  # of a server that is gone, at another port
                        call["request"]["url"] = f"{server.url}/files"
                assert (await client.files.upload(b"abc", name="a.txt")).id == "f1"
            assert len(server.requests) == (mode == "record")


@pytest.mark.parametrize("id", ["..", ".", "../x", "a/../b", "/x"])
async def test_an_id_does_not_lead_out_of_its_path(id: str) -> None:
    async with kept(fine) as (client, server):
        with pytest.raises(BadRequest, match="leads elsewhere"):
            await client.files.get(id)
        assert not server.requests


@pytest.mark.parametrize("how", ["reset", "status", "late", "shrinks", "heard"])
async def test_no_error_of_an_upload_holds_the_key(tmp_path: Path, how: str) -> None:
    path = tmp_path / "rows"
    path.write_bytes(CHUNK * 12)

    async def answer(received: Received) -> Answer:
        if how == "late":
            await trio.sleep_forever()
        return Answer(reset=True) if how == "reset" else Answer(status=400)

    def hear(transfer: Transfer) -> None:
        if transfer.done and how == "shrinks":
            path.write_bytes(b"")
        if transfer.done and how == "heard":
            raise ZeroDivisionError

    async with kept(answer, headers={"x-second": Secret(KEY + "-2")}) as (client, _):
        with pytest.raises((LLMError, ZeroDivisionError)) as caught:
            await client.files.upload(path, progress=hear, timeout=0.2 if how == "late" else None)
    told = traceback.TracebackException.from_exception(caught.value, capture_locals=True)
    assert KEY not in "".join(told.format())


def test_a_host_that_takes_no_more_does_not_hold_an_upload_for_ever() -> None:
    clock = MockClock()

    async def deaf(stream: trio.SocketStream) -> None:
        await trio.sleep_forever()

    async def main() -> None:
        async with trio.open_nursery() as nursery:
            listeners = await nursery.start(partial(trio.serve_tcp, deaf, 0, host="127.0.0.1"))
            host = keeper_at(f"http://127.0.0.1:{listeners[0].socket.getsockname()[1]}")
            async with Client("keeper:m", stack=[], providers=[host]) as client:

                async def jump() -> None:
                    await wait_all_tasks_blocked()
                    clock.jump(121)

                nursery.start_soon(jump)
                with pytest.raises(ConnectionFailed):
                    await client.files.upload(CHUNK * 1000)
            nursery.cancel_scope.cancel()

    trio.run(main, clock=clock)
