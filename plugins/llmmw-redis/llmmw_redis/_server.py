"""A Redis as seen from here: some connections to it, and patience while it is away.

::

    ask ├─ idle connection, or a new one ── commands ── replies ─┤   within `timeout`, all of it
    lost ╳───── 0.1 s ─────┤ one asks ╳──── 0.2 s ────┤ … 5 s     meanwhile nobody waits for it

There is no task: what is idle is only looked at when it is needed, and closed when its host closes.
"""

from __future__ import annotations

import logging
import random
import ssl
from typing import Any

import attrs
import hiredis
import trio

from llmmw.errors import LLMError
from llmmw.plugin import StoreError
from llmmw.wire import Key, Secret
from llmmw_redis._address import Address
from llmmw_redis._connection import Command, Connection, connect

__all__ = ["Server"]

_FIRST_WAIT, _LONGEST_WAIT = 0.1, 5.0
_SAYS = "the server says: "
_BROKEN = (
    OSError,
    ValueError,
    StoreError,
    LLMError,
    hiredis.ProtocolError,
    trio.BrokenResourceError,
)
_log = logging.getLogger("llmmw.store")


@attrs.define(eq=False)
class Server:
    """A server that is asked by many at once."""

    address: Address
    password: Key
    timeout: float
    most_bytes: int
    context: ssl.SSLContext | None
    random: random.Random
    places: trio.Semaphore
    failed: int = 0
    """How often it could not be asked."""
    _idle: list[Connection] = attrs.field(factory=list, init=False)
    _closed: bool = attrs.field(default=False, init=False)
    _refused: set[str] = attrs.field(factory=set, init=False)
    """For which reasons it has refused something."""
    _why: str = attrs.field(default="", init=False)
    """What went wrong last, while it is away."""
    _wait: float = attrs.field(default=_FIRST_WAIT, init=False)
    _again: float = attrs.field(default=0.0, init=False)
    """When it is worth another try."""

    def close(self) -> None:
        """Close all that is open."""
        self._closed = True
        while self._idle:
            self._idle.pop().close()

    async def ask(self, *commands: Command) -> list[Any]:
        """The replies to these commands, which go out together.

        Raises:
            StoreError: if there is no reply within `timeout`, or one of them is an error.
        """
        self._check_time()
        why, away = "", True
        with trio.move_on_after(self.timeout) as scope:
            why, away = "all connections to it are in use", False
            async with self.places:
                why, away = "it does not answer", True
                try:
                    replies = await self._ask(commands)
                    why = ""
                except _BROKEN as error:
                    why = _words(error)
        if not why:
            self._is_back()
            try:
                return [_checked(reply) for reply in replies]
            except StoreError as error:
                self._note(str(error))
                raise
        if scope.cancelled_caught:
            why += f" within {self.timeout:g} s"
        raise self._failure(why, away=away)

    def _check_time(self) -> None:
        now = trio.current_time()
        if self._closed:
            raise StoreError(f"{self.address} is closed")
        if self._why:
            if now < self._again:
                self.failed += 1
                wait = self._again - now
                raise StoreError(f"{self.address}: {self._why}; it is asked again in {wait:.2g} s")
            self._again = now + self.timeout  # one finds out whether it is back

    async def _ask(self, commands: tuple[Command, ...]) -> list[Any]:
        connection: Connection | None = self._take_idle()
        whole = False
        try:
            if connection is None:
                connection = await connect(self.address, self.most_bytes, self.context)
                await self._greet(connection)
            replies = await connection.ask(commands)
            whole = True
            return replies
        finally:
            if connection is not None:
                if whole and not self._closed:
                    self._idle.append(connection)
                else:
                    connection.close()

    def _take_idle(self) -> Connection | None:
        while self._idle:
            connection = self._idle.pop()
            if not connection.is_over():
                return connection
            connection.close()
        return None

    async def _greet(self, connection: Connection) -> None:
        """Say who we are, and what we want.

        Raises:
            StoreError: if we are not let in.
        """
        secret, user = self.address.password or await self.password.get(), self.address.user
        if secret is not None:
            _checked(await _authenticated(connection, user, secret))
        if self.address.database:
            (reply,) = await connection.ask([("SELECT", self.address.database)])
            _checked(reply)

    def _is_back(self) -> None:
        if self._why:
            self._why, self._wait = "", _FIRST_WAIT
            _log.info("%s is back", self.address)

    def _note(self, refused: str) -> None:
        """The server is there, and does not do what it was asked: say each reason once."""
        word = refused.partition(_SAYS)[2].split(" ")[0]
        if word != "NOSCRIPT":
            self.failed += 1
            if word not in self._refused:
                self._refused.add(word)
                _log.warning("%s: %s", self.address, refused)

    def _failure(self, why: str, *, away: bool) -> StoreError:
        self.failed += 1
        if away:
            if not self._why:
                _log.warning("%s: %s", self.address, why)
            self._why = why
            self._again = trio.current_time() + self._wait * self.random.uniform(0.5, 1.0)
            self._wait = min(2 * self._wait, _LONGEST_WAIT)
            while self._idle:
                self._idle.pop().close()
        return StoreError(f"{self.address}: {why}")


async def _authenticated(connection: Connection, user: str, secret: Secret) -> Any:
    """The reply to a password, which stays in no variable of ours."""
    names = (user,) if user else ()
    (reply,) = await connection.ask([("AUTH", *names, secret.reveal())])
    return reply


def _words(error: Exception) -> str:
    if isinstance(error, (StoreError, LLMError)):
        return str(error)
    if isinstance(error, trio.BrokenResourceError) and error.__cause__ is not None:
        return f"{type(error.__cause__).__name__}: {error.__cause__}"
    return f"{type(error).__name__}: {error}"


def _checked(reply: Any) -> Any:
    if isinstance(reply, hiredis.ReplyError):
        raise StoreError(f"{_SAYS}{reply}")
    return reply
