"""The builtins with a real model: what it scores, chooses, and makes values of."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, Literal, TypedDict

import pydantic
import pytest
import trio

from llmmw import Client
from llmmw.flow import (
    count_tokens,
    detokenize,
    embed,
    generate_object,
    generate_text,
    generate_texts,
    instruct,
    rank,
    ranking,
    score_text,
    select,
    tokenize,
)

pytestmark = pytest.mark.plugins


@pytest.fixture(scope="module")
def ran() -> Callable[[Any], Any]:
    """Runs a flow."""

    def run(flow: Any) -> Any:
        async def main() -> Any:
            async with Client("local:smollm2", stack=[], options={"local": {"slots": 2}}) as client:
                return await client.run(flow)

        return trio.run(main)

    return run


PROMPT = "The capital of France is"


def test_scores_and_choices(ran) -> None:  # O33, O36, O37, O41
    options = [" banana", " Paris", " London"]
    scores, best, all_, healed, said = ran(
        [
            score_text(PROMPT, options),
            select(PROMPT, options),
            ranking(PROMPT, options),
            score_text(f"{PROMPT} ", ["banana", "Paris", "London"], healing="space"),
            rank([("user", "Is the sky at noon green or blue?")], [" green", " blue"]),
        ]
    )
    assert all(score < 0 for score in scores)
    assert scores[1] > scores[2] > scores[0]
    assert math.exp(scores[1]) > 0.5
    assert (best, all_.ranked) == (" Paris", [" Paris", " London", " banana"])
    assert list(all_.scores) == scores
    assert healed == pytest.approx(scores, abs=1e-3)
    assert said[0] == " blue"


class City(TypedDict):
    name: str
    country: str


class Pet(pydantic.BaseModel):
    animal: Literal["cat", "dog"]
    age: int = pydantic.Field(ge=0, le=50)


def test_values_of_types(ran) -> None:  # O38
    given = {"temperature": 0, "max_output_tokens": 80}
    city, pet, number = ran(
        [
            generate_object("Paris is a city in France. Tell its name and country.", City, **given),
            generate_object("I have a dog. It is 3 years old.", Pet, **given),
            generate_object("How much is one and one?", int, **given),
        ]
    )
    assert city["name"] == "Paris"
    assert set(city) == {"name", "country"}
    assert pet == Pet(animal="dog", age=3)
    assert type(number) is int


def test_tokens_vectors_and_texts(ran) -> None:  # O30, O31, O32, O34
    texts = generate_texts("Name a colour.", 2, temperature=1.0, seed=3, max_output_tokens=5)
    tokens, back, count, asked, vector, raw, told, several, again = ran(
        [
            tokenize("hello world"),
            detokenize(tokenize("a naïve wörld")),
            count_tokens("hello world"),
            count_tokens([("user", "hello world")]),
            embed("a dog"),
            generate_text(f"{PROMPT} ", raw=True, healing="space", max_tokens=2, temperature=0),
            instruct("Name the capital of France.", "The capital", temperature=0, max_tokens=8),
            texts,
            generate_texts("Name a colour.", 2, temperature=1.0, seed=3, max_output_tokens=5),
        ]
    )
    assert (len(tokens), back) == (count, "a naïve wörld")
    assert asked > count
    assert len(vector) > 100
    assert raw.startswith("Paris")
    assert "Paris" in told
    assert not told.startswith("The capital")
    assert len(set(several)) == 2
    assert len(again) == 2
