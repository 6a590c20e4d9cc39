"""What carries a builtin out: interfaces, implementations, registries."""

from __future__ import annotations

import inspect
from collections.abc import AsyncIterator, Iterator, Sequence
from functools import partial
from typing import Any, Literal, TypeVar

import pytest

from llmmw import Client
from llmmw._hookspecs import Spec
from llmmw._plugins import Named, Plugins
from llmmw.errors import ConfigError, PluginError
from llmmw.flow import (
    Builtin,
    Registry,
    builtin,
    copy_registry,
    executable,
    generate_text,
    parallel,
    registry,
    reset_defaults,
    set_registry,
    with_current_registry,
    with_registry,
)
from llmmw.flow.builtins import parameters as common

S = TypeVar("S")
T = TypeVar("T")


@pytest.fixture(autouse=True)
def _own_registry():
    with registry():
        yield


async def ran(flow: Any, **options: Any) -> Any:
    async with Client(stack=[]) as client:
        return await client.run(flow, **options)


@builtin(interface=True)
def one(a: int) -> int:
    """Takes one."""


@builtin(interface=True)
def two(a: int, b: int | None = None, c: int = 0) -> int:
    """Takes three, of which two have defaults."""


def add(a: int, b: int | None = None, c: int = 0) -> int:
    return a + b + c


class Thing:
    def plain(self, a: int) -> int:
        return a + 1

    async def waiting(self, a: int) -> int:
        return a + 1

    @executable
    def lazy(self, a: int) -> int:
        return a + 1

    def __call__(self, a: int) -> int:
        return a + 1


def sync(a: int) -> int:
    return a + 1


async def waits(a: int) -> int:
    return a + 1


async def yields(a: int) -> AsyncIterator[int]:
    for more in (3, 2, 1):
        yield a + more


def steps(a: int) -> Iterator[int]:
    yield a
    yield a + 1


@executable
async def lazy(a: int) -> int:
    return a + 1


@executable
async def lazy_yields(a: int) -> AsyncIterator[int]:
    yield a + 9
    yield a + 1


@builtin
async def another(a: int) -> int:
    return a + 1


def gives_executable(a: int) -> Any:
    return lazy(a)


# O26 (a method, sync, async, an executable, a generator)
@pytest.mark.parametrize(
    "implementation",
    [
        *(sync, waits, yields, steps, lazy, lazy_yields, another, gives_executable),
        *(Thing().plain, Thing().waiting, Thing().lazy, Thing()),
    ],
)
async def test_anything_that_is_called_so_carries_it_out(implementation) -> None:
    one.configure(implementation)
    assert await ran(one(1)) == 2
    assert await ran([one(1), one(one(2))]) == [2, 4]


async def test_an_interface_without_one_says_what_to_do() -> None:  # O26
    assert not one.is_configured
    with pytest.raises(ConfigError, match=r"nothing carries out one: one.configure\(…\)"):
        await ran(one(1))
    with pytest.raises(ConfigError, match="nothing carries out one"):
        one.update(a=1)
    one.configure(sync)
    assert one.is_configured
    assert another.is_configured


async def test_it_is_bound_when_it_runs() -> None:  # O26
    def less(a: int, b: int = 0) -> int:
        return a - 1 + b

    def more(a: int, b: int = 0) -> int:
        return a + 1 + b

    @builtin(interface=True)
    def fn(a: int, b: int) -> int: ...

    fn.configure(more)
    called = fn(1)
    assert await ran(called) == 2
    fn.configure(less)
    assert await ran(called) == 0
    fn.configure(more, b=1)
    assert await ran(called) == 3


# O26
@pytest.mark.parametrize(
    ("given", "wrong"),
    [
        (lambda b="": 1, "takes no 'a', which fn is called with"),
        (lambda a, c: a, "needs 'c', which fn does not have: give it once and for all"),
        (partial(add, b=0), r"a partial: give the function, and what it is to be called with"),
        (3, "can't be carried out by 3: give a function"),
        (lambda a, /, b="": a, "can't be given by its name"),
        (lambda *a: a, "takes no 'a'"),
    ],
)
def test_what_could_not_be_called_so_is_refused(given, wrong) -> None:
    @builtin(interface=True)
    def fn(a: int, b: str = "") -> int: ...

    with pytest.raises(ConfigError, match=wrong):
        fn.configure(given)
    assert not fn.is_configured


async def test_optional_ones_that_it_does_not_have_are_not_given() -> None:  # O26
    def bare(a: int) -> int:
        return a + 1

    def gives_text(a: int, b: int | None = None) -> str:
        return str(a + 1)

    two.configure(bare)
    assert await ran(two(1)) == 2
    assert await ran(two(1, b=5, c=7)) == 2
    two.configure(gives_text)  # what comes out is nobody's business
    assert await ran(two(1, 1)) == "2"


async def test_what_only_it_takes_is_set_once_and_for_all() -> None:  # O26
    def with_more(a: int, d: int, e: int = 5) -> int:
        return a * 100 + d * 10 + e

    two.configure(with_more, d=2)
    assert await ran(two(1)) == 125
    two.update(e=6)
    assert await ran(two(1)) == 126
    with pytest.raises(TypeError, match="two has no parameter 'd'"):
        two(1, d=3)
    with pytest.raises(ConfigError, match="has no parameter 'f'"):
        two.update(f=1)
    with pytest.raises(ConfigError, match="needs 'd'"):
        two.configure(with_more)


async def test_of_several_defaults_the_nearest_counts() -> None:  # O26
    with pytest.raises(ConfigError, match="has no parameter 'd'"):
        two.configure(add, d=1)
    two.configure(add, b=1)
    assert await ran([two(1, c=2), two(1), two(1, c=2, b=3), two(1, b=3)]) == [4, 2, 6, 4]
    two.update(b=2)
    assert await ran([two(1, c=2), two(1)]) == [5, 3]
    two.configure(add, c=1)  # what was configured before is gone
    with pytest.raises(TypeError):
        await ran(two(1))
    two.configure(add, b=1, c=1)
    two.update(c=2)
    assert await ran([two(1), two(1, b=2), two(1, b=None)]) == [4, 5, 4]
    with registry(b=10):
        assert await ran(two(1)) == 4  # what is said of it alone goes before
    two.configure(add)
    with registry(b=10, nobody_has_this=1):
        assert await ran([two(1), two(1, 2)]) == [11, 3]


async def test_the_default_of_the_interface_goes_before_that_of_the_implementation() -> None:
    def other(a: int, b: int = 7, c: int = 8) -> list[int]:
        return [a, b, c]

    two.configure(other)
    assert await ran(two(1)) == [1, 7, 0]  # b says nothing in the interface


async def test_further_arguments_where_the_interface_has_room_for_them() -> None:  # O26
    @builtin(interface=True)
    def fn(a: int, b: int | None = None, **parameters: Any) -> int: ...

    def takes_any(a: int, b: int | None = None, **more: int) -> int:
        return a + b + more["c"]

    fn.configure(takes_any, a=1)
    assert await ran([fn(b=2, c=3), fn(b=2, c=3, d=4), fn(a=2, b=2, c=3)]) == [6, 6, 7]
    fn.configure(add)
    with pytest.raises(TypeError, match="fn has no parameter 'd' as it is configured"):
        await ran(fn(1, 2, d=4))


async def test_a_call_is_checked_when_it_is_made_but_for_what_may_be_configured() -> None:
    with pytest.raises(TypeError, match="takes 3 positional arguments at most, not 4"):
        two(1, 2, 3, 4)
    with pytest.raises(TypeError, match="two values for 'a'"):
        two(1, a=2)
    with pytest.raises(TypeError, match="did you mean 'temperature'"):
        generate_text("x", temprature=0)
    two.configure(add, a=1, b=1)
    assert await ran(two()) == 2
    two.configure(add)
    with pytest.raises(TypeError, match="two needs 'a'"):
        await ran(two(b=1))


class Here:
    pass


# O26 (annotations)
@pytest.mark.parametrize(
    ("own", "other", "fits"),
    [
        (int, int, True),
        (int, str, False),
        (int, "int", True),
        (int, "str", False),
        ("int", "str", False),
        (int, object, True),
        (object, str, True),
        (int, Any, True),
        (int, float, True),
        (bool, int, True),
        (str | None, str, True),
        (str, "str | None", True),
        (str | None, int | None, False),
        (list[int], Sequence[int], True),
        (list[int], list[str], False),
        (list[S], list[T], True),
        (S, int, True),
        (Literal["a", "b"], str, True),
        (Literal["a", "b"], int, False),
        (type[int], dict[str, int], False),
        (int, "NobodyKnowsThis", True),
        (Here, "Here", True),
    ],
)
def test_annotations_must_have_a_value_in_common(own, other, fits) -> None:
    def base(a): ...

    def given(a): ...

    base.__annotations__["a"] = own
    given.__annotations__["a"] = other
    fn = builtin(interface=True)(base)
    if fits:
        fn.configure(given)
        assert fn.is_configured
    else:
        with pytest.raises(ConfigError, match=r"base has a: .*, but .*given takes .* for it"):
            fn.configure(given)


def test_it_looks_like_the_function_it_was_made_of() -> None:  # O26
    assert list(inspect.signature(two).parameters) == ["a", "b", "c"]
    assert (two.__name__, two.__doc__) == ("two", "Takes three, of which two have defaults.")
    named = inspect.signature(generate_text).parameters
    assert next(iter(named)) == "prompt"
    assert set(named) == {"prompt", *common.Parameters.__annotations__}
    assert named["temperature"].default is None
    with pytest.raises(ConfigError, match="can't be given by its name"):
        builtin(lambda a, /: a)


async def test_copies_of_registries_go_their_own_way() -> None:  # O24, O26
    two.configure(add, b=1)
    first = copy_registry()
    two.update(b=2)
    second = copy_registry()
    two.update(b=3)
    called = two(1, c=2)
    came = [await ran(with_registry(called, bound)) for bound in (first, second, first)]
    assert came == [4, 5, 4]
    with registry():
        set_registry(first)
        assert await ran(called) == 4
    assert await ran(called) == 6
    kept = with_current_registry(called)
    two.update(b=100)
    assert await ran([kept, called]) == [6, 103]


async def test_what_is_changed_in_a_block_is_undone_at_its_end() -> None:  # O23
    two.configure(add, b=1)
    with registry():
        two.configure(lambda a, b=None: -a)
        with registry() as inner:
            two.update(b=5)
            assert inner.bindings["two"].defaults == {"b": 5}
        assert await ran(two(3)) == -3
    assert await ran(two(3)) == 4


@pytest.mark.plugins
async def test_two_backends_in_one_parallel() -> None:  # O24
    async with Client("echo:here", stack=[]) as client, Client("echo:there", stack=[]) as other:

        @executable
        async def asks_twice(question):
            return [await model_of(question), await model_of(await generate_text("x"))]

        @builtin
        async def model_of(prompt: str, *, model: str | None = None) -> Any:
            from llmmw.flow import generate

            return (await generate(prompt, model=model)).model

        there = Registry(client=other)
        fast = Registry(defaults={"model": "echo:fast"})
        flow = parallel(
            with_registry(asks_twice("a"), there),
            with_registry(asks_twice("b"), fast),
            model_of("c"),
        )
        assert await client.run(flow) == [["there", "there"], ["fast", "fast"], "here"]


async def test_registries_in_threads_and_across_yields() -> None:  # O23
    @builtin
    def said(text: str = "nothing") -> str:
        return text

    @executable(thread=True)
    def in_thread():
        return said()

    @executable
    async def in_turns():
        with registry(text="inside"):
            yield said()
            yield said()
        yield said()

    @executable
    async def gathers():
        seen = []
        with registry(text="inside"):
            seen.append(await said())
            with registry(text="deeper"):
                seen.append(await parallel(said(), in_thread(), said()))
            seen.append(await said())
        return [*seen, await said()]

    assert await ran(gathers()) == ["inside", ["deeper"] * 3, "inside", "nothing"]
    assert await ran(in_turns()) == "nothing"


async def test_what_a_node_puts_into_force_is_in_force_for_it_alone() -> None:  # O23
    @builtin
    def said(text: str = "nothing") -> str:
        return text

    @executable
    async def puts(text):
        set_registry(Registry(defaults={"text": text}))
        return await said()

    @executable
    async def asks():
        return await said()

    nodes = [puts("a"), asks(), puts("b"), asks()]
    nodes.append(asks().with_options(depends=nodes))
    assert await ran(nodes) == ["a", "nothing", "b", "nothing", "nothing"]
    assert await ran(nodes, concurrency=1) == ["a", "nothing", "b", "nothing", "nothing"]


async def test_all_is_as_it_was_after_a_reset() -> None:  # O40
    with registry(c=1):
        one.configure(sync)
        another.configure(lambda a: -a)
        two.configure(add, b=1)
        reset_defaults()
        assert not one.is_configured
        assert await ran(another(1)) == 2
        two.configure(add, b=1)
        assert await ran(two(1)) == 2


def test_builtins_are_plugins() -> None:  # O22
    found = Registry()
    assert found.builtin("generate_text") is generate_text
    named = found.names()
    assert {"generate_object", "select", "use_tools", "embed"} <= set(named)
    for name in named:
        made = found.builtin(name)
        assert isinstance(made, Builtin)
        assert made.name == name
    with pytest.raises(PluginError, match="no builtin is named 'generate_txt'; did you mean"):
        found.builtin("generate_txt")


def test_they_are_listed() -> None:
    rows = {one.name: one for one in Plugins().listing() if one.kind == "builtin"}
    assert rows["generate_text"].state == "ready"
    assert rows["generate_text"].summary == "the text that a model answers"


def test_every_builtin_of_ours_is_registered() -> None:
    from llmmw import _own, flow

    ours = {one.name: one for one in vars(flow).values() if isinstance(one, Builtin)}
    specs = {spec.name: spec for spec in _own.llmmw_builtins()}
    assert set(specs) == set(ours)
    assert all(spec.summary for spec in specs.values())
    assert all(one.__doc__ for one in ours.values())


def llmmw_builtins() -> list[Spec]:
    """This module is a plugin, too."""
    return [Spec("one", f"{__name__}:one", "takes one")]


async def test_others_add_theirs(monkeypatch) -> None:
    import sys

    monkeypatch.setitem(sys.modules, "their_plugin", sys.modules[__name__])
    monkeypatch.setitem(sys.modules, __name__, sys.modules[__name__])
    plugins = Plugins([Named("builtin", "one", "their_plugin", "theirs", "1")])
    with registry(Registry(plugins=plugins)) as bound:
        assert bound.names() == ["one"]
        assert bound.builtin("one") is one
