"""Going on with an answer that was begun. Pure.

A host is told by a field that the last message is such a beginning, each in its own way. Some
repeat the beginning in what they answer: there it is left out, since the caller has it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from types import NoneType
from typing import Any, Literal

import attrs

from llmmw.wire import Http

__all__ = ["Echo", "Prefill", "going_on"]

Json = Mapping[str, Any]


@attrs.frozen(kw_only=True)
class Prefill:
    """How a host is asked to go on with the answer that the last message begins."""

    models: str = ""
    """What the name of a model that can do it begins with, as a pattern."""
    message: Json = attrs.field(factory=dict)
    """Fields of that message."""
    body: Json = attrs.field(factory=dict)
    """Fields of the request, which those of the caller replace."""
    path: str = ""
    """What stands before the path of the API, in place of its version."""
    echo: Literal["no", "whole", "always"] = "no"
    """Whether the answer repeats what was begun: never, where it comes whole, or in pieces too."""

    def serves(self, model: str) -> bool:
        """Whether a model can do it."""
        return re.match(self.models, model) is not None

    def ask(self, body: dict[str, Any]) -> None:
        """Ask for it in a body whose last message is the beginning."""
        *before, last = body["messages"]
        body["messages"] = [*before, {**last, **self.message}]
        for name, told in self.body.items():
            body.setdefault(name, told)

    def at(self, http: Http) -> Http:
        """The way to where it is asked for; the host's address may name the usual version."""
        if not self.path:
            return http
        base, mark, query = http.base_url.partition("?")
        base = base.rstrip("/").removesuffix("/v1").removesuffix(self.path)
        return attrs.evolve(http, base_url=base + self.path + mark + query)

    def listen(self, body: Json) -> Echo | None:
        """What takes the repeated beginning out of the answer to a body, if any is repeated."""
        return None if self.echo == "no" else Echo(begun_in(body), self.echo == "always")


def begun_in(body: Json) -> str:
    """The beginning of an answer that a body ends with, or nothing."""
    messages = body.get("messages")
    last = messages[-1] if messages else {}
    if last.get("role") != "assistant" or last.get("tool_calls"):
        return ""
    content = last.get("content")
    if isinstance(content, list):
        return "".join(str(block.get("text") or "") for block in content)
    return content if isinstance(content, str) else ""


def going_on(prefill: Prefill | None, model: str, body: Json) -> Prefill | None:
    """How a host goes on with the answer that a body begins, if it begins one and the host can."""
    can = prefill is not None and prefill.serves(model)
    return prefill if can and begun_in(body) else None


@attrs.define(eq=False)
class Echo:
    """Leaves out of an answer the beginning that it repeats."""

    begun: str
    """What was begun."""
    in_pieces: bool
    """Whether an answer that comes in pieces repeats it too."""
    _held: dict[int, str] = attrs.field(factory=dict, init=False)
    """What came of it so far, by candidate."""
    _over: set[int] = attrs.field(factory=set, init=False)

    def bare(self, told: dict[str, Any], *, whole: bool) -> dict[str, Any]:
        """A whole answer, or a piece, without what is repeated. What may be that waits."""
        choices = told.get("choices")
        if not isinstance(choices, list) or not (whole or self.in_pieces):
            return told
        return {**told, "choices": [self._choice(one, whole) for one in choices]}

    def _choice(self, choice: Any, whole: bool) -> Any:
        if not isinstance(choice, Mapping):
            return choice
        name = "message" if whole else "delta"
        number = choice.get("index")
        at = number if isinstance(number, int) else 0
        said = choice.get(name)
        said = said if isinstance(said, Mapping) else {}
        content = said.get("content")
        if at in self._over or not isinstance(content, (str, NoneType)):
            return choice  # parts begin with no echo
        text = self._held.pop(at, "") + (content or "")
        is_last = whole or bool(choice.get("finish_reason"))
        if not is_last and len(text) < len(self.begun) and self.begun.startswith(text):
            self._held[at], text = text, ""
        else:
            self._over.add(at)
            text = text.removeprefix(self.begun)
        return {**choice, name: {**said, "content": text or (content and "")}}
