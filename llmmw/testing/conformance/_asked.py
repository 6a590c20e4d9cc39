"""What the readers of recorded requests share."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from llmmw._parts import MediaPart, OpaquePart, Part, TextPart, content_parts
from llmmw._request import Generate
from llmmw._tools import Tool
from llmmw.errors import BadRequest
from llmmw.testing.conformance._recorded import bare

__all__ = ["blocks_of", "function_of", "media_of", "named", "request"]

Json = dict[str, Any]


def request(
    body: Json, name: str, parameters: Mapping[str, str], fields: Json, others: Iterable[str]
) -> Generate:
    """A request.

    Args:
        body: as it was recorded.
        name: of the host.
        parameters: our names for its own.
        fields: what was read already, by our names.
        others: what needs no reading, or was read.
    """
    given, further = named(body, parameters, others)
    extra = {name: further} if further else {}
    return Generate(**fields, **given, extra=extra)


def named(body: Json, parameters: Mapping[str, str], others: Iterable[str]) -> tuple[Json, Json]:
    """The parameters of a body by our names, and what has none."""
    told = {parameters[one]: v for one, v in body.items() if one in parameters and v is not None}
    if "stop_sequences" in told and isinstance(told["stop_sequences"], str):
        told["stop_sequences"] = [told["stop_sequences"]]
    known = {*parameters, *others}
    return told, {one: v for one, v in body.items() if one not in known and v is not None}


def blocks_of(content: Any, own: str) -> tuple[Part, ...]:
    """The parts of a content of the OpenAI kind."""
    if content is None:
        return ()
    if isinstance(content, str):
        return (TextPart(content),)
    return tuple(_block(one, own) for one in content)


def _block(block: Json, own: str) -> Part:
    kind = block["type"]
    if kind in {"text", "input_text", "image_url", "input_audio"}:
        beside = {name: one for name, one in block.items() if name not in {"type", kind, "text"}}
        try:
            (part,) = content_parts({"type": kind, **block})
        except BadRequest:
            return OpaquePart(provider=own, type=kind, data=block)
        if not beside and (isinstance(part, TextPart) or _is_shown(part, kind)):
            return part
    return OpaquePart(provider=own, type=kind, data=block)


def _is_shown(part: Part, kind: str) -> bool:
    """Whether a medium is of the family of its block."""
    family = "image" if kind == "image_url" else "audio"
    return isinstance(part, MediaPart) and part.media_type.startswith(f"{family}/")


def media_of(kind: str, data: str) -> MediaPart:
    """Inline data."""
    (part,) = content_parts({"type": "file", "file": {"file_data": f"data:{kind};base64,{data}"}})
    assert isinstance(part, MediaPart)
    return part


def function_of(fields: Json, schema: str, own: str) -> Tool:
    """A function that is a tool, from its fields."""
    rest = dict(fields)
    return Tool(
        rest.pop("name"),
        rest.pop("description", None) or "",
        rest.pop(schema, None) or {},
        strict=rest.pop("strict", None),
        extra={own: rest} if bare(rest) else {},
    )
