"""`ainerd demo`: the simulated instrument, explored by an agent."""

import sys
from importlib import import_module
from pathlib import Path
from typing import Annotated

import typer
from platformdirs import user_cache_path

import ainerd


def demo(
    replay: Annotated[
        bool, typer.Option("--replay", help="Analyse eight recorded exposures, instead of new ones of a new sample.")
    ] = False,
    browser: Annotated[
        bool, typer.Option(help="With --replay: open the page of the campaign in a browser, and serve it until Ctrl-C.")
    ] = True,
    seed: Annotated[int | None, typer.Option(help="Seed of the sample; a random one by default.")] = None,
    output: Annotated[
        Path | None, typer.Option(help="Folder for everything that it writes; by default one in the user's cache.")
    ] = None,
) -> None:
    """Let an agent explore a simulated sample, on a Tiled server of its own; 1.5 GB at most, 0.1 GB with --replay."""
    if replay and seed is not None:
        raise ValueError("--replay has one recorded sample: leave --seed out")
    from ainerd.server import ServerError

    sys.path.insert(0, str(_simulated()))
    output = user_cache_path("ainerd") / "demo" if output is None else output
    try:
        if replay:
            import_module("agents.demo.recording").replay(output, browser=browser)
        else:
            import_module("agents.demo.campaign").explore(seed, output)
    except ServerError as error:
        raise ValueError(str(error)) from None


def _simulated() -> Path:
    """Return the folder with the simulated instrument: in the wheel one of the package, or the repository itself."""
    package = Path(ainerd.__file__).parent
    for folder in (package / "simulated", package.parents[1]):
        if (folder / "sim_devices").is_dir():
            return folder
    raise ValueError(f"the simulated instrument is not beside {package}: install ainerd from its wheel")
