"""`llmmw simulate`: what a stack would do, in a world where everything is simulated."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from pathlib import Path

import attrs
import click
import orjson

from llmmw._chain import Middleware
from llmmw._config._file import Config, load_config
from llmmw._plugins import Plugins
from llmmw._stack import default_stack
from llmmw.cli._run import tame
from llmmw.sim import Report, WorldModel, load_world, simulate

__all__ = ["simulate_stack"]

_NAMES = ("default", "none")


@click.command("simulate", short_help="Try a stack in a simulated world.")
@click.argument("stack", default="default")
@click.option(
    "-m",
    "--model",
    "models",
    multiple=True,
    metavar="PROVIDER:MODEL",
    help="The model to ask; further ones are the fallbacks of the stack `default`. Default: the "
    "configuration's model, else the targets of the world, else sim:a and sim:b.",
)
@click.option(
    "--world",
    metavar="FILE|reference",
    default="reference",
    show_default=True,
    help="How targets answer and fail.",
)
@click.option(
    "--requests",
    type=click.IntRange(min=1),
    default=10_000,
    show_default=True,
    help="How many calls.",
)
@click.option(
    "--rate",
    type=click.FloatRange(min=0, min_open=True),
    default=10.0,
    show_default=True,
    help="Calls a second on average; they come at random.",
)
@click.option("--seed", type=int, default=1, show_default=True, help="Of all that is chance.")
@click.option("--against", metavar="STACK", help="Another stack, which meets the same world.")
@click.option("--json", "as_json", is_flag=True, help="Print it as JSON.")
@click.option(
    "--plot",
    "picture",
    type=click.Path(path_type=Path),
    metavar="FILE.svg",
    help="Draw the percentiles, against the bare target unless --against names another. "
    "Needs llmmw[plot].",
)
def simulate_stack(
    stack: str,
    models: tuple[str, ...],
    world: str,
    requests: int,
    rate: float,
    seed: int,
    against: str | None,
    as_json: bool,
    picture: Path | None,
) -> None:
    """Send calls through STACK in virtual time, and print how many were answered, how fast, and
    at what cost. Nothing is asked: every target is simulated, whatever its name.

    STACK is a configuration file, or "default" (retries, fallbacks and a hedge), or "none" (the
    target alone).

    The world says how targets answer: "reference", in which one call in a hundred takes long, or
    a file of your own. The same seed gives the same world to every stack, call by call.

    \b
    Examples:
      llmmw simulate default --against none
      llmmw simulate llmmw.toml --world world.toml --requests 100000
      llmmw simulate default --plot tail.svg
      llmmw simulate default --json | jq .first_token.p99

    The times are those of the calls that were answered. Exit status: 0, also where
    calls failed in the simulation; 2 when the command or a file is wrong.
    """  # noqa: D301 (click wants the character)
    if picture is not None:
        from llmmw.sim._plot import plot, ready_to_plot

        ready_to_plot(picture)
        against = against or ("none" if stack != "none" else None)
    found = load_world(world)
    names = list(dict.fromkeys(filter(None, (stack, against))))
    configs = {name: _config(name) for name in names if name not in _NAMES}
    targets = _targets(models, configs.values(), found)
    plan = _Plan(targets, configs, found, requests, rate, seed)
    reports = {name: plan.run(name) for name in names}
    if picture is not None:
        plot(picture, reports)
    click.echo(tame((_json if as_json else _page)(reports)), nl=False)


@attrs.frozen
class _Plan:
    """What stacks are put through. All ask the first of `targets`."""

    targets: Sequence[str]
    configs: Mapping[str, Config]
    world: WorldModel
    requests: int
    rate: float
    seed: int

    def run(self, name: str) -> Report:
        """The simulation of a stack."""
        return simulate(
            self.stack(name),
            self.targets[0],
            world=self.world,
            requests=self.requests,
            rate=self.rate,
            seed=self.seed,
        )

    def stack(self, name: str) -> Sequence[Middleware]:
        """The layers that a name or a file stands for."""
        if name == "none":
            return ()
        config = self.configs.get(name)
        if config is None:
            return default_stack(*self.targets)
        return default_stack(self.targets[0]) if config.stack is None else config.stack


def _config(name: str) -> Config:
    if not Path(name).exists() and not Path(name).suffix:
        raise click.UsageError(
            f"no stack {name!r}: expected a configuration file, or {' or '.join(_NAMES)}"
        )
    return load_config(name, plugins=Plugins())


def _targets(named: Sequence[str], configs: Collection[Config], world: WorldModel) -> Sequence[str]:
    """What `-m` names, else a configuration's model, else the world's own."""
    if len(named) > 1 and configs:
        raise click.UsageError("a configuration has its own fallbacks: name one model with -m")
    models = [config.model for config in configs if config.model is not None]
    return named or models[:1] or world.names or ("sim:a", "sim:b")


def _json(reports: Mapping[str, Report]) -> str:
    first, *others = (report.data() for report in reports.values())
    if others:
        first["against"] = others[0]
    option = orjson.OPT_INDENT_2 | orjson.OPT_NON_STR_KEYS | orjson.OPT_APPEND_NEWLINE
    return orjson.dumps(first, default=str, option=option).decode()


def _page(reports: Mapping[str, Report]) -> str:
    one = next(iter(reports.values()))
    rows = [
        f"{one.requests:,} calls at {one.rate:g}/s, world {one.world}, seed {one.seed}: "
        f"{one.seconds:,.0f} s of virtual time",
        "",
        *_table("", ("answered", "extra load", "money"), reports, _outcome),
    ]
    heads = ("mean", "p50", "p90", "p95", "p99", "p99.9")
    for what in ("first_token", "completion"):
        title = f"{what.replace('_', ' ')}, s"
        rows += ["", *_table(title, heads, reports, lambda r, w=what: _seconds(r, w))]  # type: ignore[misc]
    for name, report in reports.items():
        rows += ["", *_details(name, report)]
    return "".join(f"{row}\n" for row in rows)


def _table(
    title: str,
    heads: Sequence[str],
    reports: Mapping[str, Report],
    cells: Callable[[Report], Sequence[str]],
) -> Iterator[str]:
    """A line for each stack, the numbers under their heads."""
    width = max(len(title), *map(len, reports)) + 2
    for name, row in [(title, heads), *((name, cells(one)) for name, one in reports.items())]:
        yield f"{name:<{width}}{''.join(f'{cell:>12}' for cell in row)}".rstrip()


def _outcome(report: Report) -> tuple[str, str, str]:
    money = "unknown" if report.money is None else f"${report.money:.4f}"
    return f"{report.answered:.3%}", f"{report.extra_load:+.2%}", money


def _seconds(report: Report, what: str) -> list[str]:
    known = getattr(report, what)
    values = (known.mean, known.p50, known.p90, known.p95, known.p99, known.p999)
    return ["-" if value is None else f"{value:.3f}" for value in values]


def _details(name: str, report: Report) -> Iterator[str]:
    yield name
    for layer in report.stack:
        yield f"  {layer}"
    did = {word: count for word, count in report.did.items() if count}
    facts = {
        "errors": _counted(report.errors),
        "did": _counted(did),
        "waited": ", ".join(f"{why} {seconds:,.1f} s" for why, seconds in report.waited.items()),
    }
    for target, meter in report.targets.items():
        facts[target] = f"{meter.attempts:,} attempts: {_counted(meter.ends)}"
    for policy, told in report.policies:
        kind = policy.partition("(")[0]
        facts[kind] = ", ".join(f"{key} {value}" for key, value in told.items())
    width = max(map(len, facts)) + 2
    for fact, text in facts.items():
        if text:
            yield f"  {fact:<{width}}{text}"


def _counted(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{word} {count:,}" for word, count in counts.items())
