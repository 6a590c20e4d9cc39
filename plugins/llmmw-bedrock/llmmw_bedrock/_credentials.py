"""What requests are signed with: as options give it, or as the usual chain of AWS finds it.

The chain is that of botocore: variables, profile files with roles, single sign-on and processes,
containers, machines. It reads files and asks hosts, so it runs in a thread.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Callable
from contextvars import ContextVar
from typing import Any, TypeVar

import attrs
import trio

from llmmw.errors import AuthenticationFailed, ConfigError, ConnectionFailed, LLMError
from llmmw.wire import Key, KeyOption, Secret
from llmmw_bedrock._sign import AwsCredentials

__all__ = ["Credentials", "credentials_in", "region_of"]

T = TypeVar("T")

_MUST = 10 * 60
"""Seconds before the end of credentials in which a call waits for new ones, as in botocore."""
_PATIENCE = 1.0
"""Seconds that a call waits for new ones as long as those before are good."""


def credentials_in(secret: Secret) -> AwsCredentials:
    """The credentials that a `Credentials` gave as one secret."""
    name, key, token = map(Secret, secret.reveal().split("\n", 2))
    return AwsCredentials(name.reveal(), key, token if token.reveal() else None)


def _packed(name: str, key: str, token: str | None) -> Secret:
    """The credentials as one secret, without the white space that files and variables may add."""
    return Secret("\n".join(one.strip() for one in (name, key, token or "")))


def _sound(secret: Secret) -> Secret:
    """Credentials that can be signed with. It is asked where no frame holds them in plain.

    Raises:
        AuthenticationFailed: if one of them has signs that none can have.
    """
    if re.fullmatch(r"[!-~]+\n[!-~]+\n[!-~]*", secret.reveal()):
        return secret
    raise AuthenticationFailed(
        "AWS credentials are not whole: the access key's id, the key or the session token has "
        "signs that none has, or nothing at all; were they copied wholly?",
        processed=False,
    )


@attrs.define(eq=False)
class Credentials(Key):
    """The credentials of an account, as one secret: see `credentials_in`.

    Args:
        source: the secret access key as the user gave it; `None`: the chain finds all.
        name: the access key's id, beside `source`.
        token: the session token, beside `source`.
        profile: which profile the chain takes.
    """

    name: str | None = None
    token: KeyOption = attrs.field(default=None, repr=False)
    profile: str | None = None
    _token: Key = attrs.field(init=False, repr=False)
    _found: Any = attrs.field(default=None, init=False, repr=False)
    """Credentials of botocore, which can renew themselves if they end."""

    def __attrs_post_init__(self) -> None:
        super().__attrs_post_init__()
        self._token = Key(self.token, needed=False, option="session_token")
        self.token = self._token.source
        if (self.source is None) is not (self.name is None):
            raise ConfigError("access_key_id and secret_access_key go together")

    @property
    def where(self) -> str:
        """Where they come from, for people."""
        if self.source is not None:
            return super().where
        return "the chain of AWS" + (f", profile {self.profile!r}" if self.profile else "")

    async def get(self) -> Secret:
        """The credentials as they are now.

        Raises:
            AuthenticationFailed: if there are none.
            ConnectionFailed: if a host that has them is not reached.
        """
        if self.source is not None:
            return await self._given()
        if self._held is not None and not _ends(self._found):
            self._held = _sound(_frozen(self._found))
        elif self._held is not None and not _ends(self._found, _MUST):
            with trio.move_on_after(_PATIENCE):
                await self._renew()
        if self._held is None or _ends(self._found, _MUST):  # maybe since they were refused now
            async with self._lock:
                if self._held is None or _ends(self._found, _MUST):
                    await self._renew()
        assert self._held is not None
        return self._held

    async def renewed(self, refused: Secret) -> Secret | None:
        """Others than those that the host has just refused, or `None` if there are none."""
        if self.source is not None:
            return None
        if self._held == refused:
            self._found = self._held = None
        fresh = await self.get()
        return None if fresh == refused else fresh

    async def _given(self) -> Secret:
        key, token = await super().get(), await self._token.get()
        assert key is not None  # it is needed
        given = _packed(str(self.name), key.reveal(), None if token is None else token.reveal())
        return _sound(given)

    async def _renew(self) -> None:
        """Let the chain look, or those that it found renew themselves."""
        try:
            self._found, self._held = await _in_thread(lambda: _look(self._found, self.profile))
        except LLMError:
            if self._held is None or _ends(self._found, 0):
                raise  # else those before do as yet


def _ends(found: Any, seconds: int | None = None) -> bool:
    """Whether credentials end so soon that new ones are due; most never do."""
    needed = getattr(found, "refresh_needed", None)
    return needed is not None and bool(needed(seconds))


def _frozen(found: Any) -> Secret:
    """Credentials as they are now; if new ones are due, they are fetched."""
    now = found.get_frozen_credentials()
    return _packed(now.access_key, now.secret_key, now.token)


def _look(found: Any, profile: str | None) -> tuple[Any, Secret]:
    found = found or _session(profile).get_credentials()
    if found is None:
        raise AuthenticationFailed(
            "there are no AWS credentials: set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY or "
            "AWS_BEARER_TOKEN_BEDROCK, name or log in with a profile, or pass the options "
            "access_key_id and secret_access_key, or api_key",
            processed=False,
        )
    return found, _sound(_frozen(found))


def region_of(profile: str | None) -> str | None:
    """The region that a profile's file names."""
    try:
        told = _session(profile).get_config_variable("region")
    except Exception as error:  # a file that is not as it should be
        raise ConfigError(f"no region is known: {error}") from None
    return told if isinstance(told, str) else None


def _session(profile: str | None) -> Any:
    from botocore.session import Session  # type: ignore[import-untyped]

    return Session(profile=profile)


async def _in_thread(look: Callable[[], T]) -> T:
    """What a look at files and hosts finds, with our errors; whoever leaves does not wait.

    Errors of botocore are dropped with their frames, since these hold credentials.
    """
    from botocore.exceptions import (  # type: ignore[import-untyped]
        BotoCoreError,
        ClientError,
        HTTPClientError,
    )

    for name in _TALKATIVE:
        logging.getLogger(name).addFilter(_quiet)
    failure: LLMError
    looking = _LOOKING.set(True)  # the thread has a copy of this context
    try:
        return await trio.to_thread.run_sync(look, abandon_on_cancel=True)
    except HTTPClientError as error:
        failure = ConnectionFailed(f"no host gave AWS credentials: {error}", processed=False)
    except (BotoCoreError, ClientError) as error:
        failure = AuthenticationFailed(f"no AWS credentials: {error}", processed=False)
    except LLMError:
        raise
    except Exception as error:  # of a file or a process that is not as it should be
        what = type(error).__name__
        failure = AuthenticationFailed(f"no AWS credentials: {what}", processed=False)
    finally:
        _LOOKING.reset(looking)
    raise failure


_LOOKING: ContextVar[bool] = ContextVar("llmmw_bedrock_looking", default=False)
_TALKATIVE = tuple(f"botocore.{part}" for part in ("auth", "endpoint", "parsers", "utils"))
"""Loggers that are told whole requests and answers, where credentials are fetched."""


def _quiet(record: logging.LogRecord) -> bool:
    return not _LOOKING.get() or record.levelno > logging.DEBUG
