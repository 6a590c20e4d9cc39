"""What goes over the line, and what is refused before."""

from __future__ import annotations

import pytest

from llmmw import Call, Choice, Generate, Grammar, JsonSchema, Together, Tool
from llmmw.errors import BadRequest, ConfigError, UnsupportedFeature
from llmmw.testing import open_host, open_server

pytestmark = pytest.mark.plugins

SCHEMA = {"type": "object", "properties": {"a": {"type": "string"}}}


def test_a_prompt_has_what_the_host_wants(wire):
    assert wire.completion() == {"prompt": "hi", "max_new_tokens": 20, "temperature": 0.2}
    body = wire.completion(max_output_tokens=1, temperature=0)
    assert body == {"prompt": "hi", "max_new_tokens": 1, "temperature": 0}


def test_fields_of_the_caller_are_merged_last(wire):
    body = wire.completion(temperature=1, extra={"llm-engine": {"temperature": 0.5, "new": 1}})
    assert (body["temperature"], body["new"]) == (0.5, 1)
    assert "new" not in wire.completion(extra={"openai": {"new": 1}})
    chat = wire.body(extra={"llm-engine": {"chat_template_kwargs": {"a": 1}}})
    assert chat["chat_template_kwargs"] == {"a": 1}


@pytest.mark.parametrize(
    ("output", "told"),
    [
        ("json", {"response_format": {"type": "json_object"}}),
        (
            JsonSchema(SCHEMA, name="x"),
            {
                "response_format": {
                    "type": "json_schema",
                    "json_schema": {"name": "x", "schema": SCHEMA},
                }
            },
        ),
        (Choice(["a"]), {"guided_choice": ["a"]}),
        (Grammar("a+", "regex"), {"guided_regex": "a+"}),
        (Grammar("start: /a/", "lark"), {"guided_grammar": "start: /a/"}),
    ],
)
def test_forms_of_a_chat(wire, output, told):
    body = wire.body(output=output)
    del body["model"], body["messages"]
    assert body == told


@pytest.mark.parametrize("output", ["json", JsonSchema(SCHEMA)])
def test_forms_of_a_prompt_by_the_second_api(wire, output):
    body = wire.body(prompt="hi", output=output)
    assert list(body) == ["model", "prompt", "guided_json"]


def test_two_forms_are_refused(wire):
    with pytest.raises(BadRequest, match="guided_choice and guided_regex"):
        wire.body(output=Choice(["a"]), extra={"llm-engine": {"guided_regex": "a"}})


def test_messages_and_tools_are_openais(wire):
    tool = Tool("f", "does it", SCHEMA)
    body = wire.body(messages=[("system", "be"), "hi"], tools=[tool], tool_choice="required")
    assert [one["role"] for one in body["messages"]] == ["system", "user"]
    assert body["tools"][0]["function"]["name"] == "f"
    assert body["tool_choice"] == "required"


async def test_the_api_of_prompts_can_be_chosen(wire):
    told = {"choices": [{"index": 0, "text": "x", "finish_reason": "stop"}]}
    async with wire.client(wire.whole(told), api="v2") as (client, server):
        answer = await client.ask(Generate(prompt="hi", seed=7, n=1))
    assert answer.text == "x"
    assert server.requests[0].path == "/v2/completions"
    assert server.requests[0].json() == {"model": "m", "prompt": "hi", "seed": 7, "n": 1}


async def test_the_first_api_alone_takes_no_messages(wire):
    async with wire.client(wire.whole(wire.output()), api="v1") as (client, server):
        assert (await client.ask(Generate(prompt="hi"))).text == "a text"
        with pytest.raises(UnsupportedFeature, match="prompt="):
            await client.ask("hi")
    assert len(server.requests) == 1
    with pytest.raises(ConfigError, match="api"):
        wire.provider("http://host", api="v3")


async def test_other_kinds_are_refused(wire):
    async with wire.client(wire.whole({})) as (client, _):
        with pytest.raises(UnsupportedFeature):
            await client.embed("a")


@pytest.mark.parametrize("name", ["seed", "min_p", "n", "logit_bias", "repetition_penalty"])
async def test_what_prompts_have_no_word_for(wire, name):
    given = {"logit_bias": {"1": 1.0}}.get(name, 3 if name in {"seed", "n"} else 0.5)
    answer = wire.whole(wire.output())
    with pytest.raises(UnsupportedFeature, match=name):
        await wire.ask(answer, **{name: given})
    told = await wire.ask(answer, **{name: given}, unsupported="drop")
    assert any(name in one for one in told.warnings)


async def test_alternatives_of_tokens_are_dropped_where_that_may_be(wire):
    told = await wire.ask(wire.whole(wire.output()), logprobs=2, unsupported="drop")
    assert "logprobs=2" in told.warnings[0]


def together(*prompts, **fields):
    asked = [Generate(model="llm-engine:m", prompt=one, **fields) for one in prompts]
    return Call(Together(model="llm-engine:m", requests=asked))


def texts(*said):
    rows = [{"index": at, "text": one, "finish_reason": "stop"} for at, one in enumerate(said)]
    usage = {"prompt_tokens": 4, "completion_tokens": 6}
    return {"id": "c", "model": "m-1", "choices": rows, "usage": usage}


async def test_several_prompts_are_asked_as_each_would_be(wire):
    async with open_server(wire.whole(texts("A", "B"))) as server, open_host() as host:
        provider = wire.provider(server.url)
        async with provider.open(host):
            got = await provider(together("a", "b", output=Choice(["A", "B"])))
            with pytest.raises(BadRequest, match="temperature"):
                await provider(together("a", "b", temperature=1.5))
            with pytest.raises(UnsupportedFeature, match="seed"):
                await provider(together("a", "b", seed=7))
    (asked,) = server.requests
    assert asked.path == "/v2/completions"
    assert asked.json() == {
        "model": "m",
        "prompt": ["a", "b"],
        "max_tokens": 20,
        "temperature": 0.2,
        "guided_choice": ["A", "B"],
    }
    assert [one.text for one in got.answers] == ["A", "B"]
    assert (got.usage.input_tokens, got.usage.output_tokens) == (4, 6)
