"""A model as the judge of answers."""

from __future__ import annotations

import pytest

from llmmw import Client
from llmmw.flow import evaluate, generate_text, judged, judged_score, registry

EXAMPLES = [{"question": "the capital of {target}?", "answer": "Paris"}]


async def metric_of(metric, reply, examples=EXAMPLES):
    asked = []

    def replies(prompt):
        asked.append(prompt)
        return reply

    with registry():
        generate_text.configure(replies)
        async with Client(stack=[]) as client:
            summary = await client.run(evaluate(lambda _: "It is Paris.", examples, {"m": metric}))
    return summary, asked


@pytest.mark.parametrize(
    ("reply", "value"), [("yes", 1), ("Yes.", 1), ("**No**, since", 0), (" no\n", 0)]
)
async def test_yes_or_no(reply, value):  # O103
    summary, asked = await metric_of(judged(), reply)
    assert summary.metrics == {"m": value}
    assert summary.results[0].info == {"m": {"reply": reply}}
    # What fills a place is not filled itself.
    assert "Question: the capital of {target}?\nRight answer: Paris\n" in asked[0]


@pytest.mark.parametrize("reply", ["perhaps", "", "nobody knows"])
async def test_another_reply_is_a_failure_of_the_metric(reply):
    summary, _ = await metric_of(judged(), reply)
    assert summary.metrics == {}
    assert summary.counters["m_errors"] == 1
    assert "expected yes or no" in summary.results[0].failures["m"]


@pytest.mark.parametrize(
    ("reply", "value"), [("0.5", 0.5), ("Score: 7", 1), ("-1", 0), ("about .25!", 0.25)]
)
async def test_scores_are_within_their_bounds(reply, value):  # O103
    summary, _ = await metric_of(judged_score(), reply)
    assert summary.metrics == {"m": value}


async def test_a_reply_without_a_number_counts_nothing_and_says_why():  # O103
    summary, _ = await metric_of(judged_score(), "fine, I think")
    assert summary.metrics == {"m": 0}
    assert summary.results[0].info["m"]["reason"] == "the reply has no number"


async def test_an_example_without_a_question_is_a_failure_of_the_metric():
    examples = [{"answer": "Paris"}]
    flow = evaluate(lambda _: "Paris", examples, {"m": judged()}, inputs=lambda one: None)
    async with Client(stack=[]) as client:
        summary = await client.run(flow)
    assert summary.results[0].failures == {"m": "KeyError: 'question'"}
