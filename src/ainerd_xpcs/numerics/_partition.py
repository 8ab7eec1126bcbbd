"""Partitions of a detector: which pixel belongs to which (q, phi) bin, static sub-bin and part."""

from dataclasses import dataclass, field, replace
from functools import cached_property
from os import PathLike
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ainerd_xpcs.numerics._geometry import Annulus, checked_mask
from ainerd_xpcs.numerics._masks import by_label, read_masks, write_masks

PARTS = 16  # of a bin: enough to know an error to a fifth, few enough to cost little
Precision = Literal["float32", "float64"]
Path = str | PathLike[str]
Array = NDArray[Any]  # of counts and other numbers of several types
Floats = NDArray[np.float64]


def check_choice(name: str, value: str, choices: object) -> None:
    """Raise ValueError unless `value` is one of the literals in `choices`."""
    if value not in get_args(choices):
        raise ValueError(f"no {name} {value!r}: there are {', '.join(map(repr, get_args(choices)))}")


@dataclass(frozen=True, kw_only=True, eq=False)
class Partition:
    """The pixels of a detector in dynamic bins, and the pixels of each bin in static sub-bins.

    Each dynamic bin gives one C2 map. A sub-bin holds the pixels of one bin that share a static label; the mean
    scattering S(q) used to normalize a map is taken over it. Static labels may run through several bins, as the rings
    of `annular` do, or be nested in them, as those of APS are.

    Attributes
    ----------
    roi_map, static_map : ndarray of int, shape (ny, nx)
        0 is unused; pixels of bin k give ``maps[k - 1]``, static labels are any numbers from 1.
    q, phi : ndarray, shape (n_roi,)
        Center of each bin in 1/nm and in degrees, 0 along the columns (growing column index), 90 along the rows; NaN
        where unknown.
    static_q : ndarray or None
        Center of static label r in 1/nm at ``static_q[r - 1]``; None where unknown.
    n_left_out : int
        Number of requested bins that hold no pixel.
    numbers : ndarray of int, shape (n_roi,)
        The number of each bin in the labels or the file that it comes from, by which people know it; by default 1 to
        n_roi.

    Examples
    --------
    >>> roi_map = np.repeat([1, 2], 15)[None].repeat(20, axis=0)
    >>> partition = Partition.from_roi_map(roi_map)
    >>> partition.n_roi, partition.n_pixels.tolist()
    (2, [300, 300])
    """

    roi_map: NDArray[np.int32]
    static_map: NDArray[np.int32]
    q: Floats
    phi: Floats
    static_q: Floats | None = None
    n_left_out: int = 0
    numbers: NDArray[np.int64] = field(default_factory=lambda: np.empty(0, np.int64))

    def __post_init__(self) -> None:
        if not self.roi_map.any():
            raise ValueError("the partition has no pixels: roi_map is 0 everywhere")
        empty = np.flatnonzero(self.n_pixels == 0) + 1
        if empty.size:
            raise ValueError(f"bins without a pixel: {empty.tolist()}; `from_roi_map` leaves them out")
        if not self.numbers.size:
            object.__setattr__(self, "numbers", np.arange(1, self.n_roi + 1))

    @classmethod
    def annular(cls, *, mask: ArrayLike | None = None, **geometry: Any) -> "Partition":
        """Cut rings around the beam into sectors, bin by bin; empty bins are left out.

        Parameters
        ----------
        mask : array_like of bool, shape (ny, nx), optional
            True where a pixel must not be used. Pixels beside a gap of the detector are always masked: they are larger
            and count differently.
        **geometry
            Parameters of `Annulus`.

        Raises
        ------
        ValueError
            If an argument makes no sense, or no bin holds a pixel. The message then gives the range that the detector
            sees, and the argument that is most probably in another unit or order.
        """
        rings = Annulus(**geometry)
        return cls._renumbered(*rings.masked(mask), *rings.centers())

    @classmethod
    def from_roi_map(
        cls,
        roi_map: ArrayLike,
        q: ArrayLike | None = None,
        phi: ArrayLike | None = None,
        static_map: ArrayLike | None = None,
        static_q: ArrayLike | None = None,
    ) -> "Partition":
        """Make a partition from labels.

        Parameters
        ----------
        roi_map : array_like of int, shape (ny, nx)
            0 is unused, 1 … n are bins; those that do not occur are left out, and `numbers` has those that do.
        q, phi : array_like, shape (n,), optional
            Centers in 1/nm and degrees, by number from 1, or only those of the numbers that occur.
        static_map : array_like of int, shape (ny, nx), optional
            Static labels, 1 or more where roi_map is not 0; without it S(q) is constant over a bin.
        static_q : array_like, optional
            Centers of the static labels in 1/nm, from label 1, or only those of the labels that occur.

        Raises
        ------
        ValueError
            If the maps are not such labels or do not fit each other.
        """
        labels = np.asarray(roi_map)
        if labels.ndim != 2 or not np.issubdtype(labels.dtype, np.integer):
            raise ValueError(f"roi_map must be a 2-d array of integers, got shape {labels.shape}, {labels.dtype}")
        if labels.min() < 0:
            raise ValueError(f"roi_map must not be negative (0 is unused), its smallest label is {labels.min()}")
        static = (labels > 0).astype(np.int32) if static_map is None else np.asarray(static_map)
        if static.shape != labels.shape or np.any((labels > 0) & (static < 1)):
            raise ValueError("static_map must have the shape of roi_map and be at least 1 wherever roi_map is used")
        n = max(int(labels.max()), *(0 if x is None else np.size(x) for x in (q, phi)))
        q_of, phi_of = (
            np.full(n, np.nan) if x is None else by_label(x, labels, n, name) for x, name in ((q, "q"), (phi, "phi"))
        )
        q_of_static = None
        if static_q is not None:
            q_of_static = by_label(static_q, static, max(int(static.max()), np.size(static_q)), "static_q")
        return cls._renumbered(labels, static, q_of, phi_of, q_of_static, np.arange(1, n + 1))

    @classmethod
    def load(cls, path: Path) -> "Partition":
        """Read a partition from an HDF5 file: written by `save`, any NXxpcs masks, or a q map of APS.

        It reads the group ``entry/instrument/masks`` of NXxpcs, and ``qmap``, ``xpcs/qmap`` (pySimpleMask and the
        result files of boost_corr), ``data`` or ``xpcs`` (before those) of APS, whose `mask` is 1 where a pixel is
        good. The q values of APS are in 1/Å and are converted to 1/nm; the sense of its phi is reversed. Bins without
        a good pixel are left out; `numbers` has those of the file.

        Raises
        ------
        ValueError
            If the file holds no such group or its arrays do not fit each other; the message names file and dataset.
        """
        masks, source = read_masks(path)
        try:
            return cls.from_roi_map(**masks)
        except ValueError as err:
            raise ValueError(f"{source}: {err}") from None

    def save(self, path: Path) -> None:
        """Write the masks of NXxpcs, ``entry/instrument/masks``, to a new HDF5 file."""
        maps = {"dynamic_roi_map": self.labels, "static_roi_map": self.static_map}
        lists = {"dynamic_q_list": self.q, "dynamic_phi_list": self.phi, "static_q_list": self.static_q}
        write_masks(path, maps, lists)

    def without(self, mask: ArrayLike) -> "Partition":
        """Return the partition without the pixels where `mask`, (ny, nx), is True; empty bins are left out.

        Raises
        ------
        ValueError
            If the mask has another shape, leaves no pixel, or looks inverted.
        """
        out = checked_mask(mask, self.roi_map > 0)
        rest = self._renumbered(
            np.where(out, 0, self.roi_map), self.static_map, self.q, self.phi, self.static_q, self.numbers
        )
        return replace(rest, n_left_out=self.n_left_out + rest.n_left_out)

    def only(self, bins: ArrayLike) -> "Partition":
        """Return the partition of some bins, given by their labels in `roi_map`."""
        roi_map = np.where(np.isin(self.roi_map, bins), self.roi_map, 0)
        rest = self._renumbered(roi_map, self.static_map, self.q, self.phi, self.static_q, self.numbers)
        return replace(rest, n_left_out=self.n_left_out)

    @classmethod
    def _renumbered(
        cls,
        roi_map: Array,
        static_map: Array,
        q: Floats,
        phi: Floats,
        static_q: Floats | None,
        numbers: NDArray[np.int64] | None = None,
    ) -> "Partition":
        """Make a partition, leaving out labels that do not occur; `q`, `phi`, `numbers` are of all labels, from 1."""
        present = np.bincount(roi_map.ravel(), minlength=len(q) + 1)[1:] > 0
        number = np.concatenate([[0], np.where(present, np.cumsum(present), 0)])
        return cls(
            roi_map=number[roi_map].astype(np.int32),
            static_map=np.where(roi_map > 0, static_map, 0).astype(np.int32),
            q=q[present],
            phi=phi[present],
            static_q=static_q,
            n_left_out=int((~present).sum()),
            **({} if numbers is None else {"numbers": numbers[present]}),
        )

    @property
    def shape(self) -> tuple[int, int]:
        """(ny, nx) of the frames."""
        return self.roi_map.shape

    @property
    def n_roi(self) -> int:
        """Number of bins."""
        return len(self.q)

    @property
    def labels(self) -> NDArray[np.int32]:
        """The number of the bin of each pixel, (ny, nx), as in the file: `roi_map` with `numbers`; 0 is unused."""
        return np.append(0, self.numbers).astype(np.int32)[self.roi_map]

    @cached_property
    def pixels(self) -> NDArray[np.int64]:
        """Flat indices of the pixels in use, bin by bin, in a bin by static label."""
        used = np.flatnonzero(self.roi_map)
        return used[np.lexsort((used, self.static_map.ravel()[used], self.roi_map.ravel()[used]))]

    @cached_property
    def n_pixels(self) -> NDArray[np.int64]:
        """Pixels of each bin, (n_roi,)."""
        return np.bincount(self.roi_map.ravel(), minlength=self.n_roi + 1)[1:]

    @cached_property
    def static_edges(self) -> NDArray[np.int64]:
        """Start of each static sub-bin in `pixels`, and the end: (n_sub + 1,)."""
        roi, static = self.roi_map.ravel()[self.pixels], self.static_map.ravel()[self.pixels]
        begins = np.flatnonzero((np.diff(roi, prepend=-1) != 0) | (np.diff(static, prepend=-1) != 0))
        return np.append(begins, len(self.pixels))

    @cached_property
    def static_roi(self) -> NDArray[np.int64]:
        """Bin, from 0, that each static sub-bin belongs to, (n_sub,)."""
        return self.roi_map.ravel()[self.pixels[self.static_edges[:-1]]].astype(np.int64) - 1

    def gather(self, frames: Array) -> Array:
        """Return the pixels in use, (b, n), of `frames` (b, ny, nx) or (b, n); raise ValueError for other shapes."""
        frames = np.asarray(frames)
        if frames.ndim == 3 and frames.shape[1:] == self.shape:
            return frames.reshape(len(frames), -1)[:, self.pixels]
        if frames.ndim == 2 and frames.shape[1] == len(self.pixels):
            return frames
        raise ValueError(
            f"frames of shape {frames.shape} do not fit this partition: expected (b, {self.shape[0]}, "
            f"{self.shape[1]}), or (b, {len(self.pixels)}) of gathered pixels"
        )


@dataclass(frozen=True)
class Parts:
    """Groups of neighbouring pixels of one static sub-bin, whose scatter gives the errors of a bin.

    Attributes
    ----------
    edges : ndarray of int, shape (n_part + 1,)
        Start of each part in the order of ``partition.pixels``, and the end.
    sub, roi : ndarray of int, shape (n_part,)
        Static sub-bin and bin, from 0, of each part.
    """

    edges: NDArray[np.int64]
    sub: NDArray[np.int64]
    roi: NDArray[np.int64]

    @classmethod
    def of(cls, partition: Partition) -> "Parts":
        """Cut each bin into about sixteen parts of equal size; at least one for each static sub-bin."""
        size, first = np.diff(partition.static_edges), partition.static_edges[:-1]
        wanted = np.rint(PARTS * size / partition.n_pixels[partition.static_roi])
        n = np.clip(wanted.astype(np.int64), 1, size)
        sub = np.repeat(np.arange(len(size)), n)
        number = np.arange(len(sub)) - np.repeat(np.cumsum(n) - n, n)  # of the part in its sub-bin
        begins = first[sub] + number * size[sub] // n[sub]
        return cls(np.append(begins, len(partition.pixels)), sub, partition.static_roi[sub])

    @property
    def size(self) -> NDArray[np.int64]:
        """Pixels of each part, (n_part,)."""
        return np.diff(self.edges)
