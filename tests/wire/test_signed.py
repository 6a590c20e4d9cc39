"""Requests that are signed, since the key itself is not sent."""

from __future__ import annotations

import traceback
from collections.abc import Mapping
from hashlib import sha256

import pytest

from llmmw.errors import AuthenticationFailed, PermissionDenied
from llmmw.testing import Answer, open_server
from llmmw.wire import Http, Key, Secret

KEY, OTHER = "sk-one-0123456789abcdef", "sk-two-fedcba9876543210"


def sign(
    secret: Secret, method: str, url: str, headers: Mapping[str, str], body: bytes
) -> dict[str, str]:
    told = f"{secret.reveal()} {method} {url} {headers['host']} {headers['x-a']} ".encode() + body
    return {"X-Proof": sha256(told).hexdigest()}


def proof(key: str, method: str, url: str, body: bytes = b"") -> str:
    host = url.split("/")[2]
    return sha256(f"{key} {method} {url} {host} b ".encode() + body).hexdigest()


async def test_a_request_is_signed_as_it_leaves():
    async with open_server(Answer(body=b"{}")) as server:
        http = Http(base_url=server.url, key=Key(KEY), sign=sign, headers={"X-A": "b"})
        async with http.open():
            async with http.post("/a%2Fb%3A1/c", b'{"a":1}') as reply:
                await reply.read()
            async with http.get("/d", {"after": "7 8/9"}) as reply:
                await reply.read()
    one, two = server.requests
    assert one.path == "/a%2Fb%3A1/c"
    assert one.headers["x-proof"] == proof(KEY, "POST", server.url + one.path, b'{"a":1}')
    assert two.headers["x-proof"] == proof(KEY, "GET", server.url + two.path)
    assert "authorization" not in one.headers
    assert KEY not in f"{one.headers} {two.headers}"


@pytest.mark.parametrize(
    ("status", "word", "asked"),
    [
        (401, "", 2),
        (403, "ExpiredTokenException: old", 2),
        (403, "UnrecognizedClientException:http://x", 2),
        (403, "AccessDeniedException", 1),
        (400, "ExpiredTokenException", 1),
        (403, "", 1),
    ],
)
async def test_a_key_that_is_refused_is_asked_for_again(status, word, asked):
    keys = iter([KEY, OTHER])

    async def answer(received):
        if received.headers["x-proof"] == proof(OTHER, "GET", server.url + "/m"):
            return Answer(body=b"{}")
        return Answer(status=status, headers={"x-amzn-errortype": word})

    async with open_server(answer) as server:
        key = Key(lambda: next(keys))
        http = Http(base_url=server.url, key=key, sign=sign, headers={"X-A": "b"})
        failed = None
        async with http.open():
            try:
                async with http.get("/m") as reply:
                    await reply.read()
            except Exception as error:
                failed = error
    assert len(server.requests) == asked
    assert (failed is None) is (asked == 2)


async def test_the_key_is_in_no_frame():
    async def answer(received):
        return Answer(status=403, body=f'{{"message": "not {KEY}"}}'.encode())

    async with open_server(answer) as server:
        http = Http(base_url=server.url, key=Key(KEY), sign=sign, headers={"X-A": "b"})
        async with http.open():
            with pytest.raises(PermissionDenied, match=r"not \[key\]") as caught:
                async with http.get("/m"):
                    pass
    shown = "".join(
        traceback.TracebackException.from_exception(caught.value, capture_locals=True).format()
    )
    assert KEY not in shown.replace(f"KEY = '{KEY}'", "")
    assert KEY not in repr(http)


async def test_without_a_key_nothing_is_signed_or_sent():
    async with open_server(Answer(body=b"{}")) as server:
        http = Http(base_url=server.url, key=Key(None, ("LLMMW_NO_SUCH",)), sign=sign)
        async with http.open():
            with pytest.raises(AuthenticationFailed):
                async with http.get("/m"):
                    pass
    assert server.requests == []
