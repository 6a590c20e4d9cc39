"""Gemini on Vertex AI: the same wire, with a project and a place in the address and a token."""

from __future__ import annotations

import os
from typing import ClassVar

import attrs

from llmmw.errors import ConfigError
from llmmw.plugin import Capabilities
from llmmw.wire import Key, KeyOption
from llmmw_google._models import Model, model_of
from llmmw_google._provider import GoogleWire
from llmmw_google._vectors import Way

__all__ = ["Vertex"]

_VERSION = "v1beta1"


@attrs.define(eq=False, kw_only=True)
class Vertex(GoogleWire):
    """Gemini on Google's Vertex AI, with a token.

    Args:
        name: the part of a target before its colon.
        token: the access token; `env:NAME` or `file:PATH`; or a function that gives it, asked
            again when the host refuses what it gave, as tokens live an hour. Default:
            `GOOGLE_OAUTH_ACCESS_TOKEN`, then `CLOUDSDK_AUTH_ACCESS_TOKEN`.
        project: who pays. Default: `GOOGLE_CLOUD_PROJECT`.
        location: where the model runs. Default: `GOOGLE_CLOUD_LOCATION`, else `global`.
        base_url: what replaces the address of the location. Default: `VERTEX_BASE_URL`, if set.
        headers: further headers of each request.
        http: an `httpx.AsyncClient` to use instead of one of its own, for a proxy or a
            certificate of yours; it stays open.
    """

    host: ClassVar[str] = "vertex"

    token: KeyOption = attrs.field(default=None, repr=False)
    project: str | None = None
    location: str | None = None

    def __attrs_post_init__(self) -> None:
        variables = ("GOOGLE_OAUTH_ACCESS_TOKEN", "CLOUDSDK_AUTH_ACCESS_TOKEN")
        key = Key(self.token, variables, option="token")
        self.token = key.source
        base_url = self.base_url or os.environ.get("VERTEX_BASE_URL")
        self.project = self.project or os.environ.get("GOOGLE_CLOUD_PROJECT")
        self.location = self.location or os.environ.get("GOOGLE_CLOUD_LOCATION") or "global"
        if not self.project:
            raise ConfigError(
                "there is no project for Vertex AI: set GOOGLE_CLOUD_PROJECT, or pass the option "
                "project"
            )
        address = base_url or f"https://{_host(self.location)}/{_VERSION}"
        base, mark, query = address.partition("?")
        place = f"projects/{self.project}/locations/{self.location}"
        self._connect(f"{base.rstrip('/')}/{place}{mark}{query}", key, "Authorization", "Bearer ")

    def capabilities(self, model: str) -> Capabilities:
        """What the table of models says, and log-probabilities."""
        return model_of(model).capabilities("logprobs")

    def _place(self, model: str) -> str:
        if model.startswith(("publishers/", "endpoints/")):
            return model
        return f"publishers/google/models/{model.rpartition('/')[2]}"

    def _way(self, model: Model) -> tuple[Way, int]:
        return ("predict", model.most_inputs) if model.predicts else ("embedContent", 1)


def _host(location: str) -> str:
    """The address of a place; of a continent it has another form."""
    if location == "global":
        return "aiplatform.googleapis.com"
    if location in {"eu", "us"}:
        return f"aiplatform.{location}.rep.googleapis.com"
    return f"{location}-aiplatform.googleapis.com"
