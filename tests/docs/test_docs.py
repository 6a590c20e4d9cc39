"""What README and docs say is so: blocks run, links lead somewhere, the reference is in step.

How a block is checked stands in its info string:

- `python`: the blocks of a page run in order, as one program, in a process and folder of its own;
- `python stub`: only its syntax;
- `python from PATH`: stands in that file of the repository, word for word;
- `sh`: runs with bash where `docs` and `plugins` can be reached; lines that install something
  must be in `INSTALLATIONS`, and are left to CI, but for editable installations of what the page
  itself has written, which are played;
- `text output`: exactly what the block before it prints;
- `toml`, `json`, `jsonl`: parses;
- `text`: nothing.

Any other is an error.
"""

from __future__ import annotations

import importlib
import json
import os
import re
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Callable, Iterable, Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from markdown_it import MarkdownIt
from markdown_it.token import Token

from llmmw._plugins import Plugins

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
REFERENCE = DOCS / "reference"
RUNNER = Path(__file__).with_name("run_page.py")
MAKE_REFERENCE = DOCS / "make_reference.py"
DOORS = [
    "llmmw",
    "llmmw.aio",
    "llmmw.errors",
    "llmmw.flow",
    "llmmw.plugin",
    "llmmw.policies",
    "llmmw.sim",
    "llmmw.sync",
    "llmmw.testing",
    "llmmw.wire",
]
PAGES = [ROOT / "README.md", *sorted(DOCS.rglob("*.md"))]

# The lines that install something; none is run here. CI runs the second command of README, and
# the first one is tried in an empty container before a release.
INSTALLATIONS = {
    "python3 -m venv .venv && . .venv/bin/activate",
    "python3 -m pip install . ./plugins/llmmw-local"
    " && llmmw map docs/examples/questions.jsonl -o answers.jsonl",
    "python3 -m pip install tox && python3 -m tox",
    "python3 -m pip install . ./plugins/llmmw-openai",
    "python3 -m pip install . ./plugins/llmmw-local ./plugins/llmmw-echo",
    "python3 -m pip install -U pip && python3 -m pip install -r plugins/editable.txt --group dev",
    "python3 -m pip install -e ./llmmw-shout",
}
PLAYED = re.compile(r"python3 -m pip install -e (\./llmmw-\w+)")
INSTALLS = re.compile(r"\b(pip|venv|tox|uv|conda|apt|apt-get|brew)\b")
NEEDS = {
    "llmmw_echo": re.compile(r"\becho:"),
    "llmmw_local": re.compile(r"\blocal:|llmmw local\b"),
    "llmmw_mistral": re.compile(r"\bmistral:"),
    "llmmw_ollama": re.compile(r"\bollama:"),
    "llmmw_openai": re.compile(r"\b(openai|together|vllm):"),
    "llmmw_redis": re.compile(r"\bllmmw_redis\b"),
    "llmmw_semantic": re.compile(r"\bllmmw_semantic\b"),
    "llmmw_substrate": re.compile(r"\bllmmw_substrate\b"),
}


class Block(NamedTuple):
    """A fenced block: its info string, its text, the line of its fence."""

    info: str
    code: str
    line: int


def tokens_of(text: str) -> list[Token]:
    return MarkdownIt("commonmark").enable("table").parse(text)


def blocks_of(text: str) -> list[Block]:
    return [
        Block(" ".join(token.info.split()), token.content, (token.map or [0])[0] + 1)
        for token in tokens_of(text)
        if token.type in {"fence", "code_block"}
    ]


# Blocks.


def parses(parse: Callable[[str], Any]) -> Callable[[Block], Iterator[str]]:
    def check(block: Block) -> Iterator[str]:
        try:
            parse(block.code)
        except (ValueError, SyntaxError) as error:
            yield f"line {block.line}: {block.info} does not parse: {error}"

    return check


def check_shell(block: Block) -> Iterator[str]:
    for line in block.code.splitlines():
        if INSTALLS.search(line) and line not in INSTALLATIONS:
            yield f"line {block.line}: not in INSTALLATIONS: {line}"


def check_excerpt(block: Block) -> Iterator[str]:
    path = block.info.removeprefix("python from ")
    source = ROOT / path
    if not source.is_file() or block.code not in source.read_text("utf-8"):
        yield f"line {block.line}: does not stand in {path}"


CHECKS: dict[str, Callable[[Block], Iterable[str]]] = {
    "python": parses(lambda code: compile(code, "block", "exec")),
    "python stub": parses(lambda code: compile(code, "block", "exec")),
    "sh": check_shell,
    "toml": parses(tomllib.loads),
    "json": parses(json.loads),
    "jsonl": parses(lambda code: [json.loads(line) for line in code.splitlines()]),
    "text": lambda block: (),
    "text output": lambda block: (),
}


def wrong_blocks(text: str) -> list[str]:
    """What is wrong with the blocks of a page as they stand."""
    found: list[str] = []
    before = ""
    for block in blocks_of(text):
        if block.info.startswith("python from "):
            found += check_excerpt(block)
        elif block.info not in CHECKS:
            found.append(f"line {block.line}: nobody checks a block of kind {block.info!r}")
        else:
            found += CHECKS[block.info](block)
        if block.info == "text output" and before not in {"python", "sh"}:
            found.append(f"line {block.line}: output of nothing, it follows {before!r}")
        before = block.info
    return found


def runnable(block: Block) -> str:
    """What of a block is run."""
    if block.info != "sh":
        return block.code
    return "".join(f"{_runnable(line)}\n" for line in block.code.splitlines())


def _runnable(line: str) -> str:
    if line not in INSTALLATIONS:
        return line
    played = PLAYED.fullmatch(line)
    return f'python "{RUNNER}" --install {played[1]}' if played else ""


def wrong_runs(name: str, text: str, folder: Path) -> list[str]:
    """What goes wrong when the blocks of a page are run."""
    blocks = blocks_of(text)
    run = [block for block in blocks if block.info in {"python", "sh"} and runnable(block).strip()]
    if not run:
        return []
    rows = [{"kind": b.info, "code": runnable(b), "line": b.line} for b in run]
    told = run_page({"name": name, "blocks": rows}, folder)
    found = [f"line {row['line']}: {row['error']}" for row in told if row["error"]]
    printed = {row["line"]: row["printed"] for row in told if not row["error"]}
    for block, after in pairwise(blocks):
        said = printed.get(block.line)
        if after.info != "text output" or said is None:
            continue
        if said.rstrip() != after.code.rstrip():
            found.append(
                f"line {after.line}: another output:\n{said}\nthe page says:\n{after.code}"
            )
    return found


def run_page(job: dict[str, Any], folder: Path) -> list[dict[str, Any]]:
    """Run a job of `run_page.py` in an empty folder from which the repository can be seen."""
    work = folder / "work"
    work.mkdir()
    for name in ("docs", "plugins"):
        (work / name).symlink_to(ROOT / name)
    site = folder / "site"
    site.mkdir()
    (folder / "job.json").write_text(json.dumps(job), encoding="utf-8")
    mine = {k: v for k, v in os.environ.items() if not k.startswith("LLMMW_") or k == "LLMMW_CACHE"}
    mine["PATH"] = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")])
    mine["XDG_CONFIG_HOME"] = str(folder / "config")
    mine["PYTHONPATH"] = str(site)
    mine["PYTHONDONTWRITEBYTECODE"] = "1"  # a file may be written twice within a second
    command = [sys.executable, "-W", "error", str(RUNNER)]
    done = subprocess.run(
        [*command, str(folder / "job.json"), str(folder / "result.json")],
        cwd=work,
        env=mine,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    result: list[dict[str, Any]] = json.loads((folder / "result.json").read_text("utf-8"))
    return result


def marked(page: Path) -> Any:
    """A page as a parameter, marked if it needs plugins."""
    code = "".join(runnable(b) for b in blocks_of(page.read_text("utf-8")) if b.info != "text")
    needs = [module for module, sign in NEEDS.items() if sign.search(code)]
    marks = [pytest.mark.plugins] if needs else []
    return pytest.param(page, needs, marks=marks, id=str(page.relative_to(ROOT)))


@pytest.mark.parametrize("page", PAGES, ids=[str(page.relative_to(ROOT)) for page in PAGES])
def test_every_block_can_be_checked(page: Path) -> None:
    assert wrong_blocks(page.read_text("utf-8")) == []


@pytest.mark.parametrize(("page", "needs"), [marked(page) for page in PAGES])
def test_every_page_runs(page: Path, needs: list[str], tmp_path: Path) -> None:
    for module in needs:
        name = module.replace("_", "-")
        pytest.importorskip(module, reason=f"the page uses {name}, which is not installed")
    assert wrong_runs(page.name, page.read_text("utf-8"), tmp_path) == []


def test_every_installation_stands_in_some_page() -> None:
    lines = {line for page in PAGES for line in page.read_text("utf-8").splitlines()}
    assert lines >= INSTALLATIONS


@pytest.mark.parametrize(
    ("page", "wrong"),
    [
        ("```python\n1 +\n```", "python does not parse"),
        ("```python stub\ndef f(: ...\n```", "python stub does not parse"),
        ("```toml\na = \n```", "toml does not parse"),
        ("```json\n{\n```", "json does not parse"),
        ('```jsonl\n{"a": 1}\n{\n```', "jsonl does not parse"),
        ("```pyhton\n1\n```", "nobody checks a block of kind 'pyhton'"),
        ("```\n1\n```", "nobody checks a block of kind ''"),
        ("Text.\n\n    indented = 1\n", "nobody checks a block of kind ''"),
        ("```sh\npip install llmmw\n```", "not in INSTALLATIONS"),
        ("```text output\n1\n```", "output of nothing"),
        ("```python from docs/none.py\n1\n```", "does not stand in docs/none.py"),
        ("```python from docs/make_reference.py\nnothing_like_it\n```", "does not stand in"),
        ("```toml\na = 1\n```\n\n```text output\n1\n```", "output of nothing"),
        ("- item\n\n  ```toml\n  a = \n  ```", "toml does not parse"),
    ],
)
def test_a_wrong_block_is_found(page: str, wrong: str) -> None:
    (found,) = wrong_blocks(page)
    assert wrong in found


@pytest.mark.parametrize(
    ("page", "wrong"),
    [
        ("```python\nimport nothing_like_it\n```", "nothing_like_it"),
        ("```python\na = 1\n```\n\n```python\nassert a == 2\n```", "AssertionError"),
        ("```python\nprint(1)\n```\n\n```text output\n2\n```", "another output"),
        ("```sh\necho 1\n```\n\n```text output\n2\n```", "another output"),
        ("```sh\necho 1\n```\n\n```text output\n```", "another output"),
        ("```sh\nfalse\ntrue\n```", "exit status 1"),
        ("```sh\nfalse | true\n```", "exit status 1"),
        ("```sh\nllmmw nothing\n```", "nothing"),
        ("```python\nraise SystemExit\n```", "SystemExit"),
        ("```python\nimport warnings\nwarnings.warn('old', DeprecationWarning)\n```", "old"),
    ],
)
def test_a_wrong_run_is_found(page: str, wrong: str, tmp_path: Path) -> None:
    (found,) = wrong_runs("page.md", page, tmp_path)
    assert wrong in found


def test_a_page_is_one_program_in_a_folder_of_its_own(tmp_path: Path) -> None:
    page = """
```python
from pathlib import Path
Path("written.txt").write_text("seen")
```
```sh
cat written.txt && head -c 1 docs/index.md
```
```text output
seen#
```
```python
print(Path("written.txt").read_text())
```
```text output
seen
```
"""
    assert wrong_runs("page.md", page, tmp_path) == []
    assert not Path("written.txt").exists()


# Links.


def anchors_of(text: str) -> set[str]:
    """The anchors of a page's headings, as repositories make them."""
    tokens = tokens_of(text)
    headings = (b.content for a, b in pairwise(tokens) if a.tag[:1] == "h")
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def links_of(text: str) -> list[str]:
    inner = (child for token in tokens_of(text) for child in token.children or [])
    return [str(token.attrs["href"]) for token in inner if token.type == "link_open"]


def wrong_links(page: Path) -> list[str]:
    """The links of a page to files or headings that are not there."""
    found = []
    for link in links_of(page.read_text("utf-8")):
        place, _, anchor = link.partition("#")
        target = (page.parent / place).resolve() if place else page
        if re.match(r"[a-z]+:", link):
            continue
        if not target.exists():
            found.append(f"{link}: there is no such file")
        elif anchor and anchor not in anchors_of(target.read_text("utf-8")):
            found.append(f"{link}: there is no such heading")
    return found


def reachable(start: Path) -> set[Path]:
    """The pages that links lead to from a page."""
    seen: set[Path] = set()
    waiting = [start]
    while waiting:
        page = waiting.pop()
        if page not in seen and page.suffix == ".md" and page.is_file():
            seen.add(page)
            places = (link.partition("#")[0] for link in links_of(page.read_text("utf-8")))
            waiting += [(page.parent / place).resolve() for place in places if place]
    return seen


@pytest.mark.parametrize("page", PAGES, ids=[str(page.relative_to(ROOT)) for page in PAGES])
def test_every_link_leads_somewhere(page: Path) -> None:
    assert wrong_links(page) == []


def test_every_page_can_be_reached_from_the_readme() -> None:
    assert {page.resolve() for page in PAGES} - reachable((ROOT / "README.md").resolve()) == set()


def test_a_wrong_link_is_found(tmp_path: Path) -> None:
    (tmp_path / "other.md").write_text("# A `heading`, here\n")
    page = tmp_path / "page.md"
    page.write_text("[a](other.md) [b](other.md#a-heading-here) [c](#none) [d](gone.md)\n")
    assert [found.split(":")[0] for found in wrong_links(page)] == ["#none", "gone.md"]
    assert reachable(page) == {page, tmp_path / "other.md"}


# Hosts.


@pytest.mark.plugins
def test_every_host_stands_in_the_table_of_keys() -> None:
    from llmmw_openai._presets import PRESETS

    text = (DOCS / "how-to/keys.md").read_text("utf-8")
    rows = {
        row[0]: row[1:]
        for row in re.findall(r"^\| `(\S+)` \| (.*) \| (.*) \|$", text, re.MULTILINE)
    }
    assert list(rows) == list(PRESETS)
    for name, preset in PRESETS.items():
        keys, url = (re.findall(r"`(\w+)`", cell) for cell in rows[name])
        assert keys == [*preset.keys, *re.findall(r"{(\w+)}", preset.base_url)]
        assert url == [re.sub(r"\W", "_", preset.host).upper() + "_BASE_URL"]


# The reference.


def make_reference(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(MAKE_REFERENCE), *arguments]
    return subprocess.run(command, capture_output=True, text=True)


def headings() -> set[str]:
    return {a for page in REFERENCE.glob("*.md") for a in anchors_of(page.read_text("utf-8"))}


def without_heading(names: Iterable[str]) -> list[str]:
    known = headings()
    return sorted(name for name in names if name.lower() not in known)


def core_names() -> set[str]:
    """What `llmmw plugins` prints of the core."""
    listing = [one for one in Plugins().listing() if one.distribution == "llmmw"]
    classes = {"memory": "MemoryStore", "sqlite": "SqliteStore"}
    return {classes.get(one.name, one.name) for one in listing}


def variables() -> set[str]:
    """The environment variables that the code reads."""
    code = [*(ROOT / "llmmw").rglob("*.py"), *ROOT.glob("plugins/*/llmmw_*/**/*.py")]
    return {
        name for path in code for name in re.findall(r"LLMMW_[A-Z_]+\b", path.read_text("utf-8"))
    }


def test_the_reference_is_in_step_with_the_code() -> None:
    done = make_reference("--check")
    assert done.returncode == 0, f"run docs/make_reference.py: {done.stderr}"


@pytest.mark.parametrize("door", DOORS)
def test_every_public_name_has_a_heading(door: str) -> None:
    assert without_heading(importlib.import_module(door).__all__) == []


def test_every_name_that_the_core_registers_has_a_heading() -> None:
    assert core_names() >= {"retry", "timeout", "ask", "map", "plugins"}
    assert without_heading(core_names()) == []


def test_every_environment_variable_has_a_heading() -> None:
    assert variables() >= {"LLMMW_BLOCK", "LLMMW_MODEL"}
    assert without_heading(variables()) == []


def test_a_name_without_heading_is_found() -> None:
    assert without_heading(["Client", "Cleint"]) == ["Cleint"]


def test_a_stale_reference_is_found(tmp_path: Path) -> None:
    copy = tmp_path / "reference"
    shutil.copytree(REFERENCE, copy)
    assert make_reference("--check", "--folder", str(copy)).returncode == 0
    changed = copy / "client.md"
    changed.write_text(changed.read_text("utf-8").replace("timeout", "time"), "utf-8")
    (copy / "errors.md").unlink()
    (copy / "old.md").write_text("# Old\n")
    done = make_reference("--check", "--folder", str(copy))
    assert done.returncode == 1
    assert done.stderr.strip().endswith("client.md, errors.md, old.md")
    assert make_reference("--folder", str(copy)).returncode == 0
    assert make_reference("--check", "--folder", str(copy)).returncode == 0
