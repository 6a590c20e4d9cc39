"""Files that the host keeps, and the models that it serves."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any
from urllib.parse import quote

import attrs

from llmmw.plugin import FileInfo, Files, Hear, ModelInfo, Models, Page, Pieces, Source
from llmmw.wire import MOST_OF_A_FILE, Http, multipart
from llmmw_anthropic._pages import object_in, page_of, seconds_in, whole_in

__all__ = ["AnthropicFiles", "AnthropicModels"]

_BETA = "anthropic-beta"
_FILES = "files-api-2025-04-14"


@attrs.frozen(kw_only=True)
class AnthropicFiles(Files):
    """The verbs for files; see `llmmw.plugin.Files`. Files have no purpose here.

    Args:
        prefix: what goes before the paths, where the address does not have it.
    """

    http: Http = attrs.field(repr=False)
    prefix: str

    async def upload(self, source: Source, purpose: str, hear: Hear) -> FileInfo:
        """Send a file."""
        async with self._beta.post(self._path(), multipart(source, {}, hear=hear)) as reply:
            return self._info(object_in(reply, await reply.read()))

    async def get(self, id: str) -> FileInfo:
        """What is known of a file."""
        async with self._beta.get(self._path(id)) as reply:
            return self._info(object_in(reply, await reply.read()))

    async def list(self, after: str | None = None) -> Page[FileInfo]:
        """Files, the newest first."""
        return await page_of(self._beta, self._path(), after, self._info)

    @asynccontextmanager
    async def content(self, id: str) -> AsyncIterator[Pieces]:
        """The bytes of a file that the host has made; it gives back none that was sent."""
        async with self._beta.get(self._path(id) + "/content") as reply:
            reply.most_bytes = MOST_OF_A_FILE
            yield reply

    async def delete(self, id: str) -> None:
        """Have a file deleted."""
        async with self._beta.delete(self._path(id)) as reply:
            await reply.drain()

    @property
    def _beta(self) -> Http:
        """The host, asked with the feature's name besides those that the user gave."""
        headers = dict(self.http.headers)
        given = [headers.pop(name) for name in list(headers) if name.lower() == _BETA]
        betas = [one for one in given if isinstance(one, str)]
        return attrs.evolve(self.http, headers=headers | {_BETA: ",".join([*betas, _FILES])})

    def _path(self, id: str = "") -> str:
        return f"{self.prefix}/files" + (f"/{quote(id, safe='')}" if id else "")

    def _info(self, told: Mapping[str, Any]) -> FileInfo:
        return FileInfo(
            id=str(told.get("id") or ""),
            provider=self.name,
            name=str(told.get("filename") or ""),
            bytes=whole_in(told, "size_bytes"),
            created=seconds_in(told.get("created_at")),
            raw=dict(told),
        )


@attrs.frozen(kw_only=True)
class AnthropicModels(Models):
    """The verbs for models; see `llmmw.plugin.Models`.

    Args:
        prefix: what goes before the paths, where the address does not have it.
    """

    http: Http = attrs.field(repr=False)
    prefix: str

    async def list(self, after: str | None = None) -> Page[ModelInfo]:
        """Models, the newest first."""
        return await page_of(self.http, f"{self.prefix}/models", after, self._info)

    async def get(self, id: str) -> ModelInfo:
        """What is known of a model; by an alias too."""
        async with self.http.get(f"{self.prefix}/models/{quote(id, safe='')}") as reply:
            return self._info(object_in(reply, await reply.read()))

    def _info(self, told: Mapping[str, Any]) -> ModelInfo:
        return ModelInfo(
            id=str(told.get("id") or ""),
            provider=self.name,
            name=str(told.get("display_name") or ""),
            created=seconds_in(told.get("created_at")),
            input_limit=whole_in(told, "max_input_tokens"),
            output_limit=whole_in(told, "max_tokens"),
            raw=dict(told),
        )
