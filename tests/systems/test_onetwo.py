"""What programs written for OneTwo rely on, as ours do it (`O…` are its features, `4.2 …` the most
valuable of its own tests, `2.2.…` what it got wrong).

What differs: containers among the arguments are copied, other objects are as they are; a stream
tells events, of which `NodeFold` makes the value so far; a node that failed keeps its own error
type; caches are policies of a client and keep answers of models, no results of functions.
"""

from __future__ import annotations

import asyncio
import contextvars
import subprocess
import sys
import time
from functools import partial
from itertools import pairwise

import attrs
import pytest
import trio
from hypothesis import given
from hypothesis import strategies as st

from llmmw import (
    Attempts,
    Batch,
    Cache,
    Capabilities,
    Client,
    Generate,
    MediaPart,
    Message,
    RateLimit,
    Retry,
    TextPart,
    batched,
    cache_mode,
)
from llmmw.errors import (
    BadRequest,
    ConfigError,
    DeadlineExceeded,
    OutputInvalid,
    PluginError,
    ServerError,
)
from llmmw.flow import (
    FORMATTERS,
    Appended,
    Environment,
    Evaluation,
    GraphResult,
    NodeDelta,
    NodeFold,
    NodeResult,
    Placed,
    Registry,
    Repeated,
    RoundRobin,
    builtin,
    chat,
    copy_registry,
    count_tokens,
    detokenize,
    echo_text,
    embed,
    evaluate,
    exact_match,
    executable,
    generate,
    generate_content,
    generate_object,
    generate_text,
    generate_texts,
    instruct,
    judged,
    judged_score,
    map_over,
    parallel,
    rank,
    ranking,
    registry,
    repeat,
    reset_defaults,
    run_tool,
    score_text,
    select,
    serial,
    set_registry,
    through,
    tokenize,
    truncate_reply,
    with_current_registry,
    with_registry,
)
from llmmw.flow import compose as c
from llmmw.flow.trace import Trace
from llmmw.stores import Layers, MemoryStore, SqliteStore
from llmmw.testing import Script

from .asked import Asked, Many, ran, text_of

pytestmark = pytest.mark.virtual


@executable
async def after(value, seconds=1.0):
    await trio.sleep(seconds)
    return value


@executable
async def grow(text, gap=1.0):
    for end in range(1, len(text) + 1):
        await trio.sleep(gap)
        yield text[:end]


@executable
def fail(message="oh"):
    raise ValueError(message)


async def told(flow, **options):
    """The events of a run that asks no model."""
    async with Client(stack=[]) as client, client.stream(flow, **options) as events:
        return [one async for one in events]


def echoes(call, number):
    return text_of(call.request)


# Execution.


async def test_one_value_is_awaited_or_read_as_it_comes():  # O1
    node = grow("ab")
    assert await ran(node) == "ab"
    events = await told(node)
    assert [one.text for one in events if isinstance(one, NodeDelta)] == ["a", "b"]
    assert events[-1].value == "ab"


def test_a_plain_program_waits_for_it():  # O2
    assert generate_text.name == "generate_text"
    assert grow("ab", 0).compute() == "ab"


def test_it_runs_where_a_loop_runs_already():  # O2
    async def inside():
        return grow("ab", 0).compute()

    assert asyncio.run(inside()) == trio.run(inside) == "ab"


async def test_a_run_within_a_run():  # O2, 2.2.10
    async with Client(stack=[]) as client:

        @executable
        async def outer():
            return await client.run(after("inner"))

        assert await client.run([outer(), outer()]) == ["inner", "inner"]
        heard = []

        async def hear(event):
            heard.append(await client.run(after("heard")))

        assert await client.run(outer(), on_event=hear) == "inner"
        assert heard == ["heard", "heard"]


@pytest.mark.parametrize(
    ("depth", "names"),
    [(0, []), (1, ["all"]), (2, ["grow", "all"]), (None, ["grow", "all"]), (-1, ["grow", "all"])],
)
async def test_the_reader_chooses_the_depth(depth, names):  # O3, 4.2 10
    @executable(name="all")
    async def outer():
        return await grow("ab")

    events = await told(outer(), depth=depth)
    assert [one.name for one in events if isinstance(one, NodeResult)] == names
    assert events[-1] == GraphResult(value="ab", data=events[-1].data)


async def test_leaving_a_stream_early_does_not_hang():  # O6, 2.2.2
    async with Client(stack=[]) as client:
        async with client.stream([grow("abc"), after("slow", 1000)]) as events:
            async for _ in events:
                break
        assert trio.current_time() == 1


def test_leaving_a_stream_of_a_plain_program_early_does_not_hang():  # 2.2.2
    from llmmw import sync

    with sync.Client(stack=[]) as client, client.stream([grow("abc", 0), after("slow", 600)]) as s:
        for _ in s:
            break


async def test_a_stream_has_the_result_too():  # O4
    async with Client(stack=[]) as client, client.stream(grow("ab")) as events:
        assert [one async for one in events][-1].value == await events.result() == "ab"


async def test_a_callback_hears_each_piece():  # O5
    heard = []

    async def hear(event):
        heard.append(event)

    assert await ran(grow("abc"), on_event=hear) == "abc"
    assert [one.text for one in heard if isinstance(one, NodeDelta)] == ["a", "b", "c"]


async def test_what_a_callback_raises_ends_the_run():  # O5, 4.2 9
    def hear(event):
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await ran(grow("abc"), on_event=hear)
    assert trio.current_time() == 1
    assert await ran(grow("abc")) == "abc"


class Callable:
    def __call__(self, left, right=0):
        return left + right


async def add_async(left, right=0):
    return left + right


def add_steps(left, right=0):
    yield left
    yield left + right


async def add_async_steps(left, right=0):
    yield left
    yield left + right


@pytest.mark.parametrize("function", [Callable(), add_async, add_steps, add_async_steps])
async def test_any_function_makes_lazy_values(function):  # O7
    flow = executable(function)
    assert executable(flow) is flow
    began = trio.current_time()
    assert await ran(flow(after(1), right=after(2))) == 3
    assert trio.current_time() - began == 1


async def test_an_executable_that_a_function_gives_is_run_too():  # O7
    function = executable(lambda: after("x"))
    assert await ran(function()) == "x"
    kept = await ran(executable(runs_result=False)(lambda: after("x"))())
    assert await ran(kept) == "x"


async def test_what_is_done_to_an_argument_later_changes_nothing():  # O8
    given = [1, {"a": [2]}]
    node = after(given)
    given[1]["a"].append(3)
    given.append(4)
    assert await ran(node) == [1, {"a": [2]}]


async def test_a_generator_replaces_adds_and_runs():  # O9
    @executable
    def steps():
        yield "a"
        yield after("b")
        yield Appended("c")
        yield Appended(after.function)

    @executable
    def good():
        yield "a"
        yield after("b")
        yield Appended("c")

    assert await ran(good()) == "bc"
    with pytest.raises(TypeError):
        await ran(steps())


async def test_a_function_of_what_comes():  # O10, O16
    events = await told(through(str.upper, grow("ab")))
    values = [one.piece.value for one in events if isinstance(one, NodeDelta)]
    assert values == ["A", "AB"]
    assert events[-1].value == "AB"


async def test_the_arguments_may_run_before():  # O11
    model = Asked(echoes)
    async with model.client() as client:
        given = await client.run([generate_text("a"), generate_text("b")])
        assert await client.run(after("".join(given))) == "ab"
    assert len(model.requests) == 2


async def test_one_after_another():  # O12
    events = await told(serial(*(after(k, 3 - k) for k in range(3))))
    placed = [(one.piece.index, one.at) for one in events if isinstance(one, NodeDelta)]
    assert placed == [(0, 3), (1, 5), (2, 6)]
    assert events[-1].value == [0, 1, 2]


async def test_parallel_keeps_the_order_and_the_limit():  # O13, 4.2 11
    alive = []

    async def work(k):
        alive.append(k)
        await trio.sleep((k * 7) % 5 + 1)
        count = len(alive)
        alive.remove(k)
        return k, count

    flow = executable(work)
    for several in (
        parallel(*(flow(k) for k in range(200)), limit=7),
        map_over(flow, iter(range(200)), limit=7),
    ):
        found = await ran(several)
        assert [one for one, _ in found] == list(range(200))
        assert max(count for _, count in found) == 7


async def test_an_endless_input_is_read_no_faster_than_it_is_done():  # O13
    taken = []

    def numbers():
        for k in range(10**9):
            taken.append(k)
            yield k

    with trio.move_on_after(3.5):
        await ran(map_over(after, numbers(), limit=2))
    assert len(taken) <= 9


async def test_none_is_a_result_like_others():  # O13
    assert await ran(parallel(after(None), None)) == [None, None]
    assert await ran(map_over(after, [None])) == [None]


@pytest.mark.parametrize("several", [parallel, serial])
async def test_the_first_error_ends_all_and_is_itself(several):  # O13, 2.2.4, 4.2 10
    ended = []

    @executable
    async def long():
        try:
            await trio.sleep(100)
        finally:
            ended.append(trio.current_time())

    with pytest.raises(ValueError, match="oh") as caught:
        await ran(several(after("x", 1), fail(after("oh", 2)), long()))
    assert ended == ([2] if several is parallel else [])
    assert any("fail" in note for note in caught.value.__notes__)


async def test_errors_may_stand_in_their_places():  # O13, 4.2 10
    first, second, third = await ran(parallel(after(1), fail(), after(3), errors="keep"))
    assert (first, third) == (1, 3)
    assert isinstance(second, ValueError)
    assert second.__traceback__ is not None


async def test_those_that_wait_for_each_other_are_told_so():  # 2.2.3
    both = {}

    @executable
    async def wait_for(other):
        await trio.sleep(1)
        return await both[other]

    both |= {"a": wait_for("b"), "b": wait_for("a")}
    for flow in (both["a"], both):
        with pytest.raises(RuntimeError, match="waits for itself"):
            await ran(flow)


async def test_an_input_that_fails_ends_the_run():  # 2.2.3
    def items():
        yield 1
        raise ZeroDivisionError

    for limit in (1, 7):
        with pytest.raises(ZeroDivisionError):
            await ran(map_over(after, items(), limit=limit))


async def test_a_stream_of_parallel_fills_the_places():  # O14, 4.2 10
    node = parallel(after("a", 2), after("b", 1), errors="keep")
    fold, seen = NodeFold(), []
    for one in await told(node):
        if isinstance(one, NodeDelta):
            assert isinstance(one.piece, Placed)
            fold(one)
            seen.append(list(fold.value))
    assert seen == [[None, "b"], ["a", "b"]]


async def test_what_is_ready_at_the_same_time_comes_in_the_order_given():  # O14
    events = await told(map_over(lambda k: after(k), range(5)))
    assert sorted(one.piece.index for one in events if isinstance(one, NodeDelta)) == [*range(5)]
    assert events[-1].value == [*range(5)]


@given(st.lists(st.text(max_size=4), min_size=1, max_size=6), st.booleans())
def test_the_pieces_come_to_the_result(texts, adds):  # O15
    @executable
    def pieces():
        for one in texts:
            yield Appended(one) if adds else one

    fold = NodeFold()
    events = trio.run(told, pieces())
    for one in events:
        if isinstance(one, NodeDelta):
            fold(one)
    assert fold.value == events[-1].value == ("".join(texts) if adds else texts[-1])


colour = contextvars.ContextVar("colour", default="none")


def test_what_blocks_runs_in_a_thread_that_sees_the_context():  # O18
    @executable(thread=True)
    def look():
        return colour.get(), copy_registry().defaults

    with registry(temperature=0.5):
        colour.set("red")
        assert look().compute() == ("red", {"temperature": 0.5})


async def test_a_limit_of_time_is_an_error():  # O18
    with pytest.raises(DeadlineExceeded, match="after-") as caught:
        await ran(after("x", 10).with_options(timeout=2))
    assert caught.value.after == 2
    with pytest.raises(DeadlineExceeded):
        await ran(after("x", 10), timeout=2)
    assert trio.current_time() == 4


def test_waiting_costs_no_time_of_the_processor():  # 2.2.5
    from llmmw import sync

    with sync.Client(stack=[]) as client:
        client.run(after(0, 0))
        began = time.process_time()
        client.run([after(k, 0.5) for k in range(200)])
        assert time.process_time() - began < 0.25


async def test_a_slow_reader_stops_nobody():  # 2.2.6
    done = []

    @executable
    async def work():
        yield "a"
        await trio.sleep(1)
        done.append(trio.current_time())
        yield "b"

    async with Client(stack=[]) as client, client.stream(work()) as events:
        async for _ in events:
            await trio.sleep(10)
    assert done == [1]


async def test_a_definition_runs_again_and_an_iterator_says_that_it_can_not():  # 2.2.22
    again = map_over(after, [1, 2])
    assert await ran(again) == await ran(again) == [1, 2]
    again = parallel(*(after(k) for k in (1, 2)))
    assert await ran(again) == await ran(again) == [1, 2]
    made = map_over(after, executable(lambda: iter([1, 2]))())
    assert await ran(made) == await ran(made) == [1, 2]
    for once in (
        map_over(after, iter([1, 2])),
        evaluate(after, iter(EXAMPLES), {"exact": exact_match}),
        repeat(map_over(after, (k for k in range(2))), 1),
    ):
        await ran(once)
        with pytest.raises(BadRequest, match="read only once"):
            await ran(once)
    with pytest.raises(BadRequest, match="read only once"):
        await ran(repeat(map_over(after, iter([1, 2])), 2))


async def test_nothing_is_remembered_in_secret():  # 2.2.22
    seen = []
    node = executable(lambda: seen.append(1) or len(seen))()
    assert [await ran(after(node)), await ran(after(node))] == [1, 2]


async def test_every_stream_tells_events_of_one_kind():  # 2.2.30
    for flow in (grow("ab"), parallel(grow("ab"), after(1)), serial(grow("ab"))):
        events = await told(flow, depth=None)
        assert {type(one) for one in events} <= {NodeDelta, NodeResult, GraphResult}


# Sampling.


async def test_samples_are_kept_apart_and_replayed():  # O19, 4.2 6
    model = Asked(lambda call, number: f"t{number}", stack=[Cache(sampled=True)])
    node = generate_text("hi", temperature=1)
    async with model.client() as client:
        alone = await client.run(node)
        first = await client.run(repeat(node, 3))
        assert first[0] == alone
        assert len(set(first)) == 3
        assert await client.run(repeat(node, 3)) == first
        assert len(model.requests) == 3
        more = await client.run(repeat(node, 2, start=3))
        assert not set(more) & set(first)
        assert (await client.run(repeat(node, 5)))[3:] == more
    assert sorted(model.samples) == [0, 1, 2, 3, 4]


async def test_what_has_one_answer_is_asked_once_for_all_samples():  # 4.2 1
    model = Many()
    async with model.client(Cache(), Batch()) as client:
        assert await client.run(repeat(embed("abc"), 5)) == [[3.0]] * 5
    assert model.sizes == [1]


@pytest.mark.parametrize("dynamic", [False, True])
async def test_repeats_within_repeats(dynamic):  # O19, 4.2 6
    model = Asked(lambda call, number: f"t{number}", stack=[Cache(sampled=True)])
    node = generate_text("hi", temperature=1)
    inner = executable(lambda: repeat(node, 3))() if dynamic else repeat(node, 3)
    async with model.client() as client:
        single = await client.run(repeat(node, 3))
        rows = await client.run(repeat(inner, 2))
        assert len(model.requests) == 6
        assert rows[0] == single
        assert len({*rows[0], *rows[1]}) == 6
        assert await client.run(repeat(inner, 2)) == rows
    assert len(model.requests) == 6


async def test_samplers():  # O20, O21
    model = Asked(echoes)
    sampler = RoundRobin([generate_text("A"), generate_text("B")])
    assert await model(sampler(n=4)) == ["A", "B", "A", "B"]
    assert await model(sampler(n=3, start=1)) == ["B", "A", "B"]
    assert await model(Repeated(generate_text)("x", n=2)) == ["x", "x"]


async def test_who_hears_of_a_sample_hears_its_own_number():  # 2.2.29
    node = after("x")
    events = await told(repeat(node, 2, start=5))
    assert {one.piece.index for one in events if isinstance(one, NodeDelta)} == {0, 1}
    model = Asked()
    await model(repeat(generate_text("x"), 2, start=5))
    assert sorted(model.samples) == [5, 6]


# Registries.


async def test_a_builtin_that_there_is_not_is_named():  # O22
    found = copy_registry().builtin("generate_text")
    assert await Asked("hi")(found("x")) == "hi"
    with pytest.raises(PluginError, match=r"'generate_txt'.*generate_text"):
        copy_registry().builtin("generate_txt")


async def test_what_is_configured_in_a_block_ends_with_it():  # O23, 4.2 12
    model = Asked("real")
    with registry():
        generate_text.configure(echo_text)
        assert await model(generate_text("hi")) == "hi"
    assert await model(generate_text("hi")) == "real"


async def test_registries_are_values():  # O24, 4.2 12
    model = Asked("real")
    with registry():
        generate_text.configure(echo_text)
        mine = copy_registry()
        bound = with_current_registry(generate_text("a"))
        generate_text.configure(lambda prompt: "later")
    flow = [with_registry(generate_text("b"), mine), bound, generate_text("c")]
    assert await model(flow) == ["b", "a", "real"]
    set_registry(mine)
    assert await model(generate_text("d")) == "d"


async def test_two_backends_in_one_parallel():  # O24
    one, other = Asked("one"), Asked("other")
    async with one.client() as client, other.client() as second:
        theirs = Registry(client=second)
        node = generate_text("hi")
        assert await client.run(parallel(node, with_registry(node, theirs))) == ["one", "other"]


async def test_the_last_client_put_in_answers():  # O25
    one, other = Asked("one"), Asked("other")
    async with one.client() as client, other.client() as second:
        with registry(client=client), registry(client=second):
            assert await client.run(generate_text("hi")) == "other"
        with registry(model="sim:m", temperature=0):
            await client.run(generate_text("hi"))
    assert one.requests[-1].temperature == 0


@builtin(name="mark", interface=True)
async def mark(text: str, grade: int | None = None) -> str: ...


def by_text(text: str) -> str:
    return text


async def test_a_builtin_is_bound_when_it_runs():  # O26, 4.2 12
    node = mark("x")
    assert not mark.is_configured
    with pytest.raises(ConfigError, match="nothing carries out mark"):
        await ran(node)
    mark.configure(by_text)
    assert mark.is_configured
    assert await ran(node) == "x"
    assert await ran(mark("x", 7)) == "x"  # an optional one that it does not take


def needs_more(text: str, grade: int | None = None, *, key: str) -> str:
    return f"{text}{grade}{key}"


def lacks_text(grade: int | None = None) -> str:
    return ""


def other_type(text: int) -> str:
    return ""


@pytest.mark.parametrize(
    ("function", "more", "said"),
    [
        (needs_more, {}, "needs 'key'"),
        (needs_more, {"keys": 1}, "no parameter 'keys'"),
        (lacks_text, {}, "takes no 'text'"),
        (other_type, {}, "text: str"),
        (partial(by_text), {}, "partial"),
        ("by_text", {}, "give a function"),
    ],
)
def test_what_can_t_carry_it_out_is_refused_at_once(function, more, said):  # O26
    with pytest.raises(ConfigError, match=said):
        mark.configure(function, **more)


async def test_defaults_of_a_configuration():  # O26
    mark.configure(needs_more, key="k", grade=1)
    assert await ran([mark("x"), mark("x", None), mark("x", 2)]) == ["x1k", "x1k", "x2k"]
    before = copy_registry()
    mark.update(grade=3)
    assert await ran(mark("x")) == "x3k"
    assert await ran(mark("x"), registry=before) == "x1k"
    with pytest.raises(TypeError, match="no parameter 'key'"):
        await ran(mark("x", key="other"))
    with pytest.raises(ConfigError, match="no parameter 'grad'"):
        mark.update(grad=1)


def test_a_reply_is_cut_at_the_first_stop():  # O27
    assert truncate_reply("ab<stop>c\nd", ["\n", "<stop>"]) == "ab"


# Builtins.


async def test_parameters_have_defaults_and_what_the_call_says_wins():  # O28
    model = Asked()
    generate_text.update(temperature=0.5, max_tokens=9)
    await model([generate_text("a"), generate_text("b", temperature=0, stop="x")])
    told = {text_of(one): one for one in model.requests}
    assert (told["a"].temperature, told["a"].max_output_tokens) == (0.5, 9)
    assert (told["b"].temperature, told["b"].stop_sequences) == (0, ("x",))


async def test_a_prompt_is_text_parts_or_messages():  # O28
    model = Asked(echoes)
    picture = MediaPart(media_type="image/png", data=b"\x89PNG\r\n\x1a\n")
    await model(generate_text(["look: ", picture]))
    await model(generate_text([Message("system", "s"), Message("user", "u")]))
    first, second = model.requests
    assert first.messages[0].parts == (TextPart("look: "), picture)
    assert [one.role for one in second.messages] == ["system", "user"]


async def test_a_text_is_held_to_a_form():  # O28
    model = Asked("b")
    assert await model(generate_text("a or b", output={"choices": ["a", "b"]})) == "b"
    assert model.requests[0].output is not None


async def test_the_details_of_an_answer():  # O28, O29
    model = Asked("a text")
    answer = await model(generate("hi"))
    assert (answer.text, answer.finish_reason, answer.provider) == ("a text", "stop", "sim")
    assert await model(generate_content("hi")) == (TextPart("a text"),)


async def test_several_texts_are_samples():  # O30
    model = Asked(lambda call, number: f"t{number}")
    assert len(set(await model(generate_texts("hi", 3)))) == 3
    assert sorted(model.samples) == [0, 1, 2]


async def test_tokens():  # O31
    model = Asked()
    tokens = tokenize("abc")
    found = await model([tokens, detokenize(tokens), count_tokens("abc")])
    assert found == [[97, 98, 99], "abc", 3]


async def test_vectors_for_other_purposes_are_other_requests():  # O32
    model = Asked(stack=[Cache()])
    async with model.client() as client:
        for purpose in ("query", "document", "query"):
            assert await client.run(embed("abc", purpose=purpose)) == [3.0]
    assert [one.purpose for one in model.requests] == ["query", "document"]


async def test_scores_are_in_the_order_of_the_options():  # O33
    assert await Asked()(score_text("p", ["aaa", "a"])) == [-3.0, -1.0]


async def test_instruct_asks_a_model_made_for_it():  # O34
    model = Asked(" there")
    assert await model(instruct("Say hi", "Hi")) == " there"
    (request,) = model.requests
    assert [(one.role, one.text) for one in request.messages] == [
        ("user", "Say hi"),
        ("assistant", "Hi"),
    ]


async def test_instruct_and_chat_as_text_with_their_stops():  # O34, O35, 4.2 15
    model = Asked()
    await model(instruct("Say hi", formatter="default"))
    talk = [Message("user", "a"), Message("assistant", "b"), Message("user", "c")]
    await model(chat(talk, formatter="default", stop=["END"]))
    first, second = model.requests
    assert first.prompt == "Task: Say hi\nAnswer:"
    assert first.stop_sequences == ("\nTask:", "\n**User**:")
    assert second.prompt == "**User**: a\n**Model**: b\n**User**: c\n**Model**:"
    assert second.stop_sequences == ("END", "\nTask:", "\n**User**:")


def test_stops_are_the_same_in_every_process():  # 2.2.18
    code = """if True:
        from llmmw.flow import FORMATTERS, Graph, chat
        print(FORMATTERS['default'].format('x').stop_sequences)
        print(Graph.collect(chat('x', stop={'b': 1, 'a': 2}).with_options(id='n')).to_json())
    """
    seen = set()
    for seed in ("1", "2"):
        done = subprocess.run(
            [sys.executable, "-c", code],
            env={"PYTHONHASHSEED": seed, "PATH": ""},
            capture_output=True,
            check=True,
        )
        seen.add(done.stdout)
    assert len(seen) == 1


def scored(**scores):
    """A model that says how probable some texts are, whatever spaces they begin with."""
    return Many(scores=lambda prompt, option: scores[option.strip()])


async def test_the_highest_score_is_selected_and_of_equals_the_first():  # O36, 2.2.26
    async with scored(a=-2.0, b=-1.0, c=-1.0).client() as client:
        for _ in range(5):
            assert await client.run(select("p", ["a", "b", "c"])) == "b"
        found = await client.run(ranking("p", ["a", "b", "c"], 1))
    assert (found.best, found.order, found.scores) == ("b", (1,), (-2.0, -1.0, -1.0))


async def test_options_by_their_scores():  # O37, 2.2.19
    async with scored(a=-3.0, b=-1.0, c=-2.0).client() as client:
        assert await client.run(rank("p", ["a", "b", "c"])) == ["b", "c", "a"]
        assert await client.run(rank("p", ["a", "b", "c"], 2)) == ["b", "c"]
        found = await client.run(ranking("p", ["a", "b", "c"], 2))
    assert [found.scores[place] for place in found.order] == [-1.0, -2.0]


async def test_without_scores_the_model_is_held_to_a_choice():  # O36
    model = Asked("b", can=Capabilities(kinds=frozenset({Generate})))
    assert await model(select("p", ["a", "b"])) == "b"
    assert await model(rank("p", ["a", "b"], 1)) == ["b"]


@attrs.frozen
class City:
    name: str
    people: int


async def test_an_object_of_a_type():  # O38
    model = Asked(['{"name": "Bayonne"}', '{"name": "Bayonne", "people": 52000}'])
    assert await model(generate_object("a city", City)) == City("Bayonne", 52000)
    assert "people" in model.requests[1].messages[-1].text  # told what was wrong
    with pytest.raises(OutputInvalid):
        await Asked("none")(generate_object("a city", City, retries=0))


async def test_an_object_comes_from_the_cache():  # O38
    model = Asked('{"name": "Bayonne", "people": 52000}', stack=[Cache()])
    async with model.client() as client:
        node = generate_object("a city", City)
        assert await client.run(node) == await client.run(node)
    assert len(model.requests) == 1


async def test_an_echo_shows_what_would_be_asked():  # O39
    generate_text.configure(echo_text)
    assert await ran(instruct("hi", formatter="default")) == "Task: hi\nAnswer:"


async def test_all_is_as_it_was_after_a_reset():  # O40
    generate_text.configure(echo_text)
    mark.configure(by_text)
    reset_defaults()
    assert await Asked("real")(generate_text("hi")) == "real"
    assert not mark.is_configured


async def test_spaces_at_the_end_are_healed():  # O41
    model = Asked(" b")
    assert await model(generate_text("a ", healing="space", raw=True)) == "b"
    assert await model(generate_text("a ", raw=True)) == " b"
    assert model.prompts == ["a", "a "]
    seen = []
    many = Many(scores=lambda prompt, option: seen.append((prompt, option)) or 0.0)
    async with many.client() as client:
        await client.run(score_text("a ", ["b", " c"], healing="space"))
    assert seen == [("a", " b"), ("a", " c")]


def test_how_conversations_are_written():  # O42
    default, concat = FORMATTERS["default"], FORMATTERS["concat"]
    assert default.format("").text == ""
    assert default.format("Hi").text == "Task: Hi\nAnswer:"
    assert concat.format(["a", "b"]).text == "ab"
    talk = [Message("system", "Be brief"), Message("user", "a")]
    assert "obey the following rules" in default.format(talk).text
    with pytest.raises(BadRequest, match="written so already"):
        default.format("Task: x\nAnswer:")
    kept = default.format("Task: x\nAnswer:", if_formatted="keep")
    assert kept.text == "Task: x\nAnswer:"
    tool = Message("tool", "x")
    with pytest.raises(BadRequest, match="no role 'tool'"):
        default.format([tool])
    assert default.format([tool, *talk], if_unknown_role="drop") == default.format(talk)


def search(query: str, k: int = 3) -> list[str]:
    """Search.

    Args:
        query: what for.
    """
    if not query:
        raise KeyError("empty")
    return [query] * k


@pytest.mark.parametrize(
    ("name", "arguments", "said"),
    [
        ("find", {}, "no tool is named 'find'; there is search"),
        ("search", {"query": ""}, "KeyError"),
        ("search", {"wrong": 1}, "TypeError"),
    ],
)
async def test_what_goes_wrong_in_a_tool_is_told(name, arguments, said):  # O43, 2.2.27
    found = await ran(run_tool(name, arguments, [search]))
    assert found.startswith("#ERROR#: ")
    assert said in found
    assert await ran(run_tool("search", {"query": "x", "k": 1}, [search])) == ["x"]


# Content.


def test_content_of_a_wrong_type_is_refused():  # O44
    assert TextPart("")
    with pytest.raises(BadRequest, match="bytes"):
        MediaPart(media_type="image/png", data="cat.png")
    with pytest.raises((BadRequest, TypeError)):
        Message("user", [object()])


def test_content_is_put_together():  # O45, O46
    picture = MediaPart(media_type="image/jpeg", data=b"x")
    message = Message("user", ["a", picture, "b"])
    assert len(message.parts) == 3
    assert message.text == "ab"
    assert Message("user", "a").parts == (TextPart("a"),)
    with pytest.raises(BadRequest, match="robot"):
        Message("robot", "x")


# Composition.


async def test_the_documented_dialogue():  # O47, 4.2 13
    model = Asked(lambda call, number: f"<{len(text_of(call.request))}>")
    e = "Q: " + c.generate_text() + ". Then " + c.generate_text(max_tokens=9)
    first = await model(e)
    assert first == "Q: <2>. Then <12>"
    assert await model(e) == first
    assert await model(e + "!") == first + "!"
    assert await model("> " + e) != first
    assert model.requests[1].max_output_tokens == 9


async def test_what_a_step_gave_is_stored():  # O48, 4.2 13
    model = Asked(["Bayonne", '{"name": "x", "people": 3}'])
    e = "City: " + c.store("city", c.generate_text()) + " " + c.store("it", c.generate_object(City))
    context = await model(e.context())
    assert context["city"] == "Bayonne"
    assert context["it"] == City("x", 3)
    assert context.text.startswith("City: Bayonne {")
    with pytest.raises(KeyError, match="no variable 'town' was stored; there are: city, it"):
        context["town"]


async def test_variables_are_given_and_read():  # O48, O49
    e = c.f("{x} ") + c.j("{{ x }} ") + c.get_var("x")
    assert await ran(e(x=1)) == "1 1 1"
    assert await ran(e(x=after(2))) == "2 2 2"
    for wrong in (c.f("{x}"), c.j("{{ x }}"), c.get_var("x")):
        with pytest.raises(BadRequest):
            await ran(wrong)


async def test_steps_that_ask_mirror_their_builtins():  # O49
    model = Asked(["a", "b"])
    e = c.c("sys", "system") + c.c("hi", "user") + c.chat() + c.c("and?", "user") + c.instruct("So")
    context = await model(e.context())
    roles = [one.role for one in context.messages]
    assert roles == ["system", "user", "assistant", "user", "assistant"]
    assert context.messages[-1].text == "Sob"
    assert model.requests[1].messages[2] == Message("assistant", "a")


async def test_select_goes_on_with_the_branch_and_its_variables():  # O49
    many = scored(cat=-2.0, dog=-1.0)
    e = "A" + c.select(
        " " + c.store("pet", c.c("cat")),
        " " + c.store("pet", c.c("dog")),
    )
    async with many.client() as client:
        context = await client.run(e.context())
    assert (context.text, context["pet"]) == ("A dog", "dog")


async def test_a_hidden_section_is_thought_and_not_said():  # O50, 4.2 13
    model = Asked(["because", "so"])
    thought = c.section("reasoning", "Think: ", c.generate_text(), hidden=True)
    context = await model(("Q. " + thought + "A: " + c.generate_text()).context())
    assert context.text == "Q. A: so"
    assert context["reasoning"] == "Think: because"
    assert model.prompts == ["Q. Think:", "Q. A:"]
    nested = c.section("all", "1", c.section("in", "2", hidden=True), "3")
    assert (await ran(nested.context())).sections == {"in": "2", "all": "13"}
    for wrong in (c.section_end() + "x", c.section_start("s") + "x"):
        with pytest.raises(BadRequest, match="section"):
            await ran(wrong)


async def test_a_step_of_ones_own_sees_the_text_and_writes_variables():  # O17, O51
    @c.step
    async def count(context, more=0):
        context["words"] = len(context.text.split()) + more
        return "!"

    context = await ran(("three little words" + count(more=after(1))).context())
    assert (context["words"], context.text) == (4, "three little words!")


async def test_branches_do_not_see_each_other():  # O52
    @c.join
    def both(context, branches):
        context["seen"] = [one.get("x") for one in branches]
        return " ".join(one.text for one in branches)

    e = "a" + both("b" + c.store("x", "1"), "c")
    context = await ran(e.context())
    assert context["seen"] == ["1", None]
    assert context.text == "aab1 ac"
    assert "x" not in context


async def test_the_text_of_a_composition_grows():  # O53
    model = Asked(Script(pieces=("so ", "it ", "is"), gap=1))
    async with model.client() as client, client.stream("Q: " + c.generate_text()) as events:
        fold, texts = NodeFold(), []
        async for one in events:
            if isinstance(one, NodeDelta):
                fold(one)
                texts.append(fold.value)
    assert texts[-1] == "Q: so it is"
    assert all(later.startswith(text) for text, later in pairwise(texts))
    assert len(texts) >= 3


async def test_a_composition_as_messages():  # O54, 4.2 13
    e = "a" + c.c("b", "user") + c.c("c", "assistant") + c.c("d", "assistant")
    messages = (await ran(e.context())).messages
    assert [(one.role, one.text) for one in messages] == [("user", "ab"), ("assistant", "cd")]


# Templates.


@pytest.mark.parametrize(
    "template",
    ["{{ ''.__class__ }}", "{{ x.__init__.__globals__ }}", "{% include 'a' %}", "{{ missing }}"],
)
async def test_templates_are_strict_and_reach_nothing(template):  # O55, 4.2 14
    with pytest.raises(BadRequest):
        await ran(c.j(template, x=1))


async def test_templates_render_in_pieces_and_give_variables():  # O55, 4.2 14
    loader = {"part": "[{{ x }}]"}
    text = (
        "{% set y = 2 %}{% include 'part' %}{% for a, b in zip([1], [2]) %}{{ a + b }}{% endfor %}"
    )
    template = c.j(text, environment=Environment(loader=loader), x=1)
    context = await ran(template.context())
    assert (context.text, context["y"]) == ("[1]3", 2)


async def test_sections_and_roles_of_templates():  # O56, 4.2 14
    text = (
        "{% role 'system' %}be{% endrole %}{% role 'user' %}a"
        "{% section 'plan', hidden=True %}think{% endsection %}b{% endrole %}"
        "{% for k in range(3) %}{% section 's' %}{{ k }}{% if k %}{% break %}{% endif %}"
        "{% endsection %}{% endfor %}"
    )
    context = await ran(c.j(text).context())
    assert [(one.role, one.text) for one in context.messages] == [
        ("system", "be"),
        ("user", "ab01"),
    ]
    assert (context["plan"], context["s"]) == ("think", "1")


async def test_callbacks_of_templates():  # O57, 4.2 14
    async def twice(text):
        return 2 * text

    def wrong():
        raise ValueError("no such thing")

    def broken():
        raise ZeroDivisionError

    given = {"twice": twice, "later": lambda: after("x"), "wrong": wrong, "broken": broken}
    context = await ran(
        c.j("{{ twice('a') }}{{ later() }} {{ wrong() }}", callbacks=given).context()
    )
    assert context.text == "aax #ERROR#: no such thing"
    assert context["error"] == "no such thing"
    with pytest.raises(ZeroDivisionError):
        await ran(c.j("{{ broken() }}", callbacks=given))


async def test_store_and_input_of_templates():  # O58
    text = "{% for k in range(2) %}{{ store('all', input('q'), append=True) }};{% endfor %}"
    context = await ran(c.j(text, q=iter(["a", "b"])).context())
    assert (context.text, context["all"]) == ("a;b;", ["a", "b"])


async def test_a_template_asks_and_chooses():  # O59, 4.2 14
    many = scored(yes=-1.0, no=-2.0)
    async with many.client() as client:
        context = await client.run(c.j("Is it? {{ choose(['no', 'yes']) }}").context())
    assert context.text == "Is it? yes"
    assert (context["choices"], context["scores"]) == (["no", "yes"], (-2.0, -1.0))
    model = Asked([" a", "b"])
    assert await model(c.j("Q: {{ llm() }} and {{ generate_text(max_tokens=1) }}")) == "Q: a and b"
    assert model.prompts == ["Q:", "Q: a and"]


async def test_a_dry_run_shows_what_would_be_asked():  # O60, 4.2 14
    model = Asked()
    e = c.j("Q: {{ x }} {{ generate_text(mock_value='A') }} then {{ llm() }}")
    asked = await model(e.dry_run(x=1))
    assert [one.prompt for one in asked] == ["Q: 1 ", "Q: 1 A then "]
    assert model.requests == []


# Caches.


def counts(cache):
    found = cache.statistics()
    return found["hits"], found["misses"], found["stored"]


async def test_the_second_answer_costs_nothing():  # O61, O71
    cache = Cache()
    model = Asked(stack=[cache])
    async with model.client() as client:
        for _ in range(3):
            assert await client.run(generate_text("hi")) == "ok"
    assert len(model.requests) == 1
    assert counts(cache) == (2, 1, 1)


async def test_equal_questions_are_equal_however_they_are_put():  # O62, 4.2 3
    model = Asked(stack=[Cache()])
    async with model.client() as client:
        for node in (
            generate_text("hi"),
            generate_text(prompt="hi"),
            generate_text(Message("user", "hi"), temperature=None),
            generate_text("hi", model="sim:m"),
        ):
            await client.run(node)
        assert len(model.requests) == 1
        for node in (
            generate_text("ho"),
            generate_text("hi", seed=1),
            generate_text("hi", top_p=1),
        ):
            await client.run(node)
    assert len(model.requests) == 4


async def test_what_makes_no_difference_is_left_out_of_the_key():  # O63, 4.2 3
    model = Asked(stack=[Cache(drop=("seed",))])
    async with model.client() as client:
        for seed in (1, 2):
            await client.run(generate_text("hi", seed=seed, metadata={"k": str(seed)}))
    assert len(model.requests) == 1
    with pytest.raises(ConfigError, match="sed"):
        Cache(drop=("sed",))


async def test_the_model_is_part_of_the_key():  # 2.2.14
    model = Asked("m", models={"other": "other"}, stack=[Cache()])
    async with model.client() as client:
        flow = [generate_text("hi", model=f"sim:{name}") for name in ("m", "other")]
        assert await client.run(flow) == ["m", "other"]


async def test_equal_calls_in_flight_are_one():  # O67, 2.1.8
    model = Asked(Script(first=1, pieces="x"), stack=[Cache()])
    assert await model([generate_text("hi") for _ in range(5)]) == ["x"] * 5
    assert len(model.requests) == 1
    apart = Asked(lambda call, number: f"t{number}", stack=[Cache()])
    assert len(set(await apart(repeat(generate_text("hi"), 3)))) == 3


async def test_who_follows_gets_the_error_of_who_leads():  # 2.2.12
    model = Asked(Script(first=1, error=lambda: ServerError("down")), stack=[Cache()])
    found = await model(parallel(*(generate_text("hi") for _ in range(3)), errors="keep"))
    assert [(type(one), one.message) for one in found] == [(ServerError, "down")] * 3
    assert len(model.requests) == 1


async def test_a_stream_is_kept_and_told_again():  # O68, 2.2.14
    model = Asked(Script(pieces=("a", "b")), stack=[Cache()])
    async with model.client() as client:
        for _ in range(2):
            async with client.stream(generate_text("hi")) as events:
                found = [one.text async for one in events if isinstance(one, NodeDelta)]
            assert "".join(found) == "ab"
            assert [one for one in found if one] == ["a", "b"]
    assert len(model.requests) == 1


async def test_errors_are_not_kept_and_keep_their_type():  # O69, 4.2 5
    model = Asked([Script(error=lambda: ServerError("down")), "fine"], stack=[Cache()])
    async with model.client() as client:
        with pytest.raises(ServerError, match="down"):
            await client.run(generate_text("hi"))
        assert await client.run(generate_text("hi")) == "fine"
    assert len(model.requests) == 2


async def test_an_interrupt_passes():  # O69, 4.2 5
    def interrupt(call, number):
        raise KeyboardInterrupt

    model = Asked(interrupt, stack=[Cache()])
    with pytest.raises(KeyboardInterrupt):
        await model(generate_text("hi"))


async def test_caching_is_switched_off_for_some():  # O70
    model = Asked(stack=[Cache()])
    async with model.client() as client:
        for _ in range(2):
            with cache_mode("off"):
                await client.run(generate_text("hi"))
    assert len(model.requests) == 2


async def test_what_was_given_can_be_changed_by_nobody():  # 2.2.13
    model = Asked('{"names": ["a"]}', stack=[Cache()])
    async with model.client() as client:
        node = generate_object("names", dict[str, list[str]])
        first = await client.run(node)
        first["names"].append("b")
        assert await client.run(node) == {"names": ["a"]}
    assert len(model.requests) == 1


def test_answers_are_kept_in_a_file_and_found_by_the_next(tmp_path, monkeypatch):  # O72, O74
    monkeypatch.chdir(tmp_path)
    node = repeat(generate_text("hi", temperature=1), 3)
    kept = []
    for _ in range(2):
        cache = Cache(SqliteStore("answers.db"), sampled=True)  # a bare name, 2.2.16
        model = Asked(lambda call, number: f"t{number}", stack=[cache])
        kept.append((trio.run(model, node), len(model.requests)))
    (first, asked), (second, again) = kept
    assert (asked, again) == (3, 0)
    assert first == second


def test_values_come_back_from_a_file_whole(tmp_path):  # O72, 2.2.17
    found = []
    for _ in range(2):
        cache = Cache(SqliteStore(tmp_path / "a.db"))
        model = Asked(Script(tool="search", pieces='{"a": 1}'), stack=[cache])
        found.append(trio.run(model, generate("hi")))
    assert found[0] == found[1]
    assert found[0].tool_calls[0].extra == found[1].tool_calls[0].extra
    assert model.requests == []


async def test_half_a_run_is_not_asked_again():  # O73, O76
    shared = MemoryStore()
    one = Asked(echoes, stack=[Cache(shared)])
    await one([generate_text("a"), generate_text("b")])
    own = MemoryStore()
    other = Asked(echoes, stack=[Cache(Layers(own, shared))])
    assert await other([generate_text(k) for k in "abc"]) == ["a", "b", "c"]
    assert other.prompts == ["c"]


async def test_layers_are_read_in_order_and_what_is_found_moves_up():  # O75, 2.2.15
    own, shared = MemoryStore(), MemoryStore()
    await Asked("kept", stack=[Cache(shared)])(generate_text("hi"))
    model = Asked("new", stack=[Cache(Layers(own, shared))])
    async with model.client() as client:
        flow = [generate_text("hi") for _ in range(3)] + [generate_text("ho") for _ in range(3)]
        assert await client.run(flow) == ["kept"] * 3 + ["new"] * 3
    assert model.prompts == ["ho"]
    assert len([one async for one in own.scan()]) == 2


# Batches.


async def noted(sizes, items):
    sizes.append(len(items))
    await trio.sleep(1)
    return [2 * one for one in items]


async def test_batches_are_full_and_nobody_waits_for_more():  # O78, O80, O81, O84
    for size, expected in ((4, [2, 4, 4]), (100, [10]), (1, [1] * 10)):
        sizes = []
        async with batched(partial(noted, sizes), max_size=size) as double:
            flow = map_over(double, range(10))
            assert await ran(flow) == [2 * k for k in range(10)]
        assert sorted(sizes) == expected


async def test_what_can_t_go_together_does_not():  # O79
    seen = []

    async def note(items):
        seen.append(sorted(items))
        return items

    async with batched(note, max_size=9, group=lambda item: item % 2) as one:
        await ran(map_over(one, range(6)))
    assert sorted(seen) == [[0, 2, 4], [1, 3, 5]]


async def test_batches_are_filled_by_nested_work():  # O83, 4.2 7
    model = Many()
    async with model.client(Batch(max_size=9)) as client:
        inner = [[generate_text(f"{j}{k}", raw=True) for k in range(3)] for j in range(3)]
        found = await client.run(parallel(*(parallel(*row) for row in inner)))
    assert found == [[f"{j}{k}" for k in range(3)] for j in range(3)]
    assert model.sizes == [9]


async def test_calls_that_take_turns_fill_a_batch_of_each_kind():  # O79, O83
    model = Many()
    several = [generate_text(str(k), raw=True, temperature=k % 4 / 4) for k in range(48)]
    async with model.client(Batch()) as client:
        for flow in (several, parallel(*several, limit=64), map_over(lambda one: one, several)):
            assert await client.run(flow) == [str(k) for k in range(48)]
    assert model.sizes == [12] * 12


async def test_two_batches_share_nothing():  # O82
    one, other = Many(name="one"), Many(name="other")
    async with Client(stack=[Batch()], providers=[one, other]) as client:
        models = ("one:m", "other:m")
        await client.run([generate_text("x", raw=True, model=to) for to in models for _ in "ab"])
    assert (one.sizes, other.sizes) == ([2], [2])


async def test_batches_of_one_function_run_side_by_side():  # 2.2.8
    async with batched(partial(noted, []), max_size=2) as double:
        await ran(map_over(double, range(8)))
    assert trio.current_time() == 1


async def test_one_bad_request_fails_alone():  # O85, 2.2.8
    async def note(items):
        return [ValueError(one) if one == 3 else one for one in items]

    async with batched(note, max_size=9) as one:
        found = await ran(map_over(one, range(5), errors="keep"))
    assert isinstance(found.pop(3), ValueError)
    assert found == [0, 1, 2, 4]


async def test_an_error_of_the_batch_is_that_of_each_and_the_next_is_fine():  # O85, O87, 4.2 8
    calls = []

    async def note(items):
        calls.append(items)
        if len(calls) == 1:
            raise ZeroDivisionError
        return items if len(calls) == 2 else items[:-1]

    async with batched(note, max_size=9) as one:
        first = await ran(map_over(one, range(3), errors="keep"))
        assert [type(found) for found in first] == [ZeroDivisionError] * 3
        assert await ran(map_over(one, range(3))) == [0, 1, 2]
        with pytest.raises(ValueError, match="gave 2 results for 3 items"):
            await ran(map_over(one, range(3)))
    with pytest.raises(ConfigError, match="max_size"):
        async with batched(note, max_size=0):
            pass


def test_what_blocks_is_batched_in_threads():  # O86
    from threading import Barrier

    both = Barrier(2)

    def block(items):
        both.wait(60)
        return [(colour.get(), one) for one in items]

    async def work():
        async with batched(block, max_size=1, threads=2) as one, Client(stack=[]) as client:
            colour.set("blue")
            return await client.run(map_over(one, [1, 2]))

    assert trio.run(work) == [("blue", 1), ("blue", 2)]


async def test_a_stream_of_batched_calls():  # 4.2 9
    model = Many()
    async with model.client(Batch()) as client, client.stream([embed("a"), embed("bb")]) as events:
        found = [one.value async for one in events if isinstance(one, NodeResult)]
    assert sorted(found) == [[1.0], [2.0]]
    assert model.sizes == [2]


async def test_forming_batches_takes_no_time():  # 2.2.7
    model = Many(seconds=0)
    async with model.client(Batch()) as client:
        await client.run([generate_text(str(k), raw=True) for k in range(50)])
    assert model.sizes == [50]
    assert trio.current_time() == 0


async def test_how_many_calls_and_batches_there_were():  # O88
    batch = Batch()
    async with Many().client(batch) as client:
        await client.run([generate_text(k, raw=True) for k in "abc"])
    assert (batch.statistics()["batches"], batch.statistics()["calls"]) == (1, 3)


# Reliability.


def busy(times):
    return [Script(error=lambda: ServerError("busy"))] * times + ["fine"]


async def test_attempts_and_the_waits_between_them():  # O89, 4.2 15
    model = Asked(busy(2), stack=[Attempts(Retry(2, base=1, cap=32))])
    assert await model(generate_text("hi")) == "fine"
    assert len(model.requests) == 3
    assert 0 <= trio.current_time() <= 1 + 2
    model = Asked(busy(2), stack=[Attempts(Retry(1))])
    with pytest.raises(ServerError):
        await model(generate_text("hi"))
    assert len(model.requests) == 2
    model = Asked([Script(error=lambda: BadRequest("wrong")), "fine"], stack=[Attempts(Retry(2))])
    with pytest.raises(BadRequest):
        await model(generate_text("hi"))
    assert len(model.requests) == 1


async def test_a_rate_is_kept_while_calls_overlap():  # O90, 2.2.21, 4.2 15
    model = Asked(Script(first=0.2, pieces="x"), stack=[RateLimit(requests=10, per=1, burst=0)])
    assert await model([generate_text(str(k)) for k in range(5)]) == ["x"] * 5
    assert 0.4 <= trio.current_time() < 0.7


async def test_what_was_absent_is_there():  # O93
    slow = Script(first=1000, pieces="late")
    model = Asked(slow)
    with pytest.raises(DeadlineExceeded):
        await model(generate_text("hi").with_options(timeout=3))
    assert trio.current_time() == 3
    assert model.provider.live == 0


# Traces.


async def test_a_trace_is_the_tree_of_what_ran():  # O94, O95
    model = Asked(echoes)

    @executable
    async def outer(text):
        first = await generate_text(text)
        return await generate_text(f"{first}!")

    trace = Trace()
    await model([outer("a"), after("b")], observer=trace)
    (node,) = [one for one in trace.nodes if one.name == "outer"]
    assert (node.inputs, node.output) == ({"text": "a"}, "a!")
    assert [one.output for one in node.nodes] == ["a", "a!"]
    assert len(trace.calls) == 2
    assert [one.seconds for one in trace.nodes if one.name == "after"] == [1]
    again = Trace.from_dict(trace.to_dict())
    assert again.to_json() == trace.to_json()
    assert "outer" in str(trace)  # O96


async def test_a_trace_changes_nothing_about_the_calls():  # O94
    model, trace = Many(), Trace()
    several = [generate_text(word, raw=True) for word in "abc"]
    async with model.client(Batch()) as client:
        assert await client.run(several, observer=trace) == ["A", "B", "C"]
    assert model.sizes == [3]
    assert len(trace.calls) == 3


async def test_an_error_is_on_record_and_raised():  # O94
    trace = Trace()
    with pytest.raises(ValueError, match="oh"):
        await ran(after(fail()), observer=trace)
    states = {one.name: (one.state, one.error) for one in trace.nodes}
    assert states == {"fail": ("failed", "ValueError: oh"), "after": ("skipped", "ValueError: oh")}


async def test_parallel_work_has_its_own_branches():  # O97
    @executable
    async def outer(text):
        return await after(text)

    trace = Trace()
    await ran([outer(k) for k in "abc"], observer=trace)
    assert {(one.inputs["text"], one.nodes[0].output) for one in trace.nodes} == {
        ("a", "a"),
        ("b", "b"),
        ("c", "c"),
    }


async def test_a_page_shows_it_and_runs_nothing():  # O98
    trace = Trace()
    await ran(after("<script>alert(1)</script>"), observer=trace)
    page = trace.to_html()
    assert "<script>alert" not in page
    assert "alert(1)" in page


# Evaluation.

EXAMPLES = [{"question": str(k), "answer": str(k % 2)} for k in range(4)]


async def test_accuracy_counters_and_order():  # O99, O100, 4.2 15
    @executable
    async def answer(question):
        await trio.sleep(4 - int(question))
        if question == "3":
            raise ZeroDivisionError("three")
        return "0"

    heard = []

    def long(target, prediction, example):
        return (len(example["question"]), {"more": prediction}) if target == "0" else None

    metrics = {"exact": exact_match, "long": long}
    summary = await ran(
        evaluate(answer, EXAMPLES, metrics, progress=lambda done, one: heard.append(one.key))
    )
    assert summary.metrics == {"exact": pytest.approx(2 / 3), "long": 1}
    assert summary.counters == {"examples": 4, "errors": 1, "exact": 3, "long": 2}
    assert [one.key for one in summary.results] == [0, 1, 2, 3]
    assert heard == [3, 2, 1, 0]
    assert summary.results[0].info == {"long": {"more": "0"}}
    assert summary.results[3].error == "ZeroDivisionError: three"


async def test_extractors_aggregates_and_async_metrics():  # O99, 4.2 15
    @executable
    async def judge(target, prediction):
        return float(target == prediction)

    summary = await ran(
        evaluate(
            after,
            [("a", "a"), ("b", "c")],
            {"same": judge.function},
            inputs=lambda one: one[0],
            target=lambda one: one[1],
            key=lambda one: one[0],
            aggregates={"same": sum},
            limit=1,
        )
    )
    assert summary.metrics == {"same": 1}
    assert [one.key for one in summary.results] == ["a", "b"]
    assert trio.current_time() == 2


async def test_an_error_of_a_metric_is_not_hidden():  # 2.2.28
    def wrong(target, prediction):
        return target + None

    summary = await ran(evaluate(str, EXAMPLES, {"wrong": wrong}))
    assert summary.counters["wrong_errors"] == 4
    assert "TypeError" in summary.results[0].failures["wrong"]


async def test_two_halves_are_the_whole(tmp_path):  # O101, O102
    def half(examples):
        return evaluate(lambda question: "0", examples, {"exact": exact_match})

    one, two, whole = await ran([half(EXAMPLES[:1]), half(EXAMPLES[1:]), half(EXAMPLES)])
    both = one + two
    assert (both.metrics, both.counters) == (whole.metrics, whole.counters)
    both.save(tmp_path / "out")
    assert Evaluation.load(tmp_path / "out").metrics == whole.metrics


@pytest.mark.parametrize(
    ("metric", "reply", "value"),
    [
        (judged(), "yes", 1),
        (judged(), "No.", 0),
        (judged_score(), "7", 1),
        (judged_score(), "?", 0),
    ],
)
async def test_a_model_as_the_judge(metric, reply, value):  # O103
    summary = await Asked(reply)(evaluate(str, EXAMPLES[:1], {"m": metric}))
    assert summary.metrics == {"m": value}


async def test_examples_are_read_no_faster_than_they_are_done():  # O104
    taken = []

    async def rows():
        for k in range(10**9):
            taken.append(k)
            yield {"question": "a", "answer": "a"}

    with trio.move_on_after(2.5):
        await ran(evaluate(after, rows(), {"exact": exact_match}, limit=3))
    assert len(taken) <= 10
