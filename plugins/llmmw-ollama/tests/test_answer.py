"""Answers of the host, read."""

from __future__ import annotations

import json

import pytest

from llmmw import Generate, MediaPart, ReasoningPart, TextPart, ToolCallPart, Usage
from llmmw.errors import ProtocolError

pytestmark = pytest.mark.plugins


async def test_a_whole_answer(wire):
    told = await wire.ask(wire.whole(wire.end(content="Hello!")))
    assert told.text == "Hello!"
    assert (told.model, told.provider) == ("llama3.2", "ollama")
    assert told.usage == Usage(input_tokens=26, output_tokens=298)
    assert told.usage.raw["total_duration"] == 9
    assert (told.finish.reason, told.finish.raw) == ("stop", "stop")
    assert told.created == pytest.approx(1789659779.567038)
    assert told.raw["eval_duration"] == 4
    assert told.usage.cost == 0


async def test_lines(wire):
    told = await wire.ask(
        wire.lines(
            wire.line(thinking="I "),
            wire.line(thinking="think."),
            wire.line("Hel"),
            wire.line("lo"),
            wire.end(),
        )
    )
    assert told.parts == (ReasoningPart("I think."), TextPart("Hello"))
    assert told.finish_reason == "stop"


async def test_calls(wire):
    """They come whole, their arguments as objects, and the reason is that of any end."""
    calls = [
        {"id": "a", "function": {"index": 0, "name": "f", "arguments": {"x": "ü"}}},
        {"id": "b", "function": {"index": 1, "name": "g", "arguments": {}}},
    ]
    told = await wire.ask(
        wire.lines(wire.line(tool_calls=calls[:1]), wire.line(tool_calls=calls[1:]), wire.end())
    )
    assert [(call.id, call.name, call.parse()) for call in told.tool_calls] == [
        ("a", "f", {"x": "ü"}),
        ("b", "g", {}),
    ]
    assert (told.finish.reason, told.finish.raw) == ("tool_call", "stop")
    whole = wire.end() | {"message": wire.line(tool_calls=calls)["message"]}
    assert (await wire.ask(wire.whole(whole))).parts == told.parts


async def test_calls_without_ids(wire):
    call = {"function": {"name": "f", "arguments": '{"x": 1}'}}
    told = await wire.ask(wire.whole(wire.end() | wire.line(tool_calls=[call, call], done=True)))
    first, second = told.tool_calls
    assert first.id != second.id
    assert first.parse() == {"x": 1}
    assert first.extra == {"ollama": {"synthetic_id": True}}


@pytest.mark.parametrize(
    ("reason", "unified"),
    [("length", "length"), ("load", "other"), ("unload", "other"), ("novel", "other")],
)
async def test_reasons(wire, reason, unified):
    told = await wire.ask(wire.whole(wire.end(reason, content="x")))
    assert (told.finish.reason, told.finish.raw) == (unified, reason)


async def test_calls_and_a_reason_that_nobody_knows(wire):
    message = {"tool_calls": [{"id": "a", "function": {"name": "f", "arguments": {}}}]}
    for word, reason in (("novel", "tool_call"), ("length", "length")):
        told = await wire.ask(wire.whole(wire.end(word, message=message)))
        assert (told.finish.reason, told.finish.raw) == (reason, word)


async def test_numbers_may_be_texts(wire):
    told = await wire.ask(wire.whole(wire.end(content="x", eval_count="7")))
    assert told.usage.output_tokens == 7


async def test_what_older_servers_leave_out(wire):
    last = {"model": "m", "created_at": "2023-08-04T08:52:19.385406455-07:00", "done": True}
    told = await wire.ask(wire.lines(wire.line("The"), last | {"eval_count": 5}))
    assert told.text == "The"
    assert (told.finish.reason, told.finish.raw) == ("stop", None)
    assert (told.usage.input_tokens, told.usage.output_tokens) == (None, 5)
    assert told.usage.cost is None or told.usage.cost == 0
    assert (await wire.ask(wire.lines(wire.line("The"), last))).usage is None


async def test_what_was_read_from_the_cache(wire):
    told = await wire.ask(wire.whole(wire.end(content="x", prompt_eval_cached_count=20)))
    assert (told.usage.input_tokens, told.usage.cache_read_tokens) == (26, 20)


@pytest.mark.parametrize("streamed", [False, True])
async def test_a_prompt(wire, streamed):
    lines = [wire.text("He", thinking="hm"), wire.text("llo")]
    last = wire.text(done=True, done_reason="stop", context=[1, 2], eval_count=2)
    whole = last | {"response": "Hello", "thinking": "hm"}
    answer = wire.lines(*lines, last) if streamed else wire.whole(whole)
    told = await wire.ask(answer, Generate(prompt="hi"))
    assert told.parts == (ReasoningPart("hm"), TextPart("Hello"))
    assert told.raw["context"] == [1, 2]


async def test_images(wire):
    png = "iVBORw0KGgo="
    told = await wire.ask(wire.whole(wire.end() | wire.line("", images=[png, "eA=="], done=True)))
    assert told.parts == (
        MediaPart(media_type="image/png", data=b"\x89PNG\r\n\x1a\n"),
        MediaPart(media_type="image/*", data=b"x"),
    )
    told = await wire.ask(
        wire.whole(wire.text(done=True, image=png, completed=4, total=4)), Generate(prompt="a pig")
    )
    assert told.parts[0].data == b"\x89PNG\r\n\x1a\n"
    assert told.raw["total"] == 4
    with pytest.raises(ProtocolError, match="base64 that is none"):
        await wire.ask(wire.whole(wire.end() | wire.line(images=["%"], done=True)))


async def test_logprobs(wire):
    def row(token, number, *others):
        top = [{"token": name, "logprob": one} for name, one in others]
        return {"token": token, "logprob": number, "bytes": [1], "top_logprobs": top}

    one, two = row("He", -0.1, ("He", -0.1), ("Wo", -2.0)), row("llo", 1e-9)
    lines = wire.lines(
        wire.line("", thinking="hm") | {"logprobs": [row("hm", -0.5)]},
        wire.line("He") | {"logprobs": [one]},
        wire.line("") | {"logprobs": [two]},
        wire.line("llo"),
        wire.end(),
    )
    told = await wire.ask(lines, logprobs=1)
    rows = [(one.token, one.logprob, one.top) for one in told.parts[1].logprobs]
    assert rows == [("hm", -0.5, ()), ("He", -0.1, (("He", -0.1),)), ("llo", 0.0, ())]
    whole = wire.end(content="Hello", logprobs=[row("hm", -0.5), one, two])
    whole["message"]["thinking"] = "hm"
    assert (await wire.ask(wire.whole(whole), logprobs=1)).parts == told.parts
    assert (await wire.ask(wire.whole(whole))).parts[1].logprobs == ()
    extra = {"ollama": {"logprobs": True, "top_logprobs": 1}}
    assert (await wire.ask(wire.whole(whole), extra=extra)).parts == told.parts


async def test_what_nobody_knows_is_kept(wire):
    line = wire.line("x", novel="here") | {"remote_host": "https://ollama.com"}
    odd = {"custom": {"name": "f"}}
    told = await wire.ask(wire.lines(line, wire.line(tool_calls=[odd]), wire.end(novelty=[1])))
    assert told.raw["message"] == {"novel": "here"}
    assert told.raw["remote_host"] == "https://ollama.com"
    assert told.raw["novelty"] == [1]
    assert told.raw["tool_calls"] == [odd]
    assert told.tool_calls == ()


@pytest.mark.parametrize(
    "content_type", ["application/x-ndjson", "application/json", "text/plain", ""]
)
@pytest.mark.parametrize("stream", [False, True])
async def test_the_form_that_came_counts(wire, content_type, stream):
    """Whatever was asked, and whatever it is called."""
    body = wire.ndjson(wire.line("Hel"), wire.line("lo"), wire.end())
    answer = wire.stream(body, kind=content_type)
    assert (await wire.ask(answer, stream=stream)).text == "Hello"


async def test_a_whole_answer_that_is_printed_nicely(wire):
    body = json.dumps(wire.end(content="x"), indent=2).encode()
    assert (await wire.ask(wire.whole(body), stream=True)).text == "x"


async def test_an_answer_need_not_say_that_it_is_done(wire):
    told = {"message": {"role": "assistant", "content": "x"}}
    assert (await wire.ask(wire.whole(told))).text == "x"
    with pytest.raises(ProtocolError, match="an object that is no answer"):
        await wire.ask(wire.whole({"status": "fine"}))


async def test_a_call_is_a_part_of_its_own(wire):
    call = {"id": "a", "function": {"name": "f", "arguments": {}}}
    told = await wire.ask(
        wire.lines(wire.line("one", tool_calls=[call]), wire.line("two"), wire.end())
    )
    assert [type(part) for part in told.parts] == [TextPart, ToolCallPart, TextPart]
