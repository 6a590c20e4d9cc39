"""Prompts: templates whose calls are lazy texts."""

from __future__ import annotations

import warnings

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmmw import Client, sync
from llmmw.errors import BadRequest
from llmmw.flow import Environment, Graph, LanguageMismatch, Prompt, executable, generate_text

WORDS = st.text(st.characters(exclude_characters="{}%#\r\n", exclude_categories=["Cs"]))


async def run(flow):
    async with Client("echo:x", stack=[]) as client:
        return await client.run(flow)


@pytest.mark.plugins
async def test_a_call_is_a_lazy_text():  # F20
    p = Prompt("Hi {{n}}, {{ m }}")
    assert await run(p(n="x", m=generate_text("me"))) == "Hi x, me"
    assert await run(generate_text(p(n="a", m=None))) == "Hi a, "


def test_it_runs_from_plain_programs():  # F20
    with sync.Client("echo:x", stack=[]) as client:
        assert Prompt("Hi {{n}}")(n="x").compute(client=client) == "Hi x"


@pytest.mark.plugins
async def test_the_documented_example():  # F20
    p = Prompt("""
Your name is Feste and you should answer all questions with rhymes.
Question: {{question}}
Answer:
""")
    call = generate_text(p(question="What should I do when it is raining?"))
    assert [one.name for one in Graph.collect(call).nodes.values()] == ["prompt", "generate_text"]
    assert "Question: What should I do when it is raining?\nAnswer:" in await run(call)


async def test_every_variable_must_be_given():  # F20, 2.1.11
    with pytest.raises(BadRequest, match="'m' is undefined"):
        await run(Prompt("{{n}}{{m}}")(n=1))
    with pytest.raises(BadRequest, match="unsafe"):
        await run(Prompt("{{n.__class__}}")(n=1))


async def test_names_of_variables_are_free():
    p = Prompt("{{prompt}}{{operation}}{{template}}{{context}}")
    assert await run(p(prompt=1, operation=2, template=3, context=4)) == "1234"


async def test_from_file(tmp_path):  # F20
    (tmp_path / "p.txt").write_text("Grüß {{n}}", "utf-8")
    p = Prompt.from_file(tmp_path / "p.txt", language="de")
    assert p.language == "de"
    assert await run(p(n="dich")) == "Grüß dich"
    with pytest.raises(BadRequest, match="can't read the template"):
        Prompt.from_file(tmp_path / "none")
    (tmp_path / "p.txt").write_bytes(b"\xff")
    with pytest.raises(BadRequest, match="can't read the template"):
        Prompt.from_file(tmp_path / "p.txt")


async def test_prompts_are_joined():  # F21
    shared = Environment(globals={"name": "Feste"})
    left = Prompt("I am {{name}}. ", language="de", environment=shared)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        same = left + Prompt("{{q}}", language="de")
        texts = "Q: " + left + "!"
    with pytest.warns(LanguageMismatch, match="'en' is added to one in 'de'") as told:
        other = left + Prompt("{{q}}")
    assert len(told) == 1
    assert same == other
    assert (other.language, other.environment) == ("de", shared)
    assert await run([same(q="x"), texts()]) == ["I am Feste. x", "Q: I am Feste. !"]
    with pytest.raises(TypeError):
        left + 1
    with pytest.raises(TypeError):
        1 + left


@given(WORDS, WORDS)
def test_the_template_of_a_sum_is_both(a, b):  # F21
    assert (Prompt(a) + Prompt(b)).template == a + b
    assert len(Prompt(a) + b) == len(a + Prompt(b)) == len(a) + len(b)


def test_variables_length_and_repr():  # F22
    p = Prompt("{{a}} {{b.c}} {% for x in d %}{{ x }}{% endfor %}{% set e = 1 %}{{ e }}")
    assert p.variables() == {"a", "b", "d"}
    assert Prompt("{{a}} {{b}}").variables() == {"a", "b"}
    assert len(Prompt("{{a}}")) == 5
    assert repr(Prompt("{{a}}")) == "Prompt('{{a}}', language='en')"
    assert repr(Prompt("x" * 100, language="deu")).endswith("...', language='deu')")
    assert bool(Prompt(""))
    with pytest.raises(BadRequest, match="line 1"):
        Prompt("{% if %}").variables()


@pytest.mark.parametrize("language", ["english", "e", "EN", "e1", "", None, 3])
def test_languages_are_codes(language):
    with pytest.raises(BadRequest, match="ISO 639"):
        Prompt("x", language=language)


def test_templates_are_texts():
    with pytest.raises(BadRequest, match="a template is a text"):
        Prompt(3)


@pytest.mark.plugins
async def test_shared_globals():  # F23
    @executable
    async def later(x):
        return await generate_text(f"later {x}")

    async def soon(x):
        return f"soon {x}"

    shared = Environment(globals={"shout": str.upper, "later": later, "soon": soon, "n": 3})
    p = Prompt("{{ shout('a') }} {{ later(n) }} {{ soon(x) }}", environment=shared)
    assert p.variables() == {"x"}
    assert await run(p(x=1)) == "A later 3 soon 1"


async def test_includes():  # O55
    shared = Environment(
        loader={"head": "I am {{n}}. ", "m": "{% macro f(x) %}<{{x}}>{% endmacro %}"}
    )
    text = "{% include 'head' %}{% import 'm' as m %}{{ m.f(2) }}"
    assert await run(Prompt(text, environment=shared)(n="F")) == "I am F. <2>"
    with pytest.raises(BadRequest, match=r"no loader says where that is"):
        await run(Prompt(text)(n="F"))
