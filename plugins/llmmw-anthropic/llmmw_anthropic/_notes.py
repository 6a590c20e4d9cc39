"""What stands beside the body of a request: warnings, and the betas that it needs."""

from __future__ import annotations

import attrs

from llmmw.wire import Losses

__all__ = ["Notes"]


@attrs.define
class Notes(Losses):
    """Gathers them for one request."""

    betas: dict[str, None] = attrs.field(factory=dict)
