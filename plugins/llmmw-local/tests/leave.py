"""Run by `test_process.py` in a process of its own: `leave.py PATH HOW`."""

from __future__ import annotations

import os
import sys
import threading
import time
from pathlib import Path

import trio
from llmmw_local._engine import Engine
from llmmw_local._provider import Local
from llmmw_local._server import EngineOptions

from llmmw import Generate
from llmmw.plugin import Call, Host, open_nursery

PATH, HOW = sys.argv[1:]


async def generate(tokens: int, words: int = 3, first: threading.Event | None = None) -> str:
    """Answer one call with an engine of its own."""

    async def hear(delta) -> None:
        if first is not None:
            first.set()

    async with open_nursery() as nursery:
        local = Local(threads=1, context=1024, slots=1)
        async with local.open(Host(nursery)):
            asked = Generate(
                model=f"local:{PATH}",
                prompt="word " * words,
                max_output_tokens=tokens,
                extra={"local": {"ignore_eos": True}},
            )
            return (await local(Call(asked, hear))).text


def generate_beside(tokens: int, words: int = 3, *, wait: bool = True) -> threading.Thread:
    """The same in a thread; back when its first delta came."""
    first = threading.Event()
    thread = threading.Thread(target=lambda: trio.run(generate, tokens, words, first), daemon=True)
    thread.start()
    if wait:
        first.wait()
    return thread


def fork(status: int, *, use: bool) -> int:
    """The exit status of a child forked while an engine works."""
    child = os.fork()
    if child == 0:
        if use:
            trio.run(generate, 3)
        sys.exit(status)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def free_at_once() -> None:
    """Close engines while they load: they are freed before their own threads have had a turn."""
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    for purpose in ("generate", "score", "embed"):
        engine = Engine(Path(PATH), EngineOptions(slots=1, context=512, threads=1, purpose=purpose))
        loading = threading.Thread(target=trio.run, args=(engine.open,))
        loading.start()
        while engine not in Engine.live:
            time.sleep(0.001)
        engine.close()
        loading.join()


if HOW == "writing":
    generate_beside(1000)
elif HOW == "reading":
    generate_beside(1, 900, wait=False)
    time.sleep(1)
elif HOW == "loading":
    generate_beside(1, wait=False)
    time.sleep(0.3)
elif HOW == "freed":
    free_at_once()
elif HOW == "fork":
    thread = generate_beside(150)
    print(fork(3, use=False), fork(4, use=True))
    thread.join()
    trio.run(generate, 3)
