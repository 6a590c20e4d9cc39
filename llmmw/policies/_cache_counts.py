"""What a cache counts."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import attrs

from llmmw._response import Response
from llmmw.errors import LLMError

__all__ = ["Counts"]


@attrs.define(eq=False)
class Counts:
    """Hits, misses, what was stored, and what was saved."""

    hits: int = 0
    stale: int = 0
    negative: int = 0
    misses: int = 0
    sample_misses: int = 0
    new: int = 0
    new_samples: int = 0
    overwritten: int = 0
    redundant: int = 0
    refused: int = 0
    failed: int = 0
    saved_input_tokens: int = 0
    saved_output_tokens: int = 0
    saved_cost: Decimal = Decimal(0)

    def hit(self, answer: Response | LLMError, stale: str) -> None:
        """An answer was given."""
        self.hits += 1
        self.stale += bool(stale)
        if isinstance(answer, LLMError):
            self.negative += 1
        elif answer.usage is not None:
            self.saved_input_tokens += answer.usage.input_tokens or 0
            self.saved_output_tokens += answer.usage.output_tokens or 0
            if answer.usage.cost is not None:
                self.saved_cost += answer.usage.cost

    def missed(self, why: str) -> None:
        """An answer had to be asked for."""
        self.misses += 1
        self.sample_misses += why == "sample"

    def kept(self, how: str, sample: int) -> None:
        """An answer was stored, in one of three ways."""
        setattr(self, how, getattr(self, how) + 1)
        self.new_samples += how == "new" and sample > 0

    @property
    def stored(self) -> int:
        """How many answers were kept."""
        return self.new + self.overwritten + self.redundant

    def data(self) -> dict[str, Any]:
        """All of them, by their names."""
        return {**attrs.asdict(self), "stored": self.stored}
