"""Scripts: by model, by prompt, by pattern, in turn, from a world, by a function; and counts."""

from __future__ import annotations

import re

import pytest
import trio

from llmmw import Client, Usage
from llmmw._deltas import ResponseStart
from llmmw.errors import BadRequest, ConnectionFailed, NotFound, Overloaded
from llmmw.testing import Caller, Fault, Script, SimulatedProvider, World

pytestmark = pytest.mark.virtual

ANY = re.compile("")


async def told(scripts, *prompts: str, model: str = "sim:a") -> list[str]:
    """The text of each answer, or the name of its error."""
    rows = []
    async with Client(model, stack=[], providers=[SimulatedProvider(scripts)]) as client:
        for prompt in prompts:
            try:
                rows.append((await client.ask(prompt)).text)
            except Exception as error:
                rows.append(type(error).__name__)
    return rows


async def test_a_text_is_a_script() -> None:
    assert await told({"a": "hello"}, "x", "y") == ["hello", "hello"]
    assert await told({"a": Script(pieces="hello")}, "x") == ["hello"]
    assert Script(pieces="hello").pieces == ("hello",)


async def test_in_turn_and_the_last_for_ever() -> None:
    busy = Script(error=Fault("busy"), pieces=())
    expected = ["Overloaded", "yes", "no", "no"]
    assert await told({"a": [busy, "yes", Script(pieces=("n", "o"))]}, *"wxyz") == expected


async def test_by_prompt_exact_before_patterns_in_their_order() -> None:
    scripts = {re.compile("^Who"): "somebody", "Who?": "me", re.compile("ho"): "h", ANY: "else"}
    asked = ["Who?", "Who is it?", "oh, ho", "what"]
    assert await told({"a": scripts}, *asked) == ["me", "somebody", "h", "else"]


async def test_each_prompt_has_its_own_turns() -> None:
    scripts = {"a": {"x": ["x1", "x2"], "y": ["y1", "y2"]}}
    assert await told(scripts, *"xyxyx") == ["x1", "y1", "x2", "y2", "x2"]


async def test_a_mapping_may_stand_in_a_row_and_a_row_in_it() -> None:
    scripts = {"a": ["first", {"x": ["x1", "x2"], ANY: "other"}]}
    assert await told(scripts, *"xxyxx") == ["first", "x1", "other", "x2", "x2"]


async def test_models_by_pattern() -> None:
    scripts = {"a": "the model a", ANY: "some model"}
    assert await told(scripts, "x") == ["the model a"]
    assert await told(scripts, "x", model="sim:b:c") == ["some model"]


async def test_by_a_function_of_the_call_and_its_number() -> None:
    def script(call, count):
        return f"{count}: {call.request.messages[0].text}" if count else ["never", "first"][1]

    assert await told({"a": script}, "x", "y") == ["first", "1: y"]


async def test_nothing_fits() -> None:
    async with Client("sim:a", stack=[], providers=[SimulatedProvider({"b": "x"})]) as client:
        with pytest.raises(NotFound, match=r"the world has no model 'a'; it has b"):
            await client.ask("x")
    scripts = {"a": {"Who?": "me", re.compile("^What"): "it"}}
    async with Client("sim:a", stack=[], providers=[SimulatedProvider(scripts)]) as client:
        with pytest.raises(BadRequest, match=r"no script for the prompt 'x'; .* Who\?, \^What"):
            await client.ask("x")
    assert await told({"a": []}, "x") == ["NotFound"]
    assert await told({}, "x") == ["NotFound"]


async def test_what_is_asked_of_other_kinds() -> None:
    scripts = {"a": {"one\ntwo": "ok", "is it?": "ok"}}
    provider = SimulatedProvider(scripts)
    async with Client("sim:a", stack=[], providers=[provider]) as client:
        assert (await client.embed(["one", "two"])).vectors == ((3.0,), (3.0,))
        assert (await client.score("is it?", ["yes", "no"])).best == 1
        assert (await client.count_tokens("is it?")).tokens == 2
        with pytest.raises(BadRequest):
            await client.embed("three")


async def test_scripts_may_change() -> None:
    provider = SimulatedProvider({"a": "one"})
    async with Client("sim:a", stack=[], providers=[provider]) as client:
        assert (await client.ask("x")).text == "one"
        provider.scripts = {"a": "two"}
        assert (await client.ask("x")).text == "two"


async def test_gaps_between_pieces() -> None:
    script = Script(first=1, gap=(0, 30), pieces="abc")
    assert (script.pieces, script.seconds) == (("abc",), 1.0)
    script = Script(first=1, gap=(0, 30), pieces=tuple("abc"))
    assert script.seconds == 31
    provider = SimulatedProvider({"a": script})
    async with Client("sim:a", stack=[], providers=[provider]) as client:
        async with client.stream("x") as stream:
            times = [(piece, trio.current_time()) async for piece in stream.text]
    assert times == [("a", 1), ("b", 1), ("c", 31)]
    assert trio.current_time() == 31


async def test_counts() -> None:
    scripts = {
        "a": [Script(error=Fault("busy")), "yes", Script(hangs=True)],
        "b": Script(first=1, error=lambda: ConnectionFailed("gone")),
    }
    provider = SimulatedProvider(scripts)
    async with Client("sim:a", stack=[], providers=[provider]) as client:
        with pytest.raises(Overloaded):
            await client.ask("x")
        await client.ask("x")
        with trio.move_on_after(1):
            await client.ask("x")
        with pytest.raises(ConnectionFailed):
            await client.ask("x", model="sim:b")
        async with trio.open_nursery() as nursery:
            nursery.start_soon(client.ask, "x")
            await trio.testing.wait_all_tasks_blocked()
            assert provider.live == 1
            assert provider.statistics()["a"]["opened"] == 4
            nursery.cancel_scope.cancel()
    assert provider.live == 0
    assert provider.statistics() == {
        "a": {"opened": 4, "Overloaded": 1, "ok": 1, "cancelled": 2},
        "b": {"opened": 1, "ConnectionFailed": 1},
    }
    assert [(seen.number, seen.model, seen.time) for seen in provider.opened] == [
        (1, "a", 0),
        (2, "a", 0),
        (3, "a", 0),
        (4, "b", 1),
        (5, "a", 2),
    ]


async def test_what_is_not_recorded_is_counted_all_the_same() -> None:
    provider = SimulatedProvider({"a": "yes"}, records=False)
    async with Client("sim:a", stack=[], providers=[provider]) as client:
        await client.ask("x")
    assert (provider.seen, provider.opened) == ([], [])
    assert provider.statistics() == {"a": {"opened": 1, "ok": 1}}


async def test_usage() -> None:
    usage = Usage(input_tokens=5, output_tokens=7, reasoning_tokens=3)
    scripts = {"a": [Script(pieces=("a", "b", "c")), Script(usage=usage)]}
    async with Client("sim:a", stack=[], providers=[SimulatedProvider(scripts)]) as client:
        response = await client.ask("two words")
        assert response.spent[:2] == (2, 3)
        assert (await client.ask("x")).usage == usage


async def test_a_world_by_hand() -> None:
    busy = Script(first=2, error=Fault("busy"), pieces=())
    world = World(scripts={"sim:a": [busy, "hello"], "sim:b": "hi"}, callers=Caller())
    assert world.scripts == {
        "sim:a": (busy, Script(pieces="hello")),
        "sim:b": (Script(pieces="hi"),),
    }
    assert world.callers == (Caller(),)
    provider = world.provider()
    async with Client("sim:a", stack=[], providers=[provider]) as client:
        with pytest.raises(Overloaded):
            await client.ask("x")
        assert (await client.ask("x")).text == "hello"
        assert (await client.ask("x", model="sim:b")).text == "hi"
        assert trio.current_time() == 2


async def test_a_provider_that_greets() -> None:
    provider = World(scripts={"sim:a": Script(first=5)}, greets=True).provider()
    async with Client("sim:a", stack=[], providers=[provider]) as client:
        async with client.stream("x") as stream:
            first = await anext(aiter(stream))
            assert isinstance(first, ResponseStart)
            assert trio.current_time() == 0
            assert (await stream.wait_response()).text == "ok"
