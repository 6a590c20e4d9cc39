"""Requests as the wire has them. Pure: a request and a model's row give a body and warnings."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import attrs

from llmmw import (
    Choice,
    CountTokens,
    Generate,
    Grammar,
    JsonSchema,
    Reasoning,
    Request,
    ServerTool,
    Tool,
    ToolNames,
)
from llmmw.errors import BadRequest
from llmmw.wire import Losses
from llmmw_google._messages import contents_of, own
from llmmw_google._models import Model

__all__ = ["body_of", "count_body", "extended"]

Json = dict[str, Any]

_NUMBERS = {
    "max_output_tokens": "maxOutputTokens",
    "temperature": "temperature",
    "top_p": "topP",
    "top_k": "topK",
    "seed": "seed",
    "n": "candidateCount",
    "frequency_penalty": "frequencyPenalty",
    "presence_penalty": "presencePenalty",
}


def body_of(request: Generate, model: Model, names: Sequence[str], losses: Losses) -> Json:
    """The body of a request for an answer, in pieces or not.

    Args:
        request: what is asked.
        model: what the model can do.
        names: the names under which `request.extra` may hold fields for this host; parts have
            theirs under the first.
        losses: takes what the host can't honour.

    Raises:
        UnsupportedFeature: for what the host can't honour, unless the request lets it be dropped.
    """
    body = contents_of(request.messages, model, names[0], losses)
    tools = _tools(request, names, losses)
    config = _sampling(request) | _output(request, model, losses, tools=bool(tools))
    if request.reasoning is not None:
        thinking = _thinking(request.reasoning, model, losses)
        config |= {"thinkingConfig": thinking} if thinking else {}
    body |= {"generationConfig": config} if config else {}
    return extended(body | tools, request, names)


def count_body(
    request: CountTokens, model: Model, names: Sequence[str], losses: Losses, path: str
) -> Json:
    """The body of a request to count tokens.

    Args:
        request: what is asked.
        model: what the model can do.
        names: as in `body_of`.
        losses: takes what the host can't honour.
        path: the model, for a host that counts all but the conversation in a request within the
            request; empty for one that does not.
    """
    model = attrs.evolve(model, prefill=None)  # nothing is begun
    body = contents_of(request.messages, model, names[0], losses)
    declared = _declared(request.tools, names, losses)
    body |= {"tools": declared} if declared else {}
    if path and body.keys() > {"contents"}:
        body = {"generateContentRequest": {"model": path} | body}
    return extended(body, request, names)


def extended(body: Json, request: Request, names: Iterable[str]) -> Json:
    """A body with the fields that a request has for this host; objects are merged field by field,
    so that one of `generationConfig` leaves the others as they are."""
    for name in names:
        body = _merged(body, request.extra.get(name, {}))
    return body


def _merged(one: Json, other: Mapping[str, Any]) -> Json:
    told = dict(one)
    for name, value in other.items():
        both = isinstance(value, Mapping) and isinstance(told.get(name), dict)
        told[name] = _merged(told[name], value) if both else value
    return told


def _sampling(request: Generate) -> Json:
    told: Json = {}
    for name, wire in _NUMBERS.items():
        number = getattr(request, name)
        if number is not None:
            told[wire] = number
    if request.stop_sequences:
        told["stopSequences"] = list(request.stop_sequences)
    if request.logprobs is not None:
        told["responseLogprobs"] = True
        told |= {"logprobs": request.logprobs} if request.logprobs else {}
    return told


def _output(request: Generate, model: Model, losses: Losses, *, tools: bool) -> Json:
    output = request.output
    if output is None:
        return {}
    if isinstance(output, Grammar):
        losses.drop(f"a {output.syntax} grammar as output")
        return {}
    if tools and not model.json_with_tools:
        losses.drop("output beside tools")
        return {}
    if isinstance(output, Choice):
        schema = {"type": "STRING", "enum": list(output.options)}
        return {"responseMimeType": "text/x.enum", "responseSchema": schema}
    told: Json = {"responseMimeType": "application/json"}
    if isinstance(output, JsonSchema):
        told["responseJsonSchema"] = dict(output.schema)
    return told


_EFFORTS = ("none", "minimal", "low", "medium", "high", "xhigh", "max")
_LEVELS = dict(
    zip(_EFFORTS, ("MINIMAL", "MINIMAL", "LOW", "MEDIUM", "HIGH", "HIGH", "HIGH"), strict=True)
)
_BUDGETS = {"none": 0, "minimal": 1024, "low": 1024, "medium": 8192, "high": 24_576}
"""What Google itself takes these words for."""
_ORDER = ("MINIMAL", "LOW", "MEDIUM", "HIGH")


def _thinking(asked: Reasoning, model: Model, losses: Losses) -> Json:
    told: Json = {}
    if asked.effort is not None and asked.effort not in _EFFORTS:
        raise BadRequest(
            f"reasoning.effort={asked.effort!r}: expected one of {', '.join(_EFFORTS)}"
        )
    if asked.max_tokens is not None:
        told["thinkingBudget"] = asked.max_tokens
    elif asked.effort is not None and model.levels:
        told["thinkingLevel"] = _level(asked.effort, model, losses)
    elif asked.effort is not None:
        told["thinkingBudget"] = _budget(asked.effort, model, losses)
    if asked.summary is not None:
        told["includeThoughts"] = asked.summary != "none"
        if asked.summary in {"concise", "detailed"}:
            losses.note(f"has one kind of summary: reasoning.summary={asked.summary!r} is auto")
    return told


def _level(effort: str, model: Model, losses: Losses) -> str:
    wanted = _LEVELS[effort]
    more = _ORDER[_ORDER.index(wanted) :]
    level = next((one for one in more if one in model.levels), model.levels[-1])
    if level != effort.upper():
        losses.note(f"takes reasoning.effort={effort!r} for {level.lower()!r}")
    return level


def _budget(effort: str, model: Model, losses: Losses) -> int:
    least, most = model.budget
    if effort == "none" and model.can_rest:
        return 0
    if effort == "none":
        losses.note(f"can't be kept from thinking: it may think {least} tokens")
    return min(max(_BUDGETS.get(effort, most), least), most)


def _tools(request: Generate, names: Sequence[str], losses: Losses) -> Json:
    choice = request.tool_choice
    tools = list(request.tools)
    allowed: tuple[str, ...] = ()
    if isinstance(choice, ToolNames):
        unknown = set(choice.names) - {one.name for one in tools if isinstance(one, Tool)}
        if unknown or not choice.names:
            named = repr(min(unknown)) if unknown else "nothing"
            raise BadRequest(f"tool_choice names {named}, which is no tool given")
        if choice.mode == "required":
            allowed = choice.names
        else:  # the model is told of no others, which limits its choice as well
            tools = [one for one in tools if isinstance(one, Tool) and one.name in choice.names]
        choice = choice.mode
    declared = _declared(tools, names, losses)
    functions = [one for one in tools if isinstance(one, Tool)]
    if not functions and choice == "required":
        losses.drop("tool_choice='required' without a function")
    if not declared:
        return {}
    if request.parallel_tool_calls is False:
        losses.drop("parallel_tool_calls=False")
    mode = _mode(choice, functions)
    if mode is None:
        return {"tools": declared}
    limited = {"allowedFunctionNames": list(allowed)} if allowed else {}
    return {
        "tools": declared,
        "toolConfig": {"functionCallingConfig": {"mode": mode} | limited},
    }


def _mode(choice: str | None, functions: Sequence[Tool]) -> str | None:
    """How freely the model calls functions; `VALIDATED` binds what it writes to their schemas."""
    if not functions:
        return None
    if choice in {"required", "none"}:
        return "ANY" if choice == "required" else "NONE"
    if any(one.strict for one in functions):
        return "VALIDATED"
    return "AUTO" if choice == "auto" else None


def _declared(
    tools: Sequence[Tool | ServerTool], names: Sequence[str], losses: Losses
) -> list[Json]:
    functions = [_function(one, names[0]) for one in tools if isinstance(one, Tool)]
    told: list[Json] = [{"functionDeclarations": functions}] if functions else []
    for tool in tools:
        if isinstance(tool, ServerTool):
            if tool.provider in {"google", *names}:
                told.append({tool.type: dict(tool.config)})
            else:
                losses.drop(f"the tool {tool.type!r} of {tool.provider}")
    return told


def _function(tool: Tool, name: str) -> Json:
    told: Json = {"name": tool.name}
    if tool.description:
        told["description"] = tool.description
    if tool.parameters:
        told["parametersJsonSchema"] = dict(tool.parameters)
    return told | own(tool.extra, name)
