"""What is doubtful about the providers of a configuration and their keys."""

from __future__ import annotations

import os
import stat
from collections.abc import Mapping
from typing import Any

from llmmw._config._subject import Found, Subject
from llmmw._secret import Secret

__all__ = ["no_key", "provider_not_ready", "readable_key"]


def provider_not_ready(subject: Subject) -> Found:
    """A provider that is used can't be used here."""
    for one in subject.accounts:
        if one.state != "ready":
            yield f"the provider {one.name!r} is {one.state}: {one.reason}", []


def no_key(subject: Subject) -> Found:
    """The key of a provider is not where it should be."""
    for one in subject.accounts:
        for where in one.lacking:
            yield f"the key of the provider {one.name!r} is not there: {where}", []


def readable_key(subject: Subject) -> Found:
    """A key stands in a file that others than its owner can read."""
    path = subject.config.path
    held = [name for name, o in subject.config.options.items() if _has_secret(o)]
    if not held or path is None or os.name != "posix":
        return
    if path.stat().st_mode & (stat.S_IRGRP | stat.S_IROTH):
        yield (
            f"{path} has the key of {', '.join(held)}, and others can read it: chmod 600, "
            'or say "env:NAME" or "file:PATH"',
            [],
        )


def _has_secret(options: Mapping[str, Any]) -> bool:
    return any(isinstance(given, Secret) for given in options.values())
