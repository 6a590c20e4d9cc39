"""Drawings of graphs."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmmw.errors import BadRequest, ConfigError
from llmmw.flow import Box, Graph, If, draw, executable, from_link, map_over, to_link
from llmmw.flow.draw import dot

SVG = "{http://www.w3.org/2000/svg}"
EVIL = '<script>alert(1)</script>"]; x --> y\n\\"&amp;\x00`end`'


@executable
def search(query, k=5, places=None):
    return []


@executable
def answer(prompt, *, facts=None, after=None):
    return prompt


def flow():
    question = Box({"text": "Why?"}).with_options(id="question")
    found = search(question.future.text, 3)
    first = answer(found.future[0].title, facts=[found])
    return If(found.future[1], first, answer("no")).with_options(id="all", depends=[question])


def test_text_shows_each_node_once_with_its_arguments():
    lines = str(Graph.collect(flow())).splitlines()
    assert lines[0].startswith("all = If(condition=item-")
    assert any(re.match(r"│  └─ search-\d+\(query=attribute-\d+, k=3\)", one) for one in lines)
    assert sum("question = Box({'text': 'Why?'})" in one for one in lines) == 2  # and "after"
    assert any(one.startswith("├─ after question") for one in lines)
    assert any(one.startswith("└─ ? answer-") for one in lines)
    assert any(one.endswith(" ↑") for one in lines)


def test_text_of_a_large_graph_is_short():
    node = answer("x")
    for _ in range(5_000):
        node = answer(node)
    wide = answer([answer(str(place)) for place in range(2_000)])
    text = draw([node, wide])
    assert len(text.splitlines()) <= 401
    assert "… and more: 7,002 nodes in all" in text


def test_what_nothing_wants_is_in_the_text_too():
    graph = Graph.collect([answer(answer("a")), answer("b")])
    assert draw(Graph(None, graph.nodes)).count("answer-") == 4


def test_mermaid():
    text = draw(flow(), "mermaid")
    assert text.startswith("flowchart LR\n")
    assert 'n1("question: Box<br/>' in text
    assert "|query .text| n2" in text.replace('"', "")
    assert 'n2["search<br/>k = 3"]' in text
    assert '-->|"prompt [0].title"|' in text
    assert '{"all: If"}' in text
    assert "-.->" in text
    assert '-..->|"after"|' in text


def test_dot():
    text = draw(flow(), "dot")
    assert text.startswith("digraph flow {")
    assert 'label="search\\nk = 3"' in text
    assert re.search(r'n\d -> n\d \[style=dashed, label="then"\]', text)


def parsed(text):
    return ElementTree.fromstring(text)


def texts(text):
    return ["".join(one.itertext()) for one in parsed(text).iter(f"{SVG}text")]


def test_svg_has_the_labels_of_all_nodes():  # F14, F15
    text = draw(flow(), "svg")
    found = texts(text)
    assert {"question: Box", "search", "k = 3", "answer", "all: If"} <= set(found)
    assert "query .text" in found
    colours = {one.get("stroke") for one in parsed(text).iter(f"{SVG}path")}
    assert len(colours) >= 2  # lines have colours of their own, as those of a metro


@pytest.mark.parametrize("form", ["text", "mermaid", "dot", "svg"])
def test_every_form_draws_anything(form):
    odd = [
        Box(EVIL),
        answer([]),
        map_over(len, [1]),
        -answer(1) + 2,
        answer("x").with_options(id=EVIL),
        answer(object(), facts={3, "1", 2}),
    ]
    assert draw(odd, form)
    assert draw([], form) is not None
    assert draw("no node", form) is not None


def test_nothing_in_a_label_becomes_markup():
    several = [answer(EVIL).with_options(id=EVIL), search(query=Box(EVIL), places=EVIL)]
    svg = draw(several, "svg")
    assert [one.tag for one in parsed(svg).iter() if "script" in one.tag.lower()] == []
    assert "<script" not in svg
    mermaid = draw(several, "mermaid")
    assert "<script" not in mermaid
    for line in mermaid.splitlines()[1:]:
        labels = re.findall(r'"([^"]*)"', line)
        assert all(re.fullmatch(r"([^<>&`;#]|#\d+;|<br/>)*", one) for one in labels)
        assert line.count('"') == 2 * len(labels)
    for line in draw(several, "dot").splitlines()[4:-1]:
        assert re.fullmatch(
            r'  (n\d+|n\d+ -> n\d+) \[([a-z]+=([\w.]+|"([^"\\]|\\.)*")(, )?)*\];', line
        )


@given(st.text(max_size=30), st.text(max_size=30))
def test_svg_is_xml_whatever_is_in_it(value, label):
    node = answer(value, facts={label: value})
    assert len(list(parsed(draw(node.with_options(id=label or None), "svg")))) >= 3


def test_boxes_do_not_lie_on_each_other_nor_lines_on_boxes():
    nodes = [search(str(place)) for place in range(4)]
    for place in range(12):
        nodes.append(answer([nodes[place], nodes[-1]], facts=nodes[place // 2]))
    root = parsed(draw(nodes[-1], "svg"))
    cards = [one for one in root.iter(f"{SVG}rect") if one.get("class") == "card"]
    boxes = [[float(one.get(name)) for name in ("x", "y", "width", "height")] for one in cards]
    width, height = float(root.get("width")), float(root.get("height"))
    for place, (x, y, wide, high) in enumerate(boxes):
        assert x >= 0
        assert y >= 0
        assert x + wide <= width
        assert y + high <= height
        for other in boxes[:place]:
            apart = x + wide < other[0] or other[0] + other[2] < x
            assert apart or y + high < other[1] or other[1] + other[3] < y
    level = re.compile(r" ([\d.]+) ([\d.]+)L([\d.]+) ([\d.]+)")
    for wire in root.iter(f"{SVG}path"):
        for start, y, end, same in level.findall(wire.get("d")):
            assert y == same
            for left, top, wide, high in boxes:
                beside = float(end) < left or float(start) > left + wide
                assert beside or not top < float(y) < top + high


def test_drawings_are_the_same_in_every_process():
    program = (
        "from llmmw.flow import *\n"
        "@executable\n"
        "def f(*a, **k): return a\n"
        "for _ in range({seed}): f(1)\n"
        "a, b, c = f('a'), f('b', x={{'p', 'q'}}), f(object())\n"
        "d = [f(a, [b, c]), f(b, y=a), f(c)]\n"
        "for form in ('mermaid', 'dot', 'svg'): print(draw([f(d), f(d[1], d[2])], form))"
    )
    several = set()
    for seed in ("1", "2", "3"):
        done = subprocess.run(
            [sys.executable, "-c", program.format(seed=seed)],
            capture_output=True,
            text=True,
            check=True,
            cwd=Path(__file__).parents[2],
            env={**os.environ, "PYTHONHASHSEED": seed, "PYTHONIOENCODING": "utf-8"},
        )
        several.add(done.stdout)
    assert len(several) == 1


def test_files_have_the_form_of_their_extension(tmp_path):
    for name, beginning in [
        ("a.txt", "all = If("),
        ("a.mmd", "flowchart LR"),
        ("a.dot", "digraph flow"),
        ("a.GV", "digraph flow"),
        ("a.svg", "<svg "),
    ]:
        drawing = draw(flow(), file=tmp_path / name)
        assert drawing.startswith(beginning)
        assert (tmp_path / name).read_text("utf-8") == drawing
    with pytest.raises(BadRequest, match=r"nothing is drawn into '\.gif': there are \.txt"):
        draw(flow(), file=tmp_path / "a.gif")
    with pytest.raises(BadRequest, match="no drawing has the form 'ascii'"):
        draw(flow(), "ascii")


STAND_IN = """#!{python}
import sys
source = sys.stdin.read()
if "broken" in source:
    sys.exit("syntax error in line 1")
sys.stdout.write(sys.argv[1] + " of " + str(len(source)))
"""


@pytest.fixture
def stand_in(tmp_path, monkeypatch):
    """A program that is called as Graphviz is."""
    folder = tmp_path / "bin"
    folder.mkdir()
    program = folder / "dot"
    program.write_text(STAND_IN.format(python=sys.executable))
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(folder))


def test_png_and_pdf_are_made_by_graphviz(tmp_path, stand_in):  # F14
    for form in ("png", "pdf"):
        source = draw(flow(), file=tmp_path / f"a.{form}")
        assert (tmp_path / f"a.{form}").read_text() == f"-T{form} of {len(source)}"
        assert source == draw(flow(), "dot")
    with pytest.raises(ConfigError, match="could not draw the graph: syntax error in line 1"):
        draw(answer("x").with_options(id="broken"), file=tmp_path / "a.png")


def test_without_graphviz_one_is_told_so(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(ConfigError, match="Graphviz is not installed, which makes drawings as PNG"):
        draw(flow(), file=tmp_path / "a.png")


def test_svg_falls_back_to_graphviz(monkeypatch, stand_in, tmp_path):
    monkeypatch.setitem(sys.modules, "fast_sugiyama", None)
    assert draw(flow(), "svg").startswith("-Tsvg of")
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(ConfigError, match=r"pip install llmmw\[draw\]"):
        draw(flow(), "svg")
    assert dot.graphviz() is None


def test_what_nobody_could_look_at_is_not_drawn():
    many = [answer(place) for place in range(2_001)]
    with pytest.raises(BadRequest, match="a graph of 2,001 nodes can't be looked at"):
        draw(many, "svg")


def test_a_graph_in_an_address_comes_back():  # S35
    graph = Graph.collect([answer("ä" * 100), answer(search("q"))])
    link = to_link(graph, "https://example.org/s/")
    assert re.fullmatch(r"https://example.org/s/[\w-]+", link, re.ASCII)
    assert from_link(link) == graph.to_json()
    assert from_link(to_link({"a": [1]})) == '{"a":[1]}'


@pytest.mark.parametrize("link", ["", "https://example.org/s/", "x" * 9, "é", "eJyr"])
def test_an_address_without_a_graph_is_said_so(link):
    with pytest.raises(BadRequest, match="the address holds"):
        from_link(link)


def test_an_address_that_unpacks_to_too_much_is_refused():
    with pytest.raises(BadRequest, match="too large"):
        from_link(to_link(" " * (2**26 + 1)))
