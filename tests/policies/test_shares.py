"""What several calls have cost together, shared out among them."""

from decimal import Decimal

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmmw import Usage
from llmmw.policies._shares import parts_of, usages_of

WEIGHTS = st.lists(st.integers(0, 10**6), min_size=1, max_size=50)


@given(st.integers(0, 10**12), WEIGHTS)
def test_parts_are_fair_and_their_sum_is_exact(total, weights):
    parts = parts_of(total, weights)
    assert sum(parts) == total
    whole = sum(weights)
    for part, weight in zip(parts, weights, strict=True):
        assert abs(part * whole - total * weight) <= whole or not whole
        assert weight or not whole or part == 0


def test_where_nobody_weighs_anything_all_have_the_same():
    assert parts_of(7, [0, 0, 0]) == [2, 2, 3]


@given(
    st.decimals(0, 10**6, allow_nan=False, allow_infinity=False, places=18),
    st.integers(0, 10**9),
    WEIGHTS,
)
def test_the_sum_is_what_was_told(cost, tokens, weights):
    told = Usage(
        input_tokens=tokens,
        output_tokens=3 * tokens,
        cache_read_tokens=tokens // 2,
        server_tool_calls={"search": 5},
        cost=cost,
        raw={"secret": "of all"},
    )
    shares = usages_of(told, weights, weights[::-1])
    for field in attrs.fields(Usage):
        whole = getattr(told, field.name)
        parts = [getattr(share, field.name) for share in shares]
        if isinstance(whole, (int, Decimal)):
            assert sum(parts) == whole
    assert sum(share.server_tool_calls["search"] for share in shares) == 5
    assert all(share.raw is None for share in shares)


def test_what_nobody_told_stays_unknown():
    assert usages_of(None, [1, 2], [0, 0]) == [None, None]
    first, second = usages_of(Usage(input_tokens=4), [1, 3], [0, 0])
    assert (first.input_tokens, second.input_tokens) == (1, 3)
    assert first.output_tokens is first.cost is first.reasoning_tokens is None


def test_output_is_shared_by_what_came():
    told = Usage(input_tokens=4, output_tokens=8, cost=Decimal("0.12"))
    first, second = usages_of(told, [2, 2], [6, 2])
    assert (first.input_tokens, first.output_tokens) == (2, 6)
    assert (first.cost, second.cost) == (Decimal("0.08"), Decimal("0.04"))


@pytest.mark.parametrize("cost", ["0", "1E+3", "0.1", "1E-20"])
def test_any_scale_of_money(cost):
    shares = usages_of(Usage(cost=Decimal(cost)), [1, 1, 1], [0, 0, 0])
    assert sum(share.cost for share in shares) == Decimal(cost)


@pytest.mark.parametrize("cost", ["NaN", "sNaN", "Infinity", "-Infinity", "1E+999999"])
def test_a_cost_that_is_no_number_is_unknown(cost):
    told = Usage(input_tokens=4, cost=Decimal(cost), server_tool_calls={"a": float("nan")})
    shares = usages_of(told, [1, 3], [0, 0])
    assert [(share.input_tokens, share.cost) for share in shares] == [(1, None), (3, None)]
    assert not any(share.server_tool_calls for share in shares)


def test_a_cost_of_many_decimals_is_shared_to_the_last():
    shares = usages_of(Usage(cost=Decimal("1.7E-300")), [1, 2], [0, 0])
    assert sum(share.cost for share in shares) == Decimal("1.7E-300")
