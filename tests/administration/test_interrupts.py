"""Transfers in plain and asyncio programs: where progress is heard, and how they are ended."""

from __future__ import annotations

import asyncio
import inspect
import threading
from collections.abc import Awaitable, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import attrs
import pytest
import trio

from llmmw import ClientFiles, Transfer, aio, sync
from llmmw.plugin import ModelInfo, Models, Provider
from llmmw.testing import Answer, Received, Server, open_server
from tests.administration.keeper import CHUNK, keeper_at, open_files


@contextmanager
def serving(answer: Callable[[Received], Awaitable[Answer]]) -> Iterator[Server]:
    """A server in a thread of its own."""
    told: list[Server] = []
    begun, over = threading.Event(), trio.Event()
    token: list[trio.lowlevel.TrioToken] = []

    async def main() -> None:
        token.append(trio.lowlevel.current_trio_token())
        async with open_server(answer) as server:
            told.append(server)
            begun.set()
            await over.wait()

    with ThreadPoolExecutor(1) as pool:
        ended = pool.submit(trio.run, main)
        assert begun.wait(30)
        try:
            yield told[0]
        finally:
            token[0].run_sync_soon(over.set)
            ended.result(30)


async def stuck(received: Received) -> Answer:
    """A file that does not end; an upload is never answered."""
    if received.method == "POST":
        await trio.sleep_forever()
    return Answer(pieces=[CHUNK * 20, trio.sleep_forever])


def begin(client: Any, which: str, path: Path, hear: Callable[[Transfer], None]) -> Any:
    if which == "upload":
        path.write_bytes(CHUNK * 20)
        return client.files.upload(path, progress=hear)
    return client.files.download("f", path, progress=hear)


def left(path: Path, which: str) -> None:
    """Nothing is, of the transfer."""
    assert [one.name for one in path.parent.iterdir()] == ["file"] * (which == "upload")
    assert not [one for one in open_files() if one.startswith(str(path.parent))]


@pytest.mark.parametrize("which", ["upload", "download"])
@pytest.mark.parametrize("error", [KeyboardInterrupt, ValueError])
def test_progress_is_heard_in_the_thread_that_asked_and_ends_it(
    tmp_path: Path, which: str, error: type[BaseException]
) -> None:
    threads: set[threading.Thread] = set()

    def hear(transfer: Transfer) -> None:
        threads.add(threading.current_thread())
        if transfer.done:
            raise error("enough")

    with serving(stuck) as server:
        with sync.Client("keeper:m", stack=[], providers=[keeper_at(server.url)]) as client:
            with pytest.raises(error, match="enough"):
                begin(client, which, tmp_path / "file", hear)
            left(tmp_path / "file", which)
    assert threads == {threading.current_thread()}


@pytest.mark.parametrize("which", ["upload", "download"])
def test_a_client_that_is_closed_ends_its_transfers(tmp_path: Path, which: str) -> None:
    going = threading.Event()
    with serving(stuck) as server, ThreadPoolExecutor(1) as pool:
        client = sync.Client("keeper:m", stack=[], providers=[keeper_at(server.url)]).open()

        def hear(transfer: Transfer) -> None:
            if transfer.done:
                going.set()

        work = pool.submit(begin, client, which, tmp_path / "file", hear)
        assert going.wait(30)
        client.close()
        with pytest.raises(RuntimeError, match="the client is closed"):
            work.result(30)
        left(tmp_path / "file", which)


@pytest.mark.parametrize("which", ["upload", "download"])
@pytest.mark.parametrize("how", ["cancelled", "raises", "closed"])
def test_an_asyncio_task_that_ends_ends_its_transfer(tmp_path: Path, which: str, how: str) -> None:
    async def main(url: str) -> None:
        going = asyncio.Event()

        def hear(transfer: Transfer) -> None:
            assert asyncio.current_task() is task
            if transfer.done:
                going.set()
                if how == "raises":
                    raise ValueError("enough")

        async with aio.Client("keeper:m", stack=[], providers=[keeper_at(url)]) as client:
            task = asyncio.ensure_future(begin(client, which, tmp_path / "file", hear))
            await going.wait()
            if how == "cancelled":
                task.cancel()
            if how == "closed":
                await client.aclose()
            told = (await asyncio.gather(task, return_exceptions=True))[0]
            kinds = {"cancelled": asyncio.CancelledError, "raises": ValueError}
            assert isinstance(told, kinds.get(how, RuntimeError)), told
            left(tmp_path / "file", which)

    with serving(stuck) as server:
        asyncio.run(main(server.url))


@attrs.frozen(kw_only=True)
class Served(Models):
    async def create(self, id: str, fields: Any) -> ModelInfo:
        return ModelInfo(id=id, provider=self.name, raw=dict(fields))


@attrs.define(eq=False)
class Serving(Provider):
    models: Any = Served(name="serving")


def test_a_field_of_the_host_may_be_named_progress() -> None:
    given: Any = {"stack": [], "providers": [Serving(name="serving")]}
    with sync.Client("serving:m", **given) as client:
        assert client.models.create("m", progress="bar").raw == {"progress": "bar"}

    async def main() -> None:
        async with aio.Client("serving:m", **given) as other:
            assert (await other.models.create("m", progress="bar")).raw == {"progress": "bar"}

    asyncio.run(main())


@pytest.mark.parametrize("face", [sync._verbs, aio._verbs])
def test_verbs_tell_people_their_arguments(face: Any) -> None:
    for name in ("upload", "get", "list", "download", "content", "delete"):
        ours, theirs = getattr(face.Files, name), getattr(ClientFiles, name)
        assert inspect.getdoc(ours) == inspect.getdoc(theirs)
        assert inspect.signature(ours) == inspect.signature(theirs)
