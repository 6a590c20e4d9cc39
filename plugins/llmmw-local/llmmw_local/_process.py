"""The engines of this process: shared by providers, stopped at exit, left behind by a fork."""

from __future__ import annotations

import atexit
import ctypes
import os
import threading
from pathlib import Path

from llmmw_local._engine import Engine, never_free
from llmmw_local._server import EngineOptions

__all__ = ["lease_engine", "return_engine"]

_engines: dict[tuple[Path, EngineOptions], Engine] = {}
_engines_lock = threading.Lock()


def lease_engine(path: Path, options: EngineOptions) -> Engine:
    """The process's engine for a file and options; give it back with `return_engine`."""
    with _engines_lock:
        engine = _engines.setdefault((path, options), Engine(path, options))
        engine.leases += 1
        return engine


def return_engine(engine: Engine) -> bool:
    """Give a lease back; whether it was the last, so that the engine must be closed."""
    with _engines_lock:
        engine.leases -= 1
        last = engine.leases == 0 and not engine.lost
        if last:
            del _engines[engine.path, engine.options]
        return last


@atexit.register
def _leave() -> None:
    """Nothing may be inside an engine when the interpreter ends: the process would abort."""
    for engine in list(Engine.live):
        engine.close()


def _forked() -> None:
    """In a forked child the parent's engines have no threads: forget them, never free them."""
    global _engines_lock
    if Engine.live and not Engine.inherited:
        Engine.inherited = True
        _leave_at_once()
    for engine in Engine.live:
        engine.lost = True
        never_free(engine._server)  # noqa: SLF001
    Engine.live.clear()
    _engines.clear()
    _engines_lock = threading.Lock()


def _leave_at_once() -> None:
    """Let this process skip the destructors of C++ when it exits.

    llama.cpp's waits for a thread that only the parent has, whether or not the child ever uses an
    engine. Python's own exit is over by then. glibc hands the status to its exit handlers;
    elsewhere nothing is changed.
    """
    libc = ctypes.CDLL(None)
    if hasattr(libc, "on_exit"):
        libc.on_exit(libc._exit, None)  # noqa: SLF001


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forked)
