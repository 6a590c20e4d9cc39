"""What readers of a run's stream see."""

from __future__ import annotations

import gc
import weakref
from collections import Counter, defaultdict
from functools import partial

import attrs
import pytest
import trio
import trio.testing
from hypothesis import given, settings
from hypothesis import strategies as st

from llmmw import Budget, Client, Finish, Generate, Generation, Message, Retry
from llmmw.errors import BadRequest, ConnectionFailed, DeadlineExceeded, ServerError
from llmmw.flow import (
    Appended,
    GraphResult,
    If,
    NodeDelta,
    NodeError,
    NodeFold,
    NodeResult,
    Placed,
    Registry,
    Replaced,
    ask,
    builtin,
    executable,
    fold_messages,
    generate_text,
    map_over,
    parallel,
    repeat,
    serial,
    through,
    with_registry,
)
from llmmw.plugin import Provider, ResponseBuilder
from llmmw.testing import Script, SimulatedProvider

pytestmark = pytest.mark.virtual


@executable
def grow(text):
    for end in range(1, len(text) + 1):
        yield text[:end]


@executable
async def pieces(*several, after=0.0):
    for one in several:
        await trio.sleep(after)
        yield Appended(one)


@executable
def add(left, right):
    return left + right


@executable
async def wait_then(value, seconds=1.0):
    await trio.sleep(seconds)
    return value


@executable
def fail(message="it broke"):
    raise ValueError(message)


@executable
async def outer(text):
    return await grow(text) + await grow(text)


def simulated(**scripts):
    return SimulatedProvider({"a": scripts})


def client_of(provider=None, **options):
    if provider is None:
        return Client(stack=[], **options)
    return Client(f"{provider.name}:a", providers=[provider], **{"stack": []} | options)


async def told(flow, provider=None, **options):
    """All events of a run."""
    async with client_of(provider) as client, client.stream(flow, **options) as events:
        return [event async for event in events]


def kinds(events):
    return [type(one).__name__ for one in events]


async def test_a_stream_tells_pieces_then_results_then_the_whole():  # O3, O9, S30, S33
    made = grow("ab")
    events = await told([made, 1])
    assert kinds(events) == ["NodeDelta", "NodeDelta", "NodeResult", "GraphResult"]
    assert [one.text for one in events[:2]] == ["a", "b"]
    assert (events[2].node, events[2].value) == (made.id, "ab")
    assert events[3] == GraphResult(value=["ab", 1], data={made.id: "ab"})


@pytest.mark.parametrize(
    ("depth", "names"),
    [
        (0, []),
        (1, ["outer"]),
        (2, ["grow", "grow", "outer"]),
        (-1, ["grow", "grow", "outer"]),
        (None, ["grow", "grow", "outer"]),
    ],
)
async def test_the_reader_chooses_how_deep(depth, names):  # O1, O3, O14
    events = await told(outer("ab"), depth=depth)
    assert [one.name for one in events if isinstance(one, NodeResult)] == names
    assert kinds(events)[-1] == "GraphResult"
    assert events[-1].value == "abab"
    if depth == 0:
        assert len(events) == 1
    assert {one.depth for one in events[:-1]} <= {1, 2}


@pytest.mark.parametrize("depth", [-2, 1.0, "1", True])
async def test_a_depth_that_is_none_is_refused(depth):
    with pytest.raises(BadRequest, match="depth="):
        await told(grow("a"), depth=depth)


@pytest.mark.parametrize(
    ("make", "value"),
    [
        (lambda: serial(grow("aa"), grow("bb")), ["aa", "bb"]),
        (lambda: parallel(wait_then("a", 2), wait_then("b", 1), limit=2), ["a", "b"]),
        (lambda: repeat(wait_then("a"), 2), ["a", "a"]),
        (lambda: map_over(lambda one: wait_then(one, one), [2, 1]), [2, 1]),
    ],
    ids=["serial", "parallel", "repeat", "map_over"],
)
async def test_lists_come_item_by_item(make, value):  # O12, O14
    events = await told(make())
    fold, lists = NodeFold(), []
    for event in events:
        if isinstance(event, NodeDelta):
            fold(event)
            lists.append(list(fold.value))
    assert len(lists) == 2
    assert None in lists[0] or len(lists[0]) == 1
    assert lists[-1] == events[-1].value == value


async def test_a_generator_may_tell_items_in_any_order():
    @executable
    def filled():
        yield Placed(1, "b")
        yield Placed(0, "a")
        yield Appended(["c"])

    events = await told(filled())
    fold, values = NodeFold(), []
    for event in events[:-2]:
        fold(event)
        values.append(list(fold.value))
    assert values == [[None, "b"], ["a", "b"], ["a", "b", "c"]]
    assert events[-1].value == ["a", "b", "c"]


async def test_text_is_without_reasoning_and_refusals():
    class Thinker(Provider):
        async def __call__(self, call):
            builder = ResponseBuilder(call, self.name)
            await builder.reasoning("let me see")
            await builder.text("yes ")
            await builder.text("no, I won't", refusal=True)
            await builder.tool_call(0, id="1", name="look", arguments='{"a": 1}')
            await builder.text("it is")
            return await builder.finish(Finish("stop"))

    events = await told(generate_text("hi"), Thinker(name="thinker"))
    assert "".join(one.text for one in events if isinstance(one, NodeDelta)) == "yes it is"
    assert events[-1].value == "yes it is"


async def test_what_is_told_again_after_a_restart_counts_once():
    provider = SimulatedProvider(
        {"a": [Script(pieces=("so ", "it"), error=partial(ConnectionFailed, "cut")), "so it is"]}
    )
    stack = [Retry(2, base=0.0)]
    async with client_of(provider, stack=stack) as client:
        async with client.stream(generate_text("hi")) as events:
            all_of_them = [event async for event in events]
            told_to_others = [one async for one in events.messages()]
    fold, seen = NodeFold(), []
    for event in all_of_them:
        if isinstance(event, NodeDelta):
            fold(event)
            seen.append(fold.value)
    assert "so it" in seen
    assert fold.value == all_of_them[-1].value == "so it is"
    assert any(one.get("replace") for one in told_to_others)
    [read] = fold_messages(told_to_others).data.values()
    assert read == {"text": "so it is"}


async def test_what_a_node_makes_of_an_answer_is_its_last_piece():
    @builtin
    async def loud(prompt: str) -> str:
        return (await ask(_generate(prompt), Generation)).text.upper()

    events = await told(loud("hi"), simulated(hi="so it is"))
    fold = NodeFold()
    for event in events[:-2]:
        fold(event)
    assert fold.value == events[-1].value == "SO IT IS"


async def test_a_node_that_asks_again_takes_back_its_first_answer():
    @executable
    async def twice():
        first = await ask(_generate("one"), Generation)
        second = await ask(_generate("two"), Generation)
        return second.text if first.text else ""

    events = await told(twice(), simulated(one="1 ", two="2"))
    fold, values = NodeFold(), []
    for event in events[:-2]:
        fold(event)
        values.append(fold.value or "")
    assert [one for one in values if one] == ["1 ", "1 ", "2", "2"]


async def test_a_generator_tells_what_it_yields_and_nothing_else():
    @executable
    async def asking():
        first = await ask(_generate("one"), Generation)
        yield Appended("<")
        second = await ask(_generate("two"), Generation)
        yield Appended(first.text + second.text)
        yield await generate_text("one")

    events = await told(asking(), simulated(one="1", two="2"))
    deltas = [one.piece for one in events if isinstance(one, NodeDelta)]
    assert deltas == [Appended("<"), Appended("12"), Replaced("1")]


async def test_answers_asked_for_at_once_are_not_mixed():
    @executable
    async def both():
        texts = {}

        async def one(prompt):
            texts[prompt] = (await ask(_generate(prompt), Generation)).text

        async with trio.open_nursery() as nursery:
            nursery.start_soon(one, "x")
            nursery.start_soon(one, "y")
        return texts["x"]

    slow = Script(pieces=("a", "b", "c"), gap=1.0)
    events = await told(both(), simulated(x=slow, y=Script(pieces=("d", "e"), gap=1.0)))
    fold, texts = NodeFold(), []
    for event in events[:-2]:
        fold(event)
        texts.append(fold.value)
    assert all("abc".startswith(text) or "de".startswith(text) for text in texts)
    assert fold.value == "abc"


async def test_a_node_streams_what_the_node_that_it_returns_does():
    @executable
    def tail(text):
        return grow(text)

    @executable
    async def chain(text):
        return tail(text)

    for flow in (chain("ab"), If(1, grow("ab")), with_registry(grow("ab"), Registry())):
        events = await told(flow)
        assert [one.text for one in events if isinstance(one, NodeDelta)] == ["a", "b"]
        assert {one.depth for one in events[:-1]} == {1}


async def test_a_builtin_made_of_another_streams():
    @builtin
    async def greet(name: str) -> str:
        return generate_text(f"greet {name}")

    greet_ada = Script(pieces=("hi ", "Ada"))
    events = await told(greet("Ada"), simulated(**{"greet Ada": greet_ada}))
    assert "".join(one.text for one in events if isinstance(one, NodeDelta)) == "hi Ada"


async def test_through_applies_to_what_is_on_the_way():  # O10, O16
    events = await told(through(str.upper, grow("abc")))
    assert [one.text for one in events if isinstance(one, NodeDelta)] == ["A", "B", "C"]
    assert events[-1].value == "ABC"
    async with client_of() as client:
        assert await client.run(through(len, grow("abc"))) == 3
    events = await told(through(lambda text: 6 / (len(text) - 2), grow("abc")))
    assert events[-1].value == 6.0
    with pytest.raises(ZeroDivisionError):
        await told(through(lambda text: 1 / 0, grow("abc")))


async def test_partial_values_stay_as_they_were():  # O3
    @executable
    def collect():
        several = []
        for one in range(3):
            several.append(one)
            yield several

    events = await told(collect())
    values = [one.piece.value for one in events if isinstance(one, NodeDelta)]
    assert values == [[0], [0, 1], [0, 1, 2]]


async def test_results_come_before_those_of_what_needs_them():
    first = wait_then(1, 2)
    events = await told([add(first, 1), add(first, 2), wait_then(3)])
    results = [one.node for one in events if isinstance(one, NodeResult)]
    assert results.index(first.id) == 1
    assert len(results) == 4


async def test_one_node_can_be_read_from_its_beginning():  # S28, S34
    early, late = grow("ab"), wait_then("z", 5)
    async with client_of() as client, client.stream([early, late]) as events:
        assert await events.get(late).result() == "z"
        for given in (early, early.id, early.future):
            read = [one async for one in events.get(given)]
            assert kinds(read) == ["NodeDelta", "NodeDelta", "NodeResult"]
        assert await events.get(early).result() == "ab"
        assert await events.result() == ["ab", "z"]
        with pytest.raises(BadRequest, match="no result of 'nobody'"):
            await events.get("nobody").result()


async def test_a_node_can_be_awaited_before_others_are_done():
    early, late = wait_then("a"), wait_then("z", 50)
    async with client_of() as client, client.stream([early, late]) as events:
        started = trio.current_time()
        assert await events.get(early).result() == "a"
        assert trio.current_time() - started == pytest.approx(1)
        with trio.move_on_after(10) as limit:
            await events.get(late).result()
        assert limit.cancelled_caught


async def test_of_a_node_that_runs_again_the_first_time_is_read():
    made = grow("ab")
    async with client_of() as client, client.stream(repeat(made, 3), depth=None) as events:
        read = [one async for one in events.get(made)]
        assert kinds(read) == ["NodeDelta", "NodeDelta", "NodeResult"]
        messages = [one async for one in events.messages() if one.get("node_id") == made.id]
        assert Counter(one.get("execution", 1) for one in messages) == {1: 3, 2: 3, 3: 3}


async def test_readers_are_independent_and_a_slow_one_stops_nobody():  # S34
    made = [pieces("a", "b", after=1.0) for _ in range(3)]
    async with client_of() as client, client.stream(made) as events:
        quick, slow = events.tee(2)
        started = trio.current_time()
        first = [one async for one in quick]
        assert trio.current_time() - started == pytest.approx(2)
        second = []
        async for one in slow:
            await trio.sleep(10)
            second.append(one)
        third = [one async for one in events]
    assert first == second == third
    assert len(events.tee(3)) == 3


async def test_readers_wait_at_once():
    made = pieces("a", "b", after=1.0)
    texts = defaultdict(list)
    async with client_of() as client, client.stream(made) as events:

        async def read(name, reader):
            async for event in reader:
                texts[name].append(getattr(event, "text", ""))

        async with trio.open_nursery() as nursery:
            for name, reader in enumerate((*events.tee(2), events, events.get(made))):
                nursery.start_soon(read, name, reader)
            assert await events.get(made).result() == "ab"
            assert await events.result() == "ab"
    assert [texts[name] for name in range(4)] == [["a", "b", "", ""]] * 3 + [["a", "b", ""]]


async def test_leaving_the_block_ends_all_below_it():
    provider = simulated(hi=Script(pieces=("a", "b"), gap=5.0, hangs=True))
    ended = []

    @executable
    async def noted():
        try:
            await trio.sleep_forever()
        finally:
            ended.append(1)

    async with client_of(provider) as client:
        async with client.stream([generate_text("hi"), noted()]) as events:
            async for event in events:
                if isinstance(event, NodeDelta) and event.text == "a":
                    assert provider.live == 1
                    break
        assert (provider.live, ended) == (0, [1])
        assert provider.statistics() == {"a": {"opened": 1, "cancelled": 1}}
        with pytest.raises(RuntimeError, match="block was left"):
            await events.result()
        with pytest.raises(RuntimeError, match="block was left"):
            [one async for one in events]


async def test_an_error_of_the_reader_ends_the_run():  # 4.2 item 9
    provider = simulated(hi=Script(pieces=("a", "b"), gap=5.0))
    async with client_of(provider) as client:
        with pytest.raises(KeyError, match="mine"):
            async with client.stream(generate_text("hi")) as events:
                async for _ in events:
                    raise KeyError("mine")
        assert provider.live == 0


async def test_an_error_is_told_and_then_raised():
    broken = fail()
    async with client_of() as client, client.stream([broken, wait_then(1, 9)]) as events:
        seen = []
        with pytest.raises(ValueError, match="it broke") as caught:
            async for event in events:
                seen.append(event)
        assert caught.value.__notes__ == [f"in {broken.id}"]
        assert kinds(seen) == ["NodeError"]
        with pytest.raises(ValueError, match="it broke"):
            await events.result()
        with pytest.raises(ValueError, match="it broke"):
            await events.get(broken).result()
        with pytest.raises(ValueError, match="it broke"):
            [one async for one in events.messages()]


async def test_errors_kept_leave_the_rest_going_on():  # S32, O13
    broken, fine = fail(), wait_then(1, 5)
    needs, late = add(broken, fine), add(fine, 1)
    flow = [needs, late]
    events = await told(flow, errors="keep")
    by_node = {one.node: one for one in events[:-1]}
    assert isinstance(by_node[broken.id], NodeError)
    assert not by_node[broken.id].derived
    assert by_node[needs.id].derived
    assert by_node[fine.id].value == 1
    last = events[-1]
    assert (last.data, set(last.errors)) == ({fine.id: 1, late.id: 2}, {broken.id, needs.id})
    assert last.derived == {needs.id}
    async with client_of() as client:
        kept = await client.run(flow, errors="keep")
    assert repr(last.value) == repr(kept) == "[ValueError('it broke'), 2]"


async def test_with_errors_kept_what_only_a_failed_node_needed_runs_too():
    fine = wait_then(1, 5)
    events = await told(add(fail(), fine), errors="keep")
    assert events[-1].data == {fine.id: 1}


async def test_with_errors_kept_the_other_branch_stays_alone():
    other, ran = [], executable(lambda: other.append(1))
    events = await told(If(1, grow("a"), ran()), errors="keep")
    assert (other, events[-1].value) == ([], "a")


async def test_hidden_nodes_are_not_shown():
    inner = grow("ab").with_options(hidden=True)
    shown = add(inner, "c")
    events = await told(shown)
    assert [one.node for one in events[:-1]] == [shown.id]
    assert events[-1].data == {shown.id: "abc"}
    within = outer("ab").with_options(hidden=True)
    assert kinds(await told(within, depth=None)) == ["GraphResult"]
    broken = fail().with_options(hidden=True)
    assert kinds(await told(broken, errors="keep")) == ["NodeError", "GraphResult"]


async def test_two_nodes_of_one_id_are_refused():
    with pytest.raises(BadRequest, match="two nodes have the id 'same'"):
        await told([grow("a").with_options(id="same"), grow("b").with_options(id="same")])


async def test_a_limit_of_time_is_raised():
    with pytest.raises(DeadlineExceeded, match="flow was not done within 2 s"):
        await told(wait_then(1, 5), timeout=2)


async def test_a_plain_prompt_is_what_it_was():
    async with client_of(simulated(hi="so it is")) as client:
        async with client.stream("hi") as stream:
            assert "".join([text async for text in stream.text]) == "so it is"
        async with client.stream(["hi"], temperature=1) as stream:
            assert (await stream.wait_response()).text == "so it is"


@pytest.mark.parametrize("is_async", [False, True])
async def test_a_callback_hears_each_event_and_the_result_is_returned(is_async):  # O5
    heard = []

    async def later(event):
        await trio.sleep(1)
        heard.append(event)

    async with client_of() as client:
        made = grow("aaa")
        given = later if is_async else heard.append
        assert await client.run(made, on_event=given) == "aaa"
    assert [one.text for one in heard if isinstance(one, NodeDelta)] == ["a", "a", "a"]
    assert kinds(heard)[-2:] == ["NodeResult", "GraphResult"]


async def test_what_a_callback_raises_is_raised_and_ends_the_run():  # O5
    provider = simulated(hi=Script(pieces=("a", "b"), gap=5.0))

    def refuse(event):
        raise KeyError("mine")

    async with client_of(provider) as client:
        with pytest.raises(KeyError, match="mine"):
            await client.run(generate_text("hi"), on_event=refuse, errors="keep")
        assert provider.live == 0


async def test_an_observer_hears_what_a_stream_leaves_out():
    heard = []
    await told(generate_text("hi"), simulated(hi="ok"), depth=0, observer=heard.append)
    assert {"NodeStarted", "CallMade", "NodeDelta", "NodeResult"} == set(kinds(heard))


async def test_the_stream_lets_its_values_go():
    class Big:
        pass

    big = executable(Big)
    async with client_of() as client, client.stream(big()) as events:
        value = weakref.ref(await events.result())
        assert value() is not None
    del events
    gc.collect()
    assert value() is None


# The law: random flows over random answers.


@attrs.frozen
class Told:
    """An answer of a provider: its pieces, and how it ends."""

    pieces: tuple[tuple[str, str], ...]
    cuts: int
    fails: bool


class Drawn(Provider):
    """Answers as drawn, by the prompt's number; the first attempts break off."""

    def __init__(self, answers):
        super().__init__(name="drawn")
        self.answers = answers
        self.attempts = Counter()

    async def __call__(self, call):
        number = int(call.request.messages[-1].text.split()[0])
        drawn = self.answers[number % len(self.answers)]
        self.attempts[number] += 1
        builder = ResponseBuilder(call, self.name)
        for kind, text in drawn.pieces:
            if kind == "wait":
                await trio.sleep(len(text))
            elif kind == "tool":
                await builder.tool_call(text, id=text, name="look", arguments=text)
            elif kind == "refusal":
                await builder.text(text, refusal=True)
            else:
                await getattr(builder, kind)(text)
        if self.attempts[number] <= drawn.cuts:
            raise builder.interrupted("cut")
        if drawn.fails:
            raise ServerError("it failed")
        return await builder.finish(Finish("stop"))


PIECES = st.lists(
    st.tuples(
        st.sampled_from(["text", "text", "reasoning", "refusal", "tool", "wait"]),
        st.text("abc\n", min_size=1, max_size=3),
    ),
    max_size=5,
).map(tuple)
ANSWERS = st.lists(
    st.builds(Told, PIECES, st.integers(0, 2), st.sampled_from([False, False, False, True])),
    min_size=1,
    max_size=3,
)


def _generate(prompt):
    return Generate(messages=[Message("user", prompt)])


@builtin
async def shout(number: int) -> str:
    return (await ask(_generate(f"{number} x"), Generation)).text.upper()


@executable
async def awaiting(*needs):
    text = await generate_text(f"{len(needs)} y")
    return [text, *needs]


@executable
def tailing(need):
    return generate_text(f"{len(str(need))} z")


@executable
def yielding(*needs):
    if len(needs) % 2:
        yield [None]
    for one in needs:
        yield Appended([one])


@executable
def breaking(*needs):
    raise ValueError(len(needs))


WAYS = (
    lambda index, needs: generate_text(f"{index} a"),
    lambda index, needs: shout(index),
    lambda index, needs: awaiting(*needs),
    lambda index, needs: tailing(needs),
    lambda index, needs: yielding(*needs),
    lambda index, needs: breaking(*needs),
    lambda index, needs: repeat(generate_text(f"{index} b"), 2),
    lambda index, needs: parallel(*needs, index, limit=1, errors="keep"),
    lambda index, needs: serial(*needs, grow("ab")),
    lambda index, needs: through(str, needs[0] if needs else grow("xyz")),
)


@st.composite
def flows(draw):
    """A few nodes over earlier ones."""
    made = []
    for index in range(draw(st.integers(1, 7))):
        needs = draw(st.lists(st.sampled_from(made), max_size=2)) if made else []
        way = draw(st.sampled_from(WAYS))
        hidden = not draw(st.integers(0, 5))
        made.append(way(index, needs).with_options(hidden=hidden))
    return made


def ended_as_the_law_says(seen, flow, *, keep, depth):
    """What holds of each execution, and of the order."""
    ends, folds, places = Counter(), defaultdict(NodeFold), {}
    for place, event in enumerate(seen):
        assert depth is None or event.depth <= depth
        assert not ends[event.key]
        if isinstance(event, NodeDelta):
            folds[event.key](event)
            continue
        ends[event.key] += 1
        places[event.node] = place
        if isinstance(event, NodeResult) and event.key in folds:
            assert folds[event.key].value == event.value
    if keep and depth != 0:
        assert {one.id for one in flow if not one.hidden} <= set(places)
    derived = {one.node for one in seen if isinstance(one, NodeError) and one.derived}
    for one in flow:
        before = [places[need.id] for need in one.inputs if need.id in places]
        if before and one.id in places:
            # The first of its needs to fail is enough; the others may go on.
            first_or_last = min(before) if one.id in derived else max(before)
            assert first_or_last < places[one.id]


def read_as_the_law_says(messages, seen, *, depth):
    """What holds of the messages."""
    fold = fold_messages(messages)
    assert set(fold.results) == {one.node for one in seen if isinstance(one, NodeResult)}
    for node, data in fold.data.items():
        if node in fold.results:
            assert data == fold.results[node]
    if fold.graph is not None and depth == 1:
        assert fold.graph == fold.results | fold.errors


async def outcome(do):
    """What comes of it, a value or an error."""
    try:
        return await do(), None
    except Exception as error:
        return None, error


@settings(max_examples=150)
@given(flow=flows(), answers=ANSWERS, depth=st.sampled_from([0, 1, 2, None]), keep=st.booleans())
def test_law_of_streams(flow, answers, depth, keep):  # O4, O15, S31, S32, S33
    """Folding the pieces of a node gives its result; each execution ends once; the whole comes
    last and is what `run` gives; and messages fold to the same."""
    options = {"errors": "keep" if keep else "raise"}
    seen, messages = [], []

    def retry():
        # Calls of the same instant begin in any order, so none may take the last token of another.
        return Retry(3, base=0.0, budget=Budget(cap=1000))

    async def main():
        async with client_of(Drawn(answers), stack=[retry()]) as client:
            whole = await outcome(lambda: client.run(flow, **options))
        async with client_of(Drawn(answers), stack=[retry()]) as client:
            async with client.stream(flow, depth=depth, **options) as events:

                async def read(reader, into):
                    async for one in reader:
                        into.append(one)

                _, raised = await outcome(lambda: read(events, seen))
                _, again = await outcome(lambda: read(events.messages(), messages))
                assert again is raised
                assert repr(await outcome(events.result)) == repr(whole)
        assert repr(raised) == repr(whole[1])
        if raised is None:
            assert isinstance(seen[-1], GraphResult)
            assert repr(seen.pop().value) == repr(whole[0])
        ended_as_the_law_says(seen, flow, keep=keep, depth=depth)
        read_as_the_law_says(messages, seen, depth=depth)

    trio.run(main, clock=trio.testing.MockClock(autojump_threshold=0))
