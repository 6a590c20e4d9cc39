"""What comes as JSON, whole or as an event: an object, or an error."""

from __future__ import annotations

from typing import Any

from llmmw.errors import ProtocolError
from llmmw.wire import Reply, loads

__all__ = ["object_in", "told_in"]


def told_in(reply: Reply, data: bytes) -> Any:
    """What a whole answer is.

    Raises:
        LLMError: if it is an error after all, or no JSON.
    """
    told = loads(data)
    error = reply.error_in(told)
    if error is not None:
        raise error
    return told


def object_in(reply: Reply, data: bytes) -> dict[str, Any]:
    """The object that a whole answer is.

    Raises:
        LLMError: if it is an error after all, or no object.
    """
    told = told_in(reply, data)
    if not isinstance(told, dict):
        raise ProtocolError(f"the host sent a {type(told).__name__} where an object belongs")
    return told
