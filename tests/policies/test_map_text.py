"""What rewrites text: told and returned alike, however an answer is cut into pieces."""

import codecs

import pytest
import trio
from hypothesis import given
from hypothesis import strategies as st

from llmmw import Call, Client, Generate, MapText, PartDelta, Retry, chain, to_toml
from llmmw._call import Listener
from llmmw._deltas import Fold
from llmmw._listen import ResponseBuilder
from llmmw._parts import Citation, TokenLogprob
from llmmw._response import Finish
from llmmw.errors import ConfigError, ListenerFailed, StreamInterrupted
from llmmw.testing import Script, SimulatedProvider, run_virtual

TEXTS = st.text(st.sampled_from("abß é\U0001f600"), max_size=4)
KINDS = st.sampled_from(["text", "reasoning", "refusal", "tool", "noted"])
PIECES = st.lists(st.tuples(KINDS, TEXTS, st.integers(0, 1)), max_size=8)


def says(pieces):
    """A provider that says pieces of several kinds, for one or two candidates."""

    async def provider(call):
        builder = ResponseBuilder(call, "p")
        for number, (kind, text, candidate) in enumerate(pieces):
            if kind == "text":
                await builder.text(text, candidate=candidate)
            elif kind == "noted":
                logprobs = (TokenLogprob(text, -1.0),)
                await builder.text(
                    text, logprobs=logprobs, citation=Citation(url="x:y"), candidate=candidate
                )
            elif kind == "refusal":
                await builder.text(text, refusal=True, candidate=candidate)
            elif kind == "reasoning":
                await builder.reasoning(text, candidate=candidate)
            else:
                await builder.tool_call(
                    number, id=str(number), name="f", arguments=text, candidate=candidate
                )
        return await builder.finish(Finish("stop"))

    return provider


def answer(layer, provider, listener: Listener | None = None):
    async def main():
        call = Call(Generate(model="p:m", messages=["?"]), listener, "error")
        return await chain(layer, provider=provider)(call)

    return run_virtual(main)


def heard_and_given(layer, provider):
    fold, heard = Fold(), []

    async def hear(delta):
        heard.append(delta)
        fold(delta)

    given = answer(layer, provider, hear)
    candidates = given.candidates
    told = fold.response(finish=given.finish)
    told = told.replace(candidates=candidates if len(candidates) < 2 else told.candidates)
    return told, given, heard


@given(PIECES, st.booleans())
def test_the_fold_of_what_is_told_is_the_answer(pieces, in_pieces):
    told, given, _ = heard_and_given(MapText(str.upper, pieces=in_pieces), says(pieces))
    assert told == given
    silent = answer(MapText(str.upper, pieces=in_pieces), says(pieces))
    assert silent == given


@given(PIECES, st.booleans())
def test_only_text_is_rewritten_and_all_of_it(pieces, in_pieces):
    plain = answer(MapText(lambda text: text), says(pieces))
    _, given, _ = heard_and_given(MapText(str.upper, pieces=in_pieces), says(pieces))
    assert given.text == plain.text.upper()
    assert (given.reasoning, given.refusal, given.tool_calls) == (
        plain.reasoning, plain.refusal, plain.tool_calls,
    )  # fmt: skip
    texts = [p for c in given.candidates for p in c.message.parts] or list(given.parts)
    noted = [p for p in texts if p.kind == "text" and not p.refusal and (p.logprobs or p.citations)]
    assert noted == []


@given(st.lists(TEXTS, max_size=6))
def test_a_change_of_the_whole_sees_the_whole_however_it_was_cut(cut):
    provider = says([("text", text, 0) for text in cut])
    told, given, _ = heard_and_given(MapText(lambda text: text[::-1]), provider)
    assert told == given
    assert given.text == "".join(cut)[::-1]


@given(st.lists(TEXTS, max_size=6))
def test_in_pieces_what_was_told_counts_whatever_the_change_is(cut):
    provider = says([("text", text, 0) for text in cut])
    told, given, _ = heard_and_given(MapText(lambda text: text[::-1], pieces=True), provider)
    assert told == given


@pytest.mark.virtual
async def test_in_pieces_it_is_told_as_it_comes():
    heard = []

    async def hear(delta):
        if isinstance(delta, PartDelta):
            heard.append((round(trio.current_time() - begun, 6), delta.text))

    world = SimulatedProvider({"a": [Script(pieces=("a", "b"), gap=1)]})
    for layer in (MapText(str.upper, pieces=True), MapText(str.upper)):
        async with Client("sim:a", stack=[layer], providers=[world]) as client:
            begun = trio.current_time()
            await client.ask("?", listener=hear)
    assert heard == [(0, "A"), (1, "B"), (2, "AB")]


@pytest.mark.virtual
async def test_an_answer_that_begins_anew_is_rewritten_anew():
    def cut():
        return StreamInterrupted("the line broke")

    world = SimulatedProvider({"a": [Script(pieces=("a", "b"), error=cut), Script(pieces=("c",))]})
    fold = Fold()

    async def hear(delta):
        fold(delta)

    stack = [MapText(str.upper, pieces=True), Retry(1, base=0)]
    async with Client("sim:a", stack=stack, providers=[world]) as client:
        response = await client.ask("?", listener=hear, on_interrupt="restart")
    assert response.text == fold.response().text == "C"


@pytest.mark.virtual
@pytest.mark.parametrize("in_pieces", [False, True])
async def test_what_an_error_has_of_an_answer_is_rewritten(in_pieces):
    def cut():
        return StreamInterrupted("the line broke")

    async def hear(delta):
        pass

    world = SimulatedProvider({"a": [Script(pieces=("a", "b"), error=cut)]})
    stack = [MapText(str.upper, pieces=in_pieces), Retry(1, base=0)]
    async with Client("sim:a", stack=stack, providers=[world]) as client:
        with pytest.raises(StreamInterrupted) as caught:
            await client.ask("?", listener=hear)
    assert caught.value.partial is None or caught.value.partial.text == "AB"
    assert {e.partial.text for e in caught.value.attempts if e.partial} <= {"AB"}
    assert in_pieces <= (caught.value.partial is not None)


@pytest.mark.virtual
@pytest.mark.parametrize("in_pieces", [False, True])
async def test_a_change_that_fails_is_the_callers_and_is_not_retried(in_pieces):
    async def hear(delta):
        pass

    bug = OSError("of the change, not of a connection")

    def change(text):
        raise bug

    world = SimulatedProvider({"a": [Script()]})
    stack = [Retry(2), MapText(change, pieces=in_pieces)]
    async with Client("sim:a", stack=stack, providers=[world]) as client:
        with pytest.raises(OSError, match="of the change") as caught:
            await client.ask("?", listener=hear)
    assert caught.value is bug
    assert len(world.opened) == 1


def test_a_bare_chain_sees_the_error_on_its_way():
    with pytest.raises(ListenerFailed) as caught:
        answer(MapText(lambda text: codecs.decode(text, "hex")), says([("text", "a", 0)]))
    assert isinstance(caught.value.error, Exception)


def test_no_file_can_say_it():
    with pytest.raises(ConfigError, match="MapText is no registered middleware"):
        to_toml([MapText(str.upper)])
