"""One execution of a node of a dag: again after errors that may pass, and not again at all while
what it gave is young enough."""

from __future__ import annotations

import inspect
from collections import OrderedDict
from collections.abc import Callable, Mapping
from copy import deepcopy
from typing import Any
from weakref import WeakKeyDictionary

import attrs
import trio

from llmmw._plain import canonical_key
from llmmw.errors import BadRequest, LLMError, PluginError
from llmmw.flow._here import here
from llmmw.flow._node import Executable, Operation

__all__ = ["NodeClass", "carry_out"]

_MOST = 1024
_Kept = OrderedDict[str, tuple[float, Any, Any]]
_KEPT: WeakKeyDictionary[Any, _Kept] = WeakKeyDictionary()
"""When, by what and what nodes gave, by the client that ran them."""


@attrs.frozen(eq=False, kw_only=True)
class NodeClass(Operation):
    """What one node of a dag does: its class by name, and its options."""

    carrier: Callable[..., Any] | None = attrs.field(default=None, repr=False)
    """What carries it out; default: the builtin of that name."""
    cache_age: float | None = None
    cache_keys: tuple[str, ...] | None = None
    max_retries: int | None = None


async def carry_out(**arguments: Any) -> Any:
    """What a node of a dag gives."""
    execution = here()
    operation: NodeClass = execution.node.operation
    if not operation.cache_age:
        return await _tried(operation, arguments)
    names = operation.cache_keys or tuple(arguments)
    counted = {name: arguments.get(name) for name in names}
    key = canonical_key([operation.name, counted, list(execution.scope.sample)])
    client = execution.scope.registry.client or execution.scope.run.client
    kept = _KEPT.setdefault(client, OrderedDict())
    now, registry = trio.current_time(), execution.scope.registry
    by = operation.carrier, dict(registry.bindings), dict(registry.defaults)
    if key in kept and now - kept[key][0] < operation.cache_age and kept[key][1] == by:
        return deepcopy(kept[key][2])
    value = await _tried(operation, arguments)
    kept[key] = (trio.current_time(), by, deepcopy(value))  # whoever gets it may change it
    kept.move_to_end(key)
    if len(kept) > _MOST:
        kept.popitem(last=False)
    return value


async def _tried(operation: NodeClass, arguments: Mapping[str, Any]) -> Any:
    for left in range(operation.max_retries or 0, -1, -1):
        try:
            return await _called(operation, arguments)
        except LLMError as error:
            if not left or not error.retryable:
                raise
    raise AssertionError


async def _called(operation: NodeClass, arguments: Mapping[str, Any]) -> Any:
    value = (operation.carrier or _builtin(operation.name))(**arguments)
    while inspect.isawaitable(value) or isinstance(value, Executable):
        value = await value
    return value


def _builtin(name: str) -> Callable[..., Any]:
    try:
        found: Callable[..., Any] = here().scope.registry.builtin(name)
    except PluginError:
        raise BadRequest(
            f"nothing here carries out nodes of the class {name!r}: give a function of that name, "
            f"as from_dag(…, functions={{{name!r}: …}})"
        ) from None
    return found
