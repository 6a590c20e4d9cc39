"""Each test has a registry of its own."""

from collections.abc import Iterator
from importlib.util import find_spec

import pytest

from llmmw.flow import Registry, registry

# What these import is not there where the library is tested alone.
collect_ignore = [
    *([] if find_spec("llmmw_llm_engine") else ["test_engine_rules.py"]),
    *([] if find_spec("llmmw_substrate") else ["test_substrate_junk.py", "test_substrate_wire.py"]),
]


@pytest.fixture(autouse=True)
def own_registry() -> Iterator[Registry]:
    with registry() as own:
        yield own
