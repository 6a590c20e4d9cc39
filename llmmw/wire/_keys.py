"""Where an API key comes from: read when it is first needed, kept until the host refuses it."""

from __future__ import annotations

import inspect
import os
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TypeAlias

import attrs
import trio

from llmmw._secret import Secret
from llmmw.errors import AuthenticationFailed, ConfigError, LLMError

__all__ = ["Key", "KeyOption"]

KeyOption: TypeAlias = str | Secret | Callable[[], str | Secret | Awaitable[str | Secret]] | None
"""The option `api_key` of a provider: the key; `env:NAME` or `file:PATH`, which tell where it
is; a function that gives it, awaited if it is async; or `None`: from the host's own variables."""

_MOST_BYTES = 65_536


@attrs.define(eq=False)
class Key:
    """The key of one account.

    Args:
        source: the option as the user gave it.
        variables: environment variables to look in when there is no option, first one first.
        needed: whether a host without a key can't be asked.
        option: what the provider calls the option, for people.
    """

    source: KeyOption = attrs.field(default=None, repr=False)
    variables: tuple[str, ...] = ()
    needed: bool = True
    option: str = "api_key"
    _held: Secret | None = attrs.field(default=None, init=False, repr=False)
    _lock: trio.Lock = attrs.field(factory=trio.Lock, init=False, repr=False)

    def __attrs_post_init__(self) -> None:
        if isinstance(self.source, str) and not self.source.startswith(("env:", "file:")):
            self.source = Secret(self.source)
        known = self.source is None or isinstance(self.source, (str, Secret))
        if not known and not callable(self.source):
            raise ConfigError(f"{self.option}: expected a text, env:NAME, file:PATH or a function")

    @property
    def where(self) -> str:
        """Where the key comes from, for people; never the key."""
        if self.source is None:
            return " or ".join(self.variables) or "nowhere"
        if isinstance(self.source, Secret):
            return f"the option {self.option}"
        if isinstance(self.source, str):
            return self.source
        return f"the function given as {self.option}"

    async def get(self) -> Secret | None:
        """The key, or `None` for a host that needs none.

        Raises:
            AuthenticationFailed: if it is not where it should be, or no key can look like it.
        """
        if self._held is None:
            async with self._lock:  # one that is fetched is fetched once
                if self._held is None:
                    self._held = await self._read()
        if self._held is None and self.needed:
            raise AuthenticationFailed(
                f"there is no API key: set {self.where}, or pass the option {self.option}",
                processed=False,
            )
        return self._held

    async def renewed(self, refused: Secret) -> Secret | None:
        """Another key than the one that the host has just refused, or `None` if there is none."""
        if isinstance(self.source, Secret):
            return None
        if self._held == refused:
            self._held = None
        fresh = await self.get()
        return None if fresh == refused else fresh

    async def _read(self) -> Secret | None:
        source = self.source
        if source is None:
            name = next((name for name in self.variables if os.environ.get(name)), None)
            return None if name is None else _checked(Secret(os.environ[name]), self.where)
        if isinstance(source, Secret):
            return _checked(source, self.where)
        if not isinstance(source, str):
            return _checked(await self._called(source), self.where)
        kind, _, place = source.partition(":")
        if kind == "file":
            # Whoever leaves does not wait for a disk that hangs, or for the writer of a pipe.
            read = await trio.to_thread.run_sync(_contents, place, abandon_on_cancel=True)
            return _checked(read, self.where)
        if not os.environ.get(place):
            raise AuthenticationFailed(
                f"there is no API key: the variable {place} is not set", processed=False
            )
        return _checked(Secret(os.environ[place]), self.where)

    async def _called(self, source: Callable[[], object]) -> Secret:
        try:
            given = source()
            if inspect.isawaitable(given):
                given = await given
        except LLMError:
            raise
        except Exception as error:
            what = type(error).__name__
            raise AuthenticationFailed(f"{self.where} failed: {what}", processed=False) from error
        if isinstance(given, (str, Secret)):
            return given if isinstance(given, Secret) else Secret(given)
        what = type(given).__name__
        del given  # it may be a key all the same, as bytes
        raise AuthenticationFailed(f"{self.where} gave a {what}, no text", processed=False)


def _contents(place: str) -> Secret:
    try:
        with Path(place).expanduser().open("rb") as file:
            return Secret(file.read(_MOST_BYTES).decode("ascii", "replace"))
    except (OSError, RuntimeError, ValueError) as error:
        message = f"the file of the API key, {place}, can't be read: {error}"
        raise AuthenticationFailed(message, processed=False) from error


def _checked(secret: Secret, where: str) -> Secret:
    """The key without white space around it; it must fit into a header."""
    bare = Secret(secret.reveal().strip())
    if not bare.reveal():
        raise AuthenticationFailed(f"the API key from {where} is empty", processed=False)
    if not all("!" <= sign <= "~" for sign in bare.reveal()):
        raise AuthenticationFailed(
            f"the API key from {where} has signs that no key has: blanks, line ends or signs "
            "beyond ASCII; was it copied wholly?",
            processed=False,
        )
    return bare
