"""The house: public names, floors, packaging. What the text promises, the tree keeps."""

import ast
import importlib
import inspect
import tomllib
from pathlib import Path

import pytest

import llmmw

ROOT = Path(__file__).parents[2]
CORE = Path(llmmw.__file__).parent
DOORS = [
    "llmmw",
    "llmmw.errors",
    "llmmw.plugin",
    "llmmw.policies",
    "llmmw.sim",
    "llmmw.stores",
    "llmmw.testing",
]


def plugin_projects() -> list[Path]:
    return sorted(ROOT.glob("plugins/*/pyproject.toml"))


def project(path: Path) -> dict:
    return tomllib.loads(path.read_text())["project"]


@pytest.mark.parametrize("door", DOORS)
def test_a_door_exports_what_it_lists_and_nothing_else(door: str) -> None:
    module = importlib.import_module(door)
    assert list(module.__all__) == sorted(module.__all__)
    assert len(set(module.__all__)) == len(module.__all__)
    for name in module.__all__:
        found = getattr(module, name)
        if inspect.isclass(found) or inspect.isfunction(found):
            assert found.__doc__, f"{door}.{name} has no docstring"
    path = Path(module.__file__ or "")
    exported = {
        alias.asname
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
        if alias.asname == alias.name
    }
    assert exported - {"errors", "policies"} <= set(module.__all__)


def test_star_import_and_dir_agree() -> None:
    assert set(llmmw.__all__) <= set(dir(llmmw))
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = llmmw.nothing
    assert llmmw.errors.LLMError
    assert llmmw.policies.Retry is llmmw.Retry


def test_every_error_says_what_to_do() -> None:
    for name in llmmw.errors.__all__:
        assert len(getattr(llmmw.errors, name).__doc__) > 40, name


def test_every_policy_is_registered_and_named_after_its_file() -> None:
    files = {path.stem for path in (CORE / "policies").glob("[!_]*.py")}
    groups = project(ROOT / "pyproject.toml")["entry-points"]
    assert set(groups["llmmw.middleware"]) == files
    commands = {path.stem.replace("_", "-") for path in (CORE / "cli").glob("[!_]*.py")}
    beside = {"laws"}  # in the kit, which needs Hypothesis
    assert set(groups["llmmw.command"]) == commands | beside


def test_every_store_is_registered_and_named_after_its_file() -> None:
    files = {path.stem for path in (CORE / "stores").glob("[!_]*.py")}
    assert set(project(ROOT / "pyproject.toml")["entry-points"]["llmmw.store"]) == files


def test_every_policy_opens_with_its_law() -> None:
    for path in (CORE / "policies").glob("[!_]*.py"):
        assert ast.get_docstring(ast.parse(path.read_text())).startswith("Law: "), path


def test_versions_are_in_lockstep() -> None:
    core = project(ROOT / "pyproject.toml")
    series = ".".join(core["version"].split(".")[:2])
    for path in plugin_projects():
        plugin = project(path)
        assert plugin["version"] == core["version"], path
        assert f"llmmw~={series}.0" in plugin["dependencies"], path
        assert set(tomllib.loads(path.read_text())) - {"tool"} == {"build-system", "project"}
        assert set(tomllib.loads(path.read_text()).get("tool", {})) <= {"hatch"}, path


def test_one_resolution_installs_everything() -> None:
    wanted = ["-e ."] + [f"-e ./plugins/{path.parent.name}" for path in plugin_projects()]
    assert (ROOT / "plugins" / "editable.txt").read_text().split("\n") == [*wanted, ""]


def modules() -> list[Path]:
    code = [*CORE.rglob("*.py"), *ROOT.glob("plugins/*/llmmw_*/**/*.py")]
    return [path for path in code if "tests" not in path.parts]


def test_files_and_functions_stay_small() -> None:
    for path in modules():
        source = path.read_text()
        assert source.count("\n") <= 350, f"{path} is longer than 350 lines"
        for node in ast.walk(ast.parse(source)):
            if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
                body = node.body[1:] if ast.get_docstring(node) else node.body
                if body:
                    lines = (body[-1].end_lineno or 0) - body[0].lineno + 1
                    assert lines <= 50, f"{path}: {node.name} has {lines} lines"


def test_policies_and_the_kit_read_no_clock_but_trios() -> None:
    for path in [*(CORE / "policies").glob("*.py"), CORE / "_attempts.py", CORE / "_listen.py"]:
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Import):
                assert not {"time", "datetime"} & {alias.name for alias in node.names}, path
