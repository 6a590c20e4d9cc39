"""What plugins may know of each other."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

PLUGINS = Path(__file__).parents[2] / "plugins"


def private_imports(path: Path) -> list[str]:
    """The private modules of other plugins that a module imports."""
    own = path.relative_to(PLUGINS).parts[1]
    found: list[str] = []
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        names = [one.name for one in node.names] if isinstance(node, ast.Import) else []
        if isinstance(node, ast.ImportFrom) and node.module and not node.level:
            names = [node.module, *(f"{node.module}.{one.name}" for one in node.names)]
        for name in names:
            package, *parts = name.split(".")
            is_private = any(one.startswith("_") for one in parts)
            if package.startswith("llmmw_") and package != own and is_private:
                found.append(name)
    return found


@pytest.mark.parametrize("plugin", sorted(one.name for one in PLUGINS.iterdir() if one.is_dir()))
def test_a_plugin_imports_no_private_module_of_another_one(plugin):
    modules = [*PLUGINS.glob(f"{plugin}/llmmw*/**/*.py")]
    found = {str(path.relative_to(PLUGINS)): private_imports(path) for path in modules}
    assert {path: names for path, names in found.items() if names} == {}
