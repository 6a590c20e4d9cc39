"""Guards: what they reject, what their caller is told, and what a failing check does."""

import json
import re
from decimal import Decimal

import pytest
import trio
from hypothesis import given
from hypothesis import strategies as st

from llmmw import (
    Attempts,
    Breaker,
    Call,
    Candidate,
    Client,
    Fallback,
    Generate,
    Generation,
    Guard,
    MediaPart,
    Message,
    PartDelta,
    ReasoningPart,
    Restarted,
    Retry,
    TextPart,
    Timeout,
    ToolCallPart,
    Usage,
    chain,
    load_config,
    to_toml,
)
from llmmw._deltas import Fold
from llmmw._events import AnswerRejected
from llmmw._schema import mismatch
from llmmw.errors import ConfigError, RateLimited, ResponseRejected, StreamInterrupted
from llmmw.policies._form import lacks_content, lacks_form
from llmmw.testing import Script, SimulatedProvider

EMPTY = Script(pieces=(" \n",), gap=1)
NO = Script(pieces=("n", "o"), gap=1)
YES = Script(pieces=("y", "es"), gap=1)


def provider(*scripts, **others):
    return SimulatedProvider({"a": scripts, **others})


def client(world, *stack):
    return Client("sim:a", "sim:b", stack=stack, providers=[world])


def says_yes(response):
    return response.text == "yes"


@pytest.mark.virtual
async def test_another_attempt_follows_a_rejected_answer():
    async with client(provider(EMPTY, NO, YES), Retry(2), Guard(says_yes)) as asks:
        response = await asks.ask("Is it so?")
    assert response.text == "yes"
    rejected = [e for e in response.ledger.events if isinstance(e, AnswerRejected)]
    assert [e.message for e in rejected] == ["it is empty", "the check said no"]


@pytest.mark.virtual
async def test_the_error_says_why_and_has_the_answer():
    async with client(provider(NO), Guard(lambda r: f"{r.text!r} is no answer")) as asks:
        with pytest.raises(ResponseRejected) as caught:
            await asks.ask("Is it so?")
    error = caught.value
    assert str(error) == "sim:a: the answer was rejected: 'no' is no answer"
    assert error.partial.text == "no"
    assert (error.retryable, error.elsewhere, error.processed) == (True, True, True)


@pytest.mark.virtual
async def test_a_class_of_its_own_leads_to_a_larger_model():
    plan = Attempts(Fallback(on={ResponseRejected: "sim:b"}))
    async with client(provider(NO, b=(YES,)), plan, Guard(says_yes)) as asks:
        response = await asks.ask("Is it so?")
    assert (response.model, response.text) == ("b", "yes")


@pytest.mark.virtual
@pytest.mark.parametrize("on_interrupt", ["error", "restart", "buffer"])
async def test_the_caller_hears_the_accepted_answer_alone_and_at_its_end(on_interrupt):
    heard = []

    async def hear(delta):
        heard.append((trio.current_time(), delta))

    seen = []

    async def overhear(call, next):
        async def note(delta):
            seen.append(delta)
            await call.listener(delta)

        seen.clear()
        return await next(call.replace(listener=note))

    stack = (Retry(2, base=0), Guard(says_yes), overhear)
    begun = trio.current_time()
    async with client(provider(NO, EMPTY, YES), *stack) as asks:
        response = await asks.ask("Is it so?", listener=hear, on_interrupt=on_interrupt)
    assert {round(time - begun, 9) for time, _ in heard} == {2 + 1 + 2}
    assert [id(delta) for _, delta in heard] == [id(delta) for delta in seen]
    assert not any(isinstance(delta, Restarted) for _, delta in heard)
    fold = Fold()
    for _, delta in heard:
        fold(delta)
    assert fold.response(finish=response.finish, usage=response.usage) == response


@pytest.mark.virtual
async def test_of_nothing_but_rejected_answers_nothing_is_told():
    heard = []
    async with client(provider(NO), Retry(1), Guard(says_yes)) as asks:
        with pytest.raises(ResponseRejected) as caught:
            async with asks.stream("Is it so?") as stream:
                async for delta in stream:
                    heard.append(delta)
    assert heard == []
    assert len(caught.value.attempts) == 2


@pytest.mark.virtual
async def test_what_is_inside_may_begin_anew_as_long_as_all_is_held():
    def cut():
        return StreamInterrupted("the line broke")

    broken = Script(pieces=("n", "ye"), gap=1, error=cut)
    heard = []

    async def hear(delta):
        if isinstance(delta, PartDelta):
            heard.append(delta.text)

    async with client(provider(broken, YES), Guard(says_yes), Retry(1)) as asks:
        response = await asks.ask("Is it so?", listener=hear)
    assert "".join(heard) == response.text == "yes"


@pytest.mark.virtual
@pytest.mark.parametrize("raised", [ValueError("a bug"), RateLimited("of the judge's own call")])
@pytest.mark.parametrize("listens", [False, True])
async def test_what_a_check_raises_is_the_callers_and_is_not_retried(raised, listens):
    async def hear(delta):
        heard.append(delta)

    def check(response):
        raise raised

    heard, world = [], provider(YES)
    async with client(world, Attempts(Retry(2), Fallback("sim:b")), Guard(check)) as asks:
        with pytest.raises(type(raised)) as caught:
            await asks.ask("Is it so?", listener=hear if listens else None)
    assert caught.value is raised
    assert len(world.opened) == 1
    assert heard == []


@pytest.mark.virtual
async def test_a_check_may_wait_and_is_cancelled_with_its_call():
    async def slow(response):
        await trio.sleep(5)
        return says_yes(response)

    async with client(provider(NO, YES), Timeout(total=60), Retry(1), Guard(slow)) as asks:
        assert (await asks.ask("Is it so?")).text == "yes"
        with trio.move_on_after(4) as scope:
            await asks.ask("Is it so?")
    assert scope.cancelled_caught


@pytest.mark.virtual
async def test_a_check_that_gives_something_else_is_told_so():
    async with client(provider(YES), Guard(lambda r: re.search("yes", r.text))) as asks:
        with pytest.raises(TypeError, match="the check of a Guard gave Match"):
            await asks.ask("Is it so?")


@pytest.mark.virtual
async def test_a_rejected_answer_is_no_failure_of_its_server():
    breaker = Breaker(calls=1)
    async with client(provider(NO), Retry(3), Guard(says_yes), breaker) as asks:
        with pytest.raises(ResponseRejected):
            await asks.ask("Is it so?")
    assert breaker.statistics()["sim:a"]["state"] == "closed"


@pytest.mark.virtual
async def test_what_is_no_answer_of_a_model_passes():
    async with client(provider(YES), Guard(lambda r: False)) as asks:
        assert (await asks.embed("hello")).vectors == ((5.0,),)


async def test_a_rejected_answer_is_booked():
    async def answers(call):
        usage = Usage(input_tokens=3, output_tokens=2, cost=Decimal("0.5"))
        return Generation(usage=usage, provider="p", model="m")

    call = Call(Generate(model="p:m", messages=["?"]))
    with pytest.raises(ResponseRejected):
        await chain(Guard(), provider=answers)(call)
    (event,) = call.ledger.events
    assert str(event) == "the answer was rejected, 3 tokens in, 2 out, $0.5: it is empty"


def said(*parts):
    return Generation(message=Message("assistant", parts))


@pytest.mark.parametrize(
    ("parts", "empty"),
    [
        ((), True),
        ((TextPart(" \n"),), True),
        ((ReasoningPart("hm"),), True),
        ((ReasoningPart("hm"), TextPart("a")), False),
        ((TextPart("I will not", refusal=True),), False),
        ((ToolCallPart(id="1", name="f"),), False),
        ((MediaPart(media_type="image/png", data=b"x"),), False),
    ],
)
def test_what_is_empty(parts, empty):
    assert (lacks_content(said(*parts)) == "it is empty") is empty


SCHEMA = {
    "type": "object",
    "properties": {
        "name": {"type": "string"},
        "tags": {"type": "array", "items": {"$ref": "#/$defs/t"}},
    },
    "required": ["name"],
    "additionalProperties": False,
    "$defs": {"t": {"enum": ["a", "b"]}},
}  # fmt: skip


@pytest.mark.parametrize(
    ("output", "text", "why"),
    [
        ("json", '{"a": 1}', None),
        ("json", "[1]", "it is no JSON object"),
        ("json", 'Here you are: {"a": 1}', "it is no JSON: "),
        (SCHEMA, '{"name": "x", "tags": ["a"]}', None),
        (SCHEMA, '{"name": "x", "tags": ["c"]}', "$.tags[0] must be one of 'a', 'b'"),
        (SCHEMA, '{"tags": []}', "$.name is missing"),
        (SCHEMA, '{"name": "x", "more": 1}', "$.more must not be there"),
        ({"choice": ["yes", "no"]}, "yes", None),
        ({"choice": ["yes", "no"]}, "yes.", "it is none of 'yes', 'no'"),
        ({"regex": r"\d+"}, "12", None),
        ({"regex": r"\d+"}, "12 eggs", "'\\\\d+' does not match all of it"),
        ({"regex": r"(?<broken"}, "anything", None),
        ({"grammar": "root ::= x"}, "anything", None),
        (None, "anything", None),
    ],
)
def test_the_form_that_was_asked_for(output, text, why):
    found = lacks_form(said(TextPart(text)), Generate(prompt="?", output=output).output)
    assert found == why if why is None else found.startswith(why)


def test_each_candidate_is_looked_at_and_tool_calls_go_instead_of_a_form():
    output = Generate(prompt="?", output="json").output
    good, bad = said(TextPart("{}")), said(TextPart("no"))
    both = good.replace(candidates=tuple(_candidate(one) for one in (good, bad)))
    assert lacks_form(both, output).startswith("it is no JSON")
    assert lacks_form(said(ToolCallPart(id="1", name="f")), output) is None


def _candidate(response):
    return Candidate(response.message)


@pytest.mark.parametrize(
    ("schema", "good", "bad"),
    [
        (True, [1], []),
        (False, [], [1]),
        ({"type": "integer"}, [1, 1.0, -3], [1.5, True, "1", float("inf")]),
        ({"type": ["null", "number"]}, [None, 1.5], [False, "x"]),
        ({"const": 1}, [1, 1.0], [True, "1"]),
        ({"enum": [[1], {"a": True}]}, [[1], {"a": True}], [[True], {"a": 1}, 1]),
        ({"anyOf": [{"type": "string"}, {"minimum": 3}]}, ["x", 3, None], [2]),
        ({"oneOf": [{"minimum": 1}, {"maximum": 3}]}, [0, 4], [2]),
        ({"allOf": [{"minimum": 1}, {"maximum": 3}]}, [2], [0, 4]),
        ({"not": {"type": "string"}}, [1], ["x"]),
        ({"minLength": 2, "maxLength": 3, "pattern": "^a"}, ["ab", 7], ["a", "abcd", "ba"]),
        ({"minItems": 1, "maxItems": 2, "uniqueItems": True}, [[1], [1, True]], [[], [1, 1]]),
        ({"prefixItems": [{"const": 1}], "items": False}, [[], [1]], [[2], [1, 2]]),
        ({"minProperties": 1}, [{"x": 1}], [{}]),
        ({"patternProperties": {"^x": {"const": 1}}}, [{"x": 1, "y": 2}], [{"xy": 2}]),
        ({"multipleOf": 0.1}, [0.3, 7], [0.25]),
        ({"exclusiveMinimum": 1, "exclusiveMaximum": 3}, [2], [1, 3]),
        ({"$ref": "#/$defs/a~1b", "$defs": {"a/b": {"const": 1}}}, [1], [2]),
        ({"$ref": "https://elsewhere"}, [1, "x"], []),
        ({"properties": {"a": {"$ref": "#"}}, "required": ["a"]}, [1], [{"a": {}}, {}]),
    ],
)  # fmt: skip
def test_schemas(schema, good, bad):
    for one in good:
        assert mismatch(one, schema) is None
    for one in bad:
        assert mismatch(one, schema) is not None


def test_a_schema_that_never_ends_is_no_endless_check():
    assert mismatch(1, {"$ref": "#"}) == "$ nests too deep to be checked"


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-5, 5) | st.text(max_size=3),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=2), inner, max_size=3)
    ),
    max_leaves=8,
)  # fmt: skip


@given(JSON, JSON)
def test_a_constant_is_fitted_by_itself_alone(one, other):
    assert mismatch(one, {"const": one}) is None
    assert (mismatch(one, {"const": other}) is None) == (
        repr(one) == repr(other) or _equal(one, other)
    )


def _equal(one, other):
    return json.dumps(one, sort_keys=True) == json.dumps(other, sort_keys=True)


def test_options_are_checked_where_they_are_given():
    with pytest.raises(ConfigError, match=r"Guard\('x'\): expected a function"):
        Guard("x")
    with pytest.raises(ConfigError, match=r"Guard\(matches='\('\): expected a regular expression"):
        Guard(matches="(")


def test_a_file_has_the_ready_made_checks_and_no_function(tmp_path):
    path = tmp_path / "f.toml"
    text = '[[stack]]\nuse = "guard"\nmatches = "yes"\nempty = true\n'
    path.write_text(text)
    config = load_config(path)
    assert config.stack == (Guard(matches="yes", empty=True),)
    assert load_config_of(tmp_path, to_toml(config.stack)) == config.stack
    with pytest.raises(ConfigError, match=r"stack\[0\]\.check: TOML can't say says_yes"):
        to_toml([Guard(says_yes)])


def load_config_of(folder, text):
    path = folder / "again.toml"
    path.write_text(text)
    return load_config(path).stack
