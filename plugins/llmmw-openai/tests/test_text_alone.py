"""Pieces that have text alone are read by a shorter way, which gives the same."""

from __future__ import annotations

import copy
from typing import Any

import trio
from hypothesis import given
from hypothesis import strategies as st
from llmmw_openai._answer import Answer

from llmmw import Call, Generate
from llmmw.plugin import ResponseBuilder

_ABOUT = st.fixed_dictionaries(
    {},
    optional={
        "id": st.sampled_from(["a", "b", None]),
        "model": st.sampled_from(["m", "n"]),
        "created": st.sampled_from([1, 2]),
        "usage": st.sampled_from([None, {"prompt_tokens": 3}, {"completion_tokens": 4}]),
        "x_groq": st.sampled_from([{}, {"usage": {"prompt_tokens": 9}}]),
        "obfuscation": st.text(max_size=3),
        "detail": st.just("d"),
    },
)
_DELTA = st.fixed_dictionaries(
    {},
    optional={
        "content": st.sampled_from(["", "one ", "two ", None, ["three"]]),
        "role": st.just("assistant"),
        "reasoning": st.sampled_from(["", "hm"]),
        "refusal": st.sampled_from([None, "no"]),
    },
)
_CHOICE = st.fixed_dictionaries(
    {},
    optional={
        "index": st.sampled_from([0, 0, 0, 1, True, False, 0.0, None, -1]),
        "delta": st.one_of(_DELTA, st.none()),
        "finish_reason": st.sampled_from([None, None, "", "stop"]),
        "logprobs": st.sampled_from([None, {"content": [{"token": "t", "logprob": -1.0}]}]),
        "usage": st.sampled_from([None, {"prompt_tokens": 5}]),
        "text": st.sampled_from(["", "t"]),
    },
)
_USUAL = st.builds(
    lambda text: {"index": 0, "delta": {"content": text}, "finish_reason": None},
    st.sampled_from(["one ", "two ", ""]),
)
_CHOICES = st.one_of(
    st.lists(_USUAL, min_size=1, max_size=1), st.lists(_CHOICE, max_size=2), st.none()
)
_CHUNK = st.builds(lambda about, choices: {**about, "choices": choices}, _ABOUT, _CHOICES)
_ALIKE = st.builds(
    lambda about, several: [{**about, "choices": choices} for choices in several],
    _ABOUT,
    st.lists(_CHOICES, max_size=6),
)
_CHUNKS = st.one_of(st.lists(_CHUNK, max_size=6), _ALIKE)


async def _read(chunks: list[Any], tags: Any, *, short: bool) -> tuple[Any, ...]:
    """The deltas and the response, and how many pieces went the shorter way."""
    told: list[Any] = []

    async def listen(delta: Any) -> None:
        told.append(delta)

    call = Call(Generate(messages="hi", model="openai:m"), listen)
    answer = Answer(ResponseBuilder(call, "openai", "m"), "openai", think_tags=tags)
    went = 0
    for chunk in copy.deepcopy(chunks):
        if short and (text := answer.text_alone(chunk)):
            went += 1
            await answer.builder.text(text)
        else:
            await answer.take(chunk)
    response = await answer.finish() if answer.finished else None
    return told, response, response and response.raw, answer.finished, went


@given(_CHUNKS, st.sampled_from(["no", "no", "open", "begun"]))
def test_the_shorter_way_gives_the_same(chunks: list[Any], tags: str) -> None:
    end = [{"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]}]
    *short, _ = trio.run(lambda: _read(chunks + end, tags, short=True))
    *whole, _ = trio.run(lambda: _read(chunks + end, tags, short=False))
    assert short == whole


def test_it_is_gone_by_what_hosts_send() -> None:
    about = {"id": "a", "object": "chat.completion.chunk", "created": 1, "usage": None}
    texts = [
        {"choices": [{"index": 0, "delta": {"content": text}, "finish_reason": None}]}
        for text in ("one ", "two ", "three")
    ]
    told, *_, went = trio.run(lambda: _read([about | text for text in texts], "no", short=True))
    assert "".join(getattr(delta, "text", "") for delta in told) == "one two three"
    assert went == 2
