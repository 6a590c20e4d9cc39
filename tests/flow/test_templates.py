"""Templates: what they may do, how much, and models asked within."""

from __future__ import annotations

import gc
import subprocess
import sys
from contextlib import aclosing
from functools import partial

import attrs
import jinja2
import pytest
import trio
from hypothesis import given
from hypothesis import strategies as st

from llmmw import Client
from llmmw.errors import BadRequest, ConfigError
from llmmw.flow import (
    Environment,
    NodeDelta,
    Prompt,
    executable,
    generate_object,
    generate_text,
    instruct,
    ranking,
    select,
)
from llmmw.flow import compose as c
from llmmw.flow.builtins.choose import Ranking


async def run(flow, **options):
    async with Client("echo:x", stack=[]) as client:
        return await client.run(flow, **options)


async def rendered(template, environment=None, **variables):
    return await run(Prompt(template, environment=environment or Environment())(**variables))


# What they may not do.


@pytest.mark.parametrize(
    "template",
    [
        "{{ ''.__class__ }}",
        "{{ x.__init__.__globals__ }}",
        "{{ x['__class__'] }}",
        "{{ x|attr('__class__') }}",
        "{{ '{0.__class__}'.format(x) }}",
        "{{ items.append(1) }}",
        "{% do items.clear() %}",
        "{{ shared.__globals__ }}",
    ],
)
async def test_what_is_private_or_would_change_something_is_refused(template):  # O55
    items = [1]
    with pytest.raises(BadRequest, match="unsafe"):
        await rendered(template, Environment(globals={"shared": run}), x=3, items=items)
    assert items == [1]


@pytest.mark.parametrize(
    "template",
    [
        "{{ generate_text.__func__ }}",
        "{{ generate_text.__self__ }}",
        "{{ store._context }}",
        "{{ own.__closure__ }}",
        "{{ own.func }}",
    ],
)
async def test_functions_of_templates_give_nothing_away(template):  # O55
    with pytest.raises(BadRequest, match=r"unsafe|has no attribute"):
        await run(c.j(template, callbacks={"own": len}))


BOUNDED = Environment(max_steps=2000, max_output=50_000, max_includes=5, loader={
    "me": "{% include 'me' %}",
    "big": "{{ 'x' * 30000 }}",
    "mine": "{% extends 'mine' %}",
})  # fmt: skip


@pytest.mark.parametrize(
    "template",
    [
        "{% for i in range(2001) %}{% endfor %}",
        "{% for i in range(50) %}{% for j in range(50) %}{% endfor %}{% endfor %}",
        "{% for i in range(50) recursive %}{{ loop(range(50)) }}{% endfor %}",
        "{% for i in range(100001) %}{% endfor %}",
        "{% macro f() %}{{ f() }}{% endmacro %}{{ f() }}",
        "{% include 'me' %}",
        "{% extends 'mine' %}",
        "{% include 'big' %}{% include 'big' %}",
        "{{ 'x' * 50001 }}",
        "{{ 50001 * [1] }}",
        "{{ 2 ** 99999 }}",
        "{% set a = namespace(n=3) %}{% for i in range(99) %}{% set a.n = a.n * a.n %}{% endfor %}",
        "{% set a = namespace(x=x) %}{% for i in x %}{% set a.x = a.x ~ a.x %}{% endfor %}",
        "{% set a = namespace(x=x) %}{% for i in x %}{% set a.x = a.x + a.x %}{% endfor %}",
        "{% set a %}{% for i in range(9) %}{{ 'x' * 9000 }}{% endfor %}{% endset %}{{ a|length }}",
        "{{ (['x' * 9000] * 9)|join|length }}",
        "{{ ''.join(['x' * 9000] * 9)|length }}",
        "{{ '%20000d' % 1 }}",
        "{{ '%*d' % (20000, 1) }}",
        "{{ '%20000d'|format(1) }}",
        "{{ '{:20000}'.format(1) }}",
        "{{ '{:{}}'.format(1, 20000) }}",
        "{{ '{x:20000}'.format_map({'x': 1}) }}",
        "{{ 'x'|center(20000) }}",
        "{{ 'x'.rjust(20000) }}",
        "{{ 'x'|indent(width=20000) }}",
        "{{ [1]|batch(20000, 0)|list }}",
        "{{ ('x' * 9000).replace('x', 'y' * 9000) }}",
        "{{ ('x' * 9000)|replace('x', 'y' * 9000) }}",
        "{{ ('y' * 9000).join('x' * 9000) }}",
        "{{ range(9000)|join('y' * 9000) }}",
        "{{ range(9000)|map('string')|join('y' * 9000) }}",
        "{{ 1|tojson(20000) }}",
        "{{ ('a ' * 9000)|wordwrap(1, true, 'y' * 9000)|length }}",
        "{{ ('\n' * 9000)|indent(9000, true, true)|length }}",
        "{{ ('\n' * 9000)|indent('x' * 9000, true, true)|length }}",
        "{{ ('\t' * 9000).expandtabs(9000)|length }}",
        "{{ ('a' * 9000).translate({97: 'x' * 9000})|length }}",
        "{{ ([1] * 9000)|tojson(indent=9000)|length }}",
        "{{ ('%(x)9000d' * 5000)|format(x=1)|length }}",
        "{{ (('%(x)9000d' * 5000) % {'x': 1})|length }}",
        "{{ ('{x:9000}' * 5000).format(x=1)|length }}",
        "{{ ('{x}' * 9000).format(x='x' * 9000)|length }}",
        "{{ (('%(x)s' * 9000) % {'x': 'x' * 9000})|length }}",
        "{{ (1).to_bytes(9000000, 'big')|length }}",
        "{{ ('http://a.bc ' * 4000)|urlize(target='x' * 9000)|length }}",
        "{{ ([[0] * 9000] * 9000)|sum(start=[])|length }}",
        "{{ [['x' * 9000] * 90] * 90 }}",
        "{{ ([['x' * 9000] * 90] * 90) ~ '' }}",
        "{{ ([['x' * 9000] * 90] * 90)|string|length }}",
        "{{ ([['x' * 9000] * 90] * 90)|tojson|length }}",
        "{{ {'a': [['x' * 9000] * 90] * 90}|xmlattr|length }}",
        "{{ ([['x' * 9000] * 90] * 90)|upper|length }}",
        "{{ ([['x' * 9000] * 90] * 90)|pprint|length }}",
        "{{ [['x' * 9000] * 90]|join|length }}",
        "{{ ('%s' % ([['x' * 9000] * 90] * 90,))|length }}",
        "{{ range(9000)|map('string')|map('center', 9000)|join|length }}",
        "{{ lipsum(n=9000)|length }}",
        "".join(
            f"{{% block a{i} %}}{{{{ self.a{i + 1}() }}}}{{{{ self.a{i + 1}() }}}}{{% endblock %}}"
            for i in range(14)
        )
        + "{% block a14 %}{% endblock %}",
    ],
)
async def test_templates_are_bounded(template):
    with pytest.raises(BadRequest):
        await rendered(template, BOUNDED, x="x" * 99)


async def test_lists_in_each_other_are_no_text_without_end():
    template = (
        "{% set a = namespace(x=['x']) %}{% for i in range(40) %}{% set a.x = [a.x, a.x] %}"
        "{% endfor %}{{ a.x }}"
    )
    with pytest.raises(BadRequest, match="wrote more than"):
        await rendered(template, BOUNDED)


async def test_what_is_within_bounds_is_as_in_jinja():
    text = (
        "{{ '%5d|%s' % (1, 'a') }} {{ '%d' % 100000 }} {{ '{} at: 12345'.format(100000) }} "
        "{{ ['a', 1]|join(', ') }} {{ 'aXa'|replace('a', 'b') }} {{ 'a' ~ 1 ~ none }} "
        "{{ 2 ** 10 }} {{ [1] + [2] }} {{ 'x'|center(3) }}| {{ 2.346|round(2) }} {{ 3 * 'ab' }}"
    )
    said = "    1|a 100000 100000 at: 12345 a, 1 bXb a1 1024 [1, 2]  x | 2.35 ababab"
    assert await rendered(text) == said
    filters = (
        "{{ [1, 2]|sum }} {{ [{'n': 2}]|sum('n') }} {{ 'a\nb'|indent(2) }} "
        "{{ {'a': 1}|tojson(1) }} "
        "{{ [{'n': 'x'}, {'n': 'y'}]|join('+', 'n') }} {{ range(2)|map('string')|join }} "
        "{{ 'a b'|wordwrap(1) }} {{ 'A'|lower }} {{ 'a\tb'.expandtabs(4) }} "
        "{{ 'abc'|truncate(99999) }} "
        "{{ 'a'.translate({97: 'bc'}) }} {{ {'a': [1]} }} {{ '%s-%s'|format('a', 'b') }}"
    )
    given = "3 2 a\n  b {\n \"a\": 1\n} x+y 01 a\nb a a   b abc bc {'a': [1]} a-b"
    assert await rendered(filters) == given
    loops = (
        "{% for a, b in zip([1, 2, 3], 'xyz') %}{% if a == 2 %}{% continue %}{% endif %}"
        "{{ a }}{{ b }}{% endfor %}"
    )
    assert await rendered(loops) == "1x3z"  # O55: zip, loop controls
    assert await rendered("{% set x = [1, 2] %}{% do x %}{{ x|length }}") == "2"


PIECES = st.recursive(
    st.sampled_from(
        ["a", "{{ x }}", "{{ y.z }}", "{{ 'a' ~ x ~ 2 }}", "{{ x + 1 }}", "{{ items|join('-') }}",
         "{{ items|map('string')|join }}", "{{ items|select('odd')|list }}",
         "{{ '%s' % x }}", "{% set x = 9 %}", "{{ m(x) }}", "{{ (x ~ 'b')|upper }}",
         "\n", "{# c #}"]
    ),
    lambda inner: st.one_of(
        st.builds("{{% for x in items %}}{}{{{{ loop.index }}}}{{% endfor %}}".format, inner),
        st.builds("{{% if x == 2 %}}{}{{% else %}}{}{{% endif %}}".format, inner, inner),
        st.builds("{{% for x in items if x > 1 %}}{{% if x == 3 %}}{{% break %}}{{% endif %}}{}"
                  "{{% endfor %}}".format, inner),
        st.builds("{{% for x in items|map('int') %}}{}{{% break %}}{{% endfor %}}".format, inner),
        st.builds("{{% set b %}}{}{{% endset %}}{{{{ b }}}}".format, inner),
        st.builds("{{% filter upper %}}{}{{% endfilter %}}".format, inner),
        st.builds("{{% with x = 3 %}}{}{{% endwith %}}".format, inner),
        st.builds("{}{}".format, inner, inner),
    ),
    max_leaves=6,
)  # fmt: skip


@given(PIECES)
def test_templates_give_what_jinja_gives(text):
    text = "{% macro m(q) %}<{{ q ~ '!' }}>{% endmacro %}" + text
    values = {"x": 2, "y": {"z": "Z"}, "items": [1, 2, 3]}
    plain = jinja2.Environment(
        extensions=["jinja2.ext.loopcontrols"], undefined=jinja2.StrictUndefined
    )
    expected = plain.from_string(text).render(values)
    assert trio.run(partial(rendered, text, **values)) == expected
    assert trio.run(run, c.j(text)(**values)) == expected


@pytest.mark.parametrize("inner", ["{{ missing }}", "{{ wrong() }}"])
async def test_a_failure_in_a_loop_leaves_nothing_open(inner):
    def wrong():
        raise ValueError("wrong")

    text = "{% for x in items if x %}{% for y in items|map('string') %}" + inner
    text += "{% endfor %}{% endfor %}"
    with pytest.raises((BadRequest, ValueError)) as raised:
        await rendered(text, Environment(globals={"wrong": wrong}), items=[1, 2])
    del raised
    gc.collect()


@pytest.mark.parametrize("limit", ["max_template", "max_output", "max_steps", "max_includes"])
@pytest.mark.parametrize("wrong", [0, -1, 1.5, True, None])
def test_limits_are_whole_numbers(limit, wrong):
    with pytest.raises(BadRequest, match=limit):
        Environment(**{limit: wrong})


async def test_includes_have_a_depth():
    with pytest.raises(BadRequest, match="include each other more than 5 deep"):
        await rendered("{% include 'me' %}", BOUNDED)
    once = Environment(max_includes=1, loader={"a": "a"})
    assert await rendered("{% include 'a' %}{% include 'a' %}", once) == "aa"


async def test_a_template_has_a_length():
    with pytest.raises(BadRequest, match="longer than 10 characters"):
        await rendered("x" * 11, Environment(max_template=10))
    with pytest.raises(BadRequest, match="longer than 30 characters"):
        await rendered("{% include 'x' %}", Environment(max_template=30, loader={"x": "x" * 31}))


async def test_a_template_that_never_ends_lets_others_go_on_and_is_cancelled():
    forever = "{% for i in range(100000) %}{% for j in range(100000) %}{% endfor %}{% endfor %}"
    turns = 0
    async with trio.open_nursery() as nursery:
        nursery.start_soon(rendered, forever, Environment(max_steps=10**12))
        while turns < 10:
            await trio.lowlevel.checkpoint()
            turns += 1
        nursery.cancel_scope.cancel()
    assert nursery.cancel_scope.cancelled_caught


async def test_errors_say_where():
    with pytest.raises(BadRequest, match=r"the template ask\.txt, line 2: "):
        c.j("a\n{% if %}", filename="ask.txt")
    with pytest.raises(BadRequest, match=r"the template ask\.txt, line 2: 'x' is undefined"):
        await run(c.j("a\n{{ x }}", filename="ask.txt"))


@pytest.mark.parametrize(
    "loader", [{"a": "A{{ x }}"}, lambda name: "A{{ x }}" if name == "a" else None, "folder"]
)
async def test_loaders(loader, tmp_path):  # O55
    if loader == "folder":
        (tmp_path / "a").write_text("A{{ x }}")
        loader = tmp_path
    shared = Environment(loader=loader)
    assert await rendered("{% include 'a' %}{% include 'a' %}", shared, x=1) == "A1A1"
    with pytest.raises(BadRequest, match=r"no template '\.\./b'|no template 'b'"):
        await rendered("{% include 'b' %}", shared)
    with pytest.raises(BadRequest, match="there is no template"):
        await rendered("{% include '../b' %}", shared)


def test_without_jinja_the_extra_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "jinja2", None)
    monkeypatch.delitem(sys.modules, "llmmw.flow._jinja", raising=False)
    with pytest.raises(ConfigError, match=r"pip install llmmw\[templates\]"):
        Prompt("x", environment=Environment()).variables()


def test_flows_load_no_template_engine():
    code = (
        "import sys, llmmw.flow, llmmw.flow.compose as c\n"
        "c.c('a') + c.generate_text()\n"
        "print('jinja2' in sys.modules, 'jq' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["False", "False"]


# Models within.


async def test_the_documented_example(seen):  # O55, O59
    template = c.j("""\
What is the southernmost city in France? {{ generate_text() }}
Who is its mayor? {{ generate_text() }}
""")
    assert await run(template) == (
        "What is the southernmost city in France? <41>\nWho is its mayor? <64>"
    )
    assert seen[1] == "What is the southernmost city in France? <41>\nWho is its mayor? "


async def test_the_prefix_is_that_of_the_composition(seen):  # O49
    e = (
        "a"
        + c.store("x", c.generate_text())
        + c.j("b{{ x }}{{ llm() }}{% set y = 3 %}")
        + c.f("{y}")
    )
    assert await run(e) == "a<1>b<1><8>3"
    assert seen == ["a", "a<1>b<1>"]


async def test_values_of_one_template_alone():
    e = c.j("{{ x }}{{ y }}", x=Prompt("{{ z }}")(z=1)) + c.f("{y}")
    assert await run(e(y=2)) == "122"
    with pytest.raises(BadRequest, match="needs 'x'"):
        await run((e + c.f("{x}"))(y=2))


async def test_functions_in_loops_conditions_and_macros(seen):  # O59
    text = (
        "{% macro ask(q) %}{{ q }}{{ generate_text() }}{% endmacro %}"
        "{% for q in ['a', 'b'] %}{{ q }}{% if generate_text() == '<1>' %}!{% endif %}{% endfor %}"
        "{{ ask('c') }}{{ generate_text()|upper }}"
    )
    assert await run(c.j(text)) == "a!bc<3><7>"


async def test_all_functions(seen):  # O59
    ranking.configure(lambda prompt, options: Ranking(tuple(options), (1,), (0.1, 0.9)))
    select.configure(lambda prompt, options: options[0])
    instruct.configure(lambda prompt, assistant_prefix: "done")
    generate_object.configure(lambda prompt, cls: cls("Nice"))

    @attrs.frozen
    class City:
        name: str

    text = (
        "{{ choose(['no', 'yes']) }} {{ select(['no', 'yes']) }} {{ instruct('Sure, ') }} "
        "{{ chat() }} {% set city = generate_object(City) %}{{ city.name }}"
    )
    context = await run(c.j(text)(City=City).context())
    assert context.text == "yes no Sure, done <1> Nice"
    assert (context["choices"], context["scores"]) == (["no", "yes"], (0.1, 0.9))
    assert context["city"] == City("Nice")


@pytest.mark.plugins
async def test_generate_texts():  # O59, O30
    assert await run(c.j("a {{ generate_texts(2) | join('|') }}")) == "a a|a"


async def test_store_and_get_var():  # O58
    text = (
        "{{ store('a', 1) }}{{ store('b', 2, output=False) }}"
        "{% for x in 'xy' %}{{ store('l', x, append=True) }}{% endfor %}{{ get_var('l') }}"
    )
    context = await run(c.j(text).context())
    assert context.text == "1xy['x', 'y']"
    assert context.variables == {"a": 1, "b": 2, "l": ["x", "y"]}
    with pytest.raises(BadRequest, match="no variable 'z'"):
        await run(c.j("{{ get_var('z') }}"))


async def test_what_a_template_sets_is_stored():  # O49
    text = (
        "{% macro f() %}{% endmacro %}{% set a = 1 %}{% for x in 'y' %}{% set b = 1 %}{% endfor %}"
    )
    assert (await run(c.j(text).context())).variables == {"a": 1}


async def test_input():  # O58
    async def later():
        yield "c"
        yield "d"

    e = c.j("{{ input('x') }}{{ input('x') }}{{ input('y') }}{{ input('y') }}{{ input('z') }}")
    async with aclosing(later()) as values:
        assert await run(e(x=iter("ab"), y=values, z=1)) == "abcd1"
    with pytest.raises(BadRequest, match="there are no more values of the input 'x'"):
        await run(e(x=iter("a"), y=later(), z=1))
    with pytest.raises(BadRequest, match="'x', which is not given"):
        await run(e)


async def test_values_win_over_functions():
    assert await run(c.j("{{ input }}")(input="mine")) == "mine"


async def test_sections(seen):  # O56
    text = (
        "Q {% section 'why', hidden=True %}think {% section 'deep' %}{{ generate_text() }}"
        "{% endsection %}{% endsection %}A{{ generate_text() }} {{ get_var('why') }}"
    )
    context = await run(c.j(text).context())
    assert context.text == "Q A<3> think <8>"
    assert context.sections == {"deep": "<8>", "why": "think <8>"}
    assert seen == ["Q think ", "Q A"]


async def test_break_and_continue_end_the_sections_they_leave():  # O56
    text = (
        "{% for x in range(4) %}{% section 's' %}{% section 't', hidden=True %}{{ x }}"
        "{% if x == 1 %}{% continue %}{% elif x == 2 %}{% break %}{% endif %}{% endsection %}-"
        "{% for y in 'ab' %}{% break %}{% endfor %}{% endsection %}{% endfor %}."
    )
    context = await run(c.j(text).context())
    assert context.text == "-."
    assert context.sections == {"s": "", "t": "2"}


async def test_roles(seen):  # O56
    text = (
        '{% role "system" %}Be terse.{% endrole %}{% role "user" %}Hi {% endrole %}'
        '{% role "assistant" %}{{ generate_text() }}{% endrole %}'
        '{% role "user" %}More{% endrole %}{{ chat() }}'
    )
    context = await run(c.j(text).context())
    assert [(one.role, one.text) for one in context.messages[:-1]] == [
        ("system", "Be terse."),
        ("user", "Hi "),
        ("assistant", "<2>"),
    ]
    assert [len(prompt) for prompt in seen] == [2, 4]
    with pytest.raises(BadRequest, match="unknown role 'bot'"):
        await run(c.j("{% role 'bot' %}{% endrole %}"))


async def test_tags_need_a_composition_and_right_arguments():  # O56
    with pytest.raises(BadRequest, match="belong to the templates of compositions"):
        await rendered("{% section 's' %}{% endsection %}")
    with pytest.raises(BadRequest, match="a section has a name"):
        await run(c.j("{% section '' %}{% endsection %}"))
    with pytest.raises(BadRequest, match="line 1"):
        c.j("{% section 's' %}")


async def test_callbacks(seen):  # O57
    @executable
    async def lazily(x):
        return await generate_text(f"{x}")

    async def soon(context, y=1):
        return f"{len(context.text)}+{y}"

    def pieces():
        yield "a"
        yield "b"

    own = {"lazily": lazily, "soon": soon, "plain": len, "pieces": pieces}
    own["composed"] = lambda context: context.run("x" + c.generate_text())
    text = "ab {{ lazily('abc') }} {{ soon(y=2) }} {{ plain('xyz') }} {{ pieces() }}"
    assert await run(c.j(text, callbacks=own)) == "ab <3> 7+2 3 b"
    assert await run(c.j("{{ plain('x') }}", environment=Environment(callbacks=own))) == "1"
    assert await run(c.j("a{% do composed() %}", callbacks=own)) == "ax<2>"


async def test_value_errors_of_callbacks_are_told_and_others_raised():  # O57
    def wrong(kind):
        raise kind("bad tool")

    template = c.j("a {{ wrong(kind) }} b", callbacks={"wrong": wrong})
    context = await run(template(kind=ValueError).context())
    assert context.text == "a #ERROR#: bad tool b"
    assert context["error"] == "bad tool"
    with pytest.raises(KeyError, match="bad tool"):
        await run(template(kind=KeyError))


async def test_templates_from_executables_and_prompts(seen):
    shared = Environment(globals={"n": 3})
    assert await run(c.j(generate_text("{{ 1 }}"))) == "<7>"
    assert await run(c.j(Prompt("{{ n }}{{ generate_text() }}", environment=shared))) == "3<1>"
    with pytest.raises(BadRequest, match="a template is a text"):
        c.j(3)


@pytest.mark.plugins
async def test_a_template_streams_its_text():  # O55
    texts = []

    def hear(event):
        if isinstance(event, NodeDelta) and event.depth == 1:
            texts.append(event.text)

    e = "a " + c.j("b{{ generate_text() }}{% section 's', hidden=True %}x{% endsection %}c")
    assert await run(e, observer=hear) == "a ba bc"
    assert texts == ["a ", "b", "a b", "c"]


async def test_dry_run():  # O60
    text = (
        "Q {{ generate_text() }} {{ choose(['a', 'b']) }} {{ input('x', mock_value='X') }}"
        "{{ generate_texts(2)|length }}"
        "{% set o = generate_object(cls, mock_value={'n': 5}) %}{{ o.n }}"
        "{{ llm(mock_value='m', temperature=0) }}{{ chat() }}"
    )
    calls = await run(c.j(text).dry_run(cls=dict))
    prompts = [one.prompt if isinstance(one.prompt, str) else one.prompt[0].text for one in calls]
    assert [one.name for one in calls] == [
        *("generate_text", "ranking", "generate_texts", "generate_object", "generate_text", "chat"),
    ]
    assert prompts == [
        "Q ",
        "Q <generate_text 1> ",
        "Q <generate_text 1> a X",
        "Q <generate_text 1> a X2",
        "Q <generate_text 1> a X25",
        "Q <generate_text 1> a X25m",
    ]
    assert calls[4].parameters["temperature"] == 0


BLOCKS = ("{% section 's', hidden=True %}x{% endsection %}", "{% role 'user' %}x{% endrole %}")


@pytest.mark.parametrize("block", BLOCKS)
@pytest.mark.parametrize(
    "around",
    [
        "{%% macro m() %%}%s{%% endmacro %%}{{ m() }}",
        "{%% macro m() %%}{%% for i in [1] %%}%s{%% endfor %%}{%% endmacro %%}{{ m() }}",
        "{%% macro m() %%}{{ caller() }}{%% endmacro %%}{%% call m() %%}%s{%% endcall %%}",
        "{%% set a %%}%s{%% endset %%}{{ a }}",
        "{%% filter upper %%}%s{%% endfilter %%}",
        "{%% for i in [1] recursive %%}%s{%% endfor %%}",
    ],
)
def test_what_is_gathered_first_can_have_no_sections_and_roles(around, block):  # O56
    with pytest.raises(BadRequest, match="line 1: a section or role can't be in"):
        c.j(around % block)


@pytest.mark.parametrize(
    "template",
    [
        "{% for one in x %}{% endfor %}",
        "{% for one in y.z %}{% endfor %}",
        "{% for one in x if one %}{% endfor %}",
        "{{ x|join }}",
        "{{ x|list }}",
        "{{ x|map('upper')|list }}",
    ],
)
async def test_a_loop_over_what_is_missing_is_an_error(template):  # O55
    with pytest.raises(BadRequest, match=r"undefined|no attribute"):
        await rendered(template, y={})


async def test_errors_that_come_late_say_where_too():
    with pytest.raises(BadRequest, match=r"^the template, line 2: 'x' is undefined"):
        await rendered("a\n{{ x }}")
    with pytest.raises(BadRequest, match=r"^the template, line 3: Range too big"):
        await rendered("a\n\n{{ range(10 ** 9) }}")
    with pytest.raises(ZeroDivisionError) as caught:
        await rendered("a\n{% for i in [1] %}\n{{ i / 0 }}{% endfor %}")
    assert "in the template, line 3" in caught.value.__notes__
    environment = Environment(loader={"b": "{{ x }}"})
    with pytest.raises(BadRequest, match=r"^the template, line 2: 'x' is undefined"):
        await rendered("a\n{% include 'b' %}", environment)
