"""A job over batches is killed at random, again and again; nothing may be asked twice, or lost.

python -m tests.batches.kill_jobs --questions 2000 --kills 100
"""

from __future__ import annotations

import argparse
import json
import random
import sys
import tempfile
import time
from pathlib import Path

import trio

from .far_end import open_far_end

ROOT = Path(__file__).parents[2]
TARGETS = {"openai": "openai:gpt-4o-mini", "anthropic": "anthropic:claude-haiku-4-5"}


async def one_job(kind: str, count: int, source: random.Random, most: int) -> int:
    """A job until it is done; how often it was killed."""
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "out.json"
        async with open_far_end(clock=time.time, looks=6) as far:
            words = [far.url, TARGETS[kind], Path(folder) / "night.db", out, count]
            kills = 0
            while not out.exists():
                process = await trio.lowlevel.open_process(
                    [sys.executable, "-m", "tests.batches.run_job", *map(str, words)], cwd=ROOT
                )
                heard = len(far.seen)
                with trio.move_on_after(60):
                    while len(far.seen) == heard and process.poll() is None:
                        await trio.sleep(0.01)  # it has begun to talk
                with trio.move_on_after(source.random() * 0.6 if kills < most else 60):
                    await process.wait()
                if process.returncode is None:
                    process.kill()
                    kills += 1
                await process.wait()
            texts = json.loads(out.read_text())["texts"]
            assert texts == {str(n): f"You said: question {n}" for n in range(count)}
            assert far.asked == {f"question {n}": 1 for n in range(count)}, far.asked.most_common(3)
            assert not far.live
            return kills


async def main(count: int, kills: int, seed: int) -> None:
    source, done, jobs = random.Random(seed), 0, 0
    while done < kills:
        done += await one_job("openai" if jobs % 2 else "anthropic", count, source, kills - done)
        jobs += 1
    print(f"{jobs} jobs of {count} questions, {done} kills: each was asked once")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--questions", type=int, default=2000)
    parser.add_argument("--kills", type=int, default=100)
    parser.add_argument("--seed", type=int, default=1)
    given = parser.parse_args()
    trio.run(main, given.questions, given.kills, given.seed)
