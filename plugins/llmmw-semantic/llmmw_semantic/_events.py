"""What can happen between a call and a semantic cache: frozen events, whose names are API."""

from __future__ import annotations

import attrs

from llmmw.plugin import Event

__all__ = ["SemanticHit", "SemanticMissed"]


@attrs.frozen
class SemanticHit(Event):
    """The answer to `question` is given to another one that means the same: they are so similar
    (1: equal), and the answer is `age` seconds old."""

    question: str
    similarity: float
    age: float
    parent: int = 0

    def __str__(self) -> str:
        return f"semantic hit, {self.similarity:.3f} like “{self.question}”, {self.age:.3f} s old"


@attrs.frozen
class SemanticMissed(Event):
    """No kept question will do: there is none (`absent`), none is similar enough (`unlike`), those
    that are differ in what counts (`number`, `name`, …), or it can't be compared (`failed: …`).
    `question` is the one that comes nearest, if there is one."""

    why: str
    question: str = ""
    similarity: float = 0.0
    parent: int = 0

    def __str__(self) -> str:
        near = f", {self.similarity:.3f} like “{self.question}”" if self.question else ""
        return f"semantic miss ({self.why}{near})"
