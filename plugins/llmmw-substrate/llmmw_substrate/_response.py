"""What the host answers to a graph, with typed results."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar, overload

import attrs

from llmmw.flow import Executable
from llmmw.flow.dag import ComposeResponse, node_id
from llmmw_substrate._outs import Out, read
from llmmw_substrate.nodes import KINDS

__all__ = ["GraphResponse", "kinds_of", "typed"]

O = TypeVar("O", bound=Out)  # noqa: E741 (what comes out)


def kinds_of(dag: Mapping[str, Any]) -> dict[str, str]:
    """The kind of each node of a graph, by its id."""
    return {row["id"]: row["node"] for row in dag["nodes"]}


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
        key = node_id(node)
        kind = KINDS.get(self.kinds.get(key, ""))
        return value if kind is None else read(kind.out, value, f"the result of {key!r}")


def typed(told: ComposeResponse, kinds: Mapping[str, str]) -> GraphResponse:
    """An answer whose results have the types of their kinds."""
    return GraphResponse(told.json, told.status, told.request_id, told.headers, kinds)
