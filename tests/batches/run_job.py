"""One run of a job over batches, in a process of its own that may be killed at any moment.

python -m tests.batches.run_job URL TARGET JOURNAL OUT COUNT
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import trio

from llmmw import BatchApi, Client
from llmmw.policies import _batch_desk

from .far_end import options_for

_batch_desk._SETTLE = 0.2  # the far end is near


async def main(url: str, target: str, journal: str, out: str, count: int) -> None:
    layer = BatchApi(journal, max_wait=0.05, poll=0.02)
    texts = {}
    async with (
        Client(target, stack=[layer], options=options_for(url)) as client,
        client.map([f"question {n}" for n in range(count)], concurrency=count) as items,
    ):
        async for item in items:
            texts[item.id] = item.response.text
    part = Path(out).with_suffix(".part")
    part.write_text(json.dumps({"texts": texts, "counts": layer.statistics()}))
    part.rename(out)


if __name__ == "__main__":
    trio.run(main, *sys.argv[1:5], int(sys.argv[5]))
