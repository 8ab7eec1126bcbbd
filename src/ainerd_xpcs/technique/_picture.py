"""The image of the beam: mean frame and I(q) from a few whole frames, I(t) of every bin from all frames."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numba as nb
import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.ndimage import binary_dilation, uniform_filter

from ainerd.technique import Readings
from ainerd_xpcs.numerics import per_bin
from ainerd_xpcs.technique._bins import instrument, sensor
from ainerd_xpcs.technique._detector_maps import read_mask
from ainerd_xpcs.technique._parts import Share
from ainerd_xpcs.technique._settings import PartitionSettings
from ainerd_xpcs.technique.field import COUNTS, INTENSITIES, Field, q_of_pixels, unit_of

if TYPE_CHECKING:
    from ainerd_xpcs.technique._correlated import Correlated

FEWEST, MOST = 50, 200  # whole frames of a run
SHARE = 100  # one whole frame of so many, between these limits
FRAME_BYTES = 850_000  # of a mean frame, at most
TIME_BYTES = 100_000  # of I(t)
POINTS = 1000  # of I(t)
# A pixel is hot if it counts more than HOT times the mean of the SURROUND × SURROUND pixels around it plus HOT_COUNTS.
# Speckle of contrast 1 does so once in e^20.
HOT, HOT_COUNTS, SURROUND = 20.0, 10.0, 7

DIMS = {
    "mean_frame": ("frame_row", "frame_column"),
    "saxs": ("saxs_q",),
    "saxs_q": ("saxs_q",),
    "intensity": ("roi", "intensity_time"),
    "intensity_total": ("intensity_time",),
    "intensity_time": ("intensity_time",),
}
UNITS = {
    **dict.fromkeys(("mean_frame", *INTENSITIES), COUNTS),
    "saxs_q": "1/nm",
    "intensity_time": "s",
    "mean_frame_binning": "px",
    "whole_frames": "1",
}


class Picture:
    """Mean frame, I(q) and I(t) of an exposure, under 1 MB in all.

    If the number of frames T is announced, every k-th frame is read whole: at least 50 frames, or all of fewer, and at
    most 2 % of more than 2500. In an open-ended run k doubles while frames arrive, and each frame has the weight k, so
    that the means are over equal parts of the run.

    Parameters
    ----------
    field : Field
    n_frames : int or None
        Number of frames of the run; None for an open-ended run.

    Attributes
    ----------
    n_whole : int
        Number of whole frames so far.
    """

    def __init__(self, field: Field, n_frames: int | None) -> None:
        self._field, self._n_frames = field, n_frames
        self._total = np.zeros(field.bad.size, np.float32)  # weighted counts of each pixel
        self._bad = field.bad.ravel().copy()
        self._ring = field.ring.ravel() + 1  # 0 of no ring
        self._weight = 0.0  # of all whole frames
        self.n_whole = 0

    @property
    def every(self) -> int:
        """Interval of whole frames; see `ainerd.technique.RunAnalysis`."""
        if self._n_frames is not None:
            return max(self._n_frames // int(np.clip(self._n_frames // SHARE, FEWEST, MOST)), 1)
        return int(2 ** max(self.n_whole // (FEWEST // 2) - 1, 0))

    def see(self, frame: NDArray[Any], number: int) -> None:
        """Add a whole frame, (ny, nx); frames that `every` does not ask for are ignored.

        A pixel that once has the highest number of its type, or a negative one, is bad: it is saturated, or marked by
        the detector.
        """
        every = self.every
        if (number + 1) % every:
            return
        top = np.iinfo(frame.dtype).max if frame.dtype.kind in "iu" else np.inf
        weight = every if self._n_frames is None else 1
        _add(np.ascontiguousarray(frame).ravel(), np.float32(weight), float(top), self._total, self._bad)
        self._weight += weight
        self.n_whole += 1

    def share(self, frames: "Correlated") -> Share:
        """Return the part of an exposure: its picture and I(t), divided by monitor and transmission."""
        left_out, technique, frame_time_s = frames.left_out, frames.technique, frames.run.frame_time_s
        assert frame_time_s is not None  # checked by `begin`
        arrays, summary = self.finish(np.concatenate([*left_out.pixels.values(), np.empty(0, np.int64)]))
        edges = time_edges(frames.n_frames, technique.partition.n_roi)
        counts = per_bin(frames.reducer.photons_between(edges), technique.partition)
        arrays |= intensities(counts, frames.n_pixels, frame_time_s, edges, left_out.missing)
        product, of = incident(frames.run.readings, technique.monitor)
        arrays |= {name: arrays[name] / np.float32(product) for name in INTENSITIES if name in arrays}
        numbers: dict[str, Any] = {"counts_per_pixel": frames.counts_per_pixel, **summary}
        numbers |= {"incident": product, "incident_of": of} if of else {}
        return Share(arrays, summary=numbers, units=dict.fromkeys(INTENSITIES, unit_of(of)))

    def finish(self, bad: ArrayLike) -> tuple[dict[str, NDArray[Any]], dict[str, int]]:
        """Return arrays, with `DIMS` and `UNITS`, and numbers for the summary.

        Parameters
        ----------
        bad : array_like of int
            Flat indices of further bad pixels.

        Returns
        -------
        arrays : dict of str to ndarray
            With a whole frame, ``mean_frame``, binned, NaN if all pixels of a cell are bad; and if q is known, ``saxs``
            over ``saxs_q``.
        summary : dict of str to int
            ``whole_frames``, their number, and ``mean_frame_binning``, detector pixels along a side of a pixel of the
            mean frame.
        """
        if not self.n_whole:
            return {}, {"whole_frames": 0}
        mean = self._total / np.float64(self._weight)
        out = self._bad.copy()
        out[np.asarray(bad, int)] = True
        out |= hot(np.where(out, 0.0, mean * self.n_whole).reshape(self._field.bad.shape), out).ravel()
        factor = binning(self._field.bad.shape)
        image = np.where(out, np.nan, mean).reshape(self._field.bad.shape)
        arrays: dict[str, NDArray[Any]] = {"mean_frame": binned(image, factor)}
        if (n_rings := self._field.q.size) > 0:
            n = np.bincount(self._ring[~out], minlength=n_rings + 1)[1:]
            counts = np.bincount(self._ring[~out], mean[~out], n_rings + 1)[1:]
            with np.errstate(divide="ignore", invalid="ignore"):  # a ring without a good pixel is NaN
                arrays |= {"saxs": (counts / n).astype(np.float32), "saxs_q": self._field.q}
        return arrays, {"whole_frames": self.n_whole, "mean_frame_binning": factor}


def incident(readings: Readings, keys: Sequence[str]) -> tuple[float, str]:
    """Return the product of the mean readings of an exposure, and their names; 1 and "" without positive ones."""
    product, names = 1.0, list[str]()
    for key in keys:
        values = readings.of_frames(key)
        known = values[np.isfinite(values)]
        if known.size and known.mean() > 0:
            product, names = product * float(known.mean()), [*names, key]
    return product, " × ".join(names)


def field_of(settings: PartitionSettings) -> Field:
    """Return the field of the detector in the settings; pixels beside gaps are bad, as in `Partition.annular`."""
    detector = sensor(settings)
    bad = np.zeros(detector.shape, bool)
    if detector.mask is not None:
        bad |= binary_dilation(np.asarray(detector.mask, bool), np.ones((3, 3), bool))
    if (mask := read_mask(settings)) is not None:
        bad |= mask
    return Field.of(bad.shape, q_of_pixels(bad.shape, instrument(settings)), bad)


def intensities(
    counts: NDArray[Any],
    n_pixels: ArrayLike,
    frame_time_s: float,
    edges: NDArray[np.int64],
    missing: NDArray[np.int64],
) -> dict[str, NDArray[Any]]:
    """Return I(t) of each bin and of all, in counts per pixel and frame, over equal intervals but for the last.

    Parameters
    ----------
    counts : ndarray, shape (n, n_roi)
        Counts of each bin in frames ``edges[i]`` to ``edges[i + 1] - 1``.
    n_pixels : array_like, shape (n_roi,)
        Pixels of these sums.
    frame_time_s : float
    edges : ndarray of int, shape (n + 1,)
        See `time_edges`.
    missing : ndarray of int, shape (m, 2)
        First number and length of each gap. An interval in which all frames are missing is NaN.

    Returns
    -------
    dict of str to ndarray
        ``intensity`` (n_roi, n) over ``intensity_time``, in s since the first frame, and ``intensity_total``.
    """
    pixels = (np.diff(edges) - np.diff(_before(edges, missing)))[:, None] * np.asarray(n_pixels, float)
    with np.errstate(invalid="ignore", divide="ignore"):
        return {
            "intensity": np.ascontiguousarray((counts / pixels).T, np.float32),
            "intensity_total": (counts.sum(axis=1) / pixels.sum(axis=1)).astype(np.float32),
            "intensity_time": (edges[:-1] + edges[1:]) / 2 * frame_time_s,
        }


def _before(edges: NDArray[np.int64], ranges: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return how many numbers in ranges, (m, 2) of first and length, are below each edge."""
    first, n = np.vstack([[-1, 0], ranges]).T
    at = np.searchsorted(first, edges, "right") - 1
    return np.asarray(np.cumsum(n)[at] - n[at] + np.minimum(edges - first[at], n[at]))


def time_edges(n_frames: int, n_roi: int) -> NDArray[np.int64]:
    """Return the first frame of each point of I(t), and the end."""
    most = max(min(POINTS, TIME_BYTES // (4 * (n_roi + 3))), 1)
    step = -(-n_frames // most)
    return np.append(np.arange(0, n_frames, step), n_frames)


def hot(counts: NDArray[np.float64], bad: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Return which pixels, (ny, nx), are hot compared with the good pixels around them; `bad` pixels have zero counts.

    A pixel with fewer than eight good neighbours is never hot.
    """
    good = uniform_filter((~bad).reshape(counts.shape).astype(float), SURROUND, mode="constant") * SURROUND**2
    around = uniform_filter(counts, SURROUND, mode="constant") * SURROUND**2 - counts
    return np.asarray((good > 8.5) & (counts > HOT * around / np.maximum(good - 1, 1) + HOT_COUNTS))


def binning(shape: tuple[int, int]) -> int:
    """Return the binning with which a mean frame stays below `FRAME_BYTES`."""
    factor = 1
    while -(-shape[0] // factor) * -(-shape[1] // factor) * 4 > FRAME_BYTES:
        factor += 1
    return factor


def binned(image: NDArray[np.float64], factor: int) -> NDArray[np.float32]:
    """Average the pixels of each cell that are not NaN."""
    ny, nx = image.shape
    padded = np.pad(image, ((0, -ny % factor), (0, -nx % factor)), constant_values=np.nan)
    cells = padded.reshape(padded.shape[0] // factor, factor, padded.shape[1] // factor, factor)
    valid = ~np.isnan(cells)
    with np.errstate(invalid="ignore"):
        return np.asarray(np.where(valid, cells, 0.0).sum((1, 3)) / valid.sum((1, 3)), dtype=np.float32)


@nb.njit(nogil=True, cache=True)
def _add(  # pragma: no cover - compiled
    frame: NDArray[Any], weight: np.float32, top: float, total: NDArray[np.float32], bad: NDArray[np.bool_]
) -> None:
    for p in range(frame.size):  # without a branch, so that it vectorises
        v = np.float64(frame[p])
        fits = (v >= 0) & (v < top)  # NaN does not
        total[p] += weight * np.float32(v) if fits else np.float32(0)
        bad[p] |= not fits
