"""What each model takes, as rows of data. The first row whose pattern is in a model's name counts.

A row says only what the host would refuse otherwise; what nobody knows is left to the host. Names
are those of models, of regional and global inference profiles, and of ARNs, in which they stand.
"""

from __future__ import annotations

import re
from typing import Literal

import attrs

from llmmw import CountTokens, Embed, Generate
from llmmw.plugin import Capabilities, Media

__all__ = ["MODELS", "Model", "bare_name", "model_of"]

Dialect = Literal["anthropic", "nova", "nova2", "gpt-oss", "openai", "titan", "cohere", ""]

_SEEN: frozenset[Media] = frozenset({"image", "document"})
_ANY: frozenset[Media] = frozenset({"image", "document", "video"})
_BASE = frozenset({"max_output_tokens", "stop_sequences", "temperature", "top_p"})
_TOOLS = frozenset({"tools", "tool_choice"})
_MOST = _BASE | _TOOLS | {"output"}
_UNSTOPPED = _MOST - {"stop_sequences"}
_CLAUDE = _MOST | {"parallel_tool_calls", "reasoning", "top_k"}
_FIXED = {"temperature", "top_p", "top_k"}
_THREE = ("low", "medium", "high")


@attrs.frozen(kw_only=True)
class Model:
    """A family of models.

    Args:
        pattern: a regular expression; it may stand anywhere in the model's name.
        dialect: how it is told what Converse has no field for, and how vectors are asked of it.
        parameters: the optional parameters of `Generate` that it honours.
        thinking: how it can be told to think: adaptively with an effort, with a limit of tokens,
            or with an effort alone.
        efforts: the words for an effort that it knows.
        always_thinks: whether it can't be told not to.
        one_sampler: whether it takes `temperature` or `top_p`, but not both.
        forced_tools: whether it can be told to call a tool.
        prefill: whether it goes on with an answer that was begun for it, as long as it does
            not think and is bound to no schema.
        system_inside: whether a system message may stand between others.
        signs: whether it signs what it thinks; only then it may be shown signed thoughts.
        media: what it takes in messages besides text; `None`: nobody knows.
        counts: whether the host counts tokens for it.
        embeds: whether it gives vectors, and nothing else.
        input_limit: the tokens that a prompt may have; `None`: nobody knows.
        output_limit: the tokens that an answer may have; `None`: nobody knows.
        known: whether the row is of models that are known.
    """

    pattern: str
    dialect: Dialect = ""
    parameters: frozenset[str] = _BASE | _TOOLS
    thinking: tuple[Literal["adaptive", "budget", "effort"], ...] = ()
    efforts: tuple[str, ...] = ()
    always_thinks: bool = False
    one_sampler: bool = False
    forced_tools: bool = True
    prefill: bool = False
    system_inside: bool = False
    signs: bool = False
    media: frozenset[Media] | None = frozenset()
    counts: bool = False
    embeds: bool = False
    input_limit: int | None = None
    output_limit: int | None = None
    known: bool = True

    def capabilities(self) -> Capabilities:
        """What the row says. An answer is bound to a JSON schema, or by a forced tool."""
        if self.embeds:
            return Capabilities(kinds=frozenset({Embed}))
        kinds = {Generate, CountTokens} if self.counts or not self.known else {Generate}
        return Capabilities(
            kinds=frozenset(kinds),
            parameters=self.parameters,
            media=self.media,
            outputs=frozenset({"schema"} if "output" in self.parameters else ()),
            prefill=self.prefill and self.known,
            input_limit=self.input_limit,
            output_limit=self.output_limit,
        )


_NEWEST = Model(
    pattern="",
    dialect="anthropic",
    parameters=_CLAUDE - _FIXED,
    thinking=("adaptive",),
    efforts=(*_THREE, "xhigh", "max"),
    system_inside=True,
    signs=True,
    media=_SEEN,
    counts=True,
    input_limit=1_000_000,
    output_limit=128_000,
)
_OLDER = Model(
    pattern="",
    dialect="anthropic",
    parameters=_CLAUDE,
    thinking=("budget",),
    one_sampler=True,
    prefill=True,
    signs=True,
    media=_SEEN,
    counts=True,
    input_limit=200_000,
    output_limit=64_000,
)
_OLD = attrs.evolve(_OLDER, parameters=_CLAUDE - {"output"}, one_sampler=False)
_OLDEST = attrs.evolve(_OLD, parameters=_OLD.parameters - {"reasoning"}, thinking=())
_NOVA = Model(
    pattern="nova-(lite|pro|premier)",
    dialect="nova",
    parameters=_BASE | _TOOLS | {"top_k"},
    prefill=True,
    media=_ANY,
)
_VECTORS = Model(pattern="", embeds=True)

MODELS: tuple[Model, ...] = (
    attrs.evolve(_VECTORS, pattern="titan-(embed|e1t)", dialect="titan"),
    attrs.evolve(_VECTORS, pattern=r"cohere\.embed", dialect="cohere"),
    attrs.evolve(_VECTORS, pattern="nova-.*embed", dialect="nova"),
    attrs.evolve(
        _NEWEST, pattern="claude-(fable|mythos)-5-1", always_thinks=True, forced_tools=False
    ),
    attrs.evolve(_NEWEST, pattern="claude-(fable|mythos)-5", always_thinks=True),
    attrs.evolve(_NEWEST, pattern="claude-opus-5-5", always_thinks=True, forced_tools=False),
    attrs.evolve(_NEWEST, pattern="claude-(opus|sonnet|haiku)-5"),
    attrs.evolve(_NEWEST, pattern="claude-opus-4-8"),
    attrs.evolve(_NEWEST, pattern="claude-opus-4-7", system_inside=False),
    attrs.evolve(
        _OLDER,
        pattern="claude-(opus|sonnet)-4-6",
        thinking=("adaptive", "budget"),
        efforts=(*_THREE, "max"),
        prefill=False,
        input_limit=1_000_000,
        output_limit=128_000,
    ),
    attrs.evolve(_OLDER, pattern="claude-(opus|sonnet|haiku)-4-5"),
    attrs.evolve(_OLD, pattern="claude-opus-4-1", one_sampler=True, output_limit=32_000),
    attrs.evolve(_OLD, pattern="claude-opus-4", output_limit=32_000),
    attrs.evolve(_OLD, pattern="claude-(sonnet-4|3-7)"),
    attrs.evolve(_OLDEST, pattern="claude-3-5", output_limit=8_192),
    attrs.evolve(_OLDEST, pattern="claude-3", output_limit=4_096),
    attrs.evolve(
        _OLDEST,
        pattern="claude-(v2|instant)",
        parameters=_BASE | {"top_k"},
        media=frozenset(),
        counts=False,
        input_limit=None,
        output_limit=4_096,
    ),
    # One that is newer than this table: the host says what it does not take.
    attrs.evolve(
        _NEWEST,
        pattern="claude-",
        parameters=_CLAUDE,
        thinking=("adaptive", "budget"),
        prefill=True,
        media=None,
        input_limit=None,
        output_limit=None,
        known=False,
    ),
    attrs.evolve(
        _NOVA,
        pattern="nova-2",
        dialect="nova2",
        parameters=_NOVA.parameters | {"reasoning"},
        thinking=("effort",),
        efforts=_THREE,
        signs=True,
    ),
    _NOVA,
    attrs.evolve(_NOVA, pattern="nova-micro", media=frozenset()),
    Model(
        pattern=r"openai\.gpt-oss",
        dialect="gpt-oss",
        parameters=_UNSTOPPED | {"reasoning"},
        thinking=("effort",),
        efforts=_THREE,
        always_thinks=True,
    ),
    Model(
        pattern=r"openai\.gpt",
        dialect="openai",
        parameters=_MOST | {"reasoning"},
        thinking=("effort",),
        efforts=("none", "minimal", *_THREE, "xhigh"),
        signs=True,
        media=None,
        known=False,
    ),
    Model(pattern="deepseek", parameters=_MOST, prefill=True, media=None, known=False),
    Model(pattern="qwen", parameters=_UNSTOPPED, prefill=True, media=None, known=False),
    # Another host's model, or the ARN of a profile that says nothing of it.
    Model(pattern="", parameters=_MOST, prefill=True, signs=True, media=None, known=False),
)


def model_of(name: str) -> Model:
    """The row of a model."""
    return next(row for row in MODELS if re.search(row.pattern, name))


def bare_name(name: str) -> str:
    """A model's name without the region of its profile, as where tokens are counted."""
    return re.sub(r"^(us|us-gov|eu|apac|jp|au|ca|sa|in|global)\.(?=[a-z0-9-]+\.)", "", name)
