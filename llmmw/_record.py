"""Values as bytes and back: what a cache keeps of an answer.

::

    "llmmw" version  CRC-32  MessagePack: target, tenant, sample, value, deltas

A value class is a map with its name under `""` and every field that differs from its default; a
field that holds somebody's plain data holds it as it is. Names of classes that stand in `KINDS`
are all that reading knows, so that no file can make anything else. HTTP details, raw data and
ledgers are left out: they may have secrets in them.
"""

from __future__ import annotations

import zlib
from collections import abc
from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal
from functools import cache
from typing import Any, get_args, get_origin, get_type_hints

import attrs

from llmmw import _messages, _output, _parts, _request, _response, _tools, errors
from llmmw._deltas import Delta, PartDelta, PartEnd, PartStart, ResponseStart, deltas_of
from llmmw._plain import default_of
from llmmw._record_types import Test, kinds_of, test_of
from llmmw._response import Generation, Response
from llmmw.errors import LLMError

__all__ = ["Record", "RecordError", "read_record", "read_value", "write_record", "write_value"]

_MAGIC = b"llmmw\x01"
_HEAD = len(_MAGIC) + 4
_MOST_BYTES = 64 * 2**20
_DEEPEST = 64


class RecordError(ValueError):
    """These bytes are no record of ours, or of another version; or a value can't be one."""


@attrs.frozen
class Record:
    """An answer as it is kept."""

    answer: Response | LLMError
    target: str = ""
    """Who gave it."""
    tenant: str = ""
    """For whom."""
    sample: int = 0
    deltas: tuple[Delta, ...] | None = None
    """What was told of it; `None` where nothing was, or only what the answer itself tells."""


KINDS: Mapping[str, type] = {
    kind.__name__: kind
    for module in (_parts, _messages, _output, _tools, _request, _response)
    for kind in vars(module).values()
    if isinstance(kind, type) and attrs.has(kind)
} | {"PartDelta": PartDelta}
_LEFT_OUT = {"raw", "http", "ledger", "joined", "load"}
"""What no two answers are compared by, and is not kept, under any of these names."""
_NESTS: frozenset[type] = frozenset({list, dict})


@attrs.frozen
class _Field:
    name: str
    alias: str
    default: object
    free: bool
    """It holds plain data of somebody else's."""
    kinds: frozenset[type]
    """Of these, everything fits."""
    fits: Test


@cache
def _fields_of(kind: Any) -> tuple[_Field, ...]:
    hints = get_type_hints(kind)
    return tuple(
        _Field(
            field.name,
            field.alias,
            default_of(field),
            _is_free(hints[field.name]),
            kinds_of(hints[field.name]) - _NESTS,
            test_of(hints[field.name]),
        )
        for field in attrs.fields(kind)
        if field.init and not _is_left_out(kind, field)
    )


def _is_left_out(kind: type, field: attrs.Attribute[Any]) -> bool:
    is_form = kind is Generation and field.name == "output"  # each call has its own
    return is_form or (not field.eq and field.name in _LEFT_OUT)


def _is_free(hint: Any) -> bool:
    some = [hint, *get_args(hint)] if get_origin(hint) is not abc.Mapping else [hint]
    return any(one is Any or get_origin(one) is abc.Mapping for one in some)


def _packed(item: Any, depth: int = 0) -> Any:
    kind: Any = type(item)
    if item is None or kind in _ATOMS:
        return item
    if depth > _DEEPEST:
        raise RecordError(f"it nests deeper than {_DEEPEST} levels")
    if kind is tuple:
        return [_packed(one, depth + 1) for one in item]
    if kind is Decimal:
        return {"": "Decimal", "is": str(item)}
    name: str = kind.__name__
    if KINDS.get(name) is not kind:
        raise RecordError(f"{name} can't be kept")
    made: dict[str, Any] = {"": name}
    for field in _fields_of(kind):
        given = getattr(item, field.name)
        if given is not field.default and given != field.default:
            made[field.alias] = dict(given) if field.free and isinstance(given, Mapping) else given
            if not field.free:
                made[field.alias] = _packed(given, depth + 1)
    return made


_ATOMS = {str, int, float, bool, bytes}


def _unpacked(data: Any, depth: int = 0) -> Any:
    kind = type(data)
    if kind is dict:
        return _made(data, depth)
    if kind is not list:
        return data
    if _ATOMS.issuperset(map(type, data)):  # there may be thousands
        return tuple(data)
    return tuple([_unpacked(one, depth + 1) for one in data])


def _made(data: dict[str, Any], depth: int) -> Any:
    if depth > _DEEPEST:
        raise RecordError(f"it nests deeper than {_DEEPEST} levels")
    name = data.pop("", None)
    if name == "Decimal":
        return Decimal(data["is"])
    cls: Any = KINDS.get(name)
    if cls is None:
        raise RecordError(f"it has an unknown kind of value, {name!r}")
    fields = _fields_by_alias(cls)
    for alias, one in data.items():
        field = fields[alias]
        if type(one) in field.kinds:
            continue
        if type(one) in _NESTS and not field.free:
            data[alias] = one = _unpacked(one, depth + 1)
        if type(one) not in field.kinds and not field.fits(one):
            raise RecordError(f"{alias} of {name} can't be a {type(one).__name__}")
    return cls(**data)


@cache
def _fields_by_alias(kind: type) -> dict[str, _Field]:
    return {field.alias: field for field in _fields_of(kind)}


@cache
def _packer() -> tuple[Callable[[Any], bytes], Callable[[memoryview], Any]]:
    from msgspec import msgpack  # kept out of what a client imports

    return msgpack.Encoder().encode, msgpack.Decoder().decode


def write_value(item: object) -> bytes:
    """A request, a response, or what they are made of, as bytes.

    Raises:
        RecordError: for what has no such form.
    """
    return _sealed(_packed(item))


def read_value(data: bytes) -> Any:
    """The inverse of `write_value`.

    Raises:
        RecordError: for bytes that it did not write.
    """
    return _read(data, _unpacked)


def _sealed(item: Any) -> bytes:
    try:
        packed = _packer()[0](item)
    except (TypeError, ValueError, OverflowError, RecursionError) as error:
        raise RecordError(f"it can't be kept: {error}") from error
    if len(packed) > _MOST_BYTES:
        raise RecordError(f"it has more than {_MOST_BYTES} bytes")
    return _MAGIC + zlib.crc32(packed).to_bytes(4) + packed


def _read(data: bytes, make: Callable[[Any], Any]) -> Any:
    if len(data) > _MOST_BYTES + _HEAD or data[: len(_MAGIC)] != _MAGIC:
        raise RecordError("it is no record of ours, or of another version")
    packed = memoryview(data)[_HEAD:]
    if zlib.crc32(packed).to_bytes(4) != data[len(_MAGIC) : _HEAD]:
        raise RecordError("it is damaged")
    try:
        return make(_packer()[1](packed))
    except RecordError:
        raise
    except Exception as error:  # somebody's own file: whatever a constructor makes of it
        raise RecordError(f"it can't be read: {type(error).__name__}: {error}") from error


def write_record(record: Record) -> bytes:
    """An answer as bytes.

    Raises:
        RecordError: for an answer that has no such form.
    """
    answer, told = record.answer, record.deltas
    deltas = None
    if isinstance(answer, LLMError):
        packed: Any = {"": "Error", "kind": type(answer).__name__, "message": answer.message}
        packed |= {name: getattr(answer, name) for name in _OF_ERRORS}
    else:
        packed = _packed(answer)
        if (
            isinstance(answer, Generation)
            and told is not None
            and list(told) != [*deltas_of(answer)]
        ):
            deltas = [_told(delta, answer) for delta in told]
    return _sealed([record.target, record.tenant, record.sample, packed, deltas])


_OF_ERRORS = ("provider", "model", "status", "code")


def read_record(data: bytes) -> Record:
    """The inverse of `write_record`.

    Raises:
        RecordError: for bytes that it did not write.
    """
    found: Record = _read(data, _record_of)
    return found


def _record_of(data: Any) -> Record:
    target, tenant, sample, packed, told = data
    if not (type(target) is type(tenant) is str and type(sample) is int):
        raise RecordError("it is no record")
    if packed.get("") == "Error":
        return Record(_error_of(packed), target, tenant, sample)
    answer = _unpacked(packed)
    if not isinstance(answer, Response):
        raise RecordError("it is no answer")
    deltas = None
    if told is not None and isinstance(answer, Generation):
        deltas = tuple(_delta_of(one, answer) for one in told)
    return Record(answer, target, tenant, sample, deltas)


def _error_of(packed: dict[str, Any]) -> LLMError:
    kind = getattr(errors, packed["kind"], None) if packed["kind"] in errors.__all__ else None
    if not (isinstance(kind, type) and issubclass(kind, LLMError)):
        raise RecordError(f"it has an unknown kind of error, {packed['kind']!r}")
    for name, given in packed.items():
        if given is not None and type(given) is not (int if name == "status" else str):
            raise RecordError(f"{name} of an error can't be a {type(given).__name__}")
    return kind(packed["message"], **{name: packed[name] for name in _OF_ERRORS})


# The deltas of an answer, without what the answer itself says.
_START, _PART, _TEXT, _PIECE, _END, _OTHER_END = range(6)


def _told(delta: Delta, answer: Generation) -> Sequence[Any]:
    if isinstance(delta, PartDelta):
        plain = PartDelta(index=delta.index, candidate=delta.candidate, text=delta.text)
        if delta == plain:
            return (_TEXT, delta.index, delta.candidate, delta.text)
        return (_PIECE, _packed(delta))
    if isinstance(delta, PartStart):
        return (_PART, delta.index, delta.candidate, _packed(delta.part))
    if isinstance(delta, PartEnd):
        if _part(answer, delta.candidate, delta.index) == delta.part:
            return (_END, delta.index, delta.candidate)
        return (_OTHER_END, delta.index, delta.candidate, _packed(delta.part))
    if isinstance(delta, ResponseStart):
        return (_START, delta.id, delta.model, delta.provider)
    raise RecordError("an answer that began anew was not told from there")


def _delta_of(told: list[Any], answer: Generation) -> Delta:
    kind, *rest = told
    if kind != _PIECE and kind != _START and not type(rest[0]) is type(rest[1]) is int:
        raise RecordError("a piece of an answer has no place")
    if kind == _TEXT:
        if type(rest[2]) is not str:
            raise RecordError("a piece of text is none")
        return PartDelta(index=rest[0], candidate=rest[1], text=rest[2])
    if kind == _PIECE:
        piece: PartDelta = _is_a(PartDelta, _unpacked(rest[0]))
        return piece
    if kind == _PART:
        return PartStart(rest[0], _is_a(_parts.Part, _unpacked(rest[2])), rest[1])
    if kind == _END:
        part = _part(answer, rest[1], rest[0])
        assert part is not None
        return PartEnd(rest[0], part, rest[1])
    if kind == _OTHER_END:
        return PartEnd(rest[0], _is_a(_parts.Part, _unpacked(rest[2])), rest[1])
    if not (test_of(str | None)(rest[0]) and type(rest[1]) is type(rest[2]) is str):
        raise RecordError("the beginning of an answer is none")
    return ResponseStart(id=rest[0], model=rest[1], provider=rest[2])


def _is_a(hint: Any, item: Any) -> Any:
    if not test_of(hint)(item):
        raise RecordError(f"a {type(item).__name__} is no piece of an answer")
    return item


def _part(answer: Generation, candidate: int, index: int) -> _parts.Part | None:
    rows = [one.message for one in answer.candidates] or [answer.message]
    parts = rows[candidate].parts if candidate < len(rows) else ()
    return parts[index] if index < len(parts) else None
