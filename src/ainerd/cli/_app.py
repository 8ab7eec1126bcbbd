"""The command line: the general commands, each in its own file, and the commands of other packages."""

import atexit
import gc
import os
import sys
from importlib.metadata import entry_points
from typing import Annotated, Any, NoReturn

import typer
from typer.main import get_command_name

from ainerd import __version__
from ainerd.cli._check import check
from ainerd.cli._init import init
from ainerd.cli._results import export, replay, report
from ainerd.cli._running import demo, fetch_next, serve, watch
from ainerd.cli._status import log, status

COMMANDS = (watch, serve, status, log, replay, export, report, init, check, demo)

EXTRAS = {"torch": "train", "ophyd": "demo", "bluesky_queueserver_api": "queueserver"}  # by package; others: agent


def main() -> None:
    """Run the command line. Bad input prints one line to stderr and exits with code 2."""
    os.environ.setdefault("SILX_OPENCL", "0")  # pyFAI's helper warns where there is none
    gc.set_threshold(50_000)  # imports create millions of objects, which stay: fewer collections
    atexit.register(gc.freeze)  # and none of them at the end
    try:
        _without_metavar(command := typer.main.get_command(build()))
        command()
    except (ValueError, OSError) as error:
        message = str(error)
        if isinstance(error, OSError) and error.filename:
            message = f"{error.filename}: {error.strerror}"
        _refuse(message)
    except ModuleNotFoundError as error:
        extra = EXTRAS.get((error.name or "").partition(".")[0], "agent")
        _refuse(f"this command needs more packages than are installed: pip install 'ainerd[{extra}]' ({error})")


def build() -> typer.Typer:
    """Return all commands.

    An entry point ``ainerd.commands`` is a function, which becomes a command, or a `typer.Typer`, which becomes a group
    of commands.
    """
    app = typer.Typer(
        name="ainerd",
        help="Notice when a sample does something it has not done before.",
        no_args_is_help=True,
        pretty_exceptions_enable=False,
        callback=_version,
        invoke_without_command=True,
    )
    for command in COMMANDS:
        app.command()(command)
    app.command("next")(fetch_next)  # a function of its own would hide Python's
    for entry in sorted(entry_points(group="ainerd.commands"), key=lambda entry: entry.name):
        try:
            commands, name = entry.load(), get_command_name(entry.name)
            if isinstance(commands, typer.Typer):
                app.add_typer(commands, name=name)
            else:
                app.command(name)(commands)
        except Exception as error:  # code of a third party
            reason = " ".join(f"{type(error).__name__}: {error}".split())
            print(f"ainerd: the commands of {entry.name!r} are left out: {reason}", file=sys.stderr)
    return app


def _without_metavar(command: Any) -> None:
    """Let help name options without a value by their name alone, not as ``--json <bool>``."""
    for option in [*command.params, command.get_help_option(command.context_class(command))]:
        option.metavar = "" if getattr(option, "is_flag", False) else option.metavar
    for each in getattr(command, "commands", {}).values():
        _without_metavar(each)


def _version(version: Annotated[bool, typer.Option("--version")] = False) -> None:
    if version:
        print(f"ainerd {__version__}")
        raise typer.Exit


def _refuse(message: str) -> NoReturn:
    print(f"ainerd: {' '.join(message.split())}", file=sys.stderr)
    sys.exit(2)
