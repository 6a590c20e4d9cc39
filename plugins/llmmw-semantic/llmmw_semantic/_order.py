"""Whether words change places, and with it who does what: `does A owe B`, `does B owe A`.

Two words may change places if each keeps its preposition (`in Python, how …`), if `and` or `or`
joins them, or if they stand together in one of the two (`limit of the card`, `card limit`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import combinations

import attrs

from llmmw_semantic._words import BE, CLAUSES, PREPOSITIONS, PRONOUNS

__all__ = ["Place", "Word", "is_reordered", "places_of"]

_LINKS = {"and", "or"}
_SUBJECT_NEXT = {"do", "does", "did"}
_BREAKS = {",", "do", "does", "did"} | BE | CLAUSES


@attrs.frozen
class Word:
    """A word of a question."""

    low: str
    """In small letters."""
    meaning: str
    """Nothing for one that says nothing."""
    pause: bool
    """A comma, or a sign like it, stands before it."""
    owns: bool
    """An `'s` follows it."""


@attrs.frozen
class Place:
    """Where a word stands."""

    at: int
    role: str
    """The preposition before it; nothing for a subject, an object, or a verb."""
    run: int
    """The same for words that stand together."""
    group: int
    """The same for runs that `and` or `or` joins."""
    subject: bool
    """It follows `does`, so that the verb follows it."""
    passive: bool
    """It is a verb, as in `was opened`."""


@attrs.define
class _Reading:
    """What the words so far say of the next."""

    role: str = ""
    run: int = 0
    group: int = 0
    together: bool = False
    joined: bool = False
    subject: bool = False
    been: bool = False

    def place(self, at: int, word: Word, after: str) -> Place:
        """The place of a word that says something."""
        if not self.together:
            self.run += 1
            self.group = self.group if self.joined else self.run
        self.together, self.joined = True, False
        passive = self.been and (word.low.endswith(("ed", "en")) or after == "by")
        role = "of" if word.owns else self.role
        return Place(at, role, self.run, self.group, self.subject, passive)

    def skip(self, low: str) -> None:
        """A word that says nothing, but what the next are."""
        self.together = False
        if low in _LINKS:
            self.joined = True
        elif low in PREPOSITIONS:
            self.role, self.joined = PREPOSITIONS[low], False
        elif low in _BREAKS:
            self.role, self.joined = "", False
            self.subject, self.been = low in _SUBJECT_NEXT, low in BE
        elif low in PRONOUNS:
            self.subject = False


def places_of(words: Sequence[Word]) -> Mapping[str, Place]:
    """The places of all that stands in a question once."""
    found: dict[str, Place] = {}
    twice: set[str] = set()
    reading = _Reading()
    for at, word in enumerate(words):
        if word.pause:
            reading.skip(",")
        if word.meaning and word.low not in PREPOSITIONS:
            after = words[at + 1].low if at + 1 < len(words) else ""
            if word.meaning in found:
                twice.add(word.meaning)
            found[word.meaning] = reading.place(at, word, after)
        else:
            reading.skip(word.low)
    return {meaning: place for meaning, place in found.items() if meaning not in twice}


def is_reordered(one: Mapping[str, Place], other: Mapping[str, Place]) -> bool:
    """Whether two words that both have change places, and may not; or don't, and would have to."""
    both = sorted(one.keys() & other.keys(), key=lambda word: one[word].at)
    order = [other[word].at for word in both]
    turned = {word for word in both if one[word].passive != other[word].passive}
    if not turned and order == sorted(order):
        return False
    return any(
        _is_wrong(one[a], one[b], other[a], other[b], turned=not turned.isdisjoint((a, b)))
        for a, b in combinations(both, 2)
        if _is_number(a) == _is_number(b)
    )


def _is_number(word: str) -> bool:
    return word[:1].isdigit()


def _is_wrong(a: Place, b: Place, other_a: Place, other_b: Place, *, turned: bool) -> bool:
    """Whether `a … b` may not be where the others are. `turned`: one of them is a verb in the
    passive, there or here."""
    swapped = other_a.at > other_b.at
    if turned:
        return not swapped and "by" in (a.role, b.role, other_a.role, other_b.role)
    if not swapped:
        return False
    if a.role == other_a.role and b.role == other_b.role and a.role != b.role:
        return False
    if _are_joined(a, b) and _are_joined(other_a, other_b):
        return False
    together, there = a.run == b.run, other_a.run == other_b.run
    return together == there or (a if together else other_b).subject


def _are_joined(one: Place, other: Place) -> bool:
    return one.group == other.group and one.run != other.run
