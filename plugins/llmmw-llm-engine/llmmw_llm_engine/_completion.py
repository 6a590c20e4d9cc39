"""Requests of the first API, completions of one prompt, as the wire has them. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from llmmw import Choice, Generate, Grammar, JsonSchema
from llmmw.errors import BadRequest
from llmmw.plugin import Capabilities, Output, honour
from llmmw.wire import Losses

__all__ = ["FORMS", "PARAMETERS", "asked_of", "check_guided", "completion_body", "guided"]

Json = dict[str, Any]

PARAMETERS = frozenset(
    {
        *("prompt", "max_output_tokens", "temperature", "top_p", "top_k", "stop_sequences"),
        *("frequency_penalty", "presence_penalty", "logprobs", "output"),
    }
)
"""What it has a word for."""
FORMS: frozenset[Output] = frozenset({"json", "schema", "grammar", "regex", "choice"})

_DEFAULTS: Json = {"max_output_tokens": 20, "temperature": 0.2}
"""The host wants both; these are what its own client sends."""
_WIRE = {"max_output_tokens": "max_new_tokens"}
_NUMBERS = (
    *("max_output_tokens", "temperature", "top_p", "top_k"),
    *("frequency_penalty", "presence_penalty"),
)
_BOUNDS: Mapping[str, tuple[float, float]] = {
    "temperature": (0, 1),
    "top_p": (0, 1),
    "frequency_penalty": (0, 2),
    "presence_penalty": (0, 2),
    "top_k": (-1, 2**31),
    "max_new_tokens": (1, 2**31),
}
_WHOLE = {"top_k", "max_new_tokens"}


def asked_of(request: Generate) -> tuple[Generate, tuple[str, ...]]:
    """The request as this API can honour it, with what the host wants of each; and warnings.

    Raises:
        UnsupportedFeature: for what it has no word for, unless that may be dropped.
    """
    can = Capabilities(parameters=PARAMETERS, outputs=FORMS)
    asked, warnings = honour(request, can, f"{request.model} with a prompt")
    assert isinstance(asked, Generate)
    missing = {name: one for name, one in _DEFAULTS.items() if getattr(asked, name) is None}
    return (asked.replace(**missing) if missing else asked), warnings


def completion_body(request: Generate, losses: Losses, extra: Mapping[str, Any]) -> Json:
    """The body of a completion.

    Args:
        request: as `asked_of` gives it.
        losses: takes what the host can't honour.
        extra: further fields, which the caller gives for this host.

    Raises:
        BadRequest: for what the host would refuse.
    """
    body: Json = {"prompt": request.prompt}
    for name in _NUMBERS:
        number = getattr(request, name)
        if number is not None:
            body[_WIRE.get(name, name)] = number
    if request.stop_sequences:
        body["stop_sequences"] = list(request.stop_sequences)
    if request.logprobs is not None:
        body["return_token_log_probs"] = True
        if request.logprobs:
            losses.drop(f"logprobs={request.logprobs}: it tells the chosen tokens alone")
    body |= guided(request) | dict(extra)
    _check(body)
    return body


def guided(request: Generate) -> Json:
    """The form of the answer in the field that both APIs have for it."""
    output = request.output
    if output is None:
        return {}
    if isinstance(output, Choice):
        return {"guided_choice": list(output.options)}
    if isinstance(output, Grammar):
        return {"guided_regex" if output.syntax == "regex" else "guided_grammar": output.text}
    schema = output.schema if isinstance(output, JsonSchema) else {"type": "object"}
    return {"guided_json": dict(schema)}


def check_guided(body: Mapping[str, Any]) -> None:
    """One form at most.

    Raises:
        BadRequest: for several.
    """
    forms = [name for name in body if name.startswith("guided_") and name in _GUIDED]
    given = [name for name in forms if body[name] is not None]
    if len(given) > 1:
        raise BadRequest(f"an answer has one form, not those of {' and '.join(given)}")


_GUIDED = {"guided_json", "guided_regex", "guided_choice", "guided_grammar"}


def _check(body: Json) -> None:
    for name, (low, high) in _BOUNDS.items():
        number = body.get(name)
        if number is None:
            continue
        known = isinstance(number, (int, float)) and not isinstance(number, bool)
        if not known or not low <= number <= high or (name in _WHOLE and number % 1):
            kind = "whole number" if name in _WHOLE else "number"
            most = f" to {high:g}" if high < 2**31 else " on"
            raise BadRequest(f"{name}={number!r}: llm-engine takes a {kind} from {low:g}{most}")
    if body.get("top_p") == 0:
        raise BadRequest("top_p=0: llm-engine takes a number above 0, to 1")
    if body.get("top_k") == 0:
        raise BadRequest("top_k=0: llm-engine takes a number from 1 on; leave it out for no limit")
    if body.get("temperature") == 0:
        for name, off in (("top_k", -1), ("top_p", 1)):
            if body.get(name) not in {None, off}:
                raise BadRequest(
                    f"{name}={body[name]!r}: llm-engine takes none with temperature=0, which "
                    "always takes the likeliest token"
                )
    check_guided(body)
