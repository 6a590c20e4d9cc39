"""Uploads and downloads: pieces, progress, what stands where when something goes wrong."""

from __future__ import annotations

import io
import stat
import tracemalloc
from contextlib import nullcontext
from email import message_from_bytes
from email.policy import HTTP
from itertools import repeat
from pathlib import Path

import pytest
import trio
from hypothesis import given, settings
from hypothesis import strategies as st

from llmmw import Transfer
from llmmw.errors import BadRequest, LLMError, ProtocolError, RateLimited, StreamInterrupted
from llmmw.plugin import Source, open_nursery, source_of
from llmmw.testing import Answer, Received, open_server
from llmmw.wire import open_link
from tests.administration.keeper import CHUNK, KEY, kept


def form_of(received: Received) -> dict[str, tuple[str | None, bytes]]:
    """A form as Python's own reader of mail sees it."""
    head = f"Content-Type: {received.headers['content-type']}\r\n\r\n".encode()
    whole = message_from_bytes(head + received.body, policy=HTTP)
    found = {}
    for part in whole.iter_parts():
        named = part.get_param("name", header="content-disposition")
        found[str(named)] = (part.get_filename(), part.get_payload(decode=True))
    return found


async def fine(received: Received) -> Answer:
    return Answer(body=b"f1")


@settings(max_examples=60, deadline=None)
@given(st.lists(st.binary(max_size=300), max_size=5), st.text("ab\r\n", max_size=5))
def test_a_form_holds_what_was_given_byte_for_byte(pieces: list[bytes], purpose: str) -> None:
    async def main() -> None:
        async with kept(fine) as (client, server):
            heard: list[Transfer] = []
            data = b"".join(pieces)
            sent = await client.files.upload(
                data, name='a "b"\r\n.txt', purpose=purpose, progress=heard.append
            )
        assert sent.id == "f1"
        (received,) = server.requests
        assert int(received.headers["content-length"]) == len(received.body)
        begin = received.body.index(b"octet-stream\r\n\r\n") + len(b"octet-stream\r\n\r\n")
        mark = received.headers["content-type"].partition("boundary=")[2].encode()
        assert received.body[begin:] == data + b"\r\n--" + mark + b"--\r\n"
        assert mark not in data
        assert form_of(received)["file"][0] == "a %22b%22%0D%0A.txt"
        assert heard[0] == Transfer(done=0, total=len(data))
        assert heard[-1] == Transfer(done=len(data), total=len(data))
        assert [one.done for one in heard] == sorted(one.done for one in heard)

    trio.run(main)


async def test_a_file_is_sent_again_from_its_start(tmp_path: Path) -> None:
    keys = iter([KEY, KEY + "-new"])
    answers = iter([Answer(status=401), Answer(body=b"f1")])

    async def answer(received: Received) -> Answer:
        return next(answers)

    path = tmp_path / "rows.bin"
    path.write_bytes(CHUNK * 12)
    async with kept(answer, lambda: next(keys)) as (client, server):
        assert (await client.files.upload(path)).id == "f1"
    one, two = server.requests
    assert CHUNK * 12 in one.body
    assert CHUNK * 12 in two.body
    assert form_of(two)["file"][0] == "rows.bin"


async def test_what_is_busy_is_sent_again_only_where_nothing_was_done(tmp_path: Path) -> None:
    tries = 0

    async def answer(received: Received) -> Answer:
        nonlocal tries
        tries += 1
        return Answer(status=429, headers={"retry-after": "100000"}, body=b"{}")

    async with kept(answer) as (client, _):
        with pytest.raises(RateLimited), trio.move_on_after(30):
            await client.files.upload(b"x", timeout=20)
    assert tries == 1


class Seen(io.BytesIO):
    """An open file that a caller holds."""


def test_all_that_can_be_sent(tmp_path: Path) -> None:
    async def read(source: Source) -> bytes:
        found = b""
        for _ in range(2):  # again from its start
            found = b""
            with source.open() as pieces:
                while piece := await pieces.next_piece():
                    found += piece
        assert source.size == len(found)
        return found

    path = tmp_path / "a.csv"
    path.write_bytes(b"abc")
    held = Seen(b"0123456")
    held.seek(2)
    for file, name, data in [
        (path, "a.csv", b"abc"),
        (str(path), "a.csv", b"abc"),
        (b"xy", "data", b"xy"),
        (bytearray(b"xy"), "data", b"xy"),
        (memoryview(b"xy"), "data", b"xy"),
        (held, "data", b"23456"),
        (path.open("rb"), "a.csv", b"abc"),
        (b"", "data", b""),
    ]:
        source = source_of(file)
        assert source.name == name
        assert trio.run(read, source) == data
        assert source_of(file, "other").name == "other"
        if hasattr(file, "close"):
            assert not file.closed, "what the caller opened stays open"
            file.close()


def test_what_can_not_be_sent_is_refused_with_words(tmp_path: Path) -> None:
    class Pipe(io.RawIOBase):
        def readable(self) -> bool:
            return True

    (tmp_path / "text").write_text("x")
    with (tmp_path / "text").open() as text:
        for file, words in [
            (tmp_path / "none", "none can't be sent: No such file"),
            (tmp_path, "can't be sent: Is a directory"),
            (text, "open it in binary mode"),
            (Pipe(), "can't be told beforehand: save it"),
            (7, "not int"),
            (None, "not NoneType"),
        ]:
            with pytest.raises(BadRequest, match=words):
                source_of(file)


async def test_a_file_that_shrinks_or_goes_away_is_an_error_that_says_so(tmp_path: Path) -> None:
    path = tmp_path / "rows.bin"
    async with kept(fine) as (client, server):
        path.write_bytes(CHUNK * 40)

        def shorten(transfer: Transfer) -> None:
            if transfer.done:
                path.write_bytes(CHUNK)

        with pytest.raises(BadRequest, match=r"rows\.bin has become shorter") as caught:
            await client.files.upload(path, progress=shorten)
        assert KEY not in repr(locals_of(caught.value))
        await server.idle.wait()

        def broken(transfer: Transfer) -> None:
            raise ZeroDivisionError("mine")

        with pytest.raises(ZeroDivisionError, match="mine") as mine:
            await client.files.upload(path, progress=broken)
        assert KEY not in repr(locals_of(mine.value))
        path.write_bytes(b"abc")
        source = source_of(path)
        path.write_bytes(b"abcdef")  # no more is sent than was said
        with source.open() as pieces:
            assert await pieces.next_piece() == b"abc"
            assert await pieces.next_piece() == b""


def locals_of(error: BaseException) -> list[object]:
    """What every frame holds that the error has passed."""
    found: list[object] = []
    step = error.__traceback__
    while step is not None:
        found += [dict(one) for one in (step.tb_frame.f_locals,)]
        step = step.tb_next
    return found


async def test_a_download_stands_in_its_place_when_it_is_whole(tmp_path: Path) -> None:
    reached, go_on = trio.Event(), trio.Event()

    async def pause() -> None:
        reached.set()
        await go_on.wait()

    async def answer(received: Received) -> Answer:
        return Answer(pieces=[CHUNK, pause, CHUNK])

    path = tmp_path / "deep" / "file.bin"
    heard: list[Transfer] = []
    async with kept(answer) as (client, _), trio.open_nursery() as nursery:

        async def download() -> None:
            size = await client.files.download("f", path, progress=heard.append)
            assert size == 2 * len(CHUNK)

        nursery.start_soon(download)
        await reached.wait()
        assert not path.exists()
        go_on.set()
    assert path.read_bytes() == CHUNK * 2
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert heard[-1] == Transfer(done=2 * len(CHUNK), total=None)
    assert [one.name for one in path.parent.iterdir()] == ["file.bin"]


@pytest.mark.usefixtures("eager")
@pytest.mark.parametrize("how", ["cut", "cancelled", "heard", "status"])
async def test_a_download_that_ends_early_leaves_what_stood_there(tmp_path: Path, how: str) -> None:
    begun = trio.Event()

    async def wait() -> None:
        begun.set()
        await trio.sleep_forever()

    async def answer(received: Received) -> Answer:
        if how == "status":
            return Answer(status=404, body=b'{"error": {"message": "no such file"}}')
        if how == "cut":
            return Answer(pieces=[CHUNK], cut=True)
        return Answer(pieces=repeat(CHUNK, 40) if how == "heard" else [CHUNK, wait])

    def hear(transfer: Transfer) -> None:
        if how == "heard":
            raise ZeroDivisionError

    path = tmp_path / "file.bin"
    path.write_bytes(b"before")
    async with kept(answer) as (client, server):
        with trio.CancelScope() as scope:
            async with open_nursery() as nursery:
                if how == "cancelled":
                    nursery.start_soon(cancel_when, begun, scope)
                error = {"cut": StreamInterrupted, "heard": ZeroDivisionError}.get(how, LLMError)
                with pytest.raises(error) if how != "cancelled" else nullcontext():
                    await client.files.download("f", path, progress=hear)
        assert scope.cancelled_caught == (how == "cancelled")
        if how != "status":
            await server.idle.wait()
    assert path.read_bytes() == b"before"
    assert [one.name for one in tmp_path.iterdir()] == ["file.bin"]


async def cancel_when(event: trio.Event, scope: trio.CancelScope) -> None:
    await event.wait()
    scope.cancel()


async def test_a_download_into_an_open_file(tmp_path: Path) -> None:
    async def answer(received: Received) -> Answer:
        return Answer(pieces=[b"ab", b"cd"])

    async with kept(answer) as (client, _):
        held = io.BytesIO()
        assert await client.files.download("f", held) == 4
        assert held.getvalue() == b"abcd"
        assert await client.files.content("f") == b"abcd"
        with pytest.raises(BadRequest, match="can't be written"):
            await client.files.download("f", tmp_path / "file" / "\0")
        with pytest.raises(BadRequest, match="directory can't be written"):
            (tmp_path / "directory").mkdir()
            await client.files.download("f", tmp_path / "directory")
        with pytest.raises(BadRequest, match="can't be written"):
            (tmp_path / "plain").write_bytes(b"")
            await client.files.download("f", tmp_path / "plain" / "below")
        assert sorted(one.name for one in tmp_path.iterdir()) == ["directory", "plain"]


async def test_progress_tells_the_size_where_the_host_does() -> None:
    async def answer(received: Received) -> Answer:
        return Answer(body=CHUNK * 20)

    heard: list[Transfer] = []
    async with kept(answer) as (client, _):
        await client.files.download("f", io.BytesIO(), progress=heard.append)
    assert {one.total for one in heard} == {20 * len(CHUNK)}
    assert heard[-1].done == 20 * len(CHUNK)


async def test_large_files_take_little_memory(tmp_path: Path) -> None:
    count = 1024  # times 64 KiB
    taken = 0

    async def answer(received: Received) -> Answer:
        nonlocal taken
        taken = len(received.body)
        return (
            Answer(pieces=repeat(CHUNK, count)) if received.method == "GET" else Answer(body=b"f")
        )

    path = tmp_path / "large"
    async with kept(answer) as (client, server):
        tracemalloc.start()
        try:
            assert await client.files.download("f", path) == count * len(CHUNK)
            (_, peak) = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
        assert peak < 16 * 2**20, peak
        await client.files.upload(path)
        assert taken > count * len(CHUNK)
        server.requests.clear()


async def test_a_link_is_followed_without_the_key() -> None:
    async def answer(received: Received) -> Answer:
        if received.path == "/gone":
            return Answer(status=410)
        return Answer(body=b"weights")

    async with open_server(answer) as server:
        async with open_link(f"{server.url}/a%2Fb?sign=x%2By&e=1") as reply:
            assert await reply.read() == b"weights"
        (received,) = server.requests
        assert received.path == "/a%2Fb?sign=x%2By&e=1"
        assert "authorization" not in received.headers
        with pytest.raises(LLMError):
            async with open_link(f"{server.url}/gone"):
                pass


@pytest.mark.parametrize("name", ["../x", "/x", "a/../x", "", "a//b", "..\\x", "C:x", "a\0"])
def test_names_that_lead_out_of_the_folder_are_refused(name: str) -> None:
    from llmmw._verbs._download import safe_path

    with pytest.raises(ProtocolError, match="no name within a folder"):
        safe_path(Path("/tmp/folder"), name)
    assert safe_path(Path("f"), "a/b.bin") == Path("f/a/b.bin")
