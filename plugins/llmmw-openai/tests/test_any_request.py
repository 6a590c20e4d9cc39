"""Whatever request is valid becomes JSON, or an error of ours; and nothing is asked of nothing."""

from __future__ import annotations

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from llmmw_openai._presets import PRESETS
from llmmw_openai._request import body_of, embed_body
from llmmw_openai._responses_request import count_body, responses_body

from llmmw import (
    CachePoint,
    CountTokens,
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
words = st.sampled_from(["item", "block", "id", "include", "messages", "text", "reasoning", "n"])
fields = st.dictionaries(text | words, values | st.lists(values, max_size=2), max_size=2)
names = st.sampled_from(["openai", "openai-responses", "mistral", "anthropic"])
hosts = st.sampled_from(["openai", "openai", "mistral-openai"]) | st.sampled_from(sorted(PRESETS))
extras = st.dictionaries(names, fields, max_size=2)
types = st.sampled_from(["image/png", "audio/wav", "audio/ogg", "video/mp4", "text/x", "x/y;z"])
media = st.one_of(
    st.builds(MediaPart, media_type=types, url=st.just("http://x/y"), extra=extras),
    st.builds(MediaPart, media_type=types, data=st.binary(max_size=3), extra=extras),
    st.builds(MediaPart, media_type=types, file_id=st.just("f"), extra=extras),
)
texts = st.builds(TextPart, text, refusal=st.booleans(), extra=extras)
opaque = st.builds(OpaquePart, provider=names, type=text, data=fields)
result = st.builds(
    ToolResultPart,
    call_id=text,
    content=st.lists(texts | media, max_size=3),
    is_error=st.booleans(),
)
custom = st.booleans()
call = st.builds(ToolCallPart, id=text, name=text, arguments=text, custom=custom, extra=extras)
formats = st.sampled_from(["summary", "raw"])
thought = st.builds(ReasoningPart, text, signature=st.none() | text, format=formats, extra=extras)
parts = st.one_of(texts, media, opaque, result, call, thought, st.just(CachePoint()))
roles = st.sampled_from(["system", "user", "assistant", "tool"])
messages = st.lists(st.builds(Message, roles, st.lists(parts, max_size=3)), min_size=1, max_size=4)
tools = st.lists(st.sampled_from([Tool("f"), Tool("g"), ServerTool("s", "openai")]), max_size=3)
choices = st.none() | st.sampled_from(["auto", "none", "required", ToolNames("f"), ToolNames(())])


def bodies(request, preset, stream):
    """All that a host can be asked for by a request."""
    losses = Losses(request, preset.name)
    extra = (preset.host, preset.own)
    if isinstance(request, Embed):
        yield lambda: embed_body(request, request.inputs, preset, losses, extra=extra)
    elif isinstance(request, CountTokens):
        yield lambda: count_body(request, preset, losses, extra=extra)
    else:
        yield lambda: body_of(request, preset, losses, stream=stream, extra=extra)
        if request.prompt is None:
            yield lambda: responses_body(request, preset, losses, stream=stream, extra=extra)


@settings(max_examples=400)
@given(
    preset=hosts,
    messages=messages,
    tools=tools,
    choice=choices,
    extra=extras,
    drop=st.booleans(),
    stream=st.booleans(),
)
def test_it_is_json_or_an_error_of_ours(preset, messages, tools, choice, extra, drop, stream):
    beside = {"extra": extra, "unsupported": "drop" if drop else "error", "model": "x:m"}
    requests = [
        Generate(messages=messages, tools=tools, tool_choice=choice, **beside),
        CountTokens(messages=messages, tools=tools, **beside),
        Embed(inputs=["a", ""], purpose="query", **beside),
    ]
    for request in requests:
        for body in bodies(request, PRESETS[preset], stream):
            try:
                told = body()
            except LLMError:
                continue
            assert isinstance(json.loads(dumps(told)), dict)


SILENT = [
    [Message("system", (TextPart("Be brief."),))],
    [Message("user", ())],
    [Message("user", (TextPart(""),))],
    [Message("user", (TextPart("a"),)), Message("assistant", ())],
]


@pytest.mark.parametrize("talk", SILENT)
@pytest.mark.parametrize("api", ["chat", "responses"])
async def test_a_conversation_that_says_little_is_sent_as_it_is(wire, talk, api):
    whole = wire.chat({"content": "x"}) | wire.response(
        [{"type": "message", "content": [{"type": "output_text", "text": "x"}]}]
    )
    async with wire.client(wire.whole(whole), api=api) as (client, server):
        assert (await client.ask(talk)).text == "x"
    sent = server.requests[0].json()
    told = sent["messages" if api == "chat" else "input"]
    said = [(one["role"], one["content"]) for one in told]
    wanted = [(one.role, "".join(part.text for part in one.parts)) for one in talk]
    if api == "responses":  # an answer of no items has none
        wanted = [one for one in wanted if one != ("assistant", "")]
    assert said == wanted
