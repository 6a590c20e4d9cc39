"""Friendly forms become the strict one, and what can't is refused in one clear sentence."""

import base64

import pytest

from llmmw import (
    MediaPart,
    Message,
    ReasoningPart,
    TextPart,
    ToolCallPart,
    ToolResultPart,
)
from llmmw._messages import message_of
from llmmw.errors import BadRequest

PNG = b"\x89PNG\r\n\x1a\n" + b"\0" * 8


@pytest.mark.parametrize(
    "form",
    [
        "hi",
        ("user", "hi"),
        {"role": "user", "content": "hi"},
        {"role": "user", "content": [{"type": "text", "text": "hi"}]},
        TextPart("hi"),
        Message("user", "hi"),
        Message("user", [TextPart("hi")]),
    ],
)
def test_every_friendly_form_is_one_message(form: object) -> None:
    assert message_of(form) == Message("user", (TextPart("hi"),))


def test_a_turn_with_tools_in_the_form_of_compatible_hosts() -> None:
    call = {"id": "1", "type": "function", "function": {"name": "add", "arguments": '{"a": 1}'}}
    asked = message_of({"role": "assistant", "content": None, "tool_calls": [call]})
    assert asked.parts == (ToolCallPart(id="1", name="add", arguments='{"a": 1}'),)
    assert asked.parts[0].parse() == {"a": 1}
    answered = message_of({"role": "tool", "tool_call_id": "1", "content": "2"})
    assert answered.parts == (ToolResultPart(call_id="1", content=(TextPart("2"),)),)


def test_reasoning_and_refusal_are_no_text() -> None:
    message = message_of(
        {"role": "assistant", "content": "yes", "reasoning": "hm", "refusal": "no"}
    )
    assert message.text == "yes"
    assert message.parts == (ReasoningPart("hm"), TextPart("yes"), TextPart("no", refusal=True))


def test_the_developer_role_is_the_system_role() -> None:
    assert message_of({"role": "developer", "content": "x"}).role == "system"


def test_inline_images_and_links() -> None:
    data = base64.b64encode(PNG).decode()
    url = f"data:image/png;base64,{data}"
    blocks = [
        {"type": "image_url", "image_url": {"url": url, "detail": "low"}},
        {"type": "image_url", "image_url": "https://example.org/cat.jpg?x=1"},
        {"type": "input_audio", "input_audio": {"data": data, "format": "wav"}},
        {"type": "file", "file": {"file_id": "f1"}},
    ]
    inline, link, audio, file = message_of({"role": "user", "content": blocks}).parts
    assert inline == MediaPart(media_type="image/png", data=PNG, detail="low")
    assert link == MediaPart(media_type="image/jpeg", url="https://example.org/cat.jpg?x=1")
    assert audio == MediaPart(media_type="audio/wav", data=PNG)
    assert file == MediaPart(media_type="application/octet-stream", file_id="f1")


@pytest.mark.parametrize(
    ("form", "says"),
    [
        (7, "can't take 7 for a message"),
        ({"content": "hi"}, 'no "role"'),
        ({"role": "user", "contents": "hi"}, "unknown 'contents'"),
        ({"role": "robot", "content": "hi"}, "unknown role 'robot'"),
        ({"role": "user", "content": 3}, "can't take 3"),
        ({"role": "user", "content": [{"type": "smell"}]}, "unknown content block type 'smell'"),
        ({"role": "user", "content": [{"type": "text"}]}, "not well formed"),
        (
            {"role": "user", "content": [{"type": "image_url", "image_url": "data:image/png,x"}]},
            "must be base64",
        ),
        ({"role": "assistant", "tool_calls": [{"id": "1"}]}, "for a tool call"),
    ],
)
def test_what_is_no_message_says_why(form: object, says: str) -> None:
    with pytest.raises(BadRequest) as caught:
        message_of(form)
    assert says in str(caught.value)


def test_arguments_that_are_no_json_name_the_tool() -> None:
    assert ToolCallPart(id="1", name="add").parse() == {}
    with pytest.raises(BadRequest, match="'add'"):
        ToolCallPart(id="1", name="add", arguments="{").parse()


def test_files_are_told_by_their_first_bytes(tmp_path) -> None:
    image = tmp_path / "photo.jpg"
    image.write_bytes(PNG)
    assert MediaPart.from_file(image) == MediaPart(
        media_type="image/png", data=PNG, filename="photo.jpg"
    )
    image.write_bytes(b"not an image")
    with pytest.raises(BadRequest, match="no readable image"):
        MediaPart.from_file(image)
    with pytest.raises(BadRequest, match="No such file"):
        MediaPart.from_file(tmp_path / "gone.png")


def test_media_has_exactly_one_source() -> None:
    with pytest.raises(BadRequest, match="exactly one"):
        MediaPart(media_type="image/png")
    with pytest.raises(BadRequest, match="bytes, not str; see from_file"):
        MediaPart(media_type="image/png", data="cat.png")
    assert "3 bytes" in repr(MediaPart(media_type="image/png", data=b"abc"))
