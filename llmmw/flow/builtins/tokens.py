"""Builtins that ask for tokens and count them."""

from __future__ import annotations

from collections.abc import Sequence

from llmmw._request import CountTokens, Detokenize, Tokenize
from llmmw._response import Detokenized, TokenCount, Tokens
from llmmw.errors import UnsupportedFeature
from llmmw.flow._ask import ask
from llmmw.flow._builtin import builtin
from llmmw.flow.builtins.parameters import can, messages_of

__all__ = ["count_tokens", "detokenize", "tokenize"]


@builtin
async def tokenize(text: str, *, model: str | None = None) -> list[int]:
    """The tokens of a text, as the model's tokenizer numbers them.

    Args:
        text: what to split.
        model: the target; default: the client's first.
    """
    return list((await ask(Tokenize(text=text, model=model or ""), Tokens)).tokens)


@builtin
async def detokenize(tokens: Sequence[int], *, model: str | None = None) -> str:
    """The text that tokens stand for.

    Args:
        tokens: their numbers.
        model: the target; default: the client's first.
    """
    return (await ask(Detokenize(tokens=tokens, model=model or ""), Detokenized)).text


@builtin
async def count_tokens(prompt: object, *, model: str | None = None) -> int:
    """How many tokens a prompt has: of a text, by `tokenize` where there is such a thing; of
    messages, as the model would see them.

    Args:
        prompt: text, a message, or a conversation.
        model: the target; default: the client's first.
    """
    if isinstance(prompt, str) and can(Tokenize, "tokenize", model):
        try:
            return len(await tokenize(prompt, model=model))
        except UnsupportedFeature:
            pass  # nobody knew
    request = CountTokens(messages=messages_of(prompt), model=model or "")
    return (await ask(request, TokenCount)).tokens
