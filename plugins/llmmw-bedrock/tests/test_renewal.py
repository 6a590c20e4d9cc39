"""Credentials that the chain of AWS finds: once, in a thread, and anew before they end."""

from __future__ import annotations

import json
import sys
from datetime import UTC, datetime, timedelta

import pytest
import trio
from llmmw_bedrock._credentials import Credentials, credentials_in

from llmmw.testing import Answer, open_server
from llmmw.wire import Secret

pytestmark = pytest.mark.plugins


def process(wire, tmp_path, ends):
    """A profile whose credentials a program tells; it numbers them, and tells when they end."""
    script = tmp_path / "tell.py"
    script.write_text(
        "import json, pathlib, sys\n"
        f"place = pathlib.Path({str(tmp_path / 'count')!r})\n"
        "count = int(place.read_text()) + 1 if place.exists() else 1\n"
        "place.write_text(str(count))\n"
        "print(json.dumps({'Version': 1, 'AccessKeyId': f'AKID{count}', 'SecretAccessKey':"
        f" 'process-secret-0123456789', 'Expiration': {ends.isoformat()!r}}}))\n"
    )
    wire.profiles(tmp_path, work={"credential_process": f"{sys.executable} {script}"})


@pytest.mark.parametrize(("minutes", "ids"), [(5, "123"), (60, "111")])
async def test_credentials_are_renewed_before_they_end(wire, tmp_path, minutes, ids):
    process(wire, tmp_path, datetime.now(UTC) + timedelta(minutes=minutes))
    key = Credentials(profile="work")
    assert key.where == "the chain of AWS, profile 'work'"
    told = [credentials_in(await key.get()).access_key_id for _ in range(3)]
    assert told[0] in {"AKID1", "AKID2"}  # a program that tells an early end is asked at once again
    assert len(set(told)) == len(set(ids))


async def test_credentials_are_looked_for_once(wire, tmp_path):
    process(wire, tmp_path, datetime.now(UTC) + timedelta(hours=1))
    key = Credentials(profile="work")
    found = set()

    async def look():
        found.add(credentials_in(await key.get()).access_key_id)

    async with trio.open_nursery() as nursery:
        for _ in range(20):
            nursery.start_soon(look)
    assert found == {"AKID1"}


def handed_out(wire, number, minutes):
    """What a container or a machine is told."""
    keys = {"AccessKeyId": f"AKID{number}", "SecretAccessKey": wire.secret, "Token": wire.token}
    return Answer(body=json.dumps(keys | {"Expiration": wire.later(minutes)}).encode())


async def test_credentials_of_a_container(wire, monkeypatch):
    """They are asked for in a thread: here the host of them could not answer otherwise."""
    answers = [handed_out(wire, number, 5) for number in range(1, 4)]
    async with open_server(answers) as container:
        monkeypatch.setenv("AWS_CONTAINER_CREDENTIALS_FULL_URI", container.url + "/keys")
        key = Credentials()
        assert key.where == "the chain of AWS"
        told = [credentials_in(await key.get()) for _ in range(2)]
    assert [one.access_key_id for one in told] == ["AKID2", "AKID3"]  # the first ended too soon
    assert told[0].session_token == Secret(wire.token)


async def test_nobody_waits_long_for_new_ones_while_the_old_are_good(wire, monkeypatch):
    asked, answering = trio.Event(), trio.Event()
    numbers = iter(range(1, 9))

    async def answer(received):
        number = next(numbers)
        if number > 1:
            asked.set()
            await answering.wait()
        return handed_out(wire, number, 20 if number == 1 else 60)

    async with open_server(answer) as container:
        monkeypatch.setenv("AWS_CONTAINER_CREDENTIALS_FULL_URI", container.url + "/keys")
        monkeypatch.setattr("llmmw_bedrock._credentials._PATIENCE", 0.05)
        key = Credentials()
        assert credentials_in(await key.get()).access_key_id == "AKID1"
        monkeypatch.setattr(key._found, "_time_fetcher", lambda: datetime.now(UTC) + LATER)
        with trio.fail_after(1.5):  # the host would be waited for longer
            assert credentials_in(await key.get()).access_key_id == "AKID1"
        assert asked.is_set()
        answering.set()


LATER = timedelta(minutes=8)


async def test_credentials_that_are_refused_while_a_call_waits_for_new_ones(wire, monkeypatch):
    asked = [trio.Event(), trio.Event(), trio.Event()]
    answering = trio.Event()
    numbers = iter(range(3))

    async def answer(received):
        number = next(numbers)
        asked[number].set()
        if number:
            await answering.wait()
        return handed_out(wire, number, 60 if number else 20)

    async with open_server(answer) as container:
        monkeypatch.setenv("AWS_CONTAINER_CREDENTIALS_FULL_URI", container.url + "/keys")
        monkeypatch.setattr("llmmw_bedrock._credentials._PATIENCE", 0.3)
        key = Credentials()
        old = await key.get()
        monkeypatch.setattr(key._found, "_time_fetcher", lambda: datetime.now(UTC) + LATER)
        told = []

        async def look():
            told.append(await key.get())

        async def refused():
            told.append(await key.renewed(old))

        with trio.fail_after(20):
            async with trio.open_nursery() as nursery:
                nursery.start_soon(look)
                await asked[1].wait()
                nursery.start_soon(refused)
                await asked[2].wait()
                while not key._lock.statistics().tasks_waiting:  # until patience ends
                    await trio.lowlevel.checkpoint()
                answering.set()
    assert [credentials_in(one).access_key_id for one in told] == ["AKID2", "AKID2"]


async def test_whoever_leaves_does_not_wait_for_credentials(wire, tmp_path):
    script = tmp_path / "hang.py"
    script.write_text("import sys\nsys.stdin.read()\n")
    wire.profiles(tmp_path, work={"credential_process": f"{sys.executable} {script}"})
    key = Credentials(profile="work")
    with trio.move_on_after(0) as scope:
        await key.get()
    assert scope.cancelled_caught


@pytest.mark.parametrize("minutes", [47, 52])  # new ones are due soon; or nobody may go without
async def test_a_hundred_calls_at_once_renew_once(wire, monkeypatch, minutes):
    asked = []

    async def answer(received):
        asked.append(received)
        return handed_out(wire, len(asked), 60 if len(asked) == 1 else 600)

    async with open_server(answer) as container:
        monkeypatch.setenv("AWS_CONTAINER_CREDENTIALS_FULL_URI", container.url + "/keys")
        key = Credentials()
        told = []

        async def look():
            told.append(credentials_in(await key.get()).access_key_id)

        async def storm():
            async with trio.open_nursery() as nursery:
                for _ in range(100):
                    nursery.start_soon(look)

        await storm()
        assert (set(told), len(asked)) == ({"AKID1"}, 1)
        then = datetime.now(UTC) + timedelta(minutes=minutes)
        monkeypatch.setattr(key._found, "_time_fetcher", lambda: then)
        monkeypatch.setattr("llmmw_bedrock._credentials._PATIENCE", 60)
        await storm()
        await look()
        assert (told[-1], len(told), len(asked)) == ("AKID2", 201, 2)
