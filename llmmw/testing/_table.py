"""The table of the laws: what checks each, what it speaks of, and the event that shows it met.

A law's number and its statement are those of the function that checks it: `law_NN(trace)`, one
that compares runs (`law_NN(world, make_stack)`), or, for the pure core of a policy, a test.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Iterable, Mapping
from functools import cache
from typing import Any, TypeAlias

import attrs

from llmmw.testing._events import about, events_of, joined
from llmmw.testing._laws import LAWS
from llmmw.testing._laws_balance import BALANCE_LAWS
from llmmw.testing._laws_cache import CACHE_LAWS
from llmmw.testing._laws_flight import FLIGHT_LAWS
from llmmw.testing._laws_guard import GUARD_LAWS
from llmmw.testing._laws_hedge import HEDGE_LAWS
from llmmw.testing._laws_limits import LIMIT_LAWS
from llmmw.testing._laws_rate import RATE_LAWS
from llmmw.testing._laws_resume import RESUME_LAWS
from llmmw.testing._laws_stream import STREAM_LAWS
from llmmw.testing._laws_time import TIME_LAWS
from llmmw.testing._trace import Trace

__all__ = [
    "CHECKS",
    "CORES",
    "TABLE",
    "Count",
    "Law",
    "breaches",
    "check_laws",
    "count",
    "law_table",
    "number_of",
]

TraceLaw: TypeAlias = Callable[[Trace], None]

CHECKS: tuple[TraceLaw, ...] = (
    *LAWS, *TIME_LAWS, *STREAM_LAWS, *LIMIT_LAWS, *FLIGHT_LAWS, *GUARD_LAWS, *BALANCE_LAWS,
    *HEDGE_LAWS, *RATE_LAWS, *RESUME_LAWS, *CACHE_LAWS,
)  # fmt: skip
"""What checks the laws of traces."""

# These speak of a call that shares no answer; of flights and caches, others do.
_ALONE = frozenset(
    f"law_{number:02}" for number in (3, 6, 8, 16, 17, 18, 22, 26, 78, 81, 82, 83, 88, 105)
)

# Number: what a stack must have for the law to apply ("" for nothing), and what must happen.
_ROWS: Mapping[int, tuple[str, str]] = {
    1: ("engine", "again"),
    2: ("engine", "again"),
    3: ("engine", "cut after told"),
    4: ("Retry", "hint"),
    5: ("Retry", "wait"),
    6: ("", "time ran out"),
    7: ("Retry", "backoff"),
    8: ("engine", "gave up"),
    9: ("engine", "gave up"),
    10: ("Budget", "charged"),
    11: ("Budget", "charged"),
    13: ("Budget", "charged"),
    16: ("", "time ran out"),
    17: ("Timeout", "nested"),
    18: ("", "cut short"),
    19: ("Timeout", "limit"),
    21: ("idle", "idle pause"),
    22: ("Fallback", "fallback"),
    23: ("Fallback", "final"),
    24: ("Fallback", "fallback"),
    25: ("Fallback", "fallback"),
    26: ("engine", "answered again"),
    27: ("Fallback", "fallback"),
    28: ("Hedge", "hedge"),
    29: ("Hedge", "lost"),
    30: ("Hedge", "hedge"),
    31: ("Hedge", "hedge"),
    32: ("Hedge", "gave up"),
    33: ("Hedge", "lost"),
    34: ("Hedge", "hedge"),
    37: ("Breaker", "opened"),
    38: ("Breaker", "half-open"),
    39: ("Breaker", "opened"),
    40: ("Breaker", "opened"),
    41: ("Breaker", "half-open"),
    43: ("Breaker", "opened"),
    44: ("Breaker", "refused"),
    46: ("RateLimit", "rate"),
    47: ("RateLimit", "rate"),
    48: ("RateLimit", "rate"),
    49: ("RateLimit", "rate"),
    50: ("RateLimit", "rate hint"),
    51: ("RateLimit", "rate shed"),
    52: ("RateLimit", "rate charged"),
    53: ("adaptive", "adapted"),
    54: ("Concurrency", "place"),
    55: ("Concurrency", "held"),
    57: ("Concurrency", "place"),
    58: ("Balance", "chosen"),
    59: ("Balance", "chosen failed"),
    60: ("Balance", "chosen cut"),
    61: ("Balance", "chosen cut"),
    62: ("Cache outside", "stored"),
    63: ("Coalesce", "joined"),
    64: ("Coalesce", "joined and left"),
    65: ("Coalesce", "joined"),
    67: ("Cache outside", "hit"),
    68: ("Cache revalidates", "asked anew"),
    69: ("Cache ages", "hit"),
    70: ("Coalesce", "joined and failed"),
    71: ("Coalesce", "joined and paused"),
    77: ("", "told"),
    78: ("", "told and broken"),
    79: ("", "told in pieces"),
    80: ("listener", "pause"),
    81: ("", "left"),
    82: ("", "cut"),
    83: ("engine", "answered again"),
    85: ("", "cut short"),
    88: ("engine", "again"),
    93: ("resumer", "resumed"),
    94: ("resumer", "tool cut"),
    95: ("resumer", "resumed"),
    96: ("hold_back", "held back"),
    98: ("", "error"),
    99: ("", "folded"),
    100: ("engine", "gave up after several"),
    104: ("Coalesce", "joined in time"),
    105: ("", "tired"),
    106: ("Hedge", "hedge queued"),
    107: ("", "cut unheard"),
    110: ("Guard", "guarded told"),
    111: ("Guard", "guarded"),
    112: ("Guard", "guard raised"),
    113: ("", "cut after told"),
    114: ("unable", "passed over"),
    115: ("Cache outside", "hit"),
    116: ("Cache coalesces", "missed together"),
    117: ("Cache outside", "hit"),
}

# What a function of another number checks along with its own.
_WITH: Mapping[int, tuple[int, str, str, str]] = {
    42: (40, "Breaker", "half-open", "A call of before the last change changes nothing."),
    56: (53, "adaptive", "ignored", "What says nothing of an adaptive limit changes nothing."),
}

CORES: Mapping[int, tuple[str, str]] = {
    12: ("A start is paid from all its budgets or from none.", "tests/laws/test_regressions.py"),
    14: ("Failures deposit nothing.", "tests/laws/test_regressions.py"),
    15: ("Two stacks that share a budget keep its bound together.",
         "tests/laws/test_regressions.py"),
    36: ("The learned delay keeps the extra load at what was meant.",
         "tests/policies/test_hedge.py"),
    45: ("A target that is well again gets traffic within `open_max`.",
         "tests/policies/test_breaker.py"),
    46: ("In no span start more than its limit and a burst.", "tests/policies/test_rate_limit.py"),
    47: ("A level is never above a burst.", "tests/policies/test_rate_limit.py"),
    48: ("A wait is the least that satisfies all limits.", "tests/policies/test_rate_limit.py"),
    49: ("Equal ones go in the order of coming.", "tests/policies/test_rate_limit.py"),
    50: ("What a host says is left never raises a level.", "tests/policies/test_rate_limit.py"),
    51: ("Who can't go in time is shed at once.", "tests/policies/test_rate_limit.py"),
    52: ("Each attempt is charged once.", "tests/policies/test_rate_limit.py"),
    66: ("A question has one key however it is written, and no other has it.",
         "tests/policies/test_cache_key.py"),
    72: ("Each item of a batch is in one that is answered; answers go back by their place.",
         "tests/policies/test_batch_laws.py"),
    73: ("No batch is larger than it may be; none waits longer for others than it may.",
         "tests/policies/test_batch_laws.py"),
    74: ("A batch is cancelled when the last of its calls has left, and not before.",
         "tests/policies/test_batch_laws.py"),
    75: ("Of a batch that is refused only the calls that spoiled it fail.",
         "tests/policies/test_batch_laws.py"),
    76: ("Who is answered in a batch gets what it would have got alone.",
         "tests/policies/test_batch_laws.py"),
    86: ("The default stack breaks none of the rules of order.", "tests/config/test_advice.py"),
    90: ("Every answer of a host is one error, and the same each time.",
         "tests/wire/test_errors_laws.py"),
    91: ("A wait that a host tells is above 0 and finite, or none.",
         "tests/wire/test_errors_laws.py"),
    92: ("An unknown word of a host makes no refusal below 500 retryable, but for 408, 409, 424, "
         "425, 429, 498 and 499.", "tests/wire/test_errors_laws.py"),
    103: ("A configuration written to TOML and read back is the same stack.",
          "tests/config/test_round_trip.py"),
    118: ("Each call that rides a batch is told one thing: the answer to its own question, or the "
          "error that came of it, unless it has left.", "tests/policies/test_batch_api_laws.py"),
    119: ("Nothing is asked twice, whenever the program is killed: no question goes in a batch "
          "that is in another one, or was answered; nor live, once somebody was told the answer.",
          "tests/policies/test_batch_api_laws.py"),
    120: ("Only what has failed is asked again, and only where its error may pass and so often as "
          "was said.", "tests/policies/test_batch_api_laws.py"),
    121: ("No call waits for a batch longer than `live_after`, nor at all if its deadline is near.",
          "tests/policies/test_batch_api_laws.py"),
    122: ("No batch is larger than its host takes, and each question is in it once.",
          "tests/policies/test_batch_api_laws.py"),
    123: ("Who leaves takes nothing from the others: a batch is cancelled when all of its calls "
          "went live, and not while somebody waits for it. What nobody wants is not sent.",
          "tests/policies/test_batch_api_laws.py"),
}  # fmt: skip
"""Laws of pure parts, and where they are proven."""


@attrs.frozen
class Law:
    """A law of traces, or one that compares runs."""

    number: int
    statement: str
    checks: tuple[Callable[..., Any], ...]
    applies: str = ""
    event: str = ""

    @property
    def name(self) -> str:
        """As breaches name it."""
        return f"L{self.number}"

    def __str__(self) -> str:
        return f"{self.name}: {self.statement}"


@cache
def number_of(check: Callable[..., Any]) -> int:
    """The number in the name of a law's function."""
    found = re.match(r"law_0*(\d+)", check.__name__)
    assert found is not None, check
    return int(found.group(1))


def _statement(check: Callable[..., Any]) -> str:
    return " ".join((inspect.getdoc(check) or "").split("\n\n")[0].split())


def law_table(checks: Iterable[Callable[..., Any]]) -> dict[int, Law]:
    """Functions that check laws, as a table by number."""
    found: dict[int, list[Callable[..., Any]]] = {}
    for check in checks:
        found.setdefault(number_of(check), []).append(check)
    return {
        number: Law(number, _statement(some[0]), tuple(some), *_ROWS.get(number, ("", "")))
        for number, some in sorted(found.items())
    }


def _table() -> dict[int, Law]:
    rows = law_table(CHECKS)
    for number, (other, applies, event, statement) in _WITH.items():
        rows[number] = Law(number, statement, rows[other].checks, applies, event)
    return dict(sorted(rows.items()))


TABLE: Mapping[int, Law] = _table()
"""The laws of traces, by number."""


@attrs.define
class Count:
    """How often a law applied, and how often its event happened."""

    cases: int = 0
    events: int = 0


def count(trace: Trace, counts: dict[int, Count]) -> None:
    """Add a trace to the counts of each law."""
    made, happened = about(trace), events_of(trace)
    for number, law in TABLE.items():
        shared = "joined" in happened and all(check.__name__ in _ALONE for check in law.checks)
        if not shared and (not law.applies or law.applies in made):
            row = counts.setdefault(number, Count())
            row.cases += 1
            row.events += law.event in happened


def breaches(trace: Trace, checks: Iterable[Callable[[Trace], None]] = CHECKS) -> list[str]:
    """All that a trace breaks, each beginning with the number of its law."""
    found: list[str] = []
    shared = joined(trace)
    for check in checks:
        if shared and check.__name__ in _ALONE:
            continue
        try:
            check(trace)
        except AssertionError as broken:
            found.append(str(broken))
        except Exception as error:  # what a run can't have led to, a law need not understand
            found.append(f"L{number_of(check)}: can't be told of such a run: {error!r}")
    return found


def check_laws(trace: Trace) -> None:
    """Raise `AssertionError` with the number of the first law that a trace breaks."""
    for broken in breaches(trace):
        raise AssertionError(broken)
