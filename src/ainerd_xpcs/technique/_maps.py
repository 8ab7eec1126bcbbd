"""Two-time maps in result files: boost_corr, 8-ID, pychx, NXxpcs; reduced to the size of the agent's own maps.

One map of the file at a time is in memory. `_checked_map` recognises its form. A frame without photons has a row of 0,
or of NaN; it is left out. The diagonal of others holds shot noise; the mean of its neighbours replaces it.

References
----------
boost_corr 1.2, ``twotime.py``: ``correlation_map/c2_00001``, …, with the running number of the *processed* bins, whose
labels are in ``processed_bins``; the upper half. Its files of early 2025 have them in ``xpcs/twotime/c2_half``.
8-ID before that: ``exchange/C2T_all/g2_00001``, …, labels in ``xpcs/qphi_bin_to_process``.
pychx 4.4: ``g12b`` (T, T, bins) in its ``…_Res.h5``, or ``uid=…_g12b.npy``.
NXxpcs: ``entry/twotime/two_time_corr_func`` with storage_mode, baseline_reference, time_origin_location,
populated_elements; the map itself shows the last two.
"""

import re
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, replace
from datetime import datetime
from functools import cached_property
from os import PathLike
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

from ainerd_xpcs.numerics import Neighbours, Partition, diagonal_means, reduction_operator
from ainerd_xpcs.technique._checked_map import put_right
from ainerd_xpcs.technique._curves import bins_of, labels_of, mean_counts, read_curves, stated_bins, unknown_layout
from ainerd_xpcs.technique._curves_of_bins import Curves
from ainerd_xpcs.technique._fields import FRAME_TIMES, dataset, frame_time, is_there, number, numbers, opened

Map = NDArray[np.float32]
SIZE, FEWEST_ROWS = 256, 64


@dataclass(frozen=True)
class Stored:
    """The maps of a file before they are read.

    Attributes
    ----------
    layout : str
        Name of the file's layout.
    read : callable
        Returns map number k, from 0, as it is stored: (T, T), perhaps one half.
    labels : ndarray of int, shape (n,)
        Bin of each map, as in the file's own map of bins.
    n_rows : int
        Rows of the maps by the shape of the dataset.
    row_s : float
        Seconds from row to row; NaN if the file does not say it.
    baseline : int
        Value of maps without correlation, 0 or 1.
    is_clean : bool
        Whether the diagonal holds no shot noise, as in our own exports.
    """

    layout: str
    read: Callable[[int], NDArray[Any]]
    labels: NDArray[np.int64]
    n_rows: int
    row_s: float
    baseline: int = 1
    is_clean: bool = False


class MapFile:
    """A file with two-time maps; a context, in which `maps` reads them.

    Parameters
    ----------
    path : path-like
    frame_time_s : float, optional
        Seconds from row to row of the maps; by default that of the file.
    bins : Partition, optional
        The bins of the maps, in place of those of the file.
    otherwise : Partition, optional
        The bins of the maps of a file without any, if it has as many maps.

    Attributes
    ----------
    layout : str
    row_s : float
        Seconds from row to row of the stored maps.
    n_rows : int
        Rows of the stored maps; 0 until the first is read.
    n_stated : int
        The same by the shape of the dataset, before any is read.
    partition : Partition
        The bins of the maps. A file that does not say where its bins are gets one pixel for each.
    no_partition : str
        Why they are not those of a detector.
    counts : ndarray, shape (n_roi,)
        Mean photons per pixel and frame; NaN if the file has no mean frame.
    began : float or None
        Start of the run in seconds since 1970, if the file says it.
    curves : Curves or None
        g2 with errors of the bins of the maps, if the file holds it.
    neighbours, diagonals : list of Neighbours, and of ndarray, shape (n,)
        Noise of each map that was read so far, and g2 along its diagonals at `lags_of_map`.

    Raises
    ------
    ValueError
        If the file has no maps in a known layout, or its datasets are inconsistent; the message names the dataset.
    """

    def __init__(
        self,
        path: str | PathLike[str],
        *,
        frame_time_s: float | None = None,
        bins: Partition | None = None,
        otherwise: Partition | None = None,
    ) -> None:
        self.path, self._given_s, self._given, self.n_rows = Path(path), frame_time_s, bins, 0
        self._otherwise, self.neighbours, self.diagonals = otherwise, list[Neighbours](), list[NDArray[np.float64]]()
        self._rows: NDArray[np.int64] | None = None  # of the curves of the bins, in a file that says where these are

    def __enter__(self) -> "MapFile":
        with ExitStack() as stack:
            if self.path.suffix == ".npy":
                self._stored, file = _npy(self.path), None
            else:
                file = stack.enter_context(opened(self.path))
                name = next((name for name in _LAYOUTS if is_there(file, name)), None)
                if name is None:
                    raise ValueError(unknown_layout(file, "two-time map", _LAYOUTS))
                self._stored = _LAYOUTS[name](file)
            self.n_stated = self._stored.n_rows
            self.layout, self.no_partition, self.began = self._stored.layout, "", None if file is None else _began(file)
            self._order, self.partition = self._bins(file)
            self.row_s = self._stored.row_s if self._given_s is None else self._given_s
            if not self.row_s > 0:
                give = "give --frame-time, or results:FOLDER?frame_time=SECONDS"
                raise ValueError(f"{self.path} does not say how long a row of its maps is: {give}")
            unknown = np.full(self.partition.n_roi, np.nan)
            self.counts = unknown if file is None or self.no_partition else mean_counts(file, self.partition)
            self._close = stack.pop_all()
        return self

    def __exit__(self, *error: object) -> None:
        self._close.__exit__(*error)  # type: ignore[arg-type]

    def maps(self, size: int = SIZE) -> Iterator[Map]:
        """Yield the map of each bin, (size, size), baseline 1; NaN where there is no valid frame.

        Raises
        ------
        ValueError
            If a map is not square, has fewer than 64 rows, or another number of rows than the others; if it is not
            symmetric, or not C2 of normalised intensities.
        """
        self.neighbours.clear()
        self.diagonals.clear()
        for k in self._order:
            c2 = self._stored.read(int(k))
            if c2.ndim != 2 or c2.shape[0] != c2.shape[1]:
                raise ValueError(f"{self.path}: map {k + 1} has shape {c2.shape}, expected (T, T)")
            if len(c2) < FEWEST_ROWS:
                raise ValueError(f"{self.path}: map {k + 1} has {len(c2)} rows, at least {FEWEST_ROWS} are needed")
            if self.n_rows not in (0, len(c2)):
                raise ValueError(f"{self.path}: map {k + 1} has {len(c2)} rows, the one before {self.n_rows}")
            self.n_rows = len(c2)
            what = f"{self.path}: map {k + 1}"
            c2 = put_right(c2, self._stored.baseline, what)
            self.neighbours.append(Neighbours.of(c2))
            self.diagonals.append(diagonal_means(c2))
            yield reduced(c2, size, is_clean=self._stored.is_clean)

    def _bins(self, file: h5py.File | None) -> tuple[NDArray[np.int64], Partition]:
        """Return the order in which to read the maps, and their bins."""
        labels = self._stored.labels
        try:
            if self._given is None and file is None:
                raise ValueError("a .npy holds no bins")
            all_bins = self._given or bins_of(file, self.path)
        except ValueError as err:
            self.no_partition = str(err)
            order = np.argsort(labels, kind="stable")
            if self._otherwise is not None and self._otherwise.n_roi == labels.size:
                return order, self._otherwise
            partition = Partition.from_roi_map(np.arange(1, labels.size + 1)[None])
            return order, replace(partition, numbers=labels[order])
        own = None if self._given is not None or file is None else labels_of(file, all_bins)
        of_bins = np.arange(1, all_bins.n_roi + 1) if own is None else own
        if own is None and labels.size != all_bins.n_roi:
            raise ValueError(f"{self.path} has {labels.size} maps, the bins are {all_bins.n_roi}")
        places = [(np.flatnonzero(labels == label), k) for k, label in enumerate(of_bins, start=1)]
        present = [(at[0], k) for at, k in places if at.size]
        if not present:
            raise ValueError(f"{self.path}: its maps are of bins {labels.tolist()[:8]}, which have no pixel")
        order, bins = np.array(present).T
        self._rows = bins - 1
        return order, all_bins if len(bins) == all_bins.n_roi else all_bins.only(bins)

    @cached_property
    def curves(self) -> Curves | None:
        """The curves of the bins of the maps, if the file holds them with errors."""
        if self._rows is None or self.no_partition or self._given is not None:
            return None
        try:
            curves = read_curves(self.path)
        except ValueError:  # it holds none, or they cannot be used
            return None
        return curves.only(self._rows) if curves.partition is not None and (curves.error > 0).any() else None


def reduced(c2: Map, size: int, *, is_clean: bool = False) -> Map:
    """Return a map (T, T) from `put_right` as one of the agent's, (size, size): area means. It changes `c2`."""
    if not is_clean:
        beside = np.full((2, len(c2)), np.nan, np.float32)
        beside[0, 1:] = beside[1, :-1] = c2.diagonal(1)
        known = np.isfinite(beside)
        n = known.sum(0)
        np.fill_diagonal(c2, np.where(n > 0, np.where(known, beside, 0).sum(0) / np.maximum(n, 1), np.nan))
    if len(c2) == size:
        return c2
    operator = reduction_operator("area", len(c2), size).astype(np.float32)
    good = np.isfinite(c2)
    if good.all():
        return np.asarray(operator @ (operator @ c2).T, dtype=np.float32)
    c2[~good] = 0
    weight = operator @ (operator @ good.astype(np.float32)).T
    mean = operator @ (operator @ c2).T
    return np.asarray(np.divide(mean, weight, out=np.full_like(mean, np.nan), where=weight > 1e-6), dtype=np.float32)


def _series(file: h5py.File, name: str, labels: str) -> tuple[Callable[[int], NDArray[Any]], NDArray[np.int64], int]:
    """Return the reader of maps whose names end in a running number, labels (listed, or the numbers), and rows."""
    group = file[name]
    endings = {key: re.search(r"\d+$", key) for key in group}
    keys = sorted((key for key in endings if endings[key]), key=lambda key: int(endings[key][0]))  # type: ignore[index]
    if not keys:
        raise ValueError(f"{name} holds no maps whose names end in a number")
    own = np.array([int(endings[key][0]) for key in keys])  # type: ignore[index]
    if is_there(file, labels):
        listed = numbers(file, labels).astype(np.int64)
        own = own - min(own.min(), 1)  # the names are running numbers of the processed bins
        if own.max() >= listed.size:
            raise ValueError(f"{name} has a map {keys[-1]}, and {labels} lists {listed.size} bins")
        own = listed[own]
    if own.min() < 0 or np.unique(own).size != own.size:
        raise ValueError(
            f"the maps in {name} are of bins {own.tolist()[:8]}: each must have a number of its own, from 1"
        )
    own += own.min() == 0  # label 0 is that of unused pixels
    return lambda k: dataset(group, keys[k])[()], own, len(dataset(group, keys[0]))


def _boost_corr(file: h5py.File) -> Stored:
    name = next(name for name in _BOOST_CORR if is_there(file, name))
    read, labels, n = _series(file, name, "xpcs/twotime/processed_bins")
    steps = [number(file, f"xpcs/twotime/config/{name}", 1.0) for name in ("avg_frame", "stride_frame")]
    return Stored("APS, boost_corr", read, labels, n, _row_s(file, FRAME_TIMES) * steps[0] * steps[1])


def _old(file: h5py.File) -> Stored:
    read, labels, n = _series(file, "exchange/C2T_all", "xpcs/qphi_bin_to_process")
    steps = [number(file, f"xpcs/{name}", 1.0) for name in ("avg_frames", "stride_frames")]
    row_s = _row_s(file, ("measurement/instrument/detector/exposure_period",))
    return Stored("APS, 8-ID-I and boost_corr before 2025", read, labels, n, row_s * steps[0] * steps[1])


def _nexus(file: h5py.File) -> Stored:
    field = file[_NEXUS]
    mode = _text(field.attrs.get("storage_mode", ""))
    if isinstance(field, h5py.Group):
        read, labels, n = _series(file, _NEXUS, "")
    elif mode in ("one_array_q_first", "one_array_q_last", ""):
        maps = dataset(file, _NEXUS)
        if maps.ndim != 3:
            raise ValueError(f"/{_NEXUS} has shape {maps.shape}, expected (bins, T, T) or (T, T, bins)")
        axis = _axis_of_bins(maps.shape, 2 if mode == "one_array_q_last" else 0)
        every, n = np.arange(1, maps.shape[axis] + 1), maps.shape[1]
        occur = np.unique(dataset(file, _ROI_MAP)[()]).astype(np.int64) if is_there(file, _ROI_MAP) else every
        of_bins = stated_bins(file["entry/twotime"]), occur[occur > 0], every  # their numbers may have holes
        labels = next(each for each in of_bins if each.size == every.size)

        def read(k: int) -> NDArray[Any]:
            return np.asarray(maps[k] if axis == 0 else maps[:, :, k])

    else:
        raise ValueError(f"/{_NEXUS} has storage_mode {mode!r}, which does not say where a map is")
    ours = _text(file["entry/process/program"][()]) == "ainerd" if is_there(file, "entry/process/program") else False
    times = numbers(file, "entry/twotime/t1", "s") if is_there(file, "entry/twotime/t1") else np.empty(0)
    steps = np.diff(times)
    if steps.size and not (steps[0] != 0 and np.allclose(steps, steps[0], rtol=0.01)):
        raise ValueError("/entry/twotime/t1 is not evenly spaced: the rows of a map must be equally long")
    row_s = abs(float(steps[0])) if steps.size else _row_s(file, FRAME_TIMES)
    if steps.size and steps[0] < 0:  # on both axes
        rows = read

        def read(k: int) -> NDArray[Any]:
            return rows(k)[::-1, ::-1]

    return Stored("NXxpcs", read, labels, n, row_s, int(field.attrs.get("baseline_reference", 1)), ours)


def _pychx(file: h5py.File) -> Stored:
    maps = dataset(file, "g12b")
    if maps.ndim != 3:
        raise ValueError(f"/g12b has shape {maps.shape}, expected (T, T, bins)")
    about = next((dict(file[name].attrs) for name in ("md", "meta_data") if name in file), {})
    lags = next((numbers(file, name, "s") for name in ("tausb", "taus2") if is_there(file, name)), np.empty(0))
    lags = lags[lags > 0]
    keys = [float(np.ravel(about[key])[0]) for key in ("frame_time", "acquire period") if key in about]
    row_s = float(lags.min()) if lags.size else next((x for x in keys if x > 0), np.nan)
    axis = _axis_of_bins(maps.shape, 2)
    read = (lambda k: maps[:, :, k]) if axis == 2 else (lambda k: maps[k])
    return Stored("NSLS-II, pychx", read, np.arange(1, maps.shape[axis] + 1), maps.shape[1], row_s)


def _axis_of_bins(shape: tuple[int, ...], stated: int) -> int:
    """Return the axis of the bins of maps in one array, (bins, T, T) or (T, T, bins): the stated one if both fit."""
    fits = {0: shape[1] == shape[2], 2: shape[0] == shape[1]}
    return next((axis for axis in (stated, 2 - stated) if fits[axis]), stated)


def _npy(path: Path) -> Stored:
    try:
        maps = np.load(path, mmap_mode="r", allow_pickle=False)
    except (ValueError, OSError, EOFError) as err:
        raise ValueError(f"{path}: not a .npy file of numbers ({err})") from None
    if maps.dtype.kind not in "fiu" or maps.ndim not in (2, 3):
        raise ValueError(f"{path}: holds {maps.dtype} of shape {maps.shape}, expected maps (T, T), or several of them")
    if maps.ndim == 2:
        return Stored(".npy", lambda k: maps, np.array([1]), len(maps), np.nan)
    last = path.stem.endswith("_g12b") or maps.shape[1] != maps.shape[2]  # as pychx saves them
    layout, axis = ("NSLS-II, pychx (.npy)", 2) if last else (".npy", 0)
    return Stored(layout, lambda k: np.take(maps, k, axis), np.arange(1, maps.shape[axis] + 1), maps.shape[1], np.nan)


def _row_s(file: h5py.File, names: tuple[str, ...]) -> float:
    return frame_time(file, names) if any(is_there(file, name) for name in names) else np.nan


def _began(file: h5py.File) -> float | None:
    """Return the start of the run, from the entry or from the metadata of pychx; None if it is not there."""
    value = file["md"].attrs.get("start_time") if is_there(file, "md") else None
    if is_there(file, "entry/start_time"):
        value = file["entry/start_time"][()]
    try:
        text = _text(np.ravel(value)[0])  # type: ignore[arg-type]
        return float(text) if re.fullmatch(r"\d+(\.\d+)?", text) else datetime.fromisoformat(text).timestamp()
    except (TypeError, ValueError, IndexError, UnicodeDecodeError):
        return None


def _text(value: Any) -> str:
    return value.decode() if isinstance(value, bytes) else str(value)


_NEXUS = "entry/twotime/two_time_corr_func"
_ROI_MAP = "entry/instrument/masks/dynamic_roi_map"
_BOOST_CORR = ("xpcs/twotime/correlation_map", "xpcs/twotime/c2_half")
_LAYOUTS: dict[str, Callable[[h5py.File], Stored]] = {
    _NEXUS: _nexus,
    **dict.fromkeys(_BOOST_CORR, _boost_corr),
    "exchange/C2T_all": _old,
    "g12b": _pychx,
}


def has_maps(path: Path) -> bool:
    """Return whether a file holds two-time maps in a known layout."""
    if path.suffix == ".npy":
        return True
    with opened(path) as file:
        return any(is_there(file, name) for name in _LAYOUTS)
