"""Four processes write into one file while they are killed at random; nothing that was committed
may be lost, nothing may be wrong.

python3 -m tests.stores.kill_writers --entries 100000 --kills 200
"""

from __future__ import annotations

import argparse
import hashlib
import os
import random
import signal
import sqlite3
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import trio

from llmmw._store import opened
from llmmw._tasks import open_host
from llmmw.stores import SqliteStore

WRITERS = 4


def value_of(key: str) -> bytes:
    digest = hashlib.blake2b(key.encode()).digest()
    return digest * (1 + digest[0] // 8)


async def write(path: str, log: str, name: str, start: int, count: int) -> None:
    """Write entries, and note how many are safe; then the same again, until it is killed."""
    async with open_host() as host:
        store = await opened(host, SqliteStore(path, memory=0))
        file = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        source = random.Random()
        for _ in range(source.randrange(20) if start else 0):  # what earlier lives have written
            key = f"{name}-{source.randrange(start)}"
            found = await store.get(key)
            assert found is not None, key
            assert found.value == value_of(key), key
        os.write(file, b"up\n")
        done, safe = start, start
        while done < start + count:
            upto = min(done + source.randrange(1, 40), start + count)
            for number in range(done, upto):
                await store.put(f"{name}-{number}", value_of(f"{name}-{number}"))
            if source.random() < 0.8:
                await store.flush()
                os.write(file, b"%d\n" % upto)
                safe = upto
            done = upto
        await store.flush()
        if safe < done:
            os.write(file, b"%d\n" % done)
        while "--endless" in sys.argv:
            number = source.randrange(start, start + count)
            await store.put(f"{name}-{number}", value_of(f"{name}-{number}"))
            await store.flush()


def safe_in(log: Path) -> tuple[int, bool]:
    """How many entries a writer has said to be safe, and whether it is up."""
    rows = log.read_bytes().split(b"\n")[:-1] if log.exists() else []
    numbers = [int(row) for row in rows if row != b"up"]
    return max(numbers, default=0), b"up" in rows


class Writer:
    """A process that writes its own part, in lives that are ended."""

    def __init__(self, folder: Path, number: int, quota: int, life: int) -> None:
        self.path, self.name = folder / "cache.db", f"w{number}"
        self.quota, self.life = quota, life
        self.log = folder / f"{self.name}.log"
        self.lives = 0
        self.process: subprocess.Popen[bytes] | None = None

    def start(self, endless: bool) -> None:
        done, _ = safe_in(self.log)
        self.lives += 1
        self.mark = self.log.read_bytes().count(b"up") if self.log.exists() else 0
        count = min(self.life if endless else self.quota, self.quota - done)
        command = [sys.executable, "-m", "tests.stores.kill_writers", "--write", str(self.path)]
        command += [str(self.log), self.name, str(done), str(count)]
        self.process = subprocess.Popen(command + (["--endless"] if endless and count else []))

    def is_up(self) -> bool:
        return self.log.exists() and self.log.read_bytes().count(b"up") > self.mark

    def kill(self) -> None:
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()


def run(folder: Path, entries: int, kills: int, seed: int = 0) -> dict[str, int]:
    """The whole of it; what was found at the end."""
    source = random.Random(seed)
    quota = entries // WRITERS
    life = max(1, 2 * entries // max(1, kills))
    writers = [Writer(folder, number, quota, life) for number in range(WRITERS)]
    try:
        for writer in writers:
            writer.start(kills > 0)
        killed = 0
        due = dict.fromkeys(writers, 0.0)
        while killed < kills:
            time.sleep(0.005)
            for writer in writers:
                assert writer.process.poll() in {None, 0}, f"{writer.name} failed by itself"
                if not writer.is_up():
                    continue
                if not due[writer]:
                    due[writer] = time.monotonic() + source.uniform(0, 0.4)
                elif time.monotonic() >= due[writer] and killed < kills:
                    writer.kill()
                    killed += 1
                    due[writer] = 0.0
                    writer.start(killed < kills)
        for writer in writers:
            writer.kill()
            writer.start(False)
        for writer in writers:
            assert writer.process.wait() == 0
    finally:
        for writer in writers:
            writer.kill()
    return {"kills": killed, **judge(folder, writers)}


def judge(folder: Path, writers: list[Writer]) -> dict[str, int]:
    """What is in the file, against what was said to be safe."""
    db = sqlite3.connect(folder / "cache.db")
    (sound,) = db.execute("PRAGMA integrity_check").fetchone()
    rows = dict(db.execute("SELECT key, value FROM entries"))
    db.close()
    safe = [f"{w.name}-{k}" for w in writers for k in range(safe_in(w.log)[0])]
    return {
        "entries": len(rows),
        "safe": len(safe),
        "lost": sum(key not in rows for key in safe),
        "wrong": sum(value != value_of(key) for key, value in rows.items()),
        "damaged": len(list(folder.glob("*damaged*"))) + (sound != "ok"),
        "lives": sum(writer.lives for writer in writers),
    }


def main() -> None:
    if sys.argv[1:2] == ["--write"]:
        path, log, name, start, count = sys.argv[2:7]
        trio.run(write, path, log, name, int(start), int(count))
        return
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--entries", type=int, default=100_000)
    parser.add_argument("--kills", type=int, default=200)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        started = time.monotonic()
        print(run(Path(folder), given.entries, given.kills), f"{time.monotonic() - started:.0f} s")


if __name__ == "__main__":
    main()
