"""Requests to bodies, chunks to pieces, errors to errors; all without an engine."""

from __future__ import annotations

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st
from llmmw_local._models import check_gguf, find_model
from llmmw_local._regex import regex_grammar
from llmmw_local._wire import CAN, body_of, chat_of, error_of, merged, raised

from llmmw import (
    CachePoint,
    Generate,
    Grammar,
    MediaPart,
    Message,
    OpaquePart,
    ReasoningPart,
    TextPart,
    ToolCallPart,
)
from llmmw.errors import (
    BadRequest,
    ContextWindowExceeded,
    NotFound,
    Overloaded,
    ServerError,
    UnsupportedFeature,
)
from llmmw.wire import dumps

pytestmark = pytest.mark.plugins

HI = (Message("user", "hi"),)


def body(**parameters):
    return body_of(Generate(messages=HI, **parameters))[0]


def test_only_what_is_set_is_sent():
    assert body() == {
        "messages": [{"role": "user", "content": "hi"}],
        "stream": True,
        "stream_options": {"include_usage": True},
        "return_progress": True,
    }


def test_parameters():
    sent = body(
        max_output_tokens=2**40,
        top_k=2**40,
        seed=-1,
        repetition_penalty=1.1,
        stop_sequences=("a",),
        logprobs=0,
        extra={"local": {"mirostat": 2, "seed": 7}, "openai": {"x": 1}},
    )
    assert sent["max_tokens"] == sent["top_k"] == 2**31 - 1
    assert (sent["repeat_penalty"], sent["stop"]) == (1.1, ["a"])
    assert (sent["logprobs"], sent["top_logprobs"]) == (True, 1)
    assert (sent["mirostat"], sent["seed"]) == (2, 7)
    assert "x" not in sent


@given(st.integers(-(2**53), 2**53))
def test_every_seed_is_one(seed):
    assert 0 <= body(seed=seed)["seed"] < 2**32 - 1


def test_prompt():
    sent, _ = body_of(Generate(prompt="Once", logprobs=2, output={"type": "object"}))
    assert (sent["prompt"], sent["logprobs"]) == ("Once", 2)
    assert sent["json_schema"] == {"type": "object"}
    assert "messages" not in sent


def test_parts():
    texts = (TextPart("a"), CachePoint(), ReasoningPart("?"), TextPart("b"))
    block = OpaquePart(provider="openai", type="x")
    sent, warnings = chat_of([Message("user", (*texts, block))])
    assert sent == {"messages": [{"role": "user", "content": "ab"}]}
    assert warnings == ["a block of openai (x) was left out"]
    for part in (MediaPart(media_type="image/png", data=b"x"), ToolCallPart(id="1", name="f")):
        with pytest.raises(UnsupportedFeature, match=r"(media|tool call) part in a user message"):
            chat_of([Message("user", (part,))])


def test_no_unicode():
    with pytest.raises(BadRequest, match="JSON"):
        dumps(body_of(Generate(messages=(Message("user", "\ud800"),)))[0])


def test_capabilities():
    assert {"tools", "n"}.isdisjoint(CAN.parameters)
    assert (CAN.media, CAN.prefill, CAN.bills_on_cancel) == (frozenset(), True, False)
    assert "seed" in CAN.parameters


def test_pieces_merge():
    request = Generate(messages=HI, logprobs=0)
    rows = [{"token": "a", "logprob": -1.0, "top_logprobs": [{"token": "a", "logprob": -1.0}]}]
    chunks = [
        {"id": "i", "choices": [{"delta": {"role": "assistant", "content": None}}]},
        {"choices": [{"delta": {"content": "a"}, "logprobs": {"content": rows}}]},
        {"choices": [{"delta": {"reasoning_content": "hm"}}]},
        {"choices": [{"text": "b", "finish_reason": "odd"}]},
        {"choices": [], "usage": {"prompt_tokens": 3, "completion_tokens": 2}},
    ]
    piece = merged(map(orjson.dumps, chunks), request)
    assert (piece.id, piece.text, piece.reasoning) == ("i", "ab", "hm")
    assert [(one.token, one.logprob, one.top) for one in piece.logprobs] == [("a", -1.0, ())]
    assert (piece.finish.reason, piece.finish.raw) == ("other", "odd")
    assert (piece.usage.input_tokens, piece.usage.output_tokens) == (3, 2)
    assert piece.usage.cache_read_tokens is None


@pytest.mark.parametrize(
    ("told", "kind", "said"),
    [
        (
            {"type": "exceed_context_size_error", "n_prompt_tokens": 9, "n_ctx": 8, "code": 400},
            ContextWindowExceeded,
            "9 tokens and the context window 8",
        ),
        ({"type": "invalid_request_error", "message": "m"}, BadRequest, "m"),
        ({"type": "odd", "code": 422, "message": "m"}, BadRequest, "m"),
        ({"type": "not_supported_error", "message": "m"}, UnsupportedFeature, "m"),
        ({"type": "unavailable_error", "message": "m"}, Overloaded, "m"),
        ({"type": "server_error", "code": 500, "message": "m"}, ServerError, "m"),
        ({}, ServerError, ""),
    ],
)
def test_errors_told(told, kind, said):
    error = error_of(told)
    assert type(error) is kind
    assert said in str(error)


def test_errors_raised():
    assert type(raised(ValueError("a\n b"), begun=True)) is BadRequest
    assert type(raised(RuntimeError("a"), begun=False)) is BadRequest
    assert type(raised(RuntimeError("a"), begun=True)) is ServerError


def test_regex_to_grammar():
    assert regex_grammar("^ab?$") == 'root ::= "a" ("b")?'
    assert regex_grammar("(xa|yb){2,3}[^a-c]") == ('root ::= ((("x" "a" | "y" "b"))){2,3} [^a-c]')
    assert regex_grammar("") == 'root ::= ""'
    assert regex_grammar('"\n') == r'root ::= "\x22" "\x0A"'
    assert regex_grammar("(?s).") == r"root ::= [\x00-\U0010FFFF]"


@pytest.mark.parametrize(
    "pattern", [r"(a)\1", "a(?=b)", r"\bx", "(?i)a", "(?i:a)", "a^b", "(?m)^a"]
)
def test_what_a_grammar_cannot_say(pattern):
    with pytest.raises(UnsupportedFeature, match="regular expression"):
        regex_grammar(pattern)


@pytest.mark.parametrize("pattern", ["(", "[a", "*", "a{999}" * 999 + "b" * 9000])
def test_no_regex(pattern):
    with pytest.raises(BadRequest, match="regular expression"):
        regex_grammar(pattern)


@pytest.mark.parametrize("output", [{"choice": []}, {"choice": ["a", ""]}])
def test_no_choice(output):
    with pytest.raises(BadRequest, match=r"(?i)choice"):
        body(output=output)


def test_choice():
    assert body(output={"choice": ['a"', "b"]})["grammar"] == r'root ::= "a\x22" | "b"'


def test_other_grammars():
    with pytest.raises(UnsupportedFeature, match="lark"):
        body(output=Grammar("x", "lark"))


def test_names(tmp_path):
    with pytest.raises(NotFound, match=r"did you mean 'smollm2'\? there is smollm2"):
        find_model("smolm2")
    with pytest.raises(NotFound, match=r"named 'gpt'; there is smollm2"):
        find_model("gpt")
    with pytest.raises(NotFound, match="no file"):
        find_model(str(tmp_path / "absent.gguf"))
    file = tmp_path / "x.gguf"
    file.write_bytes(b"PK")
    assert find_model(str(file)) == file
    with pytest.raises(NotFound, match="no GGUF file"):
        check_gguf(file)
    with pytest.raises(NotFound, match="can't read"):
        check_gguf(tmp_path)
