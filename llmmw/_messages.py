"""What is said to a model and by it: messages made of parts.

The strict form is a `Message` of parts. At the edge friendlier forms are accepted (`message_of`):
a string, `("user", "hi")`, a dict as OpenAI-compatible hosts take it, or a plain form.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal, TypeAlias, get_args

import attrs

from llmmw._parts import (
    Extra,
    MediaPart,
    Part,
    ReasoningPart,
    TextPart,
    ToolCallPart,
    ToolResultPart,
    content_parts,
    shortened,
    text_of,
)
from llmmw._plain import restore, value
from llmmw.errors import BadRequest

__all__ = ["Message", "Role", "message_of"]

Role: TypeAlias = Literal["system", "user", "assistant", "tool"]
_ROLES: tuple[Role, ...] = get_args(Role)


def _parts(content: object) -> tuple[Part, ...]:
    return content_parts(content)


@value
@attrs.frozen
class Message:
    """A role and its parts."""

    role: Role = attrs.field()
    parts: tuple[Part, ...] = attrs.field(converter=_parts)
    name: str | None = attrs.field(default=None, kw_only=True)
    id: str | None = attrs.field(default=None, kw_only=True)
    extra: Extra = attrs.field(factory=dict, hash=False, kw_only=True)

    def __attrs_post_init__(self) -> None:
        if self.role not in _ROLES:
            known = ", ".join(_ROLES)
            raise BadRequest(f"unknown role {self.role!r}; roles are {known}")

    @property
    def text(self) -> str:
        """The text of all text parts, without refusals."""
        return text_of(self.parts)


def message_of(item: object) -> Message:
    """A message from any friendly form.

    Raises:
        BadRequest: if it is none; the message names the accepted forms.
    """
    if isinstance(item, Message):
        return item
    if isinstance(item, (str, MediaPart, TextPart)):
        return Message("user", item)
    if isinstance(item, ToolResultPart):
        return Message("tool", item)
    if isinstance(item, tuple) and len(item) == 2 and item[0] in _ROLES:
        return Message(item[0], item[1])
    if isinstance(item, Mapping):
        return _message_of_dict(item)
    raise BadRequest(
        f"can't take {shortened(item)} for a message: give a string, a Message, "
        '(role, content), or {"role": …, "content": …}'
    )


def _message_of_dict(item: Mapping[str, Any]) -> Message:
    if "$kind" in item:
        made = restore(item)
        if not isinstance(made, Message):
            raise BadRequest(f"expected a Message, got a {item['$kind']}")
        return made
    known = {"role", "content", "name", "tool_calls", "tool_call_id", "refusal", "reasoning"}
    if "role" not in item or (unknown := set(item) - known):
        wrong = f"unknown {min(unknown)!r}" if "role" in item else 'no "role"'
        raise BadRequest(f"a message has {wrong}; it takes {', '.join(sorted(known))}")
    role = {"developer": "system", "function": "tool"}.get(item["role"], item["role"])
    content = item.get("content")
    if role == "tool":
        result = ToolResultPart(
            call_id=str(item.get("tool_call_id", "")),
            name=str(item.get("name", "")),
            content=content or (),
        )
        return Message("tool", (result,))
    parts: list[Part] = []
    if item.get("reasoning"):
        parts.append(ReasoningPart(str(item["reasoning"])))
    parts.extend(content_parts(content) if content is not None else ())
    if item.get("refusal"):
        parts.append(TextPart(str(item["refusal"]), refusal=True))
    parts.extend(_tool_call(one) for one in item.get("tool_calls") or ())
    return Message(role, tuple(parts), name=item.get("name"))


def _tool_call(item: Mapping[str, Any]) -> ToolCallPart:
    try:
        function = item.get("function") or item["custom"]
        arguments = function.get("arguments", function.get("input", ""))
        return ToolCallPart(
            id=str(item.get("id", "")),
            name=function["name"],
            arguments=arguments,
            custom="custom" in item,
        )
    except (KeyError, AttributeError) as error:
        raise BadRequest(f"can't take {shortened(item)} for a tool call") from error
