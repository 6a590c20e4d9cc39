"""Maps and streams over stacks that share flights and hedge."""

from __future__ import annotations

import gc

import pytest
import trio

from llmmw import Attempts, Client, Coalesce, Hedge, PartDelta, Retry, Timeout
from llmmw.errors import Overloaded, StreamInterrupted
from llmmw.testing import Fault, Script, SimulatedProvider

pytestmark = pytest.mark.virtual

SLOW = Script(first=1, gap=1, pieces=("a", "b", "c"))
HANGS = Script(hangs=True, pieces=())


def client_of(stack, **scripts):
    provider = SimulatedProvider(scripts)
    targets = [f"sim:{name}" for name in scripts]
    return provider, Client(*targets, stack=stack, providers=[provider])


def quiet(client):
    """Nothing goes on but the provider's own life."""
    return len(client.host.nursery.child_tasks) == 1


def hedged(**options):
    return Attempts(Retry(2, base=0.0), Hedge(0.5, targets=["sim:b"], **options))


async def test_a_map_asks_what_occurs_twice_once():
    provider, client = client_of([Coalesce()], a=[SLOW])
    async with client, client.map(["x", "y", "x", "x"]) as items:
        answers = [item.response async for item in items]
    assert [answer.text for answer in answers] == ["abc"] * 4
    assert [answer.joined for answer in answers].count(True) == 2
    assert len(provider.opened) == 2
    assert provider.live == 0


@pytest.mark.parametrize("ordered", [True, False])
async def test_an_error_that_many_share_is_each_items_own(ordered):
    _, client = client_of([Coalesce()], a=[Script(first=1, pieces=(), error=Fault("busy"))])
    async with client, client.map(["x"] * 5, errors="yield", ordered=ordered) as items:
        errors = [item.error async for item in items]
    assert all(type(error) is Overloaded for error in errors)
    assert len({id(error) for error in errors}) == 5


async def test_a_map_that_raises_a_shared_error_leaves_nothing():
    provider, client = client_of(
        [Coalesce()], a=lambda call, n: Script(first=1, pieces=(), error=Fault("busy"))
    )
    async with client:
        with pytest.raises(Overloaded):
            async with client.map(["x", "y", "x", "x"]) as items:
                async for _ in items:
                    pass
        assert provider.live == 0
        assert client.stack[0].statistics()["in_flight"] == 0
        assert quiet(client)


async def test_who_leaves_a_map_takes_nothing_from_another():
    provider, client = client_of([Coalesce()], a=[SLOW])
    async with client, trio.open_nursery() as nursery:
        results = []

        async def stays():
            async with client.map(["x", "y"]) as items:
                results.extend([item.response.text async for item in items])

        async def leaves():
            async with client.map(["x", "y"]):
                await trio.sleep(1.5)

        nursery.start_soon(leaves)
        await trio.sleep(0.1)
        nursery.start_soon(stays)
    assert results == ["abc", "abc"]
    assert len(provider.opened) == 2


@pytest.mark.parametrize("share", [True, False])
async def test_leaving_a_stream_while_a_hedge_runs_ends_both(share):
    provider, client = client_of([*[Coalesce()] * share, hedged()], a=[HANGS], b=[HANGS])
    async with client:
        async with client.stream("x"):
            await trio.sleep(1)
            assert provider.live == 2
        assert provider.live == 0
        assert quiet(client)


@pytest.mark.parametrize("share", [True, False])
async def test_leaving_a_stream_after_a_hedge_has_won(share):
    provider, client = client_of([*[Coalesce()] * share, hedged()], a=[HANGS], b=[SLOW])
    async with client:
        async with client.stream("x") as stream:
            async for delta in stream:
                if isinstance(delta, PartDelta):
                    break
        assert stream.partial.text == "a"
        assert provider.live == 0
        assert quiet(client)


async def test_an_exception_in_the_block_of_a_stream_comes_out_as_itself():
    provider, client = client_of([Coalesce(), hedged()], a=[HANGS], b=[HANGS])
    async with client:
        with pytest.raises(ZeroDivisionError):
            async with client.stream("x"):
                await trio.sleep(1)
                raise ZeroDivisionError
        assert provider.live == 0


async def test_one_leaves_the_stream_that_a_hedge_gave_and_another_reads_on():
    provider, client = client_of([Coalesce(), hedged()], a=[HANGS], b=[SLOW])
    texts = []

    async def leaves():
        async with client.stream("x") as stream:
            async for delta in stream:
                if isinstance(delta, PartDelta):
                    return

    async def stays():
        await trio.sleep(0.1)
        async with client.stream("x") as stream:
            texts.append((await stream.wait_response()).text)

    async with client:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(leaves)
            nursery.start_soon(stays)
        assert texts == ["abc"]
        assert provider.live == 0
    assert [seen.model for seen in provider.opened] == ["a", "b"]


async def test_a_winner_that_breaks_off_is_replaced_for_those_who_agree():
    broken = Script(first=0.2, gap=0.2, pieces=("x", "y"), error=Fault("cut"))
    _, client = client_of([Coalesce(), hedged(cancel_after=8)], a=[SLOW], b=[broken])
    results = {}

    async def read(name, on_interrupt):
        async with client.stream("x", on_interrupt=on_interrupt) as stream:
            try:
                results[name] = (await stream.wait_response()).text
            except StreamInterrupted as error:
                results[name] = error.partial.text

    async with client, trio.open_nursery() as nursery:
        nursery.start_soon(read, "minds", "error")
        nursery.start_soon(read, "agrees", "restart")
    assert results == {"minds": "xy", "agrees": "abc"}


async def test_a_map_in_a_limit_of_time_leaves_no_flight():
    provider, client = client_of([Timeout(total=0.7), Coalesce(), hedged()], a=[HANGS], b=[HANGS])
    async with client:
        async with client.map(["x"] * 3, errors="yield") as items:
            errors = [item.error.limit async for item in items]
        assert errors == ["total"] * 3
        assert provider.live == 0
        assert quiet(client)


async def test_a_map_keeps_nothing_of_what_was_taken():
    provider, client = client_of([Coalesce()], a=[Script()])
    async with client, client.map(str(k) for k in range(2000)) as items:
        gc.collect()
        before = len(gc.get_objects())
        async for _ in items:
            pass
        provider.seen.clear()
        gc.collect()
        assert len(gc.get_objects()) - before < 2000
