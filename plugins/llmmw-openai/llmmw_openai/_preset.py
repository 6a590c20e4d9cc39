"""What there is to know of one host that speaks OpenAI's wire."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Literal

import attrs

from llmmw import Price
from llmmw.plugin import BatchLimits, Media, Output, built_in_prices
from llmmw_openai._models import Model
from llmmw_openai._prefill import Prefill

__all__ = ["HALF", "LIMITS", "OPENAI", "SAMPLING", "TOOLS", "Preset"]

SAMPLING = frozenset({"temperature", "top_p", "frequency_penalty", "presence_penalty"})
TOOLS = frozenset({"tools", "tool_choice", "parallel_tool_calls"})
LIMITS = frozenset({"max_output_tokens", "stop_sequences"})
OPENAI = SAMPLING | TOOLS | LIMITS | {"seed", "logit_bias", "logprobs", "n", "output", "reasoning"}
_RESPONSES = TOOLS | {
    "temperature",
    "top_p",
    "max_output_tokens",
    "logprobs",
    "output",
    "reasoning",
}
"""What the Responses API has a word for."""
HALF = BatchLimits(lines=50_000, bytes=190 * 2**20, price=Decimal("0.5"))
"""50,000 lines and 200 MB a batch, for half the price; the last bytes are left free."""
_RESPONSES_MEDIA: frozenset[Media] = frozenset({"image", "document"})
_GRAMMARS: Mapping[str | None, frozenset[Output]] = {
    None: frozenset(),
    "structured_outputs": frozenset({"grammar", "regex", "choice"}),
    "grammar": frozenset({"grammar", "choice"}),
    "response_format": frozenset({"grammar", "choice"}),
}
"""The forms of answer that a place for grammars adds."""


@attrs.frozen(kw_only=True)
class Preset:
    """One host. The defaults are those of most of them."""

    name: str
    host: str = attrs.field(default=attrs.Factory(lambda row: row.name, takes_self=True))
    """The name of its account, where a host has several rows."""
    title: str
    base_url: str
    """`{NAME}` in it stands for an environment variable; `<NAME>_BASE_URL` replaces it."""
    keys: tuple[str, ...]
    """The environment variables that may hold the key."""
    key_needed: bool = True
    prices: str | None = None
    """The host's name in tables of prices; default: `name`. Empty: it costs nothing."""
    header: str = "Authorization"
    scheme: str = "Bearer "
    parameters: frozenset[str] = OPENAI
    """The parameters of `Generate` that it honours."""
    models: tuple[Model, ...] = ()
    """How some of its models differ from this row."""
    media: frozenset[Media] | None = None
    """What it takes in the messages of chats besides text; `None`: nobody knows."""
    outputs: frozenset[Output] = frozenset({"json", "schema"})
    """The forms of answer that it can be bound to; `grammar` adds others."""
    prefill: Prefill | None = None
    """How a chat goes on with an answer that was begun, if it does."""
    bills_on_cancel: bool | None = None
    """Whether what would have come after a cancelled call is billed; `None`: nobody knows."""
    api: Literal["chat", "responses"] = "chat"
    """The API that generates, if the user says nothing."""
    responses: bool = False
    """Whether it has the Responses API."""
    lacks: frozenset[str] = frozenset()
    """The parameters that this API does not honour here, though the chats do."""
    counts: bool = False
    """Whether that API counts the tokens of a prompt."""
    batches: BatchLimits | None = None
    """What a batch of the host may be, if it takes batches as OpenAI does."""
    background: bool = False
    """Whether it goes on with a response of that API in the background, after a break too."""
    deployments: bool = False
    """Whether the address has a version, and before some of these the model stands in the path."""
    bearer: str | None = None
    """The environment variable that may hold a bearer token in place of a key."""
    generates: bool = True
    embeds: bool = True
    purpose: str | None = None
    """The field that tells what an embedding is for."""
    renamed: Mapping[str, str] = attrs.field(factory=dict)
    """Parameters that have another name on this host."""
    usage_in_streams: bool = True
    """Whether a stream must be asked to tell its usage."""
    reasoning: Literal["effort", "object", "thinking", "enable_thinking"] = "effort"
    """How a `Reasoning` is asked for."""
    echo_reasoning: str | None = None
    """The field of an assistant's message in which the host wants its reasoning back, as long
    as tool calls go on."""
    schema: Literal["nested", "flat"] = "nested"
    """Whether a JSON schema stands in `response_format.json_schema.schema`, or one higher."""
    grammar: Literal["structured_outputs", "grammar", "response_format"] | None = None
    """Where grammars and choices go, on hosts that have them."""
    logprobs: Literal["chat", "count"] = "chat"
    """`logprobs` as a boolean beside `top_logprobs`, or as a number."""
    tool_choices: frozenset[str] = frozenset({"auto", "none", "required", "named"})
    allowed_tools: bool = False
    """Whether it takes a choice limited to some of the tools."""
    base64_vectors: bool = False
    """Whether it gives vectors in the shorter form."""
    most_inputs: int = 2048
    """Texts that one request for vectors may have."""
    documents: Literal["file", "document_url"] = "file"
    """The type of a block that holds a document."""
    short_ids: bool = False
    """Whether the ids of tool calls must be nine letters or digits."""

    def honoured(self, api: str) -> frozenset[str]:
        """The parameters of `Generate` that it honours by one of its APIs."""
        by_responses = (self.parameters & _RESPONSES) - self.lacks
        return by_responses if api == "responses" else self.parameters

    def forms(self, api: str) -> frozenset[Output]:
        """The forms of answer that it can be bound to by one of its APIs."""
        if api == "responses" and self.grammar != "grammar":
            return self.outputs
        return self.outputs | _GRAMMARS[self.grammar]

    def shown(self, api: str, model: Model) -> frozenset[Media] | None:
        """What a model takes in messages by one of its APIs, besides text."""
        media = self.media if model.media is None else model.media
        if api != "responses":
            return media
        return _RESPONSES_MEDIA if media is None else media & _RESPONSES_MEDIA

    def price(self, model: str) -> Price | None:
        """What a model costs here; a server of one's own costs nothing."""
        if self.prices == "":
            free = Decimal(0)
            return Price(f"{self.name}:{model}", free, free, free, free)
        return built_in_prices().row(f"{self.prices or self.host}:{model}")

    @property
    def own(self) -> str:
        """The name under which parts keep what only the Responses API of this host understands."""
        return f"{self.host.removesuffix('-responses')}-responses"
