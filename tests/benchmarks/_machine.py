"""The machine: which cores are whose, and how many files may be open."""

from __future__ import annotations

import os
import platform
import resource
from functools import partial
from pathlib import Path
from typing import Any

__all__ = ["CLIENT", "SERVER", "describe", "open_many", "pinned", "stolen"]


def _cores() -> list[int]:
    return sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else []


_FOUND = _cores()
CLIENT: int | None = _FOUND[0] if len(_FOUND) > 1 else None
"""The core of all clients; `None` where there is but one, or none can be chosen."""
SERVER: int | None = _FOUND[1] if len(_FOUND) > 1 else None
"""The core of all servers."""


def pinned(core: int | None) -> dict[str, Any]:
    """Arguments that pin a child process to a core."""
    return {} if core is None else {"preexec_fn": partial(os.sched_setaffinity, 0, {core})}


def open_many() -> int:
    """Let this process and its children open as many files as they may; how many that is."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    return most


def stolen() -> float:
    """Seconds that other machines have taken of the cores that are used here, where this one is
    virtual and its system tells."""
    place = Path("/proc/stat")
    if CLIENT is None or SERVER is None or not place.exists():
        return 0.0
    rows = [line.split() for line in place.read_text().splitlines()]
    ours = {f"cpu{CLIENT}", f"cpu{SERVER}"}
    return sum(int(row[_STOLEN]) for row in rows if row[0] in ours) / os.sysconf("SC_CLK_TCK")


_STOLEN = 8
"""The column of /proc/stat, behind the core's name."""


def describe() -> dict[str, str]:
    """What the measures were taken on."""
    lines = Path("/proc/cpuinfo").read_text().splitlines() if Path("/proc/cpuinfo").exists() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return {
        "processor": names[0] if names else platform.processor(),
        "cores": str(os.cpu_count()),
        "system": platform.platform(),
        "python": platform.python_version(),
        "client's core": "not pinned" if CLIENT is None else str(CLIENT),
        "server's core": "not pinned" if SERVER is None else str(SERVER),
        "load before": f"{os.getloadavg()[0]:.2f}",
    }
