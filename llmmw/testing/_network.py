"""No network: whatever wants to reach another machine than this one is told no, and noted."""

from __future__ import annotations

import ipaddress
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

__all__ = ["NetworkBlocked", "no_network"]

_CONNECTING = ("connect", "connect_ex", "sendto", "sendmsg")


class NetworkBlocked(Exception):
    """A test wanted to reach another machine. It is no error of the line, so that no retry or
    fallback takes it for one."""


@contextmanager
def no_network() -> Iterator[list[NetworkBlocked]]:
    """Nothing but this machine can be reached from Python's sockets; the list has what tried."""
    tried: list[NetworkBlocked] = []
    before = {name: getattr(socket.socket, name) for name in _CONNECTING}
    look_up = socket.getaddrinfo

    def check(host: Any, what: str) -> None:
        if not _is_here(host):
            blocked = NetworkBlocked(
                f"the test wanted to reach {what}: simulate it (SimulatedProvider, open_server), "
                "or mark the test with @pytest.mark.network"
            )
            tried.append(blocked)
            raise blocked

    def guarded(name: str) -> Callable[..., Any]:
        def guard(self: socket.socket, *args: Any, **options: Any) -> Any:
            # sendmsg has its address last of four, the others have it last.
            address = args[-1] if name != "sendmsg" or len(args) > 3 else None
            if self.family in {socket.AF_INET, socket.AF_INET6} and isinstance(address, tuple):
                check(address[0], f"{address[0]} port {address[1]}")
            return before[name](self, *args, **options)

        return guard

    def guarded_look_up(host: Any, port: Any, *args: Any, **options: Any) -> Any:
        if not _is_number(host):  # a number needs no look-up, and is checked when it is used
            check(host, f"{_text(host)} port {port}")
        return look_up(host, port, *args, **options)

    for name in _CONNECTING:
        setattr(socket.socket, name, guarded(name))
    socket.getaddrinfo = guarded_look_up
    try:
        yield tried
    finally:
        socket.getaddrinfo = look_up
        for name, method in before.items():
            setattr(socket.socket, name, method)


def _text(host: Any) -> str:
    return host.decode("ascii", "replace") if isinstance(host, bytes) else str(host)


def _is_number(host: Any) -> bool:
    try:
        ipaddress.ip_address(_text(host).partition("%")[0])
    except ValueError:
        return False
    return True


def _is_here(host: Any) -> bool:
    if host is None or _text(host) in {"", "localhost"}:
        return True
    if not _is_number(host):
        return _text(host).endswith(".localhost")
    address = ipaddress.ip_address(_text(host).partition("%")[0])
    mapped = getattr(address, "ipv4_mapped", None)
    address = mapped if mapped is not None else address
    return address.is_loopback or address.is_unspecified
