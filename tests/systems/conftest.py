"""Each test has a registry of its own."""

from collections.abc import Iterator

import pytest

from llmmw.flow import Registry, registry


@pytest.fixture(autouse=True)
def own_registry() -> Iterator[Registry]:
    with registry() as own:
        yield own
