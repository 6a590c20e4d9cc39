"""Executables and their runs, as a user sees them."""

from __future__ import annotations

import dataclasses
import gc
import operator
import weakref

import attrs
import pytest
import trio

from llmmw import Client
from llmmw.errors import BadRequest, ConfigError, DeadlineExceeded
from llmmw.flow import (
    Appended,
    Box,
    If,
    NodeDelta,
    executable,
    map_over,
    parallel,
    repeat,
    serial,
)

pytestmark = pytest.mark.virtual


@executable
def add(a, b):
    return a + b


@executable
async def wait_then(value, seconds=1.0):
    await trio.sleep(seconds)
    return value


@executable
def fail(message="it broke"):
    raise ValueError(message)


async def ran(flow, **options):
    async with Client(stack=[]) as client:
        return await client.run(flow, **options)


def counted():
    """An executable that counts how often it runs."""
    seen = []

    @executable
    def count(value):
        seen.append(value)
        return value

    return count, seen


async def test_building_does_nothing_and_printing_shows_what_it_is():  # F1, F4
    count, seen = counted()
    made = count("x" * 100)
    assert seen == []
    assert repr(made).startswith(f"<{made.id}: count('xxx")
    assert len(repr(made)) < 80
    assert repr(count(made)).endswith(f"count({made.id})>")
    assert await ran(made) == "x" * 100


async def test_a_result_has_the_shape_that_was_asked_for():  # F8
    node = add(1, 2)

    @attrs.frozen
    class Pair:
        left: object
        right: object

    flow = {"a": [node, 2], "b": (node, {node}), "c": Pair(node, 5), "d": "plain"}
    result = await ran(flow)
    assert result == {"a": [3, 2], "b": (3, {3}), "c": Pair(3, 5), "d": "plain"}
    assert await ran(7) == 7
    assert await ran([]) == []


async def test_a_node_needed_twice_runs_once_per_run():  # F9
    count, seen = counted()
    shared = count(2)
    flow = add(add(shared, shared), shared)
    assert await ran(flow) == 6
    assert seen == [2]
    assert await ran(flow) == 6
    assert seen == [2, 2]


async def test_awaiting_a_node_in_two_functions_runs_it_once():
    count, seen = counted()
    shared = count("s")

    @executable
    async def use():
        return await shared + await shared

    assert await ran([use(), use(), shared]) == ["ss", "ss", "s"]
    assert seen == ["s"]


async def test_a_list_that_changes_later_changes_no_node():  # O8
    items = [1, [2]]
    node = counted()[0](items)
    items[1].append(3)
    items.append(4)
    assert await ran(node) == [1, [2]]


@pytest.mark.parametrize("name", ["add", "sub", "mul", "floordiv", "truediv", "mod", "pow"])
async def test_operators_compute_as_python_does(name):  # F6
    operation = getattr(operator, name)
    node = add(3, 4)
    assert await ran([operation(node, 2), operation(2, node)]) == [operation(7, 2), operation(2, 7)]


async def test_comparisons_and_other_operators():  # F6
    node = add(3, 4)
    flow = [node == 7, node != 7, node < 9, node <= 7, node > 9, node >= 7]
    assert await ran(flow) == [True, False, True, True, False, True]
    assert await ran([-node, +node, ~node, abs(-node)]) == [-7, 7, -8, 7]
    assert await ran([node & 3, 8 | node, node ^ 1, node << 1, 1 << node, node >> 1]) == [
        3, 15, 6, 14, 128, 3,
    ]  # fmt: skip


@pytest.mark.parametrize("use", [bool, len, list, lambda node: 3 in node])
def test_a_node_has_no_value_before_it_runs(use):  # F7
    with pytest.raises(TypeError, match="before it runs"):
        use(add(1, 2))
    with pytest.raises(TypeError, match="before it runs"):
        use(add(1, 2).future.x)


async def test_futures_reach_into_what_is_not_there_yet():  # F7, S10
    text = Box("a,b,c")
    keys = Box({"items": [{"x": 10}, {"x": 20}], "which": 1})
    upper = text.future.upper()
    assert await ran([upper.split(","), upper[0]]) == [["A", "B", "C"], "A"]
    # A key may be a future, and no name is ours.
    assert await ran(keys.future.items[keys.future.which].x) == 20
    assert await ran(keys["items"][0]["x"]) == 10


async def test_a_result_may_be_unpacked_where_its_length_is_known():  # F2
    @executable(outputs=2)
    def both():
        return "left", "right"

    a, b = both()
    assert await ran([b, a]) == ["right", "left"]
    with pytest.raises(ConfigError, match="outputs=-1"):
        executable(outputs=-1)(lambda: None)


async def test_an_executable_that_is_returned_runs_too():  # O7
    @executable
    def outer(x):
        return add(x, 1)

    @executable(runs_result=False)
    def kept(x):
        return add(x, 1)

    assert await ran(outer(outer(1))) == 3
    left = await ran(kept(1))
    assert await ran(left) == 2


async def test_arguments_run_first_and_at_once():  # O7, S15
    began = trio.current_time()
    assert await ran(add(wait_then(1), wait_then(2))) == 3
    assert trio.current_time() - began == pytest.approx(1.0)


async def test_results_are_in_the_order_of_inputs():  # O13
    flow = parallel(wait_then("a", 3), wait_then("b", 1), "c", wait_then("d", 2))
    assert await ran(flow) == ["a", "b", "c", "d"]


@pytest.mark.parametrize("keep", [False, True])
async def test_no_more_at_once_than_the_limit(keep):  # O13
    alive, most = 0, 0

    @executable
    async def work(index):
        nonlocal alive, most
        alive += 1
        most = max(most, alive)
        await trio.sleep(1)
        alive -= 1
        return index

    errors = "keep" if keep else "raise"
    several = [work(index) for index in range(40)]
    assert await ran(parallel(*several, limit=7, errors=errors)) == list(range(40))
    assert most == 7
    most = 0
    assert await ran(map_over(work, range(40), limit=7, errors=errors)) == list(range(40))
    assert most == 7


async def test_the_first_failure_ends_its_siblings():
    ended = []

    @executable
    async def long():
        try:
            await trio.sleep(1000)
        finally:
            ended.append(trio.current_time())

    began = trio.current_time()

    @executable
    async def breaks():
        await trio.sleep(1)
        raise ValueError("it broke")

    with pytest.raises(ValueError, match="it broke") as caught:
        await ran(parallel(long(), breaks(), long()))
    assert [one - began for one in ended] == pytest.approx([1.0, 1.0])
    assert any("breaks-" in note for note in caught.value.__notes__)


async def test_errors_may_keep_their_places():  # O13
    flow = [fail("one"), add(1, 1), add(fail("two"), 1)]
    result = await ran(parallel(*flow, errors="keep"))
    assert [str(one) for one in result] == ["one", "2", "two"]
    result = await ran({"x": flow}, errors="keep")
    assert [str(one) for one in result["x"]] == ["one", "2", "two"]


async def test_an_error_can_be_handled_in_a_function():
    @executable
    async def careful():
        try:
            return await parallel(wait_then(1, 100), fail())
        except ValueError as error:
            return f"mended: {error}"

    assert await ran(careful()) == "mended: it broke"


async def test_what_was_cancelled_in_one_place_runs_in_another():
    """A shared node that a failing function gave up is run by the other that waits for it."""
    starts = []

    @executable
    async def slow():
        starts.append(trio.current_time())
        await trio.sleep(5)
        return "slow"

    shared = slow()

    @executable
    async def gives_up():
        with trio.move_on_after(2):
            return await shared
        return "gave up"

    @executable
    async def patient():
        await trio.sleep(1)
        return await shared

    assert await ran(parallel(gives_up(), patient())) == ["gave up", "slow"]
    assert len(starts) == 2


async def test_serial_is_one_after_another():  # O12
    began = trio.current_time()
    assert await ran(serial(wait_then(1), "x", wait_then(2))) == [1, "x", 2]
    assert trio.current_time() - began == pytest.approx(2.0)


async def test_only_the_branch_taken_runs():  # S19
    count, seen = counted()
    assert await ran(If(add(1, 0), count("yes"), count("no"))) == "yes"
    assert await ran(If(add(1, -1), count("yes"))) is None
    assert await ran(If(False, 1, {"x": [count("deep")]})) == {"x": ["deep"]}
    assert seen == ["yes", "deep"]


async def test_order_without_data():  # S16
    log = []

    @executable
    async def note(name, seconds):
        await trio.sleep(seconds)
        log.append(name)

    first = note("first", 0.01)
    second = note("second", 0).with_options(depends=[first])
    third = note("third", 0).with_options(depends=[second])
    await ran([third])
    assert log == ["first", "second", "third"]


async def test_a_generator_gives_what_it_has_so_far():  # O9
    @executable
    def grows():
        yield "a"
        yield "ab"
        yield add("ab", "c")

    @executable
    async def appends():
        yield Appended("x")
        await trio.lowlevel.checkpoint()
        yield Appended("y")

    heard = []
    assert await ran([grows(), appends()], observer=heard.append) == ["abc", "xy"]
    pieces = [one.piece.value for one in heard if isinstance(one, NodeDelta)]
    assert sorted(pieces) == ["a", "ab", "abc", "x", "y"]


async def test_limits_of_time():
    with pytest.raises(DeadlineExceeded, match="the flow was not done within 2 s"):
        await ran(wait_then(1, 100), timeout=2)
    slow = wait_then(1, 100).with_options(id="slow one", timeout=3)
    with pytest.raises(DeadlineExceeded, match="slow one was not done within 3 s"):
        await ran([slow, wait_then(2)])
    assert await ran(wait_then(1, 1), timeout=2) == 1


async def test_outside_of_a_run_nothing_can_be_awaited():
    with pytest.raises(RuntimeError, match=r"client\.run"):
        await add(1, 2)


async def test_a_node_that_waits_for_itself_says_so():
    held = []

    @executable
    async def snake():
        return await held[0]

    held.append(snake())
    with pytest.raises(RuntimeError, match="waits for itself"):
        await ran(held[0])


async def test_what_functions_make_and_drop_is_forgotten():
    """A long loop in a function does not keep the results of all its steps."""

    class Big:
        pass

    left = []

    @executable
    def make():
        big = Big()
        left.append(weakref.ref(big))
        return big

    @executable
    async def loop():
        for _ in range(50):
            await make()
        gc.collect()
        return sum(one() is not None for one in left)

    assert await ran(loop()) <= 2


async def test_repeats_run_again_and_may_nest():  # O19, O20
    count, seen = counted()
    node = count("x")
    assert await ran(repeat(repeat(node, 2), 3)) == [["x", "x"]] * 3
    assert len(seen) == 6
    assert await ran(repeat(node, 0)) == []


@pytest.mark.parametrize(
    "make",
    [
        lambda: parallel(1, limit=0),
        lambda: parallel(1, errors="ignore"),
        lambda: repeat(add(1, 2), -1),
        lambda: map_over(add, [], limit="many"),
    ],
)
def test_options_that_can_not_be_taken(make):
    with pytest.raises(BadRequest, match="expected"):
        make()


async def test_map_reads_no_faster_than_items_are_done():
    taken = []

    def source():
        for index in range(10):
            taken.append((index, trio.current_time()))
            yield index

    await ran(map_over(wait_then, source(), limit=2))
    began = taken[0][1]
    assert [when - began for _, when in taken[:6]] == pytest.approx([0, 0, 0, 1, 1, 2])


async def test_a_long_chain_and_a_wide_fan_meet_no_limit():
    node = add(0, 1)
    for _ in range(10_000):
        node = add(node, 1)
    assert await ran(node) == 10_001
    assert await ran(repr(node)) == repr(node)
    fan = [add(index, 0) for index in range(20_000)]
    assert await ran(fan) == list(range(20_000))


async def test_methods_are_executables():  # F1
    class Adder:
        def __init__(self, base):
            self.base = base

        @executable
        def plus(self, more):
            return self.base + more

    assert await ran(Adder(10).plus(add(1, 2))) == 13
    assert Adder.plus.function(Adder(1), 2) == 3


async def test_a_value_that_holds_itself_is_an_argument_as_others_are():
    @dataclasses.dataclass(eq=False)
    class Tree:
        parent: object = None
        children: list = dataclasses.field(default_factory=list)

    @executable
    def count(tree):
        return len(tree.children)

    root = Tree()
    root.children += [Tree(root) for _ in range(4)]
    assert await ran(count(root)) == 4


async def test_fields_are_filled_by_the_names_that_they_are_given_by():
    @dataclasses.dataclass
    class Private:
        _value: object

    @attrs.frozen
    class Renamed:
        value: object = attrs.field(alias="given")

    assert await ran([Private(add(1, 2)), Renamed(add(1, 2))]) == [Private(3), Renamed(3)]


def test_printing_shows_nodes_in_containers_by_their_ids():
    node = Box(1)
    for _ in range(1_000):
        node = Box([node, {"x": node}])
    (held,) = node.args
    assert repr(node) == f"<{node.id}: Box([{held[0].id}, {{'x': {held[0].id}}}])>"
