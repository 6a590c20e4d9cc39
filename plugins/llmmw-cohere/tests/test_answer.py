"""Answers of the host, as parts of a response."""

from __future__ import annotations

from decimal import Decimal

import pytest

from llmmw import Citation, OpaquePart, ReasoningPart, TextPart, TokenLogprob, ToolCallPart
from llmmw.errors import ProtocolError

pytestmark = pytest.mark.plugins

PLAN = {"cohere": {"tool_plan": True}}


def source(**fields):
    document = {"title": "Bread", "url": "http://x/1", "text": "It rises."}
    return {
        "start": 3,
        "end": 8,
        "text": "rises",
        "sources": [{"type": "document", "id": "doc:0", "document": document}],
        **fields,
    }


async def test_an_answer(wire):
    response = await wire.ask(wire.whole(wire.message("Hi.")))
    assert response.parts == (TextPart("Hi."),)
    assert (response.id, response.provider) == ("r-1", "cohere")
    assert response.model == "command-a-reasoning-08-2025"
    assert (response.finish_reason, response.finish.raw) == ("stop", "COMPLETE")
    plain = wire.message() | {"message": {"role": "assistant", "content": "Hi."}}
    assert (await wire.ask(wire.whole(plain))).text == "Hi."
    with pytest.raises(ProtocolError, match="without any message"):
        await wire.ask(wire.whole({"id": "r"}))


async def test_two_counts(wire):
    """What was read and written, and what is paid for."""
    usage = (await wire.ask(wire.whole(wire.message("x")))).usage
    assert (usage.input_tokens, usage.output_tokens, usage.cache_read_tokens) == (139, 9, 64)
    assert usage.raw["billed_units"] == {"input_tokens": 8, "output_tokens": 5}
    assert usage.cost is None
    prices = {"cohere:command-*": {"input": "2.50", "output": "10"}}
    for answer in (
        wire.whole(wire.message("x")),
        wire.events(
            wire.start(), wire.delta("content-delta", 0, content={"text": "x"}), wire.end()
        ),
    ):
        async with wire.client(answer, prices=prices) as (client, _):
            usage = (await client.ask("hi")).usage
        assert usage.cost == Decimal("0.00007")
    billed_alone = wire.message("x", usage={"billed_units": {"input_tokens": 8}})
    assert (await wire.ask(wire.whole(billed_alone))).usage.input_tokens is None
    assert (await wire.ask(wire.whole(wire.message("x", usage=None)))).usage is None


@pytest.mark.parametrize(
    ("word", "reason"),
    [
        ("COMPLETE", "stop"),
        ("STOP_SEQUENCE", "stop"),
        ("MAX_TOKENS", "length"),
        ("ERROR", "error"),
        ("TIMEOUT", "error"),
        ("TOOL_CALL", "stop"),
        ("NEW_WORD", "other"),
        (None, "stop"),
    ],
)
async def test_ends(wire, word, reason):
    finish = (await wire.ask(wire.whole(wire.message("x", finish=word)))).finish
    assert (finish.reason, finish.raw) == (reason, word)


async def test_a_plan_is_reasoning(wire):
    """The answer itself stays empty; and it is marked, to go back as what it was."""
    told = wire.message(finish="TOOL_CALL", tool_plan="I look.", tool_calls=[wire.call()])
    response = await wire.ask(wire.whole(told))
    plan, call = response.parts
    assert plan == ReasoningPart("I look.", extra=PLAN)
    assert call == ToolCallPart(id="c-1", name="f", arguments='{"x": 1}')
    assert (response.text, response.reasoning) == ("", "I look.")
    assert response.finish_reason == "tool_call"


async def test_thinking_and_plan_are_two(wire):
    thinking = {"type": "thinking", "thinking": "hm"}
    events = [
        wire.start(),
        wire.delta("content-start", 0, content=thinking),
        wire.delta("tool-plan-delta", tool_plan="I "),
        wire.delta("tool-plan-delta", tool_plan="look."),
        wire.delta("tool-call-start", 0, tool_calls=wire.call()),
        wire.end("TOOL_CALL"),
    ]
    told = wire.message(thinking, tool_plan="I look.", tool_calls=[wire.call()], finish="TOOL_CALL")
    for answer in (wire.events(*events), wire.whole(told)):
        parts = (await wire.ask(answer)).parts
        assert parts[:2] == (ReasoningPart("hm"), ReasoningPart("I look.", extra=PLAN))


@pytest.mark.parametrize("arguments", ["null", "", None, {}])
async def test_a_call_without_arguments(wire, arguments):
    call = wire.call(arguments=arguments)
    (part,) = (await wire.ask(wire.whole(wire.message(tool_calls=[call])))).parts
    assert part.parse() == {}
    event = wire.delta("tool-call-start", 0, tool_calls=call)
    (part,) = (await wire.ask(wire.events(wire.start(), event, wire.end()))).parts
    assert part.parse() == {}


async def test_calls_in_the_odd_forms_of_hosts(wire):
    """A list, a missing index, an object, no id."""
    events = [
        wire.start(),
        wire.delta("tool-call-start", tool_calls=[wire.call(arguments={"a": 1})]),
        wire.delta("tool-call-start", tool_calls=wire.call("", "g", "")),
        wire.delta("tool-call-delta", tool_calls={"function": {"arguments": '{"b":'}}),
        wire.delta("tool-call-delta", tool_calls=[{"function": {"arguments": " 2}"}}]),
        wire.end("TOOL_CALL"),
    ]
    one, other = (await wire.ask(wire.events(*events))).tool_calls
    assert (one.id, one.name, one.parse()) == ("c-1", "f", {"a": 1})
    assert (other.name, other.parse()) == ("g", {"b": 2})
    assert other.id.startswith("call_")


async def test_pieces_without_a_place_go_on(wire):
    events = [
        wire.start(),
        wire.delta("tool-plan-delta", tool_plan="I say."),
        wire.delta("content-delta", content={"thinking": "hm"}),
        wire.delta("content-start", 0, content={"type": "text", "text": ""}),
        wire.delta("content-delta", content={"text": "Hi"}),
        wire.delta("content-delta", content="."),
        wire.end(),
    ]
    assert (await wire.ask(wire.events(*events))).parts == (
        ReasoningPart("I say.", extra=PLAN),
        ReasoningPart("hm"),
        TextPart("Hi."),
    )


async def test_citations(wire):
    told = source()
    wanted = Citation(
        url="http://x/1", title="Bread", text="rises", start=3, end=8, extra={"cohere": told}
    )
    response = await wire.ask(wire.whole(wire.message("It rises.", citations=[told])))
    assert response.parts == (TextPart("It rises.", citations=(wanted,)),)
    tool = {"sources": [{"type": "tool", "id": "c:0", "tool_output": {"title": "T"}}]}
    response = await wire.ask(wire.whole(wire.message("It rises.", citations=[source(**tool)])))
    (cited,) = response.parts[0].citations
    assert (cited.title, cited.url) == ("T", None)
    bare = {"text": "x"}
    response = await wire.ask(wire.whole(wire.message("It rises.", citations=[bare])))
    assert response.parts[0].citations == (Citation(text="x", extra={"cohere": bare}),)


async def test_citations_by_place(wire):
    """Each belongs to its text; those of a plan or of thinking stand beside."""
    thinking = {"type": "thinking", "thinking": "hm"}
    first, last = source(content_index=1), source()
    beside = [source(type="PLAN"), source(content_index=0, type="THINKING_CONTENT")]
    told = wire.message(thinking, "one", "two", citations=[*beside, last, first])
    response = await wire.ask(wire.whole(told))
    counts = [len(part.citations) for part in response.parts if isinstance(part, TextPart)]
    assert counts == [1, 1]
    assert sorted(response.raw["citations"], key=str) == sorted(beside, key=str)
    late = [
        wire.start(),
        wire.delta("content-delta", 0, content={"text": "one"}),
        wire.delta("content-delta", 1, content={"text": "two"}),
        wire.delta("citation-start", 0, citations=source(content_index=0)),
        wire.end(),
    ]
    response = await wire.ask(wire.events(*late))
    assert [len(part.citations) for part in response.parts] == [0, 0]
    assert response.raw["citations"] == [source(content_index=0)]


async def test_logprobs(wire):
    rows = [
        {"text": "H", "token_ids": [1], "logprobs": [-0.5]},
        {"text": "ey", "token_ids": [2, 3], "logprobs": [-0.25, -1.25]},
        {"text": "!", "token_ids": [4], "logprobs": None},
    ]
    wanted = (TokenLogprob("H", -0.5), TokenLogprob("ey", -1.5), TokenLogprob("!", -9999.0))
    whole = wire.message("Hey!", beside={"logprobs": rows})
    pieces = [
        wire.delta("content-delta", 0, content={"text": row["text"]}) | {"logprobs": row}
        for row in rows
    ]
    for answer in (wire.whole(whole), wire.events(wire.start(), *pieces, wire.end())):
        response = await wire.ask(answer, logprobs=0)
        assert response.parts == (TextPart("Hey!", logprobs=wanted),)
        assert response.raw["logprobs"] == rows
    thinking = {"type": "thinking", "thinking": "Hey"}
    whole = wire.message(thinking, "!", beside={"logprobs": rows})
    response = await wire.ask(wire.whole(whole), logprobs=0)
    assert response.parts == (ReasoningPart("Hey"), TextPart("!", logprobs=wanted[2:]))


async def test_what_nobody_knows_is_kept(wire):
    odd = {"type": "chart", "points": [1, 2]}
    whole = wire.message("x", odd, mood="good", beside={"meta": {"a": 1}})
    response = await wire.ask(wire.whole(whole))
    assert response.parts[1] == OpaquePart(provider="cohere", type="chart", data=odd)
    assert response.raw == {"mood": "good", "meta": {"a": 1}}
    end = wire.end(more=1) | {"finish_reason": "odd", "took": 7}
    events = [wire.start(mood="good"), {"type": "debug", "message": "p"}, end]
    response = await wire.ask(wire.events(*events))
    assert response.raw == {
        "mood": "good",
        "events": [{"type": "debug", "message": "p"}],
        "finish_reason": "odd",
        "took": 7,
        "more": 1,
    }


async def test_what_a_block_has_besides_goes_back(wire):
    thinking = {"type": "thinking", "thinking": "hm", "seal": "s"}
    said = {"type": "text", "text": "Hi.", "tone": "warm"}
    whole = wire.whole(wire.message(thinking, said))
    events = [
        wire.start(events=7, citations="x"),
        wire.delta("content-start", 0, content=thinking | {"thinking": ""}),
        wire.delta("content-delta", 0, content={"thinking": "hm"}),
        wire.delta("content-start", 1, content=said),
        {"type": "odd"},
        wire.end(),
    ]
    for answer in (whole, wire.events(*events)):
        async with wire.client([answer, wire.whole(wire.message("x"))]) as (client, server):
            response = await client.ask("hi")
            await client.ask(["hi", response, "and?"])
        assert [part.extra for part in response.parts] == [
            {"cohere": {"seal": "s"}},
            {"cohere": {"tone": "warm"}},
        ]
        assert server.requests[-1].json()["messages"][1]["content"] == [thinking, said]
    assert response.raw == {"events": [{"type": "odd"}]}


async def test_a_stream_that_comes_whole(wire):
    assert (await wire.ask(wire.whole(wire.message("Hi.")), stream=True)).text == "Hi."
    events = [wire.start(), wire.delta("content-delta", 0, content={"text": "x"}), wire.end()]
    assert (await wire.ask(wire.events(*events), stream=False)).text == "x"
    unnamed = [{k: one for k, one in event.items() if k != "type"} for event in events]
    body = b"".join(
        wire.sse(event, named=False).replace(b"data", b"event: %b\ndata" % kind["type"].encode(), 1)
        for event, kind in zip(unnamed, events, strict=True)
    )
    assert (await wire.ask(wire.stream(body))).text == "x"


def pieces(wire, *told, index=0):
    return [
        wire.delta("tool-call-delta", index, tool_calls={"function": {"arguments": one}})
        for one in told
    ]


@pytest.mark.parametrize(
    ("told", "wanted"),
    [
        (['{"x": ', "null", "}"], '{"x": null}'),
        (["null"], ""),
        (["nu", "ll"], ""),
        ([" ", "null", "\n"], ""),
        (["", '{"x"', ": 1}"], '{"x": 1}'),
        ([" ", "{", "}"], " {}"),
        (["nul"], "nul"),
    ],
)
async def test_null_is_no_arguments_only_if_it_is_all_of_them(wire, told, wanted):
    """Pieces are tokens, and `null` is one."""
    begin = wire.delta("tool-call-start", 0, tool_calls=wire.call(arguments=""))
    events = [wire.start(), begin, *pieces(wire, *told), wire.end("TOOL_CALL")]
    (part,) = (await wire.ask(wire.events(*events))).parts
    assert part.arguments == wanted


async def test_a_call_whose_begin_got_lost_spoils_no_other(wire):
    one = wire.delta("tool-call-start", "0", tool_calls=wire.call())
    other = wire.call("c-2", "g", "")
    for begin in ([], [wire.delta("tool-call-start", 1, tool_calls=None)]):
        named = wire.delta("tool-call-delta", 1, tool_calls=other)
        rest = pieces(wire, '{"y":', " 2}", index=1)
        events = [wire.start(), one, *begin, named, *rest, wire.end("TOOL_CALL")]
        calls = (await wire.ask(wire.events(*events))).tool_calls
        assert [(call.name, call.parse()) for call in calls] == [("f", {"x": 1}), ("g", {"y": 2})]


async def test_calls_of_one_index(wire):
    """A call and a content have counters of their own; a begin is always a new call."""
    events = [
        wire.start(),
        wire.delta("content-start", 0, content={"type": "text", "text": "I "}),
        wire.delta("tool-call-start", 0, tool_calls=wire.call(arguments="")),
        *pieces(wire, '{"a": 1}'),
        wire.delta("tool-call-start", 0, tool_calls=wire.call("c-2", "g", "")),
        *pieces(wire, '{"b": 2}'),
        wire.delta("content-delta", 0, content={"text": "go."}),
        wire.end("TOOL_CALL"),
    ]
    response = await wire.ask(wire.events(*events))
    assert [call.parse() for call in response.tool_calls] == [{"a": 1}, {"b": 2}]
    assert response.text == "I go."


async def test_content_that_nobody_knows_comes_in_pieces(wire):
    """They are kept beside, and are none of the text before or behind."""
    first = wire.delta("content-start", 0, content={"type": "chart", "points": [1]})
    second = wire.delta("content-delta", 0, content={"points": [2]})
    third = wire.delta("content-delta", 0, content={"text": "axis"})
    said = wire.delta("content-start", 1, content={"type": "text", "text": "Hi."})
    response = await wire.ask(wire.events(wire.start(), first, second, third, said, wire.end()))
    chart = OpaquePart(provider="cohere", type="chart", data={"type": "chart", "points": [1]})
    assert response.parts == (chart, TextPart("Hi."))
    assert response.raw == {"events": [second, third]}


async def test_what_a_block_has_besides_is_of_no_later_one(wire):
    thinking = {"type": "thinking", "thinking": "hm", "seal": "s"}
    events = [
        wire.start(),
        wire.delta("content-start", 0, content=thinking),
        wire.delta("tool-call-start", 0, tool_calls=wire.call()),
        wire.delta("content-delta", content={"text": "Hi."}),
        wire.end(),
    ]
    response = await wire.ask(wire.events(*events))
    assert response.parts[0].extra == {"cohere": {"seal": "s"}}
    assert response.parts[2] == TextPart("Hi.")


@pytest.mark.parametrize(
    ("start", "end", "span"),
    [
        (0, 2, (0, 2)),
        (None, 2, (None, 2)),
        (2, 2, (2, 2)),
        (-1, 2, (None, None)),
        (0, -1, (None, None)),
        (5, 2, (None, None)),
        (True, "2", (None, None)),
    ],
)
async def test_spans_that_can_not_be(wire, start, end, span):
    """A negative one would cut from the end. The host's own form goes back as it was."""
    told = source(start=start, end=end)
    response = await wire.ask(wire.whole(wire.message("It rises.", citations=[told])))
    (cited,) = response.parts[0].citations
    assert (cited.start, cited.end) == span
    assert cited.extra == {"cohere": told}
