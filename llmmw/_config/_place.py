"""Where something stands in a configuration, for messages: a file and the path of a key."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping
from typing import Any

import attrs

from llmmw._config._toml import key_text, text
from llmmw._secret import Secret, guarded
from llmmw.errors import ConfigError

__all__ = ["Place"]

_LONGEST = 60


@attrs.frozen
class Place:
    """A key of a file. `place / "total"` is a key in its table, `place / 1` an item of its list.

    Args:
        file: as the user named it; empty for what comes from a program.
        key: the last step of the path.
    """

    file: str = ""
    path: str = ""
    key: str = ""

    def __truediv__(self, step: str | int) -> Place:
        if isinstance(step, int):
            return attrs.evolve(self, path=f"{self.path}[{step}]")
        dot = "." if self.path else ""
        return attrs.evolve(self, path=f"{self.path}{dot}{key_text(step)}", key=step)

    def error(self, message: str) -> ConfigError:
        """What is wrong here."""
        return ConfigError(": ".join(filter(None, [self.file, self.path, message])))

    def wrong(self, given: Any, expected: str) -> ConfigError:
        """A value that can't be here; one that may be a secret is not shown."""
        secret = isinstance(guarded({self.key: "?"})[self.key], Secret)
        # Among a provider's options a key may stand under any name.
        secret |= self.path.startswith("providers") and not isinstance(given, (int, float))
        shown = "…" if secret else _shown(given)
        if len(shown) > _LONGEST:
            shown = shown[: _LONGEST - 1] + "…"
        begin = f"{self.file}: " if self.file else ""
        return ConfigError(f"{begin}{self.path} = {shown}: expected {expected}")

    def unknown(self, known: Iterable[str]) -> ConfigError:
        """A key that nothing reads."""
        begin = f"{self.file}: " if self.file else ""
        path = self.path if len(self.path) <= _LONGEST * 4 else f"{self.path[: _LONGEST * 4]}…"
        return ConfigError(f"{begin}unknown key {path!r}; {meant(self.key, list(known))}")


def _shown(given: Any) -> str:
    """A value for a message. A table may have secrets under any name, and is not shown."""
    if isinstance(given, (Mapping, Secret)):
        return "{ … }" if isinstance(given, Mapping) else "…"
    if isinstance(given, list):
        return f"[{', '.join(map(_shown, given))}]"
    return text(given)


def meant(given: str, known: list[str]) -> str:
    """What was probably meant, else what there is."""
    near = difflib.get_close_matches(given, known, 1)
    if near:
        return f"did you mean {near[0]!r}?"
    return f"known are {', '.join(known)}" if known else "there are no options"
