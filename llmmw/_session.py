"""The client that programs hold: it asks models, and it runs flows of such calls."""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from typing import Any, Literal, TypeAlias, overload

from llmmw._call import OnInterrupt
from llmmw._client import ClientCore
from llmmw._stream import Stream
from llmmw.flow._events import FlowEvent
from llmmw.flow._node import Executable, Future
from llmmw.flow._passes import DEFAULT_PASSES, Passes
from llmmw.flow._registry import Registry
from llmmw.flow._run import FlowRun, holds_executables
from llmmw.flow._scope import Observer
from llmmw.flow._stream import FlowStream, streaming

__all__ = ["Client", "FlowLike"]

FlowLike: TypeAlias = (
    Executable[Any] | Future | Sequence[Executable[Any]] | Mapping[str, Executable[Any]]
)
"""An Executable, or containers of them; deeper ones are taken, too."""


class Client(ClientCore):
    """Asks models. An async context manager; whatever it started ends when the block does.

    Args:
        targets: where to go, `"provider:model"`. The first is asked when a call names none; the
            others are its fallbacks in the default stack.
        stack: middleware, outermost first, instead of `default_stack(*targets)`.
        providers: ready providers, used before installed ones of the same name.
        options: of installed providers by their name, `{"local": {"slots": 2}}`; a name of your
            own with `use` is another account, `{"second": {"use": "openai", …}}`.
        plugins: the registry to look up providers in; default: what is installed.
        instruments: called with every event of every call.
        prices: before the built-in ones, by target, or a file of them; see `llmmw.Prices`.
        capabilities: `{"openai:my-*": {"can": ["tools"], "cannot": ["n"]}}`, or a file of them.
    """

    async def run(
        self,
        flow: Any,
        *,
        timeout: float | None = None,
        concurrency: int = 256,
        errors: Literal["raise", "keep"] = "raise",
        passes: Passes = DEFAULT_PASSES,
        registry: Registry | None = None,
        observer: Observer | None = None,
        on_event: Callable[[FlowEvent], Awaitable[None] | None] | None = None,
        depth: int | None = 1,
    ) -> Any:
        """Run a flow.

        Args:
            flow: an Executable, or any containers of them: the result has the same shape.
            timeout: seconds for all.
            concurrency: how many nodes of one level, and how many calls to models in all, are in
                flight at most.
            errors: `raise` ends all at the first error; `keep` lets the others go on and puts
                errors into the places of what failed.
            passes: rewrite the graph before it runs: functions, or names of those that are
                installed. By default, equal calls of pure functions are made once.
            registry: what builtins do; default: the registry in force.
            observer: a plain function that hears at once what happens, calls among it, and must
                not raise.
            on_event: hears what a `stream` tells, in this task; may be async. Nothing waits for
                it; what it raises ends the run and is raised.
            depth: how many levels of nodes it hears of, as for `stream`.

        Raises:
            Exception: what the first node to fail has raised, with a note that names the node.
            DeadlineExceeded: if the time ran out.
        """
        options: dict[str, Any] = {
            "timeout": timeout,
            "concurrency": concurrency,
            "errors": errors,
            "passes": passes,
            "registry": registry,
        }
        if on_event is None:
            run = FlowRun.of(self, flow, **options)
            self._open()
            return await run.result(observer)
        async with self._flow_stream(flow, depth=depth, observer=observer, **options) as events:
            async for event in events:
                heard = on_event(event)
                if inspect.isawaitable(heard):
                    await heard
            return await events.result()

    @overload  # type: ignore[override]  # all that the core takes, and flows
    def stream(  # type: ignore[overload-overlap]
        self,
        prompt: FlowLike,
        *,
        depth: int | None = 1,
        timeout: float | None = None,
        concurrency: int = 256,
        errors: Literal["raise", "keep"] = "raise",
        passes: Passes = DEFAULT_PASSES,
        registry: Registry | None = None,
        observer: Observer | None = None,
    ) -> AbstractAsyncContextManager[FlowStream]: ...
    @overload
    def stream(
        self,
        prompt: object,
        *,
        model: str | None = None,
        timeout: float | None = None,
        on_interrupt: OnInterrupt = "error",
        tenant: str = "",
        sample: int = 0,
        **parameters: Any,
    ) -> AbstractAsyncContextManager[Stream]: ...

    def stream(self, prompt: Any, **options: Any) -> Any:
        """Ask for an answer, or run a flow, and read it as it comes.

        Leaving the block cancels whatever still goes on for it.

        Args:
            prompt: what is asked, with arguments as for `ask`; or a flow, an Executable or
                containers of them, with arguments as for `run`.
            depth: of a flow: how many levels of nodes are told of. 0 is the `GraphResult` alone,
                1 the nodes of the run itself, 2 also those that they run in their turn; `None`
                or -1 is all.
            errors: of a flow: `raise` ends all at the first error, which is told and then raised;
                with `keep`, what needs a failed node has a `NodeError` that is `derived`, and
                everything else goes on.
            options: further arguments.
        """
        if holds_executables(prompt):
            return self._flow_stream(prompt, **options)
        return super().stream(prompt, **options)

    def _flow_stream(
        self,
        flow: Any,
        *,
        depth: int | None = 1,
        observer: Observer | None = None,
        **options: Any,
    ) -> AbstractAsyncContextManager[FlowStream]:
        self._open()
        return streaming(self, flow, depth=depth, observer=observer, **options)
