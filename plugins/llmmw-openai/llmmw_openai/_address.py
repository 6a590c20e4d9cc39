"""Where a host is, and the paths of its APIs."""

from __future__ import annotations

import os
import re
from urllib.parse import quote

import attrs

from llmmw.errors import ConfigError
from llmmw_openai._preset import Preset

__all__ = ["Address", "address_of"]


@attrs.frozen
class Address:
    """A host, as it was configured."""

    base_url: str
    deployments: bool = False
    """Whether the path of some APIs names the deployment, as Azure's dated versions have it."""

    def path(self, api: str, model: str) -> str:
        """The path of an API, for a model."""
        if self.deployments and api != "/responses":
            return f"/deployments/{quote(model, safe='')}{api}"
        return api


def address_of(preset: Preset, base_url: str | None, api_version: str | None) -> Address:
    """The address of a host: the option, else of its variables, else of its row.

    Args:
        preset: the host.
        base_url: the option.
        api_version: the option; only hosts with deployments have one. A date is one of Azure's
            classic versions, whose paths name the deployment; another word, or none, is of v1.

    Raises:
        ConfigError: if a variable is missing, or the host has no versions.
    """
    if api_version is not None and not preset.deployments:
        raise ConfigError(f"api_version={api_version!r}: {preset.name} has no versions")
    if preset.deployments and api_version is None:
        api_version = os.environ.get("OPENAI_API_VERSION") or None
    url = base_url or _told(preset)
    classic = re.match(r"\d{4}-", api_version or "") is not None
    if classic and not base_url:
        url = url.removesuffix("/v1")
    if api_version and "api-version=" not in url:
        url += ("&" if "?" in url else "?") + f"api-version={api_version}"
    return Address(url, classic)


def _told(preset: Preset) -> str:
    """The address of a host by its variables, else by its row."""
    stem = re.sub(r"\W", "_", preset.host).upper()
    replaced = os.environ.get(f"{stem}_BASE_URL")
    if replaced:
        return replaced

    def value(found: re.Match[str]) -> str:
        name = found.group(1)
        if not os.environ.get(name):
            other = f"{stem}_BASE_URL"
            ways = "" if name == other else f" or {other},"
            raise ConfigError(
                f"the address of {preset.name} needs the variable {name}; "
                f"set it,{ways} or pass the option base_url"
            )
        # The portal shows the address of the resource with the path of the API, too.
        return re.sub(r"/openai(/v1)?$", "", os.environ[name].rstrip("/"))

    return re.sub(r"\{(\w+)\}", value, preset.base_url)
