"""No secret in anything that leaves: keys are planted in every way that there is, hosts echo them
in every form, and whatever a program, a log or a terminal may get to see is searched."""

from __future__ import annotations

import base64
import json
import logging
import pickle
import socket
import sys
import traceback
import warnings
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any
from urllib.parse import quote

import attrs
import pytest
import trio

from llmmw import Attempts, Client, Fallback, Retry, Timeout, load_config, to_toml
from llmmw._secret import Secret
from llmmw.errors import ConfigError, DeadlineExceeded, LLMError
from llmmw.testing._server import Answer, Received, Server, open_server

pytestmark = pytest.mark.plugins

# A global, since the frames of tests are searched too. It has signs that other forms write anew.
KEY = "sk-live-Zq7/Xw+3vT9=Lm2/Rk8+Yp5=Hd4u"
RUN = 10


def base64_of(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


def encoded(key: str) -> Iterator[str]:
    """A key as it may be written."""
    yield key
    yield quote(key, safe="")
    yield quote(key)
    yield json.dumps(key)[1:-1].replace("/", "\\/")
    yield key.encode().hex()
    for before in range(3):  # what stands before and behind it shifts the whole
        for behind in range(3):
            text = base64_of("." * before + key + "." * behind)
            end = len(text) - (0 if before + behind == 0 else 4)
            yield text[4 if before else 0 : end]
            yield text[4 if before else 0 : end].translate(str.maketrans("+/", "-_"))


RUNS = {form[at : at + RUN] for form in encoded(KEY) for at in range(len(form) - RUN + 1)}


def traces(text: str) -> list[str]:
    """The places of a text that show ten or more characters of the key in any form."""
    found = [at for at in range(len(text) - RUN + 1) if text[at : at + RUN] in RUNS]
    return [text[max(at - 60, 0) : at + RUN] for at in found]


ECHOES = (
    KEY,
    f"Bearer {KEY}",
    quote(KEY, safe=""),
    base64_of(KEY),
    base64_of(f"user:{KEY}"),
    base64_of(f":{KEY}"),
    base64_of(f"ab:{KEY}:c"),
    base64.urlsafe_b64encode(f"x{KEY}".encode()).decode(),
    KEY.encode().hex(),
    f"{KEY[:16]}…",
    f"{KEY[:4]}…{KEY[-14:]}",
    f"…{KEY[9:25]}…",
)
ECHO = " | ".join(ECHOES)
SHORT = json.dumps({"error": {"message": "no", "type": "x"}}).encode()


@attrs.define(repr=False, eq=False)
class Leaving:
    """Everything that leaves while it listens."""

    seen: list[str] = attrs.field(factory=list)

    def see(self, *things: object) -> None:
        self.seen += [f"{thing!r} {thing!s}" for thing in things]

    def see_error(self, error: BaseException | None) -> None:
        """All that a program can find on an error."""
        if error is None:
            return
        self.see(error, error.args, vars(error), type(error).__name__)
        lines = traceback.TracebackException.from_exception(error, capture_locals=True)
        self.seen += lines.format(chain=True)
        with suppress(TypeError, AttributeError, pickle.PicklingError):
            self.seen.append(pickle.dumps(error, protocol=0).decode("latin-1"))
        for one in getattr(error, "attempts", ()):
            if one is not error:
                self.see_error(one)
        if getattr(error, "partial", None) is not None:
            self.see_response(error.partial)
        self.see_error(error.__cause__ or error.__context__)

    def see_response(self, response: Any) -> None:
        self.see(response, response.explain(), response.warnings, response.request_id)
        self.see(response.raw, response.usage and response.usage.raw)
        if response.http is not None:
            self.see(attrs.asdict(response.http))
        if response.ledger is not None:
            self.see(*response.ledger.events)

    def see_client(self, client: Client) -> None:
        self.see(client, vars(client), client.describe())
        if client._router is not None:
            self.see(client._router, client.host)
            for opened in client._router._opened.values():
                self.see(opened.provider, opened.provider.api_key)

    def check(self) -> None:
        assert self.seen
        found = [place for text in set(self.seen) for place in traces(text)]
        assert not found, found[:5]


class _Handler(logging.Handler):
    def __init__(self, leaving: Leaving) -> None:
        super().__init__(logging.DEBUG)
        self.leaving = leaving

    def emit(self, record: logging.LogRecord) -> None:
        self.leaving.seen += [self.format(record), repr(vars(record))]


@pytest.fixture
def leaving(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> Iterator[Leaving]:
    """Listens to all loggers, warnings and the standard files too, and searches at the end."""
    leaving = Leaving()
    root, handler = logging.getLogger(), _Handler(leaving)
    level = root.level
    root.addHandler(handler)
    root.setLevel(logging.DEBUG)
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        yield leaving
    root.removeHandler(handler)
    root.setLevel(level)
    leaving.see(*told, *capfd.readouterr())
    leaving.check()


def plant(way: str, folder: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """Options of a provider that has the key in one of the ways."""
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    monkeypatch.delenv("OPENAI_BASE_URL", raising=False)
    if way == "variable":
        monkeypatch.setenv("OPENAI_API_KEY", KEY)
        return {}
    monkeypatch.setenv("SOME_KEY", KEY)
    (folder / "key").write_text(f"{KEY}\n")

    async def fetch() -> str:
        return KEY

    ways: dict[str, dict[str, Any]] = {
        "text": {"api_key": KEY},
        "secret": {"api_key": Secret(KEY)},
        "function": {"api_key": lambda: KEY},
        "async function": {"api_key": fetch},
        "env:": {"api_key": "env:SOME_KEY"},
        "file:": {"api_key": f"file:{folder / 'key'}"},
        "header": {"api_key": "sk-another-0000", "headers": {"x-api-key": KEY}},
        "own header": {
            "api_key": "sk-another-0000",
            "headers": {"X-Authorization": f"Basic {KEY}"},
        },
    }
    return ways[way]


WAYS = [
    *("text", "secret", "function", "async function", "env:", "file:", "variable"),
    *("header", "own header"),
]


@pytest.fixture(params=WAYS)
def planted(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Callable[[], dict[str, Any]]:
    """The options, made where no frame keeps them."""
    return lambda: plant(request.param, tmp_path, monkeypatch)


def make_client(
    make: Callable[[], dict[str, Any]], url: str, leaving: Leaving, *stack: Any, **more: Any
) -> Client:
    """A client of the host at `url`; what its instruments hear is seen as well."""
    return Client(
        "openai:gpt-4o-mini",
        stack=stack,
        options={"openai": make() | {"base_url": url} | more},
        instruments=[leaving.see],
    )


async def provoke(client: Client, leaving: Leaving) -> int:
    """Ask in all ways; see what comes of it. How many calls failed."""
    failures = 0
    async with client:
        for ask in ASKS:
            try:
                leaving.see_response(await ask(client))
            except (LLMError, ConfigError) as error:
                failures += 1
                leaving.see_error(error)
        leaving.see_client(client)
    leaving.see_client(client)
    return failures


async def ask_whole(client: Client) -> Any:
    return await client.ask("hi")


async def ask_stream(client: Client) -> Any:
    async with client.stream("hi") as stream:
        return await stream.wait_response()


async def ask_vectors(client: Client) -> Any:
    return await client.embed("hi")


ASKS = (ask_whole, ask_stream, ask_vectors)


def error_of(status: int, text: str, **headers: str) -> Answer:
    body = {"error": {"message": f"no: {text}", "type": text, "code": text, "param": text}}
    return Answer(
        status=status,
        headers={"Content-Type": "application/json"} | headers,
        body=json.dumps(body).encode(),
    )


def test_the_search_finds_what_is_planted(leaving: Leaving) -> None:
    for echo in ECHOES:
        assert traces(f"so {echo} it is"), echo
    assert not traces("sk-live-… and nothing else: " + base64_of("user:somebody else"))
    logging.getLogger("anywhere").debug("sent with %s", base64_of(f"user:{KEY}"))
    try:
        fail_with(KEY)
    except LLMError as error:
        leaving.see_error(error)
    with pytest.raises(AssertionError):
        leaving.check()
    found = [text for text in leaving.seen if traces(text)]
    assert sum("sent with" in text for text in found) == 2  # the line and its record
    assert sum("of_a_frame = " in text for text in found) == 1
    leaving.seen[:] = ["nothing"]


def fail_with(of_a_frame: str) -> None:
    raise LLMError("no")


STATUSES = (302, 400, 401, 402, 403, 404, 413, 422, 429, 500, 503, 529)


async def test_errors_that_echo_the_key(
    planted: Callable[[], dict[str, Any]], leaving: Leaving
) -> None:
    statuses = iter([status for status in STATUSES for _ in range(3)])

    async def answer(received: Received) -> Answer:
        return error_of(next(statuses), ECHO)

    async with open_server(answer) as server:
        client = make_client(planted, server.url, leaving)
        async with client:
            for _ in STATUSES:
                for ask in ASKS:
                    with pytest.raises(LLMError) as caught:
                        await ask(client)
                    leaving.see_error(caught.value)
                    assert "[key]" in str(caught.value) or caught.value.status == 302
            leaving.see_client(client)
    assert_it_was_sent(server)


def assert_it_was_sent(server: Server) -> None:
    """The server had the key, or nothing could have come back."""
    assert server.requests
    for one in server.requests:
        assert any(KEY in told for told in one.headers.values())


def chunk(**delta: object) -> bytes:
    piece = {"id": "c", "model": "m", "choices": [{"index": 0, "delta": delta}]}
    return b"data: " + json.dumps(piece).encode() + b"\n\n"


def event(data: object, name: str = "") -> bytes:
    head = f"event: {name}\n" if name else ""
    return f"{head}data: {json.dumps(data)}\n\n".encode()


STREAM = {"Content-Type": "text/event-stream"}
TOLD = {"error": {"message": ECHO, "type": ECHO, "code": ECHO}}
DONE = {"choices": [{"index": 0, "message": {"content": "hi"}, "finish_reason": "stop"}]}
PLACES = {
    "a page": Answer(status=502, body=f"<html><title>{ECHO}</title><p>{ECHO}".encode()),
    "no JSON": Answer(status=200, body=ECHO.encode()),
    "a list": Answer(status=400, body=json.dumps([{"error": {"message": ECHO}}]).encode()),
    "nested": Answer(
        status=400, body=json.dumps({"detail": [{"msg": ECHO, "loc": ECHO}]}).encode()
    ),
    "a word": Answer(status=400, body=json.dumps({"error": ECHO}).encode()),
    "a success that is none": Answer(body=json.dumps(TOLD).encode()),
    "an object that is none": Answer(body=json.dumps({"choices": [], "id": ECHO}).encode()),
    "an event": Answer(headers=STREAM, pieces=[chunk(content="so "), event(TOLD, "error")]),
    "an event without a name": Answer(headers=STREAM, pieces=[chunk(content="so "), event(TOLD)]),
    "an event that is none": Answer(headers=STREAM, pieces=[chunk(content="so "), event(ECHO)]),
    "a stream of text": Answer(headers=STREAM, pieces=[chunk(content="so "), ECHO.encode()]),
    "a stream cut": Answer(
        headers=STREAM, pieces=[chunk(content="so "), b": " + ECHO.encode()], cut=True
    ),
    "a reason": Answer(
        headers=STREAM,
        pieces=[event({"choices": [{"index": 0, "delta": {}, "finish_reason": "error"}], **TOLD})],
    ),
    "headers of an error": Answer(
        status=429, headers={"x-request-id": KEY, "x-debug": base64_of(f"u:{KEY}")}, body=SHORT
    ),
    "headers of an answer": Answer(
        headers={"x-request-id": KEY, "x-debug": quote(KEY, safe=""), "set-cookie": f"k={KEY}"},
        body=json.dumps(DONE).encode(),
    ),
    "a redirect": Answer(
        status=307, headers={"Location": f"https://h/{quote(KEY, safe='')}?k={KEY}"}
    ),
    "the place of a redirect": Answer(status=302, headers={"Location": f"https://{KEY[:20]}.h/"}),
}


@pytest.mark.parametrize("place", PLACES)
async def test_every_place_where_a_host_may_echo_it(
    place: str, leaving: Leaving, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with open_server(PLACES[place]) as server:
        failures = await provoke(
            make_client(lambda: plant("text", tmp_path, monkeypatch), server.url, leaving), leaving
        )
    assert failures == (1 if place == "headers of an answer" else 3)
    assert_it_was_sent(server)


async def test_attempts_that_fail_everywhere(
    planted: Callable[[], dict[str, Any]], leaving: Leaving
) -> None:
    stack = [Attempts(Retry(2, base=0), Fallback("openai:another")), Timeout(total=60)]
    async with open_server(error_of(503, ECHO)) as server:
        assert await provoke(make_client(planted, server.url, leaving, *stack), leaving) == 3
    assert len(server.requests) == 12


async def test_an_answer_under_every_stack(
    planted: Callable[[], dict[str, Any]], leaving: Leaving
) -> None:
    answer = Answer(headers={"x-request-id": KEY}, body=json.dumps(DONE).encode())
    async with open_server(answer) as server:
        client = make_client(planted, server.url, leaving)
        async with client:
            leaving.see_response(await ask_whole(client))
            leaving.see_response(await ask_whole(client.replace("openai:another")))
    assert_it_was_sent(server)


async def test_a_line_that_breaks(planted: Callable[[], dict[str, Any]], leaving: Leaving) -> None:
    listeners = await trio.open_tcp_listeners(0, host="127.0.0.1")
    listeners[0].socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    port = listeners[0].socket.getsockname()[1]

    async def reset(stream: trio.SocketStream) -> None:
        await stream.receive_some(100)
        stream.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        stream.socket.close()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(trio.serve_listeners, reset, listeners)
        client = make_client(planted, f"http://127.0.0.1:{port}", leaving)
        assert await provoke(client, leaving) == 3
        async with make_client(planted, f"http://127.0.0.1:{port}", leaving) as client:
            with pytest.raises(LLMError) as caught:
                await client.ask("long " * 60_000)
            leaving.see_error(caught.value)
        nursery.cancel_scope.cancel()
    refusing = make_client(planted, f"http://127.0.0.1:{port}", leaving)
    assert await provoke(refusing, leaving) == 3


async def test_a_wait_that_ends(planted: Callable[[], dict[str, Any]], leaving: Leaving) -> None:
    waiting = trio.Event()

    async def wait(received: Received) -> Answer:
        waiting.set()
        await trio.sleep_forever()
        raise AssertionError

    async def ask(client: Client, scope: trio.CancelScope) -> None:
        with scope:
            try:
                await ask_whole(client)
            except trio.Cancelled as error:
                leaving.see_error(error)
                raise

    async with open_server(wait) as server:
        limit = Timeout(total=0.05)
        assert await provoke(make_client(planted, server.url, leaving, limit), leaving) == 3
        scope, waiting = trio.CancelScope(), trio.Event()
        async with make_client(planted, server.url, leaving) as client:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(ask, client, scope)
                await waiting.wait()
                scope.cancel()
    assert any("Cancelled" in text for text in leaving.seen)
    assert_it_was_sent(server)


async def test_a_stream_that_falls_silent(
    planted: Callable[[], dict[str, Any]], leaving: Leaving
) -> None:
    silent = Answer(headers=STREAM, pieces=[chunk(content="so "), trio.sleep_forever])
    async with open_server(silent) as server:
        client = make_client(planted, server.url, leaving, Timeout(idle=0.05))
        async with client:
            with pytest.raises(DeadlineExceeded) as caught:
                await ask_stream(client)
            leaving.see_error(caught.value)
    assert_it_was_sent(server)


WRONG: dict[str, dict[str, Any]] = {
    "a wrong name": {"base_ur": "https://h/v1"},
    "a wrong preset": {"preset": "opnai"},
    "no address": {"base_url": "h"},
    "a wrong client": {"http": object()},
    "a header that is none": {"headers": {"x-api-key": KEY, "x-number": 7}},
    "a header that can't be sent": {"headers": {"x-api-key": KEY, "x-what": "ä\n"}},
    "a wrong name of the key": {"other_key": KEY},
}


@pytest.mark.parametrize("wrong", WRONG)
async def test_options_that_are_wrong_beside_the_key(
    wrong: str, planted: Callable[[], dict[str, Any]], leaving: Leaving
) -> None:
    client = Client(
        "openai:gpt-4o-mini",
        stack=[],
        options={"openai": planted() | {"base_url": "http://127.0.0.1:9/v1"} | WRONG[wrong]},
    )
    assert await provoke(client, leaving) == 3


BAD_KEYS = {
    "a line end": f"{KEY}\nX: y",
    "a blank": f"{KEY} {KEY}",
    "another alphabet": f"{KEY}ä",
    "quotes": f"“{KEY}”",
}


@pytest.mark.parametrize("how", ["text", "function", "env:", "file:", "header"])
@pytest.mark.parametrize("bad", BAD_KEYS)
async def test_keys_that_are_none(
    bad: str, how: str, leaving: Leaving, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BAD_KEY", BAD_KEYS[bad])
    (tmp_path / "bad").write_text(BAD_KEYS[bad], encoding="utf-8")
    ways: dict[str, Callable[[], dict[str, Any]]] = {
        "text": lambda: {"api_key": BAD_KEYS[bad]},
        "function": lambda: {"api_key": lambda: BAD_KEYS[bad]},
        "env:": lambda: {"api_key": "env:BAD_KEY"},
        "file:": lambda: {"api_key": f"file:{tmp_path / 'bad'}"},
        "header": lambda: {"api_key": "sk-another", "headers": {"x-api-key": BAD_KEYS[bad]}},
    }
    async with open_server(Answer(body=json.dumps(DONE).encode())) as server:
        failures = await provoke(make_client(ways[how], server.url, leaving), leaving)
    assert failures == 3 or how == "header"


def test_a_client_that_can_not_be_made(
    planted: Callable[[], dict[str, Any]], leaving: Leaving
) -> None:
    for target, stack in (("gpt-4o", []), ("openai:gpt-4o", [Timeout])):
        with pytest.raises(ConfigError) as caught:
            make_wrong(planted, target, stack)
        leaving.see_error(caught.value)


def make_wrong(make: Callable[[], dict[str, Any]], target: str, stack: list[Any]) -> Client:
    return Client(target, stack=stack, options={"openai": make()})


TABLES = {
    "right": "[providers.openai]\napi_key = 'KEY'\n",
    "a header": "[providers.openai]\nheaders = {x-api-key = 'KEY'}\n",
    "a wrong name": "[providers.openai]\napi_key = 'KEY'\nbase_ur = 'https://h/v1'\n",
    "a name for another": "[providers.openai]\napi_kee = 'KEY'\n",
    "a wrong value": "[providers.openai]\napi_key = ['KEY']\n",
    "a deep value": "[providers.openai]\napi_key = {value = 'KEY'}\n",
    "no provider": "[providers.opnai]\napi_key = 'KEY'\n",
    "no table": "providers = ['KEY']\n",
    "a table too few": "[openai]\napi_key = 'KEY'\n",
    "no TOML behind it": "[providers.openai]\napi_key = 'KEY'\n]\n",
    "no TOML before it": "[providers.openai]\napi_key = 'KEY\n",
    "no quotes": "[providers.openai]\napi_key = KEY\n",
    "no UTF-8": "[providers.openai]\napi_key = 'KEY\udcff'\n",
    "a wrong stack": "[[stack]]\nuse = 'retri'\n[providers.openai]\napi_key = 'KEY'\n",
}


@pytest.mark.parametrize("table", TABLES)
def test_a_file_with_the_key_in_it(table: str, leaving: Leaving, tmp_path: Path) -> None:
    path = tmp_path / "llmmw.toml"
    path.write_text(TABLES[table].replace("KEY", KEY), errors="surrogateescape")
    try:
        config = load_config(path)
    except ConfigError as error:
        assert table not in {"right", "a header"}
        leaving.see_error(error)
        return
    assert table in {"right", "a header"}
    leaving.see(config, vars(Client.from_config(config, "openai:a")), config.options)
    try:
        leaving.see(to_toml(config))
    except ConfigError as error:
        leaving.see_error(error)


COMMANDS = {
    "ask": ("ask", "-m", "openai:gpt-4o-mini", "hi"),
    "ask as JSON": ("ask", "-m", "openai:gpt-4o-mini", "--json", "-v", "hi"),
    "ask in vain": ("ask", "-v", "-m", "openai:fail", "-m", "openai:fail-too", "hi"),
    "ask for nothing": ("ask", "-m", "openai:fail", "-p", "temperature=x", "hi"),
    "plugins": ("plugins", "--json"),
}


@pytest.mark.parametrize("command", COMMANDS)
async def test_the_command_line(
    command: str, leaving: Leaving, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plant("variable", tmp_path, monkeypatch)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))

    async def answer(received: Received) -> Answer:
        if received.json()["model"].startswith("fail"):
            return error_of(400, ECHO, **{"x-request-id": KEY})
        return Answer(headers={"x-request-id": KEY}, body=json.dumps(DONE).encode())

    async with open_server(answer) as server:
        monkeypatch.setenv("OPENAI_BASE_URL", server.url)
        ended = await trio.run_process(
            [sys.executable, "-c", "from llmmw.cli import main; main()", *COMMANDS[command]],
            capture_stdout=True,
            capture_stderr=True,
            check=False,
        )
    leaving.see(ended.stdout.decode(), ended.stderr.decode())
    assert ended.returncode == {"ask in vain": 1, "ask for nothing": 2}.get(command, 0)
    if command.startswith("ask") and command != "ask for nothing":
        assert_it_was_sent(server)
