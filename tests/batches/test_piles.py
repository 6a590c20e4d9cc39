"""The pure parts: what goes in a batch, when it is looked at, what its end means."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmmw._administration import BatchInfo, BatchLimits, Line, Refusal
from llmmw.policies._batch_piles import (
    Pile,
    Piles,
    ending_of,
    may_be_ours,
    poll_delay,
    refused,
    size_of,
)

LINES = st.lists(st.tuples(st.sampled_from("ab"), st.text(max_size=300)), max_size=60)


def info(status: str = "completed", **fields: object) -> BatchInfo:
    return BatchInfo(id="b", provider="p", status=status, ended=True, **fields)


@given(LINES, st.integers(1, 9), st.integers(300, 3000))
def test_each_line_is_in_one_pile_and_no_pile_is_too_large(
    given_lines: list[tuple[str, str]], lines: int, size: int
) -> None:
    limits, piles = BatchLimits(lines=lines, bytes=size), Piles()
    made: list[tuple[str, Pile]] = []
    closed: list[Pile] = []
    sizes = {}
    for number, (kind, text) in enumerate(given_lines):
        line = Line("/chat", {"text": text}, kind)
        sizes[str(number)] = size_of(str(number), line)
        placed = piles.place(kind, str(number), line, limits)
        if placed is None:
            assert sizes[str(number)] > size
            continue
        pile, full, is_new = placed
        assert is_new == (pile not in [p for _, p in made])
        if is_new:
            made.append((kind, pile))
        if full is not None:
            closed.append(full)
    held = [name for _, pile in made for name in pile.lines]
    assert held == sorted(set(held), key=held.index)
    assert set(held) == {name for name, one in sizes.items() if one <= size}
    for kind, pile in made:
        assert len(pile.lines) <= lines
        assert sum(sizes[name] for name in pile.lines) == pile.bytes <= size
        assert {line.group for line in pile.lines.values()} == {kind}
    opened = [kind for kind, pile in made if not pile.closed]
    assert len(opened) == len(set(opened))  # one open pile of a kind
    assert all(pile.closed for pile in closed)


@given(st.text(max_size=200))
def test_a_size_is_never_too_small(text: str) -> None:
    line = Line("/chat/completions", {"text": text}, "")
    wire = {"custom_id": "n", "method": "POST", "url": "/v1" + line.path, "body": line.body}
    assert size_of("n", line) >= len(json.dumps(wire, ensure_ascii=False).encode()) + 1


def test_what_is_removed_leaves_room() -> None:
    pile = Pile(BatchLimits(lines=2, bytes=1000))
    pile.add("a", Line("/", {}), 600)
    assert not pile.has_room(600)
    pile.remove("a")
    pile.remove("a")
    assert (pile.bytes, pile.has_room(600)) == (0, True)


def test_looks_grow_rarer_within_their_bounds() -> None:
    assert [poll_delay(age, 60) for age in (0, 5, 100, 900, 9000)] == [1, 1, 10, 60, 60]
    assert poll_delay(0, 0.02) == 0.02


@pytest.mark.parametrize(
    ("told", "ending"),
    [
        (info("completed"), "lost"),
        (info("expired"), "expired"),
        (info("cancelled"), "cancelled"),
        (info("ended", raw={"cancel_initiated_at": "2026-01-01"}), "cancelled"),
        (info("ended"), "lost"),
    ],
)
def test_the_end_of_a_batch_says_what_became_of_the_rest(told: BatchInfo, ending: str) -> None:
    assert ending_of(told) == ending


def test_a_batch_is_known_by_its_label_or_else_may_be_ours() -> None:
    def ours(**fields: object) -> bool | None:
        return may_be_ours(info(**fields), "tag", 3, 1000.0)

    assert ours(metadata={"llmmw": "tag"}) is True
    assert ours(metadata={"llmmw": "other"}, total=3, created=1000.0) is False
    assert ours(metadata={}) is False
    assert ours(total=3, created=1001.0) is None
    assert ours(total=3, created=800.0) is None  # clocks differ
    assert ours(total=3, created=100.0) is False
    assert ours(total=4, created=1001.0) is False
    assert ours(total=3) is False


def test_a_refusal_is_of_the_lines_that_it_names_or_of_all() -> None:
    names = ["a", "b", "c"]
    lined = info("failed", refusals=(Refusal("wrong", "x", 2), Refusal("odd", None, 99)))
    assert [(one.id, one.status) for one in refused(lined, names)] == [("b", 400)]
    whole = info("failed", refusals=(Refusal("wrong", "x"),))
    assert [(one.id, one.status) for one in refused(whole, names)] == [(n, 400) for n in names]
    later = info("failed", refusals=(Refusal("too much", "token_limit_exceeded"),))
    assert {one.status for one in refused(later, names)} == {429}
    assert b"too much" in refused(later, names)[0].body
