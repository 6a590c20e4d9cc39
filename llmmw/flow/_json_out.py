"""The JSON data of any result, for who reads a run from outside."""

from __future__ import annotations

import base64
import dataclasses
import math
from collections.abc import Mapping
from datetime import date, time
from decimal import Decimal
from enum import Enum
from pathlib import PurePath
from typing import Any
from uuid import UUID

import attrs

from llmmw._plain import plain
from llmmw._response import Generation
from llmmw.errors import LLMError

__all__ = ["json_item", "json_out"]

_DEEPEST = 60
_LONGEST = 1000


def json_out(value: Any) -> Any:
    """The JSON data of a node's result: a text as `{"text": …}`, an answer of a model as its
    plain form with its `text`, values of classes as objects of their fields. What JSON has no
    place for, a function say, is `{"repr": …}`, so that it ends no stream.
    """
    return {"text": value} if isinstance(value, str) else _form(value, 0)


def json_item(value: Any) -> Any:
    """The same of an item of a list, in which a text is a text."""
    return _form(value, 1)


def _form(value: Any, depth: int) -> Any:
    try:
        return _data(value, depth)
    except Exception:  # a stranger's methods
        return _shown(value)


def _data(value: Any, depth: int) -> Any:  # noqa: C901 (a table)
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, Enum):
        return _data(value.value, depth + 1)
    if isinstance(value, (str, int)):
        return str(value) if isinstance(value, str) else int(value)
    if depth > _DEEPEST:
        return _shown(value)
    if isinstance(value, float):
        return float(value) if math.isfinite(value) else _shown(value)
    if isinstance(value, Mapping):
        return {str(key): _data(one, depth + 1) for key, one in value.items()}
    if isinstance(value, (list, tuple)):
        return [_data(one, depth + 1) for one in value]
    if isinstance(value, (set, frozenset)):
        return [_data(one, depth + 1) for one in sorted(value, key=repr)]
    if isinstance(value, (date, time)):
        return value.isoformat()
    if isinstance(value, (UUID, Decimal, PurePath)):
        return str(value)
    if isinstance(value, bytes):
        return {"base64": base64.b64encode(value).decode()}
    return _object(value, depth)


def _object(value: Any, depth: int) -> Any:
    kind = type(value)
    if kind.__module__.startswith("llmmw."):
        try:
            data = _data(plain(value), depth + 1)
        except LLMError:
            return _shown(value)
        return {"text": value.text, **data} if isinstance(value, Generation) else data
    if isinstance(value, type):
        return _shown(value)
    if hasattr(kind, "model_dump"):
        return _data(value.model_dump(mode="json"), depth + 1)
    names: list[str] = []
    if attrs.has(kind):
        names = [field.name for field in attrs.fields(kind) if field.repr]
    elif dataclasses.is_dataclass(kind):
        names = [field.name for field in dataclasses.fields(kind) if field.repr]
    else:
        return _shown(value)
    return {name: _data(getattr(value, name, None), depth + 1) for name in names}


def _shown(value: object) -> dict[str, str]:
    try:
        text = repr(value)
    except Exception:  # a stranger's __repr__
        text = f"<{type(value).__name__}>"
    return {"repr": text[:_LONGEST]}
