"""Read definitions out of sources, and write each as Markdown; for make_reference.py."""

from __future__ import annotations

import ast
import inspect
import re
import textwrap
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from importlib.util import find_spec
from pathlib import Path

WIDTH = 88


@dataclass(frozen=True)
class Found:
    """A definition in a source file: its node, and the text under an assignment."""

    name: str
    module: str
    node: ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef | ast.Assign | ast.AnnAssign
    text: str


@cache
def source_of(module: str) -> str:
    """The source of a module."""
    spec = find_spec(module)
    assert spec is not None
    assert spec.origin is not None
    return Path(spec.origin).read_text(encoding="utf-8")


@cache
def tree_of(module: str) -> ast.Module:
    """The parsed source of a module."""
    return ast.parse(source_of(module))


def names_of(module: str) -> list[str]:
    """The public names of a module: its `__all__`, else what it imports as itself."""
    again: list[str] = []
    for node in tree_of(module).body:
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "__all__":
            found: list[str] = ast.literal_eval(node.value)
            return found
        if isinstance(node, ast.ImportFrom):
            again += [alias.name for alias in node.names if alias.name == alias.asname]
    if not again:
        raise LookupError(f"{module} has no public names")
    return sorted(again)


def find(module: str, name: str) -> Found | None:
    """Where `name` of `module` is defined, through whatever re-exports it; `None` for modules."""
    tree = tree_of(module)
    for place, node in enumerate(tree.body):
        if isinstance(node, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            if node.name == name:
                return Found(name, module, node, ast.get_docstring(node) or "")
        elif isinstance(node, ast.Assign | ast.AnnAssign):
            target = node.targets[0] if isinstance(node, ast.Assign) else node.target
            if ast.unparse(target) == name:
                return Found(name, module, node, text_after(tree.body, place))
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.module is not None:
            for alias in node.names:
                if (alias.asname or alias.name) == name and find_spec(node.module):
                    return find(node.module, alias.name)
    return None


def code(node: ast.AST) -> str:
    """An expression as text, with the house's quotes."""
    return re.sub(r"'([^'\"\\]*)'", r'"\1"', ast.unparse(node)).replace(" ** ", "**")


def named(module: str, name: str) -> Found:
    """A definition that must be there."""
    found = find(module, name)
    if found is None:
        raise LookupError(f"{module}.{name} is not defined anywhere")
    return found


def docstring(module: str) -> str:
    """A module's docstring."""
    return ast.get_docstring(tree_of(module)) or ""


def text_after(body: Sequence[ast.stmt], place: int) -> str:
    """The string that stands right after a statement, as its documentation."""
    if place + 1 < len(body):
        node = body[place + 1]
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
            text = node.value.value
            return inspect.cleandoc(text) if isinstance(text, str) else ""
    return ""


# Docstrings as Markdown.

_SECTION = re.compile(r"^(Args|Raises|Returns):$")
_ENTRY = re.compile(r"^    (\S.*?):\s+(.*)$")


def sections(doc: str) -> tuple[str, dict[str, list[tuple[str, str]]]]:
    """A docstring's text, and its sections as lists of (name, text)."""
    text: list[str] = []
    found: dict[str, list[tuple[str, str]]] = {}
    entries: list[tuple[str, str]] | None = None
    for line in inspect.cleandoc(doc).splitlines():
        if match := _SECTION.match(line):
            entries = found[match[1]] = []
        elif entries is None or (line and not line.startswith(" ")):
            entries = None
            text.append(line)
        elif match := _ENTRY.match(line):
            entries.append((match[1], match[2]))
        elif line.strip() and entries:
            name, so_far = entries[-1]
            entries[-1] = (name, f"{so_far} {line.strip()}")
    return "\n".join(text).strip(), found


def prose(text: str) -> str:
    """Docstring text as Markdown: `::` and what is indented after it becomes a block."""
    out: list[str] = []
    lines = text.splitlines()
    while lines:
        line = lines.pop(0)
        if not line.endswith("::"):
            out.append(line)
            continue
        if line != "::":
            out.extend([line[:-1], ""])
        block: list[str] = []
        while lines and (not lines[0].strip() or lines[0].startswith(" ")):
            block.append(lines.pop(0))
        body = textwrap.dedent("\n".join(block)).strip("\n").splitlines()
        out.extend(["```text", *(row.rstrip() for row in body), "```", ""])
    return re.sub(r"\n{3,}", "\n\n", "\n".join(out)).strip()


def bullets(rows: Iterable[tuple[str, str]]) -> str:
    """A list of names with what they mean."""
    return "\n".join(f"- {name}{f' · {text}' if text else ''}" for name, text in rows)


# Signatures.


def stub(head: str, tail: str, arguments: Sequence[str]) -> str:
    """A signature in a block, on one line if it fits."""
    line = f"{head}({', '.join(arguments)}){tail}"
    if len(line) > WIDTH and arguments:
        indent = " " * (len(head) - len(head.lstrip()) + 4)
        rows = "".join(f"{indent}{argument},\n" for argument in arguments)
        line = f"{head}(\n{rows}{indent[4:]}){tail}"
    return line


def arguments_of(node: ast.FunctionDef | ast.AsyncFunctionDef) -> list[str]:
    """The arguments as they are written, one string each."""
    given = node.args
    plain = [*given.posonlyargs, *given.args]
    defaults: list[ast.expr | None] = [None] * (len(plain) - len(given.defaults))
    rows = [one(arg, value) for arg, value in zip(plain, [*defaults, *given.defaults], strict=True)]
    if given.vararg:
        rows.append(f"*{one(given.vararg, None)}")
    elif given.kwonlyargs:
        rows.append("*")
    rows += [one(a, v) for a, v in zip(given.kwonlyargs, given.kw_defaults, strict=True)]
    if given.kwarg:
        rows.append(f"**{one(given.kwarg, None)}")
    return rows


def one(arg: ast.arg, value: ast.expr | None) -> str:
    """One argument."""
    kind = f": {code(arg.annotation)}" if arg.annotation else ""
    space = " " if kind else ""
    default = f"{space}={space}{code(value)}" if value is not None else ""
    return f"{arg.arg}{kind}{default}"


def function_stub(node: ast.FunctionDef | ast.AsyncFunctionDef, indent: str = "") -> str:
    """A function's signature, with the decorators that matter to a caller."""
    marks = [code(mark) for mark in node.decorator_list]
    kept = [m for m in marks if m in {"property", "classmethod", "asynccontextmanager"}]
    word = "async def" if isinstance(node, ast.AsyncFunctionDef) else "def"
    gives = f" -> {code(node.returns)}" if node.returns else ""
    rows = [f"{indent}@{mark}" for mark in kept]
    rows.append(stub(f"{indent}{word} {node.name}", f"{gives}: ...", arguments_of(node)))
    return "\n".join(rows)


# Fields of attrs classes.


@dataclass(frozen=True)
class Field:
    """A field as it is written in a class."""

    name: str
    kind: str
    default: str | None
    init: bool
    keyword: bool
    text: str


def fields_of(node: ast.ClassDef) -> list[Field]:
    """The class's own fields in their order; for attrs classes these are its arguments."""
    keyword = any("kw_only=True" in code(mark) for mark in node.decorator_list)
    return [
        field(item, text_after(node.body, place), keyword)
        for place, item in enumerate(node.body)
        if isinstance(item, ast.AnnAssign)
    ]


def field(item: ast.AnnAssign, text: str, keyword: bool) -> Field:
    """One field."""
    name, kind = code(item.target), code(item.annotation)
    default = None if item.value is None else code(item.value)
    init = not kind.startswith("ClassVar")
    if isinstance(item.value, ast.Call) and code(item.value.func) == "attrs.field":
        given = {word.arg: word.value for word in item.value.keywords}
        default = code(given["default"]) if "default" in given else None
        if "factory" in given:
            default = made_by(given["factory"])
        init = init and code(given.get("init", ast.Constant(True))) == "True"
        keyword = keyword or "kw_only" in given
    return Field(name, kind, default, init, keyword, text)


def made_by(factory: ast.expr) -> str:
    """What a factory gives, as one would write it."""
    if isinstance(factory, ast.Lambda):
        return code(factory.body)
    name = code(factory)
    return {"dict": "{}", "list": "[]", "set": "set()"}.get(name, f"{name}()")


def is_attrs(node: ast.ClassDef) -> bool:
    """Whether attrs writes its `__init__`."""
    return any(code(mark).startswith("attrs.") for mark in node.decorator_list)


def bases_of(found: Found) -> list[Found]:
    """The classes of ours that a class is made of, the nearest first."""
    assert isinstance(found.node, ast.ClassDef)
    rows: list[Found] = []
    for base in found.node.bases:
        above = None if code(base) == "ABC" else find(found.module, code(base))
        if above is not None and isinstance(above.node, ast.ClassDef):
            rows += [above, *bases_of(above)]
    return rows


def parts_of(found: Found) -> list[ast.ClassDef]:
    """Classes that a large class is made of: its core, and what stands in further files of that
    core's name, as `ClientCore` in `_client` and what `_client_map` adds."""
    above = [one for one in bases_of(found) if isinstance(one.node, ast.ClassDef)]
    cores = [one.module for one in above if one.name == f"{found.name}Core"]
    near = tuple(f"{module}_" for module in (found.module, *cores))
    return [
        one.node
        for one in above
        if isinstance(one.node, ast.ClassDef)
        and (one.module in cores or one.module.startswith(near))
    ]


def all_fields(found: Found) -> list[Field]:
    """The fields that become arguments, inherited ones first."""
    mine: dict[str, Field] = {}
    for one_class in [*reversed(bases_of(found)), found]:
        assert isinstance(one_class.node, ast.ClassDef)
        for item in fields_of(one_class.node):
            mine.pop(item.name, None)
            mine[item.name] = item
    return [item for item in mine.values() if item.init]


def class_stub(found: Found) -> str:
    """A class's head and how it is made."""
    node = found.node
    assert isinstance(node, ast.ClassDef)
    bases = ", ".join(code(base) for base in node.bases)
    head = f"class {node.name}({bases}):" if bases else f"class {node.name}:"
    for one in (node, *parts_of(found)):
        for item in one.body:
            if isinstance(item, ast.FunctionDef) and item.name == "__init__":
                return f"{head}\n{function_stub(item, '    ')}"
    if not is_attrs(node):
        return f"{head} ..."
    given = [item for item in all_fields(found) if not item.name.startswith("_")]
    plain = [written(item) for item in given if not item.keyword]
    keywords = [written(item) for item in given if item.keyword]
    arguments = ["self", *plain, *(["*", *keywords] if keywords else [])]
    return f"{head}\n{stub('    def __init__', ' -> None: ...', arguments)}"


def written(item: Field) -> str:
    """A field as an argument."""
    return f"{item.name}: {item.kind}" + (f" = {item.default}" if item.default is not None else "")


# Entries.


def block(text: str) -> str:
    """Code that is shown, and only checked for its syntax."""
    return f"```python stub\n{text}\n```"


def entry(found: Found, level: int = 2, title: str = "", law: str = "") -> str:
    """Everything about one name."""
    parts = [f"{'#' * level} {title or found.name}", law]
    if title and found.name.lower() != title.lower() and title.isidentifier():
        parts.append(f"{'#' * (level + 1)} {found.name}")
    node = found.node
    if isinstance(node, ast.ClassDef):
        parts += class_entry(found, level)
    elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
        parts += [block(function_stub(node)), *told(found.text)]
    else:
        written_so = ast.get_source_segment(source_of(found.module), node)
        assert written_so is not None
        parts += [block(written_so), prose(found.text)]
    return "\n\n".join(part for part in parts if part)


def told(doc: str) -> Iterator[str]:
    """A docstring, its sections as lists."""
    text, found = sections(doc)
    yield prose(text)
    for name, rows in found.items():
        yield f"{'Arguments' if name == 'Args' else name}:"
        yield bullets((f"`{what}`", meaning) for what, meaning in rows)


def class_entry(found: Found, level: int) -> Iterator[str]:
    """A class: its making, its text, its fields, its methods."""
    node = found.node
    assert isinstance(node, ast.ClassDef)
    yield block(class_stub(found))
    text, parts = sections(found.text)
    yield prose(text)
    arguments = dict(parts.pop("Args", []))
    rows = list(field_rows(found, node, arguments))
    if rows:
        yield "Fields:" if is_attrs(node) else "Arguments and attributes:"
        yield bullets(rows)
    for name, entries in parts.items():
        yield f"{name}:"
        yield bullets((f"`{what}`", meaning) for what, meaning in entries)
    body = [item for one in (node, *parts_of(found)) for item in one.body]
    seen: set[str] = set()
    for item in body:
        if not isinstance(item, ast.FunctionDef | ast.AsyncFunctionDef) or not is_told(item):
            continue
        if item.name not in seen:
            seen.add(item.name)
            yield f"{'#' * (level + 1)} {found.name}.{item.name}"
            yield block(function_stub(item))
            yield from told(ast.get_docstring(item) or "")


def field_rows(
    found: Found, node: ast.ClassDef, arguments: dict[str, str]
) -> Iterator[tuple[str, str]]:
    """Fields and arguments with their types, defaults and meaning; each once."""
    left = dict(arguments)
    for item in fields_of(node):
        if item.name.startswith("_") or (item.name == "kind" and not item.init):
            continue
        text = " ".join(item.text.split()) or left.get(item.name, "")
        left.pop(item.name, None)
        own = item if item.init else Field(item.name, item.kind, item.default, False, False, "")
        yield f"`{written(own)}`", text
    yield from ((f"`{name}`", text) for name, text in left.items())
    yield from attributes_of(node)
    for above in bases_of(found):
        if isinstance(above.node, ast.ClassDef) and is_attrs(node) and fields_of(above.node):
            yield f"and the fields of `{above.name}`", ""


def attributes_of(node: ast.ClassDef) -> Iterator[tuple[str, str]]:
    """The attributes that a handwritten `__init__` sets and documents."""
    for item in node.body:
        if isinstance(item, ast.FunctionDef) and item.name == "__init__":
            for place, line in enumerate(item.body):
                text = text_after(item.body, place)
                if isinstance(line, ast.AnnAssign) and text:
                    name = code(line.target).removeprefix("self.")
                    yield f"`{name}: {code(line.annotation)}`", " ".join(text.split())


def is_told(item: ast.FunctionDef | ast.AsyncFunctionDef) -> bool:
    """Whether a method is for users: public, or the call itself, and documented."""
    mine = item.name == "__call__" or not item.name.startswith("_")
    return mine and bool(ast.get_docstring(item))
