"""A world: how its targets answer and fail, as distributions and faults.

What attempt number k of request i does on a target depends on the seed, on i, on k and on the
target, and on nothing else: every stack meets the same world, so two stacks can be compared call
by call.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from fnmatch import fnmatchcase
from functools import lru_cache
from hashlib import blake2b
from struct import Struct
from typing import NamedTuple

import attrs

from llmmw._call import OnInterrupt
from llmmw._prices import Price
from llmmw.errors import ConfigError
from llmmw.sim._faults import Fault
from llmmw.sim._latency import Constant, Distribution
from llmmw.sim._script import Script

__all__ = ["CallerModel", "Draws", "FaultModel", "RateModel", "TargetModel", "WorldModel", "key_of"]

_SOON: Distribution = Constant(0.1)
_AT_ONCE: Distribution = Constant(0.0)
_ONE: Distribution = Constant(1.0)


@attrs.frozen(kw_only=True)
class FaultModel:
    """Something that goes wrong with some attempts.

    Args:
        error: what the attempt ends with, in place of an answer; in a file a kind of `Fault`, and
            `retry_after` beside it, the seconds that the host asks to wait.
        hangs: it is silent from there on, and never ends.
        stall: it is silent for so many seconds, and goes on.
        slow: it takes so many times as long.
        share: of the attempts that this befalls.
        after: the part of the answer that comes before it.
        delay: seconds until an error is told, counted from sending, or from the last token.
        start: when this begins, in seconds from the first call.
        seconds: how long this lasts.
        every: seconds from one begin to the next; default: it happens once.
    """

    error: Fault | None = None
    hangs: bool = False
    stall: float = 0.0
    slow: float = 1.0
    share: float = 1.0
    after: float = 0.0
    delay: Distribution = _SOON
    start: float = 0.0
    seconds: float = math.inf
    every: float = math.inf

    def reigns(self, now: float) -> bool:
        """Whether it can befall an attempt that is sent now."""
        since = now - self.start
        if since < 0.0:
            return False
        return (since if self.every == math.inf else since % self.every) < self.seconds


@attrs.frozen(kw_only=True)
class RateModel:
    """A limit of the host: `requests` in any `per` seconds on average, `burst` of them at once;
    further ones are refused, with the time to wait if `hint`."""

    requests: float
    per: float = 60.0
    burst: float = 1.0
    hint: bool = True


@attrs.frozen(kw_only=True)
class TargetModel:
    """How a target answers.

    Args:
        first_token: seconds from sending to the first token.
        gap: seconds after each token, to the next or to the end; drawn once an answer.
        output_tokens: how many tokens an answer has.
        faults: what goes wrong; of those that may befall an attempt, one does at most.
        rate_limit: how fast it may be asked.
        price: what tokens cost; default: as the library knows the target, if it does.
    """

    first_token: Distribution
    gap: Distribution = _AT_ONCE
    output_tokens: Distribution = _ONE
    faults: tuple[FaultModel, ...] = ()
    rate_limit: RateModel | None = None
    price: Price | None = None

    def script(self, draws: Draws, now: float) -> Script:
        """What an attempt that is sent now does."""
        first = self.first_token.draw(draws.kind, draws.first)
        gap = self.gap.draw(draws.gap_kind, draws.gap)
        tokens = max(1, round(self.output_tokens.draw(draws.length_kind, draws.length)))
        fault = self._fault(draws.fault, now)
        if fault is None:
            return Script(first=first, gap=gap, pieces=pieces(tokens))
        return _spoilt(fault, first, gap, tokens, draws)

    def _fault(self, chance: float, now: float) -> FaultModel | None:
        passed = 0.0
        for fault in self.faults:
            if fault.reigns(now):
                passed += fault.share
                if chance < passed:
                    return fault
        return None


def _spoilt(fault: FaultModel, first: float, gap: float, tokens: int, draws: Draws) -> Script:
    told = min(round(fault.after * tokens), tokens)
    if fault.error is not None:
        delay = fault.delay.draw(draws.kind, draws.delay)
        if not told:
            return Script(first=delay, pieces=(), error=fault.error)
        gaps = (*(gap,) * (told - 1), delay)
        return Script(first=first, gap=gaps, pieces=pieces(told), error=fault.error)
    if fault.hangs:
        return Script(first=first, gap=gap, pieces=pieces(told), hangs=True)
    first, gap = first * fault.slow, gap * fault.slow
    if not fault.stall:
        return Script(first=first, gap=gap, pieces=pieces(tokens))
    if not told:
        return Script(first=first + fault.stall, gap=gap, pieces=pieces(tokens))
    gaps = (*(gap,) * (told - 1), gap + fault.stall, *(gap,) * (tokens - told))
    return Script(first=first, gap=gaps, pieces=pieces(tokens))


@lru_cache(1024)
def pieces(tokens: int) -> tuple[str, ...]:
    """The text of an answer, token by token."""
    return ("word ",) * tokens


class Draws(NamedTuple):
    """Eight independent numbers from (0, 1): what chance says of one attempt."""

    kind: float
    first: float
    fault: float
    gap_kind: float
    gap: float
    length_kind: float
    length: float
    delay: float

    @classmethod
    def of(cls, seed: bytes, target: str, request: int, attempt: int) -> Draws:
        """Those of one attempt: a hash, so that none depends on what was drawn before."""
        digest = blake2b(_PLACE.pack(request, attempt) + target.encode(), key=seed).digest()
        return cls._make([((number >> 12) + 0.5) * _UNIT for number in _EIGHT.unpack(digest)])


def key_of(seed: int) -> bytes:
    """The seed as the key of its hashes."""
    return blake2b(str(seed).encode()).digest()


_UNIT = 2.0**-52  # with a half added, the largest number is still below 1
_PLACE = Struct("<QQ")
_EIGHT = Struct("<8Q")


@attrs.frozen(kw_only=True)
class CallerModel:
    """Who calls.

    Args:
        input_tokens: of each request, about.
        patience: seconds after which callers give up; default: they wait to the end.
        on_interrupt: what becomes of an answer that breaks off after its first token; `error` is
            what `Client.stream` does, `restart` what `Client.ask` does.
    """

    input_tokens: int = 100
    patience: float = math.inf
    on_interrupt: OnInterrupt = "error"


@attrs.frozen
class WorldModel:
    """Targets by their names or patterns of them (`*` is any), and who calls."""

    targets: Mapping[str, TargetModel] = attrs.field(hash=False)
    callers: CallerModel = attrs.field(factory=CallerModel)
    name: str = ""

    @property
    def names(self) -> list[str]:
        """The targets that are no patterns, in their order."""
        return [name for name in self.targets if not set(name) & set("*?[")]

    def target(self, name: str) -> TargetModel:
        """The model of a target: by its name, else by the longest pattern that fits.

        Raises:
            ConfigError: if there is none.
        """
        found = self.targets.get(name)
        if found is not None:
            return found
        fitting = [pattern for pattern in self.targets if fnmatchcase(name, pattern)]
        if not fitting:
            known = ", ".join(self.targets)
            raise ConfigError(
                f"the world {self.name} has no target {name!r}; it has {known} "
                '([targets."*"] stands for all others)'
            )
        return self.targets[max(fitting, key=len)]
