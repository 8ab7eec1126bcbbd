"""`ainerd check` and `ainerd doctor`: check settings, installation and server."""

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ainerd.cli._shared import Config, Json, Tiled

if TYPE_CHECKING:
    from ainerd.technique import Finding

Dataset = Annotated[str | None, typer.Option(help="Frames in that file; without it the largest dataset.")]


def check(
    config: Annotated[Path, typer.Argument(help="Settings of an instrument (.toml).")],
    draw: Annotated[Path | None, typer.Option(help="Picture (.png, .pdf) of the parts of a frame in use.")] = None,
    frame: Annotated[Path | None, typer.Option(help="Frame to draw it on (.npy, HDF5); else an empty one.")] = None,
    dataset: Dataset = None,
    json: Json = False,
) -> None:
    """Check settings and technique without a server, and show how to correct problems; exit code 1 if there are any."""
    from ainerd.cli import _checks

    if frame is not None and draw is None:
        raise ValueError("--frame needs a picture: give --draw picture.png")
    show(_checks.settings(config) if draw is None else _checks.picture(config, draw, frame, dataset), json=json)


def doctor(
    results: Annotated[bool, typer.Option("--results", help="Check every result in the catalogue, too.")] = False,
    tiled: Tiled = None,
    config: Config = None,
    json: Json = False,
) -> None:
    """Check versions, settings, technique, storage and server; exit code 1 if there is a problem.

    Each problem comes with its remedy. The check writes a small node to the server and removes it.
    """
    from ainerd.cli import _checks

    show(_checks.everything(tiled, config, results), json=json)


def show(findings: Iterable["Finding"], *, json: bool = False) -> None:
    """Print the findings, one per line or as JSON, and exit, with code 1 if there is a problem."""
    from dataclasses import asdict

    from rich.console import Console
    from rich.text import Text

    console, shown = Console(soft_wrap=True), []
    for finding in findings:
        shown.append({**asdict(finding), "ok": finding.ok})
        if not json:
            mark = Text("ok      ", "green") if finding.ok else Text("problem ", "bold red")
            console.print(mark, Text(f"{finding.what}: {' '.join(finding.said.split())}"), sep="")
            if not finding.ok:
                console.print(Text(f"        → {finding.todo}", "yellow"))
    if json:
        console.print_json(data=shown, indent=None)
    raise typer.Exit(0 if all(each["ok"] for each in shown) else 1)
