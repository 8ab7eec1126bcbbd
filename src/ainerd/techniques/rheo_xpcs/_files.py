"""Frames in HDF5 files, and g2 in result files of other programs: NXxpcs, and the two layouts of APS.

References
----------
NXxpcs: NeXus contributed definitions, ``NXxpcs.nxdl.xml`` of 2026: ``entry/data``, ``entry/instrument/masks``.
APS, ``/xpcs/multitau`` with ``/entry``: files of boost_corr, as pyXpcsViewer reads them (``core/file_io/aps_8idi.py``,
``core/xpcs_file.py``). APS, ``/exchange`` with ``/measurement``: older files of 8-ID-I, as their readers read them
(``/exchange/norm-0-g2``, ``/exchange/tau`` times ``/measurement/instrument/detector/exposure_period``).
"""

import re
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass, replace
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any

import h5py
import numpy as np
from numpy.typing import NDArray

from ainerd.xpcs import Partition

if TYPE_CHECKING:
    from ainerd.documents import Block, Whole

Curve = NDArray[np.float64]
_NEW, _OLD, _NEXUS = "xpcs/multitau/normalized_g2", "exchange/norm-0-g2", "entry/data/g2"
_DETECTORS = ("entry/instrument/detector_1", "entry/instrument/detector")


@dataclass(frozen=True)
class Curves:
    """g2 of bins.

    Attributes
    ----------
    layout : str
        Name of the file's layout.
    tau_s : ndarray, shape (n,)
        Lags in seconds.
    g2, error : ndarray, shape (n_roi, n)
        g2 and its standard error, NaN if the file has none.
    q, phi : ndarray, shape (n_roi,)
        In 1/nm and degrees; NaN if the file does not have them.
    partition : Partition or None
        The bins on the detector, if the file has as many bins as curves.
    no_partition : str
        Why there is no partition.
    """

    layout: str
    tau_s: Curve
    g2: Curve
    error: Curve
    q: Curve
    phi: Curve
    partition: Partition | None = None
    no_partition: str = ""


def read_curves(path: str | PathLike[str], *, frame_time_s: float | None = None) -> Curves:
    """Read g2 from a result file.

    Parameters
    ----------
    path : path-like
    frame_time_s : float, optional
        Seconds from one correlated frame to the next; by default that of the file.

    Raises
    ------
    ValueError
        If the file has no g2, or its datasets are inconsistent; the message names the dataset.
    """
    try:
        opened = h5py.File(path, "r")
    except OSError as err:
        raise ValueError(f"{path} is not an HDF5 file: {err}") from None
    with opened as file:
        name_of_g2 = next((name for name in _LAYOUTS if name in file), None)
        if name_of_g2 is None:
            raise ValueError(f"{path} holds no g2 of NXxpcs or APS: for a file of frames give the bins, --roi")
        try:
            layout, lags, g2, error = _LAYOUTS[name_of_g2](file, frame_time_s)
        except (OSError, RuntimeError, KeyError, TypeError) as err:
            raise ValueError(f"{path}: {name_of_g2} cannot be read: {err}") from None
        except ValueError as err:
            raise ValueError(f"{path}: {err}") from None
    if not (np.isfinite(lags).all() and (lags > 0).all() and np.isfinite(g2).any()):
        raise ValueError(f"{path}: the lags of {name_of_g2} are not positive numbers, or no g2 is a number")
    order = np.argsort(lags, kind="stable")
    curves = Curves(layout, lags[order], g2[:, order], error[:, order], *np.full((2, len(g2)), np.nan))
    try:
        partition = Partition.load(path)
    except ValueError as err:
        return replace(curves, no_partition=str(err))
    if partition.n_roi != len(g2):
        why = f"{path}: g2 is of {len(g2)} bins, the map has pixels of {partition.n_roi}"
        return replace(curves, no_partition=why)
    return replace(curves, q=partition.q, phi=partition.phi, partition=partition)


def _new(file: h5py.File, frame_time_s: float | None) -> tuple[str, Curve, Curve, Curve]:
    group = file["xpcs/multitau"]
    lags = _numbers(group, "delay_list")
    if frame_time_s is None:
        per_lag = [_numbers(group, f"config/{name}") if f"config/{name}" in group else np.ones(1) for name in _PER_LAG]
        frame_time_s = _frame_time(file) * float(np.prod([each[0] for each in per_lag]))
    g2, error = _by_lag(group, "normalized_g2", lags), _by_lag(group, "normalized_g2_err", lags)
    return "APS, boost_corr", frame_time_s * lags, g2, error


def _old(file: h5py.File, frame_time_s: float | None) -> tuple[str, Curve, Curve, Curve]:
    group = file["exchange"]
    lags = _numbers(group, "tau")
    if frame_time_s is None:
        several = [name for name in ("xpcs/avg_frames", "xpcs/stride_frames") if name in file and _one(file, name) != 1]
        if several:
            raise ValueError(f"{several[0]} is not 1: say with --frame-time how long it is from one lag to the next")
        frame_time_s = _one(file, "measurement/instrument/detector/exposure_period")
    g2, error = _by_lag(group, "norm-0-g2", lags), _by_lag(group, "norm-0-stderr", lags)
    return "APS, 8-ID-I before boost_corr", frame_time_s * lags, g2, error


def _nexus(file: h5py.File, frame_time_s: float | None) -> tuple[str, Curve, Curve, Curve]:
    group = file["entry/data"]
    lags = _numbers(group, "delay_difference")
    time_s = _frame_time(file) if frame_time_s is None else frame_time_s
    g2, error = _by_storage(group, "g2", lags), _by_storage(group, "g2_derr", lags)
    return "NXxpcs", time_s * lags, g2, np.full_like(g2, np.nan) if error.shape != g2.shape else error


def _by_lag(group: h5py.Group, name: str, lags: Curve) -> Curve:
    """Read a dataset (lags, bins) as (bins, lags); missing errors are NaN."""
    if name not in group:
        bins = _by_lag(group, name.removesuffix("_err").replace("stderr", "g2"), lags)
        return np.full_like(bins, np.nan)
    values = np.asarray(group[name][()], dtype=float)
    if values.ndim != 2 or len(values) != lags.size:
        raise ValueError(f"{group.name}/{name} has shape {values.shape}, wanted ({lags.size} lags, bins)")
    return values.T


def _by_storage(group: h5py.Group, name: str, lags: Curve) -> Curve:
    """Read a field of NXxpcs as (bins, lags): one array, lags first unless its mode differs, or a key for each bin."""
    if name not in group:
        return np.full((0, lags.size), np.nan)
    field = group[name]
    if isinstance(field, h5py.Group):  # data_exchange_keys
        keys = sorted(field, key=lambda key: (len(key), key))
        values = np.array([np.ravel(field[key][()]) for key in keys], dtype=float)
        mode = "one_array_q_first"
    else:
        values, mode = np.asarray(field[()], dtype=float), str(field.attrs.get("storage_mode", ""))
    values = np.atleast_2d(values)
    if values.ndim != 2 or lags.size not in values.shape:
        raise ValueError(f"{group.name}/{name} has shape {values.shape}, and there are {lags.size} lags")
    first_is_q = mode == "one_array_q_first" or values.shape[0] != lags.size
    return values if first_is_q and values.shape[1] == lags.size else values.T


def _frame_time(file: h5py.File) -> float:
    for detector in _DETECTORS:
        if f"{detector}/frame_time" in file:
            return _one(file, f"{detector}/frame_time")
    raise ValueError(f"{_DETECTORS[0]}/frame_time is not there: say it with --frame-time")


def _one(file: h5py.File, name: str) -> float:
    if name not in file:
        raise ValueError(f"{name} is not there: say with --frame-time how long it is from frame to frame")
    return float(_numbers(file, name)[0])


def _numbers(group: h5py.Group, name: str) -> Curve:
    """Read numbers of any shape as a list."""
    if not isinstance(group.get(name), h5py.Dataset):
        raise ValueError(f"{group.name.rstrip('/')}/{name} is not there")
    values = np.ravel(group[name][()])
    if values.dtype.kind not in "iuf" or not values.size:
        raise ValueError(f"{group.name.rstrip('/')}/{name} holds no numbers")
    return values.astype(float)


_PER_LAG = ("stride_frame", "avg_frame")
_LAYOUTS: dict[str, Callable[[h5py.File, float | None], tuple[str, Curve, Curve, Curve]]] = {
    _NEXUS: _nexus, _NEW: _new, _OLD: _old,
}  # fmt: skip


@dataclass(frozen=True)
class Movie:
    """Datasets of frames (ny, nx), by name in the file, and how many each has."""

    file: Path
    parts: list[tuple[str, int]]
    shape: tuple[int, int]

    @property
    def n_frames(self) -> int:
        """Number of frames of all parts."""
        return sum(n for _, n in self.parts)

    def blocks(self, pixels: NDArray[Any], whole: "Whole") -> Iterator["Block"]:
        """Yield these pixels of all frames, in blocks; FrameError if they cannot be read."""
        from ainerd.documents import Block, FrameReader

        before = first = 0
        for dataset, n in self.parts:
            with closing(FrameReader(self.file, dataset, pixels, self.shape, swmr=False)) as reader:
                for frames in reader.blocks(0, n, whole=whole.moved(-before)):
                    yield Block(first, frames)
                    first += len(frames)
            before += n


def find_movie(file: Path, dataset: str) -> Movie:
    """Find frames by name in a file: a dataset (frames, ny, nx), or a group of several.

    A master file of Eiger has the group ``entry/data`` with links ``data_000001``, ``data_000002``, … to the files with
    the frames (Dectris, File writer, 2.x); it is found by default. If there are no frames, the ValueError lists the
    movies in the file.
    """
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


def _series(group: h5py.Group, file: Path) -> dict[str, tuple[int, int, int]]:
    """Return the shapes of datasets of frames whose names end in a number, in the order of these numbers."""
    numbers = {name: re.search(r"\d+$", name) for name in group}
    names = sorted((name for name in numbers if numbers[name]), key=lambda name: int(numbers[name][0]))  # type: ignore[index]
    items = {f"{group.name.strip('/')}/{name}": _at(group, name, file) for name in names}
    return {name: item.shape for name, item in items.items() if getattr(item, "ndim", 0) == 3}


def _at(group: h5py.Group, name: str, file: Path) -> Any:
    """Return an item of a group, or None; ValueError if a link leads to a missing file."""
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
