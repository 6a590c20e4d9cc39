"""Takes every trace of known secrets out of a text, before people or files see it.

A host's error may show the key as it was sent: whole or cut, plain or encoded. So a text is
compared with all runs of ten characters that any form of a secret has.
"""

from __future__ import annotations

import base64
import functools
import json
import re
from collections.abc import Iterable, Iterator
from typing import NoReturn
from urllib.parse import quote, quote_plus

__all__ = ["Scrubber"]

_RUN = 10
"""So many characters in common with a secret are a trace of it."""
_BLOCK, _STRIDE = 5, 6
"""Each run holds exactly one block that starts at a multiple of the stride: one look in six tells
where a run may be."""
_CUTTABLE = 12
_SHORTEST = 4
_MOST = 8
_MARK = "[key]"

_PUBLIC = ("sk-ant-api03-", "sk-ant-admin01-", "sk-ant-oat01-", "sk-svcacct-", "github_pat_")
"""Beginnings that all keys of a host share and anybody knows: no secret on their own. Those that
are shorter than a run need no place here."""


class Scrubber:
    """A function from texts to texts that replaces each trace of a secret by `[key]`.

    Secrets are known in their plain form, in base64 (alone or as user or password), percent
    encoding, hexadecimal, and as JSON or Python write them; pieces of ten characters are found. A
    secret of less than 12 characters is replaced only where it stands whole, one of less than 4
    never. It knows the 8 secrets that were added last: keys that are renewed by the hour do not
    pile up.

    Args:
        secrets: the secrets known from the start.
    """

    __slots__ = ("__weakref__", "_blocks", "_runs", "_secrets", "_whole")

    def __init__(self, secrets: Iterable[str] = ()) -> None:
        self._secrets: dict[str, tuple[frozenset[str], frozenset[str]]] = {}
        self._runs: frozenset[str] = frozenset()
        self._blocks: frozenset[str] = frozenset()
        self._whole: re.Pattern[str] | None = None
        for secret in secrets:
            self.add(secret)

    def add(self, secret: str) -> None:
        """Know one more secret; one that is known costs nothing."""
        if len(secret) < _SHORTEST:
            return
        if secret in self._secrets:
            self._secrets[secret] = self._secrets.pop(secret)  # added last
            return
        forms = frozenset(_forms(secret)) if len(secret) >= _CUTTABLE else frozenset()
        runs = _pieces(forms, _RUN) - _public_runs()
        self._secrets[secret] = runs, _pieces(forms, _BLOCK)
        if len(self._secrets) > _MOST:
            del self._secrets[next(iter(self._secrets))]
        self._runs, self._blocks = (
            frozenset().union(*sets) for sets in zip(*self._secrets.values(), strict=True)
        )
        short = {form for one in self._secrets if len(one) < _CUTTABLE for form in _forms(one)}
        longest_first = sorted(short, key=lambda form: (-len(form), form))
        self._whole = re.compile("|".join(map(re.escape, longest_first))) if short else None

    def __call__(self, text: str) -> str:
        """The text without any trace of a secret."""
        spans = self._spans(text)
        if spans:
            kept, start = [], 0
            for begin, end in spans:
                kept += [text[start:begin], _MARK]
                start = end
            text = "".join([*kept, text[start:]])
        return text if self._whole is None else self._whole.sub(_MARK, text)

    def _spans(self, text: str) -> list[tuple[int, int]]:
        """Where the text has runs of a secret; those that touch are one."""
        places = range(0, len(text) - _BLOCK + 1, _STRIDE) if self._runs else range(0)
        blocks = [text[place : place + _BLOCK] for place in places]
        if self._blocks.isdisjoint(blocks):  # nearly always, and at once
            return []
        may_be, is_run = self._blocks.__contains__, self._runs.__contains__
        spans: list[tuple[int, int]] = []
        for block in places:
            if not may_be(text[block : block + _BLOCK]):
                continue
            for at in range(max(block - _RUN + _BLOCK, 0), block + 1):
                if is_run(text[at : at + _RUN]):
                    begin = spans.pop()[0] if spans and at <= spans[-1][1] else at
                    spans.append((begin, at + _RUN))
        return spans

    def __repr__(self) -> str:
        return f"<Scrubber of {len(self._secrets)} secrets>"

    def __reduce__(self) -> NoReturn:
        raise TypeError("a Scrubber holds secrets: it is neither copied nor stored")


def _pieces(forms: Iterable[str], size: int) -> frozenset[str]:
    """All that these texts have of this length."""
    return frozenset(form[at : at + size] for form in forms for at in range(len(form) - size + 1))


@functools.cache
def _public_runs() -> frozenset[str]:
    return _pieces({form for beginning in _PUBLIC for form in _forms(beginning)}, _RUN)


def _forms(secret: str) -> Iterator[str]:
    """The ways to write a secret."""
    raw = secret.encode("utf-8", "replace")
    yield secret
    yield quote(raw)
    yield quote(raw, safe="")
    yield quote_plus(raw)
    yield json.dumps(secret)[1:-1]
    yield json.dumps(secret, ensure_ascii=False)[1:-1]
    yield repr(secret)[1:-1]
    yield raw.hex()
    yield raw.hex().upper()
    for encode in (base64.b64encode, base64.urlsafe_b64encode):
        for offset in range(3):
            yield from _base64(encode(b":" * offset + raw).decode(), offset, len(raw))
            yield from _base64(encode(b":" * offset + raw + b":").decode(), offset, len(raw) + 1)


def _base64(text: str, offset: int, size: int) -> Iterator[str]:
    """The part of `text` that encodes `size` bytes behind `offset` others: what these bytes alone
    decide, then with what stands at the edges when they end the text, and a colon is before."""
    yield text[-(-8 * offset // 6) : 8 * (offset + size) // 6]
    yield text[8 * offset // 6 :]
