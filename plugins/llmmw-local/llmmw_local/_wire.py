"""Requests as the engine takes them, and what the engine says as parts of an answer. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

import orjson

from llmmw import (
    CachePoint,
    Choice,
    CountTokens,
    Detokenize,
    Embed,
    Finish,
    Generate,
    Grammar,
    JsonObject,
    JsonSchema,
    Message,
    OpaquePart,
    ReasoningPart,
    Score,
    TextPart,
    Tokenize,
    TokenLogprob,
    Usage,
)
from llmmw.errors import (
    BadRequest,
    ContextWindowExceeded,
    LLMError,
    Overloaded,
    ServerError,
    UnsupportedFeature,
)
from llmmw.plugin import Capabilities
from llmmw.wire import choice_grammar
from llmmw_local._regex import regex_grammar

__all__ = ["CAN", "Piece", "body_of", "chat_of", "error_of", "merged", "raised", "vectors_of"]

CAN = Capabilities(
    kinds=frozenset({Generate, Embed, Score, CountTokens, Tokenize, Detokenize}),
    parameters=frozenset(
        {
            "prompt",
            "max_output_tokens",
            "temperature",
            "top_p",
            "top_k",
            "min_p",
            "stop_sequences",
            "seed",
            "frequency_penalty",
            "presence_penalty",
            "repetition_penalty",
            "logit_bias",
            "logprobs",
            "output",
        }
    ),
    media=frozenset(),
    outputs=frozenset({"json", "schema", "grammar", "regex", "choice"}),
    prefill=True,
    bills_on_cancel=False,
)
_SAME_NAME = (
    "temperature",
    "top_p",
    "min_p",
    "frequency_penalty",
    "presence_penalty",
)
_INT32 = 2**31 - 1
_SEEDS = 2**32 - 1
"""llama.cpp's seeds are below this number, which itself means a random one."""


def chat_of(messages: Iterable[Message]) -> tuple[dict[str, Any], list[str]]:
    """The part of a chat's body that decides its prompt, and warnings.

    Raises:
        UnsupportedFeature: for media, tool calls and tool results.
    """
    warnings: list[str] = []
    told = [{"role": m.role, "content": _content(m, warnings)} for m in messages]
    return {"messages": told}, warnings


def _content(message: Message, warnings: list[str]) -> str:
    texts = []
    for part in message.parts:
        if isinstance(part, TextPart):
            texts.append(part.text)
        elif isinstance(part, OpaquePart):
            warnings.append(f"a block of {part.provider} ({part.type}) was left out")
        elif not isinstance(part, (CachePoint, ReasoningPart)):
            kind = part.kind.replace("_", " ")
            raise UnsupportedFeature(
                f"a local model takes text only, not a {kind} part in a {message.role} message; "
                "leave it out, or ask another target"
            )
    return "".join(texts)


def body_of(request: Generate) -> tuple[dict[str, Any], list[str]]:
    """What the engine is handed, always as a stream: only a stream can be cancelled.

    Raises:
        BadRequest: for an output format that is none.
        UnsupportedFeature: for what the engine can't do.
    """
    if request.prompt is None:
        body, warnings = chat_of(request.messages)
    else:
        body, warnings = {"prompt": request.prompt}, []
    body |= {"stream": True, "stream_options": {"include_usage": True}, "return_progress": True}
    body |= _sampling(request) | _output(request)
    return body | dict(request.extra.get("local", {})), warnings


def _sampling(request: Generate) -> dict[str, Any]:
    body: dict[str, Any] = {name: getattr(request, name) for name in _SAME_NAME}
    body["repeat_penalty"] = request.repetition_penalty
    body["stop"] = list(request.stop_sequences) or None
    body["logit_bias"] = dict(request.logit_bias) if request.logit_bias else None
    if request.max_output_tokens is not None:
        body["max_tokens"] = min(request.max_output_tokens, _INT32)
    if request.top_k is not None:
        body["top_k"] = min(request.top_k, _INT32)
    if request.seed is not None:
        body["seed"] = request.seed % _SEEDS
    if request.logprobs is not None:
        alternatives = max(request.logprobs, 1)  # with 0 the engine would tell none at all
        chat = {"logprobs": True, "top_logprobs": alternatives}
        body |= chat if request.prompt is None else {"logprobs": alternatives}
    return {name: told for name, told in body.items() if told is not None}


def _output(request: Generate) -> dict[str, Any]:
    output, chat = request.output, request.prompt is None
    if isinstance(output, Choice):
        return {"grammar": choice_grammar(output.options)}
    if isinstance(output, Grammar):
        if output.syntax not in {"gbnf", "regex"}:
            raise UnsupportedFeature(
                f"a local model does not read {output.syntax} grammars, only gbnf and regex"
            )
        return {"grammar": output.text if output.syntax == "gbnf" else regex_grammar(output.text)}
    if isinstance(output, JsonObject):
        form: dict[str, Any] = {"type": "json_object"}
        return {"response_format": form} if chat else {"json_schema": {"type": "object"}}
    if isinstance(output, JsonSchema):
        schema = dict(output.schema)
        form = {"type": "json_schema", "json_schema": {"name": output.name, "schema": schema}}
        return {"response_format": form} if chat else {"json_schema": schema}
    return {}


class Piece(NamedTuple):
    """Some of an answer: what one or several of the engine's chunks say."""

    id: str | None
    text: str
    reasoning: str
    logprobs: tuple[TokenLogprob, ...]
    finish: Finish | None
    usage: Usage | None
    error: LLMError | None


def merged(chunks: Iterable[bytes], request: Generate) -> Piece:
    """What the chunks say together, so that several cost little more than one."""
    texts: list[str] = []
    thoughts: list[str] = []
    logprobs: list[TokenLogprob] = []
    id_ = finish = usage = error = None
    for raw in chunks:
        chunk = orjson.loads(raw)
        id_ = chunk.get("id") or id_
        if "error" in chunk:
            error = error_of(chunk["error"])
        if chunk.get("usage"):
            usage = _usage(chunk)
        for choice in chunk.get("choices") or ():
            delta = choice.get("delta") or choice
            texts.append(delta.get("content") or delta.get("text") or "")
            thoughts.append(delta.get("reasoning_content") or "")
            logprobs.extend(_logprobs(choice.get("logprobs"), request.logprobs))
            if choice.get("finish_reason"):
                finish = _finish(choice["finish_reason"])
    return Piece(id_, "".join(texts), "".join(thoughts), tuple(logprobs), finish, usage, error)


def _logprobs(told: Any, asked: int | None) -> Iterable[TokenLogprob]:
    if not told or asked is None:
        return
    for one in told.get("content") or ():
        top = one.get("top_logprobs") or ()
        rows = tuple((t["token"], t["logprob"]) for t in top)[:asked]
        yield TokenLogprob(one["token"], one["logprob"], rows)


def _finish(raw: str) -> Finish:
    known = {"stop": "stop", "length": "length", "tool_calls": "tool_call"}
    return Finish(known.get(raw, "other"), raw=raw)  # type: ignore[arg-type]


def _usage(chunk: Mapping[str, Any]) -> Usage:
    told = chunk["usage"]
    cached = (told.get("prompt_tokens_details") or {}).get("cached_tokens")
    return Usage(
        input_tokens=told.get("prompt_tokens"),
        output_tokens=told.get("completion_tokens"),
        cache_read_tokens=cached,
        raw={"usage": told, "timings": chunk.get("timings")},
    )


def vectors_of(pieces: Iterable[bytes]) -> tuple[list[list[float]], int]:
    """The vectors that the engine told, one a piece, and how many tokens they are of."""
    rows, tokens = [], 0
    for raw in pieces:
        told = orjson.loads(raw)
        if "error" in told:
            raise error_of(told["error"])
        rows += [row["embedding"] for row in told["data"]]
        tokens += told["usage"]["prompt_tokens"]
    return rows, tokens


def error_of(told: Mapping[str, Any]) -> LLMError:
    """The error that the engine tells in an answer."""
    message, kind, code = str(told.get("message", told)), told.get("type"), told.get("code")
    if kind == "exceed_context_size_error":
        size, most = told.get("n_prompt_tokens"), told.get("n_ctx")
        return ContextWindowExceeded(
            f"the prompt has {size} tokens and the context window {most}; shorten it, or give "
            "the provider a larger context (options={'local': {'context': …}})",
            code=kind,
        )
    if sizes := re.search(r"input \((\d+) tokens\) is too large .*: (\d+)\)", message):
        return ContextWindowExceeded(
            f"an input has {sizes[1]} tokens and a vector is made of {sizes[2]} at most; cut the "
            "text into shorter ones",
            code=kind,
        )
    if kind == "not_supported_error":
        return UnsupportedFeature(message, code=kind)
    if kind == "unavailable_error":
        return Overloaded(message, code=kind)
    bad = kind == "invalid_request_error" or (isinstance(code, int) and 400 <= code < 500)
    return (BadRequest if bad else ServerError)(message, code=kind)


def raised(error: BaseException, *, begun: bool) -> LLMError:
    """What an exception of the engine means: before it began it did not take the request."""
    message = re.sub(r"\s+", " ", str(error)).strip()[:500]
    if isinstance(error, (ValueError, TypeError)) or not begun:
        return BadRequest(f"the engine does not take the request: {message}")
    return ServerError(f"the engine failed: {message}")
