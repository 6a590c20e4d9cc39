"""How well a semantic cache tells the same question from another one, on pairs made for it.

python3 tests/benchmarks/bench_semantic.py        the table of docs/how-to/semantic-cache.md
python3 tests/benchmarks/bench_semantic.py -v     what was taken wrongly, of the first half

The groups of semantic_pairs.txt are halved: the threshold is chosen on the first half, as the
lowest at which no more than one hit in a hundred is wrong, and reported on the second.
"""

from __future__ import annotations

import sys
from collections import Counter
from pathlib import Path

import attrs
import numpy as np
from llmmw_semantic import difference
from llmmw_semantic._minilm import _engine

PAIRS = Path(__file__).with_name("semantic_pairs.txt")


@attrs.frozen
class Pair:
    """Two questions; `kind` is how they differ, or `same`."""

    one: str
    other: str
    kind: str
    half: int
    similarity: float
    found: str
    """What the guard says."""

    @property
    def is_same(self) -> bool:
        """Whether they mean the same."""
        return self.kind == "same"


def read(path: Path) -> list[tuple[str, str, str, int]]:
    """The pairs of a file, with their halves."""
    rows, base, group = [], "", -1
    for line in path.read_text("utf-8").splitlines():
        if line.startswith("= "):
            base, group = line[2:], group + 1
        elif line.startswith("+ "):
            rows.append((base, line[2:], "same", group % 2))
        elif line.startswith("- "):
            kind, _, other = line[2:].partition(": ")
            rows.append((base, other, kind, group % 2))
    return rows


def measured(rows: list[tuple[str, str, str, int]]) -> list[Pair]:
    """The pairs with their similarities."""
    texts = sorted({text for row in rows for text in row[:2]})
    vectors = dict(zip(texts, np.array(_engine().vectors(texts)), strict=True))
    return [
        Pair(a, b, kind, half, float(vectors[a] @ vectors[b]), difference(a, b))
        for a, b, kind, half in rows
    ]


def score(pairs: list[Pair], threshold: float, *, guard: bool) -> tuple[float, float, int]:
    """Precision, recall, and the number of wrong hits."""
    hits = [p for p in pairs if p.similarity >= threshold and not (guard and p.found)]
    right = sum(p.is_same for p in hits)
    wanted = sum(p.is_same for p in pairs)
    return (right / len(hits) if hits else 1.0), right / wanted, len(hits) - right


def chosen(pairs: list[Pair], *, guard: bool) -> float:
    """The lowest threshold at which precision is 0.99."""
    for step in range(50, 101):
        if score(pairs, step / 100, guard=guard)[0] >= 0.99:
            return step / 100
    return 1.0


def main() -> None:
    """Print the table."""
    pairs = measured(read(PAIRS))
    first, second = ([p for p in pairs if p.half == half] for half in (0, 1))
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
