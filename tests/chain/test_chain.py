"""The fold of middleware, the builder of answers, rewriting, hosts and nurseries."""

import pytest
import trio

from llmmw import (
    Attempts,
    Call,
    Fallback,
    Finish,
    Generate,
    Generation,
    Handler,
    PartDelta,
    PartEnd,
    PartStart,
    Response,
    ResponseStart,
    Retry,
    Timeout,
    ToolCallPart,
    chain,
    describe,
)
from llmmw._deltas import Delta, Fold
from llmmw._tasks import open_host, open_nursery
from llmmw.errors import (
    BadRequest,
    CallShed,
    ConfigError,
    ContentFiltered,
    ContextWindowExceeded,
    ServerError,
)
from llmmw.plugin import MapText, ResponseBuilder

pytestmark = pytest.mark.virtual


def ask(listener: object = None) -> Call:
    return Call(Generate(model="a:b", messages=["hi"]), listener)  # type: ignore[arg-type]


async def test_the_first_is_outermost_and_a_chain_is_a_handler() -> None:
    order = []

    def layer(name: str):
        async def middleware(call: Call, next: Handler) -> Response:
            order.append(name)
            return await next(call)

        return middleware

    async def provider(call: Call) -> Response:
        order.append("provider")
        return Generation()

    inner = chain(layer("c"), provider=provider)
    await chain(layer("a"), layer("b"), provider=inner)(ask())
    assert order == ["a", "b", "c", "provider"]


def test_a_stack_describes_itself() -> None:
    async def mine(call: Call, next: Handler) -> Response:
        return await next(call)

    stack = [mine, Timeout(total=1), Attempts(Retry(3), Fallback("c:d"), max_attempts=4)]
    layers = describe(stack)
    assert layers[0].name.endswith("mine")
    assert layers[1].options == {"total": 1}
    assert [inside.name for inside in layers[2].layers] == ["Retry", "Fallback"]
    assert str(layers[2]).startswith("Attempts(Retry(retries=3), Fallback(targets=('c:d',)")


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda: Retry(-1), r"Retry\(retries=-1\): expected a whole number from 0"),
        (lambda: Retry(1.5), "whole number"),
        (lambda: Retry(base="1"), r"Retry\(base='1'\): expected seconds"),
        (lambda: Timeout(total=-1), r"Timeout\(total=-1\)"),
        (lambda: Timeout(total=float("inf")), "seconds"),
        (lambda: Timeout(), "at least one of"),
        (lambda: Fallback(), "at least one target"),
        (lambda: Fallback("a:b", order="random"), "'per-round', 'per-target'"),
        (lambda: Fallback("gpt"), 'expected a model as "provider:model"'),
        (lambda: Fallback({"temperature": 0}), "expected a model"),
        (lambda: Fallback({"model": "a:b", "temprature": 0}), "no field 'temprature'"),
        (lambda: Fallback("a:b", on={KeyError: "c:d"}), "no class of LLMError"),
        (lambda: Attempts(Timeout(total=1)), "expected policies such as"),
        (lambda: Attempts(Retry(1), max_attempts=0), "expected 1 or more"),
    ],
)
def test_wrong_options_name_themselves(make, says: str) -> None:
    with pytest.raises(ConfigError, match=says):
        make()


async def test_a_builder_tells_what_it_builds() -> None:
    heard: list[Delta] = []

    async def hear(delta: Delta) -> None:
        heard.append(delta)

    builder = ResponseBuilder(ask(hear), "p")
    await builder.start(id="7", model="m")
    await builder.start(id="8")
    await builder.reasoning("let me")
    await builder.reasoning(" see", signature="sig")
    await builder.text("he")
    await builder.text("")
    await builder.text("llo")
    await builder.text("no", refusal=True)
    await builder.tool_call(0, id="1", name="f", arguments='{"a"')
    await builder.tool_call(1, id="2", name="g")
    await builder.tool_call(0, arguments=":1}")
    await builder.text("bye")
    response = await builder.finish(Finish("tool_call"))
    assert (response.id, response.model, response.provider) == ("7", "m", "p")
    kinds = [part.kind for part in response.parts]
    assert kinds == ["reasoning", "text", "text", "tool_call", "tool_call", "text"]
    assert response.tool_calls[0] == ToolCallPart(id="1", name="f", arguments='{"a":1}')
    assert (response.text, response.refusal, response.reasoning) == ("hellobye", "no", "let me see")
    fold = Fold()
    for delta in heard:
        fold(delta)
    assert fold.response(finish=response.finish) == response
    assert fold.open_parts == []
    assert isinstance(heard[0], ResponseStart)
    starts = [delta.index for delta in heard if isinstance(delta, PartStart)]
    assert starts == sorted(starts) == list(range(6))
    assert len([delta for delta in heard if isinstance(delta, PartEnd)]) == 6


async def test_a_builder_keeps_candidates_apart_and_knows_what_came() -> None:
    builder = ResponseBuilder(ask(), "p")
    await builder.text("a", candidate=0)
    await builder.text("b", candidate=1)
    await builder.text("A", candidate=0)
    error = builder.interrupted("gone")
    assert error.partial is not None
    assert [c.message.text for c in error.partial.candidates] == ["aA", "b"]
    response = await builder.finish(Finish("stop"))
    assert [c.message.text for c in response.candidates] == ["aA", "b"]


async def test_rewriting_changes_what_is_told_and_what_is_returned() -> None:
    async def provider(call: Call) -> Response:
        builder = ResponseBuilder(call, "p")
        await builder.text("hel")
        await builder.text("lo")
        return await builder.finish(Finish("stop"))

    async def louder(call: Call, next: Handler) -> Response:
        return await MapText(str.upper)(call, next)

    told: list[str] = []

    async def hear(delta: Delta) -> None:
        if isinstance(delta, PartDelta):
            told.append(delta.text)

    response = await chain(louder, provider=provider)(ask(hear))
    assert isinstance(response, Generation)
    assert response.text == "".join(told) == "HELLO"


async def test_larger_and_other_targets_by_class_of_error() -> None:
    asked: list[tuple[str, int | None]] = []

    async def provider(call: Call) -> Response:
        request = call.request
        assert isinstance(request, Generate)
        asked.append((request.model, request.max_output_tokens))
        if request.model == "a:b":
            raise ContextWindowExceeded("too long")
        if request.model == "c:big":
            raise ContentFiltered("no")
        return Generation()

    fallback = Fallback(
        "never:asked",
        on={
            ContextWindowExceeded: {"model": "c:big", "max_output_tokens": 5},
            ContentFiltered: lambda request: request.replace(model="d:free"),
        },
    )
    await chain(Attempts(fallback), provider=provider)(ask())
    # Each is a change of the original request: the second has no limit of the first.
    assert asked == [("a:b", None), ("c:big", 5), ("d:free", None)]
    with pytest.raises(ContextWindowExceeded):
        await chain(Attempts(Fallback("never:asked")), provider=provider)(ask())


async def test_a_target_that_sheds_is_not_asked_again_for_ever() -> None:
    errors = [ServerError("busy"), CallShed("the circuit is open")]

    async def provider(call: Call) -> Response:
        raise errors.pop(0) if len(errors) > 1 else errors[0]

    with pytest.raises(ServerError) as caught:  # of those that were sent
        await chain(Attempts(Retry(5)), provider=provider)(ask())
    assert [type(error) for error in caught.value.attempts] == [ServerError, CallShed]


async def test_one_plain_error_leaves_a_nursery() -> None:
    async def fail(error: Exception, after: float) -> None:
        await trio.sleep(after)
        raise error

    with pytest.raises(KeyError):
        async with open_nursery() as nursery:
            nursery.start_soon(fail, ValueError(), 2)
            nursery.start_soon(fail, KeyError(), 1)
    with pytest.raises(ZeroDivisionError) as caught:
        async with open_nursery():
            raise ZeroDivisionError
    assert caught.value.__context__ is None
    theirs = ExceptionGroup("a group of the block's own", [KeyError(), ValueError()])
    with pytest.raises(ExceptionGroup) as several:
        async with open_nursery():
            raise theirs
    assert several.value is theirs
    with trio.move_on_after(1) as scope:
        async with open_nursery() as nursery:
            nursery.start_soon(trio.sleep_forever)
    assert scope.cancelled_caught
    with pytest.raises(KeyboardInterrupt):
        async with open_nursery() as nursery:
            nursery.start_soon(fail, ValueError(), 0)
            raise KeyboardInterrupt


async def test_background_work_fails_for_those_who_wait_alone() -> None:
    async def fail() -> None:
        raise BadRequest("mine")

    async def answer() -> int:
        await trio.sleep(1)
        return 42

    async with open_host() as host:
        failing, right = host.start(fail), host.start(answer)
        assert await right.wait() == 42
        for _ in range(2):
            with pytest.raises(BadRequest, match="mine"):
                await failing.wait()
        endless = host.start(trio.sleep_forever)
    with pytest.raises(RuntimeError, match="host has closed"):
        await endless.wait()


async def test_a_policy_that_needs_a_host_says_so() -> None:
    with pytest.raises(ConfigError, match="Cache needs a host"):
        ask().need_host("Cache")
