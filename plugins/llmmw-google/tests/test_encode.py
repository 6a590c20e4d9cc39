"""Any conversation becomes a body that the host's rules allow, or an error that says why not."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from llmmw_google._messages import MARK
from llmmw_google._models import model_of
from llmmw_google._request import body_of, count_body

from llmmw import (
    CachePoint,
    CountTokens,
    Generate,
    JsonSchema,
    MediaPart,
    Message,
    OpaquePart,
    ReasoningPart,
    TextPart,
    Tool,
    ToolCallPart,
    ToolResultPart,
)
from llmmw.errors import BadRequest, UnsupportedFeature
from llmmw.wire import Losses, dumps

pytestmark = pytest.mark.plugins

MODELS = ["gemini-3-pro", "gemini-3.6-flash", "gemini-2.5-flash", "gemma-3-4b-it", "unheard-of"]
junk = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=2),
    lambda inner: (
        st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=2), inner, max_size=2)
    ),
    max_leaves=3,
)
words = st.sampled_from(["", " \n", "a", "b \n"])
extras = st.sampled_from([{}, {}, {"google": {"thoughtSignature": "s"}}, {"vertex": {MARK: True}}])
own = st.dictionaries(
    st.just("google"), st.dictionaries(st.just("functionCall"), junk, max_size=1) | junk
)
medium = st.sampled_from(["image/png", "application/pdf", "video/*"])
texts = st.builds(TextPart, words, extra=extras)
media = st.one_of(
    st.builds(MediaPart, media_type=medium, data=st.just(b"a"), extra=extras),
    st.builds(MediaPart, media_type=medium, url=st.just("gs://x/a")),
    st.builds(MediaPart, media_type=medium, file_id=st.just("files/a")),
)
ids = st.sampled_from(["t1", "t2", ""])
calls = st.builds(
    ToolCallPart,
    id=ids,
    name=st.just("f"),
    arguments=st.sampled_from(["", "{}", "[1", '{"a": NaN}', "[" * 2000]),
    server=st.sampled_from([False, False, True]),
    extra=extras,
)
opaque = st.builds(
    OpaquePart,
    provider=st.sampled_from(["google", "anthropic"]),
    type=st.just("executableCode"),
    data=st.just({"executableCode": {"code": "1"}}),
)
thoughts = st.builds(ReasoningPart, words, extra=extras)
simple = st.one_of(texts, texts, media, opaque, st.just(CachePoint()))
results = st.builds(
    ToolResultPart,
    call_id=ids,
    name=st.sampled_from(["f", "f", ""]),
    content=st.lists(simple, max_size=2),
    is_error=st.booleans(),
    extra=extras,
)
by_role = {
    "system": texts,
    "user": simple,
    "assistant": st.one_of(texts, thoughts, calls, media, opaque),
    "tool": results,
}
messages = st.sampled_from(["user", *by_role]).flatmap(
    lambda role: st.builds(
        Message, st.just(role), st.lists(by_role[role], max_size=3), extra=extras
    )
)
# What is out of place, or no text, or has fields of any form.
odd = st.one_of(
    *by_role.values(),
    st.builds(TextPart, st.just("\ud800") | words, extra=own),
    st.builds(ToolCallPart, id=ids, name=words, extra=own),
)
odd_messages = st.builds(
    Message, st.sampled_from(list(by_role)), st.lists(odd, max_size=2), extra=own
)


def rules(body, model):
    """What the host would refuse."""
    turns = body["contents"]
    assert turns
    for turn in turns:
        assert turn["role"] in {"user", "model"}
        assert turn["parts"]
        assert all(turn["parts"])
    # Results of one turn stand together, and hold nothing else.
    answers = [any("functionResponse" in part for part in turn["parts"]) for turn in turns]
    for turn, answered in zip(turns, answers, strict=True):
        assert all("functionResponse" in part for part in turn["parts"]) == answered
    assert not any(one and other for one, other in itertools.pairwise(answers))
    if model == "gemini-3-pro":
        for turn in turns:
            made = [part for part in turn["parts"] if "functionCall" in part]
            assert not made or made[0]["thoughtSignature"]
    if model == "gemini-3.6-flash" and turns[-1]["role"] == "model":
        assert "text" not in turns[-1]["parts"][-1]


@settings(max_examples=200)
@given(
    model=st.sampled_from(MODELS),
    talk=st.lists(messages, min_size=2, max_size=7),
    odd=st.lists(odd_messages, max_size=1),
    fields=junk,
    drop=st.sampled_from([True, True, False]),
)
def test_any_conversation_is_a_body_or_an_error(model, talk, odd, fields, drop):
    talk = [*odd, *talk]
    schema = fields if isinstance(fields, dict) else {}
    request = Generate(
        model=f"google:{model}",
        messages=talk,
        output=JsonSchema(schema),
        tools=[Tool("f", parameters=schema)],
        unsupported="drop" if drop else "error",
    )
    count = CountTokens(model=request.model, messages=talk, tools=request.tools)
    row = model_of(model)
    for make in (
        lambda: body_of(request, row, ("google",), Losses(request, "x")),
        lambda: count_body(count, row, ("google",), Losses(count, "x"), ""),
    ):
        try:
            body = make()
            dumps(body)
        except (BadRequest, UnsupportedFeature):
            continue
        if not odd:  # a caller's own fields may break any rule
            rules(body, model if "generationConfig" in body else "")


async def test_what_only_the_system_said_is_said_by_a_user(wire):
    body, warnings = await wire.sent([("system", "Tell a joke.")])
    assert body == {"contents": [{"role": "user", "parts": [{"text": "Tell a joke."}]}]}
    assert warnings == ("google takes no system message alone: a user says it",)


@pytest.mark.parametrize("message", [Message("user", ()), Message("assistant", TextPart(""))])
async def test_nothing_said_is_an_error(wire, message):
    with pytest.raises(BadRequest, match="add a user's message"):
        await wire.sent([message])


async def test_an_answer_that_was_begun(wire):
    """Newer models refuse one; older ones take it as it is."""
    talk = ["hi", ("assistant", "Well, \n")]
    body, _ = await wire.sent(talk, model="gemini-2.0-flash")
    assert body["contents"][-1] == {"role": "model", "parts": [{"text": "Well, \n"}]}
    for model in ("gemini-3.6-flash", "gemini-3.5-flash-lite", "gemini-3.7-pro"):
        with pytest.raises(UnsupportedFeature, match="an answer that was begun for it"):
            await wire.sent(talk, model=model)
        body, warnings = await wire.sent(talk, model=model, unsupported="drop")
        assert [turn["role"] for turn in body["contents"]] == ["user"]
        assert len(warnings) == 1


async def test_a_history_that_ends_with_an_answer_is_counted(wire):
    answer = wire.whole({"totalTokens": 3})
    async with wire.client(answer, model="gemini-3.6-flash") as (client, server):
        assert (await client.count_tokens(["hi", ("assistant", "yes")])).tokens == 3
    roles = [turn["role"] for turn in server.requests[0].json()["contents"]]
    assert roles == ["user", "model"]


@pytest.mark.parametrize("place", ["part", "message", "tool"])
async def test_fields_of_a_part_are_an_object(wire, place):
    own = {"google": ["thoughtSignature"]}
    part = TextPart("a", extra=own if place == "part" else {})
    talk = [Message("user", part, extra=own if place == "message" else {})]
    tools = [Tool("f", extra=own if place == "tool" else {})]
    with pytest.raises(BadRequest, match="expected an object"):
        await wire.sent(talk, tools=tools)
