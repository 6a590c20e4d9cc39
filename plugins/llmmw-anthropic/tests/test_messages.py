"""Conversations as the wire has them."""

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
from llmmw.errors import UnsupportedFeature

pytestmark = pytest.mark.plugins

PDF = MediaPart(media_type="application/pdf", data=b"%PDF", filename="a.pdf")
PNG = MediaPart(media_type="image/png", data=b"png")


def text(said, **more):
    return {"type": "text", "text": said, **more}


def user(*blocks):
    return {"role": "user", "content": list(blocks)}


def assistant(*blocks):
    return {"role": "assistant", "content": list(blocks)}


def call(id_="t1", name="f", arguments="{}", **more):
    return ToolCallPart(id=id_, name=name, arguments=arguments, **more)


def turns(wire, *messages, **options):
    return wire.body(list(messages), **options)["messages"]


def test_system_messages_that_lead_stand_apart(wire):
    body = wire.body([("system", "a"), Message("system", ["b", CachePoint()]), "hi"])
    control = {"type": "ephemeral"}
    assert body["system"] == [text("a"), text("b", cache_control=control)]
    assert body["messages"] == [user(text("hi"))]
    assert "system" not in wire.body("hi")


def test_a_system_message_between_others(wire):
    talk = ["hi", ("assistant", "yes?"), "go", ("system", "Be brief.")]
    notes = []
    told = wire.body(talk, notes=notes)["messages"]
    assert told[-1] == user(text("go"), text("<system>"), text("Be brief."), text("</system>"))
    assert notes == ["anthropic takes a system message between others for a user's"]
    told = turns(wire, *talk, model="claude-opus-4-8")
    assert told[-1] == {"role": "system", "content": [text("Be brief.")]}


def test_turns_of_one_role_are_one(wire):
    told = turns(wire, "a", "b", ("assistant", "c"), ("assistant", "d"), "e")
    assert told == [user(text("a"), text("b")), assistant(text("c"), text("d")), user(text("e"))]


def test_results_of_tools_stand_first_in_the_next_turn(wire):
    asked = Message("assistant", [call("t1", arguments='{"a": 1}'), call("t2", arguments="")])
    failed = ToolResultPart(call_id="t2", content=[PNG, PDF], is_error=True)
    talk = ["hi", asked, {"role": "tool", "tool_call_id": "t1", "content": "one"}]
    told = turns(wire, *talk, "between", Message("tool", [failed]), "after")
    assert told[1] == assistant(
        {"type": "tool_use", "id": "t1", "name": "f", "input": {"a": 1}},
        {"type": "tool_use", "id": "t2", "name": "f", "input": {}},
    )
    one, two, *rest = told[2]["content"]
    assert one == {"type": "tool_result", "tool_use_id": "t1", "content": [text("one")]}
    assert [block["type"] for block in two["content"]] == ["image", "document"]
    assert (two["tool_use_id"], two["is_error"]) == ("t2", True)
    assert rest == [text("between"), text("after")]


def test_a_result_without_content(wire):
    told = turns(wire, "hi", Message("assistant", [call()]), Message("tool", [_result("")]))
    assert told[2] == user({"type": "tool_result", "tool_use_id": "t1"})


def _result(content):
    return ToolResultPart(call_id="t1", content=content)


def test_ids_of_other_hosts_fit(wire):
    asked = Message("assistant", [call("functions.f:0")])
    answered = {"role": "tool", "tool_call_id": "functions.f:0", "content": "x"}
    told = turns(wire, "hi", asked, answered)
    used, answered = told[1]["content"][0]["id"], told[2]["content"][0]["tool_use_id"]
    assert used == answered
    assert used.startswith("toolu_")
    assert used.isascii()


@pytest.mark.parametrize("arguments", ["[1]", '{"a": ', "7", "no"])
def test_arguments_that_are_no_object(wire, arguments):
    notes = []
    told = wire.body(["hi", Message("assistant", [call(arguments=arguments)])], notes=notes)
    assert told["messages"][1]["content"][0]["input"] == {"arguments": arguments}
    assert "no JSON object" in notes[0]
    custom = Message("assistant", [call(arguments=arguments, custom=True)])
    assert turns(wire, "hi", custom)[1]["content"][0]["input"] == {"input": arguments}


def test_reasoning_goes_back_if_the_host_signed_it(wire):
    parts = [
        ReasoningPart("a", signature="s"),
        ReasoningPart("", signature="s2", extra={"anthropic": {"new": 1}}),
        ReasoningPart(redacted=True, encrypted="SEALED"),
        TextPart("b"),
    ]
    assert turns(wire, "hi", Message("assistant", parts), "go")[1] == assistant(
        {"type": "thinking", "thinking": "a", "signature": "s"},
        {"type": "thinking", "thinking": "", "signature": "s2", "new": 1},
        {"type": "redacted_thinking", "data": "SEALED"},
        text("b"),
    )


@pytest.mark.parametrize(
    ("part", "said"),
    [
        (ReasoningPart("unsigned"), "reasoning that it did not sign"),
        (ReasoningPart("a", signature="s", extra={"google": {}}), "did not sign"),
        (ReasoningPart(redacted=True), "did not sign"),
        (OpaquePart(provider="google", type="code"), "a block of google"),
        (call(server=True), "calls of tools that another host ran"),
        (ToolResultPart(call_id="x", server=True), "results of tools that another host ran"),
    ],
)
def test_what_belongs_to_other_hosts_is_left_out_aloud(wire, part, said):
    notes = []
    body = wire.body(["hi", Message("assistant", [part, TextPart("b")]), "go"], notes=notes)
    assert body["messages"][1] == assistant(text("b"))
    assert len(notes) == 1
    assert said in notes[0]


def test_citations_go_back_in_the_hosts_own_form(wire):
    ours, other = Citation(url="u", extra={"anthropic": {"type": "c"}}), Citation(url="v")
    said = Message("assistant", [TextPart("a", citations=(ours, other))])
    assert turns(wire, "hi", said, "go")[1] == assistant(text("a", citations=[{"type": "c"}]))


def test_what_says_nothing_is_left_out(wire):
    blank = Message("assistant", [TextPart(""), TextPart(" \n")])
    assert turns(wire, "a", blank, "b") == [user(text("a"), text("b"))]


def test_images_and_documents(wire):
    def source(kind, **fields):
        return {"type": kind, **fields}

    said = [
        PNG,
        MediaPart(media_type="image/*", url="https://x/a"),
        MediaPart(media_type="image/png", file_id="file_1"),
        PDF,
        MediaPart(media_type="application/pdf", url="https://x/b"),
        MediaPart(media_type="text/markdown", data="grün".encode()),
        MediaPart(
            media_type="application/pdf",
            file_id="file_2",
            extra={"anthropic": {"citations": {"enabled": True}, "title": "T"}},
        ),
    ]
    kinds = ["image"] * 3 + ["document"] * 4
    sources = [
        source("base64", media_type="image/png", data=base64.b64encode(b"png").decode()),
        source("url", url="https://x/a"),
        source("file", file_id="file_1"),
        source("base64", media_type="application/pdf", data=base64.b64encode(b"%PDF").decode()),
        source("url", url="https://x/b"),
        source("text", media_type="text/plain", data="grün"),
        source("file", file_id="file_2"),
    ]
    more = [{}, {}, {}, {"title": "a.pdf"}, {}, {}, {"citations": {"enabled": True}, "title": "T"}]
    expected = [
        {"type": kind, "source": one, **rest}
        for kind, one, rest in zip(kinds, sources, more, strict=True)
    ]
    assert turns(wire, Message("user", said)) == [user(*expected)]


@pytest.mark.parametrize(
    "part",
    [
        MediaPart(media_type="audio/wav", data=b"x"),
        MediaPart(media_type="video/mp4", url="https://x"),
        MediaPart(media_type="image/tiff", data=b"x"),
        MediaPart(media_type="text/plain", data=b"\xff"),
        MediaPart(media_type="application/zip", data=b"x"),
        call(),
        ReasoningPart("a", signature="s"),
    ],
)
def test_what_a_user_cannot_send(wire, part):
    with pytest.raises(UnsupportedFeature, match="this wire"):
        turns(wire, Message("user", [part]))


def test_a_result_of_a_tool_takes_no_call(wire):
    with pytest.raises(UnsupportedFeature, match="a tool result turn takes no tool call part"):
        turns(wire, Message("tool", [_result([call()])]))


def test_media_of_an_answer_are_shown_by_the_user(wire):
    drawn = Message("assistant", [TextPart("Here."), PNG, call()])
    answered = {"role": "tool", "tool_call_id": "t1", "content": "x"}
    told = turns(wire, "draw", drawn, answered, "and?")
    kinds = [[block["type"] for block in turn["content"]] for turn in told]
    assert kinds == [["text"], ["text", "tool_use"], ["tool_result", "text", "image", "text"]]
    told = turns(wire, "draw", drawn)
    assert [block["type"] for block in told[-1]["content"]] == ["text", "image"]


def test_cache_points_mark_what_stands_before_them(wire):
    thought = ReasoningPart("a", signature="s")
    talk = [
        Message("system", [TextPart("s"), CachePoint("1h")]),
        Message("user", ["a", CachePoint(), "b"]),
        Message("assistant", [TextPart("c"), thought, CachePoint()]),
        Message("user", [CachePoint("5m"), "d"]),
    ]
    body = wire.body(talk)
    one, short = {"type": "ephemeral"}, {"type": "ephemeral", "ttl": "5m"}
    assert body["system"] == [text("s", cache_control={"type": "ephemeral", "ttl": "1h"})]
    assert body["messages"][0] == user(text("a", cache_control=one), text("b"))
    assert body["messages"][1]["content"][0] == text("c", cache_control=short)
    assert "cache_control" not in body["messages"][1]["content"][1]
    assert body["messages"][2] == user(text("d"))


def test_a_cache_point_before_everything(wire):
    notes = []
    wire.body([Message("user", [CachePoint(), "a"])], notes=notes)
    assert "nothing before a cache point" in notes[0]


def test_more_cache_points_than_the_host_takes(wire):
    talk = [Message("user", [part for n in "abcde" for part in (TextPart(n), CachePoint())])]
    with pytest.raises(UnsupportedFeature, match="more than 4 cache points"):
        wire.body(talk)
    notes = []
    (turn,) = wire.body(talk, notes=notes, unsupported="drop")["messages"]
    assert [b["text"] for b in turn["content"] if "cache_control" in b] == ["b", "c", "d", "e"]
    assert notes


def test_an_answer_that_was_begun_ends_in_no_blank(wire):
    talk = ["hi", ("assistant", "Well, \n")]
    assert turns(wire, *talk)[-1] == assistant(text("Well,"))
    with pytest.raises(UnsupportedFeature, match="an answer that was begun for it"):
        turns(wire, *talk, model="claude-opus-4-6")
    notes = []
    body = wire.body(talk, notes=notes, model="claude-opus-4-6", unsupported="drop")
    assert body["messages"] == [user(text("hi"))]
    assert notes


def test_an_answer_that_paused_goes_on(wire):
    """It ends in a block of the host's, so that it is none that the caller began."""
    search = {"type": "server_tool_use", "id": "s", "name": "web_search", "input": {}}
    part = OpaquePart(provider="anthropic", type="server_tool_use", data=search)
    said = Message("assistant", [TextPart("I look."), part])
    told = turns(wire, "hi", said, model="claude-opus-4-8")
    assert told[-1] == assistant(text("I look."), search)


def test_names_of_messages_are_not_told(wire):
    notes = []
    wire.body([Message("user", "hi", name="Ida")], notes=notes)
    assert notes == ["anthropic does not tell the model the name of a message"]
