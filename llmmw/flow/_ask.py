"""How builtins ask models: through the client in force, heard by who reads the run."""

from __future__ import annotations

import hashlib
from typing import Any, TypeVar

import trio

from llmmw._arguments import aimed
from llmmw._call import Listener
from llmmw._request import Generate, Request
from llmmw._response import Response
from llmmw.flow._events import CallMade
from llmmw.flow._here import here

__all__ = ["ask", "sample_number"]

R = TypeVar("R", bound=Response)


async def ask(request: Request, kind: type[R]) -> R:
    """What the client in force answers, within the run's limit of calls.

    Args:
        request: what is asked; without a model, the client's first target is.
        kind: the class of the response.

    Raises:
        LLMError: if there is no answer.
    """
    execution = here()
    scope, run = execution.scope, execution.scope.run
    client = scope.registry.client or run.client
    # What is asked of others than generators has one answer, whichever sample wants it.
    sample = sample_number(scope.sample) if isinstance(request, Generate) else 0
    request = _seeded(aimed(request, None, client.targets), sample)
    if run.hear is None:
        call = client._call(request, None, "restart", "", sample)  # noqa: SLF001
        async with run.calls:
            response: R = await client._answer(call, None, kind)  # noqa: SLF001
            return response
    if not isinstance(request, Generate):
        return await _heard(client, request, kind, None, sample)
    with execution.answering() as listener:
        return await _heard(client, request, kind, listener, sample)


async def _heard(
    client: Any, request: Request, kind: type[R], listener: Listener | None, sample: int
) -> R:
    """Ask, and tell what came of it."""
    execution = here()
    run = execution.scope.run
    call = client._call(request, listener, "restart", "", sample)  # noqa: SLF001
    async with run.calls:
        started = trio.current_time()
        came: dict[str, Any] = {}
        try:
            response: R = await client._answer(call, None, kind)  # noqa: SLF001
            came["response"] = response
            return response
        except Exception as error:
            came["error"] = error
            raise
        finally:
            came |= execution.named() | {"request": request, "ledger": call.ledger}
            run.hear(CallMade(**came, started=started, ended=trio.current_time()))


def _seeded(request: Request, number: int) -> Request:
    """With a seed of its own for each sample, which were all the same else."""
    if not number or not isinstance(request, Generate) or request.seed is None:
        return request
    return request.replace(seed=(request.seed + number) % 2**31)


def sample_number(path: tuple[int, ...]) -> int:
    """One number for the samples of nested repeats: 0 for the first of all, the index itself in
    a single repeat, else one that no other path has."""
    while path and path[0] == 0:
        path = path[1:]
    if len(path) < 2:
        return path[0] if path else 0
    digest = hashlib.sha256(repr(path).encode()).digest()
    return 2**32 + int.from_bytes(digest[:6], "big")
