"""Tool calls, in all the forms that hosts have for their pieces."""

from __future__ import annotations

import json

import pytest

from llmmw.errors import ProtocolError

pytestmark = pytest.mark.plugins


def piece(index=..., id=..., name=..., arguments=..., **more):
    """A piece of a tool call with only what is given."""
    function = {"name": name, "arguments": arguments}
    told = {"index": index, "id": id, **more}
    told = {key: one for key, one in told.items() if one is not ...}
    return told | {"function": {key: one for key, one in function.items() if one is not ...}}


# Each row: chunks, each a list of pieces; then the calls: (id or ... for an invented one, name,
# arguments).
STREAMS = {
    "as the wire is written": (
        [[piece(0, "a", "f", "")], [piece(0, arguments='{"x"')], [piece(0, arguments=":1}")]],
        [("a", "f", '{"x":1}')],
    ),
    "interleaved by index": (
        [
            [piece(0, "a", "f", ""), piece(1, "b", "g", "")],
            [piece(1, arguments="{"), piece(0, arguments="[")],
            [piece(0, arguments="]"), piece(1, arguments="}")],
        ],
        [("a", "f", "[]"), ("b", "g", "{}")],
    ),
    "index always 0, each with its id": (
        [[piece(0, "a", "f", "{}")], [piece(0, "b", "f", "{")], [piece(0, arguments="}")]],
        [("a", "f", "{}"), ("b", "f", "{}")],
    ),
    "index always 0, each with its id, interleaved": (
        [[piece(0, "a", "f", "{")], [piece(0, "b", "g", "{")], [piece(0, "a", arguments="}")],
         [piece(0, "b", arguments="}")]],
        [("a", "f", "{}"), ("b", "g", "{}")],
    ),
    "index always 0, no id": (
        [[piece(0, name="f", arguments="{}")], [piece(0, name="g", arguments="{}")],
         [piece(0, name="g", arguments="{}")]],
        [(..., "f", "{}"), (..., "g", "{}"), (..., "g", "{}")],
    ),
    "no index, pieces without id": (
        [[piece(id="a", name="f", arguments="{")], [piece(arguments="}")],
         [piece(id="b", name="f")], [piece(arguments="{}")]],
        [("a", "f", "{}"), ("b", "f", "{}")],
    ),
    "no index, pieces by id": (
        [[piece(id="a", name="f"), piece(id="b", name="g")], [piece(id="b", arguments="{}")],
         [piece(id="a", arguments="[]")]],
        [("a", "f", "[]"), ("b", "g", "{}")],
    ),
    "no index, name and id each time": (
        [[piece(id="a", name="f", arguments="{")], [piece(id="a", name="f", arguments="}")]],
        [("a", "f", "{}")],
    ),
    "no index, no id, each whole": (
        [[piece(name="f", arguments="{}")], [piece(name="f", arguments='{"x":1}')]],
        [(..., "f", "{}"), (..., "f", '{"x":1}')],
    ),
    "no index, no id, the name each time": (
        [[piece(name="f", arguments="")], [piece(name="f", arguments='{"x":')],
         [piece(name="f", arguments="{}}")]],
        [(..., "f", '{"x":{}}')],
    ),
    "no index, several in one list": (
        [[piece(id="", name="f", arguments="{}"), piece(id="", name="f", arguments="{}")]],
        [(..., "f", "{}"), (..., "f", "{}")],
    ),
    "no index, one id for all": (
        [[piece(id="x", name="f", arguments="{}"), piece(id="x", name="g", arguments="{}")]],
        [("x", "f", "{}"), ("x", "g", "{}")],
    ),
    "null for the index": (
        [[piece(None, "a", "f", "{")], [piece(None, None, None, "}")]],
        [("a", "f", "{}")],
    ),
    "name and id repeated, then empty": (
        [[piece(0, "a", "f", "")], [piece(0, "a", "f", "{")], [piece(0, "", "", "}")]],
        [("a", "f", "{}")],
    ),
    "no id": ([[piece(0, name="f")], [piece(0, arguments="{}")]], [(..., "f", "{}")]),
    "null for the id": ([[piece(0, None, "f", "{}")]], [(..., "f", "{}")]),
    "an id that comes late": (
        [[piece(0, name="f", arguments="{")], [piece(0, "a", arguments="}")]],
        [(..., "f", "{}")],
    ),
    "a name that comes late": (
        [[piece(0, "a", arguments="{")], [piece(0, name="f", arguments="}")]],
        [("a", "f", "{}")],
    ),
    "a name that never comes": ([[piece(0, "a", arguments="{}")]], [("a", "", "{}")]),
    "nothing but an index": ([[piece(0)], [{"index": 1}]], []),
    "arguments as an object": (
        [[piece(0, "a", "f", {"x": [1, "é"]})]],
        [("a", "f", '{"x": [1, "é"]}')],
    ),
    "arguments null": ([[piece(0, "a", "f", None)]], [("a", "f", "")]),
    "arguments in words null": ([[piece(0, "a", "f", "null")]], [("a", "f", "")]),
    "null within arguments": (
        [[piece(0, "a", "f", '{"x":')], [piece(0, arguments="null")], [piece(0, arguments="}")]],
        [("a", "f", '{"x":null}')],
    ),
    "arguments that are no JSON": ([[piece(0, "a", "f", "{x")]], [("a", "f", "{x")]),
    "indexes with holes": (
        [[piece(7, "a", "f", "{}")], [piece(3, "b", "g", "{}")]],
        [("a", "f", "{}"), ("b", "g", "{}")],
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", STREAMS)
async def test_streams(wire, name):
    chunks, expected = STREAMS[name]
    events = [wire.chunk({"tool_calls": pieces}) for pieces in chunks]
    response = await wire.ask(wire.events(*events, wire.chunk({}, "tool_calls")))
    assert [(c.name, c.arguments) for c in response.tool_calls] == [one[1:] for one in expected]
    for call, (id_, *_) in zip(response.tool_calls, expected, strict=True):
        assert call.id.startswith("call_") if id_ is ... else call.id == id_
    ids = [
        call.id for call, one in zip(response.tool_calls, expected, strict=True) if one[0] is ...
    ]
    assert len(set(ids)) == len(ids)
    assert response.finish_reason == ("tool_call" if expected else "stop")


@pytest.mark.parametrize("word", ["tool_calls", "stop", "", None, "novel"])
async def test_a_call_is_the_reason_whatever_the_host_says(wire, word):
    told = wire.chat({"content": None, "tool_calls": [piece(0, "a", "f", "{}")]}, word)
    response = await wire.ask(wire.whole(told))
    assert response.finish_reason == "tool_call"
    assert response.text == ""


async def test_a_length_stays_one(wire):
    told = wire.chat({"tool_calls": [piece(0, "a", "f", "{")]}, "length")
    assert (await wire.ask(wire.whole(told))).finish_reason == "length"


async def test_custom_tools_and_signatures(wire):
    signed = piece(0, "a", "f", "{}", extra_content={"google": {"thought_signature": "s"}})
    custom = {"index": 1, "id": "b", "type": "custom", "custom": {"name": "g", "input": "a b"}}
    response = await wire.ask(wire.whole(wire.chat({"tool_calls": [signed, custom]})))
    first, second = response.tool_calls
    assert first.extra == {"openai": {"extra_content": {"google": {"thought_signature": "s"}}}}
    assert (second.custom, second.name, second.arguments) == (True, "g", "a b")


async def test_a_legacy_function(wire):
    pieces = [{"name": "f", "arguments": ""}, {"arguments": "{"}, {"arguments": "}"}]
    events = [wire.chunk({"function_call": one}) for one in pieces]
    (call,) = (await wire.ask(wire.events(*events, wire.chunk({}, "function_call")))).tool_calls
    assert (call.name, call.arguments) == ("f", "{}")


async def test_text_and_calls_keep_their_order(wire):
    events = [
        wire.chunk({"content": "let me "}),
        wire.chunk({"content": "see"}),
        wire.chunk({"tool_calls": [piece(0, "a", "f", "{}")]}),
        wire.chunk({"content": "now"}),
    ]
    response = await wire.ask(wire.events(*events, wire.chunk({}, "tool_calls")))
    assert [part.kind for part in response.parts] == ["text", "tool_call", "text"]


async def test_arguments_that_nest_too_deeply(wire):
    told = wire.chat({"tool_calls": [piece(0, "a", "f", "{}")]})
    body = json.dumps(told).replace('"{}"', '{"a":' * 980 + "1" + "}" * 980)
    with pytest.raises(ProtocolError, match=r"nest too deeply|no JSON"):
        await wire.ask(wire.whole(body.encode()))


async def test_more_calls_than_anyone_makes(wire):
    calls = [piece(at, f"c{at}", "f", "{}") for at in range(1001)]
    with pytest.raises(ProtocolError, match="calls more than 1000 tools"):
        await wire.ask(wire.whole(wire.chat({"tool_calls": calls})))
    told = await wire.ask(wire.whole(wire.chat({"tool_calls": calls[:1000]})))
    assert len(told.tool_calls) == 1000
