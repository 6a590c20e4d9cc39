"""What a host can't honour: an error, or a warning where the request allows that."""

from __future__ import annotations

import attrs

from llmmw._request import Request
from llmmw.errors import UnsupportedFeature

__all__ = ["Losses"]


@attrs.define
class Losses:
    """Gathers the warnings of one request."""

    request: Request
    host: str
    warnings: list[str] = attrs.field(factory=list)

    def drop(self, what: str) -> None:
        """Go on without `what`, if the request allows it.

        Raises:
            UnsupportedFeature: if it does not.
        """
        if self.request.unsupported != "drop":
            raise UnsupportedFeature(
                f"{self.host} can't honour {what}; leave it out, "
                'or pass unsupported="drop" to go on without it'
            )
        self.note(f"can't honour {what}: dropped")

    def note(self, what: str) -> None:
        """Say in the response what the host does otherwise than asked."""
        warning = f"{self.host} {what}"
        if warning not in self.warnings:
            self.warnings.append(warning)
