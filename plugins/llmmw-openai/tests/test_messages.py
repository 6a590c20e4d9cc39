"""Messages as the wire has them. Pure."""

from __future__ import annotations

import pytest
from llmmw_openai._messages import messages_of
from llmmw_openai._presets import PRESETS

from llmmw import (
    CachePoint,
    Generate,
    MediaPart,
    Message,
    OpaquePart,
    ReasoningPart,
    TextPart,
    ToolCallPart,
    ToolResultPart,
)
from llmmw.errors import UnsupportedFeature
from llmmw.wire import Losses

pytestmark = pytest.mark.plugins

PNG = MediaPart(media_type="image/png", data=b"png")
PNG_SENT = {"type": "image_url", "image_url": {"url": "data:image/png;base64,cG5n"}}
CALL = ToolCallPart(id="i", name="f", arguments='{"a":1}')
CALL_SENT = {"id": "i", "type": "function", "function": {"name": "f", "arguments": '{"a":1}'}}


def sent(*messages, preset="openai", warnings=()):
    made = [one if isinstance(one, Message) else Message(*one) for one in messages]
    losses = Losses(Generate(messages=made), preset)
    told = messages_of(made, PRESETS[preset], losses)
    assert len(losses.warnings) == len(warnings)
    for said, wanted in zip(losses.warnings, warnings, strict=True):
        assert wanted in said
    return told


def test_texts_stay_texts():
    assert sent(
        ("system", "be brief"),
        ("user", [TextPart("a"), CachePoint(), TextPart("b")]),
        ("assistant", "c"),
        Message("user", "d", name="Ann", extra={"openai": {"x": 1}, "groq": {"y": 2}}),
    ) == [
        {"role": "system", "content": "be brief"},
        {"role": "user", "content": "ab"},
        {"role": "assistant", "content": "c"},
        {"role": "user", "content": "d", "name": "Ann", "x": 1},
    ]


@pytest.mark.parametrize(
    ("part", "block"),
    [
        (PNG, PNG_SENT),
        (
            MediaPart(media_type="image/png", url="https://x/y.png", detail="low"),
            {"type": "image_url", "image_url": {"url": "https://x/y.png", "detail": "low"}},
        ),
        (
            MediaPart(media_type="audio/mpeg", data=b"mp3"),
            {"type": "input_audio", "input_audio": {"data": "bXAz", "format": "mp3"}},
        ),
        (
            MediaPart(media_type="audio/wav", data=b"wav"),
            {"type": "input_audio", "input_audio": {"data": "d2F2", "format": "wav"}},
        ),
        (
            MediaPart(media_type="application/pdf", data=b"pdf", filename="a.pdf"),
            {
                "type": "file",
                "file": {"filename": "a.pdf", "file_data": "data:application/pdf;base64,cGRm"},
            },
        ),
        (
            MediaPart(media_type="application/pdf", data=b"pdf"),
            {
                "type": "file",
                "file": {"filename": "file.pdf", "file_data": "data:application/pdf;base64,cGRm"},
            },
        ),
        (
            MediaPart(media_type="application/pdf", file_id="file-1"),
            {"type": "file", "file": {"file_id": "file-1"}},
        ),
        (
            MediaPart(media_type="video/mp4", url="https://x/y.mp4"),
            {"type": "video_url", "video_url": {"url": "https://x/y.mp4"}},
        ),
        (
            TextPart("a", extra={"openai": {"prompt_cache_breakpoint": {"mode": "explicit"}}}),
            {"type": "text", "text": "a", "prompt_cache_breakpoint": {"mode": "explicit"}},
        ),
        (
            OpaquePart(provider="openai", type="new", data={"type": "new", "b": 2}),
            {"type": "new", "b": 2},
        ),
    ],
)
def test_blocks(part, block):
    (message,) = sent(("user", [TextPart("see"), part]))
    assert message == {"role": "user", "content": [{"type": "text", "text": "see"}, block]}


def test_mistral_takes_a_document_by_its_address():
    pdf = MediaPart(media_type="application/pdf", data=b"pdf")
    far = MediaPart(media_type="application/pdf", url="https://x/y.pdf")
    (message,) = sent(("user", [pdf, far]), preset="mistral-openai")
    assert message["content"] == [
        {"type": "document_url", "document_url": "data:application/pdf;base64,cGRm"},
        {"type": "document_url", "document_url": "https://x/y.pdf"},
    ]


@pytest.mark.parametrize(
    ("role", "part", "said"),
    [
        ("user", MediaPart(media_type="audio/wav", url="https://x"), "can't be sent by a URL"),
        ("user", MediaPart(media_type="audio/ogg", data=b"x"), "audio/ogg can't be sent inline"),
        ("user", MediaPart(media_type="application/pdf", url="https://x"), "by a URL"),
        ("system", PNG, "a system message takes no media part"),
        ("user", CALL, "a user message takes no tool call part"),
        ("tool", TextPart("x"), "tool results, not a text part"),
    ],
)
def test_what_has_no_place_is_an_error(role, part, said):
    with pytest.raises(UnsupportedFeature, match=said):
        sent((role, [part]))


def test_a_block_of_another_host_is_left_out_and_told():
    block = OpaquePart(provider="anthropic", type="thinking", data={"secret": 1})
    told = sent(("user", [TextPart("a"), block]), warnings=["anthropic (thinking)"])
    assert told == [{"role": "user", "content": "a"}]


def test_an_assistant_with_calls_or_a_refusal():
    custom = ToolCallPart(id="c", name="g", arguments="raw", custom=True)
    signed = ToolCallPart(id="s", name="h", extra={"openai": {"extra_content": {"g": 1}}})
    told = sent(
        ("assistant", [TextPart("let me see"), CALL]),
        ("assistant", [custom, signed]),
        ("assistant", [TextPart("no", refusal=True)]),
        ("assistant", []),
    )
    assert told == [
        {"role": "assistant", "content": "let me see", "tool_calls": [CALL_SENT]},
        {
            "role": "assistant",
            "content": None,
            "tool_calls": [
                {"id": "c", "type": "custom", "custom": {"name": "g", "input": "raw"}},
                {
                    "id": "s",
                    "type": "function",
                    "function": {"name": "h", "arguments": "{}"},
                    "extra_content": {"g": 1},
                },
            ],
        },
        {"role": "assistant", "content": None, "refusal": "no"},
        {"role": "assistant", "content": ""},
    ]


def test_audio_of_an_assistant_goes_back_by_its_id():
    spoken = MediaPart(media_type="audio/wav", data=b"x", extra={"openai": {"id": "audio-1"}})
    assert sent(("assistant", [spoken])) == [
        {"role": "assistant", "content": None, "audio": {"id": "audio-1"}}
    ]


def test_results_of_tools():
    results = [
        ToolResultPart(call_id="1", content="sunny"),
        ToolResultPart(call_id="2", content=[TextPart("a"), TextPart("b")]),
    ]
    assert sent(("tool", results)) == [
        {"role": "tool", "tool_call_id": "1", "content": "sunny"},
        {"role": "tool", "tool_call_id": "2", "content": "ab"},
    ]


def test_media_of_results_follow_the_last_result_of_a_row():
    told = sent(
        ("tool", [ToolResultPart(call_id="1", content=[PNG])]),
        ("tool", [ToolResultPart(call_id="2", content=[TextPart("b"), PNG])]),
        ("assistant", "seen"),
    )
    assert told == [
        {"role": "tool", "tool_call_id": "1", "content": "(see the user's next message)"},
        {"role": "tool", "tool_call_id": "2", "content": "b"},
        {
            "role": "user",
            "content": [
                {"type": "text", "text": "Of the tool result 1:"},
                PNG_SENT,
                {"type": "text", "text": "Of the tool result 2:"},
                PNG_SENT,
            ],
        },
        {"role": "assistant", "content": "seen"},
    ]
    assert sent(("tool", [ToolResultPart(call_id="1", content=[PNG])]))[-1]["role"] == "user"


RESULT = Message("tool", [ToolResultPart(call_id="i", content="r")])


@pytest.mark.parametrize(
    ("preset", "field"),
    [
        ("deepseek", "reasoning_content"),
        ("moonshot", "reasoning_content"),
        ("zai", "reasoning_content"),
        ("openai", None),
        ("groq", None),
    ],
)
def test_reasoning_goes_back_within_a_loop_of_tools_only(preset, field):
    thought = Message("assistant", [ReasoningPart("hm "), ReasoningPart("so"), CALL])
    said = Message("assistant", [ReasoningPart("old"), TextPart("x")])
    told = sent(("user", "a"), said, ("user", "b"), thought, RESULT, preset=preset)
    assert set(told[1]) == {"role", "content"}
    assert told[3].get("reasoning_content") == ("hm so" if field else None)


def test_blocks_of_reasoning_go_back_as_they_came():
    details = [{"type": "reasoning.encrypted", "data": "e", "index": 0}]
    part = ReasoningPart("t", extra={"openrouter": {"reasoning_details": details}})
    (message,) = sent(("assistant", [part, TextPart("x")]), preset="openrouter")
    assert message["reasoning_details"] == details
    (message,) = sent(("assistant", [part, TextPart("x")]), preset="groq")
    assert "reasoning_details" not in message
