"""Uploads and downloads of 1 GB, and a list of 10,000 files: memory, and the speed against httpx
alone on the same line. The host is another process.

    python3 tests/benchmarks/bench_files.py
"""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
import tempfile
import time
import tracemalloc
from collections.abc import Awaitable, Callable
from pathlib import Path

import httpx
import trio
from _measure import say

from llmmw import Client

SIZE = 10**9
ROWS, PAGE = 10_000, 100
MB = 2**20


def _page(after: int) -> bytes:
    numbers = range(after + 1, after + PAGE + 1)
    rows = [{"id": f"file-{n}", "filename": "rows.jsonl", "bytes": n} for n in numbers]
    return json.dumps({"data": rows, "has_more": after + PAGE < ROWS}).encode()


async def _serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    piece = bytes(256 * 1024)
    try:
        while head := await reader.readuntil(b"\r\n\r\n"):
            length = 0
            for line in head.lower().split(b"\r\n"):
                if line.startswith(b"content-length:"):
                    length = int(line.partition(b":")[2])
            while length:
                length -= len(await reader.read(min(length, len(piece))))
            if b"/content" in head.split(b"\r\n")[0]:
                writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % SIZE)
                left = SIZE
                while left:
                    writer.write(piece[:left])
                    left -= min(left, len(piece))
                    await writer.drain()
                continue
            body = b'{"id": "file-1", "bytes": %d}' % SIZE
            if head.startswith(b"GET"):
                body = _page(int(head.partition(b"after=file-")[2].split(b" ")[0] or b"0"))
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(body) + body)
            await writer.drain()
    except (asyncio.IncompleteReadError, ConnectionError):
        writer.close()


async def _host() -> None:
    server = await asyncio.start_server(_serve, "127.0.0.1", 0)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


def _peak() -> float:
    """The largest resident memory since the last call, in MB."""
    status = Path("/proc/self/status").read_text()
    high = next(line for line in status.splitlines() if line.startswith("VmHWM"))
    Path("/proc/self/clear_refs").write_text("5")
    return int(high.split()[1]) / 1024


async def _measured(work: Callable[[], Awaitable[object]]) -> tuple[float, float]:
    """Seconds, and MB beyond the start."""
    _peak()
    start = _peak()
    began = time.perf_counter()
    await work()
    return time.perf_counter() - began, _peak() - start


async def _files(url: str, path: Path) -> None:
    options = {"openai": {"base_url": f"{url}/v1", "api_key": "sk-bench"}}
    to = path.with_name("to")
    async with Client("openai:m", stack=[], options=options) as client, httpx.AsyncClient() as bare:
        await client.files.upload(b"warm")

        async def read() -> None:
            async with bare.stream("GET", f"{url}/v1/files/f/content") as answer:
                with to.open("wb") as file:
                    async for piece in answer.aiter_raw():
                        file.write(piece)

        async def write() -> None:
            with path.open("rb") as file:
                await bare.post(f"{url}/v1/files", files={"file": file})

        floor, _ = await _measured(read)
        seconds, more = await _measured(lambda: client.files.download("f", to))
        assert to.stat().st_size == SIZE
        say("download of 1 GB, memory beyond the start", more, 50, "MB")
        say("download of 1 GB, time against httpx alone", seconds / floor, 2, "x")
        floor, _ = await _measured(write)
        seconds, more = await _measured(lambda: client.files.upload(path))
        say("upload of 1 GB, memory beyond the start", more, 50, "MB")
        say("upload of 1 GB, time against httpx alone", seconds / floor, 2, "x")


async def _list(url: str) -> None:
    options = {"openai": {"base_url": f"{url}/v1", "api_key": "sk-bench"}}
    peaks = []
    async with Client("openai:m", stack=[], options=options) as client:
        await client.files.list(limit=PAGE)
        for limit in (PAGE, ROWS):
            tracemalloc.start()
            count = 0
            async for _ in client.files.list(limit=limit):
                count += 1
            peaks.append(tracemalloc.get_traced_memory()[1])
            tracemalloc.stop()
        assert count == ROWS
        tracemalloc.start()
        assert len(await client.files.list()) == ROWS
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    # The second holds what httpx leaves in circles, too, until the collector comes by.
    say("10,000 files one by one, against one page of 100", peaks[1] / peaks[0], 3, "x")
    say("10,000 files one by one, against all at once", peaks[1] / peaks[2], 0.1, "x")


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "from"
        with path.open("wb") as file:
            for _ in range(SIZE // 10**7):
                file.write(os.urandom(10**7))
        command = [sys.executable, __file__, "host"]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as host:
            assert host.stdout is not None
            url = f"http://127.0.0.1:{host.stdout.readline().strip()}"
            trio.run(_files, url, path)
            trio.run(_list, url)
            host.kill()


if __name__ == "__main__":
    if sys.argv[1:] == ["host"]:
        asyncio.run(_host())
    else:
        main()
