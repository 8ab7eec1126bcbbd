"""`ainerd analyze` and `ainerd average` for files, without Bluesky. Functions import heavy modules."""

from collections import Counter
from collections.abc import Collection
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from ainerd.cli import Force, check_out
from ainerd_files._layouts import ENDINGS, check_curves, has_curves, has_maps, is_events

if TYPE_CHECKING:
    from ainerd_files._analyze import Page

ROI = (".npy", ".toml", ".h5", ".hdf", ".hdf5", ".nxs")  # endings of files of bins
Contrast = Annotated[
    float | None, typer.Option(help="Speckle contrast; without it that of the run, or of each bin of a file of g2.")
]
Share = Annotated[
    str | None,
    typer.Option(
        help="For g2 in files: parameters that bins share, of contrast, exponent and baseline, with commas, or none."
        " Default: contrast,exponent where bins alone have no number."
    ),
]
DATASET = "entry/data/data"
Dataset = Annotated[str, typer.Option(help="Frames in the file, (frames, ny, nx), or a group of such.")]
MetadataFile = Annotated[
    Path | None, typer.Option(help="For events: the metadata file of APS. Default: NAME_metadata.hdf beside FILE.")
]
Order = Annotated[
    Literal["rows", "columns"] | None,
    typer.Option(help="For events: how a module numbers its pixels. Default with metadata of APS: rows."),
]
NFrames = Annotated[
    int | None, typer.Option(min=1, help="For events: number of frames. Default: up to the last one with an event.")
]
Files = Annotated[list[Path], typer.Argument(help="Files with g2.")]
FrameTime = Annotated[
    float | None, typer.Option(help="Seconds from one correlated frame to the next. Default: as the files say.")
]


def analyze(
    file: Annotated[Path, typer.Argument(help="A file: HDF5, or events (.bin, .bin.000).")],
    roi: Annotated[
        Path | None,
        typer.Option(help="Bins: a .npy of labels (ny, nx), 0 unused; a q map of APS or NXxpcs (.h5); a .toml."),
    ] = None,
    q: Annotated[
        str | None, typer.Option(help="q of the labels in 1/nm: 0.02,0.03, or a .csv with the columns label and q.")
    ] = None,
    dataset: Dataset = DATASET,
    frame_time: Annotated[
        float | None, typer.Option(help="Time from frame to frame, in seconds. Default: that in the file, if any.")
    ] = None,
    contrast: Contrast = None,
    share: Share = None,
    out: Annotated[Path | None, typer.Option(help="Results (.h5), a figure beside them. Default: FILE's name.")] = None,
    force: Force = False,
    metadata: MetadataFile = None,
    order: Order = None,
    frames: NFrames = None,
) -> None:
    """Two-time maps, g2, latent vectors and novelty of frames; without --roi, the maps or fits of g2 in a result file.

    Result files are NXxpcs, or of boost_corr, 8-ID or pychx. Of a Rigaku detector of 3M, give the first of six files.
    """
    if frame_time is not None and not frame_time > 0:
        raise ValueError(f"--frame-time must be positive, in s, got {frame_time:g}")
    if contrast is not None and not 0 < contrast <= 1:
        raise ValueError(f"--contrast must be above 0 and at most 1, got {contrast:g}")
    if any(part.startswith(".tpx") for part in file.suffixes):
        raise ValueError(f"{file}: the layout of files of a Timepix is not published: write its frames to HDF5")
    _check_files([path for path in (file, roi, metadata) if path is not None])
    of_events = is_events(file)
    if share is not None and (of_events or roi is not None):
        raise ValueError(f"{file}: --share is for a file with g2, without --roi")
    if not of_events and any(x is not None for x in (metadata, order, frames)):
        raise ValueError(f"{file}: --metadata, --order and --frames are for events, .bin")
    if roi is not None and roi.suffix not in ROI:
        known = "labels (.npy), bins in HDF5, or the settings of an instrument (.toml), which may name a .poni"
        raise ValueError(f"{roi}: give {known}")
    if q is not None and (roi is None or roi.suffix != ".npy"):
        raise ValueError(f"--q {q}: it is for labels, --roi NAME.npy")
    if out is not None:
        _check_ending(out)
    name = file.name.split(".bin")[0] if of_events else file.stem
    to, force = out or Path(f"{name}_c2.h5"), force or out is None
    of_results = not of_events and (roi is None or file.suffix == ".npy")
    if dataset != DATASET and (of_events or of_results):
        raise ValueError(f"{file}: --dataset is for frames in HDF5, with --roi")
    if not of_results and not of_events and frame_time is None:
        raise ValueError(f"{file}: give the time from frame to frame with --frame-time, in seconds")
    maps, curves = _results_of(file, out, name) if of_results else (None, None)
    for path in filter(None, (maps, curves) if of_results else (to,)):
        check_out(path, force)
    from ainerd_files import _analyze

    bins = None if of_events or roi is None else _analyze.read_bins(roi, q)
    if maps is not None:
        _show(_analyze.analyze_maps(file, frame_time, bins, maps))
    if curves is not None:
        _show(_analyze.analyze_curves(file, frame_time, curves, contrast=contrast, share=_shared(share)))
    if of_events:
        _show(_analyze.analyze_events(file, metadata, roi, q, order, frame_time, frames, contrast, to))
    elif bins is not None and frame_time is not None and not of_results:
        _show(_analyze.analyze_frames(file, dataset, bins, frame_time, contrast, to))


def average(
    repeats: Files,
    out: Annotated[Path, typer.Option(help="The average (.h5), a figure beside it.")] = Path("average.h5"),
    force: Force = False,
    frame_time: FrameTime = None,
    contrast: Contrast = None,
    share: Share = None,
) -> None:
    """Average repeats of g2, leave out those far from the median, test for damage by the beam, and fit the mean."""
    _check_files(repeats)
    if len(repeats) < 2:
        raise ValueError(f"an average needs two repeats or more, got {len(repeats)}")
    for file, n in Counter(each.resolve() for each in repeats).items():
        if n > 1:
            raise ValueError(f"{file} is given {n} times: a repeat counts once")
    _check_ending(out)
    for each in repeats:
        check_curves(each)
    check_out(out, force)
    from rich.console import Console

    from ainerd_files._average import Average, order_of
    from ainerd_files._curves import read_curves

    curves, names = [read_curves(each, frame_time_s=frame_time) for each in repeats], [each.name for each in repeats]
    dose, of = order_of(repeats)
    mean = Average.of(curves, names, dose=dose, dose_name=of, contrast=contrast, share=_shared(share))
    mean.write(out)
    mean.plot().savefig(out.with_suffix(".png"), dpi=120)
    Console().print(mean.fitted.table(f"mean of {len(repeats)} repeats"))
    print(*mean.sentences(), f"average: {out}   figure: {out.with_suffix('.png')}", sep="\n")


def _results_of(file: Path, out: Path | None, name: str) -> tuple[Path | None, Path | None]:
    """Return the paths of the results of the maps and of the g2 of a result file; None if the file has none of them."""
    with_maps = has_maps(file)
    if not with_maps:
        check_curves(file)
    with_curves = not with_maps or has_curves(file)
    of_maps, of_curves = Path(f"{name}_maps.h5"), Path(f"{name}_g2.h5")
    if out is not None:
        of_maps, of_curves = out, out.with_stem(f"{out.stem}_g2") if with_maps else out
    return of_maps if with_maps else None, of_curves if with_curves else None


def _show(page: "Page") -> None:
    """Save the figure beside the results, and print the table."""
    from rich.console import Console

    figure = page.out.with_suffix(".png")
    page.figure.savefig(figure, dpi=120)
    Console().print(page.table)
    print(f"results: {page.out}   figure: {figure}")


def _shared(text: str | None) -> Collection[str] | None:
    """Return the parameters that bins share as `fit_curves` takes them, from the text of an option."""
    if text is None:
        return None
    return [] if text == "none" else [name.strip() for name in text.split(",")]


def _check_ending(out: Path) -> None:
    if out.suffix not in ENDINGS and not out.is_dir():
        raise ValueError(f"--out {out}: results are HDF5, give a name that ends in {', '.join(ENDINGS)}")


def _check_files(files: list[Path]) -> None:
    if absent := [file for file in files if not file.is_file()]:
        raise ValueError(f"no file {absent[0]}")
