"""What the provider can do besides answering calls."""

from __future__ import annotations

from llmmw.wire import Http
from llmmw_openai._address import Address
from llmmw_openai._batches import OpenAIBatches
from llmmw_openai._files import OpenAIFiles
from llmmw_openai._fine_tunes import OpenAIFineTunes
from llmmw_openai._model_verbs import OpenAIModels
from llmmw_openai._preset import Preset

__all__ = ["Administered"]

_TRAINERS = {"openai", "azure"}
"""The hosts that have OpenAI's fine-tuning jobs."""


class Administered:
    """The verbs of a host: those for models always, but at Azure's addresses with dates."""

    __slots__ = ()

    name: str
    preset: Preset
    _address: Address
    _http: Http

    @property
    def models(self) -> OpenAIModels | None:
        """The verbs for models."""
        return None if self._address.deployments else OpenAIModels(name=self.name, http=self._http)

    @property
    def batches(self) -> OpenAIBatches | None:
        """The verbs for batches, at hosts that have them."""
        limits = self.preset.batches
        if limits is None or self._address.deployments:
            return None
        return OpenAIBatches(name=self.name, http=self._http, limits=limits)

    @property
    def files(self) -> OpenAIFiles | None:
        """The verbs for files, where there are those for batches."""
        return None if self.batches is None else OpenAIFiles(name=self.name, http=self._http)

    @property
    def fine_tunes(self) -> OpenAIFineTunes | None:
        """The verbs for fine-tuning jobs, at hosts that have OpenAI's API for them."""
        if self.preset.host not in _TRAINERS or self._address.deployments:
            return None
        return OpenAIFineTunes(name=self.name, http=self._http)
