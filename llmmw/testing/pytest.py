"""A pytest plugin: async tests run under trio, and reach no network. Opt in with
`-p llmmw.testing.pytest`, or in the top `conftest.py` with
`pytest_plugins = ["llmmw.testing.pytest"]`.

- `@pytest.mark.virtual`: the test runs in virtual time.
- `@pytest.mark.network`: the test may reach other machines. Any other test that tries, in its
  fixtures or by itself, fails with what it wanted to reach.
- A client among the arguments of an async test, from whatever fixture, is open while it runs.
- `simulated_provider`: a `SimulatedProvider` to be scripted; `simulated_client`: a `Client` of it
  with the default stack, whose target is `sim:a`.
"""

from __future__ import annotations

import inspect
from collections.abc import Generator
from contextlib import AsyncExitStack

import pytest
import trio
import trio.testing

from llmmw._session import Client
from llmmw.sim import SimulatedProvider
from llmmw.testing._network import NetworkBlocked, no_network

__all__ = [
    "pytest_configure",
    "pytest_pyfunc_call",
    "pytest_runtest_call",
    "pytest_runtest_setup",
    "pytest_runtest_teardown",
    "simulated_client",
    "simulated_provider",
]

_REAL_SECONDS = 120.0
_VIRTUAL_SECONDS = 1e5


def pytest_configure(config: pytest.Config) -> None:
    """Make the marks known."""
    config.addinivalue_line("markers", "virtual: runs on a clock that jumps when all tasks wait")
    config.addinivalue_line("markers", "network: may reach other machines")


@pytest.fixture
def simulated_provider() -> SimulatedProvider:
    """A provider with no script yet: `simulated_provider.scripts = {"a": "hello"}`."""
    return SimulatedProvider()


@pytest.fixture
def simulated_client(simulated_provider: SimulatedProvider) -> Client:
    """A client of the simulated provider, open while an async test runs; its target is `sim:a`.
    `simulated_client.replace("sim:a", "sim:b", stack=…)` has other targets and another stack."""
    return Client("sim:a", providers=[simulated_provider])


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
            async with AsyncExitStack() as opened:
                for given in arguments.values():
                    if isinstance(given, Client):
                        await opened.enter_async_context(given)
                await test(**arguments)

    trio.run(bounded, clock=clock)
    return True


def _alone(item: pytest.Item) -> Generator[None, object, object]:
    """Run a phase of a test without network; fail it if it wanted some, whatever became of that."""
    if item.get_closest_marker("network") is not None:
        return (yield)
    result: object = None
    ended: BaseException | None = None
    with no_network() as tried:
        try:
            result = yield
        except (Exception, pytest.skip.Exception, pytest.fail.Exception) as error:
            if not tried or error in tried:
                raise
            ended = error
    if tried:
        raise NetworkBlocked(*tried[0].args) from ended
    return result


@pytest.hookimpl(wrapper=True)
def pytest_runtest_setup(item: pytest.Item) -> Generator[None, object, object]:
    """Fixtures are set up without network."""
    return (yield from _alone(item))


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Item) -> Generator[None, object, object]:
    """Tests run without network."""
    return (yield from _alone(item))


@pytest.hookimpl(wrapper=True)
def pytest_runtest_teardown(item: pytest.Item) -> Generator[None, object, object]:
    """Fixtures are torn down without network."""
    return (yield from _alone(item))
