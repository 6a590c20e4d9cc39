"""What the groups of verbs of a client share: whose they are, and how they are asked."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Awaitable, Callable, Sequence
from typing import ClassVar, Generic, TypeVar

import attrs

from llmmw._administration import Page, Pages, Verbs
from llmmw._provider import Provider
from llmmw._router import Router
from llmmw._verbs._patience import SHORT, ask_verb
from llmmw.errors import BadRequest, UnsupportedFeature

__all__ = ["Group"]

T = TypeVar("T")
V = TypeVar("V", bound=Verbs)


@attrs.frozen
class Group(Generic[V]):
    """Verbs at a client's providers."""

    what: ClassVar[str]
    _router: Router = attrs.field(repr=False)
    _targets: Sequence[str]

    @staticmethod
    @abstractmethod
    def _of(provider: Provider) -> V | None:
        """The provider's verbs of this group."""

    async def _verbs(self, provider: str | None) -> V:
        if provider is None and not self._targets:
            raise BadRequest("which provider is it? Name it, or give the client a target")
        target = self._targets[0] if provider is None else f"{provider}:"
        found = await self._router.provider(target)
        verbs = self._of(found)
        if verbs is None:
            raise UnsupportedFeature(f"{found.name} has no {self.what}", provider=found.name)
        return verbs

    async def _ask(
        self,
        verb: str,
        ask: Callable[[V], Awaitable[T]],
        provider: str | None,
        timeout: float | None = SHORT,
        *,
        reads: bool = False,
    ) -> T:
        verbs = await self._verbs(provider)
        return await ask_verb(lambda: ask(verbs), f"{self.what}.{verb}", timeout, reads=reads)

    def _list(
        self,
        ask: Callable[[V, str | None], Awaitable[Page[T]]],
        provider: str | None,
        limit: int | None,
        timeout: float | None,
        verb: str = "list",
    ) -> Pages[T]:
        if limit is not None and limit < 0:
            raise BadRequest(f"limit={limit}: expected a number of rows, or None for all")

        async def page(after: str | None) -> Page[T]:
            return await self._ask(
                verb, lambda verbs: ask(verbs, after), provider, timeout, reads=True
            )

        return Pages(page, limit)
