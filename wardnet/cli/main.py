"""The command `wardnet`. A command is a word in COMMANDS and a module of that name, `_` for `-`, with a function of
that name, or a Typer of that name where the command has commands of its own."""

from __future__ import annotations

import importlib
import inspect
import sys
from collections.abc import Callable, Sequence
from typing import Annotated, Any

import typer

from wardnet import __version__
from wardnet.cli.console import Exit, fail
from wardnet.locale import _

# In the order in which a newcomer needs them.
COMMANDS = (
    "check",
    "inventory",
    "targets",
    "bootstrap",
    "install-media",
    "trust",
    "runs",
    "status",
    "collect",
    "audit",
)

OWN_PACKAGES = ("wardnet", "collectors", "exporters")


def build(arguments: Sequence[str]) -> typer.Typer:
    """The command line. Where the arguments name a command, only its module is imported: `wardnet check`
    needs neither a solver nor SSH."""
    app = typer.Typer(
        add_completion=False,
        no_args_is_help=True,
        pretty_exceptions_enable=False,
        help=_("Provision ward offices, measure their two lines, and prove that the lines are separate."),
    )
    app.callback()(_group)
    named = [word for word in arguments if word in COMMANDS][:1]
    for command in named or COMMANDS:
        function = _function(command)
        if isinstance(function, typer.Typer):
            app.add_typer(function, name=command)
        else:
            app.command(command, help=_(inspect.getdoc(function) or command))(function)
    return app


def _function(command: str) -> Callable[..., Any] | typer.Typer:
    name = command.replace("-", "_")
    try:
        module = importlib.import_module(f"wardnet.cli.{name}")
    except ModuleNotFoundError as error:
        missing = error.name or ""
        if missing.split(".")[0] in OWN_PACKAGES:
            raise
        return _unavailable(command, missing)
    function: Callable[..., Any] | typer.Typer = getattr(module, name)
    return function


def _unavailable(command: str, missing: str) -> Callable[..., Any]:
    def refuse() -> None:
        fail(
            _("'{command}' needs {module}, which is not installed: pip install 'wardnet[audit]'").format(
                command=command, module=missing
            )
        )

    refuse.__doc__ = _("(not installed: {module} is missing)").format(module=missing)
    return refuse


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"wardnet {__version__}")
        raise typer.Exit(Exit.OK)


def _group(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help=_("print the version and end"))
    ] = False,
) -> None:
    del version  # eager: `_version` has answered already


def app() -> None:
    """Entry point of the distribution."""
    build(sys.argv[1:])()


if __name__ == "__main__":
    app()
