"""Run by `test_process.py` in a process of its own: `leave.py PATH HOW`."""

from __future__ import annotations

import os
import sys
import threading
import time

import trio
from llmmw_local._provider import Local

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


if HOW == "writing":
    generate_beside(1000)
elif HOW == "reading":
    generate_beside(1, 900, wait=False)
    time.sleep(1)
elif HOW == "loading":
    generate_beside(1, wait=False)
    time.sleep(0.3)
elif HOW == "fork":
    thread = generate_beside(150)
    print(fork(3, use=False), fork(4, use=True))
    thread.join()
    trio.run(generate, 3)
