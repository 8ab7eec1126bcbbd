"""Files with two-time maps of other programs, reduced to the size of the agent's own maps.

One map of the file at a time is in memory. Programs write different forms, and their files seldom name the form: half
or whole, the corner where time begins, C2 or C2 - 1. The map shows it: C2 is symmetric. C2 of normalised intensities is
1 at lags at which nothing is correlated, and never above 2.

A frame without photons has a row of 0, or of NaN; it is left out. The diagonal of others holds shot noise; the mean of
its neighbours replaces it.
"""

import logging
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import replace
from functools import cached_property
from os import PathLike
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

from ainerd_files._curves import bins_of, labels_of, mean_counts, read_curves
from ainerd_files._curves_of_bins import Curves
from ainerd_files._fields import opened
from ainerd_files._layouts import has_curves
from ainerd_files._map_layouts import began, npy_maps, stored_maps
from ainerd_files._map_noise import Neighbours
from ainerd_xpcs.numerics import Partition, diagonal_means, reduction_operator

logger = logging.getLogger(__name__)

Map = NDArray[np.float32]
SIZE, FEWEST_ROWS = 256, 64
FILLED = 0.99  # share of one half of a map that holds one number, if the half is not stored
ASYMMETRY = 0.01  # rms of the difference from its mirror image, over the standard deviation of the map
LOWEST, HIGHEST = 0.9, 2.1  # C2 at lags at which nothing, or everything, is correlated, with noise


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
                self._stored, file = npy_maps(self.path), None
            else:
                file = stack.enter_context(opened(self.path))
                self._stored = stored_maps(file)
            self.n_stated = self._stored.n_rows
            self.layout, self.no_partition, self.began = self._stored.layout, "", None if file is None else began(file)
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
            partition = replace(Partition.from_roi_map(np.arange(1, labels.size + 1)[None]), numbers=labels[order])
            if self._stored.is_clean and has_curves(self.path):  # our own file, whose curves have the same numbers
                curves = read_curves(self.path)
                self._rows = np.searchsorted(curves.numbers, partition.numbers)
                partition = replace(partition, q=curves.q[self._rows], phi=curves.phi[self._rows])
            return order, partition
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
        if self._rows is None or self._given is not None:
            return None
        try:
            curves = read_curves(self.path)
        except ValueError as error:
            if has_curves(self.path):
                reason = str(error).removeprefix(f"{self.path}: ")
                logger.warning("%s: its g2 is not used: %s", self.path, reason)
            return None
        is_placed = curves.partition is not None or self.no_partition
        has_errors = self._stored.is_clean or (curves.error > 0).any()
        return curves.only(self._rows) if is_placed and has_errors else None


def put_right(c2: NDArray[Any], baseline: int, what: str) -> Map:
    """Return the whole map, C2 with time from the upper left corner, and NaN in rows without photons.

    Parameters
    ----------
    c2 : ndarray, shape (T, T)
        As it is stored: C2 or C2 - 1, perhaps one half. A frame without photons has a row of 0 or NaN.
    baseline : int
        Value without correlation that the file states, 0 or 1.
    what : str
        Name of the map.

    Raises
    ------
    ValueError
        If the map is not symmetric, or its level is that of no map; the message names it.
    """
    with np.errstate(over="ignore"):
        c2 = np.array(c2, dtype=np.float32)
    if not np.isfinite(c2).any():
        raise ValueError(f"{what} holds no number of a map, only NaN, infinity or numbers above 1e38")
    whole = _whole(c2)
    if whole is None:
        whole = _whole(c2[::-1])
    if whole is None:
        raise ValueError(
            f"{what} is not symmetric, and no half of it is empty: is it C2 over two times, (T, T), of one bin?"
        )
    off = ~np.eye(len(whole), dtype=bool)
    dead = ~(off & np.isfinite(whole) & (whole != 0)).any(1)
    whole[dead] = whole[:, dead] = np.nan
    return _with_baseline(whole, baseline, what)


def _whole(c2: Map) -> Map | None:
    """Return a map of which a half may be stored; None if it is neither symmetric nor a half."""
    half = np.tri(len(c2), k=-1, dtype=bool)
    below, above = c2[half], c2.T[half]
    is_below, is_above = _is_stored(below), _is_stored(above)
    if is_below != is_above:
        stored = np.tril(c2, -1) if is_below else np.triu(c2, 1)
        return np.asarray(stored + stored.T + np.diag(c2.diagonal()), dtype=np.float32)
    known = np.isfinite(below) & np.isfinite(above)
    if not known.any() or (np.isfinite(below) != np.isfinite(above)).any():
        return None
    rms = np.sqrt(np.square(below[known] - above[known], dtype=float).mean())
    level = max(float(np.std(below[known], dtype=float)), 1e-6 * float(np.abs(below[known]).max()))
    return c2.copy() if rms <= ASYMMETRY * level else None


def _is_stored(half: Map) -> bool:
    """Return whether a half of a map holds more than one number, such as 0, 1, -1 or NaN."""
    finite = half[np.isfinite(half)]
    filler = (finite == np.median(finite)).sum() if finite.size else 0
    return bool(half.size - finite.size + filler <= FILLED * half.size)


def _with_baseline(c2: Map, baseline: int, what: str) -> Map:
    """Return C2; add 1 if the map is C2 - 1."""
    n = len(c2)
    near = float(np.nanmean([*c2.diagonal(1), *c2.diagonal(2)]))
    far = float(np.nanmean(c2[np.tri(n, k=-(n // 2), dtype=bool)]))  # the map is symmetric
    is_less = far < LOWEST and far < near / 2 and LOWEST <= far + 1
    if baseline == 0 and LOWEST <= far <= HIGHEST:
        raise ValueError(f"{what} has the level {far:.3g} at long lags, and the file states that it is C2 - 1")
    if baseline == 1 and is_less:
        logger.warning("%s has the level %.3g at long lags: it is taken as C2 - 1", what, far)
    if baseline == 0 or baseline == 1 and is_less:
        c2 = c2 + np.float32(1)
        near, far = near + 1, far + 1
    if not (LOWEST <= far <= HIGHEST and near <= HIGHEST):
        raise ValueError(
            f"{what} is {near:.3g} at short lags and {far:.3g} at long ones: C2 of normalised intensities is 1 to 2, "
            "and C2 - 1 falls towards 0; divide the map by the mean intensities of its two times"
        )
    return c2


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
