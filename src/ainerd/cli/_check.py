"""`ainerd check`: check a settings file, and draw the parts of a frame that its technique uses."""

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ainerd.cli._shared import Json

if TYPE_CHECKING:
    from ainerd.config import Settings
    from ainerd.technique import Finding

Dataset = Annotated[str | None, typer.Option(help="Frames in that file; without it the largest dataset.")]


def check(
    config: Annotated[Path, typer.Argument(help="Settings of an instrument (.toml).")],
    draw: Annotated[
        Path | None, typer.Option(help="Picture (.png, .pdf) of the parts of a frame that the technique uses.")
    ] = None,
    frame: Annotated[
        Path | None, typer.Option(help="Frame to draw it on: .npy, or HDF5. Without it an empty one.")
    ] = None,
    dataset: Dataset = None,
    json: Json = False,
) -> None:
    """Check settings and technique without a server, and show how to correct problems; exit code 1 if there are any."""
    if frame is not None and draw is None:
        raise ValueError("--frame is drawn on: say where with --draw picture.png")
    raise typer.Exit(0 if show(check_file(config, draw, frame, dataset), json=json) else 1)


def check_file(
    config: Path, draw: Path | None = None, frame: Path | None = None, dataset: str | None = None
) -> Iterator["Finding"]:
    """Yield the findings for a settings file, and for the picture if `draw` is given."""
    from ainerd.cli import _checks

    settings = yield from _checks.read(config)
    if settings is not None:
        yield from _checks.storage(settings)
        yield from _checks.technique(settings)
        if draw is not None:
            yield _draw(settings, draw, frame, dataset)


def show(findings: Iterable["Finding"], *, json: bool = False) -> bool:
    """Print the findings, one per line or as JSON, and return whether all are ok."""
    from dataclasses import asdict

    from rich.console import Console
    from rich.text import Text

    console, found = Console(soft_wrap=True), []
    for finding in findings:
        found.append(finding)
        if not json:
            mark = Text("ok      ", "green") if finding.ok else Text("problem ", "bold red")
            console.print(mark, Text(f"{finding.what}: {' '.join(finding.said.split())}"), sep="")
            if not finding.ok:
                console.print(Text(f"        → {finding.todo}", "yellow"))
    if json:
        console.print_json(data=[{**asdict(finding), "ok": finding.ok} for finding in found], indent=None)
    return all(finding.ok for finding in found)


def _draw(settings: "Settings", draw: Path, frame: Path | None, dataset: str | None) -> "Finding":
    from matplotlib.figure import Figure

    from ainerd.agent import build_technique
    from ainerd.cli._frame import mean_frame
    from ainerd.technique import Finding

    try:
        technique = build_technique(settings)
        figure = Figure()
        technique.sketch(figure, None if frame is None else mean_frame(frame, dataset))
        if not (figure.axes or figure.subfigs):
            return Finding("picture", f"technique {settings.technique} draws none", "leave --draw out")
        figure.savefig(draw, dpi=150)
    except (ValueError, OSError) as error:
        return Finding("picture", str(error), "correct what it names")
    return Finding("picture", str(draw))
