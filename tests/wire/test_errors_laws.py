"""The laws of errors, over the common table and each plugin's. Each finds a seeded bug."""

import importlib
import json
import math
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from llmmw.errors import LLMError, RateLimited, ServerError
from llmmw.wire import _errors
from llmmw.wire._errors import COMMON, ErrorRow, error_of, in_band_error

Classify = Callable[[int | None, dict[str, str], object, float], LLMError]

NOW = 1_767_225_600.0
AGAIN = {408, 409, 424, 425, 429, 498, 499}
"""The refusals below 500 that may be asked again."""

PLUGINS = {
    **{
        f"openai {host}": ("llmmw_openai", lambda errors, host=host: errors.rows_of(host))
        for host in ("openai", "azure", "openrouter", "mistral", "xai", "moonshot")
    },
    "anthropic": ("llmmw_anthropic", lambda errors: errors.ROWS),
    "google": ("llmmw_google", lambda errors: errors.ROWS),
}
TABLES = ["common", *(pytest.param(name, marks=pytest.mark.plugins) for name in PLUGINS)]
each_table = pytest.mark.parametrize("table", TABLES)


def rows_of(table: str) -> tuple[ErrorRow, ...]:
    if table == "common":
        return ()
    package, rows = PLUGINS[table]
    return rows(importlib.import_module(f"{package}._errors"))


def classify_of(table: str) -> Classify:
    """What makes an error of an answer, as the plugin does."""
    rows = rows_of(table)

    def classify(status: int | None, headers: dict[str, str], body: object, now: float) -> LLMError:
        error = error_of(status, headers, body, rows=rows, now=now)
        if table == "google":
            importlib.import_module("llmmw_google._errors").with_told_wait(error)
        return error

    return classify


def words_of(rows: tuple[ErrorRow, ...]) -> Iterator[str]:
    for row in (*rows, *COMMON):
        yield from (*row.code, *row.text)


WAITS = st.sampled_from(
    ["0", "0s", "-1s", "0.0001s", "1e400", "nan", "inf", "9" * 400, "1h", "0h0m0s", "0ms", "34.07s"]
)
HEADERS = st.dictionaries(
    st.sampled_from(
        [
            *("retry-after", "Retry-After-Ms", "x-ratelimit-remaining-tokens"),
            *("x-ratelimit-reset-tokens", "anthropic-ratelimit-tokens-remaining"),
            *("anthropic-ratelimit-tokens-reset", "location", "x-request-id"),
        ]
    ),
    st.text(max_size=30)
    | WAITS
    | st.floats().map(str)
    | st.datetimes().map(lambda when: f"{when.isoformat()}Z"),
    max_size=4,
)
FIELDS = st.sampled_from(
    [
        *("error", "message", "code", "type", "status", "details", "detail", "errors"),
        *("choices", "metadata", "raw", "reason", "@type", "retryDelay", "response"),
    ]
)
STATUS = st.none() | st.integers(100, 599)
WAITING = st.sampled_from([402, 429, 503])


def bodies(table: str) -> st.SearchStrategy[object]:
    word = st.sampled_from([*words_of(rows_of(table))]) | st.text(max_size=12)
    waits = WAITS.map(lambda wait: f"Please retry in {wait}.")
    details = WAITS.map(
        lambda wait: {"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": wait}
    )
    leaf = st.none() | st.booleans() | st.integers() | st.floats() | word | waits | WAITS
    data = st.recursive(
        leaf | details,
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(FIELDS, inner, max_size=4),
        max_leaves=10,
    )
    told = st.builds(
        lambda one, more: {"error": {"message": one, **more}},
        waits | word,
        st.dictionaries(FIELDS, word | st.lists(details, max_size=1), max_size=3),
    )
    some = data | told
    return some | some.map(lambda one: json.dumps(one, default=str).encode()) | st.binary()


def law_90(classify: Classify, case: tuple[Any, ...]) -> None:
    """Every answer is one error, and the same each time."""
    error, again = classify(*case), classify(*case)
    assert isinstance(error, LLMError)
    assert (type(error), vars(error)) == (type(again), vars(again))
    str(error).encode()


def law_91(classify: Classify, case: tuple[Any, ...]) -> None:
    """A wait that is told is one that can be waited."""
    hint = classify(*case).retry_after
    assert hint is None or 0 < hint < math.inf


def law_92(classify: Classify, status: int, headers: dict[str, str], body: object) -> None:
    """An unknown word never makes a refusal worth repeating."""
    assert not classify(status, headers, body, NOW).retryable or status in AGAIN


EXAMPLES = settings(deadline=None, database=None, max_examples=60)


@each_table
def test_l90_each_answer_is_one_error_and_always_the_same(table: str) -> None:
    @EXAMPLES
    @given(st.tuples(STATUS, HEADERS, bodies(table), st.floats(0, 1e11)))
    @example((503, {"retry-after": "Mon, 01 Jan 0001 00:00:00 +2359"}, b"", 0.0))
    def check(case: tuple[Any, ...]) -> None:
        law_90(classify_of(table), case)
        in_band_error(case[2], case[1], rows=rows_of(table), now=case[3])

    check()


@each_table
def test_l91_a_wait_can_be_waited(table: str) -> None:
    @EXAMPLES
    @given(st.tuples(WAITING | STATUS, HEADERS, bodies(table), st.floats(0, 1e11)))
    @example((429, {}, {"error": {"message": "Please retry in 0s."}}, NOW))
    @example((429, {}, {"error": {"message": "Please retry in 0h0m0.0ms."}}, NOW))
    @example((429, {"retry-after": "0"}, b"", NOW))
    @example((429, {"retry-after": "1e400"}, b"", NOW))
    def check(case: tuple[Any, ...]) -> None:
        law_91(classify_of(table), case)

    check()


@each_table
def test_l92_an_unknown_word_makes_no_refusal_worth_repeating(table: str) -> None:
    known = [word.lower() for word in words_of(rows_of(table))]
    unknown = st.text(max_size=30).filter(
        lambda word: not any(one in word.lower() or word.lower() in one for one in known)
    )

    @EXAMPLES
    @given(
        st.integers(300, 499),
        HEADERS,
        unknown,
        st.sampled_from(["code", "type", "message", "status", "reason", "error"]),
        st.booleans(),
    )
    def check(status: int, headers: dict[str, str], word: str, place: str, bare: bool) -> None:
        body = {place: word} if bare else {"error": {place: word}}
        law_92(classify_of(table), status, headers, body)

    check()


@pytest.mark.parametrize("status", range(300, 500))
def test_l92_each_status_alone(status: int) -> None:
    again = error_of(status, {}, {"error": {"code": "never heard of"}}, now=NOW).retryable
    assert again is (status in AGAIN)


def test_the_laws_find_their_bugs(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[int] = []

    def forgetful(*case: Any) -> LLMError:
        seen.append(1)
        return RateLimited("m", retry_after=float(len(seen)))

    with pytest.raises(AssertionError):
        law_90(forgetful, (429, {}, b"", NOW))
    monkeypatch.setattr(_errors, "_hint", lambda headers, delay, now: math.inf)
    with pytest.raises(AssertionError):
        law_91(classify_of("common"), (429, {}, b"", NOW))
    general = (ErrorRow(ServerError, code="invalid_request_error"), *COMMON[:-2], COMMON[-1])
    monkeypatch.setattr(_errors, "COMMON", general)  # the row for other refusals is gone
    with pytest.raises(AssertionError):
        law_92(classify_of("common"), 418, {}, {"error": {"code": "teapot"}})
