"""What the faces for plain and for asyncio programs share: all that does not wait.

A face adds how its callers wait: on a queue of their own that the portal's thread puts into.
"""

from __future__ import annotations

import copy
from collections import deque
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, Self, TypeAlias, TypeVar

import attrs
import trio

from llmmw._abilities import GivenCapabilities
from llmmw._call import Listener
from llmmw._capabilities import Capabilities
from llmmw._chain import Layer, Middleware
from llmmw._config._file import Config, client_arguments
from llmmw._deltas import Delta, Fold
from llmmw._feed import Feed
from llmmw._instrument import Instrument
from llmmw._mailbox import Ended
from llmmw._map import Progress
from llmmw._plugins import Plugins
from llmmw._portal import Lifetime, Portal, Work
from llmmw._prices import GivenPrices
from llmmw._provider import Provider
from llmmw._response import Generation
from llmmw._secret import guarded
from llmmw._session import Client
from llmmw.errors import ProtocolError

__all__ = ["Bridge", "Heard", "Inbox", "Reading", "Tell", "listener_through"]

T = TypeVar("T")
Tell: TypeAlias = Callable[[object], None]


class Bridge:
    """A client whose calls are made in the portal's thread."""

    def __init__(
        self,
        *targets: str,
        stack: Sequence[Middleware] | None = None,
        providers: Iterable[Provider] = (),
        options: Mapping[str, Mapping[str, Any]] | None = None,
        plugins: Plugins | None = None,
        instruments: Sequence[Instrument] = (),
        prices: GivenPrices | None = None,
        capabilities: GivenCapabilities | None = None,
    ) -> None:
        # Under the same name, so that no frame of ours keeps a key as it was given.
        options = {name: guarded(one) for name, one in (options or {}).items()}
        self._trio = Client(
            *targets,
            stack=stack,
            providers=providers,
            options=options,
            plugins=plugins,
            instruments=instruments,
            prices=prices,
            capabilities=capabilities,
        )
        self._home: Lifetime | None = None
        self._owner = True

    @classmethod
    def from_config(
        cls, source: Config | str | Path | None = None, *targets: str, **overrides: Any
    ) -> Self:
        """A client as a configuration says; arguments as for `llmmw.Client.from_config`."""
        named, arguments = client_arguments(source, targets, overrides)
        return cls(*named, **arguments)

    @property
    def targets(self) -> tuple[str, ...]:
        """Where it goes; the first is asked when a call names none."""
        return self._trio.targets

    @property
    def stack(self) -> tuple[Middleware, ...]:
        """The middleware, outermost first."""
        return self._trio.stack

    def describe(self) -> tuple[Layer, ...]:
        """The layers of the stack, outermost first, as data."""
        return self._trio.describe()

    def capabilities(self, target: str) -> Capabilities:
        """What a target can do: as its provider says, changed by the client's `capabilities`.

        Raises:
            NotFound, ConfigError, PluginError: where there is no such provider, or it can't be
                made.
        """
        self._opened()
        return self._trio.capabilities(target)

    def replace(self, *targets: str, stack: Sequence[Middleware] | None = None) -> Self:
        """A client with other targets or another stack that shares this one's providers.

        It is open as long as this one is, and is not opened itself.
        """
        self._opened()
        other = copy.copy(self)
        other.__dict__.update(_trio=self._trio.replace(*targets, stack=stack), _owner=False)
        return other

    def _opened(self) -> Lifetime:
        if self._home is None:
            raise RuntimeError("the client is not open: use it inside its block, or open it first")
        return self._home

    def _opening(self, portal: Portal, put: Tell) -> Work[None]:
        """What keeps the client open; it tells when it is."""
        home = Lifetime(portal)

        async def live(tell: Tell) -> None:
            await home.live(self._trio, tell)

        work = Work(portal, live, put)
        with portal.opening:
            if self._home is not None:
                raise RuntimeError("this client is open already")
            self._home = home
        return work

    def _closing(self) -> Lifetime | None:
        """What is to be closed; nothing, if that is done or not for us to do."""
        home = self._home
        if home is None or not self._owner:
            return None
        if not home.portal.closed:
            home.portal.check_caller()  # before it counts as closed
        self._home = None
        return None if home.portal.closed else home

    def _work(self, do: Callable[[Tell], Awaitable[T]], put: Callable[[object], object]) -> Work[T]:
        return Work(self._opened(), do, put)

    def _asking(
        self, heard: bool, prompt: object, given: dict[str, Any], tell: Tell
    ) -> Awaitable[Generation]:
        """One call. It is given as a partial function: a closure is thrice as many objects, and
        with many in flight the collector of garbage goes through all of them, often."""
        return self._trio.ask(prompt, listener=listener_through(tell) if heard else None, **given)

    def _streaming(self, put: Tell, prompt: object, **given: Any) -> Work[Generation]:
        """Tells that it has begun, then the deltas of an answer."""

        async def do(tell: Tell) -> Generation:
            async with self._trio.stream(prompt, **given) as stream:
                tell(None)
                async for delta in stream:
                    tell(delta)
                return stream.response

        return self._work(do, put)

    def _mapping(self, put: Tell, source: Feed, concurrency: int, **given: Any) -> Work[None]:
        """Tells that it has begun, then each `Progress` and each `Item` of a map."""

        async def do(tell: Tell) -> None:
            def count(progress: Progress) -> None:
                tell(source.count(progress))

            opened = self._trio.map(source, concurrency=concurrency, progress=count, **given)
            async with opened as items:
                tell(None)
                async for item in items:
                    tell(item)

        return self._work(do, put)


@attrs.define(eq=False)
class Heard:
    """A delta on its way to the caller's listener; the work waits until it has been heard."""

    delta: Delta
    void: bool = False
    """The work waits no more: a limit ran out, or another attempt has begun."""
    _done: trio.Event = attrs.field(factory=trio.Event)
    _error: Exception | None = None

    def set(self, error: Exception | None) -> None:
        """The listener has heard it, or raised; only in the portal's thread."""
        self._error = error
        self._done.set()

    async def wait(self) -> None:
        """Wait for the listener, and raise what it raised."""
        await self._done.wait()
        if self._error is not None:
            raise self._error


def listener_through(tell: Tell) -> Listener:
    """A listener for trio that has the caller hear each delta, told as a `Heard`."""

    async def listener(delta: Delta) -> None:
        heard = Heard(delta)
        tell(heard)
        try:
            await heard.wait()
        except trio.Cancelled:
            heard.void = True
            tell(heard)
            raise

    return listener


class Inbox:
    """What a work has told its caller, who has not read it yet."""

    __slots__ = ("_messages", "ended")

    def __init__(self) -> None:
        self._messages: deque[Any] | None = None  # few works tell more than their end
        self.ended: Ended[Any] | None = None
        """The last message. It is given again and again."""

    def _add(self, message: object) -> None:
        if isinstance(message, Ended):
            self.ended = message
        elif self._messages is None:
            self._messages = deque((message,))
        else:
            self._messages.append(message)

    @property
    def is_empty(self) -> bool:
        """Whether there is none to be read now."""
        return not self._messages and self.ended is None

    def get_nowait(self) -> Any:
        """The next message.

        Raises:
            IndexError: if none has come.
        """
        ended = self.ended  # looked at first: all others were added before it
        if self._messages:
            return self._messages.popleft()
        if ended is None:
            raise IndexError("no message has come")
        return ended


class Reading:
    """What has come of a stream to its reader's side."""

    def __init__(self, inbox: Inbox) -> None:
        self._inbox = inbox
        self._fold = Fold()
        self._deltas: deque[Delta] = deque()
        self._ended: Ended[Generation] | None = None

    def _take_waiting(self) -> None:
        """Take all that has come by now."""
        with suppress(IndexError):
            while self._ended is None:
                self._arrived(self._inbox.get_nowait())

    def _arrived(self, message: Any) -> None:
        if isinstance(message, Ended):
            self._ended = message
        else:
            with suppress(ProtocolError):  # after an interrupt that took a piece away
                self._fold(message)
            self._deltas.append(message)

    @property
    def response(self) -> Generation:
        """The whole answer, once the stream has ended.

        Raises:
            LLMError: what the call ended with.
            RuntimeError: if it has not ended yet.
        """
        self._take_waiting()
        if self._ended is None:
            raise RuntimeError("the stream has not ended: read it first, or use wait_response()")
        return self._ended.result()

    @property
    def partial(self) -> Generation:
        """What has come so far."""
        self._take_waiting()
        whole = self._ended.value if self._ended is not None else None
        return whole or self._fold.response()
