"""What a user of the client sees, on a virtual clock with a simulated provider."""

import gc
from contextlib import asynccontextmanager

import attrs
import pytest
import trio
import trio.testing

from llmmw import (
    Attempts,
    Client,
    Fallback,
    Generate,
    Generation,
    Message,
    PartDelta,
    Response,
    Retry,
    Timeout,
    default_stack,
)
from llmmw._ledger import AttemptStarted, CallEnded, CallStarted
from llmmw.errors import (
    BadRequest,
    ConfigError,
    ConnectionFailed,
    DeadlineExceeded,
    NotFound,
    ServerError,
    StreamInterrupted,
    UnsupportedFeature,
)
from llmmw.plugin import Call, Capabilities, Provider, ResponseBuilder
from llmmw.testing import Script, SimulatedProvider

pytestmark = pytest.mark.virtual


def boom() -> ServerError:
    return ServerError("boom", status=500)


def cut() -> StreamInterrupted:
    return StreamInterrupted("the line broke")


def world(**scripts: Script | list[Script]) -> SimulatedProvider:
    return SimulatedProvider(
        {name: script if isinstance(script, list) else [script] for name, script in scripts.items()}
    )


async def test_ask_answers() -> None:
    sim = world(a=Script(first=1, gap=0.5, pieces=("he", "llo")))
    async with Client("sim:a", providers=[sim]) as client:
        response = await client.ask("hi", temperature=0)
    assert response.text == "hello"
    assert response.usage is not None
    assert response.usage.output_tokens == 2
    assert (response.finish_reason, response.provider, response.model) == ("stop", "sim", "a")
    assert response.ledger is not None
    assert response.ledger.seconds == 2
    lines = response.explain().splitlines()
    assert lines[0].split() == ["0.000", "s", "call", "of", "sim:a"]
    assert lines[-1].endswith("ended: ok, 1 tokens in, 2 out")


async def test_a_conversation_goes_on_with_its_responses() -> None:
    seen: list[tuple[Message, ...]] = []

    class Listening(SimulatedProvider):
        async def __call__(self, call: Call) -> Response:
            assert isinstance(call.request, Generate)
            seen.append(call.request.messages)
            return await super().__call__(call)

    async with Client("sim:a", providers=[Listening({"a": [Script()]})]) as client:
        messages = [("system", "be brief"), "hello"]
        response = await client.ask(messages)
        await client.ask([*messages, response, "and now?"])
    assert [m.role for m in seen[1]] == ["system", "user", "assistant", "user"]
    assert seen[1][2].text == "ok"


async def test_other_kinds_of_requests() -> None:
    async with Client("sim:a", providers=[world(a=Script())]) as client:
        assert (await client.embed(["x", "yz"])).vectors == ((1.0,), (2.0,))
        assert (await client.embed("xyz")).vectors == ((3.0,),)
        assert (await client.score("x", ["long", "s"])).best == 1
        assert (await client.count_tokens("to be or not")).tokens == 4
        assert (await client.tokenize("a☃")).tokens == (97, 9731)
        assert (await client.detokenize([97, 9731])).text == "a☃"


async def test_stream_tells_pieces_as_they_come() -> None:
    sim = world(a=Script(first=1, gap=1, pieces=("he", "llo")))
    async with Client("sim:a", providers=[sim]) as client, client.stream("hi") as stream:
        with pytest.raises(RuntimeError, match="has not ended"):
            _ = stream.response
        times = [(piece, trio.current_time()) async for piece in stream.text]
        assert times == [("he", 1), ("llo", 2)]
        assert stream.response.text == stream.partial.text == "hello"


async def test_wait_response_reads_to_the_end() -> None:
    async with Client("sim:a", providers=[world(a=Script())]) as client:
        async with client.stream("hi") as stream:
            assert (await stream.wait_response()).text == "ok"


async def test_leaving_a_stream_early_cancels_everything_below() -> None:
    sim = world(a=Script(first=1, gap=1, pieces=("a", "b", "c"), hangs=True))
    async with Client("sim:a", providers=[sim]) as client:
        async with client.stream("hi") as stream:
            async for piece in stream.text:
                assert piece == "a"
                break
        assert trio.current_time() == 1
        assert sim.live == 0
        assert sim.seen[-1].detail == "cancelled"
        assert stream.partial.text == "a"


async def test_an_error_of_the_block_is_itself_and_cancels() -> None:
    sim = world(a=Script(pieces=("ok",), hangs=True))
    async with Client("sim:a", providers=[sim]) as client:
        with pytest.raises(ZeroDivisionError):
            async with client.stream("hi") as stream:
                async for _ in stream:
                    raise ZeroDivisionError
        assert sim.live == 0


async def test_a_cut_stream_raises_with_what_came() -> None:
    sim = world(a=Script(pieces=("half",), error=cut))
    async with Client("sim:a", providers=[sim]) as client, client.stream("hi") as stream:
        heard = []
        with pytest.raises(StreamInterrupted) as caught:
            async for piece in stream.text:
                heard.append(piece)
        assert heard == ["half"]
        assert caught.value.partial is not None
        assert caught.value.partial.text == "half"
        with pytest.raises(StreamInterrupted):
            _ = stream.response
    assert len(sim.opened) == 1


async def test_a_provider_can_not_end_a_stream_as_if_all_were_well() -> None:
    @attrs.define(eq=False)
    class Odd(Provider):
        async def __call__(self, call: Call) -> Generation:
            await ResponseBuilder(call, self.name).text("half of it")
            raise StopAsyncIteration

    async with (
        Client("odd:x", providers=[Odd(name="odd")], stack=[]) as client,
        client.stream("hi") as stream,
    ):
        with pytest.raises(RuntimeError, match="StopAsyncIteration"):
            async for _ in stream:
                pass


async def test_ask_restarts_what_a_stream_may_not() -> None:
    scripts = [Script(pieces=("half",), error=cut), Script(pieces=("whole",))]
    async with Client("sim:a", providers=[world(a=scripts)]) as client:
        assert (await client.ask("hi")).text == "whole"


async def test_restart_and_buffer_are_for_those_who_ask() -> None:
    scripts = [Script(pieces=("half",), error=cut), Script(pieces=("whole",))]
    async with Client("sim:a", providers=[world(a=scripts)]) as client:
        async with client.stream("hi", on_interrupt="restart") as stream:
            kinds = [type(delta).__name__ async for delta in stream]
        assert "Restarted" in kinds
        assert stream.response.text == "whole"
    async with Client("sim:a", providers=[world(a=scripts)]) as client:
        async with client.stream("hi", on_interrupt="buffer") as stream:
            assert [piece async for piece in stream.text] == ["whole"]
        with pytest.raises(ConfigError, match="expected one of error, restart, resume, buffer"):
            await client.ask("hi", on_interrupt="explode")  # type: ignore[arg-type]


async def test_a_listener_hears_and_its_error_is_its_own() -> None:
    heard = []

    async def hear(delta: object) -> None:
        heard.append(delta)
        if isinstance(delta, PartDelta):
            raise ServerError("the listener's own")

    sim = world(a=Script())
    async with Client("sim:a", providers=[sim]) as client:
        with pytest.raises(ServerError, match="own") as caught:
            await client.ask("hi", listener=hear)
    assert caught.value.attempts == ()
    assert len(sim.opened) == 1
    assert heard


async def test_several_targets_fall_back_at_once() -> None:
    sim = world(a=Script(first=1, error=boom, pieces=()), b=Script(first=1))
    async with Client("sim:a", "sim:b", providers=[sim]) as client:
        response = await client.ask("hi")
        assert response.model == "b"
        assert trio.current_time() == 2
        assert "attempt 2 on sim:b (fallback)" in response.explain()


async def test_all_errors_are_told_in_order() -> None:
    sim = world(a=Script(error=boom, pieces=()), b=Script(error=cut, pieces=()))
    async with Client("sim:a", "sim:b", providers=[sim]) as client:
        with pytest.raises(ServerError) as caught:
            await client.ask("hi")
    kinds = [type(error).__name__ for error in caught.value.attempts]
    # Each once, then the two retries of the default stack, the least failed first.
    assert kinds == ["ServerError", "StreamInterrupted", "ServerError", "StreamInterrupted"]
    assert str(caught.value) == "sim:a: boom (500)"


async def test_the_listeners_error_keeps_its_cause() -> None:
    async def hear(delta: object) -> None:
        try:
            raise KeyError("why")
        except KeyError as why:
            raise ValueError("what") from why

    async with Client("sim:a", providers=[world(a=Script())]) as client:
        with pytest.raises(ValueError, match="what") as caught:
            await client.ask("hi", listener=hear)
    assert isinstance(caught.value.__cause__, KeyError)


async def test_a_limit_that_ends_a_heard_answer_tells_what_came() -> None:
    async def hear(delta: object) -> None:
        pass

    sim = world(a=Script(pieces=("half",), hangs=True))
    async with Client("sim:a", providers=[sim]) as client:
        with pytest.raises(DeadlineExceeded) as caught:
            await client.ask("hi", listener=hear, timeout=3)
    assert caught.value.partial is not None
    assert caught.value.partial.text == "half"


async def test_timeout_of_one_call() -> None:
    sim = world(a=Script(first=5))
    async with Client("sim:a", providers=[sim]) as client:
        with pytest.raises(DeadlineExceeded) as caught:
            await client.ask("hi", timeout=2)
        assert trio.current_time() == 2
        assert (caught.value.limit, caught.value.after) == ("total", 2)
        assert "Timeout(total=2" in str(caught.value)


async def test_model_per_call_and_unknown_models() -> None:
    sim = world(a=Script(pieces=("a",)), b=Script(pieces=("b",)))
    async with Client("sim:a", providers=[sim]) as client:
        assert (await client.ask("hi", model="sim:b")).text == "b"
        assert (await client.ask(Generate(model="sim:b", messages=["hi"]))).text == "b"
        with pytest.raises(NotFound, match="it has a, b"):
            await client.ask("hi", model="sim:c")
        with pytest.raises(NotFound, match="no provider is named 'simm'"):
            await client.ask("hi", model="simm:c")
        with pytest.raises(BadRequest, match='write "provider:model"'):
            await client.ask("hi", model="gpt")


async def test_a_client_without_targets_says_so() -> None:
    async with Client(providers=[world(a=Script())]) as client:
        with pytest.raises(BadRequest, match="no model was named"):
            await client.ask("hi")
        assert (await client.ask("hi", model="sim:a")).text == "ok"


async def test_wrong_use_is_told() -> None:
    with pytest.raises(ConfigError, match="'gpt' is not of the form"):
        Client("gpt")
    client = Client("sim:a")
    with pytest.raises(RuntimeError, match="not open"):
        await client.ask("hi")
    async with client:
        with pytest.raises(RuntimeError, match="open already"):
            await client.__aenter__()


async def test_replace_shares_the_providers() -> None:
    sim = world(a=Script(pieces=(), error=boom), b=Script(pieces=("b",)))
    async with Client("sim:a", providers=[sim]) as client:
        other = client.replace("sim:b")
        assert (await other.ask("hi")).text == "b"
        bare = client.replace(stack=[])
        with pytest.raises(ServerError) as caught:
            await bare.ask("hi")
        assert caught.value.attempts == ()
        assert [str(layer) for layer in other.describe()] == [
            "Timeout(total=600)",
            "Attempts(Retry())",
            "Timeout(total=300, first_token=120, idle=120)",
        ]


async def test_stack_in_code() -> None:
    stack = [Timeout(total=60), Attempts(Retry(1), Fallback("sim:b"))]
    sim = world(a=Script(pieces=(), error=boom), b=Script(pieces=("b",)))
    async with Client("sim:a", stack=stack, providers=[sim]) as client:
        assert (await client.ask("hi")).text == "b"
    assert len(default_stack("a:b", "c:d")) == 4


async def test_instruments_hear_what_the_ledger_has_and_change_nothing() -> None:
    heard = []

    def broken(event: object) -> None:
        raise ValueError("an observer's own trouble")

    sim = world(a=Script())
    async with Client("sim:a", providers=[sim], instruments=[broken, heard.append]) as client:
        response = await client.ask("hi")
    assert response.ledger is not None
    assert heard == response.ledger.events
    assert isinstance(heard[0], CallStarted)
    assert isinstance(heard[-1], CallEnded)
    assert any(isinstance(event, AttemptStarted) for event in heard)


@attrs.define(eq=False)
class Living(Provider):
    """A provider with a lifetime that may fail."""

    name: str = attrs.field(default="living", kw_only=True)
    failures: int = 0
    log: list[str] = attrs.field(factory=list)

    @asynccontextmanager
    async def open(self, host):
        await trio.sleep(1)
        if self.failures:
            self.failures -= 1
            raise ConnectionFailed("no weights today")
        self.log.append("opened")
        try:
            yield
        finally:
            await trio.sleep(1)
            self.log.append("closed")
            await trio.sleep_forever()  # no provider can hold up the end of its client

    async def __call__(self, call: Call) -> Response:
        self.log.append("called")
        return await ResponseBuilder(call, self.name).finish(None)


async def test_a_provider_is_opened_once_at_first_use_and_closed_with_the_client() -> None:
    living = Living()
    async with Client("living:x", providers=[living], stack=[]) as client:
        assert living.log == []
        async with client.map(["a", "b", "c"]) as items:
            assert len([item async for item in items]) == 3
        assert trio.current_time() == 1
    assert living.log == ["opened", "called", "called", "called", "closed"]
    assert trio.current_time() == 3


async def test_a_failed_opening_is_tried_again_by_the_next_call() -> None:
    living = Living(failures=1)
    async with Client("living:x", providers=[living], stack=[]) as client:
        with pytest.raises(ConnectionFailed, match="no weights today"):
            await client.ask("hi")
        await client.ask("hi")
    assert living.log == ["opened", "called", "closed"]


async def test_cancelling_the_first_caller_does_not_stop_the_opening() -> None:
    living = Living()
    async with Client("living:x", providers=[living], stack=[]) as client:
        with trio.move_on_after(0.5):
            await client.ask("hi")
        await client.ask("hi")
        assert trio.current_time() == 1


class Narrow(SimulatedProvider):
    def capabilities(self, model: str) -> Capabilities:
        return Capabilities(kinds=frozenset({Generate}), parameters=frozenset({"temperature"}))


async def test_what_a_target_cannot_honour_is_an_error_or_a_warning() -> None:
    async with Client("sim:a", providers=[Narrow({"a": [Script()]})]) as client:
        assert (await client.ask("hi", temperature=0)).warnings == ()
        with pytest.raises(UnsupportedFeature, match="can't honour top_k, seed"):
            await client.ask("hi", top_k=1, seed=1)
        response = await client.ask("hi", top_k=1, unsupported="drop")
        assert response.warnings == ("sim:a can't honour top_k: dropped",)
        with pytest.raises(UnsupportedFeature, match="does not answer Embed, only Generate"):
            await client.embed("x")


async def test_nothing_is_left_over() -> None:
    sim = world(a=Script(hangs=True))
    async with trio.open_nursery() as nursery:
        async with Client("sim:a", providers=[sim]) as client:
            nursery.start_soon(_swallow, client)
            await trio.testing.wait_all_tasks_blocked()
            nursery.cancel_scope.cancel()
    assert sim.live == 0
    gc.collect()


async def _swallow(client: Client) -> None:
    await client.ask("hi")


async def test_a_whole_answer_is_told_as_deltas() -> None:
    async def silent(call: Call, next: object) -> Generation:
        return Generation(message=Message("assistant", "whole"))

    async with Client("sim:a", stack=[silent]) as client, client.stream("hi") as stream:
        assert [piece async for piece in stream.text] == ["whole"]


class Queueing(SimulatedProvider):
    """Sends a call only after a long wait for its place."""

    marks_sent = True

    async def __call__(self, call: Call) -> Response:
        await trio.sleep(200)
        call.attempt.mark_sent(call.ledger)
        return await super().__call__(call)


@pytest.mark.parametrize("stream", [True, False])
async def test_limits_of_an_attempt_count_from_its_sending(stream: bool) -> None:
    sim = Queueing({"a": [Script(first=10)], "slow": [Script(first=400)]})
    async with Client("sim:a", providers=[sim]) as client:
        if stream:
            async with client.stream("hi") as answer:
                assert (await answer.wait_response()).text == "ok"
        else:
            assert (await client.ask("hi")).text == "ok"
        assert trio.current_time() == 210
        with pytest.raises(DeadlineExceeded) as caught:
            await client.ask("hi", model="sim:slow")
        assert caught.value.limit == "total"
        assert len(sim.opened) == 2
        assert trio.current_time() == 210 + 600


async def test_an_error_object_raised_again_does_not_grow() -> None:
    error = ServerError("kept")
    sim = world(a=Script(pieces=(), error=lambda: error))
    async with Client("sim:a", providers=[sim]) as client:
        for _ in range(3):
            with pytest.raises(ServerError) as caught:
                await client.ask("hi")
            assert len(caught.value.attempts) == 3


async def test_nothing_asked_is_lost() -> None:
    seen: list[Generate] = []

    async def keep(call: Call, next: object) -> Response:
        assert isinstance(call.request, Generate)
        seen.append(call.request)
        return Generation()

    async with Client("p:a", stack=[keep]) as client:
        await client.ask(Generate(messages=["hi"]), system="be brief", temperature=1)
        ready = Generate(model="p:own", messages="hello", temperature=0)
        async with client.map([ready], model="p:other", temperature=1, seed=3) as items:
            assert [item.error async for item in items] == [None]
    assert [m.role for m in seen[0].messages] == ["system", "user"]
    assert (seen[1].model, seen[1].temperature, seen[1].seed) == ("p:own", 0, 3)
    assert seen[1].messages == (Message("user", "hello"),)


async def test_wrong_arguments_of_other_kinds_name_themselves() -> None:
    with pytest.raises(ConfigError, match="expected middleware"):
        Client("p:a", stack=[Timeout])
    async with Client("p:a") as client:
        with pytest.raises(BadRequest, match="did you mean 'dimensions'"):
            await client.embed("x", dimension=3)
        other = client.replace("p:b")
    with pytest.raises(RuntimeError, match="not open"):
        await other.ask("hi")
