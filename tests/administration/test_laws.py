"""The laws of lists, of waits and of verbs that are asked again, in virtual time."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import attrs
import pytest
import trio
from hypothesis import example, given, settings
from hypothesis import strategies as st

from llmmw import Client, FineTuneEvent, FineTuneInfo
from llmmw.errors import (
    BadRequest,
    ConnectionFailed,
    DeadlineExceeded,
    LLMError,
    Overloaded,
    RateLimited,
    UnsupportedFeature,
)
from llmmw.plugin import FineTunes, ModelInfo, Models, Page, Provider
from llmmw.testing import run_virtual

MANY = settings(max_examples=200, deadline=None)


@attrs.define(eq=False)
class Host(Provider):
    """Has what a test says."""

    name: str = attrs.field(default="host", kw_only=True)
    models: Any = None
    fine_tunes: Any = None


def host(models: Models | None = None, fine_tunes: FineTunes | None = None) -> Client:
    return Client("host:m", stack=[], providers=[Host(models=models, fine_tunes=fine_tunes)])


def model(number: int) -> ModelInfo:
    return ModelInfo(id=f"m{number}", provider="host")


@attrs.frozen(kw_only=True)
class Shelf(Models):
    """A list in pages of given sizes; `circle`: the last leads to that page again."""

    name: str = "host"
    sizes: Sequence[int]
    circle: int | None = None
    asked: list[str | None] = attrs.field(factory=list)

    async def list(self, after: str | None = None) -> Page[ModelInfo]:
        self.asked.append(after)
        at = 0 if after is None else int(after)
        begin = sum(self.sizes[:at])
        rows = [model(begin + one) for one in range(self.sizes[at])]
        more = at + 1 < len(self.sizes)
        return Page(
            rows, str(at + 1) if more else None if self.circle is None else str(self.circle)
        )


@MANY
@given(
    st.lists(st.integers(0, 4), min_size=1, max_size=6),
    st.none() | st.integers(0, 12),
    st.none() | st.integers(0, 5),
)
def test_a_list_has_each_row_once_in_order_and_asks_for_no_page_too_many(
    sizes: list[int], limit: int | None, circle: int | None
) -> None:
    if circle is not None:
        circle = circle % len(sizes) or None  # the first page has no name to lead back to
    shelf = Shelf(sizes=sizes, circle=circle)

    async def main() -> None:
        async with host(shelf) as client:
            pages = client.models.list(limit=limit)
            rows = [row.id async for row in pages]
            ways = list(shelf.asked)
            assert tuple(rows) == tuple(row.id for row in await pages), "a second loop begins anew"
        whole = [f"m{n}" for n in range(sum(sizes))]
        assert rows[: len(whole)] == whole[:limit]
        assert len(set(ways)) == len(ways), "no page is asked for twice"
        if limit is not None:
            needed = next((n for n in range(len(sizes) + 1) if sum(sizes[:n]) >= limit), len(sizes))
            assert len(ways) <= needed

    run_virtual(main)


@attrs.frozen(kw_only=True)
class Training(FineTunes):
    """A fine-tune that says something at given times, and ends at one."""

    name: str = "host"
    said: Sequence[float]
    ends: float
    ids: bool
    backwards: bool
    page: int

    async def get(self, id: str) -> FineTuneInfo:
        await trio.sleep(0.25)
        done = trio.current_time() >= self.ends
        return FineTuneInfo(id=id, provider="host", status="done" if done else "on", ended=done)

    async def events(self, id: str, after: str | None = None) -> Page[FineTuneEvent]:
        await trio.sleep(0.25)
        rows = [
            FineTuneEvent(message=f"step {at:g}", at=at, id=f"e{number}" if self.ids else "")
            for number, at in enumerate(self.said)
            if at <= trio.current_time()
        ]
        rows = rows[::-1] if self.backwards else rows
        begin = int(after or 0)
        end = begin + self.page
        return Page(rows[begin:end], str(end) if end < len(rows) else None)


@MANY
@given(
    st.lists(st.integers(0, 30), max_size=8),
    st.floats(0, 40),
    st.booleans(),
    st.booleans(),
    st.integers(3, 20),
)
@example(said=[5, 5, 5], ends=6.0, ids=False, backwards=True, page=3)
def test_followed_events_are_told_once_in_order_and_none_is_missed(
    said: list[int], ends: float, ids: bool, backwards: bool, page: int
) -> None:
    said = sorted(one for one in said if one <= ends)
    training = Training(said=said, ends=ends, ids=ids, backwards=backwards, page=page)
    if not (ids and not backwards):
        training = attrs.evolve(training, page=20)  # else rows move between pages as they are read

    async def main() -> None:
        async with host(fine_tunes=training) as client:
            events = client.fine_tunes.events("f", follow=True)
            told = [(event.message, trio.current_time()) async for event in events]
        assert [message for message, _ in told] == [f"step {at:g}" for at in said]
        assert all(
            at <= when <= at + 7 or when <= 7 for at, (_, when) in zip(said, told, strict=True)
        )

    run_virtual(main)


@attrs.frozen(kw_only=True)
class Loading(Models):
    """A model that will be ready at a time; some looks fail."""

    name: str = "host"
    ready: float
    fails: Sequence[LLMError | None] = ()
    looks: list[float] = attrs.field(factory=list)

    async def get(self, id: str) -> ModelInfo:
        number = len(self.looks)
        self.looks.append(trio.current_time())
        error = self.fails[number] if number < len(self.fails) else None
        if error is not None:
            raise error
        done = trio.current_time() >= self.ready
        return ModelInfo(id=id, provider="host", status="up" if done else "loading", ready=done)


@MANY
@given(st.floats(0, 5000))
@example(0.0)
def test_a_wait_ends_soon_after_and_asks_ever_more_seldom(ready: float) -> None:
    loading = Loading(ready=ready)
    heard: list[str] = []

    async def main() -> None:
        async with host(loading) as client:
            info = await client.models.wait("m", progress=lambda info: heard.append(info.status))
        assert info.ready
        assert trio.current_time() <= max(ready + 30, ready * 1.5 + 0.5)
        gaps = [b - a for a, b in pairwise(loading.looks)]
        assert gaps == sorted(gaps)
        assert max(gaps, default=0) <= 30
        assert heard == ["loading"] * (len(loading.looks) - 1) + ["up"]

    run_virtual(main)


@MANY
@given(st.floats(0.5, 500), st.booleans())
def test_a_wait_ends_with_the_deadline_and_has_looked_shortly_before(
    limit: float, from_outside: bool
) -> None:
    loading = Loading(ready=math.inf)

    async def main() -> None:
        async with host(loading) as client:
            if from_outside:
                with trio.move_on_after(limit) as scope:
                    await client.models.wait("m")
                assert scope.cancelled_caught
            else:
                with pytest.raises(DeadlineExceeded, match="'loading' at last") as caught:
                    await client.models.wait("m", timeout=limit)
                assert caught.value.after == limit
        assert trio.current_time() == pytest.approx(limit)
        assert limit - loading.looks[-1] <= 0.2
        assert len(loading.looks) <= limit / 0.4 + 20

    run_virtual(main)


def test_a_wait_endures_stumbles_and_ends_with_an_error_that_stays() -> None:
    async def main() -> None:
        busy = Overloaded("busy", status=503)
        async with host(Loading(ready=5, fails=[busy] * 7)) as client:
            assert (await client.models.wait("m")).ready
        async with host(Loading(ready=5, fails=[busy] * 8)) as client:
            with pytest.raises(Overloaded):
                await client.models.wait("m")
        async with host(Loading(ready=5, fails=[BadRequest("no")])) as client:
            with pytest.raises(BadRequest):
                await client.models.wait("m")
        slow = Loading(ready=0, fails=[RateLimited("slow", retry_after=70)])
        async with host(slow) as client:
            await client.models.wait("m")
        assert slow.looks[1] - slow.looks[0] == 70

    run_virtual(main)


def test_a_look_that_hangs_holds_up_no_wait() -> None:
    class Hanging(Loading):
        async def get(self, id: str) -> ModelInfo:
            if not self.looks:
                self.looks.append(trio.current_time())
                await trio.sleep_forever()
            return await super().get(id)

    async def main() -> None:
        async with host(Hanging(ready=0)) as client:
            assert (await client.models.wait("m")).ready
        assert 60 <= trio.current_time() <= 61

    run_virtual(main)


@attrs.frozen(kw_only=True)
class Stumbling(Models):
    """Fails so many times, then does it."""

    name: str = "host"
    fails: Sequence[LLMError]
    tries: list[float] = attrs.field(factory=list)

    async def get(self, id: str) -> ModelInfo:
        return await self.create(id, {})

    async def create(self, id: str, fields: Any) -> ModelInfo:
        self.tries.append(trio.current_time())
        if len(self.tries) <= len(self.fails):
            raise self.fails[len(self.tries) - 1]
        return model(1)


ERRORS = {
    "unsent": lambda: ConnectionFailed("not reached", processed=False),
    "broke": lambda: ConnectionFailed("it broke"),
    "busy": lambda: Overloaded("busy", status=503),
    "hint": lambda: RateLimited("slow", status=429, retry_after=3.0, processed=False),
    "later": lambda: RateLimited("slow", status=429, retry_after=90.0, processed=False),
    "bad": lambda: BadRequest("no"),
}


@MANY
@given(st.lists(st.sampled_from(list(ERRORS)), max_size=4), st.booleans(), st.floats(1, 100))
def test_what_reads_is_asked_up_to_three_times_and_what_writes_only_if_nothing_was_done(
    kinds: list[str], reads: bool, timeout: float
) -> None:
    stumbling = Stumbling(fails=[ERRORS[kind]() for kind in kinds])

    async def main() -> None:
        error: LLMError | None = None
        async with host(stumbling) as client:
            ask = client.models.get if reads else client.models.create
            try:
                await ask("m", timeout=timeout)
            except LLMError as raised:
                error = raised
        again = {"unsent", "hint", "later"} | ({"broke", "busy"} if reads else set())
        assert len(stumbling.tries) <= 3
        for kind in kinds[: len(stumbling.tries) - 1]:
            assert kind in again
        if len(stumbling.tries) <= len(kinds):
            last = kinds[len(stumbling.tries) - 1]
            assert error is stumbling.fails[len(stumbling.tries) - 1]
            pause = {"hint": 3.0, "later": 90.0}.get(last, 0.75)
            late = trio.current_time() + pause > timeout
            assert last not in again or len(stumbling.tries) == 3 or late
        else:
            assert error is None
        assert trio.current_time() <= timeout, "no sleep that the limit would cut"
        for kind, (one, two) in zip(kinds, pairwise(stumbling.tries), strict=False):
            if kind in {"hint", "later"}:
                assert two - one == {"hint": 3.0, "later": 90.0}[kind]

    run_virtual(main)


def test_a_limit_of_time_is_named() -> None:
    class Slow(Models):
        async def get(self, id: str) -> ModelInfo:
            await trio.sleep_forever()
            raise AssertionError

    async def main() -> None:
        async with host(Slow(name="host")) as client:
            with pytest.raises(DeadlineExceeded, match=r"models\.get took longer than 60 s"):
                await client.models.get("m")
            assert trio.current_time() == 60
            with pytest.raises(DeadlineExceeded, match=r"longer than 2 s"):
                await client.models.get("m", timeout=2)

    run_virtual(main)


async def test_what_a_host_lacks_is_refused_by_name() -> None:
    async with host(Models(name="host")) as client:
        for ask in (
            lambda: client.models.get("x"),
            lambda: client.models.create("x"),
            lambda: client.models.pull("x"),
            lambda: client.models.links("x"),
            lambda: client.models.list(),
        ):
            with pytest.raises(UnsupportedFeature, match=r"^host has no models\.\w+$"):
                await ask()
        with pytest.raises(UnsupportedFeature, match="host has no fine_tunes"):
            await client.fine_tunes.get("f")
        with pytest.raises(BadRequest, match="limit=-1"):
            client.models.list(limit=-1)
    async with Client(stack=[], providers=[Host()]) as client:
        with pytest.raises(BadRequest, match="which provider is it"):
            await client.models.get("x")
