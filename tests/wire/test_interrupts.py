"""An interrupt of the program while an answer is read: it ends what goes on, and is not taken for
an error of the host."""

from __future__ import annotations

import signal
from typing import Any

import httpx
import pytest
import trio

from llmmw.testing import Answer, open_server
from llmmw.wire import Http1Transport
from llmmw.wire._http1._parse import Reading

STEPS = [name for name in vars(Reading) if name.startswith("on_")]


@pytest.fixture(params=STEPS)
def step(request: pytest.FixtureRequest) -> str:
    """What the parser calls."""
    return request.param


def during(step: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Have a signal come as the parser calls for a step the first time."""
    plain, signals = getattr(Reading, step), iter([signal.SIGINT])

    def signalled(self: Reading, *told: Any) -> Any:
        for one in signals:
            signal.raise_signal(one)
        return plain(self, *told)

    monkeypatch.setattr(Reading, step, signalled)


async def ask(times: int = 1) -> None:
    """Ask a host, which answers well."""
    async with open_server(Answer(body=b"{}")) as server:
        async with httpx.AsyncClient(transport=Http1Transport()) as client:
            for _ in range(times):
                assert (await client.get(server.url)).json() == {}
                await trio.lowlevel.checkpoint()


def test_an_interrupt_ends_the_program(step: str, monkeypatch: pytest.MonkeyPatch) -> None:
    during(step, monkeypatch)
    with pytest.raises(KeyboardInterrupt):
        trio.run(ask)


def test_an_interrupt_while_an_error_is_handled_ends_it_too(
    step: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def ask_again() -> None:
        try:
            raise ConnectionError("another host is away")
        except ConnectionError:
            await ask()

    during(step, monkeypatch)
    with pytest.raises(KeyboardInterrupt):
        trio.run(ask_again)


def test_what_a_handler_of_signals_raises_is_raised(
    step: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def leave(number: int, frame: object) -> None:
        raise SystemExit(3)

    during(step, monkeypatch)
    before = signal.signal(signal.SIGINT, leave)
    try:
        with pytest.raises(SystemExit, match="3"):
            trio.run(ask)
    finally:
        signal.signal(signal.SIGINT, before)
