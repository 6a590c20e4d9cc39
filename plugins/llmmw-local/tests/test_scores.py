"""Scores, vectors and tokens: against brute force, and the same bit for bit however asked."""

from __future__ import annotations

import math
from contextlib import asynccontextmanager

import orjson
import pytest
import trio
import trio.testing
from hypothesis import given
from hypothesis import strategies as st
from llmmw_local._provider import Local
from llmmw_local._scores import Plan, Split

from llmmw import Client, CountTokens, Detokenize, Embed, Generate, Message, Score, Tokenize
from llmmw.errors import BadRequest, ContextWindowExceeded, ServerError, UnsupportedFeature
from llmmw.plugin import Call, Host, open_nursery

pytestmark = pytest.mark.plugins

FRANCE = "The capital of France is"


@asynccontextmanager
async def open_local(**options):
    async with open_nursery() as nursery:
        provider = Local(**({"threads": 1, "context": 512} | options))
        async with provider.open(Host(nursery)):
            yield provider


def engine_of(provider, purpose="score"):
    return next(e for (_, kind), e in provider._engines.items() if kind == purpose)


async def wait_idle(engine) -> float:
    begin = trio.current_time()
    while engine.slots.taken:
        await trio.sleep(0.001)
    return trio.current_time() - begin


@pytest.fixture
def score(gguf):
    """Asks one provider for scores."""

    async def ask(local, prompt, *options):
        answer = await local(Call(Score(model=f"local:{gguf}", prompt=prompt, options=options)))
        return answer.scores

    return ask


# The plan, without a model.

rows = st.lists(st.integers(0, 3), max_size=5).map(tuple)


def logprob(before, token) -> float:
    """A made-up model."""
    return -1.0 - (hash((before, token)) % 1000) / 1000


@given(rows, st.lists(rows, min_size=1, max_size=5), st.sets(st.integers(0, 3)))
def test_every_option_is_the_sum_of_its_tokens(prompt, wholes, broken):
    """By one request for each token that follows other ones, and in no more jumps than need be."""
    try:
        plan = Plan.of(
            Split(prompt, frozenset()),
            [Split(whole, frozenset(broken) & {*whole}) for whole in wholes],
            Split((9,), frozenset()),
        )
    except BadRequest:
        assert any(whole[:1] != prompt[:1] or not prompt for whole in wholes)
        return
    pieces, asked = [], []
    for body in map(orjson.loads, plan.bodies()):
        before, ((forced, _),) = tuple(body["prompt"]), body["logit_bias"]
        asked.append((before, forced))
        told = [{"id": t, "logprob": logprob(before, t)} for t in range(10)]
        content = [told[forced] | {"top_logprobs": told if body["logprobs"] > 1 else []}]
        pieces.append(orjson.dumps({"choices": []}))
        pieces.append(orjson.dumps({"choices": [{"logprobs": {"content": content}}]}))
    start = min(len(plan_prefix(prompt, whole)) for whole in wholes)
    expected = [
        math.fsum(logprob(whole[:i], whole[i]) for i in range(start, len(whole)))
        for whole in wholes
    ]
    assert plan.scores(pieces) == expected
    every = {(whole[:i], whole[i]) for whole in wholes for i in range(start, len(whole))}
    assert len(asked) == len(every)
    assert not {forced for _, forced in asked} & broken
    if pieces:
        with pytest.raises(ServerError, match="closed before all options"):
            plan.scores(pieces[:-1])


def plan_prefix(prompt, whole):
    both = zip(prompt, whole, strict=False)
    same = next((i for i, (a, b) in enumerate(both) if a != b), min(len(prompt), len(whole)))
    return prompt[:same]


def test_what_the_engine_does_not_tell():
    plan = Plan.of(Split((1,), frozenset()), [Split((1, 2), frozenset())], Split((9,), frozenset()))
    other = {"id": 3, "logprob": -1.0, "top_logprobs": []}
    with pytest.raises(ServerError, match="no log-probability of the token 2"):
        plan.scores([orjson.dumps({"choices": [{"logprobs": {"content": [other]}}]})])
    least = other | {"id": 2, "logprob": -3.4e38}
    assert plan.scores([orjson.dumps({"choices": [{"logprobs": {"content": [least]}}]})]) == [-104]


# The model.


async def test_against_all_tokens_there_are(gguf, score):
    """The whole distribution, asked for in another way, sums to 1 and says the same; its greatest
    is what a greedy generation takes."""
    options = (" Paris", " a", " the", " London", "!")
    async with open_local() as local:
        scores = await score(local, FRANCE, *options)
        told = await engine_of(local).ask("/tokenize", {"content": FRANCE})
        prompt = tuple(told[0]["tokens"])
        body = {"prompt": prompt, "max_tokens": 1, "temperature": 0, "logprobs": 60000}
        await engine_of(local).slots.wait_free()
        job = engine_of(local).start([orjson.dumps(body)], "complete")
        chunks = [orjson.loads(piece) for piece in [p async for p in said(job)]]
        (content,) = chunks[0]["choices"][0]["logprobs"]["content"]
        every = {row["id"]: row["logprob"] for row in content["top_logprobs"]}
        assert math.fsum(map(math.exp, every.values())) == pytest.approx(1, abs=1e-3)
        for option, scored in zip(options, scores, strict=True):
            (token,) = (await local(Call(Tokenize(model=f"local:{gguf}", text=option)))).tokens
            assert every[token] == scored
        greedy = Generate(model=f"local:{gguf}", prompt=FRANCE, max_output_tokens=1, temperature=0)
        best = options[scores.index(max(scores))]
        assert (await local(Call(greedy))).text == best
        assert max(scores) == max(every.values())


async def said(job):
    while pieces := await job.next_pieces():
        for piece in pieces:
            yield piece


async def test_the_same_however_asked(gguf, score):
    """A longer option is the sum of its parts; neither other options, nor their order, nor what is
    cached, nor what else is asked changes a bit."""
    long = f"It was a dark night. {FRANCE}"
    async with open_local(context=1024) as local:
        whole, first, again = await score(local, long, " a city of light", " a city", " a city")
        (rest,) = await score(local, f"{long} a city", " of light")
        assert first == again
        assert whole == pytest.approx(first + rest, abs=1e-12)
        await score(local, "Something else", "x")
        for others in ((" Paris", " a city of"), (" a city of lights",), ("",)):
            *_, same, none = await score(local, long, *others, " a city of light", "")
            assert (same, none) == (whole, 0)
        endless = Generate(
            model=f"local:{gguf}",
            prompt="Once",
            max_output_tokens=500,
            extra={"local": {"ignore_eos": True}},
        )
        async with trio.open_nursery() as nursery:
            nursery.start_soon(local, Call(endless))
            assert await score(local, long, " a city of light") == (whole,)
            nursery.cancel_scope.cancel()
    async with open_local(context=1024) as fresh:
        assert await score(fresh, long, " a city", " a city of light") == (first, whole)


async def test_where_prompt_and_option_melt(gguf, score):
    """Options are compared from where the first of them differs from the prompt."""
    async with open_local() as local:
        yes, digits = await score(local, "Answer: ", "yes", "42")
        assert (yes,) == await score(local, "Answer:", " yes")
        assert (digits,) == await score(local, "Answer:", " 42")
        assert await score(local, "Answer: ", "42") > (digits,)  # the space is not scored
        snow, parts = await score(local, "Snow: ", "☃", "☃☃")
        assert -104 < parts < snow < 0
        with pytest.raises(BadRequest, match="no token before the options"):
            await score(local, "", "a")
        with pytest.raises(BadRequest, match="no token before the options"):
            await score(local, "a", "b")
        assert await score(local, "", "") == (0,)
        with pytest.raises(ContextWindowExceeded, match="tokens and the context window 512"):
            await score(local, "word " * 600, "x")
        with pytest.raises(BadRequest, match="JSON"):
            await score(local, "\ud800", "x")


async def test_no_more_than_one_and_stopped(gguf, score):
    async with open_local() as local:
        (first,) = await score(local, FRANCE, " Paris")
        engine = engine_of(local)
        most, found = [], []

        async def ask():
            found.extend(await score(local, FRANCE, " Paris"))

        async with trio.open_nursery() as nursery:
            for _ in range(4):
                nursery.start_soon(ask)
            while len(found) < 4:
                most.append(len(engine._jobs))
                await trio.sleep(0)
        assert max(most) == 1
        assert found == [first] * 4
        async with trio.open_nursery() as nursery:
            nursery.start_soon(score, local, "word " * 400, " one", " two")
            while not engine._jobs:
                await trio.sleep(0.001)
            nursery.cancel_scope.cancel()
            begin = trio.current_time()
        assert trio.current_time() - begin < 0.1
        assert await wait_idle(engine) < 2  # all of it takes some 5 seconds


async def test_engine_closed_under_scores(gguf, score):
    async with open_local() as local:
        ended = []

        async def ask(what):
            with pytest.raises(ServerError, match="was closed before all") as caught:
                await what
            ended.append(caught.value)

        for purpose, request in (
            ("score", Score(model=f"local:{gguf}", prompt="word " * 100, options=["a b c"] * 3)),
            ("embed", Embed(model=f"local:{gguf}", inputs=["word " * 100] * 50)),
        ):
            async with trio.open_nursery() as nursery:
                nursery.start_soon(ask, local(Call(request)))
                while not any(kind == purpose for _, kind in local._engines):
                    await trio.sleep(0.001)
                engine = engine_of(local, purpose)
                while not engine._jobs:
                    await trio.sleep(0.001)
                await trio.to_thread.run_sync(engine.close)
        assert len(ended) == 2


async def test_vectors(gguf):
    """One a text, of length 1, the same every time; near texts are nearer than far ones."""
    texts = ["The cat sat on the mat.", "A kitten rests on a rug.", "Stock prices fell sharply."]
    async with open_local() as local:

        async def embed(*inputs, **more):
            asked = Embed(model=f"local:{gguf}", inputs=inputs, **more)
            return (await local(Call(asked))).vectors

        first = await embed(*texts)
        assert {len(row) for row in first} == {576}
        assert [math.hypot(*row) for row in first] == pytest.approx([1] * 3, abs=1e-5)
        cat, kitten, stock = first
        assert math.dist(cat, kitten) < math.dist(cat, stock)
        found = []

        async def again():
            found.append(await embed(texts[2], texts[0]))

        async with trio.open_nursery() as nursery:
            for _ in range(3):
                nursery.start_soon(again)
        assert found == [(stock, cat)] * 3
        assert await embed("cat", purpose="query") == await embed("cat", purpose="document")
        with pytest.raises(ContextWindowExceeded, match=r"70\d tokens and a vector is made of 512"):
            await embed("fine", "word " * 700)
        with pytest.raises(BadRequest, match="empty"):
            await embed("")
        with pytest.raises(UnsupportedFeature, match="dimensions"):
            await embed("cat", dimensions=64)


async def test_tokens(gguf):
    """What is split comes together again; a count is the length of what is counted."""
    name = f"local:{gguf}"
    async with open_local() as local:
        for text in ("", " a  b\n", "é☃ 👩‍👩‍👧", "<|im_start|>user\nhi<|im_end|>", "\x00"):
            tokens = (await local(Call(Tokenize(model=name, text=text)))).tokens
            assert (await local(Call(Detokenize(model=name, tokens=tokens)))).text == text
            if text:
                asked = Generate(model=name, prompt=text, max_output_tokens=1)
                assert (await local(Call(asked))).usage.input_tokens == len(tokens)
        chat = "<|im_start|>system\nBe.<|im_end|>\n<|im_start|>user\nhi<|im_end|>\n"
        messages = [Message("system", "Be."), Message("user", "hi")]
        count = await local(Call(CountTokens(model=name, messages=messages)))
        written = await local(Call(Tokenize(model=name, text=f"{chat}<|im_start|>assistant\n")))
        assert count.tokens == len(written.tokens)
        half = await local(Call(Detokenize(model=name, tokens=[173])))
        assert half.text == "\ufffd"
        with pytest.raises(BadRequest, match="no token of the number 1000000"):
            await local(Call(Detokenize(model=name, tokens=[1, 10**6])))
        with pytest.raises(BadRequest, match="JSON"):
            await local(Call(Tokenize(model=name, text="\ud800")))


async def test_by_a_client(gguf):
    options = {"local": {"threads": 1, "context": 512}}
    async with Client(f"local:{gguf}", options=options) as client:
        scores = await client.score(FRANCE, [" London", " Paris", " Paris"])
        assert (scores.best, scores.usage.input_tokens) == (1, 7)
        tokens = await client.tokenize(" Paris")
        assert tokens.provider == "local"
        assert (await client.detokenize(tokens.tokens)).text == " Paris"
        vectors = await client.embed("x")
        assert (len(vectors.vectors), vectors.usage.input_tokens) == (1, 1)
