"""What users see of `Coalesce`, and what no drawn world has."""

import contextvars
import gc
import traceback
import weakref

import pytest
import trio

from llmmw import (
    Call,
    Client,
    Coalesce,
    Generate,
    Generation,
    PartDelta,
    PartEnd,
    PartStart,
    Retry,
    TextPart,
    Timeout,
    _listen,
    chain,
)
from llmmw._ledger import CallEnded, FlightJoined, FlightLeft
from llmmw.errors import (
    ConfigError,
    DeadlineExceeded,
    Overloaded,
    ProtocolError,
    StreamInterrupted,
)
from llmmw.testing import Fault, Script, SimulatedProvider, open_host

pytestmark = pytest.mark.virtual

QUESTION = Generate(model="sim:a", messages=["hello"])
SLOW = Script(first=1, gap=1, pieces=("a", "b", "c"))


def client_of(*scripts, stack=None, **options):
    provider = SimulatedProvider({"a": scripts})
    return provider, Client(
        "sim:a", stack=[Coalesce()] if stack is None else stack, providers=[provider], **options
    )


async def together(*functions):
    """Their results, in order; the n-th begins n tenths of a second later."""
    results = [None] * len(functions)

    async def run(k):
        await trio.sleep(k / 10)
        results[k] = await functions[k]()

    async with trio.open_nursery() as nursery:
        for k in range(len(functions)):
            nursery.start_soon(run, k)
    return results


async def test_identical_calls_share_one_and_one_of_them_pays():
    events = []
    provider, client = client_of(SLOW, instruments=[events.append])
    async with client:
        first, second = await together(*[lambda: client.ask("hello")] * 2)
    assert len(provider.opened) == 1
    assert first == second
    assert first.text == "abc"
    assert (first.joined, second.joined) == (False, True)
    assert first.usage == second.usage is not None
    assert "leads flight 1" in first.explain()
    assert "joined flight 1, 0.100 s old, with 1 waiting" in second.explain()
    ends = [e.output_tokens for e in events if isinstance(e, CallEnded)]
    assert sorted(ends, key=str) == [3, None]


async def test_what_counts_as_identical():
    provider, client = client_of(SLOW)
    async with client:
        await together(
            lambda: client.ask("hello", metadata={"user": "me"}),
            lambda: client.ask("hello", tenant="t"),
            lambda: client.ask("hello", sample=1),
            lambda: client.ask("hello", temperature=1.0),
            lambda: client.ask("hello", metadata={"user": "you"}),
        )
        assert client.stack[0].statistics() == {"started": 4, "joined": 1, "in_flight": 0}
        await client.ask("hello")  # nothing of the past is kept
    assert len(provider.opened) == 5


async def test_a_flight_outlives_its_first_caller():
    provider, client = client_of(SLOW)
    events = []

    async def leaves():
        with trio.move_on_after(1.5):
            await client.ask("hello", listener=lambda delta: trio.lowlevel.checkpoint())

    async def stays():
        async with client.stream("hello") as stream:
            answer = await stream.wait_response()
            events.extend(answer.ledger.events)
            return answer

    async with client:
        _, answer = await together(leaves, stays)
    assert answer.text == "abc"
    assert [type(e) for e in events if "Flight" in type(e).__name__] == [FlightJoined]
    assert len(provider.opened) == 1


async def test_whoever_leaves_says_that_the_flight_goes_on():
    events = []
    _, client = client_of(SLOW, instruments=[events.append])

    async def leaves():
        with trio.move_on_after(1):
            await client.ask("hello")

    async with client:
        await together(leaves, lambda: client.ask("hello"))
    (left,) = [event for event in events if isinstance(event, FlightLeft)]
    assert str(left) == "left flight 1, which goes on for 1"


async def test_who_joins_late_is_told_from_the_start_and_then_live():
    _, client = client_of(SLOW)
    heard = []

    async def hear(delta):
        if isinstance(delta, PartDelta):
            heard.append((round(trio.current_time() - begun, 3), delta.text))

    async def late():
        await trio.sleep(2.4)
        return await client.ask("hello", listener=hear)

    async def first():
        async with client.stream("hello") as stream:
            return await stream.wait_response()

    async with client:
        begun = trio.current_time()
        await together(first, late)
    assert heard == [(2.5, "a"), (2.5, "b"), (3.0, "c")]


async def test_a_stream_that_meets_a_silent_flight_is_told_at_its_end():
    provider, client = client_of(SLOW)

    async def stream():
        async with client.stream("hello") as stream:
            return [piece async for piece in stream.text]

    async with client:
        _, pieces = await together(lambda: client.ask("hello"), stream)
    assert pieces == ["abc"]
    assert len(provider.opened) == 1


async def test_an_error_is_each_waiters_own():
    cause = ValueError("deep down")

    def failing():
        error = Overloaded("busy")
        error.add_note("a note")
        error.__cause__ = cause
        return error

    _, client = client_of(Script(first=1, pieces=(), error=failing))
    errors = []

    async def ask():
        with pytest.raises(Overloaded) as caught:
            await client.ask("hello")
        caught.value.add_note("mine")
        errors.append(caught.value)

    async with client:
        await together(ask, ask)
    one, other = errors
    assert one is not other
    assert one.__notes__ == other.__notes__ == ["a note", "mine"]
    assert one.__cause__ is other.__cause__ is cause


async def test_a_restart_parts_those_who_mind_from_those_who_do_not():
    broken = Script(first=1, gap=1, pieces=("x", "y"), error=Fault("cut"))
    provider, client = client_of(broken, SLOW, stack=[Coalesce(), Retry(2, base=0.0)])

    async def read(on_interrupt):
        async with client.stream("hello", on_interrupt=on_interrupt) as stream:
            return await stream.wait_response()

    async def minds():
        with pytest.raises(StreamInterrupted) as caught:
            await read("error")
        return caught.value.partial.text, round(trio.current_time() - begun, 3)

    async with client:
        begun = trio.current_time()
        results = await together(minds, lambda: read("restart"), lambda: read("buffer"))
    assert results[0] == ("xy", 3.0)
    assert [answer.text for answer in results[1:]] == ["abc", "abc"]
    assert len(provider.opened) == 2


async def test_nobody_waits_for_a_retry_that_nobody_wants():
    broken = Script(pieces=("x",), error=Fault("rate", 50.0))
    provider, client = client_of(broken, SLOW, stack=[Coalesce(), Retry(2)])
    async with client:
        begun = trio.current_time()
        with pytest.raises(StreamInterrupted, match="RateLimited"):
            await client.ask("hello", listener=lambda delta: trio.lowlevel.checkpoint())
        assert trio.current_time() == begun
    assert len(provider.opened) == 1


async def test_a_listener_that_fails_ends_its_own_call_alone():
    _, client = client_of(SLOW)

    async def raises():
        async def hear(delta):
            raise ZeroDivisionError

        with pytest.raises(ZeroDivisionError):
            await client.ask("hello", listener=hear)

    async with client:
        _, answer = await together(raises, lambda: client.ask("hello"))
    assert answer.text == "abc"


async def test_a_limit_that_moves_with_the_stream_moves_the_flights():
    _, client = client_of(SLOW, stack=[Timeout(first_token=1.5, idle=1.5), Coalesce()])
    async with client, client.stream("hello") as stream:
        assert (await stream.wait_response()).text == "abc"


async def test_a_deadline_that_somebody_else_moved_is_an_error_that_can_be_retried():
    _, client = client_of(SLOW)
    async with client, trio.open_nursery() as nursery:
        scope = trio.CancelScope(deadline=trio.current_time() + 2)

        async def prolong():
            await trio.sleep(1)
            scope.deadline += 10

        nursery.start_soon(prolong)
        with scope, pytest.raises(DeadlineExceeded, match="2 s") as caught:
            await client.ask("hello")
    assert caught.value.retryable


async def stuck(call, next):
    try:
        return await next(call)
    except trio.Cancelled:
        with trio.CancelScope(shield=True):
            await trio.sleep(10)
        raise


async def test_leaving_waits_for_the_end_but_not_for_ever():
    provider, client = client_of(Script(hangs=True), SLOW, stack=[Coalesce(), stuck])
    async with client:
        begun = trio.current_time()
        with trio.move_on_after(1):
            await client.ask("hello")
        assert trio.current_time() - begun == 3
        assert (await client.ask("hello")).text == "abc"  # not the one that unwinds
    assert len(provider.opened) == 2


async def test_a_call_that_is_cancelled_already_starts_nothing():
    provider, client = client_of(SLOW)
    async with client:
        with trio.CancelScope() as scope:
            scope.cancel()
            await client.ask("hello")
    assert not provider.opened


async def test_flights_end_with_their_host():
    handler = chain(Coalesce(), provider=SimulatedProvider({"a": [Script(hangs=True)]}))
    async with trio.open_nursery() as nursery:
        async with open_host() as host:

            async def ask():
                with pytest.raises(RuntimeError, match="its host has closed"):
                    await handler(Call(QUESTION, host=host))

            nursery.start_soon(ask)
            await trio.testing.wait_all_tasks_blocked()
    assert not host.nursery.child_tasks


async def test_one_policy_in_two_clients_keeps_them_apart():
    shared = Coalesce()
    one, first = client_of(SLOW, stack=[shared])
    other, second = client_of(SLOW, stack=[shared])
    async with first, second:
        await together(lambda: first.ask("hello"), lambda: second.ask("hello"))
    assert len(one.opened) == len(other.opened) == 1


async def test_a_flight_has_the_context_of_its_first_call():
    who = contextvars.ContextVar("who", default="nobody")
    seen = []

    async def looks(call, next):
        seen.append(who.get())
        return await next(call)

    _, client = client_of(SLOW, stack=[Coalesce(), looks])
    async with client:
        who.set("me")
        await client.ask("hello")
    assert seen == ["me"]


async def test_without_a_host_it_says_so():
    handler = chain(Coalesce(), provider=SimulatedProvider({"a": [SLOW]}))
    with pytest.raises(ConfigError, match="Coalesce needs a host"):
        await handler(Call(QUESTION))


async def test_an_answer_without_end_is_refused(monkeypatch):
    monkeypatch.setattr(_listen, "_MOST_BYTES", 10)

    async def endless(call):
        await call.listener(PartStart(0, TextPart("")))
        for _ in range(100):
            await call.listener(PartDelta(index=0, text="xxxx"))
        await call.listener(PartEnd(0, TextPart("xxxx" * 100)))
        return Generation()

    async def hear(delta):
        pass

    async with open_host() as host:
        with pytest.raises(StreamInterrupted, match="larger than 10 bytes") as caught:
            await chain(Coalesce(), provider=endless)(Call(QUESTION, hear, host=host))
    assert isinstance(caught.value.__cause__, ProtocolError)


async def hear_nothing(delta):
    pass


async def test_who_was_told_gets_an_error_with_all_that_is_known():
    failing = Script(pieces=(), error=Fault("busy"))
    broken = Script(first=1, gap=1, pieces=("x",), error=Fault("busy"))
    _, client = client_of(failing, broken, stack=[Coalesce(), Retry(1, base=0.0)])
    async with client:
        with pytest.raises(StreamInterrupted, match="scripted: busy") as caught:
            await client.ask("hello", listener=hear_nothing)
    assert [type(error) for error in caught.value.attempts] == [Overloaded, Overloaded]
    assert isinstance(caught.value.__cause__, Overloaded)
    assert caught.value.partial.text == "x"


async def test_who_minds_a_restart_is_told_where_it_was():
    broken = Script(pieces=("x",), error=Fault("cut"))
    _, client = client_of(broken, SLOW, stack=[Coalesce(), Retry(2)])
    async with client:
        with pytest.raises(StreamInterrupted, match=r"^sim:a: the answer broke off"):
            await client.ask("hello", listener=hear_nothing)


async def test_when_the_first_caller_leaves_the_next_one_pays():
    events = []
    _, client = client_of(SLOW, instruments=[events.append])

    async def leaves():
        with trio.move_on_after(1):
            await client.ask("hello")

    async with client:
        _, second, third = await together(leaves, *[lambda: client.ask("hello")] * 2)
    assert (second.joined, third.joined) == (False, True)
    ends = [e.output_tokens for e in events if isinstance(e, CallEnded)]
    assert sorted(ends, key=str) == [3, None, None]


async def test_an_error_that_is_a_bug_does_not_grow_with_those_who_see_it():
    errors = []

    async def broken(call, next):
        await trio.sleep(1)
        raise ZeroDivisionError("deep down")

    _, client = client_of(SLOW, stack=[Coalesce(), broken])

    async def ask():
        try:
            await client.ask("hello")
        except ZeroDivisionError as error:
            errors.append(error)

    async with client:
        await together(*[ask] * 3)
    assert {str(error) for error in errors} == {"deep down"}
    assert len({id(error) for error in errors}) == 3
    assert len({len(traceback.extract_tb(error.__traceback__)) for error in errors}) == 1


async def test_an_error_that_cannot_be_copied_is_shared_as_it_is():
    class Odd(Exception):
        def __init__(self, number):
            super().__init__(f"number {number}")

    errors = []

    async def broken(call, next):
        await trio.sleep(1)
        raise Odd(7)

    _, client = client_of(SLOW, stack=[Coalesce(), broken])

    async def ask():
        try:
            await client.ask("hello")
        except Odd as error:
            errors.append((str(error), len(traceback.extract_tb(error.__traceback__))))

    async with client:
        await together(*[ask] * 3)
    assert len(set(errors)) == 1
    assert errors[0][0] == "number 7"


async def test_a_call_whose_own_limit_runs_out_is_told_of_that_one():
    layers = set()

    async def listens(delta):
        await trio.sleep_until(begun + 2)

    for _ in range(20):  # a tie, which the scheduler decides
        _, client = client_of(SLOW, stack=[Timeout(total=2), Coalesce()])
        async with client:
            begun = trio.current_time()
            try:
                await client.ask("hello", listener=listens)
            except DeadlineExceeded as error:
                layers.add(error.layer)
    assert layers == {"Timeout(total=2, first_token=None, idle=None, stream=False)"}


async def test_what_has_ended_is_not_in_flight():
    _, client = client_of(SLOW)
    policy = client.stack[0]
    seen = []

    async def slow(delta):
        await trio.sleep(10)
        seen.append(policy.statistics()["in_flight"])

    async with client:
        await client.ask("hello", listener=slow)
        assert seen[-1] == 0
        for k in range(100):
            with trio.move_on_after(1 + k % 5):
                await client.ask(f"hello {k}")
        assert policy.statistics() == {"started": 101, "joined": 0, "in_flight": 0}


async def test_a_question_differs_by_what_json_tells_apart():
    provider, client = client_of(SLOW)
    async with client:
        await together(
            lambda: client.ask("hello", extra={"sim": {"flag": 1, "deep": [{"x": 0}]}}),
            lambda: client.ask("hello", extra={"sim": {"flag": True, "deep": [{"x": 0}]}}),
            lambda: client.ask("hello", extra={"sim": {"flag": 1, "deep": [{"x": False}]}}),
            lambda: client.ask("hello", extra={"sim": {"deep": [{"x": 0.0}], "flag": 1.0}}),
        )
    assert len(provider.opened) == 3


async def test_every_kind_of_request_is_shared():
    provider, client = client_of(SLOW)
    async with client:
        results = await together(
            *[lambda: client.embed(["a", "bc"])] * 2,
            *[lambda: client.score("a", ["b", "cd"])] * 2,
            *[lambda: client.count_tokens("a b")] * 2,
        )
    assert len(provider.opened) == 3
    assert results[0::2] == results[1::2]
    assert [result.joined for result in results] == [False, True] * 3


async def test_inside_of_attempts_each_attempt_is_shared():
    broken = Script(first=1, pieces=(), error=Fault("busy"))
    provider, client = client_of(broken, SLOW, stack=[Retry(1, base=0.0), Coalesce()])
    async with client:
        first, second = await together(*[lambda: client.ask("hello")] * 2)
    assert first.text == second.text == "abc"
    assert len(provider.opened) == 2


async def test_two_layers_are_as_one():
    provider, client = client_of(SLOW, stack=[Coalesce(), Coalesce()])
    async with client:
        first, second = await together(
            lambda: client.ask("hello"), lambda: client.ask("hello", listener=hear_nothing)
        )
    assert (first.text, second.text) == ("abc", "abc")
    assert (first.joined, second.joined) == (False, True)
    assert len(provider.opened) == 1


def test_an_interrupt_in_a_flight_ends_the_program():
    async def interrupted(call):
        raise KeyboardInterrupt

    async def main():
        async with open_host() as host:
            await chain(Coalesce(), provider=interrupted)(Call(QUESTION, host=host))

    with pytest.raises(KeyboardInterrupt):
        trio.run(main)


async def test_a_host_that_closes_starts_nothing():
    provider = SimulatedProvider({"a": [SLOW]})
    handler = chain(Coalesce(), provider=provider)
    async with open_host() as host:
        pass
    with pytest.raises(RuntimeError):
        await handler(Call(QUESTION, host=host))
    assert not provider.opened


async def test_what_was_asked_is_forgotten():
    handler = chain(Coalesce(), provider=SimulatedProvider({"a": [SLOW]}))
    gc.collect()
    async with open_host() as host:
        question = Generate(model="sim:a", messages=["only once"])
        kept = weakref.ref(question)
        await handler(Call(question, hear_nothing, host=host))
        del question
        gc.collect()
        assert kept() is None


async def test_who_comes_when_a_flights_time_is_over_starts_another():
    for _ in range(20):  # a tie, which the scheduler decides
        provider, client = client_of(SLOW)

        async def leaves(client=client):
            with trio.move_on_after(2):
                await client.ask("hello")

        async def comes(client=client):
            await trio.sleep(2)
            assert (await client.ask("hello")).text == "abc"

        async with client, trio.open_nursery() as nursery:
            nursery.start_soon(leaves)
            nursery.start_soon(comes)
        assert len(provider.opened) == 2
