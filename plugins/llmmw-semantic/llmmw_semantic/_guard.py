"""Whether two questions that look alike differ in what counts: numbers, units, dates, names,
negation, scope, direction, tense, what is asked for, any other word that says something, or who
does what. It knows English: some words that say nothing, and some that say the same. In other
languages it lets through little more than the same words.

It would rather ask once too often than answer another question.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence

import attrs

from llmmw_semantic._order import Place, Word, is_reordered, places_of
from llmmw_semantic._words import (
    DATES,
    DIRECTIONS,
    EMPTY,
    NEGATIONS,
    NUMBERS,
    OPPOSITES,
    SCOPES,
    SYNONYMS,
    TENSES,
    UNITS,
    WHAT,
)

__all__ = ["difference"]

_TOKEN = re.compile(r"[%$€£]|[^\W_]+(?:['’.,:][^\W_]+)*[+#]*|[.!?,;:]")
_NUMBER = re.compile(r"\d+(?:[.,]\d+)*")
_MOST = 4000
"""Signs of a question that are looked at; longer ones are compared by what is left, and by all."""


@attrs.frozen
class _Word:
    text: str
    """As it stands."""
    stem: str
    """Without case and endings."""
    begins: bool
    """It begins a sentence."""
    pause: bool
    """A comma, or a sign like it, stands before it."""
    owns: bool
    """An `'s` follows it."""


@attrs.frozen
class _Question:
    words: Sequence[_Word]
    stems: frozenset[str]

    @property
    def lows(self) -> list[str]:
        """Its words in small letters."""
        return [word.text.lower() for word in self.words]

    def of(self, table: dict[str, str]) -> set[str]:
        """What a table calls its words."""
        return {table[word] for one in self.words for word in _forms(one) if word in table}

    def among(self, words: set[str]) -> set[str]:
        """Which of these words it has."""
        return {word for one in self.words for word in _forms(one) if word in words}


def _forms(word: _Word) -> tuple[str, str]:
    return word.text.lower(), word.stem


def difference(one: str, other: str) -> str:
    """In what two questions differ that look alike: `number`, `unit`, `date`, `negation`, `scope`,
    `opposite`, `direction`, `tense`, `asked`, `name`, `word`, `order`; or `""` for nothing that
    counts."""
    if len(one) > _MOST or len(other) > _MOST:
        return "" if one == other else "length"
    left, right = _read(one), _read(other)
    for name, differ in _RULES.items():
        if differ(left, right):
            return name
    return ""


def _read(text: str) -> _Question:
    words: list[_Word] = []
    begins = pause = True
    for found in _TOKEN.findall(text):
        if found in ".!?,;:":
            begins, pause = begins or found in ".!?", True
            continue
        owns = found.replace("’", "'").endswith("'s")
        for part in _parts(found):
            words.append(_Word(part, _stem(part), begins, pause, owns))
            begins = pause = False
    return _Question(words, frozenset(word.stem for word in words))


def _parts(token: str) -> Iterator[str]:
    """`don't` is `do not`, `France's` is `France`."""
    bare = token.replace("’", "'")
    head, _, tail = bare.partition("'")
    if tail == "t" and head.lower().endswith("n"):
        yield {"ca": "can", "wo": "will", "sha": "shall"}.get(head[:-1].lower(), head[:-1])
        yield "not"
    elif tail:
        yield head
        if tail != "s":
            yield {"ll": "will", "re": "are", "ve": "have", "m": "am", "d": "would"}.get(tail, tail)
    else:
        yield bare


_ENDINGS = ("ations", "ation", "ings", "ing", "ies", "ied", "es", "ed", "s", "ly")


def _stem(word: str) -> str:
    low = word.lower()
    if not low.isalpha():
        return low
    for ending in _ENDINGS:
        if low.endswith(ending) and len(low) - len(ending) >= 3 and not low.endswith("ss"):
            low = low[: -len(ending)] + ("y" if ending in {"ies", "ied"} else "")
            break
    if len(low) > 3 and low[-1] == low[-2] and low[-1] not in "lsz":
        low = low[:-1]  # shipp(ing)
    return low[:-1] if len(low) > 4 and low.endswith("e") else low


_EMPTY = {_stem(word) for word in EMPTY} | EMPTY
_HANDLED = _EMPTY.union(UNITS, NUMBERS, NEGATIONS, SCOPES)
"""Words that say nothing, or have a rule of their own."""


def _numbers(question: _Question) -> Counter[str]:
    found: Counter[str] = Counter()
    for word in question.words:
        digits = _NUMBER.findall(word.text)
        found.update(_plain(one) for one in digits)
        low = word.text.lower()
        if not digits and low in NUMBERS:
            found[NUMBERS[low]] += 1
    return found


def _plain(number: str) -> str:
    whole = re.sub(r"[.,](?=\d{3}(?:\D|$))", "", number)
    return whole.replace(",", ".").lstrip("0") or "0"


def _names(question: _Question) -> set[str]:
    """What is written large, but for the beginnings of sentences; and what has signs in it."""
    return {
        word.stem
        for word in question.words
        if word.text not in {"I", "A"}
        and (
            (word.text[0].isupper() and not word.begins)
            or any(sign.isupper() for sign in word.text[1:])
            or any(sign in "+#" for sign in word.text)
        )
    }


def _other_names(left: _Question, right: _Question) -> bool:
    return bool(_names(left) - right.stems or _names(right) - left.stems)


def _other_negation(left: _Question, right: _Question) -> bool:
    if bool(left.among(NEGATIONS)) != bool(right.among(NEGATIONS)):
        return True
    return _negates(left, right) or _negates(right, left)


def _negates(left: _Question, right: _Question) -> bool:
    """Whether one has `opened` and the other `unopened`."""
    prefixes = ("un", "non", "dis", "in", "im", "ir")
    return any(
        prefix + stem in right.stems and stem not in right.stems and prefix + stem not in left.stems
        for stem in left.stems
        if len(stem) > 3
        for prefix in prefixes
    )


def _opposed(left: _Question, right: _Question) -> bool:
    for one, other in OPPOSITES:
        for these, those in ((one, other), (other, one)):
            here, there = left.among(these), right.among(those)
            if here and there and not (left.among(those) or right.among(these)):
                return True
    return False


def _turned(left: _Question, right: _Question) -> bool:
    """Whether what comes from one goes to the other."""
    mine, theirs = _ways(left), _ways(right)
    if any((after, before) in theirs and (after, before) not in mine for before, after in mine):
        return True
    return any(
        {a, b} in ({"to", "from"}, {"into", "from"})
        for a, mark in _marked(left)
        for b, other in _marked(right)
        if mark == other
    )


def _ways(question: _Question) -> set[tuple[str, str]]:
    """What stands before and what behind a word of direction."""
    found = set()
    stems = [word.stem for word in question.words]
    for place, stem in enumerate(stems):
        if stem in DIRECTIONS:
            before = [one for one in stems[:place] if one not in _EMPTY | DIRECTIONS]
            after = [one for one in stems[place + 1 :] if one not in _EMPTY | DIRECTIONS]
            found |= {(one, other) for one in before for other in after}
    return found


def _marked(question: _Question) -> Iterator[tuple[str, str]]:
    """Each `to` or `from`, with what follows it."""
    stems = [word.stem for word in question.words]
    for place, stem in enumerate(stems):
        if stem in {"to", "from", "into"}:
            following = [one for one in stems[place + 1 :] if one not in _EMPTY]
            if following:
                yield stem, following[0]


def _other_tense(left: _Question, right: _Question) -> bool:
    mine, theirs = _tense(left), _tense(right)
    return bool(mine and theirs and mine != theirs)


def _tense(question: _Question) -> str:
    """The tense that its verbs show; present is what they show where nothing else is."""
    found = question.of(TENSES)
    return next((one for one in ("past", "future", "present") if one in found), "")


def _asks_else(left: _Question, right: _Question) -> bool:
    mine, theirs = _asked(left), _asked(right)
    return bool(mine and theirs and mine != theirs)


def _asked(question: _Question) -> str:
    """What it asks for: `who`, `when`, `where`, `why`, `how long`, …; nothing if that is open."""
    lows = question.lows
    for place, low in enumerate(lows):
        if low in {"what", "which"}:
            return ""
        if low == "how":
            after = lows[place + 1] if place + 1 < len(lows) else ""
            return f"how {after}" if after in _AMOUNTS else ""
        if low in WHAT:
            return WHAT[low]
    return ""


_AMOUNTS = {"long", "many", "much", "often", "far", "old"}
_AUXILIARIES = {"is", "are", "was", "were", "do", "does", "did", "can", "has", "have", "will"}


def _categories(question: _Question) -> set[str]:
    """What stands between `which` and its verb, as in `which city is`."""
    lows = question.lows
    return {
        question.words[place + 1].stem
        for place, low in enumerate(lows[:-2])
        if low in {"which", "what"} and lows[place + 2] in _AUXILIARIES
    }


def _other_units(left: _Question, right: _Question) -> bool:
    return left.of(UNITS) != right.of(UNITS)


def _other_word(left: _Question, right: _Question) -> bool:
    """Whether one of them has a word that says something, and the other has none like it."""
    mine, theirs = _contents(left), _contents(right)
    here, there = _without(mine - theirs, theirs), _without(theirs - mine, mine)
    if not here and not _categories(left):
        there -= _categories(right)
    if not there and not _categories(right):
        here -= _categories(left)
    return bool(here or there)


def _contents(question: _Question) -> set[str]:
    """Its words but for the empty ones, each as the word that stands for it."""
    return {found for word in question.words if (found := _meaning(word))}


def _meaning(word: _Word) -> str:
    """The word that stands for it; nothing for an empty one."""
    low = word.text.lower()
    if _HANDLED.intersection((low, word.stem)) or _NUMBER.fullmatch(low):
        return ""
    found = SYNONYMS.get(low) or SYNONYMS.get(word.stem) or word.stem
    return "" if found in _HANDLED else found


def _without(some: set[str], others: set[str]) -> set[str]:
    """Those that are no form of one of the others."""
    return {one for one in some if not any(one[:5] == other[:5] and one[5:] for other in others)}


def _other_order(left: _Question, right: _Question) -> bool:
    return is_reordered(_places(left), _places(right))


def _places(question: _Question) -> Mapping[str, Place]:
    return places_of(
        [
            Word(word.text.lower(), _meaning(word) or _amount(word), word.pause, word.owns)
            for word in question.words
        ]
    )


def _amount(word: _Word) -> str:
    """What a number or a unit is called."""
    for form in _forms(word):
        if form in NUMBERS or form in UNITS:
            return NUMBERS.get(form) or UNITS[form]
    return _plain(word.text) if _NUMBER.fullmatch(word.text) else ""


_RULES = {
    "number": lambda left, right: _numbers(left) != _numbers(right),
    "unit": _other_units,
    "date": lambda left, right: left.among(DATES) != right.among(DATES),
    "negation": _other_negation,
    "scope": lambda left, right: left.of(SCOPES) != right.of(SCOPES),
    "opposite": _opposed,
    "direction": _turned,
    "tense": _other_tense,
    "asked": _asks_else,
    "name": _other_names,
    "word": _other_word,
    "order": _other_order,
}
