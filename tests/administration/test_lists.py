"""Lists and waits where hosts and callers are odd: shared passes, events that come while pages are
read, limits that are none."""

from __future__ import annotations

import asyncio
import json
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import attrs
import pytest
import trio
from hypothesis import example, given, settings
from hypothesis import strategies as st

from llmmw import Client, FineTuneEvent, FineTuneInfo, aio, sync
from llmmw.errors import BadRequest, Overloaded, ProtocolError, RateLimited
from llmmw.plugin import FineTunes, ModelInfo, Models, Page, open_nursery
from llmmw.testing import Answer, Received, open_server, run_virtual
from llmmw.wire import open_link
from tests.administration.far_end import options_for
from tests.administration.test_laws import Host, Shelf, Stumbling, host

SOME = settings(max_examples=60, deadline=None)


@SOME
@given(st.lists(st.integers(0, 4), min_size=1, max_size=6), st.integers(1, 4))
def test_tasks_share_a_pass(sizes: list[int], tasks: int) -> None:
    class Slow(Shelf):
        async def list(self, after: str | None = None) -> Page[ModelInfo]:
            await trio.sleep(1)
            return await Shelf.list(self, after)

    shelf = Slow(sizes=sizes)
    found: list[str] = []

    async def main() -> None:
        async with host(shelf) as client:
            rows = client.models.list().__aiter__()

            async def take() -> None:
                async for row in rows:
                    found.append(row.id)
                    await trio.sleep(0.3)

            async with open_nursery() as nursery:
                for _ in range(tasks):
                    nursery.start_soon(take)
        assert sorted(found) == sorted(f"m{n}" for n in range(sum(sizes)))
        assert len(set(shelf.asked)) == len(shelf.asked), "no page is asked for twice"

    run_virtual(main)


async def test_what_is_no_limit_is_refused_with_words() -> None:
    async with host(Shelf(sizes=[1])) as client:
        for limit in (-1, 2.5, "3", True, math.nan):
            with pytest.raises(BadRequest, match="expected a number of rows"):
                client.models.list(limit=limit)  # type: ignore[arg-type]
        verbs = client.models
        for ask in (
            lambda timeout: verbs.get("m", timeout=timeout),
            lambda timeout: verbs.wait("m", timeout=timeout),
            lambda timeout: verbs.list(timeout=timeout),
            lambda timeout: verbs.download("m", Path(), timeout=timeout),
        ):
            for timeout in (-1, math.nan, "3", True):
                with pytest.raises(BadRequest, match=r"timeout=.*expected seconds"):
                    await ask(timeout)


@pytest.mark.parametrize(("hint", "pause"), [(math.nan, 0), (-5.0, 0), (1e300, 120)])
def test_a_hint_that_is_no_time_does_no_harm(hint: float, pause: float) -> None:
    stumbling = Stumbling(fails=[RateLimited("slow", retry_after=hint, processed=False)])

    async def main() -> None:
        async with host(stumbling) as client:
            await client.models.get("m", timeout=None)
        assert stumbling.tries[1] - stumbling.tries[0] == pause

    run_virtual(main)


@attrs.frozen(kw_only=True)
class Told(FineTunes):
    """A fine-tune whose events, with ids, come the newest first in pages that shift."""

    name: str = "host"
    said: Sequence[float]
    ends: float
    page: int
    fails: set[int] = attrs.field(factory=set)
    looks: list[float] = attrs.field(factory=list)

    async def get(self, id: str) -> FineTuneInfo:
        self.looks.append(trio.current_time())
        if len(self.looks) in self.fails:
            raise Overloaded("busy", status=503)
        done = trio.current_time() >= self.ends
        return FineTuneInfo(id=id, provider="host", status="", ended=done)

    async def events(self, id: str, after: str | None = None) -> Page[FineTuneEvent]:
        await trio.sleep(0.7)
        rows = [
            FineTuneEvent(message=f"{number}", at=float(int(at)), id=f"e{number}")
            for number, at in enumerate(self.said)
            if at <= trio.current_time()
        ][::-1]
        end = int(after or 0) + self.page
        return Page(rows[end - self.page : end], str(end) if end < len(rows) else None)


@SOME
@given(st.lists(st.floats(0, 30), max_size=12), st.integers(1, 5))
@example(said=[1.0, 5.1, 5.2, 5.3], page=20)
@example(said=[0.1, 0.2, 0.3, 0.9, 1.5], page=2)
def test_events_that_come_while_pages_are_read_are_told_once_in_order(
    said: list[float], page: int
) -> None:
    training = Told(said=sorted(said), ends=31, page=page)

    async def main() -> None:
        async with host(fine_tunes=training) as client:
            told = [event.message async for event in client.fine_tunes.events("f", follow=True)]
        assert sorted(told, key=int) == [f"{n}" for n in range(len(said))], "each once"

    run_virtual(main)


def test_events_of_one_second_are_told_in_their_order() -> None:
    training = Told(said=[1.0, 5.1, 5.2, 5.3], ends=9, page=20)

    async def main() -> None:
        async with host(fine_tunes=training) as client:
            events = client.fine_tunes.events("f", follow=True, limit=1)  # which does not count
            told = [event.message async for event in events]
        assert told == ["0", "1", "2", "3"]

    run_virtual(main)


@pytest.mark.parametrize("stays", [False, True])
def test_who_follows_endures_stumbles_as_who_waits(stays: bool) -> None:
    fails = set(range(2, 200 if stays else 14))
    training = Told(said=[0.0, 60.0], ends=70, page=20, fails=fails)

    async def main() -> None:
        told: list[str] = []
        async with host(fine_tunes=training) as client:
            follow = client.fine_tunes.events("f", follow=True)
            try:
                async for event in follow:
                    told.append(event.message)
            except Overloaded:
                assert stays
        assert told == (["0"] if stays else ["0", "1"])
        assert len(training.looks) < 50

    run_virtual(main)


async def test_a_link_that_is_none_is_not_shown() -> None:
    for link in ("s3://bucket/key?X-Amz-Signature=hush", "https://user:hush@host/x", "", "hush"):
        with pytest.raises(ProtocolError, match="no address of HTTP") as caught:
            async with open_link(link):
                pass
        assert "hush" not in str(caught.value)
        assert caught.value.__cause__ is None
        assert caught.value.__context__ is None


async def test_files_that_would_be_one_are_refused(tmp_path: Path) -> None:
    class Linked(Models):
        async def links(self, id: str, fields: Any) -> Any:
            return {"a/b": "x", "a\\b": "y"}

    async with host(Linked(name="host")) as client:
        with pytest.raises(ProtocolError, match="would be one"):
            await client.models.download("m", tmp_path)
    assert not list(tmp_path.iterdir())


def test_a_list_is_shared_by_threads_and_by_asyncio_tasks() -> None:
    given: Any = {"stack": [], "providers": [Host(models=Shelf(sizes=[3, 0, 2]))]}
    with sync.Client("host:m", **given) as client:
        assert [row.id for row in client.models.list()] == [f"m{n}" for n in range(5)]
        assert [row.id for row in client.models.list(limit=4)] == [f"m{n}" for n in range(4)]

    async def main() -> None:
        async with aio.Client("host:m", **given) as other:
            rows = other.models.list().__aiter__()

            async def take() -> list[str]:
                return [row.id async for row in rows]

            told = await asyncio.gather(take(), take())
            assert sorted([*told[0], *told[1]]) == [f"m{n}" for n in range(5)]

    asyncio.run(main())


def test_clients_without_a_target_are_told_so() -> None:
    with pytest.raises(BadRequest, match="which provider"), sync.Client(stack=[]) as client:
        list(client.files.list())


@pytest.mark.plugins
@pytest.mark.parametrize("wire", ["openai", "anthropic"])
async def test_pages_of_hosts_that_know_no_cursor_and_lists_that_are_null(wire: str) -> None:
    rows = [{"id": f"file-{n}", "filename": "x"} for n in range(3)]
    told: dict[str, Any] = {"data": rows, "has_more": True}

    async def answer(received: Received) -> Answer:
        return Answer(body=json.dumps(told).encode())

    async with open_server(answer) as server:
        options = options_for(server.url)
        async with Client(f"{wire}:m", stack=[], options=options) as client:
            assert [one.id for one in await client.files.list()] == [row["id"] for row in rows]
            assert len(server.requests) == 2
            told["data"] = None
            assert await client.files.list() == ()


@pytest.mark.parametrize("id", ["", None, 7])
async def test_an_id_that_is_none_is_refused_before_a_host_is_asked(id: Any) -> None:
    async with host(Stumbling(fails=[]), Told(said=[], ends=0, page=1)) as client:
        for ask in (
            lambda: client.models.get(id),
            lambda: client.models.delete(id),
            lambda: client.models.wait(id),
            lambda: client.fine_tunes.events(id),
            lambda: client.fine_tunes.events(id, follow=True),
            lambda: client.fine_tunes.wait(id),
        ):
            with pytest.raises(BadRequest, match=r"expected the id, as text"):
                await ask()
