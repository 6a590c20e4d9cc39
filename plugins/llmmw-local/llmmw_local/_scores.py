"""Which tokens of a prompt with its options are scored, and how the engine is asked. Pure.

The engine tells the log-probability of the token that it took, as it was before anything bent the
choice. So each token is asked for alone: the tokens before it are the prompt, and a bias leaves
the sampler no other choice. Options that begin alike share the tokens they have in common.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence

import attrs
import orjson

from llmmw.errors import BadRequest, ServerError
from llmmw_local._wire import error_of

__all__ = ["Plan", "Split", "token_request"]

_FORCE = 1e9
_WHOLE_VOCABULARY = 2**31 - 1
_LEAST = -104.0
"""The engine's probabilities are of 32 bits: what is less likely than this, is 0 to it."""


def token_request(text: str, *, is_prompt: bool) -> dict[str, object]:
    """What the engine's tokenizer is asked; only a prompt gets the model's start token."""
    return {"content": text, "add_special": is_prompt, "parse_special": True, "with_pieces": True}


@attrs.frozen
class Split:
    """A text as tokens."""

    tokens: tuple[int, ...]
    broken: frozenset[int]
    """Those that are no text by themselves: parts of a character."""

    @classmethod
    def of(cls, told: dict[str, list[dict[str, object]]]) -> Split:
        """What the engine's tokenizer said."""
        rows = told["tokens"]
        tokens = tuple(int(str(row["id"])) for row in rows)
        broken = (t for t, row in zip(tokens, rows, strict=True) if type(row["piece"]) is not str)
        return cls(tokens, frozenset(broken))


@attrs.define
class Plan:
    """What to ask for the log-probabilities of options after a prompt.

    A prompt and an option are split into tokens together, since the last token of the prompt alone
    may become another one there. All options are scored from the same place: the first token in
    which any of them differs from the prompt alone. So scores can be compared.
    """

    wholes: Sequence[tuple[int, ...]]
    """The prompt with each option."""
    broken: frozenset[int] = frozenset()
    plain: int = 0
    """Some token that is text by itself."""
    steps: list[tuple[tuple[int, ...], int]] = attrs.field(factory=list, init=False)
    """The tokens asked for: each by a text, and its place in that."""
    _paths: dict[tuple[int, ...], list[int]] = attrs.field(factory=dict, init=False)

    @classmethod
    def of(cls, prompt: Split, wholes: Sequence[Split], plain: Split) -> Plan:
        """The plan for a prompt, for the prompt with each option, and for some plain word.

        Raises:
            BadRequest: if there is no token that the options follow.
        """
        start = min(_shared(prompt.tokens, whole.tokens) for whole in wholes)
        if start == 0 and any(whole.tokens for whole in wholes):
            raise BadRequest(
                "there is no token before the options: give a prompt, or a longer one (its only "
                "token melts into an option)"
            )
        tokens = [whole.tokens for whole in wholes]
        broken = frozenset[int]().union(*(whole.broken for whole in wholes))
        plan = cls(tokens, broken, plain.tokens[-1])
        plan._find_steps(start)
        return plan

    def _find_steps(self, start: int) -> None:
        last: tuple[int, ...] = ()
        path: list[int] = []
        for whole in sorted(set(self.wholes)):
            shared = max(start, _shared(last, whole))
            path = path[: shared - start]
            for place in range(shared, len(whole)):
                path.append(len(self.steps))
                self.steps.append((whole, place))
            self._paths[whole] = path
            last = whole

    def bodies(self) -> Iterator[bytes]:
        """What to ask the engine, a step each."""
        for whole, place in self.steps:
            token = whole[place]
            is_broken = token in self.broken
            # The engine tells nothing of what it took if that is a part of a character.
            forced = self.plain if is_broken else token
            body = {
                "prompt": whole[:place],
                "max_tokens": 1,
                "temperature": 0,
                "logit_bias": [[forced, _FORCE]],
                "logprobs": _WHOLE_VOCABULARY if is_broken else 1,
                "stream": True,
                "return_progress": True,
            }
            yield orjson.dumps(body)

    def scores(self, pieces: Iterable[bytes]) -> list[float]:
        """The log-probability of each option, by what the engine said to all bodies.

        Raises:
            LLMError: if it said an error, or not all.
        """
        found = list(self._logprobs(pieces))
        if len(found) != len(self.steps):
            raise ServerError("the engine was closed before all options were scored")
        return [math.fsum(found[step] for step in self._paths[whole]) for whole in self.wholes]

    def _logprobs(self, pieces: Iterable[bytes]) -> Iterator[float]:
        step = 0
        for raw in pieces:
            chunk = orjson.loads(raw)
            if "error" in chunk:
                raise error_of(chunk["error"])
            for choice in chunk.get("choices") or ():
                for told in (choice.get("logprobs") or {}).get("content") or ():
                    whole, place = self.steps[step]
                    yield _logprob(told, whole[place])
                    step += 1


def _logprob(told: dict[str, object], token: int) -> float:
    """A token's, where it was taken or is among the alternatives."""
    rows: Iterable[dict[str, object]] = [told, *told.get("top_logprobs", ())]  # type: ignore[misc]
    for row in rows:
        if row["id"] == token:
            return max(float(str(row["logprob"])), _LEAST)
    raise ServerError(f"the engine told no log-probability of the token {token}")


def _shared(one: tuple[int, ...], other: tuple[int, ...]) -> int:
    """How many tokens both begin with."""
    size = min(len(one), len(other))
    return next((i for i in range(size) if one[i] != other[i]), size)
