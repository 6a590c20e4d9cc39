"""Shared flights whose callers are asyncio tasks and threads."""

import asyncio
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from llmmw import Coalesce, aio, sync
from llmmw._ledger import FlightJoined
from tests.bridges.conftest import seen
from tests.bridges.test_aio import cancelled, in_asyncio


def joining():
    """An event that is set when a call joins a flight, and the instrument that sets it."""
    joined = threading.Event()
    return joined, lambda event: joined.set() if isinstance(event, FlightJoined) else None


@pytest.mark.usefixtures("each_way")
@in_asyncio
async def test_a_cancelled_task_leaves_its_flight_to_the_others(hold) -> None:
    joined, hear = joining()
    options = {"providers": [hold], "stack": [Coalesce()], "instruments": [hear]}
    async with aio.Client("hold:a", **options) as client:
        first = asyncio.create_task(client.ask("hi"))
        await seen(hold.call("hi").begun)
        second = asyncio.create_task(client.ask("hi"))
        await seen(joined)
        await cancelled(first)
        assert hold.live == 1
        await hold.let_go_soon("hi")
        answer = await second
        assert (answer.text, answer.joined) == ("one two", False)

        last = asyncio.create_task(client.ask("other"))
        await seen(hold.call("other").begun)
        await cancelled(last)
        assert (hold.live, hold.call("other").outcome) == (0, "cancelled")


def test_threads_share_a_flight(hold) -> None:
    joined, hear = joining()
    options = {"providers": [hold], "stack": [Coalesce()], "instruments": [hear]}
    with sync.Client("hold:a", **options) as client, ThreadPoolExecutor(2) as pool:
        first = pool.submit(client.ask, "hi")
        assert hold.call("hi").begun.wait(30)
        second = pool.submit(client.ask, "hi")
        assert joined.wait(30)
        hold.let_go("hi")
        answers = [one.result(30) for one in (first, second)]
    assert [answer.text for answer in answers] == ["one two"] * 2
    assert [answer.joined for answer in answers] == [False, True]
