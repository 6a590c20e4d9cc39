"""AWS Signature Version 4: headers that prove who sent a request. Pure.

Our own, beside the credentials that botocore finds: the signer of botocore takes its time from the
clock of the process, writes session tokens into its log, and is part of a client that we don't use.
The algorithm has not changed since 2012, and AWS publishes vectors for it.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from urllib.parse import quote, unquote_to_bytes, urlsplit

import attrs

from llmmw.wire import Secret

__all__ = ["AwsCredentials", "signed"]

_ALGORITHM = "AWS4-HMAC-SHA256"
_PLAIN = "-_.~"
"""What is not encoded, besides letters and digits."""


@attrs.frozen
class AwsCredentials:
    """What requests to AWS are signed with.

    Args:
        access_key_id: the name of the key; no secret.
        secret_access_key: the key.
        session_token: goes with keys that are good for a time only.
    """

    access_key_id: str
    secret_access_key: Secret
    session_token: Secret | None = None


def signed(
    method: str,
    url: str,
    headers: Mapping[str, str] | Iterable[tuple[str, str]],
    body: bytes,
    credentials: AwsCredentials,
    region: str,
    service: str,
    at: datetime,
) -> dict[str, str]:
    """The headers that a request needs besides its own: time, session token and signature.

    Args:
        method: as `POST`.
        url: as it is sent.
        headers: those to sign, in pairs where one name comes several times. `Host` is that of the
            address, unless it is given; a hash of the body in `X-Amz-Content-Sha256` is taken as
            it is.
        body: the bytes that are sent.
        credentials: of the account.
        region: as `us-east-1`.
        service: as AWS calls it in signatures; that of Bedrock is `bedrock`.
        at: the time of the request.
    """
    stamp = at.astimezone(UTC).strftime("%Y%m%dT%H%M%SZ")
    added = {"X-Amz-Date": stamp}
    if credentials.session_token is not None:
        added["X-Amz-Security-Token"] = credentials.session_token.reveal()
    parts = urlsplit(url, allow_fragments=False)
    pairs = list(headers.items() if isinstance(headers, Mapping) else headers)
    fields = _fields([("host", parts.netloc.rpartition("@")[2])], pairs, list(added.items()))
    names = ";".join(fields)
    request = "\n".join(
        (
            method.upper(),
            _path(parts.path),
            _query(parts.query),
            *(f"{name}:{value}" for name, value in fields.items()),
            "",
            names,
            fields.get("x-amz-content-sha256") or hashlib.sha256(body).hexdigest(),
        )
    )
    scope = (stamp[:8], region, service, "aws4_request")
    digest = hashlib.sha256(request.encode("utf-8", "surrogateescape")).hexdigest()
    text = "\n".join((_ALGORITHM, stamp, "/".join(scope), digest))
    added["Authorization"] = (
        f"{_ALGORITHM} Credential={credentials.access_key_id}/{'/'.join(scope)}, "
        f"SignedHeaders={names}, Signature={_signature(credentials, scope, text)}"
    )
    return added


def _signature(credentials: AwsCredentials, scope: tuple[str, ...], text: str) -> str:
    key = b"AWS4" + credentials.secret_access_key.reveal().encode("utf-8", "surrogateescape")
    for word in (*scope, text):
        key = hmac.digest(key, word.encode(), "sha256")
    return key.hex()


def _fields(*groups: list[tuple[str, str]]) -> dict[str, str]:
    """Headers by name, sorted; a later group counts more, and values within one are joined."""
    told: dict[str, str] = {}
    for group in groups:
        found: dict[str, list[str]] = {}
        for name, value in group:
            found.setdefault(name.strip().lower(), []).append(" ".join(value.split()))
        told |= {name: ",".join(values) for name, values in found.items()}
    return {name: told[name] for name in sorted(told) if name != "authorization"}


def _path(path: str) -> str:
    """The path without steps to where it is and back, and each segment encoded once more than it
    is sent: what all services but S3 want."""
    steps: list[str] = []
    for step in path.split("/"):
        if step == "..":
            del steps[-1:]
        elif step not in ("", "."):
            steps.append(step)
    end = "/" if steps and path.endswith("/") else ""
    return "/" + quote("/".join(steps), safe="/" + _PLAIN) + end


def _query(query: str) -> str:
    """The parameters, encoded in one way, and sorted by name and value as they are encoded."""
    pairs = [row.partition("=")[::2] for row in query.replace("+", "%20").split("&") if row]
    encoded = [tuple(quote(unquote_to_bytes(one), safe=_PLAIN) for one in pair) for pair in pairs]
    return "&".join("=".join(pair) for pair in sorted(encoded))
