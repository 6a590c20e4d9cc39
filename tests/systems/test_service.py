"""What a service needs that always gives text, as fast as it can (`G…` are the features of the one
we succeed, `4.6 …` the acceptance that was written for it, `2.3.…` what it got wrong).

Over simulated providers; `tests/examples/test_always_answer.py` has the same over HTTP, with the
bodies that two hosts are sent.
"""

from __future__ import annotations

import json
import re

import pytest
import trio

from llmmw import Attempts, Client, Fallback, Generate, Hedge, Retry, Timeout
from llmmw.errors import AuthenticationFailed, BadRequest, LLMError, Overloaded, ServerError
from llmmw.flow import Prompt, generate_text, map_over
from llmmw.testing import Answer, Fault, Script, SimulatedProvider, open_server

pytestmark = pytest.mark.virtual

DOWN = Script(error=Fault("server"))


def service(scripts, *stack, **options):
    """Two models, of which the second stands in for the first."""
    provider = SimulatedProvider(scripts)
    layers = stack or [Attempts(Fallback("sim:b"))]
    return provider, Client("sim:a", "sim:b", stack=list(layers), providers=[provider], **options)


def asked(provider):
    return [one.model for one in provider.opened]


async def text_of(client, **options):
    async with client:
        return (await client.ask("hi", **options)).text


async def test_the_first_answers():  # G8, 4.6 1
    provider, client = service({"a": "from a", "b": "from b"})
    assert await text_of(client) == "from a"
    assert asked(provider) == ["a"]


async def test_the_second_answers_where_the_first_fails():  # G8, 4.6 2
    provider, client = service({"a": DOWN, "b": "from b"})
    assert await text_of(client) == "from b"
    assert asked(provider) == ["a", "b"]


async def test_rounds_go_through_all_before_they_wait():  # G8, 4.6 3
    rounds = [Attempts(Fallback("sim:b"), Retry(2))]
    provider, client = service({"a": [DOWN, DOWN, "a"], "b": [DOWN, "from b"]}, *rounds)
    assert await text_of(client) == "from b"
    assert sorted(asked(provider)[:2]) == ["a", "b"]
    assert sorted(asked(provider)[2:]) == ["a", "b"]


@pytest.mark.parametrize(
    "script", [Script(error=Fault(kind)) for kind in ("net", "busy", "rate", "quota", "auth")]
)
async def test_what_leads_to_the_next(script):  # G9
    provider, client = service({"a": script, "b": "from b"})
    assert await text_of(client) == "from b"
    assert asked(provider) == ["a", "b"]


@pytest.mark.parametrize("kind", ["cut", "unfinished", "garbled"])
async def test_an_answer_that_can_t_be_read_leads_to_the_next(kind):  # G9
    _, client = service({"a": Script(pieces="ha", error=Fault(kind)), "b": "from b"})
    assert await text_of(client) == "from b"


async def test_who_takes_too_long_is_left_for_the_next():  # G9, 4.6 4
    layers = [Attempts(Fallback("sim:b")), Timeout(total=2)]
    provider, client = service({"a": Script(hangs=True), "b": "from b"}, *layers)
    assert await text_of(client) == "from b"
    assert trio.current_time() == 2
    assert provider.live == 0


async def test_a_slow_one_is_helped_by_the_next_and_given_up():  # G11, 4.6 5, 2.3.1
    slow, fast = Script(first=5, pieces="from a"), Script(first=1, pieces="from b")
    provider, client = service({"a": slow, "b": fast}, Attempts(Hedge(2, targets=("sim:b",))))
    assert await text_of(client) == "from b"
    assert trio.current_time() == 3
    assert provider.statistics()["a"] == {"opened": 1, "cancelled": 1}


async def test_a_fast_one_needs_no_help():  # G11, 4.6 6
    provider, client = service(
        {"a": Script(first=1), "b": "b"}, Attempts(Hedge(2, targets=("sim:b",)))
    )
    assert await text_of(client) == "ok"
    assert asked(provider) == ["a"]


@pytest.mark.parametrize(
    ("kind", "error", "models"),
    [("auth", AuthenticationFailed, ["a", "b"]), ("bad", BadRequest, ["a"])],
)
async def test_what_can_t_get_better_is_an_error_at_once(kind, error, models):  # 4.6 7, 2.3.4
    script = Script(error=Fault(kind))
    layers = [Attempts(Fallback("sim:b"), Retry(9))]
    provider, client = service({"a": script, "b": script}, *layers)
    with pytest.raises(error):
        await text_of(client)
    assert asked(provider) == models
    assert trio.current_time() == 0


async def test_a_host_that_says_when_is_asked_then():  # 2.3.4
    script = [Script(error=Fault("rate", retry_after=7)), "later"]
    _, client = service({"a": script}, Attempts(Retry(2)))
    assert await text_of(client) == "later"
    assert trio.current_time() == 7


async def test_texts_come_in_the_order_of_the_questions():  # G7, 4.6 8-10, 2.3.2
    alive, seen = [], []

    def slow(call, number):
        alive.append(provider.live)
        return Script(first=5 - number % 5, pieces=call.request.messages[0].text)

    provider, client = service({re.compile("."): slow})
    questions = [f"q{k}" for k in range(20)]
    async with client:
        async with client.map(questions, concurrency=4, progress=seen.append) as items:
            texts = [item.response.text async for item in items]
        flow = map_over(generate_text, questions, limit=4)
        assert await client.run(flow) == questions
    assert texts == questions
    assert max(alive) + 1 == 4
    assert [one.done for one in seen] == [*range(1, 21)]


async def test_every_question_ends_as_text_or_as_an_error():  # G12, 4.6 14, 2.3.3
    def some(call, number):
        return DOWN if "2" in call.request.messages[0].text else "fine"

    _, client = service({"a": some, "b": DOWN})
    async with client, client.map([f"q{k}" for k in range(5)], errors="yield") as items:
        found = [item async for item in items]
    assert [one.error is None for one in found] == [True, True, False, True, True]
    assert isinstance(found[2].error, ServerError)
    assert [one.model for one in found[2].error.attempts] == ["a", "b"]


async def test_a_broken_part_never_hangs_the_run():  # 4.6 14, 2.3.3
    def breaks(call, number):
        if number == 1:
            raise ZeroDivisionError("a bug")
        return Script(first=1)

    _, client = service({"a": breaks, "b": "b"})
    with trio.fail_after(100):
        async with client:
            with pytest.raises(ZeroDivisionError, match="a bug"):
                await client.run(map_over(generate_text, ["a", "b", "c"], limit=2))


@pytest.mark.parametrize("wrong", [{"max_tokens": "many"}, {"temperature": "hot"}, {"stop": 5}])
async def test_parameters_of_a_wrong_type_are_refused(wrong):  # G1, 4.6 11
    provider, client = service({"a": "a"})
    with pytest.raises(LLMError) as caught:
        await text_of(client, **wrong)
    assert isinstance(caught.value, BadRequest)
    assert provider.opened == []


async def test_a_variable_that_is_missing_is_told_before_anything_is_asked():  # G2, G6, 4.6 12
    provider, client = service({"a": "a"})
    prompt = Prompt("Tell me of {{who}} and {{what}}")
    async with client:
        assert prompt.variables() == {"who", "what"}
        with pytest.raises(BadRequest, match="what"):
            await client.run(generate_text(prompt(who="x")))
    assert provider.opened == []


async def test_each_target_has_its_own_prompt_and_parameters():  # G1, G6, 4.6 12, 15
    seen = {}

    def keep(call, number):
        seen[call.request.model_name] = call.request
        return DOWN if call.request.model_name == "a" else "from b"

    def for_b(request: Generate) -> Generate:
        return request.replace(
            model="sim:b", messages=(), prompt="briefly: hi", temperature=None, top_k=4
        )

    _, client = service({"a": keep, "b": keep}, Attempts(Fallback(for_b)))
    assert await text_of(client, temperature=0.5, max_tokens=9) == "from b"
    assert seen["a"].parameters() == ["max_output_tokens", "temperature"]
    assert (seen["b"].prompt, seen["b"].top_k, seen["b"].temperature) == ("briefly: hi", 4, None)


def test_plain_programs_get_the_same_text():  # G3, G10
    from llmmw import sync

    provider = SimulatedProvider({"a": DOWN, "b": "from b"})
    layers = [Attempts(Fallback("sim:b"))]
    with sync.Client("sim:a", stack=layers, providers=[provider]) as client:
        assert client.ask("hi").text == "from b"
        assert client.run(generate_text("hi")) == "from b"


@pytest.mark.plugins
async def test_chats_and_completions_have_bodies_of_their_own():  # G4, G5, 4.6 13, 15
    async def answer(received):
        said = {"text": "x"} if received.path.endswith("/v1/completions") else None
        choice = said or {"message": {"role": "assistant", "content": "x"}}
        body = {"choices": [{"index": 0, "finish_reason": "stop", **choice}]}
        headers = {"content-type": "application/json"}
        return Answer(body=json.dumps(body).encode(), headers=headers)

    async with open_server(answer) as server:
        given = {"base_url": f"{server.url}/v1", "api_key": "k"}
        options = {"openai": given, "together": given}
        async with Client("openai:m", stack=[], options=options) as client:
            few = {"max_tokens": 9, "temperature": 0.5, "stop": "\n"}
            assert (await client.ask("hi", **few)).text == "x"
            bare = Generate(prompt="hi", model="together:m", max_output_tokens=9, top_k=4)
            assert (await client.ask(bare.replace(stop_sequences=("\n",)))).text == "x"
    chat, completion = server.requests
    assert (chat.path, chat.json()) == (
        "/v1/chat/completions",
        {
            "model": "m",
            "messages": [{"role": "user", "content": "hi"}],
            "max_completion_tokens": 9,
            "temperature": 0.5,
            "stop": ["\n"],
        },
    )
    assert (completion.path, completion.json()) == (
        "/v1/completions",
        {"model": "m", "prompt": "hi", "max_tokens": 9, "top_k": 4, "stop": ["\n"]},
    )
    assert chat.headers["authorization"] == "Bearer k"


async def test_what_happened_is_told():  # G7, 2.3.6
    _, client = service({"a": Script(error=Fault("busy")), "b": "from b"})
    async with client:
        story = (await client.ask("hi")).explain()
    assert "sim:a" in story
    assert "sim:b" in story
    assert Overloaded.__name__ in story
