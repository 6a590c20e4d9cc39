"""Builtins that ask for text, content and values, as a user sees them."""

from __future__ import annotations

import dataclasses
import re
from typing import Any, TypedDict

import attrs
import pydantic
import pytest

from llmmw import (
    Cache,
    Capabilities,
    Client,
    Generate,
    Guard,
    JsonSchema,
    MediaPart,
    Message,
    TextPart,
)
from llmmw.errors import BadRequest, OutputInvalid, UnsupportedFeature
from llmmw.flow import (
    CallMade,
    Repeated,
    RoundRobin,
    echo_text,
    executable,
    generate,
    generate_content,
    generate_object,
    generate_text,
    generate_texts,
    parallel,
    registry,
    repeat,
    truncate_reply,
)
from llmmw.sim import Script, SimulatedProvider

pytestmark = pytest.mark.virtual


@pytest.fixture(autouse=True)
def _own_registry():
    with registry():
        yield


class Asked:
    """Runs flows over a scripted model, and keeps what it was asked."""

    def __init__(self, script: Any = "ok", can: Capabilities | None = None, stack=()):
        self.requests: list[Any] = []
        self.samples: list[int] = []
        able = {"m": can} if can else {}
        self.provider = SimulatedProvider({"m": self.answer}, able=able)
        self.script, self.stack, self.count = script, list(stack), 0

    def answer(self, call, number):
        self.requests.append(call.request)
        self.samples.append(call.sample)
        self.count += 1
        if callable(self.script):
            return self.script(call, number)
        several = isinstance(self.script, list)
        return self.script[min(number, len(self.script) - 1)] if several else self.script

    async def __call__(self, flow: Any, **options: Any) -> Any:
        async with Client("sim:m", stack=self.stack, providers=[self.provider]) as client:
            return await client.run(flow, **options)


def named(request: Generate) -> dict[str, Any]:
    return {name: getattr(request, name) for name in request.parameters()}


async def test_every_parameter_reaches_the_request() -> None:  # O28, L32
    asked = Asked("hello")
    given = {
        "temperature": 0.5,
        "top_p": 0.9,
        "top_k": 5,
        "min_p": 0.1,
        "seed": 7,
        "frequency_penalty": 0.1,
        "presence_penalty": 0.2,
        "repetition_penalty": 1.1,
        "logit_bias": {"5": 1.0},
        "logprobs": 2,
        "parallel_tool_calls": False,
        "tool_choice": "auto",
    }

    def weather(city: str) -> str:
        """How it is there."""

    text = await asked(
        generate_text(
            "hi",
            system="be brief",
            max_tokens=3,
            stop=["x"],
            output={"regex": ".*"},
            reasoning="low",
            tools=[weather],
            **given,
        )
    )
    assert text == "hello"
    (request,) = asked.requests
    assert [m.role for m in request.messages] == ["system", "user"]
    told = named(request)
    assert {name: told.pop(name) for name in given} == given
    assert told.pop("max_output_tokens") == 3
    assert told.pop("stop_sequences") == ("x",)
    assert told.pop("tools")[0].name == "weather"
    assert set(told) == {"output", "reasoning"}


# L32
@pytest.mark.parametrize(
    "wrong",
    [
        *({"temperature": -0.1}, {"top_p": 1.5}, {"top_k": -2}, {"max_tokens": 0}),
        *({"max_tokens": -5}, {"presence_penalty": "much"}, {"logprobs": -1}),
    ],
)
async def test_what_is_out_of_bounds_is_asked_of_nobody(wrong) -> None:
    asked = Asked()
    with pytest.raises(BadRequest, match=r"expected a (whole )?number from"):
        await asked(generate_text("hi", **wrong))
    assert not asked.requests


async def test_defaults_by_update_and_what_is_explicit_wins() -> None:  # O28
    asked = Asked()
    generate_text.update(temperature=0.0, max_output_tokens=10)
    await asked(generate_text("hi"))
    await asked(generate_text("hi", temperature=1.0, max_tokens=5))
    assert [named(one) for one in asked.requests] == [
        {"temperature": 0.0, "max_output_tokens": 10},
        {"temperature": 1.0, "max_output_tokens": 5},
    ]


# O28, O46
@pytest.mark.parametrize(
    ("prompt", "messages"),
    [
        ("hi", [Message("user", "hi")]),
        (Message("user", "hi"), [Message("user", "hi")]),
        ([("system", "s"), ("user", "hi")], [Message("system", "s"), Message("user", "hi")]),
        (["one", "two"], [Message("user", "one"), Message("user", "two")]),
        (
            ["look: ", MediaPart(media_type="image/png", url="http://x/a.png")],
            [
                Message(
                    "user",
                    (TextPart("look: "), MediaPart(media_type="image/png", url="http://x/a.png")),
                )
            ],
        ),
        ((TextPart("a"), TextPart("b")), [Message("user", (TextPart("a"), TextPart("b")))]),
        ({"role": "user", "content": "hi"}, [Message("user", "hi")]),
        (Generate(messages="hi"), [Message("user", "hi")]),
    ],
)
async def test_forms_of_prompts(prompt, messages) -> None:
    asked = Asked()
    await asked(generate_text(prompt))
    assert list(asked.requests[0].messages) == messages


async def test_answers_are_prompts() -> None:
    asked = Asked("said")
    content = generate_content("hi")
    whole = generate("hi")
    assert await asked(generate_text(content)) == "said"
    assert asked.requests[-1].messages == (Message("user", "said"),)
    await asked(generate_text(["hi", whole, "why?"]))
    assert [m.role for m in asked.requests[-1].messages] == ["user", "assistant", "user"]


async def test_the_whole_answer_and_what_is_in_it() -> None:  # O28, O29, L42
    asked = Asked(Script(pieces=["he", "llo"]))
    whole = generate("hi there")
    got, text, reason = await asked([whole, whole.future.text, whole.future.finish_reason])
    assert (got.text, text, reason) == ("hello", "hello", "stop")
    assert got.usage.input_tokens == 2
    assert asked.count == 1
    assert await asked(generate_content("hi")) == (TextPart("hello"),)


async def test_several_texts_are_samples_of_their_own() -> None:  # O30, S21
    asked = Asked(lambda call, number: f"number {call.sample}")
    assert await asked(generate_texts("hi", 3)) == ["number 0", "number 1", "number 2"]
    assert await asked(generate_texts("hi", 1)) == ["number 0"]
    assert await asked(generate_texts("hi", 0)) == []
    assert await asked(generate_text("hi")) == "number 0"


async def test_a_seed_is_another_one_for_each_sample() -> None:
    asked = Asked()
    await asked(generate_texts("hi", 3, seed=5))
    assert sorted(one.seed for one in asked.requests) == [5, 6, 7]
    asked.requests.clear()
    await asked(repeat(generate_texts("hi", 2, seed=5), 2))
    seeds = {one.seed for one in asked.requests}
    assert len(seeds) == 4
    assert all(0 <= seed < 2**31 for seed in seeds)


async def test_several_texts_in_one_request_where_that_can_be() -> None:  # O30, S21
    can = Capabilities(parameters=frozenset({"n"}))
    asked = Asked("one", can)
    assert await asked(generate_texts("hi", 3, in_one_request=True)) == ["one"]  # all it gave
    assert [one.n for one in asked.requests] == [3]
    asked = Asked("one", Capabilities(parameters=frozenset({"seed"})))
    assert await asked(generate_texts("hi", 3, in_one_request=True)) == ["one"] * 3
    assert [one.n for one in asked.requests] == [None] * 3


async def test_a_repeat_of_what_was_cached_asks_nothing() -> None:  # O19, O20
    asked = Asked(lambda call, number: f"number {number}", stack=[Cache(sampled=True)])
    async with Client("sim:m", stack=asked.stack, providers=[asked.provider]) as client:
        question = generate_text("hi", temperature=1)
        first = await client.run(repeat(question, 3))
        assert sorted(first) == ["number 0", "number 1", "number 2"]
        assert await client.run(repeat(question, 3)) == first
        assert await client.run(question) == first[0]  # the first sample is the plain call
        assert asked.count == 3
        more = await client.run(repeat(question, 2, start=2))
        assert more[0] == first[2]
        assert asked.count == 4
        nested = await client.run(repeat(repeat(question, 2), 2))
        assert nested[0] == first[:2]
        assert asked.count == 6
        assert await client.run(repeat(repeat(question, 2), 2)) == nested
        assert asked.count == 6


async def test_samplers() -> None:  # O21
    asked = Asked(lambda call, number: f"{call.request.messages[0].text}{call.sample}")

    @executable
    def question(topic, style=""):
        return generate_text(f"{topic}{style}")

    one = Repeated(question)
    assert await asked(one("a", n=3)) == ["a0", "a1", "a2"]
    assert await asked(one("a", style="!", n=1, start=4)) == ["a!4"]
    turns = RoundRobin([generate_text("A"), generate_text("B")])
    assert await asked(turns(n=5)) == ["A0", "B0", "A1", "B1", "A2"]
    assert await asked(turns(n=3, start=3)) == ["B1", "A2", "B2"]
    assert await asked(turns(n=1, start=1)) == ["B0"]
    assert await asked(turns(n=0)) == []
    whole = await asked(RoundRobin([Repeated(question).inner] * 3)("a", n=4))
    assert whole == ["a0", "a0", "a0", "a1"]
    parts = [await asked(turns(n=1, start=at)) for at in range(7)]
    assert [one for (one,) in parts] == await asked(turns(n=7))
    with pytest.raises(BadRequest, match="one Executable at least"):
        RoundRobin([])
    with pytest.raises(BadRequest, match="n='2'"):
        turns(n="2")


async def test_echo() -> None:  # O39
    generate_text.configure(echo_text)
    async with Client(stack=[]) as client:
        flow = generate_text(generate_text(["a", "b"], temperature=0), model="none:x")
        assert await client.run(flow) == "ab"


async def test_raw_text_for_completion_models() -> None:
    asked = Asked(" 4")
    assert await asked(generate_text("2 + 2 =", raw=True)) == " 4"
    assert await asked(generate_text([("user", "a"), ("assistant", "b")], raw=True)) == " 4"
    assert [(one.prompt, one.messages) for one in asked.requests] == [("2 + 2 =", ()), ("ab", ())]
    with pytest.raises(BadRequest, match="raw=True takes text alone, and no media"):
        await asked(generate_text([MediaPart(media_type="image/png", url="http://x/a")], raw=True))


# O41
@pytest.mark.parametrize(
    ("prompt", "healing", "sent", "came"),
    [
        ("a ", "space", "a", "b"),
        ("a   ", "space", "a", "b"),
        ("a", "space", "a", " b"),
        ("a ", "none", "a ", " b"),
        ("a ", None, "a ", " b"),
        (" ", "space", "", "b"),
    ],
)
@pytest.mark.parametrize("raw", [True, False])
async def test_space_healing(prompt, healing, sent, came, raw) -> None:
    asked = Asked(" b")
    assert await asked(generate_text(prompt, healing=healing, raw=raw)) == came
    assert await asked(generate(prompt, healing=healing, raw=raw).future.text) == came
    assert await asked(generate_texts(prompt, 2, healing=healing, raw=raw)) == [came, came]
    (said,) = {one.prompt if raw else one.messages[0].text for one in asked.requests}
    assert said == sent


# O27
@pytest.mark.parametrize(
    ("reply", "stops", "left"),
    [
        ("ab<stop>c", ["<stop>"], "ab"),
        ("abc", ["x"], "abc"),
        ("abcb", ["c", "b"], "a"),
        ("abc", [], "abc"),
        ("abc", [""], "abc"),
        ("abc", ["a"], ""),
    ],
)
def test_truncate_reply(reply, stops, left) -> None:
    assert truncate_reply(reply, stops) == left


# ---- values of a type -------------------------------------------------------------------------


@attrs.frozen
class Invoice:
    total: float
    lines: list[str]


@dataclasses.dataclass
class Bill:
    total: float
    lines: list[str]


class Model(pydantic.BaseModel):
    total: float = pydantic.Field(ge=0)
    lines: list[str]


class Row(TypedDict):
    total: float
    lines: list[str]


GOOD = '{"total": 3.5, "lines": ["tea"]}'
SCHEMA = {
    "type": "object",
    "properties": {"total": {"type": "number"}, "lines": {"type": "array"}},
    "required": ["total", "lines"],
}


# O38, S21
@pytest.mark.parametrize(
    ("kind", "value"),
    [
        (Invoice, Invoice(3.5, ["tea"])),
        (Bill, Bill(3.5, ["tea"])),
        (Model, Model(total=3.5, lines=["tea"])),
        (Row, {"total": 3.5, "lines": ["tea"]}),
        (SCHEMA, {"total": 3.5, "lines": ["tea"]}),
        (JsonSchema(SCHEMA), {"total": 3.5, "lines": ["tea"]}),
        ("json", {"total": 3.5, "lines": ["tea"]}),
    ],
)
@pytest.mark.parametrize(
    "outputs", [None, frozenset({"schema", "json"}), frozenset(), frozenset({"grammar", "json"})]
)
async def test_objects_of_any_kind_by_any_way(kind, value, outputs) -> None:
    can = None
    if outputs is not None:
        can = Capabilities(
            parameters=frozenset({"output"} if outputs else {"seed"}), outputs=outputs
        )
    asked = Asked(GOOD, can)
    got = await asked(generate_object("the bill", kind))
    assert got == value
    assert type(got) is type(value)
    (request,) = asked.requests
    if outputs == frozenset():  # it has been asked for in words
        assert request.output is None
        assert "JSON" in request.messages[0].text
    else:
        assert request.output is not None


async def test_a_list_of_them_and_an_item_of_what_is_not_there_yet() -> None:  # O38
    asked = Asked('{"value": [' + GOOD + "]}")
    made = generate_object("the bills", list[Model])
    bills, total = await asked([made, made.future[0].total])
    assert bills == [Model(total=3.5, lines=["tea"])]
    assert (total, asked.count) == (3.5, 1)


async def test_a_model_is_told_what_is_wrong_with_its_answer() -> None:  # O38
    asked = Asked(["no idea", '{"total": -1, "lines": []}', GOOD])
    assert await asked(generate_object("the bill", Model)) == Model(total=3.5, lines=["tea"])
    first, second, third = (one.messages for one in asked.requests)
    assert second[: len(first)] == first
    assert [m.role for m in second] == ["user", "assistant", "user"]
    assert second[1].text == "no idea"
    assert re.search("That will not do: .*form that was asked for", second[2].text)
    assert third[:3] == second
    assert third[3].text == '{"total": -1, "lines": []}'
    assert "total" in third[4].text
    assert "greater than or equal to 0" in third[4].text


@pytest.mark.parametrize("stack", [[], [Guard()]])
@pytest.mark.parametrize("retries", [0, 1, 2])
async def test_it_is_asked_so_often_and_no_more(retries, stack) -> None:  # O38
    asked = Asked(["no", "nor this", "never"], stack=stack)
    with pytest.raises(OutputInvalid) as caught:
        await asked(generate_object("the bill", Invoice, retries=retries))
    assert asked.count == retries + 1
    assert caught.value.partial.text == ["no", "nor this", "never"][retries]


async def test_what_can_be_no_object_is_asked_of_nobody() -> None:
    asked = Asked()
    with pytest.raises(BadRequest, match=r"has no form in JSON|output="):
        await asked(generate_object("x", Client))
    with pytest.raises(BadRequest, match="retries=-1"):
        await asked(generate_object("x", Invoice, retries=-1))
    can = Capabilities(parameters=frozenset({"seed"}))
    strict = Asked(can=can)
    with pytest.raises(UnsupportedFeature):
        await strict(generate_object("x", Invoice, unsupported="error"))
    assert not asked.requests
    assert not strict.requests


async def test_objects_are_cached_and_every_ask_is_heard() -> None:  # O38
    asked = Asked(["no", GOOD], stack=[Cache()])
    heard: list[CallMade] = []

    def observer(event: Any) -> None:
        if isinstance(event, CallMade):
            heard.append(event)

    async with Client("sim:m", stack=asked.stack, providers=[asked.provider]) as client:
        made = generate_object("the bill", Model)
        first = await client.run(made, observer=observer)
        assert (asked.count, len(heard)) == (2, 2)
        again = await client.run(parallel(made, made), observer=observer)
        assert asked.count == 2
        assert again == [first, first]
        assert {one.name for one in heard} == {"generate_object"}
