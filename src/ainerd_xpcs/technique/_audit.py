"""`ainerd audit`: the pixels and frames that change g2 or C2 beyond its error, and a mask of the pixels."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from ainerd.cli import Force, bars, check_out
from ainerd_xpcs.technique._analyze import (
    Dataset,
    MetadataFile,
    NFrames,
    Order,
    find_events,
    push_all,
    read_bins,
    read_partition_settings,
)

if TYPE_CHECKING:
    import numpy as np
    from matplotlib.figure import Figure
    from numpy.typing import NDArray

    from ainerd_xpcs.numerics import Partition
    from ainerd_xpcs.technique._audit_passes import Examined, Found

LISTED = 60  # lines of the table


def audit(
    file: Annotated[Path, typer.Argument(help="Frames (HDF5), events (.bin, .bin.000, .imm), or two-time maps.")],
    roi: Annotated[
        Path | None, typer.Option(help="Bins, as for analyze. Without them, the maps in a result file.")
    ] = None,
    dataset: Dataset = "entry/data/data",
    mask: Annotated[
        Path | None, typer.Option(help="Write the pixels found, and those masked or left out already (.npy).")
    ] = None,
    figure: Annotated[Path | None, typer.Option(help="Draw the pixels found, and g2 before and after (.png).")] = None,
    force: Force = False,
    metadata: MetadataFile = None,
    order: Order = None,
    frames: NFrames = None,
) -> None:
    """Name the pixels and frames whose removal changes g2 or C2 beyond its error, and write a mask.

    Of a file with two-time maps and no frames: the bins, and the rows of the maps.
    """
    from ainerd_xpcs.technique._acquisition import is_events

    of_events = is_events(file)
    if not file.is_file():
        raise ValueError(f"no file {file}")
    if not of_events and any(x is not None for x in (metadata, order, frames)):
        raise ValueError(f"{file}: --metadata, --order and --frames are for events, .bin or .imm")
    of_frames = of_events or (roi is not None and file.suffix != ".npy")
    for name, path, suffix in (("--mask", mask, ".npy"), ("--figure", figure, ".png")):
        if path is None:
            continue
        if not of_frames:
            raise ValueError(f"{name} {path}: needs frames, with their bins (--roi); maps hold no pixels")
        if path.suffix != suffix:
            raise ValueError(f"{name} {path}: give a name that ends in {suffix}")
        if not path.parent.is_dir():
            raise ValueError(f"{name} {path}: there is no folder {path.parent}")
        check_out(path, force)
    if not of_frames:
        _show(file, *_of_maps(file, roi))
        return
    examined, partition, roi = _of_frames(file, roi, dataset, metadata, order, frames, of_events)
    _show(file, examined.found, examined.summary)
    if mask is not None:
        print(f"mask: {mask}, {_write_mask(mask, examined.mask, roi)} pixels")
    if figure is not None:
        _draw(examined, partition, file.name).savefig(figure, dpi=120)
        print(f"figure: {figure}")


def _of_maps(file: Path, roi: Path | None) -> "tuple[Found, list[str]]":
    from ainerd_xpcs.technique._audit_passes import FEWEST_BINS, examine_maps
    from ainerd_xpcs.technique._maps import MapFile

    try:
        with MapFile(file, frame_time_s=1.0, bins=None if roi is None else read_bins(roi)) as maps:
            found, n = examine_maps(maps), maps.partition.n_roi
    except ValueError as err:
        raise ValueError(f"{err}; if it holds frames, give their bins with --roi") from None
    few = f"; fewer than {FEWEST_BINS} bins are not compared" * (n < FEWEST_BINS)
    return found, [f"{n} maps of {maps.n_rows} rows; rows and bins found: {len(found)}{few}"]


def _of_frames(
    file: Path, roi: Path | None, dataset: str, metadata: Path | None, order: Literal["rows", "columns"] | None,
    n_frames: int | None, of_events: bool,
) -> "tuple[Examined, Partition, Path]":  # fmt: skip
    from ainerd.documents import FrameError
    from ainerd_xpcs.technique._audit_passes import examine
    from ainerd_xpcs.technique._files import find_movie

    movie: Any
    if of_events:
        movie, _, roi = find_events(file, metadata, roi, order, n_frames)
        partition = movie.partition
    else:
        assert roi is not None
        movie, partition = find_movie(file, dataset), read_bins(roi)
    with bars() as progress:

        def read(taker: Any) -> int:
            n, task = 0, progress.add_task("frames", total=movie.n_frames)
            for n in push_all(movie, taker):
                progress.update(task, completed=n)
            return movie.n_frames or n

        try:
            return examine(partition, read, of_events=of_events), partition, roi
        except (ValueError, FrameError) as err:
            raise ValueError(f"{file}: {err}") from None


def _show(file: Path, found: "Found", summary: list[str]) -> None:
    from rich.console import Console
    from rich.table import Table

    console, table = Console(), Table("what", "bin", "change (errors)", "with the others", "why", title=str(file))
    for what, label, *sigmas, why in found[:LISTED]:
        table.add_row(what, label, *(f"{x:.2g}" if x == x else "–" for x in sigmas), why)
    if found:
        console.print(table)
    for line in [f"not listed: {len(found) - LISTED} more"] * (len(found) > LISTED) + summary:
        console.print(line, markup=False, highlight=False, soft_wrap=True)


def _write_mask(path: Path, mask: "NDArray[np.bool_]", roi: Path) -> int:
    """Write the pixels found with those that the settings mask, and return their number."""
    import numpy as np

    from ainerd_xpcs.technique._detector_maps import read_mask

    before = read_mask(read_partition_settings(roi)) if roi.suffix == ".toml" else None
    mask = mask if before is None else mask | before
    np.save(path, mask)
    return int(mask.sum())


def _draw(examined: "Examined", partition: "Partition", title: str) -> "Figure":
    """Draw the counts of the pixels in bins with the pixels found, and g2 of the bin that changes most."""
    import numpy as np

    from ainerd_xpcs.technique._drawing import new_figure

    before, after, n = examined.before, examined.after, len(examined.before.lag)
    figure, image = new_figure(11, 5), np.full(partition.roi_map.size, np.nan)
    left, right = figure.subplots(1, 2)
    image[partition.pixels] = before.of_eighths.mean(0)
    left.imshow(image.reshape(partition.shape), vmin=0, vmax=2, cmap="gray_r", interpolation="none")
    left.plot(*np.nonzero(examined.mask)[::-1], "o", mfc="none", mec="tab:red", ms=7)
    left.set(title=f"{examined.mask.sum()} pixels found or left out", xlabel="column", ylabel="row")
    bins = np.unique(np.where(examined.mask, 0, partition.roi_map))[1:]  # those of `after`
    k = np.nan_to_num(np.abs(before.value[bins - 1] - after.value) / after.error)[:, :n].max(1).argmax()
    for label, of, index in (("before", before, bins[k] - 1), ("after", after, k)):
        right.errorbar(of.lag, of.value[index, :n], of.error[index, :n], label=label, capsize=2)
    right.set(xscale="log", xlabel="lag / frames", ylabel="$g_2$", title=f"bin {bins[k]}, which changes most")
    right.legend()
    figure.suptitle(title)
    return figure
