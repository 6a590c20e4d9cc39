"""Functions that models ask for."""

from __future__ import annotations

import functools

import attrs
import pytest
import trio

from llmmw import Client, Finish, Generation, Message, ToolCallPart
from llmmw.errors import BadRequest, ResponseRejected
from llmmw.flow import (
    NodeDelta,
    NodeResult,
    builtin,
    call_tools,
    converse,
    executable,
    generate_text,
    registry,
    run_tool,
    use_tools,
)
from llmmw.plugin import Provider, ResponseBuilder

pytestmark = pytest.mark.virtual


@pytest.fixture(autouse=True)
def _own_registry():
    with registry():
        yield


def double(number: int) -> int:
    """Twice a number.

    Args:
        number: any one.
    """
    return number * 2


async def wait(seconds: float) -> str:
    """Wait."""
    await trio.sleep(seconds)
    return f"{trio.current_time():g}"


class Broken(Exception):
    pass


def breaks(kind: str = "value") -> None:
    """Break."""
    raise {"value": ValueError("bad value"), "key": KeyError("k"), "own": Broken("mine")}[kind]


@executable
async def asks(question: str) -> str:
    """Ask a model."""
    return await generate_text(question)


@builtin
async def shouts(text: str) -> str:
    """Shout."""
    return text.upper()


@attrs.define
class Point:
    x: int
    y: int = 0


def moved(point: Point) -> Point:
    """Move."""
    return Point(point.x + 1, point.y)


FUNCTIONS = [double, wait, breaks, asks, shouts, moved]


@attrs.define(eq=False)
class Agent(Provider):
    """Asks for tools by a script: a row of calls a turn, or the answer."""

    turns: list = attrs.field(factory=list)
    name: str = "agent"
    seen: list = attrs.field(factory=list)

    async def __call__(self, call):
        asked = call.request
        self.seen.append(asked)
        if not asked.tools:
            answer = ResponseBuilder(call, self.name)
            await answer.text(f"heard {asked.messages[-1].text}")
            return await answer.finish(Finish("stop"))
        done = sum(1 for message in asked.messages if message.role == "assistant")
        turn = self.turns[min(done, len(self.turns) - 1)]
        if isinstance(turn, str):
            return Generation(message=Message("assistant", turn))
        parts = [
            ToolCallPart(id=f"c{number}", name=name, arguments=arguments)
            for number, (name, arguments) in enumerate(turn)
        ]
        return Generation(message=Message("assistant", tuple(parts)))

    async def run(self, flow, **options):
        async with Client("agent:m", stack=[], providers=[self]) as client:
            return await client.run(flow, **options)


# O43
@pytest.mark.parametrize(
    ("name", "arguments", "came"),
    [
        ("double", {"number": 4}, 8),
        ("double", '{"number": 4}', 8),
        ("wait", {"seconds": 0}, "0"),
        ("asks", {"question": "it"}, "heard it"),
        ("shouts", '{"text": "it"}', "IT"),
        ("moved", '{"point": {"x": 1}}', Point(2)),
        ("moved", {"point": Point(1)}, Point(2)),
    ],
)
async def test_a_tool_is_run_by_its_name(name, arguments, came) -> None:
    assert await Agent().run(run_tool(name, arguments, FUNCTIONS)) == came


# O43, defect 27: whatever goes wrong
@pytest.mark.parametrize(
    ("name", "arguments", "said"),
    [
        ("dubble", {}, "#ERROR#: LookupError: no tool is named 'dubble'; there is double, wait"),
        ("double", {"numbr": 4}, "#ERROR#: TypeError: double() got an unexpected keyword"),
        ("double", '{"number": "x"}', "#ERROR#: ValueError: Expected `int`, got `str`"),
        ("double", '{"number": ', "#ERROR#: ValueError: "),
        ("double", "", "#ERROR#: ValueError: "),
        ("breaks", {}, "#ERROR#: ValueError: bad value"),
        ("breaks", {"kind": "key"}, "#ERROR#: KeyError: 'k'"),
        ("breaks", '{"kind": "own"}', "#ERROR#: Broken: mine"),
    ],
)
async def test_what_goes_wrong_is_told(name, arguments, said) -> None:
    assert (await Agent().run(run_tool(name, arguments, FUNCTIONS))).startswith(said)


async def test_which_tools_there_are_is_said_for_a_block() -> None:  # O22
    called = run_tool("twice", {"number": 2})
    with registry(functions={"twice": double}):
        assert await Agent().run(called) == 4
        with registry(functions=[breaks]):
            told = await Agent().run(called)
    assert told == "#ERROR#: LookupError: no tool is named 'twice'; there is breaks"
    assert (await Agent().run(called)).endswith("there is none")


async def test_another_one_may_run_them() -> None:  # O43
    run_tool.configure(lambda name, arguments, functions: f"{name} in a box")
    response = Generation(
        message=Message("assistant", (ToolCallPart(id="1", name="double", arguments="{}"),))
    )
    (result,) = await Agent().run(call_tools(response, FUNCTIONS))
    assert result.content[0].text == "double in a box"


async def test_all_calls_of_an_answer_at_the_same_time_in_its_order() -> None:
    calls = [("wait", '{"seconds": 3}'), ("wait", '{"seconds": 1}'), ("breaks", ""), ("no", "{}")]
    parts = [ToolCallPart(id=str(n), name=a, arguments=b) for n, (a, b) in enumerate(calls)]
    results = await Agent().run(
        call_tools(Generation(message=Message("assistant", tuple(parts))), FUNCTIONS)
    )
    assert [one.call_id for one in results] == ["0", "1", "2", "3"]
    texts = [one.content[0].text for one in results]
    assert texts[:2] == ["3", "1"]
    assert texts[2] == "#ERROR#: ValueError: bad value"
    assert texts[3].startswith("#ERROR#: LookupError: no tool is named 'no'")
    assert [one.is_error for one in results] == [False, False, True, True]
    assert trio.current_time() == 3


async def test_a_model_uses_tools_until_it_answers() -> None:
    agent = Agent([[("double", '{"number": 4}'), ("moved", '{"point": {"x": 1}}')], "it is 8"])
    assert await agent.run(use_tools("What is 2 * 4?", FUNCTIONS, system="Be brief")) == "it is 8"
    first, second = agent.seen
    assert [tool.name for tool in first.tools] == [
        *("double", "wait", "breaks", "asks", "shouts", "moved")
    ]
    assert first.tools[0].description == "Twice a number."
    assert first.tools[0].parameters["properties"]["number"]["description"] == "any one."
    assert [m.role for m in second.messages] == ["system", "user", "assistant", "tool"]
    results = second.messages[-1].parts
    assert [one.content[0].text for one in results] == ["8", '{"x":2,"y":0}']


async def test_the_way_to_an_answer_and_its_steps() -> None:
    agent = Agent([[("double", '{"number": 4}')], [("breaks", "{}")], "done"])
    done: list[tuple[int, str]] = []

    def observer(event):
        if isinstance(event, NodeResult):
            done.append((event.depth, event.name))

    messages = await agent.run(converse("go", FUNCTIONS), observer=observer)
    assert [m.role for m in messages] == [
        *("user", "assistant", "tool", "assistant", "tool", "assistant")
    ]
    assert messages[4].parts[0].is_error
    assert messages[-1].text == "done"
    step = [(2, "generate"), (4, "run_tool"), (3, "call_tool"), (3, "parallel"), (2, "call_tools")]
    assert done == [*step, *step, (2, "generate"), (1, "converse")]


async def test_the_answer_is_heard_as_it_comes() -> None:
    class Talks(Agent):
        async def __call__(self, call):
            answer = ResponseBuilder(call, self.name)
            is_first = len(call.request.messages) == 1
            await answer.text("let me see" if is_first else "it")
            if is_first:
                await answer.tool_call(0, id="c", name="double", arguments='{"number": 4}')
            else:
                await answer.text(" is 8")
            return await answer.finish(Finish("tool_call" if is_first else "stop"))

    told = []

    def observer(event):
        if isinstance(event, NodeDelta) and event.name == "use_tools":
            told.append(event.text or type(event.piece).__name__)

    assert await Talks().run(use_tools("go", FUNCTIONS), observer=observer) == "it is 8"
    begun = told.index("Restarted")
    assert "let me see" in told[:begun]
    assert [one for one in told[begun:] if " " in one or one.islower()] == ["it", " is 8"]
    assert "Replaced" not in told


async def test_it_ends_after_so_many_steps() -> None:
    agent = Agent([[("double", '{"number": 4}')]])
    with pytest.raises(ResponseRejected, match=r"asks for tools still after 3 steps.*'double'"):
        await agent.run(use_tools("go", FUNCTIONS, max_steps=3))
    assert len(agent.seen) == 3
    with pytest.raises(BadRequest, match="max_steps=0"):
        await agent.run(use_tools("go", FUNCTIONS, max_steps=0))


async def test_what_no_model_can_be_told_of() -> None:
    def untold(number):
        return number

    with pytest.raises(BadRequest, match="'number' needs a type hint"):
        await Agent(["x"]).run(use_tools("go", [untold]))


async def test_functions_that_can_not_be_told_apart_are_refused() -> None:
    nameless = functools.partial(double, number=1)
    for several, why in (([nameless], "has no name"), ([double, lambda: 1, lambda: 2], "second")):
        with pytest.raises(BadRequest, match=f"{why}.*give them as a dict"):
            await Agent(["x"]).run(use_tools("go", several))


async def test_a_result_that_has_no_form_in_json_is_an_error() -> None:
    def gives_object() -> object:
        """Give."""
        return object()

    agent = Agent([[("gives_object", "{}")], "done"])
    messages = await agent.run(converse("go", [gives_object]))
    assert messages[2].parts[0].content[0].text.startswith("#ERROR#: ")
    assert messages[2].parts[0].is_error
