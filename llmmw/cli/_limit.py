"""`--limit-cost` and `--limit-tokens`: when no more shall be asked."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal

import attrs

from llmmw._explain import Spent
from llmmw._map import Item

__all__ = ["Limit"]


@attrs.define(eq=False)
class Limit:
    """What a job may use at most, in all of its runs; calls in flight may go beyond it.

    Args:
        cost: US dollars.
        tokens: of input and output together.

    `spent` is set by whoever runs.
    """

    cost: Decimal | None = None
    tokens: int | None = None
    spent: Callable[[], Spent] = Spent
    reason: str = attrs.field(default="", init=False)
    """Why nothing more is asked."""

    def reached(self) -> bool:
        """Whether no more shall be asked."""
        if not self.reason and (self.cost is not None or self.tokens is not None):
            spent = self.spent()
            dollars, used = spent.cost or 0, (spent.input_tokens or 0) + (spent.output_tokens or 0)
            if self.cost is not None and dollars >= self.cost:
                self.reason = f"the limit of ${self.cost} is reached: ${dollars:.4f} are spent"
            elif self.tokens is not None and used >= self.tokens:
                self.reason = f"the limit of {self.tokens:,} tokens is reached: {used:,} are used"
        return bool(self.reason)

    def check(self, item: Item) -> None:
        """Ask no more where an answer does not say what it has used."""
        response = item.response
        if response is None or item.journaled or response.joined or self.reason:
            return
        usage, name = response.usage, f"{response.provider}:{response.model}"
        if self.cost is not None and (usage is None or usage.cost is None):
            self.reason = (
                f"nobody knows what an answer of {name} costs, so --limit-cost can't hold: "
                "write its price into the configuration, or use --limit-tokens"
            )
        elif self.tokens is not None and (usage is None or usage.output_tokens is None):
            self.reason = f"{name} does not tell its tokens, so --limit-tokens can't hold"
