"""A job over batches that is killed at each stage: the next run finds what there is, asks nothing
twice and loses nothing."""

from __future__ import annotations

import json
import random
import stat
import subprocess
import sys
import time
from pathlib import Path

import pytest
import trio

from llmmw import BatchApi, Client

from .far_end import KEY, FarEnd, open_far_end, options_for
from .kill_jobs import one_job

pytestmark = pytest.mark.plugins

ROOT = Path(__file__).parents[2]
COUNT = 7
STAGES = {
    "openai": ("uploaded", "create", "created", "poll", "results"),
    "anthropic": ("create", "created", "poll", "results"),
}
TARGETS = {"openai": "openai:gpt-4o-mini", "anthropic": "anthropic:claude-haiku-4-5"}


async def run_until(far: FarEnd, kind: str, folder: Path, stage: str | None) -> int:
    """Run the job; at this stage it is killed, before its host answers. Its exit status."""
    words = [far.url, TARGETS[kind], folder / "night.db", folder / "out.json", COUNT]
    process = await trio.lowlevel.open_process(
        [sys.executable, "-m", "tests.batches.run_job", *map(str, words)],
        cwd=ROOT,
        stderr=subprocess.PIPE,
    )
    met = False

    async def hook(at: str) -> None:
        nonlocal met
        if at == stage and not met:
            met = True
            process.kill()
            await process.wait()
            if at in {"upload", "create"}:
                await trio.sleep_forever()  # until the line breaks: the host has not taken it

    far.hook = hook
    with trio.fail_after(60):
        assert process.stderr is not None
        said = b"".join([piece async for piece in process.stderr])
        status = await process.wait()
    assert met == (stage is not None), (stage, said.decode())
    assert status == (-9 if stage else 0), said.decode()
    return status


@pytest.mark.parametrize("kind", list(STAGES))
async def test_a_job_that_is_killed_at_each_stage_asks_nothing_twice(
    kind: str, tmp_path: Path
) -> None:
    async with open_far_end(clock=time.time) as far:
        for stage in STAGES[kind]:
            await run_until(far, kind, tmp_path, stage)
        assert not (tmp_path / "out.json").exists()
        await run_until(far, kind, tmp_path, None)
        told = json.loads((tmp_path / "out.json").read_text())
        assert told["texts"] == {str(n): f"You said: question {n}" for n in range(COUNT)}
        assert far.asked == {f"question {n}": 1 for n in range(COUNT)}
        assert not far.live
        layer = BatchApi(tmp_path / "night.db", least_time=0)
        async with Client(TARGETS[kind], stack=[layer], options=options_for(far.url)) as client:
            far.hook = FarEnd().hook
            heard = len(far.seen)
            answer = await client.ask("question 0")  # all is known: nobody is asked anything
        assert answer.text == told["texts"]["0"]
        assert layer.statistics()["known"] == 1
        assert len(far.seen) == heard
    assert KEY.encode() not in (tmp_path / "night.db").read_bytes()
    assert stat.S_IMODE((tmp_path / "night.db").stat().st_mode) == 0o600


@pytest.mark.parametrize("kind", list(STAGES))
async def test_a_job_that_is_killed_at_random_asks_each_question_once(kind: str) -> None:
    kills = await one_job(kind, 50, random.Random(3), 3)
    assert kills > 0
