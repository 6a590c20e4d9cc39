"""From when the limits of an attempt count: its sending, once; and what they bound before it."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import attrs
import pytest
import trio

from llmmw import Attempts, Call, Client, Concurrency, Fallback, Finish, Response, Retry, Timeout
from llmmw._chain import Handler
from llmmw.errors import DeadlineExceeded
from llmmw.plugin import Host, Provider, ResponseBuilder

pytestmark = pytest.mark.virtual


@attrs.define(eq=False)
class Slow(Provider):
    """Answers its calls after so many seconds each, and opens after some."""

    takes: list[float] = attrs.field(factory=lambda: [1000.0])
    opens: float = 0.0

    @asynccontextmanager
    async def open(self, host: Host) -> AsyncIterator[None]:
        await trio.sleep(self.opens)
        yield

    async def __call__(self, call: Call) -> Response:
        await trio.sleep(self.takes.pop(0) if len(self.takes) > 1 else self.takes[0])
        builder = ResponseBuilder(call, self.name)
        await builder.text(f"from {self.name}")
        return await builder.finish(Finish("stop"))


class Marking(Slow):
    """Says itself when a call leaves."""

    marks_sent = True

    async def __call__(self, call: Call) -> Response:
        call.attempt.mark_sent(call.ledger)
        return await super().__call__(call)


async def passes(call: Call, next: Handler) -> Response:
    return await next(call)


LIMITS = [Timeout(total=5), Timeout(first_token=5, stream=True)]
KINDS = pytest.mark.parametrize("kind", [Slow, Marking])


@KINDS
@pytest.mark.parametrize("limit", LIMITS)
@pytest.mark.parametrize("between", [(), (passes,), (Concurrency(1),)])
async def test_a_provider_that_does_not_open_is_given_up(kind, limit, between) -> None:
    stack = [Timeout(total=60), Attempts(Retry(1), Fallback("b:m")), limit, *between]
    providers = [kind(name="a", opens=1000), kind(name="b", takes=[1])]
    async with Client("a:m", stack=stack, providers=providers) as client:
        assert (await client.ask("hi")).text == "from b"
        assert trio.current_time() == pytest.approx(6)


@KINDS
async def test_what_opens_in_time_has_the_whole_limit_after_that(kind) -> None:
    stack = [Attempts(Retry(0)), Timeout(total=5)]
    async with Client("a:m", stack=stack, providers=[kind(name="a", opens=4, takes=[4])]) as client:
        assert (await client.ask("hi")).text == "from a"
        assert trio.current_time() == 8


async def twice(call: Call, next: Handler) -> Response:
    await next(call)
    return await next(call)


async def both(call: Call, next: Handler) -> Response:
    found: list[Response] = []

    async def ask(after: float) -> None:
        await trio.sleep(after)
        found.append(await next(call))

    async with trio.open_nursery() as nursery:
        nursery.start_soon(ask, 0)
        nursery.start_soon(ask, 1)
    return found[0]


@KINDS
@pytest.mark.parametrize("limit", LIMITS)
@pytest.mark.parametrize("again", [twice, both])
@pytest.mark.parametrize("between", [(), (Concurrency(1),)])
async def test_an_attempt_that_asks_twice_is_bounded_twice(kind, limit, again, between) -> None:
    stack = [Attempts(Retry(1)), again, limit, *between]
    providers = [kind(name="a", takes=[1, 1000, 1])]
    async with Client("a:m", stack=stack, providers=providers) as client:
        with trio.fail_after(20):
            try:
                await client.ask("hi")
            except* DeadlineExceeded:  # of `both`, which is no middleware of ours
                pass


@pytest.mark.parametrize("inner", [Timeout(total=100), Timeout(first_token=100, stream=True)])
async def test_a_limit_further_in_does_not_move_one_that_runs(inner) -> None:
    """What runs was not held, so that there is nothing to make up for."""

    async def works(call: Call, next: Handler) -> Response:
        await trio.sleep(8)
        return await next(call)

    stack = [Attempts(Retry(0)), Timeout(total=10), works, inner]
    async with Client("a:m", stack=stack, providers=[Slow(name="a", takes=[1, 1000])]) as client:
        await client.ask("hi")
        begun = trio.current_time()
        with pytest.raises(DeadlineExceeded, match="10 s"):
            await client.ask("hi")
        assert trio.current_time() - begun == 10


@KINDS
async def test_a_limit_around_attempts_runs_once_one_of_them_has_left(kind) -> None:
    stack = [Attempts(Retry(0)), Timeout(total=5), Concurrency(1), Attempts(Retry(0))]
    ended: list[float] = []
    async with Client("a:m", stack=stack, providers=[kind(name="a")]) as client:

        async def ask() -> None:
            with pytest.raises(DeadlineExceeded):
                await client.ask("hi")
            ended.append(trio.current_time())

        with trio.fail_after(60):
            async with trio.open_nursery() as nursery:
                nursery.start_soon(ask)
                nursery.start_soon(ask)
    assert ended == [5, 10]
