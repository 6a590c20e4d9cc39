"""Graphs as JSON and back."""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
from pathlib import Path, PurePosixPath

import pytest
import trio
from hypothesis import example, given
from hypothesis import strategies as st

from llmmw import Client, Message, TextPart
from llmmw.errors import BadRequest
from llmmw.flow import (
    Box,
    Graph,
    If,
    builtin,
    executable,
    map_over,
    parallel,
    registry,
    repeat,
    serial,
    with_current_registry,
)
from llmmw.flow._text import concat, format, jq


@executable
def add(a, b):
    return a + b


@executable(pure=True)
def shown(value, *, sign="!"):
    return f"{value}{sign}"


@builtin
def doubled(value):
    return value * 2


@executable
def same(value):
    return value


FUNCTIONS = [add, shown, doubled, same]


async def ran(flow):
    async with Client(stack=[]) as client:
        return await client.run(flow)


def again(graph):
    text = graph.to_json()
    read = Graph.from_json(text, FUNCTIONS)
    assert read.to_json() == text
    read.validate()
    return read


async def test_a_graph_gives_the_same_after_it_was_read():
    total = add(1, 2)
    made = Box({"text": "abc", "rows": [1, 2, 3]})
    flow = {
        "operators": [(total + 1) * 2, -total, 10 - total, total.future.real],
        "future": made.future.rows[total - 1],
        "method": made.future.text.upper(),
        "choices": If(total, shown(total), add("never", 1)),
        "several": [parallel(total, 5), parallel(total, limit=1), serial(total, doubled(4))],
        "again": repeat(doubled(value=total), 2),
        "mapped": map_over(doubled, [1, total]),
        "texts": [
            concat("a", total, None),
            format("{x:>4}|{y}", x=total, y="z"),
            jq(made, ".rows[1]"),
        ],
        "values": (1.5, b"bytes", {2: "two"}, {1, 2}, None, True),
    }
    expected = await ran(flow)
    assert await ran(again(Graph.collect(flow)).value) == expected
    assert expected["method"] == "ABC"


def test_the_form_is_plain():
    first = add(1, 2).with_options(id="sum", timeout=5)
    text = Graph.collect([shown(first, sign="?").with_options(hidden=True)]).to_json()
    assert json.loads(text) == {
        "graph": 1,
        "value": [{"$node": "n2"}],
        "nodes": [
            {"id": "sum", "do": "function:add", "args": [1, 2], "timeout": 5},
            {
                "id": "n2",
                "do": "function:shown",
                "args": [{"$node": "sum"}],
                "with": {"sign": "?"},
                "hidden": True,
            },
        ],
    }


def test_order_timeouts_and_hiding_are_kept():
    before = add(1, 2).with_options(id="before")
    graph = Graph.collect(add(3, 4).with_options(id="x", depends=[before], hidden=True, timeout=2))
    read = again(graph)["x"]
    assert [one.id for one in read.depends] == ["before"]
    assert (read.hidden, read.timeout, read.label) == (True, 2, "x")


def test_labels_never_meet_made_up_ids():
    graph = again(Graph.collect([add(1, 2), add(3, 4).with_options(id="n1")]))
    assert set(graph) == {"n1", "n1_"}


def test_ids_of_merged_nodes_answer_where_they_were_given():
    graph = again(Graph.collect([shown(1), shown(1).with_options(id="other"), shown(1)]))
    assert graph["other"] is graph["n1"]
    assert list(graph.aliases) == ["other"]


def test_values_of_the_library_are_kept():
    graph = again(Graph.collect(same([Message("user", "hello"), TextPart("again")])))
    assert graph["n1"].args[0] == [Message("user", "hello"), TextPart("again")]


def test_the_same_graph_has_the_same_text_in_every_process():
    program = (
        "from llmmw.flow import *\n"
        "@executable\n"
        "def f(*a): return a\n"
        "for _ in range({extra}): f(1)\n"
        "a, b, c = f('a'), f('b'), f('c')\n"
        "print(Graph.collect([{{a, b, c}}, f({{a, b, c}}, {{'p', 'q', 'r'}}), a + b]).to_json())"
    )
    texts = set()
    for seed in ("1", "2", "3"):
        done = subprocess.run(
            [sys.executable, "-c", program.format(extra=seed)],
            capture_output=True,
            text=True,
            check=True,
            cwd=Path(__file__).parents[2],
            env={**os.environ, "PYTHONHASHSEED": seed},
        )
        texts.add(done.stdout)
    assert len(texts) == 1


def changed(**fields):
    row = {"id": "a", "do": "function:add", "args": [1, 2]} | fields
    return json.dumps({"graph": 1, "value": {"$node": "a"}, "nodes": [row]})


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "no graph in JSON"),
        ("[]", "no graph in JSON"),
        ('{"graph": 2}', 'it has no "graph": 1'),
        ('{"graph": 1}', '"nodes" are no list'),
        ("[" * 100_000, "no graph in JSON"),
        (changed(id=3), "a node has no id"),
        (changed(does="x"), "the node 'a' has an unknown field 'does'"),
        (changed(do="function:other"), "'a' needs 'other', which is no builtin: give it as"),
        (changed(do="other"), "the node 'a' does 'other', which is none of"),
        (changed(do="builtin:os.system"), "needs 'os.system', which is no builtin"),
        (changed(args=[{"$node": "b"}]), "'a' needs the node 'b', which is not there"),
        (changed(args=[{"$node": ["a"]}]), "needs the node"),
        (changed(depends=["b"]), "'a' needs the node 'b', which is not there"),
        (changed(args=[{"$node": "a"}]), "in a circle: a -> a"),
        (changed(args=[{"$pickle": "gASV"}]), "no value has the form '$pickle'"),
        (changed(args=[{"$bytes": "!"}]), "$bytes can't be read"),
        (changed(args=[{"$type": "type"}]), "$type can't be read"),
        (changed(args=[{"$set": [[]]}]), "$set can't be read"),
        (changed(args=[{"$value": {"$kind": "Popen"}}]), "unknown kind of value 'Popen'"),
        (changed(args=[{"$function": "eval"}]), "needs 'eval', which is no builtin"),
        (changed(args={}), "'args' is no list"),
        (changed(timeout="1"), "timeout='1'"),
    ],
)
def test_what_is_wrong_is_said(text, message):
    with pytest.raises(BadRequest) as raised:
        Graph.from_json(text, FUNCTIONS)
    assert message in str(raised.value)


def test_deep_values_are_refused_both_ways():
    deep = 1
    for _ in range(150):
        deep = [deep]
    again(Graph.collect(same(deep)))
    for _ in range(200):
        deep = [deep]
    text = json.dumps({"graph": 1, "value": deep, "nodes": []})
    with pytest.raises(BadRequest, match="200 deep"):
        Graph.from_json(text)
    with pytest.raises(BadRequest, match="200 deep"):
        Graph({"deep": deep}).to_json()


def test_circles_and_equal_ids_are_named():  # 2.4.9, 2.4.14
    one = {"id": "a", "do": "add", "args": [{"$node": "b"}, 1]}
    two = {"id": "b", "do": "add", "args": [{"$node": "a"}, 1]}
    with pytest.raises(BadRequest, match=r"in a circle: [ab] -> [ab] -> [ab]"):
        Graph.from_json(json.dumps({"graph": 1, "value": 1, "nodes": [one, two]}))
    with pytest.raises(BadRequest, match="two nodes have the id 'a'"):
        Graph.from_json(json.dumps({"graph": 1, "value": 1, "nodes": [one, one]}))


@pytest.mark.parametrize(
    ("args", "kwargs"),
    [
        (["__class__"], {}),
        (["_private"], {}),
        (["format"], {}),
        (["gi_frame"], {}),
        ([], {"name": "__class__"}),
        ([{"$node": "text"}], {}),
    ],
)
def test_a_graph_that_was_read_reaches_nothing_private(args, kwargs):
    nodes = [
        {"id": "text", "do": "box", "args": ["__class__"]},
        {"id": "a", "do": "attribute", "args": ["x", *args], "with": kwargs},
    ]
    with pytest.raises(BadRequest, match="the node 'a'"):
        Graph.from_json(json.dumps({"graph": 1, "value": {"$node": "a"}, "nodes": nodes}))


def test_what_json_has_no_form_for_is_named():
    with pytest.raises(BadRequest, match="the node 'n1': a PurePosixPath can't be written"):
        Graph.collect(same(PurePosixPath())).to_json()
    with pytest.raises(BadRequest, match="'<lambda>' is no name"):
        Graph.collect(map_over(lambda one: one, [1])).to_json()
    with registry(), pytest.raises(BadRequest, match="'with_registry' can't be written"):
        Graph.collect(with_current_registry(same(1))).to_json()


def test_two_functions_of_one_name_are_told_apart():
    other = executable(name="add")(lambda a, b: a - b)
    with pytest.raises(BadRequest, match="two different functions are named 'add'"):
        Graph.collect([add(1, 2), other(1, 2)]).to_json()
    with pytest.raises(BadRequest, match="two functions are named 'add'"):
        Graph.from_json(changed(), [add, other])
    graph = Graph.from_json(changed(), {"add": other})
    assert graph["a"].operation is other.operation


async def test_a_plain_function_may_be_supplied():
    graph = Graph.from_json(changed(), {"add": lambda a, b: [a, b]})
    assert await ran(graph.value) == [1, 2]


def test_a_broken_order_in_the_text_is_put_right():
    nodes = [
        {"id": "b", "do": "add", "args": [{"$node": "a"}, 1]},
        {"id": "a", "do": "box", "args": [1]},
    ]
    graph = Graph.from_json(json.dumps({"graph": 1, "value": {"$node": "b"}, "nodes": nodes}))
    assert list(graph) == ["a", "b"]


json_like = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False)
    | st.text()
    | st.binary(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.tuples(inner, inner)
        | st.dictionaries(st.text(max_size=4) | st.integers(), inner, max_size=3)
        | st.frozensets(st.integers() | st.text(max_size=3), max_size=3)
    ),
    max_leaves=12,
)


@given(json_like)
@example({"$node": "n1"})
@example({"$dict": [[1, 2]]})
@example([-0.0, 1e300, 2**70, "\ud800"])
def test_any_plain_value_comes_back_as_it_was(value):
    read = again(Graph.collect([same(value)]))["n1"].args[0]
    assert read == value
    assert ordered_repr(read) == ordered_repr(value)


def ordered_repr(value):
    """With the types and signs that equality leaves out."""
    if isinstance(value, (list, tuple)):
        return [type(value), *map(ordered_repr, value)]
    if isinstance(value, dict):
        return [dict, *map(ordered_repr, value.items())]
    return sorted(map(repr, value)) if isinstance(value, frozenset) else repr(value)


@given(seed=st.integers(0, 2**32), size=st.integers(1, 12))
def test_any_graph_gives_the_same_after_it_was_read(seed, size):
    choose = random.Random(seed).choice
    nodes = [Box(1)]

    def some():
        return choose([*nodes[-5:], 2, "x", [nodes[-1], 1], {"k": nodes[0]}])

    makers = [
        lambda: shown(some()),
        lambda: shown(some(), sign=some()),
        lambda: Box([some(), some()])[1],
        lambda: If(some(), some(), some()),
        lambda: parallel(some(), some()),
        lambda: repeat(shown(some()), 2),
        lambda: same(some()).with_options(depends=[nodes[-1]]),
        lambda: same(some()).with_options(id=f"label-{len(nodes)}"),
    ]
    for _ in range(size):
        nodes.append(choose(makers)())
    read = again(Graph.collect(nodes))

    async def both():
        return await ran(nodes), await ran(read.value)

    first, second = trio.run(both)
    assert first == second
