"""The table of who has which verbs is true."""

from __future__ import annotations

import importlib
import pkgutil
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from llmmw import plugin

PAGE = Path(__file__).parents[2] / "docs/how-to/administer.md"
GROUPS = {
    plugin.Models: "list get create update delete pull download",
    plugin.Files: "list get upload download delete",
    plugin.FineTunes: "list get create cancel delete events checkpoints",
    plugin.Batches: "list get create submit update cancel delete results",
}
OWN_NAMES = {(plugin.Models, "download"): "links", (plugin.Files, "download"): "content"}


def rows() -> Iterator[tuple[str, list[str]]]:
    for line in PAGE.read_text("utf-8").splitlines():
        found = re.match(r"\| `(\S+)`[^|]* \|(.*)\|$", line)
        if found:
            yield found[1], [cell.strip() for cell in found[2].split("|")]


def told(cell: str, verbs: list[str]) -> set[str]:
    """The verbs that a cell names."""
    if cell == "none":
        return set()
    if cell.startswith("all"):
        return set(verbs) - set(cell.removeprefix("all").removeprefix(" but ").split(", "))
    return set(cell.split(", "))


def had(module: str, base: type) -> set[str]:
    """The verbs that a plugin has."""
    package = importlib.import_module(module)
    for one in pkgutil.iter_modules(package.__path__):
        importlib.import_module(f"{module}.{one.name}")
    waiting, found = [base], set()
    while waiting:
        kind = waiting.pop()
        waiting += kind.__subclasses__()
        if kind.__module__.startswith(f"{module}."):
            for verb in GROUPS[base].split():
                name = OWN_NAMES.get((base, verb), verb)
                if getattr(kind, name) is not getattr(base, name):
                    found.add(verb)
    return found


@pytest.mark.plugins
@pytest.mark.parametrize(("host", "cells"), list(rows()), ids=lambda one: str(one)[:12])
def test_the_table_names_the_verbs_of_each_host(host: str, cells: list[str]) -> None:
    for (base, verbs), cell in zip(GROUPS.items(), cells, strict=True):
        assert told(cell, verbs.split()) == had(f"llmmw_{host.replace('-', '_')}", base), base


@pytest.mark.plugins
def test_every_plugin_with_verbs_stands_in_the_table() -> None:
    names = {one.name for one in pkgutil.iter_modules() if one.name.startswith("llmmw_")}
    having = {name for name in names if any(had(name, base) for base in GROUPS)}
    assert having == {f"llmmw_{host.replace('-', '_')}" for host, _ in rows()}
