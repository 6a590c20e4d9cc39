"""How a client of the LLM Engine behaves, each rule by the name of its row: addresses, keys,
errors, streams, what is refused before it is sent, and tables to train on."""

from __future__ import annotations

import json
import math
import os
import subprocess
import sys

import pytest
import trio
from llmmw_llm_engine import check_training_csv

from llmmw import Client, Generate, Retry, Timeout
from llmmw.errors import (
    AuthenticationFailed,
    BadRequest,
    ConfigError,
    DeadlineExceeded,
    LLMError,
    NotFound,
    PermissionDenied,
    ProtocolError,
    RateLimited,
    ServerError,
    StreamInterrupted,
    UnsupportedFeature,
)
from llmmw.testing import Answer, open_server
from tests.systems.engine_far_end import KEY, at, open_engine
from tests.systems.test_engine_routes import CSV, OWN, all_of, engine, prompt

pytestmark = pytest.mark.plugins

HOSTED = "https://api.spellbook.scale.com/llm-engine/"


@pytest.fixture(autouse=True)
def _bare(monkeypatch):
    for name in ("SCALE_API_KEY", "LLM_ENGINE_BASE_PATH"):
        monkeypatch.delenv(name, raising=False)


def client_of(target="llm-engine:llama-2-7b", **options):
    return Client(target, stack=[], options={"llm-engine": options} if options else {})


@pytest.mark.parametrize("slash", ["", "/"])
@pytest.mark.parametrize("by", ["option", "variable"])
async def test_l1_the_address_is_joined_with_a_slash_or_without(slash, by, monkeypatch):
    async with open_engine() as far:
        url = f"{far.url}/llm-engine{slash}"
        if by == "variable":
            monkeypatch.setenv("LLM_ENGINE_BASE_PATH", url)
        options = {"base_url": url} if by == "option" else {}
        async with client_of(**options) as client:
            await client.ask(prompt("hi"))
            await client.ask("hi")
    assert [one.path.partition("?")[0] for one in far.seen] == [
        "/llm-engine/v1/llm/completions-sync",
        "/llm-engine/v2/chat/completions",
    ]


async def test_l1_a_name_is_one_part_of_the_path():  # 2.5.8
    name = "team a/llama?2#7b"
    async with engine() as (far, client):
        await client.ask(prompt("hi"), model=f"llm-engine:{name}")
        assert (await client.models.get(name)).id == name
        with pytest.raises(LLMError):
            await client.models.get("..")
    assert far.seen[0].path.endswith("?model_endpoint_name=team%20a%2Fllama%3F2%237b")
    assert far.seen[2].path.startswith("/llm-engine/v1/llm/model-endpoints/")


async def test_l2_the_key_goes_in_both_headers():
    async with engine() as (far, client):
        await client.ask(prompt("hi"))
    headers = {name.lower(): told for name, told in far.seen[0].headers.items()}
    assert headers["x-api-key"] == KEY
    assert headers["authorization"].startswith("Basic ")
    assert far.users == [KEY]  # the far end reads this header


async def test_l2_the_key_as_a_bearers():
    async with engine(options={"auth": "bearer"}) as (far, client):
        await client.ask(prompt("hi"))
    headers = {name.lower(): told for name, told in far.seen[0].headers.items()}
    assert headers["authorization"] == f"Bearer {KEY}"


async def test_l2_a_server_of_ones_own_knows_root(monkeypatch):
    async with open_engine() as far:
        async with client_of(base_url=f"{far.url}/llm-engine") as client:
            await client.ask(prompt("hi"))
        monkeypatch.setenv("SCALE_API_KEY", KEY)
        async with client_of(base_url=f"{far.url}/llm-engine") as client:
            await client.ask(prompt("hi"))
    assert far.users == ["root", KEY]


async def test_l2_the_hosted_one_is_asked_with_a_key_or_not_at_all():
    async with client_of() as client:
        with pytest.raises(AuthenticationFailed, match="SCALE_API_KEY"):
            await client.ask(prompt("hi"))
    with pytest.raises(ConfigError, match="auth"):
        async with client_of(auth="digest") as client:
            await client.ask(prompt("hi"))


async def test_l2_a_key_that_is_renewed_is_renewed_in_both_headers():
    keys = iter(["scale-old-0123456789", KEY])
    async with engine(options={"api_key": lambda: next(keys)}) as (far, client):
        await client.ask(prompt("hi"))
    assert far.users == [KEY]


async def test_l3_every_status_of_success_is_one():
    told = b'{"request_id": "r", "output": {"text": "x", "num_completion_tokens": 1}}'
    answer = Answer(status=201, headers={"Content-Type": "application/json"}, body=told)
    async with open_server(answer) as server, client_of(base_url=server.url) as client:
        assert (await client.ask(prompt("hi"))).text == "x"


@pytest.mark.parametrize("stream", [False, True])
async def test_l4_the_wait_is_the_callers(stream):
    async def never(received):
        await trio.sleep_forever()

    async with open_server(never) as server:
        options = {"llm-engine": {"base_url": server.url}}
        target, stack = "llm-engine:m", [Timeout(total=0.05)]
        async with Client(target, stack=stack, options=options) as client:
            with pytest.raises(DeadlineExceeded):
                if stream:
                    async with client.stream(prompt("hi")) as told:
                        await told.wait_response()
                else:
                    await client.ask(prompt("hi"))
            with pytest.raises(DeadlineExceeded):
                await client.models.get("m", timeout=0.05)
        server.requests.clear()


async def test_l5_further_headers():
    async with engine(options={"headers": {"X-Team": "x", "Authorization": "mine"}}) as (
        far,
        client,
    ):
        with pytest.raises(AuthenticationFailed):
            await client.ask(prompt("hi"))
    assert far.seen[0].headers["x-team"] == "x"
    assert far.seen[0].headers["authorization"] == "mine"


ERRORS = [
    (400, BadRequest),
    (401, AuthenticationFailed),
    (403, PermissionDenied),
    (404, NotFound),
    (409, ServerError),
    (410, NotFound),
    (422, BadRequest),
    (429, RateLimited),
    (500, ServerError),
    (503, ServerError),
]


async def streamed(client):
    async with client.stream(prompt("hi")) as told:
        await told.wait_response()


ASKS = [
    lambda client: client.ask(prompt("hi")),
    lambda client: client.ask("hi"),
    streamed,
    lambda client: client.models.delete("m"),
    lambda client: client.files.upload(b"x"),
    lambda client: client.batches.cancel("b"),
]


@pytest.mark.parametrize("detail", ["it is so", [{"loc": ["body", "a"], "msg": "it is so"}]])
@pytest.mark.parametrize(("status", "kind"), ERRORS)
async def test_l6_errors_by_their_status(status, kind, detail):
    body = json.dumps({"detail": detail}).encode()
    headers = {"Content-Type": "application/json", "Retry-After": "0.01"}
    answer = Answer(status=status, headers=headers, body=body)
    async with open_server(answer) as server, client_of(base_url=server.url) as client:
        for ask in ASKS:
            with pytest.raises(kind, match="it is so") as caught:
                await ask(client)
            assert caught.value.status == status


async def test_l7_endpoints_are_made_at_a_server_of_ones_own_alone():
    async with client_of(base_url=HOSTED, api_key=KEY) as client:
        with pytest.raises(UnsupportedFeature, match="base_url"):
            await client.models.create("mine", **OWN)
        with pytest.raises(UnsupportedFeature, match="base_url"):
            await client.models.update("mine", max_workers=2)


@pytest.mark.parametrize("text", ["ping and pong", "done with it"])
async def test_l8_comments_and_a_mark_at_the_end_are_no_answer(text):
    async with engine() as (_, client), client.stream(prompt(text)) as stream:
        answer = await stream.wait_response()
    assert answer.text == f"{text.upper()} "


async def test_l8_what_is_no_json_is_a_protocol_error():
    headers = {"Content-Type": "text/event-stream"}
    answer = Answer(headers=headers, body=b"data: {nonsense\r\n\r\n")
    async with open_server(answer) as server, client_of(base_url=server.url) as client:
        with pytest.raises(ProtocolError):
            async with client.stream(prompt("hi")) as stream:
                await stream.wait_response()


WRONG = [
    {"temperature": 1.01},
    {"temperature": -0.1},
    {"presence_penalty": -0.1},
    {"presence_penalty": 2.1},
    {"frequency_penalty": -1},
    {"frequency_penalty": 3},
    {"top_p": 0},
    {"top_p": 1.1},
    {"top_k": -2},
    {"max_output_tokens": 0},
    {"max_output_tokens": -5},
    {"extra": {"llm-engine": {"top_k": -2}}},
    {"extra": {"llm-engine": {"max_new_tokens": 0}}},
    {"extra": {"llm-engine": {"max_new_tokens": 5.5}}},
    {"extra": {"llm-engine": {"max_new_tokens": True}}},
    {"extra": {"llm-engine": {"top_k": 1.5}}},
    {"extra": {"llm-engine": {"temperature": "hot"}}},
    {"extra": {"llm-engine": {"temperature": math.nan}}},
]
RIGHT = [
    {"temperature": 0},
    {"temperature": 1},
    {"presence_penalty": 0, "frequency_penalty": 2},
    {"top_p": 1},
    {"top_k": 1, "top_p": 0.01},
    {"extra": {"llm-engine": {"top_k": -1}}},
]


@pytest.mark.parametrize("fields", WRONG)
async def test_l32_what_is_out_of_bounds_is_not_sent(fields):
    async with engine() as (far, client):
        with pytest.raises(BadRequest):
            await client.ask(prompt("hi", **fields))
    assert far.seen == []


@pytest.mark.parametrize("fields", RIGHT)
async def test_l32_the_bounds_themselves_are_taken(fields):
    async with engine() as (_, client):
        assert (await client.ask(prompt("hi", **fields))).text == "HI "


@pytest.mark.parametrize(
    "fields",
    [
        {"temperature": 0, "top_k": 5},
        {"temperature": 0, "top_p": 0.5},
        {"top_k": 0},
        {"output": "json", "extra": {"llm-engine": {"guided_regex": "a"}}},
    ],
)
async def test_l33_what_the_host_would_refuse_is_not_sent(fields):
    async with engine() as (far, client):
        with pytest.raises(BadRequest):
            await client.ask(prompt("hi", **fields))
    assert far.seen == []


@pytest.mark.parametrize(
    ("status", "kind"), [(400, BadRequest), (404, NotFound), (429, RateLimited), (500, ServerError)]
)
@pytest.mark.parametrize("api", ["prompt", "chat"])
async def test_l34_an_error_within_a_stream_has_its_status_and_class(status, kind, api):
    text = f"break {status} here"
    async with engine() as (_, client):
        with pytest.raises(kind, match="it broke") as caught:
            async with client.stream(prompt(text) if api == "prompt" else text) as stream:
                await stream.wait_response()
    assert caught.value.status == status
    assert caught.value.partial.text == "BREAK "


async def test_l34_an_error_before_the_first_piece_is_that_of_http():
    async with engine() as (_, client):
        with pytest.raises(NotFound, match="could not be found") as caught:
            async with client.stream(prompt("hi"), model="llm-engine:nowhere") as stream:
                await stream.wait_response()
        with pytest.raises(NotFound) as gone:
            await client.ask("gone")
    assert caught.value.status == 404
    assert gone.value.status == 410


@pytest.mark.parametrize("text", ["cut it off", "nothing comes", "done cut"])
async def test_l35_a_stream_that_does_not_end_is_an_error(text):
    async with engine() as (_, client):
        if text.startswith("done"):
            async with client.stream(prompt(text)) as stream:
                assert (await stream.wait_response()).text == "DONE CUT "
            return
        with pytest.raises(StreamInterrupted) as caught:
            async with client.stream(prompt(text)) as stream:
                await stream.wait_response()
    partial = caught.value.partial
    assert (partial.text if partial else "") == ("CUT IT " if text.startswith("cut") else "")


async def test_l36_a_stream_is_open_once_it_is_entered():
    async with engine() as (far, client):
        with pytest.raises(NotFound):
            async with client.stream(prompt("hi"), model="llm-engine:nowhere") as stream:
                await anext(aiter(stream))
        async with client.stream(prompt("so it is")) as stream:
            assert await anext(aiter(stream.text)) == "SO "
    assert len(far.seen) == 2


@pytest.mark.parametrize("suffix", ["", "a" * 29, "a_b", "a b", "a.b", "ä"])
async def test_l37_a_suffix_that_no_model_can_have(suffix):
    async with engine() as (far, client):
        with pytest.raises(BadRequest, match="suffix"):
            await client.fine_tunes.create("llama-2-7b", CSV, suffix=suffix)
    assert [one for one in far.seen if at(one) == "POST /v1/llm/fine-tunes"] == []


async def test_l37_a_table_is_looked_through_before_it_is_sent(tmp_path):
    path = tmp_path / "rows.csv"
    path.write_bytes(b"prompt,response\na,b\nc,\nd,e,f\n")
    async with engine() as (far, client):
        with pytest.raises(BadRequest, match=r"line 3: the response is empty; line 4: has 3 cells"):
            await client.fine_tunes.create("llama-2-7b", path)
    assert far.seen == []


async def test_l37_the_limits_of_a_table():
    def rows(count):
        return b"prompt,response\n" + b"a,b\n" * count

    assert check_training_csv(rows(200)).advice == ()
    few = check_training_csv(rows(199))
    assert (few.ok, len(few.advice), few.rows) == (True, 1, 199)
    assert check_training_csv(rows(100_000)).ok
    many = check_training_csv(rows(100_001))
    assert (many.ok, str(many.problems[0])) == (
        False,
        "line 100002: is row 100001: at most 100000 are taken",
    )


async def test_l37_the_quota_of_fine_tunes_is_one():
    async with engine(looks=9) as (_, client):
        for _ in range(5):
            await client.fine_tunes.create("llama-2-7b", "https://host/rows.csv")
        with pytest.raises(LLMError, match="Limit 5") as caught:
            await client.fine_tunes.create("llama-2-7b", "https://host/rows.csv")
    assert not caught.value.retryable


async def test_l38_words_that_nobody_knows_go_on():
    async with engine() as (far, client):
        tune = await client.fine_tunes.create("llama-2-7b", "https://host/rows.csv")
        far.tunes[tune.id]["status"] = "HATCHING"
        told = await client.fine_tunes.get(tune.id)
        assert (told.status, told.ended) == ("HATCHING", False)
        for word in ("SUCCESS", "FAILURE", "CANCELLED", "TIMEOUT"):
            far.tunes[tune.id]["status"] = word
            assert (await client.fine_tunes.get(tune.id)).ended
        for word in ("PENDING", "STARTED", "RUNNING", "UNDEFINED"):
            far.tunes[tune.id]["status"] = word
            assert not (await client.fine_tunes.get(tune.id)).ended
        far.endpoints["llama-2-7b"]["status"] = "HATCHING"
        model = await client.models.get("llama-2-7b")
        assert (model.status, model.ready, model.failed) == ("HATCHING", False, False)
        del far.endpoints["llama-2-7b"]["status"]
        assert (await client.models.get("llama-2-7b")).ready is None


async def test_l39_values_that_nobody_knows_are_kept():
    new = {"inference_framework": "sglang", "quantize": "int3", "source": "moon", "more": [1]}
    async with engine() as (far, client):
        far.endpoints["llama-2-7b"] |= new
        rows = await all_of(client.models.list())
    assert len(rows) == 3
    assert {name: rows[0].raw[name] for name in new} == new


@pytest.mark.parametrize(
    "fields",
    [
        {"data_parallelism": 0},
        {"data_parallelism": 65},
        {"max_runtime_sec": 0},
        {"max_runtime_sec": 172_801},
        {"tool_config": {"max_iterations": 3}},
        {"model": None},
        {"new_field": 1},
        {"labels": "x"},
    ],
)
async def test_l40_what_no_batch_can_be_is_not_sent(fields):
    async with engine() as (far, client):
        with pytest.raises(BadRequest):
            await client.batches.submit(
                "s3://in.json", **{"output_data_path": "s3://o", "model": "m", **fields}
            )
        with pytest.raises(BadRequest, match="questions"):
            await client.batches.submit("", model="m", output_data_path="s3://o")
    assert far.seen == []


async def test_l40_the_bounds_themselves_are_taken():
    tool = {"name": "code_evaluator"}
    async with engine() as (far, client):
        sent = await client.batches.submit(
            "s3://in.json",
            output_data_path="s3://o",
            model_config={"model": "m", "labels": {"a": "b"}},
            data_parallelism=64,
            max_runtime_sec=172_800,
            tool_config=tool,
        )
    asked = far.jobs[sent.id]["asked"]
    assert asked["labels"] == {"a": "b"}
    assert asked["model_config"] == {"model": "m"}
    assert asked["tool_config"] == tool


async def test_l41_tokens_and_their_times():
    """What `TokenUsage` computes: of all tokens, and of the time between two of an answer."""
    async with engine(stack=[Retry()]) as (_, client):
        async with client.stream(prompt("so it is")) as stream:
            answer = await stream.wait_response()
    assert answer.usage.total_tokens == answer.usage.input_tokens + answer.usage.output_tokens == 6
    at_ = {type(one).__name__: one.time for one in answer.ledger.events}
    assert at_["CallStarted"] <= at_["AttemptSent"] <= at_["AttemptFirst"] <= at_["CallEnded"]


async def test_l42_the_tokens_of_an_answer_and_how_likely_they_were():
    async with engine() as (_, client):
        whole = await client.ask(prompt("so it is", logprobs=0))
        async with client.stream(prompt("so it is", logprobs=0)) as stream:
            streamed = await stream.wait_response()
        with pytest.raises(UnsupportedFeature, match="logprobs=3"):
            await client.ask(prompt("hi", logprobs=3))
    for answer in (whole, streamed):
        (part,) = answer.message.parts
        assert [(one.token, one.logprob) for one in part.logprobs] == [
            ("SO ", -0.5),
            ("IT ", -0.5),
            ("IS ", -0.5),
        ]


def test_l43_an_import_asks_nobody():
    code = (
        "import socket, sys; socket.socket.connect = None; import llmmw_llm_engine; "
        "assert 'httpx' not in sys.modules"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True)
    assert (done.stdout, done.stderr) == (b"", b"")


async def test_a_name_that_no_parameter_has_is_refused():  # 2.5.11
    async with engine() as (far, client):
        with pytest.raises((BadRequest, TypeError), match="max_new_token"):
            await client.ask(Generate(prompt="hi"), max_new_token=5)
    assert far.seen == []


async def test_the_commands_reach_it(tmp_path):
    table = tmp_path / "rows.csv"
    table.write_bytes(b"prompt,response\na,\n")

    async def said(*words):
        done = await trio.run_process(
            [sys.executable, "-c", "from llmmw.cli import main; main()", *words],
            env={**os.environ, "LLM_ENGINE_BASE_PATH": f"{far.url}/llm-engine", **key},
            capture_stdout=True,
            capture_stderr=True,
            check=False,
        )
        return done.returncode, (done.stdout + done.stderr).decode()

    key, engine_ = {"SCALE_API_KEY": KEY}, ("-p", "llm-engine")
    async with open_engine() as far:
        status, text = await said("models", "list", *engine_)
        assert (status, "team a/llama?2#7b  READY" in text) == (0, True)
        status, text = await said("fine-tunes", "create", *engine_, "llama-2-7b", str(table))
        assert (status, "line 2: the response is empty" in text) == (1, True)
        key["SCALE_API_KEY"] = "scale-wrong-0123456789"
        status, text = await said("files", "list", *engine_)
        assert (status, "(401)" in text, "scale-wrong" in text) == (1, True, False)
    assert [at(one) for one in far.seen] == ["GET /v1/llm/model-endpoints", "GET /v1/files"]
