"""What attempts do, and which of them comes next.

There is one way to say it, at every level: a text, a script, a row of them that is gone through, a
function, or a mapping that is looked up. Provider and server of the kit read it alike.
"""

from __future__ import annotations

import itertools
import math
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, TypeAlias

import attrs

from llmmw._call import Call
from llmmw._request import Request
from llmmw._response import Usage
from llmmw.errors import BadRequest, LLMError, NotFound

__all__ = ["Script", "Scripted", "Turns", "begun_in"]


def _pieces(given: str | Iterable[str]) -> tuple[str, ...]:
    return (given,) if isinstance(given, str) else tuple(given)


def _gaps(given: float | Iterable[float]) -> float | tuple[float, ...]:
    return given if isinstance(given, (int, float)) else tuple(given)


def _prompt_of(request: Request) -> str:
    """The text that scripts are chosen by: of the last message, else what is asked."""
    prompt = getattr(request, "prompt", None)
    if prompt is not None:
        return str(prompt)
    messages: Any = getattr(request, "messages", ())
    if len(messages) > 1 and messages[-1].role == "assistant":  # the beginning of the answer
        messages = messages[:-1]
    return messages[-1].text if messages else "\n".join(getattr(request, "inputs", ()))


def begun_in(request: Request) -> str:
    """The beginning of its answer that a request has, or nothing."""
    messages: Any = getattr(request, "messages", ())
    last = messages[-1:]
    return last[0].text if last and last[0].role == "assistant" else ""


@attrs.frozen(kw_only=True)
class Script:
    """What one attempt does.

    Args:
        first: seconds to the first piece (or to the error, if there is none).
        gap: seconds after each piece, to the next or to the end; or a row of them, one for each.
        error: what it ends with after its pieces, in place of an answer.
        hangs: it never ends after its pieces.
        pieces: the text, piece by piece; a text alone is one piece. By default `ok`, and nothing
            if it fails or hangs.
        tool: the pieces are the arguments of a call of this tool, and no text.
        usage: what it tells of tokens; by default the words of the last message and its own pieces.
    """

    first: float = 0.0
    gap: float | tuple[float, ...] = attrs.field(default=0.0, converter=_gaps)
    error: Callable[[], LLMError] | None = None
    hangs: bool = False
    pieces: tuple[str, ...] = attrs.field(converter=_pieces)
    tool: str = ""
    usage: Usage | None = attrs.field(default=None, repr=False)

    @pieces.default
    def _by_default(self) -> tuple[str, ...]:
        return () if self.error is not None or self.hangs else ("ok",)

    @property
    def text(self) -> str:
        """The text of all pieces."""
        return "".join(self.pieces)

    def after(self, begun: str) -> Script:
        """What is left of it where its text begins so; else all of it."""
        if not begun or self.tool or not self.text.startswith(begun):
            return self
        pieces, rest = [], len(begun)
        for piece in self.pieces:
            pieces.append(piece[rest:])
            rest = max(0, rest - len(piece))
        return attrs.evolve(self, pieces=[piece for piece in pieces if piece])

    @property
    def timed(self) -> Iterable[tuple[str, float]]:
        """Each piece, and the seconds after it."""
        if isinstance(self.gap, tuple):
            return zip(self.pieces, itertools.chain(self.gap, itertools.repeat(0.0)), strict=False)
        return zip(self.pieces, itertools.repeat(self.gap), strict=False)

    @property
    def seconds(self) -> float:
        """How long it takes to its end."""
        return math.inf if self.hangs else self.first + sum(gap for _, gap in self.timed)

    def usage_of(self, request: Request) -> Usage:
        """The tokens of its answer to a request."""
        if self.usage is not None:
            return self.usage
        words = len(_prompt_of(request).split())
        return Usage(input_tokens=words, output_tokens=len(self.pieces))


Scripted: TypeAlias = (
    "str | Script | Sequence[Scripted] | Mapping[Any, Scripted] | Callable[[Call, int], Scripted]"
)
"""A text, which is answered at once; a script; several of these, one after the other, the last
again and again; a function of the call and of how many came before it; or a mapping from prompts,
exact texts before regular expressions (`re.compile`), which are searched for in their order."""


@attrs.define(eq=False)
class Turns:
    """Which script is next, by model and prompt; it counts how often each place was come to."""

    _counts: dict[tuple[Any, ...], int] = attrs.field(factory=dict, init=False)

    def next(self, scripts: Mapping[Any, Scripted], call: Call) -> Script:
        """The script of a call, by its model and then by what stands there.

        Raises:
            NotFound: if no script is for this model.
            BadRequest: if none is for this prompt.
        """
        model = call.request.model_name
        key = _matching(scripts, model)
        if key is None:
            raise NotFound(f"the world has no model {model!r}; it has {_known(scripts)}")
        given = scripts[key]
        place: tuple[Any, ...] = (key,)
        while not isinstance(given, (str, Script)):
            if isinstance(given, Mapping):
                key = _key_of_prompt(given, call)
                given = given[key]
            else:
                count = self._counts.get(place, 0)
                self._counts[place] = count + 1
                if callable(given):
                    given = given(call, count)
                    continue
                if not given:
                    raise NotFound(f"the row of scripts for the model {model!r} is empty")
                key = min(count, len(given) - 1)
                given = given[key]
            place = (*place, key)
        return Script(pieces=given) if isinstance(given, str) else given


def _matching(table: Mapping[Any, Scripted], text: str) -> Any:
    """The key that fits a text, or `None`."""
    if text in table:
        return text
    patterns = (key for key in table if isinstance(key, re.Pattern))
    return next((pattern for pattern in patterns if pattern.search(text)), None)


def _key_of_prompt(table: Mapping[Any, Scripted], call: Call) -> Any:
    prompt = _prompt_of(call.request)
    key = _matching(table, prompt)
    if key is None:
        model = call.request.model_name
        raise BadRequest(
            f"{model!r} has no script for the prompt {prompt!r}; it has some for {_known(table)}"
        )
    return key


def _known(table: Mapping[Any, Scripted]) -> str:
    return ", ".join(sorted(str(getattr(key, "pattern", key)) for key in table)) or "none"
