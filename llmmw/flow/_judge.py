"""Metrics that ask a model what it thinks of an answer."""

from __future__ import annotations

import re
from collections.abc import Callable
from operator import itemgetter
from typing import Any

from llmmw.flow._evaluation import Metric
from llmmw.flow._executable import executable
from llmmw.flow._node import Executable
from llmmw.flow.builtins.text import generate_text

__all__ = ["judged", "judged_score"]

_YES_OR_NO = """\
Is the proposed answer to the question correct? The right answer is given; the wording may differ.

Question: {question}
Right answer: {target}
Proposed answer: {prediction}

Reply with "yes" or "no" alone."""

_SCORE = """\
How well does the proposed answer to the question agree with the right one? 0 is not at all, 1 is
fully; the wording may differ.

Question: {question}
Right answer: {target}
Proposed answer: {prediction}

Reply with a number from 0 to 1 alone."""

_WORD = re.compile(r"\W*(yes|no)\b", re.IGNORECASE)
_NUMBER = re.compile(r"[-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?")


def judged(
    template: str = _YES_OR_NO,
    *,
    question: Callable[[Any], Any] = itemgetter("question"),
    **parameters: Any,
) -> Metric:
    """A metric: 1 where a model says that the prediction is right, else 0.

    A reply that is neither yes nor no is a failure of the metric.

    Args:
        template: what it is asked; has `{question}`, `{target}` and `{prediction}`.
        question: what of an example is the question; default: its `"question"`.
        parameters: for `generate_text`, as `model="openai:gpt-4o"`.
    """
    return _metric(template, question, parameters, _decided)


def judged_score(
    template: str = _SCORE,
    *,
    question: Callable[[Any], Any] = itemgetter("question"),
    **parameters: Any,
) -> Metric:
    """A metric from 0 to 1: how right a model says that the prediction is. A reply without a
    number counts 0, and the facts beside the metric have it as the `reason`.

    Args:
        template: what it is asked; has `{question}`, `{target}` and `{prediction}`.
        question: what of an example is the question; default: its `"question"`.
        parameters: for `generate_text`, as `model="openai:gpt-4o"`.
    """
    return _metric(template, question, parameters, _scored)


def _metric(
    template: str,
    question: Callable[[Any], Any],
    parameters: dict[str, Any],
    read: Callable[[Any], Executable[Any]],
) -> Metric:
    """A metric that is read off a model's reply."""

    def metric(target: Any, prediction: Any, example: Any) -> Executable[Any]:
        asked = _filled(template, question(example), target, prediction)
        return read(generate_text(asked, **({"temperature": 0.0} | parameters)))

    return metric


def _filled(template: str, question: Any, target: Any, prediction: Any) -> str:
    """The template with its three places filled; what fills one is not looked at again."""
    given = {"question": question, "target": target, "prediction": prediction}
    return re.sub(r"\{(question|target|prediction)\}", lambda hit: str(given[hit[1]]), template)


@executable
def _decided(reply: str) -> tuple[float, dict[str, str]]:
    found = _WORD.match(reply)
    if found is None:
        raise ValueError(f"the judge replied {reply[:200]!r}: expected yes or no")
    return float(found[1].lower() == "yes"), {"reply": reply}


@executable
def _scored(reply: str) -> tuple[float, dict[str, str]]:
    found = _NUMBER.search(reply)
    if found is None:
        return 0.0, {"reply": reply, "reason": "the reply has no number"}
    return min(max(float(found[0]), 0.0), 1.0), {"reply": reply}
