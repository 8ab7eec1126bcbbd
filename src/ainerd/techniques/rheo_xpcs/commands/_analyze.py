"""`ainerd analyze`: a plain HDF5 file of frames or of g2, with no Bluesky around it."""

import tomllib
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ainerd.cli import bars
from ainerd.techniques.rheo_xpcs.commands._curves import analyze_curves
from ainerd.techniques.rheo_xpcs.commands._movie import find_movie

if TYPE_CHECKING:
    from ainerd.technique import Analysis
    from ainerd.techniques.rheo_xpcs import RheoXPCS
    from ainerd.xpcs import Partition


def analyze(
    file: Annotated[Path, typer.Argument(help="An HDF5 file.")],
    roi: Annotated[
        Path | None, typer.Option(help="Bins: a .npy of labels (ny, nx), 0 unused; or an instrument's .toml.")
    ] = None,
    dataset: Annotated[
        str, typer.Option(help="Frames in the file, (frames, ny, nx), or a group of such.")
    ] = "entry/data/data",
    frame_time: Annotated[
        float | None, typer.Option(help="Time from frame to frame, in seconds; 1 if nobody says.")
    ] = None,
    contrast: Annotated[float | None, typer.Option(help="Speckle contrast; without it that of the run.")] = None,
    out: Annotated[Path | None, typer.Option(help="Results (.h5), a figure beside them. Default: FILE's name.")] = None,
) -> None:
    """Two-time maps, g2, latent vectors and novelty of a file of frames; without --roi, fits of a file of g2.

    Files of g2 are NXxpcs, and the result files of APS.
    """
    if not ((frame_time is None or frame_time > 0) and (contrast is None or 0 < contrast <= 1)):
        raise ValueError(f"--frame-time must be positive and --contrast in (0, 1], got {frame_time} and {contrast}")
    if roi is None:
        analyze_curves(file, frame_time, out)
    else:
        _analyze_frames(file, roi, dataset, 1.0 if frame_time is None else frame_time, contrast, out)


def _analyze_frames(
    file: Path, roi: Path, dataset: str, frame_time: float, contrast: float | None, out: Path | None
) -> None:
    import h5py
    from rich.console import Console

    from ainerd.documents import FrameError, Whole
    from ainerd.technique import AnalysisError, RunInfo
    from ainerd.techniques.rheo_xpcs import RheoXPCS
    from ainerd.techniques.rheo_xpcs._drawing import draw_exposure, new_figure

    movie = find_movie(file, dataset)
    n_frames, shape = movie.n_frames, movie.shape
    technique = RheoXPCS(_partition(roi), contrast=contrast)
    try:
        exposure = technique.begin(
            RunInfo(raw_uid=file.name, n_frames=n_frames, frame_shape=shape, frame_time_s=frame_time)
        )
        with bars() as progress:
            task = progress.add_task("frames", total=n_frames)
            for block in movie.blocks(exposure.pixels, Whole.of(exposure)):
                exposure.push(block)
                progress.advance(task, len(block))
        analysis = exposure.finish()
    except (AnalysisError, FrameError) as err:
        raise ValueError(f"{file}: {err}") from None
    out = out or Path(f"{file.stem}_c2.h5")
    with h5py.File(out, "w") as results:
        for name, array in analysis.arrays.items():
            results.create_dataset(name, data=array, compression="gzip" if array.ndim > 1 else None)
            results[name].attrs["dims"] = list(analysis.dims[name])
        for name, columns in analysis.tables.items():
            group = results.create_group(name)
            for column, values in columns.items():
                group[column] = values.astype(h5py.string_dtype()) if values.dtype.kind == "U" else values
        results["embedding"] = analysis.embedding
        about = {**analysis.summary, "novelty_p": analysis.novelty_p, "source": str(file), "dataset": dataset}
        results.attrs.update({name: value for name, value in about.items() if value is not None})
    names = _names(technique.partition)
    figure = new_figure(13, 5)
    draw_exposure(figure, analysis.arrays, duration_s=n_frames * frame_time, names=names)
    figure.suptitle(f"{file.name}: {n_frames} frames; {_verdict(technique, analysis)}")
    figure.savefig(out.with_suffix(".png"), dpi=120)
    console = Console()
    console.print(_table(technique, analysis, names, str(file)))
    console.print(f"results: {out}   figure: {out.with_suffix('.png')}")


def _partition(roi: Path) -> "Partition":
    import numpy as np

    from ainerd.config import read_section
    from ainerd.techniques.rheo_xpcs import PartitionSettings, build_partition
    from ainerd.xpcs import Partition

    if not roi.is_file():
        raise ValueError(f"no file {roi}")
    if roi.suffix == ".toml":
        try:
            table = tomllib.loads(roi.read_text()).get("rheo_xpcs", {}).get("partition", {})
            section = read_section(PartitionSettings, table, "rheo_xpcs.partition")
            return build_partition(section.anchored(roi.resolve().parent))
        except ValueError as err:
            raise ValueError(f"{roi}: {err}") from None
    if roi.suffix in (".h5", ".hdf", ".hdf5", ".nxs"):
        return Partition.load(roi)
    try:
        return Partition.from_roi_map(np.load(roi, allow_pickle=False))
    except (ValueError, EOFError) as err:
        raise ValueError(f"{roi}: {err}") from None


def _names(partition: "Partition") -> list[str]:
    return [f"bin {k + 1}" if phi != phi else f"φ = {phi:.0f}°" for k, phi in enumerate(partition.phi)]


def _verdict(technique: "RheoXPCS", analysis: "Analysis") -> str:
    if analysis.novelty_p is None:
        return f"no claim of novelty: {analysis.summary['no_claim']}"
    called = "novel" if analysis.novel else "not called novel"
    return f"p = {analysis.novelty_p:.2g}, {called} at α = {technique.alpha:g}, bank {analysis.calibration['id']}"


def _table(technique: "RheoXPCS", analysis: "Analysis", names: list[str], title: str) -> object:
    from rich.table import Table

    from ainerd.techniques.rheo_xpcs._sentences import bin_cells, sentences

    known = {name: value for name, value in analysis.summary.items() if value is not None}
    lines = [f"{known['counts_per_pixel']:.3g} photons/pixel/frame", *sentences(known), _verdict(technique, analysis)]
    table = Table("bin", "pixels", "speckle", "contrast", "τ (s)", "exponent", title=title, caption="\n".join(lines))
    bins = analysis.tables["bins"]
    for k, name in enumerate(names):
        row = {column: values[k] for column, values in bins.items()}
        table.add_row(name, str(technique.partition.n_pixels[k]), *bin_cells(row))
    return table
