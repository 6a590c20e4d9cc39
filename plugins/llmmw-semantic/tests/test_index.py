"""The index against a plain list."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from llmmw_semantic._index import Index

STEPS = st.lists(
    st.tuples(
        st.sampled_from(["add", "use", "remove", "near"]), st.integers(0, 9), st.integers(0, 2)
    ),
    max_size=60,
)


def vector(number):
    made = np.random.default_rng(number).normal(size=8).astype(np.float32)
    return made / np.linalg.norm(made)


@settings(max_examples=200)
@given(STEPS)
def test_it_finds_what_is_nearest_and_forgets_what_was_used_least(steps):
    index, kept = Index(5), {}  # key: scope, in the order of their use
    for verb, number, scope in steps:
        key = f"k{number}"
        if verb == "add":
            gone = index.add(str(scope), key, f"q{number}", vector(number))
            kept.pop(key, None)
            kept[key] = str(scope)
            over = list(kept)[: max(0, len(kept) - 5)]
            assert gone == over
            for one in over:
                del kept[one]
        elif verb == "remove":
            index.remove(key)
            kept.pop(key, None)
        elif verb == "use" and key in kept:
            index.use(key)
            kept[key] = kept.pop(key)
        elif verb == "near":
            asked = vector(number + 100)
            there = [k for k, s in kept.items() if s == str(scope)]
            right = sorted(there, key=lambda k: -float(vector(int(k[1:])) @ asked))[:3]
            found = list(index.nearest(str(scope), asked, 3))
            assert [near.key for near in found] == right
            assert [near.question for near in found] == [f"q{k[1:]}" for k in right]
        assert len(index) == len(kept)
    assert list(index.nearest("0", np.zeros(3, np.float32), 3)) == []
