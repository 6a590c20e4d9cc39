"""A JSON schema as a grammar in GBNF, for hosts that can be held to a grammar but to no schema.

What the grammar accepts follows the schema; of what does, it accepts the part that has its members
in the order of the schema and no others beside them. `oneOf` counts as `anyOf`. What a grammar
can't say is refused; formats are only followed where they are simple.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import attrs

from llmmw._gbnf import gbnf_literal
from llmmw._schema import mismatch
from llmmw._strict import DECIMAL
from llmmw.errors import UnsupportedFeature

__all__ = ["schema_grammar"]

_BASE = {
    "ws": '" "?',  # no more: small models that may end a line never come back
    "char": r'[^"\\\x00-\x1F\x7F] | "\\" (["\\/bfnrt] | "u" code)',
    "code": "[0-9a-cA-CefEF] [0-9a-fA-F]{3} | [dD] [0-7] [0-9a-fA-F]{2}",
    "string": r'"\"" char* "\""',
    "integer": '"-"? natural',
    "natural": '"0" | [1-9] [0-9]{0,15}',
    "positive": "[1-9] [0-9]{0,15}",
    "fraction": '("." [0-9]{1,16})? ([eE] [-+]? [0-9]{1,2})?',
    "number": '"-"? natural fraction',
    "unsigned": "natural fraction",
    "boolean": '"true" | "false"',
    "null": '"null"',
    "array": '"[" ws (value (ws "," ws value)*)? ws "]"',
    "object": '"{" ws (member (ws "," ws member)*)? ws "}"',
    "member": 'string ws ":" ws value',
    "value": "string | number | boolean | null | array | object",
}
_DATE = '[12] [0-9]{3} "-" ("0" [1-9] | "1" [0-2]) "-" ("0" [1-9] | "1" [0-9] | "2" [0-8])'
_TIME = '([01] [0-9] | "2" [0-3]) ":" [0-5] [0-9] ":" [0-5] [0-9] ("." [0-9]{1,6})? "Z"'
_FORMATS = {
    "date": _DATE,
    "time": _TIME,
    "date-time": f'{_DATE} "T" {_TIME}',
    "uuid": ' "-" '.join(f"[0-9a-f]{{{size}}}" for size in (8, 4, 4, 4, 12)),
    "decimal": '"-"? natural ("." [0-9]{1,16})?',
}
_NOTES = {
    *("title", "description", "default", "examples", "deprecated", "readOnly", "writeOnly"),
    *("$schema", "$id", "$comment", "$defs", "definitions", "discriminator"),
}
_LIMITING = {
    *("type", "enum", "const", "$ref", "anyOf", "oneOf", "allOf", "format"),
    *("properties", "required", "additionalProperties", "items", "minItems", "maxItems"),
    *(
        "pattern",
        "minLength",
        "maxLength",
        "minimum",
        "maximum",
        "exclusiveMinimum",
        "exclusiveMaximum",
    ),
}
_MOST = 1000
"""How many repetitions a grammar counts, and how many whole numbers it lists."""


def schema_grammar(schema: Mapping[str, Any]) -> str:
    """A grammar of JSON that follows a schema.

    Raises:
        UnsupportedFeature: if it uses what a grammar can't say; names it.
    """
    maker = _Maker(schema)
    try:
        root = maker.rule_of(schema, "$")
    except RecursionError:
        raise UnsupportedFeature("the schema nests too deep for a grammar") from None
    except (TypeError, ValueError, AttributeError, OverflowError) as error:
        raise UnsupportedFeature(f"a grammar can't say what is no schema: {error}") from None
    known = {**_BASE, **maker.rules, "root": root}
    needed: dict[str, str] = {}
    queue = ["root"]
    while queue:
        name = queue.pop()
        if name not in needed:
            needed[name] = known[name]
            # A word of a literal may be taken for a rule, too, which does no harm.
            queue += [word for word in re.findall("[a-z0-9-]+", known[name]) if word in known]
    return "\n".join(f"{name} ::= {body}" for name, body in needed.items())


def _either(bodies: Iterable[str], at: str) -> str:
    rows = list(dict.fromkeys(bodies))
    if not rows:
        raise UnsupportedFeature(f"{at}: nothing follows this part of the schema")
    return rows[0] if len(rows) == 1 else f"({' | '.join(rows)})"


def _literal(given: Any) -> str:
    return gbnf_literal(json.dumps(given, ensure_ascii=False, allow_nan=False))


def _times(body: str, least: int, most: float | None, at: str) -> str:
    """Something so many times; of a high limit, as many as a grammar counts."""
    most = None if most is None else min(int(most), _MOST)
    least = max(least, 0)
    if least > (_MOST if most is None else most):
        raise UnsupportedFeature(f"{at}: a grammar can't say {least} times or more")
    if most == 0:
        return ""
    return f"{body}{{{least},{'' if most is None else most}}}"


@attrs.define
class _Maker:
    schema: Mapping[str, Any]
    rules: dict[str, str] = attrs.field(factory=dict)
    _referred: dict[str, str] = attrs.field(factory=dict)

    def rule_of(self, schema: Any, at: str) -> str:
        """The body of what a schema allows."""
        if schema is True:
            return "value"
        if not isinstance(schema, Mapping):
            raise UnsupportedFeature(f"{at}: a grammar can't say {schema!r}")
        other = [name for name in schema if name not in _LIMITING | _NOTES]
        if other:
            raise UnsupportedFeature(f"{at}: a grammar can't say {', '.join(map(str, other))}")
        for name in ("$ref", "anyOf", "oneOf", "allOf"):
            if name in schema:
                beside = [one for one in schema if one in _LIMITING and one != name]
                if beside:
                    raise UnsupportedFeature(f"{at}: a grammar can't say {name} and {beside[0]}")
                return self._joined(name, schema[name], at)
        return self._plain(schema, at)

    def _joined(self, name: str, given: Any, at: str) -> str:
        if name == "$ref":
            return self._reference(str(given), at)
        if name == "allOf" and len(given) > 1:
            raise UnsupportedFeature(f"{at}: a grammar can't say allOf")
        return _either([self.rule_of(one, f"{at}.{name}") for one in given], at)

    def _reference(self, name: str, at: str) -> str:
        if name in self._referred:
            return self._referred[name]
        found: Any = self.schema
        for step in name.removeprefix("#").split("/")[1:]:
            step = step.replace("~1", "/").replace("~0", "~")
            found = found.get(step) if isinstance(found, Mapping) else None
        if not name.startswith("#") or found is None:
            raise UnsupportedFeature(f"{at}: a grammar can't follow the reference {name!r}")
        self._referred[name] = rule = f"ref-{len(self._referred)}"
        self.rules[rule] = ""  # its place, while it is made
        self.rules[rule] = self.rule_of(found, name)
        return rule

    def _plain(self, schema: Mapping[str, Any], at: str) -> str:
        if "const" in schema or "enum" in schema:
            listed, rest = [schema.get("const")], schema
            if "const" not in schema:  # each is one of them; to look is slow where there are many
                rest = {name: one for name, one in schema.items() if name != "enum"}
                listed = schema["enum"]
            return _either([_literal(o) for o in listed if mismatch(o, rest) is None], at)
        if not _LIMITING & {*schema}:
            return "value"
        kinds = schema.get("type", _implied(schema))
        kinds = [kinds] if isinstance(kinds, str) else kinds
        return _either([self._typed(kind, schema, at) for kind in kinds], at)

    def _typed(self, kind: str, schema: Mapping[str, Any], at: str) -> str:
        if kind == "string":
            return _string(schema, at)
        if kind in {"integer", "number"}:
            return _number(kind, schema, at)
        if kind == "array":
            return self._array(schema, at)
        if kind == "object":
            return self._object(schema, at)
        if kind not in {"boolean", "null"}:
            raise UnsupportedFeature(f"{at}: a grammar knows no type {kind!r}")
        return kind

    def _array(self, schema: Mapping[str, Any], at: str) -> str:
        least, most = int(schema.get("minItems", 0)), schema.get("maxItems")
        if most == 0 and least == 0:
            return '"[" ws "]"'
        item = self._named(self.rule_of(schema.get("items", True), f"{at}[]"))
        further = _times(
            f'(ws "," ws {item})', max(least - 1, 0), None if most is None else most - 1, at
        )
        body = f"{item} {further}".rstrip()
        return f'"[" ws {body if least else f"({body})?"} ws "]"'

    def _object(self, schema: Mapping[str, Any], at: str) -> str:
        members, needed = schema.get("properties", {}), schema.get("required", ())
        absent = [name for name in needed if name not in members]
        if absent:
            raise UnsupportedFeature(f"{at}: a grammar can't say required {', '.join(absent)}")
        others = schema.get("additionalProperties", True)
        if not members and others is not False:
            value = self._named(self.rule_of(others, f"{at}.*"))
            pair = f'string ws ":" ws {value}'
            return f'"{{" ws ({pair} (ws "," ws {pair})*)? ws "}}"'
        # From the last to the first: the members from here on, as the first ones and after others.
        first = after = ""
        for name, inner in reversed(members.items()):
            value = self._named(self.rule_of(inner, f"{at}.{name}"))
            here = f'{_literal(name)} ws ":" ws {value} {after}'.rstrip()
            next_ = f'ws "," ws {here}'
            if name in needed:
                first = here
                after = self._named(next_)
            else:
                first = f"({here} | {first})" if first else f"({here})?"
                after = self._named(f"({next_} | {after})" if after else f"({next_})?")
        return f'"{{" ws {first} ws "}}"'

    def _named(self, body: str) -> str:
        """A rule for a body, so that it is written once."""
        if body in _BASE or body in self.rules:
            return body
        name = f"part-{len(self.rules)}"
        self.rules[name] = body
        return name


def _implied(schema: Mapping[str, Any]) -> Sequence[str]:
    """The types of a schema that names none."""
    if {"properties", "required", "additionalProperties"} & {*schema}:
        return ("object",)
    if {"items", "minItems", "maxItems"} & {*schema}:
        return ("array",)
    return ("string", "number", "boolean", "null", "array", "object")


def _string(schema: Mapping[str, Any], at: str) -> str:
    least, most = int(schema.get("minLength", 0)), schema.get("maxLength")
    form = _FORMATS.get(schema.get("format", ""))
    if "pattern" in schema:
        if schema["pattern"] != DECIMAL:
            raise UnsupportedFeature(f"{at}: a grammar can't say pattern")
        form = _FORMATS["decimal"]
    if form is not None:
        if least or most is not None:
            raise UnsupportedFeature(f"{at}: a grammar can't say how long this text must be")
        return rf'"\"" {form} "\""'
    if not least and most is None:
        return "string"
    return rf'"\"" {_times("char", least, most, at)} "\""'


def _number(kind: str, schema: Mapping[str, Any], at: str) -> str:
    least, most = schema.get("minimum"), schema.get("maximum")
    above, below = schema.get("exclusiveMinimum"), schema.get("exclusiveMaximum")
    if kind == "integer":
        lows = [math.ceil(n) for n in (least,) if n is not None]
        lows += [math.floor(n) + 1 for n in (above,) if n is not None]
        highs = [math.floor(n) for n in (most,) if n is not None]
        highs += [math.ceil(n) - 1 for n in (below,) if n is not None]
        if lows and highs and min(highs) - max(lows) < _MOST:
            return _either(map(_literal, range(max(lows), min(highs) + 1)), at)
        rule = {None: "integer", 0: "natural", 1: "positive"}.get(max(lows, default=None))
        if rule is not None and not highs:
            return rule
    elif (above, below, most) == (None, None, None) and least in {None, 0}:
        return "number" if least is None else "unsigned"
    raise UnsupportedFeature(f"{at}: a grammar can't say these limits of {kind} values")
