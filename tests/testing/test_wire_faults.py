"""What goes wrong on the wire, and what the default stack of two targets makes of it: an answer
that is whole, or an error that says what was wrong, in time."""

from __future__ import annotations

import pytest
import trio

from llmmw import Client
from llmmw._ledger import AttemptEnded, CallEnded, CircuitChanged
from llmmw.errors import (
    ConfigError,
    ContentFiltered,
    ContextWindowExceeded,
    DeadlineExceeded,
    LLMError,
    StreamInterrupted,
)
from llmmw.testing import Fault, Script, SimulatedProvider, wire_faults

pytestmark = pytest.mark.virtual

TARGETS = ("sim:primary", "sim:fallback")
WHOLE = "This is the whole of it."
BY_FALLBACK = "answered by the fallback"
ASKED = {
    "429 with a hint": BY_FALLBACK,
    "429 for ever": BY_FALLBACK,
    "500 once": BY_FALLBACK,
    "503 for ever": BY_FALLBACK,
    "connection reset": BY_FALLBACK,
    "never answers": BY_FALLBACK,
    "first token after 20 s": BY_FALLBACK,
    "cut at two thirds": BY_FALLBACK,
    "stall of 30 s": WHOLE,
    "malformed chunk": BY_FALLBACK,
    "no terminator": BY_FALLBACK,
    "context too long": ContextWindowExceeded,
    "content filtered": ContentFiltered,
    "cut, prefill refused": WHOLE,
    "flapping": BY_FALLBACK,
    "failover is paid for": WHOLE,
}
BROKEN_OFF = ("cut at two thirds", "malformed chunk", "no terminator", "cut, prefill refused")
"""Whoever has heard the beginning is told so, unless it takes another one."""


def provider_of(name: str) -> SimulatedProvider:
    return SimulatedProvider(wire_faults[name].scripts)


def client_of(provider: SimulatedProvider, **options) -> Client:
    return Client(*TARGETS, providers=[provider], **options)


def test_each_is_expected_to_end_somehow() -> None:
    assert set(ASKED) == set(wire_faults)


@pytest.mark.parametrize("name", wire_faults)
async def test_asked(name: str) -> None:
    provider, expected = provider_of(name), ASKED[name]
    async with client_of(provider) as client:
        if isinstance(expected, str):
            response = await client.ask("Hello")
            assert (response.text, response.finish_reason) == (expected, "stop")
        else:
            with pytest.raises(expected) as caught:
                await client.ask("Hello")
            assert caught.value.status == 400
        assert trio.current_time() <= 40
        assert provider.live == 0


@pytest.mark.parametrize("on_interrupt", ["error", "restart", "buffer"])
@pytest.mark.parametrize("name", wire_faults)
async def test_streamed(name: str, on_interrupt) -> None:
    provider, expected = provider_of(name), ASKED[name]
    if on_interrupt == "error" and name in BROKEN_OFF:
        expected = StreamInterrupted
    async with client_of(provider) as client:
        async with client.stream("Hello", on_interrupt=on_interrupt) as stream:
            if isinstance(expected, str):
                assert (await stream.wait_response()).text == expected
                assert stream.partial.text == expected
            else:
                with pytest.raises(expected) as caught:
                    await stream.wait_response()
                if expected is StreamInterrupted:
                    partial = caught.value.partial
                    assert WHOLE.startswith(partial.text)
                    assert partial.text
                    assert partial.finish_reason is None
        assert provider.live == 0


@pytest.mark.parametrize("streams", [False, True])
@pytest.mark.parametrize("seconds", [0.125, 0.5, 3.0, 15.0])
@pytest.mark.parametrize("name", wire_faults)
async def test_nothing_outlasts_its_deadline(name: str, seconds: float, streams: bool) -> None:
    provider = provider_of(name)
    async with client_of(provider) as client:
        try:
            if streams:
                async with client.stream("Hello", timeout=seconds) as stream:
                    response = await stream.wait_response()
            else:
                response = await client.ask("Hello", timeout=seconds)
        except LLMError as error:
            assert trio.current_time() <= seconds
            if isinstance(error, DeadlineExceeded):
                assert trio.current_time() == seconds
        else:
            assert response.text in {WHOLE, BY_FALLBACK}
            assert trio.current_time() <= seconds
        assert provider.live == 0


async def test_the_winner_is_paid_for_once_and_losers_are_told_apart() -> None:
    provider = provider_of("failover is paid for")
    async with client_of(provider) as client:
        response = await client.ask("Hello")
    assert response.usage is not None
    assert (response.usage.input_tokens, response.usage.output_tokens) == (7, 5)
    assert response.usage.total_tokens == 12
    assert response.spent[:2] == (7, 5)
    events = response.ledger.events
    ends = [e for e in events if isinstance(e, AttemptEnded)]
    told = [(e.outcome, e.input_tokens, e.output_tokens) for e in ends]
    assert told == [("Overloaded", None, None), ("ok", 7, 5)]
    (ended,) = [e for e in events if isinstance(e, CallEnded)]
    assert (ended.error, ended.input_tokens, ended.output_tokens) == (None, 7, 5)
    assert provider.statistics() == {
        "primary": {"opened": 1, "Overloaded": 1},
        "fallback": {"opened": 1, "ok": 1},
    }


@pytest.mark.parametrize("name", ["flapping", "503 for ever"])
@pytest.mark.parametrize("at_once", [1, 4])
async def test_a_flapping_primary_is_left_alone(name: str, at_once: int) -> None:
    provider = provider_of(name)
    changes: list[CircuitChanged] = []

    def hear(event: object) -> None:
        if isinstance(event, CircuitChanged) and event.destination == TARGETS[0]:
            changes.append(event)

    async with client_of(provider, instruments=[hear]) as client:

        async def ask() -> None:
            response = await client.ask("Hello")
            assert response.text in {WHOLE, BY_FALLBACK}

        async with trio.open_nursery() as nursery:
            for second in range(300):
                for place in range(at_once):
                    await trio.sleep_until(second + place / 64)
                    nursery.start_soon(ask)
    primary = [seen.time for seen in provider.opened if seen.model == "primary"]
    opened = [change.time for change in changes if change.state == "open"]
    # A period ends where the circuit closes, or opens anew.
    ends = [change.time for change in changes if change.state in {"open", "closed"}]
    assert len(opened) >= 4
    for begin in opened:
        end = min((time for time in ends if time > begin), default=300)
        assert sum(begin < time <= end for time in primary) <= 3
    if name == "flapping":
        assert any(change.state == "closed" for change in changes)


def test_a_kind_of_fault_that_there_is_not() -> None:
    with pytest.raises(ConfigError, match=r"Fault\('bsy'\): expected one of net, busy"):
        Fault("bsy")


async def test_both_targets_fail() -> None:
    busy = Script(error=Fault("busy"), pieces=())
    provider = SimulatedProvider({"primary": busy, "fallback": busy})
    async with client_of(provider) as client:
        with pytest.raises(LLMError) as caught:
            await client.ask("Hello")
    assert (caught.value.status, caught.value.model) == (503, "primary")
    assert len(caught.value.attempts) == len(provider.opened) == 4
