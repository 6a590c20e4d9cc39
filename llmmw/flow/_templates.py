"""Where templates live: what they share, where they find others, and how much they may do."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

import attrs

from llmmw.errors import BadRequest, ConfigError

if TYPE_CHECKING:
    from llmmw.flow._jinja import Sandbox

__all__ = ["PLAIN", "Environment", "Loader"]

Loader: TypeAlias = "Mapping[str, str] | Callable[[str], str | None] | str | Path"
"""Templates by their name; a function that gives one or `None`; or a folder of them."""


def _copied(given: Mapping[str, Any]) -> dict[str, Any]:
    return dict(given)


@attrs.frozen(eq=False, kw_only=True)
class Environment:
    """What the templates of a program share, and the limits that each keeps.

    Templates run in a sandbox: they reach nothing private, change nothing, and a variable that is
    missing is an error. The limits raise `BadRequest`; they stop what runs away, and what would
    fill the memory by one operation. They are no wall around a program that is wholly foreign.
    """

    globals: Mapping[str, Any] = attrs.field(factory=dict, converter=_copied)
    """Values and functions for all templates. Functions may be async, or give Executables."""
    callbacks: Mapping[str, Callable[..., Any]] = attrs.field(factory=dict, converter=_copied)
    """Functions for the templates of compositions. Their `ValueError`s are told in the text."""
    loader: Loader | None = None
    """Where `include`, `import` and `extends` find others; without one they are errors."""
    max_template: int = 1_000_000
    """Characters of a template."""
    max_output: int = 10_000_000
    """Characters of what it gives, and of any text that it makes on the way."""
    max_steps: int = 1_000_000
    """Rounds of its loops and calls of its macros and blocks, in all."""
    max_includes: int = 32
    """How deep templates include each other."""
    _sandbox: list[Sandbox] = attrs.field(factory=list, init=False, repr=False)

    def __attrs_post_init__(self) -> None:
        for name in ("max_template", "max_output", "max_steps", "max_includes"):
            if type(getattr(self, name)) is not int or getattr(self, name) < 1:
                raise BadRequest(f"{name}={getattr(self, name)!r}: expected a whole number from 1")

    @property
    def sandbox(self) -> Sandbox:
        """The Jinja environment that does it.

        Raises:
            ConfigError: if Jinja is not installed.
        """
        if not self._sandbox:
            try:
                from llmmw.flow._jinja import Sandbox
            except ImportError as error:
                if error.name is None or not error.name.startswith(("jinja2", "markupsafe")):
                    raise
                raise ConfigError("templates need Jinja: pip install llmmw[templates]") from error
            self._sandbox.append(Sandbox(self))
        return self._sandbox[0]

    async def render(self, template: str, variables: Mapping[str, Any]) -> str:
        """What a template of no calls gives.

        Raises:
            BadRequest: if it is wrong, a variable is missing, or a limit is reached.
        """
        pieces: list[str] = []
        await self.sandbox.render(self.sandbox.read(template), variables, pieces.append)
        return "".join(pieces)


PLAIN = Environment()
"""What templates are in that share nothing."""
