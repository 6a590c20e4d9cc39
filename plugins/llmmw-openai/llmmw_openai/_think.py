"""Reasoning that a host leaves in the text of an answer, as `<think>…</think>`. Pure.

Only what the answer begins with counts: a tag that comes later is text. White space around the two
tags belongs to them. The text may be cut anywhere, within a tag too.
"""

from __future__ import annotations

from typing import Literal, TypeAlias

__all__ = ["ThinkSplitter", "ThinkTags"]

ThinkTags: TypeAlias = Literal["no", "open", "begun"]
"""`no`: text is text. `open`: an answer may begin with the tag. `begun`: it begins within the
reasoning, since the model's template has written the tag already."""

_Told: TypeAlias = list[tuple[bool, str]]
"""Pieces of an answer: whether it is reasoning, and what it says."""

_OPEN, _CLOSE = "<think>", "</think>"


class ThinkSplitter:
    """Tells reasoning and text apart, piece by piece.

    Args:
        begun: whether the first tag is missing; it is no harm if it is there.
    """

    __slots__ = ("_begun", "_held", "_state", "_trim")

    def __init__(self, *, begun: bool) -> None:
        self._begun = begun
        self._state: Literal["start", "thought", "text"] = "start"
        self._held = ""
        self._trim = False  # nothing but white space came since a tag

    def take(self, text: str) -> _Told:
        """What is known now that `text` came; what may be a tag, or stand before one, waits."""
        self._held += text
        if self._state == "start":
            self._start()
        told = self._thought() if self._state == "thought" else []
        return [*told, *self._text()] if self._state == "text" else told

    def flush(self) -> _Told:
        """What waits, as it is: something else follows, or nothing."""
        if self._state == "start":
            self._state = "thought" if self._begun else "text"
        held, self._held = self._held, ""
        return [(self._state == "thought", held)] if held else []

    def off(self) -> _Told:
        """As `flush`, and all that follows is text: the host tells reasoning in its own field."""
        told = self.flush()
        self._state = "text"
        return told

    def _start(self) -> None:
        bare = self._held.lstrip()
        if _OPEN.startswith(bare) and bare != _OPEN:
            return
        if self._begun or bare.startswith(_OPEN):
            self._state, self._trim = "thought", True
            self._held = bare.removeprefix(_OPEN)
        else:
            self._state = "text"

    def _thought(self) -> _Told:
        self._trimmed()
        said, tag, rest = self._held.partition(_CLOSE)
        if tag:
            self._state, self._held, self._trim = "text", rest, True
            said = said.rstrip()
        else:
            sizes = range(len(_CLOSE) - 1, 0, -1)
            size = next((size for size in sizes if said.endswith(_CLOSE[:size])), 0)
            said = said[: len(said) - size].rstrip()
            self._held = self._held[len(said) :]
        return [(True, said)] if said else []

    def _text(self) -> _Told:
        self._trimmed()
        said, self._held = self._held, ""
        return [(False, said)] if said else []

    def _trimmed(self) -> None:
        if self._trim:
            self._held = self._held.lstrip()
            self._trim = not self._held
