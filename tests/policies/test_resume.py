"""Answers that are continued after a cut, what is held back, and targets that are passed over."""

import math

import pytest
import trio

from llmmw import Attempts, Balance, Client, Fallback, Generate, Hedge, Retry, chain
from llmmw._call import Call
from llmmw._deltas import PartDelta, PartEnd, PartStart, ResponseStart, Restarted
from llmmw._ledger import AttemptStarted, StreamResumed, TargetPassedOver
from llmmw._listen import ResponseBuilder
from llmmw._request import Embed
from llmmw.errors import ConfigError, Overloaded, StreamInterrupted, UnsupportedFeature
from llmmw.plugin import Capabilities
from llmmw.sim import wire_faults
from llmmw.testing import Fault, Script, SimulatedProvider, open_host

pytestmark = pytest.mark.virtual

PREFILL = Capabilities(prefill=True)
EMBEDS = Capabilities(kinds=frozenset({Embed}))
TEXT = "The cat \n sat."


def cut(*pieces, **options):
    return Script(pieces=pieces, error=Fault("cut"), **options)


def provider(a, b=TEXT, *, able=("a", "b"), unable=()):
    can = dict.fromkeys(able, PREFILL) | dict.fromkeys(unable, EMBEDS)
    return SimulatedProvider({"a": a, "b": b, "c": TEXT}, able=can)


def plan(*others, **options):
    return [Attempts(Retry(2), Fallback("sim:b", *others), **options)]


async def read(host, stack, asked="hi", *, on_interrupt="resume", **parameters):
    """The deltas of a call, and its response or its error."""
    heard = []
    async with Client("sim:a", providers=[host], stack=stack) as client:
        try:
            async with client.stream(asked, on_interrupt=on_interrupt, **parameters) as stream:
                async for delta in stream:
                    heard.append(delta)
            return heard, stream.response
        except StreamInterrupted as error:
            return heard, error


def text_of(heard):
    return "".join(delta.text for delta in heard if isinstance(delta, PartDelta))


def seams(response):
    return [event for event in response.ledger.events if isinstance(event, StreamResumed)]


@pytest.mark.parametrize("place", range(1, len(TEXT) + 1))
async def test_a_cut_anywhere_is_continued_without_a_trace(place):  # L93, L97
    heard, response = await read(provider(cut(TEXT[:place])), plan())
    assert text_of(heard) == response.text == TEXT
    kinds = [type(delta) for delta in heard if not isinstance(delta, PartDelta)]
    assert kinds == [ResponseStart, PartStart, PartEnd]
    (seam,) = seams(response)
    assert (seam.target, seam.characters) == ("sim:b", place)


async def test_what_goes_on_is_asked_the_same_and_given_the_text_so_far():
    asked = []

    def script(call, count):
        asked.append(call.request)
        return cut("The cat ") if count == 0 else " sat."

    host = provider(script)
    heard, response = await read(host, [Retry(1)], temperature=0.5)
    assert text_of(heard) == response.text == "The cat sat."
    first, second = asked
    assert second.temperature == 0.5
    assert second.messages[:-1] == first.messages
    assert (second.messages[-1].role, second.messages[-1].text) == ("assistant", "The cat")


async def test_a_beginning_of_the_callers_own_is_made_longer():
    asked = []

    def script(call, count):
        asked.append(call.request)
        return cut("cat ") if count == 0 else "sat."

    question = [("user", "hi"), ("assistant", "The ")]
    heard, response = await read(provider(script), [Retry(1)], question)
    assert text_of(heard) == response.text == "cat sat."
    assert [message.text for message in asked[1].messages] == ["hi", "The cat"]


async def test_a_raw_prompt_is_made_longer():
    asked = []

    def script(call, count):
        asked.append(call.request.prompt)
        return cut("cat ") if count == 0 else " sat."

    prompt = Generate(model="sim:a", prompt="The ")
    heard, response = await read(provider(script), [Retry(1)], prompt)
    assert asked == ["The ", "The cat"]
    assert response.text == text_of(heard) == "cat sat."


async def test_the_answer_has_the_name_of_its_beginning_and_the_end_and_usage_of_its_rest():
    _, response = await read(provider(cut("The ", "cat ")), plan())
    assert (response.model, response.finish_reason) == ("a", "stop")
    assert response.usage.output_tokens == 1
    story = response.explain()
    assert "goes on after 8 characters" in story
    assert "StreamInterrupted" in story


@pytest.mark.parametrize(
    "parameters",
    [{"n": 2}, {"reasoning": "low"}, {"output": "json"}],
    ids=lambda parameters: next(iter(parameters)),
)
async def test_what_has_no_rest_of_its_own_is_not_continued(parameters):  # L94
    heard, error = await read(provider(cut("The ")), plan(), **parameters)
    assert isinstance(error, StreamInterrupted)
    assert error.partial.text == text_of(heard) == "The "


async def test_a_piece_of_a_tool_call_is_not_continued():  # L94
    _, error = await read(provider(cut('{"a', tool="f")), plan())
    assert isinstance(error, StreamInterrupted)
    assert error.partial.tool_calls[0].arguments == '{"a'


async def test_without_a_target_that_can_go_on_it_is_an_error_with_what_was_told():
    heard, error = await read(provider(cut("The "), able=()), plan())
    assert isinstance(error, StreamInterrupted)
    assert error.partial.text == text_of(heard) == "The "


async def test_a_host_that_refuses_the_beginning_ends_the_call_with_what_was_told():
    fault = wire_faults["cut, prefill refused"]
    host = SimulatedProvider(fault.scripts, able={"primary": PREFILL, "fallback": PREFILL})
    async with Client(
        "sim:primary", providers=[host], stack=[Attempts(Fallback("sim:fallback"))]
    ) as client:
        with pytest.raises(StreamInterrupted) as caught:
            async with client.stream("hi", on_interrupt="resume") as stream:
                await stream.wait_response()
    assert caught.value.partial.text == "This is the whole "
    assert [type(error).__name__ for error in caught.value.attempts] == [
        "StreamInterrupted",
        "BadRequest",
    ]


async def test_what_fails_before_it_goes_on_is_no_seam_and_another_goes_on():  # L95
    busy = Script(pieces=(), error=Fault("busy"))
    host = provider(cut("The "), busy, able=("b", "c"))
    heard, response = await read(host, plan("sim:c"))
    assert text_of(heard) == response.text == TEXT
    (seam,) = seams(response)
    assert seam.target == "sim:c"
    assert [e for e in response.ledger.events if isinstance(e, TargetPassedOver)] == []


async def test_there_is_one_seam_unless_more_are_allowed():  # L95
    twice = {"a": cut("The "), "b": cut("The cat \n"), "c": TEXT}
    for most, result in ((1, StreamInterrupted), (2, None), (0, StreamInterrupted)):
        host = SimulatedProvider(twice, able=dict.fromkeys(twice, PREFILL))
        heard, end = await read(host, plan("sim:c", max_resumes=most))
        if result is None:
            assert text_of(heard) == end.text == TEXT
            assert [seam.characters for seam in seams(end)] == [4, 9]
        else:
            assert isinstance(end, result)
            assert end.partial.text == text_of(heard) == ("The cat \n" if most else "The ")


async def test_nested_engines_make_one_seam_together():
    host = provider([cut("The "), cut("The cat ")], able=("a", "b"))
    heard, end = await read(host, [Attempts(Fallback("sim:b")), Retry(1)])
    assert isinstance(end, StreamInterrupted)
    assert end.partial.text == text_of(heard) == "The cat "


async def test_a_race_goes_on_too():
    stack = [Attempts(Retry(1), Fallback("sim:b"), Hedge(0.5))]
    slow = [cut("The ", first=1.0), TEXT]
    heard, response = await read(provider(slow, Script(pieces=TEXT, first=9.0)), stack)
    assert text_of(heard) == response.text == TEXT


class Thinker(SimulatedProvider):
    """Tells thoughts before its text."""

    async def __call__(self, call):
        builder = ResponseBuilder(call, self.name)
        await builder.reasoning("hm")
        if not call.attempt.continues:
            await builder.text("The ")
            raise builder.interrupted("cut")
        await builder.text("cat")
        return await builder.finish(None)


async def test_thoughts_of_what_goes_on_stand_between_two_texts():
    host = Thinker({}, able={"a": PREFILL})
    heard, response = await read(host, [Retry(1)])
    assert text_of(heard) == "hmThe hmcat"
    assert response.text == "The cat"
    kinds = [part.kind for part in response.parts]
    assert kinds == ["reasoning", "text", "reasoning", "text"]


async def test_an_answer_that_comes_whole_is_told_as_the_rest():
    class Whole(SimulatedProvider):
        async def __call__(self, call):
            if not call.attempt.continues:
                return await super().__call__(call)
            return await super().__call__(call.replace(listener=None))

    host = Whole({"a": [cut("The ", "cat "), TEXT]}, able={"a": PREFILL})
    heard, response = await read(host, [Retry(1)])
    assert text_of(heard) == response.text == TEXT


async def test_a_piece_that_was_cut_off_on_its_way_is_not_guessed_at():
    async def answer(call):
        builder = ResponseBuilder(call, "sim")
        await builder.text("The ")
        with trio.move_on_after(1):  # a limit inside, while the caller has the next piece
            await builder.text("cat ")
            return await builder.finish(None)
        raise builder.interrupted("late")

    heard = []

    async def listener(delta):
        if isinstance(delta, PartDelta):
            heard.append(delta.text)
            await trio.sleep(5 if len(heard) == 2 else 0)

    async with open_host() as host:
        host.able = lambda target: PREFILL
        call = Call(
            Generate(model="sim:a", messages=["hi"]), listener, on_interrupt="resume", host=host
        )
        with pytest.raises(StreamInterrupted):
            await chain(Retry(2), provider=answer)(call)
    assert heard == ["The ", "cat "]


async def test_nobody_else_gets_a_continuation():
    for on_interrupt in ("error", "restart", "buffer"):
        heard, end = await read(provider(cut("The ")), plan(), on_interrupt=on_interrupt)
        if on_interrupt == "error":
            assert isinstance(end, StreamInterrupted)
        else:
            assert end.text == TEXT
            assert not seams(end)
            assert any(isinstance(d, Restarted) for d in heard) == (on_interrupt == "restart")


@pytest.mark.parametrize("on_interrupt", ["error", "restart", "resume"])
async def test_of_what_is_held_back_nobody_has_heard(on_interrupt):  # L96
    pieces = ("The ", "cat ")
    stack = [Attempts(Retry(1), hold_back=2)]
    heard, response = await read(provider([cut(*pieces), TEXT]), stack, on_interrupt=on_interrupt)
    assert text_of(heard) == response.text == TEXT
    assert not any(isinstance(delta, Restarted) for delta in heard)
    assert not seams(response)


async def test_what_is_held_back_is_told_with_the_next_piece():
    times = []
    host = provider(Script(pieces=("a", "b", "c", "d"), first=1.0, gap=1.0))
    async with Client("sim:a", providers=[host], stack=[Attempts(hold_back=2)]) as client:
        async with client.stream("hi") as stream:
            async for delta in stream:
                if isinstance(delta, PartDelta):
                    times.append(trio.current_time())
    assert times == [3.0, 3.0, 3.0, 4.0]


@pytest.mark.parametrize("option", ["max_resumes", "hold_back"])
def test_wrong_options_are_refused(option):
    with pytest.raises(ConfigError, match=option):
        Attempts(Retry(1), **{option: -1})


async def test_a_fallback_that_can_not_serve_the_call_is_passed_over():  # L114
    host = provider(Script(error=Fault("busy")), unable=("b",))
    async with Client(
        "sim:a", providers=[host], stack=[Attempts(Fallback("sim:b", "sim:c"))]
    ) as client:
        response = await client.ask("hi")
    assert response.model == "c"
    (event,) = [e for e in response.ledger.events if isinstance(e, TargetPassedOver)]
    assert event.target == "sim:b"
    assert "sim:b is passed over: it does not answer Generate" in response.explain()
    assert "b" not in host.statistics()


async def test_where_all_are_passed_over_the_error_is_that_of_the_attempts():
    host = provider(Script(error=Fault("busy")), unable=("b", "c"))
    stack = [Attempts(Fallback("sim:b", "sim:c"), max_attempts=2)]
    async with Client("sim:a", providers=[host], stack=stack) as client:
        with pytest.raises(Overloaded):
            await client.ask("hi")


async def test_a_hedge_goes_to_the_next_that_can_serve_the_call():
    host = provider(Script(first=math.inf, pieces="never"), unable=("b",))
    async with Client(
        "sim:a", providers=[host], stack=[Hedge(1.0, targets=("sim:b", "sim:c"))]
    ) as client:
        response = await client.ask("hi")
    assert (response.model, trio.current_time()) == ("c", 1.0)
    targets = [e.target for e in response.ledger.events if isinstance(e, AttemptStarted)]
    assert targets == ["sim:a", "sim:c"]


async def test_a_balancer_chooses_among_those_that_can_serve_the_call():
    host = provider("a", unable=("a", "c"))
    stack = [Balance("sim:a", "sim:b", "sim:c")]
    async with Client("sim:a", providers=[host], stack=stack) as client:
        for _ in range(8):
            assert (await client.ask("hi")).model == "b"
        assert set(host.statistics()) == {"b"}
        host.able = dict.fromkeys("abc", EMBEDS)
    async with Client("sim:a", providers=[host], stack=stack) as client:
        with pytest.raises(UnsupportedFeature, match="sim:a"):
            await client.ask("hi")


async def test_targets_are_looked_at_once_and_only_when_they_are_wanted():
    host = provider([TEXT, Script(error=Fault("busy"))], Script(error=Fault("busy")), unable=("c",))
    looked = []
    async with Client("sim:a", providers=[host], stack=plan("sim:c")) as client:
        own = client.host.objection
        client.host.objection = lambda request: looked.append(request.model) or own(request)
        await client.ask("hi")
        assert looked == []
        with pytest.raises(Overloaded):
            await client.ask("hi")
    assert looked == ["sim:b", "sim:c"]


class BeginsAnew(SimulatedProvider):
    """Goes on, and then takes that back without asking."""

    async def __call__(self, call):
        builder = ResponseBuilder(call, self.name)
        if not call.attempt.continues:
            await builder.text("The ")
            raise builder.interrupted("cut")
        await builder.text(" do")
        await call.listener(Restarted("of its own accord"))
        builder = ResponseBuilder(call, self.name)
        await builder.text(" cat sat.")
        return await builder.finish(None)


async def test_where_the_rest_is_told_anew_the_beginning_is_not_lost():
    heard, response = await read(BeginsAnew({}, able={"a": PREFILL}), [Retry(1)])
    again = next(place for place, delta in enumerate(heard) if isinstance(delta, Restarted))
    assert text_of(heard[:again]) == "The do"
    assert text_of(heard[again:]) == response.text == "The cat sat."


async def test_a_balancer_says_what_no_target_can_do():
    host = provider("a", unable=("a", "b"))
    async with Client("sim:a", providers=[host], stack=[Balance("sim:a", "sim:b")]) as client:
        with pytest.raises(UnsupportedFeature, match="sim:b: it does not answer Generate"):
            await client.ask("hi")
