"""What an endpoint answers to a graph: the results of its nodes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeGuard

import attrs

from llmmw.errors import BadRequest, LLMError
from llmmw.flow._node import Executable, Future
from llmmw.flow.dag._nodes import Output
from llmmw.flow.dag._write import way_to

__all__ = ["ComposeResponse", "NodeFailed", "is_failure"]


def is_failure(told: object) -> TypeGuard[dict[str, Any]]:
    """Whether what stands in the place of a result is an error; its type may be a new one."""
    if not isinstance(told, dict) or not isinstance(told.get("message"), str):
        return False
    kind = told.get("type")
    return isinstance(kind, str) and kind.endswith("_error")


class NodeFailed(LLMError):
    """A node of a graph failed at an endpoint. `code` is the kind that the endpoint told:
    `api_error`, `invalid_request_error`, or `dependency_error` if what it needs failed."""

    def __init__(self, message: str, *, node: str, **facts: Any) -> None:
        super().__init__(message, **facts)
        self.node = node
        """The id of the node."""


@attrs.frozen
class ComposeResponse:
    """The results of a graph."""

    json: dict[str, Any]
    """What the endpoint answered."""
    status: int = 200
    """The HTTP status."""
    request_id: str | None = None
    """The endpoint's id of the request, for its support."""
    headers: Mapping[str, str] = attrs.field(factory=dict, repr=False)
    """Of the answer, without cookies."""

    def get(self, node: Executable[Any] | Future | str) -> Any:
        """The result of a node, or what a future on it stands for.

        Args:
            node: what was run, or its id.

        Raises:
            NodeFailed: if the node failed.
            BadRequest: if the answer has no result of it.
        """
        key, path = way_to(node)
        error = self.get_error(key)
        if error is not None:
            raise error
        data = self._data()
        if key not in data:
            known = ", ".join(map(repr, data)) or "none"
            raise BadRequest(f"the answer has no result of the node {key!r}; it has {known}")
        value = data[key]
        for _, step in path:
            name = self.get(step) if isinstance(step, Executable) else step
            try:
                value = value[name]
            except (LookupError, TypeError) as failure:
                raise BadRequest(f"the result of {key!r} has no {name!r}") from failure
        return Output(value) if type(value) is dict else value

    def get_error(self, node: Executable[Any] | Future | str) -> NodeFailed | None:
        """The error of a node, or `None`."""
        key, _ = way_to(node)
        told = self._data().get(key)
        if not is_failure(told):
            return None
        status, request = told.get("status_code"), told.get("request_id")
        return NodeFailed(
            f"the node {key!r} failed: {told['message']}",
            node=key,
            code=told["type"],
            status=status if type(status) is int else None,
            request_id=request if request and isinstance(request, str) else self.request_id,
        )

    def _data(self) -> dict[str, Any]:
        data = self.json.get("data")
        return data if isinstance(data, dict) else {}
