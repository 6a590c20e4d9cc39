"""Fine-tunes: models that a host trains further on a file of examples."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import attrs

from llmmw._administration._source import Source
from llmmw._administration._verbs import Page, Verbs

__all__ = ["Checkpoint", "FineTuneEvent", "FineTuneInfo", "FineTunes"]


@attrs.frozen(kw_only=True)
class FineTuneInfo:
    """A fine-tune as its provider tells it."""

    id: str
    provider: str
    status: str
    """The provider's own word."""
    ended: bool
    """Nothing more will come of it. A word that nobody knows means that it goes on."""
    succeeded: bool = False
    model: str = ""
    """What it began from."""
    fine_tuned_model: str | None = None
    """What it has made, once it has."""
    training_file: str = ""
    validation_file: str = ""
    created: float | None = None
    """Seconds since 1970."""
    finished: float | None = None
    """Seconds since 1970."""
    hyperparameters: Mapping[str, Any] = attrs.field(factory=dict, hash=False)
    trained_tokens: int | None = None
    failure: str = ""
    """Why it failed, if it did."""
    raw: Mapping[str, Any] = attrs.field(factory=dict, eq=False, repr=False)


@attrs.frozen(kw_only=True)
class FineTuneEvent:
    """What a host says while it trains."""

    message: str
    level: str = ""
    at: float | None = None
    """Seconds since 1970."""
    id: str = ""
    raw: Mapping[str, Any] = attrs.field(factory=dict, eq=False, repr=False)


@attrs.frozen(kw_only=True)
class Checkpoint:
    """A model as it was on the way."""

    id: str
    model: str = ""
    """What stands after the colon of a target, where it can be asked."""
    step: int | None = None
    metrics: Mapping[str, float] = attrs.field(factory=dict, hash=False)
    created: float | None = None
    """Seconds since 1970."""
    raw: Mapping[str, Any] = attrs.field(factory=dict, eq=False, repr=False)


@attrs.frozen(kw_only=True)
class FineTunes(Verbs):
    """The verbs for fine-tunes. All may raise `LLMError`."""

    what: ClassVar[str] = "fine_tunes"
    purpose: ClassVar[str] = "fine-tune"
    """That of files to train on."""

    async def check(self, source: Source) -> None:
        """Look through a file to train on, before it is sent. Default: nothing is looked at.

        Raises:
            BadRequest: if the host would refuse it, with what is wrong where.
        """

    async def create(self, fields: Mapping[str, Any]) -> FineTuneInfo:
        """Begin one.

        Args:
            fields: `model` and `training_file`; maybe `validation_file`, `hyperparameters`,
                `suffix`, `metadata`; and what else the host knows, by its own names.
        """
        raise self.lacks("create")

    async def get(self, id: str) -> FineTuneInfo:
        """How far it is."""
        raise self.lacks("get")

    async def list(self, after: str | None = None) -> Page[FineTuneInfo]:
        """One page of the account's fine-tunes; `after` is from the page before."""
        raise self.lacks("list")

    async def cancel(self, id: str) -> FineTuneInfo:
        """Have it stopped."""
        raise self.lacks("cancel")

    async def delete(self, id: str) -> None:
        """Have what it has made deleted."""
        raise self.lacks("delete")

    async def events(self, id: str, after: str | None = None) -> Page[FineTuneEvent]:
        """One page of what the host has said, in any order."""
        raise self.lacks("events")

    async def checkpoints(self, id: str, after: str | None = None) -> Page[Checkpoint]:
        """One page of the models on the way."""
        raise self.lacks("checkpoints")
