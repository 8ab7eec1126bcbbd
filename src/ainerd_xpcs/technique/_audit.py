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
    from numpy.typing import NDArray

    from ainerd_xpcs.technique._audit_passes import Examined, Findings

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
    if mask is not None:
        if not of_frames:
            raise ValueError(f"--mask {mask}: needs frames, with their bins (--roi); maps hold no pixels")
        if mask.suffix != ".npy":
            raise ValueError(f"--mask {mask}: give a name that ends in .npy")
        if not mask.parent.is_dir():
            raise ValueError(f"--mask {mask}: there is no folder {mask.parent}")
        check_out(mask, force)
    if not of_frames:
        _show(file, *_of_maps(file, roi))
        return
    examined, roi = _of_frames(file, roi, dataset, metadata, order, frames, of_events)
    _show(file, examined.findings, examined.summary)
    if mask is not None:
        print(f"mask: {mask}, {_write_mask(mask, examined.mask, roi)} pixels")


def _of_maps(file: Path, roi: Path | None) -> "tuple[Findings, list[str]]":
    from ainerd_xpcs.technique._audit_passes import FEWEST_BINS, examine_maps
    from ainerd_xpcs.technique._maps import MapFile

    try:
        with MapFile(file, frame_time_s=1.0, bins=None if roi is None else read_bins(roi)) as maps:
            findings, n = examine_maps(maps), maps.partition.n_roi
    except ValueError as err:
        raise ValueError(f"{err}; if it holds frames, give their bins with --roi") from None
    few = f"; fewer than {FEWEST_BINS} bins are not compared" * (n < FEWEST_BINS)
    return findings, [f"{n} maps of {maps.n_rows} rows; rows and bins found: {len(findings)}{few}"]


def _of_frames(
    file: Path, roi: Path | None, dataset: str, metadata: Path | None, order: Literal["rows", "columns"] | None,
    n_frames: int | None, of_events: bool,
) -> "tuple[Examined, Path]":  # fmt: skip
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
            return examine(partition, read, of_events=of_events), roi
        except (ValueError, FrameError) as err:
            raise ValueError(f"{file}: {err}") from None


def _show(file: Path, findings: "Findings", summary: list[str]) -> None:
    from rich.console import Console
    from rich.table import Table

    console, table = Console(), Table("what", "bin", "change (errors)", "with the others", "why", title=str(file))
    for what, label, *sigmas, why in findings[:LISTED]:
        table.add_row(what, label, *(f"{x:.2g}" if x == x else "–" for x in sigmas), why)
    if findings:
        console.print(table)
    for line in [f"not listed: {len(findings) - LISTED} more"] * (len(findings) > LISTED) + summary:
        console.print(line, markup=False, highlight=False, soft_wrap=True)


def _write_mask(path: Path, mask: "NDArray[np.bool_]", roi: Path) -> int:
    """Write the pixels found with those that the settings mask, and return their number."""
    import numpy as np

    from ainerd_xpcs.technique._detector_maps import read_mask

    before = read_mask(read_partition_settings(roi)) if roi.suffix == ".toml" else None
    mask = mask if before is None else mask | before
    np.save(path, mask)
    return int(mask.sum())
