"""An interrupt of the program while an answer is read: it ends what goes on, and is not taken for
an error of the host."""

from __future__ import annotations

import signal
from collections.abc import Awaitable, Callable
from typing import Any

import httpx
import pytest
import trio

from llmmw.testing import Answer, open_server
from llmmw.wire import Http1Transport
from llmmw.wire._http1._parse import Reading

pytestmark = pytest.mark.usefixtures("signalled")


@pytest.fixture(params=[name for name in vars(Reading) if name.startswith("on_")])
def signalled(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """A signal comes as the parser calls for a step the first time; once for each step."""
    plain, signals = getattr(Reading, request.param), iter([signal.SIGINT])

    def call(self: Reading, *told: Any) -> Any:
        for one in signals:
            signal.raise_signal(one)
        return plain(self, *told)

    monkeypatch.setattr(Reading, request.param, call)


async def ask() -> None:
    """Ask a host, which answers well."""
    async with open_server(Answer(body=b"{}")) as server:
        async with httpx.AsyncClient(transport=Http1Transport()) as client:
            assert (await client.get(server.url)).json() == {}
            await trio.lowlevel.checkpoint()


async def ask_another() -> None:
    """The same, while the error of one before is handled."""
    try:
        raise ConnectionError("another host is away")
    except ConnectionError:
        await ask()


@pytest.mark.parametrize("asking", [ask, ask_another])
def test_an_interrupt_ends_the_program(asking: Callable[[], Awaitable[None]]) -> None:
    with pytest.raises(KeyboardInterrupt):
        trio.run(asking)


def test_what_a_handler_of_signals_raises_is_raised() -> None:
    def leave(number: int, frame: object) -> None:
        raise SystemExit(3)

    before = signal.signal(signal.SIGINT, leave)
    try:
        with pytest.raises(SystemExit, match="3"):
            trio.run(ask)
    finally:
        signal.signal(signal.SIGINT, before)
