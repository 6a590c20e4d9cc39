"""Requests as the wire has them. Pure: a request and a model's row give a body and warnings."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from llmmw import CountTokens, Generate, JsonSchema, Request
from llmmw.wire import Losses, closed_schema, dumps
from llmmw_bedrock._messages import conversation_of
from llmmw_bedrock._models import Model
from llmmw_bedrock._thinking import thinking_of
from llmmw_bedrock._tools import declared, tools_of, used
from llmmw_bedrock._values import merged

__all__ = ["body_of", "count_body", "extended"]

Json = dict[str, Any]


def body_of(
    request: Generate, model: Model, losses: Losses, *, stream: bool, extra: Sequence[str]
) -> Json:
    """The body of a message.

    Args:
        request: what is asked.
        model: the row of the model.
        losses: takes what the model can't honour.
        stream: whether the answer comes in pieces.
        extra: the names under which `request.extra` may hold fields for this host.

    Raises:
        UnsupportedFeature: for what the model can't honour, unless the request lets it be dropped.
        BadRequest: for a request that no model could honour.
    """
    body: Json = {}
    if request.output is not None:
        body |= _output(request, losses)
    fields: Json = {}
    if request.reasoning is not None:
        fields = thinking_of(request, request.reasoning, model, losses)
    thinking = fields.get("thinking", {}).get("type")
    thinks = thinking in {"enabled", "adaptive"}
    prefill = model.prefill and not thinks and "outputConfig" not in body
    body |= conversation_of(request.messages, model, losses, prefill=prefill)
    sampling, more = _sampling(request, model, losses, thinks=thinks)
    fields = merged(fields, more)
    body |= {"inferenceConfig": sampling} if sampling else {}
    forced = model.forced_tools and thinking != "enabled"
    tools, more = tools_of(request, model, losses, forced=forced)
    body |= tools
    if fields := merged(fields, more):
        body["additionalModelRequestFields"] = fields
    if request.stop_sequences and model.dialect == "anthropic":
        path = "/delta/stop_sequence" if stream else "/stop_sequence"
        body["additionalModelResponseFieldPaths"] = [path]
    return extended(body, request, extra)


def count_body(request: CountTokens, model: Model, losses: Losses, *, extra: Sequence[str]) -> Json:
    """The body of a question for the number of tokens; arguments and errors as of `body_of`."""
    told = conversation_of(request.messages, model, losses, prefill=True)  # nothing is begun
    if tools := declared(request.tools, losses) or used(request.messages):
        told["toolConfig"] = {"tools": tools}
    return {"input": {"converse": extended(told, request, extra)}}


def extended(body: Json, request: Request, names: Sequence[str]) -> Json:
    """A body with the fields that a request has for this host, merged object within object."""
    for name in names:
        body = merged(body, request.extra.get(name, {}))
    return body


def _output(request: Generate, losses: Losses) -> Json:
    output = request.output
    if not isinstance(output, JsonSchema):
        losses.drop(f"{type(output).__name__} as output; a JsonSchema it can")
        return {}
    lost: dict[str, None] = {}
    schema = closed_schema(output.schema, lambda name: lost.setdefault(name))
    if lost:
        losses.note(f"is not bound by {', '.join(lost)} of the schema, only told of it")
    told = {"schema": dumps(schema).decode(), "name": output.name}
    if output.description:
        told["description"] = output.description
    form = {"type": "json_schema", "structure": {"jsonSchema": told}}
    return {"outputConfig": {"textFormat": form}}


def _sampling(
    request: Generate, model: Model, losses: Losses, *, thinks: bool
) -> tuple[Json, Json]:
    """The field `inferenceConfig`, and what the model is told in fields of its own."""
    names = {
        "max_output_tokens": "maxTokens",
        "temperature": "temperature",
        "top_p": "topP",
        "top_k": "top_k",
    }
    told = {name: getattr(request, name) for name in names}
    told = {name: one for name, one in told.items() if one is not None}
    if thinks:
        for name, least in (("temperature", 1), ("top_p", 0.95), ("top_k", float("inf"))):
            if told.get(name, least) < least:
                losses.drop(f"{name}={told.pop(name)} while it thinks")
    if told.get("temperature", 0) > 1:
        losses.drop(f"temperature={told.pop('temperature')}: it goes to 1")
    if model.one_sampler and {"temperature", "top_p"} <= told.keys():
        losses.drop("temperature and top_p together")
        del told["top_p"]
    config = {names[name]: one for name, one in told.items() if name != "top_k"}
    if request.stop_sequences:
        config["stopSequences"] = list(request.stop_sequences)
    if "top_k" not in told:
        return config, {}
    if model.dialect == "anthropic":
        return config, {"top_k": told["top_k"]}
    return config, {"inferenceConfig": {"topK": told["top_k"]}}
