"""The targets that a policy is given, checked."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import attrs

from llmmw._history import FallbackTarget
from llmmw._request import CountTokens, Detokenize, Embed, Generate, Score, Tokenize
from llmmw.errors import ConfigError

__all__ = ["checked"]

_FIELDS = {
    field.name
    for kind in (CountTokens, Detokenize, Embed, Generate, Score, Tokenize)
    for field in attrs.fields(kind)
    if field.init
}


def checked(owner: str, given: Any) -> tuple[FallbackTarget, ...]:
    """One target or several, as `owner` was given them.

    Raises:
        ConfigError: for what is no target, and for fields that no request has.
    """
    single = isinstance(given, (str, Mapping)) or callable(given)
    targets = (given,) if single else tuple(given)
    for target in targets:
        model = target.get("model", "") if isinstance(target, Mapping) else target
        if isinstance(model, str) and not all(model.partition(":")):
            raise ConfigError(f'{owner}({target!r}): expected a model as "provider:model"')
        wrong = set(target) - _FIELDS if isinstance(target, Mapping) else set()
        if wrong:
            raise ConfigError(f"{owner}({target!r}): a request has no field {min(wrong)!r}")
    return targets
