"""Law: a whole answer, and the fold of a stream of the same content, are the same response; and
sent back, it says what it said.

The host here is written without a look at the reader: it renders content both ways, and cuts the
stream anywhere.
"""

from __future__ import annotations

import random

import pytest
import trio
from hypothesis import given, settings
from hypothesis import strategies as st

from llmmw.plugin import Fold

pytestmark = pytest.mark.plugins

words = st.text(st.characters(codec="utf-8"), min_size=1, max_size=6).filter(str.strip)
pieces = st.lists(words, min_size=1, max_size=3)
contents = st.lists(st.tuples(st.sampled_from(["text", "thinking"]), pieces), max_size=3)
calls_of = st.lists(st.lists(words, max_size=2), max_size=3)
usages = st.none() | st.tuples(st.integers(0, 99), st.integers(0, 99), st.integers(0, 9))


def usage_of(told):
    if told is None:
        return None
    read, written, cached = told
    tokens = {"input_tokens": float(read), "output_tokens": written}
    return {"tokens": tokens, "billed_units": {"input_tokens": 1}, "cached_tokens": cached}


def source_of(kind, said, at, chance):
    """A citation of a text, which says where it belongs or leaves that to its place."""
    one = {"start": 0, "end": 1, "text": said[:1], "type": "TEXT_CONTENT", "content_index": at}
    return one if kind == "text" and chance.random() < 0.5 else None


def cut(data, chance, most=9):
    while data:
        size = chance.randint(1, most) if chance.random() < 0.5 else len(data)
        yield data[:size]
        data = data[size:]


def streamed(wire, content, plan, calls, sources, finish, usage, chance):
    yield wire.start()
    for at, (kind, said) in enumerate(content):
        first = said[0] if chance.random() < 0.5 else ""
        yield wire.delta("content-start", at, content={"type": kind, kind: first})
        for word in said[1:] if first else said:
            yield wire.delta("content-delta", at, content={kind: word})
        if chance.random() < 0.5:
            yield {"type": "content-end", "index": at}
        if at in sources:
            yield wire.delta("citation-start", 0, citations=sources[at])
    for word in plan:
        yield wire.delta("tool-plan-delta", tool_plan=word)
    for at, arguments in enumerate(calls):
        yield wire.delta("tool-call-start", at, tool_calls=wire.call(f"c-{at}", arguments=""))
        for word in arguments:
            yield wire.delta("tool-call-delta", at, tool_calls={"function": {"arguments": word}})
        if chance.random() < 0.5:
            yield {"type": "tool-call-end", "index": at}
    yield wire.end(finish, usage)


@settings(max_examples=120, deadline=None)
@given(
    content=contents,
    plan=st.just([]) | pieces,
    calls=calls_of,
    usage=usages,
    seed=st.integers(0, 2**32),
)
def test_whole_and_streamed_are_one(wire, content, plan, calls, usage, seed):
    chance = random.Random(seed)
    finish = "TOOL_CALL" if calls else "COMPLETE"
    usage = usage_of(usage)
    sources = {
        at: one
        for at, (kind, said) in enumerate(content)
        if (one := source_of(kind, "".join(said), at, chance))
    }
    arguments = [[f'{{"x": "{len(row)}', '"}'] if row else [] for row in calls]
    blocks = [{"type": kind, kind: "".join(said)} for kind, said in content]
    told = [wire.call(f"c-{at}", arguments="".join(row)) for at, row in enumerate(arguments)]
    beside = {"tool_plan": "".join(plan)} if plan else {}
    beside |= {"tool_calls": told} if told else {}
    beside |= {"citations": list(sources.values())} if sources else {}
    whole = wire.message(*blocks, finish=finish, usage=usage, **beside)
    events = streamed(wire, content, plan, arguments, sources, finish, usage, chance)
    body = wire.sse(*events, end=chance.choice(["\n", "\r\n"]), named=chance.random() < 0.5)
    trio.run(compare, wire, wire.whole(whole), wire.stream(*cut(body, chance)), whole)


async def compare(wire, whole, stream, told):
    fold = Fold()
    async with wire.client([whole, stream, wire.whole(wire.message("x"))]) as (client, server):
        one = await client.ask("hi")
        async with client.stream("hi") as heard:
            async for delta in heard:
                fold(delta)
            other = heard.response
        results = [call.result("done") for call in other.tool_calls]
        await client.ask(["hi", other, *results, "and?"])
    assert fold.response().message == other.message
    assert one == other
    assert one.raw == other.raw
    answers = [m for m in server.requests[-1].json()["messages"] if m["role"] == "assistant"]
    assert said_by(answers[0] if answers else {}) == said_by(told["message"])


def said_by(message):
    """What a message says; beside calls all text is their plan."""
    content = message.get("content") or []
    blocks = [{"text": content}] if isinstance(content, str) else content
    calls = message.get("tool_calls") or []
    texts = [one["text"] for one in blocks if "text" in one]
    plan = [message["tool_plan"]] if message.get("tool_plan") else []
    if calls:
        plan, texts = ["\n".join([*plan, *texts])], []
    elif not blocks:
        plan, texts = [], plan  # a plan of nothing is said
    return {
        "text": "".join(texts),
        "thinking": "".join(one.get("thinking", "") for one in blocks),
        "plan": "".join(plan),
        "calls": [(c["id"], c["function"]["arguments"] or "{}") for c in calls],
        "citations": [] if calls else message.get("citations") or [],
    }


async def test_a_stream_is_told_as_it_comes(wire):
    """Not at its end: each piece is there before the host sends the next."""
    first = [wire.start(), wire.delta("content-delta", 0, content={"text": "a"})]
    second = [wire.delta("content-delta", 0, content={"text": "b"}), wire.end()]
    heard = trio.Event()

    async def until_heard():
        with trio.fail_after(5):
            await heard.wait()

    answer = wire.stream(wire.sse(*first), until_heard, wire.sse(*second))
    async with wire.client(answer) as (client, _):
        async with client.stream("hi") as stream:
            said = []
            async for text in stream.text:
                said.append(text)
                heard.set()
    assert said == ["a", "b"]
