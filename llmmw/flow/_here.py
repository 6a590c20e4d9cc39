"""Where the code of a node runs: what `await e` and a builtin find out about their run."""

from __future__ import annotations

from contextvars import ContextVar
from typing import Any, Protocol

__all__ = ["Here", "here", "in_flow"]


class Here(Protocol):
    """The execution of a node, as the code within it needs it."""

    async def wait(self, node: Any) -> Any:
        """The result of another node, run now if it has not been."""


in_flow: ContextVar[Here | None] = ContextVar("llmmw_execution", default=None)


def here() -> Any:
    """The execution of the node that asks.

    Raises:
        RuntimeError: outside of a run.
    """
    found = in_flow.get()
    if found is None:
        raise RuntimeError("no flow runs here: run it with `await client.run(…)`")
    return found
