"""Which provider plays which case: a table from hosts and wires to names of the registry."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any, Literal, TypeAlias

import attrs

from llmmw.testing.conformance._cases import Case

__all__ = ["Target", "target_of"]

Kind: TypeAlias = Literal[
    "chat", "prompt", "embed", "count", "verbs", "events", "frames", "signature"
]
"""How a case is asked; the last three ask no provider."""


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


_GOOGLE = {"google-vertex": "vertex"}
_BEDROCK = {"aws-bedrock": "bedrock"}
_ENGINE = {"scale-llm-engine": "llm-engine"}
_HOSTS = {"moonshotai": "moonshot", "openai-compatible": "vllm"} | _BEDROCK
_COMPATIBLE = _HOSTS | {
    "mistral": "mistral-openai",
    "ollama": "ollama-openai",
    **dict.fromkeys(("anthropic", "aws-bedrock", "cohere", "google"), "openai"),
}
"""Hosts by the names under which they speak OpenAI's wire."""
_WIRES: Mapping[str, _Wire] = {
    "sse": _Wire("events"),
    "aws-eventstream": _Wire("frames"),
    "aws-sigv4": _Wire("signature", {"aws": "bedrock"}),
    "openai-chat": _Wire("chat", _COMPATIBLE, "openai"),
    "mistral-chat": _Wire("chat"),
    "openai-completions": _Wire("prompt", _COMPATIBLE, "openai"),
    "openai-responses": _Wire("chat", _COMPATIBLE, "openai", {"api": "responses"}),
    "anthropic-messages": _Wire("chat", generic="anthropic"),
    "gemini": _Wire("chat", _GOOGLE, "google"),
    "bedrock-converse": _Wire("chat", _BEDROCK),
    "bedrock-invoke": _Wire("embed", _BEDROCK),
    "cohere-v2": _Wire("chat"),
    "ollama-chat": _Wire("chat"),
    "scale-completion": _Wire("prompt", _ENGINE),
    "scale-file": _Wire("verbs", _ENGINE),
    "scale-fine_tuning": _Wire("verbs", _ENGINE),
    "scale-model": _Wire("verbs", _ENGINE),
    "anthropic-batch": _Wire("verbs"),
    "anthropic-batch-results": _Wire("verbs"),
    "openai-batch": _Wire("verbs", _COMPATIBLE),
    "openai-batch-results": _Wire("verbs", _COMPATIBLE),
    "embeddings": _Wire("embed", _GOOGLE | _BEDROCK),
    "count-tokens": _Wire("count", _GOOGLE | _HOSTS),
}
_BEYOND = {
    "gemini-interactions": "Google's models are asked to generate content, not to interact",
    "openai-responses-compact": "conversations are not made shorter at the host",
    "bedrock-invoke": "Bedrock's models are asked by Converse, not each by a wire of its own",
}
"""Wires of hosts that have a plugin which does not speak them, and why."""
KEY = "sk-conformance-0123456789"
_OPTIONS: Mapping[str, Mapping[str, Any]] = {
    "vertex": {"token": KEY, "project": "p", "location": "global"},
    "bedrock": {"api_key": KEY, "region": "us-east-1"},
}
"""What a provider needs to be made at all, where that is not a key alone."""


def target_of(case: Case, known: Collection[str]) -> Target | str:
    """Who plays a case; or why nobody can, as a text.

    Args:
        case: the case.
        known: the names of providers that are installed.
    """
    if case.wire in _BEYOND and not _is_of_vectors(case):
        return _BEYOND[case.wire]
    wire = _WIRES.get(case.wire)
    if wire is None:
        return f"no plugin speaks the wire {case.wire}"
    if wire.kind in {"events", "frames"}:
        return Target("", wire.kind)
    names = _COMPATIBLE if _is_compatible(case) else wire.names
    own = names.get(case.provider, case.provider)
    name = own if own in known else wire.generic
    if name is None or name not in known:
        return f"no plugin is installed for {own}"
    options = _OPTIONS.get(name, {"api_key": KEY})
    return Target(name, _kind(case, wire.kind), {**wire.options, **options})


def _kind(case: Case, kind: Kind) -> Kind:
    """How a case is asked, where one wire is of several kinds."""
    if case.wire == "scale-completion" and "object" in case.expected:
        return "verbs"
    return "prompt" if _is_of_prompt(case) else kind


def _is_of_vectors(case: Case) -> bool:
    """Whether a model of Bedrock's, asked by its own wire, told vectors."""
    return case.wire == "bedrock-invoke" and b'"embedding' in case.body


def _is_compatible(case: Case) -> bool:
    """Whether vectors of Ollama's came by OpenAI's wire."""
    return case.wire == "embeddings" and case.provider == "ollama" and "/v1/" in case.url


def _is_of_prompt(case: Case) -> bool:
    """Whether an answer is one of Ollama's to a prompt, whose text stands in `response`."""
    return case.wire == "ollama-chat" and b'"response":' in case.body.replace(b'" :', b'":')
