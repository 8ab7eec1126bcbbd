"""The results of `ainerd analyze`: a file of results, a table and a figure of frames, events, maps or curves."""

import tomllib
from collections.abc import Collection, Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray
from rich.box import SIMPLE_HEAD
from rich.markup import escape
from rich.table import Table

from ainerd.cli import bars
from ainerd.config import read_section
from ainerd.documents import FrameError
from ainerd.technique import Analysis, AnalysisError, RunInfo
from ainerd.words import rounded
from ainerd_files._curves import read_curves
from ainerd_files._fitted import FittedCurves
from ainerd_files._map_analysis import analyse_maps, technique_of
from ainerd_files._maps import MapFile
from ainerd_files._movie import Movie, find_movie
from ainerd_files._written import write_results
from ainerd_xpcs.numerics import Partition
from ainerd_xpcs.technique import (
    PartitionSettings,
    RheoXPCS,
    bin_cells,
    bin_names,
    build_partition,
    details,
    draw_exposure,
    draw_over_q,
    new_figure,
    sentences,
)

if TYPE_CHECKING:
    from ainerd_files._acquisition import EventMovie

__all__ = ["Page", "analyze_curves", "analyze_events", "analyze_frames", "analyze_maps", "read_bins"]


class Page(NamedTuple):
    """The part of a result file that is shown."""

    out: Path
    table: Table
    figure: Figure


def analyze_frames(
    file: Path, dataset: str, bins: Partition, frame_time_s: float, contrast: float | None, out: Path
) -> Page:
    """Analyse frames in HDF5."""
    movie = find_movie(file, dataset)
    return _analyze_movie(file, movie, bins, frame_time_s, contrast, out, {"dataset": dataset})


def analyze_events(
    file: Path, metadata: Path | None, roi: Path | None, q: str | None, order: Literal["rows", "columns"] | None,
    frame_time_s: float | None, n_frames: int | None, contrast: float | None, out: Path,
) -> Page:  # fmt: skip
    """Analyse a file of events. Values that are not given come from the metadata of APS."""
    from ainerd_files._acquisition import AcquisitionMetadata, EventMovie  # it imports pandas and Tiled

    acquired = AcquisitionMetadata.read(metadata) if metadata else AcquisitionMetadata.beside(file)
    source: dict[str, Any] = {}
    if acquired is not None:
        order, roi = order or "rows", roi or acquired.find_qmap()
        frame_time_s = frame_time_s or acquired.frame_time_s
        source = {"metadata": str(acquired.file), "detector": acquired.detector, "qmap": str(roi)}
    if roi is None:
        raise ValueError(
            f"{file}: give the bins with --roi, or the metadata of APS with --metadata, which name a q map"
        )
    partition = read_bins(roi, q)
    try:
        movie = EventMovie.find(file, partition, order, n_frames)
    except (FrameError, ValueError) as err:
        raise ValueError(f"{err}" if str(file) in str(err) else f"{roi}: {err}") from None
    if frame_time_s is None:
        where = f"{acquired.file} holds no frame_time" if acquired else f"{file} holds no frame time"
        raise ValueError(f"{where}: give --frame-time, in seconds")
    return _analyze_movie(file, movie, movie.partition, frame_time_s, contrast, out, source)


def _analyze_movie(
    file: Path, movie: "Movie | EventMovie", partition: Partition, frame_time_s: float, contrast: float | None,
    out: Path, about: Mapping[str, Any],
) -> Page:  # fmt: skip
    technique = RheoXPCS(partition, contrast=contrast)
    run = RunInfo(raw_uid=file.name, n_frames=movie.n_frames, frame_shape=movie.shape, frame_time_s=frame_time_s)
    try:
        exposure = technique.begin(run)
        with bars() as progress:
            task = progress.add_task("frames", total=movie.n_frames)
            blocks: Iterable[tuple[int, Any]] = movie.blocks(exposure)
            for first, block in blocks:
                exposure.push(block, first)
                progress.update(task, completed=first + len(block))
        analysis = exposure.finish()
    except (AnalysisError, FrameError) as err:
        raise ValueError(f"{file}: {err}") from None
    summary = _known(analysis)
    lines = [f"{summary['counts_per_pixel']:.3g} photons/pixel/frame", *sentences(summary), *details(summary)]
    about = {"n_frames": movie.n_frames, "frame_time_s": frame_time_s, **about}
    return _page(file, out, analysis, technique, f"{movie.n_frames} frames", lines, about)


def analyze_maps(file: Path, frame_time_s: float | None, bins: Partition | None, out: Path) -> Page:
    """Reduce the two-time maps of a result file and place them in the latent space; ValueError without maps."""
    with MapFile(file, frame_time_s=frame_time_s, bins=bins) as maps, bars() as progress:
        task = progress.add_task("maps", total=maps.partition.n_roi)
        technique = technique_of(maps.partition)
        analysis = analyse_maps(maps, technique, lambda n: progress.update(task, completed=n))
    lines = [f"{maps.layout}: {maps.n_rows} rows of {rounded(maps.row_s)} s", f"g2 of {analysis.summary['g2_of']}"]
    if maps.no_partition and np.isnan(maps.partition.q).all():
        lines.append(f"No q: {maps.no_partition}")
    about = {"layout": maps.layout, "n_frames": maps.n_rows, "frame_time_s": maps.row_s}
    what = f"{maps.partition.n_roi} maps of {maps.n_rows} rows, {maps.layout}"
    return _page(file, out, analysis, technique, what, lines, about, has_pixels=not maps.no_partition)


def _page(
    file: Path, out: Path, analysis: Analysis, technique: RheoXPCS, what: str, lines: Sequence[str],
    about: Mapping[str, Any], has_pixels: bool = True,
) -> Page:  # fmt: skip
    """Write a result, its numbers and `about` as attributes; return its table with `lines`, and its figure."""
    bins, numbers = technique.partition, {**_known(analysis), "novelty_p": analysis.novelty_p, "source": str(file)}
    arrays = {**analysis.arrays, "embedding": analysis.embedding}
    write_results(out, arrays, analysis.tables, {**numbers, **about}, bins if has_pixels else None)
    names, verdict = bin_names(bins.numbers, bins.phi), _verdict(analysis, technique)
    columns = "bin", "q (1/nm)", "pixels", "speckle", "contrast", "τ (s)", "exponent"
    table = Table(*columns, title=escape(str(file)), box=SIMPLE_HEAD, pad_edge=False, padding=(0, 1, 0, 0))
    table.caption = "\n".join([*lines, verdict])
    for k, (name, q, n) in enumerate(zip(names, bins.q, bins.n_pixels, strict=True)):
        pixels = str(n) if has_pixels else "–"
        table.add_row(name.removeprefix("bin "), f"{q:.4g}" if q == q else "–", pixels, *bin_cells(_row(analysis, k)))
    duration_s = about["n_frames"] * about["frame_time_s"]
    return Page(out, table, _draw(analysis, duration_s, names, f"{file.name}: {what}; {verdict}"))


def analyze_curves(
    file: Path, frame_time_s: float | None, out: Path, *, contrast: float | None, share: Collection[str] | None
) -> Page:
    """Fit g2 of a result file and write an HDF5 file; ValueError without g2."""
    fitted = FittedCurves.of(read_curves(file, frame_time_s=frame_time_s), contrast=contrast, share=share)
    fitted.write(out, source=str(file))
    figure = new_figure(13, 6)
    left, right = figure.subfigures(1, 2, width_ratios=(1.5, 1))  # type: ignore[misc]
    fitted.draw(left)
    left.suptitle(f"{file.name}: {len(fitted.chosen())} of {len(fitted.curves.g2)} bins", parse_math=False)
    fitted.draw_over_q(right)
    return Page(out, fitted.table(str(file)), figure)


def read_bins(roi: Path, q: str | None = None) -> Partition:
    """Read bins from an HDF5 file, a .npy of labels, or the settings of an instrument; ValueError names the file.

    `q` gives those of labels, in 1/nm: numbers with commas, or the name of a .csv with the columns label and q.
    """
    if roi.suffix in (".h5", ".hdf", ".hdf5", ".nxs"):
        return Partition.load(roi)
    try:
        if roi.suffix == ".npy":
            labels = np.load(roi, allow_pickle=False)
            return Partition.from_roi_map(labels, q=None if q is None else _q_of(q, labels))
        table = tomllib.loads(roi.read_text("utf-8-sig")).get("rheo_xpcs", {}).get("partition", {})
        settings = read_section(PartitionSettings, table, "rheo_xpcs.partition")
        return build_partition(settings.anchored(roi.resolve().parent))
    except (ValueError, EOFError) as err:
        why = "holds objects of Python, not an array of labels" if "allow_pickle" in str(err) else str(err)
        raise ValueError(f"{roi}: {why}") from None


def _q_of(text: str, labels: NDArray[Any]) -> NDArray[np.float64]:
    """Return q of the labels 1 to n, NaN where a table has none, or the numbers of a list."""
    try:
        if Path(text).suffix != ".csv":
            return np.array([float(number) for number in text.split(",")])
        rows = np.genfromtxt(text, delimiter=",", usecols=(0, 1), encoding="utf-8-sig", ndmin=2)
        rows = rows[np.isnan(rows[0]).any() :]  # without the names of the columns
        q = np.full(int(labels.max()), np.nan)
        q[rows[:, 0].astype(int) - 1] = rows[:, 1]
        return q
    except (ValueError, OSError, IndexError) as err:
        give = "give q in 1/nm of each label, with commas, or a .csv of two columns, label and q"
        raise ValueError(f"--q {text}: {give} ({err})") from None


def _known(analysis: Analysis) -> dict[str, Any]:
    return {name: value for name, value in analysis.summary.items() if value is not None}


def _row(analysis: Analysis, k: int) -> dict[str, Any]:
    return {column: values[k] for column, values in analysis.tables["bins"].items()}


def _verdict(analysis: Analysis, technique: RheoXPCS) -> str:
    if analysis.novelty_p is None:
        return f"no p-value: {analysis.summary['no_claim']}"
    called = "novel" if analysis.novel else "not called novel"
    return f"p = {analysis.novelty_p:.2g}, {called} at α = {technique.alpha:g}"


def _draw(analysis: Analysis, duration_s: float, names: list[str], title: str) -> Figure:
    """Draw maps, g2 with the fit of each bin and of a ring, and of several rings tau over q."""
    rings = analysis.tables.get("rings")
    figure = new_figure(13 if rings is None else 18, 5)
    panels: Any = figure
    if rings is not None:
        panels, right = figure.subfigures(1, 2, width_ratios=(3, 1))  # type: ignore[misc]
        draw_over_q(right, rings["q"], rings, _known(analysis))
    rows = [_row(analysis, k) for k in range(len(names))]
    fits = [{name: x for name, x in row.items() if x == x and x != ""} for row in rows]
    fit = None if rings is not None else _known(analysis)
    draw_exposure(panels, analysis.arrays, duration_s=duration_s, names=names, fit=fit, fits=fits)
    figure.suptitle(title, parse_math=False)
    return figure
