"""The command line. Its commands come from the registry, so a plugin's stand beside our own.

Nothing of a command is imported before it is asked for; the list in `llmmw --help` is made of
the one-line summaries that plugins register.
"""

from __future__ import annotations

from importlib.metadata import version
from typing import Any

import click

from llmmw._plugins import Plugins, resolve
from llmmw.cli._run import one_message
from llmmw.errors import PluginError

__all__ = ["main"]


class Commands(click.Group):
    """A group whose commands are those that the registry knows."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Every name, broken ones too: whoever looks for one shall see what became of it."""
        return _plugins(ctx).names("command")

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import a command.

        Raises:
            PluginError: if there is none of this name, or its plugin is broken.
        """
        spec = _plugins(ctx).spec("command", cmd_name)
        command = resolve(spec)
        if not isinstance(command, click.Command):
            kind = type(command).__name__
            raise PluginError(f"the command {cmd_name!r}: {spec.factory} is a {kind}, no command")
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """The list of commands in the help, made without importing one."""
        rows = [(name, _summary(_plugins(ctx), name)) for name in self.list_commands(ctx)]
        if rows:
            with formatter.section("Commands"):
                formatter.write_dl(rows)

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command; whatever goes wrong becomes one message and an exit status."""
        with one_message():
            return super().invoke(ctx)


def _plugins(ctx: click.Context) -> Plugins:
    return ctx.ensure_object(Plugins)


def _summary(plugins: Plugins, name: str) -> str:
    try:
        return plugins.spec("command", name).summary
    except Exception as error:  # whatever a stranger's module does harms only itself
        return f"(broken: {error})"


def _show_version(ctx: click.Context, option: click.Parameter, wanted: bool) -> None:
    if not wanted or ctx.resilient_parsing:
        return
    click.echo(f"llmmw {version('llmmw')}")
    there = {(one.distribution, one.version) for one in Plugins().found}
    for name, number in sorted(there):
        if name != "llmmw":
            click.echo(f"{name} {number}")
    ctx.exit()


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.option(
    "--version",
    is_flag=True,
    is_eager=True,
    expose_value=False,
    callback=_show_version,
    help="Show the versions of llmmw and of its plugins.",
)
def main() -> None:
    """Ask language models, with retries and fallbacks.

    The exit status is 0 when all went well, 1 when a call or some rows failed, 2 when the
    command or the configuration is wrong, 130 after Ctrl-C.
    """
