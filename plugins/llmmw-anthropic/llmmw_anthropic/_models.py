"""What each model takes, as rows of data. The first row whose pattern is in a model's name counts.

A row says only what the host would refuse otherwise; what nobody knows is left to the host.
"""

from __future__ import annotations

import re
from typing import Literal

import attrs

from llmmw import CountTokens, Generate
from llmmw.plugin import Capabilities, Media

__all__ = ["MODELS", "Model", "model_of"]

_KINDS = frozenset({Generate, CountTokens})
_SEEN: frozenset[Media] = frozenset({"image", "document"})

_SAMPLING = frozenset({"temperature", "top_p", "top_k"})
_ALL = _SAMPLING | {
    "max_output_tokens",
    "output",
    "parallel_tool_calls",
    "reasoning",
    "stop_sequences",
    "tool_choice",
    "tools",
}
_PLAIN = _ALL - {"output"}
"""Of a model that knows no JSON schemas."""
_THREE = ("low", "medium", "high")


@attrs.frozen(kw_only=True)
class Model:
    """A family of models.

    Args:
        pattern: a regular expression; it may stand anywhere in the model's name.
        max_tokens: the most that it can write, sent where a request gives no limit, since the
            wire needs one.
        parameters: the optional parameters of `Generate` that it honours.
        thinking: how it can be told to think: adaptively with an effort, or with a limit of
            tokens.
        efforts: the words for an effort that it knows.
        always_thinks: whether it can't be told not to.
        one_sampler: whether it takes `temperature` or `top_p`, but not both.
        forced_tools: whether it can be told to call a tool.
        prefill: whether it goes on with an answer that was begun for it, as long as it does
            not think and is bound to no schema.
        system_inside: whether a system message may stand between others.
        media: what it takes in messages besides text; `None`: nobody knows.
        input_limit: the tokens that a prompt may have; `None`: nobody knows.
        bills_on_cancel: whether tokens are billed after a streamed answer was left; `None`:
            nobody knows.
        known: whether the row is of models that are known; of others it says what is sent
            them, and nothing of what they can.
    """

    pattern: str
    max_tokens: int
    parameters: frozenset[str] = _ALL
    thinking: tuple[Literal["adaptive", "budget"], ...] = ("adaptive",)
    efforts: tuple[str, ...] = ()
    always_thinks: bool = False
    one_sampler: bool = True
    forced_tools: bool = True
    prefill: bool = False
    system_inside: bool = False
    media: frozenset[Media] | None = _SEEN
    input_limit: int | None = 200_000
    bills_on_cancel: bool | None = False
    known: bool = True

    def capabilities(self) -> Capabilities:
        """What the row says. An answer is bound to a JSON schema, or by a forced tool."""
        return Capabilities(
            kinds=_KINDS,
            parameters=self.parameters,
            media=self.media,
            outputs=frozenset({"schema"} if "output" in self.parameters else ()),
            prefill=self.prefill and self.known,
            bills_on_cancel=self.bills_on_cancel,
            input_limit=self.input_limit,
            output_limit=self.max_tokens if self.known else None,
        )


_NEWEST = Model(
    pattern="",
    max_tokens=128_000,
    parameters=_ALL - _SAMPLING,
    efforts=(*_THREE, "xhigh", "max"),
    system_inside=True,
    input_limit=1_000_000,
)
_OLDER = Model(
    pattern="",
    max_tokens=64_000,
    thinking=("budget",),
    prefill=True,
)
_OLD = attrs.evolve(_OLDER, parameters=_PLAIN, one_sampler=False)
_OLDEST = attrs.evolve(_OLD, parameters=_PLAIN - {"reasoning"}, thinking=())

MODELS: tuple[Model, ...] = (
    attrs.evolve(
        _NEWEST, pattern="claude-(fable|mythos)-5-1", always_thinks=True, forced_tools=False
    ),
    attrs.evolve(_NEWEST, pattern="claude-(fable|mythos)-5", always_thinks=True),
    attrs.evolve(_NEWEST, pattern="claude-opus-5-5", always_thinks=True, forced_tools=False),
    attrs.evolve(_NEWEST, pattern="claude-(opus|sonnet|haiku)-5"),
    attrs.evolve(_NEWEST, pattern="claude-opus-4-8"),
    attrs.evolve(_NEWEST, pattern="claude-opus-4-7", system_inside=False),
    Model(
        pattern="claude-(opus|sonnet)-4-6",
        max_tokens=128_000,
        thinking=("adaptive", "budget"),
        efforts=(*_THREE, "max"),
        input_limit=1_000_000,
    ),
    attrs.evolve(_OLDER, pattern="claude-opus-4-5", efforts=_THREE),
    attrs.evolve(_OLDER, pattern="claude-(sonnet|haiku)-4-5"),
    attrs.evolve(_OLDER, pattern="claude-opus-4-1", max_tokens=32_000),
    attrs.evolve(_OLD, pattern="claude-(opus-4|4-opus)", max_tokens=32_000),
    attrs.evolve(_OLD, pattern="claude-(sonnet-4|4-sonnet|3-7)"),
    attrs.evolve(_OLDEST, pattern="claude-3-5", max_tokens=8_192),
    attrs.evolve(_OLDEST, pattern="claude-3", max_tokens=4_096),
    attrs.evolve(
        _OLDEST,
        pattern="claude-(2|v2|instant)",
        max_tokens=4_096,
        parameters=_OLDEST.parameters - {"tools", "tool_choice", "parallel_tool_calls"},
        media=frozenset(),
        input_limit=None,
    ),
    # A model that is newer than this table: the host says what it does not take.
    Model(
        pattern="claude-",
        max_tokens=64_000,
        thinking=("adaptive", "budget"),
        efforts=_NEWEST.efforts,
        one_sampler=False,
        prefill=True,
        system_inside=True,
        media=None,
        input_limit=None,
        known=False,
    ),
    # Another host's model.
    attrs.evolve(
        _OLD,
        pattern="",
        max_tokens=4_096,
        media=None,
        input_limit=None,
        bills_on_cancel=None,
        known=False,
    ),
)


def model_of(name: str) -> Model:
    """The row of a model."""
    return next(row for row in MODELS if re.search(row.pattern, name))
