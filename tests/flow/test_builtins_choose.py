"""Builtins that weigh texts, make vectors, and count tokens."""

from __future__ import annotations

import math
from typing import Any

import attrs
import pytest

from llmmw import (
    Capabilities,
    Choice,
    Client,
    CountTokens,
    Detokenize,
    Detokenized,
    Embed,
    Embeddings,
    Finish,
    Generate,
    Score,
    Scores,
    TokenCount,
    Tokenize,
    Tokens,
)
from llmmw.errors import BadRequest, OutputInvalid, UnsupportedFeature
from llmmw.flow import (
    NodeStarted,
    count_tokens,
    detokenize,
    embed,
    generate_text,
    rank,
    ranking,
    registry,
    score_text,
    select,
    tokenize,
)
from llmmw.plugin import Provider, ResponseBuilder

pytestmark = pytest.mark.virtual


@pytest.fixture(autouse=True)
def _own_registry():
    with registry():
        yield


@attrs.define(eq=False)
class Weighs(Provider):
    """Scores a text by how often it has an `a`; is held to choices; has a letter for a token."""

    name: str = "w"
    kinds: frozenset[type] | None = None
    parameters: frozenset[str] | None = None
    refuses: tuple[type, ...] = ()
    seen: list[Any] = attrs.field(factory=list)

    def capabilities(self, model: str) -> Capabilities:
        return Capabilities(kinds=self.kinds, parameters=self.parameters)

    async def __call__(self, call):
        asked = call.request
        if isinstance(asked, self.refuses):
            raise UnsupportedFeature("it does not do that")
        self.seen.append(asked)
        if isinstance(asked, Score):
            return Scores(scores=[float(one.count("a")) for one in asked.options])
        if isinstance(asked, Embed):
            return Embeddings(vectors=[[len(one), asked.dimensions or 0] for one in asked.inputs])
        if isinstance(asked, Tokenize):
            return Tokens(tokens=[ord(one) for one in asked.text])
        if isinstance(asked, Detokenize):
            return Detokenized(text="".join(map(chr, asked.tokens)))
        if isinstance(asked, CountTokens):
            return TokenCount(tokens=1000)
        assert isinstance(asked, Generate)
        answer = ResponseBuilder(call, self.name)
        if isinstance(asked.output, Choice):
            await answer.text(max(asked.output.options, key=lambda one: one.count("a")))
        else:
            await answer.text("hm")
        return await answer.finish(Finish("stop"))

    async def run(self, flow: Any, **options: Any) -> Any:
        async with Client("w:m", stack=[], providers=[self]) as client:
            return await client.run(flow, **options)


async def test_scores_are_in_the_order_of_the_options() -> None:  # O33
    model = Weighs()
    assert await model.run(score_text("x", ["b", "aa", "a"])) == [0, 2, 1]
    assert model.seen == [Score(prompt="x", options=["b", "aa", "a"], model="w:m")]
    await model.run(score_text([("user", "Hi")], ["b"]))
    assert model.seen[-1].prompt == "Task: Hi\nAnswer:"


# O41
@pytest.mark.parametrize(
    ("prompt", "healing", "sent", "options"),
    [
        ("x ", "space", "x", (" a", " b")),
        ("x", "space", "x", ("a", " b")),
        ("x ", None, "x ", ("a", " b")),
    ],
)
async def test_scores_with_space_healing(prompt, healing, sent, options) -> None:
    model = Weighs()
    await model.run(score_text(prompt, ["a", " b"], healing=healing))
    assert (model.seen[0].prompt, model.seen[0].options) == (sent, options)


async def test_the_most_probable_one_is_selected_and_of_equals_the_first() -> None:  # O36
    model = Weighs()
    flow = [
        select("x", ["b", "aa", "a"]),
        select("x", ["c", "b", "d"]),
        select("x", ["b", "ba", "ab"]),
        select("x", ["only"]),
    ]
    assert await model.run(flow) == ["aa", "c", "ba", "only"]
    assert all(isinstance(one, Score) for one in model.seen)
    assert len(model.seen) == 3  # there is nothing to choose from one


async def test_ranked_by_score_and_equals_as_they_were_given() -> None:  # O37
    model = Weighs()
    options = ["b", "aa", "a", "c", "ab"]
    whole = ranking("x", options)
    got = await model.run(whole)
    assert got.scores == (0, 2, 1, 0, 1)  # as the options are
    assert got.order == (1, 2, 4, 0, 3)
    assert got.ranked == ["aa", "a", "ab", "b", "c"]
    assert (got.best, got.options) == ("aa", tuple(options))
    assert await model.run(rank("x", options)) == got.ranked
    assert await model.run(rank("x", options, top_k=2)) == ["aa", "a"]
    assert await model.run(rank("x", options, 99)) == got.ranked
    assert await model.run(whole.future.best) == "aa"


# O36, O37: where nothing is told of probabilities
@pytest.mark.parametrize("known", [True, False])
async def test_else_the_model_is_held_to_a_choice_of_what_is_left(known) -> None:
    kinds = frozenset({Generate}) if known else None
    parameters = frozenset({"output", "temperature"}) if known else None
    model = Weighs(kinds=kinds, parameters=parameters, refuses=(Score,))
    assert await model.run(select("x", ["b", "aa", "a"])) == "aa"
    assert [one.output.options for one in model.seen] == [("b", "aa", "a")]
    assert model.seen[0].temperature == (0 if known else None)
    model.seen.clear()
    got = await model.run(ranking("x", ["b", "aa", "a", "c"]))
    assert (got.ranked, got.scores) == (["aa", "a", "b", "c"], None)
    assert [one.output.options for one in model.seen] == [
        ("b", "aa", "a", "c"),
        ("b", "a", "c"),
        ("b", "c"),
    ]
    model.seen.clear()
    assert await model.run(rank("x", ["b", "aa", "a", "c"], 2, temperature=0.5)) == ["aa", "a"]
    assert [one.temperature for one in model.seen] == [0.5, 0.5]


async def test_a_model_that_will_not_choose() -> None:
    class Stubborn(Weighs):
        async def __call__(self, call):
            self.seen.append(call.request)
            answer = ResponseBuilder(call, self.name)
            await answer.text("neither")
            return await answer.finish(Finish("stop"))

    model = Stubborn(kinds=frozenset({Generate}))
    with pytest.raises(OutputInvalid, match="none of 'a', 'b'"):
        await model.run(select("x", ["a", "b"]))
    assert len(model.seen) == 3
    assert model.seen[2].messages[-1].text.startswith("That will not do: ")


@pytest.mark.parametrize(
    ("options", "top_k", "wrong"),
    [
        ([], None, "expected texts, at least one"),
        (["a", 3], None, "expected texts, at least one"),
        (["a", "b", "a"], None, "options: 'a' is there twice"),
        (["a", "b"], 0, "top_k=0: expected a whole number from 1 on"),
    ],
)
async def test_what_can_not_be_ranked(options, top_k, wrong) -> None:
    model = Weighs()
    with pytest.raises(BadRequest, match=wrong):
        await model.run(rank("x", options, top_k))
    assert not model.seen


async def test_other_scores_make_another_choice() -> None:  # O36
    score_text.configure(lambda prompt, options: [-len(one) for one in options])
    model = Weighs(kinds=frozenset({Generate}))
    assert await model.run(select("x", ["aaa", "b", "cc"])) == "b"
    assert not model.seen
    started = []

    def observer(event):
        if isinstance(event, NodeStarted):
            started.append((event.depth, event.name))

    await model.run(select("x", ["aaa", "b"]), observer=observer)
    assert started == [(1, "select"), (2, "ranking"), (3, "score_text")]


async def test_options_that_are_not_there_yet() -> None:
    model = Weighs()
    flow = select(generate_text("x"), [generate_text("y"), "aa"])  # type: ignore[list-item]
    assert await model.run(flow) == "aa"
    assert model.seen[-1] == Score(prompt="hm", options=["hm", "aa"], model="w:m")


async def test_vectors() -> None:  # O32
    model = Weighs()
    assert await model.run(embed("abc")) == [3.0, 0.0]
    assert await model.run(embed(["abc", "d"], dimensions=2)) == [[3.0, 2.0], [1.0, 2.0]]
    await model.run([embed("a", purpose="query"), embed("a", purpose="document")])
    assert {one.purpose for one in model.seen[-2:]} == {"query", "document"}
    assert model.seen[-1].key() != model.seen[-2].key()


async def test_tokens_and_their_number() -> None:  # O31
    model = Weighs()
    tokens, text, count = await model.run(
        [tokenize("hi!"), detokenize(tokenize("hi!")), count_tokens("hi!")]
    )
    assert (tokens, text, count) == ([104, 105, 33], "hi!", 3)
    assert await model.run(count_tokens([("user", "hi!")])) == 1000  # as the model sees it


@pytest.mark.parametrize("known", [True, False])
async def test_tokens_are_counted_by_others_where_nobody_splits_text(known) -> None:  # O31
    kinds = frozenset({CountTokens}) if known else None
    model = Weighs(kinds=kinds, refuses=(Tokenize,))
    assert await model.run(count_tokens("hi!")) == 1000
    with pytest.raises(UnsupportedFeature):
        await model.run(tokenize("hi!"))
    tokenize.configure(lambda text: text.split())
    assert await model.run(count_tokens("a b c")) == 3


@pytest.mark.parametrize("most", [0, True, 1.5, "2"])
async def test_a_number_of_the_best_that_can_not_be_is_refused(most) -> None:
    with pytest.raises(BadRequest, match="top_k="):
        await Weighs().run(ranking("p", ["a", "b"], most))


async def test_scores_that_are_none_come_last_and_one_a_piece_is_needed() -> None:
    score_text.configure(lambda prompt, options: [math.nan, -2.0, -1.0][: len(options)])
    told = await Weighs().run(ranking("p", ["a", "b", "c"]))
    assert told.ranked == ["c", "b", "a"]
    with pytest.raises(BadRequest, match="gave 3 scores for 4 options"):
        await Weighs().run(ranking("p", ["a", "b", "c", "d"]))
