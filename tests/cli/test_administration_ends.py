"""Commands of administration as processes: what they print when, and how they end."""

from __future__ import annotations

import json
import os
import pty
import signal
from pathlib import Path
from typing import Any

import pytest
import trio

from tests.administration.far_end import Many, open_host

from .shell import Shell, started

pytestmark = pytest.mark.plugins


def long_file(number: int) -> dict[str, Any]:
    """A file's row."""
    return {"id": f"file-{number:05}", "filename": f"{number}.jsonl", "bytes": number}


async def test_rows_are_printed_as_they_come() -> None:
    more, pages = trio.Event(), iter([False, True])

    async def hook(stage: str) -> None:
        if stage == "list" and next(pages):
            await more.wait()

    async with open_host(shelves={"files": Many(150, long_file)}, hook=hook) as host:
        async with started(host, "files", "list") as process:
            assert process.stdout is not None
            told = b""
            while told.count(b"\n") < 101:
                piece = await process.stdout.receive_some()
                assert piece, "it has ended"
                told += piece
            assert told.splitlines()[-1].split()[0] == b"file-00099"
            more.set()
            while piece := await process.stdout.receive_some():
                told += piece
            assert await process.wait() == 0
            assert told.count(b"\n") == 151


async def test_who_reads_no_further_ends_the_command_without_a_traceback() -> None:
    async with open_host(shelves={"files": Many(10_000, long_file)}) as host:
        for words in (("files", "list"), ("files", "list", "--json")):
            host.heard.clear()
            async with started(host, *words) as process:
                assert process.stdout is not None
                assert process.stderr is not None
                assert b"file-" in await process.stdout.receive_some() + (
                    await process.stdout.receive_some()
                )
                await process.stdout.aclose()
                told = b""
                while piece := await process.stderr.receive_some():
                    told += piece
                assert (await process.wait(), told) == (141, b"")
            assert len(host.heard) < 50


async def test_an_interrupt_is_one_message() -> None:
    asked = trio.Event()

    async def hook(stage: str) -> None:
        asked.set()

    async with open_host(looks=1000, hook=hook, files={"file-0": b"{}"}) as host:
        begun = await Shell(host)("fine-tunes", "create", "small", "file-0", "--json")
        async with started(host, "fine-tunes", "wait", begun.rows[0]["id"]) as process:
            await asked.wait()
            process.send_signal(signal.SIGINT)
            assert process.stderr is not None
            told = b""
            while piece := await process.stderr.receive_some():
                told += piece
            assert (await process.wait(), told) == (130, b"\nInterrupted\n")


async def test_progress_is_shown_on_a_terminal_alone(tmp_path: Path) -> None:
    path = tmp_path / "large\x1b.bin"
    path.write_bytes(bytes(3_000_000))
    async with open_host() as host:
        ours, theirs = pty.openpty()
        try:
            async with started(host, "files", "upload", path, "--json", stderr=theirs) as process:
                assert process.stdout is not None
                out = b""
                while piece := await process.stdout.receive_some():
                    out += piece
                assert await process.wait() == 0
            told = os.read(ours, 65536).decode()
        finally:
            os.close(ours)
            os.close(theirs)
        assert json.loads(out)["bytes"] == 3_000_000
        assert "large\ufffd.bin: " in told
        assert "of 3.0 MB" in told
        quiet = await Shell(host)("files", "upload", path)
        assert (quiet.status, quiet.err) == (0, "")
