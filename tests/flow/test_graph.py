"""Graphs of Executables: what is in them, in which order, and what is one node."""

from __future__ import annotations

import graphlib

import attrs
import pytest

from llmmw import Client
from llmmw.errors import BadRequest
from llmmw.flow import Edge, Graph, If, executable, parallel


@executable
def text_of(topic):
    return f"about {topic}"


@executable
def complete(prompt, *, words=None):
    return f"[{prompt}]"


@executable(pure=True)
def squared(number):
    return number * number


@executable(pure=True)
def sized(things, *, unit=None):
    return len(things)


def test_a_call_is_one_node_and_a_call_of_a_call_two():  # F12
    assert len(Graph.collect(complete("x"))) == 1
    prompt = text_of("rain")
    answer = complete(prompt)
    graph = Graph.collect(answer)
    assert list(graph) == [prompt.id, answer.id]
    assert graph[answer.id] is answer
    assert graph.roots() == [answer]


def test_all_nodes_of_any_containers_are_collected():  # F8, F12
    a, b, c = text_of("a"), text_of("b"), text_of("c")
    graph = Graph.collect({"x": [a, (b, 1)], "y": complete("p", words={c, 2})})
    assert set(graph) >= {a.id, b.id, c.id}
    assert len(graph) == 4
    assert graph.value["x"][1] == (b, 1)


def test_dependencies_order_and_edges():  # F13
    prompt = text_of("rain")
    first, second = complete(prompt), complete("y")
    last = complete([first, second]).with_options(depends=[prompt])
    choice = If(last, first, text_of("z").with_options(id="z"))
    graph = Graph.collect(choice)
    assert graph.dependencies()[last.id] == {first.id, second.id, prompt.id}
    order = graph.order()
    for key, needs in graph.dependencies().items():
        assert all(order.index(one) < order.index(key) for one in needs)
    assert Edge(prompt.id, first.id, "value") in graph.edges()
    assert Edge(prompt.id, last.id, "order") in graph.edges()
    assert Edge("z", choice.id, "lazy") in graph.edges()
    assert Edge(last.id, choice.id, "value") in graph.edges()
    sorter = graph.sorter()
    assert isinstance(sorter, graphlib.TopologicalSorter)
    static = list(sorter.static_order())
    assert static.index(prompt.id) < static.index(first.id) < static.index(choice.id)
    graph.validate()


def test_what_is_an_argument_and_a_dependency_is_an_edge_of_value():
    prompt = text_of("rain")
    last = complete(prompt).with_options(depends=[prompt])
    assert Graph.collect(last).edges() == [Edge(prompt.id, last.id, "value")]


def test_a_dependency_of_a_dependency_is_there():  # 2.4.10: transitive order was lost
    a = text_of("a")
    b = text_of("b").with_options(depends=[a])
    c = text_of("c").with_options(depends=[b])
    assert Graph.collect(c).order() == [a.id, b.id, c.id]


def test_equal_calls_of_a_pure_function_are_one_node():  # F3
    one, two = squared(3), squared(3)
    graph = Graph.collect([one, two, squared(4)])
    assert len(graph) == 2
    assert graph[two.id] is graph[one.id] is one
    assert graph.aliases == {two.id: one.id}
    assert two.id in graph
    assert graph.value[0] is graph.value[1]


def test_equal_calls_of_an_impure_function_are_two():  # F3
    assert len(Graph.collect([text_of("a"), text_of("a")])) == 2


def test_equality_goes_down_through_inputs():
    def tower():
        return sized([squared(squared(2)), 1], unit=squared(2) + 1)

    graph = Graph.collect([tower(), tower()])
    assert len(graph) == 4  # 2², (2²)², 2² + 1, and the tower
    impure = [sized([text_of("a")]), sized([text_of("a")])]
    assert len(Graph.collect(impure)) == 4


@pytest.mark.parametrize(
    ("left", "right"),
    [
        (1, 1.0),
        (1, True),
        (0.0, -0.0),
        ("1", 1),
        ([1], (1,)),
        ({"a": 1, "b": 2}, {"b": 2, "a": 1}),
        ({1}, frozenset({1})),
        (b"a", "a"),
        (bytearray(b"a"), bytearray(b"a")),
    ],
    ids=repr,
)
def test_arguments_that_differ_in_any_way_make_two_nodes(left, right):
    assert len(Graph.collect([squared(left), squared(right)])) == 2


def test_what_cannot_be_compared_is_equal_to_itself_alone():
    class Odd:
        def __eq__(self, other):
            raise RuntimeError("compared")

    odd, other = Odd(), bytearray(b"same")
    assert len(Graph.collect([squared(odd), squared(odd)])) == 1
    assert len(Graph.collect([squared(odd), squared(Odd())])) == 2
    assert len(Graph.collect([squared(other), squared(other)])) == 1


def test_a_repr_makes_nothing_equal():
    class Same:
        def __repr__(self):
            return "same"

    assert len(Graph.collect([squared(Same()), squared(Same())])) == 2


def test_options_keep_equal_calls_apart():
    plain = squared(2)
    several = [
        plain,
        squared(2).with_options(timeout=5),
        squared(2).with_options(hidden=True),
        squared(2).with_options(depends=[text_of("a")]),
    ]
    assert len(Graph.collect(several)) == 5
    named = squared(2).with_options(id="named")
    graph = Graph.collect([plain, named])
    assert graph["named"] is plain


def test_two_nodes_of_one_id_are_an_error():  # 2.4.9: they collapsed in silence
    one, two = text_of("a").with_options(id="x"), text_of("b").with_options(id="x")
    with pytest.raises(BadRequest, match="two nodes have the id 'x'"):
        Graph.collect([one, two])


def test_text_that_equals_an_id_stays_text():  # 2.1.3
    first = text_of("a").with_options(id="P1")
    second = complete("P1")
    assert Graph.collect([first, second]).dependencies()[second.id] == set()


def test_validation_names_the_nodes():
    a, b = text_of("a").with_options(id="a"), text_of("b").with_options(id="b")
    missing = Graph(b, {"b": attrs.evolve(b, inputs=(a,))})
    with pytest.raises(BadRequest, match="'b' needs 'a', which is not there"):
        missing.validate()
    a.inputs, b.inputs = (b,), (a,)
    with pytest.raises(BadRequest, match=r"in a circle: [ab] -> [ab] -> [ab]"):
        Graph(b, {"a": a, "b": b}).validate()
    with pytest.raises(BadRequest, match="'b' stands under the id 'c'"):
        Graph(b, {"c": b}).validate()
    other = text_of("other").with_options(id="a")
    with pytest.raises(BadRequest, match="'b' needs 'a', which is another node"):
        Graph(b, {"a": other, "b": b}).validate()


def test_a_graph_is_a_mapping():  # F13
    a = text_of("a")
    graph = Graph.collect(complete(a))
    assert dict(graph)[a.id] is a
    assert graph.get("nothing") is None
    assert [one.name for one in graph.values()] == ["text_of", "complete"]
    assert repr(graph) == "<graph of 2 nodes>"


def test_rewriting_changes_nodes_and_what_needs_them():
    prompt = text_of("rain").with_options(id="prompt")
    graph = Graph.collect({"answer": complete(prompt).with_options(id="answer")})
    other = text_of("sun").with_options(id="other")
    changed = graph.rewrite(lambda one: other if one is prompt else one)
    assert list(changed) == ["other", "answer"]
    assert changed["prompt"] is other
    assert changed["answer"].inputs == (other,)
    assert changed["answer"].args == (other,)
    assert changed.value["answer"] is changed["answer"]
    assert graph["answer"].args == (prompt,)  # the first is as it was


def test_a_deep_graph_needs_no_recursion():
    node = squared(2)
    for _ in range(20_000):
        node = squared(node)
    graph = Graph.collect([node, parallel(node)])
    assert len(graph) == 20_002
    graph.validate()


async def test_a_node_may_be_a_condition_and_its_own_branch():
    total = sized([1, 2])
    async with Client(stack=[]) as client:
        assert await client.run(If(total, total, otherwise=total + 1)) == 2
        assert await client.run(If(total - 2, 0, [total])) == [2]
