"""The verbs of providers for models, files, fine-tunes and batches, for plain programs."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Awaitable, Callable, Iterator
from typing import Any, ClassVar, Concatenate, Generic, ParamSpec, Protocol, TypeVar

from llmmw import _administration as core
from llmmw._bridge import Tell
from llmmw._session import Client
from llmmw._verbs import ClientBatches, ClientFiles, ClientFineTunes, ClientModels

__all__ = ["Batches", "Files", "FineTunes", "Models", "Pages"]

P = ParamSpec("P")
S = TypeVar("S")
T = TypeVar("T")


class _Do(Protocol):
    """Does work in the portal's thread; what it tells is heard in this."""

    def __call__(
        self, do: Callable[[Tell], Awaitable[T]], hear: Callable[[Any], object] | None = None
    ) -> T: ...


class Pages(Generic[T]):
    """A list at a provider: iterate, and it is read page by page. Each loop begins anew."""

    def __init__(self, do: _Do, listed: Callable[[], core.Pages[T]]) -> None:
        self._do, self._listed = do, listed

    def __iter__(self) -> Iterator[T]:
        rows = self._listed().__aiter__()
        while page := self._do(lambda tell: rows.next_rows()):
            yield from page


class Face:
    """A group of verbs of a client."""

    what: ClassVar[str]

    def __init__(self, do: _Do, client: Client) -> None:
        self._do, self._client = do, client

    def __repr__(self) -> str:
        return f"{type(self).__name__}(…)"


def asked(
    verb: Callable[Concatenate[S, P], Awaitable[T]],
) -> Callable[[Callable[..., Any]], Callable[Concatenate[Any, P], T]]:
    """A verb with the arguments of that of the same name; `progress` is called in this thread."""
    hears = "progress" in inspect.signature(verb).parameters  # else it is a field of the host's

    def decorate(stub: object) -> Callable[Concatenate[Any, P], T]:
        @functools.wraps(verb)
        def call(self: Face, /, *args: P.args, **given: P.kwargs) -> T:
            hear: Any = given.get("progress") if hears else None

            async def do(tell: Tell) -> T:
                told = {**given, "progress": tell} if hear is not None else given
                group = getattr(self._client, self.what)
                found: T = await getattr(group, verb.__name__)(*args, **told)
                return found

            return self._do(do, hear)

        return call

    return decorate


def paged(
    verb: Callable[Concatenate[S, P], core.Pages[T]],
) -> Callable[[Callable[..., Any]], Callable[Concatenate[Any, P], Pages[T]]]:
    """A verb that lists, with the arguments of that of the same name."""

    def decorate(stub: object) -> Callable[Concatenate[Any, P], Pages[T]]:
        @functools.wraps(verb)
        def call(self: Face, /, *args: P.args, **given: P.kwargs) -> Pages[T]:
            group = getattr(self._client, self.what)
            return Pages(self._do, lambda: getattr(group, verb.__name__)(*args, **given))

        return call

    return decorate


class Models(Face):
    """The verbs of `llmmw.ClientModels`."""

    what = "models"

    @paged(ClientModels.list)
    def list(self) -> Any:
        """See `ClientModels.list`."""

    @asked(ClientModels.get)
    def get(self) -> Any:
        """See `ClientModels.get`."""

    @asked(ClientModels.create)
    def create(self) -> Any:
        """See `ClientModels.create`."""

    @asked(ClientModels.update)
    def update(self) -> Any:
        """See `ClientModels.update`."""

    @asked(ClientModels.delete)
    def delete(self) -> Any:
        """See `ClientModels.delete`."""

    @asked(ClientModels.pull)
    def pull(self) -> Any:
        """See `ClientModels.pull`."""

    @asked(ClientModels.download)
    def download(self) -> Any:
        """See `ClientModels.download`."""

    @asked(ClientModels.links)
    def links(self) -> Any:
        """See `ClientModels.links`."""

    @asked(ClientModels.wait)
    def wait(self) -> Any:
        """See `ClientModels.wait`."""


class Files(Face):
    """The verbs of `llmmw.ClientFiles`."""

    what = "files"

    @asked(ClientFiles.upload)
    def upload(self) -> Any:
        """See `ClientFiles.upload`."""

    @asked(ClientFiles.get)
    def get(self) -> Any:
        """See `ClientFiles.get`."""

    @paged(ClientFiles.list)
    def list(self) -> Any:
        """See `ClientFiles.list`."""

    @asked(ClientFiles.download)
    def download(self) -> Any:
        """See `ClientFiles.download`."""

    @asked(ClientFiles.content)
    def content(self) -> Any:
        """See `ClientFiles.content`."""

    @asked(ClientFiles.delete)
    def delete(self) -> Any:
        """See `ClientFiles.delete`."""


class FineTunes(Face):
    """The verbs of `llmmw.ClientFineTunes`."""

    what = "fine_tunes"

    @asked(ClientFineTunes.create)
    def create(self) -> Any:
        """See `ClientFineTunes.create`."""

    @asked(ClientFineTunes.get)
    def get(self) -> Any:
        """See `ClientFineTunes.get`."""

    @paged(ClientFineTunes.list)
    def list(self) -> Any:
        """See `ClientFineTunes.list`."""

    @asked(ClientFineTunes.cancel)
    def cancel(self) -> Any:
        """See `ClientFineTunes.cancel`."""

    @asked(ClientFineTunes.delete)
    def delete(self) -> Any:
        """See `ClientFineTunes.delete`."""

    @paged(ClientFineTunes.events)
    def events(self) -> Any:
        """See `ClientFineTunes.events`."""

    @paged(ClientFineTunes.checkpoints)
    def checkpoints(self) -> Any:
        """See `ClientFineTunes.checkpoints`."""

    @asked(ClientFineTunes.wait)
    def wait(self) -> Any:
        """See `ClientFineTunes.wait`."""


class Batches(Face):
    """The verbs of `llmmw.ClientBatches`."""

    what = "batches"

    @asked(ClientBatches.create)
    def create(self) -> Any:
        """See `ClientBatches.create`."""

    @asked(ClientBatches.submit)
    def submit(self) -> Any:
        """See `ClientBatches.submit`."""

    @asked(ClientBatches.get)
    def get(self) -> Any:
        """See `ClientBatches.get`."""

    @paged(ClientBatches.list)
    def list(self) -> Any:
        """See `ClientBatches.list`."""

    @asked(ClientBatches.update)
    def update(self) -> Any:
        """See `ClientBatches.update`."""

    @asked(ClientBatches.cancel)
    def cancel(self) -> Any:
        """See `ClientBatches.cancel`."""

    @asked(ClientBatches.delete)
    def delete(self) -> Any:
        """See `ClientBatches.delete`."""

    @asked(ClientBatches.wait)
    def wait(self) -> Any:
        """See `ClientBatches.wait`."""

    @asked(ClientBatches.results)
    def results(self) -> Any:
        """See `ClientBatches.results`."""
