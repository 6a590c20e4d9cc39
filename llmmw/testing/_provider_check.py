"""What an author of a provider calls first: a battery of checks over a real line."""

from __future__ import annotations

import random
from collections.abc import Iterable

import trio

from llmmw.testing._exchange import Checked, Exchange, Make, need
from llmmw.testing._provider_battery import CHECKS

__all__ = ["check_provider"]


async def check_provider(
    make: Make, exchanges: Exchange | Iterable[Exchange], *, model: str = "m", seed: int = 0
) -> None:
    """Check that a provider over HTTP does what every one must, against a server on this machine.

    It is asked for each exchange, whole, streamed, cut at every place (at 400 random ones of a
    longer stream), with unknown fields, with errors by status and with rubbish; calls are
    cancelled; and the key is searched in all that leaves.

    Args:
        make: makes the provider for a `base_url` and a key.
        exchanges: requests, and what the host answers.
        model: the model that is asked.
        seed: which places of long streams are cut.

    Raises:
        AssertionError: for the first check that fails; it names the check.
    """
    given = [exchanges] if isinstance(exchanges, Exchange) else list(exchanges)
    checked = Checked(make, given, model)
    living = trio.lowlevel.current_statistics().tasks_living
    for check in CHECKS:
        try:
            await check(checked, random.Random(seed))  # noqa: S311 (no secret)
        except Exception as error:  # whatever a provider raises is its defect
            name = check.__name__.removeprefix("_").replace("_", " ")
            told = (
                "" if isinstance(error, AssertionError) else f"it raised {type(error).__name__}: "
            )
            raise AssertionError(f"{name}: {told}{error}") from error
    left = trio.lowlevel.current_statistics().tasks_living - living
    need(left <= 0, f"{left} tasks are still running when all clients are closed")
