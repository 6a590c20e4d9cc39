"""What form an answer must have, and the value of a text that has it."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Literal, TypeAlias

import attrs

from llmmw._plain import value
from llmmw._schema import mismatch
from llmmw._typed import is_type, typed
from llmmw.errors import BadRequest

__all__ = [
    "Choice",
    "Grammar",
    "JsonObject",
    "JsonSchema",
    "OutputFormat",
    "output_of",
    "strings",
    "value_in",
]


def strings(item: str | Iterable[str]) -> tuple[str, ...]:
    """Several texts; a single one stands for itself."""
    return (item,) if isinstance(item, str) else tuple(item)


def _schema(output: Any, field: Any, given: Any) -> None:
    if not isinstance(given, Mapping):
        raise BadRequest(f"a JSON schema is an object, not {given!r}")


def _text(output: Any, field: Any, given: Any) -> None:
    if not isinstance(given, str):
        raise BadRequest(f"a grammar is a text, not {given!r}")


def _texts(output: Any, field: Any, given: Any) -> None:
    if not given or not all(isinstance(one, str) for one in given):
        raise BadRequest(f"a choice is of texts, at least one, not {given!r}")


@value
@attrs.frozen
class JsonObject:
    """Any JSON object. Most hosts want the word JSON in the prompt."""


@value
@attrs.frozen
class JsonSchema:
    """JSON that follows a schema.

    Of a request it is the schema that counts: two are equal, and have one key, if that is the
    same, whatever makes values of the answer.
    """

    schema: Mapping[str, Any] = attrs.field(hash=False, validator=_schema)
    name: str = attrs.field(default="answer", kw_only=True)
    description: str | None = attrs.field(default=None, kw_only=True)
    strict: bool | None = attrs.field(default=None, kw_only=True)
    """Ask the host to follow it to the letter, where it can promise that. Such hosts take a part
    of the language only."""
    load: Callable[[str], Any] | None = attrs.field(
        default=None, kw_only=True, eq=False, repr=False
    )
    """Makes the value out of the text, or raises `ValueError`. Without it, the value is the data,
    checked against the schema."""

    @classmethod
    def of(
        cls,
        type: Any,
        *,
        name: str | None = None,
        description: str | None = None,
        strict: bool | None = None,
    ) -> JsonSchema:
        """The schema of a type; `output=Invoice` stands for `output=JsonSchema.of(Invoice)`.

        Args:
            type: an attrs class, dataclass, pydantic model, `TypedDict`, `NamedTuple`, enumeration
                or any other type of plain data, such as `list[Invoice]` or a `Literal`. What is no
                object in JSON is asked for as one that has it for its member `value`.
            name: of the answer, for the model; default: the name of the class.
            description: what it is, for the model; the docstring of the class stands in the schema.
            strict: default: if it can be. A strict schema has all members required.

        Raises:
            BadRequest: if the type has no form in JSON, or none that is strict.
        """
        try:
            form = typed(type)
        except TypeError as error:
            raise BadRequest(f"output={_named(type)}: {error}") from error
        if strict and form.strict is None:
            raise BadRequest(f"output={_named(type)} has what no strict schema can say")
        follows = form.strict if strict is not False else None
        return cls(
            form.schema if follows is None else follows,
            name=name or _name_of(type),
            description=description,
            strict=strict if follows is None else True,
            load=form.load,
        )


@value
@attrs.frozen
class Grammar:
    """Text that a grammar or a regular expression accepts."""

    text: str = attrs.field(validator=_text)
    syntax: Literal["gbnf", "lark", "ebnf", "regex"] = "gbnf"


@value
@attrs.frozen
class Choice:
    """One of the given texts."""

    options: tuple[str, ...] = attrs.field(converter=strings, validator=_texts)


def _named(kind: Any) -> str:
    return str(getattr(kind, "__name__", kind))


def _name_of(kind: Any) -> str:
    """What the answer is called; hosts take no other characters."""
    return re.sub("[^A-Za-z0-9_-]", "_", kind.__name__)[:64] if inspect.isclass(kind) else "answer"


OutputFormat: TypeAlias = JsonObject | JsonSchema | Grammar | Choice

_SHORT_OUTPUTS: Mapping[str, Any] = {
    "json_schema": JsonSchema,
    "grammar": Grammar,
    "regex": lambda pattern: Grammar(pattern, "regex"),
    "choice": Choice,
}


def output_of(item: object) -> OutputFormat | None:
    """A type, `"json"`, a JSON schema as dict, `{"regex": …}`, `{"grammar": …}` or
    `{"choice": […]}`."""
    if item is None or isinstance(item, (JsonObject, JsonSchema, Grammar, Choice)):
        return item
    if item == "json":
        return JsonObject()
    if isinstance(item, Mapping):
        if len(item) == 1 and (short := next(iter(item))) in _SHORT_OUTPUTS:
            return _SHORT_OUTPUTS[short](item[short])  # type: ignore[no-any-return]
        return JsonSchema(item)
    if is_type(item):
        return JsonSchema.of(item)
    raise BadRequest(f"output={item!r}: give a type, 'json', a JSON schema, a Grammar or a Choice")


def value_in(text: str, output: OutputFormat) -> Any:
    """The value of an answer that has a form.

    Raises:
        ValueError: if it has not; the message says what is wrong.
    """
    if isinstance(output, JsonSchema) and output.load is not None:
        return output.load(text)
    if isinstance(output, (JsonObject, JsonSchema)):
        return _data_in(text, output)
    if isinstance(output, Choice) and text not in output.options:
        raise ValueError(f"it is none of {', '.join(map(repr, output.options))}")
    if isinstance(output, Grammar) and output.syntax == "regex":
        try:
            fits = re.fullmatch(output.text, text) is not None
        except re.error:  # of another dialect
            fits = True
        if not fits:
            raise ValueError(f"{output.text!r} does not match all of it")
    return text


def _data_in(text: str, output: JsonObject | JsonSchema) -> Any:
    import orjson  # kept out of `import llmmw`

    try:
        given = orjson.loads(text)
    except ValueError as error:
        raise ValueError(f"it is no JSON: {error}") from error
    if isinstance(output, JsonSchema):
        wrong = mismatch(given, output.schema)
    else:
        wrong = None if isinstance(given, dict) else "it is no JSON object"
    if wrong is not None:
        raise ValueError(wrong)
    return given
