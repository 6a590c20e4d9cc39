"""Reasoning that hosts leave in the text: told apart wherever the text is cut."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st
from llmmw_openai._think import ThinkSplitter

from llmmw import Generate, ReasoningPart, TextPart, ToolCallPart
from llmmw.errors import ConfigError, UnsupportedFeature

pytestmark = pytest.mark.plugins


def split(*pieces, begun=False):
    """Reasoning and text of an answer that comes in pieces."""
    splitter = ThinkSplitter(begun=begun)
    told = [one for piece in pieces for one in splitter.take(piece)] + splitter.flush()
    assert all(text for _, text in told)
    kinds = [thought for thought, _ in told]
    assert kinds == sorted(kinds, reverse=True)  # reasoning is before text
    thoughts, texts = ([text for kind, text in told if kind == want] for want in (True, False))
    return "".join(thoughts), "".join(texts)


WHOLE = {
    "<think>a b</think>c": ("a b", "c"),
    "<think>\na\n\nb\n</think>\n\nc d\n": ("a\n\nb", "c d\n"),
    " \n<think>a</think>c": ("a", "c"),
    "<think></think>c": ("", "c"),
    "<think>\n\n</think>\n\nc": ("", "c"),
    "<think>a": ("a", ""),
    "<think>a </thin": ("a </thin", ""),
    "<think>a < b </b> </think>c": ("a < b </b>", "c"),
    "<think>a</think>b<think>c</think>d": ("a", "b<think>c</think>d"),
    "<think>a</think> ": ("a", ""),
    "<think>": ("", ""),
}
OPEN = WHOLE | {
    "a<think>b</think>": ("", "a<think>b</think>"),
    " a": ("", " a"),
    "<thin": ("", "<thin"),
    "<thinking>a": ("", "<thinking>a"),
    "a</think>b": ("", "a</think>b"),
    "": ("", ""),
}
BEGUN = WHOLE | {
    "a</think>b": ("a", "b"),
    "\na\n</think>\nb</think>": ("a", "b</think>"),
    "</think>b": ("", "b"),
    "a": ("a", ""),
    "<thin": ("<thin", ""),
}
CASES = [(text, False, told) for text, told in OPEN.items()]
CASES += [(text, True, told) for text, told in BEGUN.items()]


@pytest.mark.parametrize(("text", "begun", "told"), CASES)
def test_whole(text, begun, told):
    assert split(text, begun=begun) == told
    assert split(*text, begun=begun) == told


tokens = st.sampled_from(["<think>", "</think>", "<", "</", "think", ">", " ", "\n", "a", "é"])


@given(st.lists(tokens).map("".join), st.lists(st.integers(0, 60)), st.booleans())
def test_any_cutting_gives_the_same(text, cuts, begun):
    at = [0, *sorted(cuts), len(text)]
    pieces = [text[one:two] for one, two in itertools.pairwise(at)]
    whole = split(text, begun=begun)
    assert split(*pieces, begun=begun) == whole
    said = "".join(whole).replace(" ", "").replace("\n", "")
    missing = len(text.replace(" ", "").replace("\n", "")) - len(said)
    assert missing in {0, 7, 8, 15}  # nothing is lost but the tags


def test_text_does_not_wait():
    splitter = ThinkSplitter(begun=False)
    assert splitter.take("<think>") == []
    assert splitter.take("a b") == [(True, "a b")]
    assert splitter.take(" </") == []
    assert splitter.take("think>c") == [(False, "c")]
    assert splitter.take(" <") == [(False, " <")]


async def ask(wire, tags, *events, stream=True, **parameters):
    answer = wire.events(*events) if stream else wire.whole(*events)
    async with wire.client(answer, think_tags=tags) as (client, _):
        if not stream:
            return await client.ask("hi", **parameters)
        async with client.stream("hi", **parameters) as told:
            return await told.wait_response()


@pytest.mark.parametrize(("tags", "text"), [("open", "<think>a</think>b"), ("begun", "a</think>b")])
async def test_an_answer(wire, tags, text):
    expected = (ReasoningPart("a"), TextPart("b"))
    chunks = [wire.chunk({"content": sign}) for sign in text]
    assert (await ask(wire, tags, *chunks, wire.chunk({}, "stop"))).parts == expected
    assert (await ask(wire, tags, wire.chat({"content": text}), stream=False)).parts == expected
    assert (await ask(wire, "no", *chunks, wire.chunk({}, "stop"))).parts == (TextPart(text),)


async def test_candidates_are_told_apart(wire):
    rows = [(0, "<think>a"), (1, "<thi"), (0, "</think>b"), (1, "nk>c</think>"), (1, "d")]
    chunks = [wire.chunk({"content": text}, index=at) for at, text in rows]
    ends = [wire.chunk({}, "stop", index=at) for at in (0, 1)]
    told = await ask(wire, "open", *chunks, *ends, n=2)
    assert [one.message.parts for one in told.candidates] == [
        (ReasoningPart("a"), TextPart("b")),
        (ReasoningPart("c"), TextPart("d")),
    ]


async def test_what_waits_is_told_before_what_follows(wire):
    call = {"index": 0, "id": "i", "function": {"name": "f", "arguments": "{}"}}
    events = [wire.chunk({"content": "<th"}), wire.chunk({"tool_calls": [call]}, "tool_calls")]
    told = await ask(wire, "open", *events)
    assert told.parts == (TextPart("<th"), ToolCallPart(id="i", name="f", arguments="{}"))


async def test_a_host_that_tells_reasoning_apart_is_believed(wire):
    events = [wire.chunk({"reasoning_content": "a"}), wire.chunk({"content": "b"}, "stop")]
    told = await ask(wire, "begun", *events)
    assert told.parts == (ReasoningPart("a"), TextPart("b"))


async def test_a_prompt_is_left_alone(wire):
    whole = wire.whole({"choices": [{"text": "<think>a", "finish_reason": "stop"}]})
    async with wire.client(whole, think_tags="open") as (client, _):
        assert (await client.ask(Generate(prompt="x"))).text == "<think>a"


async def test_options_that_do_not_fit(wire):
    with pytest.raises(ConfigError, match="think_tags='yes': expected one of no, open, begun"):
        wire.provider("http://h/v1", think_tags="yes")
    with pytest.raises(UnsupportedFeature, match="logprobs"):
        await ask(wire, "open", wire.chunk({}, "stop"), logprobs=1)
