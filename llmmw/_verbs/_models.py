"""The models at a client's providers."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, ClassVar

import attrs

from llmmw._administration import Hear, ModelInfo, Models, Pages
from llmmw._provider import Provider
from llmmw._verbs._download import safe_path, save
from llmmw._verbs._group import Group, named, quiet
from llmmw._verbs._patience import SHORT, ask_verb, wait_for, within
from llmmw.errors import ProtocolError

__all__ = ["ClientModels"]


@attrs.frozen
class ClientModels(Group[Models]):
    """The models at a client's providers: what a host serves, or can be made to serve.

    `provider` is the part of a target before its colon; default: that of the client's first
    target. `timeout` is in seconds, of a list for each page; `SHORT` is 60. What only reads is
    asked up to three times.
    """

    what: ClassVar[str] = "models"

    @staticmethod
    def _of(provider: Provider) -> Models | None:
        return provider.models

    def list(
        self,
        *,
        provider: str | None = None,
        limit: int | None = None,
        timeout: float | None = SHORT,
    ) -> Pages[ModelInfo]:
        """The models that the account may ask, `limit` at most."""
        return self._list(lambda verbs, after: verbs.list(after), provider, limit, timeout)

    async def get(
        self, id: str, *, provider: str | None = None, timeout: float | None = SHORT
    ) -> ModelInfo:
        """What is known of a model."""
        return await self._ask(
            "get", lambda verbs: verbs.get(named(id)), provider, timeout, reads=True
        )

    async def create(
        self,
        /,
        id: str,
        *,
        provider: str | None = None,
        timeout: float | None = SHORT,
        **fields: Any,
    ) -> ModelInfo:
        """Have a host serve a model; `fields` are the host's own. `wait` waits until it does."""
        return await self._ask(
            "create", lambda verbs: verbs.create(named(id), fields), provider, timeout
        )

    async def update(
        self,
        /,
        id: str,
        *,
        provider: str | None = None,
        timeout: float | None = SHORT,
        **fields: Any,
    ) -> ModelInfo:
        """Change how a host serves a model; `fields` are the host's own."""
        return await self._ask(
            "update", lambda verbs: verbs.update(named(id), fields), provider, timeout
        )

    async def delete(
        self, id: str, *, provider: str | None = None, timeout: float | None = SHORT
    ) -> None:
        """Have a model deleted."""
        await self._ask("delete", lambda verbs: verbs.delete(named(id)), provider, timeout)

    async def pull(
        self,
        id: str,
        *,
        progress: Hear | None = None,
        provider: str | None = None,
        timeout: float | None = None,
    ) -> ModelInfo:
        """Have a host fetch a model from its registry, and wait until it has it."""
        hear = quiet(progress)
        return await self._ask("pull", lambda verbs: verbs.pull(named(id), hear), provider, timeout)

    async def download(
        self,
        /,
        id: str,
        to: str | Path,
        *,
        progress: Hear | None = None,
        provider: str | None = None,
        timeout: float | None = None,
        **fields: Any,
    ) -> tuple[Path, ...]:
        """Save the files of a model in a folder.

        Args:
            id: the model.
            to: the folder; made if it is not there.
            progress: hears of each file; its `status` is the file's name.
            provider: see above.
            timeout: seconds for all; default: none.
            fields: the host's own.

        Raises:
            ProtocolError: if a file's name leads out of the folder.
        """
        verbs = await self._verbs(provider)
        with within(timeout, "models.download"):
            links = await self.links(id, provider=provider, timeout=timeout, **fields)
            paths = {name: safe_path(Path(to), name) for name in links}
            if len(set(paths.values())) < len(paths):
                raise ProtocolError("the host named two files that would be one in a folder")
            for name, path in paths.items():

                async def fetch(name: str = name, path: Path = path) -> None:
                    async with verbs.fetch(links[name]) as pieces:
                        await save(pieces, path, quiet(progress), name)

                await ask_verb(fetch, "models.download", None, reads=True)
        return tuple(paths.values())

    async def links(
        self,
        /,
        id: str,
        *,
        provider: str | None = None,
        timeout: float | None = SHORT,
        **fields: Any,
    ) -> Mapping[str, str]:
        """From where each file of a model can be fetched, by its name; for a short time only.
        Whoever has a link needs no key."""
        return await self._ask(
            "links", lambda verbs: verbs.links(named(id), fields), provider, timeout, reads=True
        )

    async def wait(
        self,
        id: str,
        *,
        provider: str | None = None,
        timeout: float | None = None,
        progress: Callable[[ModelInfo], None] | None = None,
    ) -> ModelInfo:
        """Wait until a model is ready, or has failed: look at the result's `ready`.

        Raises:
            DeadlineExceeded: if the time ran out.
        """
        verbs = await self._verbs(provider)
        return await wait_for(
            lambda: verbs.get(named(id)),
            lambda info: info.ready is not False or info.failed,
            lambda info: info.status,
            quiet(progress),
            verb="models.wait",
            timeout=timeout,
        )
