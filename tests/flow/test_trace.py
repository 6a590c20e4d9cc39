"""What a trace keeps of a run, and how it is shown."""

from __future__ import annotations

import html.parser
import json

import attrs
import pytest
import trio
from hypothesis import given
from hypothesis import strategies as st

from llmmw import (
    Cache,
    Call,
    Client,
    Finish,
    Generate,
    Generation,
    Message,
    Response,
    TextPart,
    Usage,
)
from llmmw._secret import Secret
from llmmw.errors import BadRequest, ServerError
from llmmw.flow import ask, executable, parallel
from llmmw.flow.trace import Trace
from llmmw.plugin import Provider

pytestmark = pytest.mark.virtual
EVIL = "<script>alert('&quot;')</script>"


class Slow(Provider):
    """Says what it was asked, after a second."""

    async def __call__(self, call: Call) -> Response:
        await trio.sleep(1)
        text = call.request.messages[0].text
        if text == "fail":
            raise ServerError("it is on fire")
        usage = Usage(input_tokens=3, output_tokens=2)
        message = Message("assistant", (TextPart(text),))
        return Generation(
            message=message, finish=Finish("stop"), model="x", provider="slow", usage=usage
        )


@executable
async def asks(text):
    return (await ask(Generate(messages=[text]), Generation)).text


@executable
async def outer(text, *more):
    first = await asks(text)
    return await asks(f"{first}, again")


async def traced(flow, stack=(), **options):
    trace = Trace()
    async with Client("slow:x", stack=list(stack), providers=[Slow(name="slow")]) as client:
        try:
            await client.run(flow, observer=trace, **options)
        except ServerError:
            pass
    return trace


async def traced_by(flow, **options):
    async with Client("slow:x", stack=[], providers=[Slow(name="slow")]) as client:
        return await client.run(flow, **options)


async def test_the_tree_is_that_of_the_calls():  # O94, O95
    trace = await traced(outer("hello", 1))
    (root,) = trace.nodes
    assert (root.name, root.inputs, root.output) == (
        "outer", {"text": "hello", "1": 1}, "hello, again",
    )  # fmt: skip
    assert [node.name for node in root.nodes] == ["asks", "asks"]
    assert [(node.started, node.seconds) for node in root.nodes] == [
        (pytest.approx(0), pytest.approx(1)),
        (pytest.approx(1), pytest.approx(1)),
    ]
    (call,) = root.nodes[0].calls
    assert (call.model, call.request, call.response) == (
        "slow:x", {"messages": [{"user": "hello"}]}, "hello",
    )  # fmt: skip
    assert (call.input_tokens, call.output_tokens, call.cached) == (3, 2, False)
    assert (trace.spent.input_tokens, trace.spent.output_tokens) == (6, 4)
    assert trace.seconds == pytest.approx(2)


async def test_errors_and_what_they_took_along():
    trace = await traced([outer(asks("fail")), asks("fine")], errors="keep")
    states = {node.name: node.state for _, node in trace.walk()}
    assert {node.id.partition("-")[0] for _, node in trace.walk()} == {"asks", "outer"}
    assert states["outer"] == "skipped"
    failed = next(node for _, node in trace.walk() if node.state == "failed")
    assert failed.error == "ServerError: slow:x: it is on fire"
    assert failed.calls[0].error == "ServerError: slow:x: it is on fire"


async def test_what_was_cancelled_says_so():
    @executable
    async def forever():
        await trio.sleep_forever()

    trace = await traced(parallel(asks("fail"), forever()))
    assert [node.state for _, node in trace.walk()] == ["failed", "cancelled", "skipped"]
    assert "cancelled" in str(trace)


async def test_hits_are_told():
    cache = Cache()
    await traced(asks("hello"), [cache])
    trace = await traced([asks("hello"), asks("hello")], [cache])
    assert len(trace.calls) == 2
    assert any(call.cached for call in trace.calls)
    assert "from the cache" in str(trace)


async def test_it_is_shown_as_text():  # O96
    lines = str(await traced(outer("hello"))).splitlines()
    assert lines[0].startswith("    0.00 s  outer-")
    assert lines[0].endswith("(2.00 s): hello, again")
    assert "asked slow:x (1.00 s, 3 + 2 tokens): hello" in lines[2]
    assert lines[-1].strip() == "2.00 s, 2 calls, 6 tokens in, 4 out, $?"


class Reader(html.parser.HTMLParser):
    """Notes which elements a page has, and that each is closed."""

    def __init__(self):
        super().__init__()
        self.open, self.seen, self.text = [], [], []

    def handle_starttag(self, tag, attrs):
        self.seen.append(tag)
        if tag not in {"meta", "link", "img", "br"}:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.text.append(data)


async def test_the_page_shows_all_as_text_and_loads_nothing():  # O98
    trace = await traced([outer(EVIL), asks("fail")], errors="keep")
    page = trace.to_html()
    reader = Reader()
    reader.feed(page)
    reader.close()
    assert reader.open == []
    assert reader.seen.count("script") == 1
    assert not {"link", "img", "iframe"} & set(reader.seen)
    assert "http" not in page.replace("http-equiv", "")
    assert EVIL in "".join(reader.text)
    assert "ServerError: slow:x: it is on fire" in "".join(reader.text)


async def test_it_is_kept_and_read_again(tmp_path):  # O95
    trace = await traced([outer("hello"), asks("fail")], errors="keep")
    trace.save(tmp_path / "trace.json")
    data = json.loads((tmp_path / "trace.json").read_text())
    again = Trace.from_dict(data)
    assert again.to_dict() == trace.to_dict() == data
    assert (str(again), again.to_html()) == (str(trace), trace.to_html())
    trace.save(tmp_path / "trace.html")
    assert (tmp_path / "trace.html").read_text() == trace.to_html()
    with pytest.raises(BadRequest, match="suffix"):
        trace.save(tmp_path / "trace.pdf")
    for bad in ({}, [], {"version": 2, "nodes": []}, {"version": 1, "nodes": [{}]}):
        with pytest.raises(BadRequest):
            Trace.from_dict(bad)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner) | st.tuples(inner),
    max_leaves=20,
)


@given(value=JSON)
def test_any_value_can_be_kept(value):
    @executable
    def gives(one):
        return one

    async def main():
        trace = Trace()
        async with Client(stack=[]) as client:
            await client.run(gives([value]), observer=trace)
        again = Trace.from_dict(json.loads(trace.to_json()))
        assert again.to_json() == trace.to_json()
        assert again.to_html()

    trio.run(main)


async def test_what_is_large_is_cut_and_what_can_not_be_shown_harms_nothing():
    class Odd:
        def __repr__(self):
            raise RuntimeError("no repr")

    deep = []
    for _ in range(100):
        deep = [deep]

    @executable
    def gives():
        return {"long": "x" * 50_000, "many": list(range(1000)), "deep": deep, "odd": Odd()}

    trace = await traced(gives())
    output = trace.nodes[0].output
    assert output["long"].endswith("… (30,000 characters more)")
    assert output["many"][-1] == "800 more"
    assert output["odd"] == "<Odd>"
    assert len(trace.to_json()) < 60_000


@attrs.define
class Unset:
    later: int = attrs.field(init=False)
    known: int = 3


class Strange(dict):
    def items(self):
        raise RuntimeError("no items")


class UnsaidError(Exception):
    def __str__(self):
        raise RuntimeError("no text")


@pytest.mark.parametrize(
    ("value", "kept"),
    [
        (2**80, str(2**80)),
        (10**5000, f"<a number of {(10**5000).bit_length():,} bits>"),
        ("half \ud800", "half \\ud800"),
        ({"\ud800": 1}, {"\\ud800": 1}),
        (Unset(), {"known": 3}),
        (Strange(a=1), "<Strange>"),
        (Secret("sk-1"), "Secret(…)"),
        ([Secret("sk-1")], ["Secret(…)"]),
    ],
    ids=["big", "huge", "surrogate", "key", "unset", "strange", "secret", "secrets"],
)
async def test_keeps_what_no_json_has_without_harm(value, kept, tmp_path):
    @executable
    def give(value):
        return value

    trace = Trace()
    await traced_by(give(value), observer=trace)
    assert trace.nodes[0].output == trace.nodes[0].inputs["value"] == kept
    assert Trace.from_dict(json.loads(trace.to_json())).to_dict() == trace.to_dict()
    for suffix in ("html", "json", "txt"):
        trace.save(tmp_path / f"a.{suffix}")


async def test_a_small_value_that_shows_large_is_cut():
    @executable
    def laugh():
        value = ["x" * 10_000] * 200
        for _ in range(4):
            value = [value] * 200
        return value

    trace = Trace()
    await traced_by(laugh(), observer=trace)
    assert len(trace.to_json()) < 20_000_000


async def test_an_error_without_text_is_the_one_raised():
    @executable
    def fail():
        raise UnsaidError

    trace = Trace()
    with pytest.raises(UnsaidError):
        await traced_by(fail(), observer=trace)
    assert trace.nodes[0].error == "UnsaidError: "


async def test_hears_one_run_after_another():
    @executable
    def give(value):
        return value

    @executable
    def fail():
        raise ValueError("no")

    trace = Trace()
    await traced_by([give(1), give(2)], observer=trace)
    await traced_by([give(fail())], observer=trace, errors="keep")
    assert [node.state for node in trace.nodes] == ["done", "done", "failed", "skipped"]


NODE = {"id": "a", "name": "a", "started": 0.0, "ended": 1.0, "calls": [], "nodes": []}
CALL = {"model": "m", "request": 1, "started": 0.0, "ended": 1.0}


@pytest.mark.parametrize(
    "node",
    [
        "a",
        NODE | {"id": 1},
        NODE | {"started": "x"},
        NODE | {"ended": "9"},
        NODE | {"error": 5},
        NODE | {"calls": ["a"]},
        NODE | {"calls": [CALL | {"cost": "abc"}]},
        NODE | {"calls": [CALL | {"cost": 1}]},
        NODE | {"calls": [CALL | {"input_tokens": "<b>"}]},
        NODE | {"calls": [CALL | {"story": None}]},
    ],
)
def test_what_is_no_trace_is_not_read(node):
    assert str(Trace.from_dict({"version": 1, "nodes": [NODE | {"calls": [CALL]}]}))
    with pytest.raises(BadRequest):
        Trace.from_dict({"version": 1, "nodes": [node]})


async def test_the_text_is_a_line_a_node_whatever_is_said():
    @executable
    def fail():
        raise ValueError("no\nnever\x1b[2J" + "x" * 50_000)

    @executable
    def say():
        return "a\r\x1b[31mb\u202e"

    trace = Trace()
    await traced_by([fail(), say()], observer=trace, errors="keep")
    first, second, _ = str(trace).split("\n")
    assert "ValueError: no never·[2Jxxx" in first
    assert len(first) < 300
    assert second.endswith(": a ·[31mb·")
    assert len(trace.nodes[0].error) < 21_000


async def test_what_was_cancelled_is_shown_as_that():
    @executable
    async def forever():
        await trio.sleep_forever()

    trace = Trace()
    with trio.move_on_after(1):
        await traced_by(forever(), observer=trace)
    assert str(trace).split("\n")[0].endswith(": cancelled")
    assert ">cancelled</span>" in trace.to_html()
    assert ">None</span>" not in trace.to_html()


async def test_a_run_that_ended_nothing_has_lasted_all_the_same():
    @executable
    async def late():
        await trio.sleep(2)
        await forever()

    @executable
    async def forever():
        await trio.sleep_forever()

    trace = Trace()
    with trio.move_on_after(3):
        await traced_by(late(), observer=trace)
    assert trace.seconds == pytest.approx(2)
    assert "left:100.000%" in trace.to_html()
