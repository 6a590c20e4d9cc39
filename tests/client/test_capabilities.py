"""What targets can do, as users say, and what becomes of requests that they can't honour."""

from __future__ import annotations

import dataclasses
import traceback
from pathlib import Path
from typing import Any

import attrs
import pytest
import trio
from hypothesis import given
from hypothesis import strategies as st

import llmmw.sync
from llmmw import (
    Attempts,
    Call,
    Capabilities,
    Citation,
    Client,
    Config,
    CountTokens,
    Embed,
    Fallback,
    Finish,
    Generate,
    Generation,
    MediaPart,
    Message,
    ResponseStart,
    Restarted,
    TextPart,
    TokenLogprob,
    Usage,
    load_config,
    to_toml,
)
from llmmw._abilities import Abilities, Ability, abilities_of, row_of
from llmmw._deltas import Fold
from llmmw._listen import ResponseBuilder
from llmmw._request import parameter_names
from llmmw._together import Together
from llmmw.errors import (
    ConfigError,
    NotFound,
    OutputInvalid,
    StreamInterrupted,
    UnsupportedFeature,
)
from llmmw.sim import Script, SimulatedProvider
from llmmw.testing import Fault

BARE = Capabilities(
    kinds=frozenset({Generate, CountTokens}),
    parameters=frozenset({"temperature", "seed"}),
    media=frozenset(),
    outputs=frozenset(),
)


@attrs.define(eq=False)
class Able(SimulatedProvider):
    """Answers by scripts, can what it is told that it can, and keeps what it is asked."""

    can: Capabilities = attrs.field(default=BARE, kw_only=True)
    asked: list[Any] = attrs.field(factory=list, init=False)

    def capabilities(self, model: str) -> Capabilities:
        return self.can

    async def __call__(self, call: Call) -> Any:
        self.asked.append(call.request)
        return await super().__call__(call)


def able(scripts: Any = "ok", can: Capabilities = BARE) -> Able:
    return Able({"a": scripts, "b": "other"}, can=can)


@dataclasses.dataclass
class Bill:
    total: int


# What users say.


async def test_a_row_changes_what_a_provider_says() -> None:
    table = {
        "sim:*": {"cannot": ["temperature"]},
        "sim:a*": {"can": ["tools", "image", "schema", "prefill", "embed"], "cannot": ["seed"]},
        "sim:b": {"input_limit": 10, "output_limit": 5, "bills_on_cancel": True},
    }
    async with Client("sim:a", providers=[able()], capabilities=table) as client:
        assert client.capabilities("sim:c") == attrs.evolve(BARE, parameters=frozenset({"seed"}))
        assert client.capabilities("sim:abc") == Capabilities(
            kinds=frozenset({Generate, CountTokens, Embed}),
            parameters=frozenset({"temperature", "tools", "output"}),
            media=frozenset({"image"}),
            outputs=frozenset({"schema"}),
            prefill=True,
        )
        limited = attrs.evolve(BARE, input_limit=10, output_limit=5, bills_on_cancel=True)
        assert client.capabilities("sim:b") == limited
        with pytest.raises(NotFound, match="nobody"):
            client.capabilities("nobody:a")


def test_what_nobody_knows_stays_unknown_but_for_what_cannot() -> None:
    unknown = Capabilities()
    said = abilities_of({"x:y": {"can": ["tools", "image", "schema", "embed"]}}).rows[0]
    assert said.over(unknown) == unknown
    said = abilities_of({"x:y": {"cannot": ["tools", "image", "schema", "embed"]}}).rows[0]
    found = said.over(unknown)
    assert found.parameters == frozenset(parameter_names()) - {"tools"}
    assert found.media == frozenset({"audio", "video", "document"})
    assert found.outputs == frozenset({"json", "grammar", "regex", "choice"})
    assert found.kinds is not None
    assert Generate in found.kinds
    assert Embed not in found.kinds
    assert abilities_of({"x:y": {"cannot": ["prefill"]}}).rows[0].over(
        Capabilities(prefill=True)
    ) == Capabilities()  # fmt: skip


WORDS = st.frozensets(st.sampled_from(["tools", "output", "n", "image", "schema", "json"]))


@given(WORDS, WORDS, st.sampled_from([Capabilities(), BARE, Capabilities(media=frozenset())]))
def test_what_is_said_holds(can: frozenset[str], cannot: frozenset[str], told: Any) -> None:
    rows = {"x:y": {"can": sorted(can - cannot), "cannot": sorted(cannot)}}
    found = abilities_of(rows).rows[0].over(told)
    for words, known in (
        (parameter_names(), found.parameters),
        (("image",), found.media),
        (("schema", "json"), found.outputs),
    ):
        for word in words:
            if word in cannot:
                assert known is not None
                assert word not in known
            elif word in can:
                assert known is None or word in known


@given(
    st.builds(
        Capabilities,
        kinds=st.none() | st.frozensets(st.sampled_from([Generate, CountTokens, Embed])),
        parameters=st.none() | st.frozensets(st.sampled_from(parameter_names())),
        media=st.none() | st.frozensets(st.sampled_from(["image", "document"])),
        outputs=st.none() | st.frozensets(st.sampled_from(["json", "schema", "choice"])),
        prefill=st.booleans(),
        bills_on_cancel=st.none() | st.booleans(),
        output_limit=st.none() | st.just(8),
    )
)
def test_a_row_can_say_all_that_a_provider_can(can: Capabilities) -> None:
    said = abilities_of({"x:y": row_of(can)}).rows[0]
    assert said.over(Capabilities()) == can


def test_a_row_leaves_what_has_no_word_with_what_it_belongs_to() -> None:
    told = Capabilities(kinds=frozenset({Generate, Together}))
    assert Together in (Ability.of("x:y", {"output_limit": 9}, "here").over(told).kinds or ())
    without = Ability.of("x:y", {"cannot": ["generate"], "can": ["embed"]}, "here").over(told)
    assert without.kinds == {Embed}


def test_the_closest_row_counts() -> None:
    rows = {"x:*": {}, "x:abc*": {"can": ["n"]}, "x:a*": {}, "x:ab": {}, "*:ab": {}}
    table = abilities_of(rows)
    found = {name: getattr(table.row(name), "model", None) for name in ("x:ab", "x:abcd", "y:c")}
    assert found == {"x:ab": "x:ab", "x:abcd": "x:abc*", "y:c": None}
    assert abilities_of(None) == Abilities()


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"x:y": {"can": ["tool"]}}, "the capabilities of 'x:y': can: 'tool' is none of the words"),
        ({"x:y": {"can": ["tool"]}}, "tool_choice, tools, top_k"),
        ({"x:y": {"cannot": "tools"}}, "cannot='tools': expected a list of words"),
        ({"x:y": {"can": [["n"]]}}, "is none of the words"),
        ({"x:y": {"can": ["n"], "cannot": ["n"]}}, "'n' stands in can and in cannot"),
        ({"x:y": {"may": []}}, "have no field 'may'; known are can, cannot"),
        ({"x:y": {"input_limit": 0}}, "input_limit=0: expected a whole number"),
        ({"x:y": {"output_limit": True}}, "output_limit=True: expected a whole number"),
        ({"x:y": {"bills_on_cancel": 1}}, "bills_on_cancel=1"),
        ({"x:y": ["tools"]}, "expected a table with can and cannot"),
        ({"gpt": {}}, 'expected "provider:model"'),
        (7, "expected a table or the path of a file"),
        ("/nowhere/at/all.toml", "can't read the capabilities in /nowhere/at/all.toml"),
    ],
)
def test_a_wrong_table_is_told(given: Any, said: str) -> None:
    with pytest.raises(ConfigError) as caught:
        Client("x:y", capabilities=given)
    assert said in str(caught.value)


def test_a_table_is_a_file(tmp_path: Path) -> None:
    path = tmp_path / "can.toml"
    path.write_text('[capabilities."x:*"]\ncan = ["n"]\noutput_limit = 3\n')
    assert abilities_of(path) == abilities_of({"x:*": {"can": ["n"], "output_limit": 3}})
    path.write_text('[capabilities."x:*"]\ncan = ["m"]\n')
    with pytest.raises(ConfigError, match=r"can\.toml: the capabilities of 'x:\*': can: 'm'"):
        abilities_of(str(path))
    for text in ("model = 'x:y'", "capabilities = 3", "[other]", "]"):
        path.write_text(text)
        with pytest.raises(ConfigError, match=r"can\.toml"):
            abilities_of(path)


def test_tables_of_a_configuration(tmp_path: Path) -> None:
    path = tmp_path / "llmmw.toml"
    path.write_text(
        '[capabilities."sim:a"]\ncannot = ["temperature"]\n'
        '[prices."sim:a"]\ninput = 2\noutput = 4\n'
    )
    config = load_config(path)
    assert load_config(_written(tmp_path, to_toml(config))) == config
    assert Config(capabilities={"x:y": {"can": ("n",)}}) != Config()

    async def main() -> None:
        usage = Usage(input_tokens=1_000_000, output_tokens=500_000)
        provider = able(Script(pieces="ok", usage=usage))
        async with Client.from_config(config, "sim:a", providers=[provider]) as client:
            response = await client.ask("hi")
            assert response.usage is not None
            assert response.usage.cost == 4
            with pytest.raises(UnsupportedFeature, match="temperature"):
                await client.ask("hi", temperature=1)

    trio.run(main)
    for text, said in (
        ('[capabilities."x:y"]\ncan = ["m"]', "the capabilities of 'x:y': can: 'm' is none"),
        ("capabilities = 3", 'expected tables, each [capabilities."provider:model"]'),
        ('[prices."x:y"]\nout = 3', "the price of 'x:y' has no field 'out'"),
    ):
        with pytest.raises(ConfigError) as caught:
            load_config(_written(tmp_path, text))
        assert said in str(caught.value)
        assert "other.toml" in str(caught.value)


def _written(folder: Path, text: str) -> Path:
    path = folder / "other.toml"
    path.write_text(text)
    return path


def test_plain_programs_are_told() -> None:
    table = {"sim:*": {"can": ["n"]}}
    with llmmw.sync.Client("sim:a", providers=[able()], capabilities=table) as client:
        assert "n" in (client.capabilities("sim:a").parameters or ())
    with pytest.raises(RuntimeError, match="not open"):
        client.capabilities("sim:a")


# What becomes of a request.


async def test_what_is_refused_is_never_sent() -> None:
    image = MediaPart(media_type="image/png", data=b"x")
    provider = able()
    async with Client("sim:a", providers=[provider], stack=[]) as client:
        with pytest.raises(UnsupportedFeature, match=r"sim:a: messages\[0\] \(user\) holds image"):
            await client.ask(Message("user", (TextPart("what?"), image)), unsupported="drop")
        with pytest.raises(UnsupportedFeature, match="can't honour output"):
            await client.ask("hi", output=Bill)
        with pytest.raises(UnsupportedFeature, match="can't honour top_k"):
            await client.ask("hi", top_k=1, unsupported="emulate")
    assert provider.asked == []


async def test_a_target_that_cannot_is_passed_over_by_the_plan() -> None:
    stack = [Attempts(Fallback("sim:b"))]
    table = {"sim:b": {"can": ["top_k"]}}
    async with Client("sim:a", providers=[able()], stack=stack, capabilities=table) as client:
        assert (await client.ask("hi", top_k=1)).text == "other"


async def test_a_type_by_a_tool_and_by_a_grammar() -> None:
    script = Script(tool="Bill", pieces=('{"to', 'tal"', ": 7}"))
    for words in (["tools", "tool_choice"], ["grammar"]):
        provider = able(script if "tools" in words else '{"total": 7}')
        table = {"sim:a": {"can": words}}
        async with Client("sim:a", providers=[provider], capabilities=table) as client:
            response = await client.ask("what?", output=Bill)
            assert (response.value, response.warnings) == (Bill(7), ())
            assert response.tool_calls == ()
            async with client.stream("what?", output=Bill) as stream:
                told = [piece async for piece in stream.text]
            assert "".join(told) == '{"total": 7}'
            assert stream.response.value == Bill(7)


async def test_a_choice_by_a_member_of_a_schema() -> None:
    provider = able(Script(pieces=('{"val', 'ue": "y', 'es"}')))
    table = {"sim:a": {"can": ["schema"]}}
    async with Client("sim:a", providers=[provider], capabilities=table) as client:
        assert (await client.ask("what?", output={"choice": ["yes", "no"]})).value == "yes"
        async with client.stream("what?", output={"choice": ["yes", "no"]}) as stream:
            assert [piece async for piece in stream.text] == ["yes"]


async def test_words_in_place_of_a_mechanism() -> None:
    provider = able([Script(pieces=("```js", "on\n{", '"total": 3}\n``', "`")), "I won't."])
    async with Client("sim:a", providers=[provider]) as client:
        response = await client.ask("what?", output=Bill, unsupported="emulate")
        assert response.value == Bill(3)
        assert response.warnings == ("sim:a can't honour output: asked for in words",)
        assert provider.asked[0].output is None
        assert "total" in provider.asked[0].messages[0].text
        with pytest.raises(OutputInvalid, match="has not the form"):
            _ = (await client.ask("what?", output=Bill, unsupported="emulate")).value


async def test_several_answers_by_several_calls() -> None:
    usage = Usage(input_tokens=5, output_tokens=2)
    provider = able([Script(pieces=(text, "!"), usage=usage, first=1) for text in "pqr"])
    async with Client("sim:a", providers=[provider]) as client:
        response = await client.ask("hi", n=3, seed=7, unsupported="emulate")
    assert sorted(one.message.text for one in response.candidates) == ["p!", "q!", "r!"]
    assert response.text == response.candidates[0].message.text
    assert response.usage == Usage(input_tokens=15, output_tokens=6)
    assert response.warnings == ("sim:a can't honour n: 3 calls were made",)
    assert sorted(asked.seed for asked in provider.asked) == [7, 8, 9]
    assert {asked.n for asked in provider.asked} == {None}


async def test_one_of_several_that_fails_ends_them_all() -> None:
    provider = able([Script(hangs=True), Script(error=Fault("auth")), "ok"])
    async with Client("sim:a", providers=[provider], stack=[]) as client:
        with pytest.raises(Fault("auth")().__class__):
            await client.ask("hi", n=3, unsupported="emulate")
    assert provider.live == 0


async def test_an_answer_stops_where_it_should() -> None:
    provider = able(Script(pieces=("one, t", "wo, ST", "OP and", " on")))
    async with Client("sim:a", providers=[provider]) as client:
        kwargs: Any = {"stop_sequences": ["STOP", "and"], "unsupported": "emulate"}
        response = await client.ask("hi", **kwargs)
        assert response.text == "one, two, "
        assert response.finish is not None
        assert response.finish.stop_sequence == "STOP"
        async with client.stream("hi", **kwargs) as stream:
            told = [piece async for piece in stream.text]
        assert told == ["one, t", "wo, "]
        assert stream.response == response


async def test_an_answer_that_breaks_off_is_changed_too() -> None:
    provider = able(Script(pieces=("```json\n{", '"a"'), error=Fault("cut")))
    async with Client("sim:a", providers=[provider], stack=[]) as client:
        with pytest.raises(StreamInterrupted) as caught:
            async with client.stream("hi", output="json", unsupported="emulate") as stream:
                assert [piece async for piece in stream.text] == ["{", '"a"']
        assert isinstance(caught.value.partial, Generation)
        assert caught.value.partial.text == '{"a"'


# The answer told and the answer given are one, whatever was done for it.

PIECES = st.lists(st.sampled_from(["```json\n", "{}", "```", " ", "a", "ab", "b", ""]), max_size=7)
ASKED: list[tuple[list[str], dict[str, Any]]] = [
    ([], {"output": "json"}),
    ([], {"stop_sequences": ["ab", "ba"]}),
    ([], {"n": 2}),
    ([], {"n": 2, "output": {"choice": ["a", "b"]}, "stop_sequences": ["b"]}),
    (["tools", "tool_choice"], {"output": "json"}),
    (["tools", "tool_choice"], {"output": {"choice": ["a"]}, "n": 2, "stop_sequences": ["ab"]}),
    (["schema"], {"output": {"choice": ["a"]}}),
]


TWICE = st.lists(PIECES, min_size=2, max_size=2)


@given(TWICE, st.sampled_from(ASKED), st.sampled_from(["", "answer"]))
def test_the_fold_of_what_is_told_is_the_answer(
    texts: list[list[str]], case: tuple[list[str], dict[str, Any]], tool: str
) -> None:
    words, fields = case

    async def main() -> None:
        scripts = [Script(pieces=one or ["x"], tool=tool if words else "") for one in texts]
        table = {"sim:a": {"can": words}}
        told = Fold()

        async def hear(delta: Any) -> None:
            told(delta)

        async def ask(listener: Any) -> Generation:
            provider = able(list(scripts))
            settled: Any = {"providers": [provider], "stack": [], "capabilities": table}
            async with Client("sim:a", **settled) as client:
                return await client.ask("hi", listener=listener, unsupported="emulate", **fields)

        heard, silent = await ask(hear), await ask(None)
        messages = [one.message for one in heard.candidates] or [heard.message]
        while not messages[-1].parts and len(messages) > 1:
            messages.pop()  # of an answer without parts nothing can be told
        assert told.candidates() == messages
        assert (told.start.model, told.start.provider) == (heard.model, heard.provider)
        if "n" not in fields:
            assert heard == silent

    trio.run(main)


@attrs.define(eq=False)
class Restarting(Able):
    """Begins each answer anew."""

    async def __call__(self, call: Call) -> Any:
        if call.listener is not None:
            await super().__call__(call)
            await call.listener(Restarted("once more"))
        return await super().__call__(call)


async def test_one_of_several_that_begins_anew_voids_its_own_alone() -> None:
    provider = Restarting({"a": [Script(pieces=(text, "!")) for text in "pqrs"]}, can=BARE)
    told = Fold()
    kinds: list[type] = []

    async def hear(delta: Any) -> None:
        told(delta)
        kinds.append(type(delta))

    async with Client("sim:a", providers=[provider], stack=[]) as client:
        response = await client.ask("hi", n=2, unsupported="emulate", listener=hear)
    assert kinds.count(Restarted) == 2
    assert told.candidates() == [one.message for one in response.candidates]
    assert kinds.count(ResponseStart) == 3


def test_to_deny_one_thing_makes_nothing_else_known() -> None:
    said = abilities_of({"x:y": {"can": ["json"], "cannot": ["tools"]}}).rows[0]
    assert said.over(Capabilities()).outputs is None


@attrs.define(eq=False)
class Spelling(Able):
    """Tells a text token by token, each with its probability and a source; and may break off."""

    breaks: bool = attrs.field(default=False, kw_only=True)

    async def __call__(self, call: Call) -> Any:
        builder = ResponseBuilder(call, self.name)
        for at, word in enumerate(("a ", "b ", "ST", "OP", " c")):
            source = Citation(url=word, start=2 * at, end=2 * at + 2)
            await builder.text(word, logprobs=(TokenLogprob(word, -1.0),), citation=source)
        if self.breaks:
            raise builder.interrupted("cut")
        return await builder.finish(Finish("length"))


@pytest.mark.parametrize("words", [["STOP"], ["", "STOP"]], ids=["one", "an empty one besides"])
async def test_nothing_is_told_of_what_was_cut_away(words: list[str]) -> None:
    host = Spelling({}, can=attrs.evolve(BARE, parameters=frozenset({"logprobs"})))
    fold = Fold()
    async with Client("sim:a", providers=[host]) as client:
        async with client.stream(
            "hi", logprobs=0, stop_sequences=words, unsupported="emulate"
        ) as stream:
            async for delta in stream:
                fold(delta)
        response = stream.response
    assert (response.text, response.finish.stop_sequence) == ("a b ", "STOP")
    (part,) = response.parts
    assert isinstance(part, TextPart)
    assert [one.token for one in part.logprobs] == ["a ", "b "]
    assert [one.url for one in part.citations] == ["a ", "b "]
    assert fold.candidates()[0] == response.message


@pytest.mark.parametrize(
    "asked",
    [
        {"stop_sequences": ["STOP"], "unsupported": "emulate"},
        {"output": {"type": "object"}},
    ],
    ids=["edited", "by a tool"],
)
async def test_an_error_with_a_changed_answer_keeps_no_frame_of_its_provider(asked: Any) -> None:
    can = attrs.evolve(BARE, parameters=frozenset({"tools", "tool_choice"}))
    async with Client("sim:a", providers=[Spelling({}, can=can, breaks=True)], stack=[]) as client:
        with pytest.raises(StreamInterrupted) as caught:
            await client.ask("hi", **asked)
    frames = traceback.StackSummary.extract(traceback.walk_tb(caught.value.__traceback__))
    assert caught.value.__context__ is caught.value.__cause__ is None
    assert not any(frame.line and "builder" in frame.line for frame in frames)
