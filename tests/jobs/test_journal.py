"""`client.map(journal=…)`: what was answered is not asked again."""

from __future__ import annotations

import sqlite3
import stat
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
import trio
import trio.testing

from llmmw import Client, Finish, Generate, Item, Journal, Response, Usage, aio, sync
from llmmw._explain import Spent
from llmmw.errors import ConfigError, LLMError, RateLimited, ServerError
from llmmw.plugin import Call, Provider, ResponseBuilder, StoreError
from llmmw.policies import Attempts, Cache, Retry


class OwnError(ServerError):
    """An error of somebody's own."""


class Noting(Provider):
    """Answers with its prompt and notes it; fails as it is told to."""

    def __init__(self, name: str = "p", errors: dict[str, LLMError] | None = None) -> None:
        super().__init__(name=name)
        self.asked: list[str] = []
        self.errors = errors or {}
        self.hold = trio.Event()

    async def __call__(self, call: Call) -> Response:
        text = call.request.messages[-1].text
        self.asked.append(text)
        if text in self.errors:
            raise self.errors[text]
        if text == "hold":
            await self.hold.wait()
        answer = ResponseBuilder(call, self.name)
        await answer.reasoning("hm")
        await answer.text("\ud83d" if text == "half" else f"re: {text}")
        return await answer.finish(Finish("stop"), usage=Usage(input_tokens=2, output_tokens=1))


def client(provider: Noting, **options: Any) -> Client:
    options = {"stack": [], "prices": {"p:x": {"input": 1, "output": 1}}} | options
    return Client("p:x", providers=[provider], **options)


async def answers(provider: Noting, rows: Any, journal: Any, **options: Any) -> list[Item]:
    async with (
        client(provider) as here,
        here.map(rows, journal=journal, errors="yield", **options) as items,
    ):
        return [item async for item in items]


async def test_what_was_answered_comes_back_as_it_was(tmp_path: Path) -> None:
    path = tmp_path / "job"
    rows = ["a", {"id": "named", "prompt": "b"}, Generate(messages=["c"], temperature=0.5), "half"]
    first, again = Noting(), Noting()
    before = await answers(first, rows, path)
    after = await answers(again, rows, str(path))
    assert (sorted(first.asked), again.asked) == (["a", "b", "c", "half"], [])
    assert [item.id for item in after] == [0, "named", 2, 3]
    assert [item.journaled for item in before + after] == [False] * 4 + [True] * 4
    assert [i.response for i in after[:3]] == [i.response for i in before[:3]]
    assert after[3].response is not None
    assert after[3].response.text == "?"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


async def test_errors_are_kept_until_they_shall_be_asked_again(tmp_path: Path) -> None:
    limited = RateLimited("slow down", provider="p", status=429, code="rate")
    provider = Noting(errors={"a": limited, "b": OwnError("mine")})
    rows = ["a", "b", {"id": "no"}, "c"]
    first = await answers(provider, rows, tmp_path / "job")
    again = await answers(provider, rows, tmp_path / "job")
    assert len(provider.asked) == 3
    assert [type(item.error).__name__ for item in first] == [
        *("RateLimited", "OwnError", "BadRequest", "NoneType"),
    ]
    error = again[0].error
    assert isinstance(error, RateLimited)
    assert (str(error), error.status, error.code) == (str(limited), 429, "rate")
    assert type(again[1].error) is ServerError
    assert "OwnError: mine" in str(again[1].error)
    assert again[2].id == "no"
    provider.asked.clear()
    provider.errors.clear()
    journal = Journal(tmp_path / "job", retry_failed=True)
    healed = await answers(provider, rows, journal)
    assert sorted(provider.asked) == ["a", "b"]
    assert [item.journaled for item in healed] == [False, False, False, True]
    assert healed[0].response is not None


async def test_what_was_in_flight_when_the_map_was_left_is_asked_again(tmp_path: Path) -> None:
    provider = Noting()
    async with (
        client(provider) as here,
        here.map(["a", "hold", "b"], journal=tmp_path / "job", ordered=False) as items,
    ):
        seen = {(await anext(items)).id, (await anext(items)).id}
    assert seen == {0, 2}
    provider.asked.clear()
    provider.hold.set()
    after = await answers(provider, ["a", "hold", "b"], tmp_path / "job")
    assert provider.asked == ["hold"]
    assert [item.journaled for item in after] == [True, False, True]


async def test_an_answer_is_on_disk_soon_while_others_are_in_flight(tmp_path: Path) -> None:
    """The clock is the real one: a thread writes."""
    provider = Noting()
    copy = tmp_path / "copy"
    async with (
        client(provider) as here,
        here.map(["a", "hold"], journal=tmp_path / "job", ordered=False) as items,
    ):
        await anext(items)
        with trio.fail_after(10):
            while True:
                for end in ("", "-wal"):  # as a killed program leaves them
                    Path(f"{copy}{end}").write_bytes(Path(f"{tmp_path}/job{end}").read_bytes())
                with sqlite3.connect(copy) as db:
                    rows = db.execute("SELECT place FROM rows").fetchall()
                db.close()
                if rows == [(0,)]:
                    break
                await trio.sleep(0.005)


@pytest.mark.parametrize(
    ("rows", "options"),
    [
        (["A", "b"], {}),
        (["b", "a"], {}),
        (["a", "b"], {"seed": 1}),
        (["a", "b"], {"model": "p:y"}),
        (["a", {"id": "no request"}], {}),
    ],
)
async def test_another_input_is_noticed(
    tmp_path: Path, rows: list[Any], options: dict[str, Any]
) -> None:
    provider = Noting()
    await answers(provider, ["a", "b"], tmp_path / "job")
    with pytest.raises(ConfigError, match="asks something else than when it was answered"):
        await answers(provider, rows, tmp_path / "job", **options)
    assert len(provider.asked) == 2


async def test_rows_may_be_added_and_left_out_at_the_end(tmp_path: Path) -> None:
    provider = Noting()
    await answers(provider, ["a"], tmp_path / "job")
    assert len(await answers(provider, ["a", "b", "c"], tmp_path / "job")) == 3
    assert len(await answers(provider, ["a", "b"], tmp_path / "job")) == 2
    assert (provider.asked[0], sorted(provider.asked)) == ("a", ["a", "b", "c"])


async def test_a_journal_is_for_one_map_at_a_time(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "job")
    async with client(Noting()) as here, here.map(["hold"], journal=journal) as _:
        for other in (journal, tmp_path / "job"):
            with pytest.raises(ConfigError, match="another run uses the journal"):
                async with here.map(["a"], journal=other):
                    pass
    assert len(await answers(Noting(), ["a"], journal)) == 1


async def test_a_journal_that_can_not_be_made_is_told(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="can't write the journal"):
        await answers(Noting(), ["a"], tmp_path / "no" / "job")


async def test_an_answer_that_has_no_form_ends_the_job(tmp_path: Path) -> None:
    class Own(Response):
        pass

    class Odd(Noting):
        async def __call__(self, call: Call) -> Response:
            return Own()

    with pytest.raises(StoreError, match="the answer of row 0 can't be kept"):
        await answers(Odd(), ["a"], tmp_path / "job")


async def test_a_failed_write_ends_the_job(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(self: object, rows: object, about: object) -> None:
        raise StoreError("the disk is full")

    monkeypatch.setattr("llmmw._job_file.JobFile.write", full)
    with pytest.raises(StoreError, match="the disk is full"):
        await answers(Noting(), ["a", "hold"], tmp_path / "job")


async def test_many_rows_wait_for_a_slow_disk(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("llmmw._journal._MOST_WAITING", 3)
    rows = [str(number) for number in range(1200)]  # more than a page
    assert len(await answers(Noting(), rows, tmp_path / "job", ordered=False)) == 1200
    provider = Noting()
    after = await answers(provider, rows, tmp_path / "job", concurrency=5)
    assert [item.index for item in after] == list(range(1200))
    assert provider.asked == []


async def test_progress_tells_hits_money_and_what_stood_in_the_journal(tmp_path: Path) -> None:
    provider, seen = Noting(errors={"bad": ServerError("no")}), []
    stack = [Cache(), Attempts(Retry(0))]
    rows = [{"prompt": one, "temperature": 0} for one in ("a", "a", "bad")]
    for _ in range(2):
        async with client(provider, stack=stack) as here:
            given = {"concurrency": 1, "progress": seen.append}
            async with here.map(rows, journal=tmp_path / "job", errors="yield", **given) as items:
                assert len([item async for item in items]) == 3
    assert (seen[2].hits, seen[2].journaled, seen[2].failed) == (1, 0, 1)
    assert (seen[2].spent.input_tokens, seen[2].spent.cost) == (2, Decimal("0.000003"))
    assert (seen[5].journaled, seen[5].failed, seen[5].done) == (3, 1, 3)
    assert seen[5].spent == Spent()


def test_plain_and_asyncio_programs_have_journals_too(tmp_path: Path) -> None:
    import asyncio

    first, second = Noting(), Noting()
    with sync.Client("p:x", providers=[first], stack=[]) as here:
        with here.map(["a", "b"], journal=tmp_path / "job") as items:
            assert [item.journaled for item in items] == [False, False]

    async def again() -> list[bool]:
        async with aio.Client("p:x", providers=[second], stack=[]) as here:
            async with here.map(["a", "b"], journal=tmp_path / "job") as items:
                return [item.journaled async for item in items]

    assert asyncio.run(again()) == [True, True]
    assert second.asked == []


async def test_rows_are_read_no_faster_than_they_are_taken(tmp_path: Path) -> None:
    rows = [str(number) for number in range(300)]
    await answers(Noting(), rows, tmp_path / "job")
    read: list[str] = []

    def counted() -> Iterator[str]:
        for row in rows:
            read.append(row)
            yield row

    async with (
        client(Noting()) as here,
        here.map(counted(), journal=tmp_path / "job", concurrency=2) as items,
    ):
        await anext(items)
        await trio.testing.wait_all_tasks_blocked()
        assert len(read) <= 10
