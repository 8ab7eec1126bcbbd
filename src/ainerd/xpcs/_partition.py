"""Which pixel belongs to which (q, phi) bin."""

import sys
from dataclasses import dataclass, field
from functools import cached_property
from os import PathLike
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.constants import c, e, h
from scipy.ndimage import binary_dilation

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
    """

    roi_map: NDArray[np.int32]
    static_map: NDArray[np.int32]
    q: NDArray[np.float64]
    phi: NDArray[np.float64]
    static_q: NDArray[np.float64] | None = None
    _order: NDArray[np.int64] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        used = np.flatnonzero(self.roi_map)
        if used.size == 0:
            raise ValueError("the partition has no pixels: roi_map is 0 everywhere")
        roi, static = self.roi_map.ravel()[used], self.static_map.ravel()[used]
        object.__setattr__(self, "_order", used[np.lexsort((used, static, roi))])
        empty = np.flatnonzero(self.n_pixels == 0) + 1
        if empty.size:
            raise ValueError(f"bins without a pixel: {empty.tolist()}; widen the q range or take fewer bins")

    @classmethod
    def annular(
        cls,
        *,
        detector: "str | Detector",
        beam_center_px: tuple[float, float],
        distance_m: float,
        energy_keV: float,
        q_range_inv_nm: tuple[float, float],
        n_q: int = 1,
        n_phi: int = 18,
        n_static: int = 4,
        mask: ArrayLike | None = None,
        gap_border_px: int = 1,
        beamstop_px: float = 0.0,
    ) -> "Partition":
        """Rings of equal width in q, cut in equal sectors.

        Bin (i_q, i_phi) is number ``i_q * n_phi + i_phi + 1``; with 18 sectors, sector k covers 20 (k - 1) to 20 k
        degrees.

        Parameters
        ----------
        detector : str or pyFAI.detectors.Detector
            Any detector of pyFAI; its gaps are masked.
        beam_center_px : (float, float)
            (row, column) of the direct beam; the centre of pixel i is at i + 0.5.
        distance_m : float
            Sample to detector, in metres.
        energy_keV : float
            Photon energy, in keV.
        q_range_inv_nm : (float, float)
            Inner and outer limit, in 1/nm.
        n_q, n_phi, n_static : int
            Rings, sectors, and static rings in each ring.
        mask : array_like of bool, shape (ny, nx), optional
            True where a pixel must not be used.
        gap_border_px : int
            Pixels beside a gap that are masked too: they are larger and count differently.
        beamstop_px : float
            Radius around the beam centre that is masked, in pixels.

        Raises
        ------
        ValueError
            If an argument makes no sense, or a bin stays without a pixel.
        """
        low, high = q_range_inv_nm
        if not 0 <= low < high:
            raise ValueError(f"q_range_inv_nm must be (low, high) with 0 <= low < high, got {q_range_inv_nm}")
        if min(n_q, n_phi, n_static) < 1:
            raise ValueError(f"n_q, n_phi, n_static must be at least 1, got {n_q}, {n_phi}, {n_static}")
        if distance_m <= 0 or energy_keV <= 0:
            raise ValueError(f"distance_m and energy_keV must be positive, got {distance_m} and {energy_keV}")
        sensor = _detector(detector)
        shape = sensor.shape
        gaps = np.zeros(shape, bool) if sensor.mask is None else np.asarray(sensor.mask, bool)
        unusable = binary_dilation(gaps, np.ones((3, 3), bool), iterations=gap_border_px) if gap_border_px else gaps
        if mask is not None:
            mask = np.asarray(mask, bool)
            if mask.shape != shape:
                raise ValueError(f"mask has shape {mask.shape}, detector {sensor.name!r} has {shape}")
            unusable = unusable | mask
        rows = (np.arange(shape[0]) + 0.5 - beam_center_px[0])[:, None]
        cols = (np.arange(shape[1]) + 0.5 - beam_center_px[1])[None, :]
        unusable = unusable | (np.hypot(rows, cols) < beamstop_px)
        dy, dx = rows * sensor.pixel1, cols * sensor.pixel2
        wavelength_nm = h * c / (e * energy_keV * 1e3) * 1e9
        q = 4 * np.pi / wavelength_nm * np.sin(np.arctan(np.hypot(dy, dx) / distance_m) / 2)
        phi = np.rad2deg(np.arctan2(dy, dx)) % 360
        ring = np.floor((q - low) / (high - low) * n_q * n_static).astype(int)
        used = (ring >= 0) & (ring < n_q * n_static) & ~unusable
        sector = np.minimum((phi / 360 * n_phi).astype(int), n_phi - 1)
        centres = np.arange(n_q * n_phi)
        return cls(
            roi_map=np.where(used, ring // n_static * n_phi + sector + 1, 0).astype(np.int32),
            static_map=np.where(used, ring + 1, 0).astype(np.int32),
            q=low + (centres // n_phi + 0.5) * (high - low) / n_q,
            phi=(centres % n_phi + 0.5) * 360 / n_phi,
            static_q=low + (np.arange(n_q * n_static) + 0.5) * (high - low) / (n_q * n_static),
        )

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
            0 is unused, 1 … n_roi are bins; every number up to the largest must occur.
        q, phi : array_like, shape (n_roi,), optional
            Centres in 1/nm and degrees.
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
        n = int(labels.max())
        centres = []
        for name, value in (("q", q), ("phi", phi)):
            centre = np.full(n, np.nan) if value is None else np.asarray(value, dtype=float)
            if centre.shape != (n,):
                raise ValueError(f"{name} must hold one value for each of the {n} bins, got shape {centre.shape}")
            centres.append(centre)
        return cls(
            roi_map=labels.astype(np.int32),
            static_map=np.where(labels > 0, static, 0).astype(np.int32),
            q=centres[0],
            phi=centres[1],
            static_q=None if static_q is None else np.asarray(static_q, dtype=float),
        )

    @classmethod
    def load(cls, path: str | PathLike[str]) -> "Partition":
        """A partition from an HDF5 file: what `save` wrote, any NXxpcs masks, or a q map of APS.

        Read are the group ``entry/instrument/masks`` of NXxpcs, and ``qmap``, ``xpcs/qmap`` (pySimpleMask and the
        result files of boost_corr) or ``data`` (before those) of APS, whose `mask` is 1 where a pixel is good. The q
        values of APS are in 1/Å and become 1/nm; its phi, which runs against ours, is turned. Bins without a good
        pixel are taken out and the others numbered afresh.

        Raises
        ------
        ValueError
            If the file holds no such group or its arrays do not fit each other; file and dataset are named.
        """
        from ainerd.xpcs._partition_file import load_partition

        return load_partition(path)

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


def _detector(detector: "str | Detector") -> "Detector":
    if not isinstance(detector, str):
        return detector
    try:
        return pyfai_detectors().detector_factory(detector)
    except RuntimeError as err:
        raise ValueError(f"pyFAI knows no detector {detector!r}: {err}") from None


def pyfai_detectors() -> Any:
    """`pyFAI.detectors`, which is slow to import, without the windows of pyFAI: they bring Qt where it is installed."""
    windows = "pyFAI.gui.model.GeometryModel"
    sys.modules.setdefault(windows, None)  # type: ignore[arg-type]
    import pyFAI.detectors

    if sys.modules[windows] is None:
        del sys.modules[windows]
    return pyFAI.detectors
