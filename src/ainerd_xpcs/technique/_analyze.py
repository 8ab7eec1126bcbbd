"""`ainerd analyze`: frames or g2 in a file, without Bluesky."""

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from ainerd.cli import Force, bars, check_out
from ainerd.words import rounded

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from rich.table import Table

    from ainerd.technique import Analysis
    from ainerd_xpcs.numerics import Partition
    from ainerd_xpcs.technique._acquisition import AcquisitionMetadata, EventMovie
    from ainerd_xpcs.technique._exposure import ExposureAnalysis
    from ainerd_xpcs.technique._files import Movie
    from ainerd_xpcs.technique._settings import PartitionSettings
    from ainerd_xpcs.technique._technique import RheoXPCS

    Pages = tuple[Table, Figure]

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


def analyze(
    file: Annotated[Path, typer.Argument(help="A file: HDF5, or events (.bin, .bin.000).")],
    roi: Annotated[
        Path | None,
        typer.Option(help="Bins: a .npy of labels (ny, nx), 0 unused; a q map of APS or NXxpcs (.h5); a .toml."),
    ] = None,
    dataset: Dataset = "entry/data/data",
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
    from ainerd_xpcs.technique._acquisition import is_events

    if any(part.startswith(".tpx") for part in file.suffixes):
        raise ValueError(f"{file}: the layout of files of a Timepix is not published: write its frames to HDF5")
    of_events = is_events(file)
    if share is not None and (of_events or roi is not None):
        raise ValueError(f"{file}: --share is for a file with g2, without --roi")
    if not of_events and any(x is not None for x in (metadata, order, frames)):
        raise ValueError(f"{file}: --metadata, --order and --frames are for events, .bin")
    if not file.is_file():
        raise ValueError(f"no file {file}")
    name = file.name.split(".bin")[0] if of_events else file.stem
    if out is not None and out.suffix == ".png":
        raise ValueError(f"--out {out}: give a name that ends in .h5, the figure beside it gets the name in .png")
    to, force = out or Path(f"{name}_c2.h5"), force or out is None
    if of_events:
        check_out(to, force)
        table, figure = _analyze_events(file, metadata, roi, order, frame_time, frames, contrast, to)
    elif roi is None or file.suffix == ".npy":
        options = {"contrast": contrast, "share": shared(share)}
        _show_all(_result_file(file, frame_time, roi, out, name, force, options))
        return
    else:
        check_out(to, force)
        from ainerd_xpcs.technique._files import find_movie

        movie, bins = find_movie(file, dataset), read_bins(roi)
        if frame_time is None:
            raise ValueError(f"{file}: give the time from frame to frame with --frame-time, in seconds")
        table, figure = _analyze_frames(file, movie, bins, frame_time, contrast, to, {"dataset": dataset})
    _show_all([(to, table, figure)])


def shared(text: str | None) -> list[str] | None:
    """Return the parameters that bins share as `fit_curves` takes them, from the text of an option."""
    if text is None:
        return None
    return [] if text == "none" else [name.strip() for name in text.split(",")]


def _show_all(pages: "Iterable[tuple[Path, Table, Figure]]") -> None:
    """Save the figures beside the results, and print the tables."""
    from rich.console import Console

    console = Console()
    for out, table, figure in pages:
        figure.savefig(out.with_suffix(".png"), dpi=120)
        console.print(table)
        print(f"results: {out}   figure: {out.with_suffix('.png')}")


def _result_file(
    file: Path,
    frame_time_s: float | None,
    roi: Path | None,
    out: Path | None,
    name: str,
    force: bool,
    options: Mapping[str, Any],
) -> "Iterator[tuple[Path, Table, Figure]]":
    """Yield the page of the maps of a result file, and that of its g2, as far as it holds them."""
    from ainerd_xpcs.technique._curves import has_curves
    from ainerd_xpcs.technique._map_layouts import has_maps

    with_maps = has_maps(file)
    with_curves = not with_maps or has_curves(file)
    maps = out or Path(f"{name}_maps.h5")
    curves = Path(f"{name}_g2.h5") if out is None else out.with_stem(f"{out.stem}_g2") if with_maps else out
    for to in [maps] * with_maps + [curves] * with_curves:
        check_out(to, force)
    if with_maps:
        yield maps, *_analyze_maps(file, frame_time_s, roi, maps)
    if with_curves:
        yield curves, *_analyze_curves(file, frame_time_s, curves, options)


def _analyze_events(
    file: Path, metadata: Path | None, roi: Path | None, order: Literal["rows", "columns"] | None,
    frame_time: float | None, n_frames: int | None, contrast: float | None, out: Path,
) -> "Pages":  # fmt: skip
    """Analyse a file of events. Values that the options do not give come from the metadata of APS."""
    movie, acquired, qmap = find_events(file, metadata, roi, order, n_frames)
    source: dict[str, Any] = {}
    if acquired is not None:
        frame_time = frame_time or acquired.frame_time_s
        source = {"metadata": str(acquired.file), "detector": acquired.detector, "qmap": str(qmap)}
    if frame_time is None:
        where = f"{acquired.file} holds no frame_time" if acquired else f"{file} holds no frame time"
        raise ValueError(f"{where}: give --frame-time, in seconds")
    return _analyze_frames(file, movie, movie.partition, frame_time, contrast, out, source)


def find_events(
    file: Path, metadata: Path | None, roi: Path | None, order: Literal["rows", "columns"] | None,
    n_frames: int | None,
) -> "tuple[EventMovie, AcquisitionMetadata | None, Path]":  # fmt: skip
    """Return the movie of a file of events, its metadata of APS, and the file of its bins; ValueError without bins."""
    from ainerd.documents import FrameError
    from ainerd_xpcs.technique._acquisition import AcquisitionMetadata, EventMovie

    acquired = AcquisitionMetadata.read(metadata) if metadata else AcquisitionMetadata.beside(file)
    if acquired is not None:
        order, roi = order or "rows", roi or acquired.find_qmap()
    if roi is None:
        raise ValueError(
            f"{file}: give the bins with --roi, or the metadata of APS with --metadata, which name a q map"
        )
    partition = read_bins(roi)
    try:
        return EventMovie.find(file, partition, order, n_frames), acquired, roi
    except (FrameError, ValueError) as err:
        raise ValueError(f"{err}" if str(file) in str(err) else f"{roi}: {err}") from None


def _analyze_frames(
    file: Path, movie: "Movie | EventMovie", partition: "Partition", frame_time: float, contrast: float | None,
    out: Path, source: dict[str, Any],
) -> "Pages":  # fmt: skip
    from rich.markup import escape
    from rich.table import Table

    from ainerd.documents import FrameError
    from ainerd.technique import AnalysisError, RunInfo
    from ainerd_xpcs.technique._drawing import draw_exposure, new_figure
    from ainerd_xpcs.technique._exposure import ExposureAnalysis
    from ainerd_xpcs.technique._sentences import bin_cells, details, sentences
    from ainerd_xpcs.technique._technique import RheoXPCS

    technique = RheoXPCS(partition, contrast=contrast)
    try:
        run = RunInfo(raw_uid=file.name, n_frames=movie.n_frames, frame_shape=movie.shape, frame_time_s=frame_time)
        exposure = technique.begin(run)
        assert isinstance(exposure, ExposureAnalysis)  # the run names no result file
        with bars() as progress:
            task = progress.add_task("frames", total=movie.n_frames)
            for n_so_far in push_all(movie, exposure):
                progress.update(task, completed=n_so_far)
        analysis = exposure.finish()
    except (AnalysisError, FrameError) as err:
        raise ValueError(f"{file}: {err}") from None
    summary = {name: value for name, value in analysis.summary.items() if value is not None}
    _write_analysis(out, analysis, {"source": str(file)} | source)
    verdict = _verdict(analysis, technique)
    names = _names(partition)
    figure = new_figure(13, 5)
    half_s: Any = summary.get("tau_half_s")
    draw_exposure(figure, analysis.arrays, duration_s=movie.n_frames * frame_time, names=names, half_s=half_s)
    figure.suptitle(f"{file.name}: {movie.n_frames} frames; {verdict}", parse_math=False)
    table = Table("bin", "pixels", "speckle", "contrast", "τ (s)", "exponent", title=escape(str(file)))
    counts = f"{summary['counts_per_pixel']:.3g} photons/pixel/frame"
    table.caption = "\n".join([counts, *sentences(summary), *details(summary), verdict])
    for k, name in enumerate(names):
        row = {column: values[k] for column, values in analysis.tables["bins"].items()}
        table.add_row(name, str(partition.n_pixels[k]), *bin_cells(row))
    return table, figure


def _verdict(analysis: "Analysis", technique: "RheoXPCS") -> str:
    if analysis.novelty_p is None:
        return f"no p-value: {analysis.summary['no_claim']}"
    called = "novel" if analysis.novel else "not called novel"
    return f"p = {analysis.novelty_p:.2g}, {called} at α = {technique.alpha:g}, bank {technique.bank.id}"


def _write_analysis(out: Path, analysis: "Analysis", about: Mapping[str, Any]) -> None:
    """Write arrays and tables to an HDF5 file, and the summary and `about` as its attributes."""
    import h5py

    summary = {name: value for name, value in analysis.summary.items() if value is not None}
    with h5py.File(out, "w") as results:
        for name, array in analysis.arrays.items():
            results.create_dataset(name, data=array, compression="gzip" if array.ndim > 1 else None)
            results[name].attrs["dims"] = list(analysis.dims[name])
        for name, columns in analysis.tables.items():
            group = results.create_group(name)
            for column, values in columns.items():
                group[column] = values.astype(h5py.string_dtype()) if values.dtype.kind == "U" else values
        results["embedding"] = analysis.embedding
        results.attrs.update({**summary, **about})
        if analysis.novelty_p is not None:
            results.attrs["novelty_p"] = analysis.novelty_p


def _names(bins: "Partition") -> list[str]:
    """Return the azimuth of each bin, with its number if another ring has the same; without azimuth the number."""
    azimuths = [f"φ = {x:.0f}°" if x == x else "" for x in bins.phi]
    both = zip(bins.numbers, azimuths, strict=True)
    return [f"bin {k}" if not at else at if azimuths.count(at) == 1 else f"{k}: {at}" for k, at in both]


def push_all(movie: "Movie | EventMovie", exposure: "ExposureAnalysis") -> Iterator[int]:
    """Pass all frames to the analysis, and yield the number of frames so far."""
    from ainerd.documents import Whole
    from ainerd_xpcs.technique._acquisition import EventMovie

    if isinstance(movie, EventMovie):
        for first, events in movie.blocks(exposure):
            exposure.push(events, first)
            yield first + events.stop
        return
    for block in movie.blocks(exposure.pixels, Whole(exposure)):
        exposure.push(block.frames, block.first)
        yield block.first + len(block.frames)


def read_bins(roi: Path) -> "Partition":
    """Read bins from an HDF5 file, a .npy of labels, or the settings of an instrument; ValueError names the file."""
    import numpy as np

    from ainerd_xpcs.numerics import Partition
    from ainerd_xpcs.technique._bins import build_partition

    if not roi.is_file():
        raise ValueError(f"no file {roi}")
    if roi.suffix in (".h5", ".hdf", ".hdf5", ".nxs"):
        return Partition.load(roi)
    if roi.suffix not in (".npy", ".toml"):
        known = "labels (.npy), bins in HDF5, or the settings of an instrument (.toml), which may name a .poni"
        raise ValueError(f"{roi}: give {known}")
    try:
        if roi.suffix == ".npy":
            return Partition.from_roi_map(np.load(roi, allow_pickle=False))
        return build_partition(read_partition_settings(roi))
    except (ValueError, EOFError) as err:
        why = "holds objects of Python, not an array of labels" if "allow_pickle" in str(err) else str(err)
        raise ValueError(f"{roi}: {why}") from None


def read_partition_settings(file: Path) -> "PartitionSettings":
    """Read ``[rheo_xpcs.partition]`` of the settings of an instrument (``.toml``)."""
    from ainerd.config import read_section, read_toml
    from ainerd_xpcs.technique._settings import PartitionSettings

    table = read_toml(file).get("rheo_xpcs", {}).get("partition", {})
    return read_section(PartitionSettings, table, "rheo_xpcs.partition").anchored(file.resolve().parent)


def _analyze_maps(file: Path, frame_time_s: float | None, roi: Path | None, out: Path) -> "Pages":
    """Reduce the two-time maps of a result file and place them in the latent space; ValueError without maps."""
    from rich.markup import escape
    from rich.table import Table

    from ainerd_xpcs.technique._drawing import draw_exposure, new_figure
    from ainerd_xpcs.technique._map_run import analyse, technique_of
    from ainerd_xpcs.technique._maps import MapFile
    from ainerd_xpcs.technique._sentences import bin_cells

    bins = None if roi is None else read_bins(roi)
    with MapFile(file, frame_time_s=frame_time_s, bins=bins) as maps, bars() as progress:
        task = progress.add_task("maps", total=maps.partition.n_roi)
        technique = technique_of(maps.partition)
        analysis, _ = analyse(maps, technique, lambda n: progress.update(task, completed=n))
    _write_analysis(out, analysis, {"source": str(file), "layout": maps.layout, "row_s": maps.row_s})
    names, duration_s = _names(maps.partition), maps.n_rows * maps.row_s
    figure = new_figure(13, 5)
    draw_exposure(figure, analysis.arrays, duration_s=duration_s, names=names)
    figure.suptitle(f"{file.name}: {len(names)} maps of {maps.n_rows} rows; {maps.layout}", parse_math=False)
    table = Table("bin", "q (1/nm)", "pixels", "contrast", "τ (s)", "exponent", title=escape(str(file)))
    table.caption = f"{maps.layout}: {maps.n_rows} rows of {rounded(maps.row_s)} s"
    table.caption += f"\ng2 of {analysis.summary['g2_of']}\n{_verdict(analysis, technique)}"
    if maps.no_partition:
        table.caption += f"\nNo q: {maps.no_partition}"
    for k, (name, q, n) in enumerate(zip(names, maps.partition.q, maps.partition.n_pixels, strict=True)):
        row = {column: values[k] for column, values in analysis.tables["bins"].items()}
        pixels = "–" if maps.no_partition else str(n)
        table.add_row(name, f"{q:.4g}" if q == q else "–", pixels, *bin_cells(row)[1:])
    return table, figure


def _analyze_curves(file: Path, frame_time_s: float | None, out: Path, options: Mapping[str, Any]) -> "Pages":
    """Fit g2 of a result file with options of `fit_curves` and write an HDF5 file; ValueError without g2."""
    import h5py

    from ainerd_xpcs.technique._curves import read_curves
    from ainerd_xpcs.technique._drawing import new_figure
    from ainerd_xpcs.technique._fitted import FittedCurves

    fitted = FittedCurves.of(read_curves(file, frame_time_s=frame_time_s), **options)
    with h5py.File(out, "w") as results:
        fitted.write(results)
        results.attrs["source"] = str(file)
    figure = new_figure(13, 6)
    left, right = figure.subfigures(1, 2, width_ratios=(1.5, 1))  # type: ignore[misc]
    fitted.draw(left)
    left.suptitle(f"{file.name}: {len(fitted.chosen())} of {len(fitted.curves.g2)} bins", parse_math=False)
    fitted.draw_over_q(right)
    return fitted.table(str(file)), figure
