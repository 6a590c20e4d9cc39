"""Flows over datasets."""

from __future__ import annotations

import attrs
import orjson
import pytest
import trio
from hypothesis import given
from hypothesis import strategies as st

from llmmw import Client
from llmmw.errors import BadRequest
from llmmw.flow import Evaluation, evaluate, exact_match, executable, parallel

pytestmark = pytest.mark.virtual

EXAMPLES = [
    {"question": "1+1", "answer": 2},
    {"question": "2+2", "answer": 4},
    {"question": "boom", "answer": 0},
    {"question": "3+3", "answer": 7},
]


@executable
async def answer(question):
    await trio.sleep(1)
    left, _, right = question.partition("+")
    return int(left) + int(right)


async def ran(flow, **options):
    async with Client(stack=[]) as client:
        return await client.run(flow, **options)


async def test_the_accuracy_of_known_answers():  # O99, O100
    summary = await ran(evaluate(answer, EXAMPLES, {"exact": exact_match}))
    assert summary.metrics == {"exact": pytest.approx(2 / 3)}
    assert summary.counters == {"examples": 4, "errors": 1, "exact": 3}
    failed = summary.results[2]
    assert failed.error.startswith("ValueError: invalid literal")
    assert [one.prediction for one in summary.results] == [2, 4, None, 6]
    assert str(summary).startswith("exact: 0.6667\n")


async def test_metrics_may_be_async_say_nothing_or_say_more():  # O99
    async def only_even(target, prediction):
        await trio.sleep(1)
        return None if target % 2 else 1

    def with_more(target, prediction, example):
        return abs(target - prediction), {"asked": example["question"]}

    def judged(target, prediction):
        return answer(f"{prediction}+0")

    def breaks(target, prediction):
        raise TypeError("a defect of the metric")

    metrics = {"even": only_even, "off": with_more, "judged": judged, "breaks": breaks}
    summary = await ran(evaluate(answer, EXAMPLES, metrics, aggregates={"off": max}))
    assert summary.metrics == {"even": 1, "off": 1, "judged": 4}
    assert summary.counters["even"] == 2
    assert summary.counters["breaks_errors"] == 3
    assert summary.results[3].info == {"off": {"asked": "3+3"}}
    assert summary.results[0].failures == {"breaks": "TypeError: a defect of the metric"}


async def test_examples_of_another_shape():  # O99
    summary = await ran(
        evaluate(
            lambda words: " ".join(words),
            [(["a", "b"], "A B ")],
            {"exact": exact_match},
            inputs=lambda one: one[0],
            target=lambda one: one[1],
            key=lambda one: one[1],
        )
    )
    assert summary.metrics == {"exact": 1}
    assert summary.results[0].key == "A B "


async def test_a_missing_field_is_an_error_of_its_example():
    summary = await ran(evaluate(answer, [{}, EXAMPLES[0]], {"exact": exact_match}))
    assert summary.counters == {"examples": 2, "errors": 1, "exact": 1}
    assert summary.results[0].error == "KeyError: 'question'"


async def test_examples_run_at_once_within_the_limit():
    async def endless():
        for example in EXAMPLES[:2] * 4:
            yield example

    began = trio.current_time()
    seen = []
    flow = evaluate(
        answer, endless(), {}, limit=4, progress=lambda done, one: seen.append((done, one.key))
    )
    await ran(flow)
    assert trio.current_time() - began == pytest.approx(2)
    assert [done for done, _ in seen] == list(range(1, 9))


async def test_a_definition_can_be_run_again_and_beside_another():
    flow = evaluate(answer, EXAMPLES, {"exact": exact_match})
    first, second = await ran(parallel(flow, evaluate(answer, EXAMPLES[:1], {})))
    assert first == attrs.evolve(await ran(flow), aggregates=first.aggregates)
    assert second.counters == {"examples": 1, "errors": 0}


@given(cut=st.integers(0, 4))
def test_merging_two_halves_gives_the_whole(cut):  # O101
    async def main():
        metrics = {"exact": exact_match}

        async def of(examples):
            return await ran(evaluate(answer, examples, metrics, key=lambda one: one["question"]))

        halves = await of(EXAMPLES[:cut]) + await of(EXAMPLES[cut:])
        whole = await of(EXAMPLES)
        assert halves.metrics == whole.metrics
        assert halves.counters == whole.counters
        assert [one.key for one in halves.results] == [one.key for one in whole.results]

    trio.run(main, clock=trio.testing.MockClock(autojump_threshold=0))


async def test_it_is_kept_in_a_folder(tmp_path):  # O102
    summary = await ran(evaluate(answer, EXAMPLES, {"exact": exact_match}))
    place = tmp_path / "new" / "run"
    summary.save(place)
    read = orjson.loads((place / "summary.json").read_bytes())
    assert read == {"metrics": summary.metrics, "counters": summary.counters}
    again = Evaluation.load(place)
    assert again.results == summary.results
    assert again.metrics == summary.metrics
    (place / "results.jsonl").write_text('{"key": 1}\n{"nonsense": 2}\n')
    with pytest.raises(BadRequest, match="line 2"):
        Evaluation.load(place)


def test_metrics_that_can_not_be_called():
    with pytest.raises(BadRequest, match="'short' takes 1 arguments"):
        evaluate(answer, [], {"short": lambda one: 1})
    with pytest.raises(BadRequest, match="no metric"):
        evaluate(answer, [], {}, aggregates={"exact": max})


async def test_what_was_read_before_reading_failed_is_on_record():
    (one,) = (await ran(evaluate(answer, [{"question": "1+1"}], {}))).results
    assert (one.inputs, one.target, one.error) == ("1+1", None, "KeyError: 'answer'")


async def test_values_without_a_mean_ask_for_an_aggregate():
    flow = evaluate(answer, EXAMPLES[:2], {"said": lambda target, prediction: "yes"})
    summary = await ran(flow)
    with pytest.raises(BadRequest, match="'said' has values that have no mean"):
        str(summary)


async def test_two_runs_of_one_evaluation_count_apart():
    counts = []
    flow = evaluate(answer, EXAMPLES[:2], {}, limit=1, progress=lambda n, one: counts.append(n))
    async with Client(stack=[]) as client, trio.open_nursery() as nursery:
        nursery.start_soon(client.run, flow)
        nursery.start_soon(client.run, flow)
    assert sorted(counts) == [1, 1, 2, 2]


async def test_a_dataset_that_is_not_read_to_its_end_is_closed():
    closed = []

    async def examples():
        try:
            for one in EXAMPLES:
                yield one
        finally:
            closed.append(1)

    def broken(count, one):
        raise RuntimeError("no bar")

    source = examples()
    with pytest.raises(RuntimeError, match="no bar"):
        await ran(evaluate(answer, source, {}, limit=1, progress=broken))
    assert closed == [1]
