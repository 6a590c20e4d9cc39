"""A whole answer that is one text and nothing else, as nearly all are: read at once. Pure.

The reader of everything else, `_answer`, gives the same for it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from llmmw import Call, Generation, Message, TextPart
from llmmw_openai._answer import seconds_of
from llmmw_openai._usage import finish_of, usage_of

__all__ = ["plain_answer"]

_CHOICE = frozenset({"index", "message", "finish_reason", "logprobs"})
_SAID = frozenset({"role", "content"})
_READ = frozenset({"choices", "usage", "obfuscation"})


def plain_answer(
    told: Mapping[str, Any], call: Call, *, model: str, **fields: Any
) -> Generation | None:
    """The response, or `None` if there may be more in it than a text.

    Args:
        told: the whole answer.
        call: what it answers.
        model: what was asked, should the host not name who has answered.
        fields: further ones of the response.
    """
    text, choice = _only_text(told)
    usage = told.get("usage")
    if not text or "x_groq" in told or not (usage is None or type(usage) is dict):
        return None
    number, named = told.get("id"), told.get("model")
    raw = choice.get("finish_reason")
    return Generation(
        id=number if isinstance(number, str) and number else None,
        model=named if isinstance(named, str) and named else model,
        message=Message("assistant", (TextPart(text),)),
        finish=finish_of(raw, {}, calls=False),
        usage=usage_of(usage) if usage else None,
        created=seconds_of(told.get("created")),
        raw={k: v for k, v in told.items() if v is not None and k not in _READ},
        ledger=call.ledger,
        **fields,
    )


def _only_text(told: Mapping[str, Any]) -> tuple[str, Mapping[str, Any]]:
    """The text, and the choice that it is; no text if there is more."""
    choices = told.get("choices")
    choice = choices[0] if type(choices) is list and len(choices) == 1 else None
    if type(choice) is not dict or not choice.keys() <= _CHOICE or choice.get("logprobs"):
        return "", {}
    said, at, end = choice.get("message"), choice.get("index"), choice.get("finish_reason")
    if type(said) is not dict or at not in (0, None) or not isinstance(end, str | None):
        return "", {}
    text = said.get("content")
    if type(text) is not str:
        return "", {}
    for name, one in said.items():
        if one and name not in _SAID:
            return "", {}
    return text, choice
