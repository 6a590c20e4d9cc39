"""The fine-tunes at a client's providers."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import IO, Any, ClassVar, TypeAlias

import attrs

from llmmw._administration import (
    Checkpoint,
    FineTuneEvent,
    FineTuneInfo,
    FineTunes,
    Pages,
    source_of,
)
from llmmw._provider import Provider
from llmmw._verbs._follow import Following
from llmmw._verbs._group import Group, named, quiet
from llmmw._verbs._patience import SHORT, ask_verb, wait_for, within
from llmmw.errors import UnsupportedFeature

__all__ = ["ClientFineTunes", "TrainingFile"]

TrainingFile: TypeAlias = str | Path | bytes | IO[bytes]
"""An id of a file at the host, as text; or a file to send first."""


@attrs.frozen
class ClientFineTunes(Group[FineTunes]):
    """The fine-tunes at a client's providers; `provider` and `timeout` as for `ClientModels`."""

    what: ClassVar[str] = "fine_tunes"

    @staticmethod
    def _of(provider: Provider) -> FineTunes | None:
        return provider.fine_tunes

    async def create(
        self,
        /,
        model: str,
        training_file: TrainingFile,
        *,
        validation_file: TrainingFile | None = None,
        hyperparameters: Mapping[str, Any] | None = None,
        suffix: str | None = None,
        metadata: Mapping[str, str] | None = None,
        provider: str | None = None,
        timeout: float | None = None,
        **fields: Any,
    ) -> FineTuneInfo:
        """Begin a fine-tune.

        Args:
            model: what it begins from, as the host names it.
            training_file: the id of a file at the host, as text; or a `Path`, bytes or an open
                binary file, which is looked through where the host's rules are known, and sent.
            validation_file: likewise; default: as the host does.
            hyperparameters: by the host's names; default: as the host does.
            suffix: a part of the new model's name.
            metadata: labels, for hosts that keep some.
            provider: see above.
            timeout: seconds; default: none.
            fields: what else the host knows, by its own names.

        Raises:
            BadRequest: if a file breaks the host's rules, with what is wrong where.
        """
        given = {
            "model": model,
            "hyperparameters": hyperparameters,
            "suffix": suffix,
            "metadata": metadata,
        }
        asked = {name: one for name, one in given.items() if one is not None} | fields
        with within(timeout, "fine_tunes.create"):
            asked["training_file"] = await self._sent(training_file, provider)
            if validation_file is not None:
                asked["validation_file"] = await self._sent(validation_file, provider)
            return await self._ask("create", lambda verbs: verbs.create(asked), provider)

    async def _sent(self, file: TrainingFile, provider: str | None) -> str:
        """The id of a file at the host, where it is sent if it is not there."""
        if isinstance(file, str):
            return file
        verbs = await self._verbs(provider)
        source = source_of(file)
        await verbs.check(source)
        files = (await self._provider(provider)).files
        if files is None:
            raise UnsupportedFeature(f"{verbs.name} keeps no files: say as text where it is")
        sent = await ask_verb(
            lambda: files.upload(source, verbs.purpose, quiet(None)),
            "files.upload",
            None,
            reads=False,
        )
        return sent.id

    async def get(
        self, id: str, *, provider: str | None = None, timeout: float | None = SHORT
    ) -> FineTuneInfo:
        """How far it is."""
        return await self._ask(
            "get", lambda verbs: verbs.get(named(id)), provider, timeout, reads=True
        )

    def list(
        self,
        *,
        provider: str | None = None,
        limit: int | None = None,
        timeout: float | None = SHORT,
    ) -> Pages[FineTuneInfo]:
        """The fine-tunes of the account, `limit` at most."""
        return self._list(lambda verbs, after: verbs.list(after), provider, limit, timeout)

    async def cancel(
        self, id: str, *, provider: str | None = None, timeout: float | None = SHORT
    ) -> FineTuneInfo:
        """Have it stopped."""
        return await self._ask("cancel", lambda verbs: verbs.cancel(named(id)), provider, timeout)

    async def delete(
        self, id: str, *, provider: str | None = None, timeout: float | None = SHORT
    ) -> None:
        """Have what it has made deleted."""
        await self._ask("delete", lambda verbs: verbs.delete(named(id)), provider, timeout)

    def events(
        self,
        id: str,
        *,
        follow: bool = False,
        provider: str | None = None,
        limit: int | None = None,
        timeout: float | None = SHORT,
    ) -> Pages[FineTuneEvent]:
        """What the host has said.

        Args:
            id: the fine-tune.
            follow: wait for what it will say as well, until it has ended; then each is told once,
                in the order of their times, and `limit` does not count.
            provider: see above.
            limit: so many at most.
            timeout: seconds for each page.
        """
        most = None if follow else limit
        listed = self._list(
            lambda verbs, after: verbs.events(named(id), after), provider, most, timeout, "events"
        )
        if not follow:
            return listed

        async def ended() -> bool:
            return (await self.get(id, provider=provider, timeout=timeout)).ended

        return Following(lambda: listed, ended)

    def checkpoints(
        self,
        id: str,
        *,
        provider: str | None = None,
        limit: int | None = None,
        timeout: float | None = SHORT,
    ) -> Pages[Checkpoint]:
        """The models on the way."""
        return self._list(
            lambda verbs, after: verbs.checkpoints(named(id), after),
            provider,
            limit,
            timeout,
            "checkpoints",
        )

    async def wait(
        self,
        id: str,
        *,
        provider: str | None = None,
        timeout: float | None = None,
        progress: Callable[[FineTuneInfo], None] | None = None,
    ) -> FineTuneInfo:
        """Wait until it has ended: look at the result's `succeeded` and `failure`.

        Raises:
            DeadlineExceeded: if the time ran out.
        """
        verbs = await self._verbs(provider)
        return await wait_for(
            lambda: verbs.get(named(id)),
            lambda info: info.ended,
            lambda info: info.status,
            quiet(progress),
            verb="fine_tunes.wait",
            timeout=timeout,
        )
