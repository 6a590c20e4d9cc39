"""Requests as graphs of one node. Pure."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from typing import Any

from llmmw import CachePoint, Embed, Generate, JsonSchema, MediaPart, Message, TextPart
from llmmw.errors import UnsupportedFeature
from llmmw.flow.dag import Node, to_dag
from llmmw.wire import Losses
from llmmw_substrate._models import ARGUMENTS, RANGES, Model

__all__ = ["NODE", "embed_graph", "generate_graph"]

Json = dict[str, Any]
NODE = "answer"
"""The id of the node."""


def generate_graph(request: Generate, model: Model, losses: Losses, names: Sequence[str]) -> Json:
    """The graph that has a text written.

    Args:
        request: what is asked.
        model: the row of the model.
        losses: takes what the host can't honour.
        names: under which names `request.extra` may hold arguments of the node.

    Raises:
        UnsupportedFeature: for what the host can't honour, unless the request lets it be dropped.
    """
    args = _prompt(request.messages, model, losses)
    if model.named:
        args["model"] = request.model_name
    for parameter, argument in ARGUMENTS.items():
        given = getattr(request, parameter)
        if given is None or (parameter == "n" and given == 1):
            continue
        low, high = RANGES.get(parameter, (given, given))
        if parameter not in model.parameters:
            losses.drop(f"{parameter}={given}")
        elif not low <= given <= high:
            losses.drop(f"{parameter}={given}: it goes from {low} to {high}")
        else:
            args[argument] = given
    if request.output is not None:
        if model.schema and isinstance(request.output, JsonSchema):
            args["json_schema"] = dict(request.output.schema)
        else:
            losses.drop(f"{type(request.output).__name__} as output")
    return _graph(model.kind, args, request, names)


def embed_graph(request: Embed, losses: Losses, names: Sequence[str]) -> Json:
    """The graph that gives vectors; arguments and errors as of `generate_graph`."""
    for name in ("dimensions", "purpose"):
        if getattr(request, name) is not None:
            losses.drop(f"{name}={getattr(request, name)}")
    items = [{"text": one} for one in request.inputs]
    args: Json = {"items": items, "model": request.model_name}
    return _graph("MultiEmbedText", args, request, names)


def _graph(kind: str, args: Json, request: Generate | Embed, names: Sequence[str]) -> Json:
    for name in names:
        args |= dict(request.extra.get(name, {}))
    return to_dag(Node(kind, **{**args, "id": NODE, "hide": False}))


def _prompt(messages: Sequence[Message], model: Model, losses: Losses) -> Json:
    """The one prompt that a node takes, what the system says, and images."""
    rows = list(messages)
    system: list[str] = []
    while rows and rows[0].role == "system":
        told, _ = _content(rows.pop(0), losses, images=False)
        system.append(told)
    if len(rows) != 1 or rows[0].role != "user":
        roles = ", ".join(one.role for one in rows) or "nothing"
        raise UnsupportedFeature(
            f"this host takes one prompt of a user, after what the system says, and not {roles}; "
            "put the conversation into one message, or ask another target"
        )
    text, images = _content(rows[0], losses, images=model.images)
    args: Json = {"prompt": text}
    if system and model.system:
        args["system_prompt"] = "\n\n".join(system)
    elif system:
        losses.drop("a system message")
    if model.images:
        if not images:
            raise UnsupportedFeature("this model wants an image; ask another target, or show one")
        args["image_uris"] = images
    return args


def _content(message: Message, losses: Losses, *, images: bool) -> tuple[str, list[str]]:
    """The text of a message, and its images."""
    if message.name is not None:
        losses.drop("the name of a message")
    texts, uris = [], []
    for part in message.parts:
        if isinstance(part, TextPart):
            texts.append(part.text)
        elif isinstance(part, MediaPart) and images:
            uris.append(_uri(part, losses))
        elif not isinstance(part, CachePoint):  # which is a wish
            raise UnsupportedFeature(
                f"a message of the {message.role} holds a {type(part).__name__}, for which this "
                "model has no place; leave it out, or ask another target"
            )
    return "\n".join(texts), uris


def _uri(part: MediaPart, losses: Losses) -> str:
    if part.media_type.partition("/")[0] != "image" or part.file_id is not None:
        what = "a file of another host" if part.file_id is not None else part.media_type
        raise UnsupportedFeature(f"a message holds {what}: this model looks at images alone")
    if part.detail is not None:
        losses.drop("the detail of an image")
    if part.url is not None:
        return part.url
    data = base64.b64encode(part.data or b"").decode()
    return f"data:{part.media_type};base64,{data}"
