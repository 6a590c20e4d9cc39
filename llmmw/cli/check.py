"""`llmmw check`: what a configuration comes to, and what is doubtful in it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import attrs
import click
import orjson

from llmmw._abilities import row_of
from llmmw._chain import Middleware, describe
from llmmw._config._accounts import Account, able_targets, accounts_of
from llmmw._config._advice import Advice, advise, bound_of
from llmmw._config._file import Config, load_config, to_toml
from llmmw._config._place import Place
from llmmw._config._toml import text
from llmmw._config._write import Writer
from llmmw._plugins import Plugins
from llmmw._stack import default_stack
from llmmw.cli._options import config_option
from llmmw.cli._run import FAILED, tame
from llmmw.errors import ConfigError

__all__ = ["check"]


@click.command(short_help="Show a configuration and what is doubtful in it.")
@click.argument("file", type=click.Path(path_type=Path), required=False)
@config_option
@click.option("--strict", is_flag=True, help="Exit with 1 when there is a warning.")
@click.option("--json", "as_json", is_flag=True, help="Print it as JSON.")
@click.option("--toml", "as_toml", is_flag=True, help="Print it as a configuration file.")
def check(
    file: Path | None, config: Path | None, strict: bool, as_json: bool, as_toml: bool
) -> None:
    """Show the stack that FILE describes, outermost first, the providers that it uses, and where
    their keys would come from. Nothing is asked, and no key is read.

    Without FILE it is the configuration that `ask` and `map` would read, or the default one.
    Warnings go to the standard error.

    \b
    Examples:
      llmmw check llmmw.toml
      llmmw check --toml > llmmw.toml     a file to begin with

    Exit status: 0 also with warnings (with --strict: 1), 2 when the configuration is wrong.
    """  # noqa: D301 (click wants the character)
    if file is not None and config is not None:
        raise click.UsageError("FILE and --config both name the configuration")
    if as_json and as_toml:
        raise click.UsageError("--json or --toml, not both")
    plugins = Plugins()
    found = load_config(file or config, plugins=plugins)
    whole = found
    if found.stack is None:
        whole = attrs.evolve(found, stack=default_stack())
    warnings = advise(whole, plugins=plugins)
    if as_toml:
        click.echo(to_toml(whole, plugins=plugins), nl=False)
    else:
        writer = Writer(plugins)
        layers = [_table(layer, writer) for layer in whole.stack or ()]
        shown = _json if as_json else _page
        bounds = [bound_of(layer) for layer in whole.stack or ()]
        able = {target: row_of(can) for target, can in able_targets(whole, plugins).items()}
        view = View(found, layers, bounds, accounts_of(whole, plugins), able, warnings)
        click.echo(shown(view), nl=False)
    if not as_json:
        for one in warnings:
            click.echo(tame(f"warning: {one.rule}: {one.message}"), err=True)
    if warnings and strict:
        raise click.exceptions.Exit(FAILED)


@attrs.frozen
class View:
    """What is shown: the configuration; its layers as tables, and how many attempts each makes;
    its providers; what its targets can do, as rows of a file say it; the warnings."""

    config: Config
    layers: list[dict[str, Any]]
    bounds: list[int]
    accounts: tuple[Account, ...]
    able: dict[str, dict[str, Any]]
    warnings: tuple[Advice, ...]


def _table(layer: Middleware, writer: Writer) -> dict[str, Any]:
    """A layer as a file would say it; by what it is where none can."""
    try:
        return writer.layer(layer, Place())
    except ConfigError:
        return {"use": str(*describe([layer]))}


def _json(view: View) -> str:
    data = {
        "file": None if view.config.path is None else str(view.config.path),
        "model": view.config.model,
        "stack": view.layers,
        "providers": [attrs.asdict(one) for one in view.accounts],
        "capabilities": view.able,
        "warnings": [attrs.asdict(one) for one in view.warnings],
    }
    option = orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE
    return orjson.dumps(data, default=str, option=option).decode()


def _page(view: View) -> str:
    config = view.config
    rows = [f"file       {config.path or 'none: this is the default'}"]
    rows.append(f"model      {config.model or 'none: a command takes -m or LLMMW_MODEL'}")
    default = ", the default" if config.stack is None else ""
    rows.append(f"stack      outermost first{default}")
    for at, (layer, bound) in enumerate(zip(view.layers, view.bounds, strict=True)):
        first, *others = _shown(layer, f"at most {bound} attempts" if bound > 1 else "")
        rows += [f"  {at:<3} {first}", *(f"        {line}" for line in others)]
    rows += ["providers", *map(_told, view.accounts)] if view.accounts else []
    able = [_able(target, row) for target, row in view.able.items() if row]
    rows += ["targets", *able] if able else []
    return tame("".join(f"{row}\n" for row in rows))


def _able(target: str, row: Mapping[str, Any]) -> str:
    """What a target can't do, which is the shorter list, and its limits."""
    words = f"can't {', '.join(row['cannot'])}" if "cannot" in row else ""
    limits = (f"{name.replace('_', ' ')} {row[name]}" for name in row if name.endswith("_limit"))
    return f"  {target}  {'; '.join(filter(None, [words, *limits]))}".rstrip()


def _shown(layer: Mapping[str, Any], note: str) -> Iterator[str]:
    """The lines of a layer: its name with its values, then its tables."""
    values = {k: v for k, v in layer.items() if k not in {"use", "policies"}}
    flat = {key: one for key, one in values.items() if not isinstance(one, Mapping)}
    facts = "  ".join(filter(None, [note, _options(flat)]))
    yield f"{layer['use']:<10} {facts}".rstrip()
    inside = [(key, one) for key, one in values.items() if isinstance(one, Mapping)]
    inside += [(one["use"], {**one, "use": None}) for one in layer.get("policies", ())]
    for key, one in inside:
        options = {name: given for name, given in one.items() if name != "use"}
        yield f"{key:<10} {_options(options)}".rstrip()


def _options(values: Mapping[str, Any]) -> str:
    return "  ".join(f"{key} = {text(one)}" for key, one in values.items())


def _told(one: Account) -> str:
    use = f" (uses {one.provider})" if one.provider != one.name else ""
    source = f"{one.distribution} {one.version}".strip()
    options = f"options {', '.join(one.options)}" if one.options else ""
    keys = f"key from {' and '.join(one.keys)}" if one.keys else ""
    facts = "; ".join(filter(None, [source, one.state, options, keys]))
    return f"  {one.name + use:<10} {facts}"
