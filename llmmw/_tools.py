"""Tools that a model may ask for."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Literal

import attrs

from llmmw._functions import described
from llmmw._output import strings
from llmmw._plain import check_names, value
from llmmw.errors import BadRequest

__all__ = ["ServerTool", "Tool", "ToolNames", "tools_of"]


@value
@attrs.frozen
class Tool:
    """A function that the model may ask for; `parameters` is a JSON schema."""

    name: str
    description: str = ""
    parameters: Mapping[str, Any] = attrs.field(factory=dict, hash=False)
    strict: bool | None = attrs.field(default=None, kw_only=True)
    extra: Mapping[str, Any] = attrs.field(factory=dict, hash=False, kw_only=True)

    @classmethod
    def of(cls, function: Any) -> Tool:
        """What a model is told of a Python function; `tools=[weather]` stands for
        `tools=[Tool.of(weather)]`.

        Its name; the docstring as far as its first section; a parameter for each of its own, by its
        type hint, with what a Google-style section `Args` says of it. Those with a default may be
        left out. The function itself, which may be async, is not kept.

        Raises:
            BadRequest: for what has no name, or a parameter without a hint that has a form in JSON.
        """
        return cls(*described(function))


@value
@attrs.frozen
class ServerTool:
    """A tool that the provider runs itself."""

    type: str
    provider: str
    config: Mapping[str, Any] = attrs.field(factory=dict, hash=False)


@value
@attrs.frozen
class ToolNames:
    """Limits the choice of tools to some by name."""

    names: tuple[str, ...] = attrs.field(converter=strings)
    mode: Literal["required", "auto"] = "required"


def tools_of(items: Iterable[object]) -> tuple[Tool | ServerTool, ...]:
    """Tools from friendly forms: a `Tool`, a dict of one or as OpenAI has it, a function.

    Raises:
        BadRequest: if some item is none of these.
    """
    return tuple(_tool(item) for item in items)


def _tool(item: object) -> Tool | ServerTool:
    if isinstance(item, (Tool, ServerTool)):
        return item
    if isinstance(item, Mapping):
        function = item.get("function", item)
        fields = {k: v for k, v in function.items() if k != "type"}
        check_names(fields, Tool)
        if "name" in fields:
            return Tool(**fields)
    if callable(item):
        return Tool.of(item)
    raise BadRequest(
        f"can't take {item!r} for a tool: give a function, a Tool, or a dict with a name"
    )
