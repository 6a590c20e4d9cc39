"""What a client can do besides asking: the verbs of its providers."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any

from llmmw._router import Router
from llmmw._verbs._batches import ClientBatches as ClientBatches
from llmmw._verbs._files import ClientFiles as ClientFiles
from llmmw._verbs._fine_tunes import ClientFineTunes as ClientFineTunes
from llmmw._verbs._models import ClientModels as ClientModels

__all__ = [
    "Administered",
    "ClientBatches",
    "ClientFiles",
    "ClientFineTunes",
    "ClientModels",
]


class Administered(ABC):
    """What a client has for it."""

    targets: tuple[str, ...]

    @abstractmethod
    def _open(self) -> tuple[Router, Any]:
        """The router, while the client is open."""

    @property
    def models(self) -> ClientModels:
        """The models at its providers."""
        return ClientModels(self._open()[0], self.targets)

    @property
    def files(self) -> ClientFiles:
        """The files at its providers."""
        return ClientFiles(self._open()[0], self.targets)

    @property
    def fine_tunes(self) -> ClientFineTunes:
        """The fine-tunes at its providers."""
        return ClientFineTunes(self._open()[0], self.targets)

    @property
    def batches(self) -> ClientBatches:
        """The batches at its providers."""
        return ClientBatches(self._open()[0], self.targets)
