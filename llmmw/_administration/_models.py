"""Models: what a host serves, or can be made to serve."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AbstractAsyncContextManager
from typing import Any, ClassVar

import attrs

from llmmw._administration._source import Pieces
from llmmw._administration._verbs import Hear, Page, Verbs

__all__ = ["ModelInfo", "Models"]


@attrs.frozen(kw_only=True)
class ModelInfo:
    """A model as its provider tells it."""

    id: str
    """What stands after the colon of a target."""
    provider: str
    name: str = ""
    """What people call it, where that is told."""
    owner: str = ""
    created: float | None = None
    """Seconds since 1970."""
    bytes: int | None = None
    """Its size on the host."""
    input_limit: int | None = None
    """Tokens that a prompt may have."""
    output_limit: int | None = None
    """Tokens that an answer may have."""
    status: str = ""
    """The provider's own word, where models come and go."""
    ready: bool | None = None
    """Whether it answers now; `None` is unknown."""
    failed: bool = False
    """It will not be ready, whatever one waits."""
    raw: Mapping[str, Any] = attrs.field(factory=dict, eq=False, repr=False)


@attrs.frozen(kw_only=True)
class Models(Verbs):
    """The verbs for models. All may raise `LLMError`."""

    what: ClassVar[str] = "models"

    async def list(self, after: str | None = None) -> Page[ModelInfo]:
        """One page of the models that the account may ask; `after` is from the page before."""
        raise self.lacks("list")

    async def get(self, id: str) -> ModelInfo:
        """What is known of a model."""
        raise self.lacks("get")

    async def create(self, id: str, fields: Mapping[str, Any]) -> ModelInfo:
        """Have the host serve a model; `fields` are the host's own."""
        raise self.lacks("create")

    async def update(self, id: str, fields: Mapping[str, Any]) -> ModelInfo:
        """Change how the host serves a model."""
        raise self.lacks("update")

    async def delete(self, id: str) -> None:
        """Have a model deleted."""
        raise self.lacks("delete")

    async def pull(self, id: str, hear: Hear) -> ModelInfo:
        """Have the host fetch a model from its registry, and wait until it has it."""
        raise self.lacks("pull")

    async def links(self, id: str, fields: Mapping[str, Any]) -> Mapping[str, str]:
        """From where each file of a model can be fetched, by its name."""
        raise self.lacks("links")

    def fetch(self, link: str) -> AbstractAsyncContextManager[Pieces]:
        """What one of these links leads to, fetched without the account's key."""
        raise self.lacks("download")
