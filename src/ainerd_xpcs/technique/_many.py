"""`ainerd average` and `ainerd over-q`: many files with g2, or many results, together."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, cast

import typer

from ainerd.cli import Config, Force, Tiled, check_out, key_of, results_at

if TYPE_CHECKING:
    from ainerd_xpcs.technique._average import Average

Sources = Annotated[
    list[str], typer.Argument(help="Files with g2, or results: numbers of scans, or first characters of keys.")
]
FrameTime = Annotated[float | None, typer.Option(help="For files: seconds from one correlated frame to the next.")]


def average(
    repeats: Sources,
    out: Annotated[Path, typer.Option(help="The average (.h5), a figure beside it.")] = Path("average.h5"),
    force: Force = False,
    frame_time: FrameTime = None,
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
    check_out(out, force)
    if _are_files(repeats, frame_time, "--dose", dose):
        from ainerd_xpcs.technique._average import Average
        from ainerd_xpcs.technique._curves import read_curves

        curves = [read_curves(each, frame_time_s=frame_time) for each in repeats]
        mean = Average.of(curves, [Path(each).name for each in repeats])
    else:
        with results_at(tiled, config) as store:
            mean = cast("Average", store.average([key_of(store, each) for each in repeats], dose=dose))
    mean.write(out)
    mean.plot().savefig(out.with_suffix(".png"), dpi=120)
    console = Console()
    console.print(mean.fitted.table(f"mean of {len(repeats)} repeats"))
    for sentence in mean.sentences():
        console.print(sentence, markup=False, highlight=False, soft_wrap=True)
    console.print(f"average: {out}   figure: {out.with_suffix('.png')}")


def over_q(
    exposures: Sources,
    out: Annotated[Path, typer.Option(help="The figure (.png, .pdf or .svg).")] = Path("over_q.png"),
    force: Force = False,
    frame_time: FrameTime = None,
    by: Annotated[
        str | None, typer.Option(help="For results: the number in the table that colours them. Default: their order.")
    ] = None,
    tiled: Tiled = None,
    config: Config = None,
) -> None:
    """Draw relaxation times and exponents over q of many files or results in one figure."""
    from ainerd_xpcs.technique._curves import read_curves
    from ainerd_xpcs.technique._drawing import new_figure
    from ainerd_xpcs.technique._fitted import FittedCurves
    from ainerd_xpcs.technique._over_q import draw_many_over_q

    if out.suffix not in (".png", ".pdf", ".svg"):
        raise ValueError(f"{out}: give a name that ends in .png, .pdf or .svg")
    check_out(out, force)
    if _are_files(exposures, frame_time, "--by", by):
        fitted = [FittedCurves.of(read_curves(each, frame_time_s=frame_time)) for each in exposures]
        figure, numbers = new_figure(7, 6), [float(k + 1) for k in range(len(fitted))]
        draw_many_over_q(figure, [(each.curves.q, each.columns) for each in fitted], numbers, "number of the file")
    else:
        with results_at(tiled, config) as store:
            figure = store.plot([key_of(store, each) for each in exposures], by=by)
    figure.savefig(out, dpi=150)
    print(f"figure: {out}")


def _are_files(given: list[str], frame_time_s: float | None, option: str, column: str | None) -> bool:
    """Return whether files are given, not results; raise ValueError for both, and for an option of the other kind."""
    there = [Path(each).is_file() for each in given]
    if any(there) or any(Path(each).suffix in (".h5", ".hdf", ".hdf5", ".nxs") for each in given):
        if not all(there):
            raise ValueError(f"no file {given[there.index(False)]}: give files alone, or results alone")
        if column is not None:
            raise ValueError(f"{option} is for results: files are taken in the order in which they are given")
        return True
    if frame_time_s is not None:
        raise ValueError("--frame-time is for files: results have theirs")
    return False
