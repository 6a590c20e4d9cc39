"""A text that must not be seen: API keys and the like, from the option to the wire."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NoReturn

__all__ = ["Secret", "guarded"]


class Secret:
    """Holds a secret text. Nothing but `reveal()` shows it: no repr, no format, no pickle."""

    __slots__ = ("_text",)

    def __init__(self, text: str) -> None:
        self._text = text

    def reveal(self) -> str:
        """The text itself. Keep it in no variable that a traceback may show."""
        return self._text

    def __repr__(self) -> str:
        return "Secret(…)"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Secret) and self._text == other._text

    def __hash__(self) -> int:
        return hash(self._text)

    def __reduce__(self) -> NoReturn:
        raise TypeError("a Secret is neither copied to another process nor stored")


_ENDINGS = ("key", "token", "secret", "password", "authorization")


def guarded(options: Mapping[str, Any]) -> dict[str, Any]:
    """The options with each text that by its name is a secret put into a `Secret`, in tables
    inside them too, as `headers` is one.

    `env:NAME` and `file:PATH` only say where a secret is, so they stay readable.
    """
    return {name: _guarded(name, given) for name, given in options.items()}


_DEEPEST = 32


def _guarded(name: object, given: Any, depth: int = 0) -> Any:
    named = isinstance(name, str) and name.lower().endswith(_ENDINGS)
    if depth > _DEEPEST:
        return given
    if isinstance(given, Mapping):
        return {k: _guarded(name if named else k, one, depth + 1) for k, one in given.items()}
    if isinstance(given, list):
        return [_guarded(name, one, depth + 1) for one in given]
    if named and isinstance(given, str) and not given.startswith(("env:", "file:")):
        return Secret(given)
    return given
