"""The routes of the LLM Engine, each by the name of its row, against a far end that follows them:
what goes over the line, and what comes back as values."""

from __future__ import annotations

from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import trio

from llmmw import Batch, BatchApi, Choice, Client, Generate, Grammar, JsonSchema, Tool
from llmmw.errors import (
    BadRequest,
    LLMError,
    NotFound,
    PermissionDenied,
    ServerError,
    UnsupportedFeature,
)
from tests.systems.engine_far_end import KEY, at, open_engine

pytestmark = pytest.mark.plugins

CSV = b"prompt,response\r\n" + b"what is it?,it is so\r\n" * 200


@asynccontextmanager
async def engine(*, stack=(), outputs=True, options=None, looks=1, **fields):
    """A far end, and a client of it."""
    async with open_engine(looks=looks, **fields) as far:
        given = {"base_url": f"{far.url}/llm-engine/", "api_key": KEY, **(options or {})}
        if outputs:
            given.setdefault("batch_output", f"{far.url}/outputs/{{id}}.json")
        options_ = {"llm-engine": given}
        async with Client("llm-engine:llama-2-7b", stack=list(stack), options=options_) as client:
            yield far, client


def prompt(text, **fields):
    return Generate(prompt=text, **fields)


async def all_of(pages):
    return [one async for one in pages]


async def test_l09_a_prompt_is_completed():
    async with engine() as (far, client):
        answer = await client.ask(prompt("so it is", max_output_tokens=2))
    (asked,) = far.seen
    assert asked.path == "/llm-engine/v1/llm/completions-sync?model_endpoint_name=llama-2-7b"
    assert asked.json() == {"prompt": "so it is", "max_new_tokens": 2, "temperature": 0.2}
    assert (answer.text, answer.finish_reason, answer.id) == ("SO IT ", "length", "req-1")
    assert (answer.usage.input_tokens, answer.usage.output_tokens) == (3, 2)
    assert answer.request_id == "req-1"


async def test_l09_every_parameter_has_its_field():
    fields = {
        "max_output_tokens": 7,
        "temperature": 0.5,
        "stop_sequences": ["halt"],
        "logprobs": 0,
        "presence_penalty": 1,
        "frequency_penalty": 2,
        "top_k": 5,
        "top_p": 0.9,
        "extra": {"llm-engine": {"include_stop_str_in_output": True, "skip_special_tokens": False}},
    }
    async with engine() as (far, client):
        await client.ask(prompt("hi", **fields))
    assert far.seen[0].json() == {
        "prompt": "hi",
        "max_new_tokens": 7,
        "temperature": 0.5,
        "stop_sequences": ["halt"],
        "return_token_log_probs": True,
        "presence_penalty": 1,
        "frequency_penalty": 2,
        "top_k": 5,
        "top_p": 0.9,
        "include_stop_str_in_output": True,
        "skip_special_tokens": False,
    }


SCHEMA = {"type": "object", "properties": {"a": {"type": "string"}}}


@pytest.mark.parametrize(
    ("output", "field"),
    [
        ("json", {"guided_json": {"type": "object"}}),
        (JsonSchema(SCHEMA), {"guided_json": SCHEMA}),
        (Choice(["a", "b"]), {"guided_choice": ["a", "b"]}),
        (Grammar("[a-z]+", "regex"), {"guided_regex": "[a-z]+"}),
        (Grammar('root ::= "a"'), {"guided_grammar": 'root ::= "a"'}),
    ],
)
async def test_l09_forms_of_an_answer_are_guided(output, field):
    async with engine() as (far, client):
        await client.ask(prompt("hi", output=output))
    sent = far.seen[0].json()
    assert {name: one for name, one in sent.items() if name.startswith("guided")} == field


async def test_l10_a_prompt_is_completed_piece_by_piece():
    async with engine() as (far, client):
        async with client.stream(prompt("so it is")) as stream:
            texts = [one async for one in stream.text]
            answer = await stream.wait_response()
    assert at(far.seen[0]) == "POST /v1/llm/completions-stream"
    assert texts == ["SO ", "IT ", "IS "]
    assert (answer.text, answer.finish_reason) == ("SO IT IS ", "stop")
    assert (answer.usage.input_tokens, answer.usage.output_tokens) == (3, 3)


async def test_l11_a_batch_of_the_first_form():
    async with engine() as (far, client):
        sent = await client.batches.submit(
            "",
            api="v1",
            model="llama-2-7b",
            content={"prompts": ["a", "b"], "max_new_tokens": 2, "temperature": 0},
            labels={"team": "x"},
            priority="3",
            gpus=1,
        )
        done = await client.batches.wait(sent.id)
        items = await client.batches.results(done.id)
    assert (sent.id, sent.ended, sent.status) == ("batch-2", False, "")
    asked = far.jobs["batch-2"]["asked"]
    assert at(far.seen[1]) == "POST /v1/llm/batch-completions"
    assert asked["labels"] == asked["model_config"]["labels"] == {"team": "x"}
    assert (asked["priority"], asked["gpus"]) == ("3", 1)  # not lost, as in its own client
    assert [(one.id, one.response.text) for one in items] == [("0", "A"), ("1", "B")]


@pytest.mark.parametrize("slash", [True, False])
async def test_l12_a_batch_of_the_second_form(slash):
    async with engine(slash=slash) as (far, client):
        asked = {"one": prompt("a"), "two": prompt("b")}
        sent = await client.batches.create(asked, max_tokens=9, metadata={"team": "x"})
        assert (sent.status, sent.ended, sent.created) == ("running", False, 1722506400.0)
        assert (await client.batches.wait(sent.id)).status == "completed"
        items = await client.batches.results(sent.id)
    job = far.jobs[sent.id]["asked"]
    assert job["model_config"] == {"model": "llama-2-7b"}
    assert job["labels"] == {"team": "x"}
    assert job["content"][0] == {"prompt": "a", "max_tokens": 9, "temperature": 0.2}
    assert [(one.id, one.response.text) for one in items] == [("one", "A"), ("two", "B")]
    assert items[0].response.usage.input_tokens == 3


async def test_l12_chats_and_what_fails_among_them():
    async with engine() as (_, client):
        rows = {"a": "hello", "b": "bad luck", "c": "lost words"}
        sent = await client.batches.create(rows)
        await client.batches.wait(sent.id)
        items = {one.id: one for one in await client.batches.results(sent.id)}
    assert items["a"].response.text == "HELLO"
    assert isinstance(items["b"].error, BadRequest)
    assert isinstance(items["c"].error, ServerError)


async def test_l12_another_process_knows_whose_answers_they_are(tmp_path):
    async with engine() as (far, client):
        sent = await client.batches.create({"x": "hello"})
        await client.batches.wait(sent.id)
        options = {"llm-engine": {"base_url": f"{far.url}/llm-engine", "api_key": KEY}}
        output = {"batch_output": f"{far.url}/outputs/{{id}}.json"}
        options["llm-engine"] |= output
        async with Client("llm-engine:other", stack=[], options=options) as other:
            (item,) = await other.batches.results(sent.id)
    assert (item.id, item.response.text) == ("x", "HELLO")


async def test_l12_an_output_that_only_the_host_reaches_is_named():
    options = {"batch_output": "s3://bucket/{id}.json"}
    async with engine(options=options) as (_, client):
        sent = await client.batches.create({"x": "hello"})
        await client.batches.wait(sent.id)
        with pytest.raises(UnsupportedFeature, match=r"s3://bucket/file-1\.json"):
            await client.batches.results(sent.id)


async def test_l12_an_output_is_read_where_it_can_be(tmp_path):
    written = {"batch_output": "s3://bucket/{id}.json", "batch_results": f"{tmp_path}/{{id}}.json"}
    async with engine(options=written) as (far, client):
        sent = await client.batches.create({"x": "hello"})
        await client.batches.wait(sent.id)
        Path(tmp_path, "file-1.json").write_bytes(far.outputs["file-1.json"])
        (item,) = await client.batches.results(sent.id)
    assert item.response.text == "HELLO"


async def test_l13_a_batch_is_looked_at():
    async with engine(looks=9) as (far, client):
        sent = await client.batches.submit("s3://in.json", model="llama-2-7b")
        found = await client.batches.get(sent.id)
        assert far.jobs[sent.id]["asked"]["input_data_path"] == "s3://in.json"
        far.jobs[sent.id]["status"] = "paused"
        strange = await client.batches.get(sent.id)
        with pytest.raises(NotFound, match="job not found"):
            await client.batches.get("batch-0")
    assert at(far.seen[-1]) == "GET /v2/batch-completions/batch-0"
    assert (found.status, found.ended) == ("running", False)
    assert (strange.status, strange.ended) == ("paused", False)  # L38
    assert found.raw["expires_at"] == "2024-08-02 10:00:00+00:00"
    assert found.expires == found.created + 86_400


async def test_l14_a_batch_is_cancelled():
    async with engine() as (far, client):
        sent = await client.batches.create({"x": "hello"})
        info = await client.batches.cancel(sent.id)
        (item,) = await client.batches.results(sent.id)
    assert (info.ended, info.cancelled) == (True, True)
    assert f"POST /v2/batch-completions/{sent.id}/actions/cancel" in [at(one) for one in far.seen]
    assert item.error is not None


async def test_l15_a_batch_is_changed():
    async with engine() as (far, client):
        sent = await client.batches.submit("s3://in.json", model="llama-2-7b")
        info = await client.batches.update(sent.id, priority="9")
        with pytest.raises(UnsupportedFeature, match="gpus"):
            await client.batches.update(sent.id, gpus=2)
    assert far.seen[-1].json() == {"job_id": sent.id, "priority": "9"}
    assert info.raw["priority"] == "9"


async def test_l16_chats_are_openais():
    tool = Tool("f", "does it", {"type": "object", "properties": {}})
    async with engine() as (far, client):
        answer = await client.ask("hello", max_tokens=5, top_k=3, seed=7)
        called = await client.ask("hello", tools=[tool])
        choice = await client.ask("a", output=Choice(["A", "B"]))
        with pytest.raises(UnsupportedFeature, match="inference type"):
            await client.ask("hello", model="llm-engine:sync-only")
    assert far.seen[0].path == "/llm-engine/v2/chat/completions"
    assert far.seen[0].json() == {
        "model": "llama-2-7b",
        "messages": [{"role": "user", "content": "hello"}],
        "max_tokens": 5,
        "top_k": 3,
        "seed": 7,
    }
    assert (answer.text, answer.usage.total_tokens) == ("HELLO", 5)
    assert (called.finish_reason, called.tool_calls[0].name) == ("tool_call", "f")
    assert (far.seen[2].json()["guided_choice"], choice.text) == (["A", "B"], "A")


@pytest.mark.parametrize("text", ["so it is", "done is done"])
async def test_l16_chats_stream_with_a_mark_at_their_end_or_without(text):
    async with engine() as (_, client), client.stream(text) as stream:
        answer = await stream.wait_response()
    assert (answer.text, answer.finish_reason) == (f"{text.upper()} ", "stop")
    assert answer.usage.output_tokens == 2


async def test_l16_prompts_go_together():
    async with engine(stack=[Batch()]) as (far, client):
        async with client.map([prompt("a"), prompt("b"), prompt("c")]) as items:
            answers = await all_of(items)
    assert sorted(one.response.text for one in answers) == ["A", "B", "C"]
    (asked,) = far.seen
    assert asked.path == "/llm-engine/v2/completions"
    assert sorted(asked.json().pop("prompt")) == ["a", "b", "c"]
    assert asked.json()["max_tokens"] == 20  # as if each had gone by itself


async def test_l16_calls_ride_batches(tmp_path):
    stack = [BatchApi(tmp_path / "j.db", max_wait=0.01, poll=0.01, least_time=0)]
    async with engine(stack=stack) as (far, client):
        async with client.map([prompt("a"), prompt("b")]) as items:
            answers = await all_of(items)
    assert sorted(one.response.text for one in answers) == ["A", "B"]
    assert len(far.jobs) == 1


async def test_l16_a_batch_goes_on_in_the_next_process(tmp_path):
    stack = [BatchApi(tmp_path / "j.db", max_wait=0.01, poll=0.01, least_time=0)]

    def heard(received):
        if at(received).startswith("GET /v2/batch"):
            scope.cancel()

    async with open_engine(looks=2) as far:
        given = {"base_url": f"{far.url}/llm-engine", "api_key": KEY}
        options = {"llm-engine": given | {"batch_output": f"{far.url}/outputs/{{id}}.json"}}
        target = "llm-engine:llama-2-7b"
        far.heard = heard
        with trio.CancelScope() as scope:
            async with Client(target, stack=stack, options=options) as client:
                await client.ask(prompt("a"))
        assert scope.cancelled_caught
        async with Client(target, stack=stack, options=options) as client:
            with trio.fail_after(30):
                answer = await client.ask(prompt("a"))
    assert answer.text == "A"
    assert len(far.jobs) == 1


async def test_l16_a_batch_whose_answer_is_lost_is_found_again(tmp_path):
    stack = [BatchApi(tmp_path / "j.db", max_wait=0.01, poll=0.01, least_time=0)]
    async with engine(stack=stack, lose=1) as (far, client):
        far.looks = 0  # nobody can look at a job whose id is lost
        async with client.map([prompt("a"), prompt("b")]) as items:
            waiting = all_of(items)
            far.outputs["file-1.json"] = LOST
            with trio.fail_after(30):
                answers = await waiting
        listed = await all_of(client.batches.list())
    assert sorted(one.response.text for one in answers) == ["A", "B"]
    assert len(far.jobs) == 1
    assert [one.id for one in listed] == ["file-1"]


LOST = b"""[{"choices": [{"index": 0, "text": "A", "finish_reason": "stop"}]},
{"choices": [{"index": 0, "text": "B", "finish_reason": "stop"}]}]"""


async def test_l12_the_file_of_ids_goes_where_no_job_was_made():
    async with engine() as (far, client):
        with pytest.raises(BadRequest):
            await client.batches.create({"x": prompt("hi")}, temperature=7)
        far.jobs["refuse"] = {}
        with pytest.raises(ServerError):
            await client.batches.create({"x": prompt("hi")})
        assert far.files == {}
        assert await all_of(client.batches.list()) == []


async def test_l17_a_fine_tune_begins():
    wandb = {"api_key": "wandb-0123456789abcdef"}
    async with engine() as (far, client):
        sent = await client.fine_tunes.create(
            "llama-2-7b",
            CSV,
            validation_file="https://host/rows.csv",
            hyperparameters={"epochs": 3},
            suffix="mine",
            wandb_config=wandb,
        )
        with pytest.raises(BadRequest, match="metadata"):
            await client.fine_tunes.create("llama-2-7b", "file-1", metadata={"a": "b"})
    assert sent.id == "ft-2"
    assert far.seen[-1].json() == {
        "model": "llama-2-7b",
        "training_file": "file-1",
        "validation_file": "https://host/rows.csv",
        "hyperparameters": {"epochs": 3},
        "suffix": "mine",
        "wandb_config": wandb,
    }
    assert "wandb-0" not in repr(sent)


async def test_l18_a_fine_tune_is_looked_at_until_it_ends():
    async with engine(looks=2) as (_, client):
        sent = await client.fine_tunes.create("llama-2-7b", CSV, suffix="mine")
        first = await client.fine_tunes.get(sent.id)
        last = await client.fine_tunes.wait(sent.id)
        with pytest.raises(NotFound, match="fine-tune job"):
            await client.fine_tunes.get("ft-0")
    assert (first.status, first.ended, first.fine_tuned_model) == ("RUNNING", False, None)
    assert (last.status, last.succeeded) == ("SUCCESS", True)
    assert last.fine_tuned_model == "llama-2-7b.mine.240801-100000"


async def test_l19_fine_tunes_are_listed():
    async with engine() as (far, client):
        for _ in range(3):
            await client.fine_tunes.create("llama-2-7b", "https://host/rows.csv")
        rows = await all_of(client.fine_tunes.list())
        far.tunes["ft-2"]["status"] = "STARTED"
        again = await all_of(client.fine_tunes.list())
    assert [one.id for one in rows] == ["ft-1", "ft-2", "ft-3"]
    assert [one.status for one in again] == ["RUNNING", "STARTED", "RUNNING"]


async def test_l20_a_fine_tune_is_cancelled():
    async with engine() as (far, client):
        sent = await client.fine_tunes.create("llama-2-7b", "https://host/rows.csv")
        info = await client.fine_tunes.cancel(sent.id)
    assert (info.status, info.ended, info.succeeded) == ("CANCELLED", True, False)
    assert at(far.seen[1]) == f"PUT /v1/llm/fine-tunes/{sent.id}/cancel"


async def test_l21_a_fine_tune_tells_what_it_does():
    async with engine() as (_, client):
        sent = await client.fine_tunes.create("llama-2-7b", "https://host/rows.csv")
        rows = await all_of(client.fine_tunes.events(sent.id))
        followed = await all_of(client.fine_tunes.events(sent.id, follow=True))
    assert [(one.message, one.level, one.at) for one in rows] == [
        ("{'loss': 2.1}", "info", 7.5),
        ("done", "new", None),
    ]
    assert followed == rows


OWN = {"model": "llama-2-7b", "inference_framework_image_tag": "latest", "gpus": 2}


async def test_l22_an_endpoint_is_made():
    async with engine() as (far, client):
        made = await client.models.create("mine", **OWN, inference_framework="sglang")
        pending = await client.models.get("mine")
        ready = await client.models.wait("mine")
        with pytest.raises(BadRequest, match="inference_framework_image_tag"):
            await client.models.create("mine", model="llama-2-7b")
    sent = far.seen[0].json()
    assert (made.ready, made.raw) == (False, {"endpoint_creation_task_id": "task-1"})
    assert (pending.ready, pending.status) == (False, "UPDATE_PENDING")
    assert (ready.ready, ready.status, ready.name) == (True, "READY", "llama-2-7b")
    assert (sent["name"], sent["model_name"], sent["gpus"]) == ("mine", "llama-2-7b", 2)
    assert sent["inference_framework"] == "sglang"
    assert (sent["min_workers"], sent["max_workers"], sent["per_worker"]) == (0, 1, 2)
    assert (sent["endpoint_type"], sent["metadata"], sent["labels"]) == ("streaming", {}, {})


async def test_l23_an_endpoint_is_looked_at():
    async with engine() as (far, client):
        far.endpoints["llama-2-7b"] |= {"spec": {"created_by": "me"}, "new_field": 7}
        found = await client.models.get("llama-2-7b")
        with pytest.raises(NotFound, match="nowhere"):
            await client.models.get("nowhere")
    assert (found.id, found.ready, found.owner) == ("llama-2-7b", True, "me")
    assert found.raw["new_field"] == 7


async def test_l24_endpoints_are_listed():
    async with engine() as (_, client):
        rows = await all_of(client.models.list())
        two = await all_of(client.models.list(limit=2))
    assert [one.id for one in rows] == ["llama-2-7b", "team a/llama?2#7b", "sync-only"]
    assert len(two) == 2


async def test_l25_an_endpoint_is_changed():
    async with engine() as (far, client):
        changed = await client.models.update("llama-2-7b", max_workers=3)
        with pytest.raises(BadRequest, match="nodes_per_worker"):
            await client.models.update("llama-2-7b", nodes_per_worker=3)
    assert (at(far.seen[0]), far.seen[0].json()) == (
        "PUT /v1/llm/model-endpoints/llama-2-7b",
        {"max_workers": 3},
    )
    assert changed.raw == {"endpoint_creation_task_id": "task-2"}


async def test_l26_an_endpoint_is_deleted():
    async with engine() as (far, client):
        far.endpoints["llama-2-7b"]["status"] = "UPDATE_IN_PROGRESS"
        with pytest.raises(LLMError) as busy:
            await client.models.delete("llama-2-7b")
        with pytest.raises(PermissionDenied):
            await client.models.delete("sync-only")
        with pytest.raises(NotFound):
            await client.models.delete("nowhere")
        await client.models.delete("team a/llama?2#7b")
        assert "team a/llama?2#7b" not in far.endpoints
    assert busy.value.status == 409


async def test_l27_a_model_is_downloaded(tmp_path):
    async with engine() as (far, client):
        links = await client.models.links("llama-2-7b")
        paths = await client.models.download("llama-2-7b", tmp_path)
    assert list(links) == ["weights.bin"]
    assert [one.read_bytes() for one in paths] == [b"\0\1weights"]
    assert far.seen[0].json() == {"model_name": "llama-2-7b", "download_format": "hugging_face"}


async def test_l28_a_file_is_sent(tmp_path):
    path = tmp_path / 'my "rows".csv'
    path.write_bytes(CSV)
    told = []
    async with engine() as (far, client):
        sent = await client.files.upload(path, progress=lambda transfer: told.append(transfer.done))
    assert (sent.id, sent.name, sent.bytes) == ("file-1", 'my "rows".csv', len(CSV))
    assert far.files["file-1"] == ("my %22rows%22.csv", CSV)
    assert (told[0], told[-1]) == (0, len(CSV))


async def test_l29_files_are_looked_at_and_listed():
    async with engine() as (_, client):
        await client.files.upload(b"abc", name="a.csv")
        found = await client.files.get("file-1")
        rows = await all_of(client.files.list())
        with pytest.raises(NotFound, match="specified file"):
            await client.files.get("file-9")
    assert (found.name, found.bytes) == ("a.csv", 3)
    assert rows == [found]


async def test_l30_a_file_is_read():
    text = 'prompt,response\n"a ""quoted"" \\ text",\u00fc\U0001f600\n'.encode()
    async with engine() as (_, client):
        await client.files.upload(text, name="a.csv")
        assert await client.files.content("file-1") == text


async def test_l31_a_file_is_deleted():
    async with engine() as (far, client):
        await client.files.upload(b"abc", name="a.csv")
        await client.files.delete("file-1")
        with pytest.raises(NotFound):
            await client.files.delete("file-1")
    assert far.files == {}
