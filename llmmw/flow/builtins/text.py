"""Builtins that ask for text."""

from __future__ import annotations

from collections.abc import Awaitable
from typing import Unpack

import attrs

from llmmw._parts import Part, TextPart, text_of
from llmmw._response import Generation
from llmmw.flow._ask import ask
from llmmw.flow._builtin import builtin
from llmmw.flow._combine import repeat
from llmmw.flow.builtins.parameters import Parameters, able, messages_of, request_of

__all__ = ["echo_text", "generate", "generate_content", "generate_text", "generate_texts"]


@builtin
async def generate(prompt: object, **parameters: Unpack[Parameters]) -> Generation:
    """The whole answer of a model: parts, why it ended, tokens, alternatives; `.future.text` of
    it is the text alone.

    Args:
        prompt: text, a message, a conversation, or parts of one message.
        parameters: as for all builtins that ask for text.
    """
    request, is_healed = request_of(prompt, **parameters)
    response = await ask(request, Generation)
    return _without_first_spaces(response) if is_healed else response


@builtin
async def generate_text(prompt: object, **parameters: Unpack[Parameters]) -> str:
    """The text that a model answers.

    Args:
        prompt: text, a message, a conversation, or parts of one message.
        parameters: as for all builtins that ask for text; `generate` gives the details.
    """
    request, is_healed = request_of(prompt, **parameters)
    text = (await ask(request, Generation)).text
    return text.lstrip(" ") if is_healed else text


@builtin
async def generate_content(prompt: object, **parameters: Unpack[Parameters]) -> tuple[Part, ...]:
    """The parts that a model answers, in order: text, images, sound, what it calls.

    Args:
        prompt: text, a message, a conversation, or parts of one message.
        parameters: as for all builtins that ask for text.
    """
    request, is_healed = request_of(prompt, **parameters)
    response = await ask(request, Generation)
    return (_without_first_spaces(response) if is_healed else response).parts


@builtin
def generate_texts(
    prompt: object, n: int = 1, in_one_request: bool = False, **parameters: Unpack[Parameters]
) -> Awaitable[list[str]]:
    """Several texts that a model answers to the same.

    Args:
        prompt: text, a message, a conversation, or parts of one message.
        n: how many.
        in_one_request: ask for all at once, where the target can do that. By default each is
            asked for by itself, as a sample that a cache knows from the others.
        parameters: as for all builtins that ask for text.
    """
    known = able(parameters.get("model")).parameters
    if not in_one_request or n < 2 or (known is not None and "n" not in known):
        return repeat(generate_text(prompt, **parameters), n)
    return _at_once(prompt, n, parameters)


async def _at_once(prompt: object, n: int, parameters: Parameters) -> list[str]:
    request, is_healed = request_of(prompt, **parameters)
    response = await ask(request.replace(n=n), Generation)
    told = [one.message for one in response.candidates] or [response.message]
    texts = [one.text for one in told]
    return [text.lstrip(" ") for text in texts] if is_healed else texts


def _without_first_spaces(response: Generation) -> Generation:
    parts = list(response.parts)
    for place, one in enumerate(parts):
        if isinstance(one, TextPart):
            parts[place] = attrs.evolve(one, text=one.text.lstrip(" "))
            break
    return response.replace(message=attrs.evolve(response.message, parts=tuple(parts)))


def echo_text(prompt: object) -> str:
    """What carries out `generate_text` for those who want to see what is asked:
    `generate_text.configure(echo_text)`."""
    return "".join(text_of(message.parts) for message in messages_of(prompt))
