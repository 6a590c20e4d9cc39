"""What came back, put beside what the case says; pure."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import attrs
import orjson

from llmmw import _deltas
from llmmw._parts import Part
from llmmw._response import Embeddings, Generation, Response, TokenCount, Usage
from llmmw.errors import ContentFiltered, LLMError, StreamInterrupted
from llmmw.testing.conformance._cases import Case

__all__ = ["Outcome", "differences", "usage_differences"]

_SHOWN = 120


@attrs.frozen
class Outcome:
    """How one call ended."""

    response: Response | None = None
    error: LLMError | None = None
    deltas: Sequence[_deltas.Delta] = ()

    @property
    def answer(self) -> Generation | None:
        """The text and calls that came, whether or not that was all."""
        whole = self.response if self.error is None else self.error.partial
        return whole if isinstance(whole, Generation) else None


def differences(case: Case, outcomes: Sequence[Outcome]) -> list[str]:
    """What is otherwise than the case expects; nothing if all is well."""
    expected = case.expected
    error = next((one.error for one in outcomes if one.error is not None), None)
    if _fails(case):
        return _beside_error(case, outcomes, error)
    if error is not None:
        if _may_fail(expected, error) or _is_unended(expected, outcomes):
            return []
        return [f"raised {type(error).__name__}: {_short(str(error))}"]
    return [*_beside(expected, outcomes), *_unlike(outcomes)]


def _fails(case: Case) -> bool:
    """Whether a right client reports an error."""
    told = case.expected.get("raw")
    inside = isinstance(told, Mapping) and "error" in told
    return "error" in case.expected or bool(case.expected.get("truncated")) or inside


def _may_fail(expected: Mapping[str, Any], error: LLMError) -> bool:
    """Whether an error is a right reading too: of a prompt that was blocked; of a response that its
    host has not finished; of an answer that holds nothing at all; of one that the case does not
    read itself."""
    if expected.get("prompt_feedback"):
        return isinstance(error, ContentFiltered)
    if expected.get("status") in {"queued", "in_progress"}:
        return isinstance(error, StreamInterrupted)
    named = {name for name in expected if expected[name]} - {"model", "id", "n_events"}
    return named <= {"note", "termination", "choices"}


def _is_unended(expected: Mapping[str, Any], outcomes: Sequence[Outcome]) -> bool:
    """Whether a stream that never says why it ended was reported as broken off, with all of it."""
    *_, last = outcomes
    silent = expected.get("finish_reason") is None and expected.get("termination") == "eof"
    whole = "".join(one.answer.text for one in outcomes if one.answer is not None)
    broken = isinstance(last.error, StreamInterrupted)
    return silent and broken and whole == (expected.get("text") or "")


def _beside_error(case: Case, outcomes: Sequence[Outcome], error: LLMError | None) -> list[str]:
    if error is None:
        return [f"no error was raised; expected {_short(case.expected.get('error', 'one'))}"]
    found = []
    told = case.expected.get("error") or (case.expected.get("raw") or {}).get("error")
    message = told.get("message") if isinstance(told, Mapping) else told
    wanted = "" if case.expected.get("unparsable_body") else str(message or "")
    if _words(wanted)[:_SHOWN] not in _words(str(error)):
        found.append(f"error: {_short(str(error))}; expected {_short(message)}")
    if case.status >= 400 and error.status != case.status:
        found.append(f"error.status {error.status}; expected {case.status}")
    text = case.expected.get("text_from_deltas", case.expected.get("text"))
    partial = "".join(one.answer.text for one in outcomes if one.answer is not None)
    if text and partial != text:
        found.append(f"error.partial.text {_short(partial)}; expected {_short(text)}")
    return found


def _words(text: str) -> str:
    return " ".join(text.split())


def _beside(expected: Mapping[str, Any], outcomes: Sequence[Outcome]) -> list[str]:
    responses = [one.response for one in outcomes if one.response is not None]
    last = responses[-1]
    if isinstance(last, Embeddings):
        return _vectors(expected, last)
    if isinstance(last, TokenCount):
        return _count(expected, last)
    answers = [one for one in responses if isinstance(one, Generation)]
    rows: list[tuple[str, Any, Any]] = []
    for name, read in _READ.items():
        if name in expected:
            wanted = expected[name] or read([])
            if name == "reasoning":
                wanted += expected.get("tool_plan") or ""  # which a case tells apart, we do not
            rows.append((name, read(answers), wanted))
    if "finish_reason" in expected and not expected.get("prompt_feedback"):
        finish = answers[-1].finish
        rows.append(
            (
                "finish_reason",
                (finish.raw or None) if finish else None,
                expected["finish_reason"] or None,
            )
        )
    rows += _usage(expected.get("usage") or {}, last.usage or Usage())
    return [
        f"{name} {_short(got)}; expected {_short(wanted)}"
        for name, got, wanted in rows
        if got != wanted
    ] + (_calls(answers, expected["tool_calls"] or []) if "tool_calls" in expected else [])


def _joined(name: str) -> Callable[[Sequence[Generation]], str]:
    return lambda answers: "".join(getattr(one, name) or "" for one in answers)


def _counted(count: Callable[[Part], int]) -> Callable[[Sequence[Generation]], int]:
    return lambda answers: sum(count(part) for one in answers for part in one.parts)


_READ: Mapping[str, Callable[[Sequence[Generation]], Any]] = {
    "text": _joined("text"),
    "reasoning": _joined("reasoning"),
    "refusal": _joined("refusal"),
    "n_citations": _counted(lambda part: len(getattr(part, "citations", ()))),
    "redacted_reasoning": _counted(lambda part: bool(getattr(part, "redacted", False))),
}


def _calls(answers: Sequence[Generation], expected: Sequence[Mapping[str, Any]]) -> list[str]:
    calls = [call for one in answers for call in one.tool_calls]
    if len(calls) != len(expected):
        names = [call.name for call in calls]
        return [f"tool calls {names}; expected {[one['name'] for one in expected]}"]
    found = []
    for call, one in zip(calls, expected, strict=True):
        got = {"name": call.name, "arguments": _arguments(call.arguments)}
        wanted = {"name": one["name"], "arguments": _wanted(one.get("arguments"))}
        if one.get("id"):
            got["id"], wanted["id"] = call.id, one["id"]
        if got != wanted:
            found.append(f"tool call {_short(got)}; expected {_short(wanted)}")
    return found


def _wanted(arguments: Any) -> Any:
    """Arguments that are no JSON stand in a case as their text."""
    if isinstance(arguments, Mapping) and "__invalid_json__" in arguments:
        return arguments["__invalid_json__"]
    return {} if arguments is None else arguments


def _arguments(text: str) -> Any:
    try:
        return orjson.loads(text or "{}")
    except orjson.JSONDecodeError:
        return text


def usage_differences(expected: Mapping[str, Any], usage: Usage | None) -> list[str]:
    """What is otherwise in a usage than expected."""
    rows = _usage(expected, usage or Usage())
    return [f"{name} {got}; expected {wanted}" for name, got, wanted in rows if got != wanted]


def _usage(expected: Mapping[str, Any], usage: Usage) -> list[tuple[str, Any, Any]]:
    read: Mapping[str, Callable[[], Any]] = {
        "input_tokens_total": lambda: usage.input_tokens,
        "input_tokens_uncached": lambda: _less(
            usage.input_tokens, usage.cache_read_tokens, usage.cache_write_tokens
        ),
        "output_tokens_excl_thoughts": lambda: _less(usage.output_tokens, usage.reasoning_tokens),
    }
    rows = []
    for name, wanted in expected.items():
        if name not in read and not hasattr(usage, name):
            continue
        got = read[name]() if name in read else getattr(usage, name)
        if name == "output_tokens" and (expected.get("reasoning_tokens") or 0) > (wanted or 0):
            wanted += expected["reasoning_tokens"]  # the host counts it apart, we do not
        if got is None and wanted == 0 and name.startswith(("cache_", "reasoning")):
            continue  # a host that does not tell is read as none
        rows.append((f"usage.{name}", got, wanted))
    return rows


def _less(whole: int | None, *parts: int | None) -> int | None:
    return None if whole is None else whole - sum(part or 0 for part in parts)


def _vectors(expected: Mapping[str, Any], told: Embeddings) -> list[str]:
    if "n" not in expected:  # the case does not read itself
        return []
    sizes = {len(vector) for vector in told.vectors}
    wanted = (expected.get("n"), expected.get("dim"))
    got = (len(told.vectors), sizes.pop() if len(sizes) == 1 else sorted(sizes))
    known = isinstance(wanted[1], int)
    if got == wanted or (not known and got[0] == wanted[0]):
        return []
    return [f"{got[0]} vectors of {got[1]}; expected {wanted[0]} of {wanted[1]}"]


def _count(expected: Mapping[str, Any], told: TokenCount) -> list[str]:
    raw = expected.get("raw") or {}
    names = ("input_tokens", "totalTokens", "inputTokens")
    wanted = next((raw[name] for name in names if name in raw), None)
    return [] if told.tokens == wanted else [f"{told.tokens} tokens; expected {wanted}"]


def _unlike(outcomes: Sequence[Outcome]) -> list[str]:
    """An answer that streamed is the fold of what was told."""
    for one in outcomes:
        if one.deltas and isinstance(one.response, Generation):
            fold = _deltas.Fold()
            for delta in one.deltas:
                fold(delta)
            folded = fold.response()
            told = [candidate.message for candidate in folded.candidates]
            whole = [candidate.message for candidate in one.response.candidates]
            if folded.parts != one.response.parts or told != whole:
                return ["the fold of the deltas is another answer than the response"]
    return []


def _short(told: Any) -> str:
    text = repr(told)
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}…"
