"""No trace of a secret is left in a text, and no other text is touched."""

import base64
import copy
import json
import pickle
from urllib.parse import quote, quote_plus

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from llmmw.wire._scrub import Scrubber

KEY = 'sk-proj-aB3/x9+Qz_7Lm"2Wv8Rt=5Yk1N\\ü0c'
SIGNS = st.sampled_from('abcdefghijkmnopqrstuvwxyzABCDEFGHJKLMNPQRSTUVWXYZ23456789-_+/=."\\ü%')
SECRETS = st.text(SIGNS, min_size=12, max_size=60)


def forms(secret: str, before: bytes, after: bytes) -> list[str]:
    raw = secret.encode()
    inside = before + raw + after
    return [
        secret,
        json.dumps(secret)[1:-1],
        json.dumps(secret, ensure_ascii=False)[1:-1],
        repr(secret)[1:-1],
        quote(secret),
        quote(secret, safe=""),
        quote_plus(secret),
        raw.hex(),
        raw.hex().upper(),
        base64.b64encode(raw).decode(),
        base64.urlsafe_b64encode(raw).decode(),
        base64.b64encode(raw).decode().rstrip("="),
        base64.b64encode(b"user:" + raw).decode()[6:],  # from the first sign with the colon
        base64.b64encode(raw + b":").decode(),
        _pure(base64.b64encode(inside).decode(), len(before), len(raw)),
        _pure(base64.urlsafe_b64encode(inside).decode(), len(before), len(raw)),
    ]


def _pure(text: str, start: int, size: int) -> str:
    """The characters that encode nothing but the secret."""
    return text[-(-8 * start // 6) : 8 * (start + size) // 6]


def longest_common(text: str, form: str) -> int:
    most = 0
    for start in range(len(form)):
        while form[start : start + most + 1] in text and start + most < len(form):
            most += 1
    return most


@settings(deadline=None, database=None)
@given(
    SECRETS,
    st.integers(0, 15),
    st.binary(max_size=4),
    st.binary(max_size=4),
    st.data(),
    st.text(max_size=20),
    st.text(max_size=20),
)
def test_no_form_of_a_secret_survives_whole_or_cut(
    secret: str, which: int, before: bytes, after: bytes, data: st.DataObject, head: str, tail: str
) -> None:
    form = forms(secret, before, after)[which]
    start = data.draw(st.integers(0, len(form) - 10))
    end = data.draw(st.integers(start + 10, len(form)))
    left = Scrubber([secret])(head + form[start:end] + tail)
    assert longest_common(left, form) < 10
    assert "[key]" in left


@pytest.mark.parametrize("size", [12, 13, 14, 38])
def test_every_piece_of_ten_characters_of_every_form_is_found(size: int) -> None:
    secret = KEY[-size:]
    scrub = Scrubber([secret])
    for form in forms(secret, b"", b"") + forms(secret, b"x", b"y") + forms(secret, b"xy", b"z"):
        for start in range(len(form) - 9):
            assert scrub(form[start : start + 10]) == "[key]"


@settings(deadline=None, database=None)
@given(st.text(), SECRETS)
def test_a_text_without_a_secret_is_untouched(text: str, secret: str) -> None:
    bare = "".join(sign for sign in text if sign not in secret and not sign.isascii())
    assert Scrubber([secret])(bare) == bare
    assert Scrubber()(text) == text


def test_people_see_where_a_key_stood() -> None:
    scrub = Scrubber([KEY])
    assert scrub(f"Incorrect API key provided: {KEY}. See") == (
        "Incorrect API key provided: [key]. See"
    )
    assert scrub(f"{KEY}{KEY}") == "[key]"
    assert scrub(f"Bearer {KEY} and {KEY[:15]}***{KEY[-4:]}") == (
        f"Bearer [key] and [key]***{KEY[-4:]}"
    )
    plain = "The model gpt-4o does not exist or you do not have access to it. " * 20
    assert scrub(plain) == plain


def test_basic_authorisation_in_either_place() -> None:
    scrub = Scrubber([KEY])
    for pair in (f"user:{KEY}", f"me:{KEY}", f"u2:{KEY}", f"{KEY}:", f"{KEY}:x"):
        told = scrub("Basic " + base64.b64encode(pair.encode()).decode())
        assert told.startswith("Basic ")
        assert len(told.replace("[key]", "")) <= len("Basic ") + 11


@pytest.mark.parametrize("known", ["sk-ant-api03-", "github_pat_", "sk-proj-"])
def test_the_known_beginning_of_keys_is_no_secret(known: str) -> None:
    scrub = Scrubber([f"{known}Qw8Er7Ty6Ui5Op4"])
    assert scrub(f"keys begin with {known}...") == f"keys begin with {known}..."
    assert "Qw8Er7T" not in scrub(f"{known}Qw8Er7T")


def test_short_secrets_are_replaced_only_whole() -> None:
    scrub = Scrubber(["hunter2pass", "abc", "tok1", "to k/"])
    assert scrub("hunter2pass hunter2pas tok1, abc; to%20k/ to+k%2F") == (
        "[key] hunter2pas [key], abc; [key] [key]"
    )
    assert base64.b64encode(b"hunter2pass").decode() not in scrub("aHVudGVyMnBhc3M=")
    assert scrub("aHVudGVyMnBhc3M=") == "[key]"


def test_secrets_can_be_added_and_overlap() -> None:
    scrub = Scrubber()
    assert scrub(KEY) == KEY
    for _ in range(2):
        scrub.add("0123456789abcdef")
        scrub.add("89abcdefghijklmn")
    assert scrub("x0123456789abcdefghijklmny") == "x[key]y"


def test_it_does_not_show_or_give_away_what_it_holds() -> None:
    scrub = Scrubber([KEY, "hunter2"])
    assert repr(scrub) == "<Scrubber of 2 secrets>"
    for give in (pickle.dumps, copy.copy, copy.deepcopy):
        with pytest.raises(TypeError, match="holds secrets"):
            give(scrub)


class Counted(str):
    """Counts the pieces that are taken out of it."""

    __slots__ = ("taken",)

    def __getitem__(self, key: object) -> str:
        self.taken = getattr(self, "taken", 0) + 1
        return super().__getitem__(key)


@pytest.mark.parametrize("unit", ["nothing here ", "ab", KEY, KEY[:7]])
def test_the_work_grows_with_the_text_and_no_faster(unit: str) -> None:
    scrub = Scrubber([KEY])
    looks = []
    for size in (1_000, 10_000):
        text = Counted(unit * (size // len(unit)))
        scrub(text)
        looks.append(text.taken)
        assert text.taken <= 1.5 * len(text)
    assert looks[1] < 11 * looks[0]


def test_keys_that_are_renewed_do_not_pile_up() -> None:
    scrub = Scrubber(["header-0123456789", "sh0rt"])
    for number in range(100):
        scrub.add(f"token-{number:04}-{number * 7919:016}")
        scrub.add("header-0123456789")  # is used with each
        scrub.add("sh0rt")
    assert repr(scrub) == "<Scrubber of 8 secrets>"
    last = f"token-0099-{99 * 7919:016}"
    assert scrub(f"{last} header-0123456789 sh0rt") == "[key] [key] [key]"
