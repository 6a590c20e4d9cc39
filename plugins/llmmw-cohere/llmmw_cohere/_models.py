"""What each model takes, as rows of data. The first row whose pattern is in a model's name counts.

A row says only what the host would refuse otherwise; what nobody knows is left to the host.
"""

from __future__ import annotations

import re

import attrs

from llmmw import CountTokens, Detokenize, Embed, Generate, Request, Score, Tokenize
from llmmw.plugin import Capabilities, Media, Output

__all__ = ["MODELS", "Model", "model_of"]

_TOKENS = frozenset({Tokenize, Detokenize})
_CHAT: frozenset[type[Request]] = _TOKENS | {Generate, CountTokens}
_EMBED: frozenset[type[Request]] = _TOKENS | {Embed}
_RANK: frozenset[type[Request]] = _TOKENS | {Score}

_ALL = frozenset(
    {
        "frequency_penalty",
        "logprobs",
        "max_output_tokens",
        "output",
        "parallel_tool_calls",
        "presence_penalty",
        "reasoning",
        "seed",
        "stop_sequences",
        "temperature",
        "tool_choice",
        "tools",
        "top_k",
        "top_p",
    }
)
_PLAIN = _ALL - {"reasoning"}
_NO_CHOICE = _PLAIN - {"tool_choice"}
"""Of models before Command R7B."""
_NO_TOOLS = _PLAIN - {"parallel_tool_calls", "tool_choice", "tools"}
_TEXT: frozenset[Media] = frozenset({"document"})
_SEEN: frozenset[Media] = frozenset({"document", "image"})
_OUTPUTS: frozenset[Output] = frozenset({"json", "schema"})


@attrs.frozen(kw_only=True)
class Model:
    """A family of models.

    Args:
        pattern: a regular expression; it may stand anywhere in the model's name.
        kinds: the requests that it answers.
        parameters: the optional parameters of `Generate` that it honours.
        media: what it takes besides text.
        input_limit: tokens that a prompt may have.
        output_limit: tokens that an answer may have.
        sized: whether its vectors can be asked for in other sizes.
    """

    pattern: str
    kinds: frozenset[type[Request]] = _CHAT
    parameters: frozenset[str] = _PLAIN
    media: frozenset[Media] = _TEXT
    input_limit: int | None = None
    output_limit: int | None = None
    sized: bool = True

    @property
    def thinks(self) -> bool:
        """Whether it thinks before it answers."""
        return "reasoning" in self.parameters

    def capabilities(self) -> Capabilities:
        """The row as all providers say it."""
        chats = Generate in self.kinds
        return Capabilities(
            kinds=self.kinds,
            parameters=self.parameters if chats else frozenset(),
            media=self.media if chats else frozenset(),
            outputs=_OUTPUTS,
            prefill=False,
            input_limit=self.input_limit,
            output_limit=self.output_limit,
        )


_K = 1_000

MODELS: tuple[Model, ...] = (
    Model(pattern="^rerank", kinds=_RANK),
    Model(pattern="^embed.*v[23]", kinds=_EMBED, sized=False),
    Model(pattern="^embed", kinds=_EMBED),
    Model(
        pattern="command-a-reasoning",
        parameters=_ALL,
        input_limit=256 * _K,
        output_limit=32 * _K,
    ),
    Model(pattern="command-a-plus", parameters=_ALL, media=_SEEN),
    Model(
        pattern="command-a-vision",
        parameters=_NO_TOOLS,
        media=_SEEN,
        input_limit=128 * _K,
        output_limit=8 * _K,
    ),
    Model(pattern="command-a-translate"),
    Model(pattern="command-a-03-2025", input_limit=256 * _K),
    Model(pattern="command-r7b", input_limit=128 * _K),
    Model(pattern="command-r(-plus)?(-|$)", parameters=_NO_CHOICE, input_limit=128 * _K),
    Model(pattern="aya-vision", parameters=_NO_CHOICE, media=_SEEN),
    Model(pattern="aya-expanse", parameters=_NO_CHOICE),
)

_ANY = Model(pattern="", kinds=_CHAT | {Embed, Score}, parameters=_ALL, media=_SEEN)
"""Fine-tunes, and models that nobody knows."""


def model_of(name: str) -> Model:
    """The row of a model."""
    return next((row for row in MODELS if re.search(row.pattern, name)), _ANY)
