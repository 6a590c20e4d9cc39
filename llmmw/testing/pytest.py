"""A pytest plugin: async tests run under trio. Opt in with `-p llmmw.testing.pytest`."""

from __future__ import annotations

import inspect

import pytest
import trio
import trio.testing

__all__ = ["pytest_configure", "pytest_pyfunc_call"]

_REAL_SECONDS = 120.0
_VIRTUAL_SECONDS = 1e5


def pytest_configure(config: pytest.Config) -> None:
    """Make the mark known."""
    config.addinivalue_line("markers", "virtual: runs on a clock that jumps when all tasks wait")


@pytest.hookimpl(tryfirst=True)
def pytest_pyfunc_call(pyfuncitem: pytest.Function) -> bool | None:
    """Run an async test with trio; with the mark `virtual`, in virtual time.

    A test that hangs fails after 120 real or 100,000 virtual seconds.
    """
    test = pyfuncitem.obj
    if not inspect.iscoroutinefunction(test):
        return None
    arguments = {name: pyfuncitem.funcargs[name] for name in inspect.signature(test).parameters}
    virtual = pyfuncitem.get_closest_marker("virtual") is not None
    clock = trio.testing.MockClock(autojump_threshold=0) if virtual else None

    async def bounded() -> None:
        with trio.fail_after(_VIRTUAL_SECONDS if virtual else _REAL_SECONDS):
            await test(**arguments)

    trio.run(bounded, clock=clock)
    return True
