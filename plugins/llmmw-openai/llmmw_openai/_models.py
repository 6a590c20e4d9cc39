"""How models of one host differ from what its row says, as data."""

from __future__ import annotations

import re
from collections.abc import Iterable

import attrs

from llmmw.plugin import Media

__all__ = ["OPENAI_MODELS", "Model", "model_of"]


@attrs.frozen(kw_only=True)
class Model:
    """What models of one pattern can do. What is `None` is as the row of the host says."""

    pattern: str
    """What their name begins with. The first row that fits counts."""
    refuses: frozenset[str] = frozenset()
    """The parameters that they do not take, though the host does."""
    media: frozenset[Media] | None = None
    """What they take in messages besides text."""
    input_limit: int | None = None
    """Tokens that a prompt may have."""
    output_limit: int | None = None
    """Tokens that an answer may have."""


_SAMPLING = frozenset({"temperature", "top_p", "frequency_penalty", "presence_penalty"})
_REASONING = frozenset({"reasoning"})
_FIXED = _SAMPLING | {"logprobs", "logit_bias"}
_TEXT: frozenset[Media] = frozenset()
_SEEN: frozenset[Media] = frozenset({"image", "document"})
_IMAGE: frozenset[Media] = frozenset({"image"})
_SOUND: frozenset[Media] = frozenset({"audio"})


def _row(
    pattern: str,
    input_limit: int,
    output_limit: int,
    refuses: frozenset[str] = frozenset(),
    media: frozenset[Media] | None = None,
) -> Model:
    return Model(
        pattern=pattern,
        refuses=refuses,
        media=media,
        input_limit=input_limit,
        output_limit=output_limit,
    )


OPENAI_MODELS: tuple[Model, ...] = (
    _row("o1-mini", 128_000, 65_536, _FIXED, _TEXT),
    _row("o1-preview", 128_000, 32_768, _FIXED, _TEXT),
    _row("o3-mini", 200_000, 100_000, _FIXED, _TEXT),
    _row(r"o\d(-|$)", 200_000, 100_000, _FIXED, _SEEN),
    _row(r"gpt-5-pro(-\d|$)", 272_000, 272_000, _FIXED, _SEEN),
    _row(r"gpt-5(-mini|-nano|-codex)?(-\d{4}-\d\d-\d\d)?$", 272_000, 128_000, _FIXED, _SEEN),
    _row(r"gpt-5(\.\d)?-chat", 128_000, 16_384, media=_SEEN),
    _row(r"gpt-5\.[12](-|$)", 272_000, 128_000, media=_SEEN),
    _row(r"gpt-4\.1", 1_047_576, 32_768, _REASONING, _SEEN),
    _row(r"gpt-(4o-(mini-)?)?audio", 128_000, 16_384, _REASONING, _SOUND),
    _row(r"gpt-4o(-mini)?(-20|-search|$)", 128_000, 16_384, _REASONING, _SEEN),
    _row(r"gpt-4-turbo", 128_000, 4_096, _REASONING, _IMAGE),
    _row(r"gpt-4(-\d{4})?$", 8_192, 8_192, _REASONING, _TEXT),
    _row(r"gpt-3\.5", 16_385, 4_096, _REASONING, _TEXT),
    Model(pattern="gpt-4", refuses=_REASONING),
)
"""OpenAI's; others are as its row says."""


def model_of(rows: Iterable[Model], name: str) -> Model:
    """The row of a model."""
    return next((row for row in rows if re.match(row.pattern, name)), Model(pattern=""))
