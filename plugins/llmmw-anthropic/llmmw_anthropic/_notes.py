"""What stands beside the body of a request: warnings, and the betas that it needs."""

from __future__ import annotations

import attrs

from llmmw import Request
from llmmw.errors import UnsupportedFeature

__all__ = ["Notes"]


@attrs.define
class Notes:
    """Gathers them for one request."""

    request: Request
    host: str
    warnings: list[str] = attrs.field(factory=list)
    betas: dict[str, None] = attrs.field(factory=dict)

    def drop(self, what: str) -> None:
        """Go on without `what`, which the model can't honour, if the request allows it.

        Raises:
            UnsupportedFeature: if it does not.
        """
        if self.request.unsupported == "error":
            raise UnsupportedFeature(
                f"{self.request.model_name} can't honour {what}; leave it out, "
                'or pass unsupported="drop" to go on without it'
            )
        self.note(f"can't honour {what}: dropped")

    def note(self, what: str) -> None:
        """Say in the response what is done otherwise than asked."""
        warning = f"{self.host} {what}"
        if warning not in self.warnings:
            self.warnings.append(warning)
