"""A real model behind a real OpenAI-compatible server that others wrote: llama.cpp's own."""

from __future__ import annotations

import functools
import json
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from typing import Any

import httpx
import pytest
import trio

from llmmw import (
    Choice,
    Client,
    Generate,
    Generation,
    Message,
    Timeout,
    Tool,
    ToolCallPart,
    ToolResultPart,
)
from llmmw.errors import (
    AuthenticationFailed,
    BadRequest,
    ConfigError,
    ContextWindowExceeded,
    LLMError,
    UnsupportedFeature,
)

from .servers import open_peer

pytestmark = pytest.mark.plugins

KEY = "local-3f81c07e55d2"
SLOTS, CONTEXT = 2, 512
SAME = {"temperature": 0, "seed": 1}
STORY = "Tell me a long story about the sea."


@functools.cache
def model_file() -> str:
    """The path of the model, or why there is none."""
    from llmmw_local._fetch import fetch
    from llmmw_local._models import KNOWN, file_of

    model = KNOWN["smollm2"]
    try:
        return str(trio.run(functools.partial(fetch, model, folder=file_of(model).parent)))
    except (LLMError, ConfigError) as error:
        return f"the model can't be fetched: {error}"


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    """The address of the server, one for all tests."""
    path = model_file()
    if path.startswith("the model"):
        pytest.skip(path)
    # Threads that wait by spinning are slow where cores are shared; OpenMP reads this as it loads.
    with open_peer("llama_server.py", path, KEY, SLOTS, CONTEXT, GOMP_SPINCOUNT="1000") as url:
        yield url


@asynccontextmanager
async def open_client(server: str, **options: Any) -> AsyncIterator[Client]:
    given = {"base_url": f"{server}/v1", "api_key": KEY} | options
    async with Client(
        "llama.cpp:smollm2", stack=[Timeout(total=60)], options={"llama.cpp": given}
    ) as client:
        yield client


async def streamed(client: Client, prompt: object, **parameters: Any) -> tuple[str, Generation]:
    """The pieces that came, joined, and the whole."""
    async with client.stream(prompt, **parameters) as stream:
        text = "".join([piece async for piece in stream.text])
    return text, stream.response


async def test_an_answer_is_the_same_whole_and_in_pieces(server: str) -> None:
    async with open_client(server) as client:
        whole = await client.ask("What is 2+2?", max_output_tokens=20, **SAME)
        text, response = await streamed(client, "What is 2+2?", max_output_tokens=20, **SAME)
    assert "4" in whole.text
    assert text == response.text == whole.text
    for one in (whole, response):
        assert one.finish_reason == "stop"
        assert one.provider == "llama.cpp"
        assert one.usage is not None
        assert one.usage.input_tokens == whole.usage.input_tokens > 5
        assert one.usage.output_tokens == whole.usage.output_tokens > 1
        assert one.id is not None
        assert one.http is not None
        assert one.http.status == 200
        assert not one.warnings


async def test_a_conversation_and_a_system_message_reach_the_model(server: str) -> None:
    async with open_client(server) as client:
        short = await client.ask("Hello", max_output_tokens=1, **SAME)
        talk = [("user", "My name is Ida."), ("assistant", "Hello Ida."), ("user", "Who am I?")]
        long = await client.ask(talk, system="Be brief.", max_output_tokens=1, **SAME)
    assert long.usage.input_tokens > short.usage.input_tokens


@pytest.mark.parametrize("stream", [False, True])
async def test_the_limit_of_tokens_ends_an_answer(server: str, stream: bool) -> None:
    async with open_client(server) as client:
        limits = {"max_output_tokens": 5, **SAME}
        if stream:
            _, response = await streamed(client, STORY, **limits)
        else:
            response = await client.ask(STORY, **limits)
    assert response.finish_reason == "length"
    assert response.usage.output_tokens == 5


async def test_a_stop_sequence_ends_an_answer(server: str) -> None:
    async with open_client(server) as client:
        free = await client.ask("Hi", max_output_tokens=16, **SAME)
        begin, word, rest = free.text.partition(" assist")
        assert word
        assert rest
        text, response = await streamed(
            client, "Hi", max_output_tokens=16, stop_sequences=[word], **SAME
        )
    assert text == begin
    assert response.finish_reason == "stop"


@pytest.mark.parametrize("stream", [False, True])
async def test_log_probabilities_are_those_of_the_tokens(server: str, stream: bool) -> None:
    async with open_client(server) as client:
        asked = {"max_output_tokens": 4, "logprobs": 2, **SAME}
        if stream:
            _, response = await streamed(client, STORY, **asked)
        else:
            response = await client.ask(STORY, **asked)
    tokens = [one for part in response.parts for one in part.logprobs]
    assert "".join(one.token for one in tokens) == response.text
    assert len(tokens) == 4
    for one in tokens:
        assert len(one.top) == 2
        assert one.top[0] == (one.token, pytest.approx(one.logprob))  # temperature 0
        assert 0 >= one.top[0][1] >= one.top[1][1]


async def test_an_answer_follows_a_json_schema(server: str) -> None:
    schema = {
        "type": "object",
        "properties": {"name": {"enum": ["Ida", "Otto"]}, "age": {"type": "integer"}},
        "required": ["name", "age"],
        "additionalProperties": False,
    }
    async with open_client(server) as client:
        prompt = "Ida is 7 years old. Answer in JSON."
        whole = await client.ask(prompt, output=schema, max_output_tokens=40, **SAME)
        text, _ = await streamed(client, prompt, output=schema, max_output_tokens=40, **SAME)
    told = json.loads(whole.text)
    assert set(told) == {"name", "age"}
    assert told["name"] in {"Ida", "Otto"}
    assert isinstance(told["age"], int)
    assert text == whole.text


async def test_a_choice_is_made_by_grammar(server: str) -> None:
    options = ("certainly", 'by "no" means')
    async with open_client(server) as client:
        response = await client.ask(
            "Is water wet?", output=Choice(options), max_output_tokens=20, **SAME
        )
        with pytest.raises(BadRequest, match="grammar"):
            await client.ask("Say hi.", output={"grammar": "root ::= ("}, max_output_tokens=5)
    assert response.text in options


async def test_a_prompt_is_gone_on_with(server: str) -> None:
    async with open_client(server) as client:
        asked = Generate(prompt="One, two, three, four,", max_output_tokens=4, logprobs=1, **SAME)
        whole = await client.ask(asked)
        text, response = await streamed(client, asked)
    assert "five" in whole.text
    assert text == response.text == whole.text
    assert whole.finish_reason == response.finish_reason == "length"
    assert whole.usage.output_tokens == response.usage.output_tokens == 4
    for one in (whole, response):
        tokens = [told for part in one.parts for told in part.logprobs]
        assert "".join(told.token for told in tokens) == whole.text


async def test_a_wrong_key_is_refused(server: str) -> None:
    async with open_client(server, api_key="wrong-key-000000") as client:
        with pytest.raises(AuthenticationFailed) as caught:
            await client.ask("hi", max_output_tokens=1)
    error = caught.value
    assert (error.status, error.code, error.processed) == (401, "authentication_error", False)
    assert not error.retryable
    assert str(error).startswith("llama.cpp:smollm2: Invalid API Key")


@pytest.mark.parametrize("stream", [False, True])
async def test_a_prompt_that_is_too_long_is_told_as_that(server: str, stream: bool) -> None:
    async with open_client(server) as client:
        with pytest.raises(ContextWindowExceeded, match="512 tokens") as caught:
            if stream:
                await streamed(client, "word " * CONTEXT)
            else:
                await client.ask("word " * CONTEXT)
    assert caught.value.status == 400
    assert not caught.value.retryable


async def slots_at_work(server: str) -> int:
    headers = {"Authorization": f"Bearer {KEY}"}
    async with httpx.AsyncClient(base_url=server, headers=headers) as http:
        answer = await http.get("/slots")
    return sum(slot["is_processing"] for slot in answer.json())


async def test_who_leaves_early_frees_the_place_on_the_server(server: str) -> None:
    # These answers never end by themselves.
    endless = {"extra": {"llama.cpp": {"ignore_eos": True}}, **SAME}

    async def leave(client: Client) -> None:
        async with client.stream(STORY, **endless) as stream:
            async for _ in stream.text:
                break

    async with open_client(server) as client:
        async with client.stream(STORY, **endless) as stream:
            await anext(stream)
            assert await slots_at_work(server) == 1
        async with trio.open_nursery() as nursery:
            for _ in range(2 * SLOTS):
                nursery.start_soon(leave, client)
        with trio.fail_after(5):
            assert (await client.ask("Say hi.", max_output_tokens=1)).usage.output_tokens == 1
            while await slots_at_work(server):
                await trio.lowlevel.checkpoint()


async def test_many_rows_over_few_slots_come_in_their_order(server: str) -> None:
    rows = [
        {"id": f"row {number}", "prompt": f"{number}:", "max_output_tokens": 1 + number % 4}
        for number in range(8)
    ]
    async with open_client(server) as client:
        async with client.map(rows, concurrency=8, **SAME) as items:
            found = [item async for item in items]
    assert [item.id for item in found] == [row["id"] for row in rows]
    assert [item.response.usage.output_tokens for item in found] == [
        row["max_output_tokens"] for row in rows
    ]


async def test_what_the_server_lacks_is_told(server: str) -> None:
    async with open_client(server) as client:
        with pytest.raises(LLMError, match="does not support embeddings") as caught:
            await client.embed(["a"])
    assert caught.value.status == 501


# The Responses API of the same server.


@asynccontextmanager
async def open_responses(server: str) -> AsyncIterator[Client]:
    async with open_client(server, api="responses") as client:
        yield client


async def test_a_response_is_the_same_whole_and_in_pieces(server: str) -> None:
    async with open_client(server) as client:
        chat = await client.ask("What is 2+2?", max_output_tokens=20, temperature=0)
    async with open_responses(server) as client:
        whole = await client.ask("What is 2+2?", max_output_tokens=20, temperature=0)
        text, response = await streamed(client, "What is 2+2?", max_output_tokens=20, temperature=0)
    assert text == response.text == whole.text == chat.text
    for one in (whole, response):
        assert (one.finish_reason, one.finish.raw) == ("stop", "completed")
        assert one.id.startswith("resp_")
        assert one.usage.input_tokens == chat.usage.input_tokens
        assert one.usage.output_tokens == chat.usage.output_tokens
        assert not one.warnings


async def test_a_conversation_of_responses(server: str) -> None:
    """Its own answer, one of another host, and a tool's result stand in the history."""
    look = Tool("look", "Look somewhere.", {"type": "object", "properties": {}})
    call = ToolCallPart(id="c1", name="look", arguments="{}")
    result = ToolResultPart(call_id="c1", content="A door.")
    async with open_responses(server) as client:
        first = await client.ask("Hello", max_output_tokens=4, temperature=0)
        short = await client.ask("Who am I?", max_output_tokens=1, temperature=0)
        for before in (first, ("assistant", "Hello Ida.")):
            talk = [("user", "I am Ida."), before, ("user", "Who am I?")]
            long = await client.ask(talk, system="Be brief.", max_output_tokens=1, temperature=0)
            assert long.usage.input_tokens > short.usage.input_tokens
        asked = ("user", "What is there?")
        talk = [asked, Message("assistant", (call,)), Message("tool", (result,))]
        seen = await client.ask(talk, tools=[look], max_output_tokens=4, temperature=0)
    assert seen.usage.output_tokens == 4


async def test_a_response_follows_a_json_schema_or_a_choice(server: str) -> None:
    schema = {"type": "object", "properties": {"a": {"enum": ["x", "y"]}}, "required": ["a"]}
    async with open_responses(server) as client:
        told = await client.ask("In JSON:", output=schema, max_output_tokens=40, temperature=0)
        options = ("certainly", "never")
        asked = {"output": Choice(options), "max_output_tokens": 9, "temperature": 0}
        text, _ = await streamed(client, "Is water wet?", **asked)
        with pytest.raises(UnsupportedFeature, match="logprobs"):
            await client.ask("hi", logprobs=1)
    assert json.loads(told.text)["a"] in {"x", "y"}
    assert text in options


async def test_what_a_response_refuses(server: str) -> None:
    async with open_client(server, api="responses", api_key="wrong-key-000000") as client:
        with pytest.raises(AuthenticationFailed):
            await client.ask("hi", max_output_tokens=1)
    async with open_responses(server) as client:
        with pytest.raises(ContextWindowExceeded, match="512 tokens"):
            await client.ask("word " * CONTEXT)
        with pytest.raises(ContextWindowExceeded, match="512 tokens"):
            await streamed(client, "word " * CONTEXT)


async def test_a_count_is_that_of_the_answer(server: str) -> None:
    async with open_client(server) as client:
        counted = await client.count_tokens("What is 2+2?", system="Be brief.")
        asked = await client.ask("What is 2+2?", system="Be brief.", max_output_tokens=1, **SAME)
    assert counted.tokens == asked.usage.input_tokens


async def test_an_answer_that_was_begun_is_gone_on_with(server: str) -> None:
    """Whole, this server repeats the beginning; in pieces it does not."""
    talk = [("user", "Count from 1 to 10."), ("assistant", "1, 2, 3,")]
    async with open_client(server) as client:
        asked = {"max_output_tokens": 6, "logprobs": 1, **SAME}
        whole = await client.ask(talk, **asked)
        text, response = await streamed(client, talk, **asked)
    assert text == response.text == whole.text
    assert whole.text.split() == ["4,", "5,"]
    for one in (whole, response):
        tokens = [told for part in one.parts for told in part.logprobs]
        assert "".join(told.token for told in tokens) == one.text
