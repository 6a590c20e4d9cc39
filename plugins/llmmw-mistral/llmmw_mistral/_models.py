"""What models can do, as data. A model in no row is taken to do what any of them does."""

from __future__ import annotations

import re
from typing import Literal, TypeAlias

import attrs

from llmmw import Embed, Generate, Request
from llmmw.plugin import Capabilities

__all__ = ["TEXT_PARAMETERS", "Model", "model_of"]

Thinks: TypeAlias = Literal["effort", "always", "never"]
"""Whether a model thinks as much as it is told, whatever it is told, or not at all."""

TEXT_PARAMETERS = frozenset(
    {"prompt", "max_output_tokens", "temperature", "top_p", "seed", "stop_sequences"}
)
"""What is taken with a prompt, between which and a suffix code is filled in."""
_CHAT = (TEXT_PARAMETERS - {"prompt"}) | {
    *("frequency_penalty", "presence_penalty", "n", "output", "reasoning"),
    *("tools", "tool_choice", "parallel_tool_calls"),
}


@attrs.frozen
class Model:
    """Models of one pattern."""

    pattern: str
    """What their name begins with. The first row that fits counts."""
    thinks: Thinks = "effort"
    efforts: tuple[str, ...] = ()
    """The efforts that they know; empty: nobody knows."""
    fills: bool = False
    """Whether they fill in code."""
    kinds: frozenset[type[Request]] = frozenset({Generate})
    """What they answer."""

    def capabilities(self) -> Capabilities:
        """As a user reads them."""
        lacks = frozenset({"reasoning"} if self.thinks == "never" else ())
        return Capabilities(
            kinds=self.kinds,
            parameters=(_CHAT | (TEXT_PARAMETERS if self.fills else frozenset())) - lacks,
            media=frozenset({"image", "audio", "document"}),
            outputs=frozenset({"json", "schema"}),
            prefill=True,
            bills_on_cancel=True,
        )


_OLDER = "open-|pixtral|voxtral|mistral-(tiny|large-2[45]|small-2[45]|medium-2[35])"
_MODELS = (
    Model("(mistral|codestral)-embed", kinds=frozenset({Embed})),
    Model("(ft:)?magistral", thinks="always"),
    Model("(ft:)?codestral", thinks="never", fills=True),
    Model(f"(ft:)?({_OLDER})", thinks="never"),
    Model("(ft:)?mistral-(small|medium)", efforts=("none", "high")),
    Model("(ft:)?(mistral|ministral|devstral)"),
)
_UNKNOWN = Model("", fills=True, kinds=frozenset({Generate, Embed}))


def model_of(name: str) -> Model:
    """The row of a model."""
    return next((row for row in _MODELS if re.match(row.pattern, name)), _UNKNOWN)
