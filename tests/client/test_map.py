"""Many requests: order, bounds, errors, memory."""

from collections.abc import AsyncIterator, Iterator

import pytest
import trio

from llmmw import Client, Item, Progress, Response
from llmmw._map import request_of
from llmmw.errors import BadRequest, ServerError
from llmmw.plugin import Call, Provider, ResponseBuilder

pytestmark = pytest.mark.virtual


class Sleeping(Provider):
    """Sleeps as many seconds as its prompt says, and answers with it; fails on "bad"."""

    live = most = 0

    async def __call__(self, call: Call) -> Response:
        text = call.request.messages[-1].text
        self.live += 1
        self.most = max(self.most, self.live)
        try:
            if text == "bad":
                raise ServerError("bad")
            await trio.sleep(float(text))
            builder = ResponseBuilder(call, "sleep")
            await builder.text(text)
            return await builder.finish(None)
        finally:
            self.live -= 1


def make() -> tuple[Sleeping, Client]:
    provider = Sleeping(name="sleep")
    return provider, Client("sleep:x", providers=[provider], stack=[])


async def test_in_the_order_of_the_input() -> None:
    _, client = make()
    async with client, client.map(["3", "1", "2"]) as items:
        seen = [(i.index, i.response.text, trio.current_time()) async for i in items]
    assert seen == [(0, "3", 3), (1, "1", 3), (2, "2", 3)]


async def test_as_they_are_completed() -> None:
    _, client = make()
    async with client, client.map(["3", "1", "2"], ordered=False) as items:
        seen = [(i.index, trio.current_time()) async for i in items]
    assert seen == [(1, 1), (2, 2), (0, 3)]


async def test_at_most_so_many_at_once() -> None:
    provider, client = make()
    async with client, client.map(["1"] * 10, concurrency=3) as items:
        assert len([i async for i in items]) == 10
    assert provider.most == 3
    assert trio.current_time() == 4


async def test_the_input_is_read_no_faster_than_answers_are_taken() -> None:
    _, client = make()
    taken = 0

    def endless() -> Iterator[str]:
        nonlocal taken
        while True:
            taken += 1
            yield "1"

    async with client, client.map(endless(), concurrency=2) as items:
        async for item in items:
            await trio.sleep(100)
            assert taken <= item.index + 10
            if item.index == 20:
                break


async def test_ids_rows_and_errors_in_their_places() -> None:
    _, client = make()
    rows = [
        {"id": "a", "prompt": "1"},
        {"messages": [{"role": "user", "content": "2"}]},
        {"id": "c"},
        {"id": "d", "prompt": "bad"},
        {"id": "e", "prompt": "1", "temprature": 1},
        7,
        {"id": "g", "prompt": 3},
        {"id": "h", "prompt": "1", "messages": ["2"]},
    ]
    async with client, client.map(rows, errors="yield") as items:
        seen = [item async for item in items]
    assert [item.id for item in seen] == ["a", 1, "c", "d", "e", 5, "g", "h"]
    texts = [item.response.text if item.response else None for item in seen]
    assert texts[:2] == ["1", "2"]
    says = [str(item.error) for item in seen[2:]]
    assert 'needs "prompt" or "messages", this one has neither' in says[0]
    assert "bad" in says[1]
    assert "did you mean 'temperature'" in says[2]
    assert "can't take 7" in says[3]
    assert '"prompt" must be text' in says[4]
    assert "has prompt and messages" in says[5]


async def test_the_first_error_ends_all() -> None:
    provider, client = make()
    async with client:
        with pytest.raises(ServerError):
            async with client.map(["5", "bad", "5"]) as items:
                async for _ in items:
                    pass
        assert provider.live == 0


async def test_leaving_early_cancels_the_rest() -> None:
    provider, client = make()
    async with client:
        async with client.map(["1", "9", "9"]) as items:
            async for _ in items:
                break
        assert provider.live == 0
        assert trio.current_time() == 1


async def test_async_input_defaults_and_progress() -> None:
    _, client = make()
    progress: list[Progress] = []

    async def slowly() -> AsyncIterator[str]:
        for text in ("0.5", "bad", "2"):
            await trio.sleep(1)
            yield text

    async with client:
        async with client.map(
            slowly(), errors="yield", progress=progress.append, temperature=0
        ) as items:
            assert [item.error is None async for item in items] == [True, False, True]
        assert [(p.done, p.failed, p.total) for p in progress] == [
            (1, 0, None), (2, 1, None), (3, 1, None),
        ]  # fmt: skip
        async with client.map(["1"], progress=progress.append) as items:
            assert len([item async for item in items]) == 1
        assert progress[-1].total == 1


async def test_an_error_of_the_input_reaches_the_caller() -> None:
    _, client = make()

    def broken() -> Iterator[str]:
        yield "1"
        raise ZeroDivisionError

    async with client:
        with pytest.raises(ZeroDivisionError):
            async with client.map(broken()) as items:
                async for _ in items:
                    pass


async def test_wrong_arguments() -> None:
    _, client = make()
    async with client:
        for wrong in ({"concurrency": 0}, {"errors": "ignore"}):
            with pytest.raises(BadRequest):
                async with client.map(["1"], **wrong):
                    pass
        with pytest.raises(BadRequest, match="use ask"):
            async with client.map("1"):
                pass


def test_a_row_overrides_what_holds_for_all() -> None:
    name, asked = request_of(
        {"id": 7, "prompt": "x", "temperature": 1, "system": "s"}, {"temperature": 0, "seed": 3}
    )
    assert (name, asked.temperature, asked.seed) == (7, 1, 3)
    assert asked.messages[0].role == "system"
    assert Item(index=0, id=None).error is None


async def test_an_input_that_raises_what_ends_an_iteration_is_no_end() -> None:
    def inputs() -> Iterator[str]:
        yield "0"
        raise StopAsyncIteration

    _, client = make()
    with pytest.raises(RuntimeError, match="StopAsyncIteration"):
        async with client, client.map(inputs()) as items:
            async for _ in items:
                pass
