"""Where downloads stand: links, long names, devices; and what a transfer leaves that is cancelled
anywhere."""

from __future__ import annotations

import io
import math
import os
from collections.abc import Awaitable, Callable
from pathlib import Path

import attrs
import pytest
import trio
from trio.testing import wait_all_tasks_blocked

from llmmw import Client, Transfer
from llmmw._verbs._download import save
from llmmw.errors import BadRequest, Overloaded, StreamInterrupted
from llmmw.testing import Answer, Received, run_virtual
from tests.administration.keeper import CHUNK, kept, open_files


async def two(received: Received) -> Answer:
    if received.method == "POST":
        return Answer(body=b"f1")
    return Answer(pieces=[CHUNK, CHUNK])


async def test_a_name_as_long_as_names_may_be(tmp_path: Path) -> None:
    path = tmp_path / ("x" * 255)
    async with kept(two) as (client, _):
        await client.files.download("f", path)
    assert path.stat().st_size == 2 * len(CHUNK)


async def test_a_link_stays_and_what_it_leads_to_is_replaced(tmp_path: Path) -> None:
    (tmp_path / "below").mkdir()
    for name in ("there", "not yet"):
        (tmp_path / name).symlink_to(Path("below") / name)
    (tmp_path / "below" / "there").write_bytes(b"before")
    async with kept(two) as (client, _):
        for name in ("there", "not yet"):
            await client.files.download("f", tmp_path / name)
            assert (tmp_path / name).is_symlink()
            assert (tmp_path / "below" / name).read_bytes() == CHUNK * 2


async def test_what_is_no_file_is_refused_before_anything_is_read(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    circle = tmp_path / "circle"
    circle.symlink_to(circle)
    heard: list[Transfer] = []
    async with kept(two) as (client, _):
        for to in (pipe, tmp_path, "", circle, tmp_path / ("x" * 256)):
            with pytest.raises(BadRequest, match="can't be written"):
                await client.files.download("f", to, progress=heard.append)
        for other in (7, None, io.StringIO()):
            with pytest.raises(BadRequest, match="a path or an open binary file"):
                await client.files.download("f", other)  # type: ignore[arg-type]
    assert not heard
    assert pipe.is_fifo()
    assert {one.name for one in tmp_path.iterdir()} == {"pipe", "circle"}


@pytest.mark.parametrize("error", [OSError(5, "of the bar"), ValueError("of the bar")])
async def test_what_progress_raises_is_not_the_file_s_fault(
    tmp_path: Path, error: Exception
) -> None:
    def hear(transfer: Transfer) -> None:
        if transfer.done:
            raise error

    async with kept(two) as (client, _):
        with pytest.raises(type(error), match="of the bar") as caught:
            await client.files.download("f", tmp_path / "file", progress=hear)
    assert caught.value is error
    assert not list(tmp_path.iterdir())


async def test_an_empty_file_is_a_file_and_is_told(tmp_path: Path) -> None:
    async def answer(received: Received) -> Answer:
        return Answer(body=b"")

    heard: list[Transfer] = []
    async with kept(answer) as (client, _):
        assert await client.files.download("f", tmp_path / "e", progress=heard.append) == 0
        assert await client.files.content("f") == b""
    assert (tmp_path / "e").read_bytes() == b""
    assert heard == [Transfer(done=0, total=0)]


async def test_a_file_that_takes_a_part_at_once_gets_all() -> None:
    class Slow(io.RawIOBase):
        taken = b""

        def writable(self) -> bool:
            return True

        def write(self, data: bytes) -> int:  # type: ignore[override]
            self.taken += data[:50_000]
            return len(data[:50_000])

    slow = Slow()
    async with kept(two) as (client, _):
        assert await client.files.download("f", slow) == 2 * len(CHUNK)
    assert slow.taken == CHUNK * 2


@pytest.mark.usefixtures("eager")
async def test_what_reads_is_fetched_again_but_written_into_an_open_file_once(
    tmp_path: Path,
) -> None:
    bad = [Answer(status=503), Answer(pieces=[CHUNK], cut=True)]
    left: list[Answer] = []

    async def answer(received: Received) -> Answer:
        return left.pop(0) if left else Answer(body=b"whole")

    heard: list[int] = []
    async with kept(answer) as (client, server):
        left += bad
        assert await client.files.content("f") == b"whole"
        left += bad
        hear = lambda transfer: heard.append(transfer.done)  # noqa: E731
        assert await client.files.download("f", tmp_path / "file", progress=hear) == 5
        assert heard[-2:] == [0, 5], "told from the start again"
        assert len(server.requests) == 6
        held = io.BytesIO()
        left += bad[1:]
        with pytest.raises(StreamInterrupted):
            await client.files.download("f", held)
        left += bad[:1]
        with pytest.raises(Overloaded):
            await client.files.download("f", held)
        assert len(server.requests) == 8
    assert [one.name for one in tmp_path.iterdir()] == ["file"]


async def test_pieces_that_were_given_up_do_not_look_like_the_end() -> None:
    begun = trio.Event()

    async def wait() -> None:
        begun.set()
        await trio.sleep_forever()

    async def answer(received: Received) -> Answer:
        return Answer(pieces=[CHUNK, wait])

    async with kept(answer) as (client, _), client.files.open("f") as pieces:
        size = 0
        while size < len(CHUNK):
            size += len(await pieces.next_piece())
        with trio.CancelScope() as scope:
            await begun.wait()
            scope.cancel()
            await pieces.next_piece()
        for _ in range(2):
            with pytest.raises(StreamInterrupted, match="given up"):
                await pieces.next_piece()


def test_a_host_that_sends_no_more_does_not_hold_a_download_for_ever() -> None:
    class Stalled:
        size = None
        left = [b"ab", b"cd"]  # noqa: RUF012

        async def next_piece(self) -> bytes:
            await trio.sleep(100 if self.left else math.inf)
            return self.left.pop(0)

    async def main() -> None:
        with pytest.raises(StreamInterrupted, match="nothing has come for 120 s"):
            await save(Stalled(), io.BytesIO(), lambda transfer: None)
        assert trio.current_time() == 320

    run_virtual(main)


@attrs.define(eq=False)
class CancelAt(trio.abc.Instrument):
    """Cancels the work of the task that enters it, when that has run for so many steps."""

    left: int
    scope: trio.CancelScope = attrs.field(factory=trio.CancelScope)
    _task: object = None

    def before_task_step(self, task: trio.lowlevel.Task) -> None:
        if task is self._task:
            self.left -= 1
            if self.left == 0:
                self.scope.cancel()

    async def run(self, do: Callable[[], Awaitable[object]]) -> bool:
        """Whether it was cancelled before it was done."""
        self._task = trio.lowlevel.current_task()
        trio.lowlevel.add_instrument(self)
        done = False
        try:
            with self.scope:
                await do()
                done = True
        finally:
            trio.lowlevel.remove_instrument(self)
        return not done


@pytest.mark.parametrize("which", ["download", "upload"])
async def test_a_transfer_may_be_cancelled_anywhere(tmp_path: Path, which: str) -> None:
    path = tmp_path / "file"
    old = b"before" if which == "download" else CHUNK * 12

    def verb(client: Client) -> Callable[[], Awaitable[object]]:
        if which == "download":
            return lambda: client.files.download("f", path)
        return lambda: client.files.upload(path)

    cancelled, step = True, 0
    async with kept(two) as (client, server):
        await client.files.content("f")
        while cancelled:
            path.write_bytes(old)
            step += 1
            before = open_files()
            cancelled = await CancelAt(step).run(verb(client))
            assert open_files() == before
            assert [one.name for one in tmp_path.iterdir()] == ["file"]
            if which == "download":
                assert path.read_bytes() in ({old, CHUNK * 2} if cancelled else {CHUNK * 2})
            await wait_all_tasks_blocked(0.01)
            assert server.alive <= 1, "one may be kept for the next"
    assert step > 8, "it waits at many places"
