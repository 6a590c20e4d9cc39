"""concat, format, jinja and jq over values that are not there yet."""

from __future__ import annotations

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmmw import Client
from llmmw.errors import BadRequest
from llmmw.flow import Graph, concat, executable, jinja, jq
from llmmw.flow import format as form
from llmmw.flow._text import as_text


@attrs.frozen
class City:
    name: str
    size: int = 0


@executable
def given_later(value):
    return value


async def run(flow):
    async with Client("echo:x", stack=[]) as client:
        return await client.run(flow)


@pytest.mark.parametrize(
    ("items", "text"),
    [
        ((), ""),
        (("a",), "a"),
        ((None,), ""),
        (("a", 0, False, "", None, 1.5), "a0False1.5"),
        (([1, "b"], {"c": None}), '[1,"b"]{"c":null}'),
        ((City("Nice"),), '{"name":"Nice","size":0}'),
    ],
)
async def test_concat(items, text):  # S11
    assert await run(concat(*items)) == text
    assert await run(concat(*map(given_later, items))) == text


@given(st.lists(st.one_of(st.none(), st.booleans(), st.integers(), st.text())))
def test_text_of_parts_is_the_text_of_the_whole(items):  # S11
    assert "".join(map(as_text, items)) == "".join("" if one is None else str(one) for one in items)


async def test_concat_takes_futures_and_nests():  # S11
    city = given_later({"name": "Nice", "tags": ["a"]})
    inner = concat("<", city.future["name"], ">")
    assert await run(concat(inner, city.future.tags[0], inner)) == "<Nice>a<Nice>"


async def test_format():  # S12
    city = given_later({"name": "Nice"})
    assert (
        await run(form("{x} {y[name]} {y}", x=given_later(0), y=city)) == '0 Nice {"name":"Nice"}'
    )
    assert await run(form(given_later("{x:>3}|{n}|{{}}"), x=5, n=None)) == "  5||{}"
    assert await run(form("{city.name}", city=City("Nice"))) == "Nice"
    assert await run(form("{template} {operation}", template=1, operation=2)) == "1 2"


@pytest.mark.parametrize(
    ("template", "message"),
    [
        ("{z}", "needs 'z', which is not given"),
        ("{}", "have names"),
        ("{0}", "have names"),
        ("{x.__class__}", "private"),
        ("{x[__class__]}", "private"),
        ("{x.nope}", "x.nope"),
        ("{x:99999999999}", "wider"),
        ("{x:{y}}", "wider"),
        ("{x", "expected '}'"),
        (3, "a format is a text"),
    ],
)
async def test_formats_that_are_refused(template, message):  # S12
    with pytest.raises(BadRequest, match=message):
        await run(form(template, x="x", y=10**9))


async def test_jinja():  # S13
    items = given_later(["a", None, 0])
    template = "{% for x in items %}{{ loop.index }}{{ x }},{% endfor %}{{ z.y }}"
    assert await run(jinja(template, items=items, z={"y": 1})) == "1a,2,30,1"
    assert await run(jinja(given_later("{{ x }}"), x=concat("a", "b"))) == "ab"
    with pytest.raises(BadRequest, match="'x' is undefined"):
        await run(jinja("{{ x }}"))


async def test_jq():  # S14
    data = {"a": [{"b": 3, "c": None}, {"b": 0}]}
    assert await run(jq(given_later(data), ".a[0].b")) == 3
    assert await run(jq(data, ".a[0].c")) is None
    assert await run(jq(data, given_later(".a[] | .b"))) == 3
    assert await run(jq(data, ".a[] | .b", all=True)) == [3, 0]
    assert await run(jq([], ".[]")) is None
    assert await run(jq(City("Nice"), ".name")) == "Nice"


@pytest.mark.parametrize(
    ("target", "query"), [({}, ".["), ({}, ".a.b.c | error"), ([1], ".a"), (object(), ".")]
)
async def test_queries_that_fail(target, query):  # S14
    with pytest.raises(BadRequest, match="jq '"):
        await run(jq(target, query))


def test_they_are_nodes_of_a_graph():
    city = given_later("Nice")
    graph = Graph.collect(form("{x}", x=concat("In ", city)))
    assert [one.name for one in graph.nodes.values()] == ["given_later", "concat", "format"]


async def test_a_query_is_a_text():
    with pytest.raises(BadRequest, match="is a text"):
        await run(jq([1], None))


@pytest.mark.parametrize("field", ["g.gi_frame.f_globals", "g.gi_code", "g.gi_yieldfrom"])
async def test_a_format_reaches_no_running_code(field):
    generator = (one for one in "ab")
    with pytest.raises(BadRequest, match="private"):
        await run(form(f"{{{field}}}", g=generator))
