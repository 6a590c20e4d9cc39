"""How well a semantic cache tells the same question from another one, on pairs made for it.

python3 tests/benchmarks/bench_semantic.py        the table of docs/how-to/semantic-cache.md
python3 tests/benchmarks/bench_semantic.py -v     what was taken wrongly, of the first half

The threshold is chosen on semantic_pairs.txt: of those at which one hit in a hundred is wrong at
most, the highest with the best recall. The guard was written with an eye on these pairs, too. What
is reported is measured on semantic_pairs_second.txt, which was written afterwards. The last rule,
about the order of words, came later: semantic_pairs_order.txt was written before it, and
semantic_pairs_order_second.txt when it was done.
"""

from __future__ import annotations

import sys
from collections import Counter
from pathlib import Path

import attrs
import numpy as np
from llmmw_semantic import difference
from llmmw_semantic._minilm import _engine

NAMES = ("", "_second", "_order", "_order_second")
FILES = [Path(__file__).with_name(f"semantic_pairs{name}.txt") for name in NAMES]


@attrs.frozen
class Pair:
    """Two questions; `kind` is how they differ, or `same`."""

    one: str
    other: str
    kind: str
    similarity: float
    found: str
    """What the guard says."""

    @property
    def is_same(self) -> bool:
        """Whether they mean the same."""
        return self.kind == "same"


def read(path: Path) -> list[tuple[str, str, str]]:
    """The pairs of a file."""
    rows, base = [], ""
    for line in path.read_text("utf-8").splitlines():
        if line.startswith("= "):
            base = line[2:]
        elif line.startswith("+ "):
            rows.append((base, line[2:], "same"))
        elif line.startswith("- "):
            kind, _, other = line[2:].partition(": ")
            rows.append((base, other, kind))
    return rows


def measured(rows: list[tuple[str, str, str]]) -> list[Pair]:
    """The pairs with their similarities."""
    texts = sorted({text for row in rows for text in row[:2]})
    vectors = dict(zip(texts, np.array(_engine().vectors(texts)), strict=True))
    return [
        Pair(a, b, kind, float(vectors[a] @ vectors[b]), difference(a, b)) for a, b, kind in rows
    ]


def score(pairs: list[Pair], threshold: float, *, guard: bool) -> tuple[float, float, int]:
    """Precision, recall, and the number of wrong hits."""
    hits = [p for p in pairs if p.similarity >= threshold and not (guard and p.found)]
    right = sum(p.is_same for p in hits)
    wanted = sum(p.is_same for p in pairs)
    return (right / len(hits) if hits else 1.0), right / wanted, len(hits) - right


def chosen(pairs: list[Pair], *, guard: bool) -> float:
    """Of the thresholds with a precision of 0.99, those with the best recall; the highest."""
    steps = [step / 100 for step in range(50, 101)]
    scores = {step: score(pairs, step, guard=guard) for step in steps}
    return max((step for step in steps if scores[step][0] >= 0.99), key=lambda s: (scores[s][1], s))


def main() -> None:
    """Print the table."""
    first, second, *orders = (measured(read(path)) for path in FILES)
    pairs = [*first, *second]
    same = sum(p.is_same for p in pairs)
    print(f"{len(pairs)} pairs: {same} the same, {len(pairs) - same} not; halves of", end=" ")
    print(f"{len(first)} and {len(second)}")
    for guard in (False, True):
        best = chosen(first, guard=guard)
        print(f"\n{'with' if guard else 'without'} the guard; chosen: {best:.2f}")
        print("threshold  precision  recall  wrong   (of the second half)")
        for threshold in sorted({0.7, 0.75, 0.8, 0.85, 0.9, 0.95, best}):
            precision, recall, wrong = score(second, threshold, guard=guard)
            mark = " <- chosen on the first half" if threshold == best else ""
            print(f"{threshold:9.2f}  {precision:9.3f}  {recall:6.3f}  {wrong:5}{mark}")
    best = chosen(first, guard=True)
    for path, rows in zip(FILES[2:], orders, strict=True):
        precision, recall, wrong = score(rows, best, guard=True)
        told = f"precision {precision:.3f}, recall {recall:.3f}, {wrong} wrong"
        print(f"\n{path.stem} ({len(rows)} pairs) with the guard at {best:.2f}: {told}")
    kinds = Counter(p.kind for p in second if not p.is_same)
    print("\nnot the same, of the second half: told by the guard, and similarity above 0.9")
    for kind, count in sorted(kinds.items()):
        rows = [p for p in second if p.kind == kind]
        told = sum(bool(p.found) for p in rows)
        print(f"{kind:10} {told:3} of {count:3}   {sum(p.similarity >= 0.9 for p in rows):3}")
    if "-v" in sys.argv:
        print("\nof the first half:")
        for p in sorted(first, key=lambda p: -p.similarity):
            if p.is_same == bool(p.found):
                print(f"{p.similarity:.2f} {p.kind:10} {p.found or '-':9} {p.one} | {p.other}")


main()
