"""The faults of the wire on real sockets: the data that drives the simulated provider, as bytes."""

from __future__ import annotations

import pytest
import trio
from llmmw_openai._provider import OpenAI

from llmmw import Client, Timeout, default_stack
from llmmw._ledger import AttemptEnded
from llmmw.errors import (
    BadRequest,
    ConnectionFailed,
    ContentFiltered,
    ContextWindowExceeded,
    DeadlineExceeded,
    LLMError,
    Overloaded,
    ProtocolError,
    RateLimited,
    ServerError,
    StreamInterrupted,
)
from llmmw.testing import ChatHost, Fault, Script, SimulatedProvider, open_server, wire_faults

pytestmark = pytest.mark.plugins

TARGETS = ("openai:primary", "openai:fallback")
WHOLE = "This is the whole of it."
BY_FALLBACK = "answered by the fallback"
FINAL = {"context too long": ContextWindowExceeded, "content filtered": ContentFiltered}
BROKEN_OFF = ("cut at two thirds", "malformed chunk", "no terminator", "cut, prefill refused")
SCALE = 1 / 1024
"""So that 30 s take 30 thousandths of one."""


def open_host(scripts, scale=SCALE):
    return open_server(ChatHost(scripts, scale=scale))


def provider(server) -> OpenAI:
    return OpenAI(name="openai", base_url=server.url, api_key="none")


async def impatient(call, next):
    """Wait for the primary for so long that what never comes does not take the test's time."""
    limit = 0.05 if call.request.model == TARGETS[0] else 20
    return await Timeout(first_token=limit, stream=True)(call, next)


def client_of(server, *more) -> Client:
    stack = [*default_stack(*TARGETS), *more]
    return Client(*TARGETS, stack=stack, providers=[provider(server)])


async def check(name: str, client: Client, streams: bool) -> None:
    raised = None
    try:
        if streams:
            async with client.stream("Hello", timeout=20) as stream:
                response = await stream.wait_response()
        else:
            response = await client.ask("Hello", timeout=20)
    except LLMError as error:
        raised = error
    if streams and name in BROKEN_OFF:
        assert type(raised) is StreamInterrupted
        assert WHOLE.startswith(raised.partial.text)
        assert raised.partial.text
    elif name in FINAL:
        assert type(raised) is FINAL[name]
    else:
        assert raised is None
        assert response.text in {WHOLE, BY_FALLBACK}
        assert response.finish_reason == "stop"
        assert all(count is not None for count in response.spent[:2])


@pytest.mark.parametrize("streams", [False, True])
@pytest.mark.parametrize("name", wire_faults)
async def test_each_is_answered_or_fails_clean(name: str, streams: bool) -> None:
    more = [impatient] if name == "never answers" else []
    async with open_host(wire_faults[name].scripts) as server:
        async with client_of(server, *more) as client:
            await check(name, client, streams)
        with trio.fail_after(5):
            await server.idle.wait()  # no line is left open


@pytest.mark.parametrize(
    ("script", "error", "status"),
    [
        (Script(error=Fault("rate", 3.0), pieces=()), RateLimited, 429),
        (Script(error=Fault("server"), pieces=()), ServerError, 500),
        (Script(error=Fault("busy"), pieces=()), Overloaded, 503),
        (Script(error=Fault("net"), pieces=()), ConnectionFailed, None),
        (Script(error=Fault("cut"), pieces=()), StreamInterrupted, None),
        (Script(error=Fault("cut"), pieces=("a", "b")), StreamInterrupted, None),
        (Script(error=Fault("unfinished"), pieces=("a", "b")), StreamInterrupted, None),
        (Script(error=Fault("garbled"), pieces=("a", "b")), ProtocolError, None),
        (Script(error=Fault("busy"), pieces=("a", "b")), Overloaded, None),
        (Script(error=Fault("long"), pieces=()), ContextWindowExceeded, 400),
        (Script(error=Fault("refused"), pieces=()), ContentFiltered, 400),
        (Script(error=Fault("bad"), pieces=()), BadRequest, 400),
    ],
)
async def test_a_fault_is_the_same_error_here_and_simulated(script, error, status) -> None:
    told = []
    async with open_host({"m": script}, 1.0) as server:
        for made in (provider(server), SimulatedProvider({"m": script}, name="openai")):
            async with Client("openai:m", stack=[], providers=[made]) as client:
                with pytest.raises(error) as caught:
                    async with client.stream("Hello") as stream:
                        await stream.wait_response()
            assert type(caught.value) is error
            partial = caught.value.partial
            told.append((caught.value.retry_after, partial.text if partial else ""))
            if not script.pieces:
                assert caught.value.status == status
    assert told[0] == told[1]
    assert told[0] == (script.error.retry_after, script.text)


@pytest.mark.parametrize("kind", ["cut", "unfinished", "garbled", "busy"])
async def test_what_is_not_streamed_is_never_half_an_answer(kind) -> None:
    script = Script(error=Fault(kind), pieces=("a", "b"))
    async with open_host({"m": script}) as server:
        async with Client("openai:m", stack=[], providers=[provider(server)]) as client:
            with pytest.raises(LLMError):
                await client.ask("Hello")
        assert not server.requests[0].json().get("stream")


async def test_usage_is_that_of_the_winner() -> None:
    async with open_host(wire_faults["failover is paid for"].scripts) as server:
        async with client_of(server) as client:
            response = await client.ask("Hello")
    assert response.spent[:2] == (7, 5)
    ends = [event for event in response.ledger.events if isinstance(event, AttemptEnded)]
    told = [(one.outcome, one.input_tokens, one.output_tokens) for one in ends]
    assert told == [("Overloaded", None, None), ("ok", 7, 5)]


async def test_what_never_answers_ends_with_the_deadline() -> None:
    never = wire_faults["never answers"].primary
    async with open_host({"primary": never, "fallback": never}) as server:
        async with client_of(server) as client:
            with pytest.raises(DeadlineExceeded):
                await client.ask("Hello", timeout=0.05)
        with trio.fail_after(5):
            await server.idle.wait()


async def test_a_stall_ends_with_the_deadline() -> None:
    stalls = Script(pieces=("a", "b"), hangs=True)
    async with open_host({"primary": stalls, "fallback": stalls}) as server:
        async with client_of(server) as client:
            with pytest.raises(DeadlineExceeded) as caught:
                async with client.stream("Hello", timeout=0.05) as stream:
                    await stream.wait_response()
        assert "ab".startswith(caught.value.partial.text if caught.value.partial else "")
        with trio.fail_after(5):
            await server.idle.wait()


async def test_a_flapping_primary_opens_the_circuit() -> None:
    async with open_host(wire_faults["flapping"].scripts) as server:
        async with client_of(server) as client:
            for _ in range(40):
                assert (await client.ask("Hello")).text in {WHOLE, BY_FALLBACK}
    asked = [received.json()["model"] for received in server.requests]
    assert 10 <= asked.count("primary") <= 13  # the tenth opens it, and at most three probe it
    assert asked.count("primary") + asked.count("fallback") == len(asked) >= 48
