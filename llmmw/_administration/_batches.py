"""Batches: many questions together, answered within a day for a part of the price."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping
from decimal import Decimal
from typing import Any, ClassVar

import attrs

from llmmw._administration._verbs import Page, Verbs
from llmmw._call import Call
from llmmw._chain import Handler
from llmmw._response import Response
from llmmw.errors import LLMError

__all__ = [
    "BatchInfo",
    "BatchItem",
    "BatchLimits",
    "Batches",
    "Line",
    "Outcome",
    "Refusal",
]


@attrs.frozen(kw_only=True)
class BatchLimits:
    """What one batch may be.

    Args:
        lines: how many questions it may hold.
        bytes: how long they may be together, as they are sent.
        price: the part of the live price that it costs; `None` is unknown.
    """

    lines: int
    bytes: int
    price: Decimal | None = None

    def priced(self, response: Response) -> Response:
        """The response of a batch with what it has cost there, where it has the live price."""
        usage = response.usage
        if usage is None or usage.cost is None:
            return response
        cost = None if self.price is None else usage.cost * self.price
        return response.replace(usage=attrs.evolve(usage, cost=cost))


@attrs.frozen
class Line:
    """A question as the provider's wire has it. Those of one batch have the same `group`."""

    path: str
    body: Mapping[str, Any]
    group: str = ""


@attrs.frozen
class Refusal:
    """Why a whole batch was refused; with `line`, counted from 1, the one at fault."""

    message: str
    code: str | None = None
    line: int | None = None


@attrs.frozen(kw_only=True)
class BatchInfo:
    """A batch as its provider tells it."""

    id: str
    provider: str
    status: str
    """The provider's own word."""
    ended: bool
    """Nothing more will be answered. A word that nobody knows means that it goes on."""
    total: int | None = None
    completed: int | None = None
    failed: int | None = None
    created: float | None = None
    """Seconds since 1970."""
    expires: float | None = None
    metadata: Mapping[str, str] | None = attrs.field(default=None, hash=False)
    """Its labels; `None` where the provider keeps none."""
    refusals: tuple[Refusal, ...] = ()
    raw: Mapping[str, Any] = attrs.field(factory=dict, eq=False, repr=False)

    @property
    def cancelled(self) -> bool:
        """Whether somebody has cancelled it."""
        return self.status.lower().startswith("cancel") or bool(self.raw.get("cancel_initiated_at"))


@attrs.frozen(kw_only=True)
class Outcome:
    """What came of one question: what the host would have answered to a live call, or nothing,
    since the batch `expired` or was `cancelled` before."""

    id: str
    """That of the question."""
    ending: str = "answered"
    status: int = 200
    body: bytes = attrs.field(default=b"", repr=False)
    request_id: str | None = None


@attrs.frozen(kw_only=True)
class BatchItem:
    """What came of one question of a batch: its id, and its response or its error."""

    id: str
    response: Response | None = None
    error: LLMError | None = None


@attrs.frozen(kw_only=True)
class Batches(Verbs):
    """The verbs for batches. All may raise `LLMError`.

    Args:
        limits: what one batch may be.
    """

    what: ClassVar[str] = "batches"
    limits: BatchLimits

    async def write(self, ask: Handler, call: Call) -> Line:
        """A call as a line, written by the provider's own code; nothing is sent.

        Raises:
            UnsupportedFeature: if it takes more than one request.
        """
        raise self.lacks("create")

    async def read(self, ask: Handler, call: Call, outcome: Outcome) -> Response:
        """What came for a call, read by the provider's own code, and told to its listener."""
        raise self.lacks("results")

    async def create(
        self, lines: Mapping[str, Line], metadata: Mapping[str, str] | None = None
    ) -> BatchInfo:
        """Send a batch of questions, by their ids; all lines have the same group."""
        raise self.lacks("create")

    async def submit(self, file: str, fields: Mapping[str, Any]) -> BatchInfo:
        """Begin a batch whose questions are a file already.

        Args:
            file: where the host finds it: an id of its own, or an address.
            fields: the host's own.
        """
        raise self.lacks("submit")

    async def get(self, id: str) -> BatchInfo:
        """How far a batch is."""
        raise self.lacks("get")

    async def list(self, after: str | None = None) -> Page[BatchInfo]:
        """One page of the account's batches, the newest first; `after` is from the page before."""
        raise self.lacks("list")

    async def update(self, id: str, fields: Mapping[str, Any]) -> BatchInfo:
        """Change a batch that goes on."""
        raise self.lacks("update")

    async def cancel(self, id: str) -> BatchInfo:
        """Let a batch end. What it has answered by then is billed, and can be read."""
        raise self.lacks("cancel")

    async def delete(self, id: str) -> None:
        """Have a batch that has ended, and what came of it, deleted."""
        raise self.lacks("delete")

    def results(self, batch: BatchInfo) -> AsyncGenerator[Outcome, None]:
        """What came, in any order, one by one."""
        raise self.lacks("results")
