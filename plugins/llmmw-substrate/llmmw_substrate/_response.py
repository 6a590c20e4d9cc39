"""What the host answers to a graph, with typed results."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar, cast, overload

import attrs

from llmmw.flow import Executable
from llmmw.flow.dag import ComposeResponse, NodeFailed, to_dag
from llmmw_substrate._outs import Out, read
from llmmw_substrate.nodes import KINDS

__all__ = ["GraphResponse", "id_of", "kinds_of"]

O = TypeVar("O", bound=Out)  # noqa: E741 (what comes out)


def kinds_of(dag: Mapping[str, Any]) -> dict[str, str]:
    """The kind of each node of a graph, by its id."""
    return {row["id"]: row["node"] for row in dag["nodes"]}


def id_of(node: object) -> str:
    """The id of a node on the wire; of a future, that of the node it is of."""
    if isinstance(node, str):
        return node
    if isinstance(node, Executable) and node.operation.kind == "dag":
        return node.label or f"{node.name}{node.number}"
    return cast("str", to_dag(node)["nodes"][-1]["id"])


@attrs.frozen
class GraphResponse(ComposeResponse):
    """The results of a graph."""

    kinds: Mapping[str, str] = attrs.field(factory=dict, repr=False)
    """The kind of each node that was sent, by its id."""

    @overload
    def get(self, node: Executable[O]) -> O: ...
    @overload
    def get(self, node: object) -> Any: ...

    def get(self, node: Any) -> Any:
        """The result of a node, of the type that its kind gives; or what a future stands for.

        Args:
            node: what was run, a future on it, or its id.

        Raises:
            NodeFailed: if the node failed; `code` is the word that the host has for it.
            ProtocolError: if the result is none of that kind.
            BadRequest: if the answer has no result of it.
        """
        value = super().get(node)
        is_whole = isinstance(node, str) or (
            isinstance(node, Executable) and node.operation.kind == "dag"
        )
        if not is_whole:
            return value
        key = id_of(node)
        kind = KINDS.get(self.kinds.get(key, ""))
        return value if kind is None else read(kind.out, value, f"the result of {key!r}")

    def get_error(self, node: Any) -> NodeFailed | None:
        """The error of a node, or `None`; of whatever type, known or not."""
        error = super().get_error(node)
        if error is not None:
            return error
        key = id_of(node)
        data = self.json.get("data")
        told = data.get(key) if isinstance(data, dict) else None
        if not isinstance(told, dict) or not isinstance(told.get("message"), str):
            return None
        code, status = told.get("type"), told.get("status_code")
        if not isinstance(code, str) or not code.endswith("_error"):
            return None
        return NodeFailed(
            f"the node {key!r} failed: {told['message']}",
            node=key,
            code=code,
            status=status if type(status) is int else None,
            request_id=told.get("request_id") or self.request_id,
        )
