"""OpenAI's wire, and the hosts that speak it: one provider, a row of data for each host.

This module is light: it names the hosts, and what a row of your own is made of. The provider is
imported when a call needs it.
"""

from __future__ import annotations

from llmmw.plugin import Spec, hookimpl
from llmmw_openai._models import Model
from llmmw_openai._prefill import Prefill
from llmmw_openai._preset import Preset
from llmmw_openai._presets import PRESETS

__all__ = ["PRESETS", "Model", "Prefill", "Preset", "llmmw_providers"]


@hookimpl
def llmmw_providers() -> list[Spec]:
    """A provider for each preset. Only `openai` itself gives way to no other distribution."""
    return [
        Spec(
            name,
            "llmmw_openai._provider:OpenAI",
            f"{preset.title}: {preset.base_url}",
            preset=name != "openai",
            options={"preset": name},
        )
        for name, preset in PRESETS.items()
    ]
