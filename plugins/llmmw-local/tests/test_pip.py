"""What pip is told is what we do."""

from __future__ import annotations

import pytest
from llmmw_local import _pip
from llmmw_local._index import links_of
from llmmw_local._pip import PUBLIC_INDEX, Place, find_sources

from llmmw.errors import ConfigError

pytestmark = pytest.mark.plugins


@pytest.fixture
def files(monkeypatch, tmp_path):
    """Two configuration files, the second nearer."""
    paths = [tmp_path / "far.conf", tmp_path / "near.conf"]
    monkeypatch.setattr(_pip, "_files", lambda environ: iter(paths))
    return paths


def urls(places):
    return [place.url for place in places]


def test_default(files):
    found = find_sources({})
    assert urls(found.indexes) == [PUBLIC_INDEX]
    assert (found.links, found.certificates, found.proxy) == ((), None, None)


def test_own_variable_stands_alone(files):
    files[0].write_text("[global]\nfind-links = /x\nindex-url = https://far.example/s\n")
    environ = {"LLMMW_INDEX_URL": "https://own.example/s", "PIP_NO_INDEX": "1"}
    found = find_sources(environ)
    assert urls(found.indexes) == ["https://own.example/s"]
    assert not found.links


def test_order(files):
    files[0].write_text(
        "[global]\nindex-url = https://far.example/s\ncert = /far.pem\n"
        "[install]\nindex_url = https://far-install.example/s\n"
    )
    files[1].write_text(
        "[global]\nindex-url = https://near.example/s\nproxy = http://p.example:1\n"
        "extra-index-url =\n    https://a.example/s\n    file:///srv/b\n"
    )
    found = find_sources({})
    assert urls(found.indexes) == [
        "https://far-install.example/s",
        "https://a.example/s",
        "file:///srv/b",
    ]
    assert found.certificates == "/far.pem"
    assert found.proxy == "http://p.example:1"
    assert "p.example" not in repr(found)
    environ = {
        "PIP_INDEX_URL": "https://env.example/s",
        "PIP_EXTRA_INDEX_URL": "",
        "PIP_CERT": "/e.pem",
    }
    found = find_sources(environ)
    assert urls(found.indexes)[0] == "https://env.example/s"
    assert len(found.indexes) == 3
    assert found.certificates == "/e.pem"


def test_no_index_and_links(files):
    found = find_sources({"PIP_NO_INDEX": "true", "PIP_FIND_LINKS": "/srv/w https://l.example/p"})
    assert urls(found.links) == ["file:///srv/w", "https://l.example/p"]
    assert found.indexes == ()


@pytest.mark.parametrize("name", ["SSL_CERT_FILE", "REQUESTS_CA_BUNDLE"])
def test_certificates(files, name):
    assert find_sources({name: "/c.pem"}).certificates == "/c.pem"


def test_broken_file_shows_no_line(files):
    files[0].write_text("index-url = https://me:secret@x.example\n")
    with pytest.raises(ConfigError, match="can't be read") as caught:
        find_sources({})
    assert "secret" not in str(caught.value)
    assert caught.value.__context__ is None or caught.value.__suppress_context__


def test_files(tmp_path, monkeypatch):
    own = tmp_path / "own.conf"
    own.write_text("[global]\nindex-url = https://own.example/s\n")
    assert list(_pip._files({"PIP_CONFIG_FILE": "/dev/null"})) == []
    listed = list(_pip._files({"PIP_CONFIG_FILE": str(own)}))
    assert listed[-1] == own
    monkeypatch.setenv("HOME", str(tmp_path))
    assert tmp_path / ".pip" / "pip.conf" in list(_pip._files({}))
    assert tmp_path / ".pip" / "pip.conf" not in listed


def test_html_page():
    page = Place("https://i.example/simple/x/", ("u", "p"))
    body = b"""<!doctype html><base href="/files/"><a href="x-1.whl#sha256=ab">x</a>
        <a name=y><a href="https://o.example/x%2B-2.whl?t=1">z</a><a href="git+https://g/x">g</a>"""
    first, second = links_of(body, "text/html; charset=utf-8", page)
    assert (first.name, first.place.url, first.sha256) == (
        "x-1.whl",
        "https://i.example/files/x-1.whl",
        "ab",
    )
    assert first.place.auth == ("u", "p")
    assert (second.name, second.place.auth) == ("x+-2.whl", None)


@pytest.mark.parametrize("body", [b"[]", b"{", b'{"files": [{}]}', b'{"files": 3}'])
def test_broken_json_page(body):
    with pytest.raises(ConfigError, match="no page of a package index"):
        list(links_of(body, "application/vnd.pypi.simple.v1+json", Place("https://i.example/")))
