"""Flows from plain programs."""

from __future__ import annotations

import asyncio
import signal
import threading
from collections import defaultdict

import pytest
import trio

from llmmw import sync
from llmmw.errors import BadRequest, ConfigError
from llmmw.flow import (
    Appended,
    GraphResult,
    NodeDelta,
    NodeError,
    NodeResult,
    Registry,
    executable,
    generate_text,
    registry,
)
from llmmw.wire import SSEDecoder


@executable
def add(left, right):
    return left + right


@executable
def grow(text):
    for end in range(1, len(text) + 1):
        yield text[:end]


@executable
def fail(message="it broke"):
    raise ValueError(message)


@pytest.fixture
def client(hold):
    with sync.Client("hold:a", providers=[hold], stack=[]) as opened:
        yield opened


@pytest.fixture
def configured(monkeypatch, tmp_path):
    """A configuration file of the user's."""
    path = tmp_path / "config.toml"
    path.write_text('model = "nobody:a"\n')
    monkeypatch.setenv("LLMMW_CONFIG", str(path))
    return path


def test_run_gives_the_result(client, hold) -> None:
    hold.call("hi").answer.set()
    assert client.run({"a": generate_text("hi"), "b": add(1, 2)}) == {"a": "one two", "b": 3}
    assert sync.run(add(1, 2), client=client) == 3


def test_run_without_a_client_opens_what_is_configured(configured) -> None:  # O2
    assert sync.run(add(1, 2)) == 3
    assert add(1, add(2, 3)).compute() == 6
    configured.write_text("model = 3\n")
    with pytest.raises(ConfigError):
        sync.run(add(1, 2))


def test_errors_are_raised_as_they_are_with_the_nodes_name(client) -> None:
    broken = fail()
    with pytest.raises(ValueError, match="it broke") as caught:
        client.run(add(broken, 1))
    assert caught.value.__notes__ == [f"in {broken.id}"]
    left, right = client.run([broken, add(1, 1)], errors="keep")
    assert (repr(left), right) == ("ValueError('it broke')", 2)


def test_a_stream_is_iterated(client, hold) -> None:
    asked, grown = generate_text("hi"), grow("ab")
    with client.stream([asked, grown]) as events:
        texts = [one.text for one in events.get(grown) if isinstance(one, NodeDelta)]
        assert texts == ["a", "b"]
        hold.let_go("hi")
        assert events.get(asked).result() == "one two"
        assert events.result() == ["one two", "ab"]
        seen = list(events)
        assert isinstance(seen[-1], GraphResult)
        assert seen == list(events.tee(1)[0])
        messages = list(events.messages())
        assert messages[-1]["data"] == {asked.id: {"text": "one two"}, grown.id: {"text": "ab"}}
        read = SSEDecoder().feed("".join(events.sse()).encode())
        assert len(read) == len(messages)
        with pytest.raises(BadRequest, match="no result of 'nobody'"):
            events.get("nobody").result()


def test_events_come_while_the_run_goes_on(client, hold) -> None:
    with client.stream(generate_text("hi")) as events:
        told = next(one.text for one in events if isinstance(one, NodeDelta) and one.text)
        assert told == "one "
        assert hold.live == 1
        assert next(events.sse(keep_alive=0.0)).startswith("id: 1")
        waiting = events.sse(keep_alive=0.01)
        while not next(waiting).startswith(":"):
            pass
        hold.let_go("hi")
        assert [type(one) for one in events][-2:] == [NodeResult, GraphResult]


def test_leaving_the_block_ends_the_run(client, hold) -> None:
    with client.stream(generate_text("hi")) as events:
        for event in events:
            if isinstance(event, NodeDelta):
                break
    assert (hold.live, hold.call("hi").outcome) == (0, "cancelled")
    with pytest.raises(RuntimeError, match="cancelled"):
        list(events)
    with pytest.raises(KeyError), client.stream(generate_text("again")) as events:
        for _ in events:
            raise KeyError
    assert (hold.live, hold.call("again").outcome) == (0, "cancelled")


def test_an_error_is_told_then_raised(client) -> None:
    with client.stream(fail()) as events:
        seen = []
        with pytest.raises(ValueError, match="it broke"):
            for event in events:
                seen.append(type(event))
        assert seen == [NodeError]
        with pytest.raises(ValueError, match="it broke"):
            events.result()


def test_wrong_options_are_refused_before_the_block(client) -> None:
    with pytest.raises(BadRequest, match="depth="), client.stream(grow("a"), depth=-5):
        raise AssertionError("not reached")
    with pytest.raises(RuntimeError, match="not open"), sync.Client().stream(grow("a")):
        raise AssertionError("not reached")


@pytest.mark.parametrize("how", ["iterated", "waited for", "run"])
def test_an_interrupt_ends_the_run(client, hold, how) -> None:
    inside = threading.Event()  # an interrupt on the way into a block is lost on any block

    def interrupt():
        held.begun.wait(30)
        inside.wait(30)
        signal.pthread_kill(threading.main_thread().ident, signal.SIGINT)

    held = hold.call("hi")
    thread = threading.Thread(target=interrupt)
    thread.start()
    with pytest.raises(KeyboardInterrupt):
        if how == "run":
            inside.set()
            client.run(generate_text("hi"))
        with client.stream(generate_text("hi")) as events:
            inside.set()
            list(events) if how == "iterated" else events.result()
    thread.join(30)
    assert held.over.wait(30)
    assert (hold.live, held.outcome) == (0, "cancelled")
    assert client.run(add(1, 2)) == 3


def test_threads_read_one_stream(client, hold) -> None:
    texts = defaultdict(list)
    with client.stream([generate_text("hi"), grow("ab")]) as events:

        def read(name, reader):
            for event in reader:
                texts[name].append(getattr(event, "text", ""))

        readers = enumerate(events.tee(3))
        threads = [threading.Thread(target=read, args=one) for one in readers]
        for thread in threads:
            thread.start()
        hold.let_go("hi")
        for thread in threads:
            thread.join(30)
    assert texts[0] == texts[1] == texts[2]
    assert "two" in texts[0]


def test_a_callback_runs_in_the_callers_thread(client, hold) -> None:  # O5
    hold.call("hi").answer.set()
    heard = []
    result = client.run(
        [generate_text("hi"), grow("ab")],
        on_event=lambda event: heard.append((threading.current_thread(), type(event))),
    )
    assert result == ["one two", "ab"]
    assert {thread for thread, _ in heard} == {threading.current_thread()}
    assert heard[-1][1] is GraphResult

    def refuse(event):
        raise KeyError("mine")

    with pytest.raises(KeyError, match="mine"):
        client.run(generate_text("other"), on_event=refuse)
    assert hold.live == 0


def test_the_registry_in_force_is_that_of_the_run(client) -> None:  # O18, O23
    with registry(Registry()):
        generate_text.configure(lambda prompt: f"fake {prompt}")
        assert client.run(generate_text("a")) == "fake a"
        with client.stream(generate_text("b")) as events:
            assert events.result() == "fake b"
        assert sync.run(generate_text("c"), client=client) == "fake c"


@executable(thread=True)
def inner(client):
    return sync.run([add(1, 2), generate_text("x")], client=client)


def test_a_run_within_a_threaded_node_of_another(client) -> None:  # O2
    with registry(Registry()):
        generate_text.configure(lambda prompt: f"fake {prompt}")
        assert client.run([inner(client), 1]) == [[3, "fake x"], 1]


def test_a_run_that_would_wait_for_itself_is_refused(client) -> None:  # O2
    @executable
    def blocks():
        return sync.run(add(1, 2), client=client)

    with pytest.raises(RuntimeError, match="called in the thread that would answer it"):
        client.run(blocks())


def test_runs_within_running_loops(client) -> None:  # O2
    async def within():
        return client.run(add(1, 2))

    assert asyncio.run(within()) == 3
    assert trio.run(within) == 3


def test_generators_of_trio_run_here_too(client) -> None:
    @executable
    async def pieces():
        for one in "abc":
            await trio.lowlevel.checkpoint()
            yield Appended(one)

    with client.stream(pieces()) as events:
        assert [one.text for one in events if isinstance(one, NodeDelta)] == ["a", "b", "c"]
