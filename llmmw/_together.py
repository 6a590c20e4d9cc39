"""Several requests in one, for the hosts that take them so, and their answers."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import attrs

from llmmw._plain import value
from llmmw._request import Generate, Request
from llmmw._response import Response
from llmmw.errors import BadRequest, LLMError

__all__ = ["Answers", "Together"]


@value
@attrs.frozen(kw_only=True)
class Together(Request):
    """Ask several prompts at once. `Batch` makes it, for targets whose capabilities say
    `most_prompts`; the answer is `Answers`."""

    requests: tuple[Generate, ...] = attrs.field(converter=tuple)
    """Each has a prompt, in which alone they differ."""

    def __attrs_post_init__(self) -> None:
        if not self.requests or any(request.prompt is None for request in self.requests):
            raise BadRequest("only requests with a prompt can be asked together")

    def replace(self, **changes: Any) -> Together:
        """The same requests with other fields; another model is one for each."""
        if "model" in changes and "requests" not in changes:
            model = changes["model"]
            changes["requests"] = [request.replace(model=model) for request in self.requests]
        return super().replace(**changes)


def _several(answers: Iterable[Response | LLMError]) -> tuple[Response | LLMError, ...]:
    return tuple(answers)


@attrs.frozen(kw_only=True)
class Answers(Response):
    """What came back for a `Together`. Its usage is that of all."""

    answers: tuple[Response | LLMError, ...] = attrs.field(converter=_several)
    """One for each request, in their order: its answer, or why it has none."""
