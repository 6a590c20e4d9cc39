"""Messages as the wire has them."""

from __future__ import annotations

import base64

import pytest

from llmmw import (
    CachePoint,
    Citation,
    MediaPart,
    Message,
    OpaquePart,
    ReasoningPart,
    TextPart,
    ToolCallPart,
    ToolResultPart,
)
from llmmw.errors import BadRequest, UnsupportedFeature

pytestmark = pytest.mark.plugins

DATA = base64.b64encode(b"1234").decode()


def turns(wire, *messages, **more):
    return wire.body(list(messages), **more)["messages"]


def content(wire, *parts, role="user", **more):
    """The blocks of one message that stands between others."""
    if role == "user":
        return turns(wire, Message("user", parts), **more)[0]["content"]
    return turns(wire, "hi", Message(role, parts), "so?", **more)[1]["content"]


def test_roles_alternate(wire):
    told = turns(wire, ("system", "s"), "a", "b", ("assistant", "c"), ("assistant", "d"), "e")
    assert [(one["role"], [b["text"] for b in one["content"]]) for one in told] == [
        ("user", ["a", "b"]),
        ("assistant", ["c", "d"]),
        ("user", ["e"]),
    ]
    body = wire.body([("system", "s"), ("system", "t"), "a"])
    assert body["system"] == [{"text": "s"}, {"text": "t"}]


def test_texts_that_say_nothing_are_left_out(wire):
    assert content(wire, TextPart(" \n"), TextPart("a"), TextPart("")) == [{"text": "a"}]
    with pytest.raises(BadRequest, match="add a user's message"):
        wire.body([("user", " ")])


def test_a_system_message_alone_and_one_between_others(wire):
    notes = []
    body = wire.body([("system", "s")], notes=notes)
    assert body == {"messages": [{"role": "user", "content": [{"text": "s"}]}]}
    inside = ["a", ("system", "s"), "b"]
    told = wire.body(inside, notes=notes)["messages"]
    assert [b["text"] for b in told[0]["content"]] == ["a", "<system>", "s", "</system>", "b"]
    assert len(notes) == 2
    told = turns(wire, *inside, model="anthropic.claude-opus-4-8")
    assert [one["role"] for one in told] == ["user", "system", "user"]


@pytest.mark.parametrize(
    ("media_type", "block"),
    [
        ("image/png", {"image": {"format": "png"}}),
        ("image/jpeg", {"image": {"format": "jpeg"}}),
        ("video/mp4", {"video": {"format": "mp4"}}),
        ("video/3gpp", {"video": {"format": "three_gp"}}),
        ("audio/mpeg", {"audio": {"format": "mp3"}}),
        ("application/pdf", {"document": {"format": "pdf", "name": "Document"}}),
        ("text/csv", {"document": {"format": "csv", "name": "Document"}}),
        ("text/x-python", {"document": {"format": "txt", "name": "Document"}}),
        ("application/json", {"document": {"format": "txt", "name": "Document"}}),
    ],
)
def test_media(wire, media_type, block):
    ((kind, fields),) = block.items()
    told = content(wire, MediaPart(media_type=media_type, data=b"1234"))
    assert told == [{kind: fields | {"source": {"bytes": DATA}}}]
    told = content(wire, MediaPart(media_type=media_type, url="s3://b/k"))
    assert told == [{kind: fields | {"source": {"s3Location": {"uri": "s3://b/k"}}}}]


@pytest.mark.parametrize(
    ("media_type", "place"),
    [
        ("image/tiff", {"data": b"1"}),
        ("application/zip", {"data": b"1"}),
        ("video/ogg", {"data": b"1"}),
        ("image/png", {"url": "https://x.example/a.png"}),
        ("image/png", {"file_id": "file-1"}),
    ],
)
def test_media_that_it_can_not_take(wire, media_type, place):
    with pytest.raises(UnsupportedFeature, match="can't be sent"):
        content(wire, MediaPart(media_type=media_type, **place))


def test_what_documents_are_called(wire):
    names = ["/tmp/my report.v2.pdf", "a_b!!.pdf", "a b.pdf", None, "über.pdf", "noend"]
    parts = [MediaPart(media_type="application/pdf", data=b"1", filename=one) for one in names]
    told = [block["document"]["name"] for block in content(wire, *parts)]
    assert told == ["my report v2", "a b", "a b 2", "Document", "ber", "noend"]


def test_more_of_a_document(wire):
    extra = {"bedrock": {"context": "c", "citations": {"enabled": True}}}
    part = MediaPart(media_type="application/pdf", data=b"1234", extra=extra)
    (block,) = content(wire, part)
    fields = {"format": "pdf", "name": "Document", "source": {"bytes": DATA}}
    assert block == {"document": fields | extra["bedrock"]}


def test_cache_points(wire):
    point = {"cachePoint": {"type": "default"}}
    hour = {"cachePoint": {"type": "default", "ttl": "1h"}}
    asked = [Message("system", ("s", CachePoint())), Message("user", ("a", CachePoint("1h"), "b"))]
    body = wire.body(asked)
    assert body["system"] == [{"text": "s"}, point]
    assert body["messages"][0]["content"] == [{"text": "a"}, hour, {"text": "b"}]
    # One that stands first ends what was said before.
    body = wire.body([("system", "s"), Message("user", (CachePoint(), CachePoint(), "a"))])
    assert body["system"] == [{"text": "s"}, point]
    notes = []
    wire.body([Message("user", (CachePoint(), "a"))], notes=notes)
    assert notes == ["bedrock has nothing before a cache point that could be cached"]


def test_calls_and_results(wire):
    calls = [ToolCallPart(id=one, name="f", arguments='{"a": 1}') for one in ("t:1", "über", "")]
    image = MediaPart(media_type="image/png", data=b"1234")
    results = [
        ToolResultPart(call_id="t:1", content=("ok", " ", image)),
        ToolResultPart(call_id="über", content="no", is_error=True),
    ]
    told = turns(
        wire,
        "hi",
        Message("assistant", calls),
        Message("user", ("and",)),
        Message("tool", results[:1]),
        Message("tool", (results[1], CachePoint())),
        "go",
        tools=[{"name": "f"}],
    )
    ids = [block["toolUse"]["toolUseId"] for block in told[1]["content"]]
    assert ids[0] == "t:1"
    assert all(one.startswith("tooluse_") and one.isascii() for one in ids[1:])
    assert told[1]["content"][0]["toolUse"]["input"] == {"a": 1}
    assert told[2]["content"] == [
        {
            "toolResult": {
                "toolUseId": "t:1",
                "content": [
                    {"text": "ok"},
                    {"image": {"format": "png", "source": {"bytes": DATA}}},
                ],
            }
        },
        {"toolResult": {"toolUseId": ids[1], "content": [{"text": "no"}], "status": "error"}},
        {"cachePoint": {"type": "default"}},
        {"text": "and"},
        {"text": "go"},
    ]


@pytest.mark.parametrize("arguments", ["[1", '"x"', "7", "[" * 2000])
def test_arguments_that_are_no_object(wire, arguments):
    notes = []
    call = ToolCallPart(id="t", name="f", arguments=arguments)
    told = content(wire, call, role="assistant", tools=[{"name": "f"}], notes=notes)
    assert told[0]["toolUse"]["input"] == {"arguments": arguments}
    assert "as a text: they are no JSON object" in notes[0]


def test_thoughts_go_back_to_who_signed_them(wire):
    notes = []
    parts = (
        ReasoningPart("mine", signature="s"),
        ReasoningPart(redacted=True, encrypted="U0VB"),
        ReasoningPart("unsigned"),
        ReasoningPart("of another", signature="s", extra={"google": {"x": 1}}),
        TextPart("x"),
    )
    assert content(wire, *parts, role="assistant", notes=notes) == [
        {"reasoningContent": {"reasoningText": {"text": "mine", "signature": "s"}}},
        {"reasoningContent": {"redactedContent": "U0VB"}},
        {"text": "x"},
    ]
    assert notes == ["bedrock is not shown reasoning that it did not sign: left out"]


@pytest.mark.parametrize(
    ("model", "shown"),
    [
        ("us.anthropic.claude-opus-4-8", True),
        ("us.amazon.nova-2-lite-v1:0", True),
        ("arn:aws:bedrock:us-east-1:1:application-inference-profile/ab12", True),
        ("openai.gpt-oss-120b-1:0", False),
        ("us.deepseek.r1-v1:0", False),
        ("qwen.qwen3-32b-v1:0", False),
        ("amazon.nova-lite-v1:0", False),
    ],
)
def test_a_model_that_signs_nothing_is_not_shown_the_signed_thoughts_of_another(wire, model, shown):
    notes = []
    thought = ReasoningPart("of Claude", signature="s")
    told = content(wire, thought, TextPart("x"), role="assistant", model=model, notes=notes)
    assert [next(iter(block)) for block in told] == ["reasoningContent"] * shown + ["text"]
    assert len(notes) == (not shown)


def test_only_tools_that_were_called_are_declared_in_name(wire):
    call = Message("assistant", (ToolCallPart(id="t", name="f", arguments="{}"),))
    result = Message("user", (ToolResultPart(call_id="t", content="ok"),))
    for messages, names in ((["hi", call, result], ["f"]), (["hi", result], ["tool"])):
        told = wire.body(messages, notes=[])["toolConfig"]["tools"]
        assert [one["toolSpec"]["name"] for one in told] == names


def test_a_result_of_a_tool_takes_no_sound(wire):
    call = ToolCallPart(id="t", name="f", arguments="{}")
    sound = MediaPart(media_type="audio/wav", data=b"1234")
    result = Message("user", (ToolResultPart(call_id="t", content=(sound,)),))
    with pytest.raises(UnsupportedFeature, match="takes no sound"):
        turns(wire, "hi", Message("assistant", (call,)), result)


def test_blocks_of_this_host_and_of_others(wire):
    notes = []
    block = {"guardContent": {"text": {"text": "x"}}}
    ours = OpaquePart(provider="bedrock", type="guardContent", data=block)
    other = OpaquePart(provider="google", type="executableCode", data={"a": 1})
    served = ToolCallPart(id="t", name="web", server=True)
    assert content(wire, ours, other, "a", notes=notes) == [block, {"text": "a"}]
    assert content(wire, "a", served, role="assistant", notes=notes) == [{"text": "a"}]
    assert len(notes) == 2


def test_citations_go_back(wire):
    source = {"title": "T", "location": {"documentPage": {"documentIndex": 0}}}
    cited = TextPart("So.", citations=[Citation(title="T", extra={"bedrock": source})])
    told = {"content": [{"text": "So."}], "citations": [source]}
    assert content(wire, cited, role="assistant") == [{"citationsContent": told}]
    foreign = TextPart("So.", citations=[Citation(url="u")])
    assert content(wire, foreign, role="assistant") == [{"text": "So."}]


def test_media_of_an_answer_are_shown_by_the_user(wire):
    image = MediaPart(media_type="image/png", data=b"1234")
    told = turns(wire, "draw", Message("assistant", ("Here", image)), "again")
    assert [list(block) for block in told[2]["content"]] == [["text"], ["text"], ["image"]]
    assert told[1]["content"] == [{"text": "Here"}]
    alone = turns(wire, "draw", Message("assistant", (image,)))
    assert [one["role"] for one in alone] == ["user"]


@pytest.mark.parametrize(
    ("role", "part"),
    [
        ("user", ToolCallPart(id="t", name="f")),
        ("assistant", ToolResultPart(call_id="t")),
        ("user", ReasoningPart("x", signature="s")),
        ("system", MediaPart(media_type="image/png", data=b"1")),
    ],
)
def test_parts_in_turns_that_can_not_hold_them(wire, role, part):
    with pytest.raises(UnsupportedFeature, match=f"a {role} turn takes no"):
        wire.body([Message(role, (part,)), "hi"])


def test_fields_of_a_message_and_names(wire):
    notes = []
    message = Message("user", "hi", name="Ann", extra={"bedrock": {"later": 1}})
    (turn,) = wire.body([message], notes=notes)["messages"]
    assert turn["later"] == 1
    assert notes == ["bedrock does not tell the model the name of a message"]


def test_an_answer_that_was_begun_is_one_before_a_cache_point_too(wire):
    begun = ["hi", Message("assistant", (TextPart("Well, "), CachePoint()))]
    assert turns(wire, *begun)[1]["content"][0] == {"text": "Well,"}
    with pytest.raises(UnsupportedFeature, match="an answer that was begun"):
        turns(wire, *begun, model="anthropic.claude-opus-4-8")


def test_fields_of_a_system_message_have_no_place(wire):
    messages = [Message("system", "s", extra={"bedrock": {"later": 1}}), "hi"]
    with pytest.raises(UnsupportedFeature, match="fields of a system message"):
        wire.body(messages)
    notes = []
    body = wire.body(messages, notes=notes, unsupported="drop")
    assert body["system"] == [{"text": "s"}]
    assert len(notes) == 1
