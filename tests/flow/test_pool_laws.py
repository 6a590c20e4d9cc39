"""Any flow gives what its definition says, whatever the order, the limit, and who gives up.

Flows are drawn as lists of nodes, each over earlier ones. What each must give is computed without
any scheduling; the run must agree, complete no node twice, and leave nothing behind.
"""

from __future__ import annotations

from collections import Counter

import attrs
import pytest
import trio
import trio.testing
from hypothesis import example, given, settings
from hypothesis import strategies as st

from llmmw import Client
from llmmw.flow import executable, parallel
from llmmw.flow._combine import If

_KINDS = (
    *("value", "fail", "sum", "sum", "await", "await", "gather"),
    *("careful", "hasty", "keep", "if"),
)
DELAYS = st.sampled_from([0, 0, 0, 0.5, 1, 2])


@attrs.frozen
class Spec:
    kind: str
    needs: tuple[int, ...]
    delay: float
    limit: int


@st.composite
def specs(draw):
    size = draw(st.integers(1, 9))
    made = []
    for index in range(size):
        kinds = ["value", "fail"] if not index else list(_KINDS)
        kind = draw(st.sampled_from(kinds))
        needs = (
            ()
            if kind in {"value", "fail"}
            else tuple(draw(st.lists(st.integers(0, index - 1), min_size=1, max_size=3)))
        )
        made.append(Spec(kind, needs, draw(DELAYS), draw(st.integers(1, 3))))
    return made


def expected(made):
    """What each node must give; `None` for one that fails."""
    gives = []
    for index, one in enumerate(made):
        inputs = [gives[need] for need in one.needs]
        if one.kind == "value":
            gives.append(index)
        elif one.kind == "fail":
            gives.append(None)
        elif one.kind in {"careful", "hasty"}:
            gives.append(-1)
        elif one.kind == "keep":
            gives.append(sum(0 if given is None else given for given in inputs))
        elif one.kind == "if":
            taken = inputs[len(inputs) // 2]
            gives.append(None if inputs[0] is None else taken)
        else:
            gives.append(None if None in inputs else sum(inputs))
    return gives


def built(made, completed):
    """The flow of the specs; `completed` counts how often each node came to its end."""
    nodes = []

    for index, one in enumerate(made):
        needs = [nodes[need] for need in one.needs]
        nodes.append(node_of(index, one, needs, completed))
    return nodes


def node_of(index, one, needs, completed):
    @executable
    async def leaf():
        await trio.sleep(one.delay)
        completed[index] += 1
        if one.kind == "fail":
            raise ValueError(index)
        return index

    @executable
    async def total(*given):
        await trio.sleep(one.delay)
        completed[index] += 1
        return sum(given)

    @executable(lazy=("several",))
    async def dynamic(several):
        await trio.sleep(one.delay)
        if one.kind == "await":
            value = sum([await other for other in several])
        elif one.kind == "gather":
            value = sum(await parallel(*several, limit=one.limit))
        elif one.kind == "keep":
            kept = await parallel(*several, limit=one.limit, errors="keep")
            value = sum(x for x in kept if not isinstance(x, Exception))
        else:
            value = -1
            with trio.move_on_after(one.limit / 2 if one.kind == "hasty" else 1000):
                try:
                    await parallel(*several)
                except ValueError:
                    pass
        completed[index] += 1
        return value

    if one.kind in {"value", "fail"}:
        return leaf()
    if one.kind == "sum":
        return total(*needs)
    if one.kind == "if":
        return If(needs[0] > -1000, needs[len(needs) // 2], 7)
    return dynamic(needs)


@settings(max_examples=300)
@given(made=specs(), limit=st.integers(1, 3), roots=st.lists(st.integers(0, 8), min_size=1))
@example(  # two give up at once what the first has begun: the third must begin it anew
    made=[
        Spec("value", (), 0.5, 1),
        Spec("await", (0,), 1, 1),
        Spec("hasty", (0,), 1, 1),
        Spec("hasty", (0,), 1, 1),
    ],
    limit=3,
    roots=[2, 3, 1],
)
def test_a_run_gives_what_the_definition_says(made, limit, roots):
    wanted = expected(made)
    completed = Counter()
    nodes = built(made, completed)
    chosen = [root % len(made) for root in roots]

    async def main():
        async with Client(stack=[]) as client:
            with trio.fail_after(10_000):
                return await client.run(
                    [nodes[one] for one in chosen], concurrency=limit, errors="keep"
                )

    came = trio.run(main, clock=trio.testing.MockClock(autojump_threshold=0))
    values = [None if isinstance(one, Exception) else one for one in came]
    assert values == [wanted[one] for one in chosen]
    assert not [index for index, times in completed.items() if times > 1]


@settings(max_examples=100)
@given(made=specs(), limit=st.integers(1, 3))
def test_the_first_error_ends_a_run(made, limit):
    wanted = expected(made)
    nodes = built(made, Counter())

    async def main():
        async with Client(stack=[]) as client:
            with trio.fail_after(10_000):
                return await client.run(nodes, concurrency=limit)

    clock = trio.testing.MockClock(autojump_threshold=0)
    if None in wanted:
        with pytest.raises(ValueError):
            trio.run(main, clock=clock)
    else:
        assert trio.run(main, clock=clock) == wanted


@settings(max_examples=100)
@given(made=specs(), limit=st.integers(1, 3), after=st.sampled_from([0, 0.25, 0.75, 1.5, 3]))
def test_leaving_a_run_leaves_nothing_behind(made, limit, after):
    nodes = built(made, Counter())

    async def main():
        async with Client(stack=[]) as client:
            before = trio.lowlevel.current_statistics().tasks_living
            with trio.move_on_after(after):
                await client.run(nodes, concurrency=limit, errors="keep")
            assert trio.lowlevel.current_statistics().tasks_living == before

    trio.run(main, clock=trio.testing.MockClock(autojump_threshold=0))
