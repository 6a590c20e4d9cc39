"""Responses and the deltas that tell them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmmw import (
    Candidate,
    Finish,
    Generation,
    Message,
    PartDelta,
    PartEnd,
    PartStart,
    ReasoningPart,
    ResponseStart,
    Restarted,
    Scores,
    TextPart,
    ToolCallPart,
    Usage,
)
from llmmw._deltas import Fold, deltas_of
from llmmw._ledger import AttemptStarted, Ledger
from llmmw.errors import ProtocolError

parts = st.lists(
    st.one_of(
        st.builds(TextPart, st.text(max_size=4)),
        st.builds(TextPart, st.text(max_size=4), refusal=st.just(True)),
        st.builds(ReasoningPart, st.text(max_size=4), signature=st.none() | st.just("s")),
        st.builds(
            ToolCallPart, id=st.text(max_size=2), name=st.just("f"), arguments=st.just('{"a":1}')
        ),
    ),
    max_size=4,
)


@given(st.lists(parts, min_size=1, max_size=3))
def test_the_fold_of_its_deltas_is_the_response(rows: list[list]) -> None:
    candidates = [Candidate(Message("assistant", tuple(row))) for row in rows]
    several = tuple(candidates) if len(candidates) > 1 and rows[-1] else ()
    message = candidates[0].message
    whole = Generation(id="1", model="m", provider="p", message=message, candidates=several)
    fold = Fold()
    for delta in deltas_of(whole):
        fold(delta)
    assert fold.response() == whole


def test_a_restart_forgets() -> None:
    fold = Fold()
    for delta in (
        ResponseStart(model="a"),
        PartStart(0, TextPart("")),
        PartDelta(index=0, text="wrong"),
        Restarted("cut"),
        ResponseStart(model="b"),
        PartStart(0, TextPart("")),
        PartDelta(index=0, text="right"),
    ):
        fold(delta)
    assert fold.response().text == "right"
    assert fold.response().model == "b"


@pytest.mark.parametrize(
    "deltas",
    [
        [PartDelta(index=0, text="x")],
        [PartEnd(0, TextPart("x"))],
        [PartStart(0, TextPart("")), PartStart(0, TextPart(""))],
        [PartStart(0, TextPart("")), PartEnd(0, TextPart("")), PartDelta(index=0, text="x")],
    ],
)
def test_pieces_that_do_not_fit_are_a_protocol_error(deltas: list) -> None:
    fold = Fold()
    with pytest.raises(ProtocolError):
        for delta in deltas:
            fold(delta)


def test_what_is_seen_of_an_answer() -> None:
    answer = Generation(
        message=Message(
            "assistant",
            (
                ReasoningPart("hm"),
                TextPart("yes"),
                TextPart("never", refusal=True),
                ToolCallPart(id="1", name="f"),
                ToolCallPart(id="2", name="g", server=True),
            ),
        ),
        finish=Finish("tool_call", raw="tool_calls"),
    )
    assert (answer.text, answer.reasoning, answer.refusal) == ("yes", "hm", "never")
    assert [call.id for call in answer.tool_calls] == ["1"]
    assert answer.finish_reason == "tool_call"
    assert Generation().finish_reason is None
    assert Generation().refusal is None


def test_equality_looks_at_the_answer_alone() -> None:
    one = Generation(model="m", ledger=Ledger(), raw={"a": 1}, request_id="1", warnings=("w",))
    other = Generation(model="m")
    assert one == other
    assert hash(one) == hash(other)
    assert one != Generation(model="n")


def test_usage_is_none_where_nobody_told() -> None:
    assert Usage(input_tokens=1).total_tokens is None
    assert Usage(input_tokens=1, output_tokens=2).total_tokens == 3
    assert Usage().input_tokens is None


def test_best_score_is_the_first_of_equals() -> None:
    assert Scores(scores=[1, 3, 3, 2]).best == 1


def test_explain_draws_the_tree() -> None:
    ledger = Ledger()
    assert ledger.seconds is None
    assert "nothing was recorded" in Generation().explain()
    ledger.write(AttemptStarted, 1.0, 1, "a:b", "first")
    ledger.write(AttemptStarted, 1.5, 2, "c:d", "retry", parent=1)
    assert ledger.seconds == 0.5
    assert Generation(ledger=ledger).explain().splitlines() == [
        "    0.000 s    attempt 1 on a:b (first)",
        "    0.500 s      attempt 2 on c:d (retry)",
    ]
