"""Compositions: `+` of texts and calls of models, variables, sections, branches."""

from __future__ import annotations

from itertools import pairwise

import pytest
import trio
from hypothesis import given, settings
from hypothesis import strategies as st

from llmmw import Client, MediaPart, Message, TextPart
from llmmw.errors import BadRequest, ConfigError
from llmmw.flow import (
    Graph,
    NodeDelta,
    Prompt,
    chat,
    executable,
    generate_object,
    generate_text,
    instruct,
    merge,
    parallel,
    registry,
    repeat,
    select,
)
from llmmw.flow import compose as c
from llmmw.flow._fold import NodeFold

PICTURE = MediaPart(media_type="image/png", data=b"\x89PNG\r\n\x1a\n")
LIST = ["a", PICTURE]


async def run(flow, **options):
    async with Client("echo:x", stack=[]) as client:
        return await client.run(flow, **options)


async def test_each_step_sees_all_before(seen):  # O47, O17
    e = "Q: " + c.generate_text() + " and " + c.generate_text()
    assert await run(e) == "Q: <3> and <11>"
    assert seen == ["Q: ", "Q: <3> and "]


async def test_the_documented_example(seen):  # O47
    e = "What is the southernmost city in France?" + c.generate_text()
    e = e + "Who is its mayor?" + c.generate_text()
    assert await run(e) == ("What is the southernmost city in France?<40>Who is its mayor?<61>")


@executable
def seven():
    return 7


@pytest.mark.parametrize(
    ("made", "text"),
    [
        (lambda: "a" + c.generate_text(), "a<1>"),
        (lambda: c.c("a") + "b", "ab"),
        (lambda: TextPart("a") + c.generate_text(), "a<1>"),
        (lambda: c.generate_text() + TextPart("a"), "<0>a"),
        (lambda: Message("user", "hi") + c.generate_text(), "hi<1>"),
        (lambda: LIST + c.c("b"), "a<image/png>b"),
        (lambda: c.c("b") + LIST, "ba<image/png>"),
        (lambda: seven() + c.generate_text(), "7<1>"),
        (lambda: seven().future + c.generate_text(), "7<1>"),
        (lambda: c.generate_text() + seven(), "<0>7"),
        (lambda: Prompt("{{ x }}!")(x=seven()) + c.generate_text(), "7!<2>"),
        (lambda: (Prompt("{{ x }}!") + c.generate_text())(x=3), "3!<2>"),
        (lambda: c.j("{{ 1 + 1 }}") + c.f("{x}")(x=None), "2"),
    ],
)
async def test_steps_from_either_side(seen, made, text):  # O47
    assert await run(made()) == text


async def test_what_is_no_composition_is_added_lazily(seen):  # O47
    assert await run(generate_text("four") + " more") == "<4> more"
    assert not isinstance(generate_text("four") + " more", c.Composition)


@pytest.mark.parametrize("wrong", [1, None, b"x", ["a", "b"], object()])
def test_what_is_no_step_is_refused(wrong):
    with pytest.raises(TypeError, match=r"unsupported operand|can only concatenate"):
        c.generate_text() + wrong
    with pytest.raises(TypeError, match=r"unsupported operand|can only concatenate|can't concat"):
        wrong + c.generate_text()
    with pytest.raises(BadRequest, match="is no step"):
        c.store("x", wrong)


async def test_a_definition_keeps_nothing(seen):  # O47
    first = "a" + c.store("x", c.generate_text())
    more = first + "b" + c.generate_text()
    assert [await run(one) for one in (more, first, more)] == ["a<1>b<5>", "a<1>", "a<1>b<5>"]
    assert await run([first, more, repeat(first, 2)]) == ["a<1>", "a<1>b<5>", ["a<1>", "a<1>"]]
    assert await run(more, passes=[merge]) == "a<1>b<5>"


async def test_the_same_step_twice_runs_twice(seen):
    answer = c.generate_text()
    assert await run("a" + answer + answer) == "a<1><4>"


async def test_variables(seen):  # O48
    e = "In " + c.store("city", c.generate_text()) + c.f(" {city}") + c.j("/{{ city }}/")
    e += c.get_var("city")
    context = await run(e.context())
    assert context.text == "In <3> <3>/<3>/<3>"
    assert context["city"] == "<3>"
    assert context.get("town") is None
    with pytest.raises(KeyError, match="no variable 'town' was stored; there are: city"):
        context["town"]


async def test_the_text_and_the_context_are_one_execution(seen):
    e = "a" + c.generate_text()
    text, context = await run([e, e.context()])
    assert text == context.text == "a<1>"
    assert seen == ["a"]


async def test_inputs(seen):  # O48
    e = c.f("{x} and {y}")
    assert await run(e(x=1, y=seven())) == "1 and 7"
    for one in (e(x=1), c.get_var("y"), c.j("{{ y }}")):
        with pytest.raises(BadRequest, match="'y'"):
            await run(one)


async def test_store_keeps_the_object_of_one_step_and_the_text_of_several(seen):  # O48, O49
    generate_object.configure(lambda prompt, cls: {"name": prompt})
    e = "a" + c.store("city", c.generate_object(dict)) + c.store("both", "b", c.generate_text())
    context = await run(e.context())
    assert context["city"] == {"name": "a"}
    assert context["both"] == "b<14>"
    assert context.text == 'a{"name":"a"}b<14>'


async def test_chat_and_roles(seen):  # O49, O54
    e = c.c("Be terse.", "system") + "Hel" + "lo" + c.chat() + "More" + PICTURE + c.chat()
    context = await run(e.context())
    assert [(one.role, one.text) for one in context.messages] == [
        ("system", "Be terse."),
        ("user", "Hello"),
        ("assistant", "<2>"),
        ("user", "More"),
        ("assistant", "<4>"),
    ]
    assert context.messages[3].parts == (TextPart("More"), PICTURE)
    assert [len(prompt) for prompt in seen] == [2, 4]
    with pytest.raises(BadRequest, match="unknown role 'model'"):
        await run(c.c("x", "model"))


async def test_a_picture_makes_messages_of_the_prompt(seen):  # O47
    await run("See " + c.c(PICTURE) + c.generate_text())
    assert seen == [(Message("user", ["See ", PICTURE]),)]


async def test_instruct_begins_with_the_prefix(seen):  # O49
    instruct.configure(lambda prompt, assistant_prefix: f"({prompt}|{assistant_prefix})")
    e = "Do it. " + c.store("done", c.instruct("Sure: "))
    context = await run(e.context())
    assert context.text == "Do it. Sure: (Do it. |Sure: )"
    assert context["done"] == "Sure: (Do it. |Sure: )"


async def test_select_goes_on_with_the_context_of_the_branch(seen):  # O49
    asked = []
    select.configure(lambda prompt, options: asked.append((prompt, options)) or options[-1])
    yes = "yes" + c.store("kind", c.c("Y"))
    no = c.store("kind", "no") + c.generate_text()
    context = await run(("a " + c.select(yes, no, "yesY") + c.generate_text()).context())
    assert asked == [("a ", ["yesY", "no<4>"])]
    assert context.text == "a no<4><7>"
    assert context["kind"] == "no"
    asked.clear()
    select.configure(lambda prompt, options: options[0])
    assert (await run(c.select([yes, no]).context())).variables == {"kind": "Y"}
    with pytest.raises(BadRequest, match="select needs options"):
        c.select()


async def test_sections(seen):  # O50
    e = "a" + c.section("why", "b", c.section("deep", "c", hidden=True), c.generate_text())
    context = await run(e.context())
    assert seen == ["ab"]
    assert context.text == "ab<2>"
    assert context.sections == {"deep": "c", "why": "b<2>"}
    assert context["why"] == "b<2>"


async def test_a_hidden_section_is_seen_within_alone(seen):  # O50
    e = "Q " + c.section("why", "think", c.generate_text(), hidden=True) + "A" + c.generate_text()
    context = await run(e.context())
    assert seen == ["Q think", "Q A"]
    assert context.text == "Q A<3>"
    assert context["why"] == "think<7>"


async def test_sections_that_begin_and_end_by_themselves(seen):  # O50
    e = "a" + c.section_start("s", hidden=True) + "b" + c.section_end() + c.f("[{s}]")
    assert await run(e) == "a[b]"


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (lambda: "a" + c.section_end(), "was not begun"),
        (lambda: "a" + c.section_start("s"), "'s' has no end"),
        (lambda: c.section("s", "a", c.section_end()), "was not begun"),
        (lambda: c.section("s", c.section_start("t")), "'t' has no end"),
        (lambda: c.section_start("s") + c.store("x", c.section_end()), "was not begun"),
        (lambda: c.section("", "a"), "a section has a name"),
    ],
)
async def test_unbalanced_sections(wrong, message):  # O50
    with pytest.raises(BadRequest, match=message):
        await run(wrong())


async def test_own_steps(seen):  # O51
    @c.step
    async def measure(context, unit, *, note="n"):
        context[note] = len(context.text)
        answer = await context.run("[" + c.generate_text() + "]")
        return f" {len(answer)}{unit}"

    @c.step(name="count")
    def counted(context):
        yield "1"
        yield c.generate_text()

    e = "abc" + measure(seven(), note="size") + counted()
    context = await run(e.context())
    assert context.text == "abc[<4>] 571<12>"
    assert context["size"] == 3
    assert e.steps[-1].name == "count"
    with pytest.raises(ConfigError, match="has no parameter 'context'"):
        c.step(lambda x: x)
    with pytest.raises(TypeError, match="measure: "):
        measure()


@pytest.mark.parametrize(
    "function",
    [
        lambda context, *rest, **more: f"{rest}{more}",
        lambda a, context, b=3, **more: f"{(a, b)}{more}",
        lambda *rest, context, **more: f"{rest}{more}",
        lambda a, b, /, context, **more: f"{(a, b)}{more}",
    ],
)
async def test_own_steps_take_arguments_of_any_kind(function):  # O51
    assert await run(c.step(function)(1, 2, d=4) + "") == "(1, 2){'d': 4}"


async def test_the_generator_of_a_step_is_closed(seen):  # O51
    closed = []

    @c.step
    async def endless(context):
        try:
            while True:
                yield c.generate_text() if len(closed) else c.get_var("nope")
        finally:
            closed.append(1)

    with pytest.raises(BadRequest, match="no variable 'nope'"):
        await run(endless() + "")
    assert closed == [1]


async def test_own_steps_may_run_branches_themselves(seen):  # O51
    @c.step(lazy=["body"])
    async def twice(context, body):
        await context.run(body)
        await context.run(body)

    assert await run("a" + twice(c.generate_text())) == "a<1><4>"


async def test_what_a_step_catches_leaves_no_section_or_role_behind(seen):  # O50, O51
    wrong = c.section_start("s") + c.j(
        "{% role 'user' %}{% section 't' %}{{ x }}{% endsection %}{% endrole %}"
    )

    @c.step
    async def careful(context):
        for one in (wrong, c.section("u", wrong)):
            with pytest.raises(BadRequest, match="'x' is undefined"):
                await context.run(one)
        with pytest.raises(KeyError), context.section("v", hidden=True):
            raise KeyError
        with context.section("w"):
            context.append("c")
        return c.generate_text()

    context = await run(("a" + careful() + c.generate_text()).context())
    assert context.text == "ac<2><5>"
    assert context.sections == {"w": "c"}
    assert seen == ["ac", "ac<2>"]


async def test_branches_do_not_see_each_other(seen):  # O52
    @c.join
    def shortest(context, branches):
        assert "x" not in context
        assert [one["x"] for one in branches] == ["1", "22"]
        context.take_over(min(branches, key=lambda one: len(one.text)))

    e = "a" + shortest(c.store("x", "1"), c.store("x", "22") + c.generate_text()) + c.f("{x}")
    assert await run(e) == "a11"
    assert await run("a" + c.fork("b", "c", join=lambda _, some: some[1].text)) == "aac"


async def test_branches_run_at_the_same_time(seen):  # O52
    met = trio.Event()

    @c.step
    async def wait(context):
        await met.wait()
        return "x"

    @c.step
    def meet(context):
        met.set()

    assert await run(c.fork(wait(), meet(), join=lambda _, some: some[0].text)) == "x"


async def test_a_failure_names_its_step(seen):
    @c.step
    def broken(context):
        raise ValueError("no")

    with pytest.raises(ValueError, match="no") as raised:
        await run("a" + broken())
    assert raised.value.__notes__[0].startswith("in broken-")


async def folded(flow):
    """The result, and the texts so far that a reader of the stream sees."""
    folds, texts = {}, []

    def hear(event):
        if isinstance(event, NodeDelta) and event.depth == 1:
            fold = folds.setdefault(event.key, NodeFold())
            fold(event)
            texts.append(fold.value)

    result = await run(flow, observer=hear)
    assert len(folds) == 1
    return result, texts


@pytest.mark.plugins
async def test_the_stream_grows_piece_by_piece():  # O53
    e = "a b " + c.generate_text() + c.section("s", "hide", c.generate_text(), hidden=True) + "."
    result, texts = await folded(e)
    assert result == "a b a b."
    assert texts == ["a b ", "a b a", "a b a b", "a b a b."]


async def test_the_stream_of_instruct_and_select_and_join(seen):  # O53, 2.2.26
    select.configure(lambda prompt, options: options[1])
    chat.configure(lambda messages: "talk")
    instruct.configure(lambda prompt, assistant_prefix: "done")
    e = "a" + c.instruct("p") + c.select("x", "y" + c.generate_text()) + c.chat()
    result, texts = await folded(e)
    assert result == texts[-1] == "apdoney<7>talk"
    assert texts == ["a", "ap", "apdone", "apdoney<7>", "apdoney<7>talk"]


@pytest.mark.plugins
async def test_spaces_are_healed():  # O41
    assert await run("a  " + c.generate_text()) == "a  a"
    asked = []

    async def answer(prompt, healing=None):
        asked.append((prompt, healing))
        return " b"

    with registry():
        generate_text.configure(answer)
        assert await run("a " + c.generate_text(healing="none")) == "a  b"
        await run("a " + c.generate_text())
    assert asked == [("a ", "none"), ("a ", "space")]


@pytest.mark.plugins
async def test_spaces_are_healed_in_the_stream():  # O41, O53
    result, texts = await folded(" x y " + c.generate_text())
    assert result == " x y x y"
    assert texts == [" x y ", " x y x", " x y x y"]


async def test_dry_run_asks_nothing():  # O60
    e = "a" + c.store("x", c.generate_text()) + c.select("b", "c") + c.generate_text(mock_value="m")
    calls = await run(
        (e + c.f("{x}") + c.j("{{ generate_text() }}{{ y }}") + c.chat()).dry_run(y=1)
    )
    assert [(one.name, one.prompt) for one in calls[:-1]] == [
        ("generate_text", "a"),
        ("select", "a<generate_text 1>"),
        ("generate_text", "a<generate_text 1>b"),
        ("generate_text", "a<generate_text 1>bm<generate_text 1>"),
    ]
    assert calls[1].parameters == {"options": ["b", "c"], "healing": "space"}
    assert calls[-1].prompt[0].text.endswith("<generate_text 4>1")
    with pytest.raises(BadRequest, match="a dry run asks no model"):
        await run(("a" + generate_text("b") + c.chat()).dry_run())


async def test_compositions_are_executables_like_others(seen):
    e = "a" + c.generate_text()
    assert await run(parallel(e, e + "b")) == ["a<1>", "a<1>b"]
    assert await run(e.future.upper()) == "A<1>"

    @executable
    async def twice():
        return await e + await e

    assert await run(twice()) == "a<1>a<1>"
    assert list(Graph.collect(e))[-1] == e.id
    assert repr(e).startswith("<compose-")


async def test_a_composition_is_bounded(monkeypatch):
    monkeypatch.setattr("llmmw.flow.compose._context._MOST", 10)
    with pytest.raises(BadRequest, match="more than 10 characters"):
        await run("123456" + c.c("78901"))


@pytest.mark.parametrize("wrong", ["", 1])
def test_variables_have_names(wrong):
    with pytest.raises(BadRequest, match="a variable has a name"):
        c.store(wrong, "x")


async def test_many_steps():
    e = c.c("")
    for _ in range(2000):
        e += "x"
    assert await run(e) == "x" * 2000


STEPS = st.recursive(
    st.sampled_from(["a ", "b", seven(), c.generate_text(), c.f("{n}"), TextPart("p"), c.chat()]),
    lambda inner: st.one_of(
        st.builds(lambda one: c.store("x", one) + c.f("{x}"), inner),
        st.builds(lambda one: c.section("s", one, hidden=True) + c.f("{s}"), inner),
        st.builds(lambda one: c.section("s", one), inner),
        st.builds(lambda one: c.c(one, "system") if isinstance(one, str) else one, inner),
        st.builds(lambda a, b: c.select(a, b), inner, inner),
        st.builds(lambda a, b: c.c("") + a + b, inner, inner),
    ),
    max_leaves=5,
)


@given(STEPS, STEPS, STEPS)
@settings(max_examples=60)
def test_it_does_not_matter_how_steps_are_put_together(a, b, d):  # O47
    trio.run(same_however_put_together, a, b, d)


async def same_however_put_together(a, b, d):
    async def answer(prompt):
        return f"<{len(prompt)}> "

    start = c.c("") + a
    with registry():
        generate_text.configure(answer)
        chat.configure(lambda messages: f"[{len(messages)}]")
        select.configure(lambda prompt, options: options[len(str(prompt)) % len(options)])
        left = ((start + b) + (c.c("") + d))(n=5)
        right = (start + (b + (c.c("") + d)))(n=5)
        one, other = await run([left.context(), right.context()])
        result, texts = await folded(left)
    assert (one.text, one.variables, one.sections) == (other.text, other.variables, other.sections)
    assert one.messages == other.messages
    assert result == one.text
    assert (texts or [""])[-1] == result
    assert all(after.startswith(before) for before, after in pairwise(texts))


@pytest.mark.parametrize("depth", [1, 2, None])
@pytest.mark.parametrize(
    "e",
    [
        "Q" + c.section("why", "SECRET", c.generate_text(), hidden=True) + "A",
        "Q" + c.section_start("why", True) + c.c("SECRET") + c.generate_text() + c.section_end(),
        c.section("why", c.fork("SECRET", join=lambda context, ends: ends[0].text), hidden=True),
        c.section("why", c.store("x", executable(lambda: "SECRET")()), hidden=True),
        c.j("{% section 'why', hidden=True %}{{ f() }}{{ generate_text() }}{% endsection %}"
            "A", callbacks={"f": lambda: "SECRET"}),
    ],
)  # fmt: skip
async def test_readers_see_nothing_of_a_hidden_section_at_any_depth(e, depth):
    with registry():
        generate_text.configure(lambda prompt: "SECRET, too")
        async with Client("echo:x", stack=[]) as client, client.stream(e, depth=depth) as stream:
            told = [event async for event in stream]
            messages = [one async for one in stream.messages()]
    assert told[-1].value in ("QA", "Q", "A", "")
    assert "SECRET" not in str(told)
    assert "SECRET" not in str(messages)


@pytest.mark.parametrize(
    "fails",
    [
        lambda fail: c.section("why", "SECRET", fail, hidden=True),
        lambda fail: c.section_start("why", True) + "SECRET" + c.section("in", "too", fail),
        lambda fail: c.j("{% section 'why', True %}SECRET{{ f() }}{% endsection %}",
                         callbacks={"f": lambda: fail}),
    ],
)  # fmt: skip
async def test_what_is_hidden_stays_hidden_though_its_section_fails(seen, fails):
    @executable
    def fail():
        raise KeyError("no")

    @c.step
    async def careful(context):
        try:
            await context.run("told " + fails(fail()))
        except KeyError:
            return "caught "

    context = await run(("Q " + careful() + c.generate_text()).context())
    assert seen == ["Q told caught "]
    assert "SECRET" not in context.text
    assert not context.sections
