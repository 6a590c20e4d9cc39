"""Google's models as data: what each takes, how it is told to think, and its limits.

A row is for all models whose name its pattern begins; the first that fits counts. Facts: Google's
documentation and recorded traffic, summer 2026.
"""

from __future__ import annotations

import re
from typing import Literal

import attrs

from llmmw import CountTokens, Embed, Generate, Request
from llmmw.plugin import Capabilities, Media

__all__ = ["MODELS", "Model", "model_of"]

_SAMPLING = frozenset(
    {
        *("temperature", "top_p", "top_k", "max_output_tokens", "stop_sequences", "seed", "n"),
        *("frequency_penalty", "presence_penalty"),
    }
)
_TOOLS = frozenset({"tools", "tool_choice", "parallel_tool_calls"})
_ALL = _SAMPLING | _TOOLS | {"output", "reasoning"}
_KINDS: frozenset[type[Request]] = frozenset({Generate, CountTokens})
_SEEN: frozenset[Media] = frozenset({"image", "audio", "video", "document"})
_PAPER: frozenset[Media] = frozenset({"image", "document"})
_FLASH_LEVELS = ("MINIMAL", "LOW", "MEDIUM", "HIGH")


@attrs.frozen(kw_only=True)
class Model:
    """What models of one pattern can do. The defaults are those of the present ones."""

    pattern: str
    kinds: frozenset[type[Request]] = _KINDS
    parameters: frozenset[str] = _ALL
    """The parameters of `Generate` that it honours. Vertex has log-probabilities besides."""
    levels: tuple[str, ...] = _FLASH_LEVELS
    """How much it can be told to think, in words, the least first; none: by a budget."""
    budget: tuple[int, int] = (0, 24_576)
    """The least and the most tokens that it can be told to think, where there are no levels."""
    can_rest: bool = True
    """Whether a budget of 0 keeps it from thinking."""
    json_with_tools: bool = True
    """Whether an answer can be bound to JSON while it may call functions."""
    signed_calls: bool = False
    """Whether it refuses a history in which the first call of a turn has no signature."""
    system: bool = True
    """Whether it takes a system instruction."""
    prefill: bool | None = None
    """Whether it goes on with an answer that was begun for it; `None`: it takes one, but it may
    think first, and nobody knows that it goes on at its end."""
    media: frozenset[Media] | None = _SEEN
    """What it takes in messages besides text; `None`: nobody knows."""
    bills_on_cancel: bool | None = True
    """Whether tokens are billed after a call was cancelled; `None`: nobody knows."""
    input_limit: int | None = 1_048_576
    """Tokens that a prompt may have; `None`: nobody knows."""
    output_limit: int | None = 65_536
    """Tokens that an answer may have; `None`: nobody knows."""
    task: Literal["type", "prefix"] = "type"
    """How it is told what vectors are for: in a field, or before the text."""
    predicts: bool = True
    """Whether Vertex has its vectors under `predict`, or as the Gemini API has them."""
    most_inputs: int = 250
    """Texts that one request to Vertex for vectors may have."""

    def capabilities(self, *more: str) -> Capabilities:
        """What the row says, where a model that generates honours `more` parameters too."""
        formed = "output" in self.parameters
        return Capabilities(
            kinds=self.kinds,
            parameters=self.parameters.union(more) if self.parameters else self.parameters,
            media=self.media,
            outputs=frozenset({"json", "schema", "choice"} if formed else ()),
            prefill=self.prefill is True,
            bills_on_cancel=self.bills_on_cancel,
            input_limit=self.input_limit,
            output_limit=self.output_limit,
        )


_NO_THOUGHT = _ALL - {"reasoning"}


def _embedding(pattern: str, input_limit: int = 2_048, **fields: object) -> Model:
    return Model(
        pattern=pattern,
        kinds=frozenset({Embed, CountTokens}),
        parameters=frozenset(),
        media=None,
        bills_on_cancel=None,
        input_limit=input_limit,
        output_limit=None,
        **fields,  # type: ignore[arg-type]
    )


MODELS: tuple[Model, ...] = (
    _embedding("gemini-embedding-2-", 8_192, predicts=False, most_inputs=1),
    _embedding("gemini-embedding-2", 8_192, task="prefix", predicts=False, most_inputs=1),
    _embedding("gemini-embedding", most_inputs=1),
    _embedding("(text-(multilingual-)?|multimodal)?embedding"),
    Model(
        pattern="gemini-.*-tts",
        parameters=_SAMPLING,
        levels=(),
        media=frozenset(),
        input_limit=8_192,
        output_limit=None,
    ),
    Model(
        pattern="gemini-2[.].*-image",
        parameters=_SAMPLING,
        media=_PAPER,
        input_limit=65_536,
        output_limit=32_768,
    ),
    # The images of these may rest on what a search finds, so they take the tools of the host.
    Model(
        pattern="gemini-3.*-flash-image",
        media=_PAPER | {"video"},
        input_limit=131_072,
        output_limit=32_768,
    ),
    Model(
        pattern="gemini-3.*-image",
        levels=("LOW", "HIGH"),
        signed_calls=True,
        media=_PAPER,
        input_limit=65_536,
        output_limit=32_768,
    ),
    Model(pattern="gemini-3-pro", levels=("LOW", "HIGH"), signed_calls=True),
    Model(pattern="gemini-3[.]1-pro", levels=("LOW", "MEDIUM", "HIGH"), signed_calls=True),
    Model(pattern="gemini-3(-|[.]1-|[.]5-flash(?!-lite))", signed_calls=True),
    # Newer ones refuse a request that ends with the model's turn.
    Model(
        pattern="gemini-3.*-pro",
        levels=("LOW", "MEDIUM", "HIGH"),
        signed_calls=True,
        prefill=False,
    ),
    Model(
        pattern="gemini-3[.]7-flash",
        levels=("LOW", "MEDIUM", "HIGH"),
        signed_calls=True,
        prefill=False,
    ),
    Model(pattern="gemini-3", signed_calls=True, prefill=False),
    Model(
        pattern="gemini-2[.]5-pro",
        levels=(),
        budget=(128, 32_768),
        can_rest=False,
        json_with_tools=False,
    ),
    Model(
        pattern="gemini-2[.]5-flash-lite",
        levels=(),
        budget=(512, 24_576),
        json_with_tools=False,
        prefill=True,
    ),
    Model(pattern="gemini-2[.]5", levels=(), json_with_tools=False),
    Model(
        pattern="gemini-(1|2)",
        parameters=_NO_THOUGHT,
        json_with_tools=False,
        prefill=True,
        output_limit=8_192,
    ),
    Model(
        pattern="gemma-3n",
        parameters=_SAMPLING,
        system=False,
        media=None,
        input_limit=None,
        output_limit=None,
    ),
    Model(
        pattern="gemma-3",
        parameters=_SAMPLING,
        system=False,
        media=frozenset({"image"}),
        input_limit=131_072,
        output_limit=8_192,
    ),
    Model(
        pattern="",
        kinds=frozenset({Generate, CountTokens, Embed}),
        media=None,
        input_limit=None,
        output_limit=None,
    ),
)
"""All rows; the last is for models that are not known here."""


def model_of(name: str) -> Model:
    """The row of a model, by its name with or without a path before it."""
    bare = name.rpartition("/")[2]
    return next(row for row in MODELS if re.match(row.pattern, bare))
