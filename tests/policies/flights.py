"""The stacks on which the laws of shared flights are checked."""

import trio

from llmmw import Attempts, Coalesce, Fallback, Retry, Timeout
from tests.laws.stacks import PATCHES, QUICK


async def unwinds_slowly(call, next):
    """Its clean-up takes time, as that of a connection may."""
    try:
        return await next(call)
    except trio.Cancelled:
        with trio.CancelScope(shield=True):
            await trio.sleep(5 / 64)
        raise


def attempts():
    return Attempts(Retry(2, **QUICK), Fallback(*PATCHES))


STACKS = {
    "coalesce": lambda: [Coalesce()],
    "retried": lambda: [Coalesce(), Retry(2, **QUICK)],
    "slow": lambda: [Coalesce(), unwinds_slowly],
    "limited": lambda: [Timeout(total=16 / 64), Coalesce(), attempts()],
    "watched": lambda: [
        Coalesce(),
        Timeout(total=32 / 64),
        attempts(),
        Timeout(first_token=4 / 64, idle=2 / 64),
    ],
}
