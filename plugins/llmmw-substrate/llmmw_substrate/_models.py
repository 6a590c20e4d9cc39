"""What each model takes, as data: the kind of node that asks it, and the arguments of that."""

from __future__ import annotations

from collections.abc import Mapping

import attrs

from llmmw import Embed, Generate
from llmmw.plugin import Capabilities

__all__ = ["ARGUMENTS", "RANGES", "Model", "model_of"]

ARGUMENTS: Mapping[str, str] = {
    "max_output_tokens": "max_tokens",
    "temperature": "temperature",
    "top_p": "top_p",
    "frequency_penalty": "frequency_penalty",
    "presence_penalty": "presence_penalty",
    "repetition_penalty": "repetition_penalty",
    "n": "num_choices",
}
"""Parameters, and what a node calls them."""
RANGES: Mapping[str, tuple[float, float]] = {
    "temperature": (0, 1),
    "top_p": (0, 1),
    "frequency_penalty": (-2, 2),
    "presence_penalty": (-2, 2),
    "repetition_penalty": (-2, 2),
    "n": (1, 8),
}
"""What the host takes of them."""


@attrs.frozen(kw_only=True)
class Model:
    """How a model is asked."""

    kind: str = "ComputeText"
    """The kind of node that writes."""
    named: bool = True
    """Whether that node is told the model's name."""
    system: bool = False
    schema: bool = False
    images: bool = False
    """Whether it looks at images, of which there must be one."""
    parameters: frozenset[str] = frozenset({"max_output_tokens", "temperature"})
    kinds: frozenset[type] = frozenset({Generate})

    def capabilities(self) -> Capabilities:
        """What it can do."""
        also = {"output"} if self.schema else set()
        return Capabilities(
            kinds=self.kinds,
            parameters=self.parameters | also,
            media=frozenset({"image"}) if self.images else frozenset(),
            outputs=frozenset({"schema"}) if self.schema else frozenset(),
        )


def _pinned(kind: str, *, schema: bool = True) -> Model:
    return Model(
        kind=kind, named=False, system=True, schema=schema, parameters=frozenset(ARGUMENTS)
    )


_WRITES = Model()
_EMBEDS = Model(kinds=frozenset({Embed}), parameters=frozenset())
_MODELS: Mapping[str, Model] = {
    **{
        name: _pinned(name)
        for name in ("Mistral7BInstruct", "Mixtral8x7BInstruct", "Llama3Instruct8B")
    },
    "Llama3Instruct70B": _pinned("Llama3Instruct70B", schema=False),
    "Firellava13B": Model(
        kind="Firellava13B",
        named=False,
        images=True,
        parameters=frozenset({"max_output_tokens"}),
    ),
    **dict.fromkeys(("gpt-4o", "gpt-4o-mini", "claude-3-5-sonnet-20240620"), _WRITES),
    **dict.fromkeys(("jina-v2", "clip"), _EMBEDS),
}
_UNKNOWN = Model(kinds=frozenset({Generate, Embed}))


def model_of(name: str) -> Model:
    """The row of a model; of one that is in none, `ComputeText` may know it."""
    return _MODELS.get(name, _UNKNOWN)
