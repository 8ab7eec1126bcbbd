"""`ainerd average`: the mean of repeats in files, or of results."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, cast

import typer

from ainerd.cli import Config, Force, Tiled, check_new, key_of, results_at

if TYPE_CHECKING:
    from ainerd.techniques.rheo_xpcs._average import Average


def average(
    repeats: Annotated[
        list[str], typer.Argument(help="Files with g2, or results: numbers of scans, or first characters of keys.")
    ],
    out: Annotated[Path, typer.Option(help="The average (.h5), a figure beside it.")] = Path("average.h5"),
    force: Force = False,
    frame_time: Annotated[
        float | None, typer.Option(help="For files: seconds from one correlated frame to the next.")
    ] = None,
    dose: Annotated[
        str | None, typer.Option(help="For results: the number in the table that is the dose. Default: their order.")
    ] = None,
    tiled: Tiled = None,
    config: Config = None,
) -> None:
    """Average repeats of g2, leave out those far from the median, test for damage by the beam, and fit the mean."""
    from rich.console import Console

    if len(repeats) < 2:
        raise ValueError(f"an average needs two repeats or more, got {len(repeats)}")
    check_new(out, force)
    is_file = [Path(each).is_file() for each in repeats]
    if all(is_file):
        if dose is not None:
            raise ValueError("--dose is for results: files are taken in the order in which they are given")
        mean = _of_files([*map(Path, repeats)], frame_time)
    elif any(is_file) or any(Path(each).suffix in (".h5", ".hdf", ".hdf5", ".nxs") for each in repeats):
        missing = next(each for each, there in zip(repeats, is_file, strict=True) if not there)
        raise ValueError(f"no file {missing}: give files alone, or results alone")
    else:
        if frame_time is not None:
            raise ValueError("--frame-time is for files: results have theirs")
        with results_at(tiled, config) as store:
            mean = cast("Average", store.average([key_of(store, each) for each in repeats], dose=dose))
    mean.write(out)
    mean.plot().savefig(out.with_suffix(".png"), dpi=120)
    console = Console()
    console.print(mean.fitted.table(f"mean of {len(repeats)} repeats"))
    for sentence in mean.sentences():
        console.print(sentence, markup=False, highlight=False, soft_wrap=True)
    console.print(f"average: {out}   figure: {out.with_suffix('.png')}")


def _of_files(files: list[Path], frame_time_s: float | None) -> "Average":
    from ainerd.techniques.rheo_xpcs._average import Average
    from ainerd.techniques.rheo_xpcs._curves import read_curves

    return Average.of([read_curves(file, frame_time_s=frame_time_s) for file in files], [file.name for file in files])
