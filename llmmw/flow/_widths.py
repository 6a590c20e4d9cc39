"""What templates could fill the memory with, told before it is made."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from functools import partial, wraps
from typing import Any

from jinja2 import pass_eval_context
from jinja2.async_utils import auto_aiter
from jinja2.filters import sync_do_join

from llmmw.errors import BadRequest

__all__ = ["check_method", "check_operator", "narrowed", "room"]

_WIDEST = 10_000
_UNKNOWN = 100_000
"""How many items may be in what does not tell: a range has no more in the sandbox."""
_PADDING = frozenset({"center", "ljust", "rjust", "zfill", "to_bytes"})
_FIELD = re.compile(r"%(?:\([^)]*\))?([-+ #0-9.*]*)|\{[^{}:]*:?((?:[^{}]|\{[^{}]*\})*)\}")
"""A field of a format, with what says how wide it is."""
_SHORTEST_URL = 5
_LOOKED = 10_000_000
"""How far an argument of a format is looked at."""
_SPOKEN = (
    *("capitalize", "center", "e", "escape", "forceescape", "format", "indent", "lower"),
    *("pprint", "replace", "string", "striptags", "title", "tojson", "trim", "truncate"),
    *("upper", "urlencode", "urlize", "wordcount", "wordwrap", "xmlattr"),
)
"""Filters that make a text of what they are given."""
_OTHERS = ("batch", "round", "slice", "sum")
"""Further ones that could fill the memory."""

Check = Callable[[int], None]


def check_operator(operator: str, left: Any, right: Any, check: Check) -> None:
    """Refuse an operation whose result is too long or too large."""
    if operator == "*":
        for one, times in ((left, right), (right, left)):
            if isinstance(times, int) and isinstance(one, (str, bytes, list, tuple)):
                check(len(one) * times)
        if isinstance(left, int) and isinstance(right, int):
            _check_bits(left.bit_length() + right.bit_length())
    elif operator == "+" and isinstance(left, (str, list, tuple)) and hasattr(right, "__len__"):
        check(len(left) + len(right))
    elif operator == "**" and isinstance(left, int) and isinstance(right, int):
        _check_bits(left.bit_length() * right)
    elif operator == "%" and isinstance(left, str):
        _check_format(left, right if isinstance(right, tuple) else (right,), check)


def check_method(text: str | bytes | int, name: str, args: Sequence[Any], check: Check) -> None:
    """Refuse a call of a text's or a number's method whose result is too long."""
    if name in _PADDING:
        _check_widths(args)
    elif isinstance(text, int):
        return
    elif name == "expandtabs":
        _check_widths(args)
        tabs = text.count("\t") if isinstance(text, str) else text.count(b"\t")
        check(len(text) + tabs * max((8, *_numbers(args))))
    elif name == "translate" and args and isinstance(args[0], Mapping):
        check(len(text) * max(map(len, _texts(args[0].values())), default=1))
    elif name in ("format", "format_map") and isinstance(text, str):
        _check_format(text, args, check)
    elif name == "replace" and len(args) > 1:
        check(_replaced(text, args[0], args[1]))
    elif name == "join" and args:
        check(len(text) * _count(args[0]) + _length(args[0]))


def room(value: Any, most: int) -> int:
    """Of how many characters the text of a value is at least; looked at no further than `most`.

    Lists that stand in each other many times may be small, and their text without end.
    """
    size, stack = 0, [value]
    while stack and size <= most:
        one = stack.pop()
        if isinstance(one, (str, bytes)):
            size += len(one)
        elif isinstance(one, Mapping):
            stack += one.keys()
            stack += one.values()
        elif isinstance(one, (list, tuple, set, frozenset)):
            stack += one
            size += 2
        else:
            size += 1
    return size


def narrowed(filters: Mapping[str, Callable[..., Any]], most: int, check: Check) -> dict[str, Any]:
    """Jinja's filters, made to refuse what their results would be too long for."""
    found: dict[str, Any] = {
        name: _narrow(name, filters[name], most, check) for name in (*_SPOKEN, *_OTHERS)
    }
    found["join"] = pass_eval_context(partial(_join, most, check))
    return found


def _narrow(name: str, filter: Callable[..., Any], most: int, check: Check) -> Callable[..., Any]:
    @wraps(filter)
    def checked(*args: Any, **kwargs: Any) -> Any:
        own = args[1:] if hasattr(filter, "jinja_pass_arg") else args
        given = (*own[1:], *kwargs.values())
        if name in _SPOKEN:
            size = room(own[0], most)
            check(size)
            _check_spoken(name, own[0], size, given, check)
        else:
            _check_widths(given)
            if name == "sum" and any(isinstance(one, (list, tuple)) for one in given):
                raise BadRequest("a template may add numbers by `sum`, and nothing else")
        return filter(*args, **kwargs)

    return checked


def _check_spoken(name: str, value: Any, size: int, given: Sequence[Any], check: Check) -> None:
    """Refuse a text that a filter makes of one of this size."""
    longest = max(map(len, _texts(given)), default=1)
    if name == "format":
        _check_format(str(value), given, check)
        return
    if name == "replace":
        if len(given) > 1:
            check(_replaced(str(value), given[0], given[1]))
        return
    if name != "truncate":
        _check_widths(given)
    width = max((4, longest, *_numbers(given)))
    if name == "indent":
        check(size + str(value).count("\n") * width)
    elif name == "tojson" and given:
        check(size * width)
    elif name == "wordwrap":
        check(size * longest)
    elif name == "urlize":
        check(size + size // _SHORTEST_URL * sum(map(len, _texts(given))))


async def _join(
    most: int, check: Check, context: Any, value: Any, d: str = "", attribute: Any = None
) -> str:
    """`join`, of what may be generated."""
    items, size = [], 0
    async for one in auto_aiter(value):
        size += len(str(d)) + (room(one, most) if attribute is None else 0)
        check(size)
        items.append(one)
    joined: str = sync_do_join(context, items, d, attribute)
    return joined


def _replaced(text: str | bytes, old: Any, new: Any) -> int:
    if isinstance(text, str) and isinstance(old, str) and isinstance(new, str):
        return len(text) + text.count(old) * len(new)
    if isinstance(text, bytes) and isinstance(old, bytes) and isinstance(new, bytes):
        return len(text) + text.count(old) * len(new)
    return len(text)  # it will not do it


def _count(items: Any) -> int:
    return len(items) if hasattr(items, "__len__") else _UNKNOWN


def _length(items: Any) -> int:
    known = items if isinstance(items, (list, tuple)) else ()
    return sum(len(one) for one in known if isinstance(one, (str, bytes)))


def _texts(several: Any) -> list[str]:
    return [one for one in several if isinstance(one, str)]


def _numbers(several: Sequence[Any]) -> list[int]:
    return [abs(one) for one in several if isinstance(one, int)]


def _check_format(text: str, args: Sequence[Any], check: Check) -> None:
    """Refuse fields that are too wide, each or all together."""
    total, count = len(text), 0
    for field in _FIELD.finditer(text):
        spec = field[1] or field[2] or ""
        widths = re.findall("[0-9]+", spec)
        if any(len(one) > 5 or int(one) > _WIDEST for one in widths):
            raise BadRequest(f"a template asked for a text wider than {_WIDEST}")
        if "*" in spec or "{" in spec:
            _check_widths(args)
            total += _WIDEST
        total += sum(map(int, widths))
        count += 1
    check(total + count * max((room(one, _LOOKED) for one in args), default=0))


def _check_widths(args: Sequence[Any]) -> None:
    if any(one > _WIDEST for one in _numbers(args)):
        raise BadRequest(f"a template asked for a text wider than {_WIDEST}")


def _check_bits(bits: int) -> None:
    if bits > _WIDEST:
        raise BadRequest("a template asked for a number that is too large")
