"""A world in a TOML file.

::

    [callers]
    input_tokens = 1000
    patience = 60                     # seconds until they give up

    [targets."sim:a"]                 # or a pattern: "openai:*", "*"
    first_token = { kind = "lognormal", median = 0.6, sigma = 0.3 }
    gap = 0.02                        # a number is always the same
    output_tokens = { kind = "measured", values = [40, 120, 800] }
    price = { input = 0.15, output = 0.60 }
    rate_limit = { requests = 600, per = 60, burst = 20 }

    [[targets."sim:a".faults]]
    error = "busy"
    share = 0.01                      # of all attempts

    [[targets."sim:a".faults]]
    hangs = true
    start = 300                       # for a minute, every ten minutes
    seconds = 60
    every = 600
"""

from __future__ import annotations

import math
import tomllib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar, get_args

from llmmw._call import OnInterrupt
from llmmw._config._place import Place
from llmmw._prices import Price
from llmmw.errors import ConfigError
from llmmw.sim._faults import KINDS, Fault
from llmmw.sim._latency import Constant, Distribution, LogNormal, Measured, Mixture, Pareto
from llmmw.sim._world import CallerModel, FaultModel, RateModel, TargetModel, WorldModel

__all__ = ["load_world"]

T = TypeVar("T")
Read = Callable[[Any, Place], Any]

_LONGEST = 60
_REFERENCE = Path(__file__).with_name("reference.toml")


def load_world(source: str | Path = "reference") -> WorldModel:
    """Read a world.

    Args:
        source: a file, or `"reference"`: the first token of any target takes 0.6 s mostly, 1.8 s
            in one call of 17, and from 4 s on in one of a hundred; nothing fails.

    Raises:
        ConfigError: if it can't be read, or has a wrong key or value; names file and key.
    """
    path = _REFERENCE if source == "reference" else Path(source)
    try:
        tables = tomllib.loads(path.read_bytes().decode("utf-8-sig"))
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise ConfigError(f"can't read the world {path}: {reason}") from error
    place = Place(str(path))
    fields = _table(tables, place, {"callers": _callers, "targets": _targets}, {"targets"})
    return WorldModel(**fields, name=str(source))


def _wrong(given: Any, place: Place, expected: str) -> ConfigError:
    """A value that can't be here. Not `Place.wrong`, which hides what may be a secret, as a value
    under `first_token`: a world has none."""
    shown = repr(given)
    shown = shown if len(shown) <= _LONGEST else f"{shown[:_LONGEST]}…"
    return ConfigError(f"{place.file}: {place.path} = {shown}: expected {expected}")


def _table(given: Any, place: Place, known: Mapping[str, Read], needed: set[str]) -> dict[str, Any]:
    if not isinstance(given, Mapping):
        raise _wrong(given, place, "a table")
    for key in given:
        if key not in known:
            raise (place / key).unknown(known)
    for key in sorted(needed - set(given)):
        raise (place / key).error("is missing")
    return {key: known[key](one, place / key) for key, one in given.items()}


def _number(least: float, most: float = math.inf, *, above: bool = False) -> Read:
    """Reads a number from `least` on, or above it."""

    def read(given: Any, place: Place) -> float:
        good = type(given) in {int, float} and least <= given <= most and given < math.inf
        if not good or (above and given == least):
            bounds = f"above {least:g}" if above else f"from {least:g} on"
            bounds = bounds if most == math.inf else f"from {least:g} to {most:g}"
            raise _wrong(given, place, f"a number {bounds}")
        return float(given)

    return read


def _yes(given: Any, place: Place) -> bool:
    if not isinstance(given, bool):
        raise _wrong(given, place, "true or false")
    return given


def _one_of(known: tuple[str, ...]) -> Read:
    def read(given: Any, place: Place) -> str:
        if not isinstance(given, str) or given not in known:
            raise _wrong(given, place, f"one of {', '.join(known)}")
        return given

    return read


def _values(given: Any, place: Place) -> tuple[float, ...]:
    if not isinstance(given, list) or not given:
        raise _wrong(given, place, "a list of numbers")
    read = _number(0.0)
    return tuple(read(one, place / at) for at, one in enumerate(given))


_POSITIVE = _number(0.0, above=True)
_FROM_ZERO = _number(0.0)
_KINDS: Mapping[str, tuple[Callable[..., Distribution], Mapping[str, Read]]] = {
    "constant": (Constant, {"value": _FROM_ZERO}),
    "lognormal": (LogNormal, {"median": _POSITIVE, "sigma": _FROM_ZERO}),
    "pareto": (Pareto, {"least": _POSITIVE, "alpha": _POSITIVE}),
    "measured": (Measured, {"values": _values}),
}


def _distribution(given: Any, place: Place) -> Distribution:
    if isinstance(given, list):
        return _mixture(given, place)
    if not isinstance(given, Mapping):
        return Constant(_FROM_ZERO(given, place))
    return _simple(given, place)


def _mixture(given: list[Any], place: Place) -> Distribution:
    if not given or not all(isinstance(one, Mapping) for one in given):
        raise _wrong(given, place, "a list of distributions, each a table with its share")
    shares, parts = [], []
    for at, one in enumerate(given):
        if "share" not in one:
            raise (place / at / "share").error("is missing")
        shares.append(_POSITIVE(one["share"], place / at / "share"))
        rest = {key: value for key, value in one.items() if key != "share"}
        parts.append(_simple(rest, place / at))
    return Mixture(tuple(shares), tuple(parts))


def _simple(given: Mapping[str, Any], place: Place) -> Distribution:
    if "kind" not in given:
        raise (place / "kind").error(f"is missing; known are {', '.join(_KINDS)}")
    kind = _one_of(tuple(_KINDS))(given["kind"], place / "kind")
    make, known = _KINDS[kind]
    rest = {key: value for key, value in given.items() if key != "kind"}
    return make(**_table(rest, place, known, set(known)))


def _tokens(given: Any, place: Place) -> int:
    if type(given) is not int or given < 0:
        raise _wrong(given, place, "a whole number from 0 on")
    return given


def _callers(given: Any, place: Place) -> CallerModel:
    known: dict[str, Read] = {
        "input_tokens": _tokens,
        "patience": _POSITIVE,
        "on_interrupt": _one_of(get_args(OnInterrupt)),
    }
    return CallerModel(**_table(given, place, known, set()))


def _targets(given: Any, place: Place) -> dict[str, TargetModel]:
    if not isinstance(given, Mapping) or not given:
        raise _wrong(given, place, 'tables, each [targets."provider:model"]')
    return {name: _target(one, place / name, name) for name, one in given.items()}


def _target(given: Any, place: Place, name: str) -> TargetModel:
    def price(given: Any, place: Place) -> Price:
        model = name if ":" in name else f"{name}:*"
        return Price.of(model, given, f"{place.file}: {place.path}")

    known: dict[str, Read] = {
        "first_token": _distribution,
        "gap": _distribution,
        "output_tokens": _distribution,
        "faults": _faults,
        "rate_limit": _rate,
        "price": price,
    }
    return TargetModel(**_table(given, place, known, {"first_token"}))


def _rate(given: Any, place: Place) -> RateModel:
    burst = _number(1.0)
    known = {"requests": _POSITIVE, "per": _POSITIVE, "burst": burst, "hint": _yes}
    return RateModel(**_table(given, place, known, {"requests"}))


def _faults(given: Any, place: Place) -> tuple[FaultModel, ...]:
    if not isinstance(given, list):
        raise _wrong(given, place, "a list of tables")
    return tuple(_fault(one, place / at) for at, one in enumerate(given))


_WHAT = ("error", "hangs", "stall", "slow")


def _fault(given: Any, place: Place) -> FaultModel:
    kinds = tuple(kind for kind in KINDS if kind != "shed")
    share = _number(0.0, 1.0)
    known: dict[str, Read] = {
        "error": _one_of(kinds),
        "hangs": _yes,
        "stall": _POSITIVE,
        "slow": _POSITIVE,
        "retry_after": _FROM_ZERO,
        "share": share,
        "after": share,
        "delay": _distribution,
        "start": _FROM_ZERO,
        "seconds": _POSITIVE,
        "every": _POSITIVE,
    }
    fields = _table(given, place, known, set())
    hint = fields.pop("retry_after", None)
    if sum(what in fields for what in _WHAT) != 1 or fields.get("hangs") is False:
        raise place.error(f"expected one of {', '.join(_WHAT)}, to say what goes wrong")
    if "error" in fields:
        fields["error"] = Fault(fields["error"], hint)
    elif hint is not None:
        raise (place / "retry_after").error("only an error tells it")
    if fields.get("every", math.inf) < math.inf and "seconds" not in fields:
        raise (place / "seconds").error("is missing; without it, every has no meaning")
    return FaultModel(**fields)
