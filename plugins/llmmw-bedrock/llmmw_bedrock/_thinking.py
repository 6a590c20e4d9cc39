"""How a model is told to think: each maker's way, and words for an effort. Pure."""

from __future__ import annotations

from typing import Any

from llmmw import Generate, Reasoning
from llmmw.errors import BadRequest
from llmmw.wire import Losses
from llmmw_bedrock._models import Model

__all__ = ["thinking_of"]

Json = dict[str, Any]

_LEAST = 1024
_BUDGETS = {
    "minimal": _LEAST,
    "low": 2_048,
    "medium": 8_192,
    "high": 16_384,
    "xhigh": 32_768,
    "max": 65_536,
}
"""The tokens that an effort means to a model that knows limits alone."""
_WORDS = tuple(_BUDGETS)
_UNLIMITED = 2**31


def thinking_of(request: Generate, asked: Reasoning, model: Model, losses: Losses) -> Json:
    """The model's own fields that tell it how much to think.

    Raises:
        UnsupportedFeature: for what it can't honour, unless the request lets it be dropped.
        BadRequest: for a limit that leaves no room for an answer.
    """
    if "effort" in model.thinking:
        return _by_effort(asked, model, losses)
    if asked.effort == "none":
        if not model.always_thinks:
            return {"thinking": {"type": "disabled"}}
        losses.drop("reasoning.effort='none': it always thinks")
        return {}
    word = _effort(asked.effort, model, losses)
    effort = {"output_config": {"effort": word}} if word else {}
    shown = {} if asked.summary is None else {"display": _DISPLAYS.get(asked.summary, "summarized")}
    limited = asked.max_tokens is not None
    if limited and "budget" not in model.thinking:
        losses.drop("reasoning.max_tokens: it thinks by an effort")
    if "adaptive" in model.thinking and not (limited and "budget" in model.thinking):
        return {"thinking": {"type": "adaptive"} | shown} | effort
    budget = _budget(request, asked, model, losses)
    return {"thinking": {"type": "enabled"} | budget | shown} | effort if budget else {}


_DISPLAYS = {"none": "omitted"}


def _by_effort(asked: Reasoning, model: Model, losses: Losses) -> Json:
    """The fields of makers that know an effort alone."""
    if asked.max_tokens is not None:
        losses.drop("reasoning.max_tokens: it thinks by an effort")
    if asked.summary is not None:
        losses.drop("reasoning.summary")
    nova = model.dialect == "nova2"
    if asked.effort == "none" and nova:
        return {"reasoningConfig": {"type": "disabled"}}
    if asked.effort == "none" and model.always_thinks:
        losses.drop("reasoning.effort='none': it always thinks")
        return {}
    word = _effort(asked.effort, model, losses)
    if nova:
        told = {"maxReasoningEffort": word} if word else {}
        return {"reasoningConfig": {"type": "enabled"} | told}
    if not word:
        return {}
    return (
        {"reasoning_effort": word}
        if model.dialect == "gpt-oss"
        else {"reasoning": {"effort": word}}
    )


def _effort(word: str | None, model: Model, losses: Losses) -> str:
    """The host's word for an effort: the model's nearest below, or its least."""
    if word is None or not model.efforts:
        return ""
    if word in model.efforts or word not in _WORDS:
        return word
    known = [one for one in model.efforts if one in _WORDS]
    below = [one for one in known if _WORDS.index(one) < _WORDS.index(word)]
    taken = below[-1] if below else known[0]
    losses.note(f"takes reasoning.effort={word!r} for {taken!r}")
    return taken


def _budget(request: Generate, asked: Reasoning, model: Model, losses: Losses) -> Json:
    """The limit of tokens; it is at least 1,024, and less than those of the whole answer."""
    most = request.max_output_tokens or model.output_limit or _UNLIMITED
    if most <= _LEAST:
        losses.drop(f"reasoning within max_output_tokens={most}: it takes {_LEAST} at least")
        return {}
    tokens = asked.max_tokens
    if tokens is None:
        if asked.effort is not None and asked.effort not in _BUDGETS:
            raise BadRequest(
                f"reasoning.effort={asked.effort!r}: known are none, {', '.join(_WORDS)}"
            )
        # Half is left for the answer, where that is enough to think at all.
        wanted = _BUDGETS[asked.effort or "medium"]
        return {"budget_tokens": max(_LEAST, min(wanted, most // 2))}
    if tokens >= most:
        raise BadRequest(
            f"reasoning.max_tokens={tokens} leaves nothing of {most} for the answer: "
            "max_output_tokens is the limit of both together"
        )
    if tokens < _LEAST:
        losses.note(f"takes reasoning.max_tokens={tokens} for {_LEAST}, its least")
    return {"budget_tokens": max(_LEAST, tokens)}
