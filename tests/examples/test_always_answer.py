"""The example `docs/examples/always_answer.py` over real HTTP: two servers play its two hosts."""

import importlib.util
import json
import sys
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from types import ModuleType

import attrs
import pytest
import trio

from llmmw import Client
from llmmw.errors import BadRequest, ConfigError
from llmmw.testing import Answer, Received, Server, open_server

pytestmark = pytest.mark.plugins

PATH = Path(__file__).parents[2] / "docs/examples/always_answer.py"


def _loaded() -> ModuleType:
    spec = importlib.util.spec_from_file_location("always_answer", PATH)
    assert spec is not None
    assert spec.loader is not None
    module = sys.modules["always_answer"] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


always = _loaded()
Model = always.Model

A, B, C, D = "openai:small", "together:small", "openai:large", "together:large"
FOUR = (
    Model(A, "{q}", {"max_output_tokens": 9, "temperature": 0.5, "stop_sequences": "\n"}),
    Model(B, "briefly: {short}", {"max_output_tokens": 8, "top_k": 40, "top_p": 0.9}),
    Model(C, "at length: {q}", {"max_output_tokens": 300}),
    Model(D, "Q: {q}\nA:", {"max_output_tokens": 7, "top_k": 5, "stop_sequences": "Q:"}, raw=True),
)
QUESTION = {"q": "what is it?", "short": "what?"}


def says(text: str, *, raw: bool = False) -> Answer:
    choice = {"text": text} if raw else {"message": {"role": "assistant", "content": text}}
    body = {"model": "as-told", "choices": [{"index": 0, "finish_reason": "stop"} | choice]}
    return Answer(body=json.dumps(body).encode(), headers={"Content-Type": "application/json"})


def fails(status: int, message: str = "down", **headers: str) -> Answer:
    body = json.dumps({"error": {"message": message}}).encode()
    return Answer(status=status, body=body, headers=headers)


@attrs.define
class Hosts:
    """The two hosts: what each model answers in turn, and what came, in order."""

    plans: dict[str, list[Answer]] = attrs.field(factory=dict)
    default: Answer = attrs.field(factory=lambda: fails(503))
    heard: list[tuple[str, Received]] = attrs.field(factory=list)
    options: dict[str, dict[str, str]] = attrs.field(factory=dict)
    servers: dict[str, Server] = attrs.field(factory=dict)

    async def answer(self, host: str, received: Received) -> Answer:
        target = f"{host}:{received.json()['model']}"
        self.heard.append((target, received))
        plan = self.plans.get(target, [])
        return plan.pop(0) if plan else self.default

    @property
    def asked(self) -> list[str]:
        return [target for target, _ in self.heard]

    def bodies(self) -> dict[str, object]:
        return {target: received.json() for target, received in self.heard}

    async def generate(self, questions: list, models: tuple = FOUR, **given: object) -> list[dict]:
        """The one-shot call for plain code, in a thread of its own."""
        given = {"options": self.options, "base": 0.0, **given}
        return await trio.to_thread.run_sync(
            partial(always.generate, questions, models, **given), abandon_on_cancel=False
        )


@asynccontextmanager
async def open_hosts(plans: dict[str, list[Answer]] | None = None, answer=None):
    hosts = Hosts(plans or {})
    ask = answer or hosts.answer
    async with (
        open_server(partial(ask, "openai")) as one,
        open_server(partial(ask, "together")) as two,
    ):
        for host, server in (("openai", one), ("together", two)):
            hosts.servers[host] = server
            hosts.options[host] = {"base_url": f"{server.url}/v1", "api_key": f"key-of-{host}"}
        yield hosts


async def test_g1_g4_g6_parameters_and_prompts_reach_the_wire_under_the_hosts_names() -> None:
    async with open_hosts({D: [says("it is D", raw=True)]}) as hosts:
        (row,) = await hosts.generate([QUESTION])
        assert row == {"text": "it is D", "model": "together:as-told"}
        assert hosts.asked == [A, B, C, D]
        assert hosts.bodies() == {
            A: {
                "model": "small",
                "messages": [{"role": "user", "content": "what is it?"}],
                "max_completion_tokens": 9,
                "temperature": 0.5,
                "stop": ["\n"],
            },
            B: {
                "model": "small",
                "messages": [{"role": "user", "content": "briefly: what?"}],
                "max_tokens": 8,
                "top_p": 0.9,
                "top_k": 40,
            },
            C: {
                "model": "large",
                "messages": [{"role": "user", "content": "at length: what is it?"}],
                "max_completion_tokens": 300,
            },
            D: {
                "model": "large",
                "prompt": "Q: what is it?\nA:",
                "max_tokens": 7,
                "top_k": 5,
                "stop": ["Q:"],
            },
        }
        for target, received in hosts.heard:
            host = target.partition(":")[0]
            assert received.headers["authorization"] == f"Bearer key-of-{host}"
            assert received.path == ("/v1/completions" if target == D else "/v1/chat/completions")


@pytest.mark.parametrize("place", [0, 3])
async def test_g2_a_missing_variable_is_told_before_anything_is_sent(place: int) -> None:
    questions = [{"q": "?", "short": "?"}, {"short": "?"} if place == 0 else {"q": "?"}]
    models = (FOUR[0], FOUR[2]) if place == 0 else FOUR
    async with open_hosts() as hosts:
        wanted = r"openai:small needs q; given" if place == 0 else r"together:small needs short"
        with pytest.raises(ValueError, match=wanted):
            await hosts.generate(questions, models)
        assert hosts.heard == []


async def test_g3_g10_plain_and_trio_code_get_the_same_text() -> None:
    async with open_hosts({A: [says("hello"), says("hello")]}) as hosts:
        (row,) = await hosts.generate([QUESTION])
        stack = always.stack(FOUR)
        async with Client(A, stack=stack, options=hosts.options) as client:
            response = await client.ask(FOUR[0].request(QUESTION))
        assert row["text"] == response.text == "hello"
        first, second = hosts.heard
        assert first[1].body == second[1].body


async def test_g5_the_error_of_a_host_is_kept() -> None:
    async with open_hosts() as hosts:
        hosts.default = fails(401, "no such key", **{"x-request-id": "req-7"})
        (row,) = await hosts.generate([QUESTION])
        assert row == {"error": "openai:small: no such key (401, request req-7)"}
        assert hosts.asked == [A, B, C, D]  # none of which is asked again for that


@pytest.mark.parametrize(
    ("given", "error", "wanted"),
    [
        ({"questions": ["only text"]}, ValueError, "openai:small needs q; given: 'only text'"),
        ({"questions": 5}, TypeError, "not iterable"),
        ({"models": (Model("gpt-4o", "{q}"),)}, ConfigError, '"provider:model"'),
        ({"models": (Model(A, "{q}", {"max_token": 5}),)}, BadRequest, "'max_output_tokens'"),
        ({"models": (Model(A, "{q}", {"top_p": "high"}),)}, BadRequest, "top_p='high'"),
        ({"workers": 0}, BadRequest, "concurrency=0"),
        ({"workers": "8"}, BadRequest, "concurrency='8'"),
        ({"timeout": "soon"}, ConfigError, "total='soon'"),
        ({"timeout": -1}, ConfigError, "total=-1"),
        ({"rounds": -1}, ConfigError, "retries=-4"),
    ],
)
async def test_g6_g10_wrong_types_are_told_before_anything_is_sent(
    given: dict, error: type[Exception], wanted: str
) -> None:
    async with open_hosts() as hosts:
        with pytest.raises(error, match=wanted):
            await hosts.generate(**{"questions": [QUESTION], **given})
        assert hosts.heard == []


async def test_g7_no_more_than_the_workers_are_in_flight_and_results_keep_their_order(
    capfd: pytest.CaptureFixture[str],
) -> None:
    in_flight = peak = 0
    all_workers = trio.Event()

    async def answer(host: str, received: Received) -> Answer:
        nonlocal in_flight, peak
        in_flight += 1
        peak = max(peak, in_flight)
        if in_flight == 3:
            all_workers.set()
        await all_workers.wait()
        text = received.json()["messages"][0]["content"]
        for _ in range(20 - int(text)):  # the later, the faster
            await trio.lowlevel.checkpoint()
        in_flight -= 1
        return says(f"answer {text}")

    async with open_hosts(answer=answer) as hosts:
        questions = [{"q": str(number), "short": ""} for number in range(20)]
        rows = await hosts.generate(questions, workers=3)
    assert [row["text"] for row in rows] == [f"answer {number}" for number in range(20)]
    assert peak == 3
    out, told = capfd.readouterr()
    assert out == ""
    assert "answers" in told
    assert "100%" in told


async def test_g8_fallback_comes_before_retry() -> None:
    async with open_hosts({B: [says("it is B")]}) as hosts:
        (row,) = await hosts.generate([QUESTION])
        assert row["text"] == "it is B"
        assert hosts.asked == [A, B]


async def test_g8_rounds_go_through_all_in_order() -> None:
    async with open_hosts({C: [fails(503), fails(503), says("third round")]}) as hosts:
        (row,) = await hosts.generate([QUESTION], rounds=2)
        assert row["text"] == "third round"
        assert hosts.asked == [A, B, C, D, A, B, C, D, A, B, C]


async def test_g8_rounds_end() -> None:
    async with open_hosts() as hosts:
        (row,) = await hosts.generate([QUESTION], rounds=1)
        assert row == {"error": "openai:small: down (503)"}
        assert hosts.asked == [A, B, C, D, A, B, C, D]


@pytest.mark.parametrize(
    "failure",
    [
        *(fails(status) for status in (400, 401, 403, 404, 408, 409, 413, 422, 429, 500, 503)),
        fails(400, "maximum context length is 5 tokens"),
        fails(402, "no money left"),
        fails(302, Location="http://127.0.0.1:9/"),
        Answer(body=b"{not json", headers={"Content-Type": "application/json"}),
        Answer(body=b"", headers={"Content-Type": "application/json"}),
        Answer(pieces=[b'{"choices": ['], cut=True),
        Answer(body=b'{"choices": []}'),
        Answer(body=b'{"error": {"message": "inside a 200"}}'),
        Answer(body=b"<html>a proxy</html>", headers={"Content-Type": "text/html"}),
        says(""),
        says("  \n"),
    ],
    ids=lambda answer: f"{answer.status}-{bytes(answer.body)[:24]!r}",
)
async def test_g9_each_failure_leads_to_the_next(failure: Answer) -> None:
    async with open_hosts({A: [failure], B: [says("it is B")]}) as hosts:
        (row,) = await hosts.generate([QUESTION])
        assert row["text"] == "it is B"
        assert hosts.asked == [A, B]


async def test_g9_a_host_that_says_nothing_leads_to_the_next() -> None:
    async def answer(host: str, received: Received) -> Answer:
        if host == "openai":
            await trio.sleep_forever()
        return says("it is B")

    async with open_hosts(answer=answer) as hosts:
        (row,) = await hosts.generate([QUESTION], timeout=2.0)
        assert row["text"] == "it is B"
        await hosts.servers["openai"].left.wait()  # and its request was given up


async def test_g9_a_host_that_is_not_there_leads_to_the_next() -> None:
    async with open_hosts({B: [says("it is B")]}) as hosts:
        listener = await trio.open_tcp_listeners(0, host="127.0.0.1")
        port = listener[0].socket.getsockname()[1]
        await listener[0].aclose()
        hosts.options["openai"]["base_url"] = f"http://127.0.0.1:{port}/v1"
        (row,) = await hosts.generate([QUESTION])
        assert row["text"] == "it is B"
        assert hosts.asked == [B]


async def test_g12_every_question_ends_as_a_text_or_an_error() -> None:
    async def answer(host: str, received: Received) -> Answer:
        text = received.body.decode()
        if "hopeless" in text:
            return fails(500, "it broke")
        return says(f"from {host}") if "large" in text else fails(429)

    async with open_hosts(answer=answer) as hosts:
        questions = [
            {"q": "hopeless" if number % 3 == 0 else "easy", "short": "hopeless"}
            for number in range(9)
        ]
        rows = await hosts.generate(questions, FOUR[:3], workers=4)
    assert [sorted(row) for row in rows] == [["error"], ["model", "text"], ["model", "text"]] * 3
    assert {row["error"] for row in rows if "error" in row} == {"openai:small: it broke (500)"}
    assert {row["text"] for row in rows if "text" in row} == {"from openai"}


async def test_g12_all_hosts_silent_is_an_error_for_each_in_bounded_time() -> None:
    async def answer(host: str, received: Received) -> Answer:
        await trio.sleep_forever()
        raise AssertionError

    async with open_hosts(answer=answer) as hosts:
        with trio.fail_after(30):
            rows = await hosts.generate([QUESTION] * 3, timeout=0.3)
    assert len(rows) == 3
    for row in rows:
        assert "no answer within" in row["error"]


async def test_g9_a_parameter_that_a_host_does_not_have_leads_to_the_next() -> None:
    async with open_hosts({B: [says("it is B")]}) as hosts:
        models = (Model(A, "{q}", {"top_k": 5}), *FOUR[1:])
        (row,) = await hosts.generate([QUESTION], models)
        assert row["text"] == "it is B"
        assert hosts.asked == [B]


@pytest.mark.parametrize(
    ("keys", "asked"),
    [
        (("openai", "together"), "openai:gpt-4o-mini"),
        (("together",), "together:meta-llama/Llama-3.3-70B-Instruct-Turbo"),
    ],
)
async def test_the_program_reads_lines_and_writes_lines(keys: tuple, asked: str) -> None:
    async with open_hosts() as hosts:
        hosts.default = says("it is so")
        environment = {f"{key.upper()}_API_KEY": "some-key" for key in keys}
        for host, server in hosts.servers.items():
            environment[f"{host.upper()}_BASE_URL"] = f"{server.url}/v1"
        done = await trio.run_process(
            [sys.executable, str(PATH)],
            stdin=b'{"prompt": "Is it so?"}\n{"prompt": "And so?"}\n',
            capture_stdout=True,
            capture_stderr=True,
            env=environment,
        )
    rows = [json.loads(line) for line in done.stdout.splitlines()]
    model = f"{asked.partition(':')[0]}:as-told"
    assert rows == [{"text": "it is so", "model": model}] * 2
    assert hosts.asked == [asked] * 2
