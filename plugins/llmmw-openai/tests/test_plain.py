"""Law: what is read at once, since it is one text, is what the reader of everything reads."""

from __future__ import annotations

import attrs
import pytest
import trio
from hypothesis import example, given
from hypothesis import strategies as st
from llmmw_openai._answer import Answer
from llmmw_openai._plain_answer import plain_answer

from llmmw import Call, Generate
from llmmw.plugin import ResponseBuilder

pytestmark = pytest.mark.plugins

CALL = Call(Generate(model="openai:m", messages="hi"))
junk = st.sampled_from([None, "", "x", 0, 1, True, 1.5, [], {}, [{}], {"a": 1}])
texts = st.sampled_from(["hi", "Straße", "", None, 7, ["hi"]])


def some_of(known, others=junk):
    """An object with some of these fields, and perhaps others."""
    mixed = st.dictionaries(st.sampled_from(["x_groq", "error", "name", "content", "id"]), others)
    fields = st.fixed_dictionaries({}, optional=known)
    return st.one_of(fields, st.builds(lambda a, b: {**a, **b}, fields, mixed))


messages = some_of(
    {
        "role": st.sampled_from(["assistant", None]),
        "content": texts,
        "refusal": texts,
        "reasoning": texts,
        "annotations": st.sampled_from([None, [], [{"url_citation": {"url": "u"}}]]),
        "tool_calls": st.sampled_from([None, [], [{"function": {"name": "f"}}]]),
        "audio": st.sampled_from([None, {}, {"data": "QQ==", "id": "a"}]),
    }
)
choices = some_of(
    {
        "index": st.sampled_from([0, 1, None, "0", False]),
        "message": messages,
        "delta": messages,
        "text": texts,
        "finish_reason": st.sampled_from(["stop", "length", "tool_calls", "", None, 3]),
        "logprobs": st.sampled_from([None, {}, {"content": []}]),
        "stop_reason": st.sampled_from(["END", None]),
    }
)
usages = some_of(
    {
        "prompt_tokens": st.sampled_from([10, None, -1, "3"]),
        "completion_tokens": st.sampled_from([0, 5, None]),
        "prompt_tokens_details": st.sampled_from([None, {"cached_tokens": 4}]),
    }
)
answers = some_of(
    {
        "id": st.sampled_from(["c-1", "", None, 7]),
        "model": st.sampled_from(["m-1", "", None, 7]),
        "created": st.sampled_from([7, 7.5, None, "7", True]),
        "choices": st.one_of(junk, st.lists(st.one_of(choices, junk), min_size=1, max_size=2)),
        "usage": st.one_of(junk, usages),
        "obfuscation": junk,
        "system_fingerprint": junk,
    }
)
PLAIN = {"message": {"role": "assistant", "content": "hi", "refusal": None}, "index": 0}


@given(told=answers)
@example(told={"choices": [PLAIN | {"finish_reason": "stop"}], "usage": {"prompt_tokens": 1}})
@example(told={"choices": [PLAIN | {"finish_reason": "tool_calls"}], "id": "c-1"})
def test_both_read_the_same(told):
    plain = plain_answer(told, CALL, model="m", provider="openai")
    if plain is None:
        return
    builder = ResponseBuilder(CALL, "openai", "m")

    async def read():
        answer = Answer(builder, "openai")
        await answer.take(dict(told), whole=True)
        return await answer.finish()

    whole = trio.run(read)
    for field in attrs.fields(type(whole)):
        assert getattr(plain, field.name) == getattr(whole, field.name), field.name
    assert plain.usage is None or plain.usage.raw == whole.usage.raw


def test_the_usual_answer_is_read_at_once():
    choice = PLAIN | {"finish_reason": "stop", "logprobs": None}
    told = {"id": "c-1", "model": "m-1", "choices": [choice], "usage": {"prompt_tokens": 1}}
    plain = plain_answer(told, CALL, model="m")
    assert plain is not None
    assert (plain.text, plain.usage.input_tokens, plain.model) == ("hi", 1, "m-1")


@pytest.mark.parametrize("more", [{"tool_calls": [{}]}, {"reasoning": "so"}, {"refusal": "no"}])
def test_what_holds_more_is_left_to_the_other(more):
    choice = PLAIN | {"message": PLAIN["message"] | more, "finish_reason": "stop"}
    assert plain_answer({"choices": [choice]}, CALL, model="m") is None
