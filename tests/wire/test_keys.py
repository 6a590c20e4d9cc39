"""Where a key comes from, when it is asked for, and that it shows nowhere."""

import os
import traceback
from pathlib import Path

import pytest
import trio
import trio.testing

from llmmw.errors import AuthenticationFailed, ConfigError
from llmmw.wire import Key, Secret

KEY, OTHER = "sk-one-0123456789abcdef", "sk-two-fedcba9876543210"


async def text_of(key: Key) -> str | None:
    secret = await key.get()
    return None if secret is None else secret.reveal()


async def test_the_first_variable_that_is_set(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("FIRST", raising=False)
    monkeypatch.setenv("SECOND", KEY)
    key = Key(None, ("FIRST", "SECOND"))
    assert await text_of(key) == KEY
    monkeypatch.setenv("FIRST", OTHER)
    assert await text_of(key) == KEY  # it is kept
    assert await text_of(Key(None, ("FIRST", "SECOND"))) == OTHER
    monkeypatch.setenv("FIRST", "")
    assert await text_of(Key(None, ("FIRST", "SECOND"))) == KEY


async def test_no_key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("FIRST", raising=False)
    key = Key(None, ("FIRST", "SECOND"))
    with pytest.raises(AuthenticationFailed, match="set FIRST or SECOND, or pass the option"):
        await key.get()
    monkeypatch.setenv("FIRST", KEY)
    assert await text_of(key) == KEY  # it was set in the meantime
    assert await text_of(Key(None, ("NONE",), needed=False)) is None
    assert await text_of(Key(needed=False)) is None


@pytest.mark.parametrize(
    ("source", "where"),
    [
        (KEY, "the option api_key"),
        (Secret(KEY), "the option api_key"),
        ("env:MINE", "env:MINE"),
        ("file:/x", "file:/x"),
        (lambda: KEY, "the function given as api_key"),
        (None, "nowhere"),
    ],
)
def test_where_a_key_comes_from(source: object, where: str) -> None:
    key = Key(source)  # type: ignore[arg-type]
    assert key.where == where
    assert KEY not in repr(key)


def test_what_is_no_source() -> None:
    for wrong in (7, b"bytes", ["a"]):
        with pytest.raises(ConfigError, match="api_key: expected a text"):
            Key(wrong)  # type: ignore[arg-type]


@pytest.mark.parametrize("content", [b"", b"\n", b"\xff\xfe", b"a b", b"a\nb", b"\0" * 100_000])
async def test_files_that_hold_no_key(tmp_path: Path, content: bytes) -> None:
    file = tmp_path / "key"
    file.write_bytes(content)
    with pytest.raises(AuthenticationFailed, match=r"is empty|signs that no key has"):
        await Key(f"file:{file}").get()
    with pytest.raises(AuthenticationFailed, match="can't be read"):
        await Key(f"file:{tmp_path}").get()


async def test_a_file_that_does_not_answer(tmp_path: Path) -> None:
    pipe = tmp_path / "key"
    os.mkfifo(pipe)
    key = Key(f"file:{pipe}")
    with trio.move_on_after(0.05) as scope, trio.fail_after(5):
        await key.get()
    assert scope.cancelled_caught
    pipe.write_text(KEY)  # lets the thread go
    pipe.unlink()
    pipe.write_text(OTHER)
    assert await text_of(key) == OTHER


async def test_a_key_that_was_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MINE", KEY)
    key = Key("env:MINE")
    first = await key.get()
    assert first is not None
    assert await key.renewed(first) is None  # it is still the same
    monkeypatch.setenv("MINE", OTHER)
    fresh = await key.renewed(first)
    assert fresh == Secret(OTHER)
    assert await key.renewed(first) == fresh  # another call was refused with the old one
    assert await Key(KEY).renewed(Secret(KEY)) is None
    assert await Key(None, ("MINE",)).renewed(first) == fresh  # the host's own variable too
    monkeypatch.delenv("MINE")
    with pytest.raises(AuthenticationFailed, match="MINE is not set"):
        await key.renewed(fresh)


async def test_a_function_that_is_cancelled_or_fails_is_asked_again() -> None:
    asked = 0

    async def source() -> str:
        nonlocal asked
        asked += 1
        if asked == 1:
            await trio.sleep_forever()
        if asked == 2:
            raise OSError(f"no {KEY} today")
        return KEY

    key = Key(source)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(key.get)
        await trio.testing.wait_all_tasks_blocked()
        nursery.cancel_scope.cancel()
    with pytest.raises(AuthenticationFailed, match="api_key failed: OSError") as caught:
        await key.get()
    assert caught.value.processed is False
    assert KEY not in str(caught.value)
    assert await text_of(key) == KEY
    assert asked == 3


async def test_an_error_of_the_library_passes_through() -> None:
    mine = AuthenticationFailed("the vault is shut")

    def source() -> str:
        raise mine

    with pytest.raises(AuthenticationFailed) as caught:
        await Key(source).get()
    assert caught.value is mine


async def test_one_waiter_may_leave() -> None:
    """Those who wait for the same key do not depend on the one who asks for it."""
    asked = 0

    async def source() -> str:
        nonlocal asked
        asked += 1
        if asked == 1:
            await trio.sleep_forever()
        return KEY

    key = Key(source)
    got: list[str | None] = []

    async def wait() -> None:
        got.append(await text_of(key))

    async with trio.open_nursery() as nursery:
        with trio.CancelScope() as scope:
            async with trio.open_nursery() as first:
                first.start_soon(key.get)
                await trio.testing.wait_all_tasks_blocked()
                nursery.start_soon(wait)
                await trio.testing.wait_all_tasks_blocked()
                scope.cancel()
    assert (got, asked) == ([KEY], 2)


def bad() -> str:
    return f"{KEY} {OTHER}"


def no_text() -> object:
    return KEY.encode()


SOURCES = [f"{KEY} {OTHER}", Secret(f"{KEY}\n{OTHER}"), bad, no_text, "env:MINE", "file:{}", None]


@pytest.mark.parametrize("source", SOURCES, ids=range(len(SOURCES)))
async def test_a_traceback_with_locals_shows_no_key(
    source: str | None, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("MINE", f"{KEY} {OTHER}")
    file = tmp_path / "key"
    file.write_text(f"{KEY} {OTHER}")
    key = Key(f"file:{file}" if source == "file:{}" else source, ("MINE",))
    del source
    try:
        await key.get()
    except AuthenticationFailed as error:
        told = traceback.TracebackException.from_exception(error, capture_locals=True)
        said = "".join(told.format())
    assert "signs that no key has" in said or "gave a bytes" in said
    assert KEY not in said
