"""Who asks, and where: keys, credentials, regions and addresses."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Mapping
from datetime import UTC, datetime

from llmmw.errors import ConfigError
from llmmw.wire import Key, KeyOption, Secret
from llmmw_bedrock._credentials import Credentials, credentials_in, region_of
from llmmw_bedrock._sign import signed

__all__ = ["address", "key_of", "named_address", "region_for", "signer"]

SERVICE = "bedrock"
"""In signatures, of the control plane too."""
_BEARER = "AWS_BEARER_TOKEN_BEDROCK"
_REGIONS = ("AWS_REGION", "AWS_DEFAULT_REGION")
_INSIDE = re.compile(r"[/.]bedrock[a-z-]*\.([a-z]{2,4}(?:-[a-z]+)+-[0-9]+)\.")
_ENDS = (
    ("cn-", "amazonaws.com.cn"),
    ("eusc-", "amazonaws.eu"),
    ("us-iso-", "c2s.ic.gov"),
    ("us-isob-", "sc2s.sgov.gov"),
    ("us-isof-", "csp.hci.ic.gov"),
    ("eu-isoe-", "cloud.adc-e.uk"),
    ("", "amazonaws.com"),
)
"""Of the addresses in parts of AWS that stand apart, by how the names of their regions begin."""


def key_of(
    api_key: KeyOption,
    access_key_id: str | None,
    secret_access_key: KeyOption,
    session_token: KeyOption,
    profile: str | None,
) -> Key:
    """The key that options or variables give: options count more, and credentials among them more
    than a bearer's key among the variables.

    Raises:
        ConfigError: for options that contradict each other.
    """
    ours = access_key_id or secret_access_key or session_token or profile
    if api_key is not None and ours:
        raise ConfigError("give api_key, or AWS credentials, not both")
    if api_key is not None or (not ours and os.environ.get(_BEARER)):
        return Key(api_key, (_BEARER,))
    if profile and access_key_id:
        raise ConfigError("give a profile, or access_key_id and secret_access_key, not both")
    return Credentials(
        secret_access_key,
        option="secret_access_key",
        name=access_key_id,
        token=session_token,
        profile=profile,
    )


def region_for(region: str | None, base_url: str | None, key: Key) -> str:
    """The region: as told, in the address, in a variable, or in the profile's file; empty where
    none is needed. An address that names one takes signatures of no other.

    Raises:
        ConfigError: if it is nowhere.
    """
    inside = _INSIDE.search(base_url or "")
    named = (os.environ.get(name) for name in _REGIONS)
    found = region or (inside[1] if inside else next(filter(None, named), None))
    if found is None and base_url and not isinstance(key, Credentials):
        return ""
    found = found or region_of(getattr(key, "profile", None))
    if found is None:
        raise ConfigError("no region is known: set AWS_REGION, or pass the option region")
    if not re.fullmatch("[a-z0-9-]+", found):
        raise ConfigError(f"region={found!r}: expected a name as us-east-1")
    return found


def address(plane: str, region: str) -> str:
    """Where a plane of the service is, `bedrock-runtime` or `bedrock`."""
    end = next(end for beginning, end in _ENDS if region.startswith(beginning))
    fips = "-fips" if os.environ.get("AWS_USE_FIPS_ENDPOINT", "").lower() == "true" else ""
    return named_address(plane) or f"https://{plane}{fips}.{region}.{end}"


def named_address(plane: str) -> str | None:
    """Where a variable says that it is: one of its own, or that of all services."""
    own = os.environ.get(f"AWS_ENDPOINT_URL_{plane.upper().replace('-', '_')}")
    return own or os.environ.get("AWS_ENDPOINT_URL") or None


def signer(
    region: str,
) -> Callable[[Secret, str, str, Mapping[str, str], bytes], Mapping[str, str]]:
    """Signs requests with what `Credentials` gives; `Http` has it done at the last moment."""

    def sign(
        secret: Secret, method: str, url: str, headers: Mapping[str, str], body: bytes
    ) -> dict[str, str]:
        shown = [(name, one) for name, one in headers.items() if _is_signed(name.lower())]
        now = datetime.now(UTC)
        return signed(method, url, shown, body, credentials_in(secret), region, SERVICE, now)

    return sign


def _is_signed(name: str) -> bool:
    """Proxies may change the others."""
    return name in {"host", "content-type"} or name.startswith("x-amz")
