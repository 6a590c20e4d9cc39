"""What of a call is compared by its meaning, and what must be the same."""

from __future__ import annotations

import hashlib

import attrs

from llmmw import Generate, TextPart, ToolCallPart, ToolResultPart
from llmmw.errors import BadRequest
from llmmw.plugin import Call
from llmmw.policies._cache_key import Keys

__all__ = ["Asked", "asked"]


@attrs.frozen
class Asked:
    """The last thing that the user said, and a hash of all the rest."""

    question: str
    scope: str

    @property
    def key(self) -> str:
        """Under which its answer is kept."""
        return f"{self.prefix}{hashlib.sha256(self.question.encode()).hexdigest()[:32]}"

    @property
    def prefix(self) -> str:
        """What the keys of its scope begin with."""
        return f"semantic.{self.scope}."


def asked(
    call: Call, embed: str, keys: Keys, *, most: int, sampled: bool, tools: bool, structured: bool
) -> Asked | None:
    """The question of a call; `None` for one that is not compared."""
    request = call.request
    if not isinstance(request, Generate) or not request.messages or call.sample:
        return None
    is_sampled = (request.temperature or 0) > 0 or (request.n or 1) > 1
    if (is_sampled and not sampled) or (request.n or 1) > 1:
        return None
    if (request.output is not None and not structured) or (_has_tools(request) and not tools):
        return None
    last = request.messages[-1]
    question = last.text.strip()
    if last.role != "user" or not all(type(part) is TextPart for part in last.parts):
        return None
    if not 0 < len(question) <= most:
        return None
    blank = attrs.evolve(last, parts=(TextPart("?"),))
    try:
        rest = keys.base(request.replace(messages=(*request.messages[:-1], blank)), call.tenant)
    except BadRequest:  # it has no plain form; whether that is wrong, others know
        return None
    return Asked(question, hashlib.sha256(f"{rest} {embed}".encode()).hexdigest()[:48])


def _has_tools(request: Generate) -> bool:
    return bool(request.tools) or any(
        isinstance(part, (ToolCallPart, ToolResultPart))
        for message in request.messages
        for part in message.parts
    )
