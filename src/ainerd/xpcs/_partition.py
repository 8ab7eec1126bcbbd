"""Which pixel belongs to which (q, phi) bin."""

from dataclasses import dataclass, field, replace
from functools import cached_property
from os import PathLike
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ainerd.xpcs._detector import checked_mask

if TYPE_CHECKING:
    from pyFAI.detectors import Detector


@dataclass(frozen=True, kw_only=True, eq=False)
class Partition:
    """A detector's pixels in dynamic bins, and each bin's pixels in static sub-bins.

    A dynamic bin is one C2 map. The pixels of a bin that share a static label are one sub-bin, over which the mean
    scattering S(q) is taken when a map is normalised. Static labels may run through bins, as the rings of `annular`
    do, or be nested in them, as those of APS are: a sub-bin is a pair (bin, label) either way. Only the normalisation
    "paper" tells them apart, because it pools a label over all bins that hold it.

    Attributes
    ----------
    roi_map, static_map : ndarray of int, shape (ny, nx)
        0 is unused; pixels of bin k give ``maps[k - 1]``, static labels are any numbers from 1.
    q, phi : ndarray, shape (n_roi,)
        Centre of each bin in 1/nm and in degrees, 0 along the columns (growing column index), 90 along the rows; NaN
        where not known.
    static_q : ndarray or None
        Centre of static label r in 1/nm at ``static_q[r - 1]``; None where not known.
    left_out : ndarray, shape (m, 2)
        q in 1/nm and phi in degrees of bins that were asked for and hold no pixel.
    """

    roi_map: NDArray[np.int32]
    static_map: NDArray[np.int32]
    q: NDArray[np.float64]
    phi: NDArray[np.float64]
    static_q: NDArray[np.float64] | None = None
    left_out: NDArray[np.float64] = field(default_factory=lambda: np.empty((0, 2)))
    _order: NDArray[np.int64] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        used = np.flatnonzero(self.roi_map)
        if used.size == 0:
            raise ValueError("the partition has no pixels: roi_map is 0 everywhere")
        roi, static = self.roi_map.ravel()[used], self.static_map.ravel()[used]
        object.__setattr__(self, "_order", used[np.lexsort((used, static, roi))])
        empty = np.flatnonzero(self.n_pixels == 0) + 1
        if empty.size:
            raise ValueError(f"bins without a pixel: {empty.tolist()}; `from_roi_map` leaves them out")

    @classmethod
    def annular(
        cls,
        *,
        detector: "str | Detector",
        beam_center_px: tuple[float, float],
        distance_m: float,
        energy_keV: float,
        q_range_inv_nm: tuple[float, float] | None = None,
        n_q: int | None = None,
        q_edges_inv_nm: ArrayLike | None = None,
        n_phi: int = 18,
        phi_range_deg: tuple[float, float] = (0.0, 360.0),
        n_static: int = 4,
        mask: ArrayLike | None = None,
        gap_border_px: int = 1,
        beamstop_px: float = 0.0,
    ) -> "Partition":
        """Rings around the beam, cut in equal sectors.

        Bin (i_q, i_phi) is number ``i_q * n_phi + i_phi + 1``; with 18 sectors, sector k covers 20 (k - 1) to 20 k
        degrees. Bins that hold no pixel, because the beam is near an edge, say, are left out and the others numbered
        afresh: see `left_out`.

        Parameters
        ----------
        detector : str or pyFAI.detectors.Detector
            Any detector of pyFAI; its gaps are masked.
        beam_center_px : (float, float)
            (row, column) of the direct beam; the centre of pixel i is at i + 0.5. It may lie off the detector.
        distance_m : float
            Sample to detector, in metres.
        energy_keV : float
            Photon energy, in keV.
        q_range_inv_nm : (float, float), optional
            Inner and outer limit, in 1/nm, of `n_q` rings of equal width.
        n_q : int, optional
            Rings; 1 without it.
        q_edges_inv_nm : array_like, shape (n_q + 1,), optional
            In place of these two: where each ring ends and the next begins, in 1/nm.
        n_phi, n_static : int
            Sectors, and static rings in each ring.
        phi_range_deg : (float, float)
            Where the first sector begins and the last one ends, in degrees; (-40, 40) lies across 0.
        mask : array_like of bool, shape (ny, nx), optional
            True where a pixel must not be used.
        gap_border_px : int
            Pixels beside a gap that are masked too: they are larger and count differently.
        beamstop_px : float
            Radius around the beam centre that is masked, in pixels.

        Raises
        ------
        ValueError
            If an argument makes no sense, or no bin holds a pixel: then with what the detector does see, and the
            argument that is most probably in another unit or order.
        """
        from ainerd.xpcs._annular import annular, annulus_of

        rings = annulus_of(
            detector=detector,
            beam_center_px=beam_center_px,
            distance_m=distance_m,
            energy_keV=energy_keV,
            q_range_inv_nm=q_range_inv_nm,
            n_q=n_q,
            q_edges_inv_nm=q_edges_inv_nm,
            n_phi=n_phi,
            phi_range_deg=phi_range_deg,
            n_static=n_static,
        )
        return annular(rings, mask=mask, gap_border_px=gap_border_px, beamstop_px=beamstop_px)

    @classmethod
    def from_roi_map(
        cls,
        roi_map: ArrayLike,
        q: ArrayLike | None = None,
        phi: ArrayLike | None = None,
        static_map: ArrayLike | None = None,
        static_q: ArrayLike | None = None,
    ) -> "Partition":
        """Any labels a user has.

        Parameters
        ----------
        roi_map : array_like of int, shape (ny, nx)
            0 is unused, 1 … n are bins; numbers that do not occur are left out and the others numbered afresh.
        q, phi : array_like, shape (n,), optional
            Centres in 1/nm and degrees, by number from 1.
        static_map : array_like of int, shape (ny, nx), optional
            Static labels, 1 or more where roi_map is not 0; without it S(q) is taken constant over a bin.
        static_q : array_like, optional
            Centres of the static labels in 1/nm, from label 1.

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
        centres = []
        for name, value in (("q", q), ("phi", phi)):
            centre = np.full(n, np.nan) if value is None else np.asarray(value, dtype=float)
            if centre.shape != (n,):
                raise ValueError(f"{name} must hold one value for each of the {n} bins, got shape {centre.shape}")
            centres.append(centre)
        return numbered(
            labels, static, centres[0], centres[1], None if static_q is None else np.asarray(static_q, dtype=float)
        )

    @classmethod
    def load(cls, path: str | PathLike[str]) -> "Partition":
        """A partition from an HDF5 file: what `save` wrote, any NXxpcs masks, or a q map of APS.

        Read are the group ``entry/instrument/masks`` of NXxpcs, and ``qmap``, ``xpcs/qmap`` (pySimpleMask and the
        result files of boost_corr), ``data`` or ``xpcs`` (before those) of APS, whose `mask` is 1 where a pixel is
        good. The q values of APS are in 1/Å and become 1/nm; its phi, which runs against ours, is turned. Bins without
        a good pixel are left out and the others numbered afresh.

        Raises
        ------
        ValueError
            If the file holds no such group or its arrays do not fit each other; file and dataset are named.
        """
        from ainerd.xpcs._partition_file import load_partition

        return load_partition(path)

    def without(self, mask: ArrayLike) -> "Partition":
        """The same without the pixels where `mask`, (ny, nx), is True; bins that then hold none are left out.

        Raises
        ------
        ValueError
            If the mask has another shape, leaves no pixel, or is taken for inverted.
        """
        out = checked_mask(mask, self.roi_map > 0)
        rest = numbered(np.where(out, 0, self.roi_map), self.static_map, self.q, self.phi, self.static_q)
        return replace(rest, left_out=np.concatenate([self.left_out, rest.left_out]))

    def save(self, path: str | PathLike[str]) -> None:
        """Write the masks of NXxpcs, ``entry/instrument/masks``, to a new HDF5 file."""
        from ainerd.xpcs._partition_file import save_partition

        save_partition(self, path)

    @property
    def shape(self) -> tuple[int, int]:
        """(ny, nx) of the frames."""
        return self.roi_map.shape

    @property
    def n_roi(self) -> int:
        """Number of bins."""
        return len(self.q)

    @property
    def pixels(self) -> NDArray[np.int64]:
        """Flat indices of the pixels in use, bin by bin, in a bin by static label."""
        return self._order

    @cached_property
    def n_pixels(self) -> NDArray[np.int64]:
        """Pixels of each bin, (n_roi,)."""
        return np.bincount(self.roi_map.ravel(), minlength=self.n_roi + 1)[1:]

    @cached_property
    def static_edges(self) -> NDArray[np.int64]:
        """Where each (bin, static label) begins in `pixels`, and the end: (n_sub + 1,)."""
        roi, static = self.roi_map.ravel()[self.pixels], self.static_map.ravel()[self.pixels]
        begins = np.flatnonzero((np.diff(roi, prepend=-1) != 0) | (np.diff(static, prepend=-1) != 0))
        return np.append(begins, len(self.pixels))

    @cached_property
    def static_roi(self) -> NDArray[np.int64]:
        """Bin, from 0, that each static sub-bin belongs to, (n_sub,)."""
        return self.roi_map.ravel()[self.pixels[self.static_edges[:-1]]].astype(np.int64) - 1

    @cached_property
    def static_label(self) -> NDArray[np.int64]:
        """Static label of each sub-bin, (n_sub,)."""
        return self.static_map.ravel()[self.pixels[self.static_edges[:-1]]].astype(np.int64)

    def gather(self, frames: NDArray) -> NDArray:
        """Pixels in use of `frames`: (b, ny, nx) or already gathered (b, n) in, (b, n) out; ValueError for others."""
        frames = np.asarray(frames)
        if frames.ndim == 3 and frames.shape[1:] == self.shape:
            return frames.reshape(len(frames), -1)[:, self.pixels]
        if frames.ndim == 2 and frames.shape[1] == len(self.pixels):
            return frames
        raise ValueError(
            f"frames of shape {frames.shape} do not fit this partition: wanted (b, {self.shape[0]}, {self.shape[1]}), "
            f"or (b, {len(self.pixels)}) of gathered pixels"
        )


def numbered(
    roi_map: NDArray, static_map: NDArray, q: NDArray, phi: NDArray, static_q: NDArray | None = None
) -> Partition:
    """The partition of labels of which some may not occur: those are left out and the others numbered afresh.

    `q` and `phi` are those of all labels, from 1. ValueError if none occurs.
    """
    there = np.bincount(roi_map.ravel(), minlength=len(q) + 1)[1:] > 0
    number = np.concatenate([[0], np.where(there, np.cumsum(there), 0)])
    return Partition(
        roi_map=number[roi_map].astype(np.int32),
        static_map=np.where(roi_map > 0, static_map, 0).astype(np.int32),
        q=q[there],
        phi=phi[there],
        static_q=static_q,
        left_out=np.column_stack([q, phi])[~there],
    )
