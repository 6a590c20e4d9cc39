"""Commands that ask a far end for administration."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import attrs
import trio
from click.testing import CliRunner

from llmmw.cli import main
from tests.administration.far_end import KEY, Host, open_host

from .conftest import command

__all__ = ["Done", "Shell", "open_shell", "started"]


def environment(host: Host) -> dict[str, str]:
    return {
        "OPENAI_BASE_URL": f"{host.url}/v1",
        "OPENAI_API_KEY": KEY,
        "ANTHROPIC_BASE_URL": host.url,
        "ANTHROPIC_API_KEY": KEY,
        "LLMMW_MODEL": "openai:small",
        "LLMMW_CONFIG": "",
    }


@attrs.frozen
class Done:
    """How a command has ended."""

    status: int
    out: str
    err: str

    @property
    def rows(self) -> list[dict[str, Any]]:
        """What it has printed as JSON."""
        return [json.loads(line) for line in self.out.splitlines()]

    @property
    def cells(self) -> dict[str, str]:
        """What it has printed as a card."""
        return {line.split("  ")[0]: line.split("  ")[-1].strip() for line in self.out.splitlines()}


@attrs.frozen
class Shell:
    """Runs commands that ask a host, in another thread than it."""

    host: Host

    async def __call__(self, *words: object, model: str = "openai:small") -> Done:
        def work() -> Done:
            runner, given = CliRunner(), [str(word) for word in words]
            env = environment(self.host) | {"LLMMW_MODEL": model}
            done = runner.invoke(main, given, env=env, prog_name="llmmw")
            assert done.exception is None or isinstance(done.exception, SystemExit), done.exc_info
            assert KEY not in done.output
            return Done(done.exit_code, done.stdout, done.stderr)

        return await trio.to_thread.run_sync(work)


@asynccontextmanager
async def open_shell(**fields: Any) -> AsyncIterator[tuple[Host, Shell]]:
    async with open_host(**fields) as host:
        yield host, Shell(host)


@asynccontextmanager
async def started(host: Host, *words: object, **options: Any) -> AsyncIterator[trio.Process]:
    """A command in a process of its own; what hangs is killed."""
    given = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE} | options
    env = os.environ | environment(host)
    process = await trio.lowlevel.open_process(command(*words), env=env, **given)
    try:
        with trio.fail_after(60):
            yield process
    finally:
        process.kill()
        await process.wait()
        for stream in (process.stdout, process.stderr):
            if stream is not None:
                await stream.aclose()
