"""The client's leaf: finds the provider of a call by the prefix of its model, and opens it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, ClassVar

import attrs
import trio

from llmmw._abilities import Abilities
from llmmw._call import Call
from llmmw._capabilities import Capabilities
from llmmw._chain import Handler, chain
from llmmw._lifetime import live
from llmmw._plain import copied
from llmmw._plugins import Plugins
from llmmw._prices import Price, Prices, built_in_prices
from llmmw._provider import Provider
from llmmw._request import Request
from llmmw._response import Response
from llmmw._serve import served
from llmmw._tasks import Host, Task
from llmmw.errors import (
    BadRequest,
    ConfigError,
    LLMError,
    NotFound,
    PluginError,
    UnsupportedFeature,
)

__all__ = ["Router"]

_CLEAN_UP = 2.0
"""Seconds that a provider's lifetime may take to end."""
_MANY = 10_000
"""Targets whose abilities are remembered."""


@attrs.define(eq=False)
class _Open:
    """A provider whose lifetime runs in a task of its own, until the host closes."""

    provider: Provider
    ready: trio.Event = attrs.field(factory=trio.Event)
    life: Task[None] | None = None


@attrs.define(eq=False)
class Router:
    """Sends each call to the provider that its model names.

    Args:
        host: keeps the providers alive.
        providers: ready providers, used before installed ones of the same name.
        plugins: where others are looked up; made when the first is needed.
        options: options of installed providers, by their name; with `use`, of an account of
            that provider under a name of its own.
        prices: the client's own; default: the built-in ones.
        abilities: what the user says that targets can do.
    """

    host: Host
    providers: Iterable[Provider] = ()
    plugins: Plugins | None = None
    options: Mapping[str, Mapping[str, Any]] = attrs.field(factory=dict)
    prices: Prices | None = None
    abilities: Abilities = attrs.field(factory=Abilities)
    _opened: dict[str, _Open] = attrs.field(factory=dict, init=False)
    _made: dict[str, Provider] = attrs.field(factory=dict, init=False)
    _warming: dict[str, Task[None]] = attrs.field(factory=dict, init=False)
    _able: dict[str, Capabilities] = attrs.field(factory=dict, init=False)

    marks_sent: ClassVar[bool] = True
    """As providers have it: from here on it is said when an attempt leaves."""

    def __attrs_post_init__(self) -> None:
        self.host.price = self.price
        self.host.able = self.able
        self.host.objection = self.objection
        self.host.provider = self.provider
        self.host.warm = self.warm
        self.host.ask = self

    async def __call__(self, call: Call) -> Response:
        request = call.request
        name, colon, model = request.model.partition(":")
        opened = self._opened.get(name)
        try:
            if opened is None or not opened.ready.is_set():
                # An opening may hang, so it is bounded; and it is nobody's slowness but ours.
                call.attempt.run_limits(trio.current_time())
                opened = await self._open(name, colon, request.model)
                call.attempt.hold_limits()
            asked, around, warnings = served(request, self.able(request.model), request.model)
            if asked is not request:
                call = call.replace(request=asked)
            if opened.provider.marks_sent:
                call.attempt.hold_limits()
            else:
                call.attempt.mark_sent(call.ledger)
            handler: Handler = opened.provider
            if around:
                handler = chain(*around, provider=handler)
            response = await handler(call)
        except LLMError as error:
            error.provider = error.provider or name
            error.model = error.model or model
            # The frames of a provider hold what its host sent, which may be the key.
            error.__traceback__ = None
            raise
        usage = response.usage
        if usage is not None and usage.cost is None:
            price = self.price(request.model)
            cost = None if price is None else price.cost(usage)
            if cost is not None:
                response = copied(response, usage=copied(usage, cost=cost))
        if warnings:
            response = copied(response, warnings=(*response.warnings, *warnings))
        return response

    async def provider(self, target: str) -> Provider:
        """The provider of a target, open. Raises as a call of it would."""
        name, colon, _ = target.partition(":")
        return (await self._open(name, colon, target)).provider

    def warm(self, target: str) -> None:
        """Have a connection to a target made in the background, one at a time for each provider.
        What goes wrong shows when it is asked."""

        async def run() -> None:
            await (await self.provider(target)).warm()

        name = target.partition(":")[0]
        task = self._warming.get(name)
        if task is None or task.ended.is_set():
            self._warming[name] = self.host.start(run)

    def able(self, target: str) -> Capabilities:
        """What a target can do, asked once. Raises as a call of it would."""
        found = self._able.get(target)
        if found is None:
            name, _, model = target.partition(":")
            found = self._find(name).capabilities(model)
            row = self.abilities.row(target) or self.abilities.row(f"{self._use(name)}:{model}")
            if row is not None:
                found = row.over(found)
            if len(self._able) < _MANY:
                self._able[target] = found
        return found

    def objection(self, request: Request) -> str:
        """Why the target of a request can't serve it, or nothing. What else is wrong with it
        shows when it is asked."""
        try:
            served(request, self.able(request.model), request.model)
        except UnsupportedFeature as error:
            return error.message
        except Exception:
            return ""
        return ""

    def price(self, target: str) -> Price | None:
        """What a target costs: by the tables; under the name of the provider whose account it
        is; or as its provider says."""
        table = built_in_prices() if self.prices is None else self.prices
        found = table.row(target)
        if found is None:
            name, _, model = target.partition(":")
            found = table.row(f"{self._use(name)}:{model}") or self._find(name).price(model)
        return found

    def _use(self, name: str) -> str:
        """The provider whose account a name is."""
        return str(self.options.get(name, {}).get("use", name))

    async def _open(self, name: str, colon: str, target: str) -> _Open:
        if not colon:
            raise BadRequest(
                f'the model {target!r} names no provider: write "provider:model", '
                'for example "local:smollm2"'
            )
        opened = self._opened.get(name)
        if opened is None:
            opened = self._opened[name] = _Open(self._find(name))
            opened.life = self.host.start(lambda: self._live(name, opened))
        if not opened.ready.is_set():
            await self._wait_ready(name, opened)
        return opened

    async def _live(self, name: str, opened: _Open) -> None:
        try:
            await live(opened.provider.open(self.host), opened.ready, _CLEAN_UP)
        finally:
            self._opened.pop(name, None)  # a failed opening is tried anew by the next call
            self._made.pop(name, None)
            opened.ready.set()

    async def _wait_ready(self, name: str, opened: _Open) -> None:
        await opened.ready.wait()
        if self._opened.get(name) is not opened:
            assert opened.life is not None
            await opened.life.wait()  # raises what its opening raised
            raise ConfigError(f"the provider {name!r} ended its lifetime by itself")

    def _find(self, name: str) -> Provider:
        for provider in self.providers:
            if provider.name == name:
                return provider
        made = self._made.get(name)
        # Other threads ask what targets can do; the first to have made a provider has made it.
        return self._made.setdefault(name, self._make(name)) if made is None else made

    def _make(self, name: str) -> Provider:
        if self.plugins is None:
            self.plugins = Plugins()
        options = {"name": name, **self.options.get(name, {})}
        use = str(options.pop("use", name))
        try:
            made = self.plugins.make("provider", use, options)
        except PluginError as error:
            if use != name or use in self.plugins.names("provider"):
                raise
            raise NotFound(str(error)) from error
        if not isinstance(made, Provider):
            raise PluginError(f"the plugin of the provider {name!r} made a {type(made).__name__}")
        return made
