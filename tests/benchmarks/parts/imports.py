"""How long a fresh interpreter takes to import something, beyond an empty one."""

from __future__ import annotations

import os
import subprocess
import time
from contextlib import suppress
from functools import partial

from tests.benchmarks._bench import Bench, Row
from tests.benchmarks._machine import CLIENT, pinned
from tests.benchmarks._measure import medians
from tests.benchmarks._peers import HERE, Missing

_IMPORTS = [
    ("nothing", HERE, "pass"),
    ("trio", HERE, "import trio"),
    ("httpx", HERE, "import httpx"),
    ("llmmw", HERE, "import llmmw"),
    ("llmmw.Client", HERE, "from llmmw import Client"),
    ("openai", "clients", "import openai"),
    ("anthropic", "clients", "import anthropic"),
    ("langchain_openai", "clients", "import langchain_openai"),
    ("litellm", "litellm", "import litellm"),
]


def _taken(python: str, code: str) -> float:
    environ = os.environ | {"LITELLM_LOCAL_MODEL_COST_MAP": "True"}
    started = time.perf_counter()
    subprocess.run([python, "-c", code], check=True, env=environ, **pinned(CLIENT))
    return (time.perf_counter() - started) * 1e3


def run(bench: Bench) -> list[Row]:
    """Compare all, warm."""
    runs = {}
    for name, env, code in _IMPORTS:
        with suppress(Missing):  # this was said at the beginning
            runs[name] = partial(_taken, bench.peers.python(env), code)
    taken = medians(runs, bench.rounds)
    added = {name: each - taken["nothing"] for name, each in taken.items() if name != "nothing"}
    return [
        {"import": name, "ms": each, "x llmmw.Client": each / added["llmmw.Client"]}
        for name, each in added.items()
    ]
