"""The command line `ainerd`: each command in its own file, assembled here.

What a command needs is imported inside it, so that help is quick.
"""

import sys
from typing import NoReturn

import typer

from ainerd.cli._doctor import doctor
from ainerd.cli._export import export
from ainerd.cli._replay import replay
from ainerd.cli._similar import similar
from ainerd.cli._steer import steer
from ainerd.cli._watch import watch
from ainerd.techniques.rheo_xpcs.commands._analyze import analyze
from ainerd.techniques.rheo_xpcs.commands._calibrate import calibrate
from ainerd.techniques.rheo_xpcs.commands._encode import encode
from ainerd.techniques.rheo_xpcs.commands._train import train

app = typer.Typer(
    name="ainerd",
    help="Notice when a sample does something it has not done before.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)
app.command()(watch)
app.command()(steer)
app.command()(analyze)
app.command()(encode)
app.command()(replay)
app.command()(similar)
app.command()(export)
app.command()(calibrate)
app.command()(doctor)
app.add_typer(train, name="train")


def main() -> None:
    """Run the command line; bad input becomes one line on stderr and exit code 2."""
    try:
        app()
    except (ValueError, OSError) as error:
        message = str(error)
        if isinstance(error, OSError) and error.filename:
            message = f"{error.filename}: {error.strerror}"
        _refuse(message)
    except ModuleNotFoundError as error:
        _refuse(f"this command wants more than the results client: pip install 'ainerd[agent]' ({error})")


def _refuse(message: str) -> NoReturn:
    print(f"ainerd: {' '.join(message.split())}", file=sys.stderr)
    sys.exit(2)
