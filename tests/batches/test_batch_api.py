"""Batches at their providers as a layer: over real HTTP, by the plugins' own code."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
import trio

from llmmw import BatchApi, Client, Generation
from llmmw._ledger import BatchFetched, BatchPolled, BatchSubmitted, Event, WentLive
from llmmw.errors import (
    AuthenticationFailed,
    BadRequest,
    CallShed,
    ConfigError,
    NotFound,
    Overloaded,
    UnsupportedFeature,
)
from llmmw.policies import _batch_desk
from llmmw.testing import Answer, Script, SimulatedProvider

from .far_end import FarEnd, open_far_end, options_for

pytestmark = pytest.mark.plugins

TARGETS = {"openai": "openai:gpt-4o-mini", "anthropic": "anthropic:claude-haiku-4-5"}
PRICES = {target: {"input": "1", "output": "10"} for target in TARGETS.values()}
KINDS = pytest.mark.parametrize("kind", list(TARGETS))


@pytest.fixture(autouse=True)
def hurry(monkeypatch: pytest.MonkeyPatch) -> None:
    """The far end is near."""
    monkeypatch.setattr(_batch_desk, "_SETTLE", 0.05)
    monkeypatch.setattr(_batch_desk, "_BACKOFF", 0.01)


@asynccontextmanager
async def at_work(
    kind: str, journal: Path, far: FarEnd, **options: Any
) -> AsyncIterator[tuple[Client, BatchApi, list[Event]]]:
    """A client whose calls go in batches, and what its instruments hear."""
    options = {"max_wait": 0.05, "poll": 0.02, "least_time": 2} | options
    layer, heard = BatchApi(journal / "night.db", **options), list[Event]()
    async with Client(
        TARGETS[kind],
        stack=[layer],
        options=options_for(far.url),
        prices=PRICES,
        instruments=[heard.append],
    ) as client:
        yield client, layer, heard


async def mapped(client: Client, prompts: list[str], **how: Any) -> dict[str, Any]:
    """What came of each prompt: its text, or its error."""
    given = {"concurrency": 100, "errors": "yield"} | how
    async with client.map(prompts, **given) as items:
        return {prompts[i.index]: i.error or i.response.text async for i in items}


@KINDS
async def test_calls_of_a_map_go_in_one_batch_for_half_the_price(kind: str, tmp_path: Path) -> None:
    async with (
        open_far_end() as far,
        at_work(kind, tmp_path, far, max_wait=0.5) as (client, layer, heard),
    ):
        prompts = [f"p{n}" for n in range(20)]
        answers = await mapped(client, [*prompts, "p0"])  # the same twice is one question
        assert answers == {p: f"You said: {p}" for p in prompts}
        assert far.asked == dict.fromkeys(prompts, 1)
        assert len(far.batches) == 1
        assert not far.live
        answer = await client.ask("one more", max_tokens=100)
        assert answer.usage.cost == Decimal("0.001")  # of 0.002 live
        assert layer.statistics()["sent"] == 2
    kinds = {type(event) for event in heard}
    assert {BatchSubmitted, BatchPolled, BatchFetched} <= kinds
    told = answer.explain()
    assert f"of 1 at {kind}" in told
    assert "came with 1 outcomes" in told


@KINDS
async def test_only_what_failed_is_asked_again(kind: str, tmp_path: Path) -> None:
    async with open_far_end() as far, at_work(kind, tmp_path, far) as (client, layer, _):
        prompts = ["fine 1", "bad 2", "busy 3", "expired 4", "vanished 5", "fine 6"]
        answers = await mapped(client, prompts)
        assert isinstance(answers.pop("bad 2"), BadRequest)
        assert answers == {p: f"You said: {p}" for p in prompts if p != "bad 2"}
        again = {"busy 3": 2, "expired 4": 2, "vanished 5": 2}
        assert far.asked == dict.fromkeys(prompts, 1) | again
        assert layer.statistics()["again"] == 3
        with pytest.raises(BadRequest) as caught:  # an error is forgotten once it is told
            await client.ask("bad 2")
        assert caught.value.model
        assert far.asked["bad 2"] == 2


@KINDS
async def test_errors_that_do_not_pass_end_after_so_many_tries(kind: str, tmp_path: Path) -> None:
    async with (
        open_far_end() as far,
        at_work(kind, tmp_path, far, retries=0) as (client, _, _),
    ):
        answers = await mapped(client, ["busy 1", "expired 2"])
        names = {p: type(error).__name__ for p, error in answers.items()}
        assert names == {"busy 1": "Overloaded", "expired 2": "DeadlineExceeded"}
        assert set(far.asked.values()) == {1}


@KINDS
async def test_a_question_is_asked_so_often_and_no_more(kind: str, tmp_path: Path) -> None:
    async with open_far_end() as far, at_work(kind, tmp_path, far, retries=1) as (client, _, _):
        with pytest.raises(Overloaded):
            await client.ask("always 1")
        assert far.asked == {"always 1": 2}


@KINDS
async def test_an_answer_is_told_to_who_listens_at_its_end(kind: str, tmp_path: Path) -> None:
    async with (
        open_far_end() as far,
        at_work(kind, tmp_path, far) as (client, _, _),
        client.stream("told") as stream,
    ):
        assert "".join([piece async for piece in stream.text]) == "You said: told"
        assert (await stream.wait_response()).text == "You said: told"
        assert not far.live


async def test_embeddings_and_both_apis_of_a_host_go_in_batches_of_their_own(
    tmp_path: Path,
) -> None:
    async with open_far_end() as far, at_work("openai", tmp_path, far) as (client, _, _):
        vectors: list[Any] = []

        async def embed(text: str) -> None:
            vectors.append(await client.embed([text, "xx"], model="openai:embed"))

        async with trio.open_nursery() as nursery:
            nursery.start_soon(embed, "a")
            nursery.start_soon(embed, "bbb")
            nursery.start_soon(client.ask, "hi")
        assert sorted(v.vectors for v in vectors) == [((1.0,), (2.0,)), ((3.0,), (2.0,))]
        paths = {batch["path"] for batch in far.batches.values()}
        assert paths == {"/v1/chat/completions", "/v1/embeddings"}


async def test_models_of_a_host_and_betas_go_in_batches_of_their_own(tmp_path: Path) -> None:
    async with open_far_end() as far, at_work("openai", tmp_path, far) as (client, _, _):
        async with trio.open_nursery() as nursery:
            for model in ("openai:a", "openai:b"):
                nursery.start_soon(lambda model=model: client.ask("hi", model=model))
        assert len(far.batches) == 2
    async with open_far_end() as far, at_work("anthropic", tmp_path, far) as (client, _, _):
        async with trio.open_nursery() as nursery:
            for betas in (["x-1"], []):
                extra = {"anthropic": {"betas": betas}}
                nursery.start_soon(lambda extra=extra: client.ask("hi", extra=extra))
        assert sorted(batch["betas"] for batch in far.batches.values()) == ["", "x-1"]


@KINDS
async def test_a_batch_that_is_full_goes_at_once(
    kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with (
        open_far_end() as far,
        at_work(kind, tmp_path, far, max_wait=1) as (client, layer, _),
    ):
        provider = await client.host.provider(TARGETS[kind])
        limits = type(provider.batches.limits)(lines=3, bytes=4000)
        made = provider.batches
        monkeypatch.setattr(
            type(provider), "batches", type(made)(**_fields(made) | {"limits": limits})
        )
        answers = await mapped(client, [f"p{n}" for n in range(7)])
        assert len(answers) == 7
        assert sorted(len(b["asked"]) for b in far.batches.values()) == [1, 3, 3]
        await mapped(client, ["x" * 1500, "y" * 1500, "z" * 1500])
        assert sorted(len(b["asked"]) for b in list(far.batches.values())[3:]) == [1, 2]
        long = await client.ask("q" * 5000)  # no batch holds it
        assert long.text.endswith("qqq")
        assert layer.statistics()["live"] == 1
        assert list(far.live) == ["q" * 5000]


def _fields(batches: Any) -> dict[str, Any]:
    names = [name for name in ("name", "http", "prefix", "limits") if hasattr(batches, name)]
    return {name: getattr(batches, name) for name in names}


@KINDS
async def test_a_call_goes_live_whose_deadline_is_near(kind: str, tmp_path: Path) -> None:
    async with (
        open_far_end() as far,
        at_work(kind, tmp_path, far, least_time=20) as (client, _, heard),
    ):
        answer = await client.ask("now", timeout=19)
        assert answer.text == "You said: now"
        assert far.live == {"now": 1}
        assert not far.batches
        assert [e.why for e in heard if isinstance(e, WentLive)] == ["deadline"]
        await client.ask("later")
        assert len(far.batches) == 1


@KINDS
async def test_what_is_late_is_asked_live_and_its_batch_is_cancelled(
    kind: str, tmp_path: Path
) -> None:
    async with (
        open_far_end(withhold=True) as far,
        at_work(kind, tmp_path, far, live_after=0.3) as (client, layer, heard),
    ):
        answers = await mapped(client, ["a", "b"])
        assert answers == {p: f"You said: {p}" for p in "ab"}
        assert far.live == {"a": 1, "b": 1}
        while not all(batch.get("cancelled") for batch in far.batches.values()):
            await trio.lowlevel.checkpoint()
        assert {e.why for e in heard if isinstance(e, WentLive)} == {"late"}
    async with open_far_end() as other, at_work(kind, tmp_path, other) as (client, layer, _):
        again = await mapped(client, ["a", "b"])  # what was answered live is known, too
        assert again == answers
        assert layer.statistics()["known"] == 2
        assert not other.seen


@KINDS
async def test_who_leaves_before_the_batch_is_sent_is_not_asked_for(
    kind: str, tmp_path: Path
) -> None:
    async with (
        open_far_end() as far,
        at_work(kind, tmp_path, far, max_wait=1) as (client, layer, _),
    ):
        async with trio.open_nursery() as nursery:
            scope = trio.CancelScope()

            async def leaves() -> None:
                with scope:
                    await client.ask("gone")

            nursery.start_soon(leaves)
            nursery.start_soon(client.ask, "stays")
            while layer.statistics()["asked"] < 2:
                await trio.lowlevel.checkpoint()
            await trio.testing.wait_all_tasks_blocked(0.05)
            scope.cancel()
        assert far.asked == {"stays": 1}


@KINDS
async def test_a_later_client_finds_the_batch_that_was_left(kind: str, tmp_path: Path) -> None:
    async with open_far_end(withhold=True) as far:
        async with at_work(kind, tmp_path, far, poll=0.02) as (client, _, _):
            submitted = trio.Event()

            async def hook(stage: str) -> None:
                if stage == "poll":
                    submitted.set()

            far.hook = hook
            async with trio.open_nursery() as nursery:
                nursery.start_soon(mapped, client, ["a", "b", "c"])
                await submitted.wait()
                nursery.cancel_scope.cancel()
        assert not any(batch.get("cancelled") for batch in far.batches.values())
        far.withhold = False
        async with at_work(kind, tmp_path, far) as (client, layer, heard):
            answers = await mapped(client, ["a", "new", "b"])
            assert answers == {p: f"You said: {p}" for p in ("a", "new", "b")}
            assert layer.statistics()["found"] == 1
            assert await client.ask("c")
        assert far.asked == {"a": 1, "b": 1, "c": 1, "new": 1}
        assert any(isinstance(e, BatchSubmitted) and e.found for e in heard)


@KINDS
async def test_a_create_whose_answer_is_lost_is_looked_for_and_not_repeated(
    kind: str, tmp_path: Path
) -> None:
    async with (
        open_far_end(clock=time.time) as far,
        at_work(kind, tmp_path, far) as (client, _, _),
    ):
        far.lose = 1
        answers = await mapped(client, ["a", "b"])
        assert answers == {p: f"You said: {p}" for p in "ab"}
        assert far.asked == {"a": 1, "b": 1}


async def test_a_line_that_spoils_its_batch_fails_alone(tmp_path: Path) -> None:
    why = {"code": "invalid_json_line", "message": "this line is wrong", "line": 2}
    async with (
        open_far_end(refuse=[why]) as far,
        at_work("openai", tmp_path, far, max_wait=0.5) as (client, _, _),
    ):
        answers = await mapped(client, ["a", "b", "c"])
        failed = {p: e for p, e in answers.items() if isinstance(e, BadRequest)}
        assert len(failed) == 1
        assert "this line is wrong" in str(*failed.values())
        assert len(far.batches) == 2
        assert set(far.asked) == {"a", "b", "c"} - set(failed)


async def test_a_batch_that_is_refused_for_now_is_sent_later(tmp_path: Path) -> None:
    why = {"code": "token_limit_exceeded", "message": "enqueued too much", "line": None}
    async with (
        open_far_end(refuse=[why]) as far,
        at_work("openai", tmp_path, far, max_wait=0.5) as (client, _, _),
    ):
        assert await mapped(client, ["a", "b"]) == {p: f"You said: {p}" for p in "ab"}
        assert len(far.batches) == 2


@KINDS
async def test_a_batch_that_somebody_cancelled_says_so(kind: str, tmp_path: Path) -> None:
    async with (
        open_far_end(withhold=True) as far,
        at_work(kind, tmp_path, far) as (client, _, _),
    ):

        async def hook(stage: str) -> None:
            if stage == "poll":
                (batch,) = far.batches.values()
                batch["cancelled"] = True

        far.hook = hook
        with pytest.raises(CallShed, match="was cancelled before this was answered"):
            await client.ask("a")
        far.withhold, far.hook = False, FarEnd().hook
        assert isinstance(await client.ask("a"), Generation)  # the journal has forgotten it


@KINDS
async def test_what_stops_a_batch_is_told_to_its_calls_and_forgets_nothing(
    kind: str, tmp_path: Path
) -> None:
    async with open_far_end() as far, at_work(kind, tmp_path, far) as (client, _, _):
        refused = Answer(status=401, body=b'{"error": {"message": "no such key"}}')

        async def hook(stage: str) -> None:
            if stage == "created":
                far.fail = [refused]

        far.hook = hook
        with pytest.raises(AuthenticationFailed):
            await client.ask("a")
        assert (await client.ask("a")).text == "You said: a"
        assert far.asked == {"a": 1}
        far.hook = FarEnd().hook
        far.fail = [Answer(status=503, body=b"{}"), Answer(status=429, body=b"{}")]
        assert await client.ask("b")  # what may pass is tried again
        assert far.asked == {"a": 1, "b": 1}


@KINDS
async def test_a_batch_that_is_gone_is_told_once_and_then_asked_anew(
    kind: str, tmp_path: Path
) -> None:
    async with open_far_end() as far, at_work(kind, tmp_path, far) as (client, _, _):

        async def hook(stage: str) -> None:
            if stage == "created":
                far.fail = [Answer(status=404, body=b'{"error": {"message": "no such batch"}}')]

        far.hook = hook
        with pytest.raises(NotFound, match="asked anew"):
            await client.ask("a")
        far.hook = FarEnd().hook
        assert await client.ask("a")
        assert far.asked == {"a": 2}


async def test_targets_without_batches_go_live(tmp_path: Path) -> None:
    layer = BatchApi(tmp_path / "night.db", least_time=0)
    provider = SimulatedProvider({"a": Script(pieces=("Yes",))})
    async with Client("sim:a", stack=[layer], providers=[provider]) as client:
        answer = await client.ask("hi")
        assert "goes live (unsupported)" in answer.explain()
        with pytest.raises(UnsupportedFeature, match="sim has no batches"):
            await client.batches.list()
    assert not (tmp_path / "night.db").exists()


async def test_a_journal_is_of_one_client_at_a_time(tmp_path: Path) -> None:
    async with open_far_end() as far, at_work("openai", tmp_path, far) as (client, _, _):
        await client.ask("a")
        async with at_work("openai", tmp_path, far) as (other, _, _):
            with pytest.raises(ConfigError, match="uses the journal"):
                await other.ask("a")


async def test_a_file_that_is_no_journal_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "night.db"
    path.write_bytes(b"a letter to my aunt" * 100)
    async with open_far_end() as far, at_work("openai", tmp_path, far) as (client, _, _):
        with pytest.raises(ConfigError, match=r"night\.db can't be read.*move it away"):
            await client.ask("a")
        assert not far.seen
    assert path.read_bytes().startswith(b"a letter")


@pytest.mark.parametrize("wrong", [{"journal": ""}, {"journal": 7}, {"poll": 0}, {"retries": -1}])
def test_wrong_options_are_named(wrong: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match=next(iter(wrong))):
        BatchApi(**{"journal": "x.db", **wrong})


async def test_of_batches_without_labels_the_one_with_our_questions_is_found(
    tmp_path: Path,
) -> None:
    """A host keeps no labels, and a stranger has sent as many questions at the same time."""
    async with (
        open_far_end(clock=time.time) as far,
        at_work("anthropic", tmp_path, far, max_wait=0.5) as (client, _, _),
    ):

        async def hook(stage: str) -> None:
            if stage == "created" and len(far.batches) == 1:
                far.hook = FarEnd().hook
                await client.batches.create(["strange 1", "strange 2"])
                far.lose = 1

        far.hook = hook
        far.clock = iter([time.time() - 60, *[time.time()] * 9]).__next__
        assert await mapped(client, ["a", "b"]) == {p: f"You said: {p}" for p in "ab"}
        assert far.asked == {"a": 1, "b": 1, "strange 1": 1, "strange 2": 1}
