"""An interrupt of the program while a client opens or closes."""

import signal
import sys
from types import FrameType
from typing import Any

import trio

from llmmw import Client


async def open_and_close() -> None:
    async with Client("echo:any"):
        await trio.lowlevel.checkpoint()


def interrupted(number: int) -> bool:
    """Open and close a client, with an interrupt as the function of this number begins, which is
    where one is noticed. False if fewer begin."""
    left = number

    def count(frame: FrameType, event: str, arg: Any) -> None:
        nonlocal left
        left -= frame.f_globals["__name__"].partition(".")[0] in {"llmmw", "contextlib"}
        if not left:
            sys.settrace(None)
            signal.raise_signal(signal.SIGINT)

    async def main() -> None:
        sys.settrace(count)
        await open_and_close()
        sys.settrace(None)
        await trio.lowlevel.checkpoint()

    before = sys.gettrace()
    try:
        trio.run(main)
    except KeyboardInterrupt:
        return True
    finally:
        sys.settrace(before)
    assert left > 0, "it was lost"
    return False


def test_an_interrupt_leaves_it_as_itself() -> None:
    trio.run(open_and_close)
    number = 1
    while interrupted(number):
        number += 1
    assert number > 50
