"""Passes over graphs: less work, and the same results."""

from __future__ import annotations

import dataclasses
import datetime
import functools
import random
import sys
from decimal import Decimal
from typing import NamedTuple

import attrs
import pytest
import trio
from hypothesis import given
from hypothesis import strategies as st

from llmmw import Client
from llmmw._hookspecs import Spec, hookimpl
from llmmw._plugins import Named, Plugins
from llmmw.errors import BadRequest, ConfigError, PluginError
from llmmw.flow import (
    BatchCalls,
    Box,
    Graph,
    If,
    Many,
    NodeError,
    NodeResult,
    batch,
    batchable,
    builtin,
    drop,
    embed,
    executable,
    merge,
    parallel,
    registry,
    repeat,
)

calls = []


@pytest.fixture(autouse=True)
def _no_calls():
    calls.clear()


@builtin
async def vector_of(text, *, model=None, dimensions=None):
    calls.append((text, model))
    await trio.lowlevel.checkpoint()
    if isinstance(text, list):
        return [_vector(one) for one in text]
    return _vector(text)


def _vector(text):
    if text == "bad":
        raise ValueError("no vector for this")
    return f"<{text}>"


batchable(vector_of, over="text", most=4)


@executable(pure=True)
def twice(value):
    calls.append(("twice", value))
    return value * 2


@executable
def counted(value):
    calls.append(("counted", value))
    return value


async def ran(flow, **options):
    async with Client(stack=[]) as client:
        return await client.run(flow, **options)


async def test_independent_calls_become_one():  # F17
    several = [vector_of(text) for text in "abc"]
    assert await ran(several, passes=["batch"]) == ["<a>", "<b>", "<c>"]
    assert calls == [(["a", "b", "c"], None)]


async def test_calls_that_need_each_other_are_never_one():  # 2.1.1: a circle, and a KeyError
    first = vector_of("a")
    second = vector_of(first)
    third = vector_of("c")
    last = vector_of(twice(second))
    found = await ran([last, third, second, first], passes=["batch"])
    assert found == ["<<<a>><<a>>>", "<c>", "<<a>>", "<a>"]
    assert calls[0] == (["a", "c"], None)
    assert [one[0] for one in calls[1:]] == ["<a>", "twice", "<<a>><<a>>"]


async def test_calls_with_other_parameters_are_kept_apart():  # 2.1.2: parameters were lost
    flow = [
        vector_of("a", model="x"),
        vector_of("b", model="y"),
        vector_of("c", model="x"),
        vector_of("d", model="x", dimensions=3),
    ]
    assert await ran(flow, passes=["batch"]) == ["<a>", "<b>", "<c>", "<d>"]
    assert sorted(calls, key=str) == [("b", "y"), ("d", "x"), (["a", "c"], "x")]


async def test_a_batch_is_no_larger_than_allowed():  # 2.1.4
    await ran([vector_of(str(one)) for one in range(10)], passes=["batch"])
    assert [len(one) for one, _ in calls] == [4, 4, 2]


async def test_a_call_that_has_a_list_already_is_made_as_it_is():
    lists = Box(["x", "y"])
    flow = [vector_of("a"), vector_of(["p", "q"]), vector_of(lists), vector_of("b")]
    assert await ran(flow, passes=["batch"]) == ["<a>", ["<p>", "<q>"], ["<x>", "<y>"], "<b>"]
    assert (["a", "b"], None) in calls


async def test_ids_answer_with_their_own_item():  # F17
    flow = [vector_of("a").with_options(id="one"), vector_of("b").with_options(id="two")]
    graph = batch(Graph.collect(flow))
    assert {"one", "two"} < set(graph)
    graph.validate()
    heard = []
    await ran(flow, passes=[batch], observer=heard.append)
    told = {one.node: one.value for one in heard if isinstance(one, NodeResult)}
    assert told["one"] == "<a>"
    assert told["two"] == "<b>"


async def test_a_branch_that_may_not_be_taken_is_not_made_with_others():
    flow = [vector_of("a"), vector_of("b"), If(False, vector_of("never"), vector_of("c"))]
    assert await ran(flow, passes=["batch"]) == ["<a>", "<b>", "<c>"]
    assert sorted(calls, key=str) == [("c", None), (["a", "b"], None)]


async def test_each_sample_of_a_repeat_is_asked_for_itself():
    shared = vector_of("a")
    flow = [shared, vector_of("b"), vector_of("c"), repeat(shared, 2)]
    assert await ran(flow, passes=["batch"]) == ["<a>", "<b>", "<c>", ["<a>", "<a>"]]
    assert sorted(calls, key=str) == [("a", None)] * 3 + [(["b", "c"], None)]


async def test_an_error_of_one_is_an_error_of_all():
    flow = [vector_of("a"), vector_of("bad")]
    found = await ran(flow, passes=["batch"], errors="keep")
    assert [type(one) for one in found] == [ValueError, ValueError]


async def test_a_batch_that_gives_too_few_is_an_error():
    @executable
    def short(text):
        return text[:-1]

    with pytest.raises(BadRequest, match="short was given 2 items and gave 1 results"):
        await ran([short("a"), short("b")], passes=[BatchCalls({short: Many("text")})])


async def test_what_a_member_waits_for_is_waited_for():
    order = []

    @executable
    async def late():
        await trio.lowlevel.checkpoint()
        order.append("late")

    @executable
    def several(text):
        order.append(text)
        return text

    flow = [several("a"), several("b").with_options(depends=[late()])]
    assert await ran(flow, passes=[BatchCalls({several: Many("text")})]) == ["a", "b"]
    assert order == ["late", ["a", "b"]]


async def test_embeddings_become_one_request():  # F17, the real case
    asked = []

    async def lengths(inputs, *, model=None, dimensions=None, purpose=None):
        asked.append((inputs, purpose))
        return [len(inputs)] if isinstance(inputs, str) else [[len(one)] for one in inputs]

    flow = {
        "few": [embed("a"), embed("bb"), embed("ccc", purpose="query")],
        "many": [embed("x" * size) for size in range(200)],
    }
    with registry():
        embed.configure(lengths)
        found = await ran(flow, passes=["merge", "batch"])
    assert found["few"] == [[1], [2], [3]]
    assert found["many"] == [[size] for size in range(200)]
    sizes = [len(inputs) for inputs, purpose in asked if purpose is None]
    assert sizes == [96, 96, 10]
    assert ("ccc", "query") in asked


def test_a_batch_form_names_a_parameter_that_there_is():
    with pytest.raises(ConfigError, match="vector_of has no parameter 'words'"):
        batchable(vector_of, over="words")
    with pytest.raises(ConfigError, match="most=0"):
        batchable(vector_of, over="text", most=0)


async def test_equal_pure_calls_are_made_once_unless_told_otherwise():  # F3, 2.1.8
    assert await ran([twice(2), twice(2), counted(1), counted(1)]) == [4, 4, 1, 1]
    assert calls.count(("twice", 2)) == 1
    assert calls.count(("counted", 1)) == 2
    calls.clear()
    await ran([twice(2), twice(2)], passes=())
    assert calls == [("twice", 2)] * 2


async def test_results_and_errors_are_told_under_every_id():
    heard = []
    flow = [twice(2).with_options(id="a"), twice(2).with_options(id="b")]
    await ran(flow, observer=heard.append)
    results = [(one.node, one.value) for one in heard if isinstance(one, NodeResult)]
    assert results == [("a", 4), ("b", 4)]
    heard.clear()
    flow = [twice(None).with_options(id="a"), twice(None).with_options(id="b")]
    await ran(flow, observer=heard.append, errors="keep")
    assert [one.node for one in heard if isinstance(one, NodeError)] == ["a", "b"]


def test_dropping_keeps_what_is_wanted():
    wanted, other = twice(twice(1)), twice(7)
    graph = Graph.collect([wanted, other])
    fewer = drop(attrs.evolve(graph, value=wanted))
    assert list(fewer) == [wanted.args[0].id, wanted.id]


async def test_passes_run_in_their_order_and_are_functions():  # F16
    seen = []

    def first(graph):
        seen.append(("first", len(graph)))
        return graph.rewrite(lambda one: twice(5) if one.name == "counted" else one)

    def second(graph):
        seen.append(("second", [one.name for one in graph.values()]))
        return graph

    assert await ran(counted(1), passes=[first, second]) == 10
    assert seen == [("first", 1), ("second", ["twice"])]


async def test_a_pass_that_gives_no_graph_is_named():
    with pytest.raises(BadRequest, match="gave no graph, but None"):
        await ran(counted(1), passes=[lambda graph: None])


class Contributed:
    """A plugin with a pass."""

    @staticmethod
    @hookimpl
    def llmmw_passes():
        return [Spec("tens", "passes_of_a_plugin:tens", "adds ten")]

    @staticmethod
    def tens(graph):
        return graph.rewrite(lambda one: counted(10) if one.name == "counted" else one)


async def test_a_plugin_contributes_a_pass(monkeypatch):  # F16
    monkeypatch.setitem(sys.modules, "passes_of_a_plugin", Contributed)
    plugins = Plugins(found=[Named("pass", "tens", "passes_of_a_plugin", "strange", "1")])
    async with Client(stack=[], plugins=plugins) as client:
        assert await client.run(counted(1), passes=["tens"]) == 10
        with pytest.raises(PluginError, match="no pass is named 'tons'; did you mean 'tens'"):
            await client.run(counted(1), passes=["tons"])


# Any passes, any order: the same results.


@executable
def joined(*items):
    calls.append("joined")
    return "".join(map(str, items))


@executable(pure=True)
def purely(*items, sep=""):
    return sep.join(map(str, items))


batchable(counted, over="value")


def drawn(choose, size):
    """A flow of random nodes, each of some before it."""
    nodes = []

    def some():
        value = choose([*nodes[-6:], 1, 2, "x", True]) if nodes else choose([1, "x"])
        return choose([value, [value, 1], (value,), {"k": value}])

    def one():
        return choose([*nodes[-6:], 1, "x"])

    makers = [
        lambda: vector_of(str(choose([1, 2]))),
        lambda: vector_of(purely(one())),
        lambda: vector_of(one(), model=choose(["m", None])),
        lambda: purely(some(), some(), sep=choose(["", "-"])),
        lambda: purely(1, choose([1, True, 1.0])),
        lambda: joined(some(), one()),
        lambda: Box({"v": some()}).future.v,
        lambda: Box([some(), some()])[1],
        lambda: If(choose([True, False]), some(), some()),
        lambda: purely(one()) + purely(one()),
        lambda: parallel(some(), some()),
        lambda: repeat(joined(one()), 2),
        lambda: joined(one()).with_options(depends=[purely(some())]),
    ]
    for _ in range(size):
        made = choose(makers)()
        nodes.append(made)
    return {"all": nodes, "some": nodes[-2:]} if size % 2 else nodes[::-1]


@given(
    seed=st.integers(0, 2**32),
    size=st.integers(1, 14),
    passes=st.lists(st.sampled_from([merge, drop, batch]), max_size=5),
)
def test_no_passes_change_a_result(seed, size, passes):
    flow = drawn(random.Random(seed).choice, size)
    before = Graph.collect(flow)

    async def main():
        async with Client(stack=[]) as client:
            plain = await client.run(flow, passes=())
            return plain, await client.run(flow, passes=passes)

    plain, passed = trio.run(main)
    assert passed == plain
    after = functools.reduce(lambda graph, one: one(graph), passes, before)
    after.validate()
    for key in [*before, *before.aliases]:
        assert key in after
        assert after[key] is not None


@attrs.frozen
class Frozen:
    value: object


@dataclasses.dataclass(frozen=True)
class Data:
    value: object


class Pair(NamedTuple):
    value: object


class Listed(list):
    pass


NOON = datetime.datetime(2020, 1, 1, 12, tzinfo=datetime.UTC)


@pytest.mark.parametrize("within", [lambda one: one, Frozen, Data, Pair, lambda one: {"x": [one]}])
@pytest.mark.parametrize(
    ("one", "other"),
    [
        (1, True),
        (1, 1.0),
        (0.0, -0.0),
        (Decimal("1.0"), Decimal("1.00")),
        (NOON, NOON.astimezone(datetime.timezone(datetime.timedelta(hours=1)))),
        (range(0, 3, 2), range(0, 4, 2)),
        (Listed([1]), Listed([1])),
    ],
)
async def test_what_is_equal_and_differs_all_the_same_is_not_one(one, other, within):
    assert one == other
    graph = Graph.collect([twice(within(one)), twice(within(other))])
    assert len(graph) == 2


@pytest.mark.parametrize("within", [lambda one: one, Frozen, Data, Pair, lambda one: {"x": [one]}])
async def test_equal_values_are_one(within):
    for value in ("x", 1, 0.5, None, b"x", ("y", 1), twice):
        assert len(Graph.collect([twice(within(value)), twice(within(value))])) == 1
