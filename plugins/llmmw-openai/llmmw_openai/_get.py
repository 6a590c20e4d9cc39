"""The way to a host that also has what is only looked at, and not asked for by a body."""

from __future__ import annotations

from contextlib import AbstractAsyncContextManager
from typing import Any

from llmmw.wire import Http, Reply

__all__ = ["GetHttp"]

_MARK = "\0"
"""Stands before the query of what is got; no path of ours has it."""


class GetHttp(Http):
    """An `Http` with GET. It belongs there: the kit has POST alone."""

    def get(
        self, path: str, query: str = "", *, stream: bool = False
    ) -> AbstractAsyncContextManager[Reply]:
        """As `post`, for a request without a body. `query` joins that of the address."""
        return self.post(f"{path}{_MARK}{query}", b"", stream=stream)

    def _request(self, path: str, body: bytes, stream: bool) -> Any:
        path, mark, query = path.partition(_MARK)
        request = super()._request(path, body, stream)
        if mark:
            request.method = "GET"
            pairs = dict(pair.split("=", 1) for pair in query.split("&") if pair)
            request.url = request.url.copy_merge_params(pairs)
        return request
