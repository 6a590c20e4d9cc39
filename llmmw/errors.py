"""Every error that a call can end with, as one tree.

::

    LLMError                     anything that a provider or a policy raises for a call
    ├── BadRequest               the request itself is wrong; no target would take it
    │   ├── ContextWindowExceeded    too long for this model; a larger one may do
    │   └── UnsupportedFeature       this target can't do what is asked; another may
    ├── ContentFiltered          the provider refused the content
    ├── AuthenticationFailed     the key is missing or wrong
    ├── PermissionDenied         the key may not do this
    ├── NotFound                 no such model or provider
    ├── QuotaExhausted           no money or daily allowance left
    ├── RateLimited              too fast; `retry_after` tells when
    ├── ServerError              the provider failed
    │   └── Overloaded               … because it is too busy
    ├── ConnectionFailed         the provider was not reached, or the line broke
    ├── StreamInterrupted        the answer stopped before its end
    ├── ProtocolError            the answer can't be understood
    ├── ResponseRejected         the answer is whole, and a guard did not accept it
    │   └── OutputInvalid            … or it has not the form that `output=` asked for
    ├── DeadlineExceeded         a limit of time ran out
    └── CallShed                 a policy did not send the call; costs nothing
    ConfigError                  the program is set up wrongly
    └── PluginError              … because a plugin is missing, broken, or clashes
    ListenerFailed               what a function of the caller raised, on its way to the caller

Two attributes say what may help: `retryable` (the same target, again) and `elsewhere` (another
target). Policies look at nothing else. A class sets them; one error may differ from its class
where its provider says so.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from llmmw._response import Response

__all__ = [
    "AuthenticationFailed",
    "BadRequest",
    "CallShed",
    "ConfigError",
    "ConnectionFailed",
    "ContentFiltered",
    "ContextWindowExceeded",
    "DeadlineExceeded",
    "LLMError",
    "ListenerFailed",
    "NotFound",
    "OutputInvalid",
    "Overloaded",
    "PermissionDenied",
    "PluginError",
    "ProtocolError",
    "QuotaExhausted",
    "RateLimited",
    "ResponseRejected",
    "ServerError",
    "StreamInterrupted",
    "UnsupportedFeature",
]


class LLMError(Exception):
    """What a call ends with when it has no answer.

    Args:
        message: one sentence: what is wrong, where, and what to do.
        provider: name of the provider that said it, once known.
        model: the model asked for, as the provider names it.
        status: HTTP status, if there was one.
        code: the provider's own word for the error.
        request_id: the provider's id of the request, for its support.
        retry_after: seconds that the provider asks to wait, or `None`.
        partial: what had been answered before the error, or `None`.
        processed: whether the request may have been processed (and billed); `None` is unknown.
    """

    retryable: bool = False
    """The same target may succeed when asked again."""
    elsewhere: bool = False
    """Another target may succeed at once."""

    def __init__(
        self,
        message: str,
        *,
        provider: str | None = None,
        model: str | None = None,
        status: int | None = None,
        code: str | None = None,
        request_id: str | None = None,
        retry_after: float | None = None,
        partial: Response | None = None,
        processed: bool | None = None,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.provider = provider
        self.model = model
        self.status = status
        self.code = code
        self.request_id = request_id
        self.retry_after = retry_after
        self.partial = partial
        self.processed = processed
        self.attempts: Sequence[LLMError] = ()
        """The errors of all attempts of the call, in their order, when there were several."""

    def __reduce__(self) -> tuple[Any, ...]:
        """Copy and pickle without calling `__init__`, whose arguments differ between classes."""
        return _rebuilt, (type(self), self.args, self.__dict__)

    def __str__(self) -> str:
        where = ":".join(x for x in (self.provider, self.model) if x)
        facts = [str(x) for x in (self.status, self.code) if x is not None]
        if self.request_id:
            facts.append(f"request {self.request_id}")
        tail = f" ({', '.join(facts)})" if facts else ""
        return f"{where}: {self.message}{tail}" if where else f"{self.message}{tail}"


def _rebuilt(kind: type[LLMError], args: tuple[Any, ...], fields: dict[str, Any]) -> LLMError:
    made = kind.__new__(kind, *args)
    made.__dict__.update(fields)
    if "__notes__" in fields:  # a list, which the copy would share
        made.__notes__ = list(fields["__notes__"])
    return made


class BadRequest(LLMError):
    """The request is wrong in itself. Raised before sending, or by the provider; mend it."""


class ContextWindowExceeded(BadRequest):
    """The prompt is too long for the model. Shorten it, or name a larger model in
    `Fallback(on={ContextWindowExceeded: …})`."""


class UnsupportedFeature(BadRequest):
    """The target can't honour a parameter or a kind of request. Leave it out, pass
    `unsupported="drop"` or `"emulate"`, or ask another target."""

    elsewhere = True


class ContentFiltered(LLMError):
    """The provider refused the content. Another target is tried only where
    `Fallback(on={ContentFiltered: …})` asks for it."""


class AuthenticationFailed(LLMError):
    """The key is missing, wrong or expired. Check the provider's key variable."""

    elsewhere = True


class PermissionDenied(LLMError):
    """The key is known but may not do this: model, region or action. Ask its owner."""

    elsewhere = True


class NotFound(LLMError):
    """No such model or provider. The message says what exists."""

    elsewhere = True


class QuotaExhausted(LLMError):
    """No money or allowance left; waiting seconds does not help."""

    elsewhere = True


class RateLimited(LLMError):
    """Asked too fast. `retry_after` has the provider's wait, if it told one."""

    retryable = True
    elsewhere = True


class ServerError(LLMError):
    """The provider failed on its side; asking again, or elsewhere, may help."""

    retryable = True
    elsewhere = True


class Overloaded(ServerError):
    """The provider has too much to do at the moment."""


class ConnectionFailed(LLMError):
    """The provider was not reached, or the line broke before an answer began."""

    retryable = True
    elsewhere = True


class StreamInterrupted(LLMError):
    """The answer stopped before its terminal event; `partial` has what came. It is retried as
    long as the caller's own listener has heard nothing of it."""

    retryable = True
    elsewhere = True


class ProtocolError(LLMError):
    """The provider's answer can't be understood: not its format, or a contradiction."""

    retryable = True
    elsewhere = True


class ResponseRejected(LLMError):
    """A `Guard` did not accept the answer, which is in `partial`; the caller was told nothing of
    it. Another one may be better: try again, or name a larger model in
    `Fallback(on={ResponseRejected: …})`."""

    retryable = True
    elsewhere = True


class OutputInvalid(ResponseRejected):
    """The answer, which is in `partial`, has not the form that `output=` asked for: no JSON, not
    after the schema, no value of the type. `response.value` raises it. A `Guard()` in the stack
    raises it before the caller has the answer, so that another attempt is made."""


class DeadlineExceeded(LLMError):
    """A limit of time ran out. `limit` is its name (`total`, `first_token`, `idle`), `after` its
    seconds, `layer` the policy or argument that set it."""

    retryable = True
    elsewhere = True

    def __init__(self, message: str, *, limit: str, after: float, layer: str) -> None:
        super().__init__(message)
        self.limit = limit
        self.after = after
        self.layer = layer


class CallShed(LLMError):
    """A policy refused to send the call (circuit open, limiter full). It took no time and costs
    nothing; another target may take it at once."""

    elsewhere = True


class ConfigError(Exception):
    """The program is set up wrongly: an option, a file, an environment variable. The message
    names it and says what was expected."""


class PluginError(ConfigError):
    """A plugin is missing, broken, or two of them claim one name."""


class ListenerFailed(Exception):
    """Carries past the policies what the caller's own listener raised, or a function that it gave
    to a middleware.

    It is no `LLMError`, so that no policy takes it for the provider's; the client raises `error`.
    """

    def __init__(self, error: Exception) -> None:
        super().__init__("a function of the caller's failed")
        self.error = error
