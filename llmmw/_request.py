"""What is asked: six kinds of requests, pure frozen values.

A request says nothing of time, retries or streaming; those belong to the call and its chain.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Literal, TypeVar, get_args

import attrs

from llmmw._messages import Message, Role, message_of
from llmmw._output import OutputFormat, output_of, strings
from llmmw._parts import content_parts
from llmmw._plain import canonical_key, check_names, copied, reader, value
from llmmw._response import Generation
from llmmw._tools import ServerTool, Tool, ToolNames, tools_of
from llmmw.errors import BadRequest

__all__ = [
    "CountTokens",
    "Detokenize",
    "Embed",
    "Generate",
    "Reasoning",
    "Request",
    "Score",
    "Tokenize",
    "check_names",
    "conversation",
    "generate_of",
    "parameter_names",
    "question",
]

R = TypeVar("R", bound="Request")


@attrs.frozen(kw_only=True)
class Request:
    """What every kind of request has."""

    model: str = ""
    """The target, `"provider:model"`, split at the first colon. Empty: the client's first."""
    metadata: Mapping[str, str] = attrs.field(factory=dict, hash=False)
    """Labels for whoever looks at calls; no part of a cache's key."""
    extra: Mapping[str, Mapping[str, Any]] = attrs.field(factory=dict, hash=False)
    """Fields for one provider, by its name, merged last into what it is sent."""
    unsupported: Literal["error", "drop", "emulate"] = "error"
    """What happens to a parameter that the target can't honour: an `UnsupportedFeature`; or the
    call goes on without it (`drop`); or llmmw does what the target can't (`emulate`: `output` by
    instructions, `n` by several calls, `stop_sequences` by cutting the text) and all else is an
    error. The response of the last two carries a warning."""

    def _check_shapes(self) -> None:
        """Raise `BadRequest` for fields of every request that have another shape."""
        if not isinstance(self.model, str):
            raise BadRequest(f'model={self.model!r}: expected "provider:model"')
        if self.unsupported not in ("error", "drop", "emulate"):
            expected = "'error', 'drop' or 'emulate'"
            raise BadRequest(f"unsupported={self.unsupported!r}: expected {expected}")
        for name in ("metadata", "extra"):
            if not isinstance(getattr(self, name), Mapping):
                raise BadRequest(f"{name}={getattr(self, name)!r}: expected an object")
        for provider, fields in self.extra.items():
            if not isinstance(fields, Mapping):
                raise BadRequest(f"extra[{provider!r}]={fields!r}: expected an object")

    @property
    def provider_name(self) -> str:
        """The part of `model` before its first colon."""
        return self.model.partition(":")[0]

    @property
    def model_name(self) -> str:
        """The part of `model` after its first colon: the name that the provider knows."""
        return self.model.partition(":")[2]

    def key(self) -> str:
        """A canonical hash over every field."""
        return canonical_key(self)

    def replace(self: R, **changes: Any) -> R:
        """The same request with other fields.

        Raises:
            BadRequest: for a field that this kind of request does not have.
        """
        if changes.keys() == {"model"} and isinstance(changes["model"], str):
            return self._asked_of(changes["model"])
        check_names(changes, type(self))
        return attrs.evolve(self, **changes)

    def _asked_of(self: R, model: str) -> R:
        """The same request to another target, many times quicker than with all fields checked
        anew: each fallback and hedge makes one."""
        return copied(self, model=model)


_MESSAGES = frozenset({Message})


def _messages(items: Iterable[object]) -> tuple[Message, ...]:
    if type(items) is tuple and _MESSAGES.issuperset(map(type, items)):
        return items  # as all that was made before is
    return conversation(items)


@value
@attrs.frozen(kw_only=True)
class Reasoning:
    """How much to think: an effort in words or a limit in tokens, not both."""

    effort: str | None = None
    max_tokens: int | None = None
    summary: Literal["none", "auto", "concise", "detailed"] | None = None

    def __attrs_post_init__(self) -> None:
        if self.effort is not None and self.max_tokens is not None:
            raise BadRequest("reasoning takes an effort or max_tokens, not both")


def _reasoning(item: object) -> Reasoning | None:
    if isinstance(item, str):
        return Reasoning(effort=item)
    if isinstance(item, Mapping):
        check_names(item, Reasoning)
        return Reasoning(**item)
    if item is None or isinstance(item, Reasoning):
        return item
    raise BadRequest(f"reasoning={item!r}: give an effort in words, or a Reasoning")


@value
@attrs.frozen(kw_only=True)
class Generate(Request):
    """Ask for text. Exactly one of `messages` and `prompt` (raw text for completion models).

    `None`, or an empty tuple, leaves a parameter to the provider.
    """

    messages: tuple[Message, ...] = attrs.field(default=(), converter=_messages)
    prompt: str | None = None
    max_output_tokens: int | None = None
    temperature: float | None = None
    top_p: float | None = None
    top_k: int | None = None
    min_p: float | None = None
    stop_sequences: tuple[str, ...] = attrs.field(default=(), converter=strings)
    seed: int | None = None
    frequency_penalty: float | None = None
    presence_penalty: float | None = None
    repetition_penalty: float | None = None
    logit_bias: Mapping[str, float] | None = attrs.field(default=None, hash=False)
    logprobs: int | None = None
    """How many alternatives to tell for each token; 0 tells the chosen token alone."""
    n: int | None = None
    output: OutputFormat | None = attrs.field(default=None, converter=output_of)
    reasoning: Reasoning | None = attrs.field(default=None, converter=_reasoning)
    tools: tuple[Tool | ServerTool, ...] = attrs.field(default=(), converter=tools_of)
    tool_choice: Literal["auto", "none", "required"] | ToolNames | None = None
    parallel_tool_calls: bool | None = None

    def __attrs_post_init__(self) -> None:
        if bool(self.messages) == (self.prompt is not None):
            raise BadRequest("a request needs messages (or, for completion models, a prompt)")
        self._check_shapes()
        if not isinstance(self.logit_bias or {}, Mapping):
            raise BadRequest(f"logit_bias={self.logit_bias!r}: expected an object of numbers")
        for word in self.stop_sequences:
            if not isinstance(word, str):
                raise BadRequest(f"stop_sequences={self.stop_sequences!r}: expected texts")
        if self.tool_choice not in (None, "auto", "none", "required") and not isinstance(
            self.tool_choice, ToolNames
        ):
            raise BadRequest(f"tool_choice={self.tool_choice!r}: expected a word or ToolNames")
        for number, (name, (kinds, low, high)) in zip(
            _read_numbers(self), _NUMBERS.items(), strict=True
        ):
            if number is None:
                continue
            if type(number) not in kinds or not low <= number <= high:
                what = "a whole number" if kinds == _WHOLE else "a number"
                raise BadRequest(f"{name}={number!r}: expected {what} from {low} to {high}")

    def has(self, name: str) -> bool:
        """Whether a parameter is set, by any of its names; `system` is a message of that role."""
        if name == "system":
            return any(message.role == "system" for message in self.messages)
        return getattr(self, _ALIASES.get(name, name), None) not in _UNSET

    @property
    def is_plain(self) -> bool:
        """Whether no optional parameter is set, but for `prompt`."""
        return _read_tuning(self) == _UNTUNED

    def parameters(self) -> list[str]:
        """The names of the optional parameters that are set."""
        return [name for name in _PARAMETERS if getattr(self, name) not in _UNSET]


_UNSET: tuple[object, ...] = (None, ())
_WHOLE: tuple[type, ...] = (int,)
_REAL: tuple[type, ...] = (int, float)
_MOST = 2**53
_VOCABULARY = 2**31
_NUMBERS: Mapping[str, tuple[tuple[type, ...], float, float]] = {
    "max_output_tokens": (_WHOLE, 1, _MOST),
    "temperature": (_REAL, 0, 100),
    "top_p": (_REAL, 0, 1),
    "top_k": (_WHOLE, 0, _MOST),
    "min_p": (_REAL, 0, 1),
    "seed": (_WHOLE, -_MOST, _MOST),
    "frequency_penalty": (_REAL, -100, 100),
    "presence_penalty": (_REAL, -100, 100),
    "repetition_penalty": (_REAL, 0, 100),
    "logprobs": (_WHOLE, 0, 1000),
    "n": (_WHOLE, 1, 1000),
}
_read_numbers = reader(_NUMBERS)
_PARAMETERS = tuple(
    field.name
    for field in attrs.fields(Generate)
    if field.name not in {"model", "metadata", "extra", "unsupported", "messages"}
)
_TUNING = tuple(name for name in _PARAMETERS if name != "prompt")
_read_tuning = reader(_TUNING)
_UNTUNED = tuple(getattr(attrs.fields(Generate), name).default for name in _TUNING)


def parameter_names() -> tuple[str, ...]:
    """The optional parameters of `Generate`, `prompt` among them."""
    return _PARAMETERS


@value
@attrs.frozen(kw_only=True)
class Embed(Request):
    """Ask for one vector an input."""

    inputs: tuple[str, ...] = attrs.field(converter=strings)
    dimensions: int | None = None
    purpose: Literal["query", "document"] | None = None

    def __attrs_post_init__(self) -> None:
        if not self.inputs:
            raise BadRequest("there is nothing to embed: inputs is empty")


@value
@attrs.frozen(kw_only=True)
class Score(Request):
    """Ask how well each option follows the prompt."""

    prompt: str
    options: tuple[str, ...] = attrs.field(converter=strings)

    def __attrs_post_init__(self) -> None:
        if not self.options:
            raise BadRequest("there is nothing to score: options is empty")


@value
@attrs.frozen(kw_only=True)
class CountTokens(Request):
    """Ask how many tokens a prompt has, as the model would see it."""

    messages: tuple[Message, ...] = attrs.field(converter=_messages)
    tools: tuple[Tool | ServerTool, ...] = attrs.field(default=(), converter=tools_of)


@value
@attrs.frozen(kw_only=True)
class Tokenize(Request):
    """Ask for the tokens of a text, without any that a model puts before or behind a prompt."""

    text: str

    def __attrs_post_init__(self) -> None:
        if not isinstance(self.text, str):
            raise BadRequest(f"text={self.text!r}: expected a text")


def _numbers(tokens: Iterable[int]) -> tuple[int, ...]:
    return tuple(tokens)


@value
@attrs.frozen(kw_only=True)
class Detokenize(Request):
    """Ask for the text that tokens stand for."""

    tokens: tuple[int, ...] = attrs.field(converter=_numbers)

    def __attrs_post_init__(self) -> None:
        for token in self.tokens:
            if type(token) is not int or not 0 <= token < _VOCABULARY:
                raise BadRequest(f"tokens: {token!r}: expected whole numbers from 0")


def conversation(prompt: object, *, system: str | None = None) -> tuple[Message, ...]:
    """The messages of a friendly form: a string, a message, or a sequence of messages in which
    a `Response` stands for what it answered.

    Raises:
        BadRequest: if some item is no message.
    """
    if type(prompt) is str and not system:
        return (Message("user", prompt),)
    several = isinstance(prompt, Sequence) and not isinstance(prompt, str)
    if isinstance(prompt, tuple) and len(prompt) == 2 and prompt[0] in get_args(Role):
        several = False
    items: Iterable[object] = prompt if several else [prompt]  # type: ignore[assignment]
    messages = tuple(
        item.message if isinstance(item, Generation) else message_of(item) for item in items
    )
    return (Message("system", content_parts(system)), *messages) if system else messages


def question(text: str, model: str) -> Generate:
    """The `Generate` of a text and nothing else, as most are: made many times quicker."""
    messages = (Message("user", text),)
    return copied(_QUESTION, model=model, messages=messages, metadata={}, extra={})


_QUESTION = Generate(messages=(Message("user", ""),))

# Names that other systems use for a parameter, accepted at the edge.
_ALIASES = {"max_tokens": "max_output_tokens", "stop": "stop_sequences"}


def generate_of(prompt: object, /, *, system: str | None = None, **parameters: Any) -> Generate:
    """A `Generate` from friendly forms; a ready one is returned with `parameters` replaced.

    Raises:
        BadRequest: for an unknown parameter, or a value that can't be taken.
    """
    named = {_ALIASES.get(name, name): given for name, given in parameters.items()}
    if isinstance(prompt, Generate):
        if system:
            named["messages"] = conversation(prompt.messages, system=system)
        return prompt.replace(**named) if named else prompt
    check_names(named, Generate, also=_ALIASES)
    try:
        return Generate(messages=conversation(prompt, system=system), **named)
    except RecursionError as error:
        raise BadRequest("the request nests too deeply") from error
    except (TypeError, ValueError, AttributeError) as error:
        raise BadRequest(f"a parameter has a value that can't be taken: {error}") from error
