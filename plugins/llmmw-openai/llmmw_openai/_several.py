"""Several prompts in one legacy completion. Pure.

The host gives the answers of the first prompt, then those of the second, and so on: the number of
a choice is that of its prompt, times the candidates of each, plus that of the candidate.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from llmmw.errors import ProtocolError

__all__ = ["SEVERAL", "answers_of"]

Json = Mapping[str, Any]


SEVERAL = frozenset({"openai", "azure", "fireworks", "vllm"})
"""The hosts that take several prompts, and say which answer is whose by the number of its choice.
(Others take them too and answer with a list, or with the first one's answer.)"""


def answers_of(told: Json, count: int, n: int) -> list[Json]:
    """The whole answer to each prompt, as if it had been asked alone. None has the usage, which
    the host tells for all together.

    Args:
        told: what the host answered.
        count: how many prompts there were.
        n: how many candidates each was to have.

    Raises:
        ProtocolError: if a prompt lacks an answer, or has too many.
    """
    choices = told.get("choices")
    rows: list[dict[int, Json]] = [{} for _ in range(count)]
    for choice in choices if isinstance(choices, list) else []:
        index = choice.get("index") if isinstance(choice, Mapping) else None
        if type(index) is not int or not 0 <= index < count * n:
            raise ProtocolError(
                f"the host sent a choice {index!r} where {count * n} were asked for"
            )
        rows[index // n][index % n] = choice
    if any(len(row) != n for row in rows):
        raise ProtocolError(f"the host did not answer each of {count} prompts {n} times")
    beside = {name: one for name, one in told.items() if name not in {"choices", "usage"}}
    return [beside | {"choices": [{**row[at], "index": at} for at in range(n)]} for row in rows]
