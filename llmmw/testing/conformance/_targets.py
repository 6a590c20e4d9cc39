"""Which provider plays which case: a table from hosts and wires to names of the registry."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any, Literal, TypeAlias

import attrs

from llmmw.testing.conformance._cases import Case

__all__ = ["Target", "target_of"]

Kind: TypeAlias = Literal["chat", "prompt", "embed", "count", "events"]


@attrs.frozen
class Target:
    """A provider, and how it is asked."""

    name: str
    kind: Kind
    options: Mapping[str, Any] = attrs.field(factory=dict)


@attrs.frozen
class _Wire:
    """How a wire is asked, and by which name a host is known where that is not its own."""

    kind: Kind
    names: Mapping[str, str] = attrs.field(factory=dict)
    generic: str | None = None
    """Who speaks for a host that has no name in the registry."""
    options: Mapping[str, Any] = attrs.field(factory=dict)
    only: Collection[str] | None = None
    """The hosts whose form of the wire is known; default: all."""


_GOOGLE = {"google-vertex": "vertex"}
_HOSTS = {"moonshotai": "moonshot", "openai-compatible": "vllm", "aws-bedrock": "bedrock"}
_WIRES: Mapping[str, _Wire] = {
    "sse": _Wire("events"),
    "openai-chat": _Wire("chat", _HOSTS | {"google": "openai"}, "openai"),
    "mistral-chat": _Wire("chat"),
    "openai-completions": _Wire("prompt", _HOSTS, "openai"),
    "openai-responses": _Wire("chat", _HOSTS, "openai", {"api": "responses"}),
    "anthropic-messages": _Wire("chat", generic="anthropic"),
    "gemini": _Wire("chat", _GOOGLE, "google"),
    "bedrock-converse": _Wire("chat", _HOSTS),
    "cohere-v2": _Wire("chat"),
    "embeddings": _Wire("embed", _GOOGLE),
    "count-tokens": _Wire("count", _GOOGLE | _HOSTS),
}
KEY = "sk-conformance-0123456789"
_OPTIONS: Mapping[str, Mapping[str, Any]] = {
    "vertex": {"token": KEY, "project": "p", "location": "global"},
}
"""What a provider needs to be made at all, where that is not a key alone."""


def target_of(case: Case, known: Collection[str]) -> Target | str:
    """Who plays a case; or why nobody can, as a text.

    Args:
        case: the case.
        known: the names of providers that are installed.
    """
    wire = _WIRES.get(case.wire)
    if wire is None:
        return f"no plugin speaks the wire {case.wire}"
    if wire.kind == "events":
        return Target("", "events")
    own = wire.names.get(case.provider, case.provider)
    name = own if own in known else wire.generic
    if name is None or name not in known:
        return f"no plugin is installed for {own}"
    options = _OPTIONS.get(name, {"api_key": KEY})
    return Target(name, wire.kind, {**wire.options, **options})
