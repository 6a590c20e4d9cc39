"""Builtins that weigh given texts against each other.

A target that tells how probable texts are is asked for that; any other one is held to one of the
options, and then to one of those that are left.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, Unpack

import attrs

from llmmw._output import Choice
from llmmw._request import Score
from llmmw._response import Scores
from llmmw.errors import BadRequest, UnsupportedFeature
from llmmw.flow._ask import ask
from llmmw.flow._builtin import builtin
from llmmw.flow.builtins.formats import formatted
from llmmw.flow.builtins.parameters import Common, Healing, able, can, request_of
from llmmw.flow.builtins.typed import asked_again

__all__ = ["Ranking", "rank", "ranking", "score_text", "select"]

_RETRIES = 2
"""How often a model is asked again that has chosen none of the options."""


@attrs.frozen
class Ranking:
    """Options and how well they follow a prompt."""

    options: tuple[str, ...]
    """As they were given."""
    order: tuple[int, ...]
    """The places of the best ones among the options, best first; equals as they were given."""
    scores: tuple[float, ...] | None = None
    """How probable each option is, in the order of the options: the natural logarithm; `None` if
    the model was held to a choice, and told no such thing."""

    @property
    def best(self) -> str:
        """The option that comes first."""
        return self.options[self.order[0]]

    @property
    def ranked(self) -> list[str]:
        """The options, best first."""
        return [self.options[place] for place in self.order]


@builtin
async def score_text(
    prompt: object,
    options: Sequence[str],
    *,
    model: str | None = None,
    healing: Healing | None = None,
) -> list[float]:
    """How probable each option is after a prompt: its natural logarithm, in the order given.

    Args:
        prompt: text; messages are written as the formatter `default` does.
        options: the texts.
        model: the target; default: the client's first.
        healing: `space`: a prompt without the spaces at its end, and options that begin with one.

    Raises:
        UnsupportedFeature: if the target does not tell.
    """
    text = prompt if isinstance(prompt, str) else formatted(prompt, "default").text
    if healing == "space" and text.endswith(" "):
        text = text.rstrip(" ")
        options = [one if one.startswith(" ") else f" {one}" for one in options]
    request = Score(prompt=text, options=options, model=model or "")
    return list((await ask(request, Scores)).scores)


@builtin
async def ranking(
    prompt: object,
    options: Sequence[str],
    top_k: int | None = None,
    **parameters: Unpack[Common],
) -> Ranking:
    """Which of some texts follow a prompt best, with their scores where the target tells them.

    Args:
        prompt: text, a message, a conversation, or parts of one message.
        options: the texts.
        top_k: how many of the best are wanted; default: all.
        parameters: what is common to all builtins that have a model answer.

    Raises:
        BadRequest: if there are no options, or one of them twice.
    """
    several = _checked(options)
    if top_k is not None and (type(top_k) is not int or top_k < 1):
        raise BadRequest(f"top_k={top_k!r}: expected a whole number from 1 on")
    most = len(several) if top_k is None else min(top_k, len(several))
    if len(several) == 1:
        return Ranking(several, (0,))
    scores = await _scored(prompt, several, parameters)
    if scores is None:
        return Ranking(several, await _chosen(prompt, several, most, parameters))
    if len(scores) != len(several):
        raise BadRequest(f"score_text gave {len(scores)} scores for {len(several)} options")
    comparable = [-math.inf if math.isnan(one) else one for one in scores]
    order = sorted(range(len(several)), key=lambda place: -comparable[place])
    return Ranking(several, tuple(order[:most]), tuple(scores))


@builtin
async def select(prompt: object, options: Sequence[str], **parameters: Unpack[Common]) -> str:
    """The one of some texts that follows a prompt best; of equals the first.

    Args:
        prompt: text, a message, a conversation, or parts of one message.
        options: the texts; `ranking` tells their scores, too.
        parameters: what is common to all builtins that have a model answer.
    """
    return (await ranking(prompt, options, 1, **parameters)).best


@builtin
async def rank(
    prompt: object,
    options: Sequence[str],
    top_k: int | None = None,
    **parameters: Unpack[Common],
) -> list[str]:
    """Some texts by how well they follow a prompt, best first; equals as they were given.

    Args:
        prompt: text, a message, a conversation, or parts of one message.
        options: the texts; `ranking` tells their scores, too.
        top_k: how many of the best are wanted; default: all.
        parameters: what is common to all builtins that have a model answer.
    """
    return (await ranking(prompt, options, top_k, **parameters)).ranked


def _checked(options: Sequence[str]) -> tuple[str, ...]:
    several = (options,) if isinstance(options, str) else tuple(options)
    if not several or not all(isinstance(one, str) for one in several):
        raise BadRequest(f"options={options!r}: expected texts, at least one")
    if len(set(several)) < len(several):
        twice = next(one for one in several if several.count(one) > 1)
        raise BadRequest(f"options: {twice!r} is there twice")
    return several


async def _scored(
    prompt: object, options: tuple[str, ...], parameters: Common
) -> list[float] | None:
    model = parameters.get("model")
    if not can(Score, "score_text", model):
        return None
    try:
        return await score_text(prompt, options, model=model, healing=parameters.get("healing"))
    except UnsupportedFeature:
        return None  # nobody knew


async def _chosen(
    prompt: object, options: tuple[str, ...], most: int, parameters: Common
) -> tuple[int, ...]:
    """The places of the best options: the model chooses one, then one of the others."""
    given: dict[str, Any] = {"unsupported": "emulate", **parameters}
    if "temperature" in (able(parameters.get("model")).parameters or ()):
        given.setdefault("temperature", 0)  # the best one, and no sample
    left = list(range(len(options)))
    found: list[int] = []
    while len(found) < most and len(left) > 1:
        output = Choice([options[place] for place in left])
        request, _ = request_of(prompt, **{**given, "output": output})
        found.append(options.index(await asked_again(request, _RETRIES)))
        left.remove(found[-1])
    return tuple((found + left)[:most])
