"""The results of nodes as typed values: frozen, checked, with all that the host sent in `raw`."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from types import NoneType, UnionType
from typing import Any, TypeAlias, TypeVar, Union, get_args, get_origin, get_type_hints

import attrs

from llmmw.errors import ProtocolError

__all__ = [
    "BatchJSONOut",
    "BatchTextOut",
    "BoxOut",
    "Chapter",
    "Choice",
    "ChoicesOut",
    "CodeOut",
    "CollectionOut",
    "CollectionsOut",
    "CountOut",
    "Document",
    "DocumentsOut",
    "Embedding",
    "EmbeddingOut",
    "EmbeddingsOut",
    "ExperimentalOut",
    "Found",
    "IfOut",
    "ImageOut",
    "ImagesOut",
    "JSONOut",
    "MaskOut",
    "MultiCodeOut",
    "MultiJSONOut",
    "MultiTextOut",
    "Out",
    "QueryOut",
    "SeededImage",
    "SeededImagesOut",
    "Segment",
    "SpeechOut",
    "TextOut",
    "TranscriptOut",
    "Vector",
    "VectorsOut",
    "VideoOut",
    "Word",
    "read",
]

O = TypeVar("O", bound="Out")  # noqa: E741 (what comes out)
Json: TypeAlias = Mapping[str, Any]


@attrs.frozen(kw_only=True)
class Out:
    """What a node gives, or a part of that."""

    raw: Json = attrs.field(factory=dict, eq=False, repr=False)
    """The object as the host sent it, with fields that have no place here."""


@attrs.frozen(kw_only=True)
class BoxOut(Out):
    value: Any


@attrs.frozen(kw_only=True)
class IfOut(Out):
    result: Any = None


@attrs.frozen(kw_only=True)
class ExperimentalOut(Out):
    output: Json


@attrs.frozen(kw_only=True)
class TextOut(Out):
    text: str


@attrs.frozen(kw_only=True)
class JSONOut(Out):
    json_object: Json | None = None
    text: str | None = None
    """What the model wrote, where that is no JSON."""


@attrs.frozen(kw_only=True)
class MultiTextOut(Out):
    choices: tuple[TextOut, ...]


@attrs.frozen(kw_only=True)
class BatchTextOut(Out):
    outputs: tuple[TextOut, ...]


@attrs.frozen(kw_only=True)
class MultiJSONOut(Out):
    choices: tuple[JSONOut, ...]


@attrs.frozen(kw_only=True)
class BatchJSONOut(Out):
    outputs: tuple[JSONOut, ...]


@attrs.frozen(kw_only=True)
class CodeOut(Out):
    code: str


@attrs.frozen(kw_only=True)
class MultiCodeOut(Out):
    choices: tuple[CodeOut, ...]


@attrs.frozen(kw_only=True)
class Choice(Out):
    text: str | None = None
    json_object: Json | None = None
    """Where a schema was given."""


@attrs.frozen(kw_only=True)
class ChoicesOut(Out):
    choices: tuple[Choice, ...]


@attrs.frozen(kw_only=True)
class ImageOut(Out):
    image_uri: str
    """Where it is stored, or the image in base64."""


@attrs.frozen(kw_only=True)
class ImagesOut(Out):
    outputs: tuple[ImageOut, ...]


@attrs.frozen(kw_only=True)
class SeededImage(Out):
    image_uri: str
    seed: int


@attrs.frozen(kw_only=True)
class SeededImagesOut(Out):
    outputs: tuple[SeededImage, ...]


@attrs.frozen(kw_only=True)
class MaskOut(Out):
    mask_image_uri: str


@attrs.frozen(kw_only=True)
class VideoOut(Out):
    video_uri: str | None = None
    frame_uris: tuple[str, ...] | None = None


@attrs.frozen(kw_only=True)
class Word(Out):
    word: str
    start: float | None = None
    """Seconds."""
    end: float | None = None
    speaker: str | None = None


@attrs.frozen(kw_only=True)
class Segment(Out):
    text: str
    start: float
    """Seconds."""
    end: float
    speaker: str | None = None
    words: tuple[Word, ...] | None = None


@attrs.frozen(kw_only=True)
class Chapter(Out):
    title: str
    start: float
    """Seconds."""


@attrs.frozen(kw_only=True)
class TranscriptOut(Out):
    text: str
    segments: tuple[Segment, ...] | None = None
    chapters: tuple[Chapter, ...] | None = None


@attrs.frozen(kw_only=True)
class SpeechOut(Out):
    audio_uri: str
    """Where it is stored, or the audio in base64."""


@attrs.frozen(kw_only=True)
class Embedding(Out):
    vector: tuple[float, ...] = attrs.field(repr=False)
    doc_id: str | None = None
    metadata: Json | None = None


@attrs.frozen(kw_only=True)
class EmbeddingOut(Out):
    embedding: Embedding


@attrs.frozen(kw_only=True)
class EmbeddingsOut(Out):
    embeddings: tuple[Embedding, ...]


@attrs.frozen(kw_only=True)
class CollectionOut(Out):
    collection_name: str
    model: str
    num_leaves: int | None = None


@attrs.frozen(kw_only=True)
class CollectionsOut(Out):
    items: tuple[CollectionOut, ...] | None = None


@attrs.frozen(kw_only=True)
class Vector(Out):
    id: str
    vector: tuple[float, ...] = attrs.field(repr=False)
    metadata: Json


@attrs.frozen(kw_only=True)
class VectorsOut(Out):
    vectors: tuple[Vector, ...]


@attrs.frozen(kw_only=True)
class CountOut(Out):
    count: int


@attrs.frozen(kw_only=True)
class Found(Out):
    id: str
    distance: float
    vector: tuple[float, ...] | None = attrs.field(default=None, repr=False)
    metadata: Json | None = None


@attrs.frozen(kw_only=True)
class QueryOut(Out):
    results: tuple[tuple[Found, ...], ...]
    """What was found for each question, the nearest first."""
    collection_name: str | None = None
    model: str | None = None


@attrs.frozen(kw_only=True)
class Document(Out):
    text: str
    metadata: Json | None = None
    doc_id: str | None = None


@attrs.frozen(kw_only=True)
class DocumentsOut(Out):
    items: tuple[Document, ...]


def read(kind: type[O], told: object, where: str) -> O:
    """A result as a value of its type.

    Args:
        kind: the type.
        told: what the host sent.
        where: whose result it is, for people.

    Raises:
        ProtocolError: if it is none; the message says which part of it.
    """
    if not isinstance(told, Mapping):
        raise ProtocolError(f"{where} is no {kind.__name__}: an object is wanted")
    given: dict[str, Any] = {}
    its: Any = kind  # which can be hashed, though mypy doubts it
    for name, (hint, needed) in _fields(its).items():
        if name in told:
            given[name] = _value(hint, told[name], f"{where}.{name}")
        elif needed:
            raise ProtocolError(f"{where} is no {kind.__name__}: it has no {name!r}")
    return kind(raw=told, **given)


@cache
def _fields(kind: Any) -> dict[str, tuple[Any, bool]]:
    """The type of each field, and whether it must be there."""
    hints = get_type_hints(kind)
    own = [field for field in attrs.fields(kind) if field.name != "raw"]
    return {field.name: (hints[field.name], field.default is attrs.NOTHING) for field in own}


def _value(hint: Any, told: Any, where: str) -> Any:
    """A value of the type that a hint says."""
    origin, inner = get_origin(hint), get_args(hint)
    if hint is Any:
        return told
    if origin in (Union, UnionType):
        (told_by,) = (one for one in inner if one is not NoneType)
        return None if told is None else _value(told_by, told, where)
    if origin is tuple and isinstance(told, list):
        return tuple(_value(inner[0], one, f"{where}[{at}]") for at, one in enumerate(told))
    if isinstance(hint, type) and issubclass(hint, Out):
        return read(hint, told, where)
    if hint is float and type(told) in (int, float):
        return told
    plain = origin or hint
    if plain in (str, int, Mapping) and isinstance(told, plain) and type(told) is not bool:
        return told
    wanted = {str: "a text", int: "a whole number", float: "a number"}.get(hint, "")
    wanted = wanted or ("a list" if origin is tuple else "an object")
    raise ProtocolError(f"{where}: {wanted} is wanted, not a {type(told).__name__}")
