"""Python functions as models know them: what they are told of one, and the arguments they give."""

from __future__ import annotations

import functools
import inspect
import re
from collections.abc import Callable, Mapping
from typing import Any, get_type_hints

from llmmw._typed import load, typed
from llmmw.errors import BadRequest

__all__ = ["arguments_for", "described"]

_SECTION = re.compile(
    r"^(Args|Arguments|Parameters|Returns?|Yields?|Raises|Examples?|Notes?|Attributes)\s*:\s*$"
)
_ENTRY = re.compile(r"^\*{0,2}(\w+)\s*(?:\([^)]*\))?\s*:\s*(.*)$")


def described(function: Any) -> tuple[str, str, Mapping[str, Any]]:
    """Name, description and parameters (a JSON schema) of a function.

    Raises:
        BadRequest: if a model can't be told of it.
    """
    name = _name_of(function)
    try:
        schema = dict(typed(_parameters(function)).schema)
    except TypeError as error:
        raise BadRequest(f"the tool {name}: {error}") from error
    del schema["title"]
    text, told = _docstring(inspect.getdoc(function) or "")
    schema["properties"] = {
        param: {"description": told[param], **one} if param in told else one
        for param, one in schema["properties"].items()
    }
    schema.setdefault("required", [])
    return name, text, schema


def arguments_for(function: Any, text: str) -> dict[str, Any]:
    """Keyword arguments for a function out of a JSON object, each of the type of its hint.

    Raises:
        BadRequest: if a model can't be told of the function.
        ValueError: if they do not fit.
    """
    import msgspec

    made = load(text, _parameters(function))
    given = {name: getattr(made, name) for name in made.__struct_fields__}
    return {name: one for name, one in given.items() if one is not msgspec.UNSET}


def _name_of(function: Any) -> str:
    named = inspect.isfunction(function) or inspect.ismethod(function)
    if not named or not function.__name__.isidentifier():
        raise BadRequest(
            f"can't make a tool of {function!r}: write a function with a name (def …), or a Tool"
        )
    return str(function.__name__)


@functools.lru_cache(maxsize=1024)
def _parameters(function: Callable[..., Any]) -> Any:
    """A class with a field for each parameter."""
    import msgspec

    name = _name_of(function)
    try:
        hints = get_type_hints(function, include_extras=True)
    except Exception as error:
        raise BadRequest(f"the tool {name}: {error}") from error
    fields: list[Any] = []
    for param in inspect.signature(function).parameters.values():
        if param.kind not in {param.POSITIONAL_OR_KEYWORD, param.KEYWORD_ONLY}:
            raise BadRequest(f"the tool {name}: {param} can't be given by its name")
        if param.name not in hints:
            raise BadRequest(f"the tool {name}: its parameter {param.name!r} needs a type hint")
        hint = hints[param.name]
        if param.default is param.empty:
            fields.append((param.name, hint))
        else:
            fields.append((param.name, hint | msgspec.UnsetType, msgspec.UNSET))
    return msgspec.defstruct(name, fields, kw_only=True, forbid_unknown_fields=True)


def _docstring(text: str) -> tuple[str, dict[str, str]]:
    """The text before the first section, and what is said of each argument."""
    head: list[str] = []
    told: dict[str, str] = {}
    section = ""
    indent, name = 0, ""
    for line in text.splitlines():
        if found := _SECTION.match(line):
            section, indent, name = found[1], 0, ""
        elif not section:
            head.append(line)
        elif section in {"Args", "Arguments", "Parameters"} and line.strip():
            deep = len(line) - len(line.lstrip())
            indent = indent or deep
            entry = _ENTRY.match(line.strip()) if deep == indent else None
            if entry:
                name, told[entry[1]] = entry[1], entry[2]
            elif name:
                told[name] = f"{told[name]} {line.strip()}".strip()
    return "\n".join(head).strip(), told
