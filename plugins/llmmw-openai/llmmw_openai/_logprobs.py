"""Log-probabilities of tokens, in the forms that hosts tell them. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Literal

from llmmw import TokenLogprob

__all__ = ["logprobs_of"]

_LEAST = -9999.0
"""What hosts tell for a probability of zero, which JSON has no number for."""


def logprobs_of(
    told: Any, asked: int | None, place: Literal["content", "refusal"] = "content"
) -> tuple[TokenLogprob, ...]:
    """The log-probabilities of a choice, with as many alternatives as were asked for."""
    if asked is None or not isinstance(told, Mapping):
        return ()
    chat = told.get(place)
    if isinstance(chat, list):
        return tuple(_chat(chat, asked))
    return tuple(_text(told, asked)) if place == "content" else ()


def _chat(rows: list[Any], asked: int) -> Iterator[TokenLogprob]:
    for row in rows:
        if isinstance(row, Mapping) and isinstance(row.get("token"), str):
            top = [one for one in _list(row.get("top_logprobs")) if isinstance(one, Mapping)]
            pairs = [(str(one.get("token", "")), _number(one.get("logprob"))) for one in top]
            yield TokenLogprob(row["token"], _number(row.get("logprob")), pairs[:asked])


def _text(told: Mapping[str, Any], asked: int) -> Iterator[TokenLogprob]:
    """Legacy Completions: parallel lists."""
    tokens, numbers, tops = (
        _list(told.get(name)) for name in ("tokens", "token_logprobs", "top_logprobs")
    )
    for place, token in enumerate(tokens):
        top = tops[place] if place < len(tops) else None
        pairs = sorted(_pairs(top), key=lambda pair: -pair[1])[:asked]
        number = numbers[place] if place < len(numbers) else None
        yield TokenLogprob(str(token), _number(number), pairs)


def _list(told: Any) -> list[Any]:
    return told if isinstance(told, list) else []


def _pairs(top: Any) -> list[tuple[str, float]]:
    if not isinstance(top, Mapping):
        return []
    return [(str(token), _number(number)) for token, number in top.items()]


def _number(told: Any) -> float:
    if isinstance(told, (int, float)) and not isinstance(told, bool) and told > _LEAST:
        return float(min(told, 0))  # what is greater is a rounding error
    return _LEAST
