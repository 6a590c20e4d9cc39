"""Whatever is asked becomes JSON, or an error of ours."""

from __future__ import annotations

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from llmmw_mistral._models import model_of
from llmmw_mistral._request import begun_in, body_of, embed_body

from llmmw import (
    CachePoint,
    Citation,
    Embed,
    Generate,
    MediaPart,
    Message,
    OpaquePart,
    ReasoningPart,
    ServerTool,
    TextPart,
    Tool,
    ToolCallPart,
    ToolNames,
    ToolResultPart,
)
from llmmw.errors import LLMError
from llmmw.wire import Losses, dumps

pytestmark = pytest.mark.plugins

text = st.text(max_size=3)
values = st.none() | st.booleans() | st.integers(-9, 9) | text
words = st.sampled_from(["content", "text", "type", "thinking", "role", "messages", "prefix"])
fields = st.dictionaries(text | words, values | st.lists(values, max_size=2), max_size=2)
names = st.sampled_from(["mistral", "mistral", "openai"])
extras = st.dictionaries(names, fields | values, max_size=2)
types = st.sampled_from(["image/png", "audio/wav", "audio/odd", "video/mp4", "text/x", "x/y;z"])
media = st.one_of(
    st.builds(MediaPart, media_type=types, url=st.just("http://x/y"), extra=extras),
    st.builds(MediaPart, media_type=types, data=st.binary(max_size=3), extra=extras),
    st.builds(MediaPart, media_type=types, file_id=st.just("f"), extra=extras),
)
cites = st.lists(st.builds(Citation, extra=extras), max_size=2)
texts = st.builds(TextPart, text, refusal=st.booleans(), citations=cites, extra=extras)
opaque = st.builds(OpaquePart, provider=names, type=text, data=fields)
result = st.builds(
    ToolResultPart,
    call_id=text,
    content=st.lists(texts | media, max_size=3),
    is_error=st.booleans(),
    server=st.booleans(),
    extra=extras,
)
call = st.builds(
    ToolCallPart, id=text, name=text, arguments=text, server=st.booleans(), extra=extras
)
thought = st.builds(ReasoningPart, text, signature=st.none() | text, extra=extras)
parts = st.one_of(texts, media, opaque, result, call, thought, st.just(CachePoint()))
roles = st.sampled_from(["system", "user", "assistant", "tool"])
messages = st.lists(
    st.builds(Message, roles, st.lists(parts, max_size=3), extra=extras), min_size=1, max_size=4
)
tools = st.lists(st.sampled_from([Tool("f"), Tool("g"), ServerTool("s", "openai")]), max_size=3)
choices = st.none() | st.sampled_from(["auto", "none", "required", ToolNames("f"), ToolNames(())])


@settings(max_examples=400)
@given(
    model=st.sampled_from(["magistral-x", "codestral-x", "m"]),
    messages=messages,
    tools=tools,
    choice=choices,
    extra=st.dictionaries(names, fields, max_size=2),
    drop=st.booleans(),
)
def test_it_is_json_or_an_error_of_ours(model, messages, tools, choice, extra, drop):
    beside = {"extra": extra, "unsupported": "drop" if drop else "error", "model": f"x:{model}"}
    asked = Generate(messages=messages, tools=tools, tool_choice=choice, **beside)
    vectors = Embed(inputs=["a", ""], purpose="query", **beside)
    names = ("mistral",)
    for body in (
        lambda: body_of(asked, model_of(model), Losses(asked, "x"), stream=True, extra=names),
        lambda: embed_body(vectors, vectors.inputs, Losses(vectors, "x"), extra=names),
    ):
        try:
            told = body()
        except LLMError:
            continue
        assert isinstance(json.loads(dumps(told)), dict)
        assert isinstance(begun_in(told), str)


SILENT = [
    [Message("system", (TextPart("Be brief."),))],
    [Message("user", ())],
    [Message("user", (TextPart(""),))],
]


@pytest.mark.parametrize("talk", SILENT)
def test_a_conversation_that_says_little_is_sent_as_it_is(wire, talk):
    said = [(one["role"], one["content"]) for one in wire.sent(*talk)]
    assert said == [(one.role, "".join(part.text for part in one.parts)) for one in talk]
