"""Functions that block, which need real time."""

from __future__ import annotations

import contextvars
import threading

from llmmw import Client
from llmmw.flow import executable


async def test_functions_that_block_run_in_threads():  # O86, O18
    barrier = threading.Barrier(3, timeout=10)
    told = contextvars.ContextVar("told")

    @executable(thread=True)
    def block(index):
        barrier.wait()
        return index, told.get()

    told.set("here")
    async with Client(stack=[]) as client:
        result = await client.run([block(0), block(1), block(2)])
    assert result == [(0, "here"), (1, "here"), (2, "here")]


async def test_a_generator_that_blocks_runs_in_a_thread():
    @executable(thread=True)
    def names():
        for _ in range(2):
            yield threading.current_thread()

    async with Client(stack=[]) as client:
        assert await client.run(names()) is not threading.current_thread()
