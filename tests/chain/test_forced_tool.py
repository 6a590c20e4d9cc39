"""JSON by way of a forced tool: what is asked, what is told, what comes back."""

import dataclasses
from typing import Any

import attrs
import pytest
import trio
from hypothesis import given
from hypothesis import strategies as st

from llmmw import (
    Call,
    Candidate,
    Choice,
    Client,
    Embed,
    Embeddings,
    Finish,
    Generate,
    Generation,
    JsonSchema,
    Message,
    PartDelta,
    ReasoningPart,
    Restarted,
    TextPart,
    Tool,
    ToolCallPart,
    ToolNames,
    chain,
)
from llmmw._deltas import Fold, deltas_of
from llmmw._forced_tool import answered, forced, through_tool
from llmmw.errors import StreamInterrupted, UnsupportedFeature
from llmmw.plugin import Provider


@dataclasses.dataclass
class Bill:
    """What we owe."""

    total: int


LOOK = Tool("look", parameters={"type": "object"})


def asked(output: Any = Bill, **fields: Any) -> Generate:
    return Generate(model="x:y", messages=("hi",), output=output, **fields)


def called(arguments: str, name: str = "Bill", **fields: Any) -> ToolCallPart:
    return ToolCallPart(id="c-1", name=name, arguments=arguments, **fields)


def given_by(*parts: Any, reason: str = "tool_call") -> Generation:
    return Generation(message=Message("assistant", parts), finish=Finish(reason, raw=reason))


# What is asked.


def test_the_schema_becomes_a_tool_that_must_be_called() -> None:
    request, name = forced(asked())
    assert request.output is None
    assert request.tool_choice == ToolNames("Bill")
    (tool,) = request.tools
    assert (tool.name, tool.strict, name) == ("Bill", None, "Bill")
    assert tool.parameters == asked().output.schema
    assert forced(asked("json"))[0].tools[0].parameters == {"type": "object"}
    told = JsonSchema({"type": "object"}, name="bill", description="What we owe.")
    assert forced(asked(told))[0].tools[0].description.endswith("What we owe.")


@pytest.mark.parametrize(
    ("choice", "made"),
    [(None, "required"), ("auto", "required"), ("none", ToolNames("Bill"))],
)
def test_the_tools_of_the_request_may_be_called_instead(choice: Any, made: Any) -> None:
    request, _ = forced(asked(tools=[LOOK], tool_choice=choice))
    assert [tool.name for tool in request.tools] == ["look", "Bill"]
    assert request.tool_choice == made


@pytest.mark.parametrize("choice", ["required", ToolNames("look")])
def test_where_a_tool_must_be_called_there_is_no_answer_to_form(choice: Any) -> None:
    request, _ = forced(asked(tools=[LOOK], tool_choice=choice))
    assert (request.tools, request.tool_choice, request.output) == ((LOOK,), choice, None)


def test_a_name_that_is_taken_is_taken_by_no_other() -> None:
    request, name = forced(asked(tools=[Tool("Bill"), Tool("Bill_")]))
    assert name == "Bill__"
    assert [tool.name for tool in request.tools] == ["Bill", "Bill_", "Bill__"]


def test_what_no_tool_can_stand_for_is_refused() -> None:
    with pytest.raises(UnsupportedFeature, match="no object"):
        forced(asked({"type": "array"}))
    with pytest.raises(UnsupportedFeature, match="a prompt"):
        forced(Generate(prompt="hi", output=Bill))
    root = {"$ref": "#/$defs/B", "$defs": {"B": {"type": "object"}}}
    assert forced(asked(root))[0].tools[0].parameters == {"type": "object"}


# What comes back.


def test_the_arguments_are_the_text() -> None:
    response = answered(given_by(called('{"total": 1}', extra={"p": {"sign": "s"}})), "Bill")
    assert response.message.parts == (TextPart('{"total": 1}', extra={"p": {"sign": "s"}}),)
    assert response.finish == Finish("stop", raw="tool_call")
    assert response.replace(output=asked().output).value == Bill(1)


def test_what_was_said_around_it_is_reasoning() -> None:
    refusal = TextPart("no", refusal=True)
    before = given_by(TextPart("Here:"), refusal, called("{}"))
    assert answered(before, "Bill").parts == (ReasoningPart("Here:"), refusal, TextPart("{}"))


def test_a_model_that_does_not_call_has_answered() -> None:
    said = given_by(TextPart('{"total": 1}'), reason="stop")
    assert answered(said, "Bill") == said


def test_other_calls_stay_calls() -> None:
    other = given_by(called("{}", "look"))
    assert answered(other, "Bill") == other
    both = answered(given_by(called("{}", "look"), called("{}")), "Bill")
    assert [part.kind for part in both.parts] == ["tool_call", "text"]
    assert both.finish_reason == "tool_call"
    server = given_by(called("{}", server=True))
    assert answered(server, "Bill").parts == server.parts


def test_no_arguments_are_an_empty_object_once_the_call_is_whole() -> None:
    assert answered(given_by(called("")), "Bill").text == "{}"
    assert answered(given_by(called("")), "Bill", is_whole=False).text == ""


# Around a provider.


@attrs.define(eq=False)
class Told(Provider):
    """Answers with a response, told in pieces; or breaks off before its end."""

    response: Any = None
    breaks: bool = False
    restarts: bool = False
    asked: Any = None

    async def __call__(self, call: Call) -> Any:
        self.asked = call.request
        if self.restarts and call.listener is not None:
            await self.tell(call, 2)
            await call.listener(Restarted("again"))
        if self.breaks:
            await self.tell(call, 2)
            raise StreamInterrupted("cut", partial=self.response)
        await self.tell(call, 2)
        return self.response

    async def tell(self, call: Call, size: int) -> None:
        for delta in deltas_of(self.response) if call.listener is not None else ():
            arguments = delta.arguments if isinstance(delta, PartDelta) else ""
            for place in range(0, len(arguments), size):
                piece = arguments[place : place + size]
                await call.listener(attrs.evolve(delta, arguments=piece))
            if not arguments:
                await call.listener(delta)


def client(provider: Told) -> Client:
    return Client("x:y", stack=(through_tool,), providers=[provider])


async def test_around_a_provider_nobody_sees_the_tool() -> None:
    provider = Told(name="x", response=given_by(called('{"total": 1}')))
    async with client(provider) as asks:
        response = await asks.ask("hi", output=Bill)
        assert response.value == Bill(1)
        assert response.tool_calls == ()
        async with asks.stream("hi", output=Bill) as stream:
            pieces = [piece async for piece in stream.text]
        assert (len(pieces), "".join(pieces)) == (6, '{"total": 1}')
        assert stream.response.value == Bill(1)
    assert provider.asked.tool_choice == ToolNames("Bill")


async def test_what_has_no_schema_passes_as_it_is() -> None:
    provider = Told(name="x", response=given_by(TextPart("a"), reason="stop"))
    async with client(provider) as asks:
        request = Generate(messages=("hi",), output=Choice(("a", "b")), model="x:y")
        assert (await asks.ask(request)).value == "a"
        assert provider.asked is request
    vectors = Told(name="x", response=Embeddings(vectors=[[1.0]]))
    call = Call(Embed(model="x:y", inputs="a"))
    assert await chain(through_tool, provider=vectors)(call) is vectors.response


async def test_a_broken_answer_has_its_part_as_text() -> None:
    provider = Told(name="x", response=given_by(called('{"tot')), breaks=True)
    async with client(provider) as asks:
        with pytest.raises(StreamInterrupted) as caught:
            await asks.ask("hi", output=Bill)
    assert caught.value.partial.text == '{"tot'


parts = st.one_of(
    st.builds(TextPart, st.sampled_from(["", "Here:", '{"total": 2}'])),
    st.builds(TextPart, st.just("no"), refusal=st.just(True)),
    st.builds(ReasoningPart, st.text("xy", max_size=2)),
    st.builds(called, st.sampled_from(["", "{}", '{"total": 1}'])),
    st.builds(called, st.sampled_from(["", "{}"]), st.just("look")),
)
messages = st.lists(parts, min_size=1, max_size=4).map(lambda row: Message("assistant", row))


@given(st.lists(messages, min_size=1, max_size=3), st.booleans())
def test_the_fold_of_what_is_told_is_the_answer(rows: list[Message], restarts: bool) -> None:
    several = tuple(Candidate(row) for row in rows) if len(rows) > 1 else ()
    response = Generation(message=rows[0], candidates=several)
    provider = Told(name="x", response=response, restarts=restarts)
    fold = Fold()

    async def hear(delta: Any) -> None:
        fold(delta)

    call = Call(asked(), listener=hear)
    got = trio.run(chain(through_tool, provider=provider), call)
    assert fold.response() == got == answered(response, "Bill")
    assert fold.open_parts == []
