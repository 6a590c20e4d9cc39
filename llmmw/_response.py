"""What comes back: one frozen value for each kind of request.

Equality and hash look at the answer alone; ledger, warnings, raw data and HTTP details stay out.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from decimal import Decimal
from typing import Any, Literal, TypeAlias, TypeVar

import attrs

from llmmw._explain import Spent, explained, spent_in
from llmmw._ledger import Ledger
from llmmw._messages import Message
from llmmw._output import OutputFormat, value_in
from llmmw._parts import Part, ReasoningPart, TextPart, ToolCallPart, text_of
from llmmw._plain import copied, value
from llmmw.errors import OutputInvalid

__all__ = [
    "Candidate",
    "Detokenized",
    "Embeddings",
    "Finish",
    "FinishReason",
    "Generation",
    "HttpInfo",
    "Response",
    "Scores",
    "TokenCount",
    "Tokens",
    "Usage",
    "asked_for",
]

R = TypeVar("R", bound="Response")
FinishReason: TypeAlias = Literal["stop", "length", "tool_call", "content_filter", "error", "other"]


@value
@attrs.frozen
class Finish:
    """Why an answer ended: the unified word, and the provider's own."""

    reason: FinishReason
    raw: str | None = attrs.field(default=None, kw_only=True)
    stop_sequence: str | None = attrs.field(default=None, kw_only=True)
    detail: Mapping[str, Any] | None = attrs.field(default=None, hash=False, kw_only=True)


@value
@attrs.frozen(kw_only=True)
class Usage:
    """Tokens spent. `None` means that the provider did not tell; it is never 0.

    `input_tokens` holds all input, the cached too; `output_tokens` all output, reasoning too.
    """

    input_tokens: int | None = None
    output_tokens: int | None = None
    cache_read_tokens: int | None = None
    cache_write_tokens: int | None = None
    reasoning_tokens: int | None = None
    input_audio_tokens: int | None = None
    output_audio_tokens: int | None = None
    server_tool_calls: Mapping[str, int] = attrs.field(factory=dict, hash=False)
    cost: Decimal | None = attrs.field(default=None, eq=False)
    """US dollars: what the host told, else by the table of prices, where that knows it."""
    raw: Mapping[str, Any] | None = attrs.field(default=None, eq=False, repr=False)

    @property
    def total_tokens(self) -> int | None:
        """Input and output together, where both were told."""
        if self.input_tokens is None or self.output_tokens is None:
            return None
        return self.input_tokens + self.output_tokens


@attrs.frozen(kw_only=True)
class HttpInfo:
    """Status and headers of the HTTP answer, and what they say of rate limits."""

    status: int
    headers: Mapping[str, str] = attrs.field(factory=dict, repr=False)
    rate: Mapping[str, Any] = attrs.field(factory=dict)


@attrs.frozen(kw_only=True)
class Response:
    """What every kind of response has."""

    model: str = ""
    """The model that answered, as its provider names it."""
    provider: str = ""
    id: str | None = None
    usage: Usage | None = None
    request_id: str | None = attrs.field(default=None, eq=False, repr=False)
    created: float | None = attrs.field(default=None, eq=False, repr=False)
    warnings: tuple[str, ...] = attrs.field(default=(), eq=False, repr=False)
    http: HttpInfo | None = attrs.field(default=None, eq=False, repr=False)
    raw: Any = attrs.field(default=None, eq=False, repr=False)
    ledger: Ledger | None = attrs.field(default=None, eq=False, repr=False)
    joined: bool = attrs.field(default=False, eq=False, repr=False)
    """Another call pays for `usage`; this one had joined it (`Coalesce`)."""

    @property
    def spent(self) -> tuple[int | None, int | None, Decimal | None]:
        """Input tokens, output tokens and US dollars that this answer has cost the call; `None`
        where nobody knows, and where the call joined another. `total_spent` has all attempts."""
        if self.usage is None or self.joined:
            return (None, None, None)
        return (self.usage.input_tokens, self.usage.output_tokens, self.usage.cost)

    @property
    def total_spent(self) -> Spent | None:
        """What all attempts of the call have cost together, as far as its ledger knows."""
        return None if self.ledger is None else spent_in(self.ledger.events)

    def replace(self: R, **changes: Any) -> R:
        """The same response with other fields."""
        return attrs.evolve(self, **changes)

    def explain(self) -> str:
        """What was done for this answer: the tree of attempts, waits, times, tokens and money,
        and their total where there were several."""
        if self.ledger is None:
            return "nothing was recorded for this response"
        return explained(self.ledger.events)


@value
@attrs.frozen
class Candidate:
    """One of several answers to the same request."""

    message: Message
    finish: Finish | None = None


@value
@attrs.frozen(kw_only=True)
class Generation(Response):
    """Text, tool calls and reasoning. With `n > 1` this is candidate 0; `candidates` has all."""

    message: Message = attrs.field(factory=lambda: Message("assistant", ()))
    finish: Finish | None = None
    candidates: tuple[Candidate, ...] = ()
    output: OutputFormat | None = attrs.field(default=None, eq=False, repr=False)
    """The form that its call asked for; what stores and reads answers leaves it out."""

    @property
    def parts(self) -> tuple[Part, ...]:
        """The parts of the answer, in order."""
        return self.message.parts

    @property
    def text(self) -> str:
        """All text of the answer; a refusal is none."""
        return text_of(self.message.parts)

    @property
    def refusal(self) -> str | None:
        """What the model said when it refused, or `None`."""
        said = [p.text for p in self.parts if isinstance(p, TextPart) and p.refusal]
        return "".join(said) if said else None

    @property
    def reasoning(self) -> str:
        """All reasoning that was told."""
        return "".join(p.text for p in self.parts if isinstance(p, ReasoningPart))

    @property
    def tool_calls(self) -> tuple[ToolCallPart, ...]:
        """The tools that the caller is asked to run."""
        return tuple(p for p in self.parts if isinstance(p, ToolCallPart) and not p.server)

    @property
    def value(self) -> Any:
        """What `output=` asked for: an object of the type; the data, for a schema or `"json"`; the
        text, for a choice or a grammar. Made of `text` anew, each time that it is read.

        Raises:
            OutputInvalid: if the answer has not that form.
            RuntimeError: if nothing was asked for with `output=`.
        """
        if self.output is None:
            raise RuntimeError("no output= was asked for, so there is no value: use text")
        try:
            return value_in(self.text, self.output)
        except ValueError as error:
            raise OutputInvalid(
                f"the answer has not the form that was asked for: {self._hindrance}{error}",
                provider=self.provider or None,
                model=self.model or None,
                request_id=self.request_id,
                partial=self,
                processed=True,
            ) from error

    @property
    def _hindrance(self) -> str:
        """What keeps an answer from its form without being its fault."""
        if self.refusal is not None:
            return f"the model refused ({self.refusal}); "
        if self.tool_calls:
            return f"the model asks for the tool {self.tool_calls[0].name!r} first; "
        return "it was cut at its limit of tokens; " if self.finish_reason == "length" else ""

    @property
    def finish_reason(self) -> FinishReason | None:
        """The unified word; `None` in a partial response."""
        return self.finish.reason if self.finish else None


def asked_for(response: R, ledger: Ledger | None, output: OutputFormat | None) -> R:
    """The response as the call gets it that asked: with its own ledger, and the form it wants,
    whoever else the answer was made for."""
    changes: dict[str, Any] = {} if response.ledger is ledger else {"ledger": ledger}
    if isinstance(response, Generation) and response.output is not output:
        changes["output"] = output
    return copied(response, **changes) if changes else response


def _floats(row: Iterable[float]) -> tuple[float, ...]:
    return tuple(row)


def _vectors(rows: Iterable[Iterable[float]]) -> tuple[tuple[float, ...], ...]:
    return tuple(tuple(row) for row in rows)


@value
@attrs.frozen(kw_only=True)
class Embeddings(Response):
    """One vector an input, in the order of the inputs."""

    vectors: tuple[tuple[float, ...], ...] = attrs.field(converter=_vectors, repr=False)


@value
@attrs.frozen(kw_only=True)
class Scores(Response):
    """A score an option, in the order of the options; higher is better."""

    scores: tuple[float, ...] = attrs.field(converter=_floats)

    @property
    def best(self) -> int:
        """The index of the highest score; the first of equals."""
        return max(range(len(self.scores)), key=lambda i: (self.scores[i], -i))


@value
@attrs.frozen(kw_only=True)
class TokenCount(Response):
    """How many tokens a prompt has."""

    tokens: int


def _numbers(row: Iterable[int]) -> tuple[int, ...]:
    return tuple(row)


@value
@attrs.frozen(kw_only=True)
class Tokens(Response):
    """The tokens of a text, as the model's tokenizer numbers them."""

    tokens: tuple[int, ...] = attrs.field(converter=_numbers)


@value
@attrs.frozen(kw_only=True)
class Detokenized(Response):
    """The text of tokens; bytes that are no UTF-8 are replaced by U+FFFD."""

    text: str
