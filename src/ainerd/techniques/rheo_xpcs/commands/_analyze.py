"""`ainerd analyze`: frames or g2 in an HDF5 file, without Bluesky."""

import re
import tomllib
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ainerd.cli import bars

if TYPE_CHECKING:
    import h5py
    from numpy.typing import NDArray

    from ainerd.documents import Whole
    from ainerd.technique import Analysis
    from ainerd.techniques.rheo_xpcs import Curves, RheoXPCS
    from ainerd.xpcs import KwwFit, Partition


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
        _analyze_curves(file, frame_time, out)
    else:
        _analyze_frames(file, roi, dataset, 1.0 if frame_time is None else frame_time, contrast, out)


def _analyze_frames(
    file: Path, roi: Path, dataset: str, frame_time: float, contrast: float | None, out: Path | None
) -> None:
    import h5py
    from rich.console import Console

    from ainerd.documents import FrameError, Whole
    from ainerd.technique import AnalysisError, RunInfo
    from ainerd.techniques.rheo_xpcs import RheoXPCS, draw_exposure, new_figure

    movie = find_movie(file, dataset)
    n_frames, shape = movie.n_frames, movie.shape
    technique = RheoXPCS(_partition(roi), contrast=contrast)
    try:
        exposure = technique.begin(
            RunInfo(raw_uid=file.name, n_frames=n_frames, frame_shape=shape, frame_time_s=frame_time)
        )
        with bars() as progress:
            task = progress.add_task("frames", total=n_frames)
            for block in movie.blocks(exposure.pixels, Whole(exposure)):
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
        attributes = {**analysis.summary, "novelty_p": analysis.novelty_p, "source": str(file), "dataset": dataset}
        results.attrs.update({name: value for name, value in attributes.items() if value is not None})
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

    from ainerd.techniques.rheo_xpcs import sentences
    from ainerd.techniques.rheo_xpcs._sentences import bin_cells

    known = {name: value for name, value in analysis.summary.items() if value is not None}
    lines = [f"{known['counts_per_pixel']:.3g} photons/pixel/frame", *sentences(known), _verdict(technique, analysis)]
    table = Table("bin", "pixels", "speckle", "contrast", "τ (s)", "exponent", title=title, caption="\n".join(lines))
    bins = analysis.tables["bins"]
    for k, name in enumerate(names):
        row = {column: values[k] for column, values in bins.items()}
        table.add_row(name, str(technique.partition.n_pixels[k]), *bin_cells(row))
    return table


def _analyze_curves(file: Path, frame_time_s: float | None, out: Path | None) -> None:
    """Fit g2 of a result file bin by bin and write a table, an HDF5 file and a figure; ValueError without g2."""
    import h5py
    from rich.console import Console

    from ainerd.techniques.rheo_xpcs import has_curves, read_curves
    from ainerd.xpcs import fit_kww

    if not file.is_file():
        raise ValueError(f"no file {file}")
    if not has_curves(file):
        raise ValueError(f"{file} holds no g2 of NXxpcs or APS: for a file of frames give the bins, --roi")
    curves = read_curves(file, frame_time_s=frame_time_s)
    fit = fit_kww(curves.tau_s, curves.g2, curves.error)
    out = out or Path(f"{file.stem}_g2.h5")
    with h5py.File(out, "w") as results:
        for name in ("g2", "q", "phi"):
            results[name] = getattr(curves, name)
        results["tau"], results["g2_err"] = curves.tau_s, curves.error
        if curves.partition is not None:
            results.create_dataset("roi_map", data=curves.partition.roi_map, compression="gzip")
        for name in ("contrast", "tau", "exponent", "baseline"):
            results[f"fit/{name}"], results[f"fit/{name}_err"] = getattr(fit, name), getattr(fit, f"{name}_err")
        results["fit/chi2"] = fit.chi2
        results.attrs.update({"source": str(file), "layout": curves.layout, "formula": fit.formula})
    _draw(file, curves, fit, out.with_suffix(".png"))
    console = Console()
    console.print(_curves_table(file, curves, fit))
    console.print(f"results: {out}   figure: {out.with_suffix('.png')}")


def _curves_table(file: Path, curves: "Curves", fit: "KwwFit") -> object:
    from rich.table import Table

    lines = [
        f"{curves.layout}: {curves.tau_s.size} lags, {curves.tau_s[0]:.3g} to {curves.tau_s[-1]:.3g} s",
        "Each curve is fitted alone, with the errors of the file as if lags were independent: they are too small.",
    ]
    if curves.no_partition:
        lines.append(f"No q: {curves.no_partition}")
    table = Table("bin", "q (1/nm)", "φ (°)", "contrast", "τ (s)", "exponent", "χ²", title=str(file))
    table.caption = "\n".join(lines)
    for k in range(len(curves.g2)):
        where = [f"{x[k]:.4g}" if x[k] == x[k] else "–" for x in (curves.q, curves.phi)]
        values = [_value(fit, name, k) for name in ("contrast", "tau", "exponent")]
        table.add_row(str(k + 1), *where, *values, f"{fit.chi2[k]:.2g}" if fit.ok[k] else "–")
    return table


def _value(fit: "KwwFit", name: str, k: int) -> str:
    return f"{getattr(fit, name)[k]:.3g} ± {getattr(fit, name + '_err')[k]:.1g}" if fit.ok[k] else "no fit"


def _draw(file: Path, curves: "Curves", fit: "KwwFit", path: Path) -> None:
    import numpy as np

    from ainerd.techniques.rheo_xpcs import new_figure

    figure = new_figure(8, 5)
    axes = figure.add_subplot()
    lags = np.geomspace(curves.tau_s[0], curves.tau_s[-1], 200)
    for k, (g2, error) in enumerate(zip(curves.g2, curves.error, strict=True)):
        (points,) = axes.plot(curves.tau_s, g2, ".", ms=4)
        axes.errorbar(curves.tau_s, g2, error, fmt="none", ecolor=points.get_color(), alpha=0.4)
        if fit.ok[k]:
            decay = fit.contrast[k] * np.exp(-2 * (lags / fit.tau[k]) ** fit.exponent[k])
            axes.plot(lags, fit.baseline[k] + decay, color=points.get_color())
    axes.set(xscale="log", xlabel="lag (s)", ylabel="$g_2$", title=f"{file.name}: {len(curves.g2)} bins")
    figure.savefig(path, dpi=120)


@dataclass(frozen=True)
class Movie:
    """Datasets of frames (ny, nx), by name in the file, and how many each has."""

    file: Path
    parts: list[tuple[str, int]]
    shape: tuple[int, int]

    @property
    def n_frames(self) -> int:
        """Of all parts."""
        return sum(n for _, n in self.parts)

    def blocks(self, pixels: "NDArray[Any]", whole: "Whole") -> Iterator["NDArray[Any]"]:
        """Yield these pixels of all frames, in blocks; FrameError if they cannot be read."""
        from ainerd.documents import FrameReader

        before = 0
        for dataset, n in self.parts:
            with closing(FrameReader(self.file, dataset, pixels, self.shape, swmr=False)) as reader:
                yield from reader.blocks(0, n, whole=whole.moved(-before))
            before += n


def find_movie(file: Path, dataset: str) -> Movie:
    """Find frames by name in a file: a dataset (frames, ny, nx), or a group of several.

    A master file of Eiger has the group ``entry/data`` with links ``data_000001``, ``data_000002``, … to the files with
    the frames (Dectris, File writer, 2.x); it is found by default. If there are no frames, the ValueError lists the
    movies in the file.
    """
    import h5py

    if not file.is_file():
        raise ValueError(f"no file {file}")
    try:
        with h5py.File(file, "r") as opened:
            node = _at(opened, dataset, file)
            if node is None and dataset == "entry/data/data":
                node, dataset = _at(opened, "entry/data", file), "entry/data"
            if isinstance(node, h5py.Group):
                parts = _series(node, file)
            else:
                parts = {dataset: node.shape} if getattr(node, "ndim", 0) == 3 else {}
            if not parts:
                movies: list[str] = []
                opened.visititems(lambda name, item: movies.append(name) if getattr(item, "ndim", 0) == 3 else None)
                instead = f"of (frames, ny, nx) it holds {', '.join(movies)}" if movies else "it holds no movie"
                raise ValueError(f"{file} has no frames at {dataset!r}: {instead}; name one with --dataset")
    except OSError as err:
        raise ValueError(f"{file} is not an HDF5 file: {err}") from None
    shapes = {shape[1:] for shape in parts.values()}
    if len(shapes) > 1:
        sizes = ", ".join(f"{name} {shape[1]} × {shape[2]}" for name, shape in parts.items())
        raise ValueError(f"{file}: the frames differ in size ({sizes}); name one dataset with --dataset")
    return Movie(file, [(name, shape[0]) for name, shape in parts.items()], next(iter(shapes)))


def _series(group: "h5py.Group", file: Path) -> dict[str, tuple[int, int, int]]:
    """Return the shapes of datasets of frames whose names end in a number, in the order of these numbers."""
    numbers = {name: re.search(r"\d+$", name) for name in group}
    names = sorted((name for name in numbers if numbers[name]), key=lambda name: int(numbers[name][0]))  # type: ignore[index]
    items = {f"{group.name.strip('/')}/{name}": _at(group, name, file) for name in names}
    return {name: item.shape for name, item in items.items() if getattr(item, "ndim", 0) == 3}


def _at(group: "h5py.Group", name: str, file: Path) -> Any:
    """Return an item of a group, or None; ValueError if a link leads to a missing file."""
    import h5py

    try:
        return group[name]
    except (KeyError, OSError) as err:
        try:
            link = group.get(name, getlink=True)
        except (KeyError, OSError):
            link = None
        if isinstance(link, h5py.ExternalLink):
            where = f"{group.name.rstrip('/')}/{name}".strip("/")
            raise ValueError(f"{file}: {where} leads to {link.filename}, which cannot be opened: {err}") from None
        return None
