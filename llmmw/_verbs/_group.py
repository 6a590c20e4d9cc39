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

__all__ = ["Group", "named", "quiet"]

T = TypeVar("T")
V = TypeVar("V", bound=Verbs)


def named(id: object) -> str:
    """An id, if it can be one: hosts take none for a question after all that there is."""
    if isinstance(id, str) and id:
        return id
    raise BadRequest(f"id={id!r}: expected the id, as text")


def quiet(progress: Callable[[T], None] | None) -> Callable[[T], None]:
    """What hears how far something is, maybe nothing."""
    return (lambda told: None) if progress is None else progress


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

    async def _provider(self, name: str | None) -> Provider:
        if name is None and not self._targets:
            raise BadRequest("which provider is it? Name it, or give the client a target")
        return await self._router.provider(self._targets[0] if name is None else f"{name}:")

    async def _verbs(self, provider: str | None) -> V:
        found = await self._provider(provider)
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
        if limit is not None and (type(limit) is not int or limit < 0):
            raise BadRequest(f"limit={limit!r}: expected a number of rows, or None for all")

        async def page(after: str | None) -> Page[T]:
            return await self._ask(
                verb, lambda verbs: ask(verbs, after), provider, timeout, reads=True
            )

        return Pages(page, limit)
