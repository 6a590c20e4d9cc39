"""What a host says about the limits of an account, in answers and in errors."""

from __future__ import annotations

import math
from collections.abc import Mapping

import attrs

from llmmw._call import Call
from llmmw._response import Response
from llmmw.errors import LLMError, RateLimited
from llmmw.policies._buckets import Account

__all__ = ["Hint", "hint_of"]

_TOLD_AS = {"requests": "requests", "input_tokens": "tokens", "output_tokens": "tokens"}
"""How hosts name what bounds a limit, besides its own name."""


@attrs.frozen
class Hint:
    """What a host has left, and when it wants to be asked again."""

    left: Mapping[str, float]
    """Seconds' worth of a limit, by its name."""
    told: float
    """When that was so."""
    until: float = -math.inf
    """Nothing starts before."""

    def tell(self, account: Account, now: float) -> None:
        """Have an account believe it."""
        for place, name in enumerate(account.rates):
            if name in self.left:
                account.lower(place, self.left[name], self.told, now)
        if self.until > now:
            account.freeze(self.until, now)


def hint_of(
    call: Call, told: LLMError | Response, rates: Mapping[str, float], now: float
) -> Hint | None:
    """What an answer or an error says; `None`: nothing."""
    if isinstance(told, RateLimited):
        after = told.retry_after
        is_known = after is not None and 0 < after < math.inf
        return Hint(dict.fromkeys(rates, 0.0), now, now + (after or 0) if is_known else -math.inf)
    if isinstance(told, LLMError) or told.http is None:
        return None
    left: dict[str, float] = {}
    for key, amount in told.http.rate.items():
        what, _, fact = key.rpartition("_")
        what = what.partition("_per_")[0]
        if fact != "remaining" or type(amount) not in {int, float} or not 0 <= amount < math.inf:
            continue
        for name, rate in rates.items():
            if what in {name, _TOLD_AS.get(name)}:
                left[name] = min(left.get(name, math.inf), amount / rate)
    # Hosts count a request when it comes, and its answer may have taken a minute since.
    then = now if call.attempt.sent is None else min(call.attempt.sent, now)
    return Hint(left, then) if left else None
