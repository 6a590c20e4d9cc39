"""What a client has for many requests at once."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Literal

from llmmw._arguments import aimed
from llmmw._call import Call
from llmmw._journal import Journal, live
from llmmw._map import Items, Progress, Requests
from llmmw._request import Request
from llmmw._response import Response

__all__ = ["Mapped"]


class Mapped(ABC):
    """What a client has for it."""

    targets: tuple[str, ...]

    @abstractmethod
    def _call(self, request: Request) -> Call:
        """A call of a request."""

    @abstractmethod
    async def _answer(self, call: Call, timeout: float | None, kind: type[Any]) -> Any:
        """What the stack answers."""

    @asynccontextmanager
    async def map(
        self,
        requests: Requests,
        *,
        concurrency: int = 64,
        ordered: bool = True,
        errors: Literal["raise", "yield"] = "raise",
        journal: str | Path | Journal | None = None,
        progress: Callable[[Progress], None] | None = None,
        model: str | None = None,
        timeout: float | None = None,
        **parameters: Any,
    ) -> AsyncIterator[Items]:
        """Answer many requests.

        ::

            async with client.map(prompts) as items:
                async for item in items: ...

        Args:
            requests: an iterable or async iterable of requests, rows
                `{"id"?, "prompt" | "messages", …parameters}`, or prompts. It is read no faster
                than answers are taken.
            concurrency: how many calls are alive at once, at most.
            ordered: items come in the order of the input; otherwise as they are completed.
            errors: `raise` ends all at the first error; `yield` gives it in its item.
            journal: a file, or a `Journal`, that keeps what came of each row. Whatever ends the
                program, the same map with the same journal gives all items again and asks only
                for those that it does not have.
            progress: called after each answer with how far it is.
            model: the target where a row names none; default: the client's first.
            timeout: seconds for each call.
            parameters: for every row that does not say otherwise.

        Raises:
            ConfigError: if another program has the journal, or it belongs to another input.
            llmmw.plugin.StoreError: if it can't be written.
        """

        def begin(request: Request) -> Call:
            return self._call(aimed(request, None if request.model else model, self.targets))

        async def answer(call: Call) -> Response:
            response: Response = await self._answer(call, timeout, Response)
            return response

        items = Items(
            requests,
            begin,
            answer,
            defaults=parameters,
            concurrency=concurrency,
            ordered=ordered,
            errors=errors,
            progress=progress,
            journal=live(journal),
        )
        async with items._opened():  # noqa: SLF001 (they turn push into pull together)
            yield items
