"""Which hosts are asked by way of a proxy, as the environment has it and as httpx reads that."""

from __future__ import annotations

import ipaddress
import re
import urllib.request
from contextlib import suppress

import attrs
import httpx

__all__ = ["Proxies"]


@attrs.frozen
class _Rule:
    """What holds for the addresses that fit a pattern such as `all://*example.com`."""

    url: httpx.URL
    direct: bool

    @property
    def rank(self) -> tuple[bool, int, int]:
        """The smallest decides: one with a port, then with the longest host."""
        host = "" if self.url.host == "*" else self.url.host
        scheme = "" if self.url.scheme == "all" else self.url.scheme
        return self.url.port is None, -len(host), -len(scheme)

    def fits(self, url: httpx.URL) -> bool:
        """Whether it speaks of an address."""
        scheme, host, port = self.url.scheme, self.url.host, self.url.port
        if scheme not in {"all", "", url.scheme} or port not in {None, url.port}:
            return False
        if host in {"", "*"}:
            return True
        begin = ""
        if host.startswith("*"):
            host = host[1:]
            begin, host = (r".+\.", host[1:]) if host.startswith(".") else (r"(.+\.)?", host)
        return re.match(f"^{begin}{re.escape(host)}$", url.host) is not None


@attrs.frozen
class Proxies:
    """The rules of `HTTP_PROXY`, `HTTPS_PROXY`, `ALL_PROXY` and `NO_PROXY`; of the system's
    settings on Windows and macOS."""

    rules: tuple[_Rule, ...] = attrs.field(factory=lambda: _rules())

    @staticmethod
    def named() -> bool:
        """Whether there is any proxy."""
        return not {"http", "https", "all"}.isdisjoint(urllib.request.getproxies())

    def take(self, url: httpx.URL) -> bool:
        """Whether a proxy stands before an address."""
        for rule in self.rules:
            if rule.fits(url):
                return not rule.direct
        return False


def _rules() -> tuple[_Rule, ...]:
    told = urllib.request.getproxies()
    excepted = [one.strip() for one in told.get("no", "").split(",")]
    found = {f"{scheme}://": False for scheme in ("http", "https", "all") if told.get(scheme)}
    if not found or "*" in excepted:
        return ()
    found |= {_pattern(one): True for one in excepted if one}
    rules = [_Rule(httpx.URL(pattern), direct) for pattern, direct in found.items()]
    return tuple(sorted(rules, key=lambda rule: rule.rank))


def _pattern(host: str) -> str:
    if "://" in host:
        return host
    with suppress(ValueError):
        version = ipaddress.ip_address(host.split("/")[0]).version
        return f"all://{host}" if version == 4 else f"all://[{host}]"
    return f"all://{host}" if host.lower() == "localhost" else f"all://*{host}"
