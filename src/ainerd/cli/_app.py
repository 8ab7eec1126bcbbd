"""The command line: the general commands, each in its own file, and the commands of other packages."""

import atexit
import gc
import os
import sys
from copy import copy
from importlib.metadata import entry_points
from typing import Annotated, NoReturn

import typer
from typer.main import get_command, get_command_name
from typer.models import CommandInfo, TyperInfo

from ainerd import DEFAULT_TECHNIQUE, __version__
from ainerd.cli._check import check, init
from ainerd.cli._results import export, replay, report
from ainerd.cli._running import demo, fetch_next, serve, watch
from ainerd.cli._status import log, status

COMMANDS = (watch, serve, status, log, replay, export, report, init, check, demo)


def main() -> None:
    """Run the command line. Bad input prints one line to stderr and exits with code 2."""
    os.environ.setdefault("SILX_OPENCL", "0")  # pyFAI's helper warns where there is none
    gc.set_threshold(50_000)  # imports create millions of objects, which stay: fewer collections
    atexit.register(gc.freeze)  # and none of them at the end
    try:
        build()()
    except (ValueError, OSError) as error:
        message = str(error)
        if isinstance(error, OSError) and error.filename:
            message = f"{error.filename}: {error.strerror}"
        _refuse(message)
    except ModuleNotFoundError as error:
        extra = "train" if error.name == "torch" else "agent"
        _refuse(f"this command needs more packages than are installed: pip install 'ainerd[{extra}]' ({error})")


def build() -> typer.Typer:
    """Return all commands.

    An entry point ``ainerd.commands`` is a function, which becomes a command, or a group: the commands of a technique
    are ``ainerd <technique> …``. Those of the default technique also work without its name.
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
            if is_function := not isinstance(commands, typer.Typer):
                if not callable(commands):
                    raise TypeError(f"{entry.value} is neither a function nor a typer.Typer")
                function, commands = commands, typer.Typer()
                commands.command(name)(function)
            get_command(commands)  # an invalid one raises here, not when the user runs a command
            if name in _names(app):
                raise ValueError(f"there is a command {name} already")
        except Exception as error:  # code of a third party
            reason = " ".join(f"{type(error).__name__}: {error}".split())
            print(f"ainerd: the commands of {entry.name!r} are left out: {reason}", file=sys.stderr)
            continue
        if is_function:
            app.registered_commands += commands.registered_commands
        else:
            app.add_typer(commands, name=name)
        if entry.name == DEFAULT_TECHNIQUE:
            _shorten(app, commands, f"Short for ainerd {name} …")
    return app


def _version(version: Annotated[bool, typer.Option("--version")] = False) -> None:
    if version:
        print(f"ainerd {__version__}")
        raise typer.Exit


def _shorten(app: typer.Typer, commands: typer.Typer, panel: str) -> None:
    """Add a technique's commands to `app` under their short names, except names that are taken."""
    taken = _names(app)
    for kind in ("registered_commands", "registered_groups"):
        for info in getattr(commands, kind):
            if _name(info) not in taken:
                short = copy(info)
                short.rich_help_panel = panel
                getattr(app, kind).append(short)


def _names(app: typer.Typer) -> set[str]:
    return {_name(info) for info in app.registered_commands} | {_name(info) for info in app.registered_groups}


def _name(info: CommandInfo | TyperInfo) -> str:
    return str(info.name or get_command_name(getattr(info.callback, "__name__", "")))


def _refuse(message: str) -> NoReturn:
    print(f"ainerd: {' '.join(message.split())}", file=sys.stderr)
    sys.exit(2)
