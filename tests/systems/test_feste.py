"""What programs written for Feste rely on, as ours do it (`F…` are its features, `2.1.…` what it
got wrong).

What differs: nodes give methods of their values by `.future`, so that no name of a value is one of
ours; there is no global eager mode, since `await` and `.function` do that where it is wanted.
"""

from __future__ import annotations

import operator
import threading
from graphlib import TopologicalSorter
from xml.etree import ElementTree

import attrs
import pytest
import trio

from llmmw import Batch, Client, Usage
from llmmw._hookspecs import Spec, hookimpl
from llmmw._plugins import Named, Plugins
from llmmw.errors import BadRequest, ConfigError, ServerError
from llmmw.flow import (
    Environment,
    Graph,
    LanguageMismatch,
    Prompt,
    copy_registry,
    draw,
    embed,
    executable,
    generate,
    generate_text,
    parallel,
    registry,
)
from llmmw.flow.trace import Trace
from llmmw.testing import Script

from .asked import Asked, Many, ran

pytestmark = pytest.mark.virtual


@executable
def add(left, right):
    return left + right


@executable(pure=True)
def double(value):
    return 2 * value


@executable
async def wait(value, seconds=0.2):
    await trio.sleep(seconds)
    return value


def complete(prompt, **parameters):
    return generate_text(prompt, raw=True, **parameters)


# Tasks.


async def test_a_call_is_a_lazy_value():  # F1
    ran_with = []
    task = executable(ran_with.append)
    node = task("x")
    assert ran_with == []
    assert task.function == ran_with.append
    await ran(node)
    assert ran_with == ["x"]


async def test_methods_are_tasks_and_the_class_has_the_bare_function():  # F1
    class Model:
        def __init__(self, name):
            self.name = name

        @executable
        def complete(self, prompt):
            return f"{self.name}: {prompt}"

    assert await ran(Model("a").complete("hi")) == "a: hi"
    assert Model.complete.function(Model("b"), "ho") == "b: ho"


async def test_a_result_of_known_length_is_unpacked_before_it_runs():  # F2
    @executable(outputs=2)
    def halves(text):
        return text[:1], text[1:]

    first, second = halves("ab")
    assert await ran([first, second]) == ["a", "b"]
    for wrong in (-1, 1.5, True):
        with pytest.raises(ConfigError, match="outputs="):
            executable(outputs=wrong)(len)


def test_equal_calls_of_pure_tasks_are_one_node():  # F3
    assert len(Graph.collect([double(1), double(1), double(2)])) == 2
    assert len(Graph.collect([add(1, 1), add(1, 1)])) == 2
    assert list(Graph.collect(add(1, 1).with_options(id="mine"))) == ["mine"]


def test_a_node_shows_its_id():  # F4
    node = add(1, 2)
    assert node.id in str(node)
    assert "add" in str(node)


def test_compute_runs_what_the_node_needs_and_gives_the_plain_value():  # F5, 4.3 13
    ran_with = []

    @executable
    def note(value):
        ran_with.append(value)
        return value

    unused, wanted = note("unused"), add(note(1), 1)
    assert wanted.compute() == 2
    assert ran_with == [1]
    assert unused.id != wanted.id


BINARY = [
    *("add", "sub", "mul", "floordiv", "truediv", "mod", "pow", "and_", "or_", "xor"),
    *("lshift", "rshift", "eq", "ne", "lt", "le", "gt", "ge"),
]


@pytest.mark.parametrize("name", BINARY)
async def test_binary_operators_are_those_of_python(name):  # F6, 4.3 9
    of = getattr(operator, name)
    seven = add(3, 4)
    assert await ran([of(seven, 2), of(9, seven)]) == [of(7, 2), of(9, 7)]


async def test_unary_operators_and_items_are_those_of_python():  # F6, 4.3 10
    minus = add(-3, -4)
    assert await ran([-minus, +minus, ~minus, abs(minus)]) == [7, -7, 6, 7]
    assert await ran(add([1], [2])[1]) == 2


async def test_attributes_and_methods_of_what_is_not_there_yet():  # F7
    greeting = Prompt("hi {{name}}")(name="x")
    assert await ran(greeting.future.upper()) == "HI X"
    for question in (bool, len, iter):
        with pytest.raises(TypeError):
            question(greeting)


async def test_several_results_keep_the_shape_they_were_asked_in():  # F8
    node = add(1, 2)
    assert await ran(({"a": [node, 2]}, node)) == ({"a": [3, 2]}, 3)


async def test_one_result_alone_comes_alone():  # 2.1.12
    assert await ran(add(1, 2)) == 3


async def test_a_shared_node_runs_once():  # F9
    count = []

    @executable
    def shared():
        count.append(1)
        return 1

    node = shared()
    assert await ran([add(node, 1), add(node, 2)]) == [2, 3]
    assert count == [1]


# Settings.


async def test_settings_of_a_block_end_with_it():  # F10, 4.3 14
    model = Asked()
    with pytest.raises(ZeroDivisionError), registry(temperature=0.5):
        1 / 0  # noqa: B018
    await model(generate_text("hi"))
    with registry(temperature=0.5):
        await model(generate_text("hi"))
    assert [one.temperature for one in model.requests] == [None, 0.5]


async def test_settings_of_tasks_at_the_same_time_do_not_mix():  # 2.1.7
    model = Asked()

    async def ask(temperature, seconds):
        with registry(temperature=temperature):
            await trio.sleep(seconds)
            await client.run(generate_text(str(temperature)))

    async with model.client() as client, trio.open_nursery() as nursery:
        nursery.start_soon(ask, 0.1, 2)
        nursery.start_soon(ask, 0.2, 1)
    assert [(one.messages[0].text, one.temperature) for one in model.requests] == [
        ("0.2", 0.2),
        ("0.1", 0.1),
    ]


async def test_a_task_runs_at_once_where_it_is_awaited_or_called_bare():  # F11, 4.3 11-12
    @executable
    async def now():
        return await add(1, 2) + 1

    assert await ran(now()) == 4
    assert add.function(1, 2) == 3


# Graphs.


def test_collecting_gives_a_node_for_each_call():  # F12, 4.3 1
    assert len(Graph.collect(add(1, 2))) == 1
    prompt = Prompt("hi {{name}}")(name="x")
    node = generate_text(prompt)
    graph = Graph.collect(node)
    assert list(graph) == [prompt.id, node.id]
    assert graph[prompt.id] is prompt


def test_a_graph_tells_what_needs_what_and_in_which_order():  # F13, 4.3 2-3
    prompt = Prompt("hi {{name}}")(name="x")
    node = generate_text(prompt)
    graph = Graph.collect(node)
    assert graph.dependencies() == {prompt.id: set(), node.id: {prompt.id}}
    assert isinstance(graph.sorter(), TopologicalSorter)
    assert list(graph.sorter().static_order()) == graph.order() == [prompt.id, node.id]


def test_a_graph_is_drawn_into_a_file(tmp_path):  # F14
    node = add(double(1), 2)
    drawn = draw(node, file=tmp_path / "flow.dot")
    assert (tmp_path / "flow.dot").read_text() == drawn
    assert "digraph" in drawn
    for name in ("add", "double"):
        assert name in drawn


def test_a_metro_map_is_drawn_as_svg():  # F15, 4.3 4
    root = ElementTree.fromstring(draw(add(double(1), 2), "svg"))
    assert root.tag.endswith("svg")
    assert "double" in "".join(root.itertext())


class Contributed:
    """A plugin with a pass."""

    @staticmethod
    @hookimpl
    def llmmw_passes():
        return [Spec("ones", "passes_for_feste:ones", "makes ones")]

    @staticmethod
    def ones(graph):
        return graph.rewrite(lambda one: double(0.5) if one.name == "double" else one)


async def test_a_plugin_contributes_a_pass_that_changes_the_graph(monkeypatch):  # F16, 2.1.10
    monkeypatch.setitem(__import__("sys").modules, "passes_for_feste", Contributed)
    plugins = Plugins(found=[Named("pass", "ones", "passes_for_feste", "strange", "1")])
    async with Client(stack=[], plugins=plugins) as client:
        assert await client.run([add(double(7), 1)], passes=["ones"]) == [2]


# Batches.


async def test_three_calls_are_one_request_and_each_gets_its_own():  # F17, 4.3 15
    model = Many()
    async with model.client(Batch()) as client:
        nodes = [complete(one) for one in ("a", "b", "c")]
        assert await client.run(nodes) == ["A", "B", "C"]
    assert model.sizes == [3]


async def test_a_pass_batches_what_is_ready_together():  # F17
    model = Many()
    async with model.client() as client:
        assert await client.run([embed("a"), embed("bb")], passes=["batch"]) == [[1.0], [2.0]]
    assert model.sizes == [2]


async def test_chained_prompts_are_batched_by_their_levels():  # 2.1.1
    model = Many()
    prompt = Prompt("after {{text}}")
    async with model.client(Batch()) as client:
        chains = [complete(prompt(text=complete(one))) for one in ("a", "b")]
        assert await client.run(chains) == ["AFTER A", "AFTER B"]
    assert model.sizes == [2, 2]


async def test_a_pass_never_batches_a_call_with_what_it_needs():  # 2.1.1
    model = Many()
    inner = embed("a")
    outer = embed(Prompt("{{vector}}")(vector=inner))
    async with model.client() as client:
        found = await client.run([inner, outer, embed("b")], passes=["batch"])
    assert found == [[1.0], [5.0], [1.0]]
    assert sorted(model.sizes) == [1, 2]


async def test_calls_with_other_parameters_are_other_batches_and_none_is_wasted():  # 2.1.2
    model = Many()
    async with model.client(Batch()) as client:
        several = [complete(str(k), temperature=t) for t in (0, 1) for k in range(2)]
        assert await client.run(several) == ["0", "1", "0", "1"]
    assert sorted(model.sizes) == [2, 2]


async def test_a_batch_has_a_limit():  # 2.1.4
    model = Many()
    async with model.client(Batch(max_size=2)) as client:
        await client.run([complete(str(k)) for k in range(5)])
    assert sorted(model.sizes) == [1, 2, 2]


async def test_a_text_that_looks_like_an_id_stays_a_text():  # 2.1.3
    prompt = Prompt("P2")().with_options(id="P1")
    assert await ran([prompt, add("P1", ""), {"P1": prompt.id}]) == ["P2", "P1", {"P1": "P1"}]


# Running.


async def test_independent_work_runs_at_the_same_time():  # F18
    began = trio.current_time()
    assert await ran([wait(1), wait(2)]) == [1, 2]
    assert trio.current_time() - began == pytest.approx(0.2)


def test_functions_that_block_run_in_threads_at_the_same_time():  # F18
    both = threading.Barrier(2)

    @executable(thread=True)
    def block(value):
        both.wait(60)
        return value

    assert parallel(block(1), block(2)).compute() == [1, 2]


async def test_what_a_task_needs_not_be_pickled_or_copied():  # 2.1.6
    lock = threading.Lock()
    same = executable(lambda given: given is lock)
    assert await ran(same(lock)) is True


async def test_an_error_keeps_its_type_and_names_its_node():  # F19, 4.3 "error in node"
    @executable
    def fails():
        raise ZeroDivisionError("oh")

    node = fails()
    with pytest.raises(ZeroDivisionError, match="oh") as caught:
        await ran(add(node, 1))
    assert caught.value.__notes__ == [f"in {node.id}"]


# Prompts.


async def test_a_prompt_gives_a_lazy_text():  # F20, 4.3 5
    assert await ran(Prompt("Hi {{n}}")(n="x")) == "Hi x"
    assert await ran(Prompt("{{a}} and {{b}}")(a=add(1, 1), b=3)) == "2 and 3"
    assert Prompt("", language="de").language == "de"
    with pytest.raises(BadRequest, match="ISO 639"):
        Prompt("", language="German")


async def test_a_prompt_from_a_file(tmp_path):  # F20
    (tmp_path / "hi.txt").write_text("Hi {{n}}", "utf-8")
    prompt = Prompt.from_file(tmp_path / "hi.txt", language="fr")
    assert (prompt.language, await ran(prompt(n=1))) == ("fr", "Hi 1")


async def test_prompts_are_added_and_say_if_their_languages_differ():  # F21, 4.3 8
    environment = Environment(globals={"x": "y"})
    left = Prompt("a{{x}}", environment=environment)
    with pytest.warns(LanguageMismatch) as warned:
        both = left + Prompt("b{{x}}", language="fr")
    assert len(warned) == 1
    assert (both.template, both.language, both.environment) == ("a{{x}}b{{x}}", "en", environment)
    assert await ran(both()) == "ayby"


def test_what_a_prompt_says_of_itself():  # F22, 4.3 7
    prompt = Prompt("{{a}} {{b}}")
    assert prompt.variables() == {"a", "b"}
    assert len(prompt) == 11
    assert "{{a}} {{b}}" in repr(prompt)


async def test_prompts_share_functions():  # F23, 4.3 6
    environment = Environment(globals={"shout": str.upper})
    assert await ran(Prompt("{{ shout(n) }}", environment=environment)(n="hi")) == "HI"


@pytest.mark.parametrize("text", ["{{ ''.__class__ }}", "{{ n.__init__ }}", "{{ missing }}"])
async def test_templates_are_strict_and_run_in_a_sandbox(text):  # 2.1.11
    with pytest.raises(BadRequest):
        await ran(Prompt(text)(n=1))


# Models.


async def test_only_what_is_given_reaches_the_request():  # F24, 4.3 15
    model = Asked()
    await model(generate_text("hi", temperature=None, max_tokens=16))
    (request,) = model.requests
    assert request.parameters() == ["max_output_tokens"]


async def test_a_model_answers_with_its_first_text_and_loses_no_other():  # F24, F25, 2.1.9
    model = Asked(["first", "second"])
    node = generate("hi")
    answer, text = await model([node, node.future.text])
    assert answer.text == text == "first"
    assert answer.finish_reason == "stop"


async def test_a_model_is_asked_once_for_a_prompt_that_was_rendered():  # 4.3 15
    model = Asked(lambda call, number: f"to {call.request.messages[0].text}")
    prompt = Prompt("hi {{name}}")(name="x")
    assert await model(generate_text(prompt)) == "to hi x"
    assert len(model.requests) == 1


async def test_two_clients_have_accounts_of_their_own():  # 2.1.7
    one, other = Asked("one"), Asked("other")
    async with one.client() as client, other.client() as second:
        with registry(client=second):
            bound = copy_registry()
        flow = [generate_text("a"), generate_text("b")]
        assert await client.run(flow) == ["one", "one"]
        assert await client.run(flow, registry=bound) == ["other", "other"]


async def test_what_a_run_spent_is_told():  # F26
    model = Asked(Script(pieces="x", usage=Usage(input_tokens=2, output_tokens=3)))
    trace = Trace()
    await model([generate_text("a"), generate_text("b")], observer=trace)
    assert (trace.spent.input_tokens, trace.spent.output_tokens) == (4, 6)


async def test_a_call_that_fails_is_an_error_of_its_node_alone_if_asked():  # 4.3 "error in node"
    model = Asked({"a": Script(error=lambda: ServerError("down")), "b": "fine"})
    failed, text = await model([generate_text("a"), generate_text("b")], errors="keep")
    assert isinstance(failed, ServerError)
    assert text == "fine"


@attrs.frozen
class Held:
    node: object


async def test_nodes_are_found_in_objects_too():  # F8
    assert await ran(Held(add(1, 2))) == Held(3)
